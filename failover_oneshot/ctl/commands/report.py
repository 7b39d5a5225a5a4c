"""`failoverctl report`: one HTML page about the accounts over time, or the same facts as JSON."""

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
    """Describe the arguments."""
    parser.add_argument("--since", metavar="WHEN", default="30d", help="36h, 30d, 8w, 2026-11-24, today (default: 30d)")
    parser.add_argument("-o", "--output", metavar="FILE", default="failover-report.html",
                        help="the page to write (failover-report.html); - for stdout")  # fmt: skip
    installation.arguments(parser)
    installation.explained(
        parser,
        "failoverctl report --since 7d -o week.html",
        "The page needs no network and no script: it can be mailed, printed, and read on a phone. It holds what the "
        "sessions showed when they hit a limit, so it is for your eyes only (mode 0600). How far back it goes depends "
        "on state.history. With --json the facts are printed and no page is written.",
    )


def run(options: argparse.Namespace) -> int:
    """Do it."""
    here = installation.find(options, os.environ)
    now = seconds(datetime.now(UTC))
    try:
        start = times.instant(options.since, now)
        if not timedelta(minutes=1) <= now - start:
            raise ValueError(f"{options.since!r} is not past: write 2h, 3d or a date")  # noqa: TRY301
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
