"""The command line of `failoverctl`. Each command is one module, imported only when it is used.

To add a command, write a module in `commands/` with `configure(parser)` and `run(options) -> exit code`, and add it to
`GROUPS`. docs/behavior.md, "failoverctl", is the contract.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from textwrap import fill
from typing import Protocol, cast

from failover_oneshot import __version__, cli
from failover_oneshot.cli import CommandLine, guarded
from failover_oneshot.lib.logs import setup_logging

GROUPS = {
    "watch": {
        "status": "show accounts, sessions and what the next check will do",
        "history": "list past swaps and failed attempts, with their evidence",
        "report": "write an HTML page: accounts over time, swaps, waits, hits",
        "explain": "show which rule matches a text or a session, and why",
    },
    "steer": {
        "swap": "swap the account now",
        "pause": "pause all checks, for a time or until resume",
        "resume": "end a pause",
        "reset": "forget that an account is exhausted or unusable",
        "task": "add, list, show, cancel and retry tasks for idle sessions",
    },
    "set up": {
        "init": "write a configuration for the sessions that run here",
        "accounts": "list and check accounts; save, restore and assign credentials",
        "install": "install and start the systemd timer of this user",
        "uninstall": "stop the timer and remove its units",
        "doctor": "check the installation and print a fix for each problem",
        "notify": "send a test notice to every target",
        "completion": "print a completion script for bash, zsh or fish",
    },
    "try": {
        "demo": "run a throwaway pool into its limit and verify the swap",
        "replay": "decide recorded checks again, with any configuration",
        "simulate": "compare strategies, thresholds and cooldowns over a month",
    },
}
"""The commands by what they are for, each with its purpose: one line of the help and of the man page."""

COMMANDS = {name: purpose for commands in GROUPS.values() for name, purpose in commands.items()}


class Command(Protocol):
    """The interface of a command's module."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments and the epilog."""

    def run(self, options: argparse.Namespace) -> int:
        """Run the command and return its exit code. Errors and codes are the same as of `failover-check`."""


class _Failoverctl(CommandLine):
    """The top level, whose help groups the commands."""

    def format_help(self) -> str:
        groups = [_section(f"{title}:", commands) for title, commands in GROUPS.items()]
        options = {", ".join(a.option_strings): a.help or "" for a in self._actions if a.option_strings}
        parts = [self.format_usage(), self.description, *groups, _section("options:", options), self.epilog]
        return "\n\n".join((part or "").strip() for part in parts) + "\n"


def _section(title: str, rows: dict[str, str]) -> str:
    return "\n".join([title, *(f"  {name:<12}{text}" for name, text in rows.items())])


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The command line. Only the commands among ``words`` are imported and get their arguments."""
    top = _Failoverctl(
        prog="failoverctl",
        description="Watch and steer failover-check, which swaps the accounts of coding agents.",
        epilog="`failoverctl COMMAND --help` explains a command.",
    )
    top.add_argument(
        "--version", action="version", version=f"%(prog)s {__version__}", help="print the version and exit"
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=CommandLine)
    for name, purpose in COMMANDS.items():
        made = commands.add_parser(
            name,
            help=purpose,
            description=f"{purpose[0].upper()}{purpose[1:]}.",
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
    """The complete command line of `failoverctl` or `failover-check`, for completion and the man pages."""
    return cli.parser() if program == "failover-check" else parser([*COMMANDS])


def main(argv: Sequence[str] | None = None) -> int:
    """Run `failoverctl` and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    os.environ.setdefault("COLUMNS", "80")  # argparse reads it; the help is written for 80 columns
    line = parser(words)
    options = line.parse_args(words)
    if options.command is None:
        line.error("no command given")
    setup_logging(getattr(options, "verbose", False), quiet=False)
    return guarded(lambda: int(options.run(options)), by_hand=True)


def _module(name: str) -> Command:
    return cast(Command, import_module(f"failover_oneshot.ctl.commands.{name}"))
