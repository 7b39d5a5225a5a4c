"""Live credentials that are a stored file, by a link: no program changes a byte, and all say how to separate them."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from failover_oneshot.ctl.demo.sandbox import CHECK, CTL, credentials
from tests.support.sandbox import Sandbox
from tests.support.webhook import Webhook, webhook


def symbolic(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def hard(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.hardlink_to(target)


def live_to_store(box: Sandbox, make: Callable[[Path, Path], None]) -> tuple[Path, Path]:
    """As other switchers set it up: the newest credentials are in the store, and the live name leads there."""
    link, target = box.live_credentials, box.stored("main") / ".credentials.json"
    target.write_bytes(link.read_bytes())
    make(link, target)
    return link, target


def store_to_live(box: Sandbox, make: Callable[[Path, Path], None]) -> tuple[Path, Path]:
    link, target = box.stored("main") / ".credentials.json", box.live_credentials
    make(link, target)
    return link, target


def live_to_the_other_store(box: Sandbox, make: Callable[[Path, Path], None]) -> tuple[Path, Path]:
    link, target = box.live_credentials, box.stored("backup") / ".credentials.json"
    target.write_bytes(link.read_bytes())
    make(link, target)
    return link, target


def store_to_store(box: Sandbox, make: Callable[[Path, Path], None]) -> tuple[Path, Path]:
    link, target = box.stored("backup") / ".credentials.json", box.stored("main") / ".credentials.json"
    make(link, target)
    return link, target


def live_to_the_previous_version(box: Sandbox, make: Callable[[Path, Path], None]) -> tuple[Path, Path]:
    link, target = box.live_credentials, box.stored("main") / ".credentials.json.prev"
    target.write_bytes(link.read_bytes())
    make(link, target)
    return link, target


def settings_to_store(box: Sandbox, make: Callable[[Path, Path], None]) -> tuple[Path, Path]:
    link, target = box.stored("main") / "oauthAccount.json", box.settings
    make(link, target)
    return link, target


def live_to_a_store_to_be(box: Sandbox, make: Callable[[Path, Path], None]) -> tuple[Path, Path]:
    """A dangling link: without live credentials, the first log-in would write to main's store."""
    link, target = box.live_credentials, box.stored("main") / ".credentials.json"
    target.unlink()
    symbolic(link, target)
    return link, target


def method_files(box: Sandbox, make: Callable[[Path, Path], None]) -> tuple[Path, Path]:
    """As for Codex: auth.json is live, with the tokens of main, and leads into main's store."""
    link = box.home / ".codex/auth.json"
    for name in ("main", "backup"):
        box.write(box.stored(name) / "auth.json", {"tokens": {"refresh_token": f"fake-{name}-refresh-2"}})
    target = box.stored("main") / "auth.json"
    link.parent.mkdir()
    make(link, target)
    box.config["swap"] = {"method": "files", "files": [str(link)]}
    return link, target


def method_files_from_the_store(box: Sandbox, make: Callable[[Path, Path], None]) -> tuple[Path, Path]:
    link, target = method_files(box, make)
    content = target.read_bytes()
    for path in (link, target):
        path.unlink()
    link.write_bytes(content)
    make(target, link)
    return target, link


Layout = Callable[[Sandbox, Callable[[Path, Path], None]], tuple[Path, Path]]
LAYOUTS = [
    pytest.param(layout, make, id=f"{layout.__name__}-{make.__name__}")
    for layout in (live_to_store, store_to_live, live_to_the_other_store, store_to_store,
                   live_to_the_previous_version, settings_to_store, live_to_a_store_to_be,
                   method_files, method_files_from_the_store)
    for make in (symbolic, hard)
    if (layout, make) != (live_to_a_store_to_be, hard)
]  # fmt: skip


def tokens(box: Sandbox) -> set[str]:
    """Every refresh token that is in some file."""
    files = [path.read_bytes() for path in box.folder.rglob("*") if path.is_file() and b"fake-" in path.read_bytes()]
    return {found.decode() for content in files for found in re.findall(rb"fake-\w+-refresh-[0-9]+", content)}


