"""What one check does with tasks: `collect`, `requeue` after a swap, `hand_out`, then `remember`.

Each step observes, plans, and carries out its plan. A dry run makes the same plan and changes nothing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.config.model import Config, Dispatch
from failover_oneshot.model import Finding, Observation, PoolTally, Restart, TaskMove, TaskTally
from failover_oneshot.state.model import State
from failover_oneshot.tasks import availability, executor, plan
from failover_oneshot.tasks.availability import PoolObservation
from failover_oneshot.tasks.plan import ExecutedAction
from failover_oneshot.tasks.spool import Spool, counts
from failover_oneshot.tasks.task import tally
from failover_oneshot.tmux.client import TmuxReader


class Dispatched(Struct, frozen=True, kw_only=True):
    """The observed pool, and what was done with its tasks since."""

    pool: PoolObservation
    spool: Spool | None  # None: dispatch is off, or the spool is unusable
    dry_run: bool
    done: tuple[ExecutedAction, ...] = ()

    @property
    def moves(self) -> tuple[TaskMove, ...]:
        """The task moves for the report."""
        return plan.moves(self.done)

    @property
    def pool_tally(self) -> PoolTally:
        """How many sessions are in each condition now."""
        return tally(self.pool.slots, plan.busy_sessions(self.done))

    @property
    def task_tally(self) -> TaskTally | None:
        """How many tasks are queued, running and failed now; None without a spool."""
        return counts(self.spool.folder) if self.spool else None


def collect(
    config: Config,
    state: State,
    observation: Observation,
    findings: Sequence[Finding],
    now: datetime,
    *,
    guard: Callable[[], None],
    dry_run: bool,
) -> Dispatched:
    """Move tasks that are done, failed or without an agent out of running/. ``guard``: see `Spool`."""
    pool = availability.observe_pool(config, state, observation, findings, now)
    spool = executor.open_spool(config.dispatch.spool, now, guard, dry_run=dry_run)
    dispatched = Dispatched(pool=pool, spool=spool, dry_run=dry_run)
    if spool is None:
        return dispatched
    actions = plan.plan_collect(availability.observe_running(spool, pool), pool.slots, config.dispatch, now)
    return _with(dispatched, executor.carry_out(spool, actions, dry_run=dry_run))


def requeue(dispatched: Dispatched, restarts: Sequence[Restart], now: datetime) -> Dispatched:
    """Requeue the tasks of sessions that a swap has restarted."""
    spool = dispatched.spool
    if spool is None or not restarts:
        return dispatched
    actions = plan.plan_requeue(availability.list_running(spool), dispatched.done, restarts, now)
    return _with(dispatched, executor.carry_out(spool, actions, dry_run=dispatched.dry_run))


def hand_out(dispatched: Dispatched, tmux: TmuxReader, limits: Dispatch, now: datetime) -> Dispatched:
    """Dispatch queued tasks to idle sessions, and press Enter for texts that are in a prompt box."""
    pool, spool, done = dispatched.pool, dispatched.spool, dispatched.done
    free, unsent = plan.free_slots(pool.slots, done), plan.unsent(done)
    if spool is None or not (free or unsent):
        return dispatched  # do not read a long queue in vain
    queue = availability.observe_queue(spool, free, plan.requeued(done), now)
    if queue:
        free = availability.with_records(pool, free)
    actions = plan.plan_hand_out(unsent, queue, free, now)
    return _with(dispatched, executor.hand_out(tmux, pool.agent, spool, actions, limits, now))


def remember(dispatched: Dispatched, state: State, limits: Dispatch, now: datetime) -> State:
    """The state with sessions put on hold. Also removes old tasks from done/."""
    if dispatched.spool is None or dispatched.dry_run:
        return state
    executor.prune(dispatched.spool, limits, dispatched.done, state.last_check, now)
    return plan.with_holds(state, dispatched.done, now)


def _with(dispatched: Dispatched, done: tuple[ExecutedAction, ...]) -> Dispatched:
    return replace(dispatched, done=(*dispatched.done, *done))
