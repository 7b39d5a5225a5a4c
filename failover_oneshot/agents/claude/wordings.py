"""The wordings of Claude Code's messages, as one table (sources: docs/detection.md, "Wordings"). Pure.

A pattern matches at the start of a block's text, in lower case and with normalized apostrophes and separators
(`normalise`). The first matching row decides. To add a wording, add a row with an example, and a recorded pane in
`tests/panes/<truth>/`. An operator can add `quota.extra_patterns`.
"""

import re
from functools import cache
from typing import Final

from msgspec import Struct

from failover_oneshot.model import Kind, Limit


class WordingRow(Struct, frozen=True):
    """One wording: the rule's name, its kind, an anchored regular expression, an example and its source.

    ``keys``: every matching text contains one of these. They are searched first, so that a healthy screen compiles
    hardly any expression. ``typed``: the error states its own type, so words of a server error in it do not veto it.
    """

    name: str
    kind: Kind
    keys: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""
    source: str = "messages.json"
    typed: bool = False


Q, B, A, S, W, O = Kind.QUOTA, Kind.BILLING, Kind.AUTH, Kind.SERVER_ERROR, Kind.WARNING, Kind.OK  # noqa: E741

# A few words without a separator; bounded, so that no text can make it backtrack far.
SOME: Final = r"[^·.|,]{0,40}?"
# A message of Claude Code ends here or continues after a separator; prose with the same first words does not.
END: Final = (
    r"(?=$| ?[·|]|,? (?:resets?|try again|raise it|please|your)\b|\.$|: | /"
    r"|\. (?:·|your|resets?|please|try|it|add|you|run|switch|see|contact|ask|upgrade|workflow|/))"
)
# The name of a window's limit: one or more of these words.
WINDOW: Final = (
    r"(?:(?:claude|ai|code|pro|max|team|plan usage|usage|extra usage|5-hour|five-hour|session|daily|weekly|7-day|monthly"
    r"|opus|sonnet|haiku|fable)(?: \d(?:\.\d)?)? ){1,4}limit"
)
API: Final = r"(?:api error: (?:\d{3} )?)?"

