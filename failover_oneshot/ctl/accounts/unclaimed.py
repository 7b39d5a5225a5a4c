"""`accounts unclaimed`: list credentials whose owner is not known, and assign them to an account."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from failover_oneshot.accounts import credential_facts, kept, registry
from failover_oneshot.accounts.claude.store import IDENTITY_FILE
from failover_oneshot.accounts.kept import Entry
from failover_oneshot.accounts.method import SwapMethod
from failover_oneshot.config.model import Account
from failover_oneshot.ctl.accounts.target import (
    AccountsError,
    chosen,
    configured,
    needs_stores,
    put,
    read,
    refuse_unfinished,
)
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.installation import Installation, told
from failover_oneshot.ctl.lib.kept_credentials import IN_DOUBT, assign_command, unclaimed_rows, unclaimed_text
from failover_oneshot.ctl.lib.store_contents import stored
from failover_oneshot.lib import atomicfile
from failover_oneshot.state.model import State


def show(site: Installation, options: argparse.Namespace) -> int:
    """List the entries of `unclaimed/`."""
    now = installation.now()
    state, notes, code = told(site.peek(now))
    rows = unclaimed_rows(site.folder, state)
    out = installation.paper()
    if options.json:
        out.say(msgspec.json.encode({"version": 1, "unclaimed": rows}).decode())
        return code
    for note in notes:
        out.fact("Note", note, "warn")
    for row in rows:
        out.paragraph(unclaimed_text(row, now), first="", rest="  ")
        out.paragraph(f"→ {assign_command(row)}", first="  ", rest="    ")
    if not rows:
        out.say("no unclaimed credentials")
    return code


def assign(site: Installation, options: argparse.Namespace) -> int:
    """Move an entry into the account's store; if the store has newer credentials, to its generations only."""
    needs_stores(site.config)
    account = configured(site.config, options.name)
    entry = chosen(kept.entries(site.folder / kept.UNCLAIMED), options.file, "unclaimed entry")
    contents = read(entry)
    done, older = "", False

    def checked(state: State, guard: Callable[[], None]) -> tuple[SwapMethod, Mapping[str, bytes]]:
        refuse_unfinished(state)
        method = registry.method(site.config, site.folder, state, guard)
        known = state.unclaimed.get(entry.id)
        return method, _fitting(method, account, entry.id, contents, known.account if known else None)

    def work(state: State, guard: Callable[[], None]) -> State:
        nonlocal done, older
        method, fitting = checked(state, guard)
        older = _older(fitting, stored(site.config, account))
        done = f"{account.name}'s store has newer credentials and stays as it is"
        if not older:
            done = put(method, site, account, fitting)
        guard()
        _move(entry, kept.generations(site.folder, account.name), fitting)
        return replace(state, unclaimed={k: v for k, v in state.unclaimed.items() if k != entry.id})

    checked(site.peek(installation.now()).state, lambda: None)
    code = site.change_with_files(installation.now(), work)
    text = f"{account.name}: {done}; {entry.id} is now a generation of {account.name}"
    if older:
        text += f"\nrun `failoverctl accounts restore {account.name} {entry.id}` to use it instead"
    installation.say_fact(options, text, account=account.name, file=entry.id, stored=not older)
    return code


def _fitting(
    method: SwapMethod, account: Account, key: str, contents: Mapping[str, bytes], suspect: str | None
) -> Mapping[str, bytes]:
    """The files of an entry that are the account's. Raises AccountsError when they cannot be.

    Claude Code may have written the identity of another account beside these credentials, which is why their owner is
    in doubt. So if the state names this account, an identity that names another one is left out.
    """
    why = method.foreign(account, contents)
    if why and suspect == account.name:
        rest = {name: data for name, data in contents.items() if name != IDENTITY_FILE}
        if method.foreign(account, rest) is None:
            return rest
    if why:
        raise AccountsError(f"{key} not assigned to {account.name}: {why}")
    return contents


def _older(contents: Mapping[str, bytes], present: Mapping[str, bytes]) -> bool:
    """Whether the store's credentials are certainly newer than these."""
    return any(credential_facts.older(data, present.get(name, b"")) for name, data in contents.items())


def _move(entry: Entry, folder: Path, fitting: Mapping[str, bytes]) -> None:
    """Move an entry to the generations; a file that is not ``fitting`` gets a name that marks it.

    It counts as replaced now, or it might be pruned at once.
    """
    try:
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, path in reversed(entry.files.items()):  # the credentials last, so that a retry finds them
            os.utime(path)
            path.rename(folder / f"{entry.id}.{name if name in fitting else IN_DOUBT}")
        atomicfile.sync_folder(folder)
    except OSError as error:
        raise AccountsError(f"cannot move {entry.id} to {folder}: {error.strerror}; it stays in unclaimed/") from None
