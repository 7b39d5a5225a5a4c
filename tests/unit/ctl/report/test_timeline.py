"""The facts of a report, from the state: accounts over time, stalled time and hits."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.ctl.report.page import page
from failover_oneshot.ctl.report.timeline import Timeline, ticks
from failover_oneshot.model import Outcome
from failover_oneshot.state.model import AccountMemory, HitMemory, SessionMemory, State, Waiting, stamp
from tests.support.builders import NOW, at
from tests.support.histories import hits, swapped, told


def minutes(moment: datetime) -> int:
    return round((moment - NOW).total_seconds() / 60)


def spans(facts: Timeline, account: str, kind: str) -> list[tuple[int, int]]:
    [lane] = [lane for lane in facts.lanes if lane.account == account]
    return [(minutes(span.start), minutes(span.end)) for span in getattr(lane, kind)]


def test_the_active_account_follows_from_the_swaps() -> None:
    facts = told(swapped(-600), swapped(-100, "backup", "main"), active_account="main")
    assert spans(facts, "main", "active") == [(-1440, -600), (-100, 0)]
    assert spans(facts, "backup", "active") == [(-600, -100)]
    assert facts.known_from == at(minutes=-600)


def test_without_a_swap_one_account_was_active_all_the_time() -> None:
    facts = told(active_account="backup")
    assert spans(facts, "backup", "active") == [(-1440, 0)]
    assert spans(facts, "main", "active") == []


def test_an_account_is_exhausted_from_its_first_hit_to_its_reset() -> None:
    entry = swapped(-600, exhausted_until=stamp(at(minutes=-480)), hits=hits(a=-605, b=-603))
    facts = told(entry, active_account="backup")
    assert spans(facts, "main", "exhausted") == [(-605, -480)]
    now = told(accounts={"main": AccountMemory(exhausted_until=at(minutes=90), last_hit_at=at(minutes=-20))})
    assert spans(now, "main", "exhausted") == [(-20, 0)]


def test_stalled_time_is_from_the_first_hit_to_the_swap_and_the_waits() -> None:
    """Overlapping spans count once."""
    wait = {"at": stamp(at(minutes=-300)), "outcome": "waiting", "since": stamp(at(minutes=-360)), "account": "main"}
    facts = told(
        swapped(-600, hits=hits(a=-605)),
        wait,
        swapped(-300, "backup", "main", hits=hits(a=-370)),
        waiting=Waiting(since=at(minutes=-10)),
    )
    assert [(minutes(s.start), minutes(s.end)) for s in facts.stalls] == [(-605, -600), (-370, -300), (-10, 0)]
    assert (facts.stalled, facts.waited) == (85 * 60, 70 * 60)
    assert len(facts.events) == 2


def test_hits_come_from_the_swaps_and_from_the_sessions_now() -> None:
    """A hit that is in both counts once."""
    memory = SessionMemory(hit=HitMemory(first_seen=at(minutes=-605), snippet="x"))
    more = SessionMemory(hit=HitMemory(first_seen=at(minutes=-5), snippet="y"))
    facts = told(swapped(-600, hits=hits(a=-605)), sessions={"a": memory, "b": more})
    assert [(h.session, minutes(h.at)) for h in facts.hits] == [("a", -605), ("b", -5)]


def test_only_events_in_the_period_are_counted() -> None:
    facts = told(swapped(-600, hits=hits(a=-605)), swapped(-30, "backup", "main", hits=hits(a=-31)), hours=1)
    assert (facts.count(Outcome.SWAPPED), len(facts.hits), facts.stalled) == (1, 1, 60)
    assert spans(facts, "backup", "active") == [(-60, -30)]


@pytest.mark.parametrize("hours", [1, 5, 24, 24 * 7, 24 * 30, 24 * 3650])
def test_the_axis_has_a_few_round_marks(hours: int) -> None:
    marks = ticks(NOW - timedelta(hours=hours), NOW)
    assert 0 < len(marks) <= 9
    assert all(NOW - timedelta(hours=hours) <= mark <= NOW for mark in marks)
    assert len({b - a for a, b in pairwise(marks)}) <= 1


ODD: tuple[Any, ...] = (
    None,
    True,
    7,
    -1.5,
    "",
    "x",
    "2026-11-24",
    "9999-12-31T23:59:59-12:00",
    [],
    [1, None],
    {},
    {"at": [{}]},
)
json_value = st.sampled_from(ODD)
moment = st.integers(-3000, 300).map(lambda m: stamp(at(minutes=m))) | json_value
entry = st.fixed_dictionaries(
    {},
    optional={
        "at": moment,
        "outcome": st.sampled_from(["swapped", "failed", "resumed", "waiting", "other"]) | json_value,
        "from": st.sampled_from(["main", "backup", "third"]) | json_value,
        "to": st.sampled_from(["main", "backup", "third"]) | json_value,
        "since": moment,
        "exhausted_until": moment,
        "hits": st.dictionaries(st.sampled_from(["a", "b"]), moment, max_size=2) | json_value,
        "rejected": json_value,
        "sessions": json_value,
    },
)


@given(st.lists(entry, max_size=8))
def test_any_history_has_a_timeline(history: list[dict[str, Any]]) -> None:
    """For any entries, the spans are in the window, in order and without overlaps, and a page can be made."""
    facts = told(*history, active_account="main")
    for found in [facts.waits, facts.stalls, *(kind for lane in facts.lanes for kind in (lane.active, lane.exhausted))]:
        assert all(facts.start <= span.start < span.end <= facts.end for span in found)
        assert all(a.end <= b.start for a, b in pairwise(found))
    assert facts.waited <= facts.stalled <= 24 * 3600
    assert page(facts, State(history=tuple(history)), 50)
