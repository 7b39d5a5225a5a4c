"""The typing of one text, step by step and without tmux: the keys for what the pane shows."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from failover_oneshot.agents import registry
from failover_oneshot.model import Pane, Restart
from failover_oneshot.pool import typist
from failover_oneshot.pool.typist import Job, PaneView, PutText, Typed, Typing, TypingEnd

RULE = "─" * 80
TARGET = Restart(session="s", action="nudge", pane_id="%1", pane_pid=2, server_pid=3)
ENTER = typist.keys(TARGET, "Enter")

CLAUDE = registry.agent(registry.CLAUDE)


def view(draft: str = "", said: str = "● Done.", **pane: Any) -> PaneView:
    text = f"{said}\n\n{RULE}\n❯ {draft}\n{RULE}\n  ⏵⏵ auto mode on"
    shown = Pane(**{"pane_id": "%1", "pid": 2, "command": "claude", "text": text, **pane})
    return PaneView(pane=shown, prompt=CLAUDE.prompt(text, ""))


EMPTY, DRAFTED = view(), view("the text")
TAKEN = view(said="● Done.\n\n❯ the text\n\n● I work on it.")
GONE = PaneView(pane=None, prompt=CLAUDE.prompt("", ""))


def job(**changes: Any) -> Job:
    fields = {"target": TARGET, "text": "the text", "patience": 60.0, "gone": "it is gone"}
    return Job(**{**fields, "put": lambda: PutText("put\n", "undo\n"), **changes})


def played(typing: Typing, views: Sequence[PaneView]) -> tuple[list[str], Typed | None]:
    """The lines that were run, and the end (None while the typing waits for more)."""
    lines = [next(typing)]
    try:
        for each in views:
            lines.append(typing.send(each))
    except StopIteration as end:
        return [line for line in lines if line], end.value
    return [line for line in lines if line], None


def typed(
    views: Sequence[PaneView], way: Callable[[Job], Typing] = typist.look_and_type, **changes: Any
) -> tuple[Any, ...]:
    lines, end = played(way(job(**changes)), views)
    return (lines, end and end.end, end.why if end else "")


def test_a_text_is_seen_before_enter_is_pressed_and_seen_taken_after_it() -> None:
    steps = [EMPTY, EMPTY, DRAFTED, DRAFTED, TAKEN]
    for number, lines in enumerate([[], ["put\n"], ["put\n"], ["put\n", ENTER], ["put\n", ENTER]]):
        assert typed(steps[:number]) == (lines, None, "")
    assert typed(steps) == (["put\n", ENTER], TypingEnd.TAKEN, "")


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (GONE, "it is gone"),
        (view("my own words"), "the prompt holds a draft"),
        (view(mode="copy-mode"), "the pane is in copy-mode"),
        (view(command="bash", pid=-1), "a shell (bash) is in the foreground"),
        (view(text=None), "cannot read the pane"),
        (
            PaneView(pane=EMPTY.pane, prompt=CLAUDE.prompt("$ ", "")),
            "the screen is not recognized",
        ),
    ],
)
def test_no_text_is_typed_where_something_forbids_it(seen: PaneView, why: str) -> None:
    assert typed([seen]) == ([], TypingEnd.REFUSED, why)


def test_a_text_that_does_not_show_gets_no_enter_and_is_cleaned_up() -> None:
    assert typed([EMPTY, EMPTY, EMPTY], patience=0.0) == (["put\n", "undo\n"], TypingEnd.NOT_SHOWN, "")


@pytest.mark.parametrize("how", [{"mode": "copy-mode"}, {"command": "bash", "pid": -1}])
def test_enter_is_not_pressed_where_something_forbids_it(how: dict[str, Any]) -> None:
    lines, end, why = typed([EMPTY, view("the text", **how)])
    assert (lines, end) == (["put\n"], TypingEnd.NOT_ENTERED)
    assert why.endswith("; Enter not pressed")


def test_a_text_that_stays_in_the_prompt_was_not_taken() -> None:
    assert typed([EMPTY, DRAFTED, DRAFTED], patience=0.0)[1] is TypingEnd.NOT_TAKEN


def test_an_empty_prompt_alone_does_not_show_that_a_text_was_taken() -> None:
    """Claude Code clears the box and draws the conversation a moment later; its records may be faster."""
    assert typed([EMPTY, DRAFTED, EMPTY])[1] is None
    assert typed([EMPTY, DRAFTED, EMPTY], recorded=lambda: True)[1] is TypingEnd.TAKEN
    assert typed([EMPTY, DRAFTED, EMPTY], patience=0.0)[1] is TypingEnd.TAKEN, "nothing else comes"


@pytest.mark.parametrize("steps", [[EMPTY, GONE], [EMPTY, DRAFTED, GONE]])
def test_a_pane_that_vanishes_leaves_the_text_in_doubt(steps: list[PaneView]) -> None:
    assert typed([*steps, GONE])[1:] == (TypingEnd.GONE, "it is gone")


def test_a_text_that_is_withdrawn_is_not_sent() -> None:
    words = iter(["", "", "", "withdrawn", "withdrawn"])
    lines, end, why = typed([EMPTY, EMPTY, DRAFTED, DRAFTED], withdrawn=lambda: next(words, "withdrawn"))
    assert (ENTER in lines, end, why) == (False, TypingEnd.GONE, "withdrawn")


def test_the_caller_notes_the_conversation_before_enter_is_pressed() -> None:
    noted: list[str] = []
    typing = typist.look_and_type(job(entering=noted.append))
    next(typing)
    typing.send(EMPTY)
    assert noted == []
    assert typing.send(DRAFTED) == ENTER
    assert noted == [DRAFTED.prompt.fingerprint]


def test_only_enter_is_pressed_for_a_text_already_in_the_prompt() -> None:
    assert typed([EMPTY, DRAFTED, TAKEN], typist.send_typed) == ([ENTER], TypingEnd.TAKEN, "")
    assert typed([EMPTY], typist.send_typed, patience=0.0) == ([], TypingEnd.NOT_SHOWN, "")
