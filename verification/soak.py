"""The soak of lifecycle and dispatch: `python -m verification.soak [--seed N]` (or `make soak`).

A real tmux server with stand-in agents and real checks one after the other. Sessions are killed at random, checks are
killed at random, accounts run out in between. In the end every task has been done exactly once, by the records of the
agents themselves, and the pool has its size.
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

CHECK_EVERY = 0.2  # seconds between the starts of two checks, as far as they are that quick
# Seconds, and so many checks: one that no check has seen alive for a while has died "at its start" when it is killed,
# and after three of these the pool leaves it alone.
LIVES_FOR, CHECKS = 6.0, 2.5


class Soak:
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
        self.pool.config["dispatch"]["attempts"] = 50  # here sessions die all the time
        self.pool.config["state"] = {"history": 200}
        self.pool.save_config()
        self.texts = {f"task-{number:04}": self._text(number) for number in range(count)}
        self.left = list(self.texts)
        self.swaps, self.swapped = swaps, 0
        self.born: dict[int, float] = {}
        self.next_kill = 0.0
        self.counts = {"checks": 0, "checks killed": 0, "sessions killed": 0, "cancelled and retried": 0}
        self.spool = Spool(self.pool.spool)
        self.durations: list[float] = []

    def _text(self, number: int) -> str:
        words = [
            self.random.choice(["fix", "`ls`", "$(id)", "#{pid}", ";", "“ü”", "-x", "C-c", "\n", "\t"])
            for _ in range(9)
        ]
        return f"task {number}: " + " ".join(words) + self.random.choice(["", "\nmore" * 12, " long" * 300])

    def run(self, seconds: float) -> None:
        """Until no task is left, and the pool has its size again."""
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
        """The records of what is not done, and what their sessions show."""
        shown = [path.name + " " + path.read_text() for path in self.pool.spool.glob("[!d]*/*.task.json")]
        screens = [self.pool.server.screen(name) for name in sorted(self.pool.server.names())]
        return "\n".join([*shown, *screens])

    def _drop(self) -> None:
        """A few more tasks than there are sessions are always waiting."""
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
        """An operator takes a waiting task back while the check runs, and thinks better of it."""
        if self.random.random() > 0.02:
            return
        waiting = self.spool.names(QUEUE)
        if waiting:
            name, now = self.random.choice(waiting), datetime.now(UTC)
            with suppress(TaskGoneError):
                cancelled = self.spool.move(name, QUEUE, FAILED, self.spool.record(QUEUE, name))
                self.spool.move(cancelled, FAILED, QUEUE, retried(self.spool.record(FAILED, cancelled), now))
                self.counts["cancelled and retried"] += 1

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
        """The numbers; AssertionError with the tasks that were lost or done twice."""
        told = self.pool.conversations()
        wrong = {name: told.done[text] for name, text in self.texts.items() if told.done[text] != 1}
        assert not wrong, f"done so often: {wrong}"
        kept = [(self.pool.spool / "done" / name).read_text() for name in self.pool.tasks("done")]
        assert sorted(kept) == sorted(self.texts.values()), self.progress()
        assert not self.pool.tasks("failed")
        assert self.pool.server.names() == set(self.pool.names), self.pool.run().stdout
        history = [entry for entry in self.pool.state()["history"] if entry["outcome"] == "swapped"]
        assert len(history) == self.swaps, [entry["reason"] for entry in history]
        again = sum(told.taken[text] - 1 for text in self.texts.values())
        numbers = {"tasks": len(self.texts), "swaps": len(history), "handed out again": again, **self.counts}
        return numbers | {"median check, s": round(statistics.median(self.durations), 2)}


def soak(seed: int, size: int, count: int, swaps: int, seconds: float, *, resume: bool = False) -> dict[str, float]:
    """One soak; its numbers."""
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
