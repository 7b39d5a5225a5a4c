"""The verdicts on tasks as tables, and the order of the queue. No tmux."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from failover_oneshot.agents.base import PromptState
from failover_oneshot.model import PoolTally
from failover_oneshot.state.history import HistoryEntry
from failover_oneshot.tasks.task import (
    ActionKind,
    AgentPlace,
    Availability,
    HandOutStep,
    Queued,
    Slot,
    TaskObservation,
    TaskRecord,
    Verdict,
    assign,
    bounded,
    judge,
    tally,
    was_restarted,
)
from tests.support.builders import NOW, at
from tests.support.task_observations import TASK_OBSERVATIONS

PLACE = AgentPlace(server_pid=1, pane_id="%1", pane_pid=2, client_pid=3, conversation="c", transcript="/t", offset=9)
HOUR = 3600.0


def record(step: HandOutStep = HandOutStep.SENT, **changes: Any) -> TaskRecord:
    fields = {"attempts": 1, "session": "s", "handed_out_at": at(minutes=-5), "sent_at": at(minutes=-5), "place": PLACE}
    return TaskRecord(**{**fields, "step": step, **changes})


def seen(availability: Availability = Availability.FREE, **changes: Any) -> TaskObservation:
    return TaskObservation(**{"alive": True, "availability": availability, **changes})


ALIVE = [
    (HandOutStep.SENT, seen(Availability.BUSY), ActionKind.KEEP),
    (HandOutStep.SENT, seen(Availability.FREE), ActionKind.FINISH),
    (HandOutStep.SENT, seen(Availability.HELD), ActionKind.KEEP),
    (HandOutStep.SENT, seen(Availability.HELD, recorded=PromptState.ENDED), ActionKind.FINISH),
    (HandOutStep.SENT, seen(Availability.BUSY, recorded=PromptState.ENDED), ActionKind.KEEP),
    (HandOutStep.SENT, seen(Availability.BLOCKED, hit=True), ActionKind.KEEP),
    (HandOutStep.SENT, seen(Availability.FREE, hit=True), ActionKind.KEEP),  # an old limit hit on the screen: not done
    (HandOutStep.SENT, seen(Availability.FREE, recorded=PromptState.LIMIT), ActionKind.KEEP),
    (HandOutStep.SENT, seen(Availability.FREE, recorded=PromptState.ERROR), ActionKind.FAIL),
    (HandOutStep.SENT, seen(Availability.BUSY, recorded=PromptState.ERROR), ActionKind.KEEP),  # it retries
    (
        HandOutStep.SENT,
        seen(Availability.FREE, recorded=PromptState.OPEN),
        ActionKind.FINISH,
    ),  # interrupted: the session is free again
    (HandOutStep.PASTING, seen(Availability.HELD, drafted=True), ActionKind.ENTER),
    (HandOutStep.PASTING, seen(Availability.HELD), ActionKind.REQUEUE),  # another draft
    (HandOutStep.PASTING, seen(Availability.FREE), ActionKind.REQUEUE),
    (HandOutStep.PASTING, seen(Availability.BUSY), ActionKind.REQUEUE),  # busy with something else
    (
        HandOutStep.PASTING,
        seen(Availability.FREE, shown=True),
        ActionKind.REQUEUE,
    ),  # an older, equal prompt
    (
        HandOutStep.PASTING,
        seen(Availability.BUSY, recorded=PromptState.OPEN),
        ActionKind.SENT,
    ),  # the operator pressed Enter
    (HandOutStep.PASTING, seen(Availability.FREE, recorded=PromptState.ENDED), ActionKind.FINISH),
    (HandOutStep.ENTERING, seen(Availability.HELD, drafted=True), ActionKind.ENTER),
    (HandOutStep.ENTERING, seen(Availability.BUSY), ActionKind.SENT),
    (HandOutStep.ENTERING, seen(Availability.FREE, shown=True), ActionKind.SENT),
    (HandOutStep.ENTERING, seen(Availability.BLOCKED, hit=True), ActionKind.SENT),
    (HandOutStep.ENTERING, seen(Availability.FREE, recorded=PromptState.LIMIT), ActionKind.SENT),
    (HandOutStep.ENTERING, seen(Availability.HELD), ActionKind.KEEP),
    (HandOutStep.ENTERING, seen(Availability.FREE), ActionKind.FAIL),  # unknown: never done twice, never lost
    (HandOutStep.ENTERING, seen(Availability.FREE, recorded=PromptState.ABSENT), ActionKind.FAIL),
]
GONE = [
    (HandOutStep.PASTING, {}, ActionKind.REQUEUE),
    (HandOutStep.ENTERING, {}, ActionKind.FAIL),
    (HandOutStep.SENT, {}, ActionKind.FAIL),
    (HandOutStep.SENT, {"swapped": True}, ActionKind.REQUEUE),
    (HandOutStep.SENT, {"recorded": PromptState.ENDED}, ActionKind.FINISH),
    (HandOutStep.SENT, {"recorded": PromptState.ENDED, "swapped": True}, ActionKind.FINISH),
    (HandOutStep.SENT, {"recorded": PromptState.OPEN}, ActionKind.REQUEUE),
    (HandOutStep.SENT, {"recorded": PromptState.LIMIT}, ActionKind.REQUEUE),
    (HandOutStep.SENT, {"recorded": PromptState.ABSENT}, ActionKind.REQUEUE),
    (HandOutStep.SENT, {"recorded": PromptState.DOUBT}, ActionKind.FAIL),
    (HandOutStep.SENT, {"recorded": PromptState.OPEN, "successor": "c"}, ActionKind.REBIND),
    (HandOutStep.SENT, {"recorded": PromptState.OPEN, "successor": "other"}, ActionKind.REQUEUE),
    (HandOutStep.SENT, {"recorded": PromptState.OPEN, "startable": True}, ActionKind.LOST),
    (HandOutStep.PASTING, {"recorded": PromptState.OPEN, "startable": True}, ActionKind.REQUEUE),
]


@pytest.mark.parametrize(("step", "observed", "action"), ALIVE)
def test_the_verdict_while_the_agent_is_there(step: HandOutStep, observed: TaskObservation, action: ActionKind) -> None:
    assert judge(record(step), observed, NOW, HOUR).kind is action


@pytest.mark.parametrize(("step", "facts", "action"), GONE)
def test_the_verdict_when_the_agent_is_gone(step: HandOutStep, facts: dict[str, Any], action: ActionKind) -> None:
    verdict = judge(record(step), TaskObservation(alive=False, availability=Availability.DEAD, **facts), NOW, HOUR)
    assert verdict.kind is action
    assert verdict.why or action in {ActionKind.FINISH, ActionKind.LOST}


def test_a_task_that_was_only_just_sent_is_not_taken_for_done() -> None:
    just = record(sent_at=at(seconds=-0.5))
    assert judge(just, seen(Availability.FREE), NOW, HOUR).kind is ActionKind.KEEP
    assert judge(just, seen(Availability.FREE, answered=True), NOW, HOUR).kind is ActionKind.FINISH


def test_a_task_that_takes_too_long_has_failed_in_any_session() -> None:
    for each in Availability:
        assert judge(record(), seen(each), NOW, 299.0).kind is ActionKind.FAIL
    assert judge(record(), seen(Availability.FREE, recorded=PromptState.ENDED), NOW, 299.0).kind is ActionKind.FINISH


def test_a_new_agent_has_a_minute_to_show_its_conversation() -> None:
    gone = TaskObservation(alive=False, availability=Availability.FREE, recorded=PromptState.OPEN, startable=True)
    assert judge(record(lost_at=at(seconds=-59)), gone, NOW, HOUR).kind is ActionKind.KEEP
    assert judge(record(lost_at=at(seconds=-61)), gone, NOW, HOUR).kind is ActionKind.REQUEUE
    assert judge(record(lost_at=at(seconds=5)), gone, NOW, HOUR).kind is ActionKind.REQUEUE, "the clock went back"


@given(TASK_OBSERVATIONS, st.sampled_from(HandOutStep))
@example(TaskObservation(alive=True, availability=Availability.BUSY, recorded=PromptState.ENDED), HandOutStep.PASTING)
def test_no_second_agent_gets_a_task_the_first_may_still_do(observed: TaskObservation, step: HandOutStep) -> None:
    verdict = judge(record(step), observed, NOW, HOUR)
    if verdict.kind is ActionKind.REQUEUE:
        taken = observed.recorded in {
            PromptState.OPEN,
            PromptState.DOUBT,
            PromptState.ENDED,
            PromptState.LIMIT,
            PromptState.ERROR,
        }
        assert not observed.alive or (step is HandOutStep.PASTING and not taken and not observed.drafted)
        assert observed.recorded is not PromptState.ENDED
        assert (
            observed.alive
            or step is HandOutStep.PASTING
            or observed.successor != "c"
            or observed.recorded is PromptState.NONE
        )
    if verdict.kind is ActionKind.FINISH:
        assert observed.recorded is PromptState.ENDED or (
            observed.alive and step is HandOutStep.SENT and not observed.hit
        )
    if verdict.kind is ActionKind.ENTER:
        assert observed.alive
        assert observed.drafted


def test_a_task_has_failed_after_its_last_attempt() -> None:
    again = Verdict(ActionKind.REQUEUE, "gone")
    assert bounded(record(attempts=2), again, 3) == again
    assert bounded(record(attempts=3), again, 3).kind is ActionKind.FAIL
    assert bounded(record(attempts=3), Verdict(ActionKind.KEEP), 3).kind is ActionKind.KEEP


def queued(name: str, changed: float = 0.0, **fields: Any) -> Queued:
    return Queued(name=name, changed=changed, record=TaskRecord(**fields))


def slot(session: str, availability: Availability = Availability.FREE, path: str = "/w") -> Slot:
    return Slot(session=session, availability=availability, path=path)


def test_the_queue_is_ordered_by_head_priority_and_age() -> None:
    queue = [
        queued("young", 9.0), queued("old", 1.0), queued("urgent", 9.0, priority=1),
        queued("back", 9.0, head=True), queued("added", 0.0, submitted_at=at(days=-20000)), queued("also-old", 1.0),
    ]  # fmt: skip
    free = [slot(str(n)) for n in range(9)]
    order = ["back", "urgent", "also-old", "old", "young"]
    assert [t.name for t, _ in assign(queue, free) if t.name != "added"] == order
    assert [s.session for _, s in assign(queue, free)] == list("012345")


def test_each_task_goes_to_a_session_it_may_run_in() -> None:
    slots = [slot("busy", Availability.BUSY), slot("a", path="/a"), slot("b", path="/b")]
    queue = [queued("1", 1.0, dir="/b"), queued("2", 2.0, dir="/c"), queued("3", 3.0), queued("4", 4.0)]
    assert [(t.name, s.session) for t, s in assign(queue, slots)] == [("1", "b"), ("3", "a")]
    assert [t.name for t, _ in assign(queue[1:], slots)] == ["3", "4"]


def test_the_tally_counts_a_session_with_a_task_as_busy() -> None:
    slots = [
        slot("a"),
        slot("b"),
        slot("c", Availability.DEAD),
        slot("d", Availability.HELD),
        slot("e", Availability.BLOCKED),
    ]
    assert tally(slots, {"b", "e"}) == PoolTally(free=1, busy=1, blocked=1, dead=1, held=1)


def test_a_restart_by_a_swap_is_found_in_the_history() -> None:
    def entry(minutes: float, outcome: str = "swapped", done: str = "recreate done") -> HistoryEntry:
        return HistoryEntry(at=at(minutes=minutes), outcome=outcome, sessions={"s": done})

    undated = HistoryEntry(outcome="swapped", sessions={"s": "recreate done"})
    assert was_restarted([entry(-1)], record())
    assert was_restarted([entry(-1, done="respawn done"), entry(-9)], record())
    assert was_restarted([undated, entry(-1)], record())
    for history in ([], [entry(-9)], [entry(-1, "failed")], [entry(-1, done="nudge done")], [undated]):
        assert not was_restarted(history, record())
