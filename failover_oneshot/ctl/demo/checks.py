"""The promises of `failoverctl demo`. They are checked against the files and sessions, not the check's own report."""

import re
import stat
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from failover_oneshot.ctl.demo.sandbox import MARK, Sandbox, credentials, identity, read_json
from failover_oneshot.ctl.demo.server import Run
from failover_oneshot.lib.plural import plural
from failover_oneshot.state.model import stamp

POOL = ("ccl-auto-11", "ccl-auto-12", "ccl-auto-13")
MANUAL = "ccl-0"


class DemoFacts(Struct, kw_only=True):
    """What the demo observed, in addition to the files in its sandbox."""

    until: datetime  # main's reset, as the quota file of the agents has it
    before: Mapping[str, int]  # each session's process: before the check, after it, and after the last check
    after: Mapping[str, int]
    last: Mapping[str, int]
    manual: tuple[str, str]  # the manual session's screen, before and after
    dry: Run
    check: Run
    again: Run
    touched: tuple[str, ...]  # what the dry run changed
    answer: str  # the account that answered the typed prompt, "" for none


class Promise(Struct, frozen=True):
    """One promise and its result; ``problem`` None: it holds."""

    text: str
    problem: str | None


def kept(sandbox: Sandbox, seen: DemoFacts) -> list[Promise]:
    """Check every promise, in the order of the demo."""
    return [Promise(text, found(sandbox, seen)) for text, found in _PROMISES.items()]


def _dry_touched(_: Sandbox, seen: DemoFacts) -> str | None:
    return f"changed: {', '.join(seen.touched)}" if seen.touched else None


def _dry_said(_: Sandbox, seen: DemoFacts) -> str | None:
    announced = seen.dry.stdout.removeprefix("dry run: ").replace("would swap", "swapped", 1)
    announced = re.sub(r"would restart (\d+ sessions?)", r"\1 restarted on backup", announced)
    return None if announced == seen.check.stdout and not seen.dry.returncode else "their output differs, see above"


def _swapped(sandbox: Sandbox, seen: DemoFacts) -> str | None:
    state = sandbox.state()
    last = state.get("last_swap") or {}
    found = (state.get("active_account"), last.get("from"), last.get("to"), seen.check.returncode)
    if found != ("backup", "main", "backup", 0):
        return f"active account {found[0]}, last swap {found[1]} → {found[2]}, exit code {found[3]}"
    return "the swap is unfinished" if state.get("swap_in_progress") else None


def _exhausted(sandbox: Sandbox, seen: DemoFacts) -> str | None:
    until = sandbox.state().get("accounts", {}).get("main", {}).get("exhausted_until")
    return None if until == stamp(seen.until) else f"the state says exhausted until {until}"


def _live(sandbox: Sandbox, _: DemoFacts) -> str | None:
    live, settings = read_json(sandbox.live_credentials) or {}, read_json(sandbox.settings) or {}
    tokens = live.get("claudeAiOauth", {})
    if tokens.get("accessToken") != "fake-backup-1" or tokens.get("refreshToken") != "fake-backup-refresh-1":
        return "the live credentials are not backup's"
    return None if settings.get("oauthAccount") == identity("backup") else "the live identity is not backup's"


def _machine(sandbox: Sandbox, _: DemoFacts) -> str | None:
    live, settings = read_json(sandbox.live_credentials) or {}, read_json(sandbox.settings) or {}
    keys = ("mcpOAuth" in live, settings.get("numStartups") == 7)
    return None if all(keys) else "they changed"


def _saved(sandbox: Sandbox, _: DemoFacts) -> str | None:
    stored = read_json(sandbox.stored("main") / ".credentials.json") or {}
    same = stored.get("claudeAiOauth") == credentials("main", generation=2)["claudeAiOauth"]
    return None if same else "the store has other credentials"


def _restarted(sandbox: Sandbox, seen: DemoFacts) -> str | None:
    if set(seen.after) != {MANUAL, *POOL}:
        return f"running sessions: {', '.join(sorted(seen.after))}"
    if same := [name for name in POOL if seen.after[name] == seen.before[name]]:
        return f"not restarted: {', '.join(same)}"
    starts = sandbox.agents.messages(source="argument", account="backup")
    if len(starts) != len(POOL) or seen.after != seen.last:
        return f"{plural(len(starts), 'agent')} started, or one restarted again later"
    return None


def _manual(_: Sandbox, seen: DemoFacts) -> str | None:
    if seen.before[MANUAL] != seen.last.get(MANUAL):
        return f"its process is now {seen.last.get(MANUAL, 'gone')}"
    return None if seen.manual[0] == seen.manual[1] else "its screen changed"


def _answers(_: Sandbox, seen: DemoFacts) -> str | None:
    return None if seen.answer == "backup" else f"answered on {seen.answer}" if seen.answer else "no answer"


def _private(sandbox: Sandbox, _: DemoFacts) -> str | None:
    wide = [path for path in _secrets(sandbox) if not path.exists() or stat.S_IMODE(path.stat().st_mode) != 0o600]
    return f"not 0600: {', '.join(str(path.relative_to(sandbox.folder)) for path in wide)}" if wide else None


def _nothing_left(sandbox: Sandbox, _: DemoFacts) -> str | None:
    own = f"{sandbox.state_file.name}.lock"  # stays, unlocked
    left = [
        str(path.relative_to(sandbox.folder))
        for path in sandbox.folder.rglob("*")
        if (path.name.endswith((".lock", ".tmp")) or "-tmp-" in path.name) and path.name != own
    ]
    return f"left behind: {', '.join(sorted(left))}" if left else None


def _no_secret(sandbox: Sandbox, seen: DemoFacts) -> str | None:
    said = [text for run in (seen.dry, seen.check, seen.again) for text in (run.stdout, run.stderr)]
    files = [path for path in _secrets(sandbox) if path.parent == sandbox.state_file.parent]
    written = [path.read_text(errors="replace") for path in files]
    return "a token was found" if any(MARK in text for text in (*said, *written)) else None


def _secrets(sandbox: Sandbox) -> list[Path]:
    """Every existing file with credentials or the state."""
    folders = (sandbox.home / ".claude-accounts", sandbox.claude, sandbox.state_file.parent)
    found = [path for folder in folders for path in sorted(folder.rglob("*"))]
    return [sandbox.settings, *(path for path in found if path.is_file() and not path.is_symlink())]


def _cooldown(_: Sandbox, seen: DemoFacts) -> str | None:
    return None if seen.again.stdout.startswith("cooldown: ") else f"it reports: {seen.again.stdout.strip()}"


_PROMISES: Mapping[str, Callable[[Sandbox, DemoFacts], str | None]] = {
    "the dry run changed no file and no session": _dry_touched,
    "the dry run announced exactly what the check then did": _dry_said,
    "the check swapped the active account from main to backup": _swapped,
    "the state marks main as exhausted until its reset": _exhausted,
    "the live credentials and identity are backup's": _live,
    "MCP credentials and settings in the same files did not change": _machine,
    "main's store has its newest credentials, refreshed while it was active": _saved,
    "every pool session was restarted exactly once": _restarted,
    "a restarted agent answers on backup": _answers,
    "the manual session has the same process and the same screen": _manual,
    "a second check reports the cooldown": _cooldown,
    "every file with credentials or the state has mode 0600": _private,
    "no lock or temporary file is left behind": _nothing_left,
    "no token appears in the state or in the checks' output": _no_secret,
}
