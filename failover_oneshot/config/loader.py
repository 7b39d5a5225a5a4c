"""The configuration file: found, read, and either a `Config` or every problem at once with its line and column."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from failover_oneshot.config import convert, paths, yaml_source
from failover_oneshot.config.model import Config
from failover_oneshot.errors import EXIT_CONFIG, FailoverError

MAX_BYTES = 1 << 20


class ConfigError(FailoverError):
    """The configuration is missing or wrong. ``problems``: one line each, in the order of the file."""

    exit_code = EXIT_CONFIG

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def find(explicit: str | None, environ: Mapping[str, str]) -> Path:
    """The file to load. One that was named is the one, existing or not (docs/behavior.md, "Programs and output").

    Raises ConfigError when none was named and none exists.
    """
    if explicit is not None:
        if not explicit:
            raise ConfigError(("--config is empty: name a file",))
        return Path(explicit)
    if named := environ.get("FAILOVER_CONFIG"):
        return Path(named)
    home = environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification: a relative folder there is invalid and to be ignored.
    folder = Path(home if home.startswith("/") else paths.expand("~/.config", environ, "/"))
    places = (folder / "failover/failover.yaml", Path("/etc/failover/failover.yaml"))
    for place in places:
        if os.path.lexists(place):
            return place
    looked = " nor ".join(map(str, places))
    raise ConfigError(
        (f"no config: there is neither {looked}; begin with `failoverctl init`, or name one with --config",)
    )


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The file as a `Config`: durations in seconds, paths expanded and absolute.

    Raises ConfigError with all problems, each `FILE:LINE:COLUMN: key.path: what is wrong`. What is wrong with the file
    as a whole is one line, `FILE: what is wrong`.
    """
    content = _read(path)
    try:
        tree = yaml_source.parse(content)
    except yaml_source.UnreadableError as error:
        (line, column), text = error.args
        raise ConfigError((f"{path}:{line}:{column}: {text}",)) from None
    if tree.data is None and not tree.problems:
        raise ConfigError((f"{path}: holds no settings: was it cut off? (`{{}}` stands for all defaults)",))
    config, problems = convert.convert(tree, str(path.absolute().parent), environ)
    if problems:
        from failover_oneshot.config import errors

        raise ConfigError(errors.lines(str(path), problems, tree.places))
    return config


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe or a device could block for ever
            raise ConfigError((f"{path}: is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'}",))
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError((f"{path}: there is no such file",)) from None
    except (OSError, ValueError) as error:
        raise ConfigError((f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}",)) from None
    if len(content) > MAX_BYTES:
        raise ConfigError((f"{path}: is larger than {MAX_BYTES >> 20} MiB: no config of this program",))
    return content
