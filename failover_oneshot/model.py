"""The values that every other module speaks: frozen, without behaviour that touches the world.

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
    """Which of the account's limits was reached."""

    FIVE_HOUR = "five_hour"
    SEVEN_DAY = "seven_day"
    SEVEN_DAY_OPUS = "seven_day_opus"
    SEVEN_DAY_SONNET = "seven_day_sonnet"
    MODEL = "model"
    OVERAGE = "overage"
    SPEND = "spend"
    UNKNOWN = "unknown"


class Evidence(StrEnum):
    """What a finding rests on: the client's own record, a structured screen, or plain text."""

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
    """Why a session is watched: it lies in the autonomous range, or is named as dedicated."""

    POOL = "pool"
    DEDICATED = "dedicated"


class Pane(Struct, frozen=True, kw_only=True):
    """One tmux pane. ``text`` is the visible screen, None when it was not or could not be captured (see ``error``)."""

    pane_id: str  # tmux's own id, such as "%12": unique for the life of the server
    pid: int  # the process that tmux started in the pane
    title: str = ""
    command: str = ""  # pane_current_command: the foreground process' name
    start_command: str = ""  # a shell command that starts the pane's program again; "" for the default shell
    path: str = ""  # the working folder that the pane was started in, else the current one
    current_path: str = ""  # the working folder of the foreground process
    width: int = 80
    height: int = 24
    active: bool = True  # the active pane of the active window of its session
    dead: bool = False
    mode: str = ""  # why keys would not reach the program alone: "copy-mode" and others of tmux, "synchronized"
    text: str | None = None
    error: str | None = None


class Session(Struct, frozen=True, kw_only=True):
    """One watched tmux session that exists."""

    name: str
    role: Role
    index: int | None  # in the autonomous range; None for a dedicated one
    session_id: str  # tmux's own id, such as "$3": a session created anew has another
    server_pid: int = 0  # the tmux server's process: its ids begin anew with each server
    panes: tuple[Pane, ...]
    width: int = 80
    height: int = 24


class Reading(Struct, frozen=True, kw_only=True):
    """What one pane's screen or transcript says, before any clock or memory is applied."""

    kind: Kind
    evidence: Evidence
    limit: Limit | None = None
    limit_is_guess: bool = False  # the text names no limit: good for a report, not for reading the reset's clock
    rule: str = ""  # the rule that fired, e.g. "quota.hit-your-limit"; "" for ok
    pattern: str | None = None  # the words of that rule, or the operator's pattern
    snippet: str | None = None  # one line, at most 120 characters
    reset_text: str | None = None  # the reset as printed, e.g. "12:20pm (UTC)"; not resolved yet
    resets_at: datetime | None = None  # already exact: a transcript's epoch
    identity: str = ""  # the same hit seen again has the same identity; see identity.same_hit
    busy: bool = False  # the client works: never blocked
    moved_on: bool = False  # positive sign of health: the current turn belongs to something newer than any hit
    printed_at: datetime | None = None  # when the hit was printed (transcript only)
    account_uuid: str | None = None  # the account that the session ran on (transcript only)


class Finding(Struct, frozen=True, kw_only=True):
    """What one session shows, with the state's memory applied: the unit that the decision counts."""

    name: str
    role: Role
    kind: Kind
    limit: Limit | None = None
    blocked: bool = False  # the kind is one of quota.swap_on and the client is not busy
    stale: bool = False  # acted on already, or the reset has passed
    counted: bool = False  # counts towards a threshold
    why_not: str = ""  # for a blocked session that does not count: the reason
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
    error: str | None = None  # why it was unreadable
    pane_id: str | None = None  # the pane that the finding is about


class AgentProcess(Struct, frozen=True, kw_only=True):
    """A running agent, by the record that it keeps of itself."""

    pid: int
    session_id: str  # of its conversation; safe as a file name
    cwd: str
    status: str = ""  # "idle", "busy", "waiting" (for the user); "" when unknown

    @property
    def busy(self) -> bool:
        return self.status == "busy"


class Observation(Struct, frozen=True, kw_only=True):
    """What one check read of the world, at one instant."""

    at: datetime
    server_running: bool
    sessions: tuple[Session, ...] = ()  # the range in index order, then the dedicated ones in the config's order
    readings: Mapping[str, Reading] = {}  # by pane id; a pane that could not be read has none
    agents: Mapping[str, AgentProcess] = {}  # by pane id, as far as they keep records
    zone: str = "UTC"  # the machine's time zone (IANA name), for resets that name none
    unusable: Mapping[str, str] = {}  # account name to the reason why it can not be swapped to
    notes: tuple[str, ...] = ()  # what could not be read, one sentence each


class Restart(Struct, frozen=True, kw_only=True):
    """One session to put on the new account, with what is needed to see whether that has happened already.

    It is kept in the state file while a swap is under way, so it holds no secret: an account's environment is passed
    when it is performed.
    """

    session: str
    action: str  # "recreate" | "respawn" | "nudge" | "create"
    session_id: str = ""  # tmux's id before; "" for create
    server_pid: int = 0  # ids begin anew with a new server
    pane_id: str = ""
    pane_pid: int = 0
    command: str = ""  # filled in, ready for tmux's shell; "": the default shell
    workdir: str = ""
    width: int = 80
    height: int = 24
    text: str = ""  # for nudge
    status: str = "pending"  # "pending" | "started" | "done" | "failed"
    note: str = ""


class PoolTally(Struct, frozen=True, kw_only=True):
    """How the pool's existing sessions stand; together they are all of them."""

    free: int = 0  # at an empty prompt, with no task
    busy: int = 0  # at work, or with a task of ours
    blocked: int = 0  # at a limit or without a login
    dead: int = 0  # without an agent: the pane is dead, or a shell is at its prompt
    held: int = 0  # alive, but nothing may be typed: a draft, a menu, a screen that is not understood


class TaskTally(Struct, frozen=True, kw_only=True):
    """How many tasks are in the spool, those that are done aside."""

    waiting: int = 0
    running: int = 0
    failed: int = 0


class TaskMove(Struct, frozen=True, kw_only=True):
    """What a check did with one task, or in a dry run would do."""

    action: str  # "hand_out" | "finish" | "requeue" | "fail"
    task: str  # as it may be printed
    session: str | None = None
    status: str = "pending"  # "pending" (dry run) | "done" | "failed" (not handed out: it is queued again)
    note: str = ""
