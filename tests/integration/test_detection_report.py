"""What detection makes of every recording and its variations, and the page that shows it."""

from itertools import groupby

import pytest

from verification.detection_report import BEGIN, END, PAGE, report, varied

VARIED = {group: list(found) for group, found in groupby(sorted(varied(), key=lambda j: j.group), lambda j: j.group)}


@pytest.mark.parametrize("group", sorted(VARIED))
def test_every_variation_is_read_right(group: str) -> None:
    assert [judged for judged in VARIED[group] if not judged.good] == []


def test_the_page_shows_this_report() -> None:
    """docs/detection.md is written by the report, and has not been overtaken."""
    lines, _ = report()
    page = PAGE.read_text()
    assert page[page.index(BEGIN) : page.index(END)].splitlines()[1:] == lines
