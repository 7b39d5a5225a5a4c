"""Variations of the recordings: other widths, other surroundings, and quoted messages (bait) that are not hits.

A variation is a label, a pane's text, its title, and the kind that it must be read as.
"""

import re
import textwrap
from collections.abc import Iterator

from msgspec import Struct

from tests.support.recordings import Recording

WIDTHS = (40, 44, 48, 52, 56, 60, 66, 72, 78, 84, 90, 96, 100, 110, 130, 160, 200, 240, 320, 500)

STATUS_LINES = (
    "  Opus 4.8 1M | automation-monorepo@dev | 5h 100% @02:00 | v2.1.201",
    "  current ●●●●●●●●●● 100%  ⟳ resets in 1 hr 47 min",
    "  🤖 Opus | 💰 $0.23 session / $1.23 today / $0.45 block (2h 45m left) | 🔥 $0.12/hr",
    "  [ops] 5-hour limit 88% · weekly limit 41% · usage limit resets Mon",
)
ANSWERED = "❯ what is in the file?\n\n● It holds the parser.\n\n✻ Brewed for 3s · done 10:02 AM\n\n"
HEALTHY_TURN = "❯ go on then\n\n● Both files are done and the tests pass.\n\n✻ Brewed for 12s · done 10:34 AM\n"
FOREIGN = (
    "❯ テストを実行して、失敗を直してください\n\n● まずテストを見ます。使用量の上限には達していません。\n\n",
    "❯ répare l'analyseur, s'il te plaît\n\n● J'ai atteint la fin du fichier, pas la limite d'utilisation.\n\n",
    "❯ أصلح المحلل من فضلك\n\n● سأقرأ الملف أولاً.\n\n",
)

_PREFIX = re.compile(r"\s*(?:[❯●⏺⎿✻✽✶▎⚠] +)?")
_RULE = re.compile(r"[╭╰]?[─▔]{6,}[╮╯]?")


class Variation(Struct, frozen=True):
    """A pane that was not recorded, and the kind that it must be read as."""

    label: str
    text: str
    truth: str
    title: str = ""


def rewrap(text: str, old: int, new: int) -> str:
    """The pane as the agent would lay it out at another width: paragraphs rejoined and wrapped, rules redrawn."""
    paragraphs: list[tuple[str, str]] = []  # prefix, words
    previous = ""
    for line in text.split("\n"):
        match = _PREFIX.match(line)
        prefix = match[0] if match else ""
        words = line[len(prefix) :].rstrip()
        first = len(words.partition(" ")[0])
        wrapped = previous and words and prefix.isspace() and len(previous) + 1 + first > old
        if wrapped and not _RULE.match(words) and not _RULE.match(previous.strip()):
            paragraphs[-1] = (paragraphs[-1][0], f"{paragraphs[-1][1]} {words}")
        else:
            paragraphs.append((prefix, words))
        previous = line.rstrip()
    return "\n".join(line for prefix, words in paragraphs for line in _laid_out(prefix, words, new))


def _laid_out(prefix: str, words: str, width: int) -> list[str]:
    if _RULE.fullmatch(words):
        return [words[0] + words[1] * (width - 2) + words[-1]]
    if words[0:1] == "│" == words[-1:]:
        return [f"│{words[1 : width - 1].rstrip('│ '):<{width - 2}}│"]
    if re.search(r"\S {4,}\S", words):  # left and right: cut off
        line = prefix + words
        return [line if len(line) <= width else f"{line[: width - 1]}…"]
    if len(prefix) > 20:  # right-aligned
        return [words[: width - 1].rjust(width)]
    wrapped = textwrap.wrap(
        words, width, initial_indent=prefix, subsequent_indent=" " * len(prefix), break_on_hyphens=False
    )
    return wrapped or [prefix.rstrip()]


def box(draft: str = "", width: int = 80, status: str = "  ⏵⏵ auto mode on (shift+tab to cycle)") -> str:
    """The input box and the status area."""
    lines = textwrap.wrap(draft, width - 2, subsequent_indent="  ") or [""]
    return "\n".join(["─" * width, f"❯ {lines[0]}", *(f"  {line.strip()}" for line in lines[1:]), "─" * width, status])


