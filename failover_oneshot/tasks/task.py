"""What a task is, and what becomes of it: the record beside its text, the order of the queue, the verdicts. Pure.

The rules are told in docs/dispatch.md. Times are UTC, durations seconds.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from failover_oneshot.agents.base import PromptState
from failover_oneshot.lib import durations
from failover_oneshot.model import Outcome, PoolTally
from failover_oneshot.state.history import HistoryEntry

Utc = Annotated[datetime, Meta(tz=True)]

SETTLED: Final = 1.0  # seconds after which an agent that took a text shows that it works, if it does
SUCCESSOR_WAIT: Final = 60.0  # seconds for a restarted agent to show which conversation it is in
HOLD: Final = 300.0  # seconds without tasks for a session where one did not arrive, or whose server failed


class HandOutStep(StrEnum):
    """How far a hand-out has come; each is on the disk before what follows it is done."""

    PASTING = "pasting"  # the text may stand in the session's box; Enter has not been pressed
    ENTERING = "entering"  # it was seen there; Enter may have been pressed
    SENT = "sent"  # the agent was seen to take it


class AgentPlace(Struct, frozen=True, kw_only=True):
    """The very agent that got a task, and where its records of it begin."""

    server_pid: int
    pane_id: str
    pane_pid: int
    client_pid: int = 0  # 0: it leaves no records
    conversation: str = ""  # the client's session id
    transcript: str = ""  # that conversation's file
    offset: int = 0  # its size in bytes before the hand-out


class TaskRecord(Struct, frozen=True, kw_only=True):
    """The JSON beside a task's text."""

    version: int = 1
    submitted_at: Utc | None = None  # None: dropped by hand; the file's time counts
    priority: int = 0  # higher first
    dir: str | None = None  # only for a session that works in this folder
    head: bool = False  # it was handed out before and stands at the head of the queue
    attempts: int = 0
    session: str | None = None
    step: HandOutStep | None = None
    handed_out_at: Utc | None = None
    sent_at: Utc | None = None
    before: str = ""  # the fingerprint of the conversation when Enter was about to be pressed
    lost_at: Utc | None = None  # when its agent was first seen to be another one
    place: AgentPlace | None = None
    finished_at: Utc | None = None
    why: str = ""
    history: tuple[dict[str, Any], ...] = ()


class Queued(Struct, frozen=True, kw_only=True):
    """A file in the queue. ``problem``: why it is no task."""

    name: str
    changed: float  # the file's time, seconds since the epoch
    record: TaskRecord = TaskRecord()
    problem: str = ""
    text: str = ""  # as it is pasted, once its turn has come

    @property
    def rank(self) -> tuple[bool, int, float, str]:
        """The head of the queue first, then by priority, then the oldest."""
        at = self.record.submitted_at
        return (not self.record.head, -self.record.priority, at.timestamp() if at else self.changed, self.name)


class Availability(StrEnum):
    """Whether a session of the pool can be given a task."""

    FREE = "free"
    BUSY = "busy"
    BLOCKED = "blocked"
    DEAD = "dead"
    HELD = "held"


class Slot(Struct, frozen=True, kw_only=True):
    """A session of the pool, as a task sees it."""

    session: str
    availability: Availability
    path: str = ""  # the folder that its agent works in
    place: AgentPlace | None = None  # its agent; None when it has none


class TaskObservation(Struct, frozen=True, kw_only=True):
    """What is seen of a task that was handed out."""

    alive: bool  # the very agent that got it is there
    availability: Availability  # of its session
    recorded: PromptState = PromptState.NONE  # what the agent's records say of it
    hit: bool = False  # the screen shows a limit, an old one too
    shown: bool = False  # the screen's last prompt is the task
    answered: bool = False  # and it is answered
    drafted: bool = False  # the task stands in the box
    successor: str = ""  # the conversation of the client that is in the session now; "": none is known
    startable: bool = False  # something runs in the session that may still become a client
    swapped: bool = False  # a swap of ours restarted the session since


class RunningTask(Struct, frozen=True, kw_only=True):
    """A task in running/. ``seen``: None when nothing tells of its hand-out."""

    name: str
    record: TaskRecord
    text: str = ""
    readable: bool = True
    seen: TaskObservation | None = None


