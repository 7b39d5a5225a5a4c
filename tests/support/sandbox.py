"""The sandbox of the tests: a pool of ten, a dedicated session, recorded screens, checks that return their report."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from failover_oneshot.ctl.demo import sandbox
from tests.support.paths import ROOT
from tests.support.tmux_server import Server

HIT = (ROOT / "tests/panes/quota/hit-5h-2h-80x24.txt").read_text(encoding="utf-8")
POOL = ("ccl-auto-11", "ccl-auto-12", "ccl-auto-13")
NEIGHBOURS = ("ccl-0", "ccl-auto-1", "ccl-auto-110")


def clock(**delta: float) -> str:
    """A reset at that distance from now in Claude Code's wording, such as 12:20pm (UTC)."""
    return f"{datetime.now(UTC) + timedelta(**delta):%-I:%M%p} (UTC)".lower().replace("(utc)", "(UTC)")


def hit_screen(**delta: float) -> str:
    """The recorded screen of a 5-hour hit, its reset moved to that distance from now (default: two hours)."""
    then = clock(**(delta or {"hours": 2}))
    return HIT.replace("12:20pm (UTC)", then).replace("12:20pm", then.removesuffix(" (UTC)"))


class Sandbox(sandbox.Sandbox):
    """A sandbox in a folder of the test; `check` runs the real program in it."""

    server: Server

    def __init__(self, server: Server, folder: Path, accounts: Sequence[str] = sandbox.ACCOUNTS) -> None:
        super().__init__(folder, server, accounts)
        self.config["pool"]["autonomous"]["max"] = 10
        self.config["pool"]["dedicated"] = [{"name": "ops"}]

    def live(self) -> tuple[str, str]:
        """The access token and the email address in the live files."""
        token = json.loads(self.live_credentials.read_bytes())["claudeAiOauth"]["accessToken"]
        email = json.loads(self.settings.read_bytes())["oauthAccount"]["emailAddress"]
        return token, email

    def set_state(self, **changes: Any) -> None:
        """Change keys of the state file, for tests that need another time or history."""
        self.write(self.state_file, {**(self.state() or {"version": 1}), **changes})

    def check(self, *flags: str, code: int = 0) -> dict[str, Any]:
        """Run one check with --json and expect that exit code; its report."""
        done = self.run("--json", *flags)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report
