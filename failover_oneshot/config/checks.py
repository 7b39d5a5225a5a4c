"""What types cannot say: names that tmux and the disk can hold, values that contradict each other. Reads links only."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from failover_oneshot.config.model import (
    EVENTS,
    OWN_LABELS,
    SWAPPABLE,
    AfterSwap,
    Autonomous,
    Config,
    Dedicated,
    Method,
    pattern_regex,
)
from failover_oneshot.config.yaml_source import KeyPath, Problem

_ACCOUNT = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9._@+-]{0,63}")  # a file name and an argument: no dot or dash in front
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HOLE = re.compile(r"(?<!\$)\{([A-Za-z_]+)\}")
_URL = r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\x00-\x1f\x7f-\x9f]+"  # compiled when there is one to check
_WEB_URL = r"(?i)https?://[^/?#]"
_LONGEST_WAIT = 3600.0  # seconds; a check is over before the operator wonders
_LONGEST = 365 * 86400.0  # seconds; beyond it, it is a slip of the finger
_SOCKET_BYTES = 107  # what the kernel takes as the address of a socket

_COMMAND_HOLES = ("name", "index", "account")
_RESUME_HOLES = (*_COMMAND_HOLES, "session_id")


def problems(config: Config) -> Iterator[Problem]:
    """All that is impossible in a config whose paths are expanded."""
    for check in (_accounts, _swap, _quota, _pool, _dedicated, _dispatch, _tmux_and_state, _telling):
        yield from check(config)


def _accounts(config: Config) -> Iterator[Problem]:
    method = config.swap.method
    names: dict[str, int] = {}
    stores: dict[str, str] = {}
    live = (
        {config.swap.claude_dir}
        if method is Method.CLAUDE
        else {str(PurePath(file).parent) for file in config.swap.files}
    )
    live = {os.path.realpath(folder) for folder in live}
    for i, account in enumerate(config.accounts):
        path: KeyPath = ("accounts", i)
        if not _ACCOUNT.fullmatch(account.name):
            text = "must be a plain word: letters, digits and ._@+- (no dot or dash in front, at most 64)"
            yield Problem(path=(*path, "name"), text=text)
        elif account.name in names:
            text = f"is the name of accounts[{names[account.name]}] too"
            yield Problem(path=(*path, "name"), text=text, also=(("accounts", names[account.name], "name"),))
        names.setdefault(account.name, i)
        if method in {Method.CLAUDE, Method.FILES}:
            method_at: KeyPath = ("swap", "method")
            if account.store is None:
                text = f"is missing: swap.method {method} keeps this account's files there"
                yield Problem(path=(*path, "store"), text=text, also=(method_at,))
            elif (real := os.path.realpath(account.store)) in stores:
                text = f"is the store of account {stores[real]} too: each needs its own"
                yield Problem(path=(*path, "store"), text=text, also=(method_at,))
            elif real in live:
                text = "is the folder of the live files: a store is where they rest"
                yield Problem(path=(*path, "store"), text=text, also=(method_at,))
            else:
                stores[real] = account.name
        for variable in account.env:
            if not _VARIABLE.fullmatch(variable):
                # The key is not shown: it may be NAME=secret, written with the wrong sign.
                text = "the name of a variable is letters, digits and _, no digit in front (`NAME: value`)"
                yield Problem(path=(*path, "env", variable), text=text, at_key=True)


def _swap(config: Config) -> Iterator[Problem]:
    swap = config.swap
    method_at: KeyPath = ("swap", "method")
    if swap.method is Method.COMMAND and not swap.command:
        yield Problem(path=("swap", "command"), text="is empty: swap.method command runs it", also=(method_at,))
    if swap.method is Method.FILES and not swap.files:
        yield Problem(path=("swap", "files"), text="is empty: swap.method files replaces them", also=(method_at,))
    if swap.command and not swap.command[0].strip():
        yield Problem(path=("swap", "command", 0), text="is empty: it is the program")
    for i, part in enumerate(swap.command):
        yield from _holes(part, ("from", "to"), ("swap", "command", i))
    seen: dict[str, int] = {}
    for i, file in enumerate(swap.files):
        at: KeyPath = ("swap", "files", i)
        base = PurePath(file).name
        if base in {"", ".", ".."} or file.endswith("/"):
            yield Problem(path=at, text="names a folder: name the file")
        elif base in seen:
            text = f"has the base name of files[{seen[base]}] too: a store keeps each file by its base name"
            yield Problem(path=at, text=text, also=(("swap", "files", seen[base]),))
        seen.setdefault(base, i)
    yield from _duration(swap.timeout, ("swap", "timeout"), _LONGEST_WAIT, positive=True)


def _quota(config: Config) -> Iterator[Problem]:
    quota = config.quota
    yield from _duration(quota.poll_interval, ("quota", "poll_interval"), _LONGEST, positive=True)
    for key in ("reactivate_cooldown", "patience", "unknown_reset_backoff"):
        yield from _duration(getattr(quota, key), ("quota", key), _LONGEST)
    if not quota.swap_on:
        yield Problem(path=("quota", "swap_on"), text="is empty: nothing would ever count as blocked")
    for i, kind in enumerate(quota.swap_on):
        if kind not in SWAPPABLE:
            text = f"another account does not mend that: must be one of {', '.join(SWAPPABLE)}"
            yield Problem(path=("quota", "swap_on", i), text=text)
    for key in ("extra_patterns", "extra_server_error_patterns"):
        for i, pattern in enumerate(getattr(quota, key)):
            if text := _bad_pattern(pattern):
                yield Problem(path=("quota", key, i), text=text)


def _pool(config: Config) -> Iterator[Problem]:
    pool = config.pool.autonomous
    at: KeyPath = ("pool", "autonomous")
    if text := _bad_session_name(pool.prefix):
        yield Problem(path=(*at, "prefix"), text=text)
    if pool.min > pool.max:
        text = f"is {pool.min}, more than max ({pool.max})"
        yield Problem(path=(*at, "min"), text=text, also=((*at, "max"),))
    yield from _session(pool, at)


def _dedicated(config: Config) -> Iterator[Problem]:
    pool = config.pool.autonomous
    seen: dict[str, int] = {}
    for i, dedicated in enumerate(config.pool.dedicated):
        at: KeyPath = ("pool", "dedicated", i)
        name_at: KeyPath = (*at, "name")
        if text := _bad_session_name(dedicated.name):
            yield Problem(path=name_at, text=text)
        elif dedicated.name in seen:
            text = f"is the name of dedicated[{seen[dedicated.name]}] too"
            yield Problem(path=name_at, text=text, also=(("pool", "dedicated", seen[dedicated.name], "name"),))
        elif _in_range(dedicated.name, pool):
            last = pool.start_index + pool.max - 1
            text = f"lies inside the pool: {pool.prefix}{pool.start_index} to {pool.prefix}{last}"
            yield Problem(
                path=name_at,
                text=text,
                also=tuple(("pool", "autonomous", key) for key in ("prefix", "start_index", "max")),
            )
        seen.setdefault(dedicated.name, i)
        yield from _session(dedicated, at)


def _dispatch(config: Config) -> Iterator[Problem]:
    dispatch = config.dispatch
    for key in ("timeout", "keep"):
        yield from _duration(getattr(dispatch, key), ("dispatch", key), _LONGEST, positive=True)
    if "/" in config.pool.autonomous.agent_process:
        yield Problem(path=("pool", "autonomous", "agent_process"), text="is the name of a process, not a path")


def _tmux_and_state(config: Config) -> Iterator[Problem]:
    tmux = config.tmux
    if not tmux.binary.strip() or _CONTROL.search(tmux.binary):
        yield Problem(path=("tmux", "binary"), text="is no program's name")
    if tmux.socket_name is not None and (not tmux.socket_name.strip() or re.search(r"[/\x00-\x1f]", tmux.socket_name)):
        yield Problem(path=("tmux", "socket_name"), text="must be a name without `/`; for a path take socket_path")
    if tmux.socket_path is not None and len(os.fsencode(tmux.socket_path)) > _SOCKET_BYTES:
        yield Problem(
            path=("tmux", "socket_path"), text=f"is longer than a socket's path can be ({_SOCKET_BYTES} bytes)"
        )
    if tmux.socket_name is not None and tmux.socket_path is not None:
        yield Problem(path=("tmux", "socket_path"), text="and socket_name are both set: keep one of them")
    yield from _duration(tmux.timeout, ("tmux", "timeout"), _LONGEST_WAIT, positive=True)
    yield from _duration(config.state.lock_timeout, ("state", "lock_timeout"), _LONGEST_WAIT, positive=True)


def _telling(config: Config) -> Iterator[Problem]:
    """Who is told. A URL is never shown, for it holds a secret."""
    metrics, notify, ping = config.metrics, config.notify, config.ping
    if metrics.textfile is not None and PurePath(metrics.textfile).suffix != ".prom":
        yield Problem(path=("metrics", "textfile"), text="must end in NAME.prom: the collector reads no other files")
    for label in metrics.labels:
        if not _VARIABLE.fullmatch(label) or label.startswith("__") or label in OWN_LABELS:
            ours = ", ".join(sorted(OWN_LABELS))
            text = f"must be a name of letters, digits and _, and none of those that we set ourselves: {ours}"
            yield Problem(path=("metrics", "labels", label), text=text, at_key=True)
    for i, event in enumerate(notify.events):
        if event not in EVENTS:
            yield Problem(path=("notify", "events", i), text=f"must be one of {', '.join(EVENTS)}")
    for i, url in enumerate(notify.urls):
        if not re.fullmatch(_URL, url):
            yield Problem(path=("notify", "urls", i), text="is no URL: SCHEME://…, without blanks")
    if ping.url is not None and not (re.fullmatch(_URL, ping.url) and re.match(_WEB_URL, ping.url)):
        yield Problem(path=("ping", "url"), text="is no URL: https://HOST/…, without blanks")
    for name, seconds in (("hooks", config.hooks.timeout), ("notify", notify.timeout), ("ping", ping.timeout)):
        yield from _duration(seconds, (name, "timeout"), _LONGEST_WAIT, positive=True)


# -- the parts of a check ----------------------------------------------------------------------------------------------


def _session(session: Autonomous | Dedicated, at: KeyPath) -> Iterator[Problem]:
    yield from _holes(session.command, _COMMAND_HOLES, (*at, "command"))
    yield from _holes(session.resume_command, _RESUME_HOLES, (*at, "resume_command"))
    if _CONTROL.search(session.nudge):
        yield Problem(path=(*at, "nudge"), text="holds a control character: it is typed as it stands, then Enter")
    elif session.after_swap is AfterSwap.NUDGE and not session.nudge.strip():
        yield Problem(path=(*at, "nudge"), text="is empty: after_swap nudge types it", also=((*at, "after_swap"),))


def _holes(text: str, known: Sequence[str], at: KeyPath) -> Iterator[Problem]:
    """Only a lone word in braces is taken for a slip: `${VAR}`, `{a,b}` and `{ print; }` are the shell's."""
    for hole in _HOLE.findall(text):
        if hole not in known:
            listed = " ".join(f"{{{name}}}" for name in known)
            yield Problem(path=at, text=f"{{{hole}}} is not filled in; what is: {listed}")


