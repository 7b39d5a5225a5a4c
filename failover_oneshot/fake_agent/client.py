"""The fake agent: its keys, its answers and its screen."""

import argparse
import os
import re
import select
import signal
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

from failover_oneshot import __version__
from failover_oneshot.fake_agent.world import Records, account_of, append, exhausted

BANNER = " ▐▛███▛█   Claude Code v{version}\n▝▜██████▀  Fake agent · no model\n ▝▝   ▝▝   {cwd}"
KEYS = re.compile(r"\x1b\[200~(?P<paste>.*?)\x1b\[201~|\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.)|(?P<key>.)", re.DOTALL)
PASTE_BEGINS = "\x1b[200~"
LONG_PASTE = (800, 3)  # characters, line breaks; the box shows more of either as `[Pasted text #1 +9 lines]`


def reset_words(until: datetime, now: datetime) -> str:
    """A reset in Claude Code's words: `12:20pm (UTC)`, `8pm (UTC)`, or `Nov 26, 10:17am (UTC)` if over a day ahead."""
    clock = f"{until:%I:%M%p}".lstrip("0").lower().replace(":00", "")
    day = f"{until:%b} {until.day}, " if (until - now).total_seconds() > 24 * 3600 else ""
    return f"{day}{clock} (UTC)"


def block(glyph: str, text: str, width: int) -> list[str]:
    """A block as Claude Code draws it: wrapped to the width, with further lines under the start of the text."""
    indent = " " * len(glyph)
    lines: list[str] = []
    for line in text.split("\n"):
        lines += textwrap.wrap(line, width, initial_indent=indent if lines else glyph, subsequent_indent=indent) or [
            indent if lines else glyph
        ]
    return lines


