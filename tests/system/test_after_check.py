"""Metrics, notices and pings of the real program: real tmux, real files, notices through apprise to a real server."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from failover_oneshot.ctl.demo.sandbox import CTL
from failover_oneshot.ctl.demo.server import Run
from tests.support.paths import PANES, ROOT
from tests.support.polling import poll
from tests.support.sandbox import POOL, Sandbox, hit_screen
from tests.support.webhook import Webhook, webhook

SECRET = "FAKE-webhook-secret"
EXPIRED = (PANES / "auth" / "http401-expired-80x24.txt").read_text(encoding="utf-8")
IDLE = (PANES / "ok" / "ok-80x24.txt").read_text(encoding="utf-8")


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as listening:
        yield listening


@pytest.fixture
def second() -> Iterator[Webhook]:
    with webhook() as listening:
        yield listening


def notify(sandbox: Sandbox, *hooks: Webhook, **settings: Any) -> None:
    """The apprise URLs of these webhooks; each contains a secret."""
    sandbox.config["notify"] = {
        "urls": [f"json://user:{SECRET}@{hook.address}/{SECRET}" for hook in hooks],
        "timeout": "1m",
        **settings,
    }


def ago(**delta: float) -> str:
    return f"{datetime.now(UTC) - timedelta(**delta):%Y-%m-%dT%H:%M:%SZ}"


def ahead(**delta: float) -> str:
    return f"{datetime.now(UTC) + timedelta(**delta):%Y-%m-%dT%H:%M:%SZ}"


def make_due(sandbox: Sandbox) -> None:
    """Change the state as if the pause before the next attempt were over."""
    sandbox.set_state(outbox=[{**notice, "next_at": ago(seconds=1)} for notice in sandbox.state()["outbox"]])


@pytest.fixture
def refused() -> Iterator[str]:
    """A loopback address that refuses connections and cannot be taken by another program."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def has_no_secret(sandbox: Sandbox, *outputs: str) -> bool:
    files = [path for path in sandbox.state_file.parent.iterdir() if path.is_file()]
    return not any(SECRET in text for text in (*outputs, *(path.read_text() for path in files)))


# -- notices -----------------------------------------------------------------------------------------------------------


def test_a_swap_is_one_notice_to_each_url(blocked: Sandbox, hook: Webhook, second: Webhook) -> None:
    file = blocked.home / "urls"
    file.write_text(f"# the second\n\njson://{second.address}/{SECRET}\n")
    file.chmod(0o600)
    notify(blocked, hook, urls_file=str(file))
    done = blocked.run("-v")
    for listening in (hook, second):
        (message,) = listening.messages()
        assert message["title"] == f"failover on {os.uname().nodename}: swapped"
        assert message["type"] == "info"
        assert message["message"].startswith("swapped main -> backup: 3 of 3 pool sessions hit")
    assert (done.returncode, done.stderr.count("WARNING")) == (0, 0)
    assert blocked.state()["outbox"] == []
    assert blocked.check()["outcome"] == "cooldown"
    assert (len(hook.got), len(second.got)) == (1, 1)
    assert has_no_secret(blocked, done.stdout, done.stderr)


def test_waiting_is_one_notice(blocked: Sandbox, hook: Webhook) -> None:
    notify(blocked, hook)
    blocked.set_state(active_account="main", accounts={"backup": {"exhausted_until": ahead(days=2)}})
    assert [blocked.check()["outcome"] for _ in range(3)] == ["waiting"] * 3
    assert [message["type"] for message in hook.messages()] == ["warning"]


def test_an_auth_problem_is_one_notice(sandbox: Sandbox, hook: Webhook) -> None:
    notify(sandbox, hook)
    for name in POOL[:2]:
        sandbox.server.show(name, EXPIRED)
    sandbox.server.show(POOL[2], IDLE)
    assert [sandbox.check()["outcome"] for _ in range(2)] == ["ok"] * 2
    (message,) = hook.messages()
    assert message["message"].startswith("main's credentials were rejected: “")
    assert "” in ccl-auto-11, ccl-auto-12 (" in message["message"]


def test_a_failing_swap_is_one_notice_for_all_attempts(blocked: Sandbox, hook: Webhook) -> None:
    """The limit of swaps in one hour refuses the swap, in this check and in all later ones."""
    notify(blocked, hook)
    blocked.config["swap"]["max_per_hour"] = 1
    blocked.set_state(active_account="main", last_swap={"at": ago(minutes=20), "from": "backup", "to": "main"})
    assert [blocked.check(code=1)["outcome"] for _ in range(2)] == ["failed"] * 2
    (message,) = hook.messages()
    assert (message["type"], "max_per_hour" in message["message"]) == ("failure", True)


