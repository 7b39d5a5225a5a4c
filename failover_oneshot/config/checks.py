"""Finds values that contradict each other, which the types of single values cannot. Reads links only."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from failover_oneshot.config import linked
from failover_oneshot.config.model import AfterSwap, Autonomous, Config, Dedicated, Method
from failover_oneshot.config.paths import CONTROL
from failover_oneshot.config.values import VALUE, account_name, session_name
from failover_oneshot.config.yaml_source import KeyPath, Problem

_SOCKET_BYTES = 107  # the longest socket address that the kernel accepts
_METHOD = ("swap", "method")
_AUTONOMOUS = ("pool", "autonomous")


def problems(config: Config) -> Iterator[Problem]:
    """Every problem of a config whose paths are expanded."""
    checks = (_account_names, _stores, _swap_and_quota, _files, _pool, _dedicated, _tmux_and_metrics)
    found = [problem for check in checks for problem in check(config)]
    wrong = {problem.path for problem in found}  # a store that is the wrong folder shares all its files
    yield from found
    yield from (problem for problem in linked.problems(config) if problem.path not in wrong)


def _repeated(values: Sequence[str]) -> dict[int, int]:
    """The index of each repeated value, mapped to the index of its first use."""
    first: dict[str, int] = {}
    return {i: first[value] for i, value in enumerate(values) if first.setdefault(value, i) != i}


def _account_names(config: Config) -> Iterator[Problem]:
    repeated = _repeated([account.name for account in config.accounts])
    for i, first in repeated.items():
        if not any(account_name(config.accounts[i].name)):
            also = (("accounts", first, "name"),)
            yield Problem(("accounts", i, "name"), f"duplicate name: {VALUE} (also accounts[{first}])", also=also)


def _stores(config: Config) -> Iterator[Problem]:
    swap, stores = config.swap, dict[str, str]()
    if swap.method not in {Method.CLAUDE, Method.FILES}:
        return
    claude = swap.method is Method.CLAUDE
    folders = [swap.claude_dir] if claude else [str(PurePath(file).parent) for file in swap.files]
    live = {os.path.realpath(folder) for folder in folders}
    for i, account in enumerate(config.accounts):
        if account.store is None:
            text = f"is missing; swap.method {swap.method} keeps this account's credentials there"
        elif (real := os.path.realpath(account.store)) in stores:
            text = f"must not be the store of account {stores[real]}; each account needs a separate folder"
        elif real in live:
            text = "must not be the folder of the live credentials; use a separate folder"
        else:
            stores[real] = account.name
            continue
        yield Problem(("accounts", i, "store"), text, also=(_METHOD,))


def _swap_and_quota(config: Config) -> Iterator[Problem]:
    swap = config.swap
    if swap.method is Method.COMMAND and not swap.command:
        yield Problem(("swap", "command"), "is empty; swap.method command needs a program to run", also=(_METHOD,))
    if swap.method is Method.FILES and not swap.files:
        yield Problem(("swap", "files"), "is empty; swap.method files needs files to replace", also=(_METHOD,))
    if swap.command and not swap.command[0].strip():
        yield Problem(("swap", "command", 0), "is empty; the first entry is the program")
    if not config.quota.swap_on:
        yield Problem(("quota", "swap_on"), "is empty; no session could ever count as blocked")


def _files(config: Config) -> Iterator[Problem]:
    names = [PurePath(file).name for file in config.swap.files]
    repeated = _repeated(names)
    for i, (file, name) in enumerate(zip(config.swap.files, names, strict=True)):
        at = ("swap", "files", i)
        if name in {"", ".", ".."} or file.endswith("/"):
            yield Problem(at, "must be a file, not a folder")
        elif i in repeated:
            text = f"has the same file name as files[{repeated[i]}]; a store keeps each file under its name"
            yield Problem(at, text, also=(("swap", "files", repeated[i]),))


def _pool(config: Config) -> Iterator[Problem]:
    pool = config.pool.autonomous
    if pool.min > pool.max:
        text = f"must be at most max ({pool.max}), not {VALUE}"
        yield Problem((*_AUTONOMOUS, "min"), text, also=((*_AUTONOMOUS, "max"),))
    if "/" in pool.agent_process:
        yield Problem((*_AUTONOMOUS, "agent_process"), "must be the name of a process, not a path")
    yield from _nudge(pool, _AUTONOMOUS)


def _dedicated(config: Config) -> Iterator[Problem]:
    pool = config.pool.autonomous
    repeated = _repeated([dedicated.name for dedicated in config.pool.dedicated])
    for i, dedicated in enumerate(config.pool.dedicated):
        at = ("pool", "dedicated", i, "name")
        if any(session_name(dedicated.name)):
            pass  # reported by the rule of its type
        elif i in repeated:
            first = ("pool", "dedicated", repeated[i], "name")
            yield Problem(at, f"duplicate name: {VALUE} (also dedicated[{repeated[i]}])", also=(first,))
        elif _in_range(dedicated.name, pool):
            text = f"must be outside the pool ({pool.prefix}{pool.start_index} to {pool.prefix}{_last(pool)}): {VALUE}"
            yield Problem(at, text, also=tuple((*_AUTONOMOUS, key) for key in ("prefix", "start_index", "max")))
        yield from _nudge(dedicated, at[:-1])


def _last(pool: Autonomous) -> int:
    return pool.start_index + pool.max - 1


def _in_range(name: str, pool: Autonomous) -> bool:
    index = name.removeprefix(pool.prefix)
    if index == name or not re.fullmatch(r"0|[1-9][0-9]{0,8}", index):
        return False
    return pool.start_index <= int(index) <= _last(pool)


def _nudge(session: Autonomous | Dedicated, at: KeyPath) -> Iterator[Problem]:
    if CONTROL.search(session.nudge):
        yield Problem((*at, "nudge"), "must not contain control characters; the text is typed as it is, then Enter")
    elif session.after_swap is AfterSwap.NUDGE and not session.nudge.strip():
        yield Problem((*at, "nudge"), "is empty; after_swap nudge needs a text to type", also=((*at, "after_swap"),))


def _tmux_and_metrics(config: Config) -> Iterator[Problem]:
    tmux, textfile = config.tmux, config.metrics.textfile
    if not tmux.binary.strip() or CONTROL.search(tmux.binary):
        yield Problem(("tmux", "binary"), f"not a valid program name: {VALUE}")
    if tmux.socket_path is not None and len(os.fsencode(tmux.socket_path)) > _SOCKET_BYTES:
        text = f"must be at most {_SOCKET_BYTES} bytes long, the limit for a socket path"
        yield Problem(("tmux", "socket_path"), text)
    if tmux.socket_name is not None and tmux.socket_path is not None:
        yield Problem(("tmux", "socket_path"), "cannot be combined with socket_name; remove one of them")
    if textfile is not None and PurePath(textfile).suffix != ".prom":
        yield Problem(("metrics", "textfile"), "must end in NAME.prom; the collector reads no other files")
