"""The problems that the loader reports for a configuration text."""

from pathlib import Path

from failover_oneshot.config.loader import ConfigError, load


def problems(folder: Path, text: str) -> list[str]:
    """The lines of the error, each from the file's name on; empty if the text is accepted."""
    file = folder / "f.yaml"
    file.write_text(text, encoding="utf-8", newline="")
    try:
        load(file, {"HOME": "/home/ada"})
    except ConfigError as error:
        return [line.replace(f"{folder}/", "", 1) for line in error.problems]
    return []
