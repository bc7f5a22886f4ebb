"""Examples are tests: one number of each is asserted."""

from __future__ import annotations

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_01_one_patient(tmp_path):
    main = runpy.run_path(str(EXAMPLES / "01_one_patient.py"))["main"]
    assert main(tmp_path) >= 0.95
    assert (tmp_path / "report" / "report.html").exists()
