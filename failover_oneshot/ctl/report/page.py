"""The report's page: account timeline, hits by session and hour, stalled time, swaps with their evidence. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Final

from failover_oneshot.ctl.report.html import Node, document, el
from failover_oneshot.ctl.report.timeline import Hit, Lane, Span, Timeline, TimelineEvent, ticks
from failover_oneshot.lib import durations
from failover_oneshot.lib.plural import plural
from failover_oneshot.lib.redact import redact
from failover_oneshot.model import Outcome
from failover_oneshot.state.model import State

MOST_ROWS: Final = 500  # of a table: a browser has to lay it out, and few readers go further
HOURS: Final = range(24)


def page(facts: Timeline, state: State, kept: int) -> bytes:
    """The whole page as UTF-8; ``kept``: how many history entries the state keeps."""
    style = files("failover_oneshot").joinpath("data/report.css").read_text(encoding="utf-8")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"Failover report, {_day(facts.start)} to {_day(facts.end)}"),
        el("style", style),
    )
    body = el("body", el("main", *_sections(facts, state, kept)))
    return document(el("html", head, body, lang="en"))


def _sections(facts: Timeline, state: State, kept: int) -> Iterator[Node]:
    yield el(
        "header",
        el("h1", "Failover report"),
        el("p", f"{_minute(facts.start)} to {_minute(facts.end)}. All times are UTC.", class_="quiet"),
        _coverage(facts, state, kept),
    )
    yield _figures(facts, state)
    yield el("section", el("h2", "Account timeline"), *_timeline(facts))
    yield el("section", el("h2", "Limit hits by session and hour"), *_hours(facts.hits))
    yield el("section", el("h2", "Stalled time"), *_stalls(facts))
    yield el("section", el("h2", "Swaps and restarts"), *_events(facts.events))


def _coverage(facts: Timeline, state: State, kept: int) -> Node | None:
    """What period the history covers: an empty page must not mean that nothing happened."""
    if facts.known_from is None:
        return el("p", "There is no history: no swap has happened yet, or the state was reset.", class_="quiet")
    if facts.known_from <= facts.start:
        return None
    text = f"The history begins at {_minute(facts.known_from)}. The account before that is taken from its first entry."
    full = f" Only the newest {kept} entries are kept (state.history)." if len(state.history) >= kept else ""
    return el("p", text + full, class_="quiet")


def _figures(facts: Timeline, state: State) -> Node:
    share = facts.stalled / max((facts.end - facts.start).total_seconds(), 1)
    last = state.last_check
    rows = [
        (
            "Active account",
            state.active_account or "none",
            f"last check {_minute(last.at)}" if last else "no check yet",
        ),
        ("Account swaps", str(facts.count(Outcome.SWAPPED)), f"{facts.count(Outcome.FAILED)} failed"),
        ("Stalled time", durations.format(facts.stalled), f"{share:.1%} of the period"),
        ("No account free", durations.format(facts.waited), f"{_times(len(facts.waits))}, part of the stalled time"),
        ("Limit hits", str(len(facts.hits)), f"in {plural(len({hit.session for hit in facts.hits}), 'session')}"),
    ]
    return el(
        "dl", *(el("div", el("dt", a), el("dd", el("strong", b), el("small", c))) for a, b, c in rows), class_="figures"
    )


# -- the timeline --------------------------------------------------------------------------------------------------


def _timeline(facts: Timeline) -> Iterator[Node]:
    yield el(
        "p",
        *(
            part
            for name, words in (("active", "active"), ("exhausted", "exhausted"), ("waiting", "no account free"))
            for part in (el("span", class_=f"key {name}"), f" {words} ")
        ),
        class_="legend quiet",
    )
    lanes = [_lane(lane, facts) for lane in facts.lanes]
    if facts.waits:
        bars = [_bar("waiting", span, facts, "no account was free") for span in facts.waits]
        name = el("div", "no account free", class_="name")
        lanes.append(el("div", name, el("div", *bars, class_="track"), class_="lane"))
    if not lanes:
        lanes = [el("p", "No accounts are configured.", class_="quiet")]
    yield el("div", *lanes, _axis(facts), class_="timeline")


def _lane(lane: Lane, facts: Timeline) -> Node:
    bars = [_bar("active", span, facts, f"{lane.account} was active") for span in lane.active]
    bars += [_bar("exhausted", span, facts, f"{lane.account} was exhausted") for span in lane.exhausted]
    return el("div", el("div", lane.account, class_="name"), el("div", *bars, class_="track"), class_="lane")


def _bar(kind: str, span: Span, facts: Timeline, what: str) -> Node:
    words = f"{what} from {_minute(span.start)} to {_minute(span.end)} ({durations.format(span.seconds)})"
    # A short span at the very end stays visible.
    place = f"left:min({_percent(span.start, facts):.3f}%,calc(100% - 2px));width:{_width(span, facts):.3f}%"
    return el("div", class_=kind, style=place, title=words, role="img", aria_label=words)


def _axis(facts: Timeline) -> Node:
    short = facts.end - facts.start <= timedelta(days=2)
    marks = [
        el("span", f"{at:%H:%M}" if short else f"{at.day} {at:%b}", style=f"left:{_percent(at, facts):.3f}%")
        for at in ticks(facts.start, facts.end)
    ]
    return el("div", el("div", class_="name"), el("div", *marks, class_="axis"), class_="lane", aria_hidden="true")


def _percent(at: datetime, facts: Timeline) -> float:
    return 100 * ((at - facts.start) / (facts.end - facts.start))


def _width(span: Span, facts: Timeline) -> float:
    return _percent(span.end, facts) - _percent(span.start, facts)


# -- the tables ----------------------------------------------------------------------------------------------------


def _events(events: Sequence[TimelineEvent]) -> Iterator[Node]:
    if not events:
        yield el("p", "None in this period.", class_="quiet")
        return
    head = el("tr", *(el("th", name, scope="col") for name in ("Time", "Event", "Evidence")))
    yield el("table", el("thead", head), el("tbody", *(_event(event) for event in events[:MOST_ROWS])), class_="events")
    if len(events) > MOST_ROWS:
        older = plural(len(events) - MOST_ROWS, "older event")
        yield el("p", f"{older} not shown. To list all: failoverctl history -n 0", class_="quiet")


def _event(event: TimelineEvent) -> Node:
    if event.outcome == Outcome.RESUMED:
        what = f"Sessions restarted on {event.to or 'the active account'}"
    elif event.outcome == Outcome.FAILED:
        what = f"Swap from {event.from_ or 'no account'}" + (f" to {event.to}" if event.to else "") + " failed"
    else:
        what = f"{event.from_ or 'no account'} → {event.to}"
    until = f"{event.from_} exhausted until {_minute(event.exhausted_until)}" if event.exhausted_until else None
    hits = sorted(event.hits, key=lambda hit: hit.at)
    seen = [part for hit in hits for part in (el("code", hit.session), f"{hit.at:%H:%M:%S} ")]
    rejected = [el("li", el("code", name), f" was unusable: {redact(why)}") for name, why in event.rejected.items()]
    restarts = Counter(event.sessions.values())
    done = ", ".join(f"{words} ({count})" for words, count in sorted(restarts.items()))
    evidence = el(
        "td",
        el("p", redact(event.reason)),
        el("p", "Hits first seen: ", *seen, class_="seen quiet") if seen else None,
        el("ul", *rejected) if rejected else None,
        el("p", f"Actions on sessions: {done}", class_="quiet") if done else None,
    )
    what_cell = el("td", el("strong", what), el("p", until, class_="quiet") if until else None)
    return el("tr", el("td", _minute(event.at), class_="when"), what_cell, evidence, class_=event.outcome)


def _hours(hits: Sequence[Hit]) -> Iterator[Node]:
    if not hits:
        yield el("p", "None in this period.", class_="quiet")
        return
    counts = Counter((hit.session, hit.at.hour) for hit in hits)
    totals = Counter(hit.session for hit in hits)
    top = max(4, *counts.values())  # a single hit must not get the darkest color
    names = [name for name, _ in totals.most_common(MOST_ROWS)]
    head = el("tr", el("th", "Session", scope="col"), *(el("th", f"{h:02}", scope="col") for h in HOURS),
              el("th", "Total", scope="col"))  # fmt: skip
    rows = [
        el(
            "tr",
            el("th", name, scope="row"),
            *(_cell(counts[name, hour], top) for hour in HOURS),
            el("td", str(totals[name]), class_="all"),
        )
        for name in sorted(names)
    ]
    foot = Counter(hit.at.hour for hit in hits)
    sums = el("tr", el("th", "Total", scope="row"), *(el("td", str(foot[h] or ""), class_="all") for h in HOURS),
              el("td", str(len(hits)), class_="all"))  # fmt: skip
    table = el("table", el("thead", head), el("tbody", *rows), el("tfoot", sums), class_="hours")
    yield el("div", table, class_="wide", tabindex="0", role="region", aria_label="limit hits by session and hour")
    yield el("p", "Each hit counts in the hour of the day (UTC) in which a check first saw it. A hit without a swap or "
             "a wait counts only while its session shows it.", class_="quiet")  # fmt: skip


def _cell(count: int, top: int) -> Node:
    return el("td", str(count), class_=f"heat h{-(-4 * count // top)}") if count else el("td")


def _stalls(facts: Timeline) -> Iterator[Node]:
    if not facts.stalls:
        yield el("p", "None in the recorded history.", class_="quiet")
        return
    longest = sorted(facts.stalls, key=lambda span: span.seconds, reverse=True)[:10]
    yield el("p", "Time from the first check that saw a hit to the swap that handled it, and time when no account was "
             "free. Longest first:", class_="quiet")  # fmt: skip
    yield el(
        "ul", *(el("li", f"{durations.format(s.seconds)}, {_minute(s.start)} to {_minute(s.end)}") for s in longest)
    )


def _times(number: int) -> str:
    return {0: "never", 1: "once"}.get(number, f"{number} times")


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
