"""What a text gets as a configuration."""

from pathlib import Path

from failover_oneshot.config.loader import ConfigError, load


def problems(folder: Path, text: str) -> list[str]:
    """The lines, from the file's name on; an empty list when the text is accepted."""
    file = folder / "f.yaml"
    file.write_text(text, encoding="utf-8", newline="")
    try:
        load(file, {"HOME": "/home/ada"})
    except ConfigError as error:
        return [line.replace(f"{folder}/", "", 1) for line in error.problems]
    return []
