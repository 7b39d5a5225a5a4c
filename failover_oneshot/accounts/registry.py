"""The swap methods by name: a protocol (`method.SwapMethod`) and a module or package for each method.

To add a method, add one here, a member of `config.model.Method` and a branch in `method`.
tests/unit/accounts/test_contract.py runs over all of them.
"""

from collections.abc import Callable
from pathlib import Path

from failover_oneshot.accounts.memory import Memory
from failover_oneshot.accounts.method import MethodError, SwapMethod
from failover_oneshot.config import model
from failover_oneshot.config.model import Config
from failover_oneshot.state.model import State

__all__ = ["MethodError", "SwapMethod", "method"]


def method(config: Config, folder: Path, state: State, guard: Callable[[], None] = lambda: None) -> SwapMethod:
    """The swap method that the config names.

    ``folder`` is the state's: kept credentials are in it. ``state`` says what earlier checks found out about the owners
    of credentials. ``guard`` is called before each change and may raise: the holder of the state's lock passes
    `StateStore.verify_lock`.
    """
    _no_core_dump()
    memory = Memory(folder, state, guard)
    match config.swap.method:
        case model.Method.CLAUDE:
            from failover_oneshot.accounts.claude.method import ClaudeMethod

            return ClaudeMethod(config, memory)
        case model.Method.FILES:
            from failover_oneshot.accounts.files.method import FilesMethod

            return FilesMethod(config, memory)
        case model.Method.ENV:
            from failover_oneshot.accounts.env import EnvMethod

            return EnvMethod()
        case model.Method.COMMAND:
            from failover_oneshot.accounts.command import CommandMethod

            return CommandMethod(config, memory)


def _no_core_dump() -> None:
    """Disable core dumps: from here on the process reads credentials, which must not end up in a file (law L4)."""
    from resource import RLIMIT_CORE, getrlimit, setrlimit

    setrlimit(RLIMIT_CORE, (0, getrlimit(RLIMIT_CORE)[1]))
