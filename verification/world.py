"""The fault lab's world: a real tmux server, real files, the real program, and a small model of the laws.

Each public method of `World` is one step. It changes the world or runs the program; `World.step` then checks the laws.
The model is weaker than the program on purpose: it does not predict a decision, it knows what no decision may do.

    L1  no session outside the range and the dedicated ones is touched
    L2  each account's newest credentials exist on disk, in the right place (`credential_model.py`)
    L3  no swap on handled hits, within a cooldown, or to an account known to be exhausted
    L4  no secret in the output or in the state
    L5  a check that reports that it could not do its work has changed nothing
"""

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Container
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.scene import FINE, HEALTHY
from failover_oneshot.ctl.demo.sandbox import MARK
from failover_oneshot.ctl.demo.server import Run
from tests.support.sandbox import HIT, Sandbox
from tests.support.tmux_server import Server
from verification import agent, killpoint
from verification.credential_model import CredentialModel, law

POOL = tuple(f"ccl-auto-{index}" for index in range(11, 15))
DEDICATED = "ops"
NEIGHBOURS = ("ccl-0", "ccl-auto-1", "ccl-auto-110", "opsy")
WATCHED = (*POOL, DEDICATED)
ACCOUNTS = ("main", "backup", "third")
COOLDOWN = timedelta(minutes=10)
CODES = {0, 1, 65, 69, 74, 75}
KILLED = -9
LOST = 65  # the exit code of a check that begins a fresh state
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")


