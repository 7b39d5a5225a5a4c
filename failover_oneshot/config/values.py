"""The types of values that a key can hold: `Annotated[type, rule]`. A rule yields what is wrong with a value."""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

Rule: TypeAlias = "Callable[[Any], Iterable[str]]"


class Duration(float):
    """Seconds. Written in YAML in Go's style (`30s`, `10m`, `1h30m`, `500ms`) or as whole seconds."""


def pattern_regex(pattern: str) -> str | None:
    """The regular expression in an operator's pattern written `/…/`, or None: then it is a plain substring.

    Both are matched without regard to case. The loader has refused what does not compile.
    """
    if len(pattern) >= 2 and pattern.startswith("/") and pattern.endswith("/"):
        return pattern[1:-1]
    return None


def parts(hint: Any) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """The class in an annotation, `… | None` or not, its parameters, and what stands beside it in `Annotated`."""
    if isinstance(hint, type):
        return hint, (), ()
    if getattr(hint, "__args__", (None,))[-1] is NoneType:
        hint = hint.__args__[0]
    marks = getattr(hint, "__metadata__", ())
    return getattr(hint, "__origin__", hint), getattr(hint, "__args__", ()), marks


def choices(kind: Any, marks: tuple[Any, ...]) -> tuple[str, ...]:
    """The only values of a type: those of an enumeration, or of a tuple that stands beside it. Empty: it holds any."""
    for mark in marks:
        if isinstance(mark, tuple):
            return mark
    return tuple(kind) if issubclass(kind, StrEnum) else ()


def like(regex: str, sentence: str) -> Rule:
    """The rule that the whole text matches; ``sentence``: what is wrong if it does not."""
    return lambda text: [] if re.fullmatch(regex, text) else [sentence]


def _lasts(longest: float, written: str, *, zero: bool = False) -> Rule:
    def rule(seconds: float) -> Iterator[str]:
        if seconds <= 0 and not zero:
            yield "must be more than 0"
        if seconds > longest:
            yield f"must be at most {written}"

    return rule


def _fills_in(*known: str) -> Rule:
    """Only a lone word in braces is taken for a slip: `${VAR}`, `{a,b}` and `{ print; }` are the shell's."""

    def rule(text: str) -> Iterator[str]:
        for hole in re.findall(r"(?<!\$)\{([A-Za-z_]+)\}", text) if "{" in text else ():
            if hole not in known:
                yield f"{{{hole}}} is not filled in; what is: {' '.join(f'{{{name}}}' for name in known)}"

    return rule


def _compiles(pattern: str) -> Iterator[str]:
    source = pattern_regex(pattern)
    if not (pattern if source is None else source).strip():
        yield "is empty: it would be found in every text"
    elif source is not None:
        import warnings

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about syntax that may change its meaning one day: no line for that
                if re.search(source, "", re.IGNORECASE):
                    yield "matches the empty text, so it would be found everywhere"
        except (re.error, OverflowError, RecursionError) as error:
            yield f"is no regular expression that compiles: {error}"


def session_name(name: str) -> Iterator[str]:
    """Why no tmux session can have this name, or one that begins so: tmux would rewrite or misread it."""
    if not name.strip():
        yield "is empty"
    elif name[0] in "@%":
        yield f"must not begin with `{name[0]}`: tmux takes that for the id of a window or pane"
    elif found := re.search(r"[.:;$#\\]", name):
        yield f"holds `{found[0]}`, which tmux does not keep as it is in the name of a session"
    elif not name.isprintable():
        yield "holds a character that cannot be printed"


account_name = like(
    r"[A-Za-z0-9_@+][A-Za-z0-9._@+-]{0,63}",  # a file name and an argument
    "must be a plain word: letters, digits and ._@+- (no dot or dash in front, at most 64)",
)

# The upper bound is no opinion: a number with a digit too many must not become a million sessions or an overflow.
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Index = Annotated[int, Meta(ge=0, le=1_000_000)]

# Beyond a year it is a slip of the finger; beyond an hour the operator wonders why the check does not end.
Delay = Annotated[Duration, _lasts(365 * 86400, "8760h (a year)", zero=True)]
Period = Annotated[Duration, _lasts(365 * 86400, "8760h (a year)")]
Timeout = Annotated[Duration, _lasts(3600, "1h")]

PATH, PROGRAM = "path", "program"  # marks, not rules: `convert.py` expands what has them
Path = Annotated[str, PATH]
Program = Annotated[str, PROGRAM]  # a path if it holds a slash, else a name that is looked up in $PATH

AccountName = Annotated[str, account_name]
SessionName = Annotated[str, session_name]
Pattern = Annotated[str, _compiles]
Command = Annotated[str, _fills_in("name", "index", "account")]
ResumeCommand = Annotated[str, _fills_in("name", "index", "account", "session_id")]
SwapArgument = Annotated[str, _fills_in("from", "to")]
SocketName = Annotated[str, like(r"(?=.*\S)[^/\x00-\x1f]+", "must be a name without `/`; for a path take socket_path")]
# A URL is never shown, for it holds a secret.
_NO_BLANKS = r"[^\s\x00-\x1f\x7f-\x9f]"
Url = Annotated[str, like(rf"[A-Za-z][A-Za-z0-9+.-]*://{_NO_BLANKS}+", "is no URL: SCHEME://…, without blanks")]
WebUrl = Annotated[str, like(rf"(?ai:https?)://(?![/?#]){_NO_BLANKS}+", "is no URL: https://HOST/…, without blanks")]
_VARIABLE = "the name of a variable is letters, digits and _, no digit in front (`NAME: value`)"
Variable = Annotated[str, like("[A-Za-z_][A-Za-z0-9_]*", _VARIABLE)]  # not shown: it may be NAME=secret
