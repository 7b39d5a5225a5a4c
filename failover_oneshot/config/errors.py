"""The sentences of what is wrong, and the lines that an operator reads. Imported only then."""

import re
from collections.abc import Iterable, Sequence

from failover_oneshot.config.yaml_source import KeyPath, Location, Problem

MAX_PROBLEMS = 100

_WORDS = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    dict: "a mapping (`key: value`)",
    tuple: "a list (`- entry`)",
}


def lines(file: str, problems: Iterable[Problem], places: dict[KeyPath, Location]) -> tuple[str, ...]:
    """`FILE:LINE:COLUMN: key.path: what is wrong` of each problem, in the order of the file."""
    found = sorted({(_spot(problem, places), _shown(problem.path), problem.text) for problem in problems})
    told = [": ".join(filter(None, (f"{file}:{line}:{column}", key, text))) for (line, column), key, text in found]
    if len(told) > MAX_PROBLEMS:
        told[MAX_PROBLEMS:] = [f"{file}: and more; mend these first"]
    return tuple(told)


def _spot(problem: Problem, places: dict[KeyPath, Location]) -> tuple[int, int]:
    """Its own place, or that of the nearest value around it that is there."""
    if problem.spot:
        return problem.spot
    if place := places.get(problem.path):
        return place.key if problem.at_key else place.value
    around = (places.get(problem.path[:n]) for n in reversed(range(len(problem.path))))
    return next((place.value for place in around if place), (1, 1))


def _shown(path: KeyPath) -> str:
    """`pool.dedicated[0].name`. A key that is no plain word is left out: it may be a secret in the wrong place."""
    shown = ""
    for i, step in enumerate(path):
        plain = r"[A-Za-z_][A-Za-z0-9_]{0,63}" if "env" in path[:i] else r"<<|[A-Za-z0-9_.-]{1,40}"
        if isinstance(step, int):
            shown += f"[{step}]"
        else:
            shown += f".{step}" if re.fullmatch(plain, step) else ".?"
    return shown.removeprefix(".")


def unknown_key(key: str, valid: Sequence[str]) -> str:
    """Why no such key is known here."""
    near = _near(key.lower().replace("-", "_"), valid)
    return "unknown key" + (near or f"; the keys here are {', '.join(valid)}")


def misfit(value: object, kind: type, choices: Sequence[str], written: str | None, *, secret: bool) -> str:
    """Why the value is none of its type, or none of the ``choices``. ``written``: the text of a scalar in the file."""
    if choices:
        near = _near(value.lower(), choices) if isinstance(value, str) else ""
        return f"must be one of {', '.join(choices)}{near}"
    words = _WORDS.get(kind, _WORDS[dict])
    if value is None:
        return f"is blank; it must be {words}"
    if isinstance(value, str) and kind in {int, bool}:
        return f"must be {words}, without quotes"
    if kind is not str or written is None:
        return f"must be {words}"
    if secret:
        return "must be text; put quotes around it"
    yaml_kind = "true or false" if isinstance(value, bool) else "a number"
    return "must be text" + f", but to YAML `{written}` is {yaml_kind}; put quotes around it" * (len(written) <= 20)


def _near(word: str, valid: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, valid, n=1) if len(word) <= 40 else []
    return f"; did you mean `{near[0]}`?" if near else ""
