"""The configuration's typed definition: every key, its bounds, its default and its meaning, once.

The text under a key is its documentation: `schema.py` reads it into the JSON Schema and the reference page, and the
documented example is checked against it. Durations are seconds; in a loaded `Config` paths are expanded and absolute.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Struct

from failover_oneshot.config import values
from failover_oneshot.model import Kind

Swappable = Annotated[Kind, (Kind.QUOTA, Kind.BILLING, Kind.AUTH)]
"""A kind that another account can mend."""


class Method(StrEnum):
    """How an account becomes the active one."""

    CLAUDE = "claude"
    FILES = "files"
    ENV = "env"
    COMMAND = "command"


class Strategy(StrEnum):
    """Which of the free accounts is swapped to."""

    ORDERED = "ordered"
    ROUND_ROBIN = "round_robin"
    LEAST_RECENTLY_USED = "least_recently_used"
    SOONEST_RESET = "soonest_reset"


class AfterSwap(StrEnum):
    """How a session is put on the new account."""

    RECREATE = "recreate"
    RESPAWN = "respawn"
    NUDGE = "nudge"
    NONE = "none"


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the file: unknown keys are refused."""


class Account(Section, frozen=True):
    """One paid account."""

    name: values.AccountName
    "the account's name, in the state, in reports and on command lines: a plain word, used once"
    store: values.Path | None = None
    "folder where this account's files rest while it is not active (methods claude and files need it)"
    enabled: bool = True
    "false: never swapped to"
    env: dict[values.Variable, str] = {}
    "swap.method env: the variables that sessions of this account are started with"
    env_file: values.Path | None = None
    "the same, from a file of mode 0600 with NAME=value lines: the place for secrets"


class Swap(Section, frozen=True):
    """How another account is made the active one."""

    method: Method = Method.CLAUDE
    "what a swap replaces: claude (its login), files (any files), env (variables), command (yours)"
    claude_dir: values.Path = "~/.claude"
    "method claude: the client's folder, which holds .credentials.json"
    claude_json: values.Path = "~/.claude.json"
    "method claude: the client's file that holds the oauthAccount identity"
    files: tuple[values.Path, ...] = ()
    "method files: the live files that make an account active, such as ~/.codex/auth.json"
    command: tuple[values.SwapArgument, ...] = ()
    "method command: program and arguments, {from} and {to} filled in; exit status 0 means done"
    strategy: Strategy = Strategy.ORDERED
    "which free account is next: ordered, round_robin, least_recently_used or soonest_reset"
    timeout: values.Timeout = values.Duration(30)
    "how long one step of a swap may take; at most 1h"
    max_per_hour: values.Count = 4
    "beyond so many swaps in an hour something else is wrong: no more swaps, and the check says so"


class Quota(Section, frozen=True):
    """When the active account counts as used up."""

    poll_interval: values.Period = values.Duration(30)
    'how often the timer runs the check; bounds what two checks "in a row" means'
    reactivate_cooldown: values.Delay = values.Duration(600)
    "after a swap, or a failed attempt, nothing is looked for during so long"
    pool_threshold: values.Count = 2
    "so many blocked sessions of the pool mean a swap"
    dedicated_threshold: values.Count = 1
    "so many blocked dedicated sessions mean a swap"
    tail_lines: values.Count = 3
    "how many of the last blocks of a pane's current turn are examined (in a pane without structure: lines)"
    swap_on: tuple[Swappable, ...] = (Kind.QUOTA, Kind.BILLING)
    "the kinds of message that count as blocked: quota, billing, auth"
    patience: values.Delay = values.Duration(180)
    "a reset nearer than this is waited for: the client goes on by itself"
    unknown_reset_backoff: values.Delay = values.Duration(3600)
    "how long an account counts as exhausted when no reset time is known"
    failback: bool = False
    "true: back to the first account of the list once it is free and no session is blocked or busy"
    extra_patterns: tuple[values.Pattern, ...] = ()
    "your own signs of a used-up quota: parts of the text, or /regular expressions/; upper and lower case alike"
    extra_server_error_patterns: tuple[values.Pattern, ...] = ()
    "your own signs of a server error, which veto a hit: written like extra_patterns"


