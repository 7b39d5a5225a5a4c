"""Plans for tasks: what was observed becomes actions, and `executor` carries them out. Pure."""

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
    dispatched,
    ended,
    is_free,
    judge,
    put_back,
)
from failover_oneshot.tasks.text import printable

STAYS: Final = frozenset(
    {ActionKind.KEEP, ActionKind.ENTER, ActionKind.SENT, ActionKind.REBIND, ActionKind.LOST},
)
"""The kinds that leave a task in running/."""

REPORTED: Final = {
    ActionKind.FINISH: "finish",
    ActionKind.FAIL: "fail",
    ActionKind.REFUSE: "fail",
    ActionKind.REQUEUE: "requeue",
    ActionKind.ENTER: "hand_out",
    ActionKind.HAND_OUT: "hand_out",
}
"""The kinds that a report names, and the name in its JSON."""

_UNREPORTED: Final = frozenset({"deferred", "gone", "undone"})


class TaskAction(Struct, frozen=True, kw_only=True):
    """One thing to do with one task."""

    kind: ActionKind
    task: str  # the name of its file
    session: str | None = None
    record: TaskRecord  # the record to write
    reason: str = ""
    text: str = ""  # the text to paste
    hold: str = ""  # why the session gets no tasks for a while; "": it does


class ActionStatus(StrEnum):
    """How an action ended."""

    PENDING = "pending"  # a dry run: planned only
    DEFERRED = "deferred"  # left to the dispatch that follows
    DONE = "done"
    FAILED = "failed"  # the task was not dispatched
    GONE = "gone"  # someone else moved the task in the meantime
    UNDONE = "undone"  # the disk failed; the task is where it was


class ExecutedAction(Struct, frozen=True, kw_only=True):
    """An action that was carried out, or only planned in a dry run."""

    action: TaskAction
    status: ActionStatus
    note: str = ""
    busy: bool = False  # the session has the task


def plan_collect(
    running: Sequence[RunningTask], slots: Sequence[Slot], limits: Dispatch, now: datetime
) -> tuple[TaskAction, ...]:
    """One action for each task in running/, in the same order."""
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
        return Verdict(ActionKind.FAIL, "no record of a dispatch; was the file put into running/ by hand?")
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
    """The place of a task whose conversation continues in another process."""
    if place is None or successor is None:
        return place
    return replace(successor, transcript=place.transcript, offset=place.offset)


def plan_requeue(
    running: Sequence[RunningTask], collected: Collection[ExecutedAction], restarts: Sequence[Restart], now: datetime
) -> tuple[TaskAction, ...]:
    """Actions that requeue the tasks of sessions a swap has just restarted, where the agent keeps no records.

    With records, the next check sees which conversation the new agent is in. ``collected``: what `collect` did before
    the restart, or would do in a dry run.
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
    """The sessions that can get a task after these actions."""
    taken = busy_sessions(done) | holds(done).keys()
    return tuple(slot for slot in slots if is_free(slot) and slot.session not in taken)


def unsent(done: Sequence[ExecutedAction]) -> tuple[TaskAction, ...]:
    """The actions for tasks whose text is in a prompt box and needs Enter."""
    return tuple(each.action for each in done if each.status is ActionStatus.DEFERRED)


def requeued(done: Sequence[ExecutedAction]) -> tuple[Queued, ...]:
    """The tasks that a dry run would have put into the queue."""
    return tuple(
        Queued(name=each.action.task, changed=0.0, record=each.action.record)
        for each in done
        if each.action.kind is ActionKind.REQUEUE and each.status is ActionStatus.PENDING
    )


def plan_hand_out(
    entered: Sequence[TaskAction], queue: Sequence[Queued], free: Sequence[Slot], now: datetime
) -> tuple[TaskAction, ...]:
    """Actions of one dispatch: refuse files that cannot be tasks, press Enter for texts in a box, then dispatch tasks.

    ``entered``: the actions that press Enter.
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
    sent = (
        TaskAction(
            kind=ActionKind.HAND_OUT,
            task=task.name,
            session=slot.session,
            record=dispatched(task.record, slot.session, slot.place, now),
            text=task.text,
        )
        for task, slot in assign([task for task in queue if not task.problem], free)
    )
    return (*refused, *entered, *sent)


def plan_undelivered(action: TaskAction, why: str, attempts: int, now: datetime, *, tried: bool) -> TaskAction:
    """The action for a task that did not reach its session. ``tried``: the text was pasted, so the attempt counts."""
    verdict = bounded(action.record, Verdict(ActionKind.REQUEUE, why, tried), attempts)
    record = _record(action.record, verdict, None, now)
    return replace(action, kind=verdict.kind, record=record, reason=verdict.why)


# -- results -----------------------------------------------------------------------------------------------------------


def busy_sessions(done: Sequence[ExecutedAction]) -> frozenset[str]:
    """The sessions that have a task."""
    return frozenset(each.action.session or "" for each in done if each.busy)


def holds(done: Sequence[ExecutedAction]) -> dict[str, str]:
    """The sessions to put on hold, each with the reason."""
    return {each.action.session or "": each.action.hold for each in done if each.action.hold}


def with_holds(state: State, done: Sequence[ExecutedAction], now: datetime) -> State:
    """The state with these sessions put on hold."""
    if not (held := holds(done)):
        return state
    sessions = dict(state.sessions)
    for name, why in held.items():
        trouble = Trouble(at=seconds(now), reason=why)
        sessions[name] = replace(sessions.get(name, SessionMemory()), held=trouble)
    return replace(state, sessions=sessions)


def moves(done: Sequence[ExecutedAction]) -> tuple[TaskMove, ...]:
    """The task moves for a report."""
    return tuple(move for each in done if (move := reported(each)))


def reported(done: ExecutedAction) -> TaskMove | None:
    """The task move that a report shows for one action; None if it shows nothing."""
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
