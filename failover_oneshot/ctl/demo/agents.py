"""The fake agents of a sandbox: their start commands, their quota file, and the log of the messages sent to them."""

import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from failover_oneshot.lib import atomicfile

_PROGRAM = (sys.executable, "-m", "failover_oneshot.fake_agent")


class FakeAgents(Struct, frozen=True, kw_only=True):
    """Fake agents that share the live credentials, a quota file and a log."""

    claude_dir: Path
    claude_json: Path
    quota: Path
    log: Path

    def command(self, *options: str) -> str:
        """The shell command that starts an agent; an option without dashes is its first prompt."""
        files = {"claude-dir": self.claude_dir, "claude-json": self.claude_json, "quota": self.quota, "log": self.log}
        named = [word for name, path in files.items() for word in (f"--{name}", str(path))]
        return "exec " + shlex.join([*_PROGRAM, *named, *options])

    def exhaust(self, **until: datetime | str) -> None:
        """Make exactly these accounts exhausted, each until its time; "unknown": the agent names no reset time."""
        quota = {account: at if isinstance(at, str) else at.isoformat() for account, at in until.items()}
        atomicfile.write_atomic(self.quota, json.dumps(quota).encode())

    def messages(self, **wanted: str) -> list[dict[str, Any]]:
        """The messages sent to the agents: the records of their log that have these values."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        records = [json.loads(line) for line in text.splitlines()]
        return [record for record in records if all(record[name] == value for name, value in wanted.items())]

    def prompts(self) -> list[str]:
        """The prompt of each message."""
        return [message["prompt"] for message in self.messages()]
