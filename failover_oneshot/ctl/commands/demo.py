"""`failoverctl demo`: a pool of stand-ins hits its limit, one real check swaps the account, promises are verified.

Exit 0 when all promises hold, 1 when one does not, 69 without tmux.
"""

import argparse
import io
import json
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from failover_oneshot.ctl.demo.checks import MANUAL, POOL, DemoFacts, Promise, kept
from failover_oneshot.ctl.demo.sandbox import Sandbox, throwaway
from failover_oneshot.ctl.demo.server import DemoError, Run, Server, UnavailableError
from failover_oneshot.ctl.lib.terminal import Terminal

SESSIONS = (*POOL, MANUAL)
CHECK = shlex.join((sys.executable, "-m", "failover_oneshot"))
PATIENCE = 30.0  # seconds that any one thing may take: a tenth of it is plenty


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `failoverctl demo`."""
    parser.add_argument("--keep", action="store_true", help="leave the folder and its tmux server, and say how to look")
    parser.add_argument("--json", action="store_true", help="print the facts as one object, at the end")
    parser.add_argument("--check", metavar="COMMAND", default=CHECK, help=argparse.SUPPRESS)  # both for our tests
    parser.add_argument("--patience", metavar="SECONDS", type=float, default=PATIENCE, help=argparse.SUPPRESS)
    parser.epilog = "exit codes: 0 all promises hold, 1 one does not,\n69 tmux is missing or does not start"


def run(options: argparse.Namespace) -> int:
    """Play the demo to its end; the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: clean up, then leave
        signal.signal(number, signal.default_int_handler)
    paper = Terminal(sys.stdout, os.environ)
    story = DemoRun(Terminal(io.StringIO(), {}) if options.json else paper)
    began = time.monotonic()
    try:
        with throwaway(shlex.split(options.check), options.patience, keep=options.keep) as sandbox:
            story.play(sandbox)
    except UnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except DemoError as error:
        story.stopped = str(error)
    code = story.verdict(sandbox, round(time.monotonic() - began, 1), kept=options.keep)
    if options.json:
        paper.say(json.dumps(story.facts, ensure_ascii=False))
    return code


