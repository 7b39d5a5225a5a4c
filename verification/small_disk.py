"""A real check on a disk that is really full, or really read-only, in a mount namespace of its own; then it is mended.

    unshare --mount python -m verification.small_disk [SCENARIO PLACE full:PAGES | read-only]

tries all of `PLACES`, or one. PLACE is `state`, `claude`, `agent`, `main` or `backup`: the folder that gets a small
disk of its own, of which `full` leaves so many pages (4 KiB each) free, so that another write is the one that fails.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path

from verification.kill_matrix import Trial, trial, undisturbed

PAGE = 4096
PLACES = [
    *product(["claude-recreate"], ["state", "claude", "main", "backup"]),
    *product(["files-respawn"], ["state", "agent", "main", "backup"]),
    ("env-recreate", "state"),
    *product(["command-none"], ["state", "agent"]),
]
HOW = ["read-only", *(f"full:{pages}" for pages in range(6))]


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


@contextmanager
def small_disk(folder: Path, disk: Path) -> Iterator[None]:
    """The folder keeps its name and content, and has 64 pages; `disk` is where they are mounted too."""
    folder.mkdir(mode=0o700, exist_ok=True)
    disk.mkdir()
    mount("-t", "tmpfs", "-o", f"size={64 * PAGE},mode=0700", "none", str(disk))
    subprocess.run(["cp", "-a", f"{folder}/.", str(disk)], check=True)
    mount("--bind", str(disk), str(folder))
    try:
        yield
    finally:
        for mounted in (folder, disk):
            subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def fill(folder: Path, free: int) -> Path:
    """Fill the disk up to so many free pages; the file that does it."""
    filler = folder / "filler"
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT, 0o600)
    with suppress(OSError):
        while os.write(fd, b"x" * PAGE):
            pass
    os.ftruncate(fd, os.fstat(fd).st_size - free * PAGE)
    os.close(fd)
    return filler


def place_of(one: Trial, name: str) -> Path:
    sandbox = one.sandbox
    places = {"state": sandbox.state_file.parent, "claude": sandbox.claude, "agent": one.agent}
    return places.get(name) or sandbox.stored(name)


def attempt(scenario: str, place: str, how: str) -> None:
    """One check on a spoilt disk, and what the next ones make of it."""
    _, expected = undisturbed(scenario)
    with trial(scenario) as one:
        folder, outside = place_of(one, place), one.sandbox.home.parent
        with small_disk(folder, outside / "disk"):
            one.untouched = one.inode()
            if how == "read-only":
                mount("-o", "remount,bind,ro", str(folder))
                one.judge(one.sandbox.run("--json"))
                mount("-o", "remount,bind,rw", str(folder))
            else:
                filler = fill(folder, int(how.removeprefix("full:")))
                one.before = one.tree()
                one.judge(one.sandbox.run("--json"))
                filler.unlink()
            one.recover()
            one.verify(expected)


def main(argv: Sequence[str]) -> int:
    chosen = [(argv[0], argv[1], argv[2])] if argv else [(*where, how) for where, how in product(PLACES, HOW)]
    bad = 0
    for scenario, place, how in chosen:
        try:
            attempt(scenario, place, how)
            told = "nothing lost"
        except AssertionError as error:
            bad += 1
            told = f"WRONG: {str(error)[:600]}"
        print(f"{scenario:18} {place:7} {how:10} {told}", flush=True)
    print(f"{len(chosen)} tried, {bad} failed")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
