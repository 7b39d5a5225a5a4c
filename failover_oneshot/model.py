"""The values that all modules share: frozen, without side effects.

Times are timezone-aware ``datetime`` in UTC, durations are seconds (``float``), unless a name says otherwise.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What a pane shows, worst first (docs/behavior.md, "JSON output")."""

    QUOTA = "quota"
    BILLING = "billing"
    AUTH = "auth"
    SERVER_ERROR = "server_error"
    WARNING = "warning"
    OK = "ok"
    UNREADABLE = "unreadable"


class Limit(StrEnum):
    """Which of the account's limits is used up."""

    FIVE_HOUR = "five_hour"
    SEVEN_DAY = "seven_day"
    SEVEN_DAY_OPUS = "seven_day_opus"
    SEVEN_DAY_SONNET = "seven_day_sonnet"
    MODEL = "model"
    OVERAGE = "overage"
    SPEND = "spend"
    UNKNOWN = "unknown"


class Evidence(StrEnum):
    """What a finding is based on: the agent's record, a structured screen, or plain text."""

    TRANSCRIPT = "transcript"
    SCREEN = "screen"
    TEXT = "text"


class Outcome(StrEnum):
    """How one check ended (docs/behavior.md, "Outcomes")."""

    OK = "ok"
    NO_SESSIONS = "no_sessions"
    PAUSED = "paused"
    COOLDOWN = "cooldown"
    SUSPECTED = "suspected"
    SWAPPED = "swapped"
    RESUMED = "resumed"
    WAITING = "waiting"
    FAILED = "failed"
    STATE_RESET = "state_reset"


class Role(StrEnum):
    """Why a session is watched: its name is in the autonomous range, or it is dedicated."""

    POOL = "pool"
    DEDICATED = "dedicated"


class Pane(Struct, frozen=True, kw_only=True):
    """One tmux pane. ``text`` is the visible screen; None if it was not captured (``error`` says why)."""

    pane_id: str  # tmux's id, such as "%12": unique while the server runs
    pid: int  # the process that tmux started in the pane
    title: str = ""
    command: str = ""  # pane_current_command: the name of the foreground process
    start_command: str = ""  # shell command that starts the pane's program again; "": the default shell
    path: str = ""  # the folder that the pane was started in, else the current one
    current_path: str = ""  # the foreground process's working folder
    width: int = 80
    height: int = 24
    active: bool = True  # the active pane of the active window of its session
    dead: bool = False
    mode: str = ""  # why keys would not reach only the program: a tmux mode such as "copy-mode", or "synchronized"
    text: str | None = None
    error: str | None = None


class Session(Struct, frozen=True, kw_only=True):
    """One watched tmux session."""

    name: str
    role: Role
    index: int | None  # in the autonomous range; None for a dedicated one
    session_id: str  # tmux's id, such as "$3"; a session created again has a new one
    server_pid: int = 0  # the tmux server's process; a new server starts its ids again
    panes: tuple[Pane, ...]
    width: int = 80
    height: int = 24


class Reading(Struct, frozen=True, kw_only=True):
    """What one pane's screen or record says, before the clock and the state are applied."""

    kind: Kind
    evidence: Evidence
    limit: Limit | None = None
    limit_is_guess: bool = False  # the text names no limit: enough for a report, not to resolve the reset
    rule: str = ""  # the rule that matched, such as "quota.hit-your-limit"; "" for ok
    pattern: str | None = None  # the rule's words, or the operator's pattern
    snippet: str | None = None  # one line, at most 120 characters
    reset_text: str | None = None  # the reset as printed, such as "12:20pm (UTC)"; not resolved yet
    resets_at: datetime | None = None  # exact, from a record
    identity: str = ""  # the same for the same hit in a later check (`identity.same_hit`)
    busy: bool = False  # the agent works, so it is not blocked
    moved_on: bool = False  # positive evidence: the current turn is newer than any hit
    printed_at: datetime | None = None  # when the hit was printed (records only)
    account_uuid: str | None = None  # the account that the session ran on (records only)


class Finding(Struct, frozen=True, kw_only=True):
    """What an observation means for one session: the unit that the decision counts."""

    name: str
    role: Role
    kind: Kind
    limit: Limit | None = None
    blocked: bool = False  # the kind is in quota.swap_on and the agent is not busy
    stale: bool = False  # handled or expired
    counted: bool = False  # counts toward a threshold
    why_not: str = ""  # the reason, for a blocked session that does not count
    account: str | None = None  # the account that the session ran on when the hit was printed
    resets_at: datetime | None = None
    reset_text: str | None = None
    first_seen: datetime | None = None
    acted_on: bool = False
    evidence: Evidence | None = None
    rule: str = ""
    pattern: str | None = None
    snippet: str | None = None
    identity: str = ""
    busy: bool = False
    moved_on: bool = False
    error: str | None = None  # why the session is unreadable
    pane_id: str | None = None  # the pane that the finding is about


class AgentProcess(Struct, frozen=True, kw_only=True):
    """A running agent, from its own process record."""

    pid: int
    session_id: str  # the conversation's id; safe as a file name
    cwd: str
    status: str = ""  # "idle", "busy", "waiting" (for the user); "": unknown

    @property
    def busy(self) -> bool:
        return self.status == "busy"


class Observation(Struct, frozen=True, kw_only=True):
    """What one check read, at one instant."""

    at: datetime
    server_running: bool
    sessions: tuple[Session, ...] = ()  # the range by index, then the dedicated ones in the config's order
    readings: Mapping[str, Reading] = {}  # by pane id; an unreadable pane has none
    agents: Mapping[str, AgentProcess] = {}  # by pane id, where the agent keeps a record
    zone: str = "UTC"  # the machine's time zone (IANA name), for resets without one
    unusable: Mapping[str, str] = {}  # account name to the reason why it cannot be swapped to
    notes: tuple[str, ...] = ()  # what could not be read, one sentence each


class Restart(Struct, frozen=True, kw_only=True):
    """One session to restart on the new account, and how to see whether that has been done already.

    The state file keeps it during a swap, so it holds no secret: an account's environment is passed when the restart is
    performed.
    """

    session: str
    action: str  # "recreate" | "respawn" | "nudge" | "create"
    session_id: str = ""  # tmux's id before the restart; "" for create
    server_pid: int = 0  # a new server starts its ids again
    pane_id: str = ""
    pane_pid: int = 0
    command: str = ""  # with values filled in, for tmux's shell; "": the default shell
    workdir: str = ""
    width: int = 80
    height: int = 24
    text: str = ""  # for nudge
    status: str = "pending"  # "pending" | "started" | "done" | "failed"
    note: str = ""


class PoolTally(Struct, frozen=True, kw_only=True):
    """The pool's existing sessions by condition; the counts add up to all of them."""

    free: int = 0  # idle: at an empty prompt, without a task
    busy: int = 0  # working, or with a dispatched task
    blocked: int = 0  # at a limit, or logged out
    dead: int = 0  # no agent: the pane is dead, or shows a shell prompt
    held: int = 0  # alive, but not safe to type into: a draft, a menu, an unknown screen


class TaskTally(Struct, frozen=True, kw_only=True):
    """How many tasks are in the spool, not counting done ones."""

    waiting: int = 0
    running: int = 0
    failed: int = 0


class TaskMove(Struct, frozen=True, kw_only=True):
    """What a check did with one task; in a dry run, what it would do."""

    action: str  # "hand_out" | "finish" | "requeue" | "fail"
    task: str  # printable
    session: str | None = None
    status: str = "pending"  # "pending" (dry run) | "done" | "failed" (not dispatched: requeued)
    note: str = ""
