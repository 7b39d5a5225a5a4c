"""Tasks to free sessions, and what became of those handed out (docs/dispatch.md)."""

import logging
from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from failover_oneshot.agents.base import PromptState
from failover_oneshot.config.model import Config
from failover_oneshot.model import Finding, Observation, PoolTally, Restart, TaskMove, TaskTally
from failover_oneshot.state.model import SessionMemory, State, Trouble, seconds
from failover_oneshot.tasks import spool
from failover_oneshot.tasks import task as tasks
from failover_oneshot.tasks.availability import Stands
from failover_oneshot.tasks.delivery import Delivery, HandOut, Phase
from failover_oneshot.tasks.spool import DONE, FAILED, QUEUE, RUNNING, Gone, Spool, SpoolError
from failover_oneshot.tasks.task import Action, Place, Queued, Record, Slot, Stand, Step, Verdict
from failover_oneshot.tasks.text import printable
from failover_oneshot.tmux.client import Control, Tmux, TmuxError

log = logging.getLogger("failover")


class Dispatcher:
    """One check's dealings with the spool: first `collect`, then `hand_out`. With a `Tmux` for looking only, both say
    what they would do and change nothing."""

    def __init__(
        self,
        config: Config,
        state: State,
        observation: Observation,
        findings: Sequence[Finding],
        tmux: Tmux,
        now: datetime,
    ) -> None:
        self.config, self.state, self.observation, self.tmux, self.now = config, state, observation, tmux, now
        self.stands = Stands(config, state, observation, findings, now)
        self.spool = Spool(config.dispatch.spool) if config.dispatch.spool else None
        self.working: set[str] = set()  # sessions with a task
        self.left: set[str] = set()  # tasks that are not in running/ any more, or in a dry run would not be
        self.holds: dict[str, str] = {}
        self.requeued: list[Queued] = []  # in a dry run: what would be in the queue
        self.unsent: list[Delivery] = []  # their text stands in a box, and Enter is to be pressed
        self.moves: list[TaskMove] = []

    @property
    def real(self) -> bool:
        return isinstance(self.tmux, Control)

    def _open(self) -> None:
        """Mend what a killed run left; without a usable spool there is none. Says so in the log."""
        if self.spool is None:
            return
        try:
            if self.real:
                self.spool.prepare()
                self.spool.tidy(self.now)
            else:
                self.spool.verify()
        except SpoolError as error:
            log.error("no tasks are handed out: %s", error)
            self.spool = None
        except OSError as error:
            log.error("no tasks are handed out: %s: %s", error.filename, error.strerror)
            self.spool = None

    # -- what became of the tasks in running/ --------------------------------------------------------------------------

    def collect(self) -> None:
        """Done, failed and orphaned tasks leave running/."""
        self._open()
        if self.spool is None:
            return
        for name in self.spool.names(RUNNING):
            record = self.spool.record(RUNNING, name)
            try:
                self._settle(name, record, self._verdict(name, record))
            except Gone:
                continue  # cancelled meanwhile
            except OSError as error:
                log.error("task %s stays as it is: %s", printable(name), error.strerror)
                self.working.add(record.session or "")

    def restarted(self, restarts: Sequence[Restart]) -> None:
        """Tasks of sessions that a swap has just restarted go back at once, where there are no records to wait for.

        With records the next check sees in which conversation the new agent is.
        """
        gone = {r.session for r in restarts if r.action in {"recreate", "respawn"} and r.status != "failed"}
        if self.spool is None or not gone:
            return
        for name in self.spool.names(RUNNING):
            record = self.spool.record(RUNNING, name)
            if record.session in gone and name not in self.left and not (record.place and record.place.transcript):
                why = f"{record.session} was restarted by a swap"
                try:
                    self._settle(name, record, Verdict(Action.REQUEUE, why, tried=False))
                except Gone:
                    continue
                except OSError as error:
                    log.error("task %s stays as it is: %s", printable(name), error.strerror)

    def _verdict(self, name: str, record: Record) -> Verdict:
        if record.session is None or record.step is None:
            return Verdict(Action.FAIL, "there is no record of its hand-out: was it put into running/ by hand?")
        seen = self.stands.sighting(record, self._text(name))
        limits = self.config.dispatch
        verdict = tasks.judge(record, seen, self.now, limits.timeout)
        if verdict.action is Action.FAIL and seen.word is PromptState.ERROR:
            self.holds[record.session] = "the agent's last turn ended with an error"
        return tasks.bounded(record, verdict, limits.attempts)

    def _text(self, name: str) -> str:
        assert self.spool is not None  # noqa: S101
        try:
            return self.spool.text(RUNNING, name)
        except ValueError:  # changed while it ran: no screen and no record will show it
            return ""

    def _settle(self, name: str, record: Record, verdict: Verdict) -> None:
        """Carry a verdict out."""
        session = record.session or ""
        match verdict.action:
            case Action.FINISH:
                self._leave(name, session, DONE, tasks.ended(record, "done", "", self.now), "finish")
                return
            case Action.FAIL:
                self._leave(name, session, FAILED, tasks.ended(record, "failed", verdict.why, self.now), "fail")
                return
            case Action.REQUEUE:
                back = tasks.put_back(record, verdict.why, self.now, tried=verdict.tried)
                self._leave(name, session, QUEUE, back, "requeue")
                if not self.real:
                    self.requeued.append(Queued(name=name, changed=0.0, record=back))
                return
            case Action.ENTER:
                self.unsent.append(Delivery(name, self._text(name), record, Phase.PASTED))
            case Action.SENT:
                self._update(name, replace(record, step=Step.SENT, sent_at=self.now))
            case Action.LOST:
                self._update(name, replace(record, lost_at=self.now))
            case Action.REBIND:
                self._update(name, replace(record, lost_at=None, place=self._rebound(record)))
        self.working.add(session)
        if verdict.why:
            log.info("task %s: %s", printable(name), verdict.why)

    def _rebound(self, record: Record) -> Place | None:
        """The place of a task whose conversation goes on in another process."""
        slot = self.stands.slot(record.session)
        if slot is None or slot.place is None or record.place is None:
            return record.place
        return replace(slot.place, transcript=record.place.transcript, offset=record.place.offset)

    def _update(self, name: str, record: Record) -> None:
        if self.spool is not None and self.real:
            self.spool.update(RUNNING, name, record)

    def _leave(
        self, name: str, session: str | None, target: str, record: Record, action: str, source: str = RUNNING
    ) -> None:
        """A task leaves one folder for another, with its new record."""
        if self.spool is not None and self.real:
            self.spool.move(name, source, target, record)
        self.left.add(name)
        self._tell(action, name, session, record.why)

    # -- new tasks -----------------------------------------------------------------------------------------------------

    def hand_out(self) -> None:
        """The tasks whose turn it is go to the free sessions."""
        if self.spool is None:
            return
        try:
            self._hand_out(self.spool)
        except OSError as error:
            log.error("tasks can't be handed out: %s: %s", error.filename, error.strerror)
        except TmuxError as error:
            log.warning("the hand-out of tasks is not finished, the next check goes on with it: %s", error)

    def _hand_out(self, folder: Spool) -> None:
        free = [slot for slot in self.stands.slots if slot.stand is Stand.FREE and slot.session not in self.working]
        free = [slot for slot in free if slot.session not in self.holds]
        if not free and not self.unsent:
            return  # a long queue is not read for nothing
        queue = folder.queued(self.now) + self.requeued
        for task in queue:
            if task.problem:
                self._refuse(task, task.problem)
        texts: dict[str, str] = {}
        pairs = tasks.assign([t for t in queue if not t.problem], free, lambda task: self._readable(task, texts))
        if not isinstance(self.tmux, Control):
            for task, slot in pairs:
                self._tell("hand_out", task.name, slot.session, "")
            return
        deliveries = [*self.unsent]
        for task, slot in pairs:
            record = tasks.handed_out(task.record, slot.session, self._place(slot), self.now)
            try:
                name = folder.move(task.name, QUEUE, RUNNING, record)
            except Gone:
                continue
            deliveries.append(Delivery(name, texts[task.name], record))
        if deliveries:
            HandOut(self.tmux, self.config.pool, folder, self.stands.agent).run(deliveries)
        for delivery in deliveries:
            self._book(folder, delivery)

    def _readable(self, task: Queued, texts: dict[str, str]) -> bool:
        """Whether a task can be handed out now; its text goes into `texts`."""
        assert self.spool is not None  # noqa: S101
        if task in self.requeued:
            return True
        if self.spool.being_written(task.name):
            log.info("task %s is still being written", printable(task.name))
            return False
        try:
            texts[task.name] = self.spool.text(QUEUE, task.name)
        except Gone:
            return False
        except ValueError as error:
            self._refuse(task, str(error))
            return False
        return True

    def _refuse(self, task: Queued, why: str) -> None:
        """What can't be a task goes to failed/, as it is."""
        record = tasks.ended(task.record, "refused", why, self.now)
        try:
            self._leave(task.name, None, FAILED, record, "fail", QUEUE)
        except Gone:
            return
        except OSError as error:
            log.error("task %s can't be moved to failed/ (%s): %s", printable(task.name), why, error.strerror)

    def _place(self, slot: Slot) -> Place | None:
        """The slot's place with where its records begin."""
        client = self.observation.agents.get(slot.place.pane_id) if slot.place else None
        if slot.place is None or client is None:
            return slot.place
        path = self.stands.agent.conversation(client)
        return replace(slot.place, transcript=path, offset=self.stands.agent.conversation_size(path))

    def _book(self, folder: Spool, delivery: Delivery) -> None:
        """What a delivery came to."""
        taken, why, session = delivery.phase is Phase.TAKEN, delivery.why, delivery.session
        self._tell("hand_out", delivery.name, session, why, failed=not taken)
        if delivery.phase not in {Phase.REFUSED, Phase.LOST}:
            self.working.add(session)
            return
        verdict = Verdict(Action.REQUEUE, why)
        if delivery.phase is Phase.LOST:
            self.holds[session] = why
            verdict = tasks.bounded(delivery.record, verdict, self.config.dispatch.attempts)
        try:
            if verdict.action is Action.FAIL:
                failed = tasks.ended(delivery.record, "failed", verdict.why, self.now)
                self._leave(delivery.name, session, FAILED, failed, "fail")
            else:
                back = tasks.put_back(delivery.record, why, self.now, tried=delivery.phase is Phase.LOST)
                folder.move(delivery.name, RUNNING, QUEUE, back)
        except Gone:
            return

    # -- the end -------------------------------------------------------------------------------------------------------

    def end(self, state: State) -> State:
        """The state with the sessions that get no task for a while; old tasks are taken away."""
        if not self.real:
            return state
        self._prune(state.last_check.at if state.last_check else None)
        if not self.holds:
            return state
        sessions = dict(state.sessions)
        for name, why in self.holds.items():
            trouble = Trouble(at=seconds(self.now), reason=why)
            sessions[name] = replace(sessions.get(name, SessionMemory()), held=trouble)
        return replace(state, sessions=sessions)

    def _prune(self, before: datetime | None) -> None:
        """Old tasks that are done go: once an hour, and when one has been added. ``before``: the last check."""
        fresh = before is None or before.hour != self.now.hour or any(m.action == "finish" for m in self.moves)
        if self.spool is not None and fresh:
            limits = self.config.dispatch
            count = self.spool.prune(self.now, limits.keep, limits.keep_count)
            if count:
                log.info("%d tasks that were done long ago are taken away", count)

    def pool_tally(self) -> PoolTally:
        return tasks.tally(self.stands.slots, self.working)

    def task_tally(self) -> TaskTally | None:
        return spool.counts(self.spool.folder) if self.spool else None

    def _tell(self, action: str, name: str, session: str | None, note: str, *, failed: bool = False) -> None:
        shown = printable(name)
        status = "failed" if failed else "done" if self.real else "pending"
        self.moves.append(TaskMove(action=action, task=shown, session=session, status=status, note=note))
        level = logging.WARNING if action == "fail" or failed else logging.INFO
        where = f" ({session})" if session else ""
        log.log(level, "task %s: %s%s%s", shown, action, where, f": {note}" if note else "")
