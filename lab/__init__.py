"""Breaking it on purpose: `python -m lab.faults` and `python -m lab.fuzz`. They share the tests' throwaway fleet."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
