"""The rules of `failoverctl doctor`: each fact becomes an ok, a warning or an error with its fix. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from failover_oneshot.config.model import AfterSwap, Config
from failover_oneshot.ctl.systemd.units import UnitView
from failover_oneshot.lib import durations
from failover_oneshot.lib.plural import plural, up_to
from failover_oneshot.state.model import State, stamp

OLDEST_TMUX: Final = (3, 2)  # the oldest version that the tests were run with
RECORDED_VERSIONS: Final = ((1, 0), (2, 0), (2, 1))  # of Claude Code, with recorded screens (docs/detection.md)
SLACK: Final = 2.0  # seconds: stored times are rounded
RECENT: Final = 3600.0  # seconds: an older failure is not reported
JOURNAL: Final = "journalctl --user -u failover.service -n 30"


class Level(StrEnum):
    """How bad a line is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class DoctorLine(Struct, frozen=True):
    """One finding; ``fix``: the command to run, or what to change."""

    topic: str
    level: Level
    text: str
    fix: str = ""


def ok(topic: str, text: str) -> DoctorLine:
    """A finding that needs no action."""
    return DoctorLine(topic, Level.OK, text)


def warning(topic: str, text: str, fix: str) -> DoctorLine:
    """A finding that limits what a check can do, or will soon."""
    return DoctorLine(topic, Level.WARNING, text, fix)


def error(topic: str, text: str, fix: str) -> DoctorLine:
    """A finding that prevents checks or swaps until it is fixed."""
    return DoctorLine(topic, Level.ERROR, text, fix)


def exit_code(lines: Iterable[DoctorLine]) -> int:
    """The exit code: 0 all ok, 1 warnings, 2 errors."""
    levels = {line.level for line in lines}
    return 2 if Level.ERROR in levels else 1 if Level.WARNING in levels else 0


def tmux_version(printed: str) -> DoctorLine:
    """Compare the tmux version with the oldest tested one; a build from git has no number and passes."""
    match = re.search(r"(\d+)\.(\d+)", printed)
    if match and (int(match[1]), int(match[2])) < OLDEST_TMUX:
        oldest = ".".join(map(str, OLDEST_TMUX))
        return warning("tmux", f"{printed} is older than {oldest}, the oldest tested version",
                       f"install tmux {oldest} or later")  # fmt: skip
    return ok("tmux", printed or "version unknown")


class WatchedSession(Struct, frozen=True, kw_only=True):
    """A running session, as the range rules need it."""

    name: str
    index: int | None = None  # None: outside the range
    restartable: bool = True  # tmux knows a start command, and it is not only a shell


def pool_range(config: Config, sessions: Sequence[WatchedSession]) -> Iterator[DoctorLine]:
    """Compare the configured range and the dedicated sessions with the running sessions."""
    auto = config.pool.autonomous
    last = auto.start_index + auto.max - 1
    inside = [s for s in sessions if s.index is not None]
    names = f"{auto.prefix}{auto.start_index} … {auto.prefix}{last}"
    if inside:
        yield ok("range", f"{names}: {len(inside)} of {plural(auto.max, 'session')} running")
    elif not auto.min:
        yield warning("range", f"{names}: no session running",
                      "failoverctl init --stdout (proposes a range); then change pool.autonomous")  # fmt: skip
    if len(inside) < auto.min:
        missing = auto.min - len(inside)
        text = f"{len(inside)} of at least {plural(auto.min, 'session')} running; the next check creates {missing}"
        yield warning("range", text, "failover-check --dry-run (shows which); the minimum is pool.autonomous.min")
    dedicated = {d.name for d in config.pool.dedicated}
    near = [s.name for s in sessions if s.index is None and s.name.startswith(auto.prefix) and s.name not in dedicated]
    if auto.prefix and near:
        text = f"{plural(len(near), 'session')} with this prefix outside the range, never touched: {up_to(5, near)}"
        yield warning("range", text, "to add them, change pool.autonomous.start_index or pool.autonomous.max")
    running = {s.name for s in sessions}
    for name in sorted(dedicated - running):
        yield warning("range", f"dedicated session {name} is not running", "start it, or remove it from pool.dedicated")
    if auto.after_swap in {AfterSwap.RECREATE, AfterSwap.RESPAWN} and not auto.command:
        lost = [s.name for s in inside if not s.restartable]
        if lost:
            text = f"{plural(len(lost), 'session')} would be an empty shell after a swap: {up_to(5, lost)}"
            yield warning("range", f"{text}; tmux does not know the start command",
                          "set pool.autonomous.command, or pool.autonomous.after_swap: nudge")  # fmt: skip