def test_a_state_reset_is_a_notice(blocked: Sandbox, hook: Webhook) -> None:
    notify(blocked, hook)
    blocked.state_file.parent.mkdir()
    blocked.state_file.write_text("{")
    blocked.check(code=65)
    assert [message["type"] for message in hook.messages()] == ["failure"]


def test_only_the_configured_events_are_notices(blocked: Sandbox, hook: Webhook) -> None:
    notify(blocked, hook, events=["waiting"])
    assert blocked.check()["outcome"] == "swapped"
    assert hook.got == []


def test_a_refused_target_is_tried_again_and_the_others_are_not(
    blocked: Sandbox, hook: Webhook, second: Webhook, refused: str
) -> None:
    notify(blocked, hook)
    blocked.config["notify"]["urls"].insert(0, f"json://{refused}/{SECRET}")
    done = blocked.run()
    assert "swapped notice not delivered to notify.urls[0]: no connection" in done.stderr
    assert (done.returncode, done.stderr.count("WARNING"), len(hook.got)) == (0, 1, 1)
    assert has_no_secret(blocked, done.stdout, done.stderr)
    assert [notice["left"] for notice in blocked.state()["outbox"]] == [[0]]

    blocked.config["notify"]["urls"][0] = f"json://{second.address}/{SECRET}"
    blocked.save_config()
    blocked.check()
    assert second.got == [], "the pause is not over"
    make_due(blocked)
    blocked.check()
    assert (len(second.got), len(hook.got), blocked.state()["outbox"]) == (1, 1, [])


def test_a_server_that_answers_with_an_error(blocked: Sandbox, hook: Webhook) -> None:
    notify(blocked, hook)
    hook.status = 503
    assert "swapped notice not delivered to notify.urls[0]: the server answered 503" in blocked.run().stderr


def test_a_hanging_server_costs_the_timeout_and_no_other_notice(
    blocked: Sandbox, hook: Webhook, second: Webhook
) -> None:
    notify(blocked, hook, second, timeout="15s")
    blocked.config["notify"]["urls"][0] += "?rto=60&cto=60"  # apprise itself would wait longer
    hook.go_on.clear()
    done = blocked.run()
    assert (done.returncode, len(second.got)) == (0, 1)
    assert "swapped notice not delivered to notify.urls[0]: no answer within 15s (notify.timeout)" in done.stderr
    assert [notice["left"] for notice in blocked.state()["outbox"]] == [[0]]


def test_a_notice_is_sent_by_one_check_without_secrets_in_arguments(blocked: Sandbox, hook: Webhook) -> None:
    notify(blocked, hook)
    hook.go_on.clear()
    blocked.save_config()
    first = subprocess.Popen(blocked.argv("-q"), env=blocked.environ(), stderr=subprocess.DEVNULL)
    poll(lambda: hook.got)
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes())
        except OSError:
            continue
    assert any(b"failover_oneshot.monitoring.apprise_sender" in line for line in lines)
    assert not any(SECRET.encode() in line for line in lines)
    assert blocked.check()["outcome"] == "cooldown", "the lock is free while notices are sent"
    hook.go_on.set()
    assert first.wait(60) == 0
    assert len(hook.got) == 1


def test_a_notice_of_a_check_killed_while_sending_is_sent_later(blocked: Sandbox, hook: Webhook) -> None:
    notify(blocked, hook)
    hook.go_on.clear()
    blocked.save_config()
    first = subprocess.Popen(blocked.argv("-q"), env=blocked.environ(), start_new_session=True)
    poll(lambda: hook.got)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert [notice["event"] for notice in blocked.state()["outbox"]] == ["swapped"]
    hook.go_on.set()
    make_due(blocked)
    blocked.check()
    assert [message["title"].rpartition(" ")[2] for message in hook.messages()] == ["swapped"] * 2
    assert blocked.state()["outbox"] == []