class World:
    """An installation, and the model of what may happen to it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.sandbox = Sandbox(server, folder, ACCOUNTS)
        self.sandbox.config["swap"]["timeout"] = "2s"
        self.sandbox.config["swap"]["max_per_hour"] = 1000
        self.sandbox.config["pool"]["autonomous"].update(max=len(POOL))
        self.sandbox.config["tmux"]["timeout"] = "30s"
        self.sandbox.config["state"] = {"lock_timeout": "60s"}
        self.sandbox.save_config()
        self.screens = folder / "screens"
        self.screens.mkdir()
        self.hits: dict[str, int] = {}  # session -> number of the hit that it shows
        self.answered: set[int] = set()  # numbers of the handled hits
        self.pending: set[int] = set()  # numbers of the hits that the unfinished swap handles
        self.credentials = CredentialModel(self.sandbox, ACCOUNTS)
        self.count = 0
        self.outcomes: Counter[str] = Counter()
        self.trail: list[tuple[str, dict[str, Any]]] = []
        for name in (*WATCHED, *NEIGHBOURS):
            self._draw(name, None)
            self._start(name)
        self.untouched = {name: self.sandbox.server.pids()[name] for name in NEIGHBOURS}

    # -- steps: the world ----------------------------------------------------------------------------------------------

    def step(self, name: str, **arguments: Any) -> None:
        """Run one step by its name, add it to `trail`, and check the laws that must hold at every instant."""
        self.trail.append((name, arguments))
        method: Callable[..., None] = getattr(self, name)
        method(**arguments)
        self._everywhere()

    def hit(self, session: str, minutes: int | None) -> None:
        """Show a new hit in a session; its reset is in that many minutes, None: it gives no reset."""
        self.count += 1
        self.hits[session] = self.count
        self._draw(session, minutes)
        self._show(session)

    def heal(self, session: str) -> None:
        """The session works again."""
        self.hits.pop(session, None)
        self._draw(session, None)
        self._show(session)

    def vanish(self, session: str) -> None:
        """The operator ends a session; the next `hit` or `heal` brings it back."""
        if session in self.sandbox.server.pids():
            self.server.tmux("kill-session", "-t", f"={session}")

    def refresh(self) -> None:
        """The agent refreshes the live credentials; the old refresh token no longer works."""
        number, before = self.credentials.next(), agent.whose(self.sandbox.live_credentials)
        if before and agent.refresh(self.sandbox.live_credentials, number):
            self.credentials.refreshed(*before, number)

    def log_in(self, account: str) -> None:
        """The operator logs in by hand: the live credentials are lost, and only those in the store remain."""
        if self.state().get("swap_in_progress"):
            return
        if before := agent.whose(self.sandbox.live_credentials):
            self.credentials.overwritten(before[0])
        self.credentials.issued(account, self.credentials.next())
        self.sandbox.log_in(account, self.credentials.newest[account])

    def mode(self, after_swap: str) -> None:
        """Change the mode in which pool sessions are restarted."""
        self.sandbox.config["pool"]["autonomous"]["after_swap"] = after_swap
        self.sandbox.save_config()

    def soon(self) -> None:
        """Let half a minute pass."""
        self._pass(timedelta(seconds=30))

    def later(self, minutes: int) -> None:
        """Let time pass; a negative number sets the clock back."""
        self._pass(timedelta(minutes=minutes))

    def _pass(self, time: timedelta) -> None:
        pass_time(self.sandbox.state_file, time)

    def corrupt(self, which: str, how: str) -> None:
        """Damage the state or its backup, or both."""
        names = {"state": ["state.json"], "backup": ["state.json.bak"], "both": ["state.json", "state.json.bak"]}[which]
        for path in (self.sandbox.state_file.with_name(name) for name in names):
            if not path.exists():
                continue
            data = path.read_bytes()
            damaged = {"empty": b"", "half": data[: len(data) // 2], "zeros": b"\0" * len(data), "text": b"not JSON"}
            path.write_bytes(damaged[how])

    # -- steps: the program --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Run an undisturbed check: whatever happened before, it ends, and no swap stays unfinished."""
        done = self._judged(self._run)
        law("end", done.returncode in {0, 65}, f"exit {done.returncode}: {done.stderr}")
        law("end", not self.state().get("swap_in_progress"), "a swap is unfinished after an undisturbed check")

    def dry_run(self) -> None:
        """Run a dry run: it reports what it would do, and changes no byte."""
        before = self.sandbox.fingerprint()
        self._judged(lambda: self._run("--dry-run"))
        law("dry", before == self.sandbox.fingerprint(), "a dry run changed something")

    def killed(self, point: int) -> None:
        """Run a check that is killed before its n-th call that changes the world."""
        self._judged(lambda: self._at_point(str(point)))

    def disk(self, point: int, error: str) -> None:
        """Run a check in which each call that needs the disk fails, from the n-th call on."""
        self._judged(lambda: self._at_point(f"{point}:{error}"))

    def hung(self) -> None:
        """Run a check while the tmux server is stopped."""
        config = self.sandbox.config["tmux"]
        pid = self.server.server_pid()

        def run() -> Run:
            os.kill(pid, signal.SIGSTOP)
            try:
                return self._run()
            finally:
                os.kill(pid, signal.SIGCONT)

        config["timeout"] = "300ms"
        self.sandbox.save_config()
        try:
            self._judged(run)
        finally:
            config["timeout"] = "30s"
            self.sandbox.save_config()

    def crowd(self, size: int) -> None:
        """Run that many checks at once."""

        def run() -> Run:
            argv, environ = self.sandbox.argv("--json"), self.sandbox.environ()
            started = [
                subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for _ in range(size)
            ]
            ended = [(process, *process.communicate(timeout=300)) for process in started]
            worst = max((process.returncode for process, _, _ in ended), key=lambda code: (code == LOST, code))
            output = "".join(out for _, out, _ in ended), "".join(err for _, _, err in ended)
            return subprocess.CompletedProcess(argv, worst, *output)

        self._judged(run)

    def client_lock(self) -> None:
        """Run a check while the agent holds its own lock: a swap has to wait, and then to give up."""
        lock = self.sandbox.claude / ".oauth_refresh.lock"

        def run() -> Run:
            lock.mkdir()
            try:
                return self._run()
            finally:
                lock.rmdir()

        if not lock.exists():
            self._judged(run)

    def lost_lock(self, pause: int) -> None:
        """Run three checks at once, and remove their lock file every `pause` milliseconds while they run."""
        lock = self.sandbox.state_file.with_name("state.json.lock")

        def run() -> Run:
            argv, environ = self.sandbox.argv("--json"), self.sandbox.environ()
            started = [
                subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for _ in range(3)
            ]
            while any(process.poll() is None for process in started):
                time.sleep(pause / 1000)
                lock.unlink(missing_ok=True)
            ended = [(process, *process.communicate()) for process in started]
            worst = max((process.returncode for process, _, _ in ended), key=lambda code: (code == LOST, code))
            output = "".join(out for _, out, _ in ended), "".join(err for _, _, err in ended)
            return subprocess.CompletedProcess(argv, worst, *output)

        self._judged(run)

    # -- the laws ------------------------------------------------------------------------------------------------------

    def _judged(self, run: Callable[[], Run], codes: frozenset[int] = frozenset()) -> Run:
        """Run the program with `run`, and check what it did against the laws; `codes` are more exit codes to expect."""
        state, pids, live = self.state(), self.sandbox.server.pids(), self.sandbox.live_credentials.read_bytes()
        done = run()
        acted = self._issued()
        after = self.state()
        self.outcomes[_outcome(done)] += 1
        law("exit", done.returncode in CODES | codes | {KILLED}, f"exit {done.returncode}: {done.stderr}")
        law("L4", MARK not in done.stdout + done.stderr, "a secret was printed")
        law("line", "Traceback" not in done.stderr, done.stderr)
        if done.returncode == LOST:  # the state is lost and reported, so handled hits are unknown
            self.answered.clear()
        owed, owes = state.get("swap_in_progress"), after.get("swap_in_progress")
        swaps, failures, resumes = (
            _events(after, kind) - _events(state, kind) for kind in ("swapped", "failed", "resumed")
        )
        if done.returncode in {65, 69, 74, 75, 78} and not (acted or owed or owes or swaps > 0 or resumes > 0):
            same = (pids, live) == (self.sandbox.server.pids(), self.sandbox.live_credentials.read_bytes())
            law("L5", same, f"something was changed, but the exit code is {done.returncode}")
        law("L3", swaps <= 1, f"{swaps} swaps in one run")
        if not owed and (swaps > 0 or owes):
            self._justified(state, after, pids)
            self.pending = set(self.hits.values())
        if swaps > 0:
            self.answered |= self.pending
        if failures > 0 or swaps > 0:
            self.pending = set()
        return done

    def _justified(self, state: dict[str, Any], after: dict[str, Any], pids: Container[str]) -> None:
        """Check law L3: a swap, or a restart on an account that is free again, may begin from `state`."""
        journal = after.get("swap_in_progress") or {"kind": "swap", "to": after["last_swap"]["to"]}
        fresh = {name for name, hit in self.hits.items() if hit not in self.answered and name in pids}
        if journal["kind"] == "resume":
            law("L3", fresh, "a restart of sessions whose hits are all handled")
            return
        enough = DEDICATED in fresh or len(fresh & set(POOL)) >= 2
        law("L3", enough, f"a swap on too few hits: {sorted(fresh)}")
        now = datetime.now(UTC)
        if last := state.get("last_swap"):
            age = now - datetime.fromisoformat(last["at"])
            law("L3", age >= COOLDOWN - timedelta(seconds=2), f"a swap {age} after the last one")
        until = state.get("accounts", {}).get(journal["to"], {}).get("exhausted_until")
        law(
            "L3",
            not until or datetime.fromisoformat(until) <= now,
            f"a swap to {journal['to']}, exhausted until {until}",
        )

    def _everywhere(self) -> None:
        """Check the laws that must hold at every instant."""
        pids = self.sandbox.server.pids()
        law("L1", set(pids) <= {*WATCHED, *NEIGHBOURS}, f"unexpected sessions: {set(pids)}")
        law("L1", {n: pids.get(n) for n in NEIGHBOURS} == self.untouched, "a neighbor was touched")
        self.credentials.check()
        texts = {path: path.read_bytes() for path in self.sandbox.home.parent.rglob("*") if path.is_file()}
        for path, text in texts.items():
            if path.name.startswith("state.json"):
                law("L4", MARK.encode() not in text, f"a secret is in {path.name}")
            elif MARK.encode() in text and path.parent != self.screens:
                law("L4", not path.stat().st_mode & 0o077, f"{path} can be read by others")

    # -- how it is done ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The content of the state file, or of its backup, or {}."""
        for path in (self.sandbox.state_file, self.sandbox.state_file.with_name("state.json.bak")):
            try:
                found = json.loads(path.read_bytes())
            except (OSError, ValueError):
                continue
            if isinstance(found, dict):
                return found
        return {}

    def _run(self, *flags: str) -> Run:
        return self.sandbox.run("--json", *flags)

    def _at_point(self, point: str) -> Run:
        return self.sandbox.execute(killpoint.argv(point, os.devnull, self.sandbox.flags("--json")))

    def _issued(self) -> bool:
        """Whether the agent refreshed its tokens during a check."""
        return False

    def _draw(self, session: str, minutes: int | None) -> None:
        """Write the screen that the session shows from its next start on."""
        number = self.hits.get(session)
        if number is None:
            text = HEALTHY.format(answer=FINE)
        elif minutes is None:
            text = f"$ agent {number}\nerror: usage limit reached"
        else:
            then = f"{datetime.now(UTC) + timedelta(minutes=minutes):%-I:%M%p}".lower()
            text = HIT.replace("12:20pm (UTC)", f"{then} (UTC)").replace("12:20pm", then)
            text = re.sub(r"(?m)^❯ (\S.*)$", rf"❯ task {number}", text, count=1)
        (self.screens / session).write_text(text.removesuffix("\n"), encoding="utf-8")

    def _start(self, session: str) -> None:
        self.server.start(session, f"cat '{self.screens / session}'; exec sleep 600")

    def _show(self, session: str) -> None:
        """Restart the pane so that it shows its new screen; start the session if it is gone."""
        if session in self.sandbox.server.pids():
            self.server.tmux("respawn-pane", "-k", "-t", f"={session}:")
        else:
            self._start(session)
        last = (self.screens / session).read_text(encoding="utf-8").rsplit(maxsplit=1)[-1]
        self.server.wait_for(session, last)


def pass_time(state_file: Path, time: timedelta) -> None:
    """Move all times in the state, because the machine's clock cannot be set."""
    for path in state_file.parent.glob("state.json*"):
        if path.suffix != ".lock" and path.is_file():
            text = path.read_bytes().decode(errors="surrogateescape")
            moved = STAMP.sub(lambda found: _moved(found[0], -time), text)
            path.write_bytes(moved.encode(errors="surrogateescape"))


def _moved(stamp: str, by: timedelta) -> str:
    moved = datetime.fromisoformat(stamp) + by
    return f"{moved:%Y-%m-%dT%H:%M:%SZ}"


def _events(state: dict[str, Any], outcome: str) -> int:
    return sum(entry.get("outcome") == outcome for entry in state.get("history", []))


def _outcome(done: Run) -> str:
    if done.returncode == KILLED:
        return "killed"
    found = re.search(r'"outcome": ?"(\w+)"', done.stdout)
    return found[1] if found and not done.returncode else f"exit {done.returncode}"