TABLE: Final = (
    WordingRow("over.reset", O, ("limit reset",), r"usage limit reset\b", "Usage limit reset · continuing automatically"),
    WordingRow("over.table", O, ("|",), r"\|", "| pool-3 | quota | You've hit your session limit · resets 9pm (UTC) | done |"),
    # Warnings come before hits, because many of them say "limit reached" as well.
    WordingRow("warning.used", W, ("you've used",), r"you've used \d{1,3} ?%", "You've used 91% of your 5-hour limit · resets 1:49pm (UTC)", "x-warn-80x24"),
    WordingRow("warning.share", W, ("% of your",), r"\d{1,3}% of your .{0,40}(?:used|consumed)", "85% of your daily usage consumed"),
    WordingRow("warning.approaching", W, ("approaching",), rf"approaching {SOME}\b(?:limit|spending cap)", "Approaching usage limit · resets at 7pm"),
    WordingRow("warning.close", W, ("you're ",), rf"you're (?:close to|near|nearing) {SOME}\blimit", "You're close to your usage limit"),
    WordingRow("warning.credits", W, ("now using",), r"(?:you're )?now using (?:usage credits|extra usage)",
        "You're now using usage credits · Your weekly limit resets Monday", "x-using_overage-80x24"),
    WordingRow("warning.fallback", W, ("now using",), rf"{SOME}\blimit reached[ ,·]{{1,4}}(?:you're )?now using ",
        "Claude Opus 4 limit reached, now using Sonnet 4"),
    WordingRow("warning.fast", W, ("fast ",), r"(?:you've hit your fast limit|fast limit reached|fast mode disabled)",
        "You've hit your fast limit · resets 3pm", "wordings.json"),
    WordingRow("quota.hit-your", Q, ("you've ",), rf"you've (?:hit|reached|exceeded) your {SOME}(?:\blimit|\bbudget){END}",
        "You've hit your 5-hour limit · resets 12:20pm (UTC)", "hit-5h-2h-80x24"),
    WordingRow("quota.out-of", Q, ("you're out",), rf"you're out of (?:extra usage|usage credits|usage|credits){END}",
        "You're out of usage credits · resets 12:21pm (UTC)", "hit-overage-out-80x24"),
    WordingRow("quota.org-out", Q, ("is out of",), rf"your org(?:anization)? is out of (?:extra usage|usage credits|usage){END}",
        "Your org is out of usage · add funds to continue"),
    WordingRow("quota.window-reached", Q, ("limit reached",), rf"{WINDOW} reached(?: again(?: after you continued)?)?{END}", "5-hour limit reached ∙ resets 3am"),
    WordingRow("quota.any-reached", Q, ("limit reached",), r"(?!rate|context|fast)[a-z]{1,20}(?: \d(?:\.\d)?)? limit reached · (?:resets?|continuing) ",
        "Mythos limit reached · continuing on Fable 5.1 uses usage credits", "wordings.json"),
    WordingRow("quota.admin", Q, ("contact an admin",), rf"{WINDOW} (?:reached|resets .{{1,40}}?) · contact an admin",
        "Weekly limit resets Oct 9, 4pm ∙ contact an admin to keep working", "wordings.json"),
    WordingRow("quota.limit-admin", Q, ("contact an admin",), r"limit reached · contact an admin", "Limit reached – contact an admin to keep working", "wordings.json"),
    WordingRow("quota.cap", Q, ("spending cap",), r"(?:you've hit your )?spending cap reached\b", "Spending cap reached ∙ resets Oct 9, 4pm", "wordings.json"),
    WordingRow("quota.goal", Q, ("goal paused",), r"goal paused · usage limit reached",
        "Goal paused · usage limit reached · continues automatically when it resets", "wordings.json"),
    WordingRow("quota.usage-resets", Q, ("limit · resets",), r"(?:usage|session|weekly|5-hour) limit · resets\b", "usage limit · resets in: 3 hours"),
    WordingRow("quota.auto-stopped", Q, ("automatic continue",), r"automatic continue stopped (?:after repeated usage.limit hits|· the usage limit)",
        "Automatic continue stopped after repeated usage-limit hits · /rate-limit-options to try again"),
    WordingRow("quota.api-limits", Q, ("api usage limits",), rf"{API}you have reached your specified api usage limits",
        "API Error: 400 You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        "x-key_spend400-80x24", typed=True),
    WordingRow("quota.typed", Q, ("rate_limit_error",), rf"{API}\{{.{{0,200}}rate_limit_error.{{0,200}}(?:account|usage limit)(?!.{{0,200}}per.minute)",
        'API Error: 429 {"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your '
        'account\'s rate limit."}}', "wordings.json", typed=True),
    WordingRow("quota.try-again-hours", Q, ("please try again",), r"please try again in \d{1,2} hours?", "Please try again in 5 hours"),
    WordingRow("billing.credit", B, ("credit balance",), rf"{API}(?:\{{.{{0,200}})?(?:your )?credit balance (?:is )?too low",
        "Credit balance too low · Add funds: https://platform.claude.com/settings/billing", "x-credit400-80x24"),
    WordingRow("auth.login", A, ("log", "api key", "oauth", "your account"), rf"{API}(?:login expired|not logged in|please run /login|invalid api key|oauth token (?:has|is|revoked)|"
        r"oauth authentication|could not refresh your login|failed to refresh oauth|"
        r"your account (?:is on hold|does not have access|has been disabled))", "OAuth token revoked · Please run /login",
        "http403-revoked-80x24"),
    WordingRow("auth.status", A, ("api error",), r"api error: 40[13]\b", "API Error: 401 Invalid authentication credentials", "v2.1.76-http401-120x40"),
    WordingRow("error.not-usage", S, ("temporarily limiting",), rf"{API}server is temporarily limiting requests",
        "API Error: Server is temporarily limiting requests (not your usage limit)", "http429-plain-80x24"),
    WordingRow("ok.request", O, ("api error",), r"api error: 4(?!29|08)\d\d\b", "API Error: 402 trial budget exhausted"),
    WordingRow("ok.other-client", O, ("[api error",), r"\[api error", "[API Error: RESOURCE_EXHAUSTED: Quota exceeded for quota metric]"),
    WordingRow("error.api", S, ("api error",), r"api error\b", "API Error: 529 Overloaded", "x-err529-80x24"),
    WordingRow("error.retrying", S, ("retrying in",), r"\d{3} .{0,200}retrying in", "529 Overloaded · retrying in 1s · attempt 4/10",
        "http529-retrying-80x24"),
    WordingRow("error.json", S, ('{"type":"error"',), r"(?:429|5\d\d) \{\"type\":\"error\"", '529 {"type":"error","error":{"type":"overloaded_error"', "wordings.json"),
    WordingRow("error.connection", S, ("connect", "api returned", "timed out", "repeated"), r"(?:unable to connect to api|api returned an empty|request timed out|connection error|repeated \d{3} )",
        "Unable to connect to API (ECONNREFUSED)"),
    WordingRow("error.load", S, ("high load",), r".{0,40}is experiencing high load", "Fable is experiencing high load. Switch to Sonnet."),
    WordingRow("error.per-minute", S, ("limit reached", "rate limited"), r"(?:rate limit reached\b|goal paused · the request was rate limited)",
        "Rate limit reached. Please try again in 60s."),
)  # fmt: skip

# Notices that the agent continues: an older hit in the same turn no longer counts.
GOES_ON: Final = {"warning.credits", "warning.fallback"}

# Hints that Claude Code adds below a hit: they are neither a hit nor the end of one.
HINTS: Final = (
    "automatic continue cancelled",
    "automatic continue stopped · your login",
    "/login to switch",
    "/upgrade",
    "/usage-credits",
    "/rate-limit-options",
    "/extra-usage",
)

_LIMITS: Final = (
    ("spend limit", Limit.SPEND), ("budget", Limit.SPEND), ("spending cap", Limit.SPEND),
    ("individual usage limit", Limit.SPEND), ("monthly usage limit", Limit.SPEND), ("api usage limits", Limit.SPEND),
    ("out of extra usage", Limit.OVERAGE), ("out of usage", Limit.OVERAGE), ("out of credits", Limit.OVERAGE),
    ("opus", Limit.SEVEN_DAY_OPUS), ("sonnet", Limit.SEVEN_DAY_SONNET), ("weekly", Limit.SEVEN_DAY),
    ("7-day", Limit.SEVEN_DAY), ("5-hour", Limit.FIVE_HOUR), ("session limit", Limit.FIVE_HOUR),
    ("fable", Limit.MODEL), ("haiku", Limit.MODEL), ("model limit", Limit.MODEL),
)  # fmt: skip


def is_hint(text: str) -> bool:
    """Whether a normalized text is one of these hints."""
    return text.startswith(HINTS)


def without_hints(message: str) -> str:
    """A message without the commands that Claude Code offers below it, because they vary."""
    cut = [at for hint in HINTS if hint[0] == "/" and (at := message.find(f" {hint}")) > 0]
    return message[: min(cut)] if cut else message


_KEYED: Final = tuple((row, key) for row in TABLE for key in row.keys)  # a loop with `any` takes ten times as long


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def match(text: str) -> tuple[WordingRow, str] | None:
    """The first row that matches the start of a normalized text, and the matched words; None if none does."""
    head = text[:800]
    for row, key in _KEYED:
        if key in head and (found := _compiled(row.pattern).match(head)):
            return row, found[0]
    return None


def limit_of(message: str) -> Limit:
    """The limit that a normalized message names before its reset, else unknown."""
    head = re.split(r"\bresets?\b", message, maxsplit=1)[0]
    if "spend limit" in head or "budget" in head:
        return Limit.SPEND
    named = [(head.find(word), limit) for word, limit in _LIMITS if word in head]
    if named:
        return min(named)[1]
    found = re.match(r"you've (?:hit|reached) your (\w+) limit", head)
    return Limit.MODEL if found and found[1] not in {"usage", "daily", "monthly", "plan"} else Limit.UNKNOWN