def secrets(box: Sandbox) -> dict[str, tuple[str, bytes, int]]:
    """Each credential file with what it is, its content and its inode; all folders that could get a copy, too."""
    found = {}
    for folder in (box.claude, box.home / ".codex", box.home / ".claude-accounts", box.state_file.parent):
        for path in (*folder.rglob("*"), box.settings):
            if path.is_symlink() or path.is_file():
                kind = os.readlink(path) if path.is_symlink() else ""  # noqa: PTH115
                found[str(path)] = (kind, path.read_bytes() if path.exists() else b"", path.lstat().st_ino)
    return {name: facts for name, facts in found.items() if not Path(name).name.startswith("state.json")}


PROGRAMS = {
    "dry run": (*CHECK, "--dry-run"),
    "accounts add": (*CTL, "accounts", "add", "main"),
    "swap": (*CTL, "swap", "--to", "backup"),
    "check": CHECK,
}


@pytest.mark.parametrize(("layout", "make"), LAYOUTS)
def test_nothing_is_written_and_the_message_has_both_paths(
    blocked: Sandbox, layout: Layout, make: Callable[[Path, Path], None]
) -> None:
    """The pool is blocked, so that each program would swap or save. Then some credentials would be in no file."""
    one, other = layout(blocked, make)
    blocked.set_state(active_account="main")
    before, held, sessions = secrets(blocked), tokens(blocked), blocked.server.pids()
    blocked.save_config()
    for name, words in PROGRAMS.items():
        done = blocked.execute([*words, *blocked.flags()])
        assert held - tokens(blocked) == set(), f"{name}: these credentials are in no file any more"
        assert secrets(blocked) == before, name
        assert blocked.server.pids() == sessions, name
        assert done.returncode == 78, f"{name}: {done.stderr}"
        (line,) = [line for line in done.stderr.splitlines() if "accounts[" in line]
        assert line.startswith(f"ERROR: {blocked.config_file}:"), name
        assert (str(one) in line, str(other) in line, "run `" in line) == (True, True, True), name
        assert "fake-" not in done.stdout + done.stderr, name


def separate(box: Sandbox, text: str) -> None:
    subprocess.run(["/bin/sh", "-c", text.partition("run `")[2].partition("`")[0]], check=True, cwd=box.folder)


@pytest.mark.parametrize("make", [symbolic, hard])
@pytest.mark.parametrize("layout", [live_to_store, store_to_live, method_files, method_files_from_the_store])
def test_the_doctor_has_the_command_and_then_a_swap_loses_nothing(
    blocked: Sandbox, layout: Layout, make: Callable[[Path, Path], None]
) -> None:
    layout(blocked, make)
    blocked.set_state(active_account="main")
    before, held = secrets(blocked), tokens(blocked)
    (line,) = doctor(blocked, code=2)
    assert secrets(blocked) == before
    separate(blocked, line["fix"])
    assert doctor(blocked) == []
    assert blocked.check()["swap"] == {"from": "main", "to": "backup"}
    assert held - tokens(blocked) == set()


def doctor(box: Sandbox, code: int | None = None) -> list[dict[str, str]]:
    """The doctor's errors about links; it looks at everything else as well."""
    box.save_config()
    done = box.execute([*CTL, "doctor", *box.flags("--json")])
    facts = json.loads(done.stdout)
    assert code in {None, done.returncode}, facts
    assert {"state", "tmux", "lock", "notify"} & {line["topic"] for line in facts["lines"]}
    return [line for line in facts["lines"] if line["level"] == "error" and "link" in line["text"]]


@pytest.mark.parametrize("folder", ["unclaimed", "generations/main"])
def test_the_doctor_finds_a_kept_copy_that_is_no_copy(blocked: Sandbox, folder: str) -> None:
    kept = blocked.state_file.parent / folder / "20261201T000000Z-0123456789abcdef.credentials.json"
    blocked.write(kept, credentials("main", 1))
    assert doctor(blocked) == []
    hard(kept, blocked.live_credentials)
    (line,) = doctor(blocked, code=2)
    assert f"{kept} is a hard link to {blocked.live_credentials}" in line["text"]
    separate(blocked, line["fix"])
    assert doctor(blocked) == []


