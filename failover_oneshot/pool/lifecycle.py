"""Keep the pool at its size: create missing sessions, restart dead ones (docs/dispatch.md, "The pool's size")."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.config.model import Config
from failover_oneshot.model import Restart, Session
from failover_oneshot.pool import restart
from failover_oneshot.pool.panes import dead_ones, of_the_pool
from failover_oneshot.state.model import SessionMemory, State, seconds, stamp
from failover_oneshot.tmux.client import TmuxReader

TRIES: Final = 3
WITHIN: Final = timedelta(minutes=10)
SETTLED: Final = timedelta(seconds=5)  # a session alive for this long did not die at its start


class Plan(Struct, frozen=True, kw_only=True):
    """The restarts that keep the pool at its size; ``notes`` name the sessions that are not restarted, and why."""

    restarts: tuple[Restart, ...] = ()
    state: State
    notes: tuple[str, ...] = ()


def plan(config: Config, state: State, sessions: Sequence[Session], account: str, now: datetime) -> Plan:
    """The plan for these sessions, observed just now. Reads /proc where a shell is in the foreground."""
    ours = of_the_pool(sessions)
    return planned(config, state, ours, dead_ones(config, ours), account, now)


def planned(
    config: Config, state: State, sessions: Sequence[Session], dead: Mapping[str, str], account: str, now: datetime
) -> Plan:
    """The plan that restarts dead sessions, then creates new ones up to `min`, lowest index first. Pure.

    ``sessions``: the existing sessions of the range, in index order. ``dead``: session name to why it has no agent. A
    session that died at its last `TRIES` starts is not started again until the first of them is `WITHIN` ago.
    """
    memory = {name: _recent(seen, now) for name, seen in state.sessions.items() if seen.starts}
    alive = {s.name for s in sessions if s.name not in dead}
    for name in alive & memory.keys():
        if memory[name] and now - memory[name][-1] >= SETTLED:
            memory[name] = ()
    resting = {name for name, starts in memory.items() if len(starts) >= TRIES and name not in alive}
    revived = [
        _noted(restart.revival(config, session, account), dead[session.name])
        for session in sessions
        if session.name in dead and session.name not in resting
    ]
    sibling = next((pane.start_command for session in sessions for pane in session.panes if pane.start_command), "")
    created = restart.missing(config, [s.name for s in sessions], account, sibling, resting)
    restarts = tuple(r for r in (*revived, *created) if r.status != "failed")
    for start in restarts:
        memory[start.session] = (*memory.get(start.session, ()), seconds(now))
    notes = tuple(
        f"{name} died at each of {TRIES} starts; no restart before {stamp(memory[name][0] + WITHIN)}; "
        "run its command by hand to see why"
        for name in sorted(resting)
    )
    notes += tuple(f"{r.session} not restarted: {r.note}" for r in revived if r.status == "failed")
    return Plan(restarts=restarts, state=_remembering(state, memory), notes=notes)


def _noted(revived: Restart, why: str) -> Restart:
    return revived if revived.note else replace(revived, note=why)


def _recent(memory: SessionMemory, now: datetime) -> tuple[datetime, ...]:
    return tuple(at for at in memory.starts if abs(now - at) < WITHIN)


def _remembering(state: State, starts: Mapping[str, tuple[datetime, ...]]) -> State:
    sessions = dict(state.sessions)
    for name, times in starts.items():
        sessions[name] = replace(sessions.get(name, SessionMemory()), starts=times)
    return state if sessions == state.sessions else replace(state, sessions=sessions)


def perform(
    tmux: TmuxReader,
    planned: Plan,
    environment: Mapping[str, str | None],
    save: Callable[[State], None],
) -> tuple[Restart, ...]:
    """Carry a plan out; the starts are saved to the state first. Raises TmuxError, TmuxTimeoutError, StoreError."""
    save(planned.state)
    done = []
    for start in planned.restarts:
        made = restart.perform(tmux, start, environment)
        restart.log_result(made)
        done.append(made)
    return tuple(done)
