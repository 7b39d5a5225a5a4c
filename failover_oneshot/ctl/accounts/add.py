"""`accounts add`: save the live credentials as an account's, and add a new account to the configuration."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from failover_oneshot.accounts import registry
from failover_oneshot.accounts.method import MethodError, SwapMethod
from failover_oneshot.config import loader, values
from failover_oneshot.config.model import Account, Config
from failover_oneshot.ctl.accounts.target import AccountsError, UnknownNameError, needs_stores, refuse_unfinished
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.config_edit import with_account
from failover_oneshot.ctl.lib.installation import Installation, log
from failover_oneshot.ctl.lib.store_contents import inspect
from failover_oneshot.lib import atomicfile
from failover_oneshot.state import transitions
from failover_oneshot.state.model import State

ANY_MODE = 0o777  # of the configuration file: it keeps the mode that it has


class Addition(Struct, frozen=True):
    """The account and the configuration that has it. ``text``: the file's new content, None if it has it already."""

    account: Account
    config: Config
    text: str | None


def add(site: Installation, options: argparse.Namespace) -> int:
    """Save the live credentials in the account's store. A refusal has written nothing, not even a lock file."""
    needs_stores(site.config)
    plan, state = plan_of(site, options.name, os.environ), site.peek(installation.now()).state
    refuse_unfinished(state)
    _refuse(registry.method(plan.config, site.folder, state), plan.account)
    done = ""

    def work(state: State, guard: Callable[[], None]) -> State:
        nonlocal done, plan
        refuse_unfinished(state)
        plan = plan_of(site, options.name, os.environ)  # again: another program may have changed the file
        method = registry.method(plan.config, site.folder, state, guard)
        state, done = _captured(method, plan.account, state, plan.config.swap.timeout)
        guard()
        write(site.config_file, plan)
        return state

    code = site.change_with_files(installation.now(), work)
    _report(site, plan, done, options)
    return code


def plan_of(site: Installation, name: str, environ: Mapping[str, str]) -> Addition:
    """The account as configured, or as an addition to the configuration. Raises AccountsError; reads only."""
    if account := site.config.account(name):
        return Addition(account, site.config, None)
    for problem in values.account_name(name):
        raise UnknownNameError(str(problem).replace(values.VALUE, repr(name)))
    file = site.config_file
    store = shown(new_store(site.config, name, environ), environ)
    try:
        text = with_account(loader.read(file).decode(), name, store)
        config = loader.parsed(text.encode(), file, environ)
        account = config.account(name)
    except ValueError as error:
        raise AccountsError(_by_hand(f"cannot add {name} to {file}: {error}", name, store)) from None
    except loader.ConfigError as error:
        raise AccountsError(f"cannot add {name} with store {store}: {error.problems[0]}") from None
    if account is None or not os.access(Path(os.path.realpath(file)).parent, os.W_OK | os.X_OK):
        raise AccountsError(_by_hand(f"cannot write to the folder of {file}", name, store))
    return Addition(account, config, text)


def new_store(config: Config, name: str, environ: Mapping[str, str]) -> str:
    """The store for a new account: beside the first account's, else below `~/.claude-accounts`."""
    beside = next((Path(account.store).parent for account in config.accounts if account.store), None)
    return str((beside or Path(environ.get("HOME", "~"), ".claude-accounts")) / name)


def shown(path: str, environ: Mapping[str, str]) -> str:
    """The path as a person writes it: with `~` for the home."""
    home = environ.get("HOME", "").rstrip("/")
    return f"~{path.removeprefix(home)}" if home and path.startswith(f"{home}/") else path


def _by_hand(problem: str, name: str, store: str) -> str:
    return f"{problem}; add it by hand, under `accounts`:\n  - name: {name}\n    store: {store}"


def _refuse(method: SwapMethod, account: Account) -> None:
    """Raise AccountsError when the live credentials cannot be read, or cannot be the account's."""
    try:
        method.verdict()
    except MethodError as error:
        text = f"not saved in {account.name}'s store: {error}"
        raise AccountsError(f"{text}; correct that file, or log in as {account.name} again") from None
    if why := method.refusal(account):
        raise AccountsError(f"not saved in {account.name}'s store: {why}")


def _captured(method: SwapMethod, account: Account, state: State, timeout: float) -> tuple[State, str]:
    """The state after the live credentials were saved as the account's, and what was done."""
    name = account.name
    try:
        with method.exclusive(timeout):
            _refuse(method, account)
            done = method.save_back(account, {}).text
        corrected = method.reconcile(account)
    except MethodError as error:
        raise AccountsError(f"not saved in {name}'s store: {error}") from None
    state = transitions.with_account(replace(state, active_account=name, lineage=method.lineage()), name, unusable=None)
    # New credentials in the store: those that were perhaps its newest ones no longer stand in the way of a swap.
    freed = {key: replace(entry, account=None) for key, entry in state.unclaimed.items() if entry.account == name}
    return replace(state, unclaimed={**state.unclaimed, **freed}), f"{done}; {corrected}" if corrected else done


def write(file: Path, plan: Addition) -> None:
    """Write the plan's text, if it has one. Raises AccountsError with the lines to add by hand."""
    if plan.text is None:
        return
    try:
        atomicfile.write_atomic(file, plan.text.encode(), ANY_MODE)
    except (OSError, ValueError) as error:
        name, store = plan.account.name, plan.account.store or ""
        why = getattr(error, "strerror", None) or error
        text = f"{name}'s credentials are in its store, but {file} could not be written ({why})"
        raise AccountsError(_by_hand(text, name, shown(store, os.environ))) from None


def _report(site: Installation, plan: Addition, done: str, options: argparse.Namespace) -> None:
    name = plan.account.name
    found = inspect(plan.config, plan.account)
    for what in found.exposed:
        log.warning("%s", what)
    who = f" ({found.identity})" if found.identity else ""
    lines = [f"{name}: {done}{who}", f"live now: {name}"]
    if plan.text is not None:
        lines.insert(1, f"{name}: added to {site.config_file}, with store {plan.account.store}")
    installation.say_fact(
        options, "\n".join(lines), account=name, identity=found.identity, added=plan.text is not None, live=name
    )
