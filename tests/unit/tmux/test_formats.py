"""What the versions of tmux print, and tmux's quoting."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.tmux import formats


@given(st.lists(st.text("ab 日─", max_size=30), min_size=1, max_size=5), st.integers(4, 12))
def test_screen_text_never_loses_a_character(lines: list[str], width: int) -> None:
    text = formats.screen_text("\n".join(lines) + "\n", width)
    assert text.replace("\n", "").replace(" ", "") == "".join(lines).replace(" ", "")


@pytest.mark.parametrize(
    ("printed", "version", "command"),
    [
        ("", "3.3a", ""),
        ('"sleep 100; echo \\"x \\$HOME\\""', "3.3a", 'sleep 100; echo "x $HOME"'),
        ('sh -c "sleep 100 # it\'s"', "3.2a", "exec sh -c 'sleep 100 # it'\"'\"'s'"),
        ("claude", "3.5a", "claude"),
        ("'say \"x\\\\n\"'", "3.3a", 'say "x\\n"'),
        ('"\\~/bin/x y"', "3.6", "~/bin/x y"),
        ("claude --continue it's", "3.1c", "claude --continue it's"),
        ("a b", "openbsd-7.6", "exec a b"),
        ('"caf\\303\\251 x"', "next-3.4", "café x"),
        ("''", "3.3a", ""),
    ],
)
def test_start_command_as_versions_print_it(printed: str, version: str, command: str) -> None:
    assert formats.start_command(printed, version) == command


@given(st.text(st.sampled_from("$ab_{ \\"), max_size=8))
def test_a_listing_of_tmux_3_4_is_parsed_exactly(title: str) -> None:
    """tmux 3.4 escapes the whole line that it prints, marks included."""
    mark = "0abc"
    cells = {"version": "3.4", "pane_title": title, "session_name": "s", "pane_id": "%1"}
    line = "".join(cells.get(name, "7") + mark for name in formats.FIELDS)
    (row,) = formats.parse_listing(re.sub(r"\$(?=[A-Za-z_{])", r"\\$", line) + "\n", mark)
    assert row.pane.title == title


@pytest.mark.parametrize(
    ("version", "value"), [("3.3a", 'a\\$HOME "x"'), ("3.4", 'a$HOME "x"'), ("3.5a", 'a\\$HOME "x"')]
)
def test_only_tmux_3_4_escapes_all_its_output(version: str, value: str) -> None:
    shown = 'unset GONE;\nMINE="a\\\\$HOME \\"x\\""; export MINE;\n'
    assert formats.parse_environment(shown, version) == {"GONE": None, "MINE": value}


def test_a_nul_cannot_be_quoted() -> None:
    with pytest.raises(ValueError, match="NUL"):
        formats.quote("a\0b")
