"""A sandbox with a pool of fake agents and a task queue, for the tests of lifecycle and dispatch and for the soak."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.polling import poll
from tests.support.sandbox import Sandbox
from tests.support.tmux_server import Server

GO_ON = "continue"  # the prompt of a resumed session, which is not a task
ACCOUNTS = ("main", "backup", "third")


class AgentPool(Sandbox):
    """A pool of `size` sessions from ccl-auto-11 on, which the first check starts."""

    def __init__(self, server: Server, folder: Path, *, size: int = 2, work: float = 0.0, records: bool = True) -> None:
        super().__init__(server, folder, ACCOUNTS)
        self.spool = folder / "spool"
        self.names = [f"ccl-auto-{11 + number}" for number in range(size)]
        self.command = self.agents.command("--work", str(work), *(["--transcript"] if records else []))
        self.config["pool"]["autonomous"].update(min=size, max=size, command=self.command, workdir=str(self.home))
        self.config["dispatch"] = {"spool": str(self.spool)}

    def up(self) -> dict[str, Any]:
        """Run the first check and wait for the prompts of the sessions that it starts; its report."""
        report = self.check()
        self.ready(*self.names)
        return report

    def ready(self, *names: str) -> None:
        poll(lambda: all("auto mode" in self.server.screen(name) for name in names), seconds=60)

    def drop(self, name: str, text: str | bytes) -> Path:
        """Put a task into the queue by hand; its path."""
        queue = self.spool / "queue"
        queue.mkdir(parents=True, exist_ok=True)
        (queue / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return queue / name

    def where(self, name: str) -> list[str]:
        """The names of the folders that contain this task."""
        return [path.parent.name for path in self.spool.glob(f"*/{name}")]

    def tasks(self, state: str) -> list[str]:
        found = (path.name for path in self.spool.glob(f"{state}/*"))
        return sorted(name for name in found if not name.endswith(".task.json") and not name.startswith("."))

    def record(self, state: str, name: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.spool / state / f"{name}.task.json").read_bytes())
        return value

    def until_done(self, *names: str) -> None:
        """Run checks until these tasks are done."""
        poll(lambda: self.check() and set(names) <= set(self.tasks("done")), seconds=60)

    def conversations(self) -> "Conversations":
        return Conversations(self.claude)


class Conversations:
    """Counts from the agents' own records: how often each prompt was taken, and how often its turn was completed."""

    def __init__(self, claude: Path) -> None:
        self.taken: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        for path in claude.glob("projects/*/*.jsonl"):
            self._read([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line])

    def _read(self, records: Sequence[dict[str, Any]]) -> None:
        prompt = ""
        for record in records:
            message = record.get("message", {})
            if record["type"] == "user" and message["content"] != GO_ON:
                prompt = message["content"]
                self.taken[prompt] += 1
            elif message.get("stop_reason") == "end_turn":
                self.done[prompt] += 1
