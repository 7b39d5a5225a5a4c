"""The plan of a restart: its sessions, their commands, and that the state file can hold it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.config.model import AfterSwap, Autonomous, Config, Dedicated, Pool
from failover_oneshot.model import Pane, Restart, Role, Session
from failover_oneshot.pool import restart as pool


def config(mode: str = "recreate", **autonomous: object) -> Config:
    auto = msgspec.convert({"start_index": 1, "max": 1, "after_swap": mode, **autonomous}, Autonomous)
    return Config(pool=Pool(autonomous=auto))


def session(name: str, index: int | None, **pane: object) -> Session:
    panes = (msgspec.convert({"pane_id": "%1", "pid": 7, "path": "/p", "current_path": "/c", **pane}, Pane),)
    role = Role.DEDICATED if index is None else Role.POOL
    return Session(name=name, role=role, index=index, session_id="$1", server_pid=5, panes=panes, width=90, height=30)


SESSIONS = (session("ccl-auto-1", 1, start_command="old"), session("ccl-auto-2", 2), session("ops", None))


@pytest.mark.parametrize(
    ("mode", "dedicated", "blocked", "expected"),
    [
        ("recreate", "none", [], [("ccl-auto-1", "recreate"), ("ccl-auto-2", "recreate")]),
        ("respawn", "none", ["ccl-auto-1"], [("ccl-auto-1", "respawn"), ("ccl-auto-2", "respawn")]),
        ("nudge", "none", ["ccl-auto-2", "ops"], [("ccl-auto-2", "nudge")]),
        ("nudge", "recreate", [], [("ops", "recreate")]),
        ("none", "nudge", ["ops"], [("ops", "nudge")]),
        ("none", "none", ["ops", "ccl-auto-1"], []),
    ],
)
def test_a_plan_holds_the_sessions_that_the_mode_restarts(
    mode: str, dedicated: str, blocked: list[str], expected: list[tuple[str, str]]
) -> None:
    settings = Config(
        pool=Pool(
            autonomous=Autonomous(start_index=1, after_swap=AfterSwap(mode)),
            dedicated=(Dedicated(name="ops", after_swap=AfterSwap(dedicated)),),
        )
    )
    assert [(r.session, r.action) for r in pool.plan(settings, SESSIONS, blocked, "b", {})] == expected


@pytest.mark.parametrize(
    ("keys", "resume_ids", "command", "workdir"),
    [
        ({}, {}, "old", "/p"),
        ({}, {"ccl-auto-1": "id"}, "old", "/p"),
        ({"command": "run {name} {index} {account}"}, {}, "run ccl-auto-1 1 'a b'", "/c"),
        ({"command": "new", "resume_command": "go {session_id}"}, {"ccl-auto-1": "x;y"}, "go 'x;y'", "/c"),
        ({"command": "new", "resume_command": "go {session_id}"}, {"ccl-auto-2": "id"}, "new", "/c"),
        ({"resume_command": "go {session_id}"}, {}, "old", "/p"),
        ({"command": "echo ${name} {other} {}"}, {}, "echo ${name} {other} {}", "/c"),
    ],
)
def test_a_plan_fills_in_the_command(
    keys: dict[str, str], resume_ids: dict[str, str], command: str, workdir: str
) -> None:
    (restart,) = pool.plan(config(**keys), SESSIONS[:1], (), "a b", resume_ids)
    assert (restart.command, restart.workdir) == (command, workdir)
    assert (restart.width, restart.height, restart.session_id, restart.server_pid) == (90, 30, "$1", 5)


def test_a_plan_takes_the_agents_pane_not_the_shell_beside_it() -> None:
    shell = Pane(pane_id="%1", pid=1, command="bash", active=True)
    agent = Pane(pane_id="%2", pid=2, command="claude", active=False, start_command="claude --x")
    dead = Pane(pane_id="%3", pid=3, command="node", active=False, dead=True)
    two = msgspec.structs.replace(SESSIONS[0], panes=(dead, shell, agent))
    (restart,) = pool.plan(config(), [two], (), "a", {})
    assert (restart.pane_id, restart.command) == ("%2", "claude --x")


@pytest.mark.parametrize(
    ("auto", "existing", "created"),
    [
        ({"start_index": 11, "max": 3, "min": 2}, [], [11, 12]),
        ({"start_index": 11, "max": 3, "min": 2}, ["ccl-auto-12"], [11]),
        ({"start_index": 11, "max": 3, "min": 3}, ["ccl-auto-12", "ccl-auto-1", "ccl-auto-110"], [11, 13]),
        ({"start_index": 11, "max": 3, "min": 2}, ["ccl-auto-12", "ccl-auto-13"], []),
        ({"start_index": 11, "max": 3, "min": 1}, ["ccl-auto-011", "ccl-auto-", "ccl-auto11"], [11]),
        ({"start_index": 0, "max": 2, "min": 9}, [], [0, 1]),
        ({"start_index": 0, "max": 2, "min": 0}, [], []),
    ],
)
def test_missing_sessions_get_the_lowest_free_indices(
    auto: dict[str, Any], existing: list[str], created: list[int]
) -> None:
    settings = config(command="run {index}", **auto)
    assert [(r.session, r.command) for r in pool.missing(settings, existing, "a")] == [
        (f"ccl-auto-{i}", f"run {i}") for i in created
    ]


@given(st.integers(0, 30), st.integers(1, 12), st.integers(0, 15), st.sets(st.integers(0, 40)))
def test_missing_sessions_never_leave_the_range(start: int, most: int, least: int, there: set[int]) -> None:
    settings = Config(pool=Pool(autonomous=Autonomous(start_index=start, max=most, min=least)))
    made = {
        int(r.session.removeprefix("ccl-auto-")) for r in pool.missing(settings, {f"ccl-auto-{i}" for i in there}, "a")
    }
    inside = there & set(range(start, start + most))
    assert made <= set(range(start, start + most)) - there
    assert len(made | inside) == max(len(inside), min(least, most))


def test_a_restart_survives_the_state_file() -> None:
    """What is read back equals what was written."""
    part = Restart(session="s", action="recreate", command='é "x"', workdir=str(Path("/a b")))
    assert msgspec.json.decode(msgspec.json.encode(part), type=Restart) == part
