"""The kill matrix: kill a real check at each call that changes the world, recover with ordinary checks, verify.

    python -m verification.kill_matrix [--twice | --then ACT] [--error ENOSPC [--once]] [--stride N] [SCENARIO …]

It tries every point of every scenario and prints a row for each; the test suite tries a part of them. A scenario is a
method and a restart mode, or `resumed` and a mode. In `resumed` the check waits for the active account itself.

With `--then` the agent acts between the kill and the next check: it refreshes its tokens (`refresh`), or writes the
identity from before the check back (`revert`, method claude).
"""

import argparse
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from msgspec import structs

from failover_oneshot.ctl.demo.agents import FakeAgents
from failover_oneshot.ctl.demo.sandbox import MACHINE, MARK, credentials, identity
from failover_oneshot.ctl.demo.server import Run
from tests.support.polling import poll as wait
from tests.support.sandbox import NEIGHBOURS, POOL, Sandbox, hit_screen
from tests.support.tmux_server import MEMORY, private_server
from verification import agent, killpoint

METHODS = ("claude", "files", "env", "command", "resumed")
MODES = ("recreate", "respawn", "nudge", "none")
SCENARIOS = [f"{method}-{mode}" for method, mode in product(METHODS, MODES) if (method, mode) != ("resumed", "none")]
ERRORS = ("ENOSPC", "EIO", "EACCES", "EROFS")
ACTS = {
    "refresh": ("claude", "files"),
    "revert": ("claude",),
}  # what the agent does after a kill, and with which methods
REFRESHED = 9  # the number of tokens refreshed then
KILLED = -9
Tree = dict[str, tuple[int, bytes]]
poll = partial(wait, seconds=60)


