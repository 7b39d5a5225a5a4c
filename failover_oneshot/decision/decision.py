"""What one check decided, as a value. Pure."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from failover_oneshot.model import Outcome
from failover_oneshot.state.model import Waiting


class Action(StrEnum):
    """What the shell has to do for a decision."""

    HOLD = "hold"  # nothing
    FINISH = "finish"  # the swap that an earlier run left unfinished
    SUSPECT = "suspect"  # remember that a hit was seen once
    SWAP = "swap"
    RESUME = "resume"  # restart the blocked sessions on the account that is active already
    WAIT = "wait"  # every account is exhausted
    FAIL = "fail"  # a swap is due and must not be made


class Decision(Struct, frozen=True, kw_only=True):
    """What one check decided, and why. Times are UTC."""

    action: Action
    outcome: Outcome  # that the check has when all that was decided succeeds
    reason: str
    next_possible_at: datetime | None = None
    blocked_pool: int = 0
    blocked_dedicated: int = 0
    candidates: tuple[str, ...] = ()  # for SWAP: in the order in which they are tried
    exhausted_until: datetime | None = None  # of the active account, for SWAP and WAIT
    failback: bool = False  # a SWAP in peace: no session is blocked
    acted_on: tuple[str, ...] = ()  # the sessions whose present hits SWAP and RESUME answer
    suspected_hit_at: datetime | None = None
    waiting: Waiting | None = None
    notes: tuple[str, ...] = ()  # for the log
