"""The typed definition of the configuration: every key with its bounds, its default and its documentation.

`schema.py` turns the text under each key into the JSON Schema and the reference page; a test compares it with the
comments of the example. Durations are in seconds. In a loaded `Config`, paths are expanded and absolute.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Struct

from failover_oneshot.config import values
from failover_oneshot.model import Kind

Swappable = Annotated[Kind, (Kind.QUOTA, Kind.BILLING, Kind.AUTH)]
"""A kind of message that changing the account can fix."""


class Method(StrEnum):
    """How a swap makes an account active."""

    CLAUDE = "claude"
    FILES = "files"
    ENV = "env"
    COMMAND = "command"


class Strategy(StrEnum):
    """Which of the free accounts a swap tries first."""

    ORDERED = "ordered"
    ROUND_ROBIN = "round_robin"
    LEAST_RECENTLY_USED = "least_recently_used"
    SOONEST_RESET = "soonest_reset"


class AfterSwap(StrEnum):
    """How a session gets the new account."""

    RECREATE = "recreate"
    RESPAWN = "respawn"
    NUDGE = "nudge"
    NONE = "none"


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping in the file. Unknown keys are refused."""


class Account(Section, frozen=True):
    """One subscription or key."""

    name: values.AccountName
    "unique name of the account, one word; used in the state, in reports and on the command line"
    store: values.Path | None = None
    "folder for this account's credentials while it is inactive; required for methods claude and files"
    enabled: bool = True
    "false: never swap to this account"
    env: dict[values.Variable, str] = {}
    "method env: variables to start this account's sessions with"
    env_file: values.Path | None = None
    "file of mode 0600 with more such variables, as NAME=value lines; put secrets here; unset: none"


class Swap(Section, frozen=True):
    """How to make another account active."""

    method: Method = Method.CLAUDE
    "how to change the account: claude (Claude Code's credentials), files (any), env (variables), command (a program)"
    claude_dir: values.Path = "~/.claude"
    "method claude: Claude Code's folder, which holds .credentials.json"
    claude_json: values.Path = "~/.claude.json"
    "method claude: Claude Code's file that holds the oauthAccount identity"
    files: tuple[values.Path, ...] = ()
    "method files: live files that make an account active, such as ~/.codex/auth.json"
    command: tuple[values.SwapArgument, ...] = ()
    "method command: program and arguments, with {from} and {to}; exit code 0 means success"
    strategy: Strategy = Strategy.ORDERED
    "which free account to try first: ordered, round_robin, least_recently_used or soonest_reset"
    timeout: values.Timeout = values.Duration(30)
    "time limit for one step of a swap; at most 1h"
    max_per_hour: values.Count = 4
    "stop swapping after this many swaps in one hour"


class Quota(Section, frozen=True):
    """When the active account counts as exhausted."""

    poll_interval: values.Period = values.Duration(30)
    "how often the timer runs the check; a suspected hit is confirmed 0.5 to 3 intervals later"
    reactivate_cooldown: values.Delay = values.Duration(600)
    "how long to skip detection after a swap or a failed attempt; 0: never skip"
    pool_threshold: values.Count = 2
    "swap when this many pool sessions are blocked"
    dedicated_threshold: values.Count = 1
    "swap when this many dedicated sessions are blocked"
    tail_lines: values.Count = 3
    "how many of the last blocks of a pane's current turn to read (of its last lines, if it has no blocks)"
    swap_on: tuple[Swappable, ...] = (Kind.QUOTA, Kind.BILLING)
    "kinds of message that count as blocked: quota, billing, auth"
    patience: values.Delay = values.Duration(180)
    "do not swap if the limit resets within this time, because the agent continues by itself; 0: never wait"
    unknown_reset_backoff: values.Delay = values.Duration(3600)
    "how long an account counts as exhausted when its reset time is unknown"
    failback: bool = False
    "true: swap back to the first enabled account once it is free and no session is blocked or busy"
    extra_patterns: tuple[values.Pattern, ...] = ()
    "your own limit-hit patterns: part of the text, or a /regular expression/; case-insensitive"
    extra_server_error_patterns: tuple[values.Pattern, ...] = ()
    "your own server-error patterns, which veto a hit; written like extra_patterns"


