"""What Claude Code does to its own files, as functions, and as a program that runs at a point of a check.

    python agent.py refresh LIVE ISSUED NUMBER [LOCK …]
    python agent.py revert SETTINGS IDENTITY

A refresh writes the tokens of the next number and adds `ACCOUNT OLD NUMBER` to the file ISSUED. While another program
holds one of the locks it does nothing, as Claude Code then waits.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from failover_oneshot.ctl.demo.sandbox import MARK, credentials

TOKENS = "claudeAiOauth"
IDENTITY = "oauthAccount"


def replace(path: Path, value: object) -> None:
    """Replace a private JSON file in one step, as Claude Code does."""
    temporary = path.with_name(f"{path.name}.agent")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def read(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def whose(live: Path) -> tuple[str, int] | None:
    """The account and the number of the refresh token in a credentials file; None when it is blank."""
    token = str(read(live).get(TOKENS, {}).get("refreshToken", ""))
    if not token:
        return None
    account, _, number = token.removeprefix(MARK).rsplit("-", 2)
    return account, int(number)


def refresh(live: Path, number: int) -> str | None:
    """Refresh the live tokens; the old refresh token no longer works. The account; None when they are blank."""
    owner = whose(live)
    if owner is None:
        return None
    document, new = read(live), credentials(owner[0], number)
    tokens = {**document[TOKENS], **new[TOKENS]}  # an accountUuid stays
    replace(live, {**document, **new, TOKENS: tokens})
    return owner[0]


def blank(live: Path) -> None:
    """Blank the live tokens, as after an answer that the refresh token is not valid."""
    document = read(live)
    document[TOKENS].update(accessToken="", refreshToken="", expiresAt=0)
    replace(live, document)


def revert(settings: Path, identity: object) -> None:
    """Write an older identity back, from a copy of the settings that was read before a swap."""
    replace(settings, {**read(settings), IDENTITY: identity})


def break_locks(locks: Iterable[Path]) -> None:
    """Remove locks whose holder was killed; Claude Code does so when they are stale."""
    for lock in locks:
        shutil.rmtree(lock, ignore_errors=True)


def main(argv: list[str]) -> int:
    act, path, *rest = argv
    if act == "revert":
        revert(Path(path), json.loads(rest[0]))
        return 0
    issued, number, *locks = rest
    before = whose(Path(path))
    if before and not any(os.path.exists(lock) for lock in locks) and refresh(Path(path), int(number)):  # noqa: PTH110
        with Path(issued).open("a", encoding="utf-8") as file:
            file.write(f"{before[0]} {before[1]} {number}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
