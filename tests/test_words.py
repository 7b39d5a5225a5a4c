"""The words that people read: no banned phrase, and each thing by the one word of the glossary.

Covered are the help, the messages and texts in the code, the comments of the configuration and of the units, the man
pages, the README and the pages under docs/.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover_oneshot.ctl.main import command_line
from tests.support.paths import ROOT

BANNED = (
    "so many", "so long", "what is so", "that of", "those of", r"(?<!there )is no (?!longer\b|more\b)\w+", "nobody is",
    "nobody's", "anew", r"mend(?:s|ed|ing)?", "can not", "is told", "is said", "tells it", "in so far", "to have it",
    "as it should be", "(?:everything|all) is as it was", r"nothing is \w+(?:ed|en|wn|de|ne)", "sees to it",
    r"wr(?:ites?|itten) over", "belongs into", r"keeps? still", r"takes? \w+ away", "the run before", "the person who",
    "has the same as", "of the two,", "not yet any", "ever given", "unforeseen",
)  # fmt: skip
PHRASES = re.compile(rf"(?<!\w)(?:{'|'.join(BANNED)})(?!\w)", re.IGNORECASE)

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = sorted((ROOT / "failover_oneshot").rglob("*.py"))
SETTINGS = [ROOT / "etc/failover.yaml", *sorted(p for p in (ROOT / "deploy").iterdir() if p.suffix != ".json")]
MANUALS = sorted((ROOT / "man").glob("*.1"))


def shown(path: Path) -> Path:
    return path.relative_to(ROOT)


def banned_phrases(text: str) -> list[str]:
    """The banned phrases of a text, across line breaks as well."""
    return [found[0] for found in PHRASES.finditer(re.sub(r"\s*\n\s*(?:# ?)?", " ", text))]


@pytest.mark.parametrize("path", [*PAGES, *CODE, *SETTINGS, *MANUALS], ids=lambda path: str(shown(path)))
def test_no_banned_phrase_is_used(path: Path) -> None:
    assert banned_phrases(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("program", ["failover-check", "failoverctl"])
def test_no_banned_phrase_is_in_the_help(program: str) -> None:
    for parser in parsers(command_line(program)):
        assert banned_phrases(parser.format_help()) == [], parser.prog


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


@pytest.mark.parametrize(
    "text",
    [
        "nothing is looked for during\n    so long",
        "the login is that of main",
        "# this is no\n# account",
        "It sees to it.",
        "mends",
        "Of the two, the first",
        "All is as it was",
    ],
)
def test_a_banned_phrase_is_found(text: str) -> None:
    assert banned_phrases(text)


@pytest.mark.parametrize(
    "text", ["it is no longer free", "there is no server", "recommend", "amend", "so the check ends", "that often"]
)
def test_plain_words_are_not_banned(text: str) -> None:
    assert banned_phrases(text) == []
