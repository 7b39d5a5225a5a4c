"""`failoverctl install`: the user units with this machine's paths, enabled and started."""

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
    True: "Lingering is on: the timer runs while you are not logged in, and from boot on.",
    False: "Lingering is off: the timer stops when your last login ends. To let it run on: loginctl enable-linger",
    None: "Whether the timer goes on after you log out can not be told here. `loginctl enable-linger` sees to it.",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("--config", metavar="PATH", help="the configuration that the timer is to use")
    parser.add_argument("--state", metavar="PATH", help="the state file that the timer is to use")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and change nothing")
    parser.add_argument("--json", action="store_true", help="print the steps as one JSON object")
    parser.epilog = (
        "May be repeated: what is so already is left alone. Your own changes belong into\n"
        "drop-ins (systemctl --user edit failover.service), which it never touches.\n\n"
        "examples:\n"
        "  failoverctl install --dry-run   # the files and commands, before they are\n"
        "  failoverctl install             # again after a change of quota.poll_interval\n\n"
        "exit codes: 0 done, 1 a step failed, 69 there is no systemd user manager,\n"
        "78 the configuration is missing or wrong"
    )


def run(options: argparse.Namespace) -> int:
    """Do it."""
    file = loader.find(options.config, os.environ)
    settings = loader.load(file, os.environ)
    check = programs.check_program(os.environ.get("PATH"))
    if check is None:
        sys.stderr.write(
            "failover-check is not beside this failoverctl: install both, `pipx install failover-oneshot`\n"
        )
        return EXIT_UNAVAILABLE
    if why := programs.no_manager():
        sys.stderr.write(programs.NO_MANAGER.format(why=why, check=check) + "\n")
        return EXIT_UNAVAILABLE
    wanted = place(settings, file.absolute(), options.state, check, os.environ)
    try:
        todo = plan(steps.unit_folder(os.environ), wanted)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"the units can not be written: {error}\n")
        return EXIT_FAILED
    notes = [LINGER[programs.linger()]]
    if not options.dry_run:
        if any(step.run for step in todo):
            notes.insert(0, "The first check is made within seconds. See it: journalctl --user -u failover.service -f")
        notes.append("To see whether all is well: failoverctl doctor")
    return steps.perform(todo, notes, dry_run=options.dry_run, as_json=options.json)


def place(
    settings: Config, file: Path, state: str | None, check: str, environ: Mapping[str, str]
) -> units.UnitSettings:
    """What the units have to know. What the timer would find by itself is not spelled out."""
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
    """The steps from what is there to what is wanted. OSError, or ValueError for a unit that is a link."""
    todo = []
    changed = []
    for name in programs.UNITS:
        path = folder / name
        template = programs.template(name)
        text = units.render(name, template, wanted)
        if path.is_symlink():
            raise ValueError(f"{path} is a link to {path.readlink()}: `systemctl --user disable {name}` takes it away")
        old = steps.read(path)
        if old == text:
            todo.append(InstallStep(already=f"{path} is as it should be"))
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
    return todo  # a running timer takes a new interval at daemon-reload


def _systemctl(*argv: str) -> InstallStep:
    return InstallStep(run=("systemctl", "--user", *argv))
