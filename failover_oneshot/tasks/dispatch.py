"""What one check does about tasks: `collect`, after a swap `requeue`, then `hand_out`, then `remember`.

Each is what was observed, a plan, and its execution; a dry run plans the same and changes nothing.
"""

from collections.abc import Sequence
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
    """The pool as it was observed, and what was done about its tasks since."""

    pool: PoolObservation
    spool: Spool | None  # None: no tasks are handed out
    dry_run: bool
    done: tuple[ExecutedAction, ...] = ()

    @property
    def moves(self) -> tuple[TaskMove, ...]:
        """What a report says of it."""
        return plan.moves(self.done)

    @property
    def pool_tally(self) -> PoolTally:
        """How the pool's sessions stand now."""
        return tally(self.pool.slots, plan.busy_sessions(self.done))

    @property
    def task_tally(self) -> TaskTally | None:
        """What is in the spool now."""
        return counts(self.spool.folder) if self.spool else None


def collect(
    config: Config,
    state: State,
    observation: Observation,
    findings: Sequence[Finding],
    now: datetime,
    *,
    dry_run: bool,
) -> Dispatched:
    """What is done, has failed or belongs to nobody leaves running/."""
    pool = availability.observe_pool(config, state, observation, findings, now)
    spool = executor.open_spool(config.dispatch.spool, now, dry_run=dry_run)
    dispatched = Dispatched(pool=pool, spool=spool, dry_run=dry_run)
    if spool is None:
        return dispatched
    actions = plan.plan_collect(availability.observe_running(spool, pool), pool.slots, config.dispatch, now)
    return _with(dispatched, executor.carry_out(spool, actions, dry_run=dry_run))


def requeue(dispatched: Dispatched, restarts: Sequence[Restart], now: datetime) -> Dispatched:
    """Tasks of sessions that a swap has restarted go back to the queue."""
    spool = dispatched.spool
    if spool is None or not restarts:
        return dispatched
    actions = plan.plan_requeue(availability.list_running(spool), dispatched.done, restarts, now)
    return _with(dispatched, executor.carry_out(spool, actions, dry_run=dispatched.dry_run))


def hand_out(dispatched: Dispatched, tmux: TmuxReader, limits: Dispatch, now: datetime) -> Dispatched:
    """Waiting tasks go to free sessions; a text that stands in a prompt is sent."""
    pool, spool, done = dispatched.pool, dispatched.spool, dispatched.done
    free, unsent = plan.free_slots(pool.slots, done), plan.unsent(done)
    if spool is None or not (free or unsent):
        return dispatched  # a long queue is not read for nothing
    queue = availability.observe_queue(spool, free, plan.requeued(done), now)
    if queue:
        free = availability.with_records(pool, free)
    actions = plan.plan_hand_out(unsent, queue, free, now)
    return _with(dispatched, executor.hand_out(tmux, pool.agent, spool, actions, limits, now))


def remember(dispatched: Dispatched, state: State, limits: Dispatch, now: datetime) -> State:
    """The state with the sessions that get no tasks for a while; tasks that were done long ago are taken away."""
    if dispatched.spool is None or dispatched.dry_run:
        return state
    executor.prune(dispatched.spool, limits, dispatched.done, state.last_check, now)
    return plan.with_holds(state, dispatched.done, now)


def _with(dispatched: Dispatched, done: tuple[ExecutedAction, ...]) -> Dispatched:
    return replace(dispatched, done=(*dispatched.done, *done))
