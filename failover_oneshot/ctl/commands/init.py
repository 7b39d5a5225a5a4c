"""`failoverctl init`: write a configuration for the sessions and accounts found here. Changes nothing else."""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from failover_oneshot.accounts import json_document
from failover_oneshot.accounts.claude import credentials
from failover_oneshot.accounts.claude.store import CREDENTIALS, IDENTITY_FILE
from failover_oneshot.accounts.kept import LIMIT
from failover_oneshot.agents import registry
from failover_oneshot.config import loader, schema
from failover_oneshot.config.model import Tmux as TmuxSettings
from failover_oneshot.ctl.lib import proposal
from failover_oneshot.ctl.lib.proposal import AmbiguousError, Proposal, ProposalFacts, RunningSession
from failover_oneshot.ctl.lib.terminal import Terminal
from failover_oneshot.ctl.systemd.units import BASE_PATH
from failover_oneshot.errors import EXIT_FAILED
from failover_oneshot.lib import atomicfile
from failover_oneshot.lib.plural import plural
from failover_oneshot.tmux.client import TmuxError, TmuxReader
from failover_oneshot.tmux.formats import PaneRow, is_shell

ACCOUNTS = "~/.claude-accounts"
_NAME = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9._@+-]{0,63}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    parser.add_argument("--config", metavar="PATH", help="file to write (default: ~/.config/failover/failover.yaml)")
    parser.add_argument("--prefix", help="name of the pool's sessions without the number, such as ccl-auto-")
    parser.add_argument(
        "--accounts",
        metavar="NAMES",
        help="account names, in order of preference (default: the existing stores, else main,backup)",
    )
    parser.add_argument("--socket-path", metavar="PATH", help="socket of the tmux server (default: as tmux finds it)")
    parser.add_argument("--dry-run", action="store_true", help="print the path and the configuration; write nothing")
    parser.add_argument("--stdout", action="store_true", help="print only the configuration; write nothing")
    parser.epilog = (
        "It reads the names and programs of the tmux sessions and the owner of the live\n"
        "credentials. It does not read screens. It never overwrites an existing file.\n\n"
        "examples:\n"
        "  failoverctl init --dry-run\n"
        "  failoverctl init --prefix agent- --accounts work,private\n\n"
        "exit codes: 0 done, 1 nothing written (the file exists, or several groups of\n"
        "sessions could be the pool), 69 tmux is not installed"
    )


def run(options: argparse.Namespace) -> int:
    """Write or print the configuration; 1 when nothing was written."""
    paper = Terminal(sys.stderr if options.stdout else sys.stdout, os.environ)
    target = _target(options.config, os.environ)
    try:
        facts, notes = _facts(options, os.environ)
    except AmbiguousError as error:
        paper.paragraph(f"not written: {error}", first="", rest="")
        return error.exit_code
    text = proposal.render(facts, schema.sentences())
    code = 0
    if options.stdout:
        sys.stdout.write(text)
    elif os.path.lexists(target):
        paper.paragraph(f"{target} already exists; not overwritten. To see what init would write, run "
                        "`failoverctl init --stdout`.", first="", rest="")  # fmt: skip
        return EXIT_FAILED
    elif options.dry_run:
        paper.say(f"would write {target}:\n")
        paper.say(text)
    elif problem := publish(target, text):
        paper.say(f"not written: {problem}")
        code = EXIT_FAILED
    else:
        paper.say(f"wrote {target}")
    for note in notes:
        paper.paragraph(note, first="", rest="  ")
    return code


def _target(explicit: str | None, environ: Mapping[str, str]) -> Path:
    """The file to write: the first that `loader.find` would look for."""
    if named := explicit or environ.get("FAILOVER_CONFIG"):
        return Path(named).absolute()
    xdg = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(xdg) if xdg.startswith("/") else Path(environ.get("HOME", "/"), ".config")
    return folder / "failover/failover.yaml"


def publish(target: Path, text: str) -> str | None:
    """Write a new file atomically, after it passes the config check. Returns the problem, or None."""
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = atomicfile.write_temporary(target, text.encode())
        try:
            loader.load(temporary, os.environ)
            os.link(temporary, target)  # unlike a rename, it fails when the name exists by now
            atomicfile.sync_folder(target.parent)
        finally:
            atomicfile.remove(temporary)
    except loader.ConfigError as error:
        return f"the new config is not valid: {error}".replace(str(temporary), str(target))
    except OSError as error:
        return f"{target}: {error.strerror}"
    return None