class Autonomous(Section, frozen=True):
    """The numbered sessions: the range is [start_index, start_index + max)."""

    prefix: values.SessionName = "ccl-auto-"
    "a session's name is this prefix and its index"
    start_index: values.Index = 0
    "the first index of the range"
    min: values.Index = 0
    "at least so many sessions are kept alive; 0: none is ever started"
    max: values.Count = 10
    "how many indexes the range holds; sessions outside it are never touched"
    agent_process: str = ""
    "the agent's process, whose end at a shell prompt is mended when min is set; empty: the first word of command"
    command: values.Command = ""
    "shell command that starts a session; {name}, {index}, {account} filled in; empty: what the pane was started with"
    resume_command: values.ResumeCommand = ""
    "instead of command when the session's conversation is known; also {session_id}; empty: command"
    workdir: values.Path = "~"
    "working folder of a session that is started where none was before"
    after_swap: AfterSwap = AfterSwap.RECREATE
    "how the sessions get the new account: recreate (kill, create), respawn (same pane), nudge (type), none"
    nudge: str = "continue"
    "after_swap nudge: the text that is typed, then Enter"


class Dedicated(Section, frozen=True):
    """One session known by its name."""

    name: values.SessionName
    "the session's exact name in tmux"
    after_swap: AfterSwap = AfterSwap.NONE
    "how this session gets the new account: recreate, respawn, nudge, none"
    command: values.Command = ""
    "shell command that starts it; {name}, {index}, {account} filled in; empty: what the pane was started with"
    resume_command: values.ResumeCommand = ""
    "instead of command when the session's conversation is known; also {session_id}; empty: command"
    workdir: values.Path = "~"
    "working folder when it is started where none was before"
    nudge: str = "continue"
    "after_swap nudge: the text that is typed, then Enter"


class Pool(Section, frozen=True):
    """The tmux sessions that are watched. All others are left alone."""

    autonomous: Autonomous = Autonomous()
    "the numbered sessions"
    dedicated: tuple[Dedicated, ...] = ()
    "sessions known by name"


class Dispatch(Section, frozen=True):
    """Tasks for free sessions of the pool: each file in the spool's folder queue/ is a prompt."""

    spool: values.Path | None = None
    "the spool's folder, with queue/, running/, done/ and failed/ in it; empty: no tasks are handed out"
    timeout: values.Period = values.Duration(6 * 3600)
    "a task that is not done after so long has failed; its session is left as it is"
    attempts: values.Count = 3
    "a task whose session died is handed out again, so many times in all; then it has failed"
    keep: values.Period = values.Duration(7 * 86400)
    "how long tasks that are done are kept"
    keep_count: values.Count = 1000
    "how many tasks that are done are kept"


class Tmux(Section, frozen=True):
    """How the tmux server is reached."""

    binary: values.Program = "tmux"
    "the program: a name looked up in $PATH, or a path"
    socket_name: values.SocketName | None = None
    "the server's socket, by name (tmux -L); empty: tmux's default"
    socket_path: values.Path | None = None
    "the server's socket, by path (tmux -S); only one of the two"
    timeout: values.Timeout = values.Duration(5)
    "how long one tmux command may take; at most 1h"


class StateFile(Section, frozen=True):
    """Where the memory between checks is kept."""

    path: values.Path | None = None
    "the state file; empty: $STATE_DIRECTORY/state.json, else failover/state.json in $XDG_STATE_HOME (~/.local/state)"
    lock_timeout: values.Timeout = values.Duration(5)
    "how long to wait for another check to end; at most 1h"
    history: values.Count = 50
    "how many past events the state keeps"


