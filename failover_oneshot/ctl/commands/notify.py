"""`failoverctl notify`: a test message to everybody whom the config names, and who got it. Never prints a URL."""

import argparse
import os

import msgspec

from failover_oneshot.ctl.lib import installation
from failover_oneshot.monitoring import apprise
from failover_oneshot.state.model import Notice, seconds


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    installation.arguments(parser)
    installation.explained(
        parser,
        """
        failoverctl notify
        """,
        "Each target is named by its place in notify.urls or its line in notify.urls_file, for its URL is a secret. "
        "The exit code is 1 when somebody did not get the message, or nobody is named.",
    )


def run(options: argparse.Namespace) -> int:
    """Do it; 1 when somebody did not get it, or there is nobody to tell."""
    settings = installation.find(options, os.environ).config.notify
    now = seconds(installation.now())
    test = Notice(at=now, event="test", text="A test by `failoverctl notify`: nothing has happened.", next_at=now)
    try:
        to = apprise.targets(settings)
        left = apprise.send(settings, [test])[0]
    except apprise.NotifyError as error:
        print(f"nobody was told: {error}")  # noqa: T201
        return error.exit_code
    rows = [{"target": target.place, "told": number not in left} for number, target in enumerate(to)]
    if options.json:
        print(msgspec.json.encode({"version": 1, "targets": rows}).decode())  # noqa: T201
    elif not rows:
        print("there is nobody to tell: name them in notify.urls_file or notify.urls (docs/monitoring.md)")  # noqa: T201
    else:
        for row in rows:
            print(f"{row['target']}: {'told' if row['told'] else 'NOT told'}")  # noqa: T201
    return 0 if rows and not left else 1
