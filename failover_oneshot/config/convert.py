"""Plain values to a `Config`: types by msgspec, then paths, then what types cannot say."""

from collections.abc import Mapping

import msgspec

from failover_oneshot.config import checks
from failover_oneshot.config.model import Config, Duration
from failover_oneshot.config.paths import expand_all
from failover_oneshot.config.yaml_source import KeyPath, Problem
from failover_oneshot.lib import durations


def convert(data: object) -> Config:
    """Plain values to a `Config`; a blank key means its default. Raises msgspec.ValidationError."""
    blanks: list[KeyPath] = []
    config = msgspec.convert(_without_blanks(data, (), blanks), Config, dec_hook=_decode)
    for *parents, key in blanks:
        section: object = config
        for step in parents:
            section = getattr(section, step) if isinstance(step, str) else section[step]  # type: ignore[index]
        if key not in getattr(section, "__struct_fields__", ()):
            raise msgspec.ValidationError(f"`{key}` can not be blank")
    return config


def complete(config: Config, folder: str, environ: Mapping[str, str]) -> tuple[Config, list[Problem]]:
    """The config with its paths expanded against ``folder`` (absolute), and all that is impossible in it."""
    expanded, problems = expand_all(config, folder, environ)
    return expanded, [*problems, *checks.problems(expanded)]


def _without_blanks(value: object, path: KeyPath, blanks: list[KeyPath]) -> object:
    if isinstance(value, dict):
        blanks += [(*path, key) for key, item in value.items() if item is None]
        return {k: _without_blanks(v, (*path, k), blanks) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_blanks(item, (*path, i), blanks) for i, item in enumerate(value)]
    return value


def _decode(wanted: type, value: object) -> object:
    if wanted is Duration:
        return Duration(durations.parse(value))
    raise NotImplementedError(wanted)
