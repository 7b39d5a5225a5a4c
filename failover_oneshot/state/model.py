"""What is remembered between checks: values (docs/behavior.md, "State"). Every time is UTC.

`transitions.py` and `history.py` say how it changes, `store.py` reads and writes it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

from failover_oneshot.model import Kind, Limit, Outcome, PoolTally, Restart, TaskTally

VERSION = 1

Utc = Annotated[datetime, Meta(tz=True)]


class LastSwap(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The newest swap that was completed."""

    at: Utc
    from_: str | None
    to: str
    reason: str = ""


class Trouble(Struct, frozen=True, kw_only=True):
    """Something that went wrong, and when."""

    at: Utc
    reason: str


class AccountMemory(Struct, frozen=True, kw_only=True):
    """What is known of one account."""

    exhausted_until: Utc | None = None
    last_hit_at: Utc | None = None
    reason: str | None = None
    last_used_at: Utc | None = None  # when it was swapped away from
    window_resets_at: Utc | None = None  # the end of its running window, as a warning of the client told it
    unusable: Trouble | None = None  # the last attempt to swap to it that failed


class HitMemory(Struct, frozen=True, kw_only=True):
    """A hit as it was when it was first seen. Its reset is resolved once, then never again."""

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
    """A notice of the client that a limit is near."""

    first_seen: Utc
    snippet: str | None = None
    limit: Limit | None = None
    resets_at: Utc | None = None


class SessionMemory(Struct, frozen=True, kw_only=True):
    """What is known of one session: the account that it runs on and the last hit that it showed."""

    account: str | None = None
    own_login: str | None = None  # the variable that holds a login of its own, which no swap of files reaches
    kind: Kind | None = None  # what it showed at the last look, and since when it does
    since: Utc | None = None
    hit: HitMemory | None = None
    warning: WarningMemory | None = None
    starts: tuple[Utc, ...] = ()  # when the lifecycle started it, as long as it did not live on after that
    held: Trouble | None = None  # a text did not arrive there, or its server failed: no task for a while


class Waiting(Struct, frozen=True, kw_only=True):
    """Every account is exhausted: which one frees first, and when (None: not known)."""

    since: Utc
    account: str | None = None
    until: Utc | None = None
    checks: int = 1


class Pause(Struct, frozen=True, kw_only=True):
    """The operator's order to keep still; ``until`` None: until `failoverctl resume`."""

    since: Utc
    until: Utc | None = None
    reason: str | None = None


class LastCheck(Struct, frozen=True, kw_only=True):
    at: Utc
    outcome: Outcome
    blocked_pool: int = 0
    blocked_dedicated: int = 0
    duration_ms: int = 0
    pool: PoolTally | None = None  # None: not looked at
    tasks: TaskTally | None = None  # None: there is no spool


class Notice(Struct, frozen=True, kw_only=True):
    """A message for people, kept until it is delivered: sent when ``next_at`` has come (docs/monitoring.md)."""

    at: Utc
    event: str
    text: str
    tries: int = 0
    next_at: Utc
    left: tuple[int, ...] | None = None  # which of the targets still lack it, by their number; None: all of them


class Rejected(Struct, frozen=True, kw_only=True):
    """A candidate that could not be swapped to in this attempt."""

    account: str
    reason: str


class SwapStep(StrEnum):
    """The steps of a swap, in their order."""

    SAVE_BACK = "save_back"
    INSTALL = "install"
    VERIFY = "verify"
    RESTART = "restart"
    RECORD = "record"


class Journal(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A swap under way: written before each step begins, so that the next run can finish it (docs/swap.md).

    ``kind`` is "swap", "failback" for one in peace (no session is blocked), or "resume" for a restart on the account
    that is active already.
    """

    started_at: Utc
    kind: str = "swap"
    from_: str | None
    to: str | None
    step: SwapStep
    reason: str = ""
    candidates: tuple[str, ...] = ()  # not tried yet, in order
    rejected: tuple[Rejected, ...] = ()
    prepared: dict[str, str] = {}  # the method's own notes for repeating or undoing its steps; never a secret
    acted_on: tuple[str, ...] = ()  # the sessions whose present hits this swap answers
    restarts: tuple[Restart, ...] = ()
    runs: int = 1  # how many runs have worked on it


class State(Struct, frozen=True, kw_only=True):
    """The whole state file. Unknown keys are kept by the store, not here."""

    version: int = VERSION
    active_account: str | None = None
    last_swap: LastSwap | None = None
    suspected_hit_at: Utc | None = None
    accounts: dict[str, AccountMemory] = {}
    sessions: dict[str, SessionMemory] = {}
    swap_in_progress: Journal | None = None
    lineage: dict[str, str] = {}  # salted fingerprints of logins that were seen live, to account names
    waiting: Waiting | None = None
    paused: Pause | None = None
    last_failure: Trouble | None = None
    last_check: LastCheck | None = None
    told: dict[str, str] = {}  # situations that people know of, until they end, with what tells one from the next
    outbox: tuple[Notice, ...] = ()
    counters: dict[str, int] = {}  # how many entries of each outcome the history was ever given
    history: tuple[dict[str, Any], ...] = ()  # as the file holds it, whoever wrote it; `history.read` reads an entry

    def account(self, name: str | None) -> AccountMemory:
        """What is known of that account; blank when nothing is."""
        return self.accounts.get(name or "", AccountMemory())

    def exhausted(self, name: str | None, now: datetime) -> bool:
        """Whether that account is known to be exhausted at that instant."""
        until = self.account(name).exhausted_until
        return until is not None and until > now


def seconds(at: datetime) -> datetime:
    """That instant without its fraction of a second: the state is read by people."""
    return at.replace(microsecond=0)


def stamp(at: datetime) -> str:
    """ISO 8601 in UTC with Z, whole seconds."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
