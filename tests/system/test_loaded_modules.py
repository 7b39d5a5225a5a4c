"""What a timer's check loads: each module costs every one of 2,880 checks a day."""

import os
import sys
from pathlib import Path

from tests.support.paths import DATA
from tests.support.sandbox import Sandbox

PINNED = DATA / "modules-of-a-healthy-check.txt"
OURS = "failover_oneshot"
# msgspec takes typing_extensions where it is installed: by the tools for development, not by us. Cython's are yaml's.
LIBRARIES = {"yaml", "_yaml", "msgspec", "filelock", "typing_extensions", "cython_runtime"}
# Of the standard library, what has no place there: slow to load, or a sign of work that only a rare branch does.
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
    """The modules that a whole check of a healthy pool has at its end, beyond those of a bare interpreter."""
    sandbox.server.show("ccl-auto-11", (DATA.parent / "panes/ok/ok-80x24.txt").read_text(encoding="utf-8"))
    sandbox.server.start("ops")
    assert sandbox.check()["outcome"] == "ok", "the first check still has to find out which account is active"
    program = (
        "import sys; bare = set(sys.modules); from failover_oneshot.cli import main;"
        "code = main(sys.argv[1:]); print(code, *sorted(set(sys.modules) - bare))"
    )
    done = sandbox.execute([sys.executable, "-c", program, *sandbox.flags("-q")])
    code, *modules = done.stdout.split()
    assert code == "0", done.stderr
    return set(modules)


def is_library(name: str) -> bool:
    """Whether a module was installed beside the interpreter, and is none of ours."""
    top = name.split(".", maxsplit=1)[0]
    return top != OURS and top not in sys.stdlib_module_names and top != "sitecustomize"


def test_a_healthy_check_loads_exactly_these_modules(sandbox: Sandbox) -> None:
    """A module that is new here: is it needed when nothing is wrong? Then GOLDEN=write puts it on the list."""
    modules = loaded(sandbox)
    ours = sorted(name for name in modules if name.split(".")[0] == OURS)
    if os.environ.get("GOLDEN") == "write":
        Path(PINNED).write_text("\n".join(ours) + "\n")
    assert ours == PINNED.read_text().split()
    libraries = {name.split(".")[0] for name in modules if is_library(name)}
    assert {name for name in libraries if not name.startswith("_cython")} <= LIBRARIES
    assert modules & TOO_DEAR == set()
