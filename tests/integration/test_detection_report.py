"""The detection report: every variation of the recordings is read right, and the page shows the report."""

from functools import cache

from verification.detection_report import BEGIN, END, PAGE, Judged, report


@cache
def reported() -> tuple[list[str], list[Judged]]:
    """The lines of the page's tables, and the misread texts."""
    return report()


def test_every_variation_is_read_right() -> None:
    assert reported()[1] == []


def test_the_page_shows_this_report() -> None:
    """The report writes its part of docs/detection.md, which must be up to date."""
    page = PAGE.read_text()
    assert page[page.index(BEGIN) : page.index(END)].splitlines()[1:] == reported()[0]
