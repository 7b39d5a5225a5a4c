"""Restart sessions: a pure plan, kept in the journal, and its execution, each part of which is safe to repeat."""

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from failover_oneshot.agents.base import Agent
from failover_oneshot.config.model import AfterSwap, Autonomous, Config, Dedicated
from failover_oneshot.lib import procfs
from failover_oneshot.model import Pane, Restart, Role, Session
from failover_oneshot.pool.panes import agent_pane
from failover_oneshot.tmux import formats
from failover_oneshot.tmux.client import TmuxControl, TmuxReader, index_in_range
from failover_oneshot.tmux.formats import PaneRow

log = logging.getLogger("failover")

_FIELD: Final = re.compile(r"(?<!\$)\{(name|index|account|session_id)\}")

# Keeps a new pane open until its environment is set; the same tmux process then replaces it.
_PLACEHOLDER: Final = "exec sleep 60"


_Env = Mapping[str, str | None]
_Listing = Sequence[PaneRow] | None  # every pane of the server; None when no server runs


def plan(
    config: Config,
    sessions: Sequence[Session],
    blocked: Collection[str],
    account: str,
    resume_ids: Mapping[str, str],
) -> tuple[Restart, ...]:
    """The restarts that put these existing sessions on `account`, in their order. Pure.

    `blocked` holds the names of the blocked sessions; only these are nudged. `resume_ids` maps a session's name to the
    id of its conversation. A restart that is impossible is in the plan with status failed and a note that says why.
    """
    restarts = []
    for session in sessions:
        settings = config.pool.autonomous if session.role is Role.POOL else config.dedicated(session.name)
        if settings is None or settings.after_swap is AfterSwap.NONE:
            continue
        if settings.after_swap is AfterSwap.NUDGE and session.name not in blocked:
            continue
        restarts.append(_restart(settings, session, account, resume_ids.get(session.name), settings.after_swap))
    return tuple(restarts)


def revival(config: Config, session: Session, account: str) -> Restart:
    """The restart of a dead pool session's agent in its own pane. Pure."""
    return _restart(config.pool.autonomous, session, account, None, AfterSwap.RESPAWN)


def _restart(
    settings: Autonomous | Dedicated, session: Session, account: str, resume_id: str | None, action: AfterSwap
) -> Restart:
    pane = agent_pane(session)
    restart = Restart(
        session=session.name,
        action=str(action),
        session_id=session.session_id,
        server_pid=session.server_pid,
        pane_id=pane.pane_id,
        pane_pid=pane.pid,
        width=session.width,
        height=session.height,
    )
    if action is AfterSwap.NUDGE:
        return replace(restart, text=" ".join(settings.nudge.split()))
    command, workdir = _program(settings, session, pane, account, resume_id)
    restart = replace(restart, command=command, workdir=workdir)
    if "\ufffd" in command:
        why = "its start command is not valid UTF-8; set `command` in the config"
        return replace(restart, status="failed", note=why)
    if not command:
        return replace(restart, note="no command known; starts a plain shell")
    return restart


def _program(
    settings: Autonomous | Dedicated, session: Session, pane: Pane, account: str, resume_id: str | None
) -> tuple[str, str]:
    """The command to run, and its working folder."""
    template = settings.resume_command if resume_id and settings.resume_command else settings.command
    if not template:
        return pane.start_command, pane.path
    index = None if session.index is None else str(session.index)
    # where the agent works, which may differ from where its shell was started
    return _filled(template, session.name, index, account, resume_id), pane.current_path or pane.path


def _filled(template: str, name: str, index: str | None, account: str, session_id: str | None) -> str:
    from shlex import quote

    values = {"name": name, "index": index or "", "account": account, "session_id": session_id or ""}
    return _FIELD.sub(lambda match: quote(values[match[1]]), template)


def missing(
    config: Config, existing: Collection[str], account: str, sibling: str = "", unfit: Collection[str] = ()
) -> tuple[Restart, ...]:
    """The sessions to create so that at least `min` of the range exist, lowest free index first. Pure.

    `existing` holds session names, in the range or not. `sibling` is the start command if none is configured. Names in
    `unfit` do not count as existing and are not created.
    """
    auto = config.pool.autonomous
    taken = {index for name in {*existing, *unfit} if (index := index_in_range(auto, name)) is not None}
    fit = sum(f"{auto.prefix}{index}" not in unfit for index in taken)
    free = [index for index in range(auto.start_index, auto.start_index + auto.max) if index not in taken]
    return tuple(
        Restart(
            session=(name := f"{auto.prefix}{index}"),
            action="create",
            command=_filled(auto.command, name, str(index), account, None) or sibling,
            workdir=auto.workdir,
        )
        for index in free[: max(0, min(auto.min, auto.max) - fit)]
    )


