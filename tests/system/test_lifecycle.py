"""Lifecycle: the real program keeps the pool at its size on a real tmux server."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.polling import poll
from tests.support.sandbox import Sandbox
from tests.support.tmux_server import Server

NEIGHBOURS = ("ccl-0", "ccl-auto-1", "ccl-auto-10", "ccl-auto-110", "ccl-auto-14", "ops")


@pytest.fixture
def sandbox(server: Server, tmp_path: Path) -> Sandbox:
    made = Sandbox(server, tmp_path)
    made.config["pool"]["autonomous"].update(min=2, max=3, command="exec sleep 600")
    return made


def is_dead(server: Server, name: str) -> bool:
    return server.row(name).pane.dead


def actions(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(a["action"], a["session"]) for a in report["actions"]]


def test_dead_panes_are_respawned_and_neighbors_are_not(sandbox: Sandbox) -> None:
    server = sandbox.server
    server.start("ccl-auto-12")
    server.tmux("set-option", "-g", "remain-on-exit", "on")
    for name in (*NEIGHBOURS, "ccl-auto-11"):
        server.start(name, "exit 3")
        poll(partial(is_dead, server, name))
    before = sandbox.server.pids()
    dry = sandbox.check("--dry-run")
    assert sandbox.server.pids() == before
    report = sandbox.check()
    assert actions(report) == actions(dry) == [("respawn", "ccl-auto-11")]
    assert report["pool"]["dead"] == 1
    after = sandbox.server.pids()
    assert {name for name in after if before[name] != after[name]} == {"ccl-auto-11"}
    assert actions(sandbox.check()) == []


@pytest.mark.parametrize(
    ("command", "touched"),
    [
        ("exec sh -i", True),
        ("exec sleep 500", False),  # another program, perhaps the operator's
        ("sleep 500; true", False),  # the agent behind the shell that started it
        ("read line", False),  # a script that may start the agent
    ],
)
def test_an_agent_that_has_exited_to_a_shell_is_restarted(sandbox: Sandbox, command: str, touched: bool) -> None:
    sandbox.server.start("ccl-auto-11", command)
    sandbox.server.start("ccl-auto-12")
    expected = {"exec sleep 500": "sleep"}.get(command, "sh")
    poll(lambda: sandbox.server.row("ccl-auto-11").pane.command == expected)
    report = sandbox.check()
    assert actions(report) == ([("respawn", "ccl-auto-11")] if touched else [])
    if touched:
        assert "exited to a shell" in report["actions"][0]["note"]
        poll(lambda: sandbox.server.row("ccl-auto-11").pane.command == "sleep")


def test_a_session_that_dies_at_every_start_is_reported_and_left(sandbox: Sandbox) -> None:
    sandbox.server.start("keep")
    sandbox.config["pool"]["autonomous"].update(min=1, max=1, command="exit 1")
    for _ in range(3):
        assert actions(sandbox.check()) == [("create", "ccl-auto-11")]
        poll(lambda: "ccl-auto-11" not in sandbox.server.names())
    report = sandbox.check()
    assert actions(report) == []
    assert "ccl-auto-11 died at each of 3 starts; no restart before" in report["notes"][0]
    assert "no restart before" in sandbox.run().stdout


@pytest.mark.parametrize("why", ["paused", "waiting"])
def test_nothing_is_started_while_paused_or_waiting(sandbox: Sandbox, why: str) -> None:
    sandbox.server.start("keep")
    sandbox.server.show("ops", "error: usage limit reached")
    far = "2099-01-01T00:00:00Z"
    if why == "paused":
        sandbox.set_state(paused={"since": "2026-01-01T00:00:00Z", "until": None, "reason": None})
    else:
        exhausted = {name: {"exhausted_until": far} for name in ("main", "backup")}
        sandbox.set_state(active_account="main", accounts=exhausted)
    report = sandbox.check()
    assert (report["outcome"], report["actions"]) == (why, [])
