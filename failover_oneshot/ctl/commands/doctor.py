"""`failoverctl doctor`: check the installation and print a fix for each problem. Changes nothing."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec

from failover_oneshot.check import state_path
from failover_oneshot.config import loader
from failover_oneshot.config.model import Config
from failover_oneshot.ctl.doctor import files, machine
from failover_oneshot.ctl.doctor.rules import DoctorLine, Level, error, exit_code, ok
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.terminal import Terminal
from failover_oneshot.ctl.systemd.programs import seen_from_here
from failover_oneshot.ctl.systemd.units import UnitView
from failover_oneshot.lib.plural import plural
from failover_oneshot.lib.redact import redact

STYLES = {Level.OK: "good", Level.WARNING: "bold", Level.ERROR: "bad"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    installation.arguments(parser)
    parser.epilog = (
        "It only reads: it changes no file, session or unit.\n\n"
        "examples:\n"
        "  failoverctl doctor\n"
        "  failoverctl doctor --json | jq '.lines[] | select(.level != \"ok\")'\n\n"
        "exit codes: 0 no problems, 1 warnings, 2 errors"
    )


def run(options: argparse.Namespace) -> int:
    """Run all checks. 0: no problems; 1: warnings; 2: errors."""
    lines = list(examine(options))
    code = exit_code(lines)
    if options.json:
        facts = {"version": 1, "exit_code": code, "ok": code == 0, "lines": lines}
        sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
        return code
    paper = Terminal(sys.stdout, os.environ)
    width = max(len(line.topic) for line in lines)
    for line in lines:
        head = paper.style(f"{line.level:<8}", STYLES[line.level])
        label, indent = f" {line.topic:<{width}}  ", " " * (8 + width + 3)
        paper.paragraph(line.text, first=" " * 8 + label, rest=indent, head=head)
        if line.fix:
            paper.paragraph(f"→ {line.fix}", first=indent, rest=indent + "  ")
    counts = [sum(line.level is level for line in lines) for level in (Level.ERROR, Level.WARNING)]
    paper.say()
    found = f"{plural(counts[0], 'error')}, {plural(counts[1], 'warning')}."
    paper.say(found if any(counts) else "No problems found.")
    return code


def examine(options: argparse.Namespace) -> Iterator[DoctorLine]:
    """Yield all lines, in the order in which an operator would look for a problem."""
    now = datetime.now(UTC)
    settings: Config | None = None
    try:
        file = loader.find(options.config, os.environ)
        settings = loader.load(file, os.environ)
    except loader.LinkedFilesError as problem:
        settings = problem.config  # `files.linked` reports them
    except loader.ConfigError as problem:
        missing = "no config:" in str(problem) or "no such file" in str(problem)
        for text in problem.problems:
            fix = "failoverctl init" if missing else "correct it, then run `failover-check --dry-run`"
            yield error("config", text, fix)
    if settings is None:
        yield from guarded("tmux", lambda: machine.tmux(Config().tmux))
        yield from guarded("clock", lambda: machine.clock(None, now))
        yield from guarded("timer", lambda: machine.units_and_cadence(None, UnitView(), None, now))
        return
    yield ok("config", f"{file}: {plural(len(settings.accounts), 'account')}, method {settings.swap.method}")
    yield from guarded("config", lambda: files.config_mode(file, settings))
    path = state_path(options.state, settings, os.environ)
    view = seen_from_here(settings, file.absolute(), options.state, os.environ)
    state, lines = files.state(settings, path, now)
    yield from guarded("tmux", lambda: machine.tmux(settings.tmux))
    yield from guarded("range", lambda: machine.sessions(settings))
    yield from guarded("accounts", lambda: files.accounts_lines(settings, path, state))
    yield from guarded("accounts", lambda: files.linked(settings, path))
    yield from guarded("files", lambda: files.permissions(settings, path))
    yield from guarded("notify", lambda: files.outputs(settings))
    yield from lines
    yield from guarded("lock", lambda: files.lock(path, settings.state.lock_timeout))
    yield from guarded("clock", lambda: machine.clock(state, now))
    yield from guarded("timer", lambda: machine.units_and_cadence(settings, view, state, now))


def guarded(topic: str, work: Callable[[], Iterator[DoctorLine]]) -> Iterator[DoctorLine]:
    """The lines of one topic. An exception becomes an error line, so the other topics are still checked."""
    try:
        yield from work()
    except Exception as problem:
        yield error(topic, f"could not check: {type(problem).__name__}: {redact(str(problem))}",
                    "fix what the message names, or please report it")  # fmt: skip
