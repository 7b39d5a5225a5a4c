"""Carries out task actions, on the spool and in the panes. Each step is on disk before the work that follows it.

If a check is killed anywhere, the task's record says how far it got, and the next check looks at the pane
(docs/dispatch.md).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from failover_oneshot.agents.base import Agent, PromptState
from failover_oneshot.config.model import Dispatch
from failover_oneshot.lib import atomicfile
from failover_oneshot.pool import typist
from failover_oneshot.pool.typist import Job, Typed, Typing, TypingEnd
from failover_oneshot.state.model import LastCheck
from failover_oneshot.tasks.plan import (
    STAYS,
    ActionStatus,
    ExecutedAction,
    TaskAction,
    moves,
    plan_undelivered,
    reported,
)
from failover_oneshot.tasks.spool import DONE, FAILED, QUEUE, RUNNING, Spool, SpoolError, TaskGoneError
from failover_oneshot.tasks.task import ActionKind, HandOutStep
from failover_oneshot.tasks.text import printable
from failover_oneshot.tmux.client import TmuxControl, TmuxError, TmuxReader

PATIENCE: Final = 10.0  # seconds for an agent to show the paste, and again to take it
_MOVES: Final = {
    ActionKind.FINISH: (RUNNING, DONE),
    ActionKind.FAIL: (RUNNING, FAILED),
    ActionKind.REQUEUE: (RUNNING, QUEUE),
    ActionKind.REFUSE: (QUEUE, FAILED),
    ActionKind.HAND_OUT: (QUEUE, RUNNING),
}
_UPDATES: Final = {ActionKind.SENT, ActionKind.LOST, ActionKind.REBIND}
_LOGGED: Final = {
    "finish": ("done", "would be marked done"),
    "fail": ("failed", "would be marked failed"),
    "requeue": ("requeued", "would be requeued"),
    "hand_out": ("dispatched", "would be dispatched"),
}
"""How the log words a move, carried out or in a dry run."""

log = logging.getLogger("failover")


def open_spool(folder: str | None, now: datetime, guard: Callable[[], None], *, dry_run: bool) -> Spool | None:
    """The spool, tidied up after a killed check; None when it is unset, or unusable, which is logged."""
    if folder is None:
        return None
    spool = Spool(folder, guard)
    try:
        if dry_run:
            spool.verify()
        else:
            spool.prepare()
            spool.tidy(now)
    except SpoolError as error:
        log.error("no tasks dispatched: %s", error)
    except OSError as error:
        log.error("no tasks dispatched: cannot use %s: %s", error.filename, error.strerror)
    else:
        return spool
    return None


def carry_out(spool: Spool, actions: Sequence[TaskAction], *, dry_run: bool) -> tuple[ExecutedAction, ...]:
    """Move the tasks and update their records; typing is left to `hand_out`. A dry run changes nothing."""
    return tuple(_logged(_carry_out(spool, action, dry_run=dry_run)) for action in actions)


def _carry_out(spool: Spool, action: TaskAction, *, dry_run: bool) -> ExecutedAction:
    if action.kind is ActionKind.ENTER:
        return ExecutedAction(action=action, status=ActionStatus.DEFERRED, busy=True)
    if dry_run:
        return _planned(action)
    try:
        if action.kind in _UPDATES:
            spool.update(RUNNING, action.task, action.record)
        elif action.kind in _MOVES:
            spool.move(action.task, *_MOVES[action.kind], action.record)
    except TaskGoneError:
        return ExecutedAction(action=action, status=ActionStatus.GONE)
    except OSError as error:
        return _undone(action, error)
    return ExecutedAction(action=action, status=ActionStatus.DONE, note=action.reason, busy=action.kind in STAYS)


def _planned(action: TaskAction) -> ExecutedAction:
    return ExecutedAction(action=action, status=ActionStatus.PENDING, note=action.reason, busy=action.kind in STAYS)


def _undone(action: TaskAction, error: OSError) -> ExecutedAction:
    name = printable(action.task)
    if action.kind is ActionKind.REFUSE:
        log.error("cannot move task %s to failed/ (%s): %s", name, action.reason, error.strerror)
        return ExecutedAction(action=action, status=ActionStatus.UNDONE)
    log.error("cannot update task %s: %s", name, error.strerror)
    return ExecutedAction(action=action, status=ActionStatus.UNDONE, busy=True)


def _logged(done: ExecutedAction) -> ExecutedAction:
    """Log the action and return it."""
    move = reported(done)
    if move:
        level = logging.WARNING if move.action == "fail" or move.status == "failed" else logging.INFO
        past, planned = _LOGGED[move.action]
        words = planned if move.status == "pending" else f"not {past}" if move.status == "failed" else past
        where = f" ({move.session})" if move.session else ""
        log.log(level, "task %s %s%s%s", move.task, words, where, f": {move.note}" if move.note else "")
    elif done.note:
        log.info("task %s: %s", printable(done.action.task), done.note)
    return done


# -- into the panes ----------------------------------------------------------------------------------------------------


def hand_out(
    tmux: TmuxReader, agent: Agent, spool: Spool, actions: Sequence[TaskAction], limits: Dispatch, now: datetime
) -> tuple[ExecutedAction, ...]:
    """Carry out the plan of a dispatch: refusals first, then each task into running/, then all texts side by side.

    If the disk or tmux fails, this is logged and the next check continues. With a `TmuxReader` nothing changes.
    """
    if not isinstance(tmux, TmuxControl):
        return tuple(_logged(_planned(action)) for action in actions)
    done: list[ExecutedAction] = []
    try:
        refused = [action for action in actions if action.kind is ActionKind.REFUSE]
        done += carry_out(spool, refused, dry_run=False)
        claimed = [found for action in actions if (found := _claimed(spool, action))]
        for action, typed in zip(claimed, _type(tmux, agent, spool, claimed), strict=True):
            done += [_logged(_typed(action, typed))]
            done += _given_back(spool, done[-1], typed, limits.attempts, now)
    except OSError as error:
        log.error("dispatch interrupted, trying again at the next check: %s: %s", error.filename, error.strerror)
    except TmuxError as error:
        log.warning("dispatch interrupted, trying again at the next check: %s", error)
    return tuple(done)


def _claimed(spool: Spool, action: TaskAction) -> TaskAction | None:
    """The action with its task moved into running/, under its name there; None when there is nothing to type."""
    if action.kind is ActionKind.ENTER:
        return action
    if action.kind is not ActionKind.HAND_OUT:
        return None
    try:
        return replace(action, task=spool.move(action.task, *_MOVES[action.kind], action.record))
    except TaskGoneError:
        return None


def _type(tmux: TmuxControl, agent: Agent, spool: Spool, actions: Sequence[TaskAction]) -> list[Typed]:
    if not actions:
        return []
    with _paste_folder(spool) as folder:
        return typist.carry_out(tmux, agent, [_typing(agent, spool, folder, action) for action in actions])


def _typing(agent: Agent, spool: Spool, folder: Path, action: TaskAction) -> tuple[Job, Typing]:
    record, place = action.record, action.record.place
    if place is None:
        raise ValueError("a dispatched task must have a place")

    def withdrawn() -> str:
        there = (spool.folder / RUNNING / action.task).exists()
        return "" if there else "it was removed from running/ in the meantime"

    def entering(before: str) -> None:
        spool.update(RUNNING, action.task, replace(record, step=HandOutStep.ENTERING, before=before))

    def recorded() -> bool:
        if not place.transcript:
            return False
        found = agent.prompt_state(place.transcript, place.offset, action.text)
        return found not in {PromptState.NONE, PromptState.ABSENT}

    def recording(typing: Typing) -> Typing:
        typed = yield from typing
        if typed.end is TypingEnd.TAKEN:
            sent = replace(record, step=HandOutStep.SENT, before=typed.before, sent_at=datetime.now(UTC))
            spool.update(RUNNING, action.task, sent)
        return typed

    job = Job(
        target=place,
        text=action.text,
        patience=PATIENCE,
        put=lambda: typist.paste(place, action.text, folder),
        gone="its agent is gone",
        withdrawn=withdrawn,
        entering=entering,
        recorded=recorded,
    )
    return job, recording(typist.send_typed(job) if action.kind is ActionKind.ENTER else typist.look_and_type(job))


def _typed(action: TaskAction, typed: Typed) -> ExecutedAction:
    """The action with the result of typing."""
    why = {
        TypingEnd.NOT_SHOWN: "the text did not arrive in the prompt",
        TypingEnd.NOT_TAKEN: "the text is still in the prompt after Enter",
    }.get(typed.end, typed.why)
    lost = _is_lost(action, typed)
    return ExecutedAction(
        action=replace(action, hold=why) if lost else action,
        status=ActionStatus.DONE if typed.end is TypingEnd.TAKEN else ActionStatus.FAILED,
        note=why,
        busy=not lost and typed.end is not TypingEnd.REFUSED,
    )


def _is_lost(action: TaskAction, typed: Typed) -> bool:
    """Whether the text was pasted and did not arrive. Once Enter may have been pressed, the next check must decide."""
    return typed.end is TypingEnd.NOT_SHOWN and action.record.step is HandOutStep.PASTING


def _given_back(
    spool: Spool, done: ExecutedAction, typed: Typed, attempts: int, now: datetime
) -> tuple[ExecutedAction, ...]:
    """Take a task that did not reach its session out of running/. The report already has the failed dispatch."""
    if done.busy:
        return ()
    action = plan_undelivered(done.action, done.note, attempts, now, tried=_is_lost(done.action, typed))
    if action.kind is ActionKind.FAIL:
        return carry_out(spool, [action], dry_run=False)
    with suppress(TaskGoneError):
        spool.move(action.task, *_MOVES[action.kind], action.record)
    return ()


@contextmanager
def _paste_folder(spool: Spool) -> Iterator[Path]:
    """A private folder for the texts to paste; emptied and removed afterwards."""
    folder = spool.folder / ".paste"
    folder.mkdir(mode=0o700, exist_ok=True)
    _empty(spool, folder)
    try:
        yield folder
    finally:
        _empty(spool, folder)
        with suppress(OSError):  # someone has put a folder there
            folder.rmdir()


def _empty(spool: Spool, folder: Path) -> None:
    spool.guard()
    for path in folder.iterdir():  # also what a killed check left: we hold the state lock
        atomicfile.remove(path)


# -- afterwards --------------------------------------------------------------------------------------------------------


def prune(
    spool: Spool, limits: Dispatch, done: Sequence[ExecutedAction], last: LastCheck | None, now: datetime
) -> None:
    """Remove old tasks from done/: once an hour, and whenever a task was added there."""
    added = any(move.action == "finish" for move in moves(done))
    if last is not None and last.at.hour == now.hour and not added:
        return
    if count := spool.prune(now, limits.keep, limits.keep_count):
        log.info("%d old %s removed from done/", count, "tasks" if count != 1 else "task")
