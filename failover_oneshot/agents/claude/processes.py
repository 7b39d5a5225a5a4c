"""Finds the Claude Code process in each pane, from the files that running processes leave. Reads only.

The files are not trusted: a field may be missing or of any type, a file may be huge, half written, a pipe or a link.
Unreadable ones are skipped.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from failover_oneshot.agents.claude import records
from failover_oneshot.lib import procfs
from failover_oneshot.model import AgentProcess

SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CLIENT_FILE = re.compile(r"(\d{1,10})\.json", re.ASCII)
_CLIENT_FILE_LIMIT = 64 * 1024
_DEEPEST = 64  # generations between a pane's process and Claude Code


class _ClientFile(Struct, rename="camel"):
    pid: Any = None
    session_id: Any = None
    cwd: Any = None
    status: Any = None
    proc_start: Any = None


def find_clients(claude_dir: Path, proc: Path = procfs.PROC) -> dict[int, AgentProcess]:
    """The running Claude Code processes, by process id. Files of processes that ended or were replaced are skipped."""
    folder = f"{claude_dir}/sessions"
    try:
        with os.scandir(folder) as entries:
            pids = sorted(int(match[1]) for entry in entries if (match := _CLIENT_FILE.fullmatch(entry.name)))
    except OSError:
        return {}
    found = {}
    for pid in pids:
        process = _running(pid, proc)
        if process and (client := _client(f"{folder}/{pid}.json", pid, str(process.started))):
            found[pid] = client
    return found


def clients_of(
    pane_pids: Iterable[int], clients: Mapping[int, AgentProcess], proc: Path = procfs.PROC
) -> dict[int, AgentProcess]:
    """The Claude Code process of each pane that has one, by the pane's process id.

    It follows the parents of each process up to a pane. Of several in one pane, the one in the foreground comes first,
    then the one nearest to the pane, because Claude Code may start another.
    """
    panes = set(pane_pids)
    best: dict[int, tuple[bool, int, int]] = {}
    seen: dict[int, procfs.Process | None] = {}
    for pid in clients:
        ancestor = pid
        for depth in range(_DEEPEST):
            if ancestor not in seen:
                seen[ancestor] = _running(ancestor, proc)
            if ancestor in panes and (own := seen[pid]):
                rank = (not own.in_foreground, depth, pid)
                best[ancestor] = min(best.get(ancestor, rank), rank)
                break
            process = seen[ancestor]
            if process is None or process.parent <= 1:
                break
            ancestor = process.parent
    return {pane: clients[pid] for pane, (_, _, pid) in best.items()}


def _client(path: str, pid: int, started: str) -> AgentProcess | None:
    data = records.read_whole(path, _CLIENT_FILE_LIMIT)
    try:
        file = msgspec.json.decode(data or b"", type=_ClientFile)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if file.pid != pid or not isinstance(file.cwd, str) or not isinstance(file.session_id, str):
        return None
    if not SESSION_ID.fullmatch(file.session_id) or (file.proc_start and str(file.proc_start) != started):
        return None
    status = file.status if isinstance(file.status, str) else ""
    return AgentProcess(pid=pid, session_id=file.session_id, cwd=file.cwd, status=status)


def _running(pid: int, proc: Path) -> procfs.Process | None:
    """The process; None if it does not exist or is a zombie."""
    process = procfs.process(pid, proc)
    return None if process is None or process.ended else process
