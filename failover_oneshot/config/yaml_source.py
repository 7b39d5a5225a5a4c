"""Reads YAML text into plain values, each with its place in the file, and collects what is wrong with it as YAML.

Built on PyYAML's events instead of its composer and constructor. The composer of libyaml recurses in C and crashes the
process on a deeply nested file. Merge keys expand without a bound. Of two equal keys the last one wins silently.
"""

import re
from math import isfinite
from typing import Any

import yaml
from msgspec import Struct

from failover_oneshot.config.values import VALUE

KeyPath = tuple[str | int, ...]
Spot = tuple[int, int]  # line and column, from 1

MAX_DEPTH = 16  # the deepest key of the config is on the fifth level
MAX_VALUES = 50_000  # with aliases expanded; stops a "billion laughs"

_TAG = "tag:yaml.org,2002:"
_SEQUENCE, _MAPPING = _TAG + "seq", _TAG + "map"
_TEXT_TAGS = {_TAG + kind for kind in ("str", "timestamp", "value", "merge")}
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE  # the same pattern here would take 8 ms to compile
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"  # compiled on demand: no key takes a float
_TAGGED = "tags (`!name`) are not supported; put text that begins with `!` in quotes"
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Problem(Struct, frozen=True):
    """One problem in the file. ``text`` has `VALUE` in place of the value, which may be a secret."""

    path: KeyPath
    text: str
    spot: Spot | None = None  # None: the place of ``path``
    at_key: bool = False  # the key itself is wrong, not its value
    rejects: bool = True  # the value cannot be used, so other problems with it would be noise
    also: tuple[KeyPath, ...] = ()  # other values that the problem depends on; if one is rejected, it is noise


class Location(Struct, frozen=True):
    """The places of a value and its key (for an entry of a list: the value again), and a scalar's text."""

    value: Spot
    key: Spot
    written: str | None


class Tree(Struct, frozen=True):
    """The values of a file (dict, list, str, int, float, bool, None), their places, and the problems found so far."""

    data: object
    places: dict[KeyPath, Location]
    problems: list[Problem]


class UnreadableError(Exception):
    """The file is not one YAML document that can be examined further. Arguments: a `Spot` and a message."""


class _Node(Struct, frozen=True):
    tag: str  # `!`: an unknown tag, or one that does not fit the value
    value: Any  # str, or list[_Node]; for a mapping key, value, key, value, …
    spot: Spot
    alias: bool = False  # it is here through an alias to another place


def parse(content: bytes) -> Tree:
    """The single document of a YAML file. ``data`` is None when the file is empty. Raises UnreadableError."""
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        what = f"not UTF-8 text (byte 0x{content[error.start]:02x})"
        raise UnreadableError(_spot_of(before, len(before)), what) from None
    if found := _UNPRINTABLE.search(text):
        what = f"not a text file (control character U+{ord(found[0]):04X})"
        raise UnreadableError(_spot_of(text, found.start()), what)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        root = _document(loader)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, text) from None
    except yaml.YAMLError:
        raise UnreadableError((1, 1), "not valid YAML") from None
    finally:
        loader.dispose()
    reader = _Reader()
    data = None if root is None else reader.value(root, (), 0)
    return Tree(data, reader.places, reader.problems)


def values(text: str) -> dict[str, object]:
    """The values of the text. Raises ValueError when it is not valid YAML, or not a mapping."""
    try:
        tree = parse(text.encode())
    except UnreadableError as error:
        (line, column), problem = error.args
        raise ValueError(f"line {line}, column {column}: {problem}") from None
    if tree.problems:
        raise ValueError(tree.problems[0].text.replace("\0", "a value"))
    if isinstance(tree.data, dict):
        return tree.data
    raise ValueError("the configuration is not a mapping (`key: value`)")


# -- events to nodes ---------------------------------------------------------------------------------------------------


def _document(loader: Any) -> _Node | None:
    loader.get_event()
    if loader.check_event(yaml.StreamEndEvent):
        return None
    loader.get_event()
    root = _compose(loader, {}, 0)
    loader.get_event()
    if not loader.check_event(yaml.StreamEndEvent):
        text = "a second YAML document begins here (`---`); only one is allowed"
        raise UnreadableError(_spot(loader.get_event().start_mark), text)
    return root


