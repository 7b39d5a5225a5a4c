"""What one process costs, from its start to its end."""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

# The libraries that every check needs, and nothing else: what the budget is counted in.
IMPORTS = "import yaml, filelock, argparse, subprocess, json"


# A parent smaller than what it starts: a process counts the memory of the one that it was forked from as its own.
SMALL_PARENT = """
import os, sys
nothing = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 1)])
print(os.wait4(pid, 0)[2].ru_maxrss / 1024)
"""


class Sample(NamedTuple):
    """One run: wall time, and CPU time (its own and its children's), in ms."""

    wall: float
    cpu: float


def program() -> list[str]:
    """`failover-check` as it is installed beside this interpreter, else as a module."""
    script = Path(sys.executable).parent / "failover-check"
    return [str(script)] if script.exists() else [sys.executable, "-m", "failover_oneshot"]


def run(command: Sequence[str], output: Path, environ: Mapping[str, str], codes: Sequence[int] = (0,)) -> Sample:
    """Run a command to its end, its stdout into `output`; stop the bench when it ends with another code."""
    errors = output.with_name("errors")
    with output.open("wb") as out, errors.open("wb") as err:
        begun = perf_counter()
        pid = os.posix_spawn(
            command[0],
            tuple(command),
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)],
        )
        _, status, usage = os.wait4(pid, 0)
        spent = (perf_counter() - begun) * 1000
    if os.waitstatus_to_exitcode(status) not in codes:
        raise SystemExit(f"{' '.join(command)}: {errors.read_text(errors='replace')}")
    return Sample(spent, (usage.ru_utime + usage.ru_stime) * 1000)


def memory(command: Sequence[str], environ: Mapping[str, str]) -> float:
    """The peak memory of a command in MB, of three runs."""
    argv = [sys.executable, "-I", "-S", "-c", SMALL_PARENT, *command]
    runs = (subprocess.run(argv, env=dict(environ), capture_output=True, text=True, check=True) for _ in range(3))
    return max(float(done.stdout) for done in runs)


def in_turns(rounds: int, *runs: Callable[[], Sample]) -> list[list[Sample]]:
    """Each of the runs so many times, in turns: whatever else the machine does falls on all of them."""
    found: list[list[Sample]] = [[] for _ in runs]
    for _ in range(rounds):
        for samples, one in zip(found, runs, strict=True):
            samples.append(one())
    return found


def ratio(of: Sequence[Sample], to: Sequence[Sample]) -> float:
    """The median of the quotients, turn by turn: one slow moment of the machine spoils one of them, not the result."""
    return statistics.median(a.wall / b.wall for a, b in zip(of, to, strict=False))


def processes(command: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """How many processes and threads a command starts besides itself; None where that can not be counted.

    In a process namespace of its own, whose kernel counts them.
    """
    if not shutil.which("unshare") or os.geteuid() != 0:
        return None
    script = '"$@" >/dev/null 2>&1; cat /proc/sys/kernel/ns_last_pid'
    argv = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh", *command]
    done = subprocess.run(argv, env=dict(environ), capture_output=True, text=True, check=False)
    # the namespace's first is sh, its last is cat
    return int(done.stdout) - 3 if done.returncode == 0 and done.stdout.strip().isdigit() else None
