"""Finds sessions with credentials in their environment, which a swap of files does not reach. Reads only."""

from collections.abc import Iterable
from pathlib import Path

from failover_oneshot.lib import procfs

# Claude Code prefers these to the credentials in its files (docs/detection.md, "Waiting and swapping").
OWN_LOGIN = ("CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


def own_login(pids: Iterable[int], proc: Path = procfs.PROC) -> str | None:
    """The name of such a variable in the environment of one of these processes; None if there is none.

    The value is never returned or logged.
    """
    for pid in pids:
        environ = procfs.environ(pid, proc)
        for name in OWN_LOGIN:
            if environ.get(name):
                return name
    return None
