"""`failoverctl pause`: let checks run without doing anything, until a time or until resume."""

import argparse
import logging
import os
from datetime import timedelta

from msgspec.structs import replace

from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.terminal import printable
from failover_oneshot.ctl.lib.times import duration
from failover_oneshot.lib.redact import redact
from failover_oneshot.state.model import Pause, State, seconds, stamp

REASON = 200  # characters; every summary line of a pause shows it

log = logging.getLogger("failover")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    installation.arguments(parser)
    parser.add_argument("--for", dest="time", metavar="TIME", type=duration,
                        help="how long, such as 30m, 2h or 3d (default: until resume)")  # fmt: skip
    parser.add_argument("--reason", metavar="TEXT", help="why; shown in the summary line of each check")
    installation.explained(
        parser,
        """
        failoverctl pause --for 2h --reason 'moving the accounts'
        failoverctl pause                        pause until failoverctl resume
        """,
        "A paused check reads no pane, swaps no account and starts no session. An unfinished swap is still finished. A "
        "second pause replaces the first.",
    )


def run(options: argparse.Namespace) -> int:
    """Record the pause in the state."""
    site = installation.find(options, os.environ)
    now = seconds(installation.now())
    try:
        until = now + timedelta(seconds=options.time) if options.time else None
    except OverflowError:
        until = None
    reason = redact(" ".join(printable(options.reason or "").split()))[:REASON] or None
    pause = Pause(since=now, until=until, reason=reason)
    owed = False

    def work(state: State) -> State:
        nonlocal owed
        owed = state.swap_in_progress is not None
        return replace(state, paused=pause)

    code = site.change(now, work)
    end = f"until {stamp(until)}" if until else "until `failoverctl resume`"
    if owed:
        log.warning("a swap is unfinished; the next check finishes it despite the pause")
    installation.say_fact(options, f"paused {end}", paused=pause)
    return code