class Recovery(Section, frozen=True):
    """What happens after a swap."""

    watch: values.Delay = values.Duration(600)
    "how long to verify after a swap that agents keep its identity; 0: only right after the swap"


class Autonomous(Section, frozen=True):
    """The numbered sessions. Their range is [start_index, start_index + max)."""

    prefix: values.SessionName = "ccl-auto-"
    "session names are this prefix followed by an index"
    start_index: values.Index = 0
    "first index of the range"
    min: values.Index = 0
    "keep at least this many sessions running; 0 starts none"
    max: values.Count = 10
    "number of indexes in the range; sessions outside it are never touched"
    agent_process: str = ""
    "the agent's process name; a session with a shell instead counts as dead (with min); unset: first word of command"
    command: values.Command = ""
    "shell command that starts a session, with {name}, {index}, {account}; unset: the pane's start command"
    resume_command: values.ResumeCommand = ""
    "replaces command when the conversation is known, and may also use {session_id}; unset: command"
    workdir: values.Path = "~"
    "working folder if the session did not exist before"
    after_swap: AfterSwap = AfterSwap.RECREATE
    "how sessions get the new account: recreate (kill and create), respawn (same pane), nudge (type), none"
    nudge: str = "continue"
    "text to type, followed by Enter (after_swap: nudge)"


class Dedicated(Section, frozen=True):
    """One session that is watched by its name."""

    name: values.SessionName
    "exact name of the session in tmux"
    after_swap: AfterSwap = AfterSwap.NONE
    "how this session gets the new account: recreate, respawn, nudge, none"
    command: values.Command = ""
    "shell command that starts the session, with {name}, {index}, {account}; unset: the pane's start command"
    resume_command: values.ResumeCommand = ""
    "replaces command when the conversation is known, and may also use {session_id}; unset: command"
    workdir: values.Path = "~"
    "working folder if the session did not exist before"
    nudge: str = "continue"
    "text to type, followed by Enter (after_swap: nudge)"


class Pool(Section, frozen=True):
    """The tmux sessions to watch. All others are left alone."""

    autonomous: Autonomous = Autonomous()
    "the numbered sessions of the pool"
    dedicated: tuple[Dedicated, ...] = ()
    "sessions watched by name"


class Dispatch(Section, frozen=True):
    """Tasks for idle sessions of the pool. Each file in the folder queue/ of the spool is a prompt."""

    spool: values.Path | None = None
    "folder with queue/, running/, done/ and failed/; unset: no tasks are dispatched"
    timeout: values.Period = values.Duration(6 * 3600)
    "a task that is not done within this time fails; its session is left alone"
    attempts: values.Count = 3
    "how many times to dispatch a task, if its session dies each time; then the task fails"
    keep: values.Period = values.Duration(7 * 86400)
    "how long to keep done tasks"
    keep_count: values.Count = 1000
    "how many done tasks to keep"


class Tmux(Section, frozen=True):
    """How to reach the tmux server."""

    binary: values.Program = "tmux"
    "tmux program: a name to look up in $PATH, or a path"
    socket_name: values.SocketName | None = None
    "name of the server's socket (tmux -L); unset: tmux's default"
    socket_path: values.Path | None = None
    "path of the server's socket (tmux -S), instead of socket_name; unset: tmux's default"
    timeout: values.Timeout = values.Duration(5)
    "time limit for one tmux command; at most 1h"


class StateFile(Section, frozen=True):
    """Where to keep the state between checks."""

    path: values.Path | None = None
    "state file; unset: $STATE_DIRECTORY/state.json, else failover/state.json in $XDG_STATE_HOME (~/.local/state)"
    lock_timeout: values.Timeout = values.Duration(5)
    "how long to wait for another check to end; at most 1h"
    history: values.Count = 50
    "how many past events to keep in the state"


