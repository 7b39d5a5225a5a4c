"""Typing a text to a blocked agent: only ever into an empty, idle prompt, and only after looking."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from failover_oneshot.detection.screen import PLACEHOLDERS, Screen, parse
from failover_oneshot.lib import procfs
from failover_oneshot.model import Restart
from failover_oneshot.tmux import formats
from failover_oneshot.tmux.client import Control

PATIENCE: Final = 5.0  # seconds for the client to show what a key did
_POLL: Final = 0.05

# The client waits for the reset by itself, and says so in its last lines; DETECTION, "What is known about swapping".
_WAITING: Final = "continuing automatically at"
_LAST_LINES: Final = 10


class _RefusedError(Exception):
    """Nothing (more) may be typed, and why."""


class View:
    """The pane at one instant."""

    def __init__(self, screen: Screen, text: str) -> None:
        self.screen = screen
        self.waits = any(_WAITING in line.lower() for line in text.rstrip().split("\n")[-_LAST_LINES:])

    @property
    def may_escape(self) -> bool:
        """Whether Escape leaves the limit's own wait or menu; another menu may be a question of permission."""
        menu = (self.screen.menu or "").lower()
        return self.screen.structured and not self.screen.draft and ("limit" in menu if menu else self.waits)

    def holds(self, text: str) -> bool:
        """Whether `text` stands in the box, wrapped as it may be."""
        return folded(self.screen.draft) == folded(text)

    @property
    def obstacle(self) -> str:
        """What keeps us from typing; "" at an empty, idle prompt."""
        if not self.screen.structured:
            return "the screen is not understood"
        if self.screen.draft:
            return "a draft stands in the prompt"
        if self.screen.busy:
            return "it works"
        if self.screen.menu:
            return "a menu is open"
        if self.waits:
            return "it waits"
        return "" if self._prompt_stands_empty else "there is no empty prompt"

    @property
    def _prompt_stands_empty(self) -> bool:
        """A positive sign: any other dialogue, such as `❯ 1. Yes`, may act on single letters."""
        boxed = (line.strip("│ ") for line in self.screen.lines[-_LAST_LINES:])
        return any(line[:1] in {"❯", ">"} and _is_empty(line[1:].strip()) for line in boxed)


def folded(text: str) -> str:
    """A text without its white space: how a screen wraps it does not matter."""
    return "".join(text.split())


def _is_empty(draft: str) -> bool:
    return not draft or draft.lower().startswith(PLACEHOLDERS)


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
    view = _look(tmux, restart)
    if view.screen.structured and view.screen.busy:
        return "it works already"
    if restart.status == "started":  # a run was killed while it typed: never the same text twice
        if folded(view.screen.prompt) == folded(restart.text):
            return "the run before had sent it"
        if view.holds(restart.text):
            return _enter(tmux, restart)
    if view.may_escape:
        _press(tmux, restart, "Escape")
        view = _until(tmux, restart, lambda view: not view.obstacle)
    if view.obstacle:
        raise _RefusedError(f"{view.obstacle}: nothing typed")
    _press(tmux, restart, "-l", "--", restart.text)
    if not _until(tmux, restart, lambda view: view.holds(restart.text)).holds(restart.text):
        raise _RefusedError("the text did not appear in the prompt: Enter not pressed")
    return _enter(tmux, restart)


def _enter(tmux: Control, restart: Restart) -> str:
    _press(tmux, restart, "Enter")
    if _until(tmux, restart, lambda view: not view.holds(restart.text)).holds(restart.text):
        raise _RefusedError("the text still stands in the prompt after Enter")
    return ""


def _look(tmux: Control, restart: Restart) -> View:
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
    return View(parse(text, row.pane.title), text)


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


def _until(tmux: Control, restart: Restart, wanted: Callable[[View], bool]) -> View:
    """The first view that is as wanted, else the last one before the patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not wanted(view := _look(tmux, restart)) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return view


def _press(tmux: Control, restart: Restart, *keys: str) -> None:
    answer = tmux.run(formats.script(["send-keys", "-t", restart.pane_id, *keys]))
    if not answer.ok:
        raise _RefusedError(f"tmux: {answer.error}")
