"""The rules of docs/architecture.md, tested on the syntax trees of all modules."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "failover_oneshot"
NAME = PACKAGE.name
# Pure modules compute values from values, and import only each other from the package.
PURE_PACKAGES = ("detection", "decision")
IMPURE_OF_AGENTS = {"agent", "own_login", "processes", "prompts", "records", "registry", "transcript", "version"}
PURE_MODULES = {
    *("model", "errors", "report", "config.model", "config.values", "lib.plural", "swap.journal", "tmux.formats"),
    *("state.model", "state.transitions", "state.history"),
    *("lib.durations", "lib.redact", "lib.scrub"),
    *("monitoring.metrics", "monitoring.outbox"),
    *("analysis.explain", "analysis.replay"),
    *("tasks.plan", "tasks.task", "tasks.text"),
    *("ctl.doctor.rules", "ctl.lib.proposal", "ctl.lib.status", "ctl.report.timeline", "ctl.systemd.units"),
}
IMPURE_MODULES = {
    *("asyncio", "fcntl", "glob", "io", "locale", "logging", "os", "pathlib", "random", "secrets", "select", "shutil"),
    *("signal", "socket", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid"),
}
IMPURE_CALLS = {"open", "input", "print", "breakpoint", "exec", "eval", "__import__"}
CLOCKS = {"now", "utcnow", "today"}  # methods of datetime and date
# The only modules that may start programs: tmux in `tmux`, a swap command in its method, systemctl and more in `ctl`.
RUNS_PROGRAMS = ("tmux.client", "accounts.command", "monitoring.hooks", "monitoring.apprise", "ctl")
# The outer modules, outermost last; each may be imported only by those after it.
SHELL = ("check", "cli", "ctl", "__main__")
LONGEST = 350
MOST_MODULES = 16  # in one folder


def module_name(path: Path) -> str:
    """`accounts.claude` for accounts/claude.py, `accounts` for its __init__, "" for the package's __init__."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


TREES = {module_name(path): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
PURE = PURE_MODULES | {name for name in TREES if name.split(".")[0] in PURE_PACKAGES}
PURE |= {name for name in TREES if name.startswith("agents.") and name.rpartition(".")[2] not in IMPURE_OF_AGENTS}


def imports(tree: ast.AST) -> Iterator[str]:
    """All imports of a module, also inside functions, such as `os` or `failover_oneshot.model`; none is relative."""
    for node in ast.walk(tree):
        yield from imported(node)


def imported(node: ast.AST) -> list[str]:
    """The imports of one statement."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    assert node.level == 0, f"line {node.lineno}: an import is spelled out"
    inner = [f"{node.module}.{alias.name}" for alias in node.names]
    known = [name for name in inner if name.removeprefix(f"{NAME}.") in TREES]
    return known or [str(node.module)]


# Module -> the package's modules that it imports; `failover_oneshot` itself is left out, it has only the version.
ARROWS = {
    name: {found.removeprefix(f"{NAME}.") for found in imports(tree) if found.startswith(f"{NAME}.")}
    for name, tree in TREES.items()
}


def impure(tree: ast.AST) -> list[str]:
    """The uses of clock, environment, programs, files and logs; the exit codes of `os` are allowed."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="os", names=names) if all(alias.name.startswith("EX_") for alias in names):
                continue
            case ast.Import() | ast.ImportFrom():
                found += [f"imports {name}" for name in imported(node) if name.split(".")[0] in IMPURE_MODULES]
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                found.append(f"line {node.lineno}: {name}()")
            case ast.Attribute(attr=name, value=ast.Name(id="datetime" | "date")) if name in CLOCKS:
                found.append(f"line {node.lineno}: {name} reads the clock")
    return found


def test_the_lists_above_name_existing_modules() -> None:
    """A renamed module must not escape its rule."""
    packages = {name.split(".")[0] for name in TREES}
    assert TREES.keys() >= PURE_MODULES | {name for name in RUNS_PROGRAMS if "." in name}
    assert packages >= {*PURE_PACKAGES, *SHELL, "fake_agent"}


@pytest.mark.parametrize("name", sorted(PURE & TREES.keys()))
def test_pure_modules_have_no_effects_and_import_only_each_other(name: str) -> None:
    assert impure(TREES[name]) == []
    assert ARROWS[name] <= PURE


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "from os import EX_OK, environ",
        "from pathlib import Path",
        "def f():\n    import logging",
        "datetime.now(UTC)",
        "open('x')",
        "f = date.today",
    ],
)
def test_the_purity_rule_can_fail(text: str) -> None:
    assert impure(ast.parse(text))


