"""Try whether any login is lost while real Claude Code clients write an old identity back after a swap.

    npm pack @anthropic-ai/claude-code-linux-x64 && tar xf anthropic-ai-claude-code-linux-x64-*.tgz
    unshare --net .venv/bin/python -m verification.identity_rounds package/claude [ROUNDS]

Each round starts five clients, and two of them meet the limit of the active account. A check swaps and recreates all
five; two more checks follow. Then the tokens expire: a running client refreshes them (odd rounds), or the clients that
start in the next round do. Two rounds of three make clients write the old identity back:

- profiles late: only after the swap does the API answer the clients that ask whose login they have. A client outside
  the pool, which no swap restarts, then writes the old account's identity.
- lock contended: another program holds the lock of `.claude.json`, and Claude Code then writes without it.

In the second half of the rounds the tokens name their owner (`accountUuid`), as they do after a login.

After each swap and after each refresh the newest login of each account must be on disk, no store may hold the login of
another account, and no client may have been given a refresh token that was used before. Not a test, because it needs a
program that is not a dependency.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from failover_oneshot.ctl.demo.sandbox import ACCOUNTS, identity, read_json, refresh_token
from failover_oneshot.lib import procfs
from tests.support.polling import poll
from tests.support.sandbox import Sandbox
from tests.support.tmux_server import private_server
from verification import real_lab, world

POOL = tuple(f"ccl-auto-{index}" for index in range(11, 16))
BLOCKED = POOL[:2]
NEIGHBOUR = "ccl-0"  # a client outside the pool, which no swap restarts
CONTENDED, LATE, ALONE = "lock contended", "profiles late", "undisturbed"
DISTURBANCES = (ALONE, LATE, CONTENDED)
QUIET = 2.0  # seconds without a change of `.claude.json`: the clients have written what they had to
BOOT = 1.5  # seconds for which a client that was just started waits for the lock of `.claude.json`


@dataclass(frozen=True)
class Lab:
    """A sandbox whose sessions are real clients, and the fake API that issued every login in it."""

    sandbox: Sandbox
    api: real_lab.FakeApi
    program: str  # the shell command of a client

    def live(self) -> str:
        """The account of the live tokens; empty when the client has blanked them."""
        return owner(read_json(self.sandbox.live_credentials))

    def named(self) -> str:
        """The account that the live identity names; empty while the file cannot be parsed."""
        settings = read_json(self.sandbox.settings) or {}
        email = (settings.get("oauthAccount") or {}).get("emailAddress", "")
        return str(email.partition("@")[0])

    def starts(self) -> int:
        """How many starts of a client `.claude.json` counts."""
        return int((read_json(self.sandbox.settings) or {}).get("numStartups", 0))

    def agree(self) -> bool:
        """Whether the live tokens and the live identity are of one account."""
        return bool(self.live()) and self.live() == self.named()

    def credentials(self) -> dict[Path, Any]:
        """Every file with tokens, by its path, and its contents."""
        roots = (self.sandbox.home / ".claude-accounts", self.sandbox.state_file.parent)
        files = [self.sandbox.live_credentials, *(path for root in roots for path in root.rglob("*") if path.is_file())]
        found = {path: read_json(path) for path in files}
        return {path: value for path, value in found.items() if isinstance(value, dict) and "claudeAiOauth" in value}


@dataclass
class Identities:
    """What the live identity was, in order, while a thread watched: (seconds, account)."""

    seen: list[tuple[float, str]] = field(default_factory=list)

    def reverted(self, account: str) -> float | None:
        """Seconds from the first time that the identity was the account's until it was another's again."""
        first = next((at for at, name in self.seen if name == account), None)
        back = (at for at, name in self.seen if first is not None and at > first and name != account)
        return next((at - first for at in back), None) if first is not None else None


def owner(document: Any) -> str:
    """The account whose tokens a credentials file holds; empty when they are blank."""
    tokens = (document or {}).get("claudeAiOauth") or {}
    return str(tokens.get("refreshToken", "")).removeprefix("fake-").partition("-")[0]


# -- the steps of a round ----------------------------------------------------------------------------------------------


def start(lab: Lab, names: Iterable[str], prompt: str = "") -> None:
    """Start a new client in each of these sessions."""
    for name in names:
        words = f" '{prompt} {name}'" if prompt else ""
        lab.sandbox.server.start(name, lab.program + words, folder=lab.sandbox.folder / name, width=100, height=40)


def end(lab: Lab) -> None:
    """End all clients, and wait until they have."""
    server = lab.sandbox.server
    clients = [pid for name, pid in server.pids().items() if name in (*POOL, NEIGHBOUR)]
    for name in server.pids().keys() & {*POOL, NEIGHBOUR}:
        server.tmux("kill-session", "-t", f"={name}")
    poll(lambda: not any(procfs.arguments(pid) for pid in clients))


@contextmanager
def held(lock: Path, seconds: float) -> Iterator[None]:
    """Hold a lock of the client for that many seconds, as another client may; the block ends no earlier."""
    poll(partial(made, lock))
    timer = threading.Timer(seconds, lock.rmdir)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def made(folder: Path) -> bool:
    """Make a folder; False when it exists."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


