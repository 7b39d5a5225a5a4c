"""The words that people read: no banned phrase, and each thing by the one word of the glossary.

Covered are the help, the messages and texts in the code, the comments of the configuration and of the units, the man
pages, the README and the pages under docs/.
"""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover_oneshot.ctl.main import command_line
from tests.support.paths import ROOT

BANNED = (
    "so many", "so long", "what is so", "that of", "those of", r"(?<!there )is no (?!longer\b|more\b|such\b)\w+",
    "nobody is", "nobody's", "anew", r"mend(?:s|ed|ing)?", "can not", "is told", "is said", "tells it", "in so far",
    "to have it", "as it should be", "(?:everything|all) is as it was", r"nothing is \w+(?:ed|en|wn|de|ne)",
    "sees to it",
    r"wr(?:ites?|itten) over", "belongs into", r"keeps? still", r"takes? \w+ away", "the run before", "the person who",
    "has the same as", "of the two,", "not yet any", "ever given", "unforeseen",
)  # fmt: skip
PHRASES = re.compile(rf"(?<!\w)(?:{'|'.join(BANNED)})(?!\w)", re.IGNORECASE)

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = sorted((ROOT / "failover_oneshot").rglob("*.py"))
SETTINGS = [ROOT / "etc/failover.yaml", *sorted(p for p in (ROOT / "deploy").iterdir() if p.suffix != ".json")]
GLOSSARY = ROOT / "docs/glossary.md"
RECORDED = {ROOT / "failover_oneshot/agents/claude/wordings.py"}  # the words of the agents' own screens
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


# -- the glossary: one word for each thing -----------------------------------------------------------------------------


def rows(section: str = "") -> dict[str, list[str]]:
    """The glossary's terms, each with the words that are not to be used for it; of one section, or of all."""
    page = GLOSSARY.read_text(encoding="utf-8")
    part = page.split(f"\n## {section}\n")[-1].split("\n## ")[0] if section else page
    found = re.findall(r"^\| ([^|]+) \|[^|]+\|([^|]*)\|$", part, re.MULTILINE)
    cells = {term: [word.strip() for word in avoid.split(",")] for term, avoid in found if term not in {"word", "---"}}
    return {term: [word for word in avoid if word] for term, avoid in cells.items()}


AVOIDED = sorted({word for avoid in rows().values() for word in avoid}, key=len, reverse=True)
SYNONYMS = re.compile(rf"(?<![\w/-])(?:{'|'.join(map(re.escape, AVOIDED))})(?![\w-])", re.IGNORECASE)


def prose(page: str) -> str:
    """A page without code: blocks, spans and link targets keep the names that programs use."""
    return re.sub(r"^ *```.*?^ *```|`[^`\n]+`|\]\([^)]*\)", "…", page, flags=re.DOTALL | re.MULTILINE)


def texts(path: Path) -> str:
    """What a module's strings say: those with a space in them, so not its keys and names."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    strings = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join(prose(text) for text in strings if " " in text)


def synonyms(text: str) -> list[str]:
    return [found[0] for found in SYNONYMS.finditer(re.sub(r"\s*\n\s*(?:# ?)?", " ", text))]


@pytest.mark.parametrize("path", [p for p in PAGES if p != GLOSSARY], ids=lambda path: str(shown(path)))
def test_pages_use_the_words_of_the_glossary(path: Path) -> None:
    assert synonyms(prose(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", [*SETTINGS, *MANUALS], ids=lambda path: str(shown(path)))
def test_comments_and_manuals_use_the_words_of_the_glossary(path: Path) -> None:
    assert synonyms(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [p for p in CODE if p not in RECORDED], ids=lambda path: str(shown(path)))
def test_messages_and_docstrings_use_the_words_of_the_glossary(path: Path) -> None:
    assert synonyms(texts(path)) == []


@pytest.mark.parametrize("program", ["failover-check", "failoverctl"])
def test_the_help_uses_the_words_of_the_glossary(program: str) -> None:
    for parser in parsers(command_line(program)):
        assert synonyms(parser.format_help()) == [], parser.prog


def test_no_term_of_the_glossary_is_to_be_avoided_elsewhere() -> None:
    terms = [word.strip() for row in rows() for word in row.split(",")]
    assert len(terms) == len(set(terms)) > 40
    assert not {*terms} & {*AVOIDED}


def test_reserved_words_are_not_in_use() -> None:
    """They wait for what is to be built; a message that used one now would change its meaning later."""
    words = {word.strip() for row in rows("Reserved") for word in row.split(",")}
    assert "recovery" in words
    reserved = re.compile(rf"\b(?:{'|'.join(words - {'usage', 'window', 'claim'})})\b", re.IGNORECASE)
    for path in CODE:
        assert not reserved.search(texts(path)), shown(path)


@pytest.mark.parametrize("text", ["the vault of main", "it hands\n  out tasks", "Set aside."])
def test_a_synonym_is_found(text: str) -> None:
    assert synonyms(text)
    assert not synonyms(prose(f"`{text}`".replace("\n", " ")))
