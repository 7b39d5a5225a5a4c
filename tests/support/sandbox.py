"""A throwaway installation for a test: a home, two fake accounts, a configuration, a private tmux server."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT
from tests.support.tmux_server import Server

HIT = (ROOT / "tests/panes/quota/hit-5h-2h-80x24.txt").read_text(encoding="utf-8")
POOL = ("ccl-auto-11", "ccl-auto-12", "ccl-auto-13")
NEIGHBOURS = ("ccl-0", "ccl-auto-1", "ccl-auto-110")
FAR = 4_000_000_000_000  # milliseconds: a token that does not expire in our time


def credentials(account: str, generation: int = 1) -> dict[str, Any]:
    """The shape of the client's .credentials.json; obviously fake."""
    return {
        "claudeAiOauth": {
            "accessToken": f"FAKE-access-{account}-{generation}",
            "refreshToken": f"FAKE-refresh-{account}-{generation}",
            "expiresAt": FAR + generation,
            "scopes": ["user:inference"],
            "subscriptionType": "max",
        },
        "trustedDeviceToken": f"FAKE-device-{account}",
    }


def identity(account: str) -> dict[str, Any]:
    return {"accountUuid": f"00000000-0000-0000-0000-{account:0>12}", "emailAddress": f"{account}@example.invalid"}


def clock(**delta: float) -> str:
    """The client's wording of a reset at that distance from now: 12:20pm (UTC)."""
    return f"{datetime.now(UTC) + timedelta(**delta):%-I:%M%p} (UTC)".lower().replace("(utc)", "(UTC)")


def hit_screen(**delta: float) -> str:
    """The recorded screen of a 5-hour hit, with its reset moved to that distance from now."""
    then = clock(**(delta or {"hours": 2}))
    return HIT.replace("12:20pm (UTC)", then).replace("12:20pm", then.removesuffix(" (UTC)"))


class Sandbox:
    """Everything below one folder; `check` runs the real program in it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.home = folder / "home"
        self.claude = self.home / ".claude"
        self.claude.mkdir(parents=True)
        self.state_file = folder / "state" / "state.json"
        self.config_file = folder / "failover.yaml"
        for account in ("main", "backup"):
            self.store(account)
        self.log_in("main", generation=2)  # refreshed since it was stored
        self.config: dict[str, Any] = {
            "accounts": [{"name": n, "store": str(self.stored(n))} for n in ("main", "backup")],
            "swap": {"claude_dir": str(self.claude), "claude_json": str(self.home / ".claude.json")},
            "pool": {
                "autonomous": {"prefix": "ccl-auto-", "start_index": 11, "max": 10},
                "dedicated": [{"name": "ops"}],
            },
            "tmux": {"socket_path": str(server.socket)},
        }

    def stored(self, account: str) -> Path:
        return self.home / ".claude-accounts" / account

    def store(self, account: str, generation: int = 1) -> None:
        folder = self.stored(account)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.write(folder / ".credentials.json", credentials(account, generation))
        self.write(folder / "oauthAccount.json", identity(account))

    def log_in(self, account: str, generation: int = 1) -> None:
        """Make that account the live one, as the client would, beside what belongs to the machine."""
        machine = {"mcpOAuth": {"server": {"accessToken": "FAKE-mcp"}}}
        self.write(self.claude / ".credentials.json", {**credentials(account, generation), **machine})
        self.write(self.home / ".claude.json", {"numStartups": 7, "oauthAccount": identity(account), "projects": {}})

    def write(self, path: Path, value: Any) -> None:
        path.write_text(json.dumps(value, indent=2))
        path.chmod(0o600)

    def live(self) -> tuple[str, str]:
        """The live access token and the live identity."""
        token = json.loads((self.claude / ".credentials.json").read_bytes())["claudeAiOauth"]["accessToken"]
        email = json.loads((self.home / ".claude.json").read_bytes())["oauthAccount"]["emailAddress"]
        return token, email

    def save_config(self) -> None:
        self.config_file.write_text(json.dumps(self.config))  # JSON is YAML

    def set_state(self, **changes: Any) -> None:
        """Change keys of the state file, as a test that travels in time has to."""
        self.state_file.parent.mkdir(exist_ok=True)
        state = json.loads(self.state_file.read_bytes()) if self.state_file.exists() else {"version": 1}
        self.state_file.write_text(json.dumps({**state, **changes}))

    def state(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.state_file.read_bytes())
        return value

    def argv(self, *flags: str) -> list[str]:
        return [
            sys.executable, "-m", "failover_oneshot",
            "--config", str(self.config_file), "--state", str(self.state_file), *flags,
        ]  # fmt: skip

    def environ(self, **changes: str) -> dict[str, str]:
        return {**self.server.environ, "HOME": str(self.home), "PYTHONPATH": str(ROOT), "TZ": "UTC", **changes}

    def run(self, *flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
        if not self.config_file.exists():
            self.save_config()
        return subprocess.run(
            self.argv(*flags), env=self.environ(**environ), capture_output=True, text=True, timeout=120, check=False
        )

    def check(self, *flags: str, code: int = 0) -> dict[str, Any]:
        """Run one check with --json; its report."""
        done = self.run("--json", *flags)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def fingerprint(self) -> dict[str, str]:
        """Every file of the installation by content, mode and time, and what tmux lists."""
        found = {}
        for folder, _, names in os.walk(self.home.parent):
            for name in names:
                path = Path(folder) / name
                info = path.lstat()
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path)] = f"{digest} {stat.S_IMODE(info.st_mode):o} {info.st_mtime_ns} {info.st_ino}"
            info = Path(folder).lstat()
            found[folder] = f"{stat.S_IMODE(info.st_mode):o} {info.st_mtime_ns}"
        found["tmux"] = self.panes()
        return found

    def panes(self) -> str:
        return self.server.tmux("list-panes", "-a", "-F", "#{session_name} #{session_id} #{pane_id} #{pane_pid}")


def pids(sandbox: Sandbox) -> dict[str, str]:
    return {line.split()[0]: line.split()[-1] for line in sandbox.panes().splitlines()}
