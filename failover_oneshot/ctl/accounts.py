"""`failoverctl accounts`: list them, capture the login that is live now, check the stores. Never prints a token."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from failover_oneshot import accounts, config
from failover_oneshot.run import state_path
from failover_oneshot.settings import Account, Config, Method
from failover_oneshot.state import State, seconds
from failover_oneshot.store import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("what", nargs="?", choices=["list", "add", "check"], default="list")
    parser.add_argument("name", nargs="?", help="the account, as the config names it")
    parser.add_argument("--config", metavar="PATH")
    parser.add_argument("--state", metavar="PATH")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Do it; 1 when an account can not be used, or nothing was captured; 2 for an unknown account."""
    settings = config.load(config.find(options.config, os.environ), os.environ)
    path = state_path(options.state, settings, os.environ)
    store = Store(path, settings.state.lock_timeout)
    if options.what == "add":
        account = settings.account(options.name)
        if account is None:
            known = ", ".join(a.name for a in settings.accounts) or "none"
            print(f"accounts add: {options.name or 'a name'} is not an account of the config (there are: {known})")  # noqa: T201
            return 2
        with store.locked():
            return _add(settings, path, account)
    state = store.load(datetime.now(UTC), quarantine=False).state
    return _show(settings, path, state, options)


def _add(settings: Config, path: Path, account: Account) -> int:
    """The live login goes to the account's store, if it is that account's or nobody's yet."""
    if settings.swap.method not in {Method.CLAUDE, Method.FILES}:
        print(f"method {settings.swap.method} has nothing to capture: its accounts are in the config")  # noqa: T201
        return 1
    method = accounts.method(settings, path.parent / "unclaimed")
    try:
        with method.exclusive(settings.swap.timeout):
            said = method.save_back(account, {})
            owner = method.live_account()
    except accounts.MethodError as error:
        print(f"not captured: {error}")  # noqa: T201
        return 1
    if owner != account.name:
        print(f"not captured as {account.name}: the live login is {'that of ' + owner if owner else 'blank'}; {said}")  # noqa: T201
        return 1
    print(f"{account.name}: {said}")  # noqa: T201
    return 0


def _show(settings: Config, path: Path, state: State, options: argparse.Namespace) -> int:
    method = accounts.method(settings, path.parent / "unclaimed", state.lineage)
    now = seconds(datetime.now(UTC))
    rows = [
        {
            "name": a.name,
            "active": a.name == (state.active_account or method.live_account()),
            "enabled": a.enabled,
            "exhausted_until": state.account(a.name).exhausted_until if state.exhausted(a.name, now) else None,
            "problem": method.check(a),
            "store": a.store,
        }
        for a in settings.accounts
        if options.name in {None, a.name}
    ]
    if options.json:
        print(msgspec.json.encode({"version": 1, "accounts": rows}).decode())  # noqa: T201
    else:
        for row in rows:
            marks = ["active" if row["active"] else "", "" if row["enabled"] else "disabled"]
            until = f"exhausted until {row['exhausted_until']:%Y-%m-%dT%H:%M:%SZ}" if row["exhausted_until"] else ""
            facts = [fact for fact in (*marks, until, row["problem"] or "usable") if fact]
            print(f"{row['name']}: {', '.join(map(str, facts))}")  # noqa: T201
    return 1 if options.what == "check" and any(row["problem"] for row in rows) else 0
