"""Sessions that bring a login of their own in their environment: no file that we replace reaches them. Reads only."""

from collections.abc import Iterable
from pathlib import Path

# What the client takes before the login in its files (DETECTION: what is known about swapping).
OWN_LOGIN = ("CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


def own_login(pids: Iterable[int], proc: Path = Path("/proc")) -> str | None:
    """The name of such a variable in the environment of one of these processes. Its value is never looked at."""
    for pid in pids:
        try:
            environ = (proc / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        entries = (entry.partition(b"=") for entry in environ.split(b"\0"))
        names = {name for name, _, value in entries if value}
        for name in OWN_LOGIN:
            if name.encode() in names:
                return name
    return None
