"""Credential files that are one file under two names are refused, and the command in the message separates them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_oneshot.config import linked
from failover_oneshot.config.linked import How, clashes
from failover_oneshot.config.loader import ConfigError, LinkedFilesError, load
from failover_oneshot.config.model import Account, Config, Method, Swap
from tests.support.paths import ROOT

CLAUDE = ".claude/.credentials.json"
SETTINGS = ".claude.json"
MAIN, BACKUP = "stores/main/.credentials.json", "stores/backup/.credentials.json"
WHO = "stores/main/oauthAccount.json"
AUTH, MAIN_AUTH, BACKUP_AUTH = ".codex/auth.json", "stores/main/auth.json", "stores/backup/auth.json"
ALL = (CLAUDE, SETTINGS, MAIN, BACKUP, WHO, "stores/backup/oauthAccount.json", AUTH, MAIN_AUTH, BACKUP_AUTH)

YAML = """\
accounts:
  - {name: main, store: ~/stores/main}
  - {name: backup, store: ~/stores/backup}
swap: %s
"""
METHODS = {
    "claude": "{claude_dir: ~/.claude, claude_json: ~/.claude.json}",
    "files": "{method: files, files: [~/.codex/auth.json]}",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose name needs quoting, with two accounts; every credential file has its own content."""
    folder = tmp_path / "it's my home"
    for name in ALL:
        put(folder / name, f"fake-{name}")
    return folder


def put(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o600)


