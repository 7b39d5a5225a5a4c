"""Recordings stay within their bounds."""

from pathlib import Path

from failover_oneshot.analysis import recorder


def test_recordings_are_bounded_in_number_and_size(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"2026112{number}T100000Z.json.gz").write_bytes(bytes(100))
    (tmp_path / "notes.txt").write_bytes(bytes(5000))
    recorder.prune(tmp_path, most_files=7)
    assert sorted(p.name[:8] for p in tmp_path.glob("*.gz")) == [f"2026112{n}" for n in range(3, 10)]
    recorder.prune(tmp_path, most_bytes=250)
    assert sorted(p.name[:8] for p in tmp_path.glob("*.gz")) == ["20261128", "20261129"]
    assert (tmp_path / "notes.txt").exists()
