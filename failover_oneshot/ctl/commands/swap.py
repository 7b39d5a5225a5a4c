"""`failoverctl swap`: swap the account now, with the observation, lock, journal and steps of a check."""

import argparse
import logging
import os

from failover_oneshot.check import check
from failover_oneshot.ctl.lib import installation
from failover_oneshot.decision.manual import NothingDoneError, Order
from failover_oneshot.errors import EXIT_FAILED
from failover_oneshot.model import Outcome
from failover_oneshot.report import Report, summary_line, to_json
from failover_oneshot.state.model import seconds

log = logging.getLogger("failover")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    installation.arguments(parser)
    parser.add_argument("--to", metavar="NAME", help="account to swap to (default: as swap.strategy picks)")
    parser.add_argument("-n", "--dry-run", action="store_true", help="print what would be done; change nothing")
    parser.add_argument(
        "--force", action="store_true", help="allow an exhausted or disabled account, and ignore swap.max_per_hour"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log every session and step")
    installation.explained(
        parser,
        """
        failoverctl swap --dry-run       show the next account and the restarts
        failoverctl swap --to backup     swap to backup
        """,
        "It takes the same lock and the same steps as a swap by a check, and restarts the same sessions. It ignores a "
        "pause and the cooldown. An unfinished swap is finished first.",
        "exit codes: 0 swapped, or already active; 1 refused or failed; 2 no such account; others as in failover-check",
    )


def run(options: argparse.Namespace) -> int:
    """Swap, or print what a dry run would do."""
    if not options.verbose:
        log.setLevel(logging.WARNING)
    site = installation.find(options, os.environ)
    order = Order(to=options.to, force=options.force)
    try:
        report = check(site.config, site.state_file, dry_run=options.dry_run, environ=os.environ, order=order)
    except NothingDoneError as nothing:
        if nothing.exit_code:
            raise
        now = seconds(installation.now())
        still = Report(
            outcome=Outcome.OK,
            summary=str(nothing),
            reason=str(nothing),
            dry_run=options.dry_run,
            at=now,
            active_account=options.to,
        )
        installation.paper().say(to_json(still) if options.json else str(nothing))
        return 0
    installation.paper().say(to_json(report) if options.json else summary_line(report))
    if options.to and report.swap and report.active_account != options.to and not report.exit_code:
        log.error("an unfinished swap was finished first; run the command again to swap to %s", options.to)
        return EXIT_FAILED
    return report.exit_code
