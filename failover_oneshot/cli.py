"""`failover-check`: one check, then exit. Its contract is docs/behavior.md, "Programs and output"."""

import argparse
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from failover_oneshot import __version__
from failover_oneshot.errors import EXIT_CODES, EXIT_SOFTWARE, FailoverError
from failover_oneshot.lib.logs import setup_logging

log = logging.getLogger("failover")


def parser() -> argparse.ArgumentParser:
    """The command line of `failover-check`."""
    p = argparse.ArgumentParser(
        prog="failover-check",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),  # to ask the terminal costs an import
        description="Look once at the agent sessions in tmux and swap the account if its quota is used up.",
        epilog=f"Exit codes: {', '.join(f'{code} {meaning}' for code, meaning in EXIT_CODES.items())}.",
    )
    p.add_argument("--config", metavar="PATH", help="the configuration (default: the first of $FAILOVER_CONFIG, "
                   "$XDG_CONFIG_HOME/failover/failover.yaml, /etc/failover/failover.yaml)")  # fmt: skip
    p.add_argument("--state", metavar="PATH", help="the state file (overrides state.path)")
    p.add_argument("--dry-run", action="store_true", help="say what a real run would do now, and change nothing")
    p.add_argument("--json", action="store_true", help="print one JSON object instead of the summary line")
    p.add_argument("--record", metavar="DIR", help="keep what was seen there, without secrets and of bounded size: for "
                   "failoverctl replay")  # fmt: skip
    loud = p.add_mutually_exclusive_group()
    loud.add_argument("-v", "--verbose", action="store_true", help="log every session and step")
    loud.add_argument("-q", "--quiet", action="store_true", help="no summary line; log warnings and errors only")
    p.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run `failover-check`; the return value is the exit code."""
    options = parser().parse_args(argv)
    if options.record is not None and (options.dry_run or not options.record):
        parser().error("--record writes files: name a folder, and leave --dry-run out, which writes none")
    setup_logging(options.verbose, options.quiet)
    return guarded(lambda: _check(options))


def guarded(work: Callable[[], int], *, by_hand: bool = False) -> int:
    """The exit code of `work`. What goes wrong in it is logged in one line, with its own code: never a traceback.

    ``by_hand``: a person waits for it, so that no next run tries again.
    """
    if sys.stdout is None:  # it was closed: else the next file that is opened would take its place
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a snippet may hold what the locale's encoding can not
        sys.stdout.reconfigure(errors="backslashreplace")
    code = 0
    try:
        code = work()
    except BrokenPipeError:  # the reader of our output went away in the middle of it
        _discard(sys.stdout)
    except KeyboardInterrupt:
        log.error("interrupted")
        return 130
    except Exception as error:  # no traceback ever reaches a user
        return reported(error, by_hand=by_hand)
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    return code


def say(text: str) -> None:
    """Print what finished work has to say; where it cannot be written it is lost, and the work stays done."""
    try:
        print(text)  # noqa: T201
    except OSError:
        _discard(sys.stdout)


def _flush(stream: TextIO | None) -> None:
    """Write what is buffered, or lose it: Python would do it on its way out, and end with 120 when it cannot."""
    try:
        if stream is not None:
            stream.flush()
    except OSError:
        _discard(stream)


def _discard(stream: TextIO | None) -> None:
    """Whatever is written from now on is lost."""
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def reported(error: Exception, *, by_hand: bool = False) -> int:
    """Log the error as a user should read it; its exit code."""
    if not isinstance(error, FailoverError) or error.exit_code == EXIT_SOFTWARE:
        from failover_oneshot.lib.redact import redact

        log.error("unforeseen error, please report it: %s: %s", type(error).__name__, redact(str(error)))
        log.debug("traceback", exc_info=True)
        return EXIT_SOFTWARE
    advice = error.by_hand if by_hand else ""
    level = logging.WARNING if error.next_run and not advice else logging.ERROR
    for problem in error.problems:
        log.log(level, "%s%s", problem, advice or error.next_run)
    return error.exit_code


def _check(options: argparse.Namespace) -> int:
    from pathlib import Path

    from failover_oneshot import check
    from failover_oneshot.config import loader
    from failover_oneshot.report import summary_line, to_json

    settings = loader.load(loader.find(options.config, os.environ), os.environ)
    path = check.state_path(options.state, settings, os.environ)
    record = None if options.record is None else Path(options.record)
    if options.dry_run or not (settings.metrics.textfile or settings.ping.url):
        report = check.check(settings, path, dry_run=options.dry_run, environ=os.environ, record=record)
    else:
        from failover_oneshot.monitoring import after_check

        after_check.begin(settings)
        try:
            report = check.check(settings, path, dry_run=False, environ=os.environ, record=record)
        except Exception as error:  # it is still said to whoever waits for a sign of life
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
