"""Typing a text to a blocked agent: only ever into an empty, idle prompt, and only after looking."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from failover_oneshot.agents import registry
from failover_oneshot.agents.base import Prompt
from failover_oneshot.lib import procfs
from failover_oneshot.model import Restart
from failover_oneshot.tmux import formats
from failover_oneshot.tmux.client import Control

PATIENCE: Final = 5.0  # seconds for the client to show what a key did
_POLL: Final = 0.05


class _RefusedError(Exception):
    """Nothing (more) may be typed, and why."""


def obstacle(prompt: Prompt) -> str:
    """What keeps us from typing; "" at an empty, idle prompt."""
    if not prompt.recognized:
        return "the screen is not understood"
    if prompt.draft:
        return "a draft stands in the prompt"
    if prompt.busy:
        return "it works"
    if prompt.menu:
        return "a menu is open"
    if prompt.waits:
        return "it waits"
    return "" if prompt.empty else "there is no empty prompt"


def nudge(tmux: Control, restart: Restart) -> Restart:
    """Escape from the limit's menu or wait, then the text, then Enter, each seen on the screen before the next.

    Nothing is typed into a draft, a menu or a shell, nor where the screen isn't understood: the status is then failed
    and the note says why. An agent that works already is done. Raises TmuxError and TmuxTimeoutError.
    """
    try:
        return replace(restart, status="done", note=_nudge(tmux, restart))
    except _RefusedError as refused:
        return replace(restart, status="failed", note=str(refused))


def _nudge(tmux: Control, restart: Restart) -> str:
    prompt = _look(tmux, restart)
    if prompt.recognized and prompt.busy:
        return "it works already"
    if restart.status == "started":  # a run was killed while it typed: never the same text twice
        if prompt.shows(restart.text):
            return "the run before had sent it"
        if prompt.holds(restart.text):
            return _enter(tmux, restart)
    if prompt.may_escape:
        _press(tmux, restart, "Escape")
        prompt = _until(tmux, restart, lambda prompt: not obstacle(prompt))
    if why := obstacle(prompt):
        raise _RefusedError(f"{why}: nothing typed")
    _press(tmux, restart, "-l", "--", restart.text)
    if not _until(tmux, restart, lambda prompt: prompt.holds(restart.text)).holds(restart.text):
        raise _RefusedError("the text did not appear in the prompt: Enter not pressed")
    return _enter(tmux, restart)


def _enter(tmux: Control, restart: Restart) -> str:
    _press(tmux, restart, "Enter")
    if _until(tmux, restart, lambda prompt: not prompt.holds(restart.text)).holds(restart.text):
        raise _RefusedError("the text still stands in the prompt after Enter")
    return ""


def _look(tmux: Control, restart: Restart) -> Prompt:
    """The pane now, with everything about it that forbids typing checked anew."""
    row = next((row for row in tmux.rows() or () if row.pane.pane_id == restart.pane_id), None)
    if row is None or (row.server_pid, row.pane.pid) != (restart.server_pid, restart.pane_pid) or row.pane.dead:
        raise _RefusedError("the pane that was blocked is gone")
    if formats.is_shell(row.pane.command) and not has_company(row.pane.pid):
        raise _RefusedError(f"a shell ({row.pane.command}) is in front: nothing typed")
    if row.pane.mode:
        raise _RefusedError(f"the pane is in {row.pane.mode}: nothing typed")
    text = tmux.capture(row.pane)
    if text is None:
        raise _RefusedError("the pane can't be read: nothing typed")
    return registry.agent().prompt(text, row.pane.title)


def has_company(pane_pid: int, proc: Path = procfs.PROC) -> bool:
    """Whether a program runs in the foreground beside the shell that leads it.

    tmux names the leader of the foreground group. That is `sh` too where a session was started by a command line that
    the shell stays behind (`sh -c 'claude; …'`); at its own prompt a shell is alone in its group.
    """
    pane = procfs.process(pane_pid, proc)
    if pane is None:
        return False
    others = (procfs.process(pid, proc) for pid in procfs.pids(proc) if pid != pane.foreground_group)
    return any(other is not None and other.group == pane.foreground_group for other in others)


def _until(tmux: Control, restart: Restart, wanted: Callable[[Prompt], bool]) -> Prompt:
    """The first prompt that is as wanted, else the last one before the patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not wanted(prompt := _look(tmux, restart)) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return prompt


def _press(tmux: Control, restart: Restart, *keys: str) -> None:
    answer = tmux.run(formats.script(["send-keys", "-t", restart.pane_id, *keys]))
    if not answer.ok:
        raise _RefusedError(f"tmux: {answer.error}")