def _compose(loader: Any, anchors: dict[str, _Node], depth: int) -> _Node:
    event = loader.get_event()
    spot = _spot(event.start_mark)
    if depth > MAX_DEPTH:
        raise UnreadableError(spot, f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            text = "not valid YAML: alias (`*name`) without an anchor; put text that begins with `*` in quotes"
            raise UnreadableError(spot, text)
        return _Node(anchors[event.anchor].tag, anchors[event.anchor].value, spot, alias=True)
    tag = event.tag if event.tag != "!" else None
    if isinstance(event, yaml.ScalarEvent):
        tag = tag or loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        node = _Node("!" if tag in {_SEQUENCE, _MAPPING} else tag, event.value, spot)
    else:
        kind = _SEQUENCE if isinstance(event, yaml.SequenceStartEvent) else _MAPPING
        node = _Node(kind if tag in {None, kind} else "!", [], spot)
        while not loader.check_event(yaml.SequenceEndEvent, yaml.MappingEndEvent):
            node.value.append(_compose(loader, anchors, depth + 1))
        loader.get_event()
    if event.anchor:
        anchors[event.anchor] = node  # only now: an alias to its own container would never end
    return node


# -- nodes to values ---------------------------------------------------------------------------------------------------


class _Reader:
    """Expands aliases and merge keys separately at each use, so that every value has its own place."""

    def __init__(self) -> None:
        self.places: dict[KeyPath, Location] = {}
        self.problems: list[Problem] = []
        self.count = 0

    def value(self, node: _Node, path: KeyPath, depth: int, key: Spot | None = None, at: Spot | None = None) -> object:
        """``key``: the place of its key. ``at``: the place of the alias that led here, which then counts instead."""
        at = at or (node.spot if node.alias else None)
        spot = at or node.spot
        self.count += 1
        if self.count > MAX_VALUES:
            raise UnreadableError(spot, f"more than {MAX_VALUES} values (with aliases expanded)")
        if depth > 2 * MAX_DEPTH:
            raise UnreadableError(spot, "too many nested aliases")
        written = node.value if isinstance(node.value, str) else None
        self.places[path] = Location(key if key and node.tag == _TAG + "null" else spot, key or spot, written)
        if node.tag == _SEQUENCE:
            return [self.value(item, (*path, i), depth + 1, None, at) for i, item in enumerate(node.value)]
        if node.tag == _MAPPING:
            return self.mapping(node.value, path, depth, at)
        try:
            return _scalar(node.tag, written or "")
        except ValueError as error:
            self.problems.append(Problem(path, str(error), spot=self.places[path].value))
            return None

    def mapping(self, pairs: list[_Node], path: KeyPath, depth: int, at: Spot | None) -> dict[str, object]:
        """Its own keys, which win over merged ones (`<<`). Of several merged mappings, the first with a key wins."""
        own: dict[str, tuple[_Node, Spot]] = {}
        merged: dict[str, object] = {}
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            spot = at or key.spot
            if key.tag == _TAG + "merge":
                self.merge(value, path, depth + 1, at or spot, merged)
            elif key.tag not in _TEXT_TAGS or _unusable(key.value):
                text = "a key must be text; put it in quotes"
                self.problems.append(Problem(path, text, spot=spot, rejects=False))
            elif key.value in own:
                text = f"duplicate key; already set on line {own[key.value][1][0]}"
                self.problems.append(Problem((*path, key.value), text, spot=spot, rejects=False))
            else:
                own[key.value] = value, spot
        return merged | {k: self.value(v, (*path, k), depth + 1, spot, at) for k, (v, spot) in own.items()}

    def merge(self, node: _Node, path: KeyPath, depth: int, at: Spot, into: dict[str, object]) -> None:
        self.count += 1
        if depth > 2 * MAX_DEPTH or self.count > MAX_VALUES:
            raise UnreadableError(at, "too many nested aliases")
        if node.tag == _MAPPING:
            for key, value in self.mapping(node.value, path, depth, at).items():
                into.setdefault(key, value)
        elif node.tag == _SEQUENCE:
            for item in node.value:
                self.merge(item, path, depth + 1, at, into)
        else:
            self.problems.append(Problem((*path, "<<"), "must be an alias (`*name`) of a mapping", spot=at))


def _scalar(tag: str, written: str) -> object:
    """The value of a scalar. Raises ValueError with a message."""
    if _unusable(written):
        raise ValueError("contains a character that is not allowed (NUL or half a surrogate pair)")
    if tag in _TEXT_TAGS:
        return written
    if tag == _TAG + "null":
        return None
    if tag == _TAG + "bool" and written.lower() in BOOLEANS:
        return BOOLEANS[written.lower()]
    if tag == _TAG + "int":
        if not _INTEGER.fullmatch(written):
            raise ValueError(f"YAML reads {VALUE} as a number; write plain decimal digits, or put text in quotes")
        if len(written) > 18:
            raise ValueError("number with too many digits")
        return int(written)
    if tag == _TAG + "float":
        if not re.fullmatch(_FLOAT, written) or not isfinite(number := float(written)):
            raise ValueError(f"YAML reads {VALUE} as a number that cannot be used; put text in quotes")
        return number
    raise ValueError(_TAGGED)


def _unusable(text: str) -> bool:
    """Whether an escape such as "\\0" made a character that file names, arguments and variables cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return "\0" in text


# -- errors of the parser ----------------------------------------------------------------------------------------------


def _not_yaml(error: yaml.MarkedYAMLError, text: str) -> UnreadableError:
    """PyYAML's error as one line, without its excerpt of the file, which may hold a secret."""
    mark = error.problem_mark or error.context_mark
    spot = _spot(mark) if mark else (1, 1)
    problem = re.sub(r"handle .*", "handle", error.problem or "cannot be parsed")  # the rest quotes the file
    here = text[mark.index : mark.index + 1] if mark else ""
    if "cannot start any token" in problem and here == "\t":
        problem = "tab character; indent with spaces"
    elif "cannot start any token" in problem:
        problem = f"text must not begin with `{here}`; put it in quotes"
    elif "mapping values are not allowed" in problem:
        problem = "unexpected colon; check the indentation, or put text that contains `: ` in quotes"
    elif "quoted scalar" in (error.context or "") and "end of stream" in problem and error.context_mark:
        spot, problem = _spot(error.context_mark), "the quote that opens here is never closed"
    elif error.context and error.context_mark:
        problem += f" ({error.context} that begins on line {error.context_mark.line + 1})"
    return UnreadableError(spot, f"not valid YAML: {problem}")


def _spot(mark: Any) -> Spot:
    return mark.line + 1, mark.column + 1


def _spot_of(text: str, offset: int) -> Spot:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
