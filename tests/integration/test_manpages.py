"""The man pages, checked by groff."""

import shutil
import subprocess

import pytest

from failover_oneshot.ctl.commands import completion
from tests.support.paths import ROOT


@pytest.mark.parametrize("program", completion.PROGRAMS)
def test_the_man_page_is_valid_roff(program: str) -> None:
    groff = shutil.which("groff")
    if not groff:
        pytest.skip("groff is not installed")
    page = ROOT / "man" / f"{program}.1"
    done = subprocess.run(
        [groff, "-man", "-Tutf8", "-Kutf8", "-ww", str(page)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "User Commands" in done.stdout
