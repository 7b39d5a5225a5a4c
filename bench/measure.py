"""The cost of one process from start to end: wall time, CPU time, memory, processes started."""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

# The libraries that every check needs, and nothing else. The budget is a multiple of their import time.
IMPORTS = "import yaml, filelock, argparse, subprocess, json"


# A small parent, because the peak memory of a process includes the memory of the process that forked it.
SMALL_PARENT = """
import os, sys
nothing = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 1)])
print(os.wait4(pid, 0)[2].ru_maxrss / 1024)
"""


class Sample(NamedTuple):
    """The wall time and the CPU time (with children) of one run, in ms."""

    wall: float
    cpu: float


def program() -> list[str]:
    """The command of `failover-check`: the script beside this interpreter, or the module."""
    script = Path(sys.executable).parent / "failover-check"
    return [str(script)] if script.exists() else [sys.executable, "-m", "failover_oneshot"]


def run(command: Sequence[str], output: Path, environ: Mapping[str, str], codes: Sequence[int] = (0,)) -> Sample:
    """The cost of one run of a command, its stdout in `output`; an exit code not in `codes` stops the bench."""
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
    """The peak memory of a command in MB, the highest of three runs."""
    argv = [sys.executable, "-I", "-S", "-c", SMALL_PARENT, *command]
    runs = (subprocess.run(argv, env=dict(environ), capture_output=True, text=True, check=True) for _ in range(3))
    return max(float(done.stdout) for done in runs)


def in_turns(rounds: int, *runs: Callable[[], Sample]) -> list[list[Sample]]:
    """The samples of each run, taken in turns, so that other load on the machine affects all runs alike."""
    found: list[list[Sample]] = [[] for _ in runs]
    for _ in range(rounds):
        for samples, one in zip(found, runs, strict=True):
            samples.append(one())
    return found


def ratio(of: Sequence[Sample], to: Sequence[Sample]) -> float:
    """The median of the quotients, turn by turn, so that one slow moment of the machine does not change the result."""
    return statistics.median(a.wall / b.wall for a, b in zip(of, to, strict=False))


def processes(command: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """How many processes and threads a command starts besides itself; None if they cannot be counted here.

    The command runs in a separate PID namespace, and the kernel's last PID there is the count.
    """
    if not shutil.which("unshare") or os.geteuid() != 0:
        return None
    script = '"$@" >/dev/null 2>&1; cat /proc/sys/kernel/ns_last_pid'
    argv = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh", *command]
    done = subprocess.run(argv, env=dict(environ), capture_output=True, text=True, check=False)
    # the first process of the namespace is sh, the last is cat
    return int(done.stdout) - 3 if done.returncode == 0 and done.stdout.strip().isdigit() else None
