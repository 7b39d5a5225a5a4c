"""Plans for tasks: tables of cases, and laws that hold for any observation. No tmux, no files."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.agents.base import PromptState
from failover_oneshot.config.model import Dispatch
from failover_oneshot.model import Restart, TaskMove
from failover_oneshot.state.model import SessionMemory, State, Trouble
from failover_oneshot.tasks import plan
from failover_oneshot.tasks.plan import ActionStatus, ExecutedAction, TaskAction
from failover_oneshot.tasks.task import (
    ActionKind,
    AgentPlace,
    Availability,
    HandOutStep,
    Queued,
    RunningTask,
    Slot,
    TaskObservation,
    TaskRecord,
)
from tests.support.builders import NOW, at
from tests.support.task_observations import TASK_OBSERVATIONS

LIMITS = Dispatch()
TAKEN = {PromptState.OPEN, PromptState.DOUBT, PromptState.ENDED, PromptState.LIMIT, PromptState.ERROR}


def place(number: int = 1, **changes: Any) -> AgentPlace:
    return AgentPlace(**{"server_pid": 1, "pane_id": f"%{number}", "pane_pid": number, **changes})


def slot(session: str = "s", availability: Availability = Availability.FREE, **changes: Any) -> Slot:
    return Slot(**{"session": session, "availability": availability, "path": "/w", "place": place(), **changes})


def running(name: str = "one", session: str = "s", step: HandOutStep = HandOutStep.SENT, **seen: Any) -> RunningTask:
    observed = TaskObservation(**{"alive": True, "availability": Availability.FREE, **seen})
    record = TaskRecord(attempts=1, session=session, step=step, handed_out_at=at(minutes=-5), sent_at=at(minutes=-5))
    return RunningTask(name=name, record=record, text="the text", seen=observed)


def only(actions: Sequence[TaskAction]) -> TaskAction:
    (action,) = actions
    return action


def done(action: TaskAction, status: ActionStatus = ActionStatus.DONE, *, busy: bool = False) -> ExecutedAction:
    return ExecutedAction(action=action, status=status, note=action.reason, busy=busy)


def collected(task: RunningTask, *slots: Slot, limits: Dispatch = LIMITS) -> TaskAction:
    return only(plan.plan_collect([task], slots, limits, NOW))


# -- dispatched tasks --------------------------------------------------------------------------------------------------


def test_a_done_task_leaves_with_its_end_recorded() -> None:
    action = collected(running(answered=True))
    assert (action.kind, action.task, action.session) == (ActionKind.FINISH, "one", "s")
    assert (action.record.finished_at, action.record.step, action.record.history[-1]["event"]) == (NOW, None, "done")


def test_a_task_without_its_agent_is_requeued_until_its_last_attempt() -> None:
    orphan = running(step=HandOutStep.PASTING, alive=False, availability=Availability.DEAD)
    back = collected(orphan)
    assert (back.kind, back.record.head, back.record.session, back.record.attempts) == (
        ActionKind.REQUEUE, True, None, 1,
    )  # fmt: skip
    last = collected(orphan, limits=Dispatch(attempts=1))
    assert (last.kind, last.record.why) == (ActionKind.FAIL, last.reason)
    assert "gave up after 1 attempt" in last.reason


def test_a_turn_that_ended_with_an_error_holds_its_session() -> None:
    action = collected(running(recorded=PromptState.ERROR))
    assert (action.kind, action.hold) == (ActionKind.FAIL, "the agent's last turn ended with an error")
    assert not collected(running(recorded=PromptState.ENDED)).hold


def test_a_text_in_the_prompt_is_left_to_the_dispatch() -> None:
    action = collected(running(step=HandOutStep.ENTERING, drafted=True))
    assert (action.kind, action.text, action.record.step) == (ActionKind.ENTER, "the text", HandOutStep.ENTERING)


def test_a_task_that_was_taken_is_recorded_as_sent() -> None:
    action = collected(running(step=HandOutStep.ENTERING, recorded=PromptState.OPEN))
    assert (action.kind, action.record.step, action.record.sent_at) == (ActionKind.SENT, HandOutStep.SENT, NOW)


def test_a_task_follows_its_conversation_into_another_process() -> None:
    before = place(1, client_pid=3, conversation="c", transcript="/t", offset=9)
    now = place(2, client_pid=4, conversation="c")
    task = running(alive=False, recorded=PromptState.OPEN, successor="c")
    task = RunningTask(name="one", record=TaskRecord(session="s", step=HandOutStep.SENT, place=before), seen=task.seen)
    action = collected(task, slot(place=now))
    assert action.kind is ActionKind.REBIND
    assert action.record.place == place(2, client_pid=4, conversation="c", transcript="/t", offset=9)


def test_a_task_whose_agent_is_gone_is_recorded_as_lost() -> None:
    task = running(alive=False, recorded=PromptState.OPEN, startable=True)
    task = RunningTask(name="one", record=TaskRecord(session="s", step=HandOutStep.SENT, place=place()), seen=task.seen)
    action = collected(task)
    assert (action.kind, action.record.lost_at) == (ActionKind.LOST, NOW)


def test_a_file_put_into_running_by_hand_has_failed() -> None:
    action = collected(RunningTask(name="one", record=TaskRecord()))
    assert (action.kind, action.session) == (ActionKind.FAIL, "")
    assert "by hand" in action.reason


def test_a_task_that_cannot_be_read_stays() -> None:
    task = RunningTask(name="one", record=TaskRecord(session="s", step=HandOutStep.SENT), readable=False)
    assert collected(task).kind is ActionKind.KEEP


@pytest.mark.parametrize(
    ("restart", "transcript", "status", "back"),
    [
        ({"action": "recreate"}, "", ActionStatus.DONE, True),
        ({"action": "respawn", "status": "done"}, "", ActionStatus.DONE, True),
        ({"action": "recreate", "status": "failed"}, "", ActionStatus.DONE, False),
        ({"action": "nudge"}, "", ActionStatus.DONE, False),
        ({"action": "recreate", "session": "other"}, "", ActionStatus.DONE, False),
        ({"action": "recreate"}, "/t", ActionStatus.DONE, False),  # its records decide later
        ({"action": "recreate"}, "", ActionStatus.PENDING, False),  # a dry run has already planned its end
    ],
)
def test_a_swap_requeues_the_tasks_of_restarted_sessions(
    restart: dict[str, Any], transcript: str, status: ActionStatus, back: bool
) -> None:
    record = TaskRecord(attempts=1, session="s", step=HandOutStep.SENT, place=place(transcript=transcript))
    before = [done(TaskAction(kind=ActionKind.FINISH, task="one", session="s", record=record), status)]
    actions = plan.plan_requeue(
        [RunningTask(name="one", record=record)], before, [Restart(**{"session": "s", **restart})], NOW
    )
    assert [(a.kind, a.task, a.record.attempts) for a in actions] == ([(ActionKind.REQUEUE, "one", 0)] if back else [])


# -- queued tasks ------------------------------------------------------------------------------------------------------


def queued(name: str, **changes: Any) -> Queued:
    return Queued(**{"name": name, "changed": 0.0, "text": f"text of {name}", **changes})


def test_each_free_session_gets_a_task_with_its_place_on_record() -> None:
    free = [slot("a", place=place(1, transcript="/t", offset=9)), slot("b", place=place(2))]
    actions = plan.plan_hand_out([], [queued("1"), queued("2"), queued("3")], free, NOW)
    assert [(a.kind, a.task, a.session, a.text) for a in actions] == [
        (ActionKind.HAND_OUT, "1", "a", "text of 1"),
        (ActionKind.HAND_OUT, "2", "b", "text of 2"),
    ]
    first = actions[0].record
    assert (first.step, first.attempts, first.place) == (HandOutStep.PASTING, 1, free[0].place)


def test_bad_files_are_refused_before_texts_are_sent() -> None:
    enter = TaskAction(kind=ActionKind.ENTER, task="old", session="b", record=TaskRecord(), text="t")
    actions = plan.plan_hand_out([enter], [queued("1"), queued("bad", problem="the text is empty")], [slot("a")], NOW)
    assert [(a.kind, a.task, a.session) for a in actions] == [
        (ActionKind.REFUSE, "bad", None),
        (ActionKind.ENTER, "old", "b"),
        (ActionKind.HAND_OUT, "1", "a"),
    ]
    assert actions[0].record.why == "the text is empty"


def test_a_session_with_a_task_or_on_hold_is_not_free() -> None:
    kept = done(TaskAction(kind=ActionKind.KEEP, task="1", session="a", record=TaskRecord()), busy=True)
    held = done(TaskAction(kind=ActionKind.FAIL, task="2", session="b", record=TaskRecord(), hold="an error"))
    slots = [slot("a"), slot("b"), slot("c"), slot("d", Availability.HELD)]
    assert [s.session for s in plan.free_slots(slots, [kept, held])] == ["c"]
    state = plan.with_holds(State(), [kept, held], NOW)
    assert state.sessions == {"b": SessionMemory(held=Trouble(at=NOW, reason="an error"))}


@pytest.mark.parametrize(
    ("tried", "attempts", "kind", "counted"),
    [(False, 1, ActionKind.REQUEUE, 0), (True, 3, ActionKind.REQUEUE, 1), (True, 1, ActionKind.FAIL, 1)],
)
def test_a_task_that_did_not_arrive_is_requeued(tried: bool, attempts: int, kind: ActionKind, counted: int) -> None:
    action = only(plan.plan_hand_out([], [queued("1")], [slot("a")], NOW))
    back = plan.plan_undelivered(action, "why", attempts, NOW, tried=tried)
    assert (back.kind, back.record.attempts, back.task, back.session) == (kind, counted, "1", "a")


def test_the_report_names_moves_and_nothing_else() -> None:
    def each(kind: ActionKind, status: ActionStatus) -> ExecutedAction:
        return done(TaskAction(kind=kind, task="a\x1b", session="s", record=TaskRecord(), reason="why"), status)

    assert plan.moves([each(ActionKind.REFUSE, ActionStatus.PENDING)]) == (
        TaskMove(action="fail", task="a\\x1b", session="s", status="pending", note="why"),
    )
    for kind in (ActionKind.KEEP, ActionKind.SENT, ActionKind.LOST, ActionKind.REBIND):
        assert plan.moves([each(kind, ActionStatus.DONE)]) == ()
    for status in (ActionStatus.DEFERRED, ActionStatus.GONE, ActionStatus.UNDONE):
        assert plan.moves([each(ActionKind.ENTER, status), each(ActionKind.FINISH, status)]) == ()


# -- laws --------------------------------------------------------------------------------------------------------------

SESSIONS = ("a", "b", "c")
RECORDS = st.builds(
    TaskRecord,
    attempts=st.integers(1, 4),
    session=st.sampled_from(SESSIONS),
    step=st.sampled_from(HandOutStep),
    handed_out_at=st.sampled_from([at(minutes=-5), at(days=-2)]),
    sent_at=st.sampled_from([at(seconds=-0.5), at(minutes=-5)]),
    lost_at=st.sampled_from([None, at(seconds=-5), at(minutes=-5)]),
    place=st.sampled_from([None, place(conversation="c", transcript="/t")]),
)
RUNNING = st.lists(
    st.builds(RunningTask, name=st.text("xyz", min_size=1), record=RECORDS, seen=TASK_OBSERVATIONS),
    unique_by=(lambda task: task.name, lambda task: task.record.session),
)
QUEUE = st.lists(
    st.builds(
        Queued,
        name=st.text("pqr", min_size=1),
        changed=st.floats(0, 9),
        record=st.builds(TaskRecord, dir=st.sampled_from([None, "/w", "/v"]), head=st.booleans()),
        problem=st.sampled_from(["", "", "the text is empty"]),
    ),
    unique_by=lambda task: task.name,
)
SLOTS = st.tuples(
    *(
        st.builds(slot, st.just(name), st.sampled_from(Availability), path=st.sampled_from(["/w", "/v"]))
        for name in SESSIONS
    )
)


def dry(actions: Sequence[TaskAction]) -> list[ExecutedAction]:
    return [
        ExecutedAction(
            action=action,
            status=ActionStatus.DEFERRED if action.kind is ActionKind.ENTER else ActionStatus.PENDING,
            busy=action.kind in plan.STAYS,
        )
        for action in actions
    ]


@given(RUNNING, QUEUE, SLOTS)
def test_no_task_goes_to_two_sessions_and_no_session_gets_two(
    tasks: list[RunningTask], queue: list[Queued], slots: tuple[Slot, ...]
) -> None:
    before = dry(plan.plan_collect(tasks, slots, LIMITS, NOW))
    assert [each.action.task for each in before] == [task.name for task in tasks]
    waiting = [*queue, *plan.requeued(before)]
    after = plan.plan_hand_out(plan.unsent(before), waiting, plan.free_slots(slots, before), NOW)
    assert len({action.task for action in after}) == len(after), "one action for each task"
    typed = [action.session for action in after if action.kind in {ActionKind.ENTER, ActionKind.HAND_OUT}]
    assert len(set(typed)) == len(typed), "one text for each session"
    entered = {action.session for action in plan.unsent(before)}
    assert not (plan.busy_sessions(before) - entered) & set(typed), "none to a session that has a task"
    free = {s.session for s in slots if s.availability is Availability.FREE}
    assert {action.session for action in after if action.kind is ActionKind.HAND_OUT} <= free


@given(RUNNING, SLOTS)
def test_no_task_is_requeued_while_its_agent_may_still_do_it(tasks: list[RunningTask], slots: tuple[Slot, ...]) -> None:
    for task, action in zip(tasks, plan.plan_collect(tasks, slots, LIMITS, NOW), strict=True):
        if action.kind is ActionKind.REQUEUE and task.seen is not None and task.seen.alive:
            assert task.record.step is HandOutStep.PASTING, "Enter was never pressed"
            assert task.seen.recorded not in TAKEN
            assert not task.seen.drafted
        if action.kind is ActionKind.REQUEUE:
            assert action.record.session is None
            assert action.record.step is None


@given(RUNNING, QUEUE, SLOTS)
def test_a_dry_run_plans_what_a_real_one_carries_out(
    tasks: list[RunningTask], queue: list[Queued], slots: tuple[Slot, ...]
) -> None:
    """A real run has put requeued tasks into the queue; a dry run adds them to what it read."""
    actions = plan.plan_collect(tasks, slots, LIMITS, NOW)
    planned = dry(actions)
    real = [
        ExecutedAction(
            action=d.action, status=ActionStatus.DONE if d.status is ActionStatus.PENDING else d.status, busy=d.busy
        )
        for d in planned
    ]
    assert plan.free_slots(slots, planned) == plan.free_slots(slots, real)
    assert plan.unsent(planned) == plan.unsent(real)
    assert plan.requeued(real) == ()
    back = plan.requeued(planned)
    assert [task.record for task in back] == [a.record for a in actions if a.kind is ActionKind.REQUEUE]
    free = plan.free_slots(slots, real)
    assert plan.plan_hand_out(plan.unsent(planned), [*queue, *back], free, NOW) == plan.plan_hand_out(
        plan.unsent(real), [*queue, *back], free, NOW
    )
