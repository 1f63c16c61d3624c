"""What a change will do, decided from the values alone. Pure; knows no resource.

The rules are those of Terraform's plan: what is configured is planned as it is written (or as it
was, when that means the same), everything else is a default, the prior value, or unknown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from forebay_provider.framework.declarations import Attribute, declaration
from forebay_provider.framework.diagnostics import Key, Path
from forebay_provider.framework.semantics import keep_form, means_same
from forebay_provider.framework.values import UNKNOWN, Unknown

Values = dict[str, Any]
# Decides what follows from a planned object, its configuration and the prior object.
Derive = Callable[[Values, Values, Values | None], Values]


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned object (None for a destroy) and the paths whose change needs a new object."""

    planned: Values | None
    replace: tuple[Path, ...] = ()


def plan(
    model: type[Any],
    config: Values | None,
    prior: Values | None,
    derive: Derive = lambda planned, config, prior: planned,
) -> Plan:
    """The plan for one object; `prior` is None on create and `config` on destroy.

    When nothing changes the planned value is `prior` itself. `derive` is asked twice for an
    update, the second time with what the update may decide anew unknown.
    """
    if config is None:
        return Plan(None)
    planned = derive(_object(model, config, prior), config, prior)
    if prior is None:
        return Plan(planned)
    if declaration(model).kind.same(keep_form(model, planned, prior), prior):
        return Plan(prior)
    planned = derive(_with_unknowns(model, config, prior, planned), config, prior)
    planned = keep_form(model, planned, prior)
    return Plan(planned, tuple(_replacements(model, prior, planned, ())))


def _object(model: type[Any], config: Values, prior: Values | None) -> Values:
    is_new, before = prior is None, prior or {}
    return {
        a.name: _value(a, config[a.name], before.get(a.name), is_new=is_new)
        for a in declaration(model).attributes
    }


def _value(attribute: Attribute, config: Any, prior: Any, *, is_new: bool) -> Any:
    if attribute.options.write_only:
        return None
    if config is None:
        if attribute.default is not None:
            return attribute.default
        if not attribute.computed:
            return None
        # Not what core proposes: that is null for an object with parts that are not computed.
        return UNKNOWN if is_new else prior
    if isinstance(config, Unknown):
        return config
    if attribute.nested is not None:
        return _nested(attribute, attribute.nested, config, prior)
    return prior if means_same(attribute, config, prior) else config


def _nested(attribute: Attribute, model: type[Any], config: Any, prior: Any) -> Any:
    """Nested objects follow the rules of the whole, each against the prior one it continues."""

    def one(item: Any, before: Any) -> Any:
        if item is None or isinstance(item, Unknown):
            return item
        before = before if isinstance(before, dict) else None
        return _object(model, item, before)

    if attribute.nesting == "single":
        return one(config, prior)
    if attribute.nesting == "map":
        known = prior if isinstance(prior, dict) else {}
        return {key: one(item, known.get(key)) for key, item in config.items()}
    olds = prior if isinstance(prior, list) else []
    if attribute.nesting == "list":
        return [one(c, olds[i] if i < len(olds) else None) for i, c in enumerate(config)]
    return [one(item, _counterpart(model, item, olds)) for item in config]


def _counterpart(model: type[Any], item: Any, olds: list[Any]) -> Any:
    """The prior set element that `item` continues: the one equal in all that is configured."""
    if not isinstance(item, dict):
        return None

    def continues(old: Any) -> bool:
        return isinstance(old, dict) and all(
            means_same(a, item[a.name], old[a.name])
            for a in declaration(model).attributes
            if not a.options.write_only and not (item[a.name] is None and a.computed)
        )

    return next((old for old in olds if continues(old)), None)


def _with_unknowns(model: type[Any], config: Values, prior: Values, planned: Values) -> Values:
    """An update may decide anew what is volatile, and what was never decided."""

    def decided(a: Attribute) -> Any:
        value = planned[a.name]
        is_free = a.computed and a.default is None and config[a.name] is None
        if is_free and (a.options.volatile or prior[a.name] is None):
            return UNKNOWN
        if a.nested is None or a.nesting != "single" or not isinstance(value, dict):
            return value
        before = prior[a.name]
        if not isinstance(before, dict) or not isinstance(config[a.name], dict):
            return value
        return _with_unknowns(a.nested, config[a.name], before, value)

    return {a.name: decided(a) for a in declaration(model).attributes}


def _replacements(model: type[Any], prior: Values, planned: Values, path: Path) -> list[Path]:
    found: list[Path] = []
    for a in declaration(model).attributes:
        before, after, here = prior[a.name], planned[a.name], (*path, a.name)
        if a.options.replace and not a.kind.same(before, after):
            found.append(here)
        elif a.nested is not None:
            for step, old, new in _pairs(a, before, after):
                found += _replacements(a.nested, old, new, (*here, *step))
    return found


def _pairs(attribute: Attribute, before: Any, after: Any) -> list[tuple[Path, Values, Values]]:
    """Nested objects that are in both values, with the step to each. Sets have no steps."""
    both: list[tuple[Path, Any, Any]] = []
    if attribute.nesting == "single":
        both = [((), before, after)]
    elif attribute.nesting == "map" and isinstance(before, dict) and isinstance(after, dict):
        both = [((Key(k),), before[k], after[k]) for k in before if k in after]
    elif attribute.nesting == "list" and isinstance(before, list) and isinstance(after, list):
        both = [((i,), *pair) for i, pair in enumerate(zip(before, after, strict=False))]
    return [(s, o, n) for s, o, n in both if isinstance(o, dict) and isinstance(n, dict)]
