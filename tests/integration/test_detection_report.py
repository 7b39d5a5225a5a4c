"""What detection makes of every variation of the recordings, and the page that shows it."""

from functools import cache

from verification.detection_report import BEGIN, END, PAGE, Judged, report


@cache
def reported() -> tuple[list[str], list[Judged]]:
    """The page's tables, and what was misread."""
    return report()


def test_every_variation_is_read_right() -> None:
    assert reported()[1] == []


def test_the_page_shows_this_report() -> None:
    """docs/detection.md is written by the report, and has not been overtaken."""
    page = PAGE.read_text()
    assert page[page.index(BEGIN) : page.index(END)].splitlines()[1:] == reported()[0]
