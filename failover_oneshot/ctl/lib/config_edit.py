"""Adds an account to the text of a configuration and keeps every other character, comments included. Pure.

YAML writes one list in many ways. So an edit is an insertion that fits the way this list is written, and it counts only
if the new text has the old values and exactly one more account.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from msgspec import Struct

from failover_oneshot.config import yaml_source

_KEY = "accounts"
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what YAML takes for the end of a line
_PLAIN = re.compile(r"[A-Za-z0-9_./~][A-Za-z0-9_./~@+-]*")


def with_account(text: str, name: str, store: str) -> str:
    """The configuration with one more account at the end of `accounts`.

    ``store`` is written as it is given, such as `~/.claude-accounts/NAME`. Raises ValueError when the text is not a
    configuration, or when no insertion adds the account and nothing else.
    """
    before = yaml_source.values(text)
    accounts = before.get(_KEY) or []
    account = {"name": name, "store": store}
    wanted = {**before, _KEY: [*accounts, account] if isinstance(accounts, list) else None}
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    for edited in _edits(_Text(text.removeprefix(mark)), account):
        if _holds(mark + edited, wanted):
            return mark + edited
    raise ValueError(f"cannot add an entry to `{_KEY}` without changing another value")


def _holds(text: str, wanted: dict[str, object]) -> bool:
    try:
        return yaml_source.values(text) == wanted
    except ValueError:
        return False


# -- the text and its nodes --------------------------------------------------------------------------------------------


class _Span(Struct):
    """A value and its place, from `start` to the `end` of its last character that is not a comment."""

    kind: str  # scalar, alias, list or map
    start: int
    end: int
    column: int
    flow: bool = False  # a list or map in brackets
    value: str = ""
    style: str | None = None  # of a scalar: its quote, if it has one
    children: list["_Span"] = []  # of a map: key, value, key, value, …


class _Text:
    """A text without byte order mark, its lines and its mapping. ``end``: where its document ends."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(found.end() for found in _BREAK.finditer(text))]
        first = _BREAK.search(text)
        self.newline = first[0] if first else "\n"
        events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        self.root = next(node for event in events if (node := _node(event, events)))
        ends = [event.start_mark.index for event in events if getattr(event, "explicit", False)]  # `...`
        self.end = ends[0] if ends else len(text)

    def line_start(self, at: int) -> int:
        """The start of the line with this position."""
        return max(start for start in self._starts if start <= at)

    def line_end(self, at: int) -> int:
        """The start of the line below this position, or the end of the text."""
        return min((start for start in self._starts if start > at), default=len(self.text))

    def indented(self, at: int) -> bool:
        """Whether only blanks precede this position on its line."""
        return not self.text[self.line_start(at) : at].strip()

    def below(self, node: _Span) -> int:
        """The start of the first line below a node. A block scalar ends there already."""
        return self.line_start(node.end) if self.indented(node.end) else self.line_end(node.end)

    def past_comments(self, at: int) -> int:
        """The position after the comments that begin here and are indented, so they belong to the lines above."""
        end = at
        while at < len(self.text):
            below = self.line_end(at)
            line = self.text[at:below]
            if re.match(rf"[ ]{{{self.root.column + 1},}}#", line):
                end = below
            elif line.strip():
                break
            at = below
        return end

    def with_lines(self, at: int, *lines: str) -> str:
        """The text with these lines in front of the line that starts here; the last line is ended as it was."""
        before, after = self.text[:at], self.text[at:]
        ended = not before or bool(_BREAK.search(before[-1]))
        last = self.newline if after or ended else ""
        return before + ("" if ended else self.newline) + self.newline.join(lines) + last + after


def _node(event: Any, events: Iterator[Any]) -> _Span | None:
    """The node that begins with this event; None if it begins none."""
    start, end = event.start_mark, event.end_mark
    if isinstance(event, yaml.AliasEvent):
        return _Span("alias", start.index, end.index, start.column)
    if isinstance(event, yaml.ScalarEvent):
        return _Span("scalar", start.index, end.index, start.column, value=event.value, style=event.style)
    if not isinstance(event, yaml.CollectionStartEvent):
        return None
    kind, flow = "list" if isinstance(event, yaml.SequenceStartEvent) else "map", bool(event.flow_style)
    children = []
    while child := _node(event := next(events), events):
        children.append(child)
    # The end of a block is where the next value begins, behind all comments.
    last = event.end_mark.index if flow or not children else children[-1].end
    return _Span(kind, start.index, last, start.column, flow, children=children)


# -- the edits ---------------------------------------------------------------------------------------------------------


