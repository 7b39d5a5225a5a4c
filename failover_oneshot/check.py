"""One check from start to end: load, observe, decide, save the intent, act, save the result."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.config.model import Config
from failover_oneshot.decision.decision import Action, Decision
from failover_oneshot.decision.pipeline import Assessment, assess, prepare
from failover_oneshot.decision.rules import before_observing
from failover_oneshot.detection.findings import detect
from failover_oneshot.errors import EXIT_CONFIG, EXIT_DATA, EXIT_FAILED
from failover_oneshot.model import Observation, Outcome
from failover_oneshot.monitoring import hooks
from failover_oneshot.observe import log_findings, observe, observe_panes, resume_ids
from failover_oneshot.report import Report, Upkeep
from failover_oneshot.state.model import LastCheck, Notice, State, seconds
from failover_oneshot.state.store import Origin, StateStore
from failover_oneshot.swap import watch
from failover_oneshot.swap.journal import ActionResult, intend
from failover_oneshot.tmux.client import TmuxControl, TmuxReader

if TYPE_CHECKING:
    from failover_oneshot.accounts.method import SwapMethod
    from failover_oneshot.decision.manual import Order
    from failover_oneshot.tasks.dispatch import Dispatched

DISPATCHES = (Outcome.OK, Outcome.COOLDOWN)
"""The outcomes in which tasks are dispatched: no suspicion, no unfinished swap, no wait, no restart in this check."""

log = logging.getLogger("failover")


def state_path(explicit: str | None, config: Config, environ: Mapping[str, str]) -> Path:
    """The state file's path: the first of --state, state.path, $STATE_DIRECTORY, $XDG_STATE_HOME, ~/.local/state."""
    if explicit or config.state.path:
        return Path(explicit or config.state.path or "").absolute()
    if directory := environ.get("STATE_DIRECTORY"):  # systemd may list several, the first is ours
        return Path(directory.split(":")[0]) / "state.json"
    base = environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path(environ.get("HOME", "/")) / ".local/state"
    return root / "failover" / "state.json"


class _Run(Struct, frozen=True, kw_only=True):
    """What one check works with, fixed from start to end."""

    config: Config
    store: StateStore
    environ: Mapping[str, str]
    tmux: TmuxReader  # a `TmuxControl` in a real run; a dry run only reads
    dry_run: bool
    now: datetime  # UTC; the clock is read once, while the lock is held
    started: float  # time.monotonic(), for the duration


class _Ended(Struct, frozen=True, kw_only=True):
    """The result of one check."""

    report: Report
    saved: State = State()  # as written
    notices: tuple[Notice, ...] = ()  # to be sent after the lock is released
    decided_on: tuple[State, Observation | None] = (State(), None)


def check(
    config: Config,
    path: Path,
    *,
    dry_run: bool,
    environ: Mapping[str, str],
    order: "Order | None" = None,
    record: Path | None = None,
    refused: Sequence[str] = (),
) -> Report:
    """Run one check on the state at ``path``. An ``order`` (a swap by hand) replaces the check's own decision.

    ``record``: the folder where the observation is saved for `failoverctl replay`. ``refused``: why the check must
    touch nothing; it only records that and notifies, as of any failure.

    Raises StoreError, LockTimeoutError, LockLostError, TmuxError and TmuxTimeoutError (`errors.py` has their exit
    codes), and NothingDoneError for an order that is refused.
    """
    store = StateStore(path, config.state.lock_timeout)
    with nullcontext() if dry_run else store.locked():
        run = _Run(
            config=config,
            store=store,
            environ=environ,
            tmux=(
                TmuxReader(config.tmux, environ) if dry_run else TmuxControl(config.tmux, environ, store.verify_lock)
            ),
            dry_run=dry_run,
            now=datetime.now(UTC),
            started=time.monotonic(),
        )
        ended = _refused(run, refused) if refused else _check(run, order)
        if record is not None:
            from failover_oneshot.analysis import recorder

            recorder.keep(record, ended.decided_on, ended.report, config, run.tmux, environ)
    if not dry_run:
        _after(run, ended)
    return ended.report


def _after(run: _Run, ended: _Ended) -> None:
    """Run hooks, write metrics and send notices: outside the lock; a failure is a warning."""
    config, report = run.config, ended.report
    if hook := hooks.due(config.hooks, report, report.outcome_before):
        hooks.run(*hook, report, config.hooks.timeout)
    if config.metrics.textfile or ended.notices:
        from failover_oneshot.monitoring import after_check

        after_check.checked(config, run.store, report, ended.saved, ended.notices)


