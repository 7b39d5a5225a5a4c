"""Method env: the grammar of an env_file, and which files are refused."""

import os
from pathlib import Path

import pytest

from failover_oneshot.accounts.env import EnvMethod, parse
from failover_oneshot.accounts.registry import MethodError
from failover_oneshot.config.model import Account


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("# A=1\n\n  # B=2\n", {}),
        ("A=1\r\nexport B=2\r\n  export\tC=3", {"A": "1", "B": "2", "C": "3"}),
        ("A=x y # comment", {"A": "x y"}),
        ("A=x#y", {"A": "x#y"}),
        ("A= # comment", {"A": ""}),
        ("A=", {"A": ""}),
        ("A='x # y \"$HOME\" \\n'  # comment", {"A": 'x # y "$HOME" \\n'}),
        (r'A="x\n\t\"\\\$ \q"', {"A": 'x\n\t"\\$ \\q'}),
        ("A=$HOME`id`", {"A": "$HOME`id`"}),
        ("A=b=c", {"A": "b=c"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=ü", {"A": "ü"}),
    ],
)
def test_an_env_file_is_parsed_by_its_grammar(text: str, values: dict[str, str]) -> None:
    assert parse(text) == values


@pytest.mark.parametrize("line", ["secret", "1A=secret", "A =secret", "A='secret", 'A="secret" x', "A=se\0cret"])
def test_a_wrong_line_is_named_by_its_number_only(line: str) -> None:
    with pytest.raises(ValueError, match="line 2") as caught:
        parse(f"OK=1\n{line}\n")
    assert "secret" not in str(caught.value)


@pytest.fixture
def account(tmp_path: Path) -> Account:
    path = tmp_path / "file.env"
    path.write_text("TOKEN=fake\nBOTH=file\n")
    path.chmod(0o600)
    return Account(name="main", env={"BOTH": "env", "MORE": "1"}, env_file=str(path))


def test_the_values_of_env_file_win_over_env(account: Account) -> None:
    assert EnvMethod().environment(account) == {"BOTH": "file", "MORE": "1", "TOKEN": "fake"}
    assert EnvMethod().check(account) is None


def test_an_unusable_env_file_is_refused_with_the_reason(account: Account) -> None:
    path = Path(str(account.env_file))
    reasons = []
    for permissions in (0o640, 0o604, 0o610):
        path.chmod(permissions)
        reasons.append(EnvMethod().check(account))
    path.chmod(0o600)
    path.write_bytes(b"A=\xff\xfe")
    reasons.append(EnvMethod().check(account))
    path.write_bytes(b"A=" + b"x" * 70000)
    reasons.append(EnvMethod().check(account))
    path.unlink()
    reasons.append(EnvMethod().check(account))
    path.mkdir(mode=0o700)
    reasons.append(EnvMethod().check(account))
    path.rmdir()
    os.mkfifo(path, 0o600)
    reasons.append(EnvMethod().check(account))
    words = ["accessible"] * 3 + ["UTF-8", "larger", "No such file", "regular", "regular"]
    assert all(reason and word in reason for reason, word in zip(reasons, words, strict=True)), reasons
    with pytest.raises(MethodError):
        EnvMethod().environment(account)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change a file's owner")
def test_an_env_file_of_another_user_is_refused(account: Account) -> None:
    os.chown(str(account.env_file), 65534, 65534)
    assert "another user" in str(EnvMethod().check(account))


def test_an_account_without_variables_is_refused() -> None:
    assert EnvMethod().check(Account(name="a"))
    assert EnvMethod().check(Account(name="a", env={"TOKEN": ""}))
