"""What `failoverctl doctor` makes of the facts: each line ok, a warning or an error, with what mends it. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from failover_oneshot.config.model import AfterSwap, Config
from failover_oneshot.ctl.systemd.units import UnitView
from failover_oneshot.lib import durations
from failover_oneshot.state.model import State, stamp

OLDEST_TMUX: Final = (3, 2)  # the oldest that the tests were run with
KNOWN_CLIENTS: Final = ((1, 0), (2, 0), (2, 1))  # whose screens are recorded (docs/detection.md)
SLACK: Final = 2.0  # seconds: stored times are rounded
RECENT: Final = 3600.0  # seconds: a failure further back is history
JOURNAL: Final = "journalctl --user -u failover.service -n 30"


class Level(StrEnum):
    """How bad a line is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class DoctorLine(Struct, frozen=True):
    """One thing that was examined; ``mend``: a command, or what to change, for the operator."""

    topic: str
    level: Level
    text: str
    mend: str = ""


def ok(topic: str, text: str) -> DoctorLine:
    """All is well there, or there is nothing to say against it."""
    return DoctorLine(topic, Level.OK, text)


def warning(topic: str, text: str, mend: str) -> DoctorLine:
    """It works, but not as it should, or not for long."""
    return DoctorLine(topic, Level.WARNING, text, mend)


def error(topic: str, text: str, mend: str) -> DoctorLine:
    """The pool is not guarded until this is mended."""
    return DoctorLine(topic, Level.ERROR, text, mend)


def exit_code(lines: Iterable[DoctorLine]) -> int:
    """0: all ok, 1: warnings, 2: errors."""
    levels = {line.level for line in lines}
    return 2 if Level.ERROR in levels else 1 if Level.WARNING in levels else 0


def tmux_version(printed: str) -> DoctorLine:
    """From what `tmux -V` prints; a build from git has no number and counts as the newest."""
    match = re.search(r"(\d+)\.(\d+)", printed)
    if match and (int(match[1]), int(match[2])) < OLDEST_TMUX:
        oldest = ".".join(map(str, OLDEST_TMUX))
        return warning("tmux", f"{printed} is older than {oldest}, the oldest that is tested", "install a newer tmux")
    return ok("tmux", printed or "it does not say its version")


class WatchedSession(Struct, frozen=True, kw_only=True):
    """A session on the server, as far as the range is concerned."""

    name: str
    index: int | None = None  # in the range
    restartable: bool = True  # tmux knows a command that starts more than a shell


def pool_range(config: Config, sessions: Sequence[WatchedSession]) -> Iterator[DoctorLine]:
    """The configured range and the dedicated sessions against what runs."""
    auto = config.pool.autonomous
    last = auto.start_index + auto.max - 1
    inside = [s for s in sessions if s.index is not None]
    names = f"{auto.prefix}{auto.start_index} … {auto.prefix}{last}"
    if inside:
        yield ok("range", f"{names}: {len(inside)} of at most {auto.max} run")
    elif not auto.min:
        yield warning("range", f"{names}: none runs, so nothing is watched there",
                      "failoverctl init --stdout shows what would fit; change pool.autonomous")  # fmt: skip
    if len(inside) < auto.min:
        text = f"{len(inside)} of at least {auto.min} run: the next check creates {auto.min - len(inside)}"
        yield warning("range", text, "failover-check --dry-run says which; pool.autonomous.min")
    dedicated = {d.name for d in config.pool.dedicated}
    near = [s.name for s in sessions if s.index is None and s.name.startswith(auto.prefix) and s.name not in dedicated]
    if auto.prefix and near:
        text = f"outside of the range, never touched although the prefix is the same: {_list(near)}"
        yield warning("range", text, "pool.autonomous.start_index and max, if they belong to the pool")
    running = {s.name for s in sessions}
    for name in sorted(dedicated - running):
        yield warning("range", f"the dedicated session {name} does not run", f"start it, or take it out: {name}")
    if auto.after_swap in {AfterSwap.RECREATE, AfterSwap.RESPAWN} and not auto.command:
        lost = [s.name for s in inside if not s.restartable]
        if lost:
            text = f"a swap would turn these into an empty shell, as tmux does not know their command: {_list(lost)}"
            yield warning("range", text, "set pool.autonomous.command, or after_swap: nudge")