def screens(understood: Mapping[str, bool]) -> DoctorLine:
    """Whether the agents' screens are recognized; ``understood``: session name to whether its screen is."""
    lost = [name for name, fine in understood.items() if not fine]
    if lost:
        text = f"{len(lost)} of {plural(len(understood), 'agent screen')} not recognized: {up_to(5, lost)}"
        return warning("agent", text, f"failoverctl explain {lost[0]}")
    return ok("agent", f"{plural(len(understood), 'agent screen')} recognized" if understood
              else "no agent is running in a watched session")  # fmt: skip


def agent_version(version: str | None) -> DoctorLine:
    """Compare the version of Claude Code with the recorded ones; None: unknown."""
    if version is None:
        return ok("agent", "Claude Code version unknown")
    found = re.match(r"(\d+)\.(\d+)\.", version)
    if found and (int(found[1]), int(found[2])) not in RECORDED_VERSIONS:
        known = ", ".join(f"{major}.{minor}.x" for major, minor in RECORDED_VERSIONS)
        return warning("agent", f"Claude Code {version}: not tested; screens are recorded for {known}",
                       "failoverctl explain SESSION, for a blocked session")  # fmt: skip
    return ok("agent", f"Claude Code {version}")


def state_lines(config: Config, state: State, now: datetime) -> Iterator[DoctorLine]:
    """What the state says about an unfinished swap, a pause, failures and a wait."""
    if journal := state.swap_in_progress:
        text = f"swap to {journal.to or 'no account'} unfinished at step {journal.step}"
        yield warning("state", f"{text} after {plural(journal.runs, 'check')}",
                      "failover-check -v (finishes it, or reports what prevents it)")  # fmt: skip
    if (pause := state.paused) and (pause.until is None or pause.until > now):
        end = stamp(pause.until) if pause.until else "resumed"
        text = f"paused since {stamp(pause.since)} until {end}; checks do not swap"
        yield warning("state", text, "failoverctl resume")
    if state.last_failure and 0 <= (now - state.last_failure.at).total_seconds() < RECENT:
        yield warning("state", f"swap failed at {stamp(state.last_failure.at)}: {state.last_failure.reason}",
                      "failoverctl accounts check")  # fmt: skip
    if state.active_account and config.accounts and not config.account(state.active_account):
        yield warning("state", f"active account {state.active_account} is no longer in the config",
                      "add it to accounts again, or let the next check use the live account")  # fmt: skip
    if state.waiting:
        first, at = state.waiting.account, state.waiting.until
        until = f"; {first} is free first, at {stamp(at)}" if at else ""
        yield ok("state", f"waiting since {stamp(state.waiting.since)}: all accounts exhausted{until}")


def clock(synchronized: bool | None, state: State | None, now: datetime) -> Iterator[DoctorLine]:
    """Whether the clock can be trusted; ``synchronized`` None: unknown."""
    last = state.last_check.at if state and state.last_check else None
    if last and (last - now).total_seconds() > SLACK:
        ahead = durations.format((last - now).total_seconds())
        yield warning("clock", f"the last check is {ahead} in the future: the clock went back",
                      "timedatectl status; then correct the clock")  # fmt: skip
    if synchronized is False:
        yield warning("clock", "not synchronized; reset times may be wrong", "sudo timedatectl set-ntp true")
    elif synchronized is None:
        yield ok("clock", f"{stamp(now)}; synchronization unknown on this system")
    else:
        yield ok("clock", f"{stamp(now)}, synchronized")