@contextmanager
def watched(lab: Lab) -> Iterator[Identities]:
    """Watch the live identity during the block."""
    found, ended, begun = Identities(), threading.Event(), time.monotonic()

    def watch() -> None:
        while not ended.wait(0.002):
            name = lab.named()
            if name and (not found.seen or found.seen[-1][1] != name):
                found.seen.append((time.monotonic() - begun, name))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def check(lab: Lab) -> str:
    """Run a check and return its outcome; print its warnings."""
    done = lab.sandbox.run("--json")
    for line in done.stderr.splitlines():
        if not line.startswith("INFO"):
            print(f"    {line}")
    if done.returncode:
        print(f"    exit {done.returncode}")
    return str(json.loads(done.stdout)["outcome"]) if done.stdout else f"exit {done.returncode}"


def later(lab: Lab, time: timedelta) -> None:
    """Let time pass: for the state, and for the lifetime of all tokens."""
    world.pass_time(lab.sandbox.state_file, time)
    for path, document in lab.credentials().items():
        document["claudeAiOauth"]["expiresAt"] -= int(time.total_seconds() * 1000)
        replace(path, document)


def age_identity(lab: Lab, age: timedelta) -> None:
    """Make the live identity so old that a client which starts asks for it again."""
    lock = lock_of_settings(lab)
    poll(partial(made, lock))
    settings = read_json(lab.sandbox.settings)
    settings["oauthAccount"]["profileFetchedAt"] = int((time.time() - age.total_seconds()) * 1000)
    replace(lab.sandbox.settings, settings)
    lock.rmdir()


def lock_of_settings(lab: Lab) -> Path:
    """The folder whose existence is the client's lock of `.claude.json`."""
    return lab.sandbox.settings.with_name(".claude.json.lock")


def name_owners(lab: Lab) -> None:
    """Add their owner to all tokens, as a login does."""
    for path, document in lab.credentials().items():
        ids = {"accountUuid": identity(owner(document))["accountUuid"], "organizationUuid": real_lab.ORGANIZATION}
        document["claudeAiOauth"].update(ids)
        replace(path, document)


def replace(path: Path, document: object) -> None:
    """Replace a private JSON file in one step."""
    temporary = path.with_name(f"{path.name}.lab")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(document), encoding="utf-8")
    temporary.replace(path)


def shows(lab: Lab, session: str, text: str) -> bool:
    """Whether the session's screen has this text."""
    return text in lab.sandbox.server.screen(session)


def shown(lab: Lab, text: str) -> None:
    """Wait until each session that got a prompt shows this text."""
    for name in BLOCKED:
        if not lab.sandbox.server.reached(partial(shows, lab, name, text)):
            raise AssertionError(f"{name} does not show {text!r}")


def written(lab: Lab) -> None:
    """Wait until no client has written `.claude.json` for a while."""
    poll(lambda: time.time() - lab.sandbox.settings.stat().st_mtime > QUIET)


# -- what must hold ----------------------------------------------------------------------------------------------------


def places(lab: Lab) -> dict[str, list[str]]:
    """Where the newest login of each account is, by `ACCOUNT-NUMBER`, as paths in the sandbox."""
    found: dict[str, list[str]] = {}
    for account, number in lab.api.newest.items():
        token = refresh_token(account, number)
        held = [path for path, value in lab.credentials().items() if value["claudeAiOauth"]["refreshToken"] == token]
        found[f"{account}-{number}"] = sorted(str(path.relative_to(lab.sandbox.folder)) for path in held)
    return found


def faults(lab: Lab) -> list[str]:
    """What is wrong with the credentials on disk."""
    found = [f"the newest login {login} is lost" for login, where in places(lab).items() if not where]
    for account in ACCOUNTS:
        store = lab.sandbox.stored(account)
        other = owner(read_json(store / ".credentials.json"))
        if other != account:
            found.append(f"the store of {account} has the login of {other or 'nobody'}")
        if read_json(store / "oauthAccount.json").get("emailAddress") != identity(account)["emailAddress"]:
            found.append(f"the store of {account} has another identity")
    found += [f"a client was given {token}, which was used before" for token in lab.api.refused]
    lab.api.refused.clear()
    return found


# -- the rounds --------------------------------------------------------------------------------------------------------


