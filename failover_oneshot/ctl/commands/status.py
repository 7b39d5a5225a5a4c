"""`failoverctl status`: show accounts, sessions and what the next check will do. Changes nothing."""

import argparse
import logging
import os
import signal
from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec import structs

from failover_oneshot.config.loader import ConfigError
from failover_oneshot.config.model import Config
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.installation import Installation
from failover_oneshot.ctl.lib.kept_credentials import assign_command, unclaimed_text
from failover_oneshot.ctl.lib.snapshot import snapshot
from failover_oneshot.ctl.lib.status import (
    DISABLED,
    EXHAUSTED,
    FREE,
    AccountStatus,
    SessionStatus,
    StatusReport,
    compose,
    would,
)
from failover_oneshot.ctl.lib.terminal import OUTCOMES, Cell, Terminal
from failover_oneshot.ctl.lib.times import ago, duration, span
from failover_oneshot.ctl.systemd import timer
from failover_oneshot.lib.plural import plural
from failover_oneshot.model import Kind, Outcome, PoolTally, TaskTally
from failover_oneshot.state.model import clock
from failover_oneshot.state.store import StoreError
from failover_oneshot.tasks import spool

MANY_UNCLAIMED = 3  # entries; more are only counted
MANY = 24  # sessions; with more, those in order are only counted
KINDS = {
    Kind.OK: "good", Kind.QUOTA: "bad", Kind.BILLING: "bad", Kind.AUTH: "bad", Kind.WARNING: "warn",
    Kind.SERVER_ERROR: "warn", Kind.UNREADABLE: "warn",
}  # fmt: skip

log = logging.getLogger("failover")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    installation.arguments(parser)
    parser.add_argument("-w", "--watch", action="store_true", help="redraw until Ctrl-C")
    parser.add_argument(
        "--interval", metavar="TIME", type=duration, default=2.0, help="how often --watch redraws (default: 2s)"
    )
    parser.add_argument(
        "-a", "--all", action="store_true", help="show every session, including those that no longer run"
    )
    installation.explained(
        parser,
        """
        failoverctl status                       print the status once
        failoverctl status --watch               redraw it every 2 s
        failoverctl status --json | jq .next     print what the next check will do
        """,
        "It reads the panes as a check does and changes nothing. Times are UTC. --watch --json prints one object per "
        "line.",
        "exit codes: 0; 65 the state is corrupt without a good backup; 74 the state cannot be read; "
        "78 configuration missing or wrong",
    )


def run(options: argparse.Namespace) -> int:
    """Print the status once, or until it is interrupted."""
    installation.quiet()
    paper = installation.paper()
    if options.watch:
        return _watch(options, paper)
    status, code = _facts(installation.find(options, os.environ))
    _print(status, options, paper)
    return code


def _facts(site: Installation) -> tuple[StatusReport, int]:
    now = installation.now()
    seen = snapshot(site, now)
    status = compose(
        site.config,
        seen.state,
        seen.findings,
        seen.decision,
        now,
        state_file=str(site.state_file),
        problems=seen.problems,
        live=seen.live,
        timer=timer.ask(os.environ, now),
        tasks=tasks(site.config),
        unclaimed=seen.unclaimed,
        notes=seen.notes,
    )
    return status, seen.exit_code


def tasks(config: Config) -> TaskTally | None:
    """How many tasks are queued, running and failed; None without a spool."""
    return spool.counts(config.dispatch.spool) if config.dispatch.spool else None


# --- --watch ---------------------------------------------------------------------------------------------------------


def _watch(options: argparse.Namespace, paper: Terminal) -> int:
    """Redraw until Ctrl-C, SIGTERM or SIGHUP; a resized window is redrawn at once."""
    installation.find(options, os.environ)  # a config that is wrong from the start ends the command
    wakes = {signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, wakes)
    drawn = paper.moves and not options.json
    if drawn:
        paper.control("\x1b[?1049h\x1b[?25l")  # the alternate screen, without a cursor
    try:
        while True:
            _frame(options, paper, drawn=drawn)
            woken = signal.sigtimedwait(wakes, options.interval)
            if woken and woken.si_signo != signal.SIGWINCH:
                return 128 + woken.si_signo
    except KeyboardInterrupt:
        return 0
    finally:
        if drawn:
            paper.control("\x1b[?25h\x1b[?1049l")


