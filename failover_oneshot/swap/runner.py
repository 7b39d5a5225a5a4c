"""Carry out a swap in steps; each is in the journal before it begins and safe to repeat (docs/swap.md).

    save_back -> install -> verify -> restart -> record

Up to `verify`, a failure is rolled back and the next candidate is tried. From `restart` on the account is changed and
the swap only goes forward. A run killed at any point leaves the journal in the state, and the next run resumes at its
step. `journal.py` has the values; this module has the effects.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from failover_oneshot.accounts.method import MethodError, Saved, SwapMethod
from failover_oneshot.agents import registry as agents
from failover_oneshot.config.model import Config, Method
from failover_oneshot.model import Outcome, Restart, Session
from failover_oneshot.pool import restart as pool
from failover_oneshot.state.model import Journal, State, Unclaimed, seconds
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
from failover_oneshot.swap.watch import reconcile
from failover_oneshot.tmux.client import TmuxReader

log = logging.getLogger("failover")


class _OwedError(Exception):
    """The account is half changed and nothing more can be done now: the journal must stay."""


class Swapper:
    """Carries a swap in the journal to its end. ``save`` writes the state durably before the next step begins."""

    def __init__(
        self,
        config: Config,
        methods: Callable[[State], SwapMethod],
        state: State,
        tmux: TmuxReader,
        save: Callable[[State], None],
        now: datetime,
        resume_ids: Callable[[Sequence[Session]], Mapping[str, str]],
    ) -> None:
        self.config = config
        self.methods = methods  # by state, because a swap changes what is known about the owners of credentials
        self.method = methods(state)
        self.tmux = tmux
        self.save = save
        self.now = now
        self.resume_ids = resume_ids

    def preview(self, state: State) -> ActionResult:
        """What `run` would do now. Reads only."""
        journal = current(state)
        restarts = journal.restarts or self._plan(journal)
        return ActionResult(
            outcome=Outcome.RESUMED if journal.kind == "resume" else Outcome.SWAPPED,
            reason=journal.reason,
            move=move(journal),
            restarts=tuple(r for r in restarts if r.status not in {"done", "failed"}),
        )

    def run(self, state: State) -> tuple[State, ActionResult]:
        """Carry the journal of ``state`` to its end, or give it up; the returned state is saved.

        Raises TmuxError or TmuxTimeoutError when tmux does not answer. The journal then stays for the next run.
        """
        state = self._write(state, runs=current(state).runs + 1)
        step = current(state).step
        if current(state).runs > 1:
            log.warning("resuming an interrupted swap at step %s: %s", step, RULES[step])
        if step in {SwapStep.RESTART, SwapStep.RECORD} and current(state).runs > 1:
            self._release_locks()
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
        except MethodError as error:  # the account's environment is no longer readable
            return self._latest, self._owed(str(error))
        state, result = finished(state, self.now, self.config.state.history)
        method = self.methods(state)
        reconcile(self.config, state, method, self.now)
        return self._save(replace(state, lineage=method.lineage())), result

    def _release_locks(self) -> None:
        """Release Claude Code's locks if the killed run held them: taking them over is enough."""
        with suppress(MethodError), self.method.exclusive(self.config.swap.timeout):
            pass

    def _owed(self, why: str) -> ActionResult:
        summary = f"swap not finished: {why}; trying again at the next check"
        return ActionResult(
            outcome=Outcome.FAILED, reason=f"{current(self._latest).reason}; {summary}", summary=summary
        )

    # -- the account -------------------------------------------------------------------------------------------------

    def _change_account(self, state: State) -> State:
        """Make the target's credentials the live ones, or the next candidate's if that fails.

        Raises MethodError when no candidate is left; every change is then rolled back.
        """
        with ExitStack() as locks:
            try:
                locks.enter_context(self.method.exclusive(self.config.swap.timeout))
            except MethodError as error:
                if current(state).step is not SwapStep.SAVE_BACK:  # a killed run may have installed half of it
                    raise _OwedError(str(error)) from None
                raise
            while current(state).to is not None:
                state = self._save_back(state)
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

    def _save_back(self, state: State) -> State:
        """Save the live credentials. A failure ends the attempt and rejects no candidate: none caused it."""
        journal = current(state)
        if journal.step is SwapStep.VERIFY:
            return state
        if journal.step is SwapStep.SAVE_BACK:
            return self._saved(state, self.method.save_back(self.config.account(journal.from_), journal.prepared))
        try:  # an interrupted install may have replaced them: only its note says whose they should be
            return self._saved(state, self.method.save_back(None, journal.prepared))
        except MethodError as error:
            raise _OwedError(str(error)) from None

    def _saved(self, state: State, saved: Saved) -> State:
        """The state with the entry of credentials that no store took."""
        if not saved.unclaimed:
            log.info("%s", saved.text)
            return state
        log.warning("%s; kept as unclaimed/%s; see `failoverctl accounts unclaimed`", saved.text, saved.unclaimed)
        if saved.unclaimed in state.unclaimed:
            return state
        doubt = Unclaimed(at=seconds(self.now), reason=saved.text, account=saved.suspect)
        return self._save(replace(state, unclaimed={**state.unclaimed, saved.unclaimed: doubt}))

    def _try_target(self, state: State) -> State:
        journal = current(state)
        incoming = self.config.account(journal.to)
        if incoming is None:
            raise MethodError("no longer in the config")
        if journal.step is SwapStep.SAVE_BACK:
            prepared = dict(self.method.prepare(incoming))
            state = self._write(state, step=SwapStep.INSTALL, prepared=prepared, touched=True)
            journal = current(state)
        if journal.step is SwapStep.INSTALL:
            self.method.install(incoming, journal.prepared)
            state = self._write(state, step=SwapStep.VERIFY)
        self.method.verify(incoming)
        log.info("account %s is active", incoming.name)
        return self._write(state, step=SwapStep.RESTART)

    def _undo(self, journal: Journal, error: MethodError) -> None:
        """Roll back to the outgoing account after a failed install or verify. _OwedError when that fails too."""
        if journal.step is SwapStep.SAVE_BACK:
            return
        outgoing = self.config.account(journal.from_)
        if outgoing is None:  # no longer in the config
            if journal.step is SwapStep.INSTALL:
                return  # the method has restored the files
            raise _OwedError(str(error))
        try:
            self._saved(self._latest, self.method.save_back(None, journal.prepared))
            self.method.undo(outgoing, journal.prepared)
        except MethodError as second:
            raise _OwedError(f"{error}; rollback to {outgoing.name} failed: {second}") from None

    # -- the sessions ------------------------------------------------------------------------------------------------

    def _restart(self, state: State) -> State:
        journal = current(state)
        if journal.step is SwapStep.RESTART and not journal.restarts:
            state = self._write(state, restarts=self._plan(journal))
            journal = current(state)
            for impossible in (r for r in journal.restarts if r.status == "failed"):
                pool.log_result(impossible)
        account = self.config.account(journal.to)
        environment = self.method.environment(account) if account else {}
        for number, restart in enumerate(journal.restarts):
            if restart.status in {"done", "failed"}:
                continue
            state = self._write(state, restarts=_replaced(journal, number, replace(restart, status="started")))
            done = pool.perform(self.tmux, restart, environment, agents.of_the_pool(self.config))
            pool.log_result(done)
            journal = replace(journal, restarts=_replaced(journal, number, done))
        restarts = pool.verify(self.tmux, journal.restarts) if journal.restarts else ()
        for before, after in zip(journal.restarts, restarts, strict=True):
            if before.status != after.status:
                pool.log_result(after)
        return self._write(state, step=SwapStep.RECORD, restarts=restarts)

    def _plan(self, journal: Journal) -> tuple[Restart, ...]:
        seen = self.tmux.observe(self.config.pool, capture=False)
        blocked = frozenset(journal.acted_on)
        # For a failback the files are enough: an agent uses them with its next message. Only `env` needs a restart.
        everyone = journal.kind == "swap" or (journal.kind == "failback" and self.config.swap.method is Method.ENV)
        sessions = [s for s in seen.sessions if everyone or s.name in blocked]
        restarts = pool.plan(self.config, sessions, blocked, journal.to or "", self.resume_ids(sessions))
        if self.config.swap.method is Method.ENV and journal.kind != "resume":
            restarts = tuple(_restart_needed(restart) for restart in restarts)
        return restarts

    # -- the journal -------------------------------------------------------------------------------------------------

    def _write(self, state: State, **changes: Any) -> State:
        """The state with these fields of its journal changed; it is saved before anything else happens."""
        return self._save(replace(state, swap_in_progress=replace(current(state), **changes)))

    def _save(self, state: State) -> State:
        self._latest = state
        self.save(state)
        return state


def _restart_needed(restart: Restart) -> Restart:
    """With `env` a process keeps the account that it was started with; a nudge cannot change it."""
    if restart.action != "nudge" or restart.status == "failed":
        return restart
    return replace(restart, status="failed", note="method env needs a restart to change the account")


def _replaced(journal: Journal, number: int, restart: Restart) -> tuple[Restart, ...]:
    return (*journal.restarts[:number], restart, *journal.restarts[number + 1 :])
