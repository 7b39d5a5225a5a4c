"""`failoverctl accounts`: list them, capture the login that is live now, check the stores. Never prints a token."""

import argparse
import os
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from failover_oneshot.accounts import registry
from failover_oneshot.config.model import Account, Method
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.installation import Installation, log, told
from failover_oneshot.ctl.lib.store_contents import Inspection, StoreContents, inspect
from failover_oneshot.ctl.lib.terminal import Cell, Terminal
from failover_oneshot.ctl.lib.times import ago, clock, span
from failover_oneshot.errors import EXIT_FAILED, EXIT_USAGE
from failover_oneshot.state.model import State

MENDS = {
    Method.CLAUDE: "log in as this account, then: failoverctl accounts add {}",
    Method.FILES: "log in as this account, then: failoverctl accounts add {}",
    Method.ENV: "give it env or env_file in the config",
    Method.COMMAND: "mend swap.command in the config",
}


class AccountRow(Struct, frozen=True, kw_only=True):
    """One account, as `--json` prints it."""

    name: str
    active: bool
    enabled: bool
    exhausted_until: datetime | None
    problem: str | None  # why it can not be swapped to
    store: str | None
    contents: Inspection


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("what", nargs="?", choices=["list", "add", "check"], default="list", help="default: list")
    parser.add_argument("name", nargs="?", help="the account, as the config names it")
    installation.arguments(parser)
    installation.explained(
        parser,
        """
        failoverctl accounts                 which there are, and how they are
        failoverctl accounts add backup      keep the login that is live now as backup
        failoverctl accounts check           what is in each store
        """,
        "add takes the live login only for the account that it really is, or for one whose store is still empty; the "
        "store is made when it does not exist.",
        "exit codes: 0; 1 nothing was captured, or check found something to mend; 2 no such account",
    )


def run(options: argparse.Namespace) -> int:
    """Do it; 1 when an account can not be used, or nothing was captured; 2 for an unknown account."""
    site = installation.find(options, os.environ)
    account = site.config.account(options.name)
    if account is None and (options.name or options.what == "add"):
        _unknown(site, options.name)
        return EXIT_USAGE
    if options.what == "add" and account:
        with site.store.locked():
            return _add(site, account, options)
    now = installation.now()
    state, notes, code = told(site.peek(now))
    rows = _rows(site, state, options.name, now)
    out = installation.paper()
    if options.json:
        out.say(msgspec.json.encode({"version": 1, "accounts": rows}).decode())
    else:
        for note in notes:
            out.fact("Note", note, "warn")
        _print(site, rows, now, out, detailed=options.what == "check")
    return EXIT_FAILED if options.what == "check" and any(r.problem or r.contents.exposed for r in rows) else code


def _unknown(site: Installation, name: str | None) -> None:
    known = ", ".join(a.name for a in site.config.accounts) or "none"
    if not name:
        log.error("accounts add: name the account to keep the live login as (there are: %s)", known)
        return
    log.error("%s is no account of the config (there are: %s)", name, known)
    if " " not in name.strip() and name.isprintable() and "/" not in name:
        lines = ["accounts:", f"  - name: {name}", f"    store: ~/.claude-accounts/{name}"]
        log.error("to have it, put this into %s:\n%s", site.config_file, "\n".join(lines))


def _add(site: Installation, account: Account, options: argparse.Namespace) -> int:
    """The live login goes to the account's store, if it is that account's or nobody's yet."""
    config = site.config
    if config.swap.method not in {Method.CLAUDE, Method.FILES}:
        log.error("method %s has nothing to capture: its accounts are in the config", config.swap.method)
        return EXIT_FAILED
    state = site.peek(installation.now()).state
    method = registry.method(config, site.unclaimed, state.lineage)
    try:
        with method.exclusive(config.swap.timeout):
            said = method.save_back(account, {})
            owner = method.live_account()
    except registry.MethodError as error:
        log.error("not captured: %s", error)
        return error.exit_code
    if owner != account.name:
        whose = f"that of {owner}" if owner else "blank, or of nobody in the config: log in as this account first"
        log.error("not captured as %s: the live login is %s; %s", account.name, whose, said)
        return EXIT_FAILED
    found = inspect(config, account)
    for what in found.exposed:
        log.warning("%s", what)
    who = f" ({found.identity})" if found.identity else ""
    installation.say_fact(options, f"{account.name}: {said}{who}", account=account.name, identity=found.identity)
    return 0