def test_without_apprise_one_line_tells_how_to_install_it(blocked: Sandbox, hook: Webhook, tmp_path: Path) -> None:
    notify(blocked, hook)
    without = tmp_path / "without"
    without.mkdir()
    (without / "apprise.py").write_text("raise ModuleNotFoundError(\"No module named 'apprise'\", name='apprise')\n")
    done = blocked.run(PYTHONPATH=f"{without}:{ROOT}")
    assert (done.returncode, done.stderr.count("WARNING")) == (0, 1)
    assert "pip install 'failover-oneshot[notify]'" in done.stderr


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (f"json://127.0.0.1:1/{SECRET}\n", 0o640, "is accessible to others (mode 0640); run `chmod 600 "),
        (None, 0o600, "No such file or directory"),
        (b"\xff\xfe", 0o600, "is not UTF-8 text"),
        (f"# nothing\n\n{SECRET}\n", 0o600, "line 3 of notify.urls_file: apprise does not recognize this URL"),
        (f"nonsense://{SECRET}\n", 0o600, "line 1 of notify.urls_file: apprise does not recognize this URL"),
    ],
)
def test_a_useless_urls_file_is_one_warning(
    blocked: Sandbox, content: str | bytes | None, mode: int, said: str
) -> None:
    file = blocked.home / "urls"
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)
    blocked.config["notify"] = {"urls_file": str(file)}
    done = blocked.run("-v")
    assert (done.returncode, done.stderr.count("WARNING")) == (0, 1)
    assert said in done.stderr
    assert has_no_secret(blocked, done.stdout, done.stderr)


def ctl(sandbox: Sandbox, *flags: str) -> Run:
    sandbox.save_config()
    return sandbox.execute([*CTL, "notify", "--config", str(sandbox.config_file), *flags])


def test_a_test_message_lists_its_recipients(sandbox: Sandbox, hook: Webhook, refused: str) -> None:
    notify(sandbox, hook)
    sandbox.config["notify"]["urls"].append(f"json://{refused}/{SECRET}")
    done = ctl(sandbox)
    assert (done.returncode, done.stdout) == (1, "notify.urls[0]: sent\nnotify.urls[1]: NOT sent\n")
    assert "notify.urls[1]: no connection" in done.stderr
    sandbox.config["notify"]["urls"].pop()
    done = ctl(sandbox, "--json")
    assert (done.returncode, json.loads(done.stdout)["targets"]) == (0, [{"target": "notify.urls[0]", "told": True}])
    assert [message["title"].rpartition(" ")[2] for message in hook.messages()] == ["test", "test"]
    assert SECRET not in done.stdout + done.stderr
    assert not sandbox.state_file.exists()


@pytest.mark.parametrize(
    ("settings", "said"), [({}, "no targets"), ({"urls_file": "/nonexistent/urls"}, "No such file")]
)
def test_a_test_message_without_urls_is_an_error(sandbox: Sandbox, settings: dict[str, Any], said: str) -> None:
    sandbox.config["notify"] = settings
    done = ctl(sandbox)
    assert (done.returncode, said in done.stdout, done.stderr) == (1, True, "")


# -- pings -------------------------------------------------------------------------------------------------------------


def pinged(sandbox: Sandbox, hook: Webhook, **settings: Any) -> None:
    sandbox.config["ping"] = {"url": f"http://{hook.address}/{SECRET}?create=1", **settings}


def test_a_successful_check_is_pinged(blocked: Sandbox, hook: Webhook) -> None:
    pinged(blocked, hook, start=True)
    done = blocked.run("-v")
    (start, nothing), (success, said) = hook.got
    assert (start, nothing) == (f"/{SECRET}/start?create=1", "")
    assert (success, said) == (f"/{SECRET}?create=1", done.stdout.strip())
    assert has_no_secret(blocked, done.stdout, done.stderr)


def test_a_failed_check_is_pinged_as_failed(blocked: Sandbox, hook: Webhook) -> None:
    pinged(blocked, hook)
    blocked.config["tmux"]["binary"] = "/nonexistent/tmux"
    assert blocked.run().returncode == 69
    ((path, said),) = hook.got
    assert (path, "tmux" in said) == (f"/{SECRET}/fail?create=1", True)


def test_a_check_that_will_be_tried_again_is_not_pinged(blocked: Sandbox, hook: Webhook) -> None:
    pinged(blocked, hook)
    blocked.config["tmux"].update(binary=blocked.server.write_wrapper("exec sleep 600"), timeout="200ms")
    assert blocked.run().returncode == 75
    assert hook.got == []


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("hangs", "no answer within 500ms (ping.timeout)"),
        ("404", "the server answered 404"),
        ("refused", "Connection refused"),
        ("no such host", "ping of ping.url failed"),
    ],
)
def test_a_ping_that_fails_is_a_warning(sandbox: Sandbox, hook: Webhook, how: str, said: str, refused: str) -> None:
    pinged(sandbox, hook, timeout="1m" if how in {"404", "refused"} else "500ms")
    if how == "hangs":
        hook.go_on.clear()
    elif how == "404":
        hook.status = 404
    else:
        host = refused if how == "refused" else "nowhere.invalid"
        sandbox.config["ping"]["url"] = f"http://{host}/{SECRET}"
    done = sandbox.run("-v")
    assert (done.returncode, done.stderr.count("WARNING")) == (0, 1)
    assert said in done.stderr
    assert has_no_secret(sandbox, done.stdout, done.stderr)