class Trial:
    """An installation whose pool is blocked, and whose sessions log each of their starts."""

    def __init__(self, sandbox: Sandbox, scenario: str) -> None:
        self.sandbox = sandbox
        self.method, self.mode = scenario.split("-")
        self.nudged = self.mode == "nudge" and self.method != "env"  # with `env` only a restart changes the account
        folder = sandbox.home.parent
        self.starts, self.switches, self.agent = folder / "starts", folder / "switches", folder / "agent"
        self.starts.mkdir()
        self.agent.mkdir()
        sandbox.config["swap"]["method"] = "claude" if self.method == "resumed" else self.method
        sandbox.config["pool"]["autonomous"]["after_swap"] = self.mode
        self.client = sandbox.claude  # where the fake agent reads its credentials
        getattr(self, f"_{self.method}")()
        sandbox.save_config()
        self.bystander = sandbox.claude / "settings.json"
        sandbox.write(self.bystander, {"theme": "dark"})
        self.untouched = self.inode()
        if self.nudged:
            late = datetime.now(UTC) + timedelta(hours=2)
            sandbox.agents.exhaust(main="unknown" if self.method == "resumed" else late)
        for name in (*POOL, *NEIGHBOURS):
            if self.nudged and name in POOL:
                sandbox.server.start(name, self._agent(name).command("do the work"))
            else:
                screen = sandbox.server.screen_command(
                    hit_screen(minutes=-5) if self.method == "resumed" else hit_screen()
                )
                log = self.starts / name
                sandbox.server.start(name, f"echo ${{FAKE_ACCOUNT:-x}} >> {log}; {screen}")
        for name in (*POOL, *NEIGHBOURS):
            sandbox.server.wait_for(name, "limit")
        if self.nudged and self.method == "resumed":  # else the nudge comes after the account has changed
            sandbox.agents.exhaust()
        self.pids = self.sandbox.server.pids()
        self.before = self.tree()
        self.acted = False
        self.newest = {"main": 2, "backup": 1}

    def inode(self) -> tuple[int, int]:
        info = self.bystander.stat()
        return info.st_ino, info.st_mtime_ns

    # -- the methods ---------------------------------------------------------------------------------------------------

    def _claude(self) -> None:
        """The configuration of the sandbox is for this method already."""

    def _resumed(self) -> None:
        """Both accounts were exhausted, and the active one is free again."""
        past, late = (f"{datetime.now(UTC) + timedelta(minutes=m):%Y-%m-%dT%H:%M:%SZ}" for m in (-4, 3000))
        self.sandbox.set_state(
            active_account="main",
            accounts={"main": {"exhausted_until": past}, "backup": {"exhausted_until": late}},
            waiting={"since": past, "account": "main", "until": past},
        )

    def _files(self) -> None:
        self.client = self.agent
        self.sandbox.config["swap"]["files"] = [str(self.agent / ".credentials.json"), str(self.agent / "profile.json")]
        for folder, account, generation in (
            (self.agent, "main", 2),
            (self.sandbox.stored("main"), "main", 1),
            (self.sandbox.stored("backup"), "backup", 1),
        ):
            self.sandbox.write(folder / ".credentials.json", credentials(account, generation))
            self.sandbox.write(folder / "profile.json", {"login": f"fake-{account}-profile-{generation}"})
        self.sandbox.set_state(active_account="main")

    def _env(self) -> None:
        for account in self.sandbox.config["accounts"]:
            account["env"] = {"FAKE_ACCOUNT": account["name"]}
        self.sandbox.set_state(active_account="main")

    def _command(self) -> None:
        self.client = self.agent
        live, saved = self.agent / ".credentials.json", self.sandbox.home / "saved"
        self.sandbox.write(live, credentials("main", 2))
        script = self.switches.with_name("switch")  # as a careful operator writes it: safe to repeat
        script.write_text(
            f"#!/bin/sh -e\numask 077\ntrap 'rm -f {saved}.new {live}.new' EXIT\n"
            f'echo "$1 $2" >> {self.switches}\n'
            f"grep -q '[f]ake-'$2- {live} && exit 0\n"  # the brackets keep the fake secret's mark out of this script
            f'cp {live} {saved}.new; mv {saved}.new {self.sandbox.stored("main").parent}/"$1"/.credentials.json\n'
            f'cp {self.sandbox.stored("main").parent}/"$2"/.credentials.json {live}.new; mv {live}.new {live}\n'
        )
        script.chmod(0o700)
        self.sandbox.config["swap"]["command"] = [str(script), "{from}", "{to}"]
        self.sandbox.set_state(active_account="main")

    def _agent(self, name: str) -> FakeAgents:
        """The fake agent of that session: it reads the credentials that this method swaps, and has its own log."""
        return structs.replace(self.sandbox.agents, claude_dir=self.client, log=self.starts / name)

    # -- one check, disturbed ------------------------------------------------------------------------------------------

    def checked(self, point: int | str, points: str = os.devnull, under: Sequence[str] = ()) -> Run:
        """A check disturbed by `killpoint.py`; `under` is a program to run it in, such as strace."""
        argv = [*under, *killpoint.argv(point, points, self.sandbox.flags("--json"))]
        return self.sandbox.execute(argv, PYTHONDONTWRITEBYTECODE="1")

    def killed(self, point: int, points: str = os.devnull) -> bool:
        """Run a check that is killed at that point; False if it ended before."""
        done = self.checked(point, points)
        assert done.returncode in {0, KILLED}, done.stderr
        return done.returncode == KILLED

    def fail(self, point: int, error: str) -> None:
        """Run a check whose disk fails at that point, and judge its end."""
        self.judge(self.checked(f"{point}:{error}"))

    def judge(self, done: Run) -> None:
        """Assert what is promised of a check that could not write: exit code, no traceback, no secret, no half swap."""
        assert done.returncode in {0, 1, 74}, (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr
        assert MARK not in done.stdout + done.stderr
        state = self.sandbox.state() if self.sandbox.state_file.exists() else {}
        if state.get("last_failure"):  # the swap failed: the next attempt comes after the cooldown
            assert self._live(self.tree()) == self._live(self.before), "the swap was not rolled back"
            assert self.sandbox.server.pids() == self.pids
            self.sandbox.set_state(last_failure=None, history=[])

    def act(self, what: str) -> None:
        """The agent acts on its files after a kill; it breaks the locks that the killed check left."""
        self.acted = True
        agent.break_locks(path for path in self.sandbox.home.rglob("*.lock") if path.is_dir())
        if what == "revert":
            agent.revert(self.sandbox.settings, identity("main"))
        elif account := agent.refresh(self.client / ".credentials.json", REFRESHED):
            self.newest[account] = REFRESHED

    def recover(self) -> None:
        """Run two ordinary checks; after them no swap may be unfinished."""
        outcomes = []
        for _ in range(2):
            done = self.sandbox.run("--json")
            assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
            outcomes.append(json.loads(done.stdout)["outcome"])
        if self.method == "resumed":
            assert outcomes in (["resumed", "ok"], ["ok", "ok"]), outcomes
        else:
            assert outcomes in (["swapped", "cooldown"], ["cooldown", "cooldown"]), outcomes

    # -- what must hold afterwards -------------------------------------------------------------------------------------

    def tree(self) -> Tree:
        """Mode and bytes of every file of the home and the agent, without the agent's records and our temporaries."""
        found = {}
        for root in (self.sandbox.home, self.agent):
            for path in sorted(root.rglob("*")):
                records = {"projects", "sessions", "__pycache__"} & set(path.parts)
                if path.is_file() and not records and not path.name.startswith(".failover-tmp-"):
                    name = str(path.relative_to(self.sandbox.home.parent))
                    found[name] = stat.S_IMODE(path.stat().st_mode), path.read_bytes()
        return found

    @staticmethod
    def _live(tree: Tree) -> Tree:
        return {name: content for name, content in tree.items() if ".claude-accounts" not in name}

    def verify(self, expected: Tree | None = None) -> None:
        """Assert what docs/kill-matrix.md lists; `expected` are the files that an undisturbed check leaves."""
        sandbox, state = self.sandbox, self.sandbox.state()
        assert state["swap_in_progress"] is None
        assert state["active_account"] == ("main" if self.method == "resumed" else "backup")
        outcome = "resumed" if self.method == "resumed" else "swapped"
        outcomes = [e["outcome"] for e in state["history"] if e["outcome"] != "waiting"]
        assert outcomes == [outcome], "not exactly one swap"
        assert state["counters"][outcome] == 1, "the swap is not counted once"
        for name in POOL:
            hit = state["sessions"][name]["hit"]
            assert hit is None or hit["acted_on"], f"the hit of {name} is not handled"
        getattr(self, f"_verify_{self.method}")()
        if expected is not None and not self.acted:
            tree = self.tree()
            assert tree.keys() == expected.keys()
            assert [name for name in tree if tree[name] != expected[name]] == []
        self._verify_sessions()
        assert self.inode() == self.untouched
        locks = [p for p in sandbox.home.rglob("*.lock") if p.is_dir()]
        assert locks == [], "Claude Code's locks are not released"
        assert not (sandbox.state_file.parent / "unclaimed").exists(), "credentials were taken for unclaimed"
        for path in sandbox.home.parent.rglob("*"):
            secret = path.is_file() and not path.is_symlink() and MARK.encode() in path.read_bytes()
            if secret:
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, f"{path} is not private"
        assert MARK not in sandbox.state_file.read_text()

    def _verify_claude(self) -> None:
        sandbox = self.sandbox
        live, kept, stored = (
            json.loads((folder / ".credentials.json").read_bytes())
            for folder in (sandbox.claude, sandbox.stored("main"), sandbox.stored("backup"))
        )
        main, backup = self.newest["main"], self.newest["backup"]
        assert kept == credentials("main", main), "the newest credentials of main are not in its store"
        assert stored in (credentials("backup", 1), credentials("backup", backup))
        assert live == {**credentials("backup", backup), **MACHINE}, "the newest credentials of backup are not live"
        self._verify_generations()
        settings = json.loads((sandbox.home / ".claude.json").read_bytes())
        expected = {"numStartups": 7, "oauthAccount": identity("backup"), "projects": {}}
        assert settings == expected, "the live identity is not backup's, or other settings were changed"

    def _verify_resumed(self) -> None:
        assert self.tree() == self.before, "a file was changed"

    def _verify_files(self) -> None:
        for folder, account, numbers in (
            (self.agent, "backup", {self.newest["backup"]}),
            (self.sandbox.stored("main"), "main", {self.newest["main"]}),
            (self.sandbox.stored("backup"), "backup", {1, self.newest["backup"]}),
        ):
            found = json.loads((folder / ".credentials.json").read_bytes())
            assert found in [credentials(account, number) for number in numbers], f"{folder} does not hold {account}'s"
            profile = {"login": f"fake-{account}-profile-{2 if account == 'main' else 1}"}
            assert json.loads((folder / "profile.json").read_bytes()) == profile
        self._verify_generations()

    def _verify_generations(self) -> None:
        """Both logins of main that the swap replaced are kept: the live one and that of its store."""
        folder = self.sandbox.state_file.parent / "generations"
        kept = [(path.parent.name, agent.whose(path)) for path in folder.glob("*/*.credentials.json")]
        assert {account for account, _ in kept} <= {"main", "backup"}
        assert [owner for account, owner in kept if owner is None or owner[0] != account] == [], "a foreign generation"
        replaced = {("main", ("main", number)) for number in (1, self.newest["main"])}
        assert replaced <= set(kept), "replaced credentials of main are not kept"
        folders = [folder, *(path for path in folder.iterdir() if path.is_dir())]
        assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}

    def _verify_env(self) -> None:
        for name in POOL:
            ran_on = (self.starts / name).read_text().split()[-1]
            noted = self.sandbox.state()["sessions"][name]["account"]
            assert (ran_on, noted) == (("backup", "backup") if self.mode in {"recreate", "respawn"} else ("x", "main"))

    def _verify_command(self) -> None:
        assert set(self.switches.read_text().splitlines()) == {"main backup"}
        for folder, account, generation in (
            (self.agent, "backup", 1),
            (self.sandbox.stored("main"), "main", 2),
            (self.sandbox.stored("backup"), "backup", 1),
        ):
            assert json.loads((folder / ".credentials.json").read_bytes()) == credentials(account, generation)

    def _verify_sessions(self) -> None:
        now = self.sandbox.server.pids()
        assert set(now) == {*POOL, *NEIGHBOURS}
        assert {n: now[n] for n in NEIGHBOURS} == {n: self.pids[n] for n in NEIGHBOURS}, "a neighbour was touched"
        restarted = self.mode in {"recreate", "respawn"}
        for name in POOL:
            assert (now[name] != self.pids[name]) is restarted
            if self.nudged:
                sent = poll(partial(self._sent, name, 2))
                assert [entry["prompt"] for entry in sent] == ["do the work", "continue"], f"{name} was not nudged once"
                assert sent[-1]["result"] == "reply"
                assert sent[-1]["account"] == ("main" if self.method == "resumed" else "backup")
            else:
                starts = poll(partial(self._starts, name, 2 if restarted else 1))
                assert len(starts) == (2 if restarted else 1), f"{name} was not restarted once"

    def _sent(self, name: str, least: int) -> list[dict[str, Any]]:
        found = self._agent(name).messages()
        return found if len(found) >= least else []

    def _starts(self, name: str, least: int) -> list[str]:
        found = (self.starts / name).read_text().split()
        return found if len(found) >= least else []