def perform(tmux: TmuxReader, restart: Restart, env: _Env, agent: Agent | None = None) -> Restart:
    """Carry out one restart; the result has status done or failed, and a note. Safe to repeat.

    A restart that tmux shows as done already is not repeated. `env` holds the session's variables (None removes one);
    they never appear on a command line. `agent` knows the prompt that a nudge types into.

    Raises TmuxError and TmuxTimeoutError. Whether the restart happened is then unknown; call `perform` again.
    """
    if not isinstance(tmux, TmuxControl):
        raise TypeError("a read-only tmux cannot restart sessions")
    if restart.status in {"done", "failed"}:
        return restart
    try:
        if restart.action == "nudge":
            return _nudge(tmux, restart, tmux.rows(), agent)
        return _ACTIONS[restart.action](tmux, restart, tmux.rows(), env)
    except ValueError as problem:  # text that cannot be passed to tmux; nothing was done
        return replace(restart, status="failed", note=str(problem))


def verify(tmux: TmuxReader, restarts: Sequence[Restart]) -> tuple[Restart, ...]:
    """The restarts; those whose session is gone already are failed, because their program exited at once."""
    there = {row.session_name for row in tmux.rows() or () if not row.pane.dead}
    return tuple(
        replace(restart, status="failed", note="its program exited at once")
        if restart.status == "done" and restart.session not in there
        else restart
        for restart in restarts
    )


def log_result(restart: Restart) -> None:
    """Log one line about a session that was restarted or created, or could not be."""
    if restart.status == "failed":
        log.warning("%s: %s failed: %s", restart.session, restart.action, restart.note)
    else:
        note = f" ({restart.note})" if restart.note else ""
        log.info("%s: %s %s%s", restart.session, restart.action, restart.status, note)


def _recreate(tmux: TmuxControl, restart: Restart, listing: _Listing, env: _Env) -> Restart:
    rows = _of(listing, restart)
    if not rows:
        return _make(tmux, restart, env, start_server=listing is None)
    if not _as_planned(rows, restart):
        return _done(restart, "already recreated")
    kept = tmux.environment(restart.session_id)
    path = procfs.environ(restart.pane_pid).get("PATH")
    made = _make(tmux, restart, {**kept, **env}, path=path, kill=restart.session_id)
    if made.status != "failed":
        return made
    after = tmux.rows()
    rows = _of(after, restart)
    if not rows:  # killed but not created: it must come back
        return _make(tmux, restart, {**kept, **env}, path=path, start_server=after is None)
    if made.note.endswith(f"can't find session: {restart.session_id}") and not _as_planned(rows, restart):
        return _done(restart, "recreated by an interrupted check")  # whose tmux process outlived it
    return made


def _create(tmux: TmuxControl, restart: Restart, listing: _Listing, env: _Env) -> Restart:
    if _of(listing, restart):
        return _done(restart, "already exists")
    return _make(tmux, restart, env, start_server=listing is None)


def _make(
    tmux: TmuxControl,
    restart: Restart,
    env: _Env,
    *,
    path: str | None = None,
    kill: str | None = None,
    start_server: bool = False,
) -> Restart:
    """Create the session in the tmux process that kills the old one, so that the server never runs out of sessions."""
    exact = f"={restart.session}"
    folder, note = _folder(restart.workdir)
    first = _PLACEHOLDER if restart.command and env else restart.command
    commands = [["kill-session", "-t", kill]] if kill else []
    size = ["-x", str(restart.width), "-y", str(restart.height)]
    commands.append(
        ["new-session", "-d", "-E", "-s", formats.literal(restart.session), *size, *([first] if first else [])]
    )
    hidden, settings, cleanup = _environment(exact, env)
    commands += settings
    if env:
        commands.append(["respawn-pane", "-k", "-t", f"{exact}:", *([restart.command] if restart.command else [])])
    answer = tmux.run(*hidden, formats.script(*commands), *cleanup, start_server=start_server, folder=folder, path=path)
    if not answer.ok:
        return replace(restart, status="failed", note=f"tmux: {answer.error}")
    return _done(restart, note or restart.note)


