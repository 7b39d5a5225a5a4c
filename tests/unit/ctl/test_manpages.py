"""The man pages have the text of the help."""

import pytest

from failover_oneshot.ctl import manpages
from failover_oneshot.ctl.commands import completion
from failover_oneshot.ctl.main import GROUPS, command_line
from tests.support.paths import ROOT


@pytest.mark.parametrize("program", completion.PROGRAMS)
def test_the_man_page_is_the_help(program: str) -> None:
    """To update them: python -m failover_oneshot.ctl.manpages man"""
    text = (ROOT / "man" / f"{program}.1").read_text(encoding="utf-8")
    assert text == manpages.page(program)
    for action in completion.actions(command_line(program)):
        for option in action.option_strings if action.help != "==SUPPRESS==" else ():
            assert option in {"-h", "--help"} or option.replace("-", "\\-") in text


def test_the_man_page_groups_the_commands_as_the_help_does() -> None:
    found: dict[str, list[str]] = {}
    for line in manpages.page("failoverctl").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == ".SH":
            section = found.setdefault(rest.removeprefix("COMMANDS: ").lower(), [])
        elif kind == ".SS" and len(words := rest.split()) == 2:
            section.append(words[1])
    assert {title: found[title] for title in GROUPS} == {title: [*commands] for title, commands in GROUPS.items()}
