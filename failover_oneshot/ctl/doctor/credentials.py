"""What the doctor says about credentials that no store has: the live ones and the unclaimed ones. Read-only."""

from collections.abc import Iterator
from pathlib import Path

from failover_oneshot.accounts.claude import live as claude_live
from failover_oneshot.accounts.claude.credentials import identified
from failover_oneshot.accounts.claude.store import CREDENTIALS, read_store
from failover_oneshot.accounts.method import MethodError, SwapMethod
from failover_oneshot.config.model import Config, Method
from failover_oneshot.ctl.doctor.rules import DoctorLine, error, ok, warning
from failover_oneshot.ctl.lib import installation
from failover_oneshot.ctl.lib.kept_credentials import assign_command, unclaimed_rows, unclaimed_text
from failover_oneshot.state.model import State


def live(settings: Config, method: SwapMethod, state: State) -> Iterator[DoctorLine]:
    """Whose credentials are live, with the reason if that is not certain."""
    try:
        verdict = method.verdict()
    except MethodError as problem:
        yield error("accounts", f"cannot read the live credentials: {problem}",
                    "correct that file, or log in with the agent again")  # fmt: skip
        return
    if verdict.owner is None:
        yield warning("accounts", f"no account is certainly live: {verdict.sentence}",
                      "log in if necessary, then run `failoverctl accounts add NAME`")  # fmt: skip
    elif state.active_account and verdict.owner != state.active_account:
        text = f"the live credentials belong to {verdict.owner}, the state says {state.active_account}"
        fix = f"no action needed: the next check uses {verdict.owner} as active"
        yield warning("accounts", text, fix)
    else:
        yield ok("accounts", f"live: {verdict.owner}")
    if verdict.owner and settings.swap.method is Method.CLAUDE:
        yield from _identity(settings, verdict.owner)


def _identity(settings: Config, owner: str) -> Iterator[DoctorLine]:
    """Whether the identity beside the live credentials names their owner, too."""
    file = settings.swap.claude_json
    identity = claude_live.read(Path(settings.swap.claude_dir, CREDENTIALS), Path(file), patient=False).identity
    names = identified(identity, [read_store(account).known for account in settings.accounts])
    if identity is None or (names and owner in names):
        return
    named = names[0] if names else identity.email or "an account that is not configured"
    fix = f"failoverctl accounts add {owner} (writes {owner}'s identity back)"
    yield warning("accounts", f"the live credentials are {owner}'s, but {file} names {named}", fix)


def unclaimed(folder: Path, state: State) -> Iterator[DoctorLine]:
    """The credentials whose owner is not known, each with the command that assigns it."""
    for row in unclaimed_rows(folder, state):
        yield warning("accounts", f"unclaimed: {unclaimed_text(row, installation.now())}", assign_command(row))
