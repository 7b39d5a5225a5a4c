"""What a check reads before it decides: panes, records, live credentials, stores. Never writes."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from failover_oneshot.agents import registry as agents
from failover_oneshot.agents.base import Agent
from failover_oneshot.config.model import Config, Method
from failover_oneshot.model import AgentProcess, Finding, Observation, Session
from failover_oneshot.state.model import SessionMemory, State, stamp
from failover_oneshot.tmux.client import TmuxReader

if TYPE_CHECKING:
    from failover_oneshot.accounts.method import SwapMethod

log = logging.getLogger("failover")


def observe(
    config: Config,
    state: State,
    tmux: TmuxReader,
    method: "Callable[[], SwapMethod]",
    environ: Mapping[str, str],
    now: datetime,
    *,
    always: bool = False,
) -> tuple[State, Observation]:
    """Read panes and records, and where they may matter (or ``always``) the stores and the sessions' own logins.

    The returned state includes the sessions that have their own login. Raises TmuxError and TmuxTimeoutError.
    """
    seen = observe_panes(config, tmux, environ, now)
    blocked = any(r.kind in config.quota.swap_on and not r.busy for r in seen.readings.values())
    if not (always or state.waiting or config.quota.failback or blocked):
        return state, seen
    if config.swap.method is Method.CLAUDE:
        state = _warn_of_own_logins(state, seen, agents.of_the_pool(config))
    return state, replace(seen, unusable=_unusable(config, state, method()))


def _unusable(config: Config, state: State, method: "SwapMethod") -> dict[str, str]:
    """The enabled accounts that cannot be swapped to, each with the reason."""
    others = [a for a in config.accounts if a.enabled and a.name != state.active_account]
    return {account.name: why for account in others if (why := method.check(account))}


def observe_panes(config: Config, tmux: TmuxReader, environ: Mapping[str, str], now: datetime) -> Observation:
    """Read only the panes and the agents' records. Raises TmuxError and TmuxTimeoutError."""
    seen = tmux.observe(config.pool, capture=True)
    for note in seen.notes:
        log.info("%s", note)
    panes = [pane for session in seen.sessions for pane in session.panes if pane.text is not None]
    agent = agents.of_the_pool(config)
    readings = {pane.pane_id: agent.classify(pane.text or "", pane.title, config.quota) for pane in panes}
    processes: Mapping[str, AgentProcess] = {}
    if config.swap.method is Method.CLAUDE:
        processes = agent.processes({pane.pane_id: pane.pid for pane in panes})
        readings.update({pane_id: said for pane_id, process in processes.items() if (said := agent.record(process))})
    return Observation(
        at=now,
        server_running=seen.server_running,
        sessions=seen.sessions,
        readings=readings,
        agents=processes,
        zone=machine_zone(environ),
        notes=seen.notes,
    )


def _warn_of_own_logins(state: State, seen: Observation, agent: Agent) -> State:
    """The state with the sessions that have their own login; each is logged once."""
    known = dict(state.sessions)
    for session in seen.sessions:
        memory = known.get(session.name, SessionMemory())
        pids = {pane.pid for pane in session.panes}
        pids |= {seen.agents[pane.pane_id].pid for pane in session.panes if pane.pane_id in seen.agents}
        name = agent.own_login(pids)
        if name and name != memory.own_login:
            log.warning("%s: has its own login (%s); a swap does not reach it", session.name, name)
        known[session.name] = replace(memory, own_login=name)
    return replace(state, sessions=known)


def resume_ids(config: Config, sessions: Sequence[Session]) -> dict[str, str]:
    """Each session's conversation id, by session name, from the agents' records."""
    wanted = [config.pool.autonomous.resume_command, *(named.resume_command for named in config.pool.dedicated)]
    if not any(wanted):
        return {}
    agent = agents.of_the_pool(config)
    known = agent.processes({pane.pane_id: pane.pid for session in sessions for pane in session.panes if not pane.dead})
    # An agent that has just started has an id but no conversation to resume.
    begun = {pane_id: p.session_id for pane_id, p in known.items() if Path(agent.conversation(p)).exists()}
    # The agent in the active pane wins: it comes last.
    return {
        session.name: begun[pane.pane_id]
        for session in sessions
        for pane in sorted(session.panes, key=lambda p: p.active)
        if pane.pane_id in begun
    }


def machine_zone(environ: Mapping[str, str]) -> str:
    """The machine's IANA time zone: $TZ, else where /etc/localtime points, else UTC."""
    if zone := environ.get("TZ", "").lstrip(":"):
        return zone.partition("/zoneinfo/")[2] or zone
    try:
        return os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2] or "UTC"
    except OSError:
        return "UTC"


def log_findings(findings: Sequence[Finding]) -> None:
    """Log each session that is not healthy in one line, with its evidence [daemon]."""
    for f in findings:
        if f.error is not None:
            log.warning("%s: unreadable: %s", f.name, f.error)
        elif f.blocked:
            reset = f", resets {stamp(f.resets_at)}" if f.resets_at else ", no reset time"
            why_not = f"; not counted, {f.why_not}" if f.why_not else ""
            log.info("%s: %s by %s: %s [%s]%s%s", f.name, f.kind, f.evidence, f.snippet, f.rule, reset, why_not)
        elif f.kind in ("auth", "server_error", "warning"):
            log.info("%s: %s: %s [%s]", f.name, f.kind, f.snippet, f.rule)
        else:
            log.debug("%s: %s", f.name, f.kind)
