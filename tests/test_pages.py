"""References in pages and comments lead somewhere, and names in the pages exist."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from msgspec import structs

from failover_oneshot import cli
from failover_oneshot.config import loader, schema
from failover_oneshot.ctl.main import COMMANDS
from failover_oneshot.model import Evidence, Kind, Limit, Outcome
from failover_oneshot.report import Report, to_json
from failover_oneshot.state.model import HitMemory, State
from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DEPLOY = ROOT / "deploy"
WRITTEN = {".py", ".md", ".toml", ".yaml", ".conf", ".service", ".timer", ".css"}
FOLDERS = ("bench", "deploy", "docs", "etc", "failover_oneshot", "tests", "verification")
DOCUMENT = re.compile(r"(?<![\w/.~-])(docs/[\w./-]+\.md|[A-Z]+\.md)\b")
# docs/x.md, "Heading" in a comment; [x.md](x.md), "Heading" in a page
CITATION = re.compile(r'(?<![\w/.~-])((?:[\w.-]+/)*[\w.-]+\.md)\)?, "([^"]+)"')
# References to texts outside the repository: a contract, its sections, an issue.
ELSEWHERE = re.compile(r"\bSPEC\b|\bDETECTION\b|\bsection \d|\bissue [\"#]")


def keys(section: dict[str, object], path: str = "") -> Iterator[str]:
    properties = section["properties"]
    assert isinstance(properties, dict)
    for key, value in properties.items():
        yield f"{path}{key}"
        inner = value.get("items", value)
        if "properties" in inner:
            yield from keys(inner, f"{path}{key}.")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for name in re.findall(rf"(?<![\w/.~])(?:{'|'.join(FOLDERS)})/[\w./-]*\w", text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_modules_that_are_named_exist(page: Path) -> None:
    known = [f"/{path.relative_to(ROOT)}" for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    for name in re.findall(r"(?<![\w/.~-])(?:[\w-]+/)*[\w-]+\.py\b", page.read_text(encoding="utf-8")):
        assert any(path.endswith(f"/{name}") for path in known), name


def test_the_architecture_has_the_layers_of_the_import_contract() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    layers = [set(layer.split(" | ")) for layer in tools["importlinter"]["contracts"][0]["layers"]]
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    shown: dict[str, set[str]] = {}
    for number, name in re.findall(r"^\| (\d+) \| `(\w+)(?:/|\.py)?` \|", page, re.MULTILINE):
        if name in set().union(*layers):
            shown.setdefault(number, set()).add(name)
    assert list(shown.values()) == layers


def headings(page: Path) -> list[str]:
    """The headings of a page without numbers and marks: `### 7.3 Cooldown` is Cooldown."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^#+ (?:\d+(?:\.\d+)*\.? )?(.+)$", text, re.MULTILINE)
    return [heading.replace("`", "") for heading in found]


def broken_references(text: str, folder: Path) -> list[str]:
    """The references of a text to documents that do not exist, and to headings that do not occur exactly once."""
    text = re.sub(r"\n\s*(?:#\s*)?", " ", text)  # a reference may continue in the next line, also in a comment
    places = (ROOT, ROOT / "docs", folder)
    broken = [found[0] for found in ELSEWHERE.finditer(text)]
    broken += [name for name in DOCUMENT.findall(text) if not any((place / name).exists() for place in places)]
    for name, heading in CITATION.findall(text):
        page = next((place / name for place in places if (place / name).exists()), None)
        if page and headings(page).count(heading) != 1:
            broken.append(f"{name}, {heading}")
    return broken


def test_every_reference_to_a_document_leads_somewhere() -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in WRITTEN]
    files += [path for path in ROOT.iterdir() if path.suffix in WRITTEN] + [ROOT / "Makefile", ROOT / ".ci/run"]
    here = re.compile(rf"(?<![\w~.]){re.escape(str(ROOT))}(?![\w-])")  # the folder of this checkout must not be named
    for path in set(files) - {Path(__file__)}:
        text = path.read_text(encoding="utf-8")
        assert broken_references(text, path.parent) == [], path
        assert not here.search(text), path


@pytest.mark.parametrize(
    "text",
    [
        "the rules of docs/rules.md",
        "see ELSEWHERE.md",
        '# see docs/behavior.md, "Warmup"',
        '# see docs/behavior.md,\n    # "Warmup"',
        '[behavior.md](behavior.md), "Warmup"',
        "the flags (SPEC, section 2)",
    ],
)
def test_the_rule_for_references_can_fail(text: str) -> None:
    assert broken_references(text, ROOT)


def test_headings_are_cited_without_their_numbers() -> None:
    assert broken_references('# docs/behavior.md, "Cooldown", and docs/behavior.md,\n# "failoverctl"', ROOT) == []


@pytest.mark.parametrize(
    "page", ["behavior.md", "detection.md", "monitoring.md", "safety.md", "faq.md", "migration.md"]
)
def test_the_keys_that_are_named_exist(page: str) -> None:
    known = set(keys(schema.schema()))
    sections = {key.split(".")[0] for key in known}
    text = re.sub(r"```.*?```", "", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    named = {
        name for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?::[^`]*)?`", text) if name.split(".")[0] in sections
    }
    files = {name for name in named if name.endswith((".json", ".md", ".bak", ".lock", ".timer", ".service", ".py"))}
    assert named - files <= known


def test_the_behavior_page_has_every_value_key_flag_and_command() -> None:
    page = (ROOT / "docs/behavior.md").read_text(encoding="utf-8")
    report = Report(outcome=Outcome.OK, summary="", reason="", dry_run=False, at=datetime(2026, 1, 1, tzinfo=UTC))
    values = {*Outcome, *Kind, *Limit, *Evidence, *COMMANDS, *json.loads(to_json(report))}
    fields = {field.encode_name for struct in (State, HitMemory) for field in structs.fields(struct)}
    flags = {flag for action in cli.parser()._actions for flag in action.option_strings} - {"-h", "--help"}
    for name in {*values, *fields, *flags} - {"accounts", "sessions"}:
        assert re.search(rf"`{re.escape(name)}(?:\[\]| [A-Z]+)?`", page), name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_flags_of_the_check_exist(page: Path) -> None:
    for line in re.findall(r"^(?:\s*\$ )?\s*(failover-check(?: [^#|\n]*)?)", page.read_text(encoding="utf-8"), re.M):
        cli.parser().parse_args(shlex.split(line)[1:])


def test_the_daemons_configuration_on_the_page_is_accepted(tmp_path: Path) -> None:
    page = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
    first, accounts = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "failover.yaml"
    file.write_text(first)
    assert loader.load(file, {"HOME": "/home/ada"}).accounts == ()
    file.write_text(yaml.safe_dump({**yaml.safe_load(first), **yaml.safe_load(accounts)}))
    assert [account.name for account in loader.load(file, {"HOME": "/home/ada"}).accounts] == ["main", "backup"]


def test_the_configurations_of_monitoring_are_accepted(tmp_path: Path) -> None:
    page = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        file = tmp_path / "failover.yaml"
        file.write_text(block)
        loader.load(file, {"HOME": "/home/ada"})