def symbolic(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def hard(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.hardlink_to(target)


def relative(path: Path, target: Path) -> None:
    symbolic(path, Path(os.path.relpath(target, path.parent)))


def through_a_folder(path: Path, target: Path) -> None:
    way = path.parent / "way"
    way.symlink_to(target.parent)
    symbolic(path, way / target.name)


def through_a_third(path: Path, target: Path) -> None:
    """Both names lead to a file that is neither live nor in a store."""
    third = path.parent.parent / "third"
    target.rename(third)
    target.symlink_to(third)
    symbolic(path, third)


def checked(home: Path, method: str) -> list[str]:
    """The problems of the config of that home, without its file name; empty if it is accepted."""
    file = home / "f.yaml"
    file.write_text(YAML % METHODS[method])
    try:
        load(file, {"HOME": str(home)})
    except LinkedFilesError as error:
        return [problem.removeprefix(f"{file}:") for problem in error.problems]
    return []


def command_in(problem: str) -> str:
    return problem.partition("run `")[2].partition("`")[0]


# Method, name that is made the link, its target, by what, and the place of the problem.
LAYOUTS = [
    ("claude", CLAUDE, MAIN, symbolic, "2:25: accounts[0].store"),
    ("claude", CLAUDE, MAIN, relative, "2:25: accounts[0].store"),
    ("claude", CLAUDE, MAIN, hard, "2:25: accounts[0].store"),
    ("claude", CLAUDE, MAIN, through_a_folder, "2:25: accounts[0].store"),
    ("claude", CLAUDE, MAIN, through_a_third, "2:25: accounts[0].store"),
    ("claude", CLAUDE, BACKUP, symbolic, "3:27: accounts[1].store"),
    ("claude", CLAUDE, f"{MAIN}.prev", symbolic, "2:25: accounts[0].store"),
    ("claude", MAIN, CLAUDE, symbolic, "2:25: accounts[0].store"),
    ("claude", BACKUP, CLAUDE, relative, "3:27: accounts[1].store"),
    ("claude", BACKUP, MAIN, symbolic, "3:27: accounts[1].store"),
    ("claude", MAIN, BACKUP, symbolic, "2:25: accounts[0].store"),
    ("claude", BACKUP, MAIN, hard, "3:27: accounts[1].store"),
    ("claude", BACKUP, f"{MAIN}.prev", hard, "3:27: accounts[1].store"),
    ("claude", f"{MAIN}.prev", CLAUDE, symbolic, "2:25: accounts[0].store"),
    ("claude", f"{MAIN}.prev", MAIN, hard, "2:25: accounts[0].store"),
    ("claude", WHO, SETTINGS, symbolic, "2:25: accounts[0].store"),
    ("claude", SETTINGS, WHO, hard, "2:25: accounts[0].store"),
    ("claude", SETTINGS, CLAUDE, symbolic, "4:44: swap.claude_json"),
    ("files", AUTH, MAIN_AUTH, symbolic, "2:25: accounts[0].store"),
    ("files", AUTH, BACKUP_AUTH, hard, "3:27: accounts[1].store"),
    ("files", MAIN_AUTH, AUTH, symbolic, "2:25: accounts[0].store"),
    ("files", BACKUP_AUTH, MAIN_AUTH, through_a_third, "3:27: accounts[1].store"),
    ("files", f"{BACKUP_AUTH}.prev", AUTH, hard, "3:27: accounts[1].store"),
]


@pytest.mark.parametrize(("method", "link", "target", "make", "place"), LAYOUTS)
def test_a_shared_file_is_refused_and_the_command_separates_it(
    home: Path, method: str, link: str, target: str, make: Callable[[Path, Path], None], place: str
) -> None:
    """The command is run as it is printed; both names then have the content, in files of their own."""
    one, other = home / link, home / target
    if target.endswith(".prev"):
        put(other, "fake-previous")
    assert checked(home, method) == []
    make(one, other)
    content = other.read_text()

    (problem,) = checked(home, method)
    assert problem.startswith(f"{place}: ")
    assert {str(one) in problem, str(other) in problem} == {True}
    subprocess.run(["/bin/sh", "-c", command_in(problem)], check=True, cwd="/")

    assert checked(home, method) == []
    assert [path.read_text() for path in (one, other)] == [content, content]
    assert [path.stat().st_mode & 0o777 for path in (one, other)] == [0o600, 0o600]
    assert not one.samefile(other)
    assert not list(home.rglob("*.new"))


@pytest.mark.parametrize(("link", "target"), [(CLAUDE, MAIN), (MAIN, CLAUDE), (BACKUP, MAIN), (f"{MAIN}.prev", MAIN)])
@pytest.mark.parametrize("folder", [True, False])
def test_a_dangling_link_is_refused_and_its_command_removes_it(
    home: Path, link: str, target: str, folder: bool
) -> None:
    """The store need not exist yet."""
    for path in (home / target).parent.iterdir():
        path.unlink()
    symbolic(home / link, home / target)
    if not folder and (home / target).parent != (home / link).parent:
        (home / target).parent.rmdir()
    (problem,) = checked(home, "claude")
    assert command_in(problem).startswith("rm ")
    subprocess.run(["/bin/sh", "-c", command_in(problem)], check=True, cwd="/")
    assert checked(home, "claude") == []
    assert not (home / link).is_symlink()


def test_every_name_too_many_has_its_command(home: Path) -> None:
    """One file under five names: one problem for each of the other four, and their commands together suffice."""
    for name in (CLAUDE, f"{MAIN}.prev", BACKUP):
        symbolic(home / name, home / MAIN)
    hard(home / f"{BACKUP}.prev", home / MAIN)
    found = checked(home, "claude")
    assert len(found) == 4
    for problem in found:
        subprocess.run(["/bin/sh", "-c", command_in(problem)], check=True, cwd="/")
    assert checked(home, "claude") == []


@pytest.mark.parametrize(
    ("link", "target", "advice"),
    [
        (CLAUDE, BACKUP, "; if the live credentials are not backup's, also run `failoverctl accounts restore backup`, "
                         "or log in as backup and run `failoverctl accounts add backup`"),
        (BACKUP, CLAUDE, "; if the live credentials are not backup's, also run `failoverctl accounts restore backup`"),
        (BACKUP, MAIN, "; both stores then hold the same credentials: for backup or main, whichever does not own them, "
                       "run `failoverctl accounts restore NAME`"),
        (f"{MAIN}.prev", CLAUDE, "`"),
        (f"{MAIN}.prev", MAIN, "`"),
    ],
)  # fmt: skip
def test_a_store_that_may_hold_another_account_has_advice(home: Path, link: str, target: str, advice: str) -> None:
    symbolic(home / link, home / target)
    (problem,) = checked(home, "claude")
    rest = problem.partition(command_in(problem))[2]
    assert rest.startswith(f"`{advice}") if advice != "`" else rest == "`"


def test_links_that_lead_elsewhere_are_no_problem(home: Path) -> None:
    """Live files and stores may be links: to dotfiles, to another disk, even in a circle that leads nowhere."""
    elsewhere = home / "dotfiles"
    elsewhere.mkdir()
    for number, name in enumerate((CLAUDE, SETTINGS, WHO)):
        (home / name).rename(elsewhere / str(number))
        (home / name).symlink_to(elsewhere / str(number))
    (home / "stores/backup").rename(elsewhere / "backup")
    (home / "stores/backup").symlink_to(elsewhere / "backup")
    hard(home / "a copy of mine", home / MAIN)
    symbolic(home / f"{MAIN}.prev", home / f"{MAIN}.prev")
    assert checked(home, "claude") == []
    assert checked(home, "files") == []


def test_other_methods_have_no_files_that_could_be_shared(home: Path) -> None:
    symbolic(home / CLAUDE, home / MAIN)
    for swap in (Swap(method=Method.ENV), Swap(method=Method.COMMAND, command=("true",))):
        assert clashes(config(home, swap)) == ()


def test_one_wrong_folder_is_one_problem(home: Path) -> None:
    """A store that is the folder of another store shares all its files; only the folder is reported."""
    (home / "f.yaml").write_text((YAML % METHODS["claude"]).replace("stores/backup", "stores/main"))
    with pytest.raises(ConfigError) as raised:
        load(home / "f.yaml", {"HOME": str(home)})
    assert not isinstance(raised.value, LinkedFilesError)
    assert ["must not be the store of account main" in line for line in raised.value.problems] == [True]


def test_the_error_carries_the_valid_config(home: Path) -> None:
    """The check needs it to notify."""
    symbolic(home / CLAUDE, home / MAIN)
    (home / "f.yaml").write_text((YAML % METHODS["claude"]) + "ping: {url: 'https://example.invalid/x'}\n")
    with pytest.raises(LinkedFilesError) as raised:
        load(home / "f.yaml", {"HOME": str(home)})
    assert [account.name for account in raised.value.config.accounts] == ["main", "backup"]
    assert raised.value.config.ping.url == "https://example.invalid/x"


def test_a_config_with_another_problem_has_both(home: Path) -> None:
    symbolic(home / CLAUDE, home / MAIN)
    (home / "f.yaml").write_text((YAML % METHODS["claude"]) + "quota: {patienc: 1s}\n")
    with pytest.raises(ConfigError) as raised:
        load(home / "f.yaml", {"HOME": str(home)})
    assert not isinstance(raised.value, LinkedFilesError)
    assert [line.split(": ")[1] for line in raised.value.problems] == ["accounts[0].store", "quota.patienc"]


def test_an_identity_file_inside_a_store_is_the_same_path(home: Path) -> None:
    found = clashes(config(home, Swap(claude_dir=f"{home}/.claude", claude_json=f"{home}/x/../{WHO}")))
    assert [(clash.how, clash.remedy) for clash in found] == [(How.PATH, "set a different path in the config")]


def test_a_mounted_file_is_refused_without_a_command(home: Path) -> None:
    """A rename onto a mount would fail (EBUSY), so no command is printed; the message says that it is a mount."""
    inside = ["unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c"]
    if subprocess.run([*inside, "exit 0"], check=False, capture_output=True).returncode:
        pytest.skip("no separate mount namespace is allowed here")
    (home / "f.yaml").write_text(YAML % METHODS["claude"])
    program = (
        "import sys, pathlib; from failover_oneshot.config import loader; home = pathlib.Path(sys.argv[1])\n"
        "try: loader.load(home / 'f.yaml', {'HOME': str(home)})\n"
        "except loader.LinkedFilesError as error: print(error)"
    )
    script = 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$5"'
    words = ["sh", str(home / MAIN), str(home / CLAUDE), sys.executable, program, str(home)]
    done = subprocess.run([*inside, script, *words], check=True, capture_output=True, text=True, cwd=ROOT)
    assert f"{home / MAIN} is {home / CLAUDE}, through a mount; remove the mount" in done.stdout


def config(home: Path, swap: Swap) -> Config:
    return Config(accounts=tuple(Account(name=n, store=f"{home}/stores/{n}") for n in ("main", "backup")), swap=swap)


# -- kept copies -------------------------------------------------------------------------------------------------------

SWAP = {"claude_dir": ".claude", "claude_json": ".claude.json"}


@pytest.mark.parametrize("make", [symbolic, hard])
@pytest.mark.parametrize("name", [CLAUDE, BACKUP])
@pytest.mark.parametrize("folder", ["unclaimed", "generations/main"])
def test_a_kept_copy_must_be_a_file_of_its_own(
    home: Path, make: Callable[[Path, Path], None], name: str, folder: str
) -> None:
    kept = home / "state" / folder / "20261201T000000Z-0123456789abcdef.credentials.json"
    put(kept, "fake-kept")
    mine = config(home, Swap(**{key: f"{home}/{value}" for key, value in SWAP.items()}))  # type: ignore[arg-type]
    folders = linked.kept_folders(home / "state")
    assert clashes(mine, folders) == ()
    make(kept, home / name)
    (clash,) = clashes(mine, folders)
    assert clashes(mine) == (), "a check does not list folders"
    assert "the kept copies" in clash.text
    subprocess.run(["/bin/sh", "-c", clash.command], check=True)
    assert clashes(mine, folders) == ()
    assert kept.read_text() == (home / name).read_text()


def test_two_kept_copies_may_be_one_file(home: Path) -> None:
    """They are equal and never written again."""
    one, other = (home / "state/unclaimed" / f"{number}-x.auth.json" for number in (1, 2))
    put(one, "fake-kept")
    hard(other, one)
    mine = config(home, Swap(method=Method.FILES, files=(f"{home}/{AUTH}",)))
    assert clashes(mine, linked.kept_folders(home / "state")) == ()


# -- any layout --------------------------------------------------------------------------------------------------------

NAMES = (CLAUDE, SETTINGS, *(f"stores/{account}/{name}{ending}" for account in ("main", "backup")
         for name in linked.STORED for ending in ("", linked.PREVIOUS)))  # fmt: skip
FILE, NOTHING, OUTSIDE = "file", "nothing", "outside"
GRAPH = st.fixed_dictionaries(
    {
        name: st.one_of(
            st.sampled_from([FILE, NOTHING, OUTSIDE]),
            st.tuples(st.sampled_from([symbolic, relative]), st.sampled_from(NAMES)),
            st.tuples(st.just(hard), st.sampled_from(NAMES)),
        )
        for name in NAMES
    }
)


@given(GRAPH, st.permutations(NAMES))
@settings(max_examples=200)
def test_a_layout_is_refused_if_two_names_end_at_one_file(
    tmp_path_factory: pytest.TempPathFactory, graph: dict[str, Any], order: list[str]
) -> None:
    """Ends: the links are followed in the graph as it was made, by rules of this test alone."""
    home = tmp_path_factory.mktemp("home")
    for name in (*NAMES, "outside"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
    ends: dict[str, str | None] = {}  # of what is no symbolic link: a number for each file
    links: dict[str, str] = {}
    for name in order:
        match graph[name]:
            case "file":
                put(home / name, "fake")
                ends[name] = name
            case "outside":  # a link to a file of its own
                put(home / "outside" / name.replace("/", "_"), "fake")
                symbolic(home / name, home / "outside" / name.replace("/", "_"))
                ends[name] = name
            case (make, target) if make is hard:
                if target in ends and (home / target).is_file() and not (home / target).is_symlink():
                    hard(home / name, home / target)
                    ends[name] = ends[target]
                else:
                    ends[name] = name  # there is nothing to link to yet
            case (make, target):
                make(home / name, home / target)
                links[name] = target
            case _:
                ends[name] = name

    def end(name: str) -> str | None:
        """The file at the end of the links; None for a circle."""
        passed = set()
        while name in links:
            if name in passed:
                return None
            passed.add(name)
            name = links[name]
        return ends[name]

    final = [found for name in NAMES if (found := end(name))]
    mine = config(home, Swap(claude_dir=f"{home}/.claude", claude_json=f"{home}/{SETTINGS}"))
    refused = clashes(mine)
    assert len(refused) == len(final) - len(set(final))
    for clash in refused:
        subprocess.run(["/bin/sh", "-c", clash.command], check=True)
    assert clashes(mine) == ()
