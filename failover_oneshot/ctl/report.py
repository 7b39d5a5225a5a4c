"""`failoverctl report`: one HTML page about the accounts over time, or the same facts as JSON."""

import argparse
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from failover_oneshot import config, durations, safefile
from failover_oneshot.run import state_path
from failover_oneshot.state import seconds
from failover_oneshot.store import Store
from failover_oneshot.timeline import timeline

EXIT_IO = 74
_DAYS = {"d": 86400, "w": 7 * 86400}  # seconds
_LONGEST = 520 * 7 * 86400  # seconds


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("--since", metavar="TIME", type=_span, default=timedelta(days=30),
                        help="how far back: 36h, 30d, 8w (default: 30d)")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE", default="failover-report.html",
                        help="the page to write (failover-report.html); - for stdout")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the facts as one JSON object, and write no page")
    parser.add_argument("--config", metavar="PATH", help="the configuration (default: as failover-check finds it)")
    parser.add_argument("--state", metavar="PATH", help="the state file (overrides state.path)")
    parser.epilog = (
        "The page needs no network and no script: it can be mailed, printed, and read on\n"
        "a phone. It holds what the sessions showed when they hit a limit, so it is for\n"
        "your eyes only (mode 0600). How far back it goes depends on state.history.\n\n"
        "example:\n"
        "  failoverctl report --since 7d -o week.html"
    )


def run(options: argparse.Namespace) -> int:
    """Do it."""
    settings = config.load(config.find(options.config, os.environ), os.environ)
    path = state_path(options.state, settings, os.environ)
    now = seconds(datetime.now(UTC))
    loaded = Store(path, settings.state.lock_timeout).load(now, quarantine=False)
    for note in loaded.notes:
        sys.stderr.write(f"{note}\n")
    facts = timeline(loaded.state, [a.name for a in settings.accounts], now - options.since, now)
    if options.json:
        body = {"version": 1, "stalled_seconds": facts.stalled, "waited_seconds": facts.waited}
        sys.stdout.write(msgspec.json.encode(body | msgspec.to_builtins(facts)).decode() + "\n")
        return 0
    from failover_oneshot.ctl.page import page

    data = page(facts, loaded.state, settings.state.history)
    if options.output == "-":
        sys.stdout.buffer.write(data)
        return 0
    try:
        safefile.write_atomic(options.output, data)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cannot write {options.output}: {getattr(error, 'strerror', None) or error}\n")
        return EXIT_IO
    sys.stdout.write(f"wrote {Path(options.output).absolute()}\n")
    return 0


def _span(text: str) -> timedelta:
    """A duration, in days or weeks too."""
    try:
        match = re.fullmatch(r"([0-9]{1,6})([dw])", text)
        found = int(match[1]) * _DAYS[match[2]] if match else durations.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}, or 30d, 8w") from None
    if not 60 <= found <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not between a minute and 10 years (520w)")
    return timedelta(seconds=found)
