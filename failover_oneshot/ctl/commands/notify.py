"""`failoverctl notify`: send a test notice to each target and print the result. Never prints a URL."""

import argparse
import os

import msgspec

from failover_oneshot.ctl.lib import installation
from failover_oneshot.monitoring import apprise
from failover_oneshot.state.model import Notice, seconds


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    installation.arguments(parser)
    installation.explained(
        parser,
        """
        failoverctl notify
        """,
        "URLs are secret, so a target is shown as its place in notify.urls or its line in notify.urls_file.",
        "exit codes: 0 every target got the notice, 1 a target did not, or there is none",
    )


def run(options: argparse.Namespace) -> int:
    """Send it. 1: a target did not get it, or no target is configured."""
    settings = installation.find(options, os.environ).config.notify
    now = seconds(installation.now())
    test = Notice(
        at=now,
        event="test",
        text="This is a test message from `failoverctl notify`. Nothing has happened.",
        next_at=now,
    )
    try:
        to = apprise.targets(settings)
        left = apprise.send(settings, [test])[0]
    except apprise.NotifyError as error:
        print(f"not sent: {error}")  # noqa: T201
        return error.exit_code
    rows = [{"target": target.place, "told": number not in left} for number, target in enumerate(to)]
    if options.json:
        print(msgspec.json.encode({"version": 1, "targets": rows}).decode())  # noqa: T201
    elif not rows:
        print("no targets; set notify.urls_file or notify.urls (docs/monitoring.md)")  # noqa: T201
    else:
        for row in rows:
            print(f"{row['target']}: {'sent' if row['told'] else 'NOT sent'}")  # noqa: T201
    return 0 if rows and not left else 1