def _check(run: _Run, order: "Order | None") -> _Ended:
    """Load, observe, decide, save the intent, act, save the result."""
    config, now = run.config, run.now
    loaded = run.store.load(now, quarantine=not run.dry_run)
    method = _method(run, loaded.state)
    state, notes, renamed = prepare(
        config, loaded.state, now, lambda: method().live_account(), lambda a, m: method().holds(a, m)
    )
    for note in (*loaded.notes, *notes):
        log.warning("%s", note)
    if loaded.origin is Origin.RESET:  # this run swaps nothing
        return _stopped(run, state, Outcome.STATE_RESET, loaded.notes[0], EXIT_DATA)
    if renamed and not run.dry_run:
        from failover_oneshot.accounts import kept  # here: hardly any check needs it

        for old, new in renamed.items():
            kept.rename(run.store.path.parent, old, new)
    state = _watch(run, state)
    method = _method(run, state)

    found = assess(
        config, state, now, lambda state: observe(config, state, run.tmux, method, run.environ, now), order=order
    )
    log_findings(found.findings)
    _log_decision(found.decision)
    state = intend(config, found.state, found.decision, found.findings, now)

    dispatched = _collect(run, state, found)  # before a swap restarts sessions
    result, state = _act(run, state, found.decision)
    upkeep, state = _keep_size(run, result, state, found.observation, method)
    dispatched, state = _dispatch(run, state, dispatched, result)
    report = _report(run, state, found, result, upkeep, dispatched)
    saved, notices = _save(run, state, report)
    return _Ended(report=report, saved=saved, notices=notices, decided_on=(found.state, found.observation))


def _watch(run: _Run, state: State) -> State:
    """The state with the owner of the live credentials, unless the check is paused or has a swap to finish."""
    early = before_observing(run.config, state, run.now)
    held = early is not None and (early.action is Action.FINISH or early.outcome is Outcome.PAUSED)
    if held or not watch.due(run.config, state, run.now):
        return state
    return watch.watch(run.config, state, lambda newer: _method(run, newer)(), run.now, dry_run=run.dry_run)


def _log_decision(decision: Decision) -> None:
    """Log what the summary line leaves out: the evidence of a decision that does something, and its notes."""
    if decision.action not in {Action.HOLD, Action.FINISH}:  # the swap itself logs how it is resumed
        log.info("decision: %s", decision.reason)
    for note in decision.notes:
        log.info("%s", note)


def _method(run: _Run, state: State) -> "Callable[[], SwapMethod]":
    """The config's swap method, made on first use: the check of a healthy pool does not need it."""

    def made() -> "SwapMethod":
        from failover_oneshot.accounts import registry

        return registry.method(run.config, run.store.path.parent, state, run.store.verify_lock)

    return cache(made)


def _refused(run: _Run, problems: Sequence[str]) -> _Ended:
    """Observe nothing, because of problems outside the state. A lost state is reported first, as by any check."""
    loaded = run.store.load(run.now, quarantine=True)
    for note in loaded.notes:
        log.warning("%s", note)
    if loaded.origin is Origin.RESET:
        return _stopped(run, loaded.state, Outcome.STATE_RESET, "; ".join((*loaded.notes, *problems)), EXIT_DATA)
    return _stopped(run, loaded.state, Outcome.FAILED, "; ".join(problems), EXIT_CONFIG)


def _stopped(run: _Run, state: State, outcome: Outcome, why: str, exit_code: int) -> _Ended:
    """Save the state and end the check without an observation."""
    report = Report(
        outcome=outcome,
        summary=why,
        reason=why,
        dry_run=run.dry_run,
        at=seconds(run.now),
        active_account=state.active_account,
        outcome_before=state.last_check.outcome if state.last_check else None,
        exit_code=exit_code,
    )
    saved, notices = _save(run, state, report)
    return _Ended(report=report, saved=saved, notices=notices, decided_on=(state, None))


def _act(run: _Run, state: State, decision: Decision) -> tuple[ActionResult, State]:
    """Carry out the decision; in a dry run only say what it would do."""
    if decision.action not in {Action.SWAP, Action.RESUME, Action.FINISH}:
        return ActionResult(outcome=decision.outcome, reason=decision.reason), state
    from failover_oneshot.swap.runner import Swapper  # here: most checks do nothing

    config = run.config
    swapper = Swapper(
        config,
        lambda newer: _method(run, newer)(),
        state,
        run.tmux,
        run.store.save,
        run.now,
        lambda seen: resume_ids(config, seen),
    )
    if run.dry_run:
        return swapper.preview(state), state
    state, result = swapper.run(state)
    if decision.action is Action.FINISH:
        result = replace(result, reason=f"{decision.reason}: {result.reason}")
    return result, state


