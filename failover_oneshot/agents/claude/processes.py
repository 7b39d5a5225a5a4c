"""Which client runs in which pane, by the records that the running clients leave. Reads only.

Nothing there is trusted: a field may be missing or of any type, a file may be huge, half written, a pipe or a link.
What can not be made out is left out.
"""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from failover_oneshot.model import AgentProcess

SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CLIENT_FILE = re.compile(r"(\d{1,10})\.json", re.ASCII)
_CLIENT_FILE_LIMIT = 64 * 1024
_DEEPEST = 64  # generations between a pane's process and its client
_PROC = Path("/proc")


class _Process(Struct, frozen=True):
    parent: int
    in_foreground: bool  # of its terminal
    started: str  # clock ticks since boot


class _ClientFile(Struct, rename="camel"):
    pid: Any = None
    session_id: Any = None
    cwd: Any = None
    status: Any = None
    proc_start: Any = None


def find_clients(claude_dir: Path, proc: Path = _PROC) -> dict[int, AgentProcess]:
    """The running clients by process id. A file whose process is gone, or is another one by now, is skipped."""
    folder = f"{claude_dir}/sessions"
    try:
        with os.scandir(folder) as entries:
            pids = sorted(int(match[1]) for entry in entries if (match := _CLIENT_FILE.fullmatch(entry.name)))
    except OSError:
        return {}
    found = {}
    for pid in pids:
        process = _process(pid, proc)
        if process and (client := _client(f"{folder}/{pid}.json", pid, process.started)):
            found[pid] = client
    return found


def client_of(pane_pid: int, clients: Mapping[int, AgentProcess], proc: Path = _PROC) -> AgentProcess | None:
    """The client that runs in the pane: its process or a descendant of it."""
    return clients_of([pane_pid], clients, proc).get(pane_pid)


def clients_of(
    pane_pids: Iterable[int], clients: Mapping[int, AgentProcess], proc: Path = _PROC
) -> dict[int, AgentProcess]:
    """The client of each pane that has one: each client's parents are followed up to a pane.

    Of several in one pane the one in the foreground, then the one nearest to the pane: a client may run another.
    """
    panes = set(pane_pids)
    best: dict[int, tuple[bool, int, int]] = {}
    seen: dict[int, _Process | None] = {}
    for pid in clients:
        ancestor = pid
        for depth in range(_DEEPEST):
            if ancestor not in seen:
                seen[ancestor] = _process(ancestor, proc)
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
    data = read_end(path, _CLIENT_FILE_LIMIT, whole=True)
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


def _process(pid: int, proc: Path) -> _Process | None:
    """None when there is no such process, or it is a zombie."""
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:  # noqa: PTH123
            line = file.read(4096)
        # the command's name, in parentheses, may itself hold blanks and parentheses
        state, parent, group, _, _, terminal_group, *rest = line.rpartition(b")")[2].split()
        started = rest[13].decode("ascii")
        return None if state in b"ZX" else _Process(int(parent), group == terminal_group, started)
    except (OSError, ValueError, IndexError):
        return None


def read_end(path: str, limit: int, *, whole: bool = False) -> bytes | None:
    """The last `limit` bytes of a regular file, without the line cut off at the front; of a `whole` one all or None."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        info = os.fstat(fd)
        start = max(0, info.st_size - limit)
        if not stat.S_ISREG(info.st_mode) or (whole and start):
            return None
        data = os.pread(fd, limit, start)
    except OSError:
        return None
    finally:
        os.close(fd)
    return data.partition(b"\n")[2] if start else data
