"""What a check reads beside the panes, and what it says of it."""

import logging

import pytest

from failover_oneshot.model import Kind
from failover_oneshot.observe import log_findings, machine_zone
from tests.support.builders import at, finding, healthy, unreadable


@pytest.mark.parametrize(
    ("variable", "zone"),
    [
        ("America/Santiago", "America/Santiago"),
        (":Europe/Berlin", "Europe/Berlin"),
        ("/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
        (":/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
        ("UTC", "UTC"),
    ],
)
def test_the_machines_zone_is_the_variables(variable: str, zone: str) -> None:
    assert machine_zone({"TZ": variable}) == zone


def test_without_the_variable_there_is_a_zone_too() -> None:
    assert machine_zone({}) == machine_zone({"TZ": ""}) != ""


def test_each_session_in_trouble_is_one_line_with_its_evidence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "failover")
    log_findings(
        [
            finding(rule="quota.status", resets_at=at(hours=2)),
            finding("ops", counted=False, why_not="its reset has passed", resets_at=None, rule="quota.status"),
            finding("ccl-auto-12", kind=Kind.AUTH, blocked=False, snippet="Please run /login", rule="auth.login"),
            unreadable("ccl-auto-13"),
            healthy("ccl-auto-14"),
        ]
    )
    hit = "quota by screen: You've hit your 5-hour limit · resets 12:00pm (UTC) [quota.status]"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"ccl-auto-11: {hit}, resets 2026-11-24T12:00:00Z"),
        ("INFO", f"ops: {hit}, no reset time; not counted, its reset has passed"),
        ("INFO", "ccl-auto-12: auth: Please run /login [auth.login]"),
        ("WARNING", "ccl-auto-13: unreadable: not captured"),
    ]
