"""What one check costs: `python -m bench.startup [RUNS]` (or `make bench`); exit 1 when it is over budget.

A whole `failover-check` of ten panes on a private tmux server (nine healthy, one with a hit that stays below the
threshold, so that nothing is skipped and nothing is swapped) against an interpreter that imports the heaviest of what
it needs. The two are run in turns, so that whatever else the machine does falls on both.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from failover_oneshot.standin.client import reset_words

BASELINE = [sys.executable, "-c", "import yaml, filelock, argparse, subprocess, json"]
PANES = 10
TIMES_BASELINE = 2.5
TMUX_PROCESSES = 3
MEGABYTES = 40.0

HEALTHY = """
 ▐▛███▛█   Claude Code v2.1.330
▝▜██████▀  Opus 5.5 · Claude Max
 ▝▝   ▝▝   ~/work

❯ please refactor the parser module
{answer}


                                                            ◐ medium · /effort
────────────────────────────────────────────────────────────────────────────────
❯
────────────────────────────────────────────────────────────────────────────────
  ⏵⏵ auto mode on (shift+tab to cycle) · ← for agents"""
FINE = "\n● Hello, all fine here.\n\n✻ Cogitated for 0s · done 10:20 AM"

CONFIG = """
accounts:
  - {{name: main, store: "{folder}/accounts/main"}}
  - {{name: backup, store: "{folder}/accounts/backup"}}
swap: {{claude_dir: "{folder}/.claude", claude_json: "{folder}/.claude.json"}}
pool: {{autonomous: {{prefix: ccl-auto-, start_index: 11, max: {panes}}}}}
tmux: {{binary: "{tmux}", socket_path: "{folder}/s"}}
state: {{path: "{folder}/state.json"}}
"""


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(json.dumps(value))
    path.chmod(0o600)


def prepare(folder: Path) -> None:
    """A throwaway home: two accounts, ten panes, one config with tmux itself and one that counts its calls."""
    for account in ("main", "backup"):
        tokens = {"accessToken": f"fake-{account}-1", "refreshToken": f"fake-{account}-r-1", "expiresAt": 4102444800000}
        write(folder / "accounts" / account / ".credentials.json", {"claudeAiOauth": tokens})
        write(folder / "accounts" / account / "oauthAccount.json", {"accountUuid": f"uuid-{account}"})
        if account == "main":
            write(folder / ".claude/.credentials.json", {"claudeAiOauth": tokens})
            write(folder / ".claude.json", {"oauthAccount": {"accountUuid": "uuid-main"}})
    counter = folder / "counting-tmux"
    counter.write_text(f'#!/bin/sh\necho >> "{folder}/calls"\nexec "{shutil.which("tmux")}" "$@"\n')
    counter.chmod(0o755)
    for name, tmux in (("plain", "tmux"), ("counting", str(counter))):
        (folder / f"{name}.yaml").write_text(CONFIG.format(folder=folder, tmux=tmux, panes=PANES))

    now = datetime.now(UTC)
    hit = f"  ⎿  You've hit your 5-hour limit · resets {reset_words(now + timedelta(hours=2), now)}"
    for index in range(PANES):
        screen = folder / f"screen-{index}"
        screen.write_text(HEALTHY.format(answer=hit if index == 0 else FINE))
        tmux_command(folder, "new-session", "-d", "-s", f"ccl-auto-{11 + index}", "-x", "80", "-y", "24",
                     f"cat '{screen}'; exec sleep 1000000")  # fmt: skip
    deadline = time.monotonic() + 20
    while any("auto mode on" not in screen_of(folder, index) for index in range(PANES)):
        if time.monotonic() > deadline:
            raise SystemExit("the panes never showed their screens")
        time.sleep(0.05)


def tmux_command(folder: Path, *argv: str) -> str:
    command = ["tmux", "-u", "-f", "/dev/null", "-S", str(folder / "s"), *argv]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def screen_of(folder: Path, index: int) -> str:
    return tmux_command(folder, "capture-pane", "-p", "-t", f"=ccl-auto-{11 + index}:")


def run(command: list[str], output: Path) -> tuple[float, float]:
    """Wall time in ms and peak memory in MB of one process, its stdout into `output`; stop when it fails."""
    errors = output.with_name("errors")
    with output.open("wb") as out, errors.open("wb") as err:
        begun = time.perf_counter()
        pid = os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)],
        )
        _, status, usage = os.wait4(pid, 0)
        spent = (time.perf_counter() - begun) * 1000
    if status != 0:
        raise SystemExit(f"{' '.join(command)}: {errors.read_text(errors='replace')}")
    return spent, usage.ru_maxrss / 1024


def main() -> int:
    """Measure, print the table, and say with the exit code whether all of it is within budget."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    folder = Path(tempfile.mkdtemp(prefix="fo-bench-"))
    output = folder / "output"
    try:
        prepare(folder)
        script = Path(sys.executable).parent / "failover-check"
        program = [str(script)] if script.exists() else [sys.executable, "-m", "failover_oneshot"]
        check = [*program, "--config", str(folder / "plain.yaml")]
        run([*program, "--config", str(folder / "counting.yaml"), "--json"], output)
        report = json.loads(output.read_text())
        if (report["outcome"], report["blocked_pool"], len(report["sessions"])) != ("ok", 1, PANES):
            raise SystemExit(f"this is not the check that is to be measured: {output.read_text()}")
        (folder / "calls").unlink()
        run([*program, "--config", str(folder / "counting.yaml")], output)
        calls = len((folder / "calls").read_text().splitlines())
        run(BASELINE, output)
        pairs = [(run(BASELINE, output), run(check, output)) for _ in range(runs)]
    finally:
        tmux_command(folder, "start-server", ";", "kill-server")
        shutil.rmtree(folder)
    base, whole = ([pair[i][0] for pair in pairs] for i in (0, 1))
    ratio = statistics.median(whole) / statistics.median(base)
    memory = max(pair[1][1] for pair in pairs)
    lines = [f"{runs} runs in turns, {PANES} panes; ms: median (lowest to highest)"]
    for name, times in (("imports alone", base), ("failover-check", whole)):
        lines.append(f"  {name:<16}{statistics.median(times):7.1f} ({min(times):.1f} to {max(times):.1f})")
    measured = [
        ("times the imports", ratio, TIMES_BASELINE),
        ("tmux processes", float(calls), float(TMUX_PROCESSES)),
        ("peak memory, MB", memory, MEGABYTES),
    ]
    for name, value, budget in measured:
        lines.append(f"  {name:<20}{value:7.2f}   budget {budget:g}   {'ok' if value <= budget else 'OVER BUDGET'}")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(any(value > budget for _, value, budget in measured))


if __name__ == "__main__":
    sys.exit(main())
