"""A sandbox with any number of sessions that show an agent's screen.

The first session of the range, `ccl-auto-10`, shows a hit; the others are healthy. One hit is below the threshold, so
the check skips no step and makes no swap.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from failover_oneshot.ctl.demo import sandbox
from failover_oneshot.ctl.demo.server import Server, new_folder
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


class Sandbox(sandbox.Sandbox):
    """An installation below one folder; `measured` is the environment of measured programs, as small as a timer's."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.folder, server)
        self.size = 0
        self.measured = {"PATH": str(Path(shutil.which("tmux") or "/usr/bin/tmux").parent), "HOME": str(self.home)}
        self.state_file.parent.mkdir(mode=0o700)
        self.config["state"] = {"path": str(self.state_file)}
        now = datetime.now(UTC)
        hit = f"  ⎿  You've hit your 5-hour limit · resets {reset_words(now + timedelta(hours=5), now)}"
        (self.folder / "hit").write_text(HEALTHY.format(answer=hit), encoding="utf-8")
        (self.folder / "fine").write_text(HEALTHY.format(answer=FINE), encoding="utf-8")

    def grow(self, size: int) -> None:
        """Start sessions of one pane each until there are `size`, and wait until all show their screens."""
        new = [self.name(index) for index in range(self.size, size)]
        for name in new:
            screen = self.folder / ("hit" if name == self.name(0) else "fine")
            self.server.start(name, f"cat '{screen}'; exec sleep 1000000")
        for name in new:
            if not self.server.reached(partial(self._is_shown, name)):
                raise SystemExit(f"{name} did not show its screen in time")
        self.size = size

    def _is_shown(self, name: str) -> bool:
        return "auto mode on" in self.server.screen(name)

    def name(self, index: int) -> str:
        """The name of the session with that index, counted from 0."""
        return f"ccl-auto-{FIRST + index}"

    def configured(self, name: str, *, skip: int = 0, tmux: str = "tmux", **pool: Any) -> Path:
        """The file of a configuration whose range is all sessions but the first `skip`."""
        self.config["pool"]["autonomous"] = {
            "prefix": "ccl-auto-", "start_index": FIRST + skip, "max": max(1, self.size - skip), **pool,
        }  # fmt: skip
        self.config["tmux"]["binary"] = tmux
        self.config_file = self.folder / f"{name}.yaml"
        self.save_config()
        return self.config_file

    def counting_tmux(self) -> tuple[str, Path]:
        """A tmux wrapper, and the file to which it adds one line for each call."""
        calls = self.folder / "calls"
        wrapper = self.folder / "counting-tmux"
        wrapper.write_text(f'#!/bin/sh\necho >> "{calls}"\nexec "{shutil.which("tmux")}" "$@"\n')
        wrapper.chmod(0o755)
        return str(wrapper), calls

    def server_cpu(self) -> float:
        """The CPU time of the tmux server so far, in ms."""
        pid = self.server.tmux("display-message", "-p", "#{pid}")
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 10.0  # clock ticks of 10 ms


@contextmanager
def throwaway_sandbox() -> Iterator[Sandbox]:
    """A sandbox without sessions; its server ends afterwards."""
    server = Server(new_folder("fo-bench-"), patience=60)
    try:
        yield Sandbox(server)
    finally:
        server.end()
