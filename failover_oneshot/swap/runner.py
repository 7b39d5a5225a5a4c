"""The swap as ordered steps, each in the journal before it begins and safe to repeat (docs/swap.md).

    save_back -> install -> verify -> restart -> record

Up to `verify` a failure puts everything back and the next candidate is tried; from `restart` on the swap is made and
only goes forward. A run killed anywhere leaves the journal in the state, and the next run goes on at the step that it
names. The values are in `journal.py`; here is what touches the world.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from failover_oneshot.accounts.registry import MethodError, SwapMethod
from failover_oneshot.agents import registry as agents
from failover_oneshot.config.model import Config, Method
from failover_oneshot.model import Outcome, Restart, Session
from failover_oneshot.pool import restart as pool
from failover_oneshot.state.model import Journal, State
from failover_oneshot.swap.journal import (
    RULES,
    ActionResult,
    SwapStep,
    current,
    finished,
    given_up,
    move,
    next_candidate,
)
from failover_oneshot.tmux.client import TmuxReader

log = logging.getLogger("failover")


class _OwedError(Exception):
    """The account is half changed and can not be worked on now: the journal has to stay."""


class Swapper:
    """Carries a journalled swap to its end. ``save`` writes the state durably before the next step begins."""

    def __init__(
        self,
        config: Config,
        method: SwapMethod,
        tmux: TmuxReader,
        save: Callable[[State], None],
        now: datetime,
        resume_ids: Callable[[Sequence[Session]], Mapping[str, str]],
    ) -> None:
        self.config = config
        self.method = method
        self.tmux = tmux
        self.save = save
        self.now = now
        self.resume_ids = resume_ids

    def preview(self, state: State) -> ActionResult:
        """What `run` would do now, without doing it: reads only."""
        journal = current(state)
        restarts = journal.restarts or self._plan(journal)
        return ActionResult(
            outcome=Outcome.RESUMED if journal.kind == "resume" else Outcome.SWAPPED,
            reason=journal.reason,
            move=move(journal),
            restarts=tuple(r for r in restarts if r.status not in {"done", "failed"}),
        )

    def run(self, state: State) -> tuple[State, ActionResult]:
        """Go on with the journal of ``state`` until it is finished or given up; the returned state is saved.

        Raises TmuxError and its kin when tmux does not answer: the journal then stays, and the next run goes on.
        """
        state = self._write(state, runs=current(state).runs + 1)
        step = current(state).step
        if current(state).runs > 1:
            log.warning("the run before did not finish it; at step %s the rule is: %s", step, RULES[step])
        if step in {SwapStep.RESTART, SwapStep.RECORD} and current(state).runs > 1:
            self._clear_up()
        if step in {SwapStep.SAVE_BACK, SwapStep.INSTALL, SwapStep.VERIFY}:
            try:
                state = self._change_account(state)
            except _OwedError as error:
                return self._latest, self._owed(str(error))
            except MethodError as error:
                state, result = given_up(self._latest, str(error), self.now, self.config.state.history)
                return self._save(state), result
        try:
            state = self._restart(state)
        except MethodError as error:  # the account's environment can not be read any more
            return self._latest, self._owed(str(error))
        state, result = finished(state, self.now, self.config.state.history)
        return self._save(replace(state, lineage=self.method.lineage())), result

    def _clear_up(self) -> None:
        """Give back the client's locks that the run before was killed with, if it was."""
        with suppress(MethodError), self.method.exclusive(self.config.swap.timeout):
            pass

    def _owed(self, why: str) -> ActionResult:
        summary = f"swap interrupted; the next check resumes it: {why}"
        return ActionResult(
            outcome=Outcome.FAILED, reason=f"{current(self._latest).reason}; {summary}", summary=summary
        )

    # -- the account -------------------------------------------------------------------------------------------------

    def _change_account(self, state: State) -> State:
        """Make the target's credentials the live ones; on its failure the next candidate's.

        Raises MethodError when no candidate is left; everything is then as it was.
        """
        with ExitStack() as locks:
            try:
                locks.enter_context(self.method.exclusive(self.config.swap.timeout))
            except MethodError as error:
                if current(state).step is not SwapStep.SAVE_BACK:  # half installed by a run that was killed
                    raise _OwedError(str(error)) from None
                raise
            while current(state).to is not None:
                self._save_back(state)
                try:
                    return self._try_target(state)
                except MethodError as error:
                    journal = current(self._latest)
                    log.error("cannot swap to %s: %s", journal.to, error)
                    if not error.restored:
                        raise _OwedError(str(error)) from None
                    self._undo(journal, error)
                    state = self._save(next_candidate(self._latest, str(error), self.now))
        raise MethodError("; ".join(f"{r.account}: {r.reason}" for r in current(state).rejected))

    def _save_back(self, state: State) -> None:
        """Bring the live login to safety. That this fails is no candidate's fault: it ends the attempt."""
        journal = current(state)
        if journal.step is SwapStep.SAVE_BACK:
            log.info("%s", self.method.save_back(self.config.account(journal.from_), journal.prepared))

    def _try_target(self, state: State) -> State:
        journal = current(state)
        incoming = self.config.account(journal.to)
        if incoming is None:
            raise MethodError(f"account {journal.to} is not in the config any more")
        if journal.step is SwapStep.SAVE_BACK:
            state = self._write(state, step=SwapStep.INSTALL, prepared=dict(self.method.prepare(incoming)))
            journal = current(state)
        if journal.step is SwapStep.INSTALL:
            self.method.install(incoming, journal.prepared)
            state = self._write(state, step=SwapStep.VERIFY)
        self.method.verify(incoming)
        log.info("account %s is live", incoming.name)
        return self._write(state, step=SwapStep.RESTART)

    def _undo(self, journal: Journal, error: MethodError) -> None:
        """Put the outgoing account back after a failed install or verify. Raises _OwedError when that fails as well."""
        if journal.step is SwapStep.SAVE_BACK:
            return
        outgoing = self.config.account(journal.from_)
        if outgoing is None:  # not in the config any more
            if journal.step is SwapStep.INSTALL:
                return  # the method has put everything back
            raise _OwedError(str(error))
        try:
            self.method.undo(outgoing, journal.prepared)
        except MethodError as second:
            raise _OwedError(f"{error}; and putting {outgoing.name} back failed: {second}") from None

    # -- the sessions ------------------------------------------------------------------------------------------------

    def _restart(self, state: State) -> State:
        journal = current(state)
        if journal.step is SwapStep.RESTART and not journal.restarts:
            state = self._write(state, restarts=self._plan(journal))
            journal = current(state)
            for impossible in (r for r in journal.restarts if r.status == "failed"):
                tell(impossible)
        account = self.config.account(journal.to)
        environment = self.method.environment(account) if account else {}
        for number, restart in enumerate(journal.restarts):
            if restart.status in {"done", "failed"}:
                continue
            state = self._write(state, restarts=_replaced(journal, number, replace(restart, status="started")))
            done = pool.perform(self.tmux, restart, environment, agents.of_the_pool(self.config))
            tell(done)
            journal = replace(journal, restarts=_replaced(journal, number, done))
        restarts = pool.verify(self.tmux, journal.restarts) if journal.restarts else ()
        for before, after in zip(journal.restarts, restarts, strict=True):
            if before.status != after.status:
                tell(after)
        return self._write(state, step=SwapStep.RECORD, restarts=restarts)

    def _plan(self, journal: Journal) -> tuple[Restart, ...]:
        seen = self.tmux.observe(self.config.pool, capture=False)
        blocked = frozenset(journal.acted_on)
        # In peace the files are enough: a client takes the new login with its next message. Only `env` needs a restart.
        everyone = journal.kind == "swap" or (journal.kind == "failback" and self.config.swap.method is Method.ENV)
        sessions = [s for s in seen.sessions if everyone or s.name in blocked]
        restarts = pool.plan(self.config, sessions, blocked, journal.to or "", self.resume_ids(sessions))
        if self.config.swap.method is Method.ENV and journal.kind != "resume":
            restarts = tuple(_restart_needed(restart) for restart in restarts)
        return restarts

    # -- the journal -------------------------------------------------------------------------------------------------

    def _write(self, state: State, **changes: Any) -> State:
        """The state with these fields of its journal changed, saved before anything else happens."""
        return self._save(replace(state, swap_in_progress=replace(current(state), **changes)))

    def _save(self, state: State) -> State:
        self._latest = state
        self.save(state)
        return state


def tell(restart: Restart) -> None:
    """One line of the log about a session that was restarted or created."""
    level = logging.WARNING if restart.status == "failed" else logging.INFO
    note = f" ({restart.note})" if restart.note else ""
    log.log(level, "%s %s: %s%s", restart.action, restart.session, restart.status, note)


def _restart_needed(restart: Restart) -> Restart:
    """With `env` a process keeps the account that it was started with: typing does not change it."""
    if restart.action != "nudge" or restart.status == "failed":
        return restart
    return replace(restart, status="failed", note="a nudge can't change its account: method env needs a restart")


def _replaced(journal: Journal, number: int, restart: Restart) -> tuple[Restart, ...]:
    return (*journal.restarts[:number], restart, *journal.restarts[number + 1 :])