class DemoRun:
    """The demo as it is told, and its facts for `--json`."""

    def __init__(self, paper: Terminal) -> None:
        self.paper = paper
        self.facts: dict[str, Any] = {"version": 1, "ok": False}
        self.promises: list[Promise] = []
        self.stopped = ""  # why it could not be played to its end

    def play(self, sandbox: Sandbox) -> None:
        """The story; DemoError when it can not go on."""
        paper, server, agents = self.paper, sandbox.server, sandbox.agents
        self.facts["folder"] = str(sandbox.folder)
        paper.say(paper.style("A pool of agents hits its limit, and one check swaps the account.", "bold"))
        paper.paragraph(f"Everything happens in {sandbox.folder}, on a tmux server of its own, with stand-ins for the "
                        "agent and two fake accounts. Your tmux, home and logins are not touched.")  # fmt: skip

        self.chapter("Four agents have worked on account main; now its quota is used up")
        set_up(sandbox)
        wait(server, "the agents work", lambda: len(agents.messages(account="main", result="reply")) == len(SESSIONS))
        until = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=2)
        agents.exhaust(main=until)
        for name in SESSIONS:
            server.type(name, "go on")
        wait(server, "the agents hit the limit", lambda: all("You've hit" in server.screen(name) for name in SESSIONS))
        before = server.pids()
        manual = server.screen(MANUAL)
        self.facts["before"] = self.show(sandbox, before, {})

        self.chapter("What would a check do?")
        fingerprint = sandbox.fingerprint()
        dry = self.check(sandbox, "--dry-run")
        touched = changed(fingerprint, sandbox.fingerprint())

        self.chapter("One check, as the timer runs it")
        check = self.check(sandbox)
        server.reached(lambda: len(agents.messages(account="backup", result="reply")) >= len(POOL))
        server.reached(lambda: all("answered on" in shown(server, name) for name in POOL))
        after = server.pids()
        paper.say()
        self.facts["after"] = self.show(sandbox, after, before)

        prompt = "which account is this?"
        self.chapter(f"A prompt is typed into {POOL[1]}")
        answer = self.ask(sandbox, prompt) if POOL[1] in after else ""

        self.chapter("The timer fires again")
        again = self.check(sandbox)

        self.facts["checks"] = [_facts(run) for run in (dry, check, again)]
        last = server.pids()
        seen = DemoFacts(
            until=until, before=before, after=after, last=last, dry=dry, check=check, again=again,
            manual=(manual, server.screen(MANUAL) if MANUAL in last else ""), touched=touched, answer=answer,
        )  # fmt: skip
        self.promises = kept(sandbox, seen)

    def chapter(self, title: str) -> None:
        """A heading."""
        self.paper.say()
        self.paper.say(self.paper.style(title, "bold"))

    def check(self, sandbox: Sandbox, *flags: str) -> Run:
        """One run of failover-check, and what it printed."""
        paper = self.paper
        paper.say("  " + paper.style(" ".join(("$ failover-check", *flags)), "dim"))
        done = sandbox.run(*flags)
        for line in done.stdout.splitlines():
            paper.paragraph(line, rest="    ")
        if done.returncode:
            paper.say(f"  exit code {done.returncode}")
            for line in done.stderr.splitlines():
                paper.paragraph(line, rest="    ")
        return done

    def ask(self, sandbox: Sandbox, prompt: str) -> str:
        """Type into a restarted agent; the account that answered."""
        server, agents = sandbox.server, sandbox.agents
        server.type(POOL[1], prompt)
        server.reached(lambda: agents.messages(prompt=prompt) and "Message 2" in shown(server, POOL[1]))
        self.paper.say(f"  ❯ {prompt}")
        self.paper.say(f"  ● {shown(server, POOL[1])}")
        return next((str(message["account"]) for message in agents.messages(prompt=prompt)), "")

    def show(self, sandbox: Sandbox, pids: Mapping[str, int], before: Mapping[str, int]) -> dict[str, Any]:
        """The accounts, the sessions and the main facts of the state as they are now: as tables, and as values."""
        state = sandbox.state()
        live = sandbox.live_account()
        accounts = [
            {
                "name": name,
                "live": name == live,
                "exhausted_until": state.get("accounts", {}).get(name, {}).get("exhausted_until"),
            }
            for name in sandbox.accounts
        ]
        sessions = [
            {"name": name, "pid": pid, "shows": shown(sandbox.server, name)} for name, pid in sorted(pids.items())
        ]
        facts = {key: state.get(key) for key in ("active_account", "last_swap", "swap_in_progress", "last_check")}

        rows = [("account", "", "exhausted until")]
        rows += [(a["name"], "live" if a["live"] else "", a["exhausted_until"] or "") for a in accounts]
        self.paper.table(rows)
        self.paper.say()
        rows = [("session", "pid", "shows")]
        for name, pid in sorted(pids.items()):
            old = before.get(name, pid)
            rows.append((name, str(pid) if old == pid else f"{old} → {pid}", shown(sandbox.server, name)))
        self.paper.table(rows)
        self.paper.say()
        self.paper.table(_summary(state))
        return {"accounts": accounts, "sessions": sessions, "state": facts if state else None}

    def verdict(self, sandbox: Sandbox, seconds: float, *, kept: bool) -> int:
        """Say which promises hold; the exit code."""
        paper = self.paper
        promises = list(self.promises)
        if self.stopped:
            promises.append(Promise("the demo can be played to its end", self.stopped))
        if not kept:
            left = None if sandbox.server.gone else str(sandbox.folder)
            promises.append(Promise("the demo's tmux server and folder are gone", left))
        self.chapter("Promised and verified")
        for promise in promises:
            mark = paper.style("✗", "bad") if promise.problem else paper.style("✓", "good")
            paper.say(f"  {mark} {promise.text}")
            if promise.problem:
                paper.paragraph(promise.problem, first="      ", rest="      ")
        broken = sum(promise.problem is not None for promise in promises)
        paper.say()
        if broken:
            paper.say(paper.style(f"{broken} of {len(promises)} promises do not hold ({seconds} s).", "bad"))
        else:
            paper.say(f"All {len(promises)} promises hold ({seconds} s).")
        if kept:
            self._keepsake(sandbox)
        self.facts |= {
            "ok": not broken,
            "seconds": seconds,
            "kept": kept,
            "promises": [{"promise": p.text, "holds": p.problem is None, "problem": p.problem} for p in promises],
        }
        return 1 if broken else 0

    def _keepsake(self, sandbox: Sandbox) -> None:
        tmux = f"env -u TMUX tmux -S {shlex.quote(str(sandbox.server.socket))}"
        self.chapter("To look around")
        for line in (
            f"cd {shlex.quote(str(sandbox.folder))}; cat failover.yaml state/state.json",
            f"{tmux} attach -t {POOL[0]}",
            "and at the end:",
            f"{tmux} kill-server; rm -r {shlex.quote(str(sandbox.folder))}",
        ):
            self.paper.say(f"  {line}")


def set_up(sandbox: Sandbox) -> None:
    """A pool whose agents are fake, and agents in all sessions."""
    work = sandbox.home / "work"
    work.mkdir()
    sandbox.config["pool"]["autonomous"]["command"] = sandbox.agents.command("go on with the work of {name}")
    sandbox.save_config()
    sandbox.agents.exhaust()
    for name in SESSIONS:
        sandbox.server.start(name, sandbox.agents.command(f"begin the work of {name}"), folder=work)


def wait(server: Server, what: str, condition: Callable[[], object]) -> None:
    """Poll until the condition holds; DemoError when it did not in time."""
    if not server.reached(condition):
        raise DemoError(f"waited {server.patience:.0f} s in vain for this: {what}")


def shown(server: Server, name: str) -> str:
    """The last thing that a session's agent said."""
    found = re.findall(r"^(?:  ⎿  |● )((?:You've hit|Message).*\S)", server.screen(name), re.MULTILINE)
    return found[-1] if found else ""


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, ...]:
    """The names of what is there on one side only, or differs."""
    return tuple(sorted(name for name in {**before, **after} if before.get(name) != after.get(name)))


def _summary(state: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    """The state file's main facts as a table."""
    if not state:
        return [("state.json", ""), ("there is none yet", "")]
    swap, check = state.get("last_swap") or {}, state.get("last_check") or {}
    rows = [("state.json", ""), ("active_account", str(state.get("active_account")))]
    if swap:
        rows.append(("last_swap", f"{swap.get('from')} → {swap.get('to')} at {swap.get('at')}"))
    rows.append(("last_check", f"{check.get('outcome')}, {check.get('blocked_pool')} of the pool blocked"))
    return rows


def _facts(run: Run) -> dict[str, Any]:
    return {"exit_code": run.returncode, "said": run.stdout.strip()}
