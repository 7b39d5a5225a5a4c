"""The text of a task as it is pasted, and a name as it is printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.tasks.text import decode, printable


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        (b"\xef\xbb\xbfwith a mark", "with a mark"),
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        (b"\ttab\n\n", "\ttab\n\n"),
        (b"\x1b[201~\x03\x04x\x7f\xc2\x9by", "[201~xy"),
    ],
)
def test_a_text_is_decoded_as_it_is_pasted(data: bytes, text: str) -> None:
    assert decode(data) == text


@given(st.binary(max_size=200))
def test_no_text_can_press_a_key(data: bytes) -> None:
    try:
        text = decode(data)
    except ValueError:
        return
    assert all(c.isprintable() or c in "\t\n" or ord(c) >= 0xA0 for c in text)
    assert decode(text.encode()) == text


def test_a_name_is_escaped_for_printing() -> None:
    assert printable("fix ü.md") == "fix ü.md"
    assert printable("a\x1b[31m\nb\udcff") == "a\\x1b[31m\\nb\\xff"
