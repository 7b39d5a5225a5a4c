"""Observes which pool sessions can get a task, and what became of dispatched tasks. Reads only."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.agents import registry
from failover_oneshot.agents.base import Agent, Prompt, PromptState
from failover_oneshot.config.model import Config
from failover_oneshot.lib import procfs
from failover_oneshot.model import AgentProcess, Finding, Kind, Observation, Pane, Session
from failover_oneshot.pool import panes, typist
from failover_oneshot.state.history import newest_first
from failover_oneshot.state.model import SessionMemory, State
from failover_oneshot.tasks.spool import QUEUE, RUNNING, Spool, TaskGoneError
from failover_oneshot.tasks.task import (
    AgentPlace,
    Availability,
    HandOutStep,
    Queued,
    RunningTask,
    Slot,
    TaskObservation,
    TaskRecord,
    assign,
    on_hold,
    was_restarted,
)
from failover_oneshot.tasks.text import printable

log = logging.getLogger("failover")


class PoolObservation(Struct, frozen=True, kw_only=True):
    """The pool as one check observed it."""

    agent: Agent
    observation: Observation
    findings: Mapping[str, Finding]  # by session
    slots: tuple[Slot, ...]  # one per existing session, in index order
    history: Sequence[Mapping[str, Any]]  # from the state


def observe_pool(
    config: Config,
    state: State,
    observation: Observation,
    findings: Sequence[Finding],
    now: datetime,
    proc: Path = procfs.PROC,
) -> PoolObservation:
    """The pool's sessions, and whether each can get a task. Reads /proc where a shell is in the foreground."""
    agent, by_name = registry.of_the_pool(config), {finding.name: finding for finding in findings}
    sessions = panes.of_the_pool(observation.sessions)
    dead = panes.dead_ones(config, sessions, proc)

    def slot(session: Session) -> Slot:
        pane = panes.agent_pane(session)
        process = observation.agents.get(pane.pane_id)
        found = Availability.DEAD
        if session.name not in dead:
            found = _availability(agent, pane, by_name.get(session.name), process, proc)
        held = state.sessions.get(session.name, SessionMemory()).held
        if found is Availability.FREE and held and on_hold(held.at, now):
            found = Availability.HELD
        place = _place(session, pane, process)
        return Slot(session=session.name, availability=found, path=pane.current_path or pane.path, place=place)

    return PoolObservation(
        agent=agent,
        observation=observation,
        findings=by_name,
        slots=tuple(slot(session) for session in sessions),
        history=state.history,
    )


def _place(session: Session, pane: Pane, process: AgentProcess | None) -> AgentPlace:
    return AgentPlace(
        server_pid=session.server_pid,
        pane_id=pane.pane_id,
        pane_pid=pane.pid,
        client_pid=process.pid if process else 0,
        conversation=process.session_id if process else "",
    )


def _availability(
    agent: Agent, pane: Pane, finding: Finding | None, process: AgentProcess | None, proc: Path
) -> Availability:
    if finding is None or pane.text is None:
        return Availability.HELD
    if (finding.blocked and not finding.stale) or finding.kind is Kind.AUTH:
        return Availability.BLOCKED
    if finding.busy or (process and process.busy):
        return Availability.BUSY
    if obstacle := typist.typing_obstacle(pane, _prompt(agent, pane), proc):
        known = {typist.WORKS: Availability.BUSY, typist.WAITS: Availability.BLOCKED}
        return known.get(obstacle, Availability.HELD)
    if process and process.status not in {"", "idle"}:
        return Availability.HELD
    return Availability.FREE


def _prompt(agent: Agent, pane: Pane) -> Prompt:
    return agent.prompt(pane.text or "", pane.title)


# -- dispatched tasks --------------------------------------------------------------------------------------------------


def observe_running(spool: Spool, pool: PoolObservation) -> tuple[RunningTask, ...]:
    """The tasks in running/, each with its observation. A task that is removed in the meantime is left out."""
    return tuple(found for task in list_running(spool) if (found := _running(spool, pool, task)))


def list_running(spool: Spool) -> tuple[RunningTask, ...]:
    """The tasks in running/, sorted by name, with their records."""
    return tuple(RunningTask(name=name, record=spool.record(RUNNING, name)) for name in spool.names(RUNNING))


