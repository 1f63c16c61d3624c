"""Planning as a table: configuration, prior state and what core proposes → what is planned."""

from typing import Any

import pytest

from forebay_provider.framework.declarations import JsonText, attribute, declaration, model
from forebay_provider.framework.diagnostics import Key
from forebay_provider.framework.planning import plan
from forebay_provider.framework.values import UNKNOWN, Unknown


@model
class Rule:
    name: str = attribute("Name.")
    weight: int = attribute("Weight.", default=1)
    serial: str = attribute("Serial.", computed=True)


@model
class Thing:
    id: str = attribute("Identity.", computed=True)
    stamp: str = attribute("Last change.", computed=True, volatile=True)
    name: str = attribute("Name.", replace=True)
    note: str | None = attribute("Note.", default=None)
    size: int = attribute("Size.", default=3)
    rank: int = attribute("Rank.", default=None, computed=True)
    template: JsonText | None = attribute("JSON.", default=None)
    tags: set[str] | None = attribute("Tags.", default=None)
    secret: str | None = attribute("Secret.", default=None, write_only=True)
    rule: Rule | None = attribute("One.", default=None)
    rules: list[Rule] | None = attribute("Some.", default=None)
    named: dict[str, Rule] | None = attribute("Named.", default=None)
    heap: set[Rule] | None = attribute("Unordered.", default=None)


NOTHING = {a.name: None for a in declaration(Thing).attributes}
STORED = {**NOTHING, "id": "1", "stamp": "then", "name": "a", "size": 3, "rank": 7}


def planned(config: dict[str, Any], prior: dict[str, Any] | None) -> Any:
    full = {**NOTHING, "name": "a", **config}
    return plan(Thing, full, prior)


CREATES = [
    ("a computed value is unknown", {}, {"id": UNKNOWN, "stamp": UNKNOWN, "rank": UNKNOWN}),
    ("an optional value that is left out is null", {}, {"note": None}),
    ("a default stands for null", {}, {"size": 3}),
    ("a configured value beats the default", {"size": 5}, {"size": 5}),
    ("a configured value beats the provider's choice", {"rank": 1}, {"rank": 1}),
    ("an unknown value stays unknown", {"note": UNKNOWN}, {"note": UNKNOWN}),
    ("what is known of an unknown stays", {"note": Unknown(b"\x81\x01\xc2")},
     {"note": Unknown(b"\x81\x01\xc2")}),
    ("a write-only value is never planned", {"secret": "s"}, {"secret": None}),
    ("defaults reach into a nested object",
     {"rule": {"name": "r", "weight": None, "serial": None}},
     {"rule": {"name": "r", "weight": 1, "serial": UNKNOWN}}),
    ("defaults reach into a nested list",
     {"rules": [{"name": "r", "weight": None, "serial": None}, UNKNOWN]},
     {"rules": [{"name": "r", "weight": 1, "serial": UNKNOWN}, UNKNOWN]}),
    ("an empty list is not null", {"rules": []}, {"rules": []}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "expected"), [c[1:] for c in CREATES], ids=[c[0] for c in CREATES]
)
def test_create(config: dict[str, Any], expected: dict[str, Any]) -> None:
    result = planned(config, None)

    assert {name: result.planned[name] for name in expected} == expected
    assert result.replace == ()


