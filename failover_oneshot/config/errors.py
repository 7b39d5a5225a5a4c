"""Every problem of a refused configuration at once. Imported only then: jsonschema takes longer than a whole check."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from failover_oneshot.config import convert, schema
from failover_oneshot.config.yaml_source import KeyPath, Place, Problem, Tree
from failover_oneshot.lib import durations

MAX_PROBLEMS = 100

_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "a mapping (`key: value`)",
    "array": "a list (`- entry`)",
}


def explain(file: str, tree: Tree, folder: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """`FILE:LINE:COLUMN: key.path: what is wrong` of each problem, in the order of the file; never empty.

    First what YAML and the schema find; then those values are replaced by harmless ones of the right type, so that the
    checks of meaning can run on all the others.
    """
    rules = schema.schema()
    problems = list(tree.problems)
    spoilt = {problem.path for problem in problems if problem.spoils}
    for problem in islice(_violations(rules, tree), MAX_PROBLEMS):
        if not _covered(problem, spoilt):
            problems.append(problem)
            spoilt.add(problem.path)
    if () not in spoilt:
        try:
            whole = convert.convert(_Mender(spoilt).mend(tree.data, rules, ()))
        except msgspec.ValidationError as error:  # the schema and the model disagree: better a rough line than none
            problems.append(Problem(path=(), text=re.sub(r" - at .*", "", str(error))))
        else:
            found = convert.complete(whole, folder, environ)[1]
            problems += [problem for problem in found if not _covered(problem, spoilt)]
    lines = sorted({(_spot(p, tree.places), _shown(p.path), p.text) for p in problems})
    told = [": ".join(filter(None, (f"{file}:{line}:{column}", key, text))) for (line, column), key, text in lines]
    if len(told) > MAX_PROBLEMS:
        told[MAX_PROBLEMS:] = [f"{file}: and more; mend these first"]
    return tuple(told)


def _covered(problem: Problem, spoilt: set[KeyPath]) -> bool:
    """Whether it is about a value that is known to be of no use, or rests on one."""
    return any(path[:n] in spoilt for path in (problem.path, *problem.also) for n in range(len(path) + 1))


# -- what the schema says ----------------------------------------------------------------------------------------------


def _violations(rules: dict[str, Any], tree: Tree) -> Iterator[Problem]:
    formats = FormatChecker(formats=())
    formats.checks(schema.DURATION, raises=ValueError)(lambda value: value is None or durations.parse(value) >= 0)
    for error in Draft202012Validator(rules, format_checker=formats).iter_errors(tree.data):
        yield from _problems(error, tree.places)


def _problems(error: ValidationError, places: dict[KeyPath, Place]) -> Iterator[Problem]:
    path: KeyPath = tuple(error.absolute_path)
    instance: Any = error.instance
    rule: Any = error.schema
    if error.validator == "additionalProperties":
        for key in instance.keys() - rule["properties"].keys():
            yield Problem(path=(*path, key), text=_unknown(key, list(rule["properties"])), at_key=True)
    elif error.validator == "required":
        for key in rule["required"]:
            if key not in instance:
                yield Problem(path=(*path, key), text="is missing")
    elif error.validator == "format":
        yield Problem(path=path, text=str(error.cause))
    elif error.validator == "enum":
        yield Problem(path=path, text=_no_choice(instance, rule["enum"], places[path].written))
    elif error.validator in {"minimum", "maximum"}:
        bound = "least" if error.validator == "minimum" else "most"
        yield Problem(path=path, text=f"must be at {bound} {error.validator_value}")
    elif error.validator == "type":
        secret = len(path) > 2 and path[2] == "env"
        yield Problem(path=path, text=_wrong_type(instance, rule["type"], places[path].written, secret))
    else:
        yield Problem(path=path, text=f"breaks the rule `{error.validator}`")


def _unknown(key: str, valid: list[str]) -> str:
    near = get_close_matches(key.lower().replace("-", "_"), valid, n=1) if len(key) <= 40 else []
    if near:
        return f"unknown key; did you mean `{near[0]}`?"
    return f"unknown key; the keys here are {', '.join(valid)}"


def _no_choice(value: object, choices: list[str | None], written: str | None) -> str:
    valid = [choice for choice in choices if choice is not None]
    text = f"must be one of {', '.join(valid)}"
    near = get_close_matches(value.lower(), valid, n=1) if isinstance(value, str) and len(value) <= 40 else []
    if near:
        return f"{text}; did you mean `{near[0]}`?"
    return text + (_quote_hint(value, written) if written in valid else "")


def _wrong_type(value: object, wanted: str | list[str], written: str | None, secret: bool) -> str:
    kinds = [wanted] if isinstance(wanted, str) else wanted
    kind = next(kind for kind in kinds if kind != "null")
    if value is None:
        return f"is blank; it must be {_WORDS[kind]}"
    if kind == "string" and written is not None:
        return "must be text" + ("; put quotes around it" if secret else _quote_hint(value, written))
    if isinstance(value, str) and kind in {"integer", "boolean"}:
        return f"must be {_WORDS[kind]}, without quotes"
    return f"must be {_WORDS[kind]}"


def _quote_hint(value: object, written: str | None) -> str:
    if written is None or isinstance(value, str) or len(written) > 20:
        return ""
    kind = "true or false" if isinstance(value, bool) else "blank" if value is None else "a number"
    return f", but to YAML `{written}` is {kind}; put quotes around it"


# -- the harmless rest -------------------------------------------------------------------------------------------------


class _Mender:
    """Replaces what is spoilt by stand-ins that satisfy the schema, in place, so that the others keep their paths."""

    def __init__(self, spoilt: set[KeyPath]) -> None:
        self.spoilt = spoilt
        self.count = 0

    def mend(self, value: object, rule: dict[str, Any], path: KeyPath) -> object:
        if isinstance(value, list):
            return [
                self.stand_in(rule["items"])
                if (*path, i) in self.spoilt
                else self.mend(item, rule["items"], (*path, i))
                for i, item in enumerate(value)
            ]
        if not isinstance(value, dict):
            return value
        rules: dict[str, Any] = rule.get("properties") or dict.fromkeys(value, rule["additionalProperties"])
        kept = {key: item for key, item in value.items() if key in rules and (*path, key) not in self.spoilt}
        lacking = [key for key in rule.get("required", ()) if key not in kept]
        return {key: self.mend(item, rules[key], (*path, key)) for key, item in kept.items()} | {
            key: self.stand_in(rules[key]) for key in lacking
        }

    def stand_in(self, rule: dict[str, Any]) -> object:
        if "enum" in rule:
            return rule["enum"][0]
        if "properties" in rule:
            return {key: self.stand_in(rule["properties"][key]) for key in rule.get("required", ())}
        self.count += 1
        return f"stand-in-{self.count}"


# -- places and paths --------------------------------------------------------------------------------------------------


def _spot(problem: Problem, places: dict[KeyPath, Place]) -> tuple[int, int]:
    """Its own place, or that of the nearest value around it that is there."""
    if problem.spot:
        return problem.spot
    if place := places.get(problem.path):
        return place.key if problem.at_key else place.value
    for n in range(len(problem.path) - 1, -1, -1):
        if place := places.get(problem.path[:n]):
            return place.value
    return 1, 1


def _shown(path: KeyPath) -> str:
    """`pool.dedicated[0].name`. A key that is no plain word is left out: it may be a secret in the wrong place."""
    shown = ""
    for i, step in enumerate(path):
        plain = r"[A-Za-z_][A-Za-z0-9_]{0,63}" if "env" in path[:i] else r"<<|[A-Za-z0-9_.-]{1,40}"
        if isinstance(step, int):
            shown += f"[{step}]"
        elif re.fullmatch(plain, step):
            shown += f".{step}"
        else:
            shown += ".?"
    return shown.removeprefix(".")
