"""Finding the configuration file, reading it, and turning it into a `Config`."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from failover_oneshot.config import loader
from failover_oneshot.config.loader import ConfigError, find, load
from failover_oneshot.config.model import AfterSwap, Config, Method
from failover_oneshot.config.values import pattern_regex
from failover_oneshot.model import Kind
from tests.support.paths import ROOT

DAEMON = """\
quota:
  poll_interval: 30s
  reactivate_cooldown: 10m
pool:
  autonomous:
    prefix: "ccl-auto-"
    start_index: 11
    min: 10
    max: 10
  dedicated:
    - name: ops
    - name: docs
"""


def loaded(folder: Path, text: str, **environ: str) -> Config:
    file = folder / "failover.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, {"HOME": "/home/ada", **environ})


# -- accepted files ----------------------------------------------------------------------------------------------------


def test_the_daemons_production_config_is_accepted_unchanged(tmp_path: Path) -> None:
    settings = loaded(tmp_path, DAEMON)
    assert settings.quota.poll_interval == 30.0
    assert settings.quota.reactivate_cooldown == 600.0
    pool = settings.pool.autonomous
    assert (pool.prefix, pool.start_index, pool.min, pool.max) == ("ccl-auto-", 11, 10, 10)
    assert [dedicated.name for dedicated in settings.pool.dedicated] == ["ops", "docs"]
    assert settings.accounts == ()


def test_blank_keys_and_sections_keep_their_defaults(tmp_path: Path) -> None:
    """Operators delete a value and leave its key."""
    blank = (
        "accounts:\nswap:\nquota:\n  tail_lines:\n  swap_on:\npool:\n  autonomous:\n    min: ~\n  dedicated:\n"
        "tmux: {socket_name: , binary: null}\nstate:\n  path:\n"
    )
    assert loaded(tmp_path, blank) == loaded(tmp_path, "{}")


def test_every_kind_of_value_reaches_the_config(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "swap: {method: env, timeout: 90}\n"
        "accounts:\n- name: a.b@c+d_e-1\n  enabled: no\n  env: {TOKEN: 'x', EMPTY: ''}\n"
        "quota: {swap_on: [quota, auth], patience: 1h30m, extra_patterns: ['slow down', '/try (again )?at/']}\n"
        "pool: {autonomous: {after_swap: nudge, command: 'run {name} ${HOME} {a,b} $(awk \"{ print }\")'}}\n",
    )
    assert (settings.swap.method, settings.swap.timeout) == (Method.ENV, 90.0)
    assert (settings.accounts[0].name, settings.accounts[0].enabled) == ("a.b@c+d_e-1", False)
    assert settings.accounts[0].env == {"TOKEN": "x", "EMPTY": ""}
    assert settings.quota.swap_on == (Kind.QUOTA, Kind.AUTH)
    assert settings.quota.patience == 5400.0
    assert settings.pool.autonomous.after_swap is AfterSwap.NUDGE


def test_anchors_and_merge_keys_are_expanded(tmp_path: Path) -> None:
    """A key of the mapping itself wins over a merged one. Of several merged mappings the first wins."""
    settings = loaded(
        tmp_path,
        "pool:\n  dedicated:\n"
        "  - &ops {name: ops, nudge: go, workdir: /ops}\n"
        "  - &dev {<<: *ops, name: dev, nudge: on we go}\n"
        "  - {<<: [*dev, *ops], name: doc}\n"
        "quota: {extra_patterns: &words [slow], extra_server_error_patterns: *words}\n",
    )
    assert [(d.name, d.nudge, d.workdir) for d in settings.pool.dedicated] == [
        ("ops", "go", "/ops"),
        ("dev", "on we go", "/ops"),
        ("doc", "on we go", "/ops"),
    ]
    assert settings.quota.extra_server_error_patterns == ("slow",)


@pytest.mark.parametrize(
    "text", ["\ufeffstate: {history: 7}\n", "state: {history: 7}\r\n", "%YAML 1.2\n---\nstate: {history: 7}\n...\n"]
)
def test_byte_order_marks_crlf_and_directives_are_accepted(tmp_path: Path, text: str) -> None:
    (tmp_path / "failover.yaml").write_bytes(text.encode())
    assert load(tmp_path / "failover.yaml", {"HOME": "/"}).state.history == 7


@pytest.mark.parametrize(
    "name", ["ccl-auto-10", "ccl-auto-21", "ccl-auto-011", "ccl-auto-", "ccl-auto-1x", "xccl-auto-11"]
)
def test_names_just_outside_the_pool_are_allowed(tmp_path: Path, name: str) -> None:
    """The range is the exact names ccl-auto-11 to ccl-auto-20."""
    assert loaded(tmp_path, f"{DAEMON}    - name: '{name}'\n").dedicated(name)


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expanded"),
    [
        ("~", "/home/ada"),
        ("~/x y", "/home/ada/x y"),
        ("$WORK/a", "/srv/work/a"),
        ("${WORK}_2", "/srv/work_2"),
        ("/a/~/$$", "/a/~/$$"),
        ("~root/x", str(Path("~root/x").expanduser())),
        ("sub/dir", "{here}/sub/dir"),
        ("./sub", "{here}/./sub"),
    ],
)
def test_paths_are_expanded_with_the_given_environment(tmp_path: Path, written: str, expanded: str) -> None:
    settings = loaded(
        tmp_path,
        f"accounts: [{{name: a, store: '{written}/s', env_file: '{written}/e'}}]\n"
        f"swap: {{claude_dir: '{written}', claude_json: '{written}/j', files: ['{written}/f']}}\n"
        f"pool: {{autonomous: {{workdir: '{written}'}}, dedicated: [{{name: d, workdir: '{written}'}}]}}\n"
        f"tmux: {{socket_path: '{written}/t', binary: '{written}/b'}}\nstate: {{path: '{written}/p'}}\n",
        WORK="/srv/work",
    )
    path = expanded.replace("{here}", str(tmp_path))
    account, swap, pool, tmux = settings.accounts[0], settings.swap, settings.pool, settings.tmux
    assert (account.store, account.env_file) == (f"{path}/s", f"{path}/e")
    assert (swap.claude_dir, swap.claude_json, swap.files) == (path, f"{path}/j", (f"{path}/f",))
    assert (pool.autonomous.workdir, pool.dedicated[0].workdir) == (path, path)
    assert (tmux.socket_path, settings.state.path) == (f"{path}/t", f"{path}/p")
    assert tmux.binary == f"{path}/b"


def test_a_relative_path_starts_at_the_folder_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failover.yaml").write_text("state: {path: s.json}")
    monkeypatch.chdir(tmp_path)
    assert load(Path("failover.yaml"), {"HOME": "/"}).state.path == f"{tmp_path}/s.json"


def test_without_home_the_users_home_is_used(tmp_path: Path) -> None:
    (tmp_path / "failover.yaml").write_text("{}")
    home = subprocess.run(["sh", "-c", f"getent passwd {os.getuid()}"], capture_output=True, check=True, text=True)
    assert load(tmp_path / "failover.yaml", {}).swap.claude_dir == home.stdout.split(":")[5] + "/.claude"


# -- finding the file --------------------------------------------------------------------------------------------------


def test_the_search_order_is_the_documented_one(tmp_path: Path) -> None:
    home, xdg = tmp_path / "home", tmp_path / "xdg"
    for folder in (home / ".config", xdg):
        (folder / "failover").mkdir(parents=True)
        (folder / "failover/failover.yaml").touch()
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(xdg), "FAILOVER_CONFIG": "/named"}
    assert find("/given", environ) == Path("/given")
    assert find(None, environ) == Path("/named")
    assert find(None, environ | {"FAILOVER_CONFIG": ""}) == xdg / "failover/failover.yaml"
    in_home = home / ".config/failover/failover.yaml"
    assert find(None, {"HOME": str(home)}) == in_home
    for ignored in ("", "relative"):
        assert find(None, {"HOME": str(home), "XDG_CONFIG_HOME": ignored}) == in_home


def test_a_dangling_link_is_reported_not_skipped(tmp_path: Path) -> None:
    (tmp_path / "failover").mkdir()
    link = tmp_path / "failover/failover.yaml"
    link.symlink_to(tmp_path / "gone")
    found = find(None, {"HOME": "/", "XDG_CONFIG_HOME": str(tmp_path)})
    assert found == link
    with pytest.raises(ConfigError, match="no such file"):
        load(found, {"HOME": "/"})


@pytest.mark.skipif(Path("/etc/failover/failover.yaml").exists(), reason="this machine has a config in /etc")
def test_without_a_file_the_error_names_the_places_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find(None, {"HOME": str(tmp_path)})
    (line,) = caught.value.problems
    assert f"{tmp_path}/.config/failover/failover.yaml" in line
    assert "/etc/failover/failover.yaml" in line
    assert "run `failoverctl init`" in line
    assert "--config" in line


def test_an_empty_config_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="--config is empty"):
        find("", {"FAILOVER_CONFIG": "/named"})


# -- files that are not a config ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", ": no settings found"),
        (b"# all\n# comments\n", ": no settings found"),
        (b"---\n", ": no settings found"),
        (b"~\n", ": no settings found"),
        (b"a: 1\nb: \xe9\n", ":2:4: not UTF-8 text (byte 0xe9)"),
        (b"\xff\xfea\x00", ":1:1: not UTF-8 text (byte 0xff)"),
        (b"a: 1\nb: \x00\n", ":2:4: not a text file (control character U+0000)"),
        (b"\x7fELF\x02\x01\x01\x00", ":1:1: not a text file (control character U+007F)"),
        (b"#" * (1 << 20) + b"\n", ": larger than 1 MiB"),
    ],
)
def test_content_that_is_not_a_config_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(file, {"HOME": "/"})
    (line,) = caught.value.problems
    assert line.startswith(f"{file}{says}")


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    cases = {
        tmp_path / "none": "{}: no such file",
        tmp_path: "{}: is a folder",
        tmp_path / "pipe": "{}: not a regular file",
        Path("/dev/zero"): "{}: not a regular file",
        tmp_path / "loop": "cannot read {}: ",
        tmp_path / "pipe/x": "cannot read {}: Not a directory",
        tmp_path / ("x" * 300): "cannot read {}: File name too long",
    }
    for path, says in cases.items():
        with pytest.raises(ConfigError) as caught:
            load(path, {"HOME": "/"})
        assert caught.value.problems[0].startswith(says.format(path))


def test_a_file_without_permission_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("{}")
    file.chmod(0)
    if os.access(file, os.R_OK):  # root reads everything
        pytest.skip("this user reads files whatever their mode")
    with pytest.raises(ConfigError, match=r"cannot read .*f\.yaml: Permission denied"):
        load(file, {"HOME": "/"})


def test_the_text_of_the_error_is_its_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "quota: {x: 1, y: 2}")
    assert str(caught.value) == "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("pattern", "regex"),
    [("slow", None), ("/slow?/", "slow?"), ("/", None), ("//", ""), ("/a", None), ("a/", None), ("/a/b/", "a/b")],
)
def test_a_pattern_in_slashes_is_a_regular_expression(pattern: str, regex: str | None) -> None:
    assert pattern_regex(pattern) == regex


def test_the_largest_allowed_file_is_read_in_full(tmp_path: Path) -> None:
    """One byte below the bound."""
    text = "state: {history: 7}\n"
    filled = "#" * (loader.MAX_BYTES - len(text) - 1) + "\n" + text
    assert loaded(tmp_path, filled).state.history == 7


def test_each_recipe_of_the_example_is_a_valid_config(tmp_path: Path) -> None:
    """Read from the comment; there is one for each way to restart."""
    recipes = re.findall(r"^#   (\{after_swap: .*\})$", (ROOT / "etc/failover.yaml").read_text(), re.MULTILINE)
    modes = []
    for recipe in recipes:
        (tmp_path / "failover.yaml").write_text(f"pool: {{autonomous: {recipe}}}")
        modes.append(str(load(tmp_path / "failover.yaml", {"HOME": str(tmp_path)}).pool.autonomous.after_swap))
    assert modes == ["recreate", "respawn", "nudge", "recreate"]