def test_live_files_that_are_links_to_elsewhere_are_swapped(blocked: Sandbox) -> None:
    """A link into dotfiles is followed, as ever, and the doctor does not mention it."""
    mine = blocked.home / "dotfiles/credentials"
    mine.parent.mkdir()
    blocked.live_credentials.rename(mine)
    blocked.live_credentials.symlink_to(mine)
    blocked.set_state(active_account="main")
    held = tokens(blocked)
    assert doctor(blocked) == []
    assert blocked.check()["outcome"] == "swapped"
    assert blocked.live_credentials.is_symlink()
    assert held - tokens(blocked) == set()


# -- people hear of it -------------------------------------------------------------------------------------------------


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as listening:
        yield listening


@pytest.fixture
def called() -> Iterator[Webhook]:
    with webhook() as listening:
        yield listening


def test_it_is_one_notice_and_each_ping_has_failed(blocked: Sandbox, hook: Webhook, called: Webhook) -> None:
    blocked.config["notify"] = {"urls": [f"json://{hook.address}/x"], "timeout": "1m"}
    blocked.config["ping"] = {"url": f"http://{called.address}/ping", "timeout": "1m"}
    link, target = live_to_store(blocked, symbolic)
    blocked.set_state(active_account="main")
    reports = [blocked.check(code=78) for _ in range(3)]
    assert [report["outcome"] for report in reports] == ["failed"] * 3
    assert [report["active_account"] for report in reports] == ["main"] * 3
    (message,) = hook.messages()
    assert (message["title"].rpartition(" ")[2], message["type"]) == ("failed", "failure")
    said = f"{link} is a symbolic link to {target}; run `cp -p {link} {link}.new && mv {link}.new {link}`"
    assert said in message["message"]
    assert called.paths() == ["/ping/fail"] * 3
    assert all(said in body for _, body in called.got)
    state = blocked.state()
    assert (state["last_check"]["outcome"], state["outbox"], state["history"]) == ("failed", [], [])
    assert state.get("last_failure") is None

    separate(blocked, message["message"])
    assert blocked.check()["outcome"] == "swapped"
    assert [message["title"].rpartition(" ")[2] for message in hook.messages()] == ["failed", "swapped"]
    assert called.paths()[3:] == ["/ping"]


def test_the_hook_and_the_metrics_report_it_as_well(blocked: Sandbox) -> None:
    log, metrics = blocked.home / "log", blocked.home / "failover.prom"
    blocked.config["hooks"] = {"on_failure": ["/bin/sh", "-c", f"cat >> {log}"]}
    blocked.config["metrics"] = {"textfile": str(metrics)}
    live_to_store(blocked, hard)
    for _ in range(2):
        assert blocked.run().returncode == 78
    (report,) = map(json.loads, log.read_text().splitlines())
    assert (report["outcome"], "is a hard link to" in report["reason"]) == ("failed", True)
    assert "failover_last_run_exit_code 78" in metrics.read_text()


def test_a_dry_run_notifies_and_writes_nothing(blocked: Sandbox, hook: Webhook) -> None:
    blocked.config["notify"] = {"urls": [f"json://{hook.address}/x"]}
    blocked.config["ping"] = {"url": f"http://{hook.address}/ping"}
    live_to_store(blocked, symbolic)
    blocked.save_config()
    before = blocked.fingerprint()
    done = blocked.run("--dry-run", "--json")
    assert (done.returncode, done.stdout, hook.got) == (78, "", [])
    assert blocked.fingerprint() == before


def test_a_lost_state_is_reported_before_the_links(blocked: Sandbox, hook: Webhook) -> None:
    """Otherwise nobody would learn that handled hits are unknown (law L3)."""
    blocked.config["notify"] = {"urls": [f"json://{hook.address}/x"], "timeout": "1m"}
    live_to_store(blocked, symbolic)
    blocked.state_file.parent.mkdir()
    blocked.state_file.write_text("{")
    assert [blocked.run().returncode for _ in range(3)] == [65, 78, 78]
    [(_, text)] = hook.got
    assert "with a fresh state" in text
    assert "symbolic link" in text
    assert [path.read_text() for path in blocked.state_file.parent.glob("*.corrupt-*")] == ["{"]
