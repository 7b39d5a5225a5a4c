"""Simulates a month in seconds: accounts with 5-hour and weekly windows, a working pool, the real decision rules.

Everything follows from the seed and fixed instants: the same arguments give the same result, and every policy gets the
same work. The model: a session works in bouts; each hour of work uses one session-hour of the active account's windows;
a window begins with the first use after the previous one has ended. Once a window is used up, each session hits the
limit at its next request and is stalled until the window ends or a swap restarts it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.analysis.replay import step
from failover_oneshot.config.model import Account, Config, Strategy
from failover_oneshot.config.values import Duration
from failover_oneshot.decision.decision import Action
from failover_oneshot.model import Evidence, Kind, Limit, Observation, Outcome, Pane, Reading, Role, Session
from failover_oneshot.state.model import State

START: Final = datetime(2026, 1, 5, tzinfo=UTC)  # any Monday, because no clock is read
FIVE_HOURS: Final = 5 * 3600.0
WEEK: Final = 7 * 24 * 3600.0
REQUEST: Final = 60.0  # mean seconds between a session's requests
_WORKS: Final = Reading(kind=Kind.OK, evidence=Evidence.SCREEN, moved_on=True)


class SimulatedLoad(Struct, frozen=True, kw_only=True):
    """The work of the pool and the size of the accounts. Windows are in session-hours, times in seconds."""

    accounts: int = 3
    sessions: int = 10
    busy: float = 0.5  # share of the time that a session works
    bout: float = 2700.0  # mean length of a bout of work
    five_hour: float = 15.0
    weekly: float = 250.0
    restart: float = 60.0  # duration of a restart, per session
    unknown: float = 0.0  # share of hits without a reset time
    days: float = 30.0
    seed: int = 1


class Policy(Struct, frozen=True, kw_only=True):
    """The settings that a simulation compares."""

    strategy: Strategy
    threshold: int
    cooldown: float


class SimulationResult(Struct, frozen=True, kw_only=True):
    """The result of one policy. Hours are session-hours, except in ``pool_stalled`` and ``waited``."""

    policy: Policy
    wanted: float
    worked: float
    stalled: float  # wanted, but blocked by a limit
    restarting: float  # wanted, but being restarted
    pool_stalled: float  # hours in which every session that wanted to work was blocked
    swaps: int
    resumes: int
    waited: float  # hours in which no account was free
    checks: int  # decisions made


class _Window(Struct):
    length: float
    size: float
    used: float = 0.0
    ends: float | None = None

    def roll(self, now: float) -> None:
        if self.ends is not None and now >= self.ends:
            self.used, self.ends = 0.0, None

    def use(self, now: float, hours: float) -> None:
        if self.ends is None:
            self.ends = now + self.length
        self.used += hours

    @property
    def full(self) -> bool:
        return self.used >= self.size


class _Hit(Struct):
    reading: Reading
    over: float  # when the session continues without a swap


def work(load: SimulatedLoad, poll: float) -> list[int]:
    """The sessions that want to work at each check, as bit masks; the same for every policy."""
    ticks = int(load.days * 86400 / poll)
    masks = [0] * ticks
    for session in range(load.sessions):
        rng = Random(f"{load.seed}:{session}")  # noqa: S311 - a simulation, no secret
        pause = load.bout * (1 - load.busy) / load.busy
        at, works = 0.0, rng.random() < load.busy
        while at < ticks * poll:
            mean = load.bout if works else pause
            until = at + (rng.expovariate(1 / mean) if mean > 0 else 0.0)
            if works:
                for tick in range(int(at / poll), min(ticks, int(until / poll))):
                    masks[tick] |= 1 << session
            at, works = until, not works or pause == 0
    return masks


def simulate(
    base: Config, load: SimulatedLoad, policy: Policy, masks: Sequence[int], *, every_check: bool = False
) -> SimulationResult:
    """Simulate one policy. ``base`` supplies what the policy does not set: patience, backoff, max_per_hour, ….

    Checks that cannot decide anything new (no hit, cooldown, no account free yet) are skipped unless ``every_check``.
    """
    return _Month(_configured(base, load, policy), load, policy, masks, every_check).run()


def _configured(base: Config, load: SimulatedLoad, policy: Policy) -> Config:
    names = [f"account-{n + 1}" for n in range(load.accounts)]
    return replace(
        base,
        accounts=tuple(Account(name=name) for name in names),
        swap=replace(base.swap, strategy=policy.strategy),
        quota=replace(
            base.quota, pool_threshold=policy.threshold, reactivate_cooldown=Duration(policy.cooldown), failback=False
        ),
        pool=replace(base.pool, autonomous=replace(base.pool.autonomous, max=load.sessions), dedicated=()),
    )


class _Month:
    def __init__(
        self, config: Config, load: SimulatedLoad, policy: Policy, masks: Sequence[int], every_check: bool
    ) -> None:
        self.every_check = every_check
        self.config, self.load, self.policy, self.masks = config, load, policy, masks
        self.poll = float(config.quota.poll_interval)
        self.rng = Random(f"{load.seed}:hits")  # noqa: S311
        self.windows = {
            account.name: (_Window(FIVE_HOURS, load.five_hour), _Window(WEEK, load.weekly))
            for account in config.accounts
        }
        auto = config.pool.autonomous
        self.sessions = tuple(
            Session(
                name=f"{auto.prefix}{auto.start_index + n}",
                role=Role.POOL,
                index=auto.start_index + n,
                session_id=f"${n}",
                panes=(Pane(pane_id=f"%{n}", pid=n + 1),),
            )
            for n in range(load.sessions)
        )
        self.hits: dict[int, _Hit] = {}
        self.printed = 0
        self.blocked = 0  # bit masks
        self.restarting = 0
        self.back_at = 0.0
        self.state = State(active_account=config.accounts[0].name)
        self.quiet_until = 0.0  # no check can decide anything new before

    def run(self) -> SimulationResult:
        wanted = worked = stalled = restarting = pool_stalled = waited = 0
        swaps = resumes = checks = 0
        for tick, want in enumerate(self.masks):
            now = tick * self.poll
            changed = self._continue(now)
            if self.restarting and now >= self.back_at:
                self.restarting = 0
            running = want & ~self.blocked & ~self.restarting
            changed |= self._use(running, now)
            wanted += want.bit_count()
            held = want & self.blocked
            stalled += held.bit_count()
            restarting += (want & self.restarting & ~self.blocked).bit_count()
            worked += (running & ~self.blocked).bit_count()
            pool_stalled += bool(want) and held == want
            waited += self.state.waiting is not None
            quiet = now < self.quiet_until and not (changed and self.state.waiting)
            open_ = self.blocked or self.state.waiting or self.state.suspected_hit_at
            if (quiet or not open_) and not self.every_check:
                continue
            checks += 1
            outcome = self._check(now)
            swaps += outcome is Outcome.SWAPPED
            resumes += outcome is Outcome.RESUMED
        hours = self.poll / 3600
        return SimulationResult(
            policy=self.policy,
            wanted=round(wanted * hours, 1),
            worked=round(worked * hours, 1),
            stalled=round(stalled * hours, 1),
            restarting=round(restarting * hours, 1),
            pool_stalled=round(pool_stalled * hours, 1),
            swaps=swaps,
            resumes=resumes,
            waited=round(waited * hours, 1),
            checks=checks,
        )

    def _continue(self, now: float) -> bool:
        """Let the sessions continue whose window has ended; return whether there were any."""
        over = [n for n, hit in self.hits.items() if now >= hit.over]
        for n in over:
            del self.hits[n]
            self.blocked &= ~(1 << n)
        return bool(over)

    def _use(self, running: int, now: float) -> bool:
        """Charge the running sessions to the active account's windows; return whether one of them hit a limit."""
        windows = self.windows[self.state.active_account or ""]
        for window in windows:
            window.roll(now)
        if not running:
            return False
        five, week = windows
        if not five.full and not week.full:
            hours = running.bit_count() * self.poll / 3600
            five.use(now, hours)
            week.use(now, hours)
            return False
        limit, window = (Limit.SEVEN_DAY, week) if week.full else (Limit.FIVE_HOUR, five)
        hit = False
        for n in range(self.load.sessions):
            if running >> n & 1 and self.rng.random() < self.poll / REQUEST:
                self._hit(n, now, limit, window.ends or now)
                hit = True
        return hit

    def _hit(self, n: int, now: float, limit: Limit, over: float) -> None:
        self.printed += 1
        known = self.rng.random() >= self.load.unknown
        reading = Reading(
            kind=Kind.QUOTA,
            evidence=Evidence.TRANSCRIPT,
            limit=limit,
            rule="simulated",
            snippet=f"the {limit} limit is used up",
            resets_at=_instant(over) if known else None,
            identity=f"transcript:{self.printed}",
            printed_at=_instant(now),
        )
        self.hits[n] = _Hit(reading, over)
        self.blocked |= 1 << n

    def _check(self, now: float) -> Outcome:
        """Run one check with the real decision rules and apply it to the pool."""
        at = _instant(now)
        readings = {f"%{n}": self.hits[n].reading if n in self.hits else _WORKS for n in range(self.load.sessions)}
        observation = Observation(at=at, server_running=True, sessions=self.sessions, readings=readings)
        done = step(self.config, self.state, observation)
        self.state, decision = done.state, done.decision
        if decision.action in {Action.SWAP, Action.RESUME}:
            restarted = range(self.load.sessions)
            if decision.action is Action.RESUME:
                restarted_names = set(decision.acted_on)
                hit = [n for n, session in enumerate(self.sessions) if session.name in restarted_names]
            else:
                hit = list(restarted)
            for n in hit:
                self.hits.pop(n, None)
                self.blocked &= ~(1 << n)
                self.restarting |= 1 << n
            self.back_at = now + self.load.restart
        if decision.outcome in {Outcome.COOLDOWN, Outcome.WAITING, Outcome.FAILED} and decision.next_possible_at:
            self.quiet_until = (decision.next_possible_at - START).total_seconds()
        return decision.outcome


def _instant(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def encode(load: SimulatedLoad, results: Sequence[SimulationResult]) -> str:
    """The JSON object of `failoverctl simulate --json`."""
    return msgspec.json.encode({"version": 1, "load": load, "results": results}).decode()
