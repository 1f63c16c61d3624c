"""Values on the wire: what Terraform sends is read, and what is written it reads again."""

import json
from decimal import Decimal
from typing import Any

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay_provider.framework import kinds
from forebay_provider.framework.codec import decode, encode, upgrade
from forebay_provider.framework.diagnostics import Failure
from forebay_provider.framework.kinds import BOOL, DYNAMIC, NUMBER, STRING, Kind
from forebay_provider.framework.values import UNKNOWN, Dynamic, Unknown
from forebay_provider.pb import tfplugin6_pb2 as pb

texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.one_of(
    st.integers(-(10**40), 10**40),
    st.decimals(-(10**9), 10**9, allow_nan=False, places=6).map(
        lambda d: int(d) if d == d.to_integral_value() else d
    ),
)


def typed_values() -> st.SearchStrategy[tuple[Kind, Any]]:
    """Types together with values of them, null and unknown included."""
    leaves = st.one_of(
        st.tuples(st.just(STRING), texts),
        st.tuples(st.just(BOOL), st.booleans()),
        st.tuples(st.just(NUMBER), numbers),
    ).flatmap(lambda pair: st.tuples(st.just(pair[0]), st.sampled_from([pair[1], None, UNKNOWN])))

    def larger(inner: st.SearchStrategy[tuple[Kind, Any]]) -> st.SearchStrategy[tuple[Kind, Any]]:
        return st.one_of(
            inner.map(lambda p: (kinds.Sequence(p[0]), [p[1], p[1]])),
            inner.map(lambda p: (kinds.Set(p[0]), [p[1]])),
            st.tuples(texts, inner).map(lambda p: (kinds.Map(p[1][0]), {p[0]: p[1][1]})),
            st.lists(inner, max_size=3).map(
                lambda ps: (
                    kinds.Object({f"a{i}": p[0] for i, p in enumerate(ps)}),
                    {f"a{i}": p[1] for i, p in enumerate(ps)},
                )
            ),
            st.lists(inner, max_size=3).map(
                lambda ps: (kinds.Tuple([p[0] for p in ps]), [p[1] for p in ps])
            ),
            inner.filter(lambda p: p[1] is not None and p[1] != UNKNOWN).map(
                lambda p: (DYNAMIC, Dynamic(*p))
            ),
        )

    return st.recursive(leaves, larger, max_leaves=8)


@given(typed_values())
def test_written_value_is_read_again(pair: tuple[Kind, Any]) -> None:
    kind, value = pair

    again = decode(kind, encode(kind, value))

    assert kind.same(again, value)


@given(typed_values())
def test_type_constraint_is_read_again(pair: tuple[Kind, Any]) -> None:
    kind, _ = pair

    again = kinds.from_constraint(json.loads(json.dumps(kind.constraint())))

    assert again.constraint() == kind.constraint()


@pytest.mark.parametrize(
    ("number", "packed"),
    [
        (2**63 - 1, 2**63 - 1),
        (2**64 - 1, "18446744073709551615"),
        (-(2**63) - 1, "-9223372036854775809"),
        (10**40, "1" + "0" * 40),
        (Decimal("1.5"), 1.5),
        (Decimal("0.1"), "0.1"),
        (Decimal("2.00"), 2),
    ],
)
def test_number_is_written_as_core_writes_it(number: int | Decimal, packed: object) -> None:
    message = encode(NUMBER, number)

    assert ormsgpack.unpackb(message.msgpack) == packed


@pytest.mark.parametrize("raw", [1.5, "1.5"])
def test_fraction_is_read_exactly(raw: object) -> None:
    value = decode(NUMBER, pb.DynamicValue(msgpack=ormsgpack.packb(raw)))

    assert value == Decimal("1.5")


def test_unknown_is_written_as_one_extension() -> None:
    assert encode(STRING, UNKNOWN).msgpack == b"\xd4\x00\x00"


