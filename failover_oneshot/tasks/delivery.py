"""Texts into agents' prompts, many at once: pasted, seen in the box, Enter, seen to be taken; each step recorded first.

A text is one bracketed paste: whatever stands in it, no key is pressed by it. Killed anywhere, the task's record says
how far it had come, and the next check looks at the pane (tasks.judge).
"""

import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from msgspec.structs import replace

from failover_oneshot.agents.base import Agent, Prompt, PromptState
from failover_oneshot.config.model import Pool
from failover_oneshot.lib import atomicfile
from failover_oneshot.model import Pane
from failover_oneshot.tasks import availability
from failover_oneshot.tasks.spool import RUNNING, Spool
from failover_oneshot.tasks.task import Place, Record, Step
from failover_oneshot.tmux import formats
from failover_oneshot.tmux.client import Control

PATIENCE: Final = 10.0  # seconds for an agent to show a paste, and again to show that it took it
_POLL: Final = 0.05

log = logging.getLogger("failover")


class Phase(Enum):
    CLAIMED = "claimed"  # in running/, nothing typed yet
    PASTED = "pasted"
    ENTERED = "entered"
    TAKEN = "taken"  # the end, and a good one
    REFUSED = "refused"  # nothing was typed
    LOST = "lost"  # pasted, and not seen to arrive: Enter was not pressed
    OPEN = "open"  # Enter was pressed, or the agent went away: the next check will see

    @property
    def over(self) -> bool:
        return self not in {Phase.CLAIMED, Phase.PASTED, Phase.ENTERED}


class Delivery:
    """One task on its way into one pane."""

    def __init__(self, name: str, text: str, record: Record, phase: Phase = Phase.CLAIMED) -> None:
        if record.place is None or record.session is None:
            raise ValueError("a task on its way has a place")
        self.name, self.text, self.record, self.phase = name, text, record, phase
        self.place: Place = record.place
        self.session: str = record.session
        self.why = ""
        self.deadline = time.monotonic() + PATIENCE
        self.buffer = ""  # tmux's, which holds the text until it is pasted


class HandOut:
    """Carries deliveries through to their end. Raises TmuxError and TmuxTimeoutError; each record then tells."""

    def __init__(self, tmux: Control, pool: Pool, spool: Spool, agent: Agent) -> None:
        self.tmux, self.pool, self.spool, self.agent = tmux, pool, spool, agent
        self.folder = spool.folder / ".paste"

    def run(self, deliveries: Iterable[Delivery]) -> None:
        """All of them, side by side."""
        todo = everything = list(deliveries)
        self._make_folder()
        try:
            while todo := [delivery for delivery in todo if not delivery.phase.over]:
                found = availability.by_id(self.tmux.observe(self.pool).sessions)
                lines: list[str] = []
                for delivery in todo:
                    pane = availability.still_there(delivery.place, found)
                    lines += self._step(delivery, pane, availability.shown_prompt(self.agent, pane) if pane else None)
                if lines:
                    self.tmux.run(*lines)
                if any(not delivery.phase.over for delivery in todo):
                    time.sleep(_POLL)
            # Pasting takes the text out of tmux's buffers; where it failed, it is taken out here.
            for delivery in everything:
                if delivery.buffer and delivery.phase in {Phase.LOST, Phase.OPEN}:
                    self.tmux.run(formats.script(["delete-buffer", "-b", delivery.buffer]))
        finally:
            self._clear_folder()

    def _step(self, delivery: Delivery, pane: Pane | None, prompt: Prompt | None) -> list[str]:
        """The next step of one delivery; the tmux commands that make it."""
        if pane is None or prompt is None:
            self._end(delivery, Phase.REFUSED if delivery.phase is Phase.CLAIMED else Phase.OPEN, "its agent is gone")
            return []
        if not (self.spool.folder / RUNNING / delivery.name).exists():
            self._end(delivery, Phase.OPEN, "it was taken out of running/ meanwhile")
            return []
        late = time.monotonic() > delivery.deadline
        match delivery.phase:
            case Phase.CLAIMED:
                return self._paste(delivery, pane, prompt)
            case Phase.PASTED if prompt.holds(delivery.text):
                return self._enter(delivery, prompt)
            case Phase.PASTED if late:
                sure = delivery.record.step is Step.PASTING  # Enter was not pressed, by a run before either
                self._end(delivery, Phase.LOST if sure else Phase.OPEN, "the text did not arrive in its prompt")
            case Phase.ENTERED if self._taken(delivery, prompt, late):
                self._note(delivery, replace(delivery.record, step=Step.SENT, sent_at=datetime.now(UTC)))
                self._end(delivery, Phase.TAKEN, "")
            case Phase.ENTERED if late:
                self._end(delivery, Phase.OPEN, "the text still stands in its prompt after Enter")
            case _:
                pass
        return []

    def _paste(self, delivery: Delivery, pane: Pane, prompt: Prompt) -> list[str]:
        if why := availability.typing_obstacle(pane, prompt):
            self._end(delivery, Phase.REFUSED, why)
            return []
        name = f"failover-{os.urandom(8).hex()}"
        file = self.folder / name
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as paste:
            paste.write(delivery.text.encode())
        delivery.buffer = name
        delivery.phase, delivery.deadline = Phase.PASTED, time.monotonic() + PATIENCE
        # -r: a line feed stays one, else tmux makes it a carriage return, which is Enter where no bracket is understood
        return [
            formats.script(
                ["load-buffer", "-b", name, formats.literal(str(file))],
                ["paste-buffer", "-p", "-r", "-d", "-b", name, "-t", delivery.place.pane_id],
            )
        ]

    def _enter(self, delivery: Delivery, prompt: Prompt) -> list[str]:
        before = prompt.fingerprint
        self._note(delivery, replace(delivery.record, step=Step.ENTERING, before=before))
        delivery.phase, delivery.deadline = Phase.ENTERED, time.monotonic() + PATIENCE
        return [formats.script(["send-keys", "-t", delivery.place.pane_id, "Enter"])]

    def _taken(self, delivery: Delivery, prompt: Prompt, late: bool) -> bool:
        """Whether the agent has taken the text: it is gone from the box, and something shows for it."""
        if prompt.holds(delivery.text):
            return False
        if late or prompt.busy or prompt.fingerprint != delivery.record.before:
            return True
        place = delivery.place
        if not place.transcript:
            return False
        said = self.agent.prompt_state(place.transcript, place.offset, delivery.text)
        return said not in {PromptState.NONE, PromptState.ABSENT}

    def _note(self, delivery: Delivery, record: Record) -> None:
        delivery.record = record
        self.spool.update(RUNNING, delivery.name, record)

    def _end(self, delivery: Delivery, phase: Phase, why: str) -> None:
        delivery.phase, delivery.why = phase, why

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._empty_folder()

    def _empty_folder(self) -> None:
        for path in self.folder.iterdir():  # of a run that was killed, too: the state's lock is ours
            atomicfile.remove(path)

    def _clear_folder(self) -> None:
        self._empty_folder()
        with suppress(OSError):  # somebody has put a folder there
            self.folder.rmdir()
