"""`failover-check`: runs one check and exits. docs/behavior.md, "Programs and output", is its contract."""

import argparse
import io
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Never, TextIO

from failover_oneshot import __version__
from failover_oneshot.errors import EXIT_CODES, EXIT_SOFTWARE, EXIT_USAGE, FailoverError
from failover_oneshot.lib.logs import setup_logging

log = logging.getLogger("failover")


class CommandLine(argparse.ArgumentParser):
    """A parser that reports a wrong command line in one line, with the nearest word for a typo."""

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse; report a leftover argument as an error of the command that it was given to."""
        found, extra = super().parse_known_args(args, namespace)
        if extra and extra[0].startswith("-"):
            shown = [action for action in self._actions if action.help != argparse.SUPPRESS]
            options = [option for action in shown for option in action.option_strings if option.startswith("--")]
            self._unknown("option", extra[0].partition("=")[0], options)
        if extra:
            self.error(f"unexpected argument: {extra[0]!r}")
        return found, extra

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        if action.metavar == "COMMAND" or isinstance(action, argparse._SubParsersAction):
            self._unknown("command", value, known)
        self._stop(f"not a valid {action.dest}: {value!r}{_nearest(value, known)} ({', '.join(known)})")

    def _unknown(self, kind: str, word: str, known: Iterable[str]) -> Never:
        self._stop(f"unknown {kind} {word!r}{_nearest(word, known)} ({self.prog} --help lists all)")

    def error(self, message: str) -> Never:
        """Exit with 2. Most messages are argparse's own; none says what is valid, so the help is named."""
        plain = message.removeprefix("argument ").replace("invalid int value", "not a valid number")
        self._stop(f"{plain}; run `{self.prog} --help`")

    def _stop(self, message: str) -> Never:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n")


def _nearest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # here, not above: a check loads no module that it does not use

    found = get_close_matches(word, [*known], 1)
    return f"; did you mean {found[0]!r}?" if found else ""


def parser() -> argparse.ArgumentParser:
    """The command line of `failover-check`."""
    p = CommandLine(
        prog="failover-check",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=80),  # asking the terminal costs an import
        description="Check the agent sessions in tmux once and swap the account if needed.",
        epilog=f"Exit codes: {', '.join(f'{code} {meaning}' for code, meaning in EXIT_CODES.items())}.",
    )
    p.add_argument("--config", metavar="PATH", help="configuration file (default: the first of $FAILOVER_CONFIG, "
                   "$XDG_CONFIG_HOME/failover/failover.yaml, /etc/failover/failover.yaml)")  # fmt: skip
    p.add_argument("--state", metavar="PATH", help="state file (default: state.path of the configuration)")
    p.add_argument("--dry-run", action="store_true", help="print what a real run would do now; change nothing")
    p.add_argument("--json", action="store_true", help="print one JSON object instead of the summary line")
    p.add_argument("--record", metavar="DIR", help="record what the check reads into this folder, without secrets and "
                   "of bounded size, for `failoverctl replay`")  # fmt: skip
    loud = p.add_mutually_exclusive_group()
    loud.add_argument("-v", "--verbose", action="store_true", help="log every session and step")
    loud.add_argument("-q", "--quiet", action="store_true", help="print no summary line; log only warnings and errors")
    p.add_argument("--version", action="version", version=f"%(prog)s {__version__}", help="print the version and exit")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run `failover-check` and return its exit code."""
    options = parser().parse_args(argv)
    if options.record == "":
        parser().error("--record: must name a folder")
    if options.record and options.dry_run:
        parser().error("--record: not allowed with --dry-run, which writes no files")
    setup_logging(options.verbose, options.quiet)
    return guarded(lambda: _check(options))


def guarded(work: Callable[[], int], *, by_hand: bool = False) -> int:
    """Run ``work`` and return its exit code; an error is logged as one line, never as a traceback.

    ``by_hand``: a person ran the command, so no later run tries again.
    """
    if sys.stdout is None:  # closed by the caller; without this the next opened file would become stdout
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a snippet may hold characters that the locale cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    code = 0
    try:
        code = work()
    except BrokenPipeError:  # the reader of our output went away
        _discard(sys.stdout)
    except KeyboardInterrupt:
        log.error("interrupted")
        return 130
    except Exception as error:  # a user never sees a traceback
        return reported(error, by_hand=by_hand)
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    return code


def say(text: str) -> None:
    """Print the result of finished work; if it cannot be written it is lost, and the exit code stays."""
    try:
        print(text)  # noqa: T201
    except OSError:
        _discard(sys.stdout)


def _flush(stream: TextIO | None) -> None:
    """Write what is buffered, or lose it. Left to Python's own exit, a failed flush would end with code 120."""
    try:
        if stream is not None:
            stream.flush()
    except OSError:
        _discard(stream)


def _discard(stream: TextIO | None) -> None:
    """Drop everything that is written to the stream from now on."""
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def reported(error: Exception, *, by_hand: bool = False) -> int:
    """Log the error for the user and return its exit code."""
    if not isinstance(error, FailoverError) or error.exit_code == EXIT_SOFTWARE:
        from failover_oneshot.lib.redact import redact

        log.error("unexpected error, please report it: %s: %s", type(error).__name__, redact(str(error)))
        log.debug("traceback", exc_info=True)
        return EXIT_SOFTWARE
    advice = error.by_hand if by_hand else ""
    level = logging.WARNING if error.next_run and not advice else logging.ERROR
    for problem in error.problems:
        log.log(level, "%s%s", problem, advice or error.next_run)
    return error.exit_code


def _check(options: argparse.Namespace) -> int:
    from functools import partial
    from pathlib import Path

    from failover_oneshot import check
    from failover_oneshot.config import loader
    from failover_oneshot.report import summary_line, to_json

    refused: tuple[str, ...] = ()
    try:
        settings = loader.load(loader.find(options.config, os.environ), os.environ)
    except loader.LinkedFilesError as error:
        if options.dry_run:
            raise
        reported(error)
        settings, refused = error.config, error.problems  # the config says whom to notify
    path = check.state_path(options.state, settings, os.environ)
    record = None if options.record is None else Path(options.record)
    run = partial(check.check, settings, path, environ=os.environ, record=record, refused=refused)
    if options.dry_run or not (settings.metrics.textfile or settings.ping.url):
        report = run(dry_run=options.dry_run)
    else:
        from failover_oneshot.monitoring import after_check

        after_check.begin(settings)
        try:
            report = run(dry_run=False)
        except Exception as error:  # metrics and ping report it, too
            code = reported(error)
            after_check.could_not_check(settings, code)
            after_check.end(settings, code, str(error))
            return code
        after_check.end(settings, report.exit_code, summary_line(report))
    if options.json:
        say(to_json(report))
    elif not options.quiet:
        say(summary_line(report))
    return report.exit_code
