"""The man pages say what the help says."""

import pytest

from failover_oneshot.ctl import manpages
from failover_oneshot.ctl.commands import completion
from failover_oneshot.ctl.main import command_line
from tests.support.paths import ROOT


@pytest.mark.parametrize("program", completion.PROGRAMS)
def test_the_man_page_is_the_help(program: str) -> None:
    """Mend with: python -m failover_oneshot.ctl.manpages man"""
    text = (ROOT / "man" / f"{program}.1").read_text(encoding="utf-8")
    assert text == manpages.page(program)
    for action in completion.actions(command_line(program)):
        for option in action.option_strings if action.help != "==SUPPRESS==" else ():
            assert option in {"-h", "--help"} or option.replace("-", "\\-") in text