@contextmanager
def trial(scenario: str) -> Iterator[Trial]:
    """A new trial of that scenario on a private tmux server; both are removed afterwards."""
    with private_server() as server, tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Trial(Sandbox(server, Path(folder)), scenario)


@cache
def undisturbed(scenario: str) -> tuple[list[str], Tree]:
    """The points of one undisturbed check, by name, and the files that it leaves; the result is verified too."""
    with trial(scenario) as one, tempfile.NamedTemporaryFile() as file:
        assert not one.killed(0, file.name)
        one.recover()
        one.verify()
        return Path(file.name).read_text(encoding="utf-8").splitlines(), one.tree()


def points_of(scenario: str) -> list[str]:
    """The points of one undisturbed check, by name."""
    return undisturbed(scenario)[0]


def try_point(scenario: str, *points: int) -> None:
    """Kill a check at the first point, the next check at the second one if given; then recover and verify."""
    _, expected = undisturbed(scenario)
    with trial(scenario) as one:
        for point in points:
            one.killed(point)
        one.recover()
        one.verify(expected)


def try_act(scenario: str, point: int, act: str) -> None:
    """Kill a check at that point; then the agent acts on its files; recover and verify."""
    with trial(scenario) as one:
        one.killed(point)
        one.act(act)
        one.recover()
        one.verify()