def _edits(text: _Text, account: Mapping[str, str]) -> Iterator[str]:
    """The insertions to try, the one that a person would make first."""
    root = text.root
    keys = {key.value: value for key, value in zip(root.children[::2], root.children[1::2], strict=True)}
    accounts = keys.get(_KEY)
    if accounts is None and root.flow:
        yield _in_brackets(text, root, f"{_quoted(_KEY, root)}: [{_flow(account, root)}]")
    elif accounts is None:
        lines = [f"{' ' * root.column}{_KEY}:", *_block(account, root.column + _step(root))]
        yield text.with_lines(text.end, *lines)
        yield text.with_lines(text.line_start(root.start), *lines)
    elif accounts.kind == "list" and accounts.children:
        last = accounts.children[-1]
        yield _in_brackets(text, accounts, _flow(account, last)) if accounts.flow else _below(text, last, account)
    elif accounts.kind in {"list", "scalar"}:
        if not root.flow and "#" not in text.text[accounts.start : accounts.end]:
            yield _in_place_of(text, accounts, account)
        if accounts.flow:
            yield _in_brackets(text, accounts, _flow(account, root))
        yield f"{text.text[: accounts.start]}[{_flow(account, root)}]{text.text[accounts.end :]}"


def _below(text: _Text, last: _Span, account: Mapping[str, str]) -> str:
    """Below the last entry of a block list and the comments that belong to it, written as that entry is."""
    at = text.line_start(last.start)
    while not (dash := re.match(r"( *)-(?=\s)([ \t]*)", text.text[at:])):
        at = text.line_start(at - 1)
    inside = last.children[0] if last.children else last
    gap = dash[2] if inside.start == at + dash.end() and dash[2] else " "
    lines = _block(account, len(dash[1]), gap)
    if last.flow:
        lines = [f"{dash[1]}-{gap}{_flow(account, last)}"]
    return text.with_lines(text.past_comments(text.below(last)), *lines)


def _in_brackets(text: _Text, node: _Span, item: str) -> str:
    """As the last item of a list or map in brackets: on a line of its own if the last one is."""
    body, close = text.text, node.end - 1
    if not node.children:
        return body[:close] + item + body[close:]
    last = node.children[-1]
    first = node.children[-2] if node.kind == "map" else last
    rest = body[last.end : close]
    if not text.indented(first.start):
        return f"{body[: last.end]}, {item}{body[last.end :]}"
    indent = body[text.line_start(first.start) : first.start]
    if not text.indented(close):
        return f"{body[: last.end]},{text.newline}{indent}{item}{body[last.end :]}"
    trailing = "," if re.match(r"\s*,", rest) else ""  # without its comment, which may hold a comma
    at = text.line_start(close)
    comma = "" if trailing else ","
    return f"{body[: last.end]}{comma}{body[last.end : at]}{indent}{item}{trailing}{text.newline}{body[at:]}"


def _in_place_of(text: _Text, empty: _Span, account: Mapping[str, str]) -> str:
    """A block list below the key, in place of `[]`, `null` or nothing; a comment behind it stays."""
    head, tail = text.text[: empty.start], text.text[empty.end : text.below(empty)]
    if empty.start < empty.end and not tail.strip():
        head, tail = head.rstrip(" \t"), tail.lstrip(" \t")
    rest = _Text(head + tail + text.text[text.below(empty) :])
    return rest.with_lines(len(head + tail), *_block(account, text.root.column + _step(text.root)))


def _step(root: _Span) -> int:
    """How far the configuration indents: as far as its first section does, else two columns."""
    inner = (node.column - root.column for node in root.children if not node.flow and node.kind in {"map", "list"})
    return next((step for step in inner if step > 0), 2)


def _block(account: Mapping[str, str], column: int, gap: str = " ") -> list[str]:
    """The lines of an entry of a block list, with its dash in that column."""
    (key, value), *others = account.items()
    inner = " " * (column + 1) + " " * len(gap.expandtabs())
    return [f"{' ' * column}-{gap}{key}: {_scalar(value)}", *(f"{inner}{k}: {_scalar(v)}" for k, v in others)]


def _flow(account: Mapping[str, str], like: _Span) -> str:
    """An entry in braces, written as JSON if the node's keys are."""
    if _json(like):
        return json.dumps(account)
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in account.items()) + "}"


def _json(like: _Span) -> bool:
    return bool(like.children) and like.children[0].style == '"'


def _quoted(key: str, like: _Span) -> str:
    return f'"{key}"' if _json(like) else key


def _scalar(text: str) -> str:
    """The text as YAML that reads back as text, also between braces."""
    if _PLAIN.fullmatch(text) and _holds(f"{{x: {text}}}", {"x": text}):
        return text
    return "'" + text.replace("'", "''") + "'"
