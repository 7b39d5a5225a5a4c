"""Renders the metrics in Prometheus' text format, for node_exporter's textfile collector. Pure.

What a check did not observe (the panes, during a pause or a cooldown) is left out, because a gap in a graph is true
and a zero is not. The counters are kept in the state and survive restarts. After a reset of the state they begin at
zero, which Prometheus handles as a counter reset.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from failover_oneshot import __version__
from failover_oneshot.config.model import Config
from failover_oneshot.model import Kind, Outcome, Role
from failover_oneshot.report import Report
from failover_oneshot.state.model import State

Samples = Sequence[tuple[Mapping[str, str], float]]
Family = tuple[str, str, str, Samples]
"""Name without the prefix, type, help, and samples (labels and value)."""

PREFIX = "failover_"
RUN = ("last_run_exit_code", "last_run_timestamp_seconds")
"""The families that every run writes, even one that could not check."""


def render(config: Config, state: State, report: Report) -> str:
    """The whole file after a complete check; ``state`` is as the check left it."""
    families = (*_run(report.at, report.exit_code), *_check(config, state, report))
    return "".join(_family(*family, config.metrics.labels) for family in families)


def rerun(before: str, labels: Mapping[str, str], at: datetime, exit_code: int) -> str:
    """The file after a run that could not check: new `last_run` families, everything else as in ``before``."""
    ours = tuple(f"{start}{PREFIX}{name}{end}" for name in RUN for start in ("", "# HELP ", "# TYPE ") for end in " {")
    kept = [line for line in before.splitlines(keepends=True) if not line.startswith(ours)]
    return "".join(_family(*family, labels) for family in _run(at, exit_code)) + "".join(kept)


def _run(at: datetime, exit_code: int) -> Iterator[Family]:
    code, time = RUN
    yield code, "gauge", "Exit code of the last run: 0 is success, 75 means try again.", [({}, exit_code)]
    yield time, "gauge", "Unix time when the last run ended, even if it could not check.", [({}, _time(at))]


def _check(config: Config, state: State, report: Report) -> Iterator[Family]:
    def gauge(name: str, text: str, value: float) -> Family:
        return name, "gauge", text, [({}, value)]

    def counter(name: str, text: str, outcome: Outcome) -> Family:
        return name, "counter", text, [({}, state.counters.get(outcome, 0))]

    version = [({"version": __version__}, 1.0)]
    yield "build_info", "gauge", "Version of failover-check that wrote this file; always 1.", version
    yield gauge("last_check_timestamp_seconds", "Unix time of the last complete check.", _time(report.at))
    if state.last_check:
        spent = state.last_check.duration_ms / 1000
        yield gauge("last_check_duration_seconds", "Duration of the last check.", spent)
    outcomes = [({"outcome": str(outcome)}, float(outcome is report.outcome)) for outcome in Outcome]
    yield "last_check_outcome", "gauge", "1 for the outcome of the last check, 0 for all other outcomes.", outcomes
    yield gauge("paused", "1 while paused by the operator.", report.outcome is Outcome.PAUSED)
    yield gauge("swap_in_progress", "1 while a swap is unfinished.", state.swap_in_progress is not None)
    if state.waiting:
        text = "Unix time when the wait for a free account began; absent without a wait."
        yield gauge("waiting_since_timestamp_seconds", text, _time(state.waiting.since))
        if state.waiting.until:
            text = "Unix time when the first account becomes free; absent while one is free."
            yield gauge("waiting_until_timestamp_seconds", text, _time(state.waiting.until))
    yield counter("swaps_total", "Completed swaps.", Outcome.SWAPPED)
    yield counter("swap_failures_total", "Swap attempts that failed with every candidate.", Outcome.FAILED)
    yield counter("resumes_total", "Restarts of blocked sessions on the same account.", Outcome.RESUMED)
    if state.last_swap:
        yield gauge("last_swap_timestamp_seconds", "Unix time of the last completed swap.", _time(state.last_swap.at))
    yield from _accounts(config, state, report)
    yield from _sessions(report)
    if report.tasks:
        tasks = [({"state": name}, getattr(report.tasks, name)) for name in ("waiting", "running", "failed")]
        yield "tasks", "gauge", "Tasks by state, done tasks excluded; absent without dispatch.spool.", tasks


def _accounts(config: Config, state: State, report: Report) -> Iterator[Family]:
    active, available, until = [], [], []
    for account in config.accounts:
        known, labels = state.account(account.name), {"account": account.name}
        free = known.unusable is None and not state.exhausted(account.name, report.at)
        active.append((labels, float(account.name == report.active_account)))
        if account.enabled:
            available.append((labels, float(free)))
        until.append((labels, _time(known.exhausted_until) if known.exhausted_until else 0))
    if config.accounts:
        yield "account_active", "gauge", "1 for the active account, 0 for all others.", active
        text = "1 for an account that is neither exhausted nor unusable; absent for a disabled one."
        yield "account_available", "gauge", text, available
        text = "Unix time until which the account is, or last was, exhausted; 0: never."
        yield "account_exhausted_until_timestamp_seconds", "gauge", text, until


def _sessions(report: Report) -> Iterator[Family]:
    if not report.findings and report.outcome is not Outcome.NO_SESSIONS:
        return
    pairs = [(f.kind, f.role) for f in report.findings]
    counts = [
        ({"kind": str(kind), "role": str(role)}, float(pairs.count((kind, role)))) for kind in Kind for role in Role
    ]
    yield "sessions", "gauge", "Watched sessions by kind and role; absent when no pane was read.", counts
    blocked = [({"role": "pool"}, report.blocked_pool), ({"role": "dedicated"}, report.blocked_dedicated)]
    yield "sessions_blocked", "gauge", "Sessions that count toward a swap; absent when no pane was read.", blocked


def _family(name: str, kind: str, text: str, samples: Samples, extra: Mapping[str, str]) -> str:
    lines = [f"# HELP {PREFIX}{name} {text}", f"# TYPE {PREFIX}{name} {kind}"]
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in {**extra, **labels}.items())
        lines.append(f"{PREFIX}{name}{f'{{{inner}}}' if inner else ''} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _time(at: datetime) -> float:
    return at.timestamp()
