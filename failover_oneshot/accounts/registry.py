"""How an account becomes the active one: a protocol (`method.Method`) and one module for each way.

To add a way: a module here, a member of `config.model.Method`, a branch in `method`.
tests/unit/accounts/test_contract.py runs over all of them.
"""

from collections.abc import Mapping
from pathlib import Path

from failover_oneshot.accounts.method import MethodError, SwapMethod
from failover_oneshot.config import model
from failover_oneshot.config.model import Config

__all__ = ["MethodError", "SwapMethod", "method"]


def method(config: Config, unclaimed: Path, lineage: Mapping[str, str] | None = None) -> SwapMethod:
    """The way that the config names.

    `unclaimed` is the folder for logins that belong to no account, made when it is needed; `lineage` the fingerprints
    of earlier logins from the state (fingerprint to account).
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
    """From here on this process reads credentials: should it crash, they must not end in a file (law L4)."""
    from resource import RLIMIT_CORE, getrlimit, setrlimit

    setrlimit(RLIMIT_CORE, (0, getrlimit(RLIMIT_CORE)[1]))
