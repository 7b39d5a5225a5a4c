"""The metrics file, read by Prometheus' own parser, and the dashboard and alert rules that use it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from failover_oneshot.config.model import OWN_LABELS, Config, Metrics
from failover_oneshot.model import Kind, Outcome, Role, TaskTally
from failover_oneshot.monitoring import metrics
from failover_oneshot.report import Report
from failover_oneshot.state.history import HistoryEntry, with_history
from failover_oneshot.state.model import (
    AccountMemory,
    Journal,
    LastCheck,
    LastSwap,
    State,
    SwapStep,
    Unusable,
    Waiting,
)
from tests.support.builders import NOW, at, finding, healthy, hits, make_config
from tests.support.paths import ROOT

RULES = ROOT / "deploy/alerts.yaml"
DASHBOARD = ROOT / "deploy/grafana-dashboard.json"
CONFIG = make_config(("main", "backup", "third"), disabled=("third",))
STATE = State(
    active_account="backup",
    last_swap=LastSwap(at=at(hours=-1), from_="main", to="backup"),
    accounts={"main": AccountMemory(exhausted_until=at(hours=2))},
    counters={"swapped": 12, "failed": 3},
    last_check=LastCheck(at=NOW, outcome=Outcome.WAITING, duration_ms=48),
    waiting=Waiting(since=at(minutes=-5), account="main", until=at(hours=2)),
    swap_in_progress=Journal(started_at=NOW, from_="main", to="backup", step=SwapStep.RESTART),
)
REPORT = Report(
    outcome=Outcome.WAITING,
    summary="because",
    reason="because",
    dry_run=False,
    at=NOW,
    active_account="backup",
    blocked_pool=2,
    findings=(*hits(11, 12), healthy("ccl-auto-13"), finding("ops", kind=Kind.AUTH)),
    tasks=TaskTally(waiting=4, running=2, failed=1),
)

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]


def parsed(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            place = sample.name, frozenset(sample.labels.items())
            assert place not in found, "node_exporter refuses a file with a sample twice"
            found[place] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"failover_{name}", frozenset(labels.items())))


def test_the_file_holds_what_a_check_found() -> None:
    samples = parsed(metrics.render(CONFIG, STATE, REPORT))
    expected = {
        "last_run_exit_code": 0,
        "last_run_timestamp_seconds": NOW.timestamp(),
        "last_check_timestamp_seconds": NOW.timestamp(),
        "last_check_duration_seconds": 0.048,
        "waiting_since_timestamp_seconds": at(minutes=-5).timestamp(),
        "waiting_until_timestamp_seconds": at(hours=2).timestamp(),
        "last_swap_timestamp_seconds": at(hours=-1).timestamp(),
        "swap_in_progress": 1,
        "paused": 0,
        "swaps_total": 12,
        "swap_failures_total": 3,
        "resumes_total": 0,
    }
    assert {name: value(samples, name) for name in expected} == expected
    assert [value(samples, "tasks", state=s) for s in ("waiting", "running", "failed")] == [4, 2, 1]
    assert value(samples, "last_check_outcome", outcome="waiting") == 1
    assert sum(v for (name, _), v in samples.items() if name == "failover_last_check_outcome") == 1


@pytest.mark.parametrize(
    ("account", "active", "available", "until"),
    [("main", 0, 0, at(hours=2).timestamp()), ("backup", 1, 1, 0), ("third", 0, None, 0)],
)
def test_each_account_has_its_metrics(account: str, active: float, available: float | None, until: float) -> None:
    samples = parsed(metrics.render(CONFIG, STATE, REPORT))
    assert value(samples, "account_active", account=account) == active
    assert value(samples, "account_available", account=account) == available
    assert value(samples, "account_exhausted_until_timestamp_seconds", account=account) == until


def test_an_unusable_account_is_not_available() -> None:
    broken = replace(STATE, accounts={"backup": AccountMemory(unusable=Unusable(at=NOW, reason="blank"))})
    samples = parsed(metrics.render(CONFIG, broken, REPORT))
    assert value(samples, "account_available", account="backup") == 0
    assert value(samples, "account_available", account="main") == 1


def test_sessions_are_counted_by_kind_and_role_with_zeros() -> None:
    samples = parsed(metrics.render(CONFIG, STATE, REPORT))
    counts = {labels: v for (name, labels), v in samples.items() if name == "failover_sessions"}
    assert len(counts) == len(Kind) * len(Role)
    assert {tuple(sorted(labels)): v for labels, v in counts.items() if v} == {
        (("kind", "quota"), ("role", "pool")): 2,
        (("kind", "ok"), ("role", "pool")): 1,
        (("kind", "auth"), ("role", "dedicated")): 1,
    }
    assert value(samples, "sessions_blocked", role="pool") == 2


@pytest.mark.parametrize(("outcome", "there"), [(Outcome.COOLDOWN, False), (Outcome.NO_SESSIONS, True)])
def test_what_a_check_did_not_observe_is_left_out(outcome: Outcome, there: bool) -> None:
    samples = parsed(metrics.render(CONFIG, STATE, replace(REPORT, outcome=outcome, findings=(), blocked_pool=0)))
    assert (value(samples, "sessions", kind="ok", role="pool") == 0) is there
    assert (value(samples, "sessions_blocked", role="pool") == 0) is there


def test_a_fresh_state_without_accounts_is_rendered() -> None:
    blank = Report(outcome=Outcome.NO_SESSIONS, summary="", reason="", dry_run=False, at=NOW)
    samples = parsed(metrics.render(Config(), State(), blank))
    assert value(samples, "swaps_total") == 0
    assert not any("account" in name or "tasks" in name for name, _ in samples)


def test_the_counters_do_not_depend_on_the_length_of_the_history() -> None:
    state = State()
    for _ in range(7):
        state = with_history(state, HistoryEntry(outcome="swapped"), 3)
    state = with_history(state, HistoryEntry(outcome="resumed"), 3)
    assert len(state.history) == 3
    samples = parsed(metrics.render(CONFIG, state, REPORT))
    assert (value(samples, "swaps_total"), value(samples, "resumes_total")) == (7, 1)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_label_value_is_read_back(text: str) -> None:
    config = Config(metrics=Metrics(labels={"site": text}))
    samples = parsed(metrics.render(config, State(), REPORT))
    assert value(samples, "swaps_total", site=text) == 0
    assert all(dict(labels)["site"] == text for _, labels in samples)


def test_the_reserved_labels_are_the_ones_that_the_metrics_use() -> None:
    samples = parsed(metrics.render(CONFIG, STATE, REPORT))
    assert {label for _, labels in samples for label, _ in labels} == OWN_LABELS


def test_a_run_that_could_not_check_changes_only_the_last_run_metrics() -> None:
    before = metrics.render(CONFIG, STATE, REPORT)
    after = metrics.rerun(before, {}, at(minutes=5), 69)
    old, new = parsed(before), parsed(after)
    assert value(new, "last_run_exit_code") == 69
    assert value(new, "last_run_timestamp_seconds") == at(minutes=5).timestamp()
    changed = {name for (name, labels) in old.keys() | new.keys() if old.get((name, labels)) != new.get((name, labels))}
    assert changed == {"failover_last_run_exit_code", "failover_last_run_timestamp_seconds"}
    assert metrics.rerun(after, {}, at(minutes=5), 69) == after


def test_a_run_that_could_not_check_writes_a_first_file() -> None:
    samples = parsed(metrics.rerun("", {"site": "a"}, NOW, 75))
    assert value(samples, "last_run_exit_code", site="a") == 75
    assert len(samples) == 2


# -- names and units ---------------------------------------------------------------------------------------------------


def families() -> Iterator[tuple[str, str]]:
    for family in text_string_to_metric_families(metrics.render(CONFIG, STATE, REPORT)):
        yield (f"{family.name}_total" if family.type == "counter" else family.name), family.type


def test_the_names_follow_prometheus_conventions() -> None:
    for name, kind in families():
        assert re.fullmatch(r"failover_[a-z_]+", name)
        assert (kind == "counter") is name.endswith("_total"), name
        assert kind in {"counter", "gauge"}
        assert ("timestamp" in name or "duration" in name) is name.endswith("_seconds"), name


def promtool(*argv: str, stdin: str = "", folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    return subprocess.run(
        ["promtool", *argv], input=stdin, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_promtool_accepts_the_metrics() -> None:
    done = promtool("check", "metrics", stdin=metrics.render(CONFIG, STATE, REPORT))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    again = promtool("check", "metrics", stdin=metrics.rerun("", {"site": "a"}, NOW, 75))
    assert (again.returncode, again.stdout + again.stderr) == (0, "")


# -- the rules and the dashboard ---------------------------------------------------------------------------------------

# What node_exporter itself reports about the files of its textfile collector.
OF_THE_COLLECTOR = {"node_textfile_scrape_error", "node_textfile_mtime_seconds"}


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:failover|node)_[a-z_]+", re.sub(r'"[^"]*"', '""', expression)))


def labels_in(expression: str) -> set[tuple[str, str]]:
    return set(re.findall(r"\b(kind|role|outcome|state)\s*(?:=|!=|=~|!~)\s*\"([^\"]*)\"", expression))


def emitted() -> set[str]:
    return {name for name, _ in families()} | OF_THE_COLLECTOR


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in panels():
        yield from (target["expr"] for target in panel.get("targets", []))
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard()["panels"]
    return found


def test_every_expression_uses_metrics_that_are_written() -> None:
    known: dict[str, set[str]] = {
        "kind": set(map(str, Kind)),
        "role": set(map(str, Role)),
        "outcome": set(map(str, Outcome)),
        "state": set(TaskTally.__struct_fields__),
    }
    assert len(list(expressions())) > 15
    for expression in expressions():
        assert names_in(expression), expression
        assert names_in(expression) <= emitted(), expression
        for label, text in labels_in(expression):
            assert not text or text.startswith("$") or set(text.split("|")) <= known[label], expression


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    used = set[str]().union(*(names_in(expression) for expression in expressions()))
    assert used >= emitted() - {"node_textfile_mtime_seconds"}


def test_every_alert_names_a_command() -> None:
    for rule in rules():
        assert re.fullmatch(r"Failover[A-Z]\w+", rule["alert"])
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"], rule["alert"]
        assert "`" in rule["annotations"]["description"], f"{rule['alert']} names no command"
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_promtool_accepts_the_alert_rules_and_their_tests_pass() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("test", "rules", str(ROOT / "tests/data/alerts_test.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_on_monitoring_names_every_metric_and_alert() -> None:
    page = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    for name in emitted() - OF_THE_COLLECTOR:
        assert f"`{name}" in page, name
    for rule in rules():
        assert f"`{rule['alert']}`" in page, rule["alert"]


def test_the_dashboard_panels_have_unique_ids_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert place["x"] + place["w"] <= 24
        for part in (panel, *panel.get("targets", [])):
            if panel["type"] != "row":
                assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_the_dashboard_expressions_are_valid_promql(tmp_path: Path) -> None:
    """They are checked as rules, which promtool can parse, with values in place of Grafana's variables."""
    found = [
        re.sub(r"\$__rate_interval|\$__range", "5m", expression).replace("$instance", ".*")
        for expression in expressions()
        if not expression.startswith("label_values(")
    ]
    rows = [{"record": f"test:expression:{number}", "expr": expression} for number, expression in enumerate(found)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "test", "rules": rows}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
