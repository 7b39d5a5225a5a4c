"""The keys of each command's --json, which scripts rely on: keys may be added, but never renamed or removed."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.operator import facts
from tests.support.sandbox import Sandbox, hit_screen

STATUS = """version at state_file active_account live_account next blocked_pool blocked_dedicated accounts sessions
cooldown suspected_hit_at paused waiting swap_in_progress swaps_last_hour last_swap last_failure last_check
tasks timer notes"""
REPORT = """version outcome reason dry_run at active_account swap next_possible_at blocked_pool blocked_dedicated
sessions actions"""
WITHIN = {
    (
        "status",
        "accounts",
    ): "name active state free_at free_in reason problem last_hit_at last_used_at window_resets_at last_failure",
    ("status", "sessions"): "name role running kind since account blocked counted stale why_not busy limit resets_at "
    "resets_in rule snippet error own_login",
    ("accounts", "accounts"): "name active enabled exhausted_until problem store contents",
    ("history", "entries"): "at outcome from to reason rejected sessions",
    ("replay", "events"): "at outcome reason active_account to recorded differs",
    ("simulate", "results"): "policy wanted worked stalled restarting pool_stalled swaps resumes waited checks",
    ("explain", "panes"): "source structured busy prompt draft reading record lines",
}


@pytest.fixture
def told(blocked: Sandbox, tmp_path: Path) -> dict[str, Any]:
    """Each command's object, in an installation with a history."""
    recorded, text = tmp_path / "recorded", tmp_path / "screen.txt"
    text.write_text(hit_screen())
    found: dict[str, Any] = {"status": facts(blocked, "status"), "dry": facts(blocked, "swap", "--dry-run")}
    blocked.check("--record", str(recorded))
    commands: dict[str, tuple[str, ...]] = {
        "accounts": ("accounts",),
        "history": ("history",),
        "replay": ("replay", str(recorded)),
        "simulate": ("simulate", "--days", "0.5", "--strategy", "ordered"),
        "explain": ("explain", str(text)),
        "pause": ("pause",),
        "resume": ("resume",),
        "reset": ("reset", "main"),
        "swap": ("swap", "--to", "backup"),
    }
    return found | {name: facts(blocked, *arguments) for name, arguments in commands.items()}


def test_the_keys_of_each_object(told: dict[str, Any]) -> None:
    top = {
        "status": STATUS,
        "dry": REPORT,
        "accounts": "version accounts",
        "history": "version total entries",
        "replay": "version checks from until outcomes swaps differences events",
        "simulate": "version load results",
        "explain": "version panes finding decision needed confirmed",
        "pause": "version paused",
        "resume": "version resumed",
        "reset": "version accounts",
        "swap": REPORT,
    }
    missing = {name: set(keys.split()) - told[name].keys() for name, keys in top.items()}
    assert {name: keys for name, keys in missing.items() if keys} == {}
    for (name, key), keys in WITHIN.items():
        assert told[name][key], f"{name} has no {key}"
        for row in told[name][key]:
            assert set(keys.split()) <= row.keys(), f"{name}.{key}"