class ActionKind(StrEnum):
    """What is done about a task."""

    KEEP = "keep"
    ENTER = "enter"  # press Enter again: the text stands in the box
    SENT = "sent"  # it turned out to have been taken
    REBIND = "rebind"  # its conversation goes on in another process
    LOST = "lost"  # remember since when its agent is another one
    FINISH = "finish"
    REQUEUE = "requeue"
    FAIL = "fail"
    REFUSE = "refuse"  # what stands in the queue cannot be a task
    HAND_OUT = "hand_out"


class Verdict(Struct, frozen=True):
    kind: ActionKind
    why: str = ""
    tried: bool = True  # for REQUEUE: this attempt counts; one that a swap of ours ended does not


def judge(record: TaskRecord, seen: TaskObservation, now: datetime, timeout: float) -> Verdict:
    """What becomes of a task that was handed out. It is never given to a second agent while the first may do it."""
    if seen.recorded is PromptState.ENDED and not (seen.alive and seen.availability is Availability.BUSY):
        return Verdict(ActionKind.FINISH)
    if not seen.alive:
        return _orphaned(record, seen, now)
    if record.step is not HandOutStep.SENT:
        return _unfinished_hand_out(record, seen)
    began = record.handed_out_at or now
    if (now - began).total_seconds() > timeout:
        return Verdict(
            ActionKind.FAIL, f"not done within {durations.format(timeout)}; {record.session} is left as it is"
        )
    if seen.availability is Availability.BUSY or seen.hit or seen.recorded is PromptState.LIMIT:
        return Verdict(ActionKind.KEEP)
    if seen.recorded is PromptState.ERROR:
        return Verdict(ActionKind.FAIL, "the agent's turn ended with an error")
    if seen.availability is Availability.FREE and (
        seen.answered or (now - (record.sent_at or now)).total_seconds() >= SETTLED
    ):
        return Verdict(ActionKind.FINISH)
    return Verdict(ActionKind.KEEP)


def _orphaned(record: TaskRecord, seen: TaskObservation, now: datetime) -> Verdict:
    """Its agent is gone: was it done, does another process go on with it, or is it nobody's now?"""
    gone = f"{record.session} was restarted by a swap" if seen.swapped else f"the agent in {record.session} is gone"
    if record.step is HandOutStep.PASTING:
        return Verdict(ActionKind.REQUEUE, f"{gone}; the text had not been sent", not seen.swapped)
    place = record.place
    if seen.recorded is PromptState.NONE or place is None:
        if seen.swapped:
            return Verdict(ActionKind.REQUEUE, gone, tried=False)
        return Verdict(ActionKind.FAIL, f"{gone}, and it left no records: whether the task was done is not known")
    if seen.recorded is PromptState.DOUBT:
        return Verdict(ActionKind.FAIL, f"{gone}, and its records do not say whether the task was done")
    if seen.successor and seen.successor == place.conversation:
        return Verdict(ActionKind.REBIND, f"{record.session} goes on with its conversation")
    if seen.startable and not seen.successor:
        if record.lost_at is None:
            return Verdict(ActionKind.LOST, f"{gone}; waiting for its successor")
        if 0 <= (now - record.lost_at).total_seconds() < SUCCESSOR_WAIT:
            return Verdict(ActionKind.KEEP, f"{gone}; waiting for its successor")
    return Verdict(ActionKind.REQUEUE, gone, not seen.swapped)


def _unfinished_hand_out(record: TaskRecord, seen: TaskObservation) -> Verdict:
    """A run was killed, or gave up waiting, in the middle of a hand-out."""
    if seen.recorded in {PromptState.OPEN, PromptState.DOUBT, PromptState.ENDED, PromptState.LIMIT, PromptState.ERROR}:
        return Verdict(ActionKind.SENT)  # it was taken; the agent may be busy with something else by now
    if seen.drafted:
        return Verdict(ActionKind.ENTER)
    if record.step is HandOutStep.PASTING:
        return Verdict(ActionKind.REQUEUE, f"the text did not arrive in {record.session}")
    if seen.shown or seen.hit or seen.availability is Availability.BUSY:
        return Verdict(ActionKind.SENT)
    if seen.availability is Availability.FREE:
        return Verdict(ActionKind.FAIL, f"whether the agent in {record.session} took it is not known")
    return Verdict(ActionKind.KEEP)


