"""Paths of the repository's folders."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCS = ROOT / "docs"
PANES = ROOT / "tests" / "panes"
DATA = ROOT / "tests" / "data"
