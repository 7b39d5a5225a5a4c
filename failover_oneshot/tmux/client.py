"""The only module that runs tmux.

`TmuxReader` looks and can't change anything: all that a dry run gets. `TmuxControl` adds the commands that write. Each
tmux process is bounded by `tmux.timeout`, so that a stopped server can't hang the check.
"""

import os
import signal
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from failover_oneshot.config import model
from failover_oneshot.errors import EXIT_TEMPFAIL, EXIT_UNAVAILABLE, FailoverError
from failover_oneshot.model import Pane, Role, Session
from failover_oneshot.tmux import formats
from failover_oneshot.tmux.formats import PaneRow

BATCH: Final = 50  # captures in one tmux process: their arguments stay below tmux's limit of 16 KiB for a message

# Where the checker runs is no business of the sessions that it starts, and `TMUX` would choose another server.
_NOT_PASSED_ON: Final = frozenset(
    ["TMUX", "TMUX_PANE", "INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "STATE_DIRECTORY"]
)
_NO_SERVER: Final = ("no server running", "No such file or directory)", "Connection refused)")
_SERVER_WENT: Final = ("lost server", "server exited")


class TmuxError(FailoverError):
    """tmux answered with an error other than "no server"."""

    exit_code = EXIT_UNAVAILABLE


class TmuxMissingError(TmuxError):
    """The tmux program isn't there."""


class TmuxTimeoutError(TmuxError):
    """tmux did not answer within `tmux.timeout`."""

    exit_code = EXIT_TEMPFAIL
    next_run = ": trying again at the next run"


class TmuxObservation(Struct, frozen=True, kw_only=True):
    """The watched sessions that exist: the range in index order, then the dedicated ones in the config's order."""

    server_running: bool
    sessions: tuple[Session, ...] = ()
    notes: tuple[str, ...] = ()  # what could not be seen, one sentence each


class Answer(Struct, frozen=True, kw_only=True):
    """What one tmux process said."""

    ok: bool
    output: str
    error: str  # one line

    @property
    def no_server(self) -> bool:
        return not self.ok and any(words in self.error for words in _NO_SERVER)

    @property
    def server_went(self) -> bool:
        """The server ended while it was being asked."""
        return not self.ok and (self.no_server or any(words in self.error for words in _SERVER_WENT))


class TmuxReader:
    """tmux, for looking only. Every method may raise TmuxMissingError, TmuxTimeoutError or TmuxError."""

    def __init__(self, config: model.Tmux, environ: Mapping[str, str]) -> None:
        """`environ`: the process' environment; TMUX_TMPDIR chooses the server as it does for tmux itself."""
        self._config = config
        self._environ = {name: value for name, value in environ.items() if name not in _NOT_PASSED_ON}
        self._binary = _find(config.binary, environ.get("PATH", os.defpath))

    def observe(self, pool: model.Pool, *, capture: bool = True) -> TmuxObservation:
        """The watched sessions with all panes of all their windows, and with `capture` the text of those.

        One listing, then one process for each `BATCH` of watched panes. Nothing outside the range and the dedicated
        names is captured. A pane that is dead or can't be captured stays, with its `error`.
        """
        for _ in range(2):
            rows = self.rows()
            if rows is None:
                break
            sessions = _watched(pool, rows)
            if not capture:
                return TmuxObservation(server_running=True, sessions=sessions)
            texts = self._texts([pane for session in sessions for pane in session.panes if not pane.dead])
            if texts is None:  # the server ended in between: perhaps another one has begun
                continue
            sessions = tuple(_with_texts(session, texts) for session in sessions)
            return TmuxObservation(server_running=True, sessions=sessions, notes=tuple(_notes(sessions)))
        return TmuxObservation(server_running=False)

    def rows(self) -> tuple[PaneRow, ...] | None:
        """Every pane of the server, watched or not, without text; None when no server runs."""
        mark = f"0{os.urandom(12).hex()}"  # not a letter: tmux 3.4 would escape a `$` before it
        answer = self._ask("list-panes", "-a", "-F", formats.listing_format(mark))
        if answer.server_went:
            return None
        if not answer.ok:
            raise TmuxError(f"tmux can't list its panes: {answer.error}")
        try:
            return formats.parse_listing(answer.output, mark)
        except ValueError as problem:
            raise TmuxError(f"tmux's answer can't be read: {problem}") from None

    def panes(self, pane_ids: Collection[str]) -> dict[str, PaneRow]:
        """These panes as they are now, by id, each with its visible screen; those that are gone are left out."""
        rows = {row.pane.pane_id: row for row in self.rows() or () if row.pane.pane_id in pane_ids}
        texts = self._texts([row.pane for row in rows.values() if not row.pane.dead]) if rows else {}
        if texts is None:
            return {}
        return {pane_id: structs.replace(row, pane=_with_text(row.pane, texts)) for pane_id, row in rows.items()}

    def environment(self, session_id: str) -> dict[str, str | None]:
        """The session's own environment, over the server's; None for what it takes away. Empty when it is gone.

        It may hold secrets: for handing on only.
        """
        answer = self._ask("display-message", "-p", "#{version}", ";", "show-environment", "-s", "-t", session_id)
        version, _, shown = answer.output.partition("\n")
        return formats.parse_environment(shown, version) if answer.ok else {}

    def _texts(self, watched: Sequence[Pane]) -> dict[str, tuple[str | None, str | None]] | None:
        """Pane id to its text, or to None and the reason; None altogether when the server ended meanwhile."""
        texts: dict[str, tuple[str | None, str | None]] = {}
        by_id = {pane.pane_id: pane for pane in watched}  # a linked window's panes are in several sessions
        ids = list(by_id)
        for at in range(0, len(ids), BATCH):
            batch = ids[at : at + BATCH]
            mark = os.urandom(12).hex()
            answer = self._ask(*_capture_commands(batch, mark))
            if answer.server_went:
                return None
            captured = dict(part.split("\n", 1) for part in answer.output.split(mark)[1:])
            for pane_id in batch:
                text = captured.get(pane_id.lstrip("%"))
                if text is None:
                    texts[pane_id] = None, f"not captured: {answer.error or 'tmux broke off'}"
                elif not text:
                    texts[pane_id] = None, "gone"
                else:
                    texts[pane_id] = formats.screen_text(text, by_id[pane_id].width), None
        return texts

    def _ask(self, *command: str) -> Answer:
        return self._run(command, None, self._environ, None)

    def _run(self, command: Sequence[str], stdin: str | None, environ: Mapping[str, str], folder: str | None) -> Answer:
        argv = [self._binary, "-u"]  # -u: UTF-8 survives a C locale
        if self._config.socket_path:
            argv += ["-S", self._config.socket_path]
        elif self._config.socket_name:
            argv += ["-L", self._config.socket_name]
        try:
            process = subprocess.Popen(
                [*argv, *command],
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environ),
                cwd=folder,
                process_group=0,
            )
        except OSError as problem:
            raise TmuxMissingError(f"{self._binary} can't be run: {problem.strerror}") from None
        with process:
            try:
                output, error = process.communicate(
                    None if stdin is None else stdin.encode("utf-8", "surrogateescape"), timeout=self._config.timeout
                )
            except subprocess.TimeoutExpired:
                raise TmuxTimeoutError(f"tmux did not answer within {float(self._config.timeout):g} s") from None
            finally:
                if process.returncode is None:
                    # the whole group: a wrapper's child must not stay behind
                    os.killpg(process.pid, signal.SIGKILL)
        said = " ".join(error.decode("utf-8", "replace").split())
        return Answer(
            ok=process.returncode == 0,
            output=output.decode("utf-8", "replace"),
            error=said or ("" if process.returncode == 0 else f"exit status {process.returncode}"),
        )


