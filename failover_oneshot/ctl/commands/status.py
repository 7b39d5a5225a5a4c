"""`failoverctl status`: accounts, sessions, what is going on, and what the next check will do. Reads only."""

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
from failover_oneshot.ctl.lib.times import ago, clock, duration, span
from failover_oneshot.ctl.systemd import timer
from failover_oneshot.model import Kind, Outcome, PoolTally, TaskTally
from failover_oneshot.state.store import StoreError
from failover_oneshot.tasks import spool

MANY = 24  # sessions: beyond it those that are well are only counted
KINDS = {
    Kind.OK: "good", Kind.QUOTA: "bad", Kind.BILLING: "bad", Kind.AUTH: "bad", Kind.WARNING: "warn",
    Kind.SERVER_ERROR: "warn", Kind.UNREADABLE: "warn",
}  # fmt: skip

log = logging.getLogger("failover")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    installation.arguments(parser)
    parser.add_argument("-w", "--watch", action="store_true", help="show it again and again, until Ctrl-C")
    parser.add_argument("--interval", metavar="TIME", type=duration, default=2.0, help="for --watch (default 2s)")
    parser.add_argument("-a", "--all", action="store_true", help="every session, also of many and the remembered ones")
    installation.explained(
        parser,
        """
        failoverctl status                       once
        failoverctl status --watch               redrawn every 2 s
        failoverctl status --json | jq .next     what the next check will do
        """,
        "It looks at the panes as a check does, and changes nothing. Times are UTC. With --watch --json: "
        "one object a line.",
        "exit codes: 0, 65 the state is corrupt and has no good backup, 74 the state can not be read, "
        "78 the config is wrong",
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
        notes=seen.notes,
    )
    return status, seen.exit_code


def tasks(config: Config) -> TaskTally | None:
    """How many tasks wait, run and have failed; None without a spool."""
    return spool.counts(config.dispatch.spool) if config.dispatch.spool else None


# --- again and again -------------------------------------------------------------------------------------------------


def _watch(options: argparse.Namespace, paper: Terminal) -> int:
    """Redraw until Ctrl-C or another signal that ends programs; a changed window is redrawn at once."""
    installation.find(options, os.environ)  # a config that is wrong from the beginning is no moment's trouble
    wakes = {signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, wakes)
    drawn = paper.moves and not options.json
    if drawn:
        paper.control("\x1b[?1049h\x1b[?25l")  # another screen, so that the one before comes back; no cursor
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
        foot = f"  … {len(lines) - room} more lines: make the terminal taller · Ctrl-C ends"
    text = "".join(f"{line}\x1b[K\r\n" for line in lines[:room])
    paper.control(f"\x1b[H{text}{paper.style(foot[: paper.width - 1], 'dim')}\x1b[J")


def _one(options: argparse.Namespace, paper: Terminal) -> None:
    """One frame. What is wrong for the moment is shown in it: the next may be right again."""
    try:
        status, _ = _facts(installation.find(options, os.environ))
    except (ConfigError, StoreError) as error:
        for problem in str(error).splitlines():
            paper.fact("Trouble", problem, "bad")
    else:
        _print(status, options, paper)


