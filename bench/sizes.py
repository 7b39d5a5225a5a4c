"""Measure a check at 1 to 1,000 panes, and its alternatives: `python -m bench.sizes` (or `make bench`).

All programs run in turns, on one private tmux server:

(a) an interpreter that only imports what the check imports;
(b) the Go daemon's way, `has-session` and `capture-pane` for each session: from an interpreter with the same imports,
    and from a shell, which has no start-up to speak of;
(c) the nearest peer's one-shot command and its `status`, in a throwaway home without a network.

Writes the tables into docs/performance.md and the plot beside it; exit 1 when a target is missed.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import imports, places
from bench.measure import IMPORTS, Sample, in_turns, memory, processes, ratio, run
from bench.paper import Line, between, plot, table
from bench.scene import Sandbox, throwaway_sandbox

SIZES = (1, 5, 10, 50, 100, 500, 1000)
CHECKS_A_DAY = 24 * 3600 // 30
DAEMON = (
    IMPORTS + "; import sys; tmux, socket, *names = sys.argv[1:]\n"
    "for name in names:\n"
    "    for what in (['has-session'], ['capture-pane', '-p']):\n"
    "        subprocess.run([tmux, '-S', socket, *what, '-t', f'={name}:'], check=True, capture_output=True)\n"
)
DAEMON_SH = (
    'tmux=$1; socket=$2; shift 2; for name; do "$tmux" -S "$socket" has-session -t "=$name" && '
    '"$tmux" -S "$socket" capture-pane -p -t "=$name:" >/dev/null || exit 1; done'
)

CHECK, IMPORTED, DAEMONS, SHELLS = "failover-check", "(a) imports alone", "(b) daemon's way", "(b) the same, from sh"


class Bench:
    """The measurements of one installation, whose pool grows from size to size."""

    def __init__(self, sandbox: Sandbox, programs: Path, rounds: int, daemon_up_to: int) -> None:
        self.sandbox = sandbox
        self.programs = programs
        self.rounds = rounds
        self.daemon_up_to = daemon_up_to
        self.output = sandbox.folder / "output"
        self.lines: list[Line] = []
        self.walls: dict[str, dict[int, float]] = {}
        self.load: list[float] = []
        self.server: dict[str, list[float]] = {}  # CPU time of the tmux server for each run, ms
        self.times_imports: dict[int, float] = {}
        self.times_daemon: dict[int, float] = {}
        self.idle = 0.0

    def check(self, name: str, skip: int = 0) -> list[str]:
        return [str(self.programs / "failover-check"), "--config", str(self.sandbox.configured(name, skip=skip))]

    def run(self, command: Sequence[str]) -> Sample:
        return run(command, self.output, self.sandbox.measured)

    def measure(self, size: int) -> None:
        """Measure the check, (a) and (b) at one size, in turns."""
        self.sandbox.grow(size)
        python = str(self.programs / "python")
        names = [self.sandbox.name(index) for index in range(size)]
        server = [str(shutil.which("tmux")), str(self.sandbox.server.socket), *names]
        commands = {
            CHECK: self.check("plain"),
            IMPORTED: [python, "-c", IMPORTS],
            DAEMONS: [python, "-c", DAEMON, *server],
            SHELLS: ["/bin/sh", "-c", DAEMON_SH, "sh", *server],
        }
        self.verify(size, [*commands[CHECK], "--json"])
        if size > self.daemon_up_to:
            del commands[DAEMONS], commands[SHELLS]
        found = self.turns(commands, max(2, min(self.rounds, 10 * self.rounds // size)))
        both = {CHECK: commands[CHECK], IMPORTED: commands[IMPORTED]}
        for name, samples in self.turns(both, self.rounds - len(found[CHECK])).items():
            found[name] += samples
        self.times_imports[size] = ratio(found[CHECK], found[IMPORTED])
        if DAEMONS in found:
            self.times_daemon[size] = ratio(found[DAEMONS], found[CHECK])
        for name, samples in found.items():
            times = None if name == IMPORTED else ratio(samples, found[IMPORTED])
            measured = name in both
            started = processes(commands[name], self.sandbox.measured) if measured else 2 * size
            peak = memory(commands[name], self.sandbox.measured) if measured else None
            busy = None if name == IMPORTED else statistics.mean(self.server.pop(name))
            self.lines.append(Line(size, name, samples, started, peak, busy, times))
            self.walls.setdefault(name, {})[size] = statistics.median(sample.wall for sample in samples)
        self.load.append(os.getloadavg()[0])
        if size == 10:
            self.idle_day()

    def turns(self, commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Sample]]:
        """The samples of each command, taken in turns; the tmux server's CPU time goes to `self.server`."""

        def one(name: str, command: Sequence[str]) -> Sample:
            before = self.sandbox.server_cpu()
            sample = self.run(command)
            self.server.setdefault(name, []).append(self.sandbox.server_cpu() - before)
            return sample

        runs = [partial(one, name, command) for name, command in commands.items()]
        return dict(zip(commands, in_turns(rounds, *runs), strict=True))

    def idle_day(self) -> None:
        """Measure a check of healthy sessions only, as nearly all checks are."""
        command = self.check("idle", skip=1)
        (samples,) = in_turns(self.rounds, lambda: self.run(command))
        self.idle = statistics.median(sample.cpu for sample in samples)
        self.lines.append(Line(self.sandbox.size - 1, f"{CHECK}, all healthy", samples, None))

    def verify(self, size: int, command: Sequence[str]) -> None:
        """Stop unless the check reads every session, finds the hit and makes no swap."""
        self.run(command)
        report = json.loads(self.output.read_text())
        if (report["outcome"], report["blocked_pool"], len(report["sessions"])) != ("ok", 1, size):
            raise SystemExit(f"unexpected report, nothing measured: {self.output.read_text()[:400]}")

    def peer(self, python: str) -> str:
        """Measure the peer's commands; the reason if they cannot be measured, or an empty string."""
        with tempfile.TemporaryDirectory(prefix="fo-peer-") as folder:
            home = Path(folder)
            commands, why = places.peer(python, home)
            for name, command in commands.items():
                (samples,) = in_turns(
                    self.rounds,
                    lambda command=command: run(command, self.output, places.environ(home), (0, 2)),  # type: ignore[misc]
                )
                where = places.environ(home)
                self.lines.append(Line(None, f"(c) {name}", samples, processes(command, where), memory(command, where)))
                self.walls[f"(c) {name}"] = {1: statistics.median(sample.wall for sample in samples)}
        return why

    def targets(self) -> list[tuple[str, float, float, bool]]:
        """The targets that these sizes cover: name, measured value, bound, and whether the bound is a minimum."""
        ours = self.walls[CHECK]
        peak = max(line.memory or 0 for line in self.lines if line.name == CHECK)
        found = [
            ("10 panes, relative to the imports", self.times_imports.get(10), 1.6, False),
            ("500 panes, relative to 10 panes", ours[500] / ours[10] if {10, 500} <= ours.keys() else None, 4.0, False),
            ("5 panes, the daemon's way relative to the check", self.times_daemon.get(5), 1.0, True),
            ("500 panes, the daemon's way relative to the check", self.times_daemon.get(500), 20.0, True),
            ("peak memory, MB", peak, 35.0, False),
            (f"{CHECKS_A_DAY} idle checks, CPU minutes", self.idle * CHECKS_A_DAY / 60000 or None, 4.0, False),
        ]
        return [(what, value, bound, least) for what, value, bound, least in found if value is not None]


