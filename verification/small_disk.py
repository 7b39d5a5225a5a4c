"""Run a real check on a full or read-only disk, in a separate mount namespace; then repair the disk and recover.

    unshare --mount python -m verification.small_disk [SCENARIO PLACE full:PAGES | read-only]

It tries all of `PLACES`, or one. PLACE is the folder on which a small disk is mounted: `state`, `claude`, `agent`,
`main` or `backup`. `full` leaves PAGES pages of 4 KiB free, so that each time a different write fails.
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
    """Move the folder's content to a disk of 64 pages, mounted at the folder itself and at `disk`."""
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
    """Fill the disk until `free` pages are left; the path of the file that fills it."""
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
    """Run one check on the full or read-only disk, recover on the repaired one, verify."""
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
            result = "nothing lost"
        except AssertionError as error:
            bad += 1
            result = f"FAILED: {str(error)[:600]}"
        print(f"{scenario:18} {place:7} {how:10} {result}", flush=True)
    print(f"{len(chosen)} tried, {bad} failed")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
