"""The story of one check, in one screen: load, look, decide, write the intent, act, write the result."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from failover_oneshot.accounts import registry
from failover_oneshot.config.model import Config
from failover_oneshot.decision.rules import Action, Decision, before_looking, decide
from failover_oneshot.detection.findings import detect
from failover_oneshot.model import Finding, Outcome
from failover_oneshot.monitoring import hooks
from failover_oneshot.observe import Sight, glance, look, resume_ids, tell
from failover_oneshot.report import Report, Upkeep
from failover_oneshot.state.model import LastCheck, Notice, State, seconds, settle
from failover_oneshot.state.store import Origin, Store
from failover_oneshot.swap.journal import Result, intend
from failover_oneshot.swap.runner import Swapper
from failover_oneshot.tmux.client import Control, Tmux

if TYPE_CHECKING:
    from failover_oneshot.decision.manual import Order
    from failover_oneshot.tasks.dispatcher import Dispatcher

EXIT_FAILED = 1
EXIT_DATA = 65
HANDS_OUT = (Outcome.OK, Outcome.COOLDOWN)
"""The outcomes in which tasks are handed out: nothing is suspected, owed, waited for or just being restarted."""

log = logging.getLogger("failover")


def state_path(explicit: str | None, config: Config, environ: Mapping[str, str]) -> Path:
    """Where the state file is: --state, state.path, $STATE_DIRECTORY, $XDG_STATE_HOME, ~/.local/state."""
    if explicit or config.state.path:
        return Path(explicit or config.state.path or "").absolute()
    if directory := environ.get("STATE_DIRECTORY"):  # systemd may list several, the first is ours
        return Path(directory.split(":")[0]) / "state.json"
    base = environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path(environ.get("HOME", "/")) / ".local/state"
    return root / "failover" / "state.json"


def check(
    config: Config,
    path: Path,
    *,
    dry_run: bool,
    environ: Mapping[str, str],
    order: "Order | None" = None,
    record: Path | None = None,
) -> Report:
    """One whole check on the state at ``path``; with an ``order`` of the operator's in place of its own decision.

    ``record``: the folder in which what was seen is kept, for `failoverctl replay`.

    Raises StoreError, LockTimeoutError, TmuxError and TmuxTimeoutError (see `cli.py` for their exit codes), and
    NothingDoneError for an order that is not to be carried out.
    """
    store = Store(path, config.state.lock_timeout)
    with nullcontext() if dry_run else store.locked():
        this = _Check(config, store, environ, dry_run, order)
        report = this.run()
        if record is not None:
            from failover_oneshot.analysis import recorder

            recorder.keep(record, this.seen, report, config, this.tmux, environ)
    if not dry_run and (hook := hooks.due(config.hooks, report, report.outcome_before)):
        hooks.run(*hook, report, config.hooks.timeout)
    if not dry_run and (config.metrics.textfile or this.notices):
        from failover_oneshot.monitoring import after_check

        after_check.checked(config, store, report, this.saved, this.notices)
    return report


def know_active(config: Config, state: State, method: Callable[[], registry.Method]) -> State:
    """SPEC section 4: with no active account in the state, the one that the live credentials belong to."""
    if config.account(state.active_account) or not config.accounts or state.swap_in_progress:
        return state
    enabled = [a.name for a in config.accounts if a.enabled]
    name = method().live_account() or (enabled[0] if enabled else config.accounts[0].name)
    if state.active_account:
        log.warning("active account %s is not in the config any more; taking %s", state.active_account, name)
    return replace(state, active_account=name)


class _Check:
    def __init__(
        self, config: Config, store: Store, environ: Mapping[str, str], dry_run: bool, order: "Order | None"
    ) -> None:
        self.config = config
        self.store = store
        self.dry_run = dry_run
        self.order = order
        self.started = time.monotonic()
        self.now = datetime.now(UTC)  # the one reading of the clock, after the lock is ours
        self.tmux = (Tmux if dry_run else Control)(config.tmux, environ)
        self.environ = environ
        self.lineage: Mapping[str, str] = {}
        self.saved = State()  # as it was last written
        self.notices: tuple[Notice, ...] = ()  # to be sent once the lock is free
        self.seen: tuple[State, Sight | None] = (State(), None)  # what the decision rested on

    @cached_property
    def method(self) -> registry.Method:
        """The way of the config, made when it is needed: a healthy fleet's check has no use for it."""
        return registry.method(self.config, self.store.path.parent / "unclaimed", self.lineage)

    def run(self) -> Report:
        loaded = self.store.load(self.now, quarantine=not self.dry_run)
        for note in loaded.notes:
            log.warning("%s", note)
        self.lineage = loaded.state.lineage
        state, notes = settle(loaded.state, self.now)
        for note in notes:
            log.warning("%s", note)
        state = know_active(self.config, state, lambda: self.method)
        self.seen = (state, None)
        if loaded.origin is Origin.RESET:
            return self.reset(state, loaded.notes[0])

        early = before_looking(self.config, state, self.now)
        if self.order and early and early.action is not Action.FINISH:
            early = None  # the operator's word is newer than the pause and the cooldown
        sight: Sight | None = None
        findings: tuple[Finding, ...] = ()
        if early is None:
            always = self.order is not None
            sight = look(self.config, state, self.tmux, lambda: self.method, self.environ, self.now, always=always)
            self.seen = (sight.state, sight)
            state = sight.state
            findings = detect(self.config, state, sight.observation, sight.readings, sight.zone)
            tell(findings)
            if self.order:
                from failover_oneshot.decision.manual import obey

                decision = obey(self.config, state, sight.observation, findings, self.order, self.now)
            else:
                decision = decide(self.config, state, sight.observation, findings, self.now)
        else:
            decision = early
        for note in decision.notes:
            log.info("%s", note)
        state = intend(self.config, state, decision, findings, self.now)

        dispatcher = self.dispatcher(decision, state, sight, findings)
        result, state = self.act(state, decision)
        upkeep, state = self.lifecycle(result, state, sight)
        if dispatcher:
            dispatcher.restarted(result.restarts)
            if result.outcome in HANDS_OUT:
                dispatcher.hand_out()
            state = dispatcher.end(state)
        return self.finish(state, decision, result, findings, upkeep, dispatcher)

    def reset(self, state: State, why: str) -> Report:
        """A fresh state begins, and this run swaps nothing."""
        report = Report(
            outcome=Outcome.STATE_RESET,
            reason=why,
            dry_run=self.dry_run,
            at=seconds(self.now),
            active_account=state.active_account,
            exit_code=EXIT_DATA,
        )
        self.save(state, report, None)
        return report

    def act(self, state: State, decision: Decision) -> tuple[Result, State]:
        """Carry the decision out; in a dry run, say what that would be."""
        if decision.action not in {Action.SWAP, Action.RESUME, Action.FINISH}:
            return Result(outcome=decision.outcome, reason=decision.reason), state
        swapper = Swapper(
            self.config, self.method, self.tmux, self.store.save, self.now, lambda seen: resume_ids(self.config, seen)
        )
        if self.dry_run:
            return swapper.preview(state), state
        state, result = swapper.run(state)
        if decision.action is Action.FINISH:
            result = replace(result, reason=f"{decision.reason}: {result.reason}")
        return result, state

    def dispatcher(
        self, decision: Decision, state: State, sight: Sight | None, findings: tuple[Finding, ...]
    ) -> "Dispatcher | None":
        """What deals with tasks, those that are done collected, before a swap restarts their sessions.

        None while paused, while a swap is owed, and when neither tasks nor the pool's size are looked after.
        """
        wanted = self.config.dispatch.spool or self.config.pool.autonomous.min
        if not wanted or decision.action is Action.FINISH or decision.outcome is Outcome.PAUSED:
            return None
        from failover_oneshot.tasks.dispatcher import Dispatcher

        if sight is None:  # in the cooldown nothing is judged, but tasks go on
            sight = glance(self.config, state, self.tmux, self.environ, self.now)
            findings = detect(self.config, state, sight.observation, sight.readings, sight.zone)
        made = Dispatcher(self.config, state, sight, findings, self.tmux, self.now)
        made.collect()
        return made

    def lifecycle(self, result: Result, state: State, sight: Sight | None) -> tuple[Upkeep, State]:
        """At least `min` sessions of the range (SPEC section 9), not while paused, waiting, or with a swap owed."""
        if not self.config.pool.autonomous.min or result.outcome in {Outcome.PAUSED, Outcome.WAITING, Outcome.FAILED}:
            return Upkeep(), state
        from failover_oneshot.pool import lifecycle

        moved = result.move is not None or bool(result.restarts)
        sessions = sight.observation.sessions if sight is not None and not moved else None
        if sessions is None:
            sessions = self.tmux.observe(self.config.pool, capture=False).sessions
        account = result.move.to if result.move else state.active_account
        plan = lifecycle.plan(self.config, state, sessions, account or "", self.now)
        if self.dry_run or not plan.restarts:
            return Upkeep(restarts=plan.restarts, notes=plan.notes), plan.state
        owner = self.config.account(account)
        try:
            environment = self.method.environment(owner) if owner else {}
        except registry.MethodError as error:
            log.error("cannot start %s: %s", ", ".join(r.session for r in plan.restarts), error)
            return Upkeep(notes=plan.notes), state
        made = lifecycle.perform(self.tmux, plan, environment, self.store.save)
        return Upkeep(restarts=made, notes=plan.notes), plan.state

    def finish(
        self,
        state: State,
        decision: Decision,
        result: Result,
        findings: tuple[Finding, ...],
        upkeep: Upkeep,
        dispatcher: "Dispatcher | None",
    ) -> Report:
        report = Report(
            outcome=result.outcome,
            reason=result.reason,
            dry_run=self.dry_run,
            at=seconds(self.now),
            active_account=result.move.to if result.move else state.active_account,
            swap=result.move,
            next_possible_at=decision.next_possible_at,
            blocked_pool=decision.blocked_pool,
            blocked_dedicated=decision.blocked_dedicated,
            findings=findings,
            restarts=(*result.restarts, *upkeep.restarts),
            moves=tuple(dispatcher.moves) if dispatcher else (),
            pool=dispatcher.pool_tally() if dispatcher else None,
            tasks=dispatcher.task_tally() if dispatcher else None,
            notes=upkeep.notes,
            outcome_before=state.last_check.outcome if state.last_check else None,
            exit_code=EXIT_FAILED if result.outcome is Outcome.FAILED else 0,
        )
        self.save(state, report, decision)
        return report

    def save(self, state: State, report: Report, decision: Decision | None) -> None:
        """Write what the check came to, and what is to be told of it; in a dry run nothing."""
        if self.dry_run:
            return
        if self.config.notify.urls or self.config.notify.urls_file:
            from failover_oneshot.monitoring import outbox

            state, self.notices = outbox.note(self.config.notify, state, report)
        last = replace(self.last_check(report.outcome, decision), pool=report.pool, tasks=report.tasks)
        self.saved = replace(state, last_check=last)
        self.store.save(self.saved)

    def last_check(self, outcome: Outcome, decision: Decision | None) -> LastCheck:
        return LastCheck(
            at=seconds(self.now),
            outcome=outcome,
            blocked_pool=decision.blocked_pool if decision else 0,
            blocked_dedicated=decision.blocked_dedicated if decision else 0,
            duration_ms=round((time.monotonic() - self.started) * 1000),
        )
