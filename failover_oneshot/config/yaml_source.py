"""YAML text to plain values, each with its place in the file, and what is wrong with it as YAML.

Built on PyYAML's events, not on its composer and constructor: the composer of libyaml recurses in C and crashes the
process on a deeply nested file, merge keys expand without bound, and of two equal keys the last one wins in silence.
"""

import re
from math import isfinite
from typing import Any

import yaml
from msgspec import Struct

KeyPath = tuple[str | int, ...]
Spot = tuple[int, int]  # line and column, from 1

MAX_DEPTH = 16  # the deepest key of the config is on the fifth level
MAX_VALUES = 50_000  # with aliases filled in: what stops a "billion laughs"

_TAG = "tag:yaml.org,2002:"
_SEQUENCE, _MAPPING = _TAG + "seq", _TAG + "map"
_TEXT_TAGS = {_TAG + kind for kind in ("str", "timestamp", "value", "merge")}
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE  # ours would be the same, and takes 8 ms to compile
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"  # compiled when there is one: no key takes it
_TAGGED = "has a tag (`!name`), which means nothing here: put quotes around a text that begins with `!`"
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Problem(Struct, frozen=True):
    """One thing that is wrong. ``text`` never repeats a value that may be a secret."""

    path: KeyPath
    text: str
    spot: Spot | None = None  # None: the place of ``path``
    at_key: bool = False  # the key itself is wrong, not its value
    spoils: bool = True  # the value is of no use: other findings about it would be noise
    also: tuple[KeyPath, ...] = ()  # the other values that it rests on: when one is spoilt, it is noise


class Location(Struct, frozen=True):
    """Where a value and its key (of a list's entry: the value again) stand, and how a scalar is written there."""

    value: Spot
    key: Spot
    written: str | None


class Tree(Struct, frozen=True):
    """A file's values (dict, list, str, int, float, bool, None), their places, and the problems found on the way."""

    data: object
    places: dict[KeyPath, Location]
    problems: list[Problem]


class UnreadableError(Exception):
    """It is no single YAML document that could be looked at any further. Its arguments: a `Spot` and a sentence."""


class _Node(Struct, frozen=True):
    tag: str  # `!`: one that means nothing here, or does not fit the value
    value: Any  # str, or list[_Node]: of a mapping key, value, key, value, …
    spot: Spot
    alias: bool = False  # it stands here by an alias to another place


def parse(content: bytes) -> Tree:
    """The one document of a YAML file; ``data`` is None when it holds nothing. Raises UnreadableError."""
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        what = f"is not UTF-8 text: byte 0x{content[error.start]:02x}"
        raise UnreadableError(_spot_of(before, len(before)), what) from None
    if found := _UNPRINTABLE.search(text):
        what = f"holds the control character U+{ord(found[0]):04X}: it is not a text file"
        raise UnreadableError(_spot_of(text, found.start()), what)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        root = _document(loader)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, text) from None
    except yaml.YAMLError:
        raise UnreadableError((1, 1), "not YAML") from None
    finally:
        loader.dispose()
    reader = _Reader()
    data = None if root is None else reader.value(root, (), 0)
    return Tree(data, reader.places, reader.problems)


# -- events to nodes ---------------------------------------------------------------------------------------------------


def _document(loader: Any) -> _Node | None:
    loader.get_event()
    if loader.check_event(yaml.StreamEndEvent):
        return None
    loader.get_event()
    root = _compose(loader, {}, 0)
    loader.get_event()
    if not loader.check_event(yaml.StreamEndEvent):
        text = "a second document begins here (`---`): the config is one document"
        raise UnreadableError(_spot(loader.get_event().start_mark), text)
    return root


def _compose(loader: Any, anchors: dict[str, _Node], depth: int) -> _Node:
    event = loader.get_event()
    spot = _spot(event.start_mark)
    if depth > MAX_DEPTH:
        raise UnreadableError(spot, f"is nested more than {MAX_DEPTH} levels deep")
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            text = "not YAML: an alias (`*name`) without its anchor; put quotes around a text that begins with `*`"
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
        anchors[event.anchor] = node  # only now: an alias to what surrounds it has no end
    return node


# -- nodes to values ---------------------------------------------------------------------------------------------------


