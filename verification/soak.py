"""The soak test of lifecycle and dispatch: `python -m verification.soak [--seed N]` (or `make soak`).

Real checks run one after the other on a real tmux server with fake agents. Sessions and checks are killed at random,
and accounts become exhausted in between. In the end the agents' own records must show that every task was done exactly
once, and the pool must have its size.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from failover_oneshot.tasks.spool import FAILED, QUEUE, Spool, TaskGoneError
from failover_oneshot.tasks.task import retried
from tests.support.agent_pool import ACCOUNTS, GO_ON, AgentPool
from tests.support.tmux_server import Server, private_server

CHECK_EVERY = 0.2  # minimum seconds between the starts of two checks
# A session is killed only at this age: seconds, plus this many times the longest check. A younger one counts as dead at
# its start, and after three such deaths the pool stops starting it.
LIVES_FOR, CHECKS = 6.0, 2.5


class Soak:
    """One soak test: an installation, its tasks, and what was done to both."""

    def __init__(
        self, server: Server, folder: Path, *, seed: int, size: int, count: int, swaps: int, resume: bool
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a replay, no secret
        self.pool = AgentPool(server, folder, size=size, work=0.4)
        self.pool.config["quota"] = {"poll_interval": "1s", "reactivate_cooldown": "3s"}
        if resume:
            go_on = f"{self.pool.command} --resume {{session_id}} {GO_ON}"
            self.pool.config["pool"]["autonomous"]["resume_command"] = go_on
        self.pool.config["swap"]["max_per_hour"] = 100
        self.pool.config["dispatch"]["attempts"] = 50  # sessions die all the time in this test
        self.pool.config["state"] = {"history": 200}
        self.pool.save_config()
        self.texts = {f"task-{number:04}": self._text(number) for number in range(count)}
        self.left = list(self.texts)
        self.swaps, self.swapped = swaps, 0
        self.born: dict[int, float] = {}
        self.next_kill = 0.0
        self.counts = {"checks": 0, "checks killed": 0, "sessions killed": 0, "canceled and retried": 0}
        self.spool = Spool(self.pool.spool)
        self.durations: list[float] = []

    def _text(self, number: int) -> str:
        words = [
            self.random.choice(["fix", "`ls`", "$(id)", "#{pid}", ";", "“ü”", "-x", "C-c", "\n", "\t"])
            for _ in range(9)
        ]
        return f"task {number}: " + " ".join(words) + self.random.choice(["", "\nmore" * 12, " long" * 300])

    def run(self, seconds: float) -> None:
        """Run checks until no task is left and the pool has its size again; AssertionError after that many seconds."""
        self.pool.up()
        deadline = time.monotonic() + seconds
        self.next_kill = time.monotonic() + 2.0
        while self.left or any(self.pool.tasks(state) for state in ("queue", "running")):
            assert time.monotonic() < deadline, f"not done in {seconds:.0f} s: {self.progress()}\n{self.open_tasks()}"
            self._drop()
            self._exhaust()
            self._check()
        self.next_kill = float("inf")
        for _ in range(3):
            self._check(kill=False)

    def progress(self) -> dict[str, int]:
        states = ("queue", "running", "done", "failed")
        return {"not dropped": len(self.left)} | {state: len(self.pool.tasks(state)) for state in states}

    def open_tasks(self) -> str:
        """The records of the tasks that are not done, and the screens of all sessions."""
        shown = [path.name + " " + path.read_text() for path in self.pool.spool.glob("[!d]*/*.task.json")]
        screens = [self.pool.server.screen(name) for name in sorted(self.pool.server.names())]
        return "\n".join([*shown, *screens])

    def _drop(self) -> None:
        """Keep a few more tasks queued than there are sessions."""
        while self.left and len(self.pool.tasks("queue")) < len(self.pool.names) + 5:
            name = self.left.pop(0)
            self.pool.drop(name, self.texts[name])

    def _exhaust(self) -> None:
        due = (self.swapped + 1) * len(self.texts) / (self.swaps + 1)
        if self.swapped < self.swaps and len(self.pool.tasks("done")) >= due:
            self.swapped += 1
            later = datetime.now(UTC) + timedelta(hours=2)
            self.pool.agents.exhaust(**dict.fromkeys(ACCOUNTS[: self.swapped], later))

    def _check(self, *, kill: bool = True) -> None:
        begun = time.monotonic()
        end = None
        if kill and self.random.random() < 0.3:
            end = begun + self.random.uniform(0.0, 1.5 * (statistics.median(self.durations) if self.durations else 1.0))
        check = subprocess.Popen(
            self.pool.argv("-q"), env=self.pool.environ(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.counts["checks"] += 1
        killed = False
        while check.poll() is None:
            self._interfere()
            if end is not None and time.monotonic() >= end:
                check.kill()
                killed = True
                break
            self._kill_a_session()
            with suppress(subprocess.TimeoutExpired):
                check.wait(0.02)
        _, said = check.communicate()
        if killed:
            self.counts["checks killed"] += 1
        else:
            assert check.returncode == 0, (check.returncode, said)
            self.durations.append(time.monotonic() - begun)
        assert "Traceback" not in said, said
        while time.monotonic() < begun + CHECK_EVERY:
            self._kill_a_session()
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(["cat"], stdin=subprocess.PIPE, timeout=0.02, check=False)

    def _interfere(self) -> None:
        """Cancel a queued task while the check runs, and retry it, as an operator may."""
        if self.random.random() > 0.02:
            return
        waiting = self.spool.names(QUEUE)
        if waiting:
            name, now = self.random.choice(waiting), datetime.now(UTC)
            with suppress(TaskGoneError):
                canceled = self.spool.move(name, QUEUE, FAILED, self.spool.record(QUEUE, name))
                self.spool.move(canceled, FAILED, QUEUE, retried(self.spool.record(FAILED, canceled), now))
                self.counts["canceled and retried"] += 1

    def _kill_a_session(self) -> None:
        now = time.monotonic()
        if now < self.next_kill:
            return
        self.next_kill = now + self.random.uniform(0.3, 2.0)
        pids = self._pids()
        self.born = {pid: self.born.get(pid, now) for pid in pids}
        age = LIVES_FOR + CHECKS * max(self.durations, default=0.0)
        old = [pid for pid in pids if now - self.born[pid] > age]
        if old:
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(old), signal.SIGKILL)
                self.counts["sessions killed"] += 1

    def _pids(self) -> list[int]:
        rows = self.pool.server.control().rows() or ()
        return [row.pane.pid for row in rows if row.session_name in self.pool.names and not row.pane.dead]

    def verify(self) -> dict[str, float]:
        """The counts of this soak; AssertionError with the tasks that were not done exactly once."""
        found = self.pool.conversations()
        wrong = {name: found.done[text] for name, text in self.texts.items() if found.done[text] != 1}
        assert not wrong, f"times done: {wrong}"
        kept = [(self.pool.spool / "done" / name).read_text() for name in self.pool.tasks("done")]
        assert sorted(kept) == sorted(self.texts.values()), self.progress()
        assert not self.pool.tasks("failed")
        assert self.pool.server.names() == set(self.pool.names), self.pool.run().stdout
        history = [entry for entry in self.pool.state()["history"] if entry["outcome"] == "swapped"]
        assert len(history) == self.swaps, [entry["reason"] for entry in history]
        again = sum(found.taken[text] - 1 for text in self.texts.values())
        numbers = {"tasks": len(self.texts), "swaps": len(history), "dispatched again": again, **self.counts}
        return numbers | {"median check, s": round(statistics.median(self.durations), 2)}


def soak(seed: int, size: int, count: int, swaps: int, seconds: float, *, resume: bool = False) -> dict[str, float]:
    """Run one soak test; its counts by name."""
    with private_server() as server, tempfile.TemporaryDirectory() as folder:
        one = Soak(server, Path(folder), seed=seed, size=size, count=count, swaps=swaps, resume=resume)
        begun = time.monotonic()
        one.run(seconds)
        return one.verify() | {"seconds": round(time.monotonic() - begun)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--swaps", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--resume", action="store_true", help="restarted sessions resume their conversation")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    numbers = soak(options.seed, options.sessions, options.tasks, options.swaps, options.seconds, resume=options.resume)
    print(", ".join(f"{value:g} {name}" for name, value in numbers.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
