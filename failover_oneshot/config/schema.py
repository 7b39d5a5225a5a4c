"""Generates the JSON Schema and the reference tables of the configuration from `model.py`.

`python -m failover_oneshot.config.schema` prints the schema, which editors use (`etc/failover.schema.json`). With
`--markdown` it prints the tables at the end of `docs/configuration.md`.
"""

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from enum import Enum
from typing import Any

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from failover_oneshot.config import model, values
from failover_oneshot.lib import durations

DURATION = "go-duration"
"""The `format` of a duration. Editors ignore it."""


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the configuration file. A key that has a default may also be null."""
    root = _struct(model.Config, _key_docs())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "title": "failover-oneshot",
        "description": "The configuration of failover-check and failoverctl.",
    }


def _struct(struct: type[Struct], docs: dict[tuple[str, str], str]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for field in fields(struct):
        kind = _kind(field.type, docs)
        about = {"description": docs[struct.__name__, field.name]}
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        if default is not NODEFAULT and not isinstance(default, Struct):
            about["default"] = _plain(default)
        properties[field.name] = (kind if field.required else _or_blank(kind)) | about
    required = [field.name for field in fields(struct) if field.required]
    return {
        "title": struct.__name__,
        "description": struct.__doc__,
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _kind(hint: Any, docs: dict[tuple[str, str], str]) -> dict[str, Any]:
    kind, parameters, marks = values.parts(hint)
    if issubclass(kind, Struct):
        return _struct(kind, docs)
    if kind is tuple:
        return {"type": "array", "items": _kind(parameters[0], docs)}
    if kind is dict:
        return {"type": "object", "additionalProperties": _kind(parameters[1], docs)}
    if choices := values.choices(kind, marks):
        return {"enum": _plain(choices)}
    if kind is values.Duration:
        return {"format": DURATION, "type": ["string", "integer"], "pattern": durations.PATTERN, "minimum": 0}
    if kind is int:
        return {"type": "integer", "minimum": marks[0].ge, "maximum": marks[0].le}
    return {"type": {bool: "boolean", str: "string"}[kind]}


def _or_blank(kind: dict[str, Any]) -> dict[str, Any]:
    key, blank = ("enum", None) if "enum" in kind else ("type", "null")
    some = kind[key]
    return kind | {key: [*(some if isinstance(some, list) else [some]), blank]}


def _plain(default: Any) -> Any:
    if isinstance(default, values.Duration):
        return durations.format(default)
    if isinstance(default, Enum):
        return default.value
    return [_plain(item) for item in default] if isinstance(default, tuple) else default


def _key_docs() -> dict[tuple[str, str], str]:
    """The text under each key in `model.py`, by (class, key)."""
    docs = {}
    for node in ast.parse(inspect.getsource(model)).body:
        if isinstance(node, ast.ClassDef):
            for key, text in zip(node.body, node.body[1:], strict=False):
                match key, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        docs[node.name, name] = words
    return docs


def sentences() -> dict[str, str]:
    """The documentation of each key, by its path (`pool.dedicated.name`)."""
    return {
        f"{path}.{key}".replace("[]", "").lstrip("."): value["description"]
        for path, section in _sections("", schema())
        for key, value in section["properties"].items()
    }


def _sections(path: str, section: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each mapping of the file with its path (`pool.dedicated[]`), outermost first."""
    yield path, section
    for key, value in section["properties"].items():
        inner = value.get("items", value)
        if "properties" in inner:
            below = f"{path}.{key}".lstrip(".") + ("[]" if "items" in value else "")
            yield from _sections(below, inner | {"description": value["description"]})


# -- the reference tables ----------------------------------------------------------------------------------------------


def markdown() -> str:
    """A table in Markdown for each section of the configuration."""
    return "\n".join(line for path, section in _sections("", schema()) for line in _table(path, section))


def _table(path: str, section: dict[str, Any]) -> Iterator[str]:
    if path:
        description = section["description"]
        yield f"## `{path}`\n\n{description[:1].upper()}{description[1:]}.\n"
    rows = [row for row in section["properties"].items() if "properties" not in row[1].get("items", row[1])]
    if rows:
        yield "| key | value | default | meaning |\n| --- | --- | --- | --- |"
        for key, value in rows:
            yield f"| `{key}` | {_value_words(value)} | {_default_words(value)} | {value['description']} |"
        yield ""


def _value_words(value: dict[str, Any]) -> str:
    if value.get("format") == DURATION:
        return "duration"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"] if choice is not None)
    if "items" in value:
        return f"list of {_value_words(value['items'])}"
    if "minimum" in value:
        return f"whole number from {value['minimum']}"
    if "additionalProperties" in value:
        return "mapping of names to text"
    return "true or false" if "boolean" in value["type"] else "text"


def _default_words(value: dict[str, Any]) -> str:
    default = value.get("default", NODEFAULT)
    if default is NODEFAULT:
        return "required"
    if default is None:
        return "unset"
    return f"`{default if isinstance(default, str) and default else json.dumps(default)}`"


if __name__ == "__main__":
    as_json = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    sys.stdout.write(markdown() if "--markdown" in sys.argv[1:] else as_json)
