"""What one check decided, as a value. Pure."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from failover_oneshot.model import Outcome
from failover_oneshot.state.model import Waiting


class Action(StrEnum):
    """What a check does."""

    HOLD = "hold"  # nothing
    FINISH = "finish"  # resume an interrupted swap
    SUSPECT = "suspect"  # record a hit without a reset time, for the next check to confirm
    SWAP = "swap"
    RESUME = "resume"  # restart the blocked sessions on the account that is already active
    WAIT = "wait"  # every account is exhausted
    FAIL = "fail"  # a swap is due but not allowed


class Decision(Struct, frozen=True, kw_only=True):
    """What a check does and why. Times are UTC."""

    action: Action
    outcome: Outcome  # the check's, if everything that was decided succeeds
    summary: str  # for the summary line: short, without names and evidence
    reason: str  # the whole sentence, with the evidence
    next_possible_at: datetime | None = None
    blocked_pool: int = 0
    blocked_dedicated: int = 0
    candidates: tuple[str, ...] = ()  # for SWAP: in the order in which they are tried
    exhausted_until: datetime | None = None  # the active account's, for SWAP and WAIT
    failback: bool = False  # a SWAP to the preferred account while no session is blocked
    acted_on: tuple[str, ...] = ()  # the sessions whose hits are handled after SWAP or RESUME
    suspected_hit_at: datetime | None = None
    waiting: Waiting | None = None
    notes: tuple[str, ...] = ()  # for the log
