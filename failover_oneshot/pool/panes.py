"""Find a session's agent pane, and whether the agent runs in it. Reads /proc where a shell is in the foreground."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from failover_oneshot.config.model import Autonomous, Config
from failover_oneshot.lib import procfs
from failover_oneshot.model import Pane, Role, Session
from failover_oneshot.tmux import formats


class PaneTarget(Protocol):
    """One process in one pane of one server; tmux may reuse the pane's id for another."""

    @property
    def server_pid(self) -> int: ...

    @property
    def pane_id(self) -> str: ...

    @property
    def pane_pid(self) -> int: ...


def is_target(target: PaneTarget, server_pid: int, pane: Pane) -> bool:
    """Whether a pane observed just now is still the target, with the same live process."""
    seen = (server_pid, pane.pane_id, pane.pid)
    return not pane.dead and seen == (target.server_pid, target.pane_id, target.pane_pid)


def agent_pane(session: Session) -> Pane:
    """The agent's pane: live panes first, then panes without a shell, then the active one."""
    return min(session.panes, key=lambda p: (p.dead, formats.is_shell(p.command), not p.active))


def of_the_pool(sessions: Sequence[Session]) -> list[Session]:
    """The sessions of the range."""
    return [session for session in sessions if session.role is Role.POOL]


def dead_ones(config: Config, sessions: Sequence[Session], proc: Path = procfs.PROC) -> dict[str, str]:
    """The pool sessions whose agent is gone: name to why, such as `its pane was dead`."""
    found = {}
    for session in sessions:
        pane = agent_pane(session)
        if pane.dead:
            found[session.name] = "its pane was dead"
        elif has_exited(pane, agent_name(config.pool.autonomous, pane), proc):
            found[session.name] = f"its agent had exited to a shell ({pane.command})"
    return found


def agent_name(autonomous: Autonomous, pane: Pane) -> str:
    """The agent's process name: as configured, else the first word of the start command; "" for a shell or none."""
    if autonomous.agent_process:
        return autonomous.agent_process
    for word in (autonomous.command or pane.start_command).split():
        name = word.strip("\"'").rpartition("/")[2]
        if "=" not in word and name not in {"exec", "env", "command", "nice", "setsid"}:
            return "" if formats.is_shell(name) else name
    return ""


def has_exited(pane: Pane, agent: str, proc: Path = procfs.PROC) -> bool:
    """Whether the agent has exited and left a shell at its prompt."""
    if not agent or pane.command.removeprefix("-") == agent:
        return False
    return at_a_shell_prompt(pane, proc) is True


def at_a_shell_prompt(pane: Pane, proc: Path = procfs.PROC) -> bool | None:
    """Whether the foreground program is a shell that waits for commands; None when /proc does not say.

    A shell that runs a script does not count: the script may start the agent, or be it.
    """
    if not formats.is_shell(pane.command) or has_company(pane.pid, proc):
        return False
    process = procfs.process(pane.pid, proc)
    command = procfs.arguments(process.foreground_group, proc) if process else None
    if command is None:
        return None
    return all(argument.startswith(b"-") and b"c" not in argument.partition(b"--")[0] for argument in command[1:])


def has_company(pane_pid: int, proc: Path = procfs.PROC) -> bool:
    """Whether another program runs in the shell's foreground group.

    tmux names the leader of that group. This is `sh` too where the shell stays behind its command line
    (`sh -c 'claude; …'`). At its own prompt a shell is alone in its group.
    """
    pane = procfs.process(pane_pid, proc)
    if pane is None:
        return False
    others = (procfs.process(pid, proc) for pid in procfs.pids(proc) if pid != pane.foreground_group)
    return any(other is not None and other.group == pane.foreground_group for other in others)