def legacy_box(draft: str = "", width: int = 80) -> str:
    """The input box of older versions of Claude Code."""
    inner = width - 4
    return "\n".join(
        [f"╭{'─' * (width - 2)}╮", f"│ > {draft:<{inner - 2}} │", f"╰{'─' * (width - 2)}╯", "  ? for shortcuts"]
    )


def of_pane(recording: Recording) -> Iterator[Variation]:
    """The variations of a whole recorded pane: most keep its kind, some end its hit."""
    same = recording.truth, recording.title
    for width in WIDTHS:
        yield Variation(f"at {width} columns", rewrap(recording.text, recording.cols, width), *same)
    for line in STATUS_LINES:
        yield Variation(f"under the status line {line.split()[0]}", f"{recording.text.rstrip()}\n{line}", *same)
    yield Variation("under four status lines", "\n".join([recording.text.rstrip(), *STATUS_LINES]), *same)
    yield Variation("after a resumed conversation", ANSWERED + recording.text, *same)
    for number, talk in enumerate(FOREIGN):
        yield Variation(f"after talk in another language ({number})", talk + recording.text, *same)
    yield Variation("in a tall window", "\n" * 150 + recording.text, *same)
    yield Variation("with trailing blanks", "\n".join(f"{line}   " for line in recording.text.split("\n")), *same)
    head = _conversation(recording.text)
    if recording.truth == "quota":
        yield Variation("then a healthy turn", f"{head}\n\n{HEALTHY_TURN}\n{box()}", "ok", recording.title)
        yield Variation("with the agent at work again", recording.text, "ok", "◐ Claude Code")
        menu = (
            "▔" * recording.cols
            + "\n   What do you want to do?\n\n   ❯ 1. Stop and wait for limit to reset\n     2. Upgrade"
        )
        yield Variation("behind the menu", f"{head}\n\n{menu}\n\n   Enter to confirm · Esc to cancel", *same)
    if recording.truth == "ok":
        ask = " Do you want to proceed?\n ❯ 1. Yes\n   2. No, and tell Claude what to do differently (esc)"
        yield Variation("behind a permission", f"{head}\n\n{'─' * recording.cols}\n{ask}", *same)


def _conversation(text: str) -> str:
    """The part of the pane above the input box."""
    lines = text.rstrip().split("\n")
    rules = [n for n, line in enumerate(lines) if _RULE.fullmatch(line.strip())]
    end = rules[-2] if len(rules) >= 2 else rules[-1] if rules else len(lines)
    above = [line for line in lines[:end] if "· /effort" not in line]
    return "\n".join(above).rstrip()


def of_hit(message: Recording) -> Iterator[Variation]:
    """The variations of a message in the places where the agent shows it: its kind stays."""
    text = message.text
    under = text.replace("\n", "\n     ")
    inside = text.replace("\n", "\n  ")
    for width in (40, 80, 200):
        framed = f"❯ go on\n  ⎿  {under}\n\n{box(width=width)}"
        yield Variation(f"under the prompt at {width}", rewrap(framed, 1000, width), message.truth)
        framed = f"❯ go on\n\n● {inside}\n\n{box(width=width)}"
        yield Variation(f"in a separate block at {width}", rewrap(framed, 1000, width), message.truth)
    yield Variation("after a tool call", f"❯ go on\n\n● Bash(make)\n  ⎿  done\n  ⎿  {under}\n\n{box()}", message.truth)
    yield Variation("in an older version", f"> go on\n  ⎿  {under}\n\n{legacy_box()}", message.truth)
    yield Variation("with a draft", f"❯ go on\n  ⎿  {under}\n\n{box('and when does it reset?')}", message.truth)
    todo = "  3 tasks (1 done, 1 in progress, 1 open)\n  ◼ read\n  □ write\n  ✓ look"
    yield Variation("with a to-do list below", f"❯ go on\n  ⎿  {under}\n\n{todo}\n\n{box()}", message.truth)
    yield Variation("with a queued prompt", f"❯ go on\n  ⎿  {under}\n\n❯ then the docs\n\n{box()}", message.truth)
    yield Variation("in a resumed conversation", f"{ANSWERED}❯ go on\n  ⎿  {under}\n\n{box()}", message.truth)
    yield Variation("in print mode", f"$ claude -p 'go on'\n{text}", message.truth)
    yield Variation("in print mode, back at the shell", f"$ claude -p 'go on'\n{text}\n$ ", message.truth)


