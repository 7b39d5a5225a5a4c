"""Tasks: the record beside each text, the order of the queue, and the verdict on each running task. Pure.

docs/dispatch.md explains the rules. Times are UTC, durations are seconds.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from failover_oneshot.agents.base import PromptState
from failover_oneshot.lib import durations
from failover_oneshot.lib.plural import plural
from failover_oneshot.model import Outcome, PoolTally
from failover_oneshot.state.history import HistoryEntry
from failover_oneshot.state.model import stamp

Utc = Annotated[datetime, Meta(tz=True)]

SETTLED: Final = 1.0  # seconds; by then an agent that took a text shows on its screen that it is working
SUCCESSOR_WAIT: Final = 60.0  # seconds in which a restarted agent must show its conversation
HOLD: Final = 300.0  # seconds without tasks after a text did not arrive, or a turn ended with an error


class HandOutStep(StrEnum):
    """How far the dispatch of a task has come. Each step is on disk before the work that follows it."""

    PASTING = "pasting"  # the text may be in the prompt box; Enter has not been pressed
    ENTERING = "entering"  # the text was seen in the box; Enter may have been pressed
    SENT = "sent"  # the agent has taken the text


class AgentPlace(Struct, frozen=True, kw_only=True):
    """The agent process that received a task, and where its records of the task begin."""

    server_pid: int
    pane_id: str
    pane_pid: int
    client_pid: int = 0  # 0: the agent keeps no records
    conversation: str = ""  # the agent's session id
    transcript: str = ""  # the conversation's file
    offset: int = 0  # the file's size in bytes before the dispatch


class TaskRecord(Struct, frozen=True, kw_only=True):
    """The JSON record beside the text of a task."""

    version: int = 1
    submitted_at: Utc | None = None  # None: dropped by hand; the file's time is used
    priority: int = 0  # higher first
    dir: str | None = None  # only for a session whose agent works in this folder
    head: bool = False  # dispatched before, so at the head of the queue
    attempts: int = 0
    session: str | None = None
    step: HandOutStep | None = None
    handed_out_at: Utc | None = None
    sent_at: Utc | None = None
    before: str = ""  # the conversation's fingerprint just before Enter
    lost_at: Utc | None = None  # when its agent was first found to be gone
    place: AgentPlace | None = None
    finished_at: Utc | None = None
    why: str = ""
    history: tuple[dict[str, Any], ...] = ()


class Queued(Struct, frozen=True, kw_only=True):
    """A file in the queue. ``problem`` says why it cannot be a task."""

    name: str
    changed: float  # the file's time, seconds since the epoch
    record: TaskRecord = TaskRecord()
    problem: str = ""
    text: str = ""  # as it is pasted; read only when a session can take it

    @property
    def rank(self) -> tuple[bool, int, float, str]:
        """The sort key: the head of the queue, then higher priority, then older."""
        at = self.record.submitted_at
        return (not self.record.head, -self.record.priority, at.timestamp() if at else self.changed, self.name)


class Availability(StrEnum):
    """Whether a pool session can get a task."""

    FREE = "free"
    BUSY = "busy"
    BLOCKED = "blocked"
    DEAD = "dead"
    HELD = "held"


class Slot(Struct, frozen=True, kw_only=True):
    """A pool session as a place for a task."""

    session: str
    availability: Availability
    path: str = ""  # the folder its agent works in
    place: AgentPlace | None = None  # its agent, if any


class TaskObservation(Struct, frozen=True, kw_only=True):
    """What one check observed of a dispatched task."""

    alive: bool  # the agent process that received it is still there
    availability: Availability  # of its session
    recorded: PromptState = PromptState.NONE  # what the agent's records say about it
    hit: bool = False  # the screen shows a limit hit, maybe an old one
    shown: bool = False  # the last prompt on the screen is the task
    answered: bool = False  # that prompt has an answer
    drafted: bool = False  # the text is in the prompt box
    successor: str = ""  # the conversation of the agent now in the session; "": not known
    startable: bool = False  # a process runs in the session that may still start an agent
    swapped: bool = False  # a swap has restarted the session since the dispatch


class RunningTask(Struct, frozen=True, kw_only=True):
    """A task in running/. ``seen`` is None when its record holds no dispatch."""

    name: str
    record: TaskRecord
    text: str = ""
    readable: bool = True
    seen: TaskObservation | None = None


class ActionKind(StrEnum):
    """What to do with a task."""

    KEEP = "keep"
    ENTER = "enter"  # press Enter again: the text is in the box
    SENT = "sent"  # the agent has taken it after all
    REBIND = "rebind"  # its conversation continues in another process
    LOST = "lost"  # record since when its agent is gone
    FINISH = "finish"
    REQUEUE = "requeue"
    FAIL = "fail"
    REFUSE = "refuse"  # the file in the queue cannot be a task
    HAND_OUT = "hand_out"


class Verdict(Struct, frozen=True):
    """What to do with a task, and why."""

    kind: ActionKind
    why: str = ""
    tried: bool = True  # for REQUEUE: the attempt counts, unless a swap ended it


def judge(record: TaskRecord, seen: TaskObservation, now: datetime, timeout: float) -> Verdict:
    """The verdict on a dispatched task. No second agent gets it while the first may still do it."""
    if seen.recorded is PromptState.ENDED and not (seen.alive and seen.availability is Availability.BUSY):
        return Verdict(ActionKind.FINISH)
    if not seen.alive:
        return _orphaned(record, seen, now)
    if record.step is not HandOutStep.SENT:
        return _unfinished_dispatch(record, seen)
    began = record.handed_out_at or now
    if (now - began).total_seconds() > timeout:
        limit = f"{durations.format(timeout)} (dispatch.timeout)"
        return Verdict(ActionKind.FAIL, f"not done within {limit}; {record.session} was not stopped")
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
    """The verdict when the agent is gone: done, continued by another process, or back to the queue."""
    gone = f"{record.session} was restarted by a swap" if seen.swapped else f"the agent in {record.session} is gone"
    if record.step is HandOutStep.PASTING:
        return Verdict(ActionKind.REQUEUE, f"{gone}; the text had not been sent", not seen.swapped)
    place = record.place
    if seen.recorded is PromptState.NONE or place is None:
        if seen.swapped:
            return Verdict(ActionKind.REQUEUE, gone, tried=False)
        return Verdict(ActionKind.FAIL, f"{gone} and left no records; unknown whether the task was done")
    if seen.recorded is PromptState.DOUBT:
        return Verdict(ActionKind.FAIL, f"{gone}, and its records do not say whether the task was done")
    if seen.successor and seen.successor == place.conversation:
        return Verdict(ActionKind.REBIND, f"a new process in {record.session} continues the conversation")
    if seen.startable and not seen.successor:
        if record.lost_at is None:
            return Verdict(ActionKind.LOST, f"{gone}; waiting for a new agent")
        if 0 <= (now - record.lost_at).total_seconds() < SUCCESSOR_WAIT:
            return Verdict(ActionKind.KEEP, f"{gone}; waiting for a new agent")
    return Verdict(ActionKind.REQUEUE, gone, not seen.swapped)


def _unfinished_dispatch(record: TaskRecord, seen: TaskObservation) -> Verdict:
    """The verdict when a check was killed, or stopped waiting, in the middle of a dispatch."""
    if seen.recorded in {PromptState.OPEN, PromptState.DOUBT, PromptState.ENDED, PromptState.LIMIT, PromptState.ERROR}:
        return Verdict(ActionKind.SENT)  # taken; by now the agent may be busy with something else
    if seen.drafted:
        return Verdict(ActionKind.ENTER)
    if record.step is HandOutStep.PASTING:
        return Verdict(ActionKind.REQUEUE, f"the text did not arrive in {record.session}")
    if seen.shown or seen.hit or seen.availability is Availability.BUSY:
        return Verdict(ActionKind.SENT)
    if seen.availability is Availability.FREE:
        return Verdict(ActionKind.FAIL, f"unknown whether the agent in {record.session} took the text")
    return Verdict(ActionKind.KEEP)


def bounded(record: TaskRecord, verdict: Verdict, attempts: int) -> Verdict:
    """The verdict; a requeue becomes a failure once the task has used up its attempts."""
    if verdict.kind is ActionKind.REQUEUE and verdict.tried and record.attempts >= attempts:
        made = plural(record.attempts, "attempt")
        return Verdict(ActionKind.FAIL, f"{verdict.why}; gave up after {made} (dispatch.attempts)")
    return verdict


def was_restarted(newest_first: Iterable[HistoryEntry], record: TaskRecord) -> bool:
    """Whether a swap, or a restart after waiting, has restarted the task's session since its dispatch."""
    for entry in newest_first:
        if entry.at is None or entry.outcome not in {Outcome.SWAPPED, Outcome.RESUMED}:
            continue
        if record.handed_out_at is None or entry.at < record.handed_out_at.replace(microsecond=0):
            return False
        if entry.sessions.get(record.session or "") in {"recreate done", "respawn done"}:
            return True
    return False


