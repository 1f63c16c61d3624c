"""Lines: nothing that a run writes is lost or changed on the way, unless the API refuses it."""

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from forebay.wire.logs import LogCreate
from forebay_worker.lines import MAX_LINE, LineCutter, a_line, storable


@given(st.lists(st.text(st.characters(exclude_characters="\n\r"))), st.integers(1, 7))
def test_lines_are_the_same_however_the_bytes_arrive(lines: list[str], size: int) -> None:
    data = "".join(line + "\n" for line in lines).encode("utf-8", "replace")
    cutter = LineCutter()

    cut = [text for i in range(0, len(data), size) for text in cutter.feed(data[i : i + size])]

    assert cut + cutter.end() == [line.encode("utf-8", "replace").decode() for line in lines]


def test_line_without_an_end_comes_last() -> None:
    cutter = LineCutter()

    first = cutter.feed(b"one\r\ntwo")

    assert first == ["one"]
    assert cutter.end() == ["two"]
    assert cutter.end() == []


def test_endless_line_comes_in_pieces() -> None:
    cutter = LineCutter()

    pieces = [*cutter.feed(b"x" * (2 * MAX_LINE + 5)), *cutter.end()]

    assert [len(piece) for piece in pieces] == [MAX_LINE, MAX_LINE, 5]


def test_bytes_that_are_no_text_are_replaced() -> None:
    cutter = LineCutter()

    lines = cutter.feed(b"caf\xe9\n")

    assert lines == ["caf\ufffd"]


@given(st.text())
def test_any_text_can_be_stored(text: str) -> None:
    stored = storable(text)

    LogCreate.model_validate({"name": "n", "level": 1, "message": stored, "timestamp": 0})


def test_long_message_keeps_its_order_and_length() -> None:
    message = "".join(chr(ord("a") + i % 26) for i in range(MAX_LINE + 7))

    lines = list(a_line(uuid4(), "name", 20, message))

    assert [len(line.message) for line in lines] == [MAX_LINE, 7]
    assert "".join(line.message for line in lines) == message


def test_empty_message_is_a_line_too() -> None:
    lines = list(a_line(uuid4(), "name", 20, ""))

    assert [line.message for line in lines] == [""]
