"""The fault lab: random faults against the real program on a real tmux server, with the laws checked after each step.

    python -m verification.faults [--steps N] [--seed S] [--minutes M]

The steps are the methods of `verification.world.World`: hits, resets, clock jumps, kills, full disks, a hung tmux
server, corrupt files, several checks at once. Those of `CredentialWorld` are about the files of a swap: refreshes at
any point, an old identity written back, links, mounts, half-written files, locks that nobody holds. The lab prints its
seeds. For a violation it prints the steps, which go into tests/system/test_fault_lab.py, and exits 1.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.support.tmux_server import private_server
from verification.credential_world import ACTS, LINKS, LOCKS, CredentialWorld
from verification.world import ACCOUNTS, WATCHED

LENGTH = 60  # steps in a row in one world
SESSIONS = st.sampled_from(WATCHED)
MINUTES = st.sampled_from([None, 1, 30, 120, 280])
WAITS = st.sampled_from([0, 11, 11, 310])
DISK_ERRORS = st.sampled_from(["ENOSPC", "EIO", "EROFS", "EDQUOT"])


class Tally:
    """The counts of one run of the fault lab, and the violation that it found."""

    steps = 0
    worlds = 0
    until = float("inf")
    names: Counter[str] = Counter()  # noqa: RUF012 - one run of the fault lab is one process
    outcomes: Counter[str] = Counter()  # noqa: RUF012
    violation: tuple[str, list[tuple[str, dict[str, Any]]]] | None = None


class FaultLab(RuleBasedStateMachine):
    """The rules for hypothesis; each is one step of `World`, or several in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.held = ExitStack()
        self.world: CredentialWorld | None = None

    @initialize(
        mode=st.sampled_from(["recreate", "respawn", "none"]),
        method=st.sampled_from(["claude", "claude", "claude", "files"]),
        uuid=st.booleans(),
    )
    def begin(self, mode: str, method: str, uuid: bool) -> None:
        if not self.over():
            server = self.held.enter_context(private_server())
            folder = Path(self.held.enter_context(tempfile.TemporaryDirectory(prefix="fo-lab-")))
            self.world = CredentialWorld(server, folder)
            Tally.worlds += 1
            self.step("installation", method=method, uuid=uuid)
            self.step("mode", after_swap=mode)
            self.script(0, WATCHED[:3], 120, 0)

    def over(self) -> bool:
        """Whether this run is over; the remaining steps then do nothing."""
        return time.monotonic() > Tally.until or Tally.violation is not None

    def step(self, name: str, **arguments: Any) -> None:
        if self.world is None or self.over():
            return
        Tally.steps += 1
        Tally.names[name] += 1
        try:
            self.world.step(name, **arguments)
        except (AssertionError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            Tally.violation = f"{type(error).__name__}: {error}", self.world.trail
            raise

    @rule(session=SESSIONS, minutes=MINUTES)
    def hit(self, session: str, minutes: int | None) -> None:
        self.step("hit", session=session, minutes=minutes)

    def script(self, wait: int, sessions: Sequence[str], minutes: int | None, checks: int) -> None:
        """The steps that lead to a swap: time passes, some sessions are blocked, and the timer fires."""
        self.step("later", minutes=wait)
        for session in sessions:
            self.step("hit", session=session, minutes=minutes)
        for _ in range(checks):
            self.step("soon")
            self.step("check")

    # Laws break around swaps, if at all. Three rules lead to swaps, so that most sequences have some.

    @rule(wait=WAITS, minutes=MINUTES, checks=st.integers(0, 2))
    def pool_is_blocked(self, wait: int, minutes: int | None, checks: int) -> None:
        self.script(wait, WATCHED[:3], minutes, checks)

    @rule(wait=WAITS, minutes=MINUTES, checks=st.integers(0, 2))
    def dedicated_is_blocked(self, wait: int, minutes: int | None, checks: int) -> None:
        self.script(wait, WATCHED[-1:], minutes, checks)

    @rule(wait=WAITS, checks=st.integers(1, 2))
    def timer(self, wait: int, checks: int) -> None:
        self.script(wait, (), None, checks)

    @rule(session=SESSIONS)
    def heal(self, session: str) -> None:
        self.step("heal", session=session)

    @rule(session=SESSIONS)
    def vanish(self, session: str) -> None:
        self.step("vanish", session=session)

    @rule()
    def refresh(self) -> None:
        self.step("refresh")

    @rule(account=st.sampled_from(ACCOUNTS), uuid=st.booleans(), wait=WAITS, checks=st.integers(0, 2))
    def log_in(self, account: str, uuid: bool, wait: int, checks: int) -> None:
        self.step("log_in", account=account, uuid=uuid)
        self.script(wait, WATCHED[:3], 120, checks)

    @rule()
    def blanked(self) -> None:
        self.step("blanked")

    @rule()
    def assign(self) -> None:
        self.step("assign")

    @rule(minutes=MINUTES, refresh=st.booleans(), checks=st.integers(0, 2))
    def identity_is_reverted(self, minutes: int | None, refresh: bool, checks: int) -> None:
        self.script(11, WATCHED[:3], minutes, 2)
        self.step("revert_identity", refresh=refresh)
        self.script(11, WATCHED[:3], minutes, checks)

    @rule(wait=WAITS, minutes=MINUTES, point=st.integers(1, 160), act=st.sampled_from(ACTS))
    def blocked_meanwhile(self, wait: int, minutes: int | None, point: int, act: str) -> None:
        self.script(wait, WATCHED[:3], minutes, 0)
        self.step("meanwhile", point=point, act=act)

    @rule(which=st.sampled_from(["credentials", "settings"]), milliseconds=st.sampled_from([None, 100, 300, 600]))
    def half_written(self, which: str, milliseconds: int | None) -> None:
        self.step("half_written", which=which, milliseconds=milliseconds)

    @rule(layout=st.sampled_from(LINKS))
    def linked(self, layout: str) -> None:
        self.step("linked", layout=layout)

    @rule(which=st.sampled_from(["credentials", "settings", "store"]))
    def bind_mounted(self, which: str) -> None:
        self.step("bind_mounted", which=which)

    @rule(which=st.integers(0, len(LOCKS) - 1), seconds=st.sampled_from([-3600, -3600, -120, 3600]))
    def locked_by_a_stranger(self, which: int, seconds: int) -> None:
        self.step("locked_by_a_stranger", which=which, seconds=seconds)

    @rule(minutes=st.sampled_from([1, 11, 11, 130, 300, -20, -1500]))
    def later(self, minutes: int) -> None:
        self.step("later", minutes=minutes)

    @rule(which=st.sampled_from(["state", "backup", "both"]), how=st.sampled_from(["empty", "half", "zeros", "text"]))
    def corrupt(self, which: str, how: str) -> None:
        self.step("corrupt", which=which, how=how)

    @rule()
    def check(self) -> None:
        self.step("check")

    @rule()
    def dry_run(self) -> None:
        self.step("dry_run")

    @rule(point=st.integers(1, 20))
    def killed(self, point: int) -> None:
        self.step("killed", point=point)

    @rule(point=st.integers(1, 160))
    def killed_in_a_swap(self, point: int) -> None:
        self.step("killed", point=point)

    @rule(point=st.integers(1, 160), error=DISK_ERRORS)
    def disk(self, point: int, error: str) -> None:
        self.step("disk", point=point, error=error)

    @rule()
    def hung(self) -> None:
        self.step("hung")

    @rule(size=st.integers(2, 4))
    def crowd(self, size: int) -> None:
        self.step("crowd", size=size)

    @rule()
    def client_lock(self) -> None:
        self.step("client_lock")

    @rule(pause=st.sampled_from([20, 100, 300, 1000]))
    def lost_lock(self, pause: int) -> None:
        self.step("lost_lock", pause=pause)

    def teardown(self) -> None:
        try:
            if self.world is not None and not Tally.violation:
                self.step("check")  # whatever happened, no swap may be unfinished at the end
        finally:
            if self.world is not None:
                Tally.outcomes += self.world.outcomes
            self.held.close()


def main() -> int:
    """Run the lab and print what it did and found; exit code 1 if a law was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m verification.faults", description="Run random faults against the real program."
    )
    parser.add_argument("--steps", type=int, default=400, help=f"minimum number of steps (about {LENGTH} per world)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=30, help="time limit (default: 30)")
    options = parser.parse_args()
    begun = time.monotonic()
    Tally.until = begun + options.minutes * 60
    number = options.seed
    while Tally.steps < options.steps and time.monotonic() < Tally.until and not Tally.violation:
        sys.stdout.write(f"seed {number}: {Tally.steps} steps so far\n")
        sys.stdout.flush()
        machine = seed(number)(type("Run", (FaultLab,), {}))
        try:
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=5,
                    stateful_step_count=LENGTH,
                    deadline=None,
                    database=None,
                    phases=[Phase.generate],  # no shrinking: each try takes a minute
                    suppress_health_check=list(HealthCheck),
                ),
            )
        except Exception:  # after a violation the steps do nothing, which hypothesis takes for flakiness
            if not Tally.violation:
                raise
        number += 1
    spent = time.monotonic() - begun
    sys.stdout.write(
        f"{Tally.steps} steps in {Tally.worlds} worlds, {spent:.0f} s, seeds {options.seed} to {number - 1}\n"
    )
    sys.stdout.write(f"steps: {_listed(Tally.names)}\nchecks: {_listed(Tally.outcomes)}\n")
    if not Tally.violation:
        sys.stdout.write("no law was broken\n")
        return 0
    what, trail = Tally.violation
    sys.stdout.write(f"BROKEN with seed {number - 1}: {what}\n")
    for name, arguments in trail:
        sys.stdout.write(f"    ({name!r}, {arguments!r}),\n")
    return 1


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())


if __name__ == "__main__":
    sys.exit(main())
