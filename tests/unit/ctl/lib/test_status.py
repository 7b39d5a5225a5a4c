"""The value behind `failoverctl status`."""

import json
from typing import Any

import msgspec
import pytest

from failover_oneshot.ctl.lib.status import StatusReport, compose
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.model import Kind, Outcome
from failover_oneshot.state.model import AccountMemory, Failure, HitMemory, LastSwap, Pause, SessionMemory, State
from failover_oneshot.state.transitions import remember
from tests.support.builders import NOW, at, finding, healthy, make_config

SWAP = Decision(
    action=Action.SWAP,
    outcome=Outcome.SWAPPED,
    summary="because",
    reason="because",
    candidates=("backup",),
    blocked_pool=1,
)


def status(state: State, *, disabled: tuple[str, ...] = (), **changes: Any) -> StatusReport:
    given: dict[str, Any] = {"findings": (), "decision": SWAP, **changes}
    config = make_config(("main", "backup", "third"), disabled=disabled)
    findings, decision = given.pop("findings"), given.pop("decision")
    return compose(config, state, findings, decision, NOW, state_file="/state.json", **given)


@pytest.mark.parametrize(
    ("state", "problems", "expected"),
    [
        (
            State(active_account="main"),
            {},
            [("main", True, "free"), ("backup", False, "free"), ("third", False, "disabled")],
        ),
        (
            State(active_account="main", accounts={"main": AccountMemory(exhausted_until=at(hours=1))}),
            {"backup": "its store does not exist"},
            [("main", True, "exhausted"), ("backup", False, "unusable"), ("third", False, "disabled")],
        ),
        (
            State(active_account="backup", accounts={"main": AccountMemory(exhausted_until=at(seconds=-1))}),
            {"backup": "an active account needs no store yet"},
            [("main", False, "free"), ("backup", True, "free"), ("third", False, "disabled")],
        ),
    ],
)
def test_the_state_of_each_account(state: State, problems: dict[str, str], expected: list[Any]) -> None:
    found = status(state, disabled=("third",), problems=problems).accounts
    assert [(a.name, a.active, a.state) for a in found] == expected


def test_the_time_to_a_reset_counts_from_now() -> None:
    state = State(active_account="main", accounts={"main": AccountMemory(exhausted_until=at(minutes=90))})
    assert status(state).accounts[0].free_in == 5400
    shown = status(state, findings=(finding(resets_at=at(minutes=30)),)).sessions[0]
    assert (shown.kind, shown.counted, shown.resets_in) == (Kind.QUOTA, True, 1800)


def test_a_session_shows_since_when_it_has_its_kind() -> None:
    """The state keeps the instant; another kind starts a new one."""
    state = remember(State(active_account="main"), (healthy(),), True, at(minutes=-20))
    state = remember(state, (healthy(),), True, at(minutes=-5))
    assert status(state, findings=(healthy(),)).sessions[0].since == at(minutes=-20)
    assert status(state, findings=(finding(kind=Kind.SERVER_ERROR, blocked=False),)).sessions[0].since is None
    assert status(state, findings=(finding(first_seen=at(minutes=-1)),)).sessions[0].since == at(minutes=-1)
    state = remember(state, (finding(first_seen=at(minutes=-1)),), True, at(minutes=-1))
    assert (state.sessions["ccl-auto-11"].kind, state.sessions["ccl-auto-11"].since) == (Kind.QUOTA, at(minutes=-1))


def test_sessions_known_only_from_the_state_are_marked() -> None:
    hit = HitMemory(first_seen=at(hours=-1), snippet="You've hit your limit", resets_at=at(hours=1))
    state = State(sessions={"ccl-auto-12": SessionMemory(account="main", hit=hit)})
    gone, unknown = status(state).sessions[0], status(state, findings=None).sessions[0]
    assert (gone.running, unknown.running) == (False, None)
    assert (unknown.kind, unknown.since, unknown.snippet) == (Kind.QUOTA, at(hours=-1), "You've hit your limit")


def test_an_ended_pause_and_an_ended_cooldown_are_not_reported() -> None:
    swap = LastSwap(at=at(minutes=-9), from_="main", to="backup")
    now = status(State(paused=Pause(since=at(hours=-1), until=at(minutes=1)), last_swap=swap))
    assert now.paused is not None
    assert now.cooldown is not None
    assert now.cooldown.left == 60
    swap = LastSwap(at=at(minutes=-11), from_="main", to="backup")
    over = status(State(paused=Pause(since=at(hours=-1), until=at(minutes=-1)), last_swap=swap))
    assert (over.paused, over.cooldown) == (None, None)
    failed = status(State(last_swap=swap, last_failure=Failure(at=at(seconds=-1), reason="r")))
    assert failed.cooldown is not None, "a failed attempt starts a cooldown too"


def test_the_object_can_be_encoded_and_read_back() -> None:
    state = State(active_account="main", last_swap=LastSwap(at=NOW, from_="main", to="backup"))
    text = msgspec.json.encode(status(state, findings=(finding(),)))
    assert msgspec.json.decode(text, type=StatusReport) == status(state, findings=(finding(),))
    assert json.loads(text)["last_swap"]["from"] == "main"