# --- as a person reads it --------------------------------------------------------------------------------------------


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
                mend = "" if account.state == DISABLED else f"; see failoverctl accounts check {account.name}"
                paper.paragraph(f"{account.name}: {account.problem}{mend}", first="    ", rest="      ", style="dim")
    else:
        paper.say("  no accounts are configured: a check only observes")
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
        paper.fact("Paused", f"since {ago(status.paused.since, now)}, {until}{why}", "warn")
    if status.swap_in_progress:
        journal = status.swap_in_progress
        paper.fact(
            "In progress",
            f"{journal.kind} from {journal.from_ or 'no account'} to {journal.to or 'nobody'}, begun "
            f"{ago(journal.started_at, now)}, at step {journal.step}: the next check goes on with it",
            "bad",
        )
    if status.waiting and doing is not Outcome.WAITING:
        frees = status.waiting.until
        first = f": {status.waiting.account} frees first, in {span((frees - now).total_seconds())} " \
                f"({clock(frees, now)})" if frees else ""  # fmt: skip
        since = span((now - status.waiting.since).total_seconds())
        paper.fact("Waiting", f"for {since} ({status.waiting.checks} checks){first}", "bad")
    if status.suspected_hit_at and doing is not Outcome.SUSPECTED:
        paper.fact(
            "Suspected", f"since {ago(status.suspected_hit_at, now)}: the next check confirms or clears it", "warn"
        )
    if status.cooldown and doing is not Outcome.COOLDOWN:
        paper.fact("Cooldown", f"{span(status.cooldown.left)} left, until {clock(status.cooldown.until, now)}", "warn")
    if status.last_swap:
        swap = status.last_swap
        again = f"; {status.swaps_last_hour} in the last hour" if status.swaps_last_hour > 1 else ""
        paper.fact("Last swap", f"{ago(swap.at, now)}, from {swap.from_ or 'no account'} to {swap.to}{again}")
    if status.last_failure and (not status.last_swap or status.last_failure.at > status.last_swap.at):
        paper.fact("Last failure", f"{ago(status.last_failure.at, now)}: {status.last_failure.reason}", "bad")
    if status.live_account and status.live_account != status.active_account:
        paper.fact("Live login", f"that of {status.live_account}, not of {status.active_account}", "warn")
    if status.tasks is not None:
        paper.fact("Tasks", counted(status.tasks), "warn" if status.tasks.failed else "")
    if status.last_check and status.last_check.pool:
        paper.fact("Pool", f"{counted(status.last_check.pool)}, at the last check")
    for note in status.notes:
        paper.fact("Note", note, "warn")


def counted(tally: TaskTally | PoolTally) -> str:
    """`3 free, 2 busy`: what is not none."""
    parts = [f"{count} {what}" for what, count in structs.asdict(tally).items() if count]
    return ", ".join(parts) or "none"


def _next(status: StatusReport) -> tuple[str, str, str]:
    """What a check would do at this instant, as a fact."""
    plan = status.next
    if plan is None:
        return "Next check", "what it will do can not be said", "warn"
    return "Next check", would(plan), OUTCOMES.get(plan.outcome, "")


def _last_check(status: StatusReport) -> tuple[str, str]:
    """When the last check was and when the next one is, and the style for it."""
    last, plan = status.last_check, status.timer
    said = f"{ago(last.at, status.at)}: {last.outcome} ({last.duration_ms} ms)" if last else "never"
    if plan is None:
        return f"{said}; no failover.timer is installed for this user (failoverctl install)", ""
    if plan.running:
        return f"{said}; one is running now", ""
    if plan.next_in is not None:
        return f"{said}; the timer runs the next in {span(plan.next_in)}", ""
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
        notes.append(f"swapping to it failed {ago(account.last_failure.at, now)}: {account.last_failure.reason}")
    if account.window_resets_at and account.state == FREE:
        notes.append(f"near a limit; its window ends {clock(account.window_resets_at, now)}")
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
        paper.table([("SESSION", "SHOWS", "FOR", "FREE IN", "ACCOUNT", "EVIDENCE"), *rows])
    if len(shown) < len(here) or (here and len(here) > MANY):
        counts = Counter(str(s.kind or "unknown") for s in here)
        told = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        more = "" if show_all else "; --all shows each"
        paper.say(f"  {len(here)} sessions: {told}{more}")
    if not here:
        paper.say("  no watched session is running")
    if gone and not show_all:
        names = ", ".join(s.name for s in gone[:4]) + (", …" if len(gone) > 4 else "")
        paper.paragraph(f"remembered, but not running now: {len(gone)} ({names})", style="dim")


def _session(session: SessionStatus, status: StatusReport) -> Sequence[Cell]:
    kind = str(session.kind or "unknown")
    if session.blocked:
        kind += ", counts" if session.counted else ", stale" if session.stale else ", aside"
    elif session.busy:
        kind += ", busy"
    elif session.running is False:
        kind += ", gone"
    since = span((status.at - session.since).total_seconds()) if session.since else ""
    left = session.resets_in
    frees = "" if left is None or session.running is False else span(left) if left > 0 else "passed"
    notes = [session.snippet or session.error or "", session.why_not or ""]
    if session.held:
        notes.append(f"gets no task: {session.held.reason}")
    if session.own_login:
        notes.append(f"sets {session.own_login}: a swap does not reach it")
    style = KINDS.get(session.kind, "") if session.kind else "dim"
    if session.blocked and not session.counted:
        style = "warn"
    return session.name, (kind, style), since, frees, session.account or "", "; ".join(filter(None, notes))