def _running(spool: Spool, pool: PoolObservation, task: RunningTask) -> RunningTask | None:
    if task.record.session is None or task.record.step is None:
        return task
    try:
        text = spool.text(RUNNING, task.name)
    except TaskGoneError:
        return None
    except ValueError:  # changed while it ran: no screen or record can match it
        text = ""
    except OSError as error:
        log.error("cannot read task %s: %s", printable(task.name), error.strerror)
        return replace(task, readable=False)
    return replace(task, text=text, seen=observe_task(pool, task.record, text))


def observe_task(pool: PoolObservation, record: TaskRecord, text: str, proc: Path = procfs.PROC) -> TaskObservation:
    """The observation of one dispatched task with this text."""
    slot = next((slot for slot in pool.slots if slot.session == record.session), None)
    found, place = slot.availability if slot else Availability.DEAD, record.place
    pane = _still_there(place, pool.observation.sessions) if place else None
    alive = pane is not None and found is not Availability.DEAD and not _replaced(place, slot, proc)
    recorded, prompt = PromptState.NONE, None
    if not (alive and found is Availability.BUSY and record.step is HandOutStep.SENT):  # still working: no need to look
        if place and place.transcript:
            recorded = pool.agent.prompt_state(place.transcript, place.offset, text)
        prompt = _prompt(pool.agent, pane) if pane else None
    finding = pool.findings.get(record.session or "")
    shown = prompt is not None and prompt.shows(text, record.before)
    return TaskObservation(
        alive=alive,
        availability=found,
        recorded=recorded,
        hit=bool(finding and finding.blocked),
        shown=shown,
        answered=prompt is not None and shown and prompt.answered,
        drafted=prompt is not None and prompt.holds(text),
        successor=slot.place.conversation if slot and slot.place else "",
        startable=found is not Availability.DEAD,
        swapped=was_restarted(newest_first(pool.history), record),
    )


def _still_there(place: AgentPlace, sessions: Sequence[Session]) -> Pane | None:
    """The pane of a place; None when tmux runs another process in it now."""
    seen = ((session.server_pid, pane) for session in sessions for pane in session.panes)
    return next((pane for server_pid, pane in seen if panes.is_target(place, server_pid, pane)), None)


def _replaced(place: AgentPlace | None, slot: Slot | None, proc: Path) -> bool:
    """Whether the agent of a place has ended or been replaced; False for an agent that keeps no records."""
    if place is None or not place.client_pid:
        return False
    now = slot.place.client_pid if slot and slot.place else 0
    return now not in {0, place.client_pid} or procfs.ended(place.client_pid, proc)


# -- queued tasks ------------------------------------------------------------------------------------------------------


def observe_queue(spool: Spool, free: Sequence[Slot], requeued: Sequence[Queued], now: datetime) -> tuple[Queued, ...]:
    """The queue, with the texts of the tasks that these idle sessions will get.

    A file that cannot be a task has a ``problem``; one that is still being written is left out. ``requeued``: the
    tasks that a dry run would have put into the queue.
    """
    queue = spool.queued(now)
    problems = [task for task in queue if task.problem]
    unread, ready = [task for task in queue if not task.problem], [*requeued]
    while turn := [task for task, _ in assign([*unread, *ready], free) if task in unread]:
        for task in turn:  # one that cannot be read makes way for another
            unread.remove(task)
            if found := _read(spool, task):
                (problems if found.problem else ready).append(found)
    return (*problems, *unread, *ready)


def _read(spool: Spool, task: Queued) -> Queued | None:
    """The task with its text; None when it cannot be dispatched now."""
    if spool.being_written(task.name):
        log.info("task %s skipped: its file is still being written", printable(task.name))
        return None
    try:
        return replace(task, text=spool.text(QUEUE, task.name))
    except TaskGoneError:
        return None
    except ValueError as error:
        return replace(task, problem=str(error))
    except OSError as error:
        log.error("cannot read task %s: %s", printable(task.name), error.strerror)
        return None


def with_records(pool: PoolObservation, slots: Sequence[Slot]) -> tuple[Slot, ...]:
    """The slots, with the file and offset where the agent's records of the next prompt will begin."""
    return tuple(_with_records(pool, slot) for slot in slots)


def _with_records(pool: PoolObservation, slot: Slot) -> Slot:
    process = pool.observation.agents.get(slot.place.pane_id) if slot.place else None
    if slot.place is None or process is None:
        return slot
    path = pool.agent.conversation(process)
    place = replace(slot.place, transcript=path, offset=pool.agent.conversation_size(path))
    return replace(slot, place=place)
