"""The swap methods by name: a protocol (`method.SwapMethod`) and one module for each method.

To add a method, add a module here, a member of `config.model.Method` and a branch in `method`.
tests/unit/accounts/test_contract.py runs over all of them.
"""

from collections.abc import Mapping
from pathlib import Path

from failover_oneshot.accounts.method import MethodError, SwapMethod
from failover_oneshot.config import model
from failover_oneshot.config.model import Config

__all__ = ["MethodError", "SwapMethod", "method"]


def method(config: Config, unclaimed: Path, lineage: Mapping[str, str] | None = None) -> SwapMethod:
    """The swap method that the config names.

    `unclaimed` is the folder for credentials without a known owner; it is made when needed. `lineage` maps fingerprints
    of earlier credentials to accounts; it comes from the state.
    """
    _no_core_dump()
    known = lineage or {}
    match config.swap.method:
        case model.Method.CLAUDE:
            from failover_oneshot.accounts.claude import ClaudeMethod

            return ClaudeMethod(config, unclaimed, known)
        case model.Method.FILES:
            from failover_oneshot.accounts.files import FilesMethod

            return FilesMethod(config, unclaimed, known)
        case model.Method.ENV:
            from failover_oneshot.accounts.env import EnvMethod

            return EnvMethod()
        case model.Method.COMMAND:
            from failover_oneshot.accounts.command import CommandMethod

            return CommandMethod(config, unclaimed.parent)


def _no_core_dump() -> None:
    """Disable core dumps: from here on the process reads credentials, which must not end up in a file (law L4)."""
    from resource import RLIMIT_CORE, getrlimit, setrlimit

    setrlimit(RLIMIT_CORE, (0, getrlimit(RLIMIT_CORE)[1]))