def _frame(options: argparse.Namespace, paper: Terminal, *, drawn: bool) -> None:
    if not drawn:
        _one(options, paper)
        return
    with paper.framed() as lines:
        _one(options, paper)
    height = paper.size[1]
    foot = f"  {installation.now():%H:%M:%SZ} · every {span(options.interval)} · Ctrl-C ends"
    room = height - 1
    if len(lines) > room:
        foot = f"  … {plural(len(lines) - room, 'more line')}; enlarge the terminal · Ctrl-C ends"
    text = "".join(f"{line}\x1b[K\r\n" for line in lines[:room])
    paper.control(f"\x1b[H{text}{paper.style(foot[: paper.width - 1], 'dim')}\x1b[J")


def _one(options: argparse.Namespace, paper: Terminal) -> None:
    """Print one frame. A config or state error is shown in it, because the next frame may succeed."""
    try:
        status, _ = _facts(installation.find(options, os.environ))
    except (ConfigError, StoreError) as error:
        for problem in str(error).splitlines():
            paper.fact("Error", problem, "bad")
    else:
        _print(status, options, paper)


# --- as text ---------------------------------------------------------------------------------------------------------


def _print(status: StatusReport, options: argparse.Namespace, paper: Terminal) -> None:
    if options.json:
        paper.say(msgspec.json.encode(status).decode())
        return
    _situation(status, paper)
    paper.say()
    if status.accounts:
        paper.table(
            [("", "ACCOUNT", "STATE", "FREE IN", "NOTE"), *(_account(a, status) for a in status.accounts)], indent=" "
        )
        for account in status.accounts:
            if account.problem:
                hint = "" if account.state == DISABLED else f"; run `failoverctl accounts check {account.name}`"
                paper.paragraph(f"{account.name}: {account.problem}{hint}", first="    ", rest="      ", style="dim")
    else:
        paper.say("  no accounts configured; checks only observe")
    paper.say()
    _sessions(status, paper, show_all=options.all)


def _situation(status: StatusReport, paper: Terminal) -> None:
    now = status.at
    doing = status.next.outcome if status.next else None
    paper.fact(*_next(status))
    paper.fact("Last check", *_last_check(status))
    if status.paused and doing is not Outcome.PAUSED:
        until = f"until {clock(status.paused.until, now)}" if status.paused.until else "until `failoverctl resume`"
        why = f": {status.paused.reason}" if status.paused.reason else ""
        paper.fact("Paused", f"{ago(status.paused.since, now)}, {until}{why}", "warn")
    if status.swap_in_progress:
        journal = status.swap_in_progress
        paper.fact(
            "In progress",
            f"{journal.kind} from {journal.from_ or 'no account'} to {journal.to or 'no account'}, started "
            f"{ago(journal.started_at, now)}, at step {journal.step}; the next check continues it",
            "bad",
        )
    if status.waiting and doing is not Outcome.WAITING:
        frees = status.waiting.until
        first = f"; {status.waiting.account} is free first, in {span((frees - now).total_seconds())} " \
                f"({clock(frees, now)})" if frees else ""  # fmt: skip
        since = span((now - status.waiting.since).total_seconds())
        paper.fact("Waiting", f"for {since} ({plural(status.waiting.checks, 'check')}){first}", "bad")
    if status.suspected_hit_at and doing is not Outcome.SUSPECTED:
        paper.fact("Suspected", f"{ago(status.suspected_hit_at, now)}; the next check confirms or clears it", "warn")
    if status.cooldown and doing is not Outcome.COOLDOWN:
        paper.fact("Cooldown", f"{span(status.cooldown.left)} left, until {clock(status.cooldown.until, now)}", "warn")
    if status.last_swap:
        swap = status.last_swap
        again = f"; {status.swaps_last_hour} in the last hour" if status.swaps_last_hour > 1 else ""
        paper.fact("Last swap", f"{ago(swap.at, now)}, from {swap.from_ or 'no account'} to {swap.to}{again}")
    if status.last_failure and (not status.last_swap or status.last_failure.at > status.last_swap.at):
        paper.fact("Last failure", f"{ago(status.last_failure.at, now)}: {status.last_failure.reason}", "bad")
    if status.live_account and status.live_account != status.active_account:
        paper.fact("Credentials", f"{status.live_account}'s are live, but {status.active_account} is active", "warn")
    for row in status.unclaimed[:MANY_UNCLAIMED]:
        paper.fact("Unclaimed", f"{unclaimed_text(row, now)}; run `{assign_command(row)}`", "warn")
    if more := len(status.unclaimed[MANY_UNCLAIMED:]):
        paper.fact("Unclaimed", f"{more} more; run `failoverctl accounts unclaimed`", "warn")
    if status.tasks is not None:
        paper.fact("Tasks", counted(status.tasks), "warn" if status.tasks.failed else "")
    if status.last_check and status.last_check.pool:
        paper.fact("Pool", f"{counted(status.last_check.pool)}, at the last check")
    for note in status.notes:
        paper.fact("Note", note, "warn")