def _duration(seconds: float, at: KeyPath, longest: float, *, positive: bool = False) -> Iterator[Problem]:
    if positive and seconds <= 0:
        yield Problem(path=at, text="must be more than 0")
    if seconds > longest:
        yield Problem(path=at, text=f"must be at most {'1h' if longest == _LONGEST_WAIT else '8760h (a year)'}")


def _bad_pattern(pattern: str) -> str:
    source = pattern_regex(pattern)
    if not (pattern if source is None else source).strip():
        return "is empty: it would be found in every text"
    if source is None:
        return ""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about syntax that may change its meaning one day: no line for that
            compiled = re.compile(source, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is no regular expression that compiles: {error}"
    return "matches the empty text, so it would be found everywhere" if compiled.search("") else ""


def _bad_session_name(name: str) -> str:
    """Why no tmux session can have this name, or one that begins so: tmux would rewrite or misread it."""
    if not name.strip():
        return "is empty"
    if name[0] in "@%":
        return f"must not begin with `{name[0]}`: tmux takes that for the id of a window or pane"
    if found := re.search(r"[.:;$#\\]", name):
        return f"holds `{found[0]}`, which tmux does not keep as it is in the name of a session"
    return "" if name.isprintable() else "holds a character that cannot be printed"


def _in_range(name: str, pool: Autonomous) -> bool:
    index = name.removeprefix(pool.prefix)
    if index == name or not re.fullmatch(r"0|[1-9][0-9]{0,8}", index):
        return False
    return pool.start_index <= int(index) < pool.start_index + pool.max
