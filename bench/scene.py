"""A throwaway home with two fake accounts, and a private tmux server whose sessions show an agent's screen.

The first session of the range, `ccl-auto-10`, shows a hit that stays below the threshold, so that nothing is skipped
and nothing is swapped; all the others are healthy.
"""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from failover_oneshot.fake_agent.client import reset_words

FIRST = 10

HEALTHY = """
 ▐▛███▛█   Claude Code v2.1.330
▝▜██████▀  Opus 5.5 · Claude Max
 ▝▝   ▝▝   ~/work

❯ please refactor the parser module
{answer}


                                                            ◐ medium · /effort
────────────────────────────────────────────────────────────────────────────────
❯
────────────────────────────────────────────────────────────────────────────────
  ⏵⏵ auto mode on (shift+tab to cycle) · ← for agents"""
FINE = "\n● Hello, all fine here.\n\n✻ Cogitated for 0s · done 10:20 AM"

CONFIG = """
accounts:
  - {{name: main, store: "{folder}/accounts/main"}}
  - {{name: backup, store: "{folder}/accounts/backup"}}
swap: {{claude_dir: "{folder}/.claude", claude_json: "{folder}/.claude.json"}}
pool: {{autonomous: {{prefix: ccl-auto-, start_index: {first}, max: {panes}}}}}
tmux: {{binary: "{tmux}", socket_path: "{folder}/s", timeout: 60s}}
state: {{path: "{folder}/state/state.json"}}
"""


class Sandbox:
    """Everything below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.size = 0
        self.environ = {"PATH": str(Path(shutil.which("tmux") or "/usr/bin/tmux").parent), "HOME": str(folder)}
        (folder / "state").mkdir(mode=0o700)
        for account in ("main", "backup"):
            tokens = {
                "accessToken": f"FAKE-{account}-1",
                "refreshToken": f"FAKE-{account}-r",
                "expiresAt": 4102444800000,
            }
            write(folder / "accounts" / account / ".credentials.json", {"claudeAiOauth": tokens})
            write(folder / "accounts" / account / "oauthAccount.json", {"accountUuid": f"uuid-{account}"})
            if account == "main":
                write(folder / ".claude/.credentials.json", {"claudeAiOauth": tokens})
                write(folder / ".claude.json", {"oauthAccount": {"accountUuid": "uuid-main"}})
        now = datetime.now(UTC)
        hit = f"  ⎿  You've hit your 5-hour limit · resets {reset_words(now + timedelta(hours=5), now)}"
        (folder / "hit").write_text(HEALTHY.format(answer=hit))
        (folder / "fine").write_text(HEALTHY.format(answer=FINE))

    def grow(self, size: int) -> None:
        """Have so many sessions, each of one pane, all of which show their screen."""
        for index in range(self.size, size):
            screen = self.folder / ("fine" if index else "hit")
            self.tmux("new-session", "-d", "-s", self.name(index), "-x", "80", "-y", "24",
                      f"cat '{screen}'; exec sleep 1000000")  # fmt: skip
        deadline = time.monotonic() + 60
        for index in range(self.size, size):
            while "auto mode on" not in self.tmux("capture-pane", "-p", "-t", f"={self.name(index)}:"):
                if time.monotonic() > deadline:
                    raise SystemExit("the panes never showed their screens")
                time.sleep(0.05)
        self.size = size

    def name(self, index: int) -> str:
        """The session's name, counted from 0."""
        return f"ccl-auto-{FIRST + index}"

    def config(self, name: str, *, tmux: str = "tmux", skip: int = 0) -> Path:
        """A config whose range is all the sessions but the first `skip`."""
        path = self.folder / f"{name}.yaml"
        panes = max(1, self.size - skip)
        path.write_text(CONFIG.format(folder=self.folder, tmux=tmux, first=FIRST + skip, panes=panes))
        return path

    def counting_tmux(self) -> tuple[str, Path]:
        """A tmux that notes its calls, and where: a line each."""
        calls = self.folder / "calls"
        wrapper = self.folder / "counting-tmux"
        wrapper.write_text(f'#!/bin/sh\necho >> "{calls}"\nexec "{shutil.which("tmux")}" "$@"\n')
        wrapper.chmod(0o755)
        return str(wrapper), calls

    def tmux(self, *argv: str) -> str:
        """One tmux command's output."""
        command = ["tmux", "-u", "-f", "/dev/null", "-S", str(self.folder / "s"), *argv]
        environ = {**self.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm", "SHELL": "/bin/sh"}
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8", env=environ).stdout

    def server_cpu(self) -> float:
        """The CPU time in ms that the tmux server has used so far."""
        pid = self.tmux("display-message", "-p", "#{pid}").strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 10.0  # clock ticks of 10 ms


def write(path: Path, value: object) -> None:
    """A private file with JSON."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(json.dumps(value))
    path.chmod(0o600)


@contextmanager
def throwaway_sandbox() -> Iterator[Sandbox]:
    """A sandbox without sessions, taken down afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fo-bench-"))
    sandbox = Sandbox(folder)
    try:
        yield sandbox
    finally:
        sandbox.tmux("start-server", ";", "kill-server")
        shutil.rmtree(folder)
