"""The pool is kept at its size: the plan as a table, and the real program on a real tmux server."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from failover_oneshot.config.model import Autonomous, Config, Pool
from failover_oneshot.model import Pane, Role, Session
from failover_oneshot.pool.lifecycle import planned
from failover_oneshot.pool.panes import agent_name
from failover_oneshot.state.model import SessionMemory, State
from tests.support.builders import NOW, at
from tests.support.polling import poll
from tests.support.sandbox import Sandbox, pids
from tests.support.tmux_server import Server

NEIGHBOURS = ("ccl-0", "ccl-auto-1", "ccl-auto-10", "ccl-auto-110", "ccl-auto-14", "ops")


def config(**changes: Any) -> Config:
    fields: dict[str, Any] = {"start_index": 11, "min": 2, "max": 3, "command": "agent {name}", **changes}
    return Config(pool=Pool(autonomous=Autonomous(**fields)))


def sessions(*numbers: int) -> list[Session]:
    return [
        Session(name=f"ccl-auto-{n}", role=Role.POOL, index=n, session_id=f"${n}", server_pid=1,
                panes=(Pane(pane_id=f"%{n}", pid=1000 + n),))
        for n in numbers
    ]  # fmt: skip


def state(**starts: list[float]) -> State:
    """A state in which sessions were started so many seconds ago."""
    return State(
        sessions={
            f"ccl-auto-{name.removeprefix('n')}": SessionMemory(starts=tuple(at(seconds=-ago) for ago in times))
            for name, times in starts.items()
        }
    )


def outcome(memory: State, there: list[int], dead: list[int], **changes: Any) -> tuple[list[str], int]:
    """What is done, as `action index`, and how many sessions are left alone."""
    reasons = {f"ccl-auto-{n}": "its pane was dead" for n in dead}
    plan = planned(config(**changes), memory, sessions(*there), reasons, "main", NOW)
    return [f"{r.action} {r.session.removeprefix('ccl-auto-')}" for r in plan.restarts], len(plan.notes)


@pytest.mark.parametrize(
    ("there", "dead", "done"),
    [
        ([], [], ["create 11", "create 12"]),
        ([12], [], ["create 11"]),
        ([11, 12], [], []),
        ([11, 12, 13], [13], ["respawn 13"]),
        ([12, 13], [12], ["respawn 12"]),
        ([13], [13], ["respawn 13", "create 11"]),
    ],
)
def test_what_is_dead_is_revived_and_what_is_missing_is_made(
    there: list[int], dead: list[int], done: list[str]
) -> None:
    assert outcome(state(), there, dead) == (done, 0)


def test_one_that_dies_at_every_start_is_left_alone_and_another_takes_its_place() -> None:
    thrice = state(n11=[90, 60, 30])
    assert outcome(thrice, [12], []) == (["create 13"], 1)
    assert outcome(thrice, [11, 12], [11]) == (["create 13"], 1)
    assert outcome(thrice, [11, 12], [11], max=2) == ([], 1)


def test_it_is_tried_again_after_ten_minutes_and_when_it_had_lived_on() -> None:
    assert outcome(state(n11=[601, 60, 30]), [12], []) == (["create 11"], 0)
    lived = planned(config(), state(n11=[90, 60, 30]), sessions(11, 12), {}, "main", NOW)
    assert lived.state.sessions["ccl-auto-11"].starts == ()
    young = planned(config(), state(n11=[90, 60, 4]), sessions(11, 12), {}, "main", NOW)
    assert len(young.state.sessions["ccl-auto-11"].starts) == 3, "seen alive only just after its start"


def test_every_start_is_remembered() -> None:
    plan = planned(config(), state(n11=[60]), sessions(12), {"ccl-auto-12": "dead"}, "main", NOW)
    assert plan.state.sessions["ccl-auto-11"].starts == (NOW - timedelta(seconds=60), NOW)
    assert plan.state.sessions["ccl-auto-12"].starts == (NOW,)


@pytest.mark.parametrize(
    ("fields", "started", "name"),
    [
        ({"agent_process": "claude", "command": "run.sh"}, "", "claude"),
        ({"command": "claude --continue"}, "", "claude"),
        ({"command": "A=1 exec /usr/bin/claude -c"}, "", "claude"),
        ({}, "exec claude", "claude"),
        ({}, "", ""),
        ({"command": "bash -c claude"}, "", ""),
    ],
)
def test_the_agents_name(fields: dict[str, Any], started: str, name: str) -> None:
    assert agent_name(Autonomous(**fields), Pane(pane_id="%1", pid=1, start_command=started)) == name


# -- for real ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sandbox(server: Server, tmp_path: Path) -> Sandbox:
    made = Sandbox(server, tmp_path)
    made.config["pool"]["autonomous"].update(min=2, max=3, command="exec sleep 600")
    return made


def is_dead(server: Server, name: str) -> bool:
    return server.row(name).pane.dead


def actions(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(a["action"], a["session"]) for a in report["actions"]]


def test_dead_panes_are_respawned_and_neighbours_are_not(sandbox: Sandbox) -> None:
    server = sandbox.server
    server.start("ccl-auto-12")
    server.tmux("set-option", "-g", "remain-on-exit", "on")
    for name in (*NEIGHBOURS, "ccl-auto-11"):
        server.start(name, "exit 3")
        poll(partial(is_dead, server, name))
    before = pids(sandbox)
    dry = sandbox.check("--dry-run")
    assert pids(sandbox) == before
    report = sandbox.check()
    assert actions(report) == actions(dry) == [("respawn", "ccl-auto-11")]
    assert report["pool"]["dead"] == 1
    after = pids(sandbox)
    assert {name for name in after if before[name] != after[name]} == {"ccl-auto-11"}
    assert actions(sandbox.check()) == []


@pytest.mark.parametrize(
    ("command", "touched"),
    [
        ("exec sh -i", True),
        ("exec sleep 500", False),  # another program: perhaps the operator's
        ("sleep 500; true", False),  # the agent behind the shell that started it
        ("read line", False),  # a script: on its way to the agent
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


def test_one_that_dies_at_every_start_is_left_alone_and_that_is_said(sandbox: Sandbox) -> None:
    sandbox.server.start("keep")
    sandbox.config["pool"]["autonomous"].update(min=1, max=1, command="exit 1")
    for _ in range(3):
        assert actions(sandbox.check()) == [("create", "ccl-auto-11")]
        poll(lambda: "ccl-auto-11" not in sandbox.server.names())
    report = sandbox.check()
    assert actions(report) == []
    assert "ccl-auto-11 died at each of 3 starts and is left alone until" in report["notes"][0]
    assert "left alone" in sandbox.run().stdout


@pytest.mark.parametrize("why", ["paused", "waiting"])
def test_nothing_is_started_while_the_check_keeps_still(sandbox: Sandbox, why: str) -> None:
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
