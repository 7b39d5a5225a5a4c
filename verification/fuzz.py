"""The fuzzer: random input for everything that reads config, state, panes, records, credentials or command lines.

    python -m verification.fuzz [--minutes N] [--seed S] [TARGET …]

Each target damages real input (the example, the recorded panes, a real state) or makes up its own. The docstring of a
target says what may come out. Anything else is a violation: it is printed with its input, and the exit code is 1.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from failover_oneshot import check, cli
from failover_oneshot.accounts import env, registry
from failover_oneshot.accounts.claude.store import read_store
from failover_oneshot.agents.claude import transcript
from failover_oneshot.agents.claude.classify import classify
from failover_oneshot.config import loader, model
from failover_oneshot.config.loader import ConfigError
from failover_oneshot.config.model import Account, Config, Quota
from failover_oneshot.ctl.demo import sandbox
from failover_oneshot.detection import resets
from failover_oneshot.model import Reading
from failover_oneshot.state.model import State
from failover_oneshot.state.store import StateStore, StoreError
from failover_oneshot.tmux.formats import FIELDS, parse_listing
from tests.support.builders import FULL
from tests.support.paths import ROOT

NOW = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)
VALUE = "FAKE-9f8e7d6c5b4a39281706"
SLOW = 5.0  # seconds; an input that takes longer could be made to take any time
EXAMPLES = 300  # inputs of one target in a row

PANES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests/panes").glob("*/*.txt"))]
EXAMPLE = (ROOT / "etc/failover.yaml").read_text(encoding="utf-8")

JUNK = st.text(max_size=20) | st.sampled_from(
    ["", "\0", "\ud800", "…", "{", "9" * 400, "~", "$X", "-1", "1e999", "null"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | JUNK | st.sampled_from(["2026-11-24T10:00:00Z", "10m"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(JUNK, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged_text(draw: st.DrawFn, texts: list[str]) -> str:
    """One of the texts with some pieces removed, doubled or replaced."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 1, 2, 10, 80, 1000])))
        new = draw(JUNK | st.just(text[start:end] * 2) | st.sampled_from(texts).map(lambda t: t[:200]))
        text = text[:start] + new + text[end:]
    return text


@st.composite
def damaged_value(draw: st.DrawFn, whole: Any) -> Any:
    """A copy of nested dicts and lists in which some values are replaced, removed or under another key."""
    value = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        place = value
        while isinstance(place, dict | list) and place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
            inner = place[key]
            if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
                what = draw(st.sampled_from(["replace", "remove", "rename"]))
                if what == "replace" or isinstance(place, list):
                    place[key] = draw(VALUES)
                else:
                    del place[key]
                    if what == "rename":
                        place[draw(JUNK)] = inner
                break
            place = inner
    return value


def dumped(value: Any) -> bytes:
    """The value as JSON bytes, even if it has strings that are not valid Unicode."""
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")


CONFIG: dict[str, Any] = {
    **yaml.safe_load(EXAMPLE),
    "accounts": [{"name": "main", "store": "/s", "env": {"TOKEN": VALUE}}],
}
STATE: dict[str, Any] = json.loads(msgspec.json.encode(FULL))


class Places:
    """The throwaway folder of this run."""

    folder = Path()


def scratch(name: str, content: bytes) -> Path:
    """The path of a new private file (mode 0600) with that content."""
    path = Places.folder / name
    path.write_bytes(content)
    path.chmod(0o600)
    return path


CONFIGS = (
    st.binary(max_size=200)
    | damaged_text([EXAMPLE]).map(lambda text: text.encode(errors="surrogatepass"))
    | damaged_value(CONFIG).map(dumped)
    | VALUES.map(dumped)
)


@given(CONFIGS)
def fuzz_config(content: bytes) -> None:
    """A Config, or one-line problems that name the file and contain no value of `env`."""
    path = scratch("failover.yaml", content)
    problems: tuple[str, ...] = ("",)
    try:
        loader.load(path, {"HOME": "/home/x"})
    except ConfigError as error:
        problems = error.problems or ("no problem was reported",)
    for problem in filter(None, problems):
        assert problem.startswith(str(path)), problem
        assert "\n" not in problem, problem
        assert VALUE not in problem, problem