def _collect(run: _Run, state: State, found: Assessment) -> "Dispatched | None":
    """What became of the dispatched tasks.

    None while paused or with an unfinished swap, and when neither dispatch nor `min` is configured.
    """
    config, decision = run.config, found.decision
    wanted = config.dispatch.spool or config.pool.autonomous.min
    if not wanted or decision.action is Action.FINISH or decision.outcome is Outcome.PAUSED:
        return None
    from failover_oneshot.tasks import dispatch

    observation, findings = found.observation, found.findings
    if observation is None:  # the cooldown skips detection, but tasks go on
        observation = observe_panes(config, run.tmux, run.environ, run.now)
        findings = detect(config, state, observation)
    return dispatch.collect(
        config, state, observation, findings, run.now, guard=run.store.verify_lock, dry_run=run.dry_run
    )


def _dispatch(
    run: _Run, state: State, dispatched: "Dispatched | None", result: ActionResult
) -> tuple["Dispatched | None", State]:
    """Requeue the tasks of restarted sessions; if the outcome allows it, dispatch queued tasks to idle sessions."""
    if dispatched is None:
        return None, state
    from failover_oneshot.tasks import dispatch

    dispatched = dispatch.requeue(dispatched, result.restarts, run.now)
    if result.outcome in DISPATCHES:
        dispatched = dispatch.hand_out(dispatched, run.tmux, run.config.dispatch, run.now)
    return dispatched, dispatch.remember(dispatched, state, run.config.dispatch, run.now)


def _keep_size(
    run: _Run, result: ActionResult, state: State, observation: Observation | None, method: "Callable[[], SwapMethod]"
) -> tuple[Upkeep, State]:
    """Keep at least `min` sessions of the range running; not while paused, waiting or after a failed swap."""
    config = run.config
    if not config.pool.autonomous.min or result.outcome in {Outcome.PAUSED, Outcome.WAITING, Outcome.FAILED}:
        return Upkeep(), state
    from failover_oneshot.accounts.method import MethodError
    from failover_oneshot.pool import lifecycle

    moved = result.move is not None or bool(result.restarts)
    if observation is None or moved:
        sessions = run.tmux.observe(config.pool, capture=False).sessions
    else:
        sessions = observation.sessions
    account = result.move.to if result.move else state.active_account
    plan = lifecycle.plan(config, state, sessions, account or "", run.now)
    if run.dry_run or not plan.restarts:
        return Upkeep(restarts=plan.restarts, notes=plan.notes), plan.state
    owner = config.account(account)
    try:
        environment = method().environment(owner) if owner else {}
    except MethodError as error:
        log.error("cannot start %s: %s", ", ".join(r.session for r in plan.restarts), error)
        return Upkeep(notes=plan.notes), state
    made = lifecycle.perform(run.tmux, plan, environment, run.store.save)
    return Upkeep(restarts=made, notes=plan.notes), plan.state


def _report(
    run: _Run, state: State, found: Assessment, result: ActionResult, upkeep: Upkeep, dispatched: "Dispatched | None"
) -> Report:
    decision = found.decision
    return Report(
        outcome=result.outcome,
        summary=result.summary or decision.summary,
        reason=result.reason,
        dry_run=run.dry_run,
        at=seconds(run.now),
        active_account=result.move.to if result.move else state.active_account,
        swap=result.move,
        next_possible_at=decision.next_possible_at,
        blocked_pool=decision.blocked_pool,
        blocked_dedicated=decision.blocked_dedicated,
        findings=found.findings,
        restarts=(*result.restarts, *upkeep.restarts),
        moves=dispatched.moves if dispatched else (),
        pool=dispatched.pool_tally if dispatched else None,
        tasks=dispatched.task_tally if dispatched else None,
        notes=upkeep.notes,
        outcome_before=state.last_check.outcome if state.last_check else None,
        exit_code=EXIT_FAILED if result.outcome is Outcome.FAILED else 0,
    )


def _save(run: _Run, state: State, report: Report) -> tuple[State, tuple[Notice, ...]]:
    """Save the result and queue the notices that are due; a dry run saves nothing."""
    due: tuple[Notice, ...] = ()
    if run.dry_run:
        return State(), due
    if run.config.notify.urls or run.config.notify.urls_file:
        from failover_oneshot.monitoring import outbox

        state, due = outbox.note(run.config.notify, state, report)
    last = LastCheck(
        at=seconds(run.now),
        outcome=report.outcome,
        blocked_pool=report.blocked_pool,
        blocked_dedicated=report.blocked_dedicated,
        duration_ms=round((time.monotonic() - run.started) * 1000),
        pool=report.pool,
        tasks=report.tasks,
    )
    state = replace(state, last_check=last)
    run.store.save(state)
    return state, due
