"""Turns plain values into a `Config`, in one pass over its types that finds every problem."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msgspec import NODEFAULT, Struct

from failover_oneshot.config import checks
from failover_oneshot.config.model import Config
from failover_oneshot.config.paths import expand
from failover_oneshot.config.values import PATH, PROGRAM, VALUE, Duration, choices, parts
from failover_oneshot.config.yaml_source import KeyPath, Problem, Tree
from failover_oneshot.lib import durations


def convert(tree: Tree, folder: str, environ: Mapping[str, str]) -> tuple[Config, list[Problem]]:
    """The values as a `Config`, with relative paths taken from ``folder`` (absolute), and every problem.

    A value that cannot be used is replaced by its default or by a placeholder, so that all other values are checked.
    """
    reading = _Reading(tree, folder, environ)
    config = reading.value(tree.data, Config, ())
    found = reading.broken if config is NODEFAULT else [*reading.broken, *checks.problems(config)]
    return config, reading.problems + [problem for problem in found if not _covered(problem, reading.rejected)]


def _covered(problem: Problem, rejected: set[KeyPath]) -> bool:
    """Whether the problem concerns a rejected value, or depends on one."""
    return any(path[:n] in rejected for path in (problem.path, *problem.also) for n in range(len(path) + 1))


class _Reading:
    """``rejected``: values that cannot be used, with their ``problems``; ``broken``: rules that other values break."""

    def __init__(self, tree: Tree, folder: str, environ: Mapping[str, str]) -> None:
        self.places = tree.places
        self.folder = folder
        self.environ = environ
        self.problems = list(tree.problems)
        self.rejected = {problem.path for problem in tree.problems if problem.rejects}
        self.broken: list[Problem] = []

    def reject(self, at: KeyPath, text: str, *, at_key: bool = False) -> None:
        self.rejected.add(at)
        self.problems.append(Problem(at, text, at_key=at_key))

    def value(self, value: Any, hint: Any, at: KeyPath) -> Any:
        """The value converted to its type; NODEFAULT when it is rejected."""
        if at in self.rejected:
            return NODEFAULT
        kind, parameters, marks = parts(hint)
        if isinstance(value, dict) and issubclass(kind, Struct):
            return self.section(value, kind, at)
        if kind is tuple and isinstance(value, list):
            return tuple(self.item(item, parameters[0], (*at, i)) for i, item in enumerate(value))
        if kind is dict and isinstance(value, dict):
            for key in value:
                self.broken += _broken(key, parts(parameters[0])[2], (*at, key), at_key=True)
            return {key: self.item(item, parameters[1], (*at, key)) for key, item in value.items()}
        try:
            read = self.expanded(_scalar(value, kind, marks), marks, at)
        except ValueError as error:
            from failover_oneshot.config import errors

            self.reject(at, str(error) or errors.misfit(value, kind, choices(kind, marks)))
            return NODEFAULT
        self.broken += _broken(read, marks, at)
        return read

    def item(self, value: Any, hint: Any, at: KeyPath) -> Any:
        """The value converted to its type; a placeholder when it is rejected."""
        read = self.value(value, hint, at)
        return _placeholder(hint) if read is NODEFAULT else read

    def section(self, values: dict[str, object], kind: type[Struct], at: KeyPath) -> Struct:
        """The struct. A blank or rejected key has its default, or a placeholder if it has none."""
        required, bare = _required(kind), _placeholder(kind)
        self.keys(values, kind.__struct_fields__, required, at)
        read = {}
        for key, hint in kind.__annotations__.items():
            given = values.get(key)
            read[key] = NODEFAULT if given is None and key not in required else self.value(given, hint, (*at, key))
            if read[key] is NODEFAULT:
                read[key] = self.default(getattr(bare, key), hint, (*at, key))
        return kind(**read)

    def keys(self, given: Collection[str], known: tuple[str, ...], required: tuple[str, ...], at: KeyPath) -> None:
        """Record unknown keys and missing ones."""
        if unknown := [key for key in given if key not in known and (*at, key) not in self.rejected]:
            from failover_oneshot.config import errors

            for key in unknown[: errors.MAX_PROBLEMS + 1]:
                self.reject((*at, key), errors.unknown_key(key, known), at_key=True)
        for key in required:
            if key not in given:
                self.reject((*at, key), "is missing")

    def default(self, default: Any, hint: Any, at: KeyPath) -> Any:
        if isinstance(default, Struct):
            return self.section({}, type(default), at)
        return self.expanded(default, parts(hint)[2], at) if isinstance(default, str) else default

    def expanded(self, value: Any, marks: tuple[Any, ...], at: KeyPath) -> Any:
        """The value; an absolute path if it is a path."""
        if PATH in marks or (PROGRAM in marks and "/" in value):
            try:
                return expand(value, self.environ, self.folder)
            except ValueError as error:
                self.broken.append(Problem(at, str(error)))
        return value


def _broken(value: Any, marks: tuple[Any, ...], at: KeyPath, *, at_key: bool = False) -> Iterator[Problem]:
    for rule in marks:
        if callable(rule):
            yield from (Problem(at, text, at_key=at_key) for text in rule(value))


def _scalar(value: Any, kind: Any, marks: tuple[Any, ...]) -> object:
    """The scalar converted to its type. Raises ValueError; without a message, `errors.misfit` has one."""
    if kind is Duration:
        try:
            return Duration(durations.parse(value))
        except ValueError as error:
            raise ValueError(str(error).replace(f"'{value}'", VALUE)) from None
    if allowed := choices(kind, marks):
        if value in allowed:
            return kind(value)
    elif type(value) is kind:
        if kind is int and not marks[0].ge <= value <= marks[0].le:
            low, high = marks[0].ge, marks[0].le
            raise ValueError(f"must be {f'at least {low}' if value < low else f'at most {high}'}, not {VALUE}")
        return value
    raise ValueError


def _required(kind: type[Struct]) -> tuple[str, ...]:
    """The keys without a default; they come first."""
    return kind.__struct_fields__[: len(kind.__struct_fields__) - len(kind.__struct_defaults__)]


def _placeholder(hint: Any) -> Any:
    """A harmless value of a type: a section with its defaults, the first allowed value, or a text."""
    kind, _, marks = parts(hint)
    if issubclass(kind, Struct):
        return kind(**{key: _placeholder(kind.__annotations__[key]) for key in _required(kind)})
    return kind((*choices(kind, marks), "?")[0])