def counted(tally: TaskTally | PoolTally) -> str:
    """The counts above zero, as in `3 idle, 2 busy`; else `none`."""
    counts = {what: count for what, count in structs.asdict(tally).items() if count}
    no_task = "gets no task" if counts.get("held") == 1 else "get no task"
    words = {"free": "idle", "waiting": "queued", "held": no_task}
    return ", ".join(f"{count} {words.get(what, what)}" for what, count in counts.items()) or "none"


def _next(status: StatusReport) -> tuple[str, str, str]:
    """What a check would do now, as a name, a text and a style."""
    plan = status.next
    if plan is None:
        return "Next check", "cannot predict the next check", "warn"
    return "Next check", would(plan), OUTCOMES.get(plan.outcome, "")


def _last_check(status: StatusReport) -> tuple[str, str]:
    """When the last check ran and when the next one will, and the style of the text."""
    last, plan = status.last_check, status.timer
    said = f"{ago(last.at, status.at)}: {last.outcome} ({last.duration_ms} ms)" if last else "never"
    if plan is None:
        return f"{said}; no timer installed, run `failoverctl install`", ""
    if plan.running:
        return f"{said}; one is running now", ""
    if plan.next_in is not None:
        return f"{said}; next in {span(plan.next_in)}", ""
    return f"{said}; {plan.note}", "bad"


def _account(account: AccountStatus, status: StatusReport) -> Sequence[Cell]:
    now = status.at
    mark = ("●", "good" if account.state == FREE else "bad") if account.active else ""
    word = account.state
    if account.active:
        word = "active" if word == FREE else f"active, {word}"
    free = ""
    if account.free_at and account.free_in is not None:
        free = f"{span(account.free_in)} ({clock(account.free_at, now)})"
    notes = [account.reason or ""]
    if account.last_failure:
        notes.append(f"swap failed {ago(account.last_failure.at, now)}: {account.last_failure.reason}")
    if account.window_resets_at and account.state == FREE:
        notes.append(f"near a limit; window resets {clock(account.window_resets_at, now)}")
    style = "good" if account.state == FREE else "warn" if account.state != EXHAUSTED else "bad"
    return mark, (account.name, "bold" if account.active else ""), (word, style), free, "; ".join(filter(None, notes))


def _sessions(status: StatusReport, paper: Terminal, *, show_all: bool) -> None:
    here = [s for s in status.sessions if s.running is not False]
    gone = [s for s in status.sessions if s.running is False]
    shown = here
    if len(here) > MANY and not show_all:
        shown = [s for s in here if s.kind is not Kind.OK]
    if shown:
        rows = [_session(session, status) for session in (shown + gone if show_all else shown)]
        paper.table([("SESSION", "SHOWS", "FOR", "RESETS IN", "ACCOUNT", "EVIDENCE"), *rows])
    if len(shown) < len(here) or (here and len(here) > MANY):
        counts = Counter(str(s.kind or "unknown") for s in here)
        told = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        more = "" if show_all else " (--all shows each)"
        paper.say(f"  {plural(len(here), 'session')}: {told}{more}")
    if not here:
        paper.say("  no watched session is running")
    if gone and not show_all:
        names = ", ".join(s.name for s in gone[:4]) + (", …" if len(gone) > 4 else "")
        paper.paragraph(f"{len(gone)} no longer running: {names}", style="dim")


def _session(session: SessionStatus, status: StatusReport) -> Sequence[Cell]:
    kind = str(session.kind or "unknown")
    if session.blocked:
        kind += ", counted" if session.counted else ", not counted"
    elif session.busy:
        kind += ", busy"
    elif session.running is False:
        kind += ", not running"
    since = span((status.at - session.since).total_seconds()) if session.since else ""
    left = session.resets_in
    frees = "" if left is None or session.running is False else span(left) if left > 0 else "expired"
    notes = [session.snippet or session.error or "", session.why_not or ""]
    if session.held:
        notes.append(f"gets no task: {session.held.reason}")
    if session.own_login:
        notes.append(f"has its own login ({session.own_login}); a swap does not reach it")
    style = KINDS.get(session.kind, "") if session.kind else "dim"
    if session.blocked and not session.counted:
        style = "warn"
    return session.name, (kind, style), since, frees, session.account or "", "; ".join(filter(None, notes))
