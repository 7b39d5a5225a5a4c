"""The steps of `install` and `uninstall`: a list that can be printed first and then carried out."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from failover_oneshot.ctl.lib.terminal import Terminal
from failover_oneshot.ctl.systemd import programs
from failover_oneshot.errors import EXIT_FAILED
from failover_oneshot.lib import atomicfile


class InstallStep(Struct, frozen=True, kw_only=True):
    """One step: a file to write (``text``) or remove, or a program to run; ``already``: why nothing is left to do."""

    write: Path | None = None
    text: str = ""
    backup: Path | None = None  # where an existing file is kept
    remove: Path | None = None
    run: tuple[str, ...] = ()
    already: str = ""

    @property
    def says(self) -> str:
        """The step as an imperative, such as `write PATH`."""
        if self.already:
            return self.already
        if self.write:
            kept = f" (the existing file is kept as {self.backup.name})" if self.backup else ""
            return f"write {self.write}{kept}"
        return f"remove {self.remove}" if self.remove else f"run {shlex.join(self.run)}"

    def perform(self) -> str | None:
        """Carry out the step. Returns None, or why it failed."""
        try:
            if self.already:
                return None
            if self.write:
                self.write.parent.mkdir(parents=True, exist_ok=True)
                atomicfile.write_atomic(self.write, self.text.encode(), mode=0o644, backup=self.backup)
            elif self.remove:
                self.remove.unlink(missing_ok=True)
            else:
                said = programs.ask(*self.run)
                return None if said.ok else said.error
        except (OSError, ValueError) as error:
            return getattr(error, "strerror", None) or str(error)
        return None

    def facts(self) -> dict[str, Any]:
        """The step as `--json` prints it."""
        kind = "none" if self.already else "write" if self.write else "remove" if self.remove else "run"
        target = self.write or self.remove
        return {"step": kind, "path": str(target) if target else None, "argv": list(self.run), "text": self.says}


def perform(steps: Sequence[InstallStep], notes: Sequence[str], *, dry_run: bool, as_json: bool) -> int:
    """Print the steps and, unless ``dry_run``, carry them out; the first failure ends it.

    Returns the exit code: 0, or 1 if a step failed.
    """
    paper = Terminal(sys.stderr if as_json else sys.stdout, os.environ)
    failed = None
    for step in steps:
        failed = None if dry_run else step.perform()
        mark = "·" if step.already else "→" if dry_run else "✗" if failed else "✓"
        style = {"✗": "bad", "✓": "good"}.get(mark, "dim")
        paper.paragraph(
            f"{paper.style(mark, style)} {'would ' if dry_run and not step.already else ''}{step.says}", rest="    "
        )
        if failed:
            paper.paragraph(f"{failed}", first="    ", rest="    ")
            break
    if not failed:
        for note in notes:
            paper.paragraph(note, first="", rest="")
    if as_json:
        facts = {
            "version": 1,
            "dry_run": dry_run,
            "ok": not failed,
            "error": failed,
            "steps": [step.facts() for step in steps],
            "notes": list(notes),
        }
        sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
    return EXIT_FAILED if failed else 0


def read(path: Path) -> str | None:
    """A unit file's text, None if it does not exist. OSError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def unit_folder(environ: dict[str, str] | os._Environ[str]) -> Path:
    """The folder of the user's own units, as the running manager knows it."""
    home = Path(environ.get("HOME", "/"))
    xdg = environ.get("XDG_CONFIG_HOME", "")
    folders = [*([Path(xdg) / "systemd/user"] if xdg.startswith("/") else []), home / ".config/systemd/user"]
    known = programs.properties("", "UnitPath").get("UnitPath", "").split()
    return next((folder for folder in folders if str(folder) in known), folders[-1])