class TmuxControl(TmuxReader):
    """tmux, for changing sessions too."""

    def run(
        self, *lines: str, start_server: bool = False, folder: str | None = None, path: str | None = None
    ) -> Answer:
        """Run lines made by `formats.script`, through stdin: arguments may be secrets, and command lines are public.

        `folder` (which exists) and `path` are the working folder and the PATH that tmux gives to what the lines start;
        without `path` that is the running server's, and not that of the timer's unit. `start_server` is for when no
        server runs.
        """
        environ = {name: value for name, value in self._environ.items() if name != "PATH" or start_server}
        if path is not None:
            environ["PATH"] = path
        if folder is not None:
            environ["PWD"] = folder  # tmux keeps the symbolic links that this names
        start = ("start-server", ";") if start_server else ()
        return self._run((*start, "source-file", "-"), "".join(lines), environ, folder)


def _find(binary: str, path: str) -> str:
    # not shutil.which: its import alone costs more than a listing
    if "/" in binary:
        candidates: Iterable[str] = (binary,)
    else:
        candidates = (f"{folder or '.'}/{binary}" for folder in path.split(os.pathsep))
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):  # noqa: PTH112 - pathlib costs start-up
            return candidate
    raise TmuxMissingError(f"tmux is not installed: there is no program {binary!r}")


