"""Measure what one check costs: `python -m bench.startup [RUNS]` (`make bench-startup`); exit 1 when over budget.

It compares a whole `failover-check` of ten panes with an interpreter that only imports what the check imports.
"""

import json
import statistics
import sys

from bench.measure import IMPORTS, in_turns, memory, program, ratio, run
from bench.scene import throwaway_sandbox

PANES = 10
TIMES_BASELINE = 2.5
TMUX_PROCESSES = 3
MEGABYTES = 40.0


def main() -> int:
    """Measure and print the table; exit code 1 when over budget."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    with throwaway_sandbox() as sandbox:
        sandbox.grow(PANES)
        output = sandbox.folder / "output"
        baseline = [sys.executable, "-c", IMPORTS]
        check = [*program(), "--config", str(sandbox.configured("plain"))]
        wrapper, calls = sandbox.counting_tmux()
        counting = str(sandbox.configured("counting", tmux=wrapper))
        run([*program(), "--config", counting, "--json"], output, sandbox.measured)
        report = json.loads(output.read_text())
        if (report["outcome"], report["blocked_pool"], len(report["sessions"])) != ("ok", 1, PANES):
            raise SystemExit(f"unexpected report, nothing measured: {output.read_text()}")
        started = len(calls.read_text().splitlines())
        run(baseline, output, sandbox.measured)
        base, whole = in_turns(
            runs, lambda: run(baseline, output, sandbox.measured), lambda: run(check, output, sandbox.measured)
        )
        peak = memory(check, sandbox.measured)
    lines = [f"{runs} runs in turns, {PANES} panes; ms: median (lowest to highest)"]
    for name, samples in (("imports alone", base), ("failover-check", whole)):
        times = [sample.wall for sample in samples]
        lines.append(f"  {name:<16}{statistics.median(times):7.1f} ({min(times):.1f} to {max(times):.1f})")
    measured = [
        ("times the imports", ratio(whole, base), TIMES_BASELINE),
        ("tmux processes", float(started), float(TMUX_PROCESSES)),
        ("peak memory, MB", peak, MEGABYTES),
    ]
    for name, value, budget in measured:
        lines.append(f"  {name:<20}{value:7.2f}   budget {budget:g}   {'ok' if value <= budget else 'OVER BUDGET'}")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(any(value > budget for _, value, budget in measured))


if __name__ == "__main__":
    sys.exit(main())