class Hooks(Section, frozen=True):
    """Your own programs (program and arguments), told by the report as JSON on stdin; their failure is a warning."""

    on_swap: tuple[str, ...] = ()
    "after each swap: [program, argument, …]"
    on_waiting: tuple[str, ...] = ()
    "when every account is exhausted: once, when that begins"
    on_failure: tuple[str, ...] = ()
    "when a swap failed: once, when that begins"
    timeout: values.Timeout = values.Duration(10)
    "how long a hook may take; at most 1h"


OWN_LABELS = frozenset({"account", "kind", "outcome", "role", "state", "version"})
"""The labels that the metrics use themselves: `metrics.labels` can not set them."""

_OWN = "|".join(sorted(OWN_LABELS))
Label = Annotated[
    str,
    values.like(
        rf"(?!__|(?:{_OWN})\Z)[A-Za-z_][A-Za-z0-9_]*",
        f"must be a name of letters, digits and _, and none of those that we set ourselves: {_OWN.replace('|', ', ')}",
    ),
]


class Metrics(Section, frozen=True):
    """Numbers for Prometheus, through node_exporter's textfile collector (docs/monitoring.md)."""

    textfile: values.Path | None = None
    "the file to write after each run, NAME.prom in the collector's folder; empty: none"
    labels: dict[Label, str] = {}
    "labels that every sample gets: needed when two users of one machine write such files"


EVENTS = ("swapped", "waiting", "resumed", "failed", "auth")
Event = Annotated[str, EVENTS]
"""What people can be told of."""


class Notify(Section, frozen=True):
    """Who is told what happened, through apprise (pip extra `notify`); each situation once; a failure is a warning."""

    urls: tuple[values.Url, ...] = ()
    "apprise URLs, such as ntfy://…, tgram://…, mailto://…; they hold secrets, so rather put them into urls_file"
    urls_file: values.Path | None = None
    "a file of mode 0600 with one apprise URL a line; lines that begin with # are comments"
    events: tuple[Event, ...] = EVENTS
    "which events: swapped, waiting, resumed, failed, auth (sessions ask to log in again)"
    timeout: values.Timeout = values.Duration(10)
    "how long sending may take; at most 1h"


class Ping(Section, frozen=True):
    """A dead man's switch in the manner of healthchecks.io: it raises the alarm when the pings stay away."""

    url: values.WebUrl | None = None
    "pinged after each run that went well, and with /fail behind it after one that did not; empty: nothing is"
    start: bool = False
    "true: also pinged with /start when a run begins, so that its duration is measured"
    timeout: values.Timeout = values.Duration(5)
    "how long a ping may take; at most 1h"


class Config(Section, frozen=True):
    """The whole file."""

    accounts: tuple[Account, ...] = ()
    "your accounts, in order of preference; with none the check only observes"
    swap: Swap = Swap()
    "how another account is made the active one"
    quota: Quota = Quota()
    "when the active account counts as used up"
    pool: Pool = Pool()
    "the tmux sessions that are watched; all others are left alone"
    tmux: Tmux = Tmux()
    "how the tmux server is reached"
    state: StateFile = StateFile()
    "where the memory between checks is kept"
    dispatch: Dispatch = Dispatch()
    "tasks for free sessions of the pool"
    hooks: Hooks = Hooks()
    "your own programs, told of what a check did"
    metrics: Metrics = Metrics()
    "numbers for Prometheus"
    notify: Notify = Notify()
    "who is told what happened"
    ping: Ping = Ping()
    "a dead man's switch that is pinged by each run"

    def account(self, name: str | None) -> Account | None:
        """The account of that name, or None."""
        return next((a for a in self.accounts if a.name == name), None)

    def dedicated(self, name: str) -> Dedicated | None:
        """The dedicated session of that name, or None."""
        return next((d for d in self.pool.dedicated if d.name == name), None)
