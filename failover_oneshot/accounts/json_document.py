"""Change single members of a JSON object's text and keep every other byte as its program wrote it.

Pure. Text that is not one JSON object raises `ValueError`; the message never quotes the text.
"""

import json
import re
from typing import Any, NoReturn

from msgspec import Struct

_SPACE = re.compile(r"[ \t\n\r]*")


class Member(Struct, frozen=True):
    """The position of one member: `text[start:key_end]` is its key, `text[value_start:end]` its value."""

    key: str
    start: int
    key_end: int
    value_start: int
    end: int


class Document(Struct, frozen=True):
    """A JSON object: its text, the members' positions in order, and the values."""

    text: str
    opened: int  # the position after the opening brace
    members: tuple[Member, ...]
    values: dict[str, Any]

    def __repr__(self) -> str:
        """The size only: the content holds secrets."""
        return f"Document({len(self.members)} members)"


def parse(data: bytes) -> Document:
    """Parse a file's bytes. ValueError unless they are UTF-8 text of exactly one JSON object without duplicate keys."""
    try:
        return _parse(data.decode())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, IndexError):
        raise ValueError("not a JSON object") from None


def replace(document: Document, key: str, value: Any) -> Document:
    """The document with the member set to `value`, in place or added last, in the style of the surrounding text."""
    text = document.text
    indent = _indent(document)
    spaced = any(text[m.key_end : m.value_start].endswith(" ") for m in document.members)
    new = _render(value, indent, spaced=spaced)
    if indent is not None:
        new = new.replace("\n", f"\n{indent}")  # strings hold no bare line break
    for member in document.members:
        if member.key == key:
            return _parse(text[: member.value_start] + new + text[member.end :])
    gap = f"\n{indent}" if indent is not None else ""
    added = f"{gap}{json.dumps(key)}{': ' if spaced or indent is not None else ':'}{new}"
    if not document.members:
        return _parse(text[: document.opened] + added + text[document.opened :])
    last = document.members[-1].end
    comma = ", " if spaced and indent is None else ","
    return _parse(text[:last] + comma + added + text[last:])


def without(document: Document, key: str) -> Document:
    """The document without that member."""
    text, members = document.text, document.members
    for place, member in enumerate(members):
        if member.key == key:
            if place:
                return _parse(text[: members[place - 1].end] + text[member.end :])
            rest = members[1].start if len(members) > 1 else member.end
            return _parse(text[: member.start] + text[rest:])
    return document


def rendered(value: dict[str, Any]) -> bytes:
    """A new file's bytes: JSON in the style of Claude Code's settings."""
    return (_render(value, "  ", spaced=True) + "\n").encode()


def encode(document: Document) -> bytes:
    """The document as the bytes of its file."""
    return document.text.encode()


def _render(value: Any, indent: str | None, *, spaced: bool) -> str:
    comma = ", " if spaced and indent is None else ","
    colon = ": " if spaced or indent is not None else ":"
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=(comma, colon))
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can write
        text = json.dumps(value, allow_nan=False, indent=indent, separators=(comma, colon))
    return text


def _indent(document: Document) -> str | None:
    """The indentation of the first member; None when the text is on one line."""
    if not document.members:
        return "  " if "\n" in document.text[document.opened :].rstrip() else None
    before = document.text[document.opened : document.members[0].start]
    return before.rpartition("\n")[2] if "\n" in before else None


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _parse(text: str) -> Document:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    at = _skip(text, 0)
    if text[at] != "{":
        raise ValueError("not a JSON object")
    opened = at + 1
    members: list[Member] = []
    values: dict[str, Any] = {}
    at = _skip(text, opened)
    while text[at] != "}":
        if members:
            if text[at] != ",":
                raise ValueError("not a JSON object")
            at = _skip(text, at + 1)
        key, key_end = decoder.raw_decode(text, at)
        colon = _skip(text, key_end)
        if not isinstance(key, str) or text[colon] != ":" or key in values:
            raise ValueError("not a JSON object")
        start, value_start = at, _skip(text, colon + 1)
        values[key], end = decoder.raw_decode(text, value_start)
        members.append(Member(key, start, key_end, value_start, end))
        at = _skip(text, end)
    if _skip(text, at + 1) != len(text):
        raise ValueError("not a JSON object")
    return Document(text=text, opened=opened, members=tuple(members), values=values)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


EMPTY = _parse("{}")