# -- metrics -----------------------------------------------------------------------------------------------------------


def measured(sandbox: Sandbox) -> Path:
    """The metrics file, in a separate folder."""
    path = sandbox.home / "collector" / "failover.prom"
    path.parent.mkdir()
    sandbox.config["metrics"] = {"textfile": str(path), "labels": {"fleet": "test"}}
    return path


def samples(path: Path) -> dict[str, float]:
    """The metrics by name and labels, without the label `fleet`."""
    found = {}
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        for sample in family.samples:
            assert sample.labels.pop("fleet") == "test"
            found[" ".join((sample.name, *(text for _, text in sorted(sample.labels.items()))))] = sample.value
    return found


def test_the_metrics_of_a_swap(blocked: Sandbox) -> None:
    path = measured(blocked)
    old = os.umask(0o077)
    try:
        report = blocked.check()
    finally:
        os.umask(old)
    found = samples(path)
    assert found["failover_last_check_timestamp_seconds"] == datetime.fromisoformat(report["at"]).timestamp()
    assert found["failover_last_check_outcome swapped"] == 1
    assert found["failover_swaps_total"] == 1
    assert found["failover_account_active backup"] == 1
    assert found["failover_account_active main"] == 0
    assert found["failover_account_exhausted_until_timestamp_seconds main"] > datetime.now(UTC).timestamp()
    assert found["failover_sessions quota pool"] == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o644, "node_exporter runs as another user"
    assert list(path.parent.iterdir()) == [path]
    assert blocked.check()["outcome"] == "cooldown"
    assert samples(path)["failover_swaps_total"] == 1
    assert "failover_sessions quota pool" not in samples(path), "no session was read"


def test_a_check_that_fails_is_in_the_metrics(blocked: Sandbox) -> None:
    path = measured(blocked)
    blocked.config["pool"]["autonomous"]["max"] = 1
    blocked.check()
    before = samples(path)
    assert before["failover_last_run_exit_code"] == 0
    blocked.config["tmux"]["binary"] = "/nonexistent/tmux"
    blocked.save_config()
    assert blocked.run().returncode == 69
    after = samples(path)
    assert after["failover_last_run_exit_code"] == 69
    assert after["failover_last_run_timestamp_seconds"] >= before["failover_last_run_timestamp_seconds"]
    assert after["failover_last_check_timestamp_seconds"] == before["failover_last_check_timestamp_seconds"]
    path.unlink()
    assert blocked.run().returncode == 69
    assert samples(path).keys() == {"failover_last_run_exit_code", "failover_last_run_timestamp_seconds"}


def test_metrics_that_cannot_be_written_do_not_stop_the_check(blocked: Sandbox) -> None:
    path = measured(blocked)
    path.mkdir()
    done = blocked.run()
    assert (done.returncode, done.stderr.count("WARNING")) == (0, 1)
    assert f"cannot write metrics.textfile {path}" in done.stderr
    assert blocked.state()["active_account"] == "backup"
    assert list(path.parent.iterdir()) == [path], "no temporary file is left"


# -- dry runs and imports ----------------------------------------------------------------------------------------------


def test_a_dry_run_sends_writes_and_pings_nothing(blocked: Sandbox, hook: Webhook) -> None:
    measured(blocked)
    notify(blocked, hook)
    pinged(blocked, hook, start=True)
    blocked.save_config()
    before = blocked.fingerprint()
    assert blocked.check("--dry-run")["outcome"] == "swapped"
    assert blocked.fingerprint() == before
    assert hook.got == []


@pytest.mark.parametrize(("configured", "imported"), [(False, set[str]()), (True, {"after_check", "metrics"})])
def test_what_is_not_configured_is_not_imported(sandbox: Sandbox, configured: bool, imported: set[str]) -> None:
    for name in POOL[:2]:
        sandbox.server.show(name, hit_screen())
    if configured:
        measured(sandbox)
    sandbox.save_config()
    program = (
        "import sys; from failover_oneshot.cli import main; code = main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = sandbox.execute([sys.executable, "-c", program, *sandbox.flags("-q")])
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.splitlines()[-1].split())
    ours = {"after_check", "metrics", "outbox", "apprise", "apprise_sender", "healthchecks"}
    assert {name for name in ours if f"failover_oneshot.monitoring.{name}" in loaded} == imported
    assert not loaded & {"apprise", "requests", "urllib.request", "http.client", "ssl"}
    assert json.loads(sandbox.state_file.read_bytes())["counters"] == {"swapped": 1}