def index_in_range(autonomous: model.Autonomous, name: str) -> int | None:
    """The index of the pool session `name`; None for any other name, `ccl-auto-011` and `ccl-auto0` included."""
    if not name.startswith(autonomous.prefix):
        return None
    digits = name[len(autonomous.prefix) :]
    if not digits.isdecimal() or not digits.isascii() or len(digits) > 9 or str(int(digits)) != digits:
        return None
    first = autonomous.start_index
    return int(digits) if first <= int(digits) < first + autonomous.max else None


def _watched(pool: model.Pool, rows: Iterable[PaneRow]) -> tuple[Session, ...]:
    by_name: dict[str, list[PaneRow]] = {}
    for row in rows:
        by_name.setdefault(row.session_name, []).append(row)
    indices = {name: index_in_range(pool.autonomous, name) for name in by_name}
    ranged = sorted((index, name) for name, index in indices.items() if index is not None)
    found = [_session(name, Role.POOL, index, by_name[name]) for index, name in ranged]
    for entry in pool.dedicated:
        if entry.name in by_name and indices[entry.name] is None:
            found.append(_session(entry.name, Role.DEDICATED, None, by_name[entry.name]))
    return tuple(found)


def _session(name: str, role: Role, index: int | None, rows: Sequence[PaneRow]) -> Session:
    current = next((row for row in rows if row.window_active), rows[0])
    return Session(
        name=name,
        role=role,
        index=index,
        session_id=current.session_id,
        server_pid=current.server_pid,
        panes=tuple(row.pane for row in rows),
        width=current.window_width,
        height=current.window_height,
    )


def _capture_commands(pane_ids: Iterable[str], mark: str) -> list[str]:
    words: list[str] = []
    for pane_id in pane_ids:
        # Naming a pane that has vanished would end the whole batch with an error; -F of it is merely false.
        words += ["display-message", "-p", mark + pane_id.lstrip("%"), ";"]
        words += ["if-shell", "-F", "-t", pane_id, f"#{{==:#{{pane_id}},{pane_id}}}"]
        words += [f"capture-pane -p -J -t {pane_id}", ";"]
    return words[:-1]


def _with_texts(session: Session, texts: Mapping[str, tuple[str | None, str | None]]) -> Session:
    return structs.replace(session, panes=tuple(_with_text(pane, texts) for pane in session.panes))


def _with_text(pane: Pane, texts: Mapping[str, tuple[str | None, str | None]]) -> Pane:
    if pane.pane_id not in texts:
        return pane
    text, error = texts[pane.pane_id]
    return structs.replace(pane, text=text, error=error)


def _notes(sessions: Iterable[Session]) -> Iterable[str]:
    for session in sessions:
        for pane in session.panes:
            if pane.error:
                yield f"pane {pane.pane_id} of {session.name} is not readable: {pane.error}"