def swap(lab: Lab, disturbance: str) -> list[str]:
    """Start the clients, let two meet the limit of the active account, and swap; the faults that were seen."""
    source = lab.live()
    target = next(name for name in ACCOUNTS if name != source)
    lab.api.limited = {source}
    end(lab)
    start(lab, BLOCKED, "the task of")
    shown(lab, "hit your")
    begun = time.monotonic()
    join(lab, late=disturbance == LATE)
    age = time.monotonic() - begun
    with watched(lab) as identities:
        with held(lock_of_settings(lab), BOOT) if disturbance == CONTENDED else nullcontext():
            outcome = first = check(lab)
        if first == "failed":
            world.pass_time(lab.sandbox.state_file, timedelta(minutes=11))
            outcome = check(lab)
        if outcome == "swapped":
            shown(lab, f"Answered on {target}.")
        lab.api.profiles.set()
        written(lab)
    back = identities.reverted(target)
    what = "not reverted" if back is None else f"reverted by a client after {back:.2f} s"
    print(f"  {source} -> {target}, {disturbance}, clients {age:.1f} s old: {first}; identity {what}")
    return faults(lab) + ([f"the check after the limit ended as {first}"] if first != "swapped" else [])


def join(lab: Lab, *, late: bool) -> None:
    """Start the other clients; with `late`, the one outside the pool asks for its profile, and gets no answer yet."""
    if late:
        age_identity(lab, timedelta(hours=25))
        lab.api.waiting = 0
        lab.api.profiles.clear()
    start(lab, [NEIGHBOUR])
    poll(lambda: lab.api.waiting or not late)
    before = lab.starts()
    start(lab, POOL[len(BLOCKED) :])
    poll(lambda: lab.starts() > before)


def repaired(lab: Lab) -> list[str]:
    """Run two checks; the faults that were seen."""
    done = 0
    for _ in range(2):
        done += not lab.agree()
        world.pass_time(lab.sandbox.state_file, timedelta(seconds=30))
        check(lab)
    agree = lab.agree()
    print(f"  identity and tokens: {f'agree after {done} checks' if agree else f'{lab.named()} and {lab.live()}'}")
    return faults(lab) + ([] if agree else ["identity and tokens do not agree after two checks"])


def refresh(lab: Lab) -> list[str]:
    """Let a running client refresh the live tokens, which have expired; the faults that were seen."""
    account = lab.live()
    before = lab.api.newest[account]
    lab.sandbox.server.type(POOL[-1], "one more task")
    poll(lambda: lab.api.newest[account] > before, seconds=90)
    new = refresh_token(account, lab.api.newest[account])
    poll(lambda: read_json(lab.sandbox.live_credentials)["claudeAiOauth"]["refreshToken"] == new)
    print(f"  a running client refreshed: {account}-{lab.api.newest[account]}")
    return faults(lab)


def one_round(lab: Lab, disturbance: str, *, running: bool) -> list[str]:
    """A limit, a swap, two checks and, with `running`, a refresh; the faults that were seen."""
    found = swap(lab, disturbance)
    found += repaired(lab)
    later(lab, timedelta(hours=9))
    if running:
        found += refresh(lab)
    return found


def told(lab: Lab, act: Callable[[Lab], list[str]]) -> list[str]:
    """Do this; print where each newest login is afterwards, and the faults; return them."""
    try:
        found = act(lab)
    except AssertionError as error:
        found = [*faults(lab), f"not finished: {error}"]
    for login, where in places(lab).items():
        print(f"  {login}: {', '.join(where) or 'nowhere'}")
    for fault in found:
        print(f"  FAULT: {fault}", flush=True)
    return found


def main(program: str, rounds: int) -> int:
    real_lab.only_loopback()
    print(f"{real_lab.version(program)}, {rounds} rounds", flush=True)
    with private_server() as server, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        sandbox = Sandbox(server, Path(folder))
        api = real_lab.FakeApi(Path(folder), {"main": 2, "backup": 1}, limited=())
        lab = Lab(sandbox, api, real_lab.command(program, sandbox, api))
        folders = [Path(folder) / name for name in (*POOL, NEIGHBOUR)]
        for place in folders:
            place.mkdir()
        real_lab.prepare(sandbox, "main", 2, folders)
        for path, document in lab.credentials().items():  # every refresh gave a later end
            ends = time.time() + (3600 if path == sandbox.live_credentials else 1800)
            document["claudeAiOauth"].update(scopes=real_lab.SCOPES, expiresAt=int(ends * 1000))
            replace(path, document)
        resume = f"{lab.program} --resume {{session_id}} 'go on'"
        sandbox.config["pool"]["autonomous"].update(
            after_swap="recreate", command=lab.program, resume_command=resume, max=len(POOL)
        )
        server.start("keeper")  # the server ends with its last session
        found: list[str] = []
        for number in range(1, rounds + 1):
            print(f"round {number}")
            if number == rounds // 2 + 1:
                name_owners(lab)
            disturbance = DISTURBANCES[number % len(DISTURBANCES)]
            found += told(lab, partial(one_round, disturbance=disturbance, running=number % 2 == 1))
            if not lab.live():
                raise SystemExit("the live tokens are blank; no client can go on")
        print("the hit after the last round")
        found += told(lab, partial(swap, disturbance=ALONE))
    print(f"{rounds} rounds: {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10))
