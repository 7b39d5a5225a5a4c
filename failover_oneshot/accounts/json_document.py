"""Change single members of a JSON object's text and keep every other byte as its program wrote it.

Pure. Reads what Claude Code reads: a byte order mark at the start, duplicate keys, of which the last one counts, and
bytes that are not UTF-8 in strings. Such a byte is one surrogate (U+DC80 to U+DCFF) in texts and values, as in Python's
`surrogateescape`, and the same byte again when it is written. Anything else that is not one JSON object raises
`ValueError`; the message never quotes the text.
"""

import json
import re
from typing import Any, NoReturn

from msgspec import Struct

_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATES = re.compile(r"[\udc80-\udcff]+|[\ud800-\udfff]")
_MARK = "\ufeff"  # the byte order mark


class Member(Struct, frozen=True):
    """The position of one member: `text[start:key_end]` is its key, `text[value_start:end]` its value."""

    key: str
    start: int
    key_end: int
    value_start: int
    end: int

    def moved(self, by: int) -> "Member":
        """The same member, `by` characters further on."""
        return Member(self.key, self.start + by, self.key_end + by, self.value_start + by, self.end + by)


class Document(Struct, frozen=True):
    """A JSON object: its text, the members' positions in order, duplicates included, and the values."""

    text: str
    opened: int  # the position after the opening brace
    members: tuple[Member, ...]
    values: dict[str, Any]

    def __repr__(self) -> str:
        """The size only: the content holds secrets."""
        return f"Document({len(self.members)} members)"


def parse(data: bytes) -> Document:
    """Parse a file's bytes. ValueError unless they are exactly one JSON object."""
    try:
        return _parse(data.decode(errors="surrogateescape"))
    except (json.JSONDecodeError, RecursionError, IndexError):
        raise ValueError("not a JSON object") from None


def replace(document: Document, key: str, value: Any) -> Document:
    """The document with the member set to `value`, in place or added last, in the style of the surrounding text.

    Of duplicates the last one is replaced, because it is the one that counts.
    """
    text, members = document.text, document.members
    indent = _indent(document)
    new = _render(value, indent, spaced=_spaced(document))
    values = {**document.values, key: _DECODER.decode(new)}
    if indent is not None:
        new = new.replace("\n", f"\n{indent}")  # strings hold no bare line break
    last = next((place for place in reversed(range(len(members))) if members[place].key == key), None)
    if last is None:
        return _added(document, key, new, values)
    old = members[last]
    changed = Member(key, old.start, old.key_end, old.value_start, old.value_start + len(new))
    after = [member.moved(changed.end - old.end) for member in members[last + 1 :]]
    text = text[: old.value_start] + new + text[old.end :]
    return Document(text, document.opened, (*members[:last], changed, *after), values)


def without(document: Document, key: str) -> Document:
    """The document without that member and its duplicates, of which an earlier one would count otherwise."""
    if key not in document.values:
        return document
    text, members = document.text, document.members
    place = members[0].start  # where the next part goes
    parts = [text[:place]]
    kept: list[Member] = []
    for number, member in enumerate(members):
        if member.key != key:
            begin = members[number - 1].end if kept else member.start  # with the comma before it
            kept.append(member.moved(place - begin))
            parts.append(text[begin : member.end])
            place += member.end - begin
    values = {name: value for name, value in document.values.items() if name != key}
    return Document("".join([*parts, text[members[-1].end :]]), document.opened, tuple(kept), values)


def rendered(value: dict[str, Any]) -> bytes:
    """A new file's bytes: JSON in the style of Claude Code's settings."""
    return (_render(value, "  ", spaced=True) + "\n").encode(errors="surrogateescape")


def encode(document: Document) -> bytes:
    """The document as the bytes of its file."""
    return document.text.encode(errors="surrogateescape")


def _added(document: Document, key: str, new: str, values: dict[str, Any]) -> Document:
    """The document with one more member, whose rendered value is `new`."""
    members, indent, spaced = document.members, _indent(document), _spaced(document)
    at = members[-1].end if members else document.opened
    comma = "" if not members else ", " if spaced and indent is None else ","
    gap = comma + (f"\n{indent}" if indent is not None else "")
    name = _render(key, None, spaced=False)
    colon = ": " if spaced or indent is not None else ":"
    start = at + len(gap)
    value_start = start + len(name) + len(colon)
    member = Member(key, start, start + len(name), value_start, value_start + len(new))
    text = document.text[:at] + gap + name + colon + new + document.text[at:]
    return Document(text, document.opened, (*members, member), values)


def _render(value: Any, indent: str | None, *, spaced: bool) -> str:
    comma = ", " if spaced and indent is None else ","
    colon = ": " if spaced or indent is not None else ":"
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=(comma, colon))
    return _SURROGATES.sub(_surrogates, text)


def _surrogates(found: re.Match[str]) -> str:
    """Surrogates as they are if they stand for bytes that are not UTF-8, otherwise as escapes."""
    run = found[0]
    try:
        same = run.encode(errors="surrogateescape").decode(errors="surrogateescape") == run
    except UnicodeEncodeError:  # half of a pair, which only an escape can write
        same = False
    return run if same else "".join(f"\\u{ord(half):x}" for half in run)


def _spaced(document: Document) -> bool:
    """Whether a space follows the colons."""
    return any(document.text[m.key_end : m.value_start].endswith(" ") for m in document.members)


def _indent(document: Document) -> str | None:
    """The indentation of the first member; None when the text is on one line."""
    if not document.members:
        return "  " if "\n" in document.text[document.opened :].rstrip() else None
    before = document.text[document.opened : document.members[0].start]
    return before.rpartition("\n")[2] if "\n" in before else None


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _integer(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:  # Python refuses more than 4300 digits
        return float(digits)


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_int=_integer)


def _parse(text: str) -> Document:
    at = _skip(text, 1 if text.startswith(_MARK) else 0)
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
        key, key_end = _DECODER.raw_decode(text, at)
        colon = _skip(text, key_end)
        if not isinstance(key, str) or text[colon] != ":":
            raise ValueError("not a JSON object")
        start, value_start = at, _skip(text, colon + 1)
        values[key], end = _DECODER.raw_decode(text, value_start)
        members.append(Member(key, start, key_end, value_start, end))
        at = _skip(text, end)
    if _skip(text, at + 1) != len(text):
        raise ValueError("not a JSON object")
    return Document(text=text, opened=opened, members=tuple(members), values=values)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


EMPTY = _parse("{}")
