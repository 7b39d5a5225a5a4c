"""The man pages, generated from the text of `--help`. Run `python -m failover_oneshot.ctl.manpages man` to write them.

They are checked in as `man/` so that a package contains them; a test compares them with the help.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from failover_oneshot.ctl.commands.completion import PROGRAMS
from failover_oneshot.ctl.main import GROUPS, command_line
from failover_oneshot.errors import EXIT_CODES

SHORT = {
    "failoverctl": "watch and steer the account failover of coding agents in tmux",
    "failover-check": "check coding agents in tmux once and swap the account if needed",
}
FILES = (
    ("~/.config/failover/failover.yaml", "configuration; without it, /etc/failover/failover.yaml is used"),
    ("~/.local/state/failover/state.json", "state kept between checks, as readable JSON"),
    ("~/.config/systemd/user/failover.service, failover.timer", "units written by failoverctl install"),
)
VARIABLES = (
    ("FAILOVER_CONFIG", "configuration file; --config takes precedence"),
    ("STATE_DIRECTORY", "folder of state.json, instead of ~/.local/state/failover"),
    ("XDG_CONFIG_HOME, XDG_STATE_HOME", "used instead of ~/.config and ~/.local/state"),
    ("TMUX_TMPDIR", "folder of the tmux sockets"),
    ("NO_COLOR", "if set, no colors on a terminal"),
)


def page(program: str) -> str:
    """The man page of a program in roff."""
    other = next(name for name in PROGRAMS if name != program)
    return "\n".join([*_lines(program, command_line(program), other), ""])


def _lines(program: str, parser: argparse.ArgumentParser, other: str) -> Iterator[str]:
    commands = next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None)
    yield f'.TH {program.upper()} 1 "" "failover\\-oneshot" "User Commands"'
    yield from (".ad l", ".nh")  # ragged right, no hyphenation: options and paths stay whole
    yield from (".SH NAME", f"{_roff(program)} \\- {_roff(SHORT[program])}", ".SH SYNOPSIS")
    yield f".B {_roff(program)}\n" + (r"\fICOMMAND\fR [\fIoption\fR ...]" if commands else r"[\fIoption\fR ...]")
    yield from (".SH DESCRIPTION", _roff(parser.description or ""))
    yield from _options(parser, ".SH OPTIONS")
    if commands:
        for title, names in GROUPS.items():
            yield f".SH COMMANDS: {title.upper()}"
            for name in names:
                yield from _command(f"{program} {name}", commands.choices[name])
    else:
        yield from _list(".SH EXIT STATUS", [(str(code), meaning) for code, meaning in EXIT_CODES.items()])
    yield from _list(".SH FILES", FILES)
    yield from _list(".SH ENVIRONMENT", VARIABLES)
    yield from (".SH SEE ALSO", f".BR {_roff(other)} (1),", ".BR tmux (1),", ".BR systemd.timer (5)")


def _command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from (f".SS {_roff(name)}", _roff(" ".join((parser.description or "").split())))
    yield from _options(parser, None)
    yield from _epilog(parser)  # before its subcommands, or it would read as the last one's
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from _command(f"{name} {word}", inner)


def _options(parser: argparse.ArgumentParser, head: str | None) -> Iterator[str]:
    shown = [a for a in parser._actions if a.help != argparse.SUPPRESS and not isinstance(a, argparse._HelpAction)]
    shown = [a for a in shown if not isinstance(a, argparse._SubParsersAction)]
    if shown and head:
        yield head
    for action in shown:
        values = "|".join(map(str, action.choices)) if action.choices else ""
        value = str(action.metavar or values or action.dest.upper()) if action.nargs != 0 else ""
        named = ", ".join(rf"\fB{_roff(option)}\fR" for option in action.option_strings)
        yield from (".TP", f"{named} \\fI{_roff(value)}\\fR" if named and value else named or f"\\fI{_roff(value)}\\fR")
        text = (action.help or "").replace("%(prog)s", parser.prog)
        if text or values:
            yield _roff(text or "one of these values")


def _epilog(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Verbatim if its lines are laid out by hand, otherwise as a paragraph."""
    text = parser.epilog or ""
    if not text:
        return
    if "\n" in text:
        yield from (".PP", ".nf", *(_roff(line) for line in text.splitlines()), ".fi")
    else:
        yield from (".PP", _roff(text))


def _list(head: str, entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield head
    for name, text in entries:
        yield from (".TP", rf"\fI{_roff(name)}\fR", _roff(text))


def _roff(text: str) -> str:
    """The text escaped for roff: hyphens stay hyphens, and no line starts a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def main(folder: str) -> None:
    """Write all pages into a folder."""
    for program in PROGRAMS:
        Path(folder, f"{program}.1").write_text(page(program), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
