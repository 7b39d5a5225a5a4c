"""The types of the keys: every path has the path type and is expanded, and every duration has a bound."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from msgspec import Struct
from msgspec.structs import fields

from failover_oneshot.config import values
from failover_oneshot.config.loader import load
from failover_oneshot.config.model import Config

PATHS = [
    "accounts.env_file",
    "accounts.store",
    "dispatch.spool",
    "metrics.textfile",
    "notify.urls_file",
    "pool.autonomous.workdir",
    "pool.dedicated.workdir",
    "state.path",
    "swap.claude_dir",
    "swap.claude_json",
    "swap.files",
    "tmux.binary",
    "tmux.socket_path",
]


def within(hint: Any) -> list[Any]:
    """An annotation and all its parts: `tuple[Path, ...] | None` contains `Path`."""
    inner = [*get_args(hint), *getattr(hint, "__metadata__", ())]
    return [hint, *(part for some in inner for part in within(some))]


def keys(section: type[Struct], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each key that is not a section, with its annotation."""
    for field in fields(section):
        sections = [kind for kind in within(field.type) if isinstance(kind, type) and issubclass(kind, Struct)]
        for inner in sections:
            yield from keys(inner, f"{path}{field.name}.")
        if not sections:
            yield f"{path}{field.name}", field.type


def written(key: str, value: str) -> dict[str, Any]:
    """A config with little more than this one value."""
    hint = dict(keys(Config))[key]
    data: Any = [value] if values.parts(hint)[0] is tuple else value
    for step in reversed(key.split(".")):
        data = {step: data}
    for section, least in (("accounts", {"name": "a", "store": "/s"}), ("dedicated", {"name": "a"})):
        for holder in (data, data.get("pool", {})):
            if section in holder:
                holder[section] = [least | holder[section]]
    return dict(data)


def read(config: Any, key: str) -> Any:
    """The value; of a list its first entry, or None if it is empty."""
    for step in key.split("."):
        config = getattr(config, step)
        config = next(iter(config), None) if isinstance(config, tuple) else config
    return config


def is_path(hint: Any) -> bool:
    return values.PATH in within(hint) or values.PROGRAM in within(hint)


def test_exactly_these_keys_have_the_path_type() -> None:
    assert sorted(key for key, hint in keys(Config) if is_path(hint)) == PATHS


def test_a_key_named_like_a_path_has_the_path_type() -> None:
    """Catches a new key whose type was forgotten."""
    named = re.compile(r"(dir|files?|json|path|spool|store)$")
    assert [key for key, hint in keys(Config) if named.search(key) and not is_path(hint)] == []


@pytest.mark.parametrize("key", PATHS)
def test_every_path_is_expanded(tmp_path: Path, key: str) -> None:
    file = tmp_path / "failover.yaml"
    for text, path in {"~/x.prom": "/home/ada/x.prom", "./x.prom": f"{tmp_path}/./x.prom"}.items():
        file.write_text(yaml.safe_dump(written(key, text)))
        assert read(load(file, {"HOME": "/home/ada"}), key) == path


@pytest.mark.parametrize("key", sorted(set(PATHS) - {"tmux.binary"}))
def test_the_default_of_every_path_is_expanded(tmp_path: Path, key: str) -> None:
    (tmp_path / "failover.yaml").write_text("accounts: [{name: a, store: /s}]\npool: {dedicated: [{name: a}]}")
    value = read(load(tmp_path / "failover.yaml", {"HOME": "/home/ada"}), key)
    assert not value or value.startswith("/")


def test_a_program_without_a_slash_is_a_name_not_a_path(tmp_path: Path) -> None:
    (tmp_path / "failover.yaml").write_text("tmux: {binary: tmux-3.4}")
    assert load(tmp_path / "failover.yaml", {"HOME": "/home/ada"}).tmux.binary == "tmux-3.4"


def test_every_duration_has_a_bound() -> None:
    """`Delay`, `Period` and `Timeout` have one; a plain `Duration` has none."""
    of_time = [hint for _, hint in keys(Config) if values.parts(hint)[0] is values.Duration]
    assert of_time
    assert all(hint in {values.Delay, values.Period, values.Timeout} for hint in of_time)
