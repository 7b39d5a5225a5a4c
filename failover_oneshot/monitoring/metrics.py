"""The metrics as text in Prometheus' exposition format, for node_exporter's textfile collector. Pure.

What a check did not look at (the panes, while it is paused or in its cooldown) is left out: a gap in a graph is
honest, a zero is not. The counters are kept in the state, so they go on over restarts; a state that was reset begins
at zero, which Prometheus takes for what it is.
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
"""Name without the prefix, type, help, and the samples: labels and value."""

PREFIX = "failover_"
RUN = ("last_run_exit_code", "last_run_timestamp_seconds")
"""The families that every run writes, also one that could not check at all."""


def render(config: Config, state: State, report: Report) -> str:
    """The whole file after a check that ran to its end; ``state`` as the check left it."""
    families = (*_run(report.at, report.exit_code), *_check(config, state, report))
    return "".join(_family(*family, config.metrics.labels) for family in families)


def rerun(before: str, labels: Mapping[str, str], at: datetime, exit_code: int) -> str:
    """The file after a run that could not check: what was known before stays, with its own time beside it."""
    ours = tuple(f"{start}{PREFIX}{name}{end}" for name in RUN for start in ("", "# HELP ", "# TYPE ") for end in " {")
    kept = [line for line in before.splitlines(keepends=True) if not line.startswith(ours)]
    return "".join(_family(*family, labels) for family in _run(at, exit_code)) + "".join(kept)


def _run(at: datetime, exit_code: int) -> Iterator[Family]:
    code, time = RUN
    yield code, "gauge", "Exit code of the last run; 0 is good, 75 means try again.", [({}, exit_code)]
    yield time, "gauge", "When the last run ended, whether it could check or not.", [({}, _time(at))]


def _check(config: Config, state: State, report: Report) -> Iterator[Family]:
    def gauge(name: str, text: str, value: float) -> Family:
        return name, "gauge", text, [({}, value)]

    def counter(name: str, text: str, outcome: Outcome) -> Family:
        return name, "counter", text, [({}, state.counters.get(outcome, 0))]

    yield "build_info", "gauge", "The version that wrote this.", [({"version": __version__}, 1)]
    yield gauge("last_check_timestamp_seconds", "When the last check ran to its end.", _time(report.at))
    if state.last_check:
        spent = state.last_check.duration_ms / 1000
        yield gauge("last_check_duration_seconds", "How long the last check took.", spent)
    outcomes = [({"outcome": str(outcome)}, float(outcome is report.outcome)) for outcome in Outcome]
    yield "last_check_outcome", "gauge", "1 for the outcome of the last check, 0 for all others.", outcomes
    yield gauge("paused", "1 while the operator keeps it still.", report.outcome is Outcome.PAUSED)
    yield gauge("swap_in_progress", "1 while a swap is owed that is not finished.", state.swap_in_progress is not None)
    if state.waiting:
        text = "Since when every account is exhausted; absent while one is free."
        yield gauge("waiting_since_timestamp_seconds", text, _time(state.waiting.since))
        if state.waiting.until:
            text = "When the first account is free again; absent while one is free."
            yield gauge("waiting_until_timestamp_seconds", text, _time(state.waiting.until))
    yield counter("swaps_total", "Swaps that were completed.", Outcome.SWAPPED)
    yield counter("swap_failures_total", "Attempts to swap that failed with every account.", Outcome.FAILED)
    yield counter("resumes_total", "Times that sessions were restarted on the same account.", Outcome.RESUMED)
    if state.last_swap:
        yield gauge("last_swap_timestamp_seconds", "When the last swap was completed.", _time(state.last_swap.at))
    yield from _accounts(config, state, report)
    yield from _sessions(report)
    if report.tasks:
        tasks = [({"state": name}, getattr(report.tasks, name)) for name in ("waiting", "running", "failed")]
        yield "tasks", "gauge", "Tasks in the spool, those that are done aside; absent without a spool.", tasks


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
        yield "account_active", "gauge", "1 for the account that is live.", active
        text = "1 for an account that is not exhausted and did not fail when it was last swapped to, if it is enabled."
        yield "account_available", "gauge", text, available
        text = "Until when an account is exhausted, or was the last time; 0 when it never was."
        yield "account_exhausted_until_timestamp_seconds", "gauge", text, until


def _sessions(report: Report) -> Iterator[Family]:
    if not report.findings and report.outcome is not Outcome.NO_SESSIONS:
        return
    pairs = [(f.kind, f.role) for f in report.findings]
    counts = [
        ({"kind": str(kind), "role": str(role)}, float(pairs.count((kind, role)))) for kind in Kind for role in Role
    ]
    yield "sessions", "gauge", "Watched sessions by what they show; absent while nothing is looked at.", counts
    blocked = [({"role": "pool"}, report.blocked_pool), ({"role": "dedicated"}, report.blocked_dedicated)]
    yield "sessions_blocked", "gauge", "Sessions whose hits count towards a swap; absent likewise.", blocked


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
