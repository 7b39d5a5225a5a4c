"""A swap's journal: its transitions as values."""

import msgspec
import pytest
from msgspec.structs import replace

from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.model import Outcome, Restart
from failover_oneshot.report import Move
from failover_oneshot.state.model import AccountMemory, Failure, SessionMemory, State, SwapStep, Unusable, Waiting
from failover_oneshot.state.transitions import remember
from failover_oneshot.swap.journal import (
    RULES,
    begin,
    current,
    finished,
    given_up,
    intend,
    move,
    next_candidate,
    waited,
)
from tests.support.builders import NOW, at, hits, make_config
from tests.support.paths import ROOT

MAIN = State(active_account="main", suspected_hit_at=at(seconds=-30))
SWAP = Decision(
    action=Action.SWAP,
    outcome=Outcome.SWAPPED,
    summary="2 of 3",
    reason="2 of 3 pool sessions blocked",
    candidates=("backup", "third"),
    acted_on=("ccl-auto-11", "ccl-auto-12"),
    exhausted_until=at(hours=2),
)
SEEN = remember(MAIN, hits(11, 12), True, NOW)


def begun(decision: Decision = SWAP) -> State:
    return begin(SEEN, decision, hits(11, 12), NOW)


def test_a_swap_begins_with_its_first_candidate_and_an_exhausted_account() -> None:
    state = begun()
    journal = current(state)
    assert (journal.kind, journal.from_, journal.to, journal.candidates) == ("swap", "main", "backup", ("third",))
    assert (journal.step, journal.runs) == (SwapStep.SAVE_BACK, 0)
    assert state.accounts["main"].exhausted_until == at(hours=2)
    assert (state.active_account, state.suspected_hit_at) == ("main", None)
    assert move(journal) == Move(from_="main", to="backup")


def test_a_resume_changes_no_account_and_begins_at_the_restart() -> None:
    resume = replace(SWAP, action=Action.RESUME, outcome=Outcome.RESUMED, candidates=(), exhausted_until=None)
    journal = current(begun(resume))
    assert (journal.kind, journal.to, journal.step, move(journal)) == ("resume", "main", SwapStep.RESTART, None)


def test_a_failback_is_journaled_as_one() -> None:
    assert current(begun(replace(SWAP, failback=True))).kind == "failback"


def test_a_failed_target_is_unusable_and_the_next_candidate_starts_over() -> None:
    state = begun()
    state = replace(state, swap_in_progress=replace(current(state), step=SwapStep.VERIFY, prepared={"token": "0"}))
    state = next_candidate(state, "blank", NOW)
    journal = current(state)
    assert (journal.to, journal.candidates, journal.step, journal.prepared) == ("third", (), SwapStep.SAVE_BACK, {})
    assert state.accounts["backup"].unusable == Unusable(at=NOW, reason="blank")
    assert [(r.account, r.reason) for r in journal.rejected] == [("backup", "blank")]
    assert current(next_candidate(state, "gone", NOW)).to is None, "then the swap is given up"


def test_a_finished_swap_is_recorded_and_its_hits_are_handled() -> None:
    restarts = (
        Restart(session="ccl-auto-11", action="recreate", status="done"),
        Restart(session="ccl-auto-12", action="recreate", status="failed"),
    )
    state = begun()
    state = replace(state, swap_in_progress=replace(current(state), restarts=restarts, runs=1))
    state, result = finished(state, at(seconds=5), keep=10)
    assert (state.active_account, state.swap_in_progress, state.waiting) == ("backup", None, None)
    assert (result.outcome, result.reason, result.move) == (
        Outcome.SWAPPED,
        SWAP.reason,
        Move(from_="main", to="backup"),
    )
    assert state.last_swap is not None
    assert (state.last_swap.at, state.last_swap.to) == (at(seconds=5), "backup")
    assert state.accounts["main"].last_used_at == at(seconds=5)
    assert [state.sessions[f"ccl-auto-{n}"].account for n in (11, 12)] == ["backup", "main"], "only restarted sessions"
    assert all(memory.hit and memory.hit.acted_on for memory in state.sessions.values())
    [entry] = state.history
    assert (entry["from"], entry["to"], entry["exhausted_until"]) == ("main", "backup", "2026-11-24T12:00:00Z")
    assert entry["sessions"] == {"ccl-auto-11": "recreate done", "ccl-auto-12": "recreate failed"}
    assert set(entry["hits"]) == {"ccl-auto-11", "ccl-auto-12"}


