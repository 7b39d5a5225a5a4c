"""Between swaps: whose credentials are live, and whether the identity beside them is still theirs.

An agent refreshes the live credentials, a person logs in to another account, and an agent may write an old copy of its
settings back after a swap. Each check notices that at little cost: it reads the files only if they have changed, and
for `recovery.watch` after a swap.
"""

import logging
import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from failover_oneshot.config import linked
from failover_oneshot.config.model import Account, Config
from failover_oneshot.state.model import State, Unusable, seconds
from failover_oneshot.state.transitions import with_account

if TYPE_CHECKING:
    from failover_oneshot.accounts.method import SwapMethod

log = logging.getLogger("failover")


def due(config: Config, state: State, now: datetime) -> bool:
    """Whether the live credentials must be read: they have changed, or the last swap is still being watched."""
    seen = signature(config)
    return seen is not None and (followed(config, state, now) or seen != state.credentials_seen)


def followed(config: Config, state: State, now: datetime) -> bool:
    """Whether the last swap is still being watched (`recovery.watch`)."""
    last = state.last_swap
    return last is not None and (now - last.at).total_seconds() < config.recovery.watch


def watch(
    config: Config, state: State, methods: "Callable[[State], SwapMethod]", now: datetime, *, dry_run: bool
) -> State:
    """The state with what the live credentials show; an identity that an agent has written back is corrected.

    ``methods``: the swap method, for a state.
    """
    if not dry_run:
        reconcile(config, state, methods(state), now)
    return found(config, state, methods(state), now)


def signature(config: Config) -> str | None:
    """What changes when an agent writes new credentials: inode, size and time of each live credentials file.

    None for the methods that have no live files. A missing file counts too.
    """
    parts = []
    for path in linked.live_credentials(config):
        try:
            info = os.stat(path)  # noqa: PTH116
        except OSError:
            parts.append("-")
        else:
            parts.append(f"{info.st_ino}/{info.st_size}/{info.st_mtime_ns}")
    return " ".join(parts) or None


def found(config: Config, state: State, method: "SwapMethod", now: datetime) -> State:
    """The state with what the live credentials show: whose they are, or that an agent has given them up. Reads only.

    Files that cannot be read show nothing; the next check looks again.
    """
    from failover_oneshot.accounts.method import MethodError  # here: few checks need it

    seen = signature(config)  # before they are read, so that a later change is noticed
    try:
        verdict = method.verdict()
    except MethodError:  # a swap says why
        return state
    news = seen != state.credentials_seen
    if news and verdict.suspect:
        log.warning("the owner of the live credentials is in doubt: %s", verdict.sentence)
    state = replace(_adopted(config, state, verdict.owner), credentials_seen=seen, lineage=method.lineage())
    blanked = method.given_up(config.account(state.active_account)) if news else None
    return _given_up(state, *blanked, now) if blanked else state


def _adopted(config: Config, state: State, live: str | None) -> State:
    """The state with the account whose credentials are live: somebody may have logged in by hand."""
    if live is None or live == state.active_account or config.account(live) is None:
        return state
    log.warning(
        "live credentials belong to %s, not to %s; %s is now the active account", live, state.active_account, live
    )
    return replace(state, active_account=live)


def _given_up(state: State, account: Account, mark: str, now: datetime) -> State:
    """The state in which no swap goes to the account while its store holds the credentials of this fingerprint."""
    log.warning(
        "%s: the agent has blanked the live credentials; no swap to it until you log in and run "
        "`failoverctl accounts add %s`",
        account.name,
        account.name,
    )
    trouble = Unusable(at=seconds(now), reason="the agent has given up its credentials", stored=mark)
    return with_account(state, account.name, unusable=trouble)


def reconcile(config: Config, state: State, method: "SwapMethod", now: datetime) -> None:
    """Correct the live identity if an agent has written an old copy of it back."""
    from failover_oneshot.accounts.method import MethodError  # here: few checks need it

    account = config.account(state.active_account)
    if account is None:
        return
    left = state.last_swap.from_ if state.last_swap and followed(config, state, now) else None
    try:
        corrected = method.reconcile(account, left)
    except MethodError as error:
        log.warning("cannot correct the live identity: %s; trying again at the next check", error)
    else:
        if corrected:
            log.warning("%s", corrected)