def summary(bench: Bench, python: str, why_no_peer: str) -> tuple[str, bool]:
    """The measured part of the page, and whether every target is met."""
    tmux = subprocess.run(["tmux", "-V"], capture_output=True, text=True, check=True).stdout.strip()
    version = ".".join(map(str, places.version(python)))
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, Python {version}, {tmux}, {machine}, "
        f"load {min(bench.load):.1f} to {max(bench.load):.1f} during the run; {bench.rounds} rounds.",
        "",
        "| target | measured | bound | |",
        "| --- | --: | --: | --- |",
    ]
    met = True
    for what, value, bound, least in bench.targets():
        good = value >= bound if least else value <= bound
        met &= good
        sign = "at least" if least else "at most"
        lines.append(f"| {what} | {value:.2f} | {sign} {bound:g} | {'met' if good else '**missed**'} |")
    lines += ["", table(bench.lines), ""]
    if why_no_peer:
        lines.append(f"The peer was not measured: {why_no_peer}.")
    return "\n".join(lines), met


def main() -> int:
    """Measure and write the page; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sizes", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--sizes", type=lambda text: tuple(map(int, text.split(","))), default=SIZES)
    parser.add_argument(
        "--rounds", type=int, default=15, help="runs of each command (fewer for slow ones; default: 15)"
    )
    parser.add_argument(
        "--python", help="interpreter for all programs (default: the newest of 3.12 to 3.14, or this one)"
    )
    parser.add_argument("--installed", type=Path, help="bin folder of the installation to measure (default: a new one)")
    parser.add_argument(
        "--daemon-up-to", type=int, default=1000, help="largest size at which to run (b), which is slow"
    )
    parser.add_argument("--no-peer", action="store_true", help="skip the peer, which is downloaded from PyPI")
    parser.add_argument("--page", type=Path, default=places.ROOT / "docs/performance.md")
    options = parser.parse_args()
    python = places.interpreter(options.python)
    programs = options.installed or places.installed(python, "check", str(places.ROOT))
    with throwaway_sandbox() as sandbox:
        bench = Bench(sandbox, programs, options.rounds, options.daemon_up_to)
        for size in sorted(options.sizes):
            bench.measure(size)
            sys.stderr.write(f"{size} panes: {bench.walls[CHECK][size]:.0f} ms\n")
        command = bench.check("plain")
        profile = imports.measure([str(programs / "python"), *command], sandbox.measured, max(3, options.rounds // 2))
        why = "left out" if options.no_peer else bench.peer(python)
    text, met = summary(bench, python, why)
    curves = {name: sorted(points.items()) for name, points in bench.walls.items()}
    options.page.with_suffix(".svg").write_text(plot(curves), encoding="utf-8")
    page = between(options.page.read_text(encoding="utf-8"), "measured", text)
    options.page.write_text(between(page, "imports", imports.table(profile)), encoding="utf-8")
    sys.stdout.write(f"{text}\n")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
