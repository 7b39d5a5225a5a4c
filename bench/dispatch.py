"""What lifecycle and dispatch cost when there is nothing to do: `python -m bench.dispatch [RUNS]`; exit 1 over budget.

The same whole check as in `bench.startup`, with and without a pool size to keep and a spool to look into, run in turns.
"""

import json
import resource
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from bench.startup import PANES, prepare, run, tmux_command

TIMES_PLAIN = 1.15


def configure(folder: Path) -> Path:
    """The plain configuration with both switched on; its file."""
    text = (folder / "plain.yaml").read_text()
    text = text.replace(f"max: {PANES}}}", f"max: {PANES}, min: {PANES}, command: agent}}")
    path = folder / "dispatch.yaml"
    path.write_text(f"{text}dispatch: {{spool: {folder}/spool}}\n")
    return path


def cost(command: list[str], output: Path) -> tuple[float, float]:
    """Processor time and wall time of one process in ms, its children (tmux) included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall, _ = run(command, output)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000, wall


def main() -> int:
    """Measure, print the table, and say with the exit code whether it is within budget."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    folder = Path(tempfile.mkdtemp(prefix="fo-bench-"))
    output = folder / "output"
    try:
        prepare(folder)
        script = Path(sys.executable).parent / "failover-check"
        program = [str(script)] if script.exists() else [sys.executable, "-m", "failover_oneshot"]
        plain = [*program, "--config", str(folder / "plain.yaml")]
        both = [*program, "--config", str(configure(folder))]
        run([*both, "--json"], output)
        report = json.loads(output.read_text())
        if report["actions"] or report["pool"]["free"] != PANES - 1 or report["tasks"]["waiting"] != 0:
            raise SystemExit(f"this is not the check that is to be measured: {output.read_text()}")
        run(plain, output)
        pairs = [(cost(plain, output), cost(both, output)) for _ in range(runs)]
    finally:
        tmux_command(folder, "start-server", ";", "kill-server")
        shutil.rmtree(folder)
    lines = [f"{runs} runs in turns, {PANES} panes; ms: median (lowest to highest)"]
    ratios = []
    for number, what in ((0, "processor time"), (1, "wall time")):
        without, with_both = ([pair[i][number] for pair in pairs] for i in (0, 1))
        for name, times in (("without", without), ("with", with_both)):
            told = f"{statistics.median(times):7.1f} ({min(times):.1f} to {max(times):.1f})"
            lines.append(f"  {what + ' ' + name:<24}{told}")
        ratios.append(statistics.median(with_both) / statistics.median(without))
    # On a machine that does other things too, only the processor time tells.
    ratio = ratios[0]
    verdict = "ok" if ratio <= TIMES_PLAIN else "OVER BUDGET"
    lines.append(f"  {'times without':<24}{ratio:7.2f} (wall {ratios[1]:.2f})   budget {TIMES_PLAIN:g}   {verdict}")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(ratio > TIMES_PLAIN)


if __name__ == "__main__":
    sys.exit(main())
