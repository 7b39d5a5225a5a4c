"""Run tmux. No other module does.

`TmuxReader` only reads; a dry run gets nothing else. `TmuxControl` adds the commands that change sessions. Each tmux
process is limited to `tmux.timeout`, so that a stopped server cannot hang the check.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from failover_oneshot.config import model
from failover_oneshot.errors import EXIT_TEMPFAIL, EXIT_UNAVAILABLE, FailoverError
from failover_oneshot.model import Pane, Role, Session
from failover_oneshot.tmux import formats
from failover_oneshot.tmux.formats import PaneRow

BATCH: Final = 50  # captures in one tmux process; more could exceed tmux's limit of 16 KiB for a message

# The variables of the check's own unit and pane do not belong in new sessions, and `TMUX` would choose another server.
_NOT_PASSED_ON: Final = frozenset(
    ["TMUX", "TMUX_PANE", "INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "STATE_DIRECTORY"]
)
_NO_SERVER: Final = ("no server running", "No such file or directory)", "Connection refused)")
_SERVER_WENT: Final = ("lost server", "server exited")


class TmuxError(FailoverError):
    """tmux answered with an error other than "no server"."""

    exit_code = EXIT_UNAVAILABLE


class TmuxMissingError(TmuxError):
    """The tmux program does not exist or cannot be run."""


class TmuxTimeoutError(TmuxError):
    """tmux did not answer within `tmux.timeout`."""

    exit_code = EXIT_TEMPFAIL
    next_run = "; trying again at the next check"


class TmuxObservation(Struct, frozen=True, kw_only=True):
    """The existing watched sessions: the range in index order, then the dedicated ones in the config's order."""

    server_running: bool
    sessions: tuple[Session, ...] = ()
    notes: tuple[str, ...] = ()  # what could not be read, one sentence each


class Answer(Struct, frozen=True, kw_only=True):
    """The result of one tmux process."""

    ok: bool
    output: str
    error: str  # one line

    @property
    def no_server(self) -> bool:
        return not self.ok and any(words in self.error for words in _NO_SERVER)

    @property
    def server_went(self) -> bool:
        """Whether the server ended during the request."""
        return not self.ok and (self.no_server or any(words in self.error for words in _SERVER_WENT))