class Hooks(Section, frozen=True):
    """Your own programs, run after a check with its report as JSON on stdin. A failed hook is a warning."""

    on_swap: tuple[str, ...] = ()
    "run after each swap: [program, argument, …]; unset: none"
    on_waiting: tuple[str, ...] = ()
    "run once when all accounts become exhausted; unset: none"
    on_failure: tuple[str, ...] = ()
    "run once when swaps begin to fail; unset: none"
    timeout: values.Timeout = values.Duration(10)
    "time limit for one hook; at most 1h"


OWN_LABELS = frozenset({"account", "kind", "outcome", "role", "state", "version"})
"""The labels that the metrics use themselves. `metrics.labels` cannot set them."""

_OWN = "|".join(sorted(OWN_LABELS))
Label = Annotated[
    str,
    values.like(
        rf"(?!__|(?:{_OWN})\Z)[A-Za-z_][A-Za-z0-9_]*",
        f"not a valid label name (letters, digits and _; these are taken: {_OWN.replace('|', ', ')})",
    ),
]


class Metrics(Section, frozen=True):
    """Metrics for Prometheus, through the textfile collector of node_exporter (docs/monitoring.md)."""

    textfile: values.Path | None = None
    "file to write after each run: NAME.prom in the textfile collector's folder; unset: no metrics"
    labels: dict[Label, str] = {}
    "labels to add to every sample; needed when two users of one machine write metrics"


EVENTS = ("swapped", "waiting", "resumed", "failed", "auth")
Event = Annotated[str, EVENTS]
"""An event that a notice can report."""


class Notify(Section, frozen=True):
    """Notices to people, through apprise (pip extra `notify`). One per situation; a failure to send is a warning."""

    urls: tuple[values.Url, ...] = ()
    "apprise URLs, such as ntfy://…, tgram://…, mailto://…; they hold secrets, so prefer urls_file"
    urls_file: values.Path | None = None
    "file of mode 0600 with one apprise URL per line; lines that begin with # are comments; unset: none"
    events: tuple[Event, ...] = EVENTS
    "events to send: swapped, waiting, resumed, failed, auth (sessions ask to log in again)"
    timeout: values.Timeout = values.Duration(10)
    "time limit for sending; at most 1h"


class Ping(Section, frozen=True):
    """A dead man's switch, such as healthchecks.io: it raises the alarm when the pings stop."""

    url: values.WebUrl | None = None
    "URL requested after each successful run (`/fail` is appended after a failed one); unset: no pings"
    start: bool = False
    "true: also request the URL with `/start` when a run begins, to measure its duration"
    timeout: values.Timeout = values.Duration(5)
    "time limit for one ping; at most 1h"


class Config(Section, frozen=True):
    """The configuration file."""

    accounts: tuple[Account, ...] = ()
    "your accounts, in order of preference; with none, the check only observes"
    swap: Swap = Swap()
    "how to make another account active"
    quota: Quota = Quota()
    "when the active account counts as exhausted"
    recovery: Recovery = Recovery()
    "what happens after a swap"
    pool: Pool = Pool()
    "the tmux sessions to watch; all others are left alone"
    tmux: Tmux = Tmux()
    "how to reach the tmux server"
    state: StateFile = StateFile()
    "where to keep the state between checks"
    dispatch: Dispatch = Dispatch()
    "tasks for idle sessions of the pool"
    hooks: Hooks = Hooks()
    "your own programs, run after a check with its report as JSON on stdin"
    metrics: Metrics = Metrics()
    "metrics for Prometheus"
    notify: Notify = Notify()
    "notices to people, sent through apprise"
    ping: Ping = Ping()
    "a dead man's switch, such as healthchecks.io, that each run pings"

    def account(self, name: str | None) -> Account | None:
        """The account with that name, or None."""
        return next((a for a in self.accounts if a.name == name), None)

    def dedicated(self, name: str) -> Dedicated | None:
        """The dedicated session with that name, or None."""
        return next((d for d in self.pool.dedicated if d.name == name), None)
