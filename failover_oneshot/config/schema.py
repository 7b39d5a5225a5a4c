"""The configuration's JSON Schema and its reference tables, both out of `model.py`.

`python -m failover_oneshot.config.schema` prints the schema (`etc/failover.schema.json`, which editors use),
`python -m failover_oneshot.config.schema --markdown` the tables that end `docs/configuration.md`.
"""

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec.inspect as kinds
from msgspec import NODEFAULT, Struct

from failover_oneshot.config import model
from failover_oneshot.lib import durations

DURATION = "go-duration"
"""The `format` of a duration. Editors pass over it; `config_errors` checks it with `durations.parse`."""


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the configuration file. A key that has a default may be left blank (null)."""
    root = _struct(model.Config, _key_docs())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "title": "failover-oneshot",
        "description": "The configuration of failover-check and failoverctl.",
    }


def _struct(struct: type[Struct], docs: dict[tuple[str, str], str]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    fields = kinds.type_info(struct).fields  # type: ignore[attr-defined]
    for field in fields:
        description = docs.get((struct.__name__, field.name), "")
        about: dict[str, Any] = {"description": description} if description else {}
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        if default is not NODEFAULT and not isinstance(default, Struct):
            about["default"] = _plain(default)
        kind = _kind(field.type, docs)
        if choices := {"swap_on": model.SWAPPABLE, "events": model.EVENTS}.get(field.name):
            kind["items"] = {"enum": [_plain(choice) for choice in choices]}
        properties[field.name] = (kind if field.required else _or_blank(kind)) | about
    required = [field.name for field in fields if field.required]
    return {
        "title": struct.__name__,
        "description": inspect.cleandoc(struct.__doc__ or ""),
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _kind(kind: kinds.Type, docs: dict[tuple[str, str], str]) -> dict[str, Any]:
    match kind:
        case kinds.StructType(cls=struct):
            return _struct(struct, docs)
        case kinds.VarTupleType(item_type=item):
            return {"type": "array", "items": _kind(item, docs)}
        case kinds.DictType(value_type=value):
            return {"type": "object", "additionalProperties": _kind(value, docs)}
        case kinds.UnionType(types=(some, kinds.NoneType())):
            return _kind(some, docs)
        case kinds.EnumType(cls=choices):
            return {"enum": [_plain(choice) for choice in choices]}
        case kinds.CustomType(cls=model.Duration):
            # The format stands first: its sentence is the best of those about the same value.
            return {"format": DURATION, "type": ["string", "integer"], "pattern": durations.PATTERN, "minimum": 0}
        case kinds.IntType(ge=low, le=high):
            return {"type": "integer", "minimum": low, "maximum": high}
        case kinds.BoolType():
            return {"type": "boolean"}
        case kinds.StrType():
            return {"type": "string"}
    raise TypeError(f"settings.py uses a type that the schema does not know yet: {kind}")


def _or_blank(kind: dict[str, Any]) -> dict[str, Any]:
    if "enum" in kind:
        return kind | {"enum": [*kind["enum"], None]}
    some = kind["type"]
    return kind | {"type": [*some, "null"] if isinstance(some, list) else [some, "null"]}


def _plain(default: Any) -> Any:
    if isinstance(default, model.Duration):
        return durations.format(default)
    if isinstance(default, Enum):
        return default.value
    return [_plain(item) for item in default] if isinstance(default, tuple) else default


def _key_docs() -> dict[tuple[str, str], str]:
    """(class, key) to the text that stands under the key in `model.py`."""
    docs = {}
    for node in ast.parse(inspect.getsource(model)).body:
        if isinstance(node, ast.ClassDef):
            for key, text in zip(node.body, node.body[1:], strict=False):
                match key, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        docs[node.name, name] = words
    return docs


def sentences() -> dict[str, str]:
    """Each key's path (`pool.dedicated.name`) and its sentence."""
    found: dict[str, str] = {}

    def visit(section: dict[str, Any], path: str) -> None:
        for key, value in section["properties"].items():
            found[path + key] = value["description"]
            if "properties" in _inner(value):
                visit(_inner(value), f"{path}{key}.")

    visit(schema(), "")
    return found


# -- the reference tables ----------------------------------------------------------------------------------------------


def markdown() -> str:
    """A table for each section."""
    return "\n".join(_tables("", schema()))


def _tables(name: str, section: dict[str, Any]) -> Iterator[str]:
    keys: dict[str, Any] = section["properties"]
    rows = [(key, value) for key, value in keys.items() if "properties" not in _inner(value)]
    if name:
        yield f"## `{name}`\n\n{section['description']}\n"
    if rows:
        yield "| key | value | default | meaning |\n| --- | --- | --- | --- |"
        for key, value in rows:
            yield f"| `{key}` | {_value_words(value)} | {_default_words(key, section)} | {value['description']} |"
        yield ""
    for key, value in keys.items():
        if "properties" in _inner(value):
            inner = _inner(value) | {"description": _sentence(value["description"])}
            yield from _tables(f"{name}.{key}".lstrip(".") + ("[]" if "items" in value else ""), inner)


def _inner(value: dict[str, Any]) -> dict[str, Any]:
    items: dict[str, Any] = value.get("items", value)
    return items


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


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


def _default_words(key: str, section: dict[str, Any]) -> str:
    if key in section.get("required", ()):
        return "required"
    default = section["properties"][key]["default"]
    if default is None:
        return "none"
    return f"`{default if isinstance(default, str) and default else json.dumps(default)}`"


if __name__ == "__main__":
    as_json = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    sys.stdout.write(markdown() if "--markdown" in sys.argv[1:] else as_json)
