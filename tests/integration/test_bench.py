"""What the bench writes: a valid table, a valid plot, and a page with marks for them."""

from xml.etree import ElementTree

import pytest

from bench import imports
from bench.measure import Sample, ratio
from bench.paper import Line, between, plot, table
from tests.support.paths import ROOT

PAGE = ROOT / "docs/performance.md"
SAMPLES = [Sample(float(ms), ms / 2) for ms in (100, 110, 300, 105, 102)]


def test_the_table_has_a_cell_for_each_column() -> None:
    lines = [Line(10, "failover-check", SAMPLES, 2, 22.4, 3.0, 1.5), Line(None, "(c) peer", SAMPLES, None)]
    rows = table(lines).splitlines()
    assert len({row.count("|") for row in rows}) == 1
    assert "| 10 | failover-check | 105 | 102 to 110 | 1.50 |" in rows[2]


def test_the_ratio_does_not_depend_on_one_slow_moment() -> None:
    assert ratio(SAMPLES, [Sample(sample.wall / 2, 0) for sample in SAMPLES]) == 2
    assert ratio(SAMPLES, [Sample(50, 0)] * 5) == pytest.approx(2.1)


def test_the_plot_is_xml_with_a_line_for_each_curve() -> None:
    drawn = plot({"a & b": [(1, 90.0), (10, 100.0), (1000, 900.0)], "level": [(1, 200.0)]})
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own text
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a & b", "level", "1000", "100 ms"} <= set(texts)


def test_the_imports_are_summed_by_package() -> None:
    text = "import time: self [us] | cumulative | imported package\nimport time:       100 |   300 |   yaml.reader\n"
    runs = [imports.parse(f"{text}noise\nimport time: {own} | 400 | yaml\n") for own in (900, 700)]
    rows = imports.table(runs).splitlines()
    assert rows[2:] == ["| **yaml** | 2 | 0.8 | 100% |", "| 0 others | 0 | 0.0 | 0% |", "| all | 2 | 0.8 | |"]


def test_the_page_has_marks_for_the_figures() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "new figures" in between(page, "measured", "new figures")
    with pytest.raises(ValueError, match="no marks for 'other'"):
        between(page, "other", "")
