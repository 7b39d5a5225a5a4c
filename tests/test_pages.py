"""What the pages in docs/ point at is there, and what they promise in passing is so."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from failover_oneshot import cli
from failover_oneshot.config import loader, schema
from tests.support.paths import ROOT
from tests.support.user_manager import UnavailableError, UserManager

PAGES = sorted((ROOT / "docs").glob("*.md"))
DEPLOY = ROOT / "deploy"


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
    for name in re.findall(r"(?<![\w/.~])(?:tests|deploy|etc)/[\w./-]*\w", text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", ["monitoring.md", "safety.md", "faq.md", "migration.md"])
def test_the_keys_that_are_named_exist(page: str) -> None:
    known = set(keys(schema.schema()))
    sections = {key.split(".")[0] for key in known}
    text = re.sub(r"```.*?```", "", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    named = {
        name for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?::[^`]*)?`", text) if name.split(".")[0] in sections
    }
    files = {name for name in named if name.endswith((".json", ".md", ".bak", ".timer", ".service", ".py"))}
    assert named - files <= known


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


def test_daemon_and_timer_never_run_side_by_side() -> None:
    """With the drop-in of docs/migration.md, under a real user manager."""
    try:
        with UserManager() as manager:
            daemon, timer = "claude-failover.service", "failover.timer"
            (manager.units / daemon).write_text("[Service]\nExecStart=/bin/sleep 600\n")
            manager.install(DEPLOY / "failover.service", DEPLOY / timer)
            manager.drop_in(timer, (DEPLOY / "not-beside-the-daemon.conf").read_text())

            def active() -> list[str]:
                return [u for u in (daemon, timer) if manager.property(u, "ActiveState") == "active"]

            for unit in (daemon, timer, daemon):
                manager.systemctl("start", unit)
                assert active() == [unit]
    except UnavailableError as why:
        pytest.skip(str(why))
