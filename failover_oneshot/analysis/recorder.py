"""Writes and reads recordings: what each check observed, one compressed file per check, bounded in number and size.

`failover-check --record DIR` writes them. Each file is one line of JSON in a gzip member, so
`cat DIR/*.json.gz > one.jsonl.gz` joins them into one recording.
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
MOST_FILES = 5760  # two days of one check every 30 s
MOST_BYTES = 64 * 1024 * 1024
LARGEST = 256 * 1024 * 1024  # bytes of a recording that is read, decompressed
KEPT_HISTORY = 20  # entries; only the swaps of the last hour matter

log = logging.getLogger("failover")


def keep(
    folder: Path,
    seen: tuple[State, Observation | None],
    report: Report,
    config: Config,
    tmux: TmuxReader,
    environ: Mapping[str, str],
) -> None:
    """Write one record and delete the oldest ones beyond the bounds. A failure is a warning: the check is done.

    During a pause or a cooldown the check reads no pane. They are then read for the record only, because another
    configuration might have read them.
    """
    try:
        record = _record(seen, report, config, tmux, environ)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The panes are scrubbed already; this is for reasons and names in the state.
        line = scrub(msgspec.json.encode(record).decode(), [environ.get("HOME", "")])
        atomicfile.write_atomic(_free_name(folder, record.at), gzip.compress(f"{line}\n".encode(), 5))
        prune(folder)
    except (OSError, ValueError, TmuxError, TmuxTimeoutError) as error:
        log.warning("cannot record this check in %s: %s", folder, getattr(error, "strerror", None) or error)


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
    """The session with only what a decision needs: no paths, no commands."""
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
    """A file name that sorts after the others of the same second, because records are read in order of name."""
    path = folder / f"{at:%Y%m%dT%H%M%SZ}{SUFFIX}"
    number = 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{at:%Y%m%dT%H%M%SZ}_{number:03}{SUFFIX}"
    return path


def prune(folder: Path, most_files: int = MOST_FILES, most_bytes: int = MOST_BYTES) -> None:
    """Delete the oldest records, by name, until the rest is within the bounds. Other files are left alone."""
    with os.scandir(folder) as entries:
        found = sorted((e.name, e.stat(follow_symlinks=False).st_size) for e in entries if e.name.endswith(SUFFIX))
    size = sum(bytes_ for _, bytes_ in found)
    while found and (len(found) > most_files or size > most_bytes):
        name, bytes_ = found.pop(0)
        atomicfile.remove(folder / name)
        size -= bytes_


def read(paths: Iterable[Path], wrong: list[str]) -> Iterator[RecordedCheck]:
    """The records of files and folders, in order of name. Each invalid one adds a message to ``wrong``.

    Raises OSError and ValueError for a file that cannot be read.
    """
    for path in paths:
        files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        for file in files:
            for number, line in enumerate(_lines(file, wrong), start=1):
                try:
                    record = msgspec.json.decode(line, type=RecordedCheck)
                except (msgspec.MsgspecError, RecursionError) as error:
                    wrong.append(f"{file}:{number}: not a valid record: {error}")
                    continue
                if record.version > VERSION:
                    newer = f"recorded by a newer version (format {record.version}, not {VERSION}); upgrade this one"
                    wrong.append(f"{file}:{number}: {newer}")
                    continue
                yield record


def _lines(file: Path, wrong: list[str]) -> list[bytes]:
    data = atomicfile.read_bounded(file, LARGEST)
    if data.startswith(b"\x1f\x8b"):
        try:
            data = _decompressed(data)
        except (OSError, EOFError, zlib.error) as error:
            wrong.append(f"{file}: truncated or damaged: {error}")
            return []
    return [line for line in data.split(b"\n") if line.strip()]


def _decompressed(data: bytes) -> bytes:
    """The decompressed gzip members. Raises ValueError beyond `LARGEST` bytes, EOFError if the end is missing."""
    parts, size = [], 0
    while data:
        engine = zlib.decompressobj(wbits=31)
        part = engine.decompress(data, LARGEST + 1 - size)
        size += len(part)
        if size > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        if not engine.eof:
            raise EOFError("unexpected end of file")
        parts.append(part)
        data = engine.unused_data
    return b"".join(parts)
