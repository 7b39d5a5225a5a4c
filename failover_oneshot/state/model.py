"""The values of the state (docs/behavior.md, "State"). Every time is in UTC.

`transitions.py` and `history.py` change the state; `store.py` reads and writes the file.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

from failover_oneshot.model import Kind, Limit, Outcome, PoolTally, Restart, TaskTally

VERSION = 1

Utc = Annotated[datetime, Meta(tz=True)]


class LastSwap(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The last completed swap."""

    at: Utc
    from_: str | None
    to: str
    reason: str = ""


class Trouble(Struct, frozen=True, kw_only=True):
    """Something that went wrong, and when."""

    at: Utc
    reason: str


class Failure(Trouble, frozen=True, kw_only=True):
    """A swap that failed. ``untouched``: before anything was changed, so it costs no cooldown."""

    untouched: bool = False


class Unusable(Trouble, frozen=True, kw_only=True):
    """Why an account could not be swapped to.

    ``stored``: fingerprint of the stored credentials that the agent gave up; no swap goes to the account while its
    store holds them. None: only the last attempt failed.
    """

    stored: str | None = None


class Unclaimed(Struct, frozen=True, kw_only=True):
    """Credentials in `unclaimed/` whose owner is in doubt; ``account``: the one that they may belong to."""

    at: Utc
    reason: str
    account: str | None = None


class AccountMemory(Struct, frozen=True, kw_only=True):
    """What the state knows about one account."""

    exhausted_until: Utc | None = None
    last_hit_at: Utc | None = None
    reason: str | None = None
    last_used_at: Utc | None = None  # when a swap left it
    window_resets_at: Utc | None = None  # end of its current window, from a warning of the agent
    unusable: Unusable | None = None  # the last failed attempt to swap to it, or credentials that the agent gave up
    store: str | None = None  # the path of its credentials, to recognize the account under another name


class HitMemory(Struct, frozen=True, kw_only=True):
    """A hit as it was first seen. Its reset time is resolved once and then kept."""

    first_seen: Utc
    pattern: str | None = None
    snippet: str | None = None
    resets_at: Utc | None = None
    acted_on: bool = False
    kind: Kind = Kind.QUOTA
    limit: Limit | None = None
    account: str | None = None
    reset_text: str | None = None
    identity: str = ""


class WarningMemory(Struct, frozen=True, kw_only=True):
    """A warning of the agent that a limit is near."""

    first_seen: Utc
    snippet: str | None = None
    limit: Limit | None = None
    resets_at: Utc | None = None


class SessionMemory(Struct, frozen=True, kw_only=True):
    """What the state knows about one session: its account and the last hit that it showed."""

    account: str | None = None
    own_login: str | None = None  # the variable with separate credentials, which a swap of files does not reach
    kind: Kind | None = None  # what the last observation showed, and since when
    since: Utc | None = None
    hit: HitMemory | None = None
    warning: WarningMemory | None = None
    starts: tuple[Utc, ...] = ()  # when the lifecycle started it, until it stays alive
    held: Trouble | None = None  # a text did not arrive or its server failed: it gets no task for a while


class Waiting(Struct, frozen=True, kw_only=True):
    """The wait while every account is exhausted: which one is free first, and when (None: unknown)."""

    since: Utc
    account: str | None = None
    until: Utc | None = None
    checks: int = 1


class Pause(Struct, frozen=True, kw_only=True):
    """A pause that the operator ordered. ``until`` None: until `failoverctl resume`."""

    since: Utc
    until: Utc | None = None
    reason: str | None = None


class LastCheck(Struct, frozen=True, kw_only=True):
    """The last check."""

    at: Utc
    outcome: Outcome
    blocked_pool: int = 0
    blocked_dedicated: int = 0
    duration_ms: int = 0
    pool: PoolTally | None = None  # None: not observed
    tasks: TaskTally | None = None  # None: no spool


class Notice(Struct, frozen=True, kw_only=True):
    """A message to people, kept until it is delivered and sent from ``next_at`` on (docs/monitoring.md)."""

    at: Utc
    event: str
    text: str
    tries: int = 0
    next_at: Utc
    left: tuple[int, ...] | None = None  # numbers of the targets that still need it; None: all


class Rejected(Struct, frozen=True, kw_only=True):
    """A candidate that this attempt could not use."""

    account: str
    reason: str


class SwapStep(StrEnum):
    """The steps of a swap, in order."""

    SAVE_BACK = "save_back"
    INSTALL = "install"
    VERIFY = "verify"
    RESTART = "restart"
    RECORD = "record"


class Journal(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """An unfinished swap, written before each step so that the next run can finish it (docs/swap.md).

    ``kind`` is "swap", "failback" (no session is blocked), or "resume" (a restart on the account that is already
    active).
    """

    started_at: Utc
    kind: str = "swap"
    from_: str | None
    to: str | None
    step: SwapStep
    reason: str = ""
    candidates: tuple[str, ...] = ()  # still to try, in order
    rejected: tuple[Rejected, ...] = ()
    prepared: dict[str, str] = {}  # what the method needs to repeat or undo its steps; never a secret
    acted_on: tuple[str, ...] = ()  # sessions whose current hits this swap handles
    restarts: tuple[Restart, ...] = ()
    runs: int = 1  # how many runs have worked on this swap
    touched: bool = False  # the install of a candidate has begun


class State(Struct, frozen=True, kw_only=True):
    """The whole state file. The store keeps unknown keys, not this class."""

    version: int = VERSION
    active_account: str | None = None
    last_swap: LastSwap | None = None
    suspected_hit_at: Utc | None = None
    accounts: dict[str, AccountMemory] = {}
    sessions: dict[str, SessionMemory] = {}
    swap_in_progress: Journal | None = None
    lineage: dict[str, str] = {}  # salted fingerprints of credentials that were live, to account names
    credentials_seen: str | None = None  # inode, size and time of the live credentials when their owner was determined
    unclaimed: dict[str, Unclaimed] = {}  # entries of `unclaimed/`, by id
    waiting: Waiting | None = None
    paused: Pause | None = None
    last_failure: Failure | None = None
    last_check: LastCheck | None = None
    told: dict[str, str] = {}  # situations already reported, until they end; the text tells one from the next
    outbox: tuple[Notice, ...] = ()
    counters: dict[str, int] = {}  # how many history entries of each outcome there have been
    history: tuple[dict[str, Any], ...] = ()  # exactly as in the file; `history.read` reads an entry

    def account(self, name: str | None) -> AccountMemory:
        """What the state knows about the account; a blank value when it knows nothing."""
        return self.accounts.get(name or "", AccountMemory())

    def exhausted(self, name: str | None, now: datetime) -> bool:
        """Whether the account is known to be exhausted at ``now``."""
        until = self.account(name).exhausted_until
        return until is not None and until > now


def seconds(at: datetime) -> datetime:
    """The time without its fraction of a second, because people read the state."""
    return at.replace(microsecond=0)


def clock(at: datetime, now: datetime) -> str:
    """The time for people, UTC: `14:20Z` within 20 hours of ``now``, else `Nov 26 14:20Z`, else with the year."""
    at = at.astimezone(UTC)
    if abs(at - now) < timedelta(hours=20):
        return f"{at:%H:%MZ}"
    return f"{at:%b %-d %H:%MZ}" if at.year == now.year else f"{at:%Y-%m-%d %H:%MZ}"


def stamp(at: datetime) -> str:
    """The time in ISO 8601, UTC with Z, in whole seconds."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
