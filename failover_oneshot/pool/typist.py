"""Type into agents' prompts: only into empty, idle ones, and each key only after the screen shows the last.

The typing of one text is a generator. It yields tmux commands and receives what its pane shows after them. `carry_out`
advances any number of them side by side.
"""

import os
import time
from collections.abc import Callable, Generator, Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.agents.base import Agent, Prompt
from failover_oneshot.lib import procfs
from failover_oneshot.model import Pane, Restart
from failover_oneshot.pool.panes import PaneTarget, at_a_shell_prompt, is_target
from failover_oneshot.tmux import formats
from failover_oneshot.tmux.client import TmuxControl
from failover_oneshot.tmux.formats import SYNCHRONIZED, PaneRow

PATIENCE: Final = 5.0  # seconds for an agent to show the effect of a key
_POLL: Final = 0.05

WORKS: Final = "the agent is working"
WAITS: Final = "the agent is waiting for a reset"


class PaneView(Struct, frozen=True, kw_only=True):
    """What a pane shows at one moment, and what forbids typing into it."""

    pane: Pane | None  # None: gone, or with another process
    prompt: Prompt

    @property
    def forbidden(self) -> str:
        """Why keys would not reach the agent alone, or "". May read /proc, so ask only before keys are pressed."""
        return _forbidden(self.pane) if self.pane else ""


class TypingEnd(Enum):
    """How the typing of a text ended."""

    TAKEN = "taken"  # the agent has it
    REFUSED = "refused"  # no key was pressed
    NOT_SHOWN = "not shown"  # typed but never seen in the prompt; Enter was not pressed
    NOT_ENTERED = "not entered"  # in the prompt; Enter was not pressed
    NOT_TAKEN = "not taken"  # still in the prompt after Enter
    GONE = "gone"  # the pane vanished, or the text was withdrawn, after it was typed


class Typed(Struct, frozen=True):
    """The end of one typing. ``before`` is the conversation's fingerprint when Enter was pressed."""

    end: TypingEnd
    why: str = ""
    before: str = ""


Typing = Generator[str, PaneView, Typed]
"""Yields lines for tmux ("" for none) and receives what the pane shows after them."""


class PutText(Struct, frozen=True):
    """The tmux commands that put a text into a prompt, and the ones that clean up after a failure."""

    lines: str
    undo: str = ""


class Job(Struct, frozen=True, kw_only=True):
    """A text for one pane. The functions connect the typing with the caller's own records."""

    target: PaneTarget
    text: str
    patience: float  # seconds for the text to be shown, and again to be taken
    put: Callable[[], PutText]
    gone: str  # the message for a pane that vanished
    withdrawn: Callable[[], str] = lambda: ""  # why the text is no longer wanted
    entering: Callable[[str], None] = lambda _: None  # called with the fingerprint before Enter is pressed
    recorded: Callable[[], bool] = lambda: False  # whether the agent's records show that it took the text


def typing_obstacle(pane: Pane, prompt: Prompt, proc: Path = procfs.PROC) -> str:
    """Why a text must not be typed into this pane; "" at an agent's empty, idle prompt."""
    return _forbidden(pane, proc) or _obstacle(prompt)


def carry_out(tmux: TmuxControl, agent: Agent, typings: Sequence[tuple[Job, Typing]]) -> list[Typed]:
    """Carry out all typings side by side; returns their ends in the same order.

    Raises TmuxError and TmuxTimeoutError. How far each typing had come is then unknown.
    """
    found: dict[int, Typed] = {}
    for _, typing in typings:
        next(typing)
    while True:
        todo = {number: pair for number, pair in enumerate(typings) if number not in found}
        rows = tmux.panes({job.target.pane_id for job, _ in todo.values()})
        lines = ""
        for number, (job, typing) in todo.items():
            try:
                lines += typing.send(_view(job.target, rows, agent))
            except StopIteration as end:
                found[number] = end.value
        if lines:
            tmux.run(lines)
        if len(found) == len(typings):
            return [found[number] for number in range(len(typings))]
        time.sleep(_POLL)


def type_text(view: PaneView, job: Job) -> Typing:
    """Put the text in, wait until the prompt shows it, press Enter, wait until it is taken."""
    if why := _gone(view, job) or view.forbidden or _obstacle(view.prompt):
        return Typed(TypingEnd.REFUSED, why)
    put = job.put()
    view = yield from _after(put.lines, lambda view: view.prompt.holds(job.text), job)
    typed = yield from press_enter(view, job)
    if put.undo and typed.end in {TypingEnd.NOT_SHOWN, TypingEnd.GONE}:
        yield put.undo
    return typed


def look_and_type(job: Job) -> Typing:
    """Observe the pane, then type the text as `type_text` does."""
    view = yield ""
    return (yield from type_text(view, job))


def send_typed(job: Job) -> Typing:
    """Press Enter for a text that is in the prompt already."""
    view = yield from _after("", lambda view: view.prompt.holds(job.text), job)
    return (yield from press_enter(view, job))


