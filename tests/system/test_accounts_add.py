"""`failoverctl accounts add` as an operator runs it: the whole step, or nothing."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from failover_oneshot.ctl.demo.sandbox import CTL, MARK, credentials, identity
from failover_oneshot.ctl.demo.server import Run
from tests.support.sandbox import Sandbox

HEADER = "# my accounts, in order\n"


def add(sandbox: Sandbox, name: str, *flags: str) -> Run:
    """Run the command; the configuration file is left as it is."""
    done = sandbox.execute([*CTL, "accounts", "add", name, *sandbox.flags(*flags)])
    assert "Traceback" not in done.stderr
    assert MARK not in done.stdout + done.stderr
    return done


def refresh_token(file: Path) -> str:
    return str(json.loads(file.read_bytes())["claudeAiOauth"]["refreshToken"])


def commented(sandbox: Sandbox) -> str:
    """Write the configuration with a comment; its text."""
    sandbox.save_config()
    text = HEADER + sandbox.config_file.read_text()
    sandbox.config_file.write_text(text)
    return text


def test_a_new_account_is_stored_configured_and_active(sandbox: Sandbox) -> None:
    """The whole step: the store, an entry in the configuration, whose comments stay, and the state."""
    before = commented(sandbox)
    sandbox.config_file.chmod(0o640)
    sandbox.log_in("third", generation=4)
    done = add(sandbox, "third")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "live now: third"
    assert "(third@example.invalid)" in done.stdout
    assert refresh_token(sandbox.stored("third") / ".credentials.json") == "fake-third-refresh-4"
    after = sandbox.config_file.read_text()
    store = str(sandbox.stored("backup"))
    assert after == before.replace(store, f"{store}\n- name: third\n  store: ~/.claude-accounts/third")
    assert stat.S_IMODE(sandbox.config_file.stat().st_mode) == 0o640
    assert sandbox.state()["active_account"] == "third"
    assert sandbox.run().returncode == 0
    again = json.loads(add(sandbox, "third", "--json").stdout)
    assert again == {
        "version": 1, "account": "third", "identity": "third@example.invalid", "added": False, "live": "third"
    }  # fmt: skip
    assert sandbox.config_file.read_text() == after


def test_a_linked_configuration_stays_a_link(sandbox: Sandbox) -> None:
    commented(sandbox)
    real = sandbox.folder / "dotfiles" / "failover.yaml"
    real.parent.mkdir()
    sandbox.config_file.rename(real)
    sandbox.config_file.symlink_to(real)
    sandbox.log_in("third")
    assert add(sandbox, "third").returncode == 0
    assert sandbox.config_file.is_symlink()
    assert "third" in real.read_text()


def test_the_first_account_gets_a_store_in_the_home(sandbox: Sandbox) -> None:
    sandbox.config["accounts"] = []
    commented(sandbox)
    done = add(sandbox, "main")
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(sandbox.config_file.read_text())
    assert config["accounts"] == [{"name": "main", "store": "~/.claude-accounts/main"}]


def test_a_store_outside_the_home_is_written_as_it_is(sandbox: Sandbox) -> None:
    stores = sandbox.folder / "stores"
    for account in sandbox.config["accounts"]:
        account["store"] = str(stores / account["name"])
    commented(sandbox)
    sandbox.log_in("third")
    assert add(sandbox, "third").returncode == 0
    assert yaml.safe_load(sandbox.config_file.read_text())["accounts"][-1]["store"] == str(stores / "third")
    assert (stores / "third" / ".credentials.json").exists()


def test_a_new_account_of_any_program_gets_its_files(sandbox: Sandbox) -> None:
    live = sandbox.home / ".codex" / "auth.json"
    sandbox.config["swap"] = {"method": "files", "files": [str(live)]}
    commented(sandbox)
    for name in sandbox.accounts:
        sandbox.write(sandbox.stored(name) / "auth.json", {"account_id": name, "refresh_token": f"{MARK}{name}"})
    third = {"account_id": "third-id", "refresh_token": f"{MARK}third"}
    sandbox.write(live, third)
    done = add(sandbox, "third")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "live now: third"), done.stderr
    assert json.loads((sandbox.stored("third") / "auth.json").read_bytes()) == third
    assert yaml.safe_load(sandbox.config_file.read_text())["accounts"][-1]["name"] == "third"


def no_login(sandbox: Sandbox) -> None:
    sandbox.live_credentials.unlink()


def blank(sandbox: Sandbox) -> None:
    empty = credentials("third")
    empty["claudeAiOauth"].update(accessToken="", refreshToken="")
    sandbox.write(sandbox.live_credentials, empty)


def other_token(sandbox: Sandbox) -> None:
    """Third's token beside the identity of main: a person has logged in, and the client put the identity back."""
    sandbox.write(sandbox.live_credentials, credentials("third", 5))


