"""`failoverctl uninstall`: stop the timer and remove its units; configuration, state and stores stay."""

import argparse
import os
import sys
from pathlib import Path

from failover_oneshot.ctl.systemd import programs, steps, units
from failover_oneshot.ctl.systemd.steps import InstallStep
from failover_oneshot.ctl.systemd.units import TIMER
from failover_oneshot.errors import EXIT_FAILED, EXIT_UNAVAILABLE


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    parser.add_argument("--dry-run", action="store_true", help="print the steps; change nothing")
    parser.add_argument("--json", action="store_true", help="print the steps as one JSON object")
    parser.epilog = (
        "Sessions, configuration, state, stores and drop-ins stay. A unit that install\n"
        "did not write is left alone. It is safe to repeat.\n\n"
        "example:\n"
        "  failoverctl uninstall && pipx uninstall failover-oneshot\n\n"
        "exit codes: 0 done, 1 a step failed, 69 no systemd user manager"
    )


def run(options: argparse.Namespace) -> int:
    """Uninstall, or print the steps of a dry run."""
    folder = steps.unit_folder(os.environ)
    found = [name for name in programs.UNITS if os.path.lexists(folder / name)]
    if found and (why := programs.no_manager()):
        sys.stderr.write(f"no systemd user manager available: {why}; log in as the user and try again\n")
        return EXIT_UNAVAILABLE
    try:
        todo = plan(folder)
    except OSError as error:
        sys.stderr.write(f"cannot read the units: {error}\n")
        return EXIT_FAILED
    kept = [name for name in programs.UNITS if (folder / f"{name}.d").is_dir()]
    notes = [f"Your drop-ins for {' and '.join(kept)} in {folder} stay."] if kept else []
    notes += ["Configuration, state, stores and sessions stay."]
    return steps.perform(todo, notes, dry_run=options.dry_run, as_json=options.json)


def plan(folder: Path) -> list[InstallStep]:
    """The steps that remove what is installed. Raises OSError when a unit cannot be read."""
    todo, removals = [], []
    for name in programs.UNITS:
        path = folder / name
        if not os.path.lexists(path):
            removals.append(InstallStep(already=f"{path} does not exist"))
        elif path.is_symlink() or not units.is_ours(steps.read(path) or "", programs.template(name)):
            removals.append(InstallStep(already=f"{path} was not written by install; left alone"))
        else:
            removals.append(InstallStep(remove=path))
    known = programs.properties(TIMER, "UnitFileState", "ActiveState")
    if known.get("ActiveState") == "active" or known.get("UnitFileState") == "enabled":
        todo.append(InstallStep(run=("systemctl", "--user", "disable", "--now", TIMER)))
    else:
        todo.append(InstallStep(already=f"{TIMER} is neither enabled nor running"))
    todo += removals
    if any(step.remove for step in removals):
        todo.append(InstallStep(run=("systemctl", "--user", "daemon-reload")))
    return todo
