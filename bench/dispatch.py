"""Measure what lifecycle and dispatch cost when idle: `python -m bench.dispatch [RUNS]`; exit 1 when over budget.

It runs the whole check of `bench.startup` in turns: with and without a minimum pool size and a task queue.
"""

import json
import statistics
import sys
from pathlib import Path

from bench.measure import in_turns, program, ratio, run
from bench.scene import Sandbox, throwaway_sandbox

PANES = 10
TIMES_PLAIN = 1.15


def with_both(sandbox: Sandbox) -> Path:
    """The file of the plain configuration with lifecycle and dispatch enabled."""
    sandbox.config["dispatch"] = {"spool": str(sandbox.folder / "spool")}
    file = sandbox.configured("dispatch", min=PANES, command="agent")
    del sandbox.config["dispatch"]
    return file


def main() -> int:
    """Measure and print the table; exit code 1 when over budget."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    with throwaway_sandbox() as sandbox:
        sandbox.grow(PANES)
        output = sandbox.folder / "output"
        both = [*program(), "--config", str(with_both(sandbox))]
        plain = [*program(), "--config", str(sandbox.configured("plain"))]
        run([*both, "--json"], output, sandbox.measured)
        report = json.loads(output.read_text())
        if report["actions"] or report["pool"]["free"] != PANES - 1 or report["tasks"]["waiting"] != 0:
            raise SystemExit(f"unexpected report, nothing measured: {output.read_text()}")
        run(plain, output, sandbox.measured)
        without, full = in_turns(
            runs, lambda: run(plain, output, sandbox.measured), lambda: run(both, output, sandbox.measured)
        )
    lines = [f"{runs} runs in turns, {PANES} panes; ms: median (lowest to highest)"]
    for name, samples in (("without", without), ("with", full)):
        for what, times in (("wall", [s.wall for s in samples]), ("CPU", [s.cpu for s in samples])):
            shown = f"{statistics.median(times):7.1f} ({min(times):.1f} to {max(times):.1f})"
            lines.append(f"  {name + ', ' + what:<20}{shown}")
    quotient = ratio(full, without)
    cpu = statistics.median(a.cpu / b.cpu for a, b in zip(full, without, strict=True))
    verdict = "ok" if quotient <= TIMES_PLAIN else "OVER BUDGET"
    lines.append(f"  {'times without':<20}{quotient:7.2f} (CPU {cpu:.2f})   budget {TIMES_PLAIN:g}   {verdict}")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(quotient > TIMES_PLAIN)


if __name__ == "__main__":
    sys.exit(main())
