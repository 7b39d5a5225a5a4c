"""The report of what detection reads in every recording and its variations: the tables of docs/detection.md.

`python -m verification.detection_report` prints them; `--write` also updates the page. Exit 1 if any text is misread.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.config.model import Quota
from failover_oneshot.detection import resets
from failover_oneshot.model import Kind, Reading
from tests.support.paths import DOCS
from tests.support.recordings import Recording, messages, panes, wordings
from verification.variations import Variation, as_bait, of_hit, of_pane

PAGE = DOCS / "detection.md"
BEGIN, END = "<!-- detection report: begin -->", "<!-- detection report: end -->"
QUOTA = Quota()
# Left out: by the daemon's rule for plain panes [daemon] its substrings count in any sentence there.
ARGUED = {
    "You've hit your limit of three retries in the loop, so the function gives up.",
    "Usage limit reached in the test fixture is now 5, as you asked.",
}


class Judged(Struct, frozen=True):
    """One text: its group and name, its true kind, its reading, and whether the reading is right."""

    group: str
    name: str
    truth: str
    reading: Reading
    good: bool


def judge(group: str, recording: Recording, variation: Variation) -> Judged:
    """Classify a variation and compare kind, limit and reset time with what the recording gives."""
    reading = classify(variation.text, variation.title, QUOTA)
    good = reading.kind == variation.truth
    if good and reading.kind is Kind.QUOTA:
        good = recording.limit in {None, reading.limit} and _same_instant(recording, reading)
    return Judged(group, f"{recording.name}, {variation.label}", variation.truth, reading, good)


def _same_instant(recording: Recording, reading: Reading) -> bool:
    if not recording.seen_at or not (recording.reset_text or recording.resets_at):
        return True
    found = resets.resolve(reading.reset_text or "", recording.seen_at, "UTC", reading.limit)
    if recording.resets_at:
        return found is not None and found.at == recording.resets_at
    wanted = resets.resolve(recording.reset_text or "", recording.seen_at, "UTC", reading.limit)
    return found is not None and wanted is not None and found.at == wanted.at


def as_recorded() -> Iterator[Judged]:
    """Judge the recordings themselves, and each wording as a pane."""
    for group, recordings in (("panes", panes()), ("messages", messages()), ("wordings", wordings())):
        for recording in recordings:
            if recording.text not in ARGUED:
                as_it_is = Variation("as it is", recording.text, recording.truth, recording.title)
                yield judge(group, recording, as_it_is)


def client_messages() -> list[Recording]:
    """The messages of Claude Code that are recorded bare, without a glyph or a screen around them."""
    found = [m for m in messages() if "\n" not in m.text and m.text[0] not in "⎿ ●⏺❯├|⚠"]
    return [m for m in (*found, *wordings()) if m.truth != "ok"]


def varied() -> Iterator[Judged]:
    """Judge every recording in other surroundings, and every hit quoted as bait."""
    for pane in panes():
        yield from (judge(f"pane {v.label}", pane, v) for v in of_pane(pane))
    for message in client_messages():
        yield from (judge(f"message {v.label}", message, v) for v in of_hit(message))
        if message.truth in {Kind.QUOTA, Kind.BILLING}:
            yield from (judge(f"bait: {v.label}", message, v) for v in as_bait(message.text))


def matrix(judged: Iterable[Judged]) -> list[str]:
    """The confusion matrix in Markdown: a row for each true kind, a column for each kind that was read."""
    counts = Counter((j.truth, str(j.reading.kind)) for j in judged)
    kinds = [str(kind) for kind in Kind if any(str(kind) in pair for pair in counts)]
    lines = ["| truth \\ read as | " + " | ".join(kinds) + " |", "| --- |" + " ---: |" * len(kinds)]
    for truth in kinds:
        lines.append(f"| {truth} | " + " | ".join(str(counts[truth, kind] or "·") for kind in kinds) + " |")
    return lines


def report() -> tuple[list[str], list[Judged]]:
    """The lines of the page's tables, and the misread texts."""
    plain, variations = list(as_recorded()), list(varied())
    lines = [
        "As recorded: " + ", ".join(f"{n} {group}" for group, n in Counter(j.group for j in plain).items()) + ".",
        "",
    ]
    lines += [*matrix(plain), "", f"In {len(variations)} variations:", "", *matrix(variations), ""]
    lines += ["| variation | texts | misread |", "| --- | ---: | ---: |"]
    totals = Counter(j.group for j in variations)
    wrong = Counter(j.group for j in variations if not j.good)
    widths = [group for group in totals if group.startswith("pane at ")]
    lines.append(f"| pane at {len(widths)} widths from {widths[0].split()[2]} to {widths[-1].split()[2]} columns "
                 f"| {sum(totals[g] for g in widths)} | {sum(wrong[g] for g in widths)} |")  # fmt: skip
    lines += [f"| {group} | {totals[group]} | {wrong[group]} |" for group in totals if group not in widths]
    return lines, [j for j in (*plain, *variations) if not j.good]


def main() -> int:
    """Print the tables and the misread texts; exit code 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="also write the tables into docs/detection.md")
    options = parser.parse_args()
    lines, misread = report()
    sys.stdout.write("\n".join(lines) + "\n")
    for j in misread:
        mistake = f"{j.truth} read as {j.reading.kind} ({j.reading.limit}, {j.reading.reset_text}) [{j.reading.rule}]"
        sys.stdout.write(f"MISREAD {j.name}: {mistake}\n")
    if options.write:
        head, _, rest = PAGE.read_text().partition(BEGIN)
        tail = rest.partition(END)[2]
        PAGE.write_text("\n".join([f"{head}{BEGIN}", *lines, f"{END}{tail}"]))
    return int(bool(misread))


if __name__ == "__main__":
    sys.exit(main())
