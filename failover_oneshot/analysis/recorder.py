"""`failover-check --record DIR`: what each check saw, a compressed file each, and never more than a bounded heap.

Every file is one line of JSON in a gzip member, so that `cat DIR/*.json.gz > one.jsonl.gz` makes one recording of many.
"""

import gzip
import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from failover_oneshot.analysis.replay import VERSION, RecordedCheck
from failover_oneshot.config.model import Config
from failover_oneshot.lib import atomicfile
from failover_oneshot.lib.scrub import scrub
from failover_oneshot.model import Evidence, Observation, Pane, Session
from failover_oneshot.observe import machine_zone
from failover_oneshot.report import Report
from failover_oneshot.state.model import State
from failover_oneshot.tmux.client import TmuxError, TmuxReader, TmuxTimeoutError

SUFFIX = ".json.gz"
MOST_FILES = 5760  # two days, one every 30 s
MOST_BYTES = 64 * 1024 * 1024
LARGEST = 256 * 1024 * 1024  # bytes of one recording that is read, decompressed
KEPT_HISTORY = 20  # entries: the swaps of the last hour matter, no more

log = logging.getLogger("failover")


def keep(
    folder: Path,
    seen: tuple[State, Observation | None],
    report: Report,
    config: Config,
    tmux: TmuxReader,
    environ: Mapping[str, str],
) -> None:
    """Add one record, and take the oldest away beyond the bounds. What goes wrong is a warning: the check is done.

    In a pause or a cooldown the check looked at nothing; the panes are then looked at for the record alone, as another
    config might have.
    """
    try:
        record = _record(seen, report, config, tmux, environ)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The panes are clean already; this is for what reasons and names in the state may hold.
        line = scrub(msgspec.json.encode(record).decode(), [environ.get("HOME", "")])
        atomicfile.write_atomic(_free_name(folder, record.at), gzip.compress(f"{line}\n".encode(), 5))
        prune(folder)
    except (OSError, ValueError, TmuxError, TmuxTimeoutError) as error:
        log.warning("nothing was recorded in %s: %s", folder, getattr(error, "strerror", None) or error)


def _record(
    seen: tuple[State, Observation | None], report: Report, config: Config, tmux: TmuxReader, environ: Mapping[str, str]
) -> RecordedCheck:
    state, observation = seen
    home = environ.get("HOME", "")
    if observation is None:
        shown = tmux.observe(config.pool, capture=True)
        observation = Observation(
            at=report.at,
            server_running=shown.server_running,
            sessions=shown.sessions,
            zone=machine_zone(environ),
        )
    return RecordedCheck(
        version=VERSION,
        at=report.at,
        zone=observation.zone,
        server_running=observation.server_running,
        sessions=tuple(_session(session, home) for session in observation.sessions),
        records={pane: r for pane, r in observation.readings.items() if r.evidence is Evidence.TRANSCRIPT},
        unusable=dict(observation.unusable),
        state=replace(state, lineage={}, outbox=(), swap_in_progress=None, history=state.history[-KEPT_HISTORY:]),
        outcome=report.outcome,
        active_account=report.active_account,
    )


def _session(session: Session, home: str) -> Session:
    """What the decision needs of it, and no more: no paths, no commands."""
    panes = tuple(
        Pane(
            pane_id=pane.pane_id,
            pid=pane.pid,
            title=scrub(pane.title, [home]),
            width=pane.width,
            height=pane.height,
            active=pane.active,
            dead=pane.dead,
            text=None if pane.text is None else scrub(pane.text, [home]),
            error=pane.error,
        )
        for pane in session.panes
    )
    return replace(session, panes=panes)


def _free_name(folder: Path, at: datetime) -> Path:
    """Of two in the same second the later one's name comes after the other's: they are read in that order."""
    path = folder / f"{at:%Y%m%dT%H%M%SZ}{SUFFIX}"
    number = 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{at:%Y%m%dT%H%M%SZ}_{number:03}{SUFFIX}"
    return path


def prune(folder: Path, most_files: int = MOST_FILES, most_bytes: int = MOST_BYTES) -> None:
    """Take the oldest records away, by their names, until the rest is within the bounds. Other files are let be."""
    with os.scandir(folder) as entries:
        found = sorted((e.name, e.stat(follow_symlinks=False).st_size) for e in entries if e.name.endswith(SUFFIX))
    size = sum(bytes_ for _, bytes_ in found)
    while found and (len(found) > most_files or size > most_bytes):
        name, bytes_ = found.pop(0)
        atomicfile.remove(folder / name)
        size -= bytes_


def read(paths: Iterable[Path], wrong: list[str]) -> Iterator[RecordedCheck]:
    """The records of files and folders, in the order of their names; what is none is added to ``wrong``.

    Raises OSError and ValueError for a file that can not be read.
    """
    for path in paths:
        files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        for file in files:
            for number, line in enumerate(_lines(file, wrong), start=1):
                try:
                    record = msgspec.json.decode(line, type=RecordedCheck)
                except (msgspec.MsgspecError, RecursionError) as error:
                    wrong.append(f"{file}, line {number}, is no record: {error}")
                    continue
                if record.version > VERSION:
                    wrong.append(f"{file}, line {number}, was recorded by a newer version")
                    continue
                yield record


def _lines(file: Path, wrong: list[str]) -> list[bytes]:
    data = atomicfile.read_bounded(file, LARGEST)
    if data.startswith(b"\x1f\x8b"):
        try:
            data = _decompressed(data)
        except (OSError, EOFError, zlib.error) as error:
            wrong.append(f"{file} is cut off or damaged: {error}")
            return []
    return [line for line in data.split(b"\n") if line.strip()]


def _decompressed(data: bytes) -> bytes:
    """All members; ValueError beyond `LARGEST`."""
    parts, size = [], 0
    while data:
        engine = zlib.decompressobj(wbits=31)
        part = engine.decompress(data, LARGEST + 1 - size)
        size += len(part)
        if size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        if not engine.eof:
            raise EOFError("its end is missing")
        parts.append(part)
        data = engine.unused_data
    return b"".join(parts)