class TmuxReader:
    """Read-only tmux. Every method may raise TmuxMissingError, TmuxTimeoutError or TmuxError."""

    def __init__(self, config: model.Tmux, environ: Mapping[str, str]) -> None:
        """`environ` is the process's environment; TMUX_TMPDIR chooses the server, as for tmux itself."""
        self._config = config
        self._environ = {name: value for name, value in environ.items() if name not in _NOT_PASSED_ON}
        self._binary = _find(config.binary, environ.get("PATH", os.defpath))

    def observe(self, pool: model.Pool, *, capture: bool = True) -> TmuxObservation:
        """The watched sessions with all panes of all their windows; with `capture` also the panes' text.

        Takes one listing, then one process per `BATCH` of watched panes. Captures no pane outside the range and the
        dedicated names. A pane that is dead or cannot be captured stays, with its `error`.
        """
        for _ in range(2):
            rows = self.rows()
            if rows is None:
                break
            sessions = _watched(pool, rows)
            if not capture:
                return TmuxObservation(server_running=True, sessions=sessions)
            texts = self._texts([pane for session in sessions for pane in session.panes if not pane.dead])
            if texts is None:  # the server ended in between; a new one may have started
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
            raise TmuxError(f"tmux cannot list its panes: {answer.error}")
        try:
            return formats.parse_listing(answer.output, mark)
        except ValueError as problem:
            raise TmuxError(f"cannot parse tmux's output: {problem}") from None

    def panes(self, pane_ids: Collection[str]) -> dict[str, PaneRow]:
        """These panes as they are now, by id, each with its visible screen. Panes that are gone are left out."""
        rows = {row.pane.pane_id: row for row in self.rows() or () if row.pane.pane_id in pane_ids}
        texts = self._texts([row.pane for row in rows.values() if not row.pane.dead]) if rows else {}
        if texts is None:
            return {}
        return {pane_id: structs.replace(row, pane=_with_text(row.pane, texts)) for pane_id, row in rows.items()}

    def environment(self, session_id: str) -> dict[str, str | None]:
        """The session's variables merged over the server's; None for a removed one. Empty when the session is gone.

        The values may be secrets: only pass them on.
        """
        answer = self._ask("display-message", "-p", "#{version}", ";", "show-environment", "-s", "-t", session_id)
        version, _, shown = answer.output.partition("\n")
        return formats.parse_environment(shown, version) if answer.ok else {}

    def _texts(self, watched: Sequence[Pane]) -> dict[str, tuple[str | None, str | None]] | None:
        """Pane id to its text, or to None and the reason. None for all when the server ended meanwhile."""
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
                    texts[pane_id] = None, f"not captured: {answer.error or 'tmux stopped early'}"
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
            raise TmuxMissingError(f"cannot run {self._binary}: {problem.strerror}") from None
        with process:
            try:
                output, error = process.communicate(
                    None if stdin is None else stdin.encode("utf-8", "surrogateescape"), timeout=self._config.timeout
                )
            except subprocess.TimeoutExpired:
                limit = f"{float(self._config.timeout):g}s"
                raise TmuxTimeoutError(f"tmux did not answer within {limit} (tmux.timeout)") from None
            finally:
                if process.returncode is None:
                    # the whole group, so that no child of a wrapper stays behind
                    os.killpg(process.pid, signal.SIGKILL)
        said = " ".join(error.decode("utf-8", "replace").split())
        return Answer(
            ok=process.returncode == 0,
            output=output.decode("utf-8", "replace"),
            error=said or ("" if process.returncode == 0 else f"exit status {process.returncode}"),
        )


class TmuxControl(TmuxReader):
    """tmux with the commands that change sessions."""

    def __init__(
        self, config: model.Tmux, environ: Mapping[str, str], guard: Callable[[], None] = lambda: None
    ) -> None:
        """`guard` is called before each command that may change something; what it raises stops the command."""
        super().__init__(config, environ)
        self._guard = guard

    def run(
        self, *lines: str, start_server: bool = False, folder: str | None = None, path: str | None = None
    ) -> Answer:
        """Run lines made by `formats.script`. They go through stdin, as arguments may be secrets.

        `folder` (it must exist) and `path` are the working folder and the PATH of the programs that the lines start.
        Without `path` they get the running server's PATH, not the timer unit's. Set `start_server` when no server runs.
        """
        self._guard()
        environ = {name: value for name, value in self._environ.items() if name != "PATH" or start_server}
        if path is not None:
            environ["PATH"] = path
        if folder is not None:
            environ["PWD"] = folder  # tmux keeps the symbolic links that this names
        start = ("start-server", ";") if start_server else ()
        return self._run((*start, "source-file", "-"), "".join(lines), environ, folder)


def _find(binary: str, path: str) -> str:
    # not shutil.which: importing it takes longer than a listing
    if "/" in binary:
        candidates: Iterable[str] = (binary,)
    else:
        candidates = (f"{folder or '.'}/{binary}" for folder in path.split(os.pathsep))
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):  # noqa: PTH112 - pathlib costs start-up
            return candidate
    raise TmuxMissingError(f"tmux is not installed: no program named {binary!r} (tmux.binary)")


def index_in_range(autonomous: model.Autonomous, name: str) -> int | None:
    """The index of the pool session `name`; None for any other name, such as `ccl-auto-011` or `ccl-auto0`."""
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
        # Capturing a pane that has vanished would end the whole batch with an error; `if-shell -F` is just false.
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
                yield f"cannot read pane {pane.pane_id} of {session.name}: {pane.error}"
