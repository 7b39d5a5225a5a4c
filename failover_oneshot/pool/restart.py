"""The restart of sessions: the plan, which is pure and kept in the journal, and its execution, each part repeatable."""

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

_FIELD: Final = re.compile(r"(?<!\$)\{(name|index|account|session_id)\}")

# What keeps a pane open until its environment is in place: it is replaced before the same tmux process ends.
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
    """What has to be restarted to put these existing sessions on `account`, in their order. Pure.

    `blocked` are the names of blocked sessions: a nudge is for them alone. `resume_ids` maps a session's name to the id
    of its conversation. A part that can't be done right is in the plan as failed, with the reason.
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
    """What has to be done to start the agent of a pool session again that has died, in its own pane. Pure."""
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
        return replace(restart, status="failed", note="its start command is not valid UTF-8: set pool command")
    if not command:
        return replace(restart, note="no command is known: it becomes an empty shell")
    return restart


def _program(
    settings: Autonomous | Dedicated, session: Session, pane: Pane, account: str, resume_id: str | None
) -> tuple[str, str]:
    """The command and its working folder."""
    template = settings.resume_command if resume_id and settings.resume_command else settings.command
    if not template:
        return pane.start_command, pane.path
    index = None if session.index is None else str(session.index)
    # where the agent works, which need not be where its shell began
    return _filled(template, session.name, index, account, resume_id), pane.current_path or pane.path


def _filled(template: str, name: str, index: str | None, account: str, session_id: str | None) -> str:
    from shlex import quote

    values = {"name": name, "index": index or "", "account": account, "session_id": session_id or ""}
    return _FIELD.sub(lambda match: quote(values[match[1]]), template)


def missing(
    config: Config, existing: Collection[str], account: str, sibling: str = "", unfit: Collection[str] = ()
) -> tuple[Restart, ...]:
    """The sessions to create so that at least `min` of the range exist: lowest free index first. Pure.

    `existing` holds session names, of the range or not. `sibling`: the start command to use when none is configured.
    `unfit`: names that do not count, and are not to be created.
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
    """Do one part of a plan; the result's status is done or failed, with a note. Safe to repeat.

    When the world shows that it has happened already, nothing is done. `env`: what the session gets in its environment,
    None to take a variable away; it never meets a command line. `agent`: whose prompt a nudge types into.

    Raises TmuxError and TmuxTimeoutError: whether it has happened is then unknown, and `perform` is to be called again.
    """
    if not isinstance(tmux, TmuxControl):
        raise TypeError("a tmux for looking only can't restart anything")
    if restart.status in {"done", "failed"}:
        return restart
    try:
        if restart.action == "nudge":
            return _nudge(tmux, restart, tmux.rows(), agent)
        return _ACTIONS[restart.action](tmux, restart, tmux.rows(), env)
    except ValueError as problem:  # words that can't be said to tmux; nothing has been done
        return replace(restart, status="failed", note=str(problem))


def verify(tmux: TmuxReader, restarts: Sequence[Restart]) -> tuple[Restart, ...]:
    """The same, those marked failed whose session is not there any more: its program ended at once."""
    there = {row.session_name for row in tmux.rows() or () if not row.pane.dead}
    return tuple(
        replace(restart, status="failed", note="its program ended at once")
        if restart.status == "done" and restart.session not in there
        else restart
        for restart in restarts
    )


def _recreate(tmux: TmuxControl, restart: Restart, listing: _Listing, env: _Env) -> Restart:
    rows = _of(listing, restart)
    if not rows:
        return _make(tmux, restart, env, start_server=listing is None)
    if not _as_planned(rows, restart):
        return _done(restart, "it had been made anew already")
    kept = tmux.environment(restart.session_id)
    path = procfs.environ(restart.pane_pid).get("PATH")
    made = _make(tmux, restart, {**kept, **env}, path=path, kill=restart.session_id)
    if made.status != "failed":
        return made
    after = tmux.rows()
    rows = _of(after, restart)
    if not rows:  # killed and not made: it must not stay away
        return _make(tmux, restart, {**kept, **env}, path=path, start_server=after is None)
    if made.note.endswith(f"can't find session: {restart.session_id}") and not _as_planned(rows, restart):
        return _done(restart, "a run that was killed has made it anew")  # by its tmux process, which outlived it
    return made


