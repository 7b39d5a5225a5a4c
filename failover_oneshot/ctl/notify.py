"""`failoverctl notify`: a test message to everybody whom the config names, and who got it. Never prints a URL."""

import argparse
import os
from datetime import UTC, datetime

import msgspec

from failover_oneshot import config, notify
from failover_oneshot.state import Notice, seconds


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("--config", metavar="PATH")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Do it; 1 when somebody did not get it, or there is nobody to tell."""
    settings = config.load(config.find(options.config, os.environ), os.environ).notify
    now = seconds(datetime.now(UTC))
    test = Notice(at=now, event="test", text="A test by `failoverctl notify`: nothing has happened.", next_at=now)
    try:
        to = notify.targets(settings)
        left = notify.send(settings, [test])[0]
    except notify.NotifyError as error:
        print(f"nobody was told: {error}")  # noqa: T201
        return 1
    rows = [{"target": target.place, "told": number not in left} for number, target in enumerate(to)]
    if options.json:
        print(msgspec.json.encode({"version": 1, "targets": rows}).decode())  # noqa: T201
    elif not rows:
        print("there is nobody to tell: name them in notify.urls_file or notify.urls (docs/monitoring.md)")  # noqa: T201
    else:
        for row in rows:
            print(f"{row['target']}: {'told' if row['told'] else 'NOT told'}")  # noqa: T201
    return 0 if rows and not left else 1