@given(st.binary(max_size=200) | damaged_value(STATE).map(dumped) | VALUES.map(dumped))
def fuzz_state(content: bytes) -> None:
    """A report of a dry run, or an error that refuses the file; the file does not change."""
    shutil.rmtree(Places.folder / "state", ignore_errors=True)
    (Places.folder / "state").mkdir(mode=0o700)
    path = scratch("state/state.json", content)
    whole = Config(
        accounts=tuple(Account(name=name, store=str(Places.folder / name)) for name in ("main", "backup")),
        swap=model.Swap(claude_dir=str(Places.folder / ".claude"), claude_json=str(Places.folder / ".claude.json")),
        tmux=model.Tmux(socket_path=str(Places.folder / "no-server")),
    )
    said = "newer version"
    try:
        check.check(whole, path, dry_run=True, environ={"PATH": os.environ["PATH"]})
    except StoreError as error:
        said = str(error)
    assert "newer version" in said
    assert path.read_bytes() == content
    store = StateStore(path, 1)
    with contextlib.suppress(StoreError):
        loaded = store.load(NOW, quarantine=False)
        store.save(loaded.state)
        assert StateStore(path, 1).load(NOW, quarantine=False).state == loaded.state


@given(damaged_text(PANES) | st.text(), st.text(max_size=20), st.lists(JUNK.filter(str.strip), max_size=2))
def fuzz_pane(text: str, title: str, extra: list[str]) -> None:
    """A reading with a one-line snippet; its reset text, if any, resolves to an instant or to None."""
    reading = classify(text, title, Quota(extra_patterns=tuple(p for p in extra if not p.startswith("/"))))
    assert isinstance(reading, Reading)
    assert len(reading.snippet or "") <= 130
    assert "\n" not in (reading.snippet or "")
    if reading.reset_text:
        resets.resolve(reading.reset_text, NOW, "Europe/Paris", reading.limit)


@given(
    st.text(max_size=80) | damaged_text(["resets 8pm (Europe/Paris)", "try again in 3 hours", "resets Nov 25, 9:30am"])
)
def fuzz_reset(text: str) -> None:
    """An instant with a time zone, or None."""
    for part in resets.extract_all(text):
        found = resets.resolve(part, NOW, "UTC")
        assert found is None or found.at.tzinfo is not None


RECORD = {
    "type": "assistant", "uuid": "aaaa-1", "timestamp": "2026-11-24T09:59:00Z", "isApiErrorMessage": True,
    "error": "rate_limit", "apiErrorStatus": 429, "quotaLimits": {"status": "rejected", "resetsAt": 1795521600},
    "message": {"model": "<synthetic>", "content": [{"type": "text", "text": "You've hit your limit · resets 8pm"}]},
}  # fmt: skip


@given(st.lists(st.binary(max_size=60) | damaged_value(RECORD).map(dumped) | VALUES.map(dumped), max_size=5))
def fuzz_record(lines: list[bytes]) -> None:
    """A reading, or None."""
    found = transcript._newest(b"\n".join(lines))
    assert found is None or isinstance(found, Reading)


@given(
    st.binary(max_size=100) | damaged_value({**sandbox.credentials("main"), "mcpOAuth": {}}).map(dumped),
    VALUES.map(dumped),
)
def fuzz_credentials(kept: bytes, who: bytes) -> None:
    """A usable store, or a problem without a secret; the live files are read without an error."""
    folder = Places.folder / "main"
    folder.mkdir(exist_ok=True, mode=0o700)
    scratch("main/.credentials.json", kept)
    scratch("main/oauthAccount.json", who if len(who) % 2 else dumped(sandbox.identity("main")))
    problem = read_store(Account(name="main", store=str(folder))).problem
    assert sandbox.MARK not in (problem or "")
    (Places.folder / ".claude").mkdir(exist_ok=True)
    scratch(".claude/.credentials.json", kept)
    scratch(".claude.json", who)
    swap = model.Swap(claude_dir=str(Places.folder / ".claude"), claude_json=str(Places.folder / ".claude.json"))
    whole = Config(accounts=(Account(name="main", store=str(folder)),), swap=swap)
    registry.method(whole, Places.folder, State()).live_account()