class _Reader:
    """Fills in aliases and merge keys anew at each use, so that every value has a place of its own."""

    def __init__(self) -> None:
        self.places: dict[KeyPath, Location] = {}
        self.problems: list[Problem] = []
        self.count = 0

    def value(self, node: _Node, path: KeyPath, depth: int, key: Spot | None = None, at: Spot | None = None) -> object:
        """``key``: where its key stands; ``at``: where the alias stands that led here, which is then the place."""
        at = at or (node.spot if node.alias else None)
        spot = at or node.spot
        self.count += 1
        if self.count > MAX_VALUES:
            raise UnreadableError(spot, f"holds more than {MAX_VALUES} values (aliases filled in)")
        if depth > 2 * MAX_DEPTH:
            raise UnreadableError(spot, "holds too many aliases within aliases to follow")
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
        """Its own keys, over the merged ones (`<<`); of several merged mappings the first one that has a key."""
        own: dict[str, tuple[_Node, Spot]] = {}
        merged: dict[str, object] = {}
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            spot = at or key.spot
            if key.tag == _TAG + "merge":
                self.merge(value, path, depth + 1, at or spot, merged)
            elif key.tag not in _TEXT_TAGS or _unusable(key.value):
                text = "a key must be plain text: put quotes around it if it is one"
                self.problems.append(Problem(path, text, spot=spot, spoils=False))
            elif key.value in own:
                text = f"the key stands here a second time; the first is in line {own[key.value][1][0]}"
                self.problems.append(Problem((*path, key.value), text, spot=spot, spoils=False))
            else:
                own[key.value] = value, spot
        return merged | {k: self.value(v, (*path, k), depth + 1, spot, at) for k, (v, spot) in own.items()}

    def merge(self, node: _Node, path: KeyPath, depth: int, at: Spot, into: dict[str, object]) -> None:
        self.count += 1
        if depth > 2 * MAX_DEPTH or self.count > MAX_VALUES:
            raise UnreadableError(at, "holds too many aliases within aliases to follow")
        if node.tag == _MAPPING:
            for key, value in self.mapping(node.value, path, depth, at).items():
                into.setdefault(key, value)
        elif node.tag == _SEQUENCE:
            for item in node.value:
                self.merge(item, path, depth + 1, at, into)
        else:
            self.problems.append(Problem((*path, "<<"), "takes an alias (`*name`) of a mapping", spot=at))


def _scalar(tag: str, written: str) -> object:
    """Raises ValueError with a sentence."""
    if _unusable(written):
        raise ValueError("holds a character that no text can hold here (NUL or half a surrogate pair)")
    if tag in _TEXT_TAGS:
        return written
    if tag == _TAG + "null":
        return None
    if tag == _TAG + "bool" and written.lower() in _BOOLEANS:
        return _BOOLEANS[written.lower()]
    if tag == _TAG + "int":
        if not _INTEGER.fullmatch(written):
            raise ValueError("is a number to YAML: write plain decimal digits, or quotes around a text")
        if len(written) > 18:
            raise ValueError("is a number with too many digits")
        return int(written)
    if tag == _TAG + "float":
        if not re.fullmatch(_FLOAT, written) or not isfinite(number := float(written)):
            raise ValueError("is a number to YAML, and none that can be used; put quotes around a text")
        return number
    raise ValueError(_TAGGED)


def _unusable(text: str) -> bool:
    """An escape such as "\\0" puts in what no file name, argument or variable can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return "\0" in text


# -- errors of the parser ----------------------------------------------------------------------------------------------


def _not_yaml(error: yaml.MarkedYAMLError, text: str) -> UnreadableError:
    """PyYAML's complaint as one line, without its excerpt of the file, which may hold a secret."""
    mark = error.problem_mark or error.context_mark
    spot = _spot(mark) if mark else (1, 1)
    problem = re.sub(r"handle .*", "handle", error.problem or "it cannot be parsed")  # what follows is the file's
    here = text[mark.index : mark.index + 1] if mark else ""
    if "cannot start any token" in problem and here == "\t":
        problem = "a tab: indent with spaces"
    elif "cannot start any token" in problem:
        problem = f"a text must not begin with `{here}`: put quotes around it"
    elif "mapping values are not allowed" in problem:
        problem = "a colon does not fit here: check the indentation, or put quotes around a text that holds `: `"
    elif "quoted scalar" in (error.context or "") and "end of stream" in problem and error.context_mark:
        spot, problem = _spot(error.context_mark), "the quotes that open here are never closed"
    elif error.context and error.context_mark:
        problem += f" ({error.context}, which begins in line {error.context_mark.line + 1})"
    return UnreadableError(spot, f"not YAML: {problem}")


def _spot(mark: Any) -> Spot:
    return mark.line + 1, mark.column + 1


def _spot_of(text: str, offset: int) -> Spot:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
