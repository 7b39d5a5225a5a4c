"""`failoverctl report`: write an HTML page about the accounts over time, or print the same facts as JSON."""

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from failover_oneshot.ctl.lib import installation, times
from failover_oneshot.ctl.report.timeline import timeline
from failover_oneshot.errors import EXIT_IO, EXIT_USAGE
from failover_oneshot.lib import atomicfile
from failover_oneshot.state.model import seconds


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    parser.add_argument("--since", metavar="TIME", default="30d",
                        help="start: 36h (ago), 30d, 8w, 2026-11-24 or today (default: 30d)")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE", default="failover-report.html",
                        help="page to write, - for stdout (default: failover-report.html)")  # fmt: skip
    installation.arguments(parser)
    installation.explained(
        parser,
        "failoverctl report --since 7d -o week.html",
        "The page is one file without scripts or network access, to be mailed, printed or read on a phone. It quotes "
        "what sessions showed when they hit a limit, so it is written with mode 0600. It goes back as far as "
        "state.history does. With --json the facts are printed and no page is written.",
    )


def run(options: argparse.Namespace) -> int:
    """Write the page or print the facts. 2: a wrong --since; 74: the page cannot be written."""
    here = installation.find(options, os.environ)
    now = seconds(datetime.now(UTC))
    try:
        start = times.instant(options.since, now)
        if not timedelta(minutes=1) <= now - start:
            raise ValueError(f"must be in the past: {options.since!r} (try 2h, 3d or a date)")  # noqa: TRY301
    except ValueError as error:
        sys.stderr.write(f"--since: {error}\n")
        return EXIT_USAGE
    loaded = here.peek(now)
    for note in loaded.notes:
        sys.stderr.write(f"{note}\n")
    facts = timeline(loaded.state, [a.name for a in here.config.accounts], start, now)
    if options.json:
        body = {"version": 1, "stalled_seconds": facts.stalled, "waited_seconds": facts.waited}
        sys.stdout.write(msgspec.json.encode(body | msgspec.to_builtins(facts)).decode() + "\n")
        return 0
    from failover_oneshot.ctl.report.page import page

    data = page(facts, loaded.state, here.config.state.history)
    if options.output == "-":
        sys.stdout.buffer.write(data)
        return 0
    try:
        atomicfile.write_atomic(options.output, data)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cannot write {options.output}: {getattr(error, 'strerror', None) or error}\n")
        return EXIT_IO
    sys.stdout.write(f"wrote {Path(options.output).absolute()}\n")
    return 0