def _rows(site: Installation, state: State, name: str | None, now: datetime) -> list[AccountRow]:
    config = site.config
    method = registry.method(config, site.unclaimed, state.lineage)
    active = state.active_account or method.live_account()
    return [
        AccountRow(
            name=a.name,
            active=a.name == active,
            enabled=a.enabled,
            exhausted_until=state.account(a.name).exhausted_until if state.exhausted(a.name, now) else None,
            problem=method.check(a),
            store=a.store or a.env_file,
            contents=inspect(config, a),
        )
        for a in config.accounts
        if name in {None, a.name}
    ]


def _print(site: Installation, rows: Sequence[AccountRow], now: datetime, out: Terminal, *, detailed: bool) -> None:
    if not rows:
        out.say(f"no accounts: name them under accounts in {site.config_file}")
        return
    if not detailed:
        out.table([("", "ACCOUNT", "STATE", "IDENTITY", "NOTE"), *(_line(row, now) for row in rows)], indent=" ")
        return
    for row in rows:
        _detail(site, row, now, out)


def _line(row: AccountRow, now: datetime) -> Sequence[Cell]:
    if not row.enabled:
        word, style = "disabled", "dim"
    elif row.problem and not row.active:
        word, style = "unusable", "warn"
    elif row.exhausted_until:
        word, style = f"free in {span((row.exhausted_until - now).total_seconds())}", "bad"
    else:
        word, style = "active" if row.active else "free", "good"
    mark = ("●", style) if row.active else ""
    note = row.problem or "; ".join(row.contents.exposed)
    return mark, (row.name, "bold" if row.active else ""), (word, style), row.contents.identity or "", note


def _detail(site: Installation, row: AccountRow, now: datetime, out: Terminal) -> None:
    marks = [*(["active"] if row.active else []), *([] if row.enabled else ["disabled"])]
    head = f"{row.name} ({', '.join(marks)})" if marks else row.name
    if row.problem:
        out.say(f"{out.style('✗', 'bad')} {out.style(head, 'bold')}")
        out.paragraph(row.problem, first="    ", rest="    ", style="bad")
        out.paragraph(MENDS[site.config.swap.method].format(row.name), first="    ", rest="    ")
    else:
        out.say(f"{out.style('✓', 'good')} {out.style(head, 'bold')}: usable")
    if row.exhausted_until:
        out.paragraph(f"exhausted until {clock(row.exhausted_until, now)}", first="    ")
    inside = row.contents
    if row.store:
        out.say(f"    {row.store}{f'  {inside.mode}' if inside.mode else ''}")
    for kept in inside.files:
        out.say(f"      {kept.name}: {_told(kept, now)}")
    if inside.identity:
        out.say(f"    identity {inside.identity}")
    if inside.expires_at:
        left = (inside.expires_at - now).total_seconds()
        over = f"ended {ago(inside.expires_at, now)}: the client renews it when it is used"
        out.paragraph(f"access token {f'valid for {span(left)}' if left > 0 else over}", first="    ", rest="    ")
    for what in inside.exposed:
        out.paragraph(what, first="    ", rest="    ", style="warn")


def _told(kept: StoreContents, now: datetime) -> str:
    if not kept.present:
        return "missing"
    if kept.error:
        return kept.error
    parses = {True: "parses", False: "does not parse", None: "present"}[kept.parses]
    changed = f", changed {ago(kept.changed_at, now)}" if kept.changed_at else ""
    return f"{kept.mode}, {parses}{changed}"
