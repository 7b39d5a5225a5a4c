"""`failoverctl install`: write the systemd user units with this machine's paths, enable and start the timer."""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from failover_oneshot.config import loader
from failover_oneshot.config.model import Config
from failover_oneshot.ctl.systemd import programs, steps, units
from failover_oneshot.ctl.systemd.steps import InstallStep
from failover_oneshot.ctl.systemd.units import SERVICE, TIMER
from failover_oneshot.errors import EXIT_FAILED, EXIT_UNAVAILABLE

LINGER = {
    True: "Lingering is on: the timer also runs while you are logged out, from boot on.",
    False: "Lingering is off: the timer stops when you log out. To keep it running, run `loginctl enable-linger`.",
    None: "Lingering is unknown on this system. To keep the timer running after you log out, run "
    "`loginctl enable-linger`.",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the epilog."""
    parser.add_argument("--config", metavar="PATH", help="configuration file for the timer")
    parser.add_argument("--state", metavar="PATH", help="state file for the timer")
    parser.add_argument("--dry-run", action="store_true", help="print the steps; change nothing")
    parser.add_argument("--json", action="store_true", help="print the steps as one JSON object")
    parser.epilog = (
        "It writes the units, then enables and starts the timer. It is safe to repeat:\n"
        "only what differs is changed. Put your own settings in drop-ins\n"
        "(systemctl --user edit failover.service); install never changes those.\n\n"
        "examples:\n"
        "  failoverctl install --dry-run   show the files and commands first\n"
        "  failoverctl install             repeat after a change of quota.poll_interval\n\n"
        "exit codes: 0 done, 1 a step failed, 69 no systemd user manager,\n"
        "78 configuration missing or wrong"
    )


def run(options: argparse.Namespace) -> int:
    """Install, or print the steps of a dry run."""
    file = loader.find(options.config, os.environ)
    settings = loader.load(file, os.environ)
    check = programs.check_program(os.environ.get("PATH"))
    if check is None:
        sys.stderr.write("no failover-check beside this failoverctl; run `pipx install failover-oneshot`\n")
        return EXIT_UNAVAILABLE
    if why := programs.no_manager():
        sys.stderr.write(programs.NO_MANAGER.format(why=why, check=check) + "\n")
        return EXIT_UNAVAILABLE
    wanted = place(settings, file.absolute(), options.state, check, os.environ)
    try:
        todo = plan(steps.unit_folder(os.environ), wanted)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cannot write the units: {error}\n")
        return EXIT_FAILED
    notes = [LINGER[programs.linger()]]
    if not options.dry_run:
        if any(step.run for step in todo):
            notes.insert(
                0, "The first check runs within seconds. To watch it, run `journalctl --user -u failover.service -f`."
            )
        notes.append("To verify the installation, run `failoverctl doctor`.")
    return steps.perform(todo, notes, dry_run=options.dry_run, as_json=options.json)


def place(
    settings: Config, file: Path, state: str | None, check: str, environ: Mapping[str, str]
) -> units.UnitSettings:
    """The values for the units. What the timer finds by default is left out."""
    home = environ.get("HOME", "/")
    view = programs.seen_from_here(settings, file, state, environ)
    arguments = [*(["--config", view.config] if view.config else []), *(["--state", view.state] if view.state else [])]
    hooks = (settings.hooks.on_swap, settings.hooks.on_waiting, settings.hooks.on_failure)
    commands = [settings.tmux.binary, *(argv[0] for argv in (settings.swap.command, *hooks) if argv)]
    found = [shutil.which(command, path=environ.get("PATH")) for command in commands if "/" not in command]
    base = [folder.replace("%h", home) for folder in units.BASE_PATH]
    folders = dict.fromkeys(str(Path(program).parent) for program in found if program)
    return units.UnitSettings(
        home=home,
        command=[check, *arguments],
        folders=[folder for folder in folders if folder.startswith("/") and folder not in base],
        tmux_tmpdir=view.tmux_tmpdir,
        interval=settings.quota.poll_interval,
    )


def plan(folder: Path, wanted: units.UnitSettings) -> list[InstallStep]:
    """The steps that make the installed units match. Raises OSError, and ValueError for a unit that is a link."""
    todo = []
    changed = []
    for name in programs.UNITS:
        path = folder / name
        template = programs.template(name)
        text = units.render(name, template, wanted)
        if path.is_symlink():
            raise ValueError(
                f"{path} is a link to {path.readlink()}; run `systemctl --user disable {name}` to remove it"
            )
        old = steps.read(path)
        if old == text:
            todo.append(InstallStep(already=f"{path} is up to date"))
            continue
        changed.append(name)
        backup = None if old is None or units.is_ours(old, template) else path.with_name(f"{name}.bak")
        todo.append(InstallStep(write=path, text=text, backup=backup))
    known = programs.properties(TIMER, "UnitFileState", "ActiveState", "NeedDaemonReload")
    stale = programs.properties(SERVICE, "NeedDaemonReload").get("NeedDaemonReload")
    if changed or "yes" in (known.get("NeedDaemonReload"), stale):
        todo.append(_systemctl("daemon-reload"))
    enabled, active = known.get("UnitFileState") == "enabled", known.get("ActiveState") == "active"
    todo.append(InstallStep(already=f"{TIMER} is enabled") if enabled else _systemctl("enable", TIMER))
    todo.append(InstallStep(already=f"{TIMER} is running") if active else _systemctl("start", TIMER))
    return todo  # a running timer reads a new interval at daemon-reload


def _systemctl(*argv: str) -> InstallStep:
    return InstallStep(run=("systemctl", "--user", *argv))