def try_error(scenario: str, point: int, error: str) -> None:
    """Let the disk fail from that point on (with `ENOSPC:once` only there), then repair it, recover, verify."""
    _, expected = undisturbed(scenario)
    with trial(scenario) as one:
        one.fail(point, error)
        one.recover()
        one.verify(expected)


def second(point: int) -> int:
    """The point at which to kill the next check after one that was killed at `point`; spread over a whole check."""
    return 1 + point * 53 % 149


def attempt(options: argparse.Namespace, scenario: str, point: int) -> str | None:
    """Try one point as the options say; a description of the failure, or None."""
    try:
        if options.error:
            try_error(scenario, point, options.error + (":once" if options.once else ""))
        elif options.then:
            try_act(scenario, point, options.then)
        else:
            try_point(scenario, point, *([second(point)] if options.twice else []))
    except AssertionError as error:
        return f"{scenario} at {point} ({points_of(scenario)[point - 1][:60]}): {str(error)[:600]}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"default: all of {' '.join(SCENARIOS)}")
    parser.add_argument("--stride", type=int, default=1, help="try only every N-th point")
    parser.add_argument("--first", type=int, default=1, help="start at this point")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--twice", action="store_true", help="also kill the next check, at another point")
    how.add_argument("--then", choices=ACTS, help="what the agent does after the kill, before the next check")
    how.add_argument("--error", choices=ERRORS, help="let the disk fail from each point on; kill nothing")
    parser.add_argument("--once", action="store_true", help="with --error: fail at that point only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trials at a time (default: one per core)")
    options = parser.parse_args()
    total = tried = bad = 0
    print("| scenario | points | tried | failed |\n| --- | --- | --- | --- |", flush=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        for scenario in options.scenarios or [
            s for s in SCENARIOS if s.split("-")[0] in ACTS.get(options.then, METHODS)
        ]:
            points = points_of(scenario)
            numbers = range(options.first, len(points) + 1, options.stride)
            wrong = [text for text in pool.map(partial(attempt, options, scenario), numbers) if text]
            tried, bad = tried + len(numbers), bad + len(wrong)
            total += len(points)
            row = f"| `{scenario}` | {len(points)} | {len(numbers)} | {len(wrong)} |"
            print("\n".join([row, *wrong]), flush=True)
    print(f"| all | {total} | {tried} | {bad} |")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
