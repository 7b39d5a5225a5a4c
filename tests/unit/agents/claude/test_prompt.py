"""A text in the prompt box, or sent from it, as a screen shows it."""

import pytest

from failover_oneshot.agents.claude.prompt import ClaudePrompt


def box(content: str, above: str = "") -> str:
    rule = "─" * 40
    return f"{above}\n\n{rule}\n❯ {content}\n{rule}\n  ⏵⏵ auto mode on"


@pytest.mark.parametrize(
    ("content", "text", "whether"),
    [
        ("do it", "do it", True),
        ("do  it\n  now", "do it\n\tnow\n", True),
        ("", "do it", False),
        ("do it", "do it not", False),
        ("do it do it", "do it", False),
        ("[Pasted text #1 +9 lines]", "a\n" * 9, True),
        ("[Pasted text #2]", "a", True),
        ("[Pasted text #1 +9 lines][Pasted text #2 +9 lines]", "a\n" * 9, False),
        ("begin [...Truncated text #1 +9 lines...] end", "begin\n" + "a\n" * 9 + "end", True),
        ("mine [Pasted text #1 +9 lines]", "a\n" * 9, False),
        ("x" * 50, "y" * 10 + "x" * 60, True),  # the box shows only the end
        ('Try "this"', 'Try "this"', True),
        ('Try "that"', 'Try "this"', False),
        ("🚀", "🚀", True),
    ],
)
def test_whether_the_box_contains_the_text(content: str, text: str, whether: bool) -> None:
    assert ClaudePrompt(box(content), "").holds(text) is whether


def shown(conversation: str) -> ClaudePrompt:
    return ClaudePrompt(box("", conversation), "")


def test_whether_a_prompt_is_the_text() -> None:
    old, new = shown("❯ [Pasted text #1 +9 lines]\n\n● Done."), shown("❯ do it\n\n● Done.")
    assert new.shows("do it")
    assert not new.shows("do that")
    assert new.answered
    assert not shown("❯ do it").answered
    assert not old.shows("a\n" * 9), "it may be an older one"
    assert not old.shows("a\n" * 9, old.fingerprint)
    assert old.shows("a\n" * 9, new.fingerprint)
