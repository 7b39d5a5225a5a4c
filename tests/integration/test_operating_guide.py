"""The operating guide explains every outcome and warning of a check, and names only commands that exist."""

import ast
import re

import pytest

from failover_oneshot.ctl.main import COMMANDS
from failover_oneshot.model import Outcome
from tests.support.paths import ROOT


def test_every_command_that_is_named_exists() -> None:
    """This covers the documentation, the fixes in error messages, and examples."""
    files = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", *(ROOT / "failover_oneshot").rglob("*.py")]
    command = re.compile(r"(?:^|`|\"|'|\$ |; |&& |: )failoverctl ([a-z]+)\b", re.MULTILINE)
    named = {(path.name, word) for path in files for word in command.findall(path.read_text(encoding="utf-8"))}
    assert {(file, word) for file, word in named if word not in COMMANDS} == set()
    assert {"doctor", "resume", "accounts"} <= {word for _, word in named}


GUIDE = (ROOT / "docs/operating.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_explained(outcome: Outcome) -> None:
    assert f"\n| `{outcome}` | " in GUIDE


def logged() -> dict[str, str]:
    """The messages of warnings and errors outside failoverctl, each with its place in the source."""
    found = {}
    package = ROOT / "failover_oneshot"
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] == "ctl":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr="warning" | "error"),
                    args=[ast.Constant(value=str(text)), *_],
                ):
                    found[f"{path.relative_to(package)}:{node.lineno}"] = text
    return found


@pytest.mark.parametrize(("place", "text"), logged().items())
def test_every_warning_is_explained(place: str, text: str) -> None:
    """The guide contains the message's longest run of fixed words; a message without any is explained by its values."""
    fixed = max(re.split(r"%\w", text), key=len).strip(" :()")
    assert len(fixed) < 6 or fixed in GUIDE, f"{place}: {text}"


def test_the_messages_are_found() -> None:
    assert len(logged()) > 20