CLOSED = "✻ Baked for 3s · done 10:32 AM"
# Screens on which somebody only quotes a message: @ is its place, the input box follows.
BAIT = {
    "a tool's result": f"""❯ look\n
● Bash(tail log)
  ⎿  @\n
● That was the old run.\n
{CLOSED}""",
    "a tool's result, no answer yet": """❯ look\n
● Bash(tail log)
  ⎿  @""",
    "a long tool's result": f"""❯ look\n
● Bash(tail log)
  ⎿  one
     @
     … +12 lines (ctrl+o to expand)\n
● That was the old run.\n
{CLOSED}""",
    "a search's result": """❯ look\n
● Search(pattern: "limit", path: "log")
  ⎿  Found 1 line
     log:12: @""",
    "a diff": f"""❯ fix it\n
● Update(screen.py)
  ⎿  Updated screen.py with 1 addition
       10    text = (
       11 +      @
       12    )\n
● Added.\n
{CLOSED}""",
    "a diff, no answer yet": """❯ fix it\n
● Update(screen.py)
  ⎿  Updated screen.py with 1 addition
       10    text = (
       11 +      @
       12    )""",
    "a code block": f"""❯ show me\n
● The test reads:\n
  def test():
      text = (
          @
      )\n
{CLOSED}""",
    "a log that the agent prints": f"""❯ show me\n
● 2026-11-20 12:00:01 worker-3 @
  2026-11-20 12:00:02 worker-3 exit\n
{CLOSED}""",
    "a sentence": f"""❯ why?\n
● The pane showed “@” and then nothing.\n
{CLOSED}""",
    "a sentence, cut off": """❯ why?\n
● The pane showed “@” and then nothing.""",
    "a list": f"""❯ which?\n
● These count:\n
  - @
  - and its variants\n
{CLOSED}""",
    "a quotation": f"""❯ which?\n
● The report says:\n
  ▎ @\n
  and no more.\n
{CLOSED}""",
    "a quotation of the agent's screen": """❯ which?\n
● It shows:\n
  ❯ go on
    ⎿  @\n
  and then waits.""",
    "a quotation of the agent's screen, set off": """❯ which?\n
● It prints this:\n
  ⎿  @
     /upgrade to increase your usage limit.\n
  So I search for that text.""",
    "a table": f"""❯ which?\n
● Seen so far:\n
  │ pool-3 │ @ │ done │\n
{CLOSED}""",
    "a separate paragraph": f"""❯ look at the log\n
● I read it.\n
  @\n
  That line comes from the other machine.\n
{CLOSED}""",
    "a prompt": """❯ @\n
● That is what the client prints when the quota is used up.""",
    "a subagent's report": f"""❯ ask it\n
● Task(look at the log)
  ⎿  Done (3 tool uses · 12k tokens · 20s)\n
● The agent found: @\n
{CLOSED}""",
    "a to-do list": f"""❯ plan\n
● Planned.\n
  3 tasks (1 done, 2 open)
  ✓ read
  □ detect “@”
  □ test\n
{CLOSED}""",
    "a shell line's output": """! tail log
  ⎿  @""",
}


def as_bait(needle: str) -> Iterator[Variation]:
    """The variations in which somebody only quotes a message: always `ok`."""
    line = " ".join(needle.split())
    for label, template in BAIT.items():
        yield Variation(label, f"{ANSWERED}{template.replace('@', line)}\n\n{box()}", "ok")
    yield Variation("a draft", f"{ANSWERED}{box(line)}", "ok")
    yield Variation("a draft in an older version", f"> hello\n\n⏺ Hello.\n\n{legacy_box(line[:70])}", "ok")
    editor = f"def test():\n    text = (\n        '{line}'\n    )\n    assert classify(text)\n\n    return text\n~\n~"
    yield Variation("an editor in a plain pane", f"{editor}\n-- INSERT --", "ok")
