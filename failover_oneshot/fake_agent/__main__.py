"""The stand-in's command line."""

import argparse
import os
import sys
import termios
import tty
from contextlib import suppress
from pathlib import Path

from failover_oneshot.fake_agent.client import FakeAgent
from failover_oneshot.fake_agent.world import Records


def options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    home = Path.home()
    where = os.environ.get("CLAUDE_CONFIG_DIR")
    parser = argparse.ArgumentParser(prog="standin", description="A stand-in for the agent, for demo and tests.")
    add = parser.add_argument
    add("prompt", nargs="?", help="first message")
    add("--claude-dir", type=Path, default=Path(where) if where else home / ".claude")
    add("--claude-json", type=Path, default=Path(where) / ".claude.json" if where else home / ".claude.json")
    add("--quota", type=Path, help="JSON file: account to the time until which it is exhausted")
    add("--log", type=Path, help="append one JSON line per message")
    add("--work", type=float, default=0.0, metavar="SECONDS", help="how long a message takes")
    add("--refresh", action="store_true", help="rotate the tokens before each message")
    add("--transcript", action="store_true", help="leave the client's records in the claude dir")
    add("--continue", dest="newest", action="store_true", help="go on with this folder's newest conversation")
    add("--resume", metavar="SESSION", help="go on with this conversation")
    return parser.parse_args(argv)


def main() -> int:
    """Run in the terminal; 1 when the conversation to go on with does not exist."""
    chosen = options()
    try:
        records = Records(
            chosen.claude_dir if chosen.transcript else None, chosen.claude_json, chosen.resume, chosen.newest
        )
    except LookupError as error:
        print(error.args[0], file=sys.stderr)  # noqa: T201
        return 1
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        FakeAgent(chosen, records).run()
    finally:
        records.close()
        with suppress(termios.error, OSError):
            os.write(1, b"\x1b[?2004l\r\n")
            termios.tcsetattr(0, termios.TCSADRAIN, before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
