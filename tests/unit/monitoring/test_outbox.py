"""Which notices are due, and when. tests/system/test_after_check.py tests sending them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from failover_oneshot.config.model import Notify
from failover_oneshot.model import Finding, Kind, Outcome
from failover_oneshot.monitoring import outbox
from failover_oneshot.monitoring.outbox import MAX_TRIES, delivered, key, note
from failover_oneshot.report import Move, Report
from failover_oneshot.state.model import AccountMemory, Notice, State, Unusable, Waiting
from tests.support.builders import NOW, finding, healthy, unreadable

ALL = Notify(urls=("json://nowhere.invalid",))
STUCK = Waiting(since=NOW)


def report(outcome: Outcome, minutes: float = 0, *findings: Finding, **changes: Any) -> Report:
    at = NOW + timedelta(minutes=minutes)
    return Report(
        outcome=outcome, summary="because", reason="because", dry_run=False, at=at, findings=findings, **changes
    )


def story(*steps: tuple[State, Report], notify: Notify = ALL) -> list[list[str]]:
    """The events of the notices that each check sends, all delivered at once. Each state holds what changes."""
    told: list[list[str]] = []
    carried = State()
    for state, made in steps:
        carried, due = note(notify, replace(state, told=carried.told, outbox=carried.outbox), made)
        told.append([notice.event for notice in due])
        carried = delivered(carried, {key(notice): () for notice in due})
    return told


FREE = State(active_account="main")
WAITING = replace(FREE, waiting=STUCK)
LOGIN = finding(kind=Kind.AUTH, blocked=False, counted=False)


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_has_its_notice_or_none(outcome: Outcome) -> None:
    state = WAITING if outcome is Outcome.WAITING else FREE
    expected = {
        Outcome.SWAPPED: ["swapped"],
        Outcome.RESUMED: ["resumed"],
        Outcome.WAITING: ["waiting"],
        Outcome.FAILED: ["failed"],
        Outcome.STATE_RESET: ["failed"],
    }
    assert story((state, report(outcome))) == [expected.get(outcome, [])]


def test_waiting_is_sent_once_and_again_when_it_begins_again() -> None:
    again = replace(FREE, waiting=Waiting(since=NOW + timedelta(hours=1)))
    assert story(
        (WAITING, report(Outcome.WAITING)),
        (WAITING, report(Outcome.WAITING, 1)),
        (WAITING, report(Outcome.PAUSED, 2)),
        (WAITING, report(Outcome.WAITING, 3)),
        (again, report(Outcome.WAITING, 60)),
    ) == [["waiting"], [], [], [], ["waiting"]]


def test_repeated_failures_are_sent_once_until_a_check_succeeds() -> None:
    assert story(
        (FREE, report(Outcome.FAILED)),
        (FREE, report(Outcome.COOLDOWN, 1)),
        (FREE, report(Outcome.SUSPECTED, 10)),
        (FREE, report(Outcome.FAILED, 11)),
        (FREE, report(Outcome.OK, 30)),
        (FREE, report(Outcome.FAILED, 31)),
    ) == [["failed"], [], [], [], [], ["failed"]]


def test_every_swap_is_sent() -> None:
    assert story((FREE, report(Outcome.SWAPPED)), (FREE, report(Outcome.SWAPPED, 11))) == [["swapped"]] * 2


def test_auth_is_sent_once_for_all_sessions_and_again_per_account() -> None:
    main, backup = {"active_account": "main"}, {"active_account": "backup"}
    other = replace(LOGIN, name="ccl-auto-12")
    assert story(
        (FREE, report(Outcome.OK, 0, LOGIN, **main)),
        (FREE, report(Outcome.OK, 1, LOGIN, other, **main)),
        (FREE, report(Outcome.COOLDOWN, 2, **main)),
        (FREE, report(Outcome.OK, 3, unreadable(), **main)),
        (FREE, report(Outcome.OK, 4, LOGIN, **main)),
        (FREE, report(Outcome.OK, 5, LOGIN, **backup)),
        (FREE, report(Outcome.OK, 6, healthy(), **backup)),
        (FREE, report(Outcome.OK, 7, LOGIN, **backup)),
    ) == [["auth"], [], [], [], [], ["auth"], [], ["auth"]]


@pytest.mark.parametrize("change", [{"busy": True}, {"stale": True}])
def test_an_old_login_prompt_sends_no_notice(change: dict[str, bool]) -> None:
    assert story((FREE, report(Outcome.OK, 0, replace(LOGIN, **change)))) == [[]]


def test_an_unusable_account_is_sent_once_until_it_works() -> None:
    broken = replace(FREE, accounts={"backup": AccountMemory(unusable=Unusable(at=NOW, reason="its login is blank"))})
    later = Unusable(at=NOW + timedelta(hours=1), reason="its login is blank")
    again = replace(FREE, accounts={"backup": AccountMemory(unusable=later)})
    move = Move(from_="main", to="third")
    assert story(
        (broken, report(Outcome.SWAPPED, swap=move)),
        (again, report(Outcome.SWAPPED, 60, swap=move)),
        (FREE, report(Outcome.SWAPPED, 120, swap=move)),
        (broken, report(Outcome.SWAPPED, 180, swap=move)),
    ) == [["swapped", "auth"], ["swapped"], ["swapped"], ["swapped", "auth"]]
    assert story((broken, report(Outcome.FAILED)), (broken, report(Outcome.COOLDOWN, 1))) == [["failed"], []], (
        "the failed notice already names the account"
    )


def test_only_the_configured_events_are_sent() -> None:
    only = Notify(urls=ALL.urls, events=("failed",))
    assert story((FREE, report(Outcome.SWAPPED)), (FREE, report(Outcome.FAILED, 11)), notify=only) == [[], ["failed"]]


def test_a_notice_says_what_to_do_and_holds_no_secret() -> None:
    secret = "sk-ant-FAKE-000000000000"
    made = report(Outcome.OK, 0, replace(LOGIN, snippet=f"Invalid API key {secret}"), active_account="main")
    _, (notice,) = note(ALL, FREE, made)
    assert notice.text == (
        "main's credentials were rejected: “Invalid API key [redacted]” in ccl-auto-11 (2026-11-24T10:00:00Z). "
        "Log in again, then run `failoverctl accounts add main`."
    )
    move = Move(from_="main", to="backup")
    _, (notice,) = note(ALL, FREE, report(Outcome.SWAPPED, swap=move))
    assert notice.text == "swapped main -> backup: because (2026-11-24T10:00:00Z)"


def test_an_undelivered_notice_is_retried_for_two_hours() -> None:
    state, due = note(ALL, FREE, report(Outcome.SWAPPED))
    tried = []
    for minute in range(300):
        for notice in due:
            tried.append(minute)
            assert notice.left == ((1,) if len(tried) > 1 else None), "only the target that still lacks it"
        state = delivered(state, {key(notice): (1,) for notice in due})
        state, due = note(ALL, state, report(Outcome.COOLDOWN, minute + 1))
    assert [minute - tried[0] for minute in tried] == [0, 1, 3, 7, 15, 31, 63, 127]
    assert len(tried) == MAX_TRIES
    assert state.outbox == ()


def test_two_runs_do_not_send_the_same_notice_at_once() -> None:
    state, due = note(ALL, FREE, report(Outcome.SWAPPED))
    assert len(due) == 1
    assert note(ALL, state, report(Outcome.COOLDOWN, 0.5))[1] == ()


def test_a_clock_that_went_back_does_not_delay_a_notice() -> None:
    state, _ = note(ALL, FREE, report(Outcome.SWAPPED, 60 * 24))
    assert len(note(ALL, state, report(Outcome.COOLDOWN, 0))[1]) == 1


def test_only_notices_that_were_tried_change() -> None:
    other = Notice(at=NOW, event="waiting", text="…", next_at=NOW)
    state = State(outbox=(other, replace(other, event="failed")))
    assert delivered(state, {(NOW, "failed"): ()}).outbox == (other,)


def test_of_many_undelivered_notices_the_newest_are_kept() -> None:
    state = FREE
    for minute in range(outbox.KEPT + 5):
        state, due = note(ALL, state, report(Outcome.SWAPPED, minute))
        assert all(notice in state.outbox for notice in due)
    assert [notice.at for notice in state.outbox] == [NOW + timedelta(minutes=5 + n) for n in range(outbox.KEPT)]


@given(
    st.lists(st.sampled_from(sorted(Outcome)), max_size=40),
    st.sampled_from([(), (0,), (0, 1)]),
)
def test_the_outbox_stays_small_and_its_keys_are_unique(outcomes: list[Outcome], left: tuple[int, ...]) -> None:
    state = FREE
    for minute, outcome in enumerate(outcomes):
        waiting = STUCK if outcome is Outcome.WAITING else None
        state, due = note(ALL, replace(state, waiting=waiting), report(outcome, minute))
        assert all(notice in state.outbox for notice in due)
        assert len({key(notice) for notice in due}) == len(due)
        state = delivered(state, {key(notice): left for notice in due})
        assert len(state.outbox) <= outbox.KEPT
        assert left or not state.outbox
