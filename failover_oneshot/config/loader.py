"""Finds and loads the configuration file: either a `Config`, or every problem at once with its line and column."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from failover_oneshot.config import convert, paths, yaml_source
from failover_oneshot.config.linked import LinkedFiles
from failover_oneshot.config.model import Config
from failover_oneshot.errors import EXIT_CONFIG, FailoverError

MAX_BYTES = 1 << 20


class ConfigError(FailoverError):
    """The configuration is missing or wrong. ``problems`` has one line for each problem, in the order of the file."""

    exit_code = EXIT_CONFIG

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LinkedFilesError(ConfigError):
    """Nothing is wrong but that credential files are linked to each other. ``config`` is the otherwise valid config."""

    def __init__(self, problems: tuple[str, ...], config: Config) -> None:
        super().__init__(problems)
        self.config = config


def find(explicit: str | None, environ: Mapping[str, str]) -> Path:
    """The file to load. A file that is named explicitly is used even if it does not exist.

    See docs/behavior.md, "Programs and output". Raises ConfigError when no file is named and none is found.
    """
    if explicit is not None:
        if not explicit:
            raise ConfigError(("--config is empty; name a file",))
        return Path(explicit)
    if named := environ.get("FAILOVER_CONFIG"):
        return Path(named)
    home = environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification: a relative path here is invalid and must be ignored.
    folder = Path(home if home.startswith("/") else paths.expand("~/.config", environ, "/"))
    places = (folder / "failover/failover.yaml", Path("/etc/failover/failover.yaml"))
    for place in places:
        if os.path.lexists(place):
            return place
    looked = " nor ".join(map(str, places))
    raise ConfigError((f"no config: found neither {looked}; run `failoverctl init`, or name a file with --config",))


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The file as a `Config`, with durations in seconds and absolute paths.

    Raises ConfigError with every problem as `FILE:LINE:COLUMN: key.path: problem`. A problem with the file as a whole
    is one line that names the file. LinkedFilesError: only credential files are linked.
    """
    return parsed(read(path), path, environ)


def parsed(content: bytes, path: Path, environ: Mapping[str, str]) -> Config:
    """What `load` returns or raises when this is the content of the file."""
    try:
        tree = yaml_source.parse(content)
    except yaml_source.UnreadableError as error:
        (line, column), text = error.args
        raise ConfigError((f"{path}:{line}:{column}: {text}",)) from None
    if tree.data is None and not tree.problems:
        raise ConfigError((f"{path}: no settings found; is the file truncated? (write `{{}}` to use all defaults)",))
    config, problems = convert.convert(tree, str(path.absolute().parent), environ)
    if problems:
        from failover_oneshot.config import errors

        lines = errors.lines(str(path), problems, tree.places)
        if all(isinstance(problem, LinkedFiles) for problem in problems):
            raise LinkedFilesError(lines, config)
        raise ConfigError(lines)
    return config


def read(path: Path) -> bytes:
    """The content of a file. Raises ConfigError when it cannot be read, or is too large."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # reading a pipe or a device could block forever
            raise ConfigError((f"{path}: {'is a folder' if stat.S_ISDIR(mode) else 'not a regular file'}",))
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError((f"{path}: no such file",)) from None
    except (OSError, ValueError) as error:
        raise ConfigError((f"cannot read {path}: {getattr(error, 'strerror', None) or error}",)) from None
    if len(content) > MAX_BYTES:
        raise ConfigError((f"{path}: larger than {MAX_BYTES >> 20} MiB; not a config of this program",))
    return content
