"""The dispatch matrix: kill a check that collects and dispatches tasks, at each call that changes the world.

    python -m verification.dispatch_matrix [--stride N] [--error ENOSPC]

Ordinary checks follow each kill, and every task must be done exactly once. With --error no check is killed; the disk
fails from that point on. The test suite tries a part of the points.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.agent_pool import AgentPool
from tests.support.polling import poll
from tests.support.tmux_server import private_server
from verification import killpoint

KILLED = -9
TEXTS = {"one": "the first task", "two": "second\n" * 9, "three": "the third one"}


@contextmanager
def trial(*, records: bool) -> Iterator[AgentPool]:
    """An installation of two sessions: one has just done a task that is still in running/, and two tasks are queued."""
    with private_server() as server, tempfile.TemporaryDirectory() as folder:
        pool = AgentPool(server, Path(folder), records=records)
        pool.up()
        pool.drop("one", TEXTS["one"])
        pool.check()
        poll(lambda: pool.agents.prompts() == [TEXTS["one"]])
        for name in ("two", "three"):
            pool.drop(name, TEXTS[name])
        yield pool


def killed(pool: AgentPool, point: int | str, points: Path) -> int:
    """The exit code of a check that is disturbed at that point."""
    done = pool.execute(killpoint.argv(point, str(points), pool.flags("-q")))
    assert done.returncode in ({0, 74} if isinstance(point, str) else {0, KILLED}), (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    return done.returncode


def verify(pool: AgentPool) -> None:
    """Run ordinary checks until no task is left; each task must have been taken once, and be done."""
    poll(lambda: pool.check() and not pool.tasks("queue") and not pool.tasks("running"), seconds=60)
    assert Counter(pool.agents.prompts()) == Counter(TEXTS.values())
    assert {name: path.read_text() for path in pool.spool.glob("done/*") if (name := path.name) in TEXTS} == TEXTS
    assert pool.tasks("failed") == []
    assert pool.server.tmux("list-buffers") == ""


def points_of(*, records: bool) -> list[str]:
    """The points of one undisturbed check, by name; its result is verified too."""
    with trial(records=records) as pool, tempfile.NamedTemporaryFile() as file:
        assert killed(pool, 0, Path(file.name)) == 0
        verify(pool)
        return Path(file.name).read_text(encoding="utf-8").splitlines()


def try_point(point: int | str, *, records: bool) -> None:
    """Kill a check at that point, or let the disk fail from there on (`12:ENOSPC`); then recover and verify."""
    with trial(records=records) as pool:
        killed(pool, point, Path(os.devnull))
        verify(pool)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", type=int, default=1, help="try only every N-th point")
    parser.add_argument("--error", help="let the disk fail from each point on, with ENOSPC, EIO, EROFS …; kill nothing")
    options = parser.parse_args()
    bad = 0
    for records in (True, False):
        points = points_of(records=records)
        tried = range(1, len(points) + 1, options.stride)
        for point in tried:
            try:
                try_point(f"{point}:{options.error}" if options.error else point, records=records)
            except AssertionError as error:
                bad += 1
                print(f"records {records} at {point} ({points[point - 1][:60]}): {str(error)[:800]}")
        print(f"records {records}: {len(tried)} of {len(points)} points tried", flush=True)
    print(f"{bad} failed")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
