"""The published schema, the reference page and the example agree with the code."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from failover_oneshot.config import loader, schema
from failover_oneshot.config.model import Account, Autonomous, Config, Dedicated, Pool, Swap
from tests.support.paths import ROOT

EXAMPLE = ROOT / "etc/failover.yaml"


def keys(section: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in section["properties"].items():
        yield f"{path}{key}", value
        inner = value.get("items", value)
        if "properties" in inner:
            yield from keys(inner, f"{path}{key}.")


def named(value: object, path: str = "") -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        for key, inner in item.items() if isinstance(item, dict) else ():
            yield f"{path}{key}"
            yield from named(inner, f"{path}{key}.")


def test_the_published_schema_agrees_with_the_code() -> None:
    """To update it: python -m failover_oneshot.config.schema > etc/failover.schema.json"""
    assert (ROOT / "etc/failover.schema.json").read_text(encoding="utf-8") == run_schema()
    assert json.loads(run_schema()) == schema.schema()


def test_the_reference_page_agrees_with_the_code() -> None:
    """To update it: python -m failover_oneshot.config.schema --markdown, below the marker of docs/configuration.md"""
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert page.partition("<!-- generated from here on -->\n\n")[2] == run_schema("--markdown")


def run_schema(*arguments: str) -> str:
    command = [sys.executable, "-m", "failover_oneshot.config.schema", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, encoding="utf-8").stdout


def test_the_schema_is_a_valid_json_schema() -> None:
    Draft202012Validator.check_schema(schema.schema())


def test_every_key_has_a_description_and_all_but_names_a_default() -> None:
    without_default = set()
    for path, value in keys(schema.schema()):
        assert value["description"], path
        inner = value.get("items", value)
        if "default" not in value and "properties" not in inner:
            without_default.add(path)
    assert without_default == {"accounts.name", "pool.dedicated.name"}


def test_the_schema_accepts_its_own_defaults() -> None:
    for path, value in keys(schema.schema()):
        if "default" in value:
            assert Draft202012Validator(value).is_valid(value["default"]), path


def test_the_schema_accepts_the_example() -> None:
    Draft202012Validator(schema.schema()).validate(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")))


def test_the_example_contains_every_key() -> None:
    example = set(named(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))))
    assert example == {path for path, _ in keys(schema.schema())}


def test_each_comment_of_the_example_agrees_with_the_code() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    shown = {
        (match[1], above.strip().removeprefix("# "))
        for above, line in pairwise(lines)
        if above.strip().startswith("#") and (match := re.match(r"[ -]*([a-z_]+):", line))
    }
    for path, value in keys(schema.schema()):
        assert (path.rpartition(".")[2], value["description"]) in shown, path


def test_the_first_line_of_the_example_points_editors_to_the_schema() -> None:
    first = EXAMPLE.read_text(encoding="utf-8").splitlines()[0]
    link = re.fullmatch(r"# yaml-language-server: \$schema=(.+)", first)
    assert link
    assert (EXAMPLE.parent / link[1]).is_file()


def test_the_example_has_the_defaults_except_on_production_lines(tmp_path: Path) -> None:
    """A line whose value is not the default is marked."""
    home = {"HOME": str(tmp_path)}
    stores = tmp_path / ".claude-accounts"
    production = Config(
        accounts=(
            Account(name="main", store=str(stores / "main")),
            Account(name="backup", store=str(stores / "backup")),
        ),
        pool=Pool(
            autonomous=Autonomous(prefix="ccl-auto-", start_index=11, min=10, max=10, workdir=str(tmp_path)),
            dedicated=(Dedicated(name="ops", workdir=str(tmp_path)),),
        ),
        swap=Swap(claude_dir=str(tmp_path / ".claude"), claude_json=str(tmp_path / ".claude.json")),
    )
    assert loader.load(EXAMPLE, home) == production
    marked = [line for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if line.endswith("  # production")]
    assert len(marked) == 7


@pytest.mark.parametrize("path", ["etc/failover.yaml", "docs/configuration.md"])
def test_no_line_is_longer_than_120_columns(path: str) -> None:
    """Except in tables."""
    for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
        assert len(line) <= 120 or line.startswith("|"), line


def test_loading_the_example_imports_only_the_config_modules(tmp_path: Path) -> None:
    program = (
        "import sys, msgspec, yaml, pathlib; before = set(sys.modules); from failover_oneshot.config import loader;"
        f"loader.load(pathlib.Path({str(EXAMPLE)!r}), {{'HOME': {str(tmp_path)!r}}});"
        "print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, encoding="utf-8")
    ours = {"model", "errors", "lib", "lib.durations", "config"}
    parts = ("checks", "convert", "linked", "loader", "model", "paths", "values", "yaml_source")
    ours |= {f"config.{name}" for name in parts}
    assert set(ran.stdout.split()) <= {"failover_oneshot", *(f"failover_oneshot.{name}" for name in ours)}
