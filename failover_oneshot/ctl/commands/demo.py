"""`failoverctl demo`: a pool of fake agents hits its limit, a real check swaps the account, promises are verified."""

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
PATIENCE = 30.0  # seconds to wait for any one thing; a tenth is usually plenty


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    parser.add_argument("--keep", action="store_true",
                        help="keep the demo's folder and tmux server; print how to inspect them")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end, and no text")
    parser.add_argument("--check", metavar="COMMAND", default=CHECK, help=argparse.SUPPRESS)  # for tests
    parser.add_argument("--patience", metavar="SECONDS", type=float, default=PATIENCE, help=argparse.SUPPRESS)
    parser.epilog = (
        "The demo has its own folder, tmux server, fake agents and fake accounts. Your\n"
        "tmux server, files and credentials are not touched. It takes a few seconds.\n\n"
        "examples:\n"
        "  failoverctl demo\n"
        "  failoverctl demo --keep      look at the result afterwards\n\n"
        "exit codes: 0 all promises hold, 1 a promise does not hold,\n"
        "69 tmux is missing or does not start"
    )


def run(options: argparse.Namespace) -> int:
    """Run the demo. 0: all promises hold; 1: one does not; 69: no tmux."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # as for Ctrl-C: clean up, then exit
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
    """One demo: prints each step, and collects the facts for `--json`."""

    def __init__(self, paper: Terminal) -> None:
        self.paper = paper
        self.facts: dict[str, Any] = {"version": 1, "ok": False}
        self.promises: list[Promise] = []
        self.stopped = ""  # why the demo could not finish

    def play(self, sandbox: Sandbox) -> None:
        """Run all steps. Raises DemoError when one cannot be done."""
        paper, server, agents = self.paper, sandbox.server, sandbox.agents
        self.facts["folder"] = str(sandbox.folder)
        paper.say(paper.style("A pool of agents hits its limit, and one check swaps the account.", "bold"))
        paper.paragraph(f"Everything happens in {sandbox.folder}, on a separate tmux server, with fake agents and two "
                        "fake accounts. Your tmux server, home and credentials are not touched.")  # fmt: skip

        self.chapter("Four agents work on account main until its quota is used up")
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

        self.chapter("The timer starts the next check")
        again = self.check(sandbox)

        self.facts["checks"] = [_facts(run) for run in (dry, check, again)]
        last = server.pids()
        seen = DemoFacts(
            until=until, before=before, after=after, last=last, dry=dry, check=check, again=again,
            manual=(manual, server.screen(MANUAL) if MANUAL in last else ""), touched=touched, answer=answer,
        )  # fmt: skip
        self.promises = kept(sandbox, seen)

    def chapter(self, title: str) -> None:
        """Print a heading."""
        self.paper.say()
        self.paper.say(self.paper.style(title, "bold"))

    def check(self, sandbox: Sandbox, *flags: str) -> Run:
        """Run failover-check once, and print its output."""
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
        """Type a prompt into a restarted agent; returns the account that answered."""
        server, agents = sandbox.server, sandbox.agents
        server.type(POOL[1], prompt)
        server.reached(lambda: agents.messages(prompt=prompt) and "Message 2" in shown(server, POOL[1]))
        self.paper.say(f"  ❯ {prompt}")
        self.paper.say(f"  ● {shown(server, POOL[1])}")
        return next((str(message["account"]) for message in agents.messages(prompt=prompt)), "")

    def show(self, sandbox: Sandbox, pids: Mapping[str, int], before: Mapping[str, int]) -> dict[str, Any]:
        """Print accounts, sessions and the main facts of the state as tables; returns them as values."""
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
        """Print which promises hold; returns the exit code."""
        paper = self.paper
        promises = list(self.promises)
        if self.stopped:
            promises.append(Promise("the demo ran to its end", self.stopped))
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
            verb = "does" if broken == 1 else "do"
            paper.say(paper.style(f"{broken} of {len(promises)} promises {verb} not hold ({seconds} s).", "bad"))
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
            "and, when you are done:",
            f"{tmux} kill-server; rm -r {shlex.quote(str(sandbox.folder))}",
        ):
            self.paper.say(f"  {line}")


def set_up(sandbox: Sandbox) -> None:
    """Start a fake agent in every session, and configure the pool for them."""
    work = sandbox.home / "work"
    work.mkdir()
    sandbox.config["pool"]["autonomous"]["command"] = sandbox.agents.command("go on with the work of {name}")
    sandbox.save_config()
    sandbox.agents.exhaust()
    for name in SESSIONS:
        sandbox.server.start(name, sandbox.agents.command(f"begin the work of {name}"), folder=work)


def wait(server: Server, what: str, condition: Callable[[], object]) -> None:
    """Poll until the condition holds. Raises DemoError when it does not hold in time."""
    if not server.reached(condition):
        raise DemoError(f"did not happen within {server.patience:.0f} s: {what}")


def shown(server: Server, name: str) -> str:
    """The agent's last message on a session's screen; empty when there is none."""
    found = re.findall(r"^(?:  ⎿  |● )((?:You've hit|Message).*\S)", server.screen(name), re.MULTILINE)
    return found[-1] if found else ""


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, ...]:
    """The names whose values differ, or that only one side has."""
    return tuple(sorted(name for name in {**before, **after} if before.get(name) != after.get(name)))


def _summary(state: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    """The main facts of the state file as table rows."""
    if not state:
        return [("state.json", ""), ("not written yet", "")]
    swap, check = state.get("last_swap") or {}, state.get("last_check") or {}
    rows = [("state.json", ""), ("active_account", str(state.get("active_account")))]
    if swap:
        rows.append(("last_swap", f"{swap.get('from')} → {swap.get('to')} at {swap.get('at')}"))
    rows.append(("last_check", f"{check.get('outcome')}, {check.get('blocked_pool')} pool sessions blocked"))
    return rows


def _facts(run: Run) -> dict[str, Any]:
    return {"exit_code": run.returncode, "said": run.stdout.strip()}
