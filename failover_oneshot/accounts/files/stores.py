"""The stores of method `files`: each file under its base name, with its previous version (`.prev`)."""

import os
from collections.abc import Sequence
from pathlib import Path

from failover_oneshot.accounts import credential_facts, kept, staged
from failover_oneshot.accounts.files import facts
from failover_oneshot.accounts.files.facts import Contents
from failover_oneshot.accounts.memory import Memory
from failover_oneshot.accounts.method import MethodError
from failover_oneshot.config.model import Account
from failover_oneshot.lib import atomicfile


def stored(account: Account, names: Sequence[str]) -> Contents:
    """The files with these names in a store. MethodError when one cannot be read."""
    try:
        found = {name: staged.read(Path(account.store or os.devnull) / name) for name in names}
    except (OSError, ValueError) as error:
        raise MethodError(staged.cannot_read(error)) from None
    return {name: content for name, content in found.items() if content is not None}


def read(account: Account, names: Sequence[str]) -> Contents:
    """The same; empty when one cannot be read."""
    try:
        return stored(account, names) if account.store else {}
    except MethodError:
        return {}


def save(account: Account, contents: Contents, memory: Memory) -> bool:
    """Write these files to a store; what they replace is kept first. True when that changed the store."""
    folder, before = Path(account.store or os.devnull), read(account, list(contents))
    news = {base: content for base, content in contents.items() if before.get(base) != content}
    if not news:
        return False
    if old := facts.filled(before):
        generations = kept.generations(memory.folder, account.name)
        made = kept.keep(generations, old)
        for base in news.keys() & old.keys():
            if not kept.is_elsewhere(folder / base, kept.entry_file(generations, made, base)):
                raise ValueError(f"{folder / base}: its content exists nowhere else; left unchanged")
        kept.prune(generations)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for base, content in news.items():
        good = base in before and not credential_facts.blank(before[base])
        atomicfile.write_atomic(folder / base, content, backup=kept.previous(folder / base) if good else None)
    return True


def holds(account: Account, contents: Contents) -> bool:
    """Whether a store has these files, byte for byte."""
    found = read(account, list(contents))
    return all(found.get(base) == content for base, content in contents.items())