def assign(queue: Sequence[Queued], slots: Sequence[Slot]) -> list[tuple[Queued, Slot]]:
    """Pairs of task and idle session: tasks by rank, each to the first session it may run in."""
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
    """How many sessions are in each condition. Those in ``working`` have a task and count as busy."""
    found = [Availability.BUSY if is_free(s) and s.session in working else s.availability for s in slots]
    return PoolTally(**{str(each): found.count(each) for each in Availability})


def is_free(slot: Slot) -> bool:
    """Whether a session can get a task."""
    return slot.availability is Availability.FREE


def on_hold(at: datetime | None, now: datetime) -> bool:
    """Whether a session that was put on hold at this time is still on hold."""
    return at is not None and abs(now - at) < timedelta(seconds=HOLD)


def dispatched(record: TaskRecord, session: str, place: AgentPlace | None, now: datetime) -> TaskRecord:
    """The record of a task that is about to be pasted into this session."""
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
    """The record of a task that returns to the head of the queue. ``tried``: the attempt counts."""
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
    """The record of a task that is done, failed or canceled. ``event`` goes into its history."""
    return replace(_with_event(record, event, why, now), finished_at=now, step=None, why=why)


def retried(record: TaskRecord, now: datetime) -> TaskRecord:
    """The record of a task that the operator has queued again: no attempts, same priority and folder."""
    return TaskRecord(
        submitted_at=record.submitted_at,
        priority=record.priority,
        dir=record.dir,
        history=_with_event(record, "retried", "", now).history,
    )


def _with_event(record: TaskRecord, event: str, why: str, now: datetime) -> TaskRecord:
    entry = {"at": stamp(now), "event": event}
    if record.session:
        entry["session"] = record.session
    if why:
        entry["why"] = why
    return replace(record, history=(*record.history, entry)[-50:])
