"""`failoverctl accounts`: list accounts, save the live credentials, check the stores. Never prints a token."""

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
from failover_oneshot.ctl.lib.times import ago, span
from failover_oneshot.errors import EXIT_FAILED, EXIT_USAGE
from failover_oneshot.state.model import State, clock

FIXES = {
    Method.CLAUDE: "log in as this account, then run `failoverctl accounts add {}`",
    Method.FILES: "log in as this account, then run `failoverctl accounts add {}`",
    Method.ENV: "set env or env_file of this account in the config",
    Method.COMMAND: "correct swap.command in the config",
}


class AccountRow(Struct, frozen=True, kw_only=True):
    """One account, as `--json` prints it."""

    name: str
    active: bool
    enabled: bool
    exhausted_until: datetime | None
    problem: str | None  # why no swap can go to it
    store: str | None
    contents: Inspection


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    parser.add_argument("what", metavar="COMMAND", nargs="?", choices=["list", "add", "check"], default="list",
                        help="list (default), add or check")  # fmt: skip
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="account name from the configuration (default: all; required for add)"
    )
    installation.arguments(parser)
    installation.explained(
        parser,
        """
        failoverctl accounts               list all accounts and their state
        failoverctl accounts add backup    save the live credentials in backup's store
        failoverctl accounts check         show what each store contains
        """,
        "add refuses live credentials that belong to another account. It accepts credentials of an unknown owner only "
        "if the account's store is empty. It creates a missing store.",
        "exit codes: 0; 1 add saved nothing, or check found a problem; 2 no such account",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command. 1: an account is unusable, or nothing was saved; 2: no such account."""
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
        log.error("accounts add: no account given (accounts: %s)", known)
        return
    log.error("no account named '%s' (accounts: %s)", name, known)
    if " " not in name.strip() and name.isprintable() and "/" not in name:
        lines = ["accounts:", f"  - name: {name}", f"    store: ~/.claude-accounts/{name}"]
        log.error("to add it, put this into %s:\n%s", site.config_file, "\n".join(lines))


def _add(site: Installation, account: Account, options: argparse.Namespace) -> int:
    """Save the live credentials in the account's store, unless they belong to another account."""
    config = site.config
    if config.swap.method not in {Method.CLAUDE, Method.FILES}:
        log.error("nothing to save: method %s keeps its accounts in the config", config.swap.method)
        return EXIT_FAILED
    state = site.peek(installation.now()).state
    method = registry.method(config, site.folder, state)
    try:
        with method.exclusive(config.swap.timeout):
            said = method.save_back(account, {}).text
            owner = method.live_account()
    except registry.MethodError as error:
        log.error("not saved: %s", error)
        return error.exit_code
    if owner != account.name:
        whose = f"belong to {owner}" if owner else "are empty or belong to no configured account"
        log.error("not saved in %s's store: the live credentials %s; %s; log in as %s first",
                  account.name, whose, said, account.name)  # fmt: skip
        return EXIT_FAILED
    found = inspect(config, account)
    for what in found.exposed:
        log.warning("%s", what)
    who = f" ({found.identity})" if found.identity else ""
    installation.say_fact(options, f"{account.name}: {said}{who}", account=account.name, identity=found.identity)
    return 0


def _rows(site: Installation, state: State, name: str | None, now: datetime) -> list[AccountRow]:
    config = site.config
    method = registry.method(config, site.folder, state)
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
        out.say(f"no accounts configured; add them under `accounts` in {site.config_file}")
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
        out.paragraph(FIXES[site.config.swap.method].format(row.name), first="    ", rest="    ")
    else:
        out.say(f"{out.style('✓', 'good')} {out.style(head, 'bold')}: usable")
    if row.exhausted_until:
        out.paragraph(f"exhausted until {clock(row.exhausted_until, now)}", first="    ")
    inside = row.contents
    if row.store:
        out.say(f"    {row.store}{f'  {inside.mode}' if inside.mode else ''}")
    for kept in inside.files:
        out.say(f"      {kept.name}: {_described(kept, now)}")
    if inside.identity:
        out.say(f"    identity {inside.identity}")
    if inside.expires_at:
        left = (inside.expires_at - now).total_seconds()
        over = f"expired {ago(inside.expires_at, now)}; the agent renews it at its next use"
        out.paragraph(f"access token {f'valid for {span(left)}' if left > 0 else over}", first="    ", rest="    ")
    for what in inside.exposed:
        out.paragraph(what, first="    ", rest="    ", style="warn")


def _described(kept: StoreContents, now: datetime) -> str:
    if not kept.present:
        return "missing"
    if kept.error:
        return kept.error
    parses = {True: "parses", False: "does not parse", None: "present"}[kept.parses]
    changed = f", changed {ago(kept.changed_at, now)}" if kept.changed_at else ""
    return f"{kept.mode}, {parses}{changed}"