RULE = {"name": "r", "weight": 1, "serial": "s1"}
OTHER = {"name": "o", "weight": 1, "serial": "s2"}
UNSET = {"weight": None, "serial": None}
UPDATES = [
    ("a computed value is kept", {"note": "n"}, STORED, {"id": "1", "rank": 7}, ()),
    ("a volatile value may change", {"note": "n"}, STORED, {"stamp": UNKNOWN}, ()),
    ("a value never decided may be decided", {"note": "n"}, {**STORED, "rank": None},
     {"rank": UNKNOWN}, ()),
    ("a value taken out of the configuration becomes null", {}, {**STORED, "note": "n"},
     {"note": None, "id": "1"}, ()),
    ("a value taken out goes back to its default", {}, {**STORED, "size": 9}, {"size": 3}, ()),
    ("the provider's choice outlives the configuration", {"note": "n"}, STORED, {"rank": 7}, ()),
    ("a changed name replaces", {"name": "b"}, STORED, {"name": "b"}, (("name",),)),
    ("a name not known yet replaces", {"name": UNKNOWN}, STORED, {"name": UNKNOWN}, (("name",),)),
    ("JSON that means the same keeps its bytes", {"template": '{"a": 1}', "note": "n"},
     {**STORED, "template": '{"a":1}'}, {"template": '{"a":1}'}, ()),
    ("JSON that means something else is as configured", {"template": '{"a": true}'},
     {**STORED, "template": '{"a":1}'}, {"template": '{"a": true}'}, ()),
    ("a nested computed value is kept", {"rule": {**UNSET, "name": "new"}},
     {**STORED, "rule": RULE}, {"rule": {**RULE, "name": "new"}}, ()),
    ("list elements continue by index",
     {"rules": [{**UNSET, "name": "r"}, {**UNSET, "name": "o"}]}, {**STORED, "rules": [RULE]},
     {"rules": [RULE, {"name": "o", "weight": 1, "serial": UNKNOWN}]}, ()),
    ("map elements continue by key", {"named": {"k": {**UNSET, "name": "x"}}},
     {**STORED, "named": {"k": RULE}}, {"named": {"k": {**RULE, "name": "x"}}}, ()),
    ("set elements continue by what is configured",
     {"heap": [{**UNSET, "name": "o"}, {**UNSET, "name": "r"}, {**UNSET, "name": "n"}]},
     {**STORED, "heap": [RULE, OTHER]},
     {"heap": [OTHER, RULE, {"name": "n", "weight": 1, "serial": UNKNOWN}]}, ()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "prior", "expected", "replace"),
    [c[1:] for c in UPDATES],
    ids=[c[0] for c in UPDATES],
)
def test_update(
    config: dict[str, Any], prior: dict[str, Any], expected: dict[str, Any], replace: Any
) -> None:
    result = planned(config, prior)

    assert {name: result.planned[name] for name in expected} == expected
    assert result.replace == replace


UNCHANGED = [
    ("nothing is configured beyond what is", {}, STORED),
    ("JSON is written in another way", {"template": '{ "b": [1.0], "a": 1 }'},
     {**STORED, "template": '{"a":1,"b":[1.0]}'}),
    ("a set comes in another order", {"tags": ["b", "a"]}, {**STORED, "tags": ["a", "b"]}),
    ("a computed value was never decided", {}, {**STORED, "rank": None}),
    ("a secret is configured", {"secret": "s"}, STORED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "prior"), [c[1:] for c in UNCHANGED], ids=[c[0] for c in UNCHANGED]
)
def test_plan_is_the_prior_state_itself_when(
    config: dict[str, Any], prior: dict[str, Any]
) -> None:
    result = planned(config, prior)

    assert result.planned is prior
    assert result.replace == ()


def test_destroy_plans_null() -> None:
    result = plan(Thing, None, STORED)

    assert result.planned is None


def test_change_below_a_nested_attribute_replaces_by_its_path() -> None:
    @model
    class Inner:
        zone: str = attribute("Zone.", replace=True)

    @model
    class Outer:
        by_key: dict[str, Inner] = attribute("By key.")
        by_index: list[Inner] = attribute("By index.")

    prior = {"by_key": {"k": {"zone": "a"}}, "by_index": [{"zone": "a"}, {"zone": "a"}]}
    config = {"by_key": {"k": {"zone": "b"}}, "by_index": [{"zone": "a"}, {"zone": "b"}]}

    result = plan(Outer, config, prior)

    assert result.replace == (("by_key", "k", "zone"), ("by_index", 1, "zone"))
    assert isinstance(result.replace[0][1], Key)


def test_what_is_derived_is_planned_and_keeps_its_form_when_it_means_the_same() -> None:
    @model
    class Sum:
        parts: list[int] = attribute("Parts.")
        total: JsonText = attribute("Total.", computed=True)

    def derive(planned: Any, config: Any, prior: Any) -> Any:
        return {**planned, "total": f" {sum(planned['parts'])}"}

    made = plan(Sum, {"parts": [1, 2], "total": None}, None, derive).planned
    prior = {"parts": [1, 2], "total": "3"}
    kept = plan(Sum, {"parts": [1, 2], "total": None}, prior, derive)
    moved = plan(Sum, {"parts": [2, 1], "total": None}, prior, derive).planned
    grown = plan(Sum, {"parts": [4], "total": None}, prior, derive).planned

    assert made == {"parts": [1, 2], "total": " 3"}
    assert kept.planned is prior
    assert moved == {"parts": [2, 1], "total": "3"}
    assert grown == {"parts": [4], "total": " 4"}


def test_computed_object_that_is_left_out_stays_as_it_was() -> None:
    @model
    class Inner:
        note: str | None = attribute("Note.", default=None)

    @model
    class Outer:
        inner: Inner = attribute("Inner.", default=None, computed=True)

    prior = {"inner": {"note": "here"}}

    assert plan(Outer, {"inner": None}, prior).planned is prior