def bounded(record: TaskRecord, verdict: Verdict, attempts: int) -> Verdict:
    """The verdict, but that a task which was tried often enough has failed."""
    if verdict.kind is ActionKind.REQUEUE and verdict.tried and record.attempts >= attempts:
        return Verdict(ActionKind.FAIL, f"{verdict.why}; it was tried {record.attempts} times (dispatch.attempts)")
    return verdict


def was_restarted(newest_first: Iterable[HistoryEntry], record: TaskRecord) -> bool:
    """Whether a swap, or the restart after waiting, restarted the task's session since it was handed out."""
    for entry in newest_first:
        if entry.at is None or entry.outcome not in {Outcome.SWAPPED, Outcome.RESUMED}:
            continue
        if record.handed_out_at is None or entry.at < record.handed_out_at.replace(microsecond=0):
            return False
        if entry.sessions.get(record.session or "") in {"recreate done", "respawn done"}:
            return True
    return False


def assign(queue: Sequence[Queued], slots: Sequence[Slot]) -> list[tuple[Queued, Slot]]:
    """Which task goes to which free session: the tasks by rank, each to the first session that it may go to."""
    free, found = [slot for slot in slots if is_free(slot)], []
    for task in sorted(queue, key=lambda task: task.rank):
        if not free:
            break
        slot = next((slot for slot in free if task.record.dir in {None, slot.path}), None)
        if slot is not None:
            free.remove(slot)
            found.append((task, slot))
    return found


def tally(slots: Sequence[Slot], working: Collection[str]) -> PoolTally:
    """The counts; ``working``: the sessions that have a task."""
    found = [Availability.BUSY if is_free(s) and s.session in working else s.availability for s in slots]
    return PoolTally(**{str(each): found.count(each) for each in Availability})


def is_free(slot: Slot) -> bool:
    """Whether nothing that was seen of a session speaks against a task for it."""
    return slot.availability is Availability.FREE


def on_hold(at: datetime | None, now: datetime) -> bool:
    """Whether a session that was put on hold then still is."""
    return at is not None and abs(now - at) < timedelta(seconds=HOLD)


def handed_out(record: TaskRecord, session: str, place: AgentPlace | None, now: datetime) -> TaskRecord:
    """The record of a task that is about to be pasted into that session."""
    return replace(
        record,
        attempts=record.attempts + 1,
        session=session,
        step=HandOutStep.PASTING,
        handed_out_at=now,
        sent_at=None,
        before="",
        lost_at=None,
        place=place,
        why="",
    )


def put_back(record: TaskRecord, why: str, now: datetime, *, tried: bool = True) -> TaskRecord:
    """The record of a task that goes back to the head of the queue. ``tried``: this attempt counts."""
    return replace(
        _with_event(record, "requeued", why, now),
        head=True,
        attempts=record.attempts - (not tried),
        session=None,
        step=None,
        handed_out_at=None,
        sent_at=None,
        lost_at=None,
        place=None,
        why=why,
    )


def ended(record: TaskRecord, event: str, why: str, now: datetime) -> TaskRecord:
    """The record of a task that is done or has failed."""
    return replace(_with_event(record, event, why, now), finished_at=now, step=None, why=why)


def anew(record: TaskRecord, now: datetime) -> TaskRecord:
    """The record of a task that the operator wants to have tried again."""
    return TaskRecord(
        submitted_at=record.submitted_at,
        priority=record.priority,
        dir=record.dir,
        history=_with_event(record, "retried", "", now).history,
    )


def _with_event(record: TaskRecord, event: str, why: str, now: datetime) -> TaskRecord:
    entry = {"at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "event": event}
    if record.session:
        entry["session"] = record.session
    if why:
        entry["why"] = why
    return replace(record, history=(*record.history, entry)[-50:])