def _facts(options: argparse.Namespace, environ: Mapping[str, str]) -> tuple[ProposalFacts, list[str]]:
    """What was found here, and notes for the operator. Raises AmbiguousError and TmuxError."""
    home = environ.get("HOME", "/")
    tmux = _tmux(options.socket_path, environ)
    settings = TmuxSettings(socket_path=tmux.get("socket_path"))
    rows = TmuxReader(settings, environ).rows()
    folder = Path(environ.get("CLAUDE_CONFIG_DIR") or f"{home}/.claude")
    found = proposal.propose(list(_running(rows or (), folder)), options.prefix)
    swap = {}
    if folder != Path(home, ".claude"):
        swap = {"claude_dir": _homed(folder, home), "claude_json": _homed(folder / ".claude.json", home)}
    live = _identity(folder / ".claude.json" if swap else Path(home, ".claude.json"), credentials.IDENTITY)
    logged_in = (document := _document(folder / CREDENTIALS)) and credentials.tokens_of(document) is not None
    accounts, stored = _accounts(options.accounts, live, Path(home))
    facts = ProposalFacts(
        proposal=found,
        accounts=tuple((name, f"{ACCOUNTS}/{name}", remark) for name, remark in accounts),
        swap=swap,
        tmux={key: value if key == "binary" else _homed(Path(value), home) for key, value in tmux.items()},
    )
    notes = [_pool_note(found, server=rows is not None), *found.notes]
    notes += (
        [f"dedicated sessions, watched but never restarted: {', '.join(found.dedicated)}"] if found.dedicated else []
    )
    if not stored:
        first, *others = (name for name, _ in accounts)
        if logged_in:
            whose = f" ({live.email})" if live and live.email else ""
            notes.append(f"next: run `failoverctl accounts add {first}`; it saves the live credentials{whose}")
        else:
            notes.append(f"next: log in with the agent, then run `failoverctl accounts add {first}`")
        notes += [f"then: log in as {name} and run `failoverctl accounts add {name}`" for name in others]
    notes.append("then: run `failover-check --dry-run` and `failoverctl install`")
    return facts, notes


def _pool_note(found: Proposal, *, server: bool) -> str:
    if not found.indices:
        why = "no pool sessions found" if server else "no tmux server is running"
        return f"{why}; prefix, start_index and max are examples: change them to yours"
    first, last = found.indices[0], found.indices[-1]
    return f"pool: {found.prefix}{first} … {found.prefix}{last} ({plural(len(found.indices), 'session')})"


def _tmux(socket_path: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The keys of section `tmux` that the timer needs: a socket other than the default, a program outside its $PATH."""
    found = {}
    here = socket_path or environ.get("TMUX", "").rpartition(",")[0].rpartition(",")[0]
    if not here and (tmpdir := environ.get("TMUX_TMPDIR")):
        here = f"{tmpdir}/tmux-{os.getuid()}/default"
    if here and os.path.realpath(here) != os.path.realpath(f"/tmp/tmux-{os.getuid()}/default"):  # noqa: S108 - tmux's own
        found["socket_path"] = os.path.abspath(here)  # noqa: PTH100
    program = shutil.which("tmux", path=environ.get("PATH"))
    if program is None:
        raise TmuxError("tmux is not installed; run `sudo apt install tmux`")
    folders = [folder.replace("%h", environ.get("HOME", "/")) for folder in BASE_PATH]
    if not any(os.access(f"{folder}/tmux", os.X_OK) for folder in folders):
        found["binary"] = program
    return found


def _running(rows: Iterable[PaneRow], claude_dir: Path) -> Iterable[RunningSession]:
    """The sessions, each judged by the pane that an agent runs in, if there is one."""
    by_name: dict[str, list[PaneRow]] = {}
    for row in rows:
        by_name.setdefault(row.session_name, []).append(row)
    panes = {row.pane.pane_id: row.pane.pid for found in by_name.values() for row in found}
    owners = registry.agent(registry.CLAUDE, str(claude_dir)).processes(panes)
    for name, found in sorted(by_name.items()):
        alive = [row.pane for row in found if not row.pane.dead]
        agents = [p for p in alive if p.pane_id in owners or proposal.is_agent(p.command, p.title)]
        pane = min(agents or alive, key=lambda p: (is_shell(p.command), not p.active), default=None)
        known = pane is not None and proposal.restartable(pane.start_command)
        yield RunningSession(name=name, agent=bool(agents), start_known=known)


def _accounts(names: str | None, live: credentials.Identity | None, home: Path) -> tuple[list[tuple[str, str]], bool]:
    """Each account's name and remark, the live one first; and whether their stores exist already."""
    stores = {}
    try:
        folders = sorted((home / ACCOUNTS.removeprefix("~/")).iterdir())
    except OSError:
        folders = []
    for folder in folders:
        if _NAME.fullmatch(folder.name) and (folder / CREDENTIALS).is_file():
            stores[folder.name] = _identity(folder / IDENTITY_FILE, None)
    if stores and not names:
        mine = [name for name, who in stores.items() if who and live and who.same(live)]
        order = [*mine, *(name for name in stores if name not in mine)]
        return [(name, who.email if (who := stores[name]) else "") for name in order], True
    chosen = [name for name in (names or "").split(",") if name] or ["main", "backup"]
    return [(name, live.email if live and i == 0 else "") for i, name in enumerate(chosen)], False


def _identity(path: Path, key: str | None) -> credentials.Identity | None:
    document = _document(path)
    block = document.get(key) if document and key else document
    return credentials.identity_of(block) if isinstance(block, dict) else None


def _document(path: Path) -> dict[str, object] | None:
    try:
        return dict(json_document.parse(atomicfile.read_bounded(path, LIMIT)).values)
    except (OSError, ValueError):
        return None


def _homed(path: Path, home: str) -> str:
    return f"~/{path.relative_to(home)}" if home != "/" and path.is_relative_to(home) else str(path)
