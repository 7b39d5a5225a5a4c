"""The modules that a timer's check loads: each one costs time in all of the 2,880 checks a day."""

import os
import sys
from pathlib import Path

from tests.support.paths import DATA
from tests.support.sandbox import Sandbox

PINNED = DATA / "modules-of-a-healthy-check.txt"
OURS = "failover_oneshot"
# msgspec imports typing_extensions where it is installed, as the development tools do. cython_runtime is of yaml.
LIBRARIES = {"yaml", "_yaml", "msgspec", "filelock", "typing_extensions", "cython_runtime"}
# Modules of the standard library that must not be loaded: slow ones, and those that only a rare branch needs.
TOO_DEAR = {
    "asyncio",
    "difflib",
    "html",
    "http",
    "importlib.resources",
    "sqlite3",
    "ssl",
    "unittest",
    "urllib.request",
    "xml",
}


def loaded(sandbox: Sandbox) -> set[str]:
    """The modules that a check of a healthy pool loads and a bare interpreter does not."""
    sandbox.server.show("ccl-auto-11", (DATA.parent / "panes/ok/ok-80x24.txt").read_text(encoding="utf-8"))
    sandbox.server.start("ops")
    assert sandbox.check()["outcome"] == "ok", "only the first check has to find the active account"
    program = (
        "import sys; bare = set(sys.modules); from failover_oneshot.cli import main;"
        "code = main(sys.argv[1:]); print(code, *sorted(set(sys.modules) - bare))"
    )
    done = sandbox.execute([sys.executable, "-c", program, *sandbox.flags("-q")])
    code, *modules = done.stdout.split()
    assert code == "0", done.stderr
    return set(modules)


def is_library(name: str) -> bool:
    """Whether a module is from an installed package other than ours."""
    top = name.split(".", maxsplit=1)[0]
    return top != OURS and top not in sys.stdlib_module_names and top != "sitecustomize"


def test_a_healthy_check_loads_exactly_these_modules(sandbox: Sandbox) -> None:
    """If a healthy check really needs a new module, GOLDEN=write adds it to the list."""
    modules = loaded(sandbox)
    ours = sorted(name for name in modules if name.split(".")[0] == OURS)
    if os.environ.get("GOLDEN") == "write":
        Path(PINNED).write_text("\n".join(ours) + "\n")
    assert ours == PINNED.read_text().split()
    libraries = {name.split(".")[0] for name in modules if is_library(name)}
    assert {name for name in libraries if not name.startswith("_cython")} <= LIBRARIES
    assert modules & TOO_DEAR == set()
