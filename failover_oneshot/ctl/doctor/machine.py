"""What the doctor reads from the machine: tmux, sessions, the agent, the clock, the units. Read-only."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from failover_oneshot.agents import registry
from failover_oneshot.agents.base import Agent
from failover_oneshot.config import model
from failover_oneshot.config.model import Config, Method
from failover_oneshot.ctl.doctor import rules
from failover_oneshot.ctl.doctor.rules import DoctorLine, WatchedSession, error, ok, warning
from failover_oneshot.ctl.lib import proposal
from failover_oneshot.ctl.systemd import programs, units
from failover_oneshot.ctl.systemd.units import UnitView
from failover_oneshot.lib.plural import plural
from failover_oneshot.model import Evidence, Session
from failover_oneshot.state.model import State
from failover_oneshot.tmux.client import TmuxError, TmuxMissingError, TmuxReader, TmuxTimeoutError, index_in_range
from failover_oneshot.tmux.formats import PaneRow, is_shell


def tmux(config: model.Tmux) -> Iterator[DoctorLine]:
    """The tmux program, its version, and the server."""
    try:
        server = TmuxReader(config, os.environ)
        yield rules.tmux_version(programs.ask(config.binary, "-V").out)
        rows = server.rows()
    except TmuxMissingError as problem:
        yield error("tmux", str(problem), "sudo apt install tmux, or set tmux.binary to its path")
        return
    except TmuxTimeoutError as problem:
        yield error("tmux", str(problem), "pgrep -a tmux (is the server stopped?), or raise tmux.timeout")
        return
    except TmuxError as problem:
        yield error("tmux", str(problem), f"ls -l {socket(config)}")
        return
    where = socket(config)
    if rows is None:
        fix = "start your sessions; if they use another server, run `tmux display -p '#{socket_path}'` in one of them"
        yield warning("tmux", f"no server running on {where}", f"{fix} and set tmux.socket_path to the result")
    else:
        yield ok("tmux", f"{plural(len({row.session_name for row in rows}), 'session')} on {where}")
    own = os.environ.get("TMUX", "").rpartition(",")[0].rpartition(",")[0]
    if own and os.path.realpath(own) != os.path.realpath(where):
        yield warning("tmux", f"this terminal is in another tmux server, {own}",
                      f"if your sessions run there, set tmux.socket_path to {own}")  # fmt: skip


def socket(config: model.Tmux) -> str:
    """The path of the server's socket, found as tmux finds it."""
    if config.socket_path:
        return config.socket_path
    folder = os.environ.get("TMUX_TMPDIR") or "/tmp"  # noqa: S108 - tmux's own default
    return f"{folder}/tmux-{os.getuid()}/{config.socket_name or 'default'}"


def sessions(config: Config) -> Iterator[DoctorLine]:
    """Compare the range with the running sessions; then the agent's version and screens."""
    try:
        server = TmuxReader(config.tmux, os.environ)
        rows = server.rows() or ()
        seen = server.observe(config.pool, capture=True).sessions if rows else ()
    except TmuxError:
        return  # `tmux` reports it
    yield from rules.pool_range(config, list(_watched(config, rows)))
    agent = registry.of_the_pool(config)
    texts: list[str] = []
    understood: dict[str, bool] = {}
    for session in seen:
        for pane in session.panes:
            if pane.text is not None and proposal.is_agent(pane.command, pane.title):
                texts.append(pane.text)
                fine = agent.classify(pane.text, pane.title, config.quota).evidence is not Evidence.TEXT
                understood[session.name] = fine and understood.get(session.name, True)
    if config.swap.method is Method.CLAUDE:
        yield rules.agent_version(agent.version(texts))
        yield from _own_logins(agent, seen)
    yield rules.screens(understood)


def _watched(config: Config, rows: Sequence[PaneRow]) -> Iterator[WatchedSession]:
    by_name: dict[str, list[PaneRow]] = {}
    for row in rows:
        by_name.setdefault(row.session_name, []).append(row)
    for name, found in by_name.items():
        pane = min((row.pane for row in found), key=lambda p: (p.dead, is_shell(p.command), not p.active))
        index = index_in_range(config.pool.autonomous, name)
        yield WatchedSession(name=name, index=index, restartable=proposal.restartable(pane.start_command))


def _own_logins(agent: Agent, seen: Sequence[Session]) -> Iterator[DoctorLine]:
    for session in seen:
        if name := agent.own_login(pane.pid for pane in session.panes):
            text = f"{session.name} has its own login ({name}); a swap does not reach it"
            yield warning("agent", text, f"start it without {name}, or set swap.method: env")


def clock(state: State | None, now: datetime) -> Iterator[DoctorLine]:
    """Whether the machine's clock is synchronized."""
    said = programs.ask("timedatectl", "show", "--property=NTPSynchronized", "--value")
    known = {"yes": True, "no": False}.get(said.out) if said.ok else None
    yield from rules.clock(known, state, now)


def units_and_cadence(
    config: Config | None, view: UnitView, state: State | None, now: datetime
) -> Iterator[DoctorLine]:
    """The timer and its service, lingering, and whether checks run as often as configured."""
    if why := programs.no_manager():
        yield warning("timer", f"no systemd user manager available: {why}", "failoverctl install (prints alternatives)")
        if config:
            yield from rules.last_check(config, state, now, None)
        return
    wanted = ("LoadState", "UnitFileState", "ActiveState", "NeedDaemonReload", "TimersMonotonic")
    timer = programs.properties(units.TIMER, *wanted, "ActiveEnterTimestampMonotonic")
    service = programs.properties(units.SERVICE, "ExecStart", "Environment", "Result", "ExecMainStatus")
    path = rules.exec_path(service)
    runnable = bool(path and os.access(path, os.X_OK))
    lines = [
        *rules.timer(timer),
        *rules.service(service, runnable, programs.check_program(os.environ.get("PATH"))),
        *(rules.same_view(rules.timers_view(service), view) if config and path else ()),
    ]
    yield from lines or [ok("timer", f"enabled and active, runs {path}")]
    if timer.get("LoadState") != "loaded":
        return
    match programs.linger():
        case True:
            yield ok("linger", "on; the timer also runs while you are logged out")
        case False:
            yield warning("linger", "off; the timer stops when you log out", "loginctl enable-linger")
        case None:
            yield ok("linger", "unknown on this system; to be sure, run `loginctl enable-linger`")
    if config:
        active = None
        if timer.get("ActiveState") == "active":  # systemd's monotonic clock is the one of time.monotonic
            active = time.monotonic() - int(timer.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
        yield rules.cadence(config, interval(timer.get("TimersMonotonic", "")))
        yield from rules.last_check(config, state, now, active)


def interval(printed: str) -> float | None:
    """Seconds between two checks, from the timer's property TimersMonotonic; None if it has no interval."""
    match = re.search(r"OnUnit(?:Inactive|Active)USec=([^;}]*)", printed)
    return units.seconds(match[1].strip()) if match else None
