"""What the subcommands that write have in common: the account, and the reasons to refuse before anything is written."""

from collections.abc import Iterable, Sequence

from failover_oneshot.accounts.kept import Entry
from failover_oneshot.config.model import Account, Config, Method
from failover_oneshot.errors import EXIT_FAILED, EXIT_USAGE, FailoverError
from failover_oneshot.lib.plural import up_to
from failover_oneshot.state.model import State


class AccountsError(FailoverError):
    """The command was refused or failed; the sentence says what was written, if anything was."""

    exit_code = EXIT_FAILED


class UnknownNameError(AccountsError):
    """A name on the command line is not one of those that exist, or not valid."""

    exit_code = EXIT_USAGE


def needs_stores(config: Config) -> None:
    """Raise AccountsError for a method whose accounts have no stores."""
    if config.swap.method not in {Method.CLAUDE, Method.FILES}:
        text = f"method {config.swap.method} keeps its accounts in the config"
        raise AccountsError(f"nothing to save or restore: {text}")


def configured(config: Config, name: str) -> Account:
    """The account of that name. Raises UnknownNameError."""
    account = config.account(name)
    if account is None:
        known = ", ".join(a.name for a in config.accounts) or "none"
        raise UnknownNameError(f"no account named '{name}' (accounts: {known})")
    return account


def refuse_unfinished(state: State) -> None:
    """Raise AccountsError while a swap is unfinished: its next step may use any of the files."""
    if journal := state.swap_in_progress:
        text = f"a swap to {journal.to or 'no account'} is unfinished at step {journal.step}"
        raise AccountsError(f"{text}; run `failover-check` first, which finishes it")


def chosen(entries: Sequence[Entry], word: str, kind: str) -> Entry:
    """The entry with this id, file name or path; the beginning of one is enough. Raises UnknownNameError."""
    base = word.rpartition("/")[2]
    found = [e for e in entries if base and (e.id.startswith(base) or base in _names(e))]
    if len(found) == 1:
        return found[0]
    known = up_to(10, [entry.id for entry in found or entries]) or "none"
    raise UnknownNameError(f"{'more than one' if found else 'no'} {kind} '{word}' (known: {known})")


def _names(entry: Entry) -> Iterable[str]:
    return (path.name for path in entry.files.values())
