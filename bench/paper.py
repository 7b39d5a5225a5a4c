"""Measurements as a Markdown table and as an SVG plot. Pure."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from bench.measure import Sample

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 440, 62, 236, 16, 44
COLORS = ("#1f77b4", "#d62728", "#ff7f0e", "#2ca02c", "#9467bd", "#7f7f7f")


class Line(NamedTuple):
    """One row of the table."""

    panes: int | None
    name: str
    samples: Sequence[Sample]
    processes: int | None  # started besides itself
    memory: float | None = None  # MB
    server: float | None = None  # CPU time of the tmux server for one run, ms
    times: float | None = None  # wall time as a multiple of the imports' time


def table(lines: Sequence[Line]) -> str:
    """The lines as a Markdown table; times in ms: the median, and the lower to the upper quartile."""
    head = "| panes | what | ms | quartiles | × imports | CPU ms | tmux server's CPU ms | MB | processes started |"
    rows = [head, "| --: | --- | --: | --: | --: | --: | --: | --: | --: |"]
    for line in lines:
        walls = sorted(sample.wall for sample in line.samples)
        low, high = walls[len(walls) // 4], walls[-1 - len(walls) // 4]
        cells = [
            str(line.panes or ""),
            line.name,
            f"{statistics.median(walls):.0f}",
            f"{low:.0f} to {high:.0f}",
            "" if line.times is None else f"{line.times:.2f}",
            f"{statistics.median(sample.cpu for sample in line.samples):.0f}",
            "" if line.server is None else f"{line.server:.0f}",
            "" if line.memory is None else f"{line.memory:.0f}",
            "" if line.processes is None else str(line.processes),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def plot(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """An SVG plot of ms by number of panes, both scales logarithmic; a curve of one point becomes a level line."""
    sizes = sorted({x for points in curves.values() for x, _ in points})
    values = [y for points in curves.values() for _, y in points]
    bottom, top = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    span = max(math.log10(sizes[-1] / sizes[0]), 1e-9)

    def across(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(x / sizes[0]) / span

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(y) - bottom) / (top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for decade in range(bottom, top + 1):
        y = up(10**decade)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10**decade:g} ms</text>')
    for size in sizes:
        parts.append(f'<path d="M{across(size):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee"/>')
        parts.append(f'<text x="{across(size):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{size}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">panes</text>')
    for number, (name, points) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        drawn = list(points) if len(points) > 1 else [(x, points[0][1]) for x in (sizes[0], sizes[-1])]
        way = "L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in drawn)
        dash = "" if len(points) > 1 else ' stroke-dasharray="5 4"'
        parts.append(f'<path d="M{way}" fill="none" stroke="{color}" stroke-width="2"{dash}/>')
        if len(points) > 1:
            parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{color}"/>' for x, y in points]
        y = TOP + 12 + 20 * number
        x = WIDTH - RIGHT + 14
        parts.append(f'<path d="M{x} {y - 4}h18" stroke="{color}" stroke-width="2"{dash}/>')
        parts.append(f'<text x="{x + 24}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def between(page: str, mark: str, text: str) -> str:
    """The page with the part between `<!-- mark -->` and `<!-- /mark -->` replaced by `text`."""
    before, opened, rest = page.partition(f"<!-- {mark} -->\n")
    _, closed, after = rest.partition(f"<!-- /{mark} -->")
    if not opened or not closed:
        raise ValueError(f"no marks for '{mark}' in the page")
    return f"{before}{opened}{text}\n{closed}{after}"
