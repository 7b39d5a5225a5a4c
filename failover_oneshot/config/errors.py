"""The error messages of a wrong configuration. Imported only when there is one."""

import re
from collections.abc import Iterable, Sequence

from failover_oneshot.config.linked import LinkedFiles
from failover_oneshot.config.values import VALUE
from failover_oneshot.config.yaml_source import BOOLEANS, KeyPath, Location, Problem
from failover_oneshot.lib.redact import redact

MAX_PROBLEMS = 100

_WORDS = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    dict: "a mapping (`key: value`)",
    tuple: "a list (`- entry`)",
}
# Values below these keys may hold secrets.
_PRIVATE = frozenset({"env", "urls", "url", "command", "resume_command", "on_swap", "on_waiting", "on_failure"})
_MAX_SHOWN = 20  # characters; a password or token is usually longer


def lines(file: str, problems: Iterable[Problem], places: dict[KeyPath, Location]) -> tuple[str, ...]:
    """One line for each problem, `FILE:LINE:COLUMN: key.path: problem`, in the order of the file."""
    found = sorted({(_spot(problem, places), _shown(problem.path), _text(problem, places)) for problem in problems})
    result = [": ".join(filter(None, (f"{file}:{line}:{column}", key, text))) for (line, column), key, text in found]
    if len(result) > MAX_PROBLEMS:
        result[MAX_PROBLEMS:] = [f"{file}: there are more problems; fix these first"]
    return tuple(result)


def _spot(problem: Problem, places: dict[KeyPath, Location]) -> tuple[int, int]:
    """Its own place, or the place of the nearest value around it that is in the file."""
    if problem.spot:
        return problem.spot
    if place := places.get(problem.path):
        return place.key if problem.at_key else place.value
    around = (places.get(problem.path[:n]) for n in reversed(range(len(problem.path))))
    return next((place.value for place in around if place), (1, 1))


def _shown(path: KeyPath) -> str:
    """`pool.dedicated[0].name`. A key that is not a plain word becomes `?`: it may be a secret in the wrong place."""
    shown = ""
    for i, step in enumerate(path):
        plain = r"[A-Za-z_][A-Za-z0-9_]{0,63}" if "env" in path[:i] else r"<<|[A-Za-z0-9_.-]{1,40}"
        if isinstance(step, int):
            shown += f"[{step}]"
        else:
            shown += f".{step}" if re.fullmatch(plain, step) else ".?"
    return shown.removeprefix(".")


def _text(problem: Problem, places: dict[KeyPath, Location]) -> str:
    """The problem's text with the value filled in; without it where the value is long or may be a secret."""
    if isinstance(problem, LinkedFiles):  # it has no value, and a command with a redacted path would not work
        return problem.text
    place = places.get(problem.path)
    value = place.written if place and not _PRIVATE & {*problem.path} else None
    if value is None or len(value) > _MAX_SHOWN or not value.isprintable() or redact(value) != value:
        return redact(re.sub(f"(?:, not|:) {VALUE}", "", problem.text).replace(VALUE, "this"))
    bare = re.fullmatch(r"[-+]?[0-9][0-9a-zµμ.]*", value)
    return redact(problem.text.replace(VALUE, value if bare else f"'{value}'"))


def unknown_key(key: str, valid: Sequence[str]) -> str:
    """What is wrong with a key that is not ``valid``, with the nearest one that is."""
    near = _near(key.lower().replace("-", "_"), valid)
    return "unknown key" + (near or f" (valid here: {', '.join(valid)})")


def misfit(value: object, kind: type, choices: Sequence[str]) -> str:
    """Why the value does not have its type, or is not one of the ``choices``."""
    words = f"one of {', '.join(choices[:-1])} or {choices[-1]}" if choices else _WORDS.get(kind, _WORDS[dict])
    must = f"must be {words}"
    if value is None:
        return f"has no value; {must}"
    if isinstance(value, list | dict):
        return f"{must}, not {'a list' if isinstance(value, list) else 'a mapping'}"
    if isinstance(value, str) and (
        (kind is int and re.fullmatch("[0-9]+", value)) or (kind is bool and value.lower() in BOOLEANS)
    ):
        return f"{must}, without quotes"
    if kind is str and not choices:
        yaml_kind = "true or false" if isinstance(value, bool) else "a number"
        return f"{must}, but YAML reads {VALUE} as {yaml_kind}; put it in quotes"
    return f"{must}, not {VALUE}" + (_near(value.lower(), choices) if isinstance(value, str) else "")


def _near(word: str, valid: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, valid, n=1) if len(word) <= 40 else []
    return f"; did you mean `{near[0]}`?" if near else ""