def screens(understood: Mapping[str, bool]) -> DoctorLine:
    """Session to whether the screen of its agent has the structure that the rules know."""
    lost = [name for name, fine in understood.items() if not fine]
    if lost:
        text = f"{len(lost)} of {len(understood)} screens have no structure that the rules know: {_list(lost)}"
        return warning("client", text, f"failoverctl explain {lost[0]}")
    return ok("client", f"{len(understood)} screens of running agents, all understood" if understood
              else "no agent runs in a watched session: no screen to look at")  # fmt: skip


def client_version(version: str | None) -> DoctorLine:
    """The client's version; None when it can not be told."""
    if version is None:
        return ok("client", "its version can not be told here")
    found = re.match(r"(\d+)\.(\d+)\.", version)
    if found and (int(found[1]), int(found[2])) not in KNOWN_CLIENTS:
        known = ", ".join(f"{major}.{minor}.x" for major, minor in KNOWN_CLIENTS)
        return warning("client", f"version {version}: the recorded screens are of {known}",
                       "look at a blocked session with failoverctl explain SESSION")  # fmt: skip
    return ok("client", f"version {version}")


def state_lines(config: Config, state: State, now: datetime) -> Iterator[DoctorLine]:
    """What the state says of swaps, pause and failures."""
    if journal := state.swap_in_progress:
        text = f"a swap to {journal.to or 'no account'} is unfinished at step {journal.step} ({journal.runs} runs)"
        yield warning("state", text, "failover-check -v finishes it, or says what is in the way")
    if (pause := state.paused) and (pause.until is None or pause.until > now):
        end = f"until {stamp(pause.until)}" if pause.until else "with no end"
        yield warning("state", f"paused since {stamp(pause.since)} {end}: nothing is swapped", "failoverctl resume")
    if state.last_failure and 0 <= (now - state.last_failure.at).total_seconds() < RECENT:
        yield warning("state", f"a swap failed at {stamp(state.last_failure.at)}: {state.last_failure.reason}",
                      "failoverctl accounts check")  # fmt: skip
    if state.active_account and config.accounts and not config.account(state.active_account):
        yield warning("state", f"the active account {state.active_account} is not in the config any more",
                      "name it in accounts again, or let the next check take the live one")  # fmt: skip
    if state.waiting:
        until = f"; {state.waiting.account} frees first, at {stamp(state.waiting.until)}" if state.waiting.until else ""
        yield ok("state", f"waiting since {stamp(state.waiting.since)}: every account is exhausted{until}")


def clock(synchronised: bool | None, state: State | None, now: datetime) -> Iterator[DoctorLine]:
    """Whether the clock can be trusted; ``synchronised`` None: it can not be told."""
    last = state.last_check.at if state and state.last_check else None
    if last and (last - now).total_seconds() > SLACK:
        text = (
            f"the last check lies {durations.format((last - now).total_seconds())} in the future: the clock went back"
        )
        yield warning("clock", text, "set the clock right: timedatectl status")
    if synchronised is False:
        yield warning("clock", "not synchronised: reset times are read against it", "sudo timedatectl set-ntp true")
    elif synchronised is None:
        yield ok("clock", f"{stamp(now)}; whether it is synchronised can not be told here")
    else:
        yield ok("clock", f"{stamp(now)}, synchronised")


def timer(known: Mapping[str, str]) -> Iterator[DoctorLine]:
    """The timer's unit, from `systemctl show`."""
    if known.get("LoadState") != "loaded":
        text = f"failover.timer is {known.get('LoadState') or 'unknown'}: nothing runs the check"
        yield error("timer", text, "failoverctl install")
        return
    if known.get("UnitFileState") not in {"enabled", "enabled-runtime", "static", "linked"}:
        yield error("timer", "failover.timer is not enabled: it does not start by itself", "failoverctl install")
    if known.get("ActiveState") != "active":
        state = known.get("ActiveState") or "unknown"
        yield error(
            "timer", f"failover.timer is {state}: nothing runs the check", "systemctl --user start failover.timer"
        )
    if known.get("NeedDaemonReload") == "yes":
        yield warning("timer", "a unit file was changed and is not in force yet", "systemctl --user daemon-reload")


