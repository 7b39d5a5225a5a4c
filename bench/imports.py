"""The start-up time of a check by import, from `-X importtime`; each figure is the fastest of several runs."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Import(NamedTuple):
    """A module and its own import time in µs, without the modules that it imports."""

    name: str
    own: int


def measure(program: Sequence[str], environ: Mapping[str, str], runs: int) -> list[list[Import]]:
    """The imports of each run of a Python program; `program` is its interpreter, then its arguments."""
    argv = [program[0], "-X", "importtime", *program[1:]]
    found = (subprocess.run(argv, env=dict(environ), capture_output=True, text=True, check=True) for _ in range(runs))
    return [parse(done.stderr) for done in found]


def parse(text: str) -> list[Import]:
    """The imports in the stderr of `-X importtime`; other lines are ignored."""
    mark = "import time:"
    cells = (line.removeprefix(mark).split("|") for line in text.splitlines() if line.startswith(mark))
    return [Import(name.strip(), int(own)) for own, _, name in cells if own.strip().isdigit()]


def table(runs: Iterable[Sequence[Import]], rows: int = 16) -> str:
    """A Markdown table by package, slowest first; the packages after `rows` share one row.

    The standard library is listed by module.
    """
    fastest: dict[str, int] = {}
    for run in runs:
        for name, own in run:
            fastest[name] = min(own, fastest.get(name, own))
    packages: dict[str, int] = defaultdict(int)
    counts: dict[str, int] = defaultdict(int)
    for name, own in fastest.items():
        packages[name.split(".")[0]] += own
        counts[name.split(".")[0]] += 1
    whole = sum(packages.values())
    dearest = sorted(packages, key=lambda name: -packages[name])
    lines = ["| import | modules | ms | share |", "| --- | --: | --: | --: |"]
    for name in dearest[:rows]:
        shown = name if name in sys.stdlib_module_names else f"**{name}**"
        lines.append(f"| {shown} | {counts[name]} | {packages[name] / 1000:.1f} | {packages[name] / whole:.0%} |")
    rest = dearest[rows:]
    left = sum(packages[name] for name in rest)
    lines.append(f"| {len(rest)} others | {sum(counts[n] for n in rest)} | {left / 1000:.1f} | {left / whole:.0%} |")
    return "\n".join([*lines, f"| all | {len(fastest)} | {whole / 1000:.1f} | |"])
