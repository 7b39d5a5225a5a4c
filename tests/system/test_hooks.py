"""Hooks: the operator's own programs, run after a swap and when waiting begins."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.sandbox import Sandbox


def hook(sandbox: Sandbox, name: str, body: str) -> Path:
    """A hook that runs that script; it also keeps each report that it receives."""
    told = sandbox.home / f"{name}.jsonl"
    script = sandbox.home / name
    script.write_text(f"#!/bin/sh\ncat >> {told}\n{body}\n")
    script.chmod(0o755)
    sandbox.config.setdefault("hooks", {})[name] = [str(script)]
    return told


def test_hooks_run_once_and_never_stop_a_swap(blocked: Sandbox) -> None:
    told = hook(blocked, "on_swap", "echo 'FAKE: token=sk-ant-FAKE-secret-000000' >&2; exit 3")
    done = blocked.run()
    assert done.returncode == 0
    assert "hook on_swap failed (exit status 3)" in done.stderr
    assert "sk-ant" not in done.stderr
    assert [json.loads(line)["outcome"] for line in told.read_text().splitlines()] == ["swapped"]
    blocked.check()
    assert len(told.read_text().splitlines()) == 1


def test_a_hook_that_hangs_is_killed(blocked: Sandbox) -> None:
    hook(blocked, "on_swap", "sleep 600")
    blocked.config["hooks"]["timeout"] = "100ms"
    done = blocked.run()
    assert (done.returncode, "did not finish within 100ms (hooks.timeout); killed" in done.stderr) == (0, True)


def test_a_hook_runs_when_waiting_begins(blocked: Sandbox) -> None:
    told = hook(blocked, "on_waiting", "")
    late = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
    blocked.set_state(active_account="main", accounts={"backup": {"exhausted_until": late}})
    assert [blocked.check()["outcome"] for _ in range(3)] == ["waiting"] * 3
    assert len(told.read_text().splitlines()) == 1


def test_a_dry_run_runs_no_hook(blocked: Sandbox) -> None:
    told = hook(blocked, "on_swap", "")
    blocked.check("--dry-run")
    assert not told.exists()
