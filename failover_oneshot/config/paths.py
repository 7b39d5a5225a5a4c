"""The paths of a configuration: `~` and variables filled in, relative ones taken from the config file's folder."""

import os
import re
from collections.abc import Mapping

from msgspec.structs import replace

from failover_oneshot.config.model import Account, Config
from failover_oneshot.config.yaml_source import KeyPath, Problem

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def expand(text: str, environ: Mapping[str, str], folder: str) -> str:
    """An absolute path: `~`, `~user`, `$VAR` and `${VAR}` filled in, a relative one taken from ``folder``.

    Raises ValueError with a sentence when there is nothing to fill in.
    """
    if not text.strip():
        raise ValueError("is empty: leave the value out for the default")
    if CONTROL.search(text):
        raise ValueError("holds a control character")
    head, slash, rest = text.partition("/")
    if head.startswith("~"):
        head = _home(head[1:], environ)
    path = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: _variable(found, environ), head + slash + rest)
    if not path.strip() or CONTROL.search(path):
        raise ValueError("is empty, or holds a control character, once its variables are filled in")
    return path if path.startswith("/") else f"{folder}/{path}"


def _variable(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name = found[1] or found[2]
    if name not in environ:
        raise ValueError(f"${name} is not set")
    return environ[name]


def _home(user: str, environ: Mapping[str, str]) -> str:
    if not user and (home := environ.get("HOME")):
        return home
    import pwd

    try:
        return (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
    except KeyError:
        raise ValueError(f"there is no user {user}" if user else "$HOME is not set") from None


def expand_all(config: Config, folder: str, environ: Mapping[str, str]) -> tuple[Config, list[Problem]]:
    """The config with every path expanded, and those that cannot be, which stay as they are written."""
    problems: list[Problem] = []
    return _Paths(folder, environ, problems).config(config), problems


class _Paths:
    def __init__(self, folder: str, environ: Mapping[str, str], problems: list[Problem]) -> None:
        self.folder = folder
        self.environ = environ
        self.problems = problems

    def config(self, config: Config) -> Config:
        swap, pool, tmux = config.swap, config.pool, config.tmux
        return replace(
            config,
            accounts=tuple(self.account(account, ("accounts", i)) for i, account in enumerate(config.accounts)),
            swap=replace(
                swap,
                claude_dir=self.path(swap.claude_dir, "swap", "claude_dir"),
                claude_json=self.path(swap.claude_json, "swap", "claude_json"),
                files=tuple(self.path(file, "swap", "files", i) for i, file in enumerate(swap.files)),
            ),
            pool=replace(
                pool,
                autonomous=replace(
                    pool.autonomous, workdir=self.path(pool.autonomous.workdir, "pool", "autonomous", "workdir")
                ),
                dedicated=tuple(
                    replace(d, workdir=self.path(d.workdir, "pool", "dedicated", i, "workdir"))
                    for i, d in enumerate(pool.dedicated)
                ),
            ),
            dispatch=replace(config.dispatch, spool=self.optional(config.dispatch.spool, "dispatch", "spool")),
            tmux=replace(
                tmux,
                binary=self.path(tmux.binary, "tmux", "binary") if "/" in tmux.binary else tmux.binary,
                socket_path=self.optional(tmux.socket_path, "tmux", "socket_path"),
            ),
            state=replace(config.state, path=self.optional(config.state.path, "state", "path")),
            metrics=replace(config.metrics, textfile=self.optional(config.metrics.textfile, "metrics", "textfile")),
            notify=replace(config.notify, urls_file=self.optional(config.notify.urls_file, "notify", "urls_file")),
        )

    def account(self, account: Account, path: KeyPath) -> Account:
        store, env_file = (
            self.optional(account.store, *path, "store"),
            self.optional(account.env_file, *path, "env_file"),
        )
        return replace(account, store=store, env_file=env_file)

    def optional(self, text: str | None, *path: str | int) -> str | None:
        return None if text is None else self.path(text, *path)

    def path(self, text: str, *path: str | int) -> str:
        try:
            return expand(text, self.environ, self.folder)
        except ValueError as error:
            self.problems.append(Problem(path=path, text=str(error)))
            return text