def _respawn(tmux: TmuxControl, restart: Restart, listing: _Listing, env: _Env) -> Restart:
    rows = _of(listing, restart)
    if not rows:
        return replace(restart, status="failed", note="the session is gone")
    if not _as_planned(rows, restart):
        return _done(restart, "already recreated")
    row = next((row for row in rows if row.pane.pane_id == restart.pane_id), None)
    if row is None:
        return replace(restart, status="failed", note=f"its pane {restart.pane_id} is gone")
    if row.pane.pid != restart.pane_pid:
        return _done(restart, "already respawned")
    hidden, settings, cleanup = _environment(row.session_id, env)
    folder, note = _folder(restart.workdir)
    # tmux expands -c as a format. It does not expand its own working folder, but that counts for new sessions only.
    place = ["-c", formats.literal(folder)] if folder != row.pane.path else []
    command = [restart.command] if restart.command else []
    respawn = formats.script(["respawn-pane", "-k", *place, "-t", restart.pane_id, *command]).rstrip("\n")
    # tmux itself compares the process id: the tmux process of a killed run may still be about to do the same
    same = f"#{{==:#{{pane_pid}},{restart.pane_pid}}}"
    once = ["if-shell", "-F", "-t", restart.pane_id, same, respawn]
    path = procfs.environ(restart.pane_pid).get("PATH")
    answer = tmux.run(*hidden, formats.script(*settings, once), *cleanup, path=path)
    if not answer.ok:
        return replace(restart, status="failed", note=f"tmux: {answer.error}")
    return _done(restart, note or restart.note)


def _nudge(tmux: TmuxControl, restart: Restart, listing: _Listing, agent: Agent | None) -> Restart:
    if agent is None:
        raise TypeError("a nudge needs an agent")
    rows = _of(listing, restart)
    if not rows or not _as_planned(rows, restart):
        return replace(restart, status="failed", note="the blocked session is gone")
    from failover_oneshot.pool.typist import nudge

    return nudge(tmux, restart, agent)


_ACTIONS: Final[Mapping[str, Callable[[TmuxControl, Restart, _Listing, _Env], Restart]]] = {
    "recreate": _recreate,
    "respawn": _respawn,
    "create": _create,
}


def _of(listing: _Listing, restart: Restart) -> list[PaneRow]:
    return [row for row in listing or () if row.session_name == restart.session]


def _as_planned(rows: Sequence[PaneRow], restart: Restart) -> bool:
    """Whether this is still the session of the plan, not a new one with its name."""
    return (rows[0].server_pid, rows[0].session_id) == (restart.server_pid, restart.session_id)


def _environment(session: str, env: _Env) -> tuple[list[str], list[list[str]], list[str]]:
    """Lines that assign the values, commands that copy them into the session, and lines that clear them.

    tmux keeps each command with its arguments for `show-messages`. A `%hidden` assignment is not a command. So the
    values pass through hidden variables, and the commands only name these.
    """
    hidden, commands, cleanup = [], [], []
    for number, (name, value) in enumerate(env.items()):
        if not name or "=" in name:
            raise ValueError(f"not a valid variable name: {name!r}")
        if value is None:
            commands.append(["set-environment", "-r", "-t", session, name])
            continue
        variable = f"FAILOVER_VALUE_{number}"
        hidden.append(f"%hidden {variable}={formats.quote(value)}\n")
        commands.append(["set-environment", "-F", "-t", session, name, f"#{{{variable}}}"])
        cleanup.append(formats.script(["set-environment", "-g", "-u", variable]))
    return hidden, commands, cleanup


def _folder(workdir: str) -> tuple[str, str]:
    """The working folder, and a note when it is not the wanted one."""
    wanted = Path(workdir or "~").expanduser()
    if wanted.is_dir():
        return str(wanted), ""
    home = Path.home()
    home = home if home.is_dir() else Path("/")
    return str(home), f"folder {wanted} does not exist; started in {home}"


def _done(restart: Restart, note: str) -> Restart:
    return replace(restart, status="done", note=note)