def test_refined_unknown_keeps_its_refinement() -> None:
    sent = b"\xc7\x09\x0c\x82\x01\xc2\x02\xa4pre-"

    value = decode(STRING, pb.DynamicValue(msgpack=sent))

    assert value == Unknown(sent[3:])
    assert encode(STRING, value).msgpack == sent


def test_extension_of_any_other_code_is_unknown() -> None:
    assert decode(NUMBER, pb.DynamicValue(msgpack=b"\xd4\x07\x01")) == UNKNOWN


def test_nothing_is_null() -> None:
    assert decode(STRING, pb.DynamicValue()) is None


THING = kinds.Object({"name": STRING, "size": NUMBER, "any": DYNAMIC, "tags": kinds.Set(STRING)})


@pytest.mark.parametrize(
    "sent",
    [
        b"\xc1",
        b"\x81",
        b"\x91" * 20_000 + b"\xc0",
        b"\xdf\xff\xff\xff\xff",
        ormsgpack.packb("text"),
        ormsgpack.packb({"name": 1}),
        ormsgpack.packb({"size": "many"}),
        ormsgpack.packb({"size": "nan"}),
        ormsgpack.packb({"size": "1e999999999"}),
        ormsgpack.packb({"size": True}),
        ormsgpack.packb({"any": [b'"nonsense"', 1]}),
        ormsgpack.packb({"any": [b"{", 1]}),
        ormsgpack.packb({"any": 1}),
        ormsgpack.packb({"tags": {"a": "b"}}),
        ormsgpack.packb({"surplus": 1}),
    ],
)
def test_value_that_is_not_of_the_type_is_refused(sent: bytes) -> None:
    with pytest.raises(Failure) as caught:
        decode(THING, pb.DynamicValue(msgpack=sent))

    assert caught.value.diagnostics[0].summary == "Terraform sent a value that cannot be read"


def test_refusal_names_the_attribute_and_stops_at_a_set() -> None:
    kind = kinds.Object({"parts": kinds.Sequence(kinds.Object({"tags": kinds.Set(STRING)}))})
    sent = {"parts": [{"tags": ["a"]}, {"tags": ["a", 1]}]}

    with pytest.raises(Failure) as caught:
        decode(kind, pb.DynamicValue(msgpack=ormsgpack.packb(sent)))

    assert caught.value.diagnostics[0].path == ("parts", 1, "tags")


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_read_or_refused(sent: bytes) -> None:
    try:
        value = decode(THING, pb.DynamicValue(msgpack=sent))
    except Failure:
        return

    assert value is None or isinstance(value, dict | Unknown)


def test_value_that_does_not_fit_its_type_is_not_written() -> None:
    with pytest.raises(Failure) as caught:
        encode(THING, {"name": 5})

    assert caught.value.diagnostics[0].path == ("name",)


def test_stored_state_gains_new_attributes_and_loses_old_ones() -> None:
    stored = {"name": "a", "gone": 1, "any": {"value": [1, 2], "type": ["list", "number"]}}

    value = upgrade(THING, pb.RawState(json=json.dumps(stored).encode()))

    assert (value["name"], value["size"], value["tags"]) == ("a", None, None)
    assert value["any"].value == [1, 2]
    assert value.keys() == {"name", "size", "any", "tags"}


def test_stored_number_keeps_its_digits() -> None:
    value = upgrade(THING, pb.RawState(json=b'{"size": 0.12345678901234567890123}'))

    assert value["size"] == Decimal("0.12345678901234567890123")


@pytest.mark.parametrize(
    "stored",
    [
        pb.RawState(json=b"{"),
        pb.RawState(json=b"[" * 100_000),
        pb.RawState(json=b'{"name": 5}'),
        pb.RawState(flatmap={"name": "a"}),
    ],
)
def test_stored_state_that_cannot_be_read_is_refused(stored: pb.RawState) -> None:
    with pytest.raises(Failure):
        upgrade(THING, stored)