def timer(known: Mapping[str, str]) -> Iterator[DoctorLine]:
    """Findings about the timer's unit; ``known``: its properties from `systemctl show`."""
    if known.get("LoadState") != "loaded":
        text = f"failover.timer is {known.get('LoadState') or 'unknown'}; no checks run"
        yield error("timer", text, "failoverctl install")
        return
    if known.get("UnitFileState") not in {"enabled", "enabled-runtime", "static", "linked"}:
        yield error("timer", "failover.timer is not enabled; it will not start after a reboot", "failoverctl install")
    if known.get("ActiveState") != "active":
        state = known.get("ActiveState") or "unknown"
        yield error("timer", f"failover.timer is {state}; no checks run", "systemctl --user start failover.timer")
    if known.get("NeedDaemonReload") == "yes":
        yield warning("timer", "a unit file has changed and is not loaded yet", "systemctl --user daemon-reload")


def service(known: Mapping[str, str], runnable: bool, program: str | None) -> Iterator[DoctorLine]:
    """Findings about the service's unit; ``runnable``: its program can be run; ``program``: this installation's own."""
    path = exec_path(known)
    if path and not runnable:
        yield error("timer", f"failover.service runs {path}, which is missing or not executable", "failoverctl install")
    elif path and program and path != program:
        yield warning("timer", f"failover.service runs {path}, but this installation's program is {program}",
                      "failoverctl install")  # fmt: skip
    if known.get("Result") not in {None, "", "success"}:
        text = f"the last check failed: {known['Result']}, exit status {known.get('ExecMainStatus', 'unknown')}"
        yield warning("timer", text, JOURNAL)


def timers_view(known: Mapping[str, str]) -> UnitView:
    """The files and tmux server that the service uses, from its `ExecStart=` and `Environment=` in `systemctl show`."""

    def found(pattern: str, name: str) -> str:
        match = re.search(pattern, known.get(name, ""))
        return match[1] if match else ""

    return UnitView(
        config=found(r" --config (.*?)(?: --?[a-z-]+ | ; )", "ExecStart"),
        state=found(r" --state (.*?)(?: --?[a-z-]+ | ; )", "ExecStart"),
        tmux_tmpdir=found(r"TMUX_TMPDIR=([^\s\"]*)", "Environment"),
    )


def same_view(timer: UnitView, here: UnitView) -> Iterator[DoctorLine]:
    """Whether the timer uses the same files and tmux server as this command; if not, there are two states and locks."""
    for name, theirs, ours in (
        ("config", timer.config, here.config),
        ("state", timer.state, here.state),
        ("$TMUX_TMPDIR", timer.tmux_tmpdir, here.tmux_tmpdir),
    ):
        if theirs != ours:
            text = f"{name} differs: the timer uses {theirs or 'the default'}, this command {ours or 'the default'}"
            yield warning("timer", text, "failoverctl install, with the same options and variables as this command")


def exec_path(known: Mapping[str, str]) -> str | None:
    """The path of the program in `ExecStart=`, as `systemctl show` prints it; None if there is none."""
    match = re.search(r"path=(.*?) ;", known.get("ExecStart", ""))
    return match[1] if match else None


def cadence(config: Config, interval: float | None) -> DoctorLine:
    """Compare the timer's interval (seconds; None: unknown) with quota.poll_interval."""
    poll = config.quota.poll_interval
    if interval is None:
        return ok("cadence", "timer interval unknown")
    said = f"the timer fires every {durations.format(interval)}, quota.poll_interval is {durations.format(poll)}"
    if not poll / 2 <= interval <= 3 * poll:
        return error("cadence", f"{said}: a hit without a reset time is never confirmed", "failoverctl install")
    if abs(interval - poll) > poll / 10:
        return warning("cadence", said, "failoverctl install (sets the timer to quota.poll_interval)")
    return ok("cadence", said)


def last_check(config: Config, state: State | None, now: datetime, active: float | None) -> Iterator[DoctorLine]:
    """The age of the last check; ``active``: for how many seconds the timer has been active, None if it is not."""
    last = state.last_check if state else None
    late = 3 * config.quota.poll_interval + config.swap.timeout
    expected = active is not None and active > late
    if last is None:
        if expected:
            yield error("cadence", "no check has run yet, although the timer is active", JOURNAL)
        elif active is not None:
            yield ok("cadence", "no check has run yet; the timer has just started")
        return
    age = max(0.0, (now - last.at).total_seconds())
    said = f"last check {durations.format(age)} ago: {last.outcome}, in {last.duration_ms} ms"
    if expected and age > late:
        yield error("cadence", f"{said}; none since, although the timer is active", JOURNAL)
    else:
        yield ok("cadence", said)
