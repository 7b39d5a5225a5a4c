"""What the subcommands that write have in common: refusals before anything is written, kept files, the store."""

from collections.abc import Iterable, Mapping, Sequence

from failover_oneshot.accounts.kept import Entry
from failover_oneshot.accounts.method import MethodError, SwapMethod
from failover_oneshot.config.model import Account, Config, Method
from failover_oneshot.ctl.lib.installation import Installation
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


def read(entry: Entry) -> Mapping[str, bytes]:
    """The files of an entry by name. Raises AccountsError."""
    try:
        return entry.contents()
    except (OSError, ValueError) as error:
        raise AccountsError(f"cannot read {entry.id}: {getattr(error, 'strerror', None) or error}") from None


def put(method: SwapMethod, site: Installation, account: Account, contents: Mapping[str, bytes]) -> str:
    """Make the contents the store's; one sentence. Raises AccountsError, and then the store is as it was."""
    try:
        with method.exclusive(site.config.swap.timeout):
            return method.restore(account, contents)
    except MethodError as error:
        raise AccountsError(f"{account.name}'s store is unchanged: {error}") from None


def _names(entry: Entry) -> Iterable[str]:
    return (path.name for path in entry.files.values())