def _create(tmux: TmuxControl, restart: Restart, listing: _Listing, env: _Env) -> Restart:
    if _of(listing, restart):
        return _done(restart, "it existed already")
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
    """Create the session, in the same tmux process that kills its forerunner: the server never stands empty."""
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
        return _done(restart, "it had been made anew already")
    row = next((row for row in rows if row.pane.pane_id == restart.pane_id), None)
    if row is None:
        return replace(restart, status="failed", note=f"its pane {restart.pane_id} is gone")
    if row.pane.pid != restart.pane_pid:
        return _done(restart, "it had been respawned already")
    hidden, settings, cleanup = _environment(row.session_id, env)
    folder, note = _folder(restart.workdir)
    # -c is expanded as a format; the folder that tmux itself runs in isn't, but counts for new sessions only
    place = ["-c", formats.literal(folder)] if folder != row.pane.path else []
    command = [restart.command] if restart.command else []
    respawn = formats.script(["respawn-pane", "-k", *place, "-t", restart.pane_id, *command]).rstrip("\n")
    # tmux itself compares: the process of a run that was killed may still be on its way to do the same
    same = f"#{{==:#{{pane_pid}},{restart.pane_pid}}}"
    once = ["if-shell", "-F", "-t", restart.pane_id, same, respawn]
    path = procfs.environ(restart.pane_pid).get("PATH")
    answer = tmux.run(*hidden, formats.script(*settings, once), *cleanup, path=path)
    if not answer.ok:
        return replace(restart, status="failed", note=f"tmux: {answer.error}")
    return _done(restart, note or restart.note)


def _nudge(tmux: TmuxControl, restart: Restart, listing: _Listing, agent: Agent | None) -> Restart:
    if agent is None:
        raise TypeError("a nudge has to know whose prompt it types into")
    rows = _of(listing, restart)
    if not rows or not _as_planned(rows, restart):
        return replace(restart, status="failed", note="the session that was blocked is gone")
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
    """Whether this is still the very session that was planned for."""
    return (rows[0].server_pid, rows[0].session_id) == (restart.server_pid, restart.session_id)


def _environment(session: str, env: _Env) -> tuple[list[str], list[list[str]], list[str]]:
    """Lines that hold the values, commands that put them into the session, lines that forget them.

    tmux keeps each command with its arguments for `show-messages`. A `%hidden` assignment is not a command: the values
    pass through such variables, and the commands only name them.
    """
    hidden, commands, cleanup = [], [], []
    for number, (name, value) in enumerate(env.items()):
        if not name or "=" in name:
            raise ValueError(f"{name!r} is no name for an environment variable")
        if value is None:
            commands.append(["set-environment", "-r", "-t", session, name])
            continue
        variable = f"FAILOVER_VALUE_{number}"
        hidden.append(f"%hidden {variable}={formats.quote(value)}\n")
        commands.append(["set-environment", "-F", "-t", session, name, f"#{{{variable}}}"])
        cleanup.append(formats.script(["set-environment", "-g", "-u", variable]))
    return hidden, commands, cleanup


def _folder(workdir: str) -> tuple[str, str]:
    """The folder to work in, and a note when that isn't the wanted one."""
    wanted = Path(workdir or "~").expanduser()
    if wanted.is_dir():
        return str(wanted), ""
    home = Path.home()
    return str(home if home.is_dir() else Path("/")), f"its folder {wanted} is gone: started in the home folder"


def _done(restart: Restart, note: str) -> Restart:
    return replace(restart, status="done", note=note)
