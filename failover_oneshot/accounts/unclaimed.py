"""The folder `unclaimed/`: credentials that no store may take, under names that are never reused."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from failover_oneshot.lib import atomicfile


def keep_unclaimed(folder: Path, files: Mapping[str, bytes]) -> str:
    """Keep the files in the folder and return their common name, `unclaimed/<UTC time>-<digest>`.

    `files` maps names to contents; each is written as `<UTC time>-<digest>.<name>`. The same content is kept once.
    OSError when a file cannot be written; the caller must then overwrite nothing.
    """
    from hashlib import sha256

    digest = sha256(b"\0".join(part for name in sorted(files) for part in (name.encode(), files[name]))).hexdigest()[
        :16
    ]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = {name.partition(f"-{digest}.")[2]: name for name in os.listdir(folder) if f"-{digest}." in name}  # noqa: PTH208
    stamp = next((name.partition("-")[0] for name in kept.values()), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    for name, content in files.items():
        if name.lstrip(".") not in kept:
            atomicfile.write_atomic(folder / f"{stamp}-{digest}.{name.lstrip('.')}", content)
    return f"{folder.name}/{stamp}-{digest}"