def service(known: Mapping[str, str], runnable: bool, program: str | None) -> Iterator[DoctorLine]:
    """The service's unit; ``runnable``: whether its program is there, ``program``: this installation's own."""
    path = exec_path(known)
    if path and not runnable:
        yield error("timer", f"failover.service runs {path}, which is no program", "failoverctl install")
    elif path and program and path != program:
        yield warning("timer", f"failover.service runs {path}, which is not this installation's {program}",
                      "failoverctl install")  # fmt: skip
    if known.get("Result") not in {None, "", "success"}:
        text = f"the last check ended with {known['Result']}, exit status {known.get('ExecMainStatus', 'unknown')}"
        yield warning("timer", text, JOURNAL)


def timers_view(known: Mapping[str, str]) -> UnitView:
    """What the service looks at, from its `ExecStart=` and `Environment=` as `systemctl show` prints them."""

    def found(pattern: str, name: str) -> str:
        match = re.search(pattern, known.get(name, ""))
        return match[1] if match else ""

    return UnitView(
        config=found(r" --config (.*?)(?: --?[a-z-]+ | ; )", "ExecStart"),
        state=found(r" --state (.*?)(?: --?[a-z-]+ | ; )", "ExecStart"),
        tmux_tmpdir=found(r"TMUX_TMPDIR=([^\s\"]*)", "Environment"),
    )


def same_view(timer: UnitView, here: UnitView) -> Iterator[DoctorLine]:
    """Whether the timer looks at what one looks at here: else each keeps a state and a lock of its own."""
    for name, theirs, ours in (
        ("configuration", timer.config, here.config),
        ("state", timer.state, here.state),
        ("$TMUX_TMPDIR", timer.tmux_tmpdir, here.tmux_tmpdir),
    ):
        if theirs != ours:
            text = f"the timer's {name} is {theirs or 'the default'}, here it is {ours or 'the default'}"
            yield warning("timer", text, "failoverctl install, as here, brings both together")


def exec_path(known: Mapping[str, str]) -> str | None:
    """The program in `ExecStart=` as `systemctl show` prints it."""
    match = re.search(r"path=(.*?) ;", known.get("ExecStart", ""))
    return match[1] if match else None


def cadence(config: Config, interval: float | None) -> DoctorLine:
    """How often the timer fires against quota.poll_interval, both in seconds."""
    poll = config.quota.poll_interval
    if interval is None:
        return ok("cadence", "the timer's interval can not be told")
    said = f"the timer fires every {durations.format(interval)}, quota.poll_interval is {durations.format(poll)}"
    if not poll / 2 <= interval <= 3 * poll:
        return error("cadence", f"{said}: a hit without a reset time is never confirmed", "failoverctl install")
    if abs(interval - poll) > poll / 10:
        return warning("cadence", said, "failoverctl install (it takes the interval from the config)")
    return ok("cadence", said)


def last_check(config: Config, state: State | None, now: datetime, active: float | None) -> Iterator[DoctorLine]:
    """When the last check was; ``active``: for how many seconds the timer has been running, None when it is not."""
    last = state.last_check if state else None
    late = 3 * config.quota.poll_interval + config.swap.timeout
    expected = active is not None and active > late
    if last is None:
        if expected:
            yield error("cadence", "no check has been made yet, although the timer is active", JOURNAL)
        elif active is not None:
            yield ok("cadence", "the timer has only just begun: no check has been made yet")
        return
    age = max(0.0, (now - last.at).total_seconds())
    said = f"the last check was {durations.format(age)} ago: {last.outcome}, in {last.duration_ms} ms"
    if expected and age > late:
        yield error("cadence", f"{said}, although the timer is active", JOURNAL)
    else:
        yield ok("cadence", said)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