class FakeAgent:
    """One fake agent: its conversation, the draft in its box, and what it waits for."""

    def __init__(self, options: argparse.Namespace, records: Records) -> None:
        self.options, self.records = options, records
        self.draft, self.pending = "", b""
        self.pastes: dict[str, str] = {}  # the box's token for a long paste, to its text
        self.working: tuple[float, str, str] | None = None  # until (monotonic), prompt, source
        self.waiting: tuple[datetime, str] | None = None  # when it continues automatically, and with which prompt
        self.hint, self.limit_until = "", ""
        self.leaving = False

    # Behavior.

    def submit(self, prompt: str, source: str, shown: str = "") -> None:
        """Send a message and start working on it. ``shown`` is the message as the screen shows it."""
        self.waiting, self.hint, self.limit_until = None, "", ""
        if source == "automatic":
            self.records.add("assistant", [("● ", "Usage limit reset · continuing automatically")])
        else:
            self.records.add("user", [("", ""), ("❯ ", shown or prompt)], content=prompt)
        self.working = (time.monotonic() + self.options.work, prompt, source)
        self.records.status("busy")

    def answer(self) -> None:
        """Finish the current message with a reply, a limit hit or an authentication error."""
        assert self.working is not None  # noqa: S101
        _, prompt, source = self.working
        self.working, now = None, datetime.now(UTC)
        account = account_of(self.options.claude_dir / ".credentials.json", refresh=self.options.refresh)
        until = exhausted(self.options.quota, account) if account else None
        result = "auth" if account is None else "hit" if until else "reply"
        if account is None:
            self.hint = "Once fixed, resend your message"
            self.records.add(
                "assistant",
                [("  ⎿  ", "OAuth token revoked · Please run /login")],
                isApiErrorMessage=True,
                error="authentication_failed",
                apiErrorStatus=403,
            )
        elif until:
            self._hit(until, prompt, now)
        else:
            done = f"Worked for {self.options.work:.0f}s · done {now:%I:%M %p}".replace("done 0", "done ")
            said = f"Message {sum(g == '❯ ' for g, _ in self.records.blocks)} answered on {account}."
            self.records.add("assistant", [("", ""), ("● ", said), ("", ""), ("✻ ", done)], stop="end_turn")
        if self.options.log:
            facts = {"at": now.isoformat(), "pid": os.getpid(), "pane": os.environ.get("TMUX_PANE", "")}
            append(self.options.log, facts | {"account": account, "prompt": prompt, "source": source, "result": result})
        self.records.status("idle")

    def _hit(self, until: datetime | str, prompt: str, now: datetime) -> None:
        drawn: list[tuple[str, str]] = [("  ⎿  ", "You've hit your 5-hour limit")]
        quota: dict[str, object] = {"status": "rejected", "rateLimitType": "five_hour"}
        if isinstance(until, datetime):
            words = reset_words(until, now)
            self.limit_until = words.removesuffix(" (UTC)")
            self.waiting = (until, prompt)
            quota["resetsAt"] = int(until.timestamp())
            drawn = [
                (drawn[0][0], f"{drawn[0][1]} · resets {words}"),
                ("", ""),
                ("● ", f"Usage limit reached · set to continue automatically at {self.limit_until}"),
            ]
        self.records.add(
            "assistant",
            drawn,
            isApiErrorMessage=True,
            error="rate_limit",
            apiErrorStatus=429,
            apiError="usage_limit_reached",
            quotaLimits=quota,
        )

    def read(self, data: bytes) -> None:
        """Process typed bytes. An incomplete character, key or paste is kept until the rest arrives."""
        data = self.pending + data
        text = data.decode(errors="ignore")
        cut = len(text)
        begun = text.rfind(PASTE_BEGINS)
        if begun > text.rfind("\x1b[201~"):
            cut = begun
        elif match := re.search(r"\x1b(\[[0-9;?]*)?$", text):
            cut = match.start()
        done = text[:cut].encode()
        self.pending = data[len(done) :] if data.startswith(done) else b""
        self._keys(text[:cut])

    def escape_pressed(self) -> None:
        """Treat an Escape without further bytes as the key itself."""
        if self.pending == b"\x1b":
            self.pending = b""
            if self.working:
                self.records.add("user", [("  ⎿  ", "Interrupted · What should the fake agent do instead?")])
                self.working = None
                self.records.status("idle")
            self.waiting = None

    def _keys(self, text: str) -> None:
        for match in KEYS.finditer(text):
            key = match["key"]
            if match["paste"] is not None:
                self.draft += self._pasted(match["paste"].replace("\r\n", "\n").replace("\r", "\n"))
            elif key == "\r":
                if self.draft.strip() and not self.working:
                    shown = prompt = self.draft
                    for token, pasted in self.pastes.items():
                        prompt = prompt.replace(token, pasted)
                    self.draft, self.pastes = "", {}
                    self.submit(prompt, "typed", shown)
            elif key in ("\x7f", "\b"):
                self.draft = self.draft[:-1]
            elif key == "\x15":
                self.draft = ""
            elif key == "\x04" or (key == "\x03" and not self.draft):
                self.leaving = True
            elif key == "\x03":
                self.draft = ""
            elif key is not None and (key >= " " or key in "\t\n"):
                self.draft += key

    def _pasted(self, text: str) -> str:
        """The text that a paste puts into the box."""
        lines = text.count("\n")
        if len(text) <= LONG_PASTE[0] and lines <= LONG_PASTE[1]:
            return text
        token = f"[Pasted text #{len(self.pastes) + 1}" + (f" +{lines} lines]" if lines else "]")
        self.pastes[token] = text
        return token

    # Screen.

    def screen(self, width: int, height: int) -> list[str]:
        """The lines of the whole pane, as many as it has rows."""
        home = str(Path.home())
        cwd = re.sub(rf"^{re.escape(home)}(?=/|$)", "~", str(Path.cwd()))
        top = ["", *BANNER.format(version=__version__, cwd=cwd).split("\n")]
        for glyph, text in self.records.blocks:
            top += block(glyph, text, width)
        if self.working:
            top += ["", "✻ Working… (esc to interrupt)"]
        status = []
        if self.limit_until:
            status.append(f"  ⚠ Usage limit reached · limit resets {self.limit_until}")
        if self.waiting:
            status.append(f"    Continuing automatically at {self.limit_until} · Esc to cancel")
        status.append("  ⏵⏵ auto mode on (shift+tab to cycle)" + (" · esc to interrupt" if self.working else ""))
        rule, hints = "─" * width, "◐ medium · /effort".rjust(width)
        bottom = [hints, rule, *block("❯ ", self.draft or self.hint, width), rule, *(s[:width] for s in status)]
        top = [line[:width] for line in top]
        top += [""] * (height - len(top) - len(bottom))
        return [*top, *bottom][-height:]

    def draw(self) -> None:
        """Draw the pane and its title."""
        size = os.get_terminal_size(1)
        title = f"{'◐' if self.working else '✳'} Claude Code"
        lines = self.screen(max(size.columns, 10), max(size.lines, 1))
        out = f"\x1b]2;{title}\x07\x1b[?2004h\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J"
        os.write(1, out.encode())

    def run(self) -> None:
        """Run until the operator exits or the pane is closed."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGWINCH, lambda *_: None)
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(self, "leaving", True))
        self.records.status("idle")
        if self.options.prompt:
            self.submit(self.options.prompt, "argument")
        while not self.leaving:
            self.draw()
            ready = select.select([0, woken], [], [], self._patience())[0]
            if woken in ready:
                os.read(woken, 4096)
            if 0 in ready:
                typed = os.read(0, 65536)
                if not typed:
                    break
                self.read(typed)
            elif not ready:
                self.escape_pressed()
            if self.working and time.monotonic() >= self.working[0]:
                self.answer()
            elif self.waiting and datetime.now(UTC) >= self.waiting[0]:
                self.submit(self.waiting[1], "automatic")

    def _patience(self) -> float | None:
        """Seconds until the next event that needs no key; None if there is none."""
        due = []
        if self.pending:
            due.append(0.05)
        if self.working:
            due.append(self.working[0] - time.monotonic())
        if self.waiting:
            due.append((self.waiting[0] - datetime.now(UTC)).total_seconds())
        return max(0.0, min(due)) if due else None