def test_there_are_no_import_cycles() -> None:
    """Imports inside functions count, too."""
    open_, done = set[str](), set[str]()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in open_, f"a cycle: {' -> '.join((*way[way.index(name) :], name))}"
        if name not in done:
            open_.add(name)
            for other in sorted(ARROWS.get(name, ())):
                visit(other, (*way, name))
            open_.remove(name)
            done.add(name)

    for name in sorted(TREES):
        visit(name, ())


def test_outer_modules_are_imported_only_from_further_out() -> None:
    """`cli` imports `check`, `check` imports the packages, never the other way. Only the demo uses the fake agent."""
    for name, targets in ARROWS.items():
        part = name.split(".")[0]
        for target in (target.split(".")[0] for target in targets):
            if target in SHELL:
                assert part in SHELL, f"{name} imports {target}"
                assert SHELL.index(target) <= SHELL.index(part), f"{name} imports {target}"
            if target == "fake_agent":
                assert part in ("fake_agent", "ctl"), f"{name} imports {target}"


def test_only_these_modules_run_programs() -> None:
    for name, tree in TREES.items():
        if "subprocess" in imports(tree):
            assert {name, name.split(".")[0]} & {*RUNS_PROGRAMS}, f"{name} runs programs"
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith(
                ("os.system", "os.exec", "os.spawn", "os.popen")
            ):
                pytest.fail(f"{name}:{node.lineno}: {ast.unparse(node)}")


def test_only_one_module_reads_proc() -> None:
    """A single module knows the format of /proc."""
    for name in TREES.keys() - {"lib.procfs"}:
        prose = {id(node.value) for node in ast.walk(TREES[name]) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(TREES[name]):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                assert not re.search(r"/proc\b", node.value), f"{name}:{node.lineno} names /proc"


def test_package_init_modules_have_no_code() -> None:
    """`__init__.py` is only a docstring (the package's has the version, too), so importing a module loads no other."""
    for path in PACKAGE.rglob("__init__.py"):
        docstring, *rest = ast.parse(path.read_text()).body
        assert isinstance(docstring, ast.Expr), path
        assert not rest or path.parent == PACKAGE, path


def test_no_folder_has_too_many_modules() -> None:
    """A larger folder has more than one subject; the folder of the commands is exempt, with one module per command."""
    for folder in {path.parent for path in PACKAGE.rglob("*.py")}:
        if folder.name != "commands":
            assert len([*folder.glob("*.py")]) - 1 <= MOST_MODULES, folder


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=module_name)
def test_no_module_is_too_long(path: Path) -> None:
    """A longer module has more than one subject and can be split."""
    assert len(path.read_text().splitlines()) <= LONGEST


# -- the tests ---------------------------------------------------------------------------------------------------------

TESTS = {path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")}
UNIT = Path("tests/unit")
PARTS = {name.split(".")[0] for name in TREES} - {"", "__main__"}
# Fixtures that start a tmux server or a user manager.
RUNNING = {"server", "shared_server", "sandbox", "user_manager", "manager"}


@pytest.mark.parametrize("part", sorted(PARTS))
def test_each_part_of_the_package_has_unit_tests(part: str) -> None:
    modules = [path for path in TESTS if path.name.startswith("test_") and path.is_relative_to(UNIT / part)]
    assert modules or UNIT / f"test_{part}.py" in TESTS


def test_unit_tests_are_only_under_existing_parts() -> None:
    places = {path.relative_to(UNIT).parts[0] for path in TESTS if path.is_relative_to(UNIT)} - {"__init__.py"}
    assert {place.removeprefix("test_").removesuffix(".py") for place in places} <= PARTS


def test_few_test_modules_are_outside_the_folders() -> None:
    assert len([path for path in TESTS if path.parent == Path("tests") and path.name.startswith("test_")]) <= 5


def test_no_test_module_is_imported() -> None:
    """Shared helpers belong in `tests/support`."""
    for path in TESTS:
        for name in imports(ast.parse((ROOT / path).read_text())):
            assert not any(part.startswith("test_") for part in name.split(".")), f"{path} imports {name}"


def test_no_unit_test_needs_a_server() -> None:
    """A test that needs a tmux server or a user manager belongs in `tests/system`."""
    for path in TESTS:
        if path.is_relative_to(UNIT):
            tree = ast.parse((ROOT / path).read_text())
            functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
            asked = {argument.arg for function in functions for argument in function.args.args}
            assert asked & RUNNING <= {function.name for function in functions}, path
            assert not {"tests.support.tmux_server", "tests.support.user_manager"} & {*imports(tree)}, path


def test_a_class_name_has_one_meaning() -> None:
    """The sections of the configuration are exempt, because a section has the name of its key."""
    homes: dict[str, list[str]] = {}
    for name, tree in TREES.items():
        if name != "config.model":
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    homes.setdefault(node.name, []).append(name)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}