def unreadable(sandbox: Sandbox) -> None:
    sandbox.live_credentials.write_text("{")


def unfinished(sandbox: Sandbox) -> None:
    sandbox.log_in("third")
    journal = {"started_at": "2026-11-28T00:00:00Z", "from": "main", "to": "backup", "step": "restart"}
    sandbox.set_state(active_account="main", swap_in_progress=journal)


def nothing(sandbox: Sandbox) -> None:
    """Main is logged in."""


def own(sandbox: Sandbox) -> None:
    sandbox.log_in("third")


def older(sandbox: Sandbox) -> None:
    sandbox.store("third", generation=9)
    sandbox.log_in("third", generation=2)


def invalid(sandbox: Sandbox) -> None:
    sandbox.config_file.write_text("accounts: [")


def in_the_way(sandbox: Sandbox) -> None:
    """The store would be the folder of the live credentials."""
    sandbox.config["swap"]["claude_dir"] = str(sandbox.stored("third"))
    commented(sandbox)


REFUSALS: list[tuple[Callable[[Sandbox], None], str, int, str]] = [
    (nothing, "third", 1, "the live credentials belong to main"),
    (nothing, "backup", 1, "the live credentials belong to main"),
    (other_token, "third", 1, "log in as third first"),
    (other_token, "backup", 1, "log in as backup first"),
    (no_login, "third", 1, "there are no live credentials"),
    (blank, "third", 1, "log in as third first"),
    (unreadable, "third", 1, ".credentials.json is not a JSON object"),
    (unreadable, "third", 1, "correct that file, or log in as third again"),
    (older, "third", 1, "the live credentials are older than those in third's store"),
    (invalid, "third", 78, "failover.yaml:2:1: not valid YAML"),
    (unfinished, "third", 1, "a swap to backup is unfinished at step restart; run `failover-check` first"),
    (own, "-x" * 40, 2, "run `failoverctl accounts add --help`"),
    (own, "two words", 2, "not a valid account name: 'two words'"),
    (own, "../third", 2, "not a valid account name: '../third'"),
    (in_the_way, "third", 1, "must not be the folder of the live credentials"),
]


@pytest.mark.parametrize(("prepare", "name", "code", "message"), REFUSALS)
def test_a_refused_command_has_not_written_one_byte(
    sandbox: Sandbox, prepare: Callable[[Sandbox], None], name: str, code: int, message: str
) -> None:
    """No store, no configuration, no state, no lock file, no folder: not one file, mode or time differs."""
    sandbox.server.start("keep")
    commented(sandbox)
    prepare(sandbox)
    before = sandbox.fingerprint()
    done = add(sandbox, name)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert sandbox.fingerprint() == before


def test_a_token_beside_another_identity_never_reaches_its_store(sandbox: Sandbox) -> None:
    """Two refusals in a row: neither main's store nor backup's loses its credentials."""
    commented(sandbox)
    sandbox.write(sandbox.live_credentials, credentials("backup", 7))
    stores = {name: (sandbox.stored(name) / ".credentials.json").read_bytes() for name in sandbox.accounts}
    for _ in range(2):
        assert add(sandbox, "backup").returncode == 1
    assert stores == {name: (sandbox.stored(name) / ".credentials.json").read_bytes() for name in sandbox.accounts}


def test_credentials_that_name_their_account_get_its_identity_back(sandbox: Sandbox) -> None:
    commented(sandbox)
    tokens: dict[str, Any] = credentials("backup", 7)
    tokens["claudeAiOauth"]["accountUuid"] = identity("backup")["accountUuid"]
    sandbox.write(sandbox.live_credentials, tokens)
    done = add(sandbox, "backup")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "live now: backup"), done.stderr
    assert json.loads(sandbox.settings.read_bytes())["oauthAccount"] == identity("backup")
    assert refresh_token(sandbox.stored("backup") / ".credentials.json") == "fake-backup-refresh-7"


def test_the_lines_for_a_config_that_cannot_be_edited_are_printed(sandbox: Sandbox) -> None:
    """Here an entry of `accounts` would also be one of `swap.files`."""
    sandbox.server.start("keep")
    sandbox.config.pop("accounts")
    sandbox.config["swap"]["files"] = []
    sandbox.save_config()
    text = sandbox.config_file.read_text().replace("files: []", "files: &none []")
    sandbox.config_file.write_text(text + "accounts: *none\n")
    sandbox.log_in("third")
    before = sandbox.fingerprint()
    done = add(sandbox, "third")
    assert done.returncode == 1
    assert "add it by hand, under `accounts`:\n  - name: third\n    store: ~/.claude-accounts/third" in done.stderr
    assert sandbox.fingerprint() == before
