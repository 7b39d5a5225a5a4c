"""`accounts` and `accounts check`: the accounts, what their stores contain, and the kept credentials."""

import argparse
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from failover_oneshot.accounts import registry
from failover_oneshot.config.model import Method
from failover_oneshot.ctl.accounts.target import configured
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.installation import Installation, told
from failover_oneshot.ctl.lib.kept_credentials import (
    GenerationRow,
    assign_command,
    described,
    generation_rows,
    in_short,
    unclaimed_rows,
    unclaimed_text,
)
from failover_oneshot.ctl.lib.status import UnclaimedRow
from failover_oneshot.ctl.lib.store_contents import Inspection, StoreContents, inspect
from failover_oneshot.ctl.lib.terminal import Cell, Terminal
from failover_oneshot.ctl.lib.times import ago, span
from failover_oneshot.errors import EXIT_FAILED
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
    generations: tuple[GenerationRow, ...]


def show(site: Installation, options: argparse.Namespace, *, detailed: bool) -> int:
    """Print all accounts, or the one that is named. With ``detailed``, 1: a store has a problem."""
    if options.name is not None:
        configured(site.config, options.name)
    now = installation.now()
    state, notes, code = told(site.peek(now))
    rows, unclaimed = _rows(site, state, options.name, now), unclaimed_rows(site.folder, state)
    out = installation.paper()
    if options.json:
        out.say(msgspec.json.encode({"version": 1, "accounts": rows, "unclaimed": unclaimed}).decode())
    else:
        for note in notes:
            out.fact("Note", note, "warn")
        _print(site, rows, now, out, detailed=detailed)
        _print_unclaimed([row for row in unclaimed if options.name in {None, row.account}], now, out)
    return EXIT_FAILED if detailed and any(r.problem or r.contents.exposed for r in rows) else code


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
            generations=generation_rows(site.folder, a.name),
        )
        for a in config.accounts
        if name in {None, a.name}
    ]


def _print(site: Installation, rows: Sequence[AccountRow], now: datetime, out: Terminal, *, detailed: bool) -> None:
    if not rows:
        out.say(f"no accounts configured; add them under `accounts` in {site.config_file}")
        return
    if not detailed:
        head = ("", "ACCOUNT", "STATE", "IDENTITY", "GENERATIONS", "NOTE")
        out.table([head, *(_line(row, now) for row in rows)], indent=" ", cut=False)
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
    name, note = (row.name, "bold" if row.active else ""), row.problem or "; ".join(row.contents.exposed)
    return mark, name, (word, style), row.contents.identity or "", in_short(row.generations, now), note


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
    if row.generations:
        out.say(f"    generations, for `failoverctl accounts restore {row.name} GENERATION`:")
    for generation in row.generations:
        out.paragraph(f"{generation.generation}: {described(generation, now)}", first="      ", rest="        ")


def _described(kept: StoreContents, now: datetime) -> str:
    if not kept.present:
        return "missing"
    if kept.error:
        return kept.error
    parses = {True: "parses", False: "does not parse", None: "present"}[kept.parses]
    changed = f", changed {ago(kept.changed_at, now)}" if kept.changed_at else ""
    return f"{kept.mode}, {parses}{changed}"


def _print_unclaimed(rows: Sequence[UnclaimedRow], now: datetime, out: Terminal) -> None:
    for row in rows:
        out.paragraph(f"unclaimed: {unclaimed_text(row, now)}", first="", rest="    ", style="warn")
        out.paragraph(f"→ {assign_command(row)}", first="    ", rest="      ")
