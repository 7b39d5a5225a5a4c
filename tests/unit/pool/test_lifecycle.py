"""The plan that keeps the pool at its size, in tables."""

from datetime import timedelta
from typing import Any

import pytest

from failover_oneshot.config.model import Autonomous, Config, Pool
from failover_oneshot.model import Pane, Role, Session
from failover_oneshot.pool.lifecycle import planned
from failover_oneshot.pool.panes import agent_name
from failover_oneshot.state.model import SessionMemory, State
from tests.support.builders import NOW, at


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
    """A state in which each session was started at these times, in seconds before now."""
    return State(
        sessions={
            f"ccl-auto-{name.removeprefix('n')}": SessionMemory(starts=tuple(at(seconds=-ago) for ago in times))
            for name, times in starts.items()
        }
    )


def outcome(memory: State, there: list[int], dead: list[int], **changes: Any) -> tuple[list[str], int]:
    """The restarts as `action index`, and the number of sessions that are not started again."""
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
def test_dead_sessions_are_restarted_and_missing_ones_created(
    there: list[int], dead: list[int], done: list[str]
) -> None:
    assert outcome(state(), there, dead) == (done, 0)


def test_a_session_that_dies_at_every_start_is_replaced_by_another() -> None:
    thrice = state(n11=[90, 60, 30])
    assert outcome(thrice, [12], []) == (["create 13"], 1)
    assert outcome(thrice, [11, 12], [11]) == (["create 13"], 1)
    assert outcome(thrice, [11, 12], [11], max=2) == ([], 1)


def test_it_is_started_again_after_ten_minutes_or_once_it_stayed_alive() -> None:
    assert outcome(state(n11=[601, 60, 30]), [12], []) == (["create 11"], 0)
    lived = planned(config(), state(n11=[90, 60, 30]), sessions(11, 12), {}, "main", NOW)
    assert lived.state.sessions["ccl-auto-11"].starts == ()
    young = planned(config(), state(n11=[90, 60, 4]), sessions(11, 12), {}, "main", NOW)
    assert len(young.state.sessions["ccl-auto-11"].starts) == 3, "alive, but only just started"


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
def test_the_agents_process_name(fields: dict[str, Any], started: str, name: str) -> None:
    assert agent_name(Autonomous(**fields), Pane(pane_id="%1", pid=1, start_command=started)) == name