@given(st.text(max_size=60) | damaged_text(['export A=\'x y\'\nB="a\\"b" # c\n# d\nC=plain\n']))
def fuzz_env_file(text: str) -> None:
    """Variables, or a one-line error."""
    said = ""
    try:
        env.parse(text)
    except ValueError as error:
        said = str(error)
    assert "\n" not in said


MARK = "0123456789abcdef"


@given(st.lists(st.text(max_size=8), max_size=2 * len(FIELDS)), st.text(max_size=5))
def fuzz_listing(cells: list[str], rest: str) -> None:
    """Rows, or ValueError."""
    with contextlib.suppress(ValueError):
        parse_listing("".join(cell + MARK for cell in cells) + rest, MARK)


FLAGS = st.sampled_from(["--config", "--state", "--dry-run", "--json", "-v", "-q", "--version", "--help", "--", "-x"])
INSIDE = JUNK.filter(lambda text: not text.startswith(("/", "~")) and ".." not in text)


@given(st.lists(FLAGS | INSIDE, max_size=6))
def fuzz_command_line(argv: list[str]) -> None:
    """One of the documented exit codes, and no traceback."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(argv)
        except SystemExit as end:
            code = int(end.code or 0)
    assert code in {0, 2, 69, 74, 78}, (code, err.getvalue())


CHOSEN = settings(
    max_examples=EXAMPLES,
    deadline=SLOW * 1000,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
TARGETS: dict[str, Callable[[], None]] = {
    name.removeprefix("fuzz_"): CHOSEN(value) for name, value in dict(globals()).items() if name.startswith("fuzz_")
}


def main() -> int:
    """Run the targets in turns until the time is over; exit code 1 if there was a violation."""
    parser = argparse.ArgumentParser(
        prog="python -m verification.fuzz", description="Feed random input to every parser."
    )
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=1, help="time limit (default: 1)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    end = time.monotonic() + options.minutes * 60
    inputs: Counter[str] = Counter()
    broken: dict[str, str] = {}
    number = options.seed
    with tempfile.TemporaryDirectory(prefix="fo-fuzz-") as folder:
        Places.folder = Path(folder)
        os.chdir(folder)
        for name in list(os.environ):
            if name not in {"PATH", "LANG", "LC_ALL"}:
                del os.environ[name]
        os.environ["HOME"] = folder
        logging.disable(logging.CRITICAL)
        while time.monotonic() < end:
            left = [name for name in options.targets or TARGETS if name not in broken]
            if not left:
                break
            for name in left:
                inputs[name] += EXAMPLES
                if why := attempt(TARGETS[name], number):
                    broken[name] = why
                    sys.stdout.write(f"BROKEN {name} with seed {number}: {why}\n")
                    sys.stdout.flush()
            number += 1
    listed = ", ".join(f"{name} {count}" for name, count in inputs.items())
    sys.stdout.write(f"{sum(inputs.values())} inputs, seeds {options.seed} to {number - 1}: {listed}\n")
    sys.stdout.write("no violation\n" if not broken else f"{len(broken)} targets broken\n")
    return int(bool(broken))


def attempt(target: Callable[[], None], number: int) -> str | None:
    """Run one target with one seed; the violation with its input, or None."""
    try:
        seed(number)(target)()
    except Exception as error:
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-4:]]
        notes = "\n".join(getattr(error, "__notes__", ()))
        return f"{type(error).__name__}: {str(error)[:400]} ({', '.join(places)})\n{notes}"
    return None


if __name__ == "__main__":
    sys.exit(main())
