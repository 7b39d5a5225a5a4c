"""What is to be done about tasks: from what was observed to actions, which `executor` carries out. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.agents.base import PromptState
from failover_oneshot.config.model import Dispatch
from failover_oneshot.model import Restart, TaskMove
from failover_oneshot.state.model import SessionMemory, State, Trouble, seconds
from failover_oneshot.tasks.task import (
    ActionKind,
    AgentPlace,
    HandOutStep,
    Queued,
    RunningTask,
    Slot,
    TaskRecord,
    Verdict,
    assign,
    bounded,
    ended,
    handed_out,
    is_free,
    judge,
    put_back,
)
from failover_oneshot.tasks.text import printable

STAYS: Final = frozenset(
    {ActionKind.KEEP, ActionKind.ENTER, ActionKind.SENT, ActionKind.REBIND, ActionKind.LOST},
)
"""The kinds after which a task is in running/ still."""

REPORTED: Final = {
    ActionKind.FINISH: "finish",
    ActionKind.FAIL: "fail",
    ActionKind.REFUSE: "fail",
    ActionKind.REQUEUE: "requeue",
    ActionKind.ENTER: "hand_out",
    ActionKind.HAND_OUT: "hand_out",
}
"""The kinds that a report names, and how."""


_UNREPORTED: Final = frozenset({"deferred", "gone", "undone"})


class TaskAction(Struct, frozen=True, kw_only=True):
    """One thing to do about one task."""

    kind: ActionKind
    task: str  # the name of its file
    session: str | None = None
    record: TaskRecord  # as it is to be on the disk
    reason: str = ""
    text: str = ""  # what is to be typed
    hold: str = ""  # why the session gets no tasks for a while


class ActionStatus(StrEnum):
    """What became of an action."""

    PENDING = "pending"  # a dry run: nothing was done
    DEFERRED = "deferred"  # it is for the hand-out that follows
    DONE = "done"
    FAILED = "failed"  # it was not handed out
    GONE = "gone"  # somebody else has moved the task meanwhile
    UNDONE = "undone"  # the disk refuses: the task stays as it is


class ExecutedAction(Struct, frozen=True, kw_only=True):
    """An action that was carried out, or was only planned."""

    action: TaskAction
    status: ActionStatus
    note: str = ""
    busy: bool = False  # the session has the task


def plan_collect(
    running: Sequence[RunningTask], slots: Sequence[Slot], limits: Dispatch, now: datetime
) -> tuple[TaskAction, ...]:
    """One action for each task in running/, in their order."""
    places = {slot.session: slot.place for slot in slots}
    return tuple(_collect(task, places.get(task.record.session or ""), limits, now) for task in running)


def _collect(task: RunningTask, successor: AgentPlace | None, limits: Dispatch, now: datetime) -> TaskAction:
    verdict, failed_turn = _verdict(task, limits, now), False
    if verdict.kind is ActionKind.FAIL and task.seen is not None:
        failed_turn = task.seen.recorded is PromptState.ERROR
    verdict = bounded(task.record, verdict, limits.attempts)
    return TaskAction(
        kind=verdict.kind,
        task=task.name,
        session=task.record.session or "",
        record=_record(task.record, verdict, successor, now),
        reason=verdict.why,
        text=task.text if verdict.kind is ActionKind.ENTER else "",
        hold="the agent's last turn ended with an error" if failed_turn else "",
    )


def _verdict(task: RunningTask, limits: Dispatch, now: datetime) -> Verdict:
    if not task.readable:
        return Verdict(ActionKind.KEEP)
    if task.seen is None:
        return Verdict(ActionKind.FAIL, "there is no record of its hand-out: was it put into running/ by hand?")
    return judge(task.record, task.seen, now, limits.timeout)


def _record(record: TaskRecord, verdict: Verdict, successor: AgentPlace | None, now: datetime) -> TaskRecord:
    match verdict.kind:
        case ActionKind.FINISH:
            return ended(record, "done", "", now)
        case ActionKind.FAIL:
            return ended(record, "failed", verdict.why, now)
        case ActionKind.REQUEUE:
            return put_back(record, verdict.why, now, tried=verdict.tried)
        case ActionKind.SENT:
            return replace(record, step=HandOutStep.SENT, sent_at=now)
        case ActionKind.LOST:
            return replace(record, lost_at=now)
        case ActionKind.REBIND:
            return replace(record, lost_at=None, place=_rebound(record.place, successor))
        case _:
            return record


def _rebound(place: AgentPlace | None, successor: AgentPlace | None) -> AgentPlace | None:
    """The place of a task whose conversation goes on in another process."""
    if place is None or successor is None:
        return place
    return replace(successor, transcript=place.transcript, offset=place.offset)


def plan_requeue(
    running: Sequence[RunningTask], collected: Collection[ExecutedAction], restarts: Sequence[Restart], now: datetime
) -> tuple[TaskAction, ...]:
    """Tasks of sessions that a swap has just restarted go back at once, where there are no records to wait for.

    With records the next check sees in which conversation the new agent is. ``collected``: what was done about tasks
    before the restart, or in a dry run would be.
    """
    restarted = {r.session for r in restarts if r.action in {"recreate", "respawn"} and r.status != "failed"}
    left = {
        done.action.task for done in collected if done.status is ActionStatus.PENDING and done.action.kind not in STAYS
    }
    return tuple(
        TaskAction(
            kind=ActionKind.REQUEUE,
            task=task.name,
            session=task.record.session,
            record=put_back(task.record, why, now, tried=False),
            reason=why,
        )
        for task in running
        if task.record.session in restarted and task.name not in left
        if not (task.record.place and task.record.place.transcript)
        for why in [f"{task.record.session} was restarted by a swap"]
    )


def free_slots(slots: Sequence[Slot], done: Sequence[ExecutedAction]) -> tuple[Slot, ...]:
    """The sessions that can be given a task after what was done."""
    taken = busy_sessions(done) | holds(done).keys()
    return tuple(slot for slot in slots if is_free(slot) and slot.session not in taken)


def unsent(done: Sequence[ExecutedAction]) -> tuple[TaskAction, ...]:
    """The tasks whose text stands in a prompt, and Enter is to be pressed."""
    return tuple(each.action for each in done if each.status is ActionStatus.DEFERRED)


def requeued(done: Sequence[ExecutedAction]) -> tuple[Queued, ...]:
    """What a dry run would have put into the queue."""
    return tuple(
        Queued(name=each.action.task, changed=0.0, record=each.action.record)
        for each in done
        if each.action.kind is ActionKind.REQUEUE and each.status is ActionStatus.PENDING
    )


def plan_hand_out(
    entered: Sequence[TaskAction], queue: Sequence[Queued], free: Sequence[Slot], now: datetime
) -> tuple[TaskAction, ...]:
    """What cannot be a task leaves the queue; texts that stand in a prompt are sent; tasks go to the free sessions.

    ``entered``: the actions for those texts.
    """
    refused = (
        TaskAction(
            kind=ActionKind.REFUSE,
            task=task.name,
            record=ended(task.record, "refused", task.problem, now),
            reason=task.problem,
        )
        for task in queue
        if task.problem
    )
    handed = (
        TaskAction(
            kind=ActionKind.HAND_OUT,
            task=task.name,
            session=slot.session,
            record=handed_out(task.record, slot.session, slot.place, now),
            text=task.text,
        )
        for task, slot in assign([task for task in queue if not task.problem], free)
    )
    return (*refused, *entered, *handed)


def plan_undelivered(action: TaskAction, why: str, attempts: int, now: datetime, *, tried: bool) -> TaskAction:
    """What becomes of a task that was not handed out after all. ``tried``: its text was typed, the attempt counts."""
    verdict = bounded(action.record, Verdict(ActionKind.REQUEUE, why, tried), attempts)
    record = _record(action.record, verdict, None, now)
    return replace(action, kind=verdict.kind, record=record, reason=verdict.why)


# -- what it came to ---------------------------------------------------------------------------------------------------


def busy_sessions(done: Sequence[ExecutedAction]) -> frozenset[str]:
    """The sessions that have a task."""
    return frozenset(each.action.session or "" for each in done if each.busy)


def holds(done: Sequence[ExecutedAction]) -> dict[str, str]:
    """The sessions that get no tasks for a while, and why."""
    return {each.action.session or "": each.action.hold for each in done if each.action.hold}


def with_holds(state: State, done: Sequence[ExecutedAction], now: datetime) -> State:
    """The state with those sessions noted."""
    if not (held := holds(done)):
        return state
    sessions = dict(state.sessions)
    for name, why in held.items():
        trouble = Trouble(at=seconds(now), reason=why)
        sessions[name] = replace(sessions.get(name, SessionMemory()), held=trouble)
    return replace(state, sessions=sessions)


def moves(done: Sequence[ExecutedAction]) -> tuple[TaskMove, ...]:
    """What a report says of it."""
    return tuple(move for each in done if (move := reported(each)))


def reported(done: ExecutedAction) -> TaskMove | None:
    """What a report says of one action; None for nothing."""
    action = done.action
    if action.kind not in REPORTED or done.status in _UNREPORTED:
        return None
    return TaskMove(
        action=REPORTED[action.kind],
        task=printable(action.task),
        session=action.session,
        status=str(done.status),
        note=done.note,
    )