def press_enter(view: PaneView, job: Job) -> Typing:
    """Press Enter if the prompt holds the text, and wait until it is taken: gone from the prompt, and a new screen."""
    if why := _gone(view, job):
        return Typed(TypingEnd.GONE, why)
    if not view.prompt.holds(job.text):
        return Typed(TypingEnd.NOT_SHOWN)
    if why := view.forbidden:
        return Typed(TypingEnd.NOT_ENTERED, f"{why}; Enter not pressed")
    before = view.prompt.fingerprint
    job.entering(before)
    view = yield from _after(keys(job.target, "Enter"), lambda view: _taken(view.prompt, job, before), job)
    if why := _gone(view, job):
        return Typed(TypingEnd.GONE, why)
    return Typed(TypingEnd.NOT_TAKEN if view.prompt.holds(job.text) else TypingEnd.TAKEN, before=before)


def keys(target: PaneTarget, *words: str) -> str:
    """The tmux line that presses these keys."""
    return formats.script(["send-keys", "-t", target.pane_id, *words])


def paste(target: PaneTarget, text: str, folder: Path) -> PutText:
    """One bracketed paste, so that nothing in the text acts as a key. The text passes through a file in `folder`."""
    name = f"failover-{os.urandom(8).hex()}"
    file = folder / name
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        output.write(text.encode())
    # -r keeps line feeds. tmux would turn them into carriage returns: Enter, where bracketed paste is off.
    return PutText(
        formats.script(
            ["load-buffer", "-b", name, formats.literal(str(file))],
            ["paste-buffer", "-p", "-r", "-d", "-b", name, "-t", target.pane_id],
        ),
        formats.script(["delete-buffer", "-b", name]),  # a failed paste leaves the text in tmux's buffers
    )


def nudge(tmux: TmuxControl, restart: Restart, agent: Agent) -> Restart:
    """Leave the limit's menu or wait with Escape, type the text, press Enter.

    Never types into a draft, a menu, a shell or an unknown screen: the status is then failed, and the note says why. An
    agent that is working already is done. Raises TmuxError and TmuxTimeoutError.
    """
    job = Job(
        target=restart,
        text=restart.text,
        patience=PATIENCE,
        put=lambda: PutText(keys(restart, "-l", "--", restart.text)),
        gone="the blocked pane is gone",
    )
    (typed,) = carry_out(tmux, agent, [(job, _nudge(job, started=restart.status == "started"))])
    return replace(restart, status="done" if typed.end is TypingEnd.TAKEN else "failed", note=_note(typed))


def _nudge(job: Job, *, started: bool) -> Typing:
    view = yield ""
    if view.pane is None:
        return Typed(TypingEnd.GONE, job.gone)
    if why := view.forbidden:
        return Typed(TypingEnd.REFUSED, why)
    if view.prompt.recognized and view.prompt.busy:
        return Typed(TypingEnd.TAKEN, "already working")
    if started:  # a run was killed while it typed; never send the same text twice
        if view.prompt.shows(job.text):
            return Typed(TypingEnd.TAKEN, "already sent by an interrupted check")
        if view.prompt.holds(job.text):
            return (yield from press_enter(view, job))
    if view.prompt.may_escape:
        view = yield from _after(keys(job.target, "Escape"), lambda view: not _obstacle(view.prompt), job)
    if view.pane is None:
        return Typed(TypingEnd.GONE, job.gone)
    return (yield from type_text(view, job))


def _note(typed: Typed) -> str:
    match typed.end:
        case TypingEnd.REFUSED:
            return f"{typed.why}; text not typed"
        case TypingEnd.NOT_SHOWN:
            return "the text did not appear in the prompt; Enter not pressed"
        case TypingEnd.NOT_TAKEN:
            return "the text is still in the prompt after Enter"
        case _:
            return typed.why


def _view(target: PaneTarget, rows: dict[str, PaneRow], agent: Agent) -> PaneView:
    row = rows.get(target.pane_id)
    if row is None or not is_target(target, row.server_pid, row.pane):
        return PaneView(pane=None, prompt=agent.prompt("", ""))
    return PaneView(pane=row.pane, prompt=agent.prompt(row.pane.text or "", row.pane.title))


def _after(lines: str, wanted: Callable[[PaneView], bool], job: Job) -> Generator[str, PaneView, PaneView]:
    """What the pane shows after these lines, once it is as wanted, is gone, or patience has run out."""
    deadline = time.monotonic() + job.patience
    view = yield lines
    while not (_gone(view, job) or wanted(view)) and time.monotonic() < deadline:
        view = yield ""
    return view


def _gone(view: PaneView, job: Job) -> str:
    return job.gone if view.pane is None else job.withdrawn()


def _taken(prompt: Prompt, job: Job, before: str) -> bool:
    if prompt.holds(job.text):
        return False
    return prompt.busy or prompt.fingerprint != before or job.recorded()


def _forbidden(pane: Pane, proc: Path = procfs.PROC) -> str:
    """Why keys would not reach the agent alone; "" if they would."""
    if pane.dead or pane.text is None:
        return "cannot read the pane"
    if pane.mode:
        return "the pane is synchronized with others" if pane.mode == SYNCHRONIZED else f"the pane is in {pane.mode}"
    if at_a_shell_prompt(pane, proc) is not False:
        return f"a shell ({pane.command}) is in the foreground"
    return ""


def _obstacle(prompt: Prompt) -> str:
    if not prompt.recognized:
        return "the screen is not recognized"
    if prompt.draft:
        return "the prompt holds a draft"
    if prompt.busy:
        return WORKS
    if prompt.menu:
        return "a menu is open"
    if prompt.waits:
        return WAITS
    return "" if prompt.empty else "no empty prompt"
