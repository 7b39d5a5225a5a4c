"""The types of values that a key can have, as `Annotated[type, rule]`. A rule yields what is wrong with a value."""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

VALUE = "\0"
"""Stands for the value in the text of a problem. `errors.lines` fills it in, unless the value may be a secret.

No value contains this character: `yaml_source` refuses it.
"""

Rule: TypeAlias = "Callable[[Any], Iterable[str]]"


class Duration(float):
    """Seconds. In YAML: text in Go's style (`30s`, `10m`, `1h30m`, `500ms`) or a whole number of seconds."""


def pattern_regex(pattern: str) -> str | None:
    """The regular expression of a pattern written `/…/`; None for any other pattern, which is a plain substring.

    Both are case-insensitive. The loader has refused patterns that do not compile.
    """
    if len(pattern) >= 2 and pattern.startswith("/") and pattern.endswith("/"):
        return pattern[1:-1]
    return None


def parts(hint: Any) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """An annotation's class, its parameters, and its `Annotated` metadata. `… | None` counts as its first type."""
    if isinstance(hint, type):
        return hint, (), ()
    if getattr(hint, "__args__", (None,))[-1] is NoneType:
        hint = hint.__args__[0]
    marks = getattr(hint, "__metadata__", ())
    return getattr(hint, "__origin__", hint), getattr(hint, "__args__", ()), marks


def choices(kind: Any, marks: tuple[Any, ...]) -> tuple[str, ...]:
    """The allowed values of a type, from an enumeration or a tuple in its metadata. Empty: any value is allowed."""
    for mark in marks:
        if isinstance(mark, tuple):
            return mark
    return tuple(kind) if issubclass(kind, StrEnum) else ()


def like(regex: str, message: str) -> Rule:
    """A rule that the whole text must match ``regex``; otherwise it yields ``message``."""
    return lambda text: [] if re.fullmatch(regex, text) else [message]


def _lasts(longest: float, written: str, *, zero: bool = False) -> Rule:
    def rule(seconds: float) -> Iterator[str]:
        if seconds <= 0 and not zero:
            yield f"must be greater than zero, not {VALUE}"
        if seconds > longest:
            yield f"must be at most {written}, not {VALUE}"

    return rule


def _fills_in(*known: str) -> Rule:
    """A rule against unknown placeholders. `${VAR}`, `{a,b}` and `{ print; }` are shell syntax."""

    def rule(text: str) -> Iterator[str]:
        for hole in re.findall(r"(?<!\$)\{([A-Za-z_]+)\}", text) if "{" in text else ():
            if hole not in known:
                yield f"unknown placeholder {{{hole}}} (valid here: {', '.join(f'{{{name}}}' for name in known)})"

    return rule


def _compiles(pattern: str) -> Iterator[str]:
    source = pattern_regex(pattern)
    if not (pattern if source is None else source).strip():
        yield "is empty; it would match every text"
    elif source is not None:
        import warnings

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a FutureWarning about syntax must not reach the log
                if re.search(source, "", re.IGNORECASE):
                    yield f"matches empty text, so it would match every text: {VALUE}"
        except (re.error, OverflowError, RecursionError) as error:
            yield f"not a valid regular expression: {VALUE} ({error})"


def session_name(name: str) -> Iterator[str]:
    """Yield why tmux would rewrite or misread this as a session's name, or as the beginning of one."""
    if not name.strip():
        yield "is empty"
    elif name[0] in "@%":
        yield f"must not begin with `{name[0]}`, which tmux reads as the id of a window or pane"
    elif found := re.search(r"[.:;$#\\]", name):
        yield f"must not contain `{found[0]}`, which tmux does not keep in a session name"
    elif not name.isprintable():
        yield "must not contain unprintable characters"


account_name = like(
    r"[A-Za-z0-9_@+][A-Za-z0-9._@+-]{0,63}",  # a file name and an argument
    f"not a valid account name: {VALUE} (letters, digits and ._@+-; no dot or dash first; at most 64)",
)

# The upper bound catches typing errors: one digit too many must not become a million sessions or an overflow.
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Index = Annotated[int, Meta(ge=0, le=1_000_000)]

# More than a year is a typing error; after more than an hour the operator wonders why the check does not end.
Delay = Annotated[Duration, _lasts(365 * 86400, "8760h (a year)", zero=True)]
Period = Annotated[Duration, _lasts(365 * 86400, "8760h (a year)")]
Timeout = Annotated[Duration, _lasts(3600, "1h")]

PATH, PROGRAM = "path", "program"  # marks, not rules: `convert.py` expands values that have one
Path = Annotated[str, PATH]
Program = Annotated[str, PROGRAM]  # a path if it contains a slash, else a name to look up in $PATH

AccountName = Annotated[str, account_name]
SessionName = Annotated[str, session_name]
Pattern = Annotated[str, _compiles]
Command = Annotated[str, _fills_in("name", "index", "account")]
ResumeCommand = Annotated[str, _fills_in("name", "index", "account", "session_id")]
SwapArgument = Annotated[str, _fills_in("from", "to")]
SocketName = Annotated[str, like(r"(?=.*\S)[^/\x00-\x1f]+", "must be a name without `/`; for a path use socket_path")]
# A URL is never shown, because it may hold a secret.
_NO_BLANKS = r"[^\s\x00-\x1f\x7f-\x9f]"
Url = Annotated[str, like(rf"[A-Za-z][A-Za-z0-9+.-]*://{_NO_BLANKS}+", "not a valid URL (try ntfy://HOST/…)")]
WebUrl = Annotated[str, like(rf"(?ai:https?)://(?![/?#]){_NO_BLANKS}+", "not a valid URL (try https://HOST/…)")]
_VARIABLE = "not a valid variable name (letters, digits and _; no digit first; write `NAME: value`)"
Variable = Annotated[str, like("[A-Za-z_][A-Za-z0-9_]*", _VARIABLE)]  # not shown: it may be NAME=secret
