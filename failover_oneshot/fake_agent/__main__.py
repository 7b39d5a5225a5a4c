"""The fake agent's command line."""

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
    """The options of the command line."""
    home = Path.home()
    where = os.environ.get("CLAUDE_CONFIG_DIR")
    parser = argparse.ArgumentParser(
        prog="fake_agent", description="A fake agent that draws the screen of Claude Code, for the demo and tests."
    )
    add = parser.add_argument
    add("prompt", nargs="?", help="first message to send")
    folder = Path(where) if where else home / ".claude"
    identity = Path(where) / ".claude.json" if where else home / ".claude.json"
    add("--claude-dir", type=Path, metavar="PATH", default=folder, help="folder with the credentials file")
    add("--claude-json", type=Path, metavar="PATH", default=identity, help="file with the identity of the account")
    add("--quota", type=Path, metavar="PATH", help="JSON file that maps each exhausted account to its reset time")
    add("--log", type=Path, metavar="PATH", help="append one JSON line per message to this file")
    add("--work", type=float, default=0.0, metavar="SECONDS", help="how long to work on each message (default: 0)")
    add("--refresh", action="store_true", help="rotate the tokens before each message")
    add("--transcript", action="store_true", help="write Claude Code's records to the --claude-dir folder")
    add("--continue", dest="newest", action="store_true", help="continue the newest conversation of this folder")
    add("--resume", metavar="SESSION", help="continue the conversation with this id")
    return parser.parse_args(argv)


def main() -> int:
    """Run in the terminal. Returns 1 if the conversation to continue does not exist."""
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
