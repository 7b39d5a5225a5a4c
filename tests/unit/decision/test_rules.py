"""The eight rules of docs/behavior.md, "Decision", each as rows of a table, at a frozen instant."""

from datetime import UTC, datetime
from typing import Any

import pytest
from freezegun import freeze_time

from failover_oneshot.config.model import Config
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.decision.rules import decide
from failover_oneshot.model import Finding, Kind, Limit, Outcome
from failover_oneshot.state.model import AccountMemory, Failure, Journal, LastSwap, Pause, State, SwapStep, Waiting
from tests.support.builders import NOW, at, finding, healthy, hits, make_config, seen, unreadable

NO_RESET: dict[str, Any] = {"resets_at": None}


@freeze_time(NOW)
def judge(findings: tuple[Finding, ...], state: State | None = None, config: Config | None = None) -> Decision:
    state = state or State(active_account="main")
    return decide(config or make_config(), state, seen(findings), findings, datetime.now(UTC))


def swapped(**delta: float) -> State:
    return State(active_account="backup", last_swap=LastSwap(at=at(**delta), from_="main", to="backup"))


BLOCKED = hits(11, 12, 13)
RULES = [
    # state, findings, action, outcome, a part of the reason
    pytest.param(
        State(swap_in_progress=Journal(started_at=NOW, from_="main", to="backup", step=SwapStep.INSTALL)),
        BLOCKED, Action.FINISH, Outcome.SWAPPED, "at step install", id="1 a journal comes first",
    ),
    pytest.param(
        State(
            swap_in_progress=Journal(started_at=NOW, from_="main", to="backup", step=SwapStep.INSTALL),
            paused=Pause(since=NOW),
            last_swap=LastSwap(at=NOW, from_="main", to="backup"),
        ),
        BLOCKED, Action.FINISH, Outcome.SWAPPED, "main to backup", id="1 even when paused and in the cooldown",
    ),
    pytest.param(
        State(active_account="main", paused=Pause(since=at(hours=-1), reason="holidays")),
        BLOCKED, Action.HOLD, Outcome.PAUSED, "holidays", id="2 paused",
    ),
    pytest.param(
        State(active_account="main", paused=Pause(since=at(hours=-1), until=at(seconds=1))),
        BLOCKED, Action.HOLD, Outcome.PAUSED, "until 2026-11-24T10:00:01Z", id="2 paused until",
    ),
    pytest.param(
        State(active_account="main", paused=Pause(since=at(hours=-1), until=NOW)),
        BLOCKED, Action.SWAP, Outcome.SWAPPED, "", id="2 the pause is over",
    ),
    pytest.param(
        swapped(minutes=-9, seconds=-59),
        BLOCKED, Action.HOLD, Outcome.COOLDOWN, "1s of cooldown left", id="3 [daemon] 10 min",
    ),
    pytest.param(
        swapped(minutes=-10), hits(11, 12, account="backup"), Action.SWAP, Outcome.SWAPPED, "", id="3 cooldown is over",
    ),
    pytest.param(
        State(active_account="main", last_failure=Failure(at=at(minutes=-1), reason="x")),
        BLOCKED, Action.HOLD, Outcome.COOLDOWN, "after the failed attempt", id="3 counts from a failed attempt",
    ),
    pytest.param(
        State(active_account="main", last_failure=Failure(at=at(minutes=-1), reason="x", untouched=True)),
        BLOCKED, Action.SWAP, Outcome.SWAPPED, "", id="3 not from one that changed nothing",
    ),
    pytest.param(
        swapped(days=1), BLOCKED, Action.HOLD, Outcome.COOLDOWN, "10m of cooldown left", id="3 a swap in the future",
    ),
    pytest.param(None, (), Action.HOLD, Outcome.NO_SESSIONS, "no session of the range", id="no session"),
    pytest.param(None, hits(11), Action.HOLD, Outcome.OK, "1 of 1 pool", id="5 [daemon] one is too few"),
    pytest.param(None, hits(11, 12), Action.SWAP, Outcome.SWAPPED, "2 of 2 pool", id="5 [daemon] two are enough"),
    pytest.param(None, (finding("ops"),), Action.SWAP, Outcome.SWAPPED, "1 of 1 dedicated", id="5 [daemon] dedicated"),
    pytest.param(
        None, hits(11, 12, counted=False, why_not="a hit of backup"), Action.HOLD, Outcome.OK, "hit of backup",
        id="4 what does not count is named",
    ),
    pytest.param(None, hits(11, 12, **NO_RESET), Action.SUSPECT, Outcome.SUSPECTED, "no reset time", id="6 seen once"),
    pytest.param(
        None, (*hits(11, **NO_RESET), *hits(12)), Action.SWAP, Outcome.SWAPPED, "", id="6 one reset time is enough",
    ),
    pytest.param(
        State(active_account="main", suspected_hit_at=at(seconds=-14)), hits(11, 12, **NO_RESET),
        Action.SUSPECT, Outcome.SUSPECTED, "", id="6 too soon to confirm",
    ),
    pytest.param(
        State(active_account="main", suspected_hit_at=at(seconds=-15)), hits(11, 12, **NO_RESET),
        Action.SWAP, Outcome.SWAPPED, "", id="6 half an interval later confirms",
    ),
    pytest.param(
        State(active_account="main", suspected_hit_at=at(seconds=-90)), hits(11, 12, **NO_RESET),
        Action.SWAP, Outcome.SWAPPED, "", id="6 three intervals later still confirms",
    ),
    pytest.param(
        State(active_account="main", suspected_hit_at=at(seconds=-91)), hits(11, 12, **NO_RESET),
        Action.SUSPECT, Outcome.SUSPECTED, "", id="6 older is void",
    ),
    pytest.param(
        State(active_account="main", accounts={"backup": AccountMemory(exhausted_until=at(hours=1))}), BLOCKED,
        Action.WAIT, Outcome.WAITING, "backup is free first, at 2026-11-24T11:00:00Z", id="8 the other is exhausted",
    ),
    pytest.param(
        State(active_account="main", accounts={"backup": AccountMemory(exhausted_until=NOW)}), BLOCKED,
        Action.SWAP, Outcome.SWAPPED, "", id="7 the other has just been freed",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("state", "findings", "action", "outcome", "words"), RULES)
def test_rules(
    state: State | None, findings: tuple[Finding, ...], action: Action, outcome: Outcome, words: str
) -> None:
    decision = judge(findings, state)
    assert (decision.action, decision.outcome) == (action, outcome)
    assert words in decision.reason


FIVE_HOUR = hits(11, 12, 13, limit=Limit.FIVE_HOUR)
EXHAUSTED = {"backup": AccountMemory(exhausted_until=at(hours=9))}


@pytest.mark.parametrize(
    ("decision", "summary"),
    [
        (judge(tuple(healthy(f"ccl-auto-{n}") for n in range(10))), "0 of 10 pool sessions blocked"),
        (judge((*hits(11), healthy("ccl-auto-12"))), "1 of 2 pool sessions blocked (threshold 2)"),
        (
            judge((*hits(11, counted=False, why_not="expired"), unreadable("ccl-auto-12"), healthy("ccl-auto-13"))),
            "0 of 3 pool sessions blocked; 1 blocked session not counted; 1 session unreadable",
        ),
        (judge((*FIVE_HOUR, healthy("ccl-auto-14"))), "3 of 4 pool sessions hit the 5-hour limit (resets 12:00Z)"),
        (
            judge((*hits(11, limit=Limit.SEVEN_DAY, resets_at=at(days=3)), *hits(12))),
            "2 of 2 pool sessions hit a limit (resets Nov 27 10:00Z)",
        ),
        (judge((finding("ops", limit=Limit.FIVE_HOUR), healthy())),
         "1 of 1 dedicated sessions hit the 5-hour limit (resets 12:00Z)"),
        (
            judge(hits(11, 12, kind=Kind.BILLING, limit=None)),
            "2 of 2 pool sessions have a billing problem (resets 12:00Z)",
        ),
        (
            judge(hits(11, 12, **NO_RESET)),
            "2 of 2 pool sessions hit a limit (no reset time); the next check confirms or clears it",
        ),
        (judge(BLOCKED, swapped(seconds=-30)), "9m30s left (until 10:09Z)"),
        (
            judge((), State(swap_in_progress=Journal(started_at=NOW, from_="a", to="b", step=SwapStep.VERIFY))),
            "interrupted swap, continued at step verify",
        ),
        (
            judge((), State(swap_in_progress=Journal(
                started_at=NOW, kind="resume", from_=None, to="a", step=SwapStep.RESTART
            ))),
            "interrupted restart, continued at step restart",
        ),
        (judge((), None), "no session of the range is running"),
        (
            judge(BLOCKED, State(active_account="main", accounts=EXHAUSTED)),
            "all accounts exhausted; main is free first, in 2h (12:00Z)",
        ),
        (
            judge(BLOCKED, config=make_config(("main", "off"), disabled=("off",))),
            "no account is free (1 disabled); main is free first, in 2h (12:00Z)",
        ),
        (judge(FIVE_HOUR, State(), make_config(())),
         "3 of 3 pool sessions hit the 5-hour limit (resets 12:00Z); no accounts configured, nothing to swap to"),
        (
            judge(BLOCKED, State(paused=Pause(since=NOW, until=at(hours=2), reason="moving accounts"))),
            "until 12:00Z (moving accounts)",
        ),
        (judge(BLOCKED, State(paused=Pause(since=NOW))), "until `failoverctl resume`"),
    ],
)  # fmt: skip
def test_the_summary_is_short(decision: Decision, summary: str) -> None:
    assert decision.summary == summary


def test_a_cooldown_says_until_when() -> None:
    assert judge(BLOCKED, swapped(minutes=-4)).next_possible_at == at(minutes=6)


def test_the_active_account_is_exhausted_until_the_latest_reset() -> None:
    decision = judge((*hits(11), *hits(12, resets_at=at(hours=3)), *hits(13, **NO_RESET)))
    assert (decision.exhausted_until, decision.candidates) == (at(hours=3), ("backup",))
    assert set(decision.acted_on) == {"ccl-auto-11", "ccl-auto-12", "ccl-auto-13"}


def test_without_a_reset_time_the_backoff_counts() -> None:
    state = State(active_account="main", suspected_hit_at=at(seconds=-30))
    assert judge(hits(11, 12, **NO_RESET), state).exhausted_until == at(hours=1)


def test_a_suspicion_is_cleared_with_the_daemons_words() -> None:
    decision = judge((healthy(),), State(active_account="main", suspected_hit_at=at(seconds=-30)))
    assert decision.suspected_hit_at is None
    assert decision.notes == ("suspected hit cleared (no detection this poll)",)


def test_an_unreadable_pane_does_not_clear_a_suspicion() -> None:
    decision = judge((unreadable(), healthy("ccl-auto-12")), State(suspected_hit_at=at(seconds=-30)))
    assert decision.outcome is Outcome.OK
    assert decision.suspected_hit_at == at(seconds=-30)


def test_a_suspicion_keeps_its_beginning_until_it_is_void() -> None:
    early = judge(hits(11, 12, **NO_RESET), State(active_account="main", suspected_hit_at=at(seconds=-5)))
    late = judge(hits(11, 12, **NO_RESET), State(active_account="main", suspected_hit_at=at(minutes=-5)))
    assert (early.suspected_hit_at, late.suspected_hit_at) == (at(seconds=-5), NOW)


def test_unusable_and_disabled_accounts_are_passed_over_and_named() -> None:
    config = make_config(("main", "broken", "off", "spare"), disabled=("off",))
    state = State(active_account="main")
    decision = decide(config, state, seen(BLOCKED, unusable={"broken": "its store is empty"}), BLOCKED, NOW)
    assert decision.candidates == ("spare",)
    nothing = decide(
        config, state, seen(BLOCKED, unusable={"broken": "its store is empty", "spare": "no"}), BLOCKED, NOW
    )
    assert nothing.outcome is Outcome.WAITING
    assert "broken is unusable: its store is empty" in nothing.reason
    assert "off is disabled" in nothing.reason


def test_without_accounts_there_is_nothing_to_swap_to() -> None:
    decision = judge(BLOCKED, State(), make_config(()))
    assert decision.outcome is Outcome.WAITING
    assert "no accounts configured" in decision.reason


def test_max_per_hour_says_when_the_next_swap_is_possible() -> None:
    history = tuple({"at": f"2026-11-24T09:{minute}:00Z", "outcome": "swapped"} for minute in (10, 20, 30, 40))
    decision = judge(BLOCKED, State(active_account="main", history=history))
    assert (decision.action, decision.outcome) == (Action.FAIL, Outcome.FAILED)
    assert decision.next_possible_at == at(minutes=10)
    assert judge(BLOCKED, State(active_account="main", history=history[1:])).action is Action.SWAP


WAITING = Waiting(since=at(hours=-3), account="main", until=NOW)


def test_blocked_sessions_are_restarted_when_the_active_account_is_free() -> None:
    old = hits(11, 12, counted=False, stale=True, resets_at=NOW, first_seen=at(hours=-3))
    state = State(active_account="main", waiting=WAITING, accounts={"main": AccountMemory(exhausted_until=NOW)})
    decision = judge((*old, healthy("ccl-auto-13")), state)
    assert (decision.action, decision.acted_on) == (Action.RESUME, ("ccl-auto-11", "ccl-auto-12"))
    assert decision.waiting is None


def test_the_first_account_to_be_free_is_used_for_a_single_session() -> None:
    state = State(
        active_account="main",
        waiting=WAITING,
        accounts={"main": AccountMemory(exhausted_until=at(hours=9)), "backup": AccountMemory(exhausted_until=NOW)},
    )
    assert judge((*hits(11, resets_at=at(hours=9)), healthy("ccl-auto-12")), state).candidates == ("backup",)


def test_waiting_ends_when_nothing_is_blocked_any_more() -> None:
    decision = judge((healthy(),), State(active_account="main", waiting=WAITING))
    assert (decision.outcome, decision.waiting) == (Outcome.OK, None)


def test_waiting_without_a_reset_time_keeps_its_end() -> None:
    state = State(
        active_account="main",
        waiting=Waiting(since=at(minutes=-10), account="main", until=at(minutes=50)),
        accounts={
            "main": AccountMemory(exhausted_until=at(minutes=50)),
            "backup": AccountMemory(exhausted_until=at(hours=5)),
        },
    )
    decision = judge(hits(11, 12, **NO_RESET), state)
    assert (decision.outcome, decision.exhausted_until) == (Outcome.WAITING, at(minutes=50))
    assert decision.reason.startswith("waiting for 10m (2 checks)")
