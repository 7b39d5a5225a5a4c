"""The agent programs by name. To add one: a package here with a class behind `base.Agent`, and a branch below."""

from typing import Final

from failover_oneshot.agents.base import Agent
from failover_oneshot.config.model import Config

CLAUDE: Final = "claude"
PLAIN: Final = "plain"
NAMES: Final = (CLAUDE, PLAIN)


def agent(name: str, folder: str = "") -> Agent:
    """The agent program of that name. ``folder``: where it keeps its records; "": it is asked about screens alone."""
    if name == PLAIN:
        from failover_oneshot.agents.plain import Plain

        return Plain()
    from failover_oneshot.agents.claude.agent import Claude

    return Claude(folder)


def of_the_pool(config: Config) -> Agent:
    """The agent program that runs in the configured sessions."""
    return agent(CLAUDE, config.swap.claude_dir)
