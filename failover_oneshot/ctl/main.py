"""`failoverctl` (docs/behavior.md, "failoverctl"): one module for each command, imported when used.

To add a command: a module here with `configure(parser)` and `run(options) -> exit code`, and its line in `COMMANDS`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from textwrap import fill
from typing import Protocol, cast

from failover_oneshot import __version__, cli
from failover_oneshot.cli import guarded
from failover_oneshot.lib.logs import setup_logging

COMMANDS = {
    "status": "accounts, sessions, what is going on, and what the next check will do",
    "history": "past swaps and failed attempts, with their evidence",
    "swap": "swap the account now, by the same steps and under the same lock as a check",
    "pause": "make the checks keep still, until resume or for a time",
    "resume": "let the checks work again",
    "reset": "forget that an account is exhausted",
    "explain": "which rule says what about a text or a session, and why",
    "replay": "run recorded observations through the decision, to try a config",
    "simulate": "a month of accounts and load: compare strategies, thresholds and cooldowns",
    "accounts": "list the accounts, capture the login that is live now, check the stores",
    "completion": "print what makes bash, zsh or fish complete the commands and options",
    "demo": "watch a pool hit its limit and one check swap the account; nothing of yours is touched",
    "doctor": "examine the installation: each line ok, a warning or an error, with the command that mends it",
    "init": "write a configuration from the sessions and the login that are here",
    "install": "write the systemd user units for this machine, enable and start the timer",
    "notify": "send a test message to everybody whom the config names",
    "report": "write one HTML page: the accounts over time, swaps, waiting, hits",
    "task": "add, list, show, cancel and retry tasks for the pool's free sessions",
    "uninstall": "stop the timer and take its units away; everything else stays",
}


class Command(Protocol):
    """What the module of a command offers."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Describe its arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it; the exit code is as those of `failover-check`, and so are the errors that may be raised."""


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The command line; only the commands that occur among the words are imported and described."""
    top = argparse.ArgumentParser(
        prog="failoverctl",
        description="See and steer what failover-check does.",
        epilog="failoverctl COMMAND --help explains one command.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        made = commands.add_parser(
            name,
            help=purpose,
            description=fill(f"{purpose[0].upper()}{purpose[1:]}.", 79),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in words:
            command = _module(name)
            command.configure(made)
            if made.epilog and "\n" not in made.epilog:  # one with line breaks is laid out by hand
                made.epilog = fill(made.epilog, 78)
            made.set_defaults(run=command.run, command_line=command_line)
    return top


def command_line(program: str) -> argparse.ArgumentParser:
    """The whole command line of a program, every command of it."""
    return cli.parser() if program == "failover-check" else parser(list(COMMANDS))


def main(argv: Sequence[str] | None = None) -> int:
    """Run `failoverctl`; the return value is the exit code."""
    words = sys.argv[1:] if argv is None else argv
    os.environ.setdefault("COLUMNS", "80")  # for argparse: help is written for 80 columns
    options = parser(words).parse_args(words)
    setup_logging(getattr(options, "verbose", False), quiet=False)
    return guarded(lambda: int(options.run(options)), by_hand=True)


def _module(name: str) -> Command:
    return cast(Command, import_module(f"failover_oneshot.ctl.commands.{name}"))
