"""The user units that `install` writes: the shipped ones (`deploy/`) with this machine's paths. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

SERVICE: Final = "failover.service"
TIMER: Final = "failover.timer"
MARK: Final = "# Written by `failoverctl install`"  # how every unit that `install` ever wrote begins
BASE_PATH: Final = ("%h/.local/bin", "/usr/local/bin", "/usr/bin", "/bin")

# The lines of the shipped units that depend on the machine.
_EXEC: Final = "ExecStart=%h/.local/bin/failover-check"
_PATH: Final = f"Environment=PATH={':'.join(BASE_PATH)}"
_TMPDIR: Final = "#Environment=TMUX_TMPDIR=%t"
_INTERVAL: Final = "OnUnitInactiveSec=30s"

_SECONDS: Final = {
    **{"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0},
    **{"month": 2629800.0, "y": 31557600.0},
}


class UnitView(Struct, frozen=True, kw_only=True):
    """The configuration, state and tmux server in use; "": the default."""

    config: str = ""
    state: str = ""
    tmux_tmpdir: str = ""


class UnitSettings(Struct, frozen=True, kw_only=True):
    """This machine's values for the units. Paths are absolute."""

    home: str
    command: Sequence[str]  # failover-check and its arguments
    folders: Sequence[str] = ()  # for $PATH, before the unit's own
    tmux_tmpdir: str = ""  # $TMUX_TMPDIR of the shell that starts the sessions; "": unset
    interval: float = 30.0  # seconds: quota.poll_interval


def render(name: str, template: str, place: UnitSettings) -> str:
    """The unit file ``name`` from the shipped text. ValueError if that lacks a line that must be filled in."""
    text = template
    for line, filled in (_service(place) if name == SERVICE else _timer(place)).items():
        if text.count(f"\n{line}\n") != 1:
            raise ValueError(f"the shipped {name} must contain this line exactly once: {line}")
        text = text.replace(f"\n{line}\n", f"\n{filled}\n")
    return f"{MARK}, which replaces this file. Put changes in a drop-in:\n# `systemctl --user edit {name}`.\n#\n{text}"


def is_ours(text: str, template: str) -> bool:
    """Whether `install` wrote a unit file, or it is an unchanged copy of the shipped one."""
    return text.startswith(MARK) or text == template


def seconds(span: str) -> float | None:
    """Seconds of a time span as `systemctl show` prints it (`1min 30s`); None for `infinity` and anything else."""
    parts = [re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-z]+)", part) for part in span.split()]
    if not parts or not all(part and part[2] in _SECONDS for part in parts):
        return None
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts if part)


def _service(place: UnitSettings) -> dict[str, str]:
    command = " ".join(_quoted(_homed(word, place.home)).replace("$", "$$") for word in place.command)
    path = ":".join([*(_homed(folder, place.home) for folder in place.folders), *BASE_PATH])
    filled = {_EXEC: f"ExecStart={command}", _PATH: f"Environment={_quoted(f'PATH={path}')}"}
    if place.tmux_tmpdir:
        filled[_TMPDIR] = f"Environment={_quoted(f'TMUX_TMPDIR={_homed(place.tmux_tmpdir, place.home)}')}"
    return filled


def _timer(place: UnitSettings) -> dict[str, str]:
    return {_INTERVAL: f"OnUnitInactiveSec={round(place.interval * 1000)}ms"} if place.interval != 30 else {}


def _homed(word: str, home: str) -> str:
    """The word with systemd's `%` escaped and the home as `%h`, because a unit may be copied to another machine."""
    escaped, prefix = word.replace("%", "%%"), home.rstrip("/").replace("%", "%%") + "/"
    return "%h/" + escaped.removeprefix(prefix) if len(prefix) > 1 and escaped.startswith(prefix) else escaped


def _quoted(word: str) -> str:
    """The word quoted for a unit file where necessary (systemd.syntax(7))."""
    plain = all(char.isalnum() or char in "%/._-=:+@," for char in word) and word
    return word if plain else '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