def test_a_swap_that_took_several_checks_says_so() -> None:
    state = begun()
    state = replace(state, swap_in_progress=replace(current(state), runs=3))
    assert finished(state, NOW, keep=10)[1].reason == "2 of 3 pool sessions blocked (took 3 checks)"


def touched(state: State) -> State:
    return replace(state, swap_in_progress=replace(current(state), touched=True))


def test_a_failed_swap_keeps_the_account_and_starts_a_cooldown() -> None:
    failed = next_candidate(touched(begun()), "blank", NOW)
    state, result = given_up(failed, "no candidate works", at(seconds=5), keep=10)
    assert (state.active_account, state.swap_in_progress) == ("main", None)
    assert state.last_failure == Failure(at=at(seconds=5), reason="no candidate works")
    assert (result.outcome, result.move, "no candidate works" in result.reason) == (Outcome.FAILED, None, True)
    assert [(entry["outcome"], entry["rejected"]) for entry in state.history] == [("failed", {"backup": "blank"})]


def test_a_failure_before_anything_changed_is_recorded_once() -> None:
    state, _ = given_up(begun(), "half written", NOW, keep=10)
    assert state.last_failure == Failure(at=NOW, reason="half written", untouched=True)
    assert (len(state.history), state.counters["failed"]) == (1, 1)
    again = replace(begun(), last_failure=state.last_failure, history=state.history, counters=state.counters)
    state, result = given_up(again, "half written", at(seconds=30), keep=10)
    assert (len(state.history), state.counters["failed"], result.outcome) == (1, 1, Outcome.FAILED)
    state, _ = given_up(again, "the disk is full", at(seconds=60), keep=10)
    assert len(state.history) == 2
    state, _ = given_up(touched(again), "half written", at(seconds=60), keep=10)
    assert len(state.history) == 2


def test_the_history_keeps_the_newest_entries() -> None:
    state = replace(begun(), history=({"at": "1"}, {"at": "2"}))
    assert [entry["at"] for entry in finished(state, NOW, keep=2)[0].history] == ["2", "2026-11-24T10:00:00Z"]


def test_a_wait_is_in_the_history_once_it_is_over() -> None:
    wait = Waiting(since=at(hours=-1), account="backup", until=at(minutes=-1))
    state = replace(MAIN, waiting=wait)
    assert waited(state, wait, NOW, keep=10) == state
    assert waited(MAIN, None, NOW, keep=10) == MAIN
    [entry] = waited(state, None, NOW, keep=10).history
    assert (entry["outcome"], entry["account"], entry["since"]) == ("waiting", "backup", "2026-11-24T09:00:00Z")
    assert entry["reason"] == "no account was free for 1h; backup was due first, at 2026-11-24T09:59:00Z"


@pytest.mark.parametrize(
    ("action", "exhausted", "in_progress"),
    [(Action.SWAP, True, True), (Action.WAIT, True, False), (Action.HOLD, False, False)],
)
def test_the_decision_is_written_before_it_is_carried_out(action: Action, exhausted: bool, in_progress: bool) -> None:
    state = intend(make_config(), MAIN, replace(SWAP, action=action), hits(11, 12), NOW)
    assert set(state.sessions) == {"ccl-auto-11", "ccl-auto-12"}
    assert (state.account("main").exhausted_until == at(hours=2)) is exhausted
    assert (state.swap_in_progress is not None) is in_progress


def test_a_state_without_a_swap_in_progress_has_no_journal() -> None:
    with pytest.raises(AssertionError):
        current(MAIN)


def test_a_journal_survives_the_state_file() -> None:
    state = begun()
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state
    assert state.sessions["ccl-auto-11"] != SessionMemory()
    assert state.accounts["main"] != AccountMemory()


def test_the_page_has_every_step_with_its_rule() -> None:
    page = " ".join((ROOT / "docs/swap.md").read_text(encoding="utf-8").split())
    for step, rule in RULES.items():
        assert f"| `{step}` |" in page
        assert rule in page
