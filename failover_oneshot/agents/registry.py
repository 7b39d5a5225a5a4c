"""The agents by name. To add one, write a package with a class that follows `base.Agent`, and a branch below."""

from typing import Final

from failover_oneshot.agents.base import Agent
from failover_oneshot.config.model import Config

CLAUDE: Final = "claude"
PLAIN: Final = "plain"
NAMES: Final = (CLAUDE, PLAIN)


def agent(name: str, folder: str = "") -> Agent:
    """The agent with this name. ``folder`` is where it keeps its records; "" if only its screens are read."""
    if name == PLAIN:
        from failover_oneshot.agents.plain import Plain

        return Plain()
    from failover_oneshot.agents.claude.agent import Claude

    return Claude(folder)


def of_the_pool(config: Config) -> Agent:
    """The agent that runs in the configured sessions."""
    return agent(CLAUDE, config.swap.claude_dir)
