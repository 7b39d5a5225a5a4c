"""A fake agent in a real pane, logged in as main, for the tests of the fake agent and of typing to it."""

from datetime import datetime

from tests.support.polling import poll
from tests.support.sandbox import Sandbox
from tests.support.tmux_server import Server


class AgentPane(Sandbox):
    """A sandbox with one session, ccl-auto-1; `start` starts its agent."""

    name = "ccl-auto-1"

    def __init__(self, server: Server) -> None:
        super().__init__(server, server.folder)
        self.work = self.home / "work"
        self.work.mkdir()

    def start(self, *options: str, width: int = 80, height: int = 24) -> None:
        """Start the agent, and wait for its prompt."""
        self.server.start(self.name, self.agents.command(*options), width=width, height=height, folder=self.work)
        self.shows("❯")

    def exhaust(self, until: datetime | str | None) -> None:
        """Make the account exhausted until then; None makes it usable again."""
        self.agents.exhaust(**({"main": until} if until else {}))

    def screen(self) -> str:
        return self.server.screen(self.name)

    def shows(self, text: str) -> None:
        poll(lambda: text in self.screen())
