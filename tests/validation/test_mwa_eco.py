"""The reference case of seed 4's antenna: how a zone is measured, and that nothing claims to pass."""

import numpy as np
import pytest

from osteon.tissue.properties import Constants
from osteon.validation import mwa_eco


def test_the_size_of_a_ball():
    z, y, x = np.meshgrid(*[np.arange(-30, 31)] * 3, indexing="ij")
    length, width, sphere = mwa_eco.size_of(x * x + y * y + z * z <= 20**2, 0.5)
    assert length == pytest.approx(20.5)
    assert width == pytest.approx(20.0, rel=0.01)
    assert sphere == pytest.approx(20.0, rel=0.01)
    assert mwa_eco.size_of(np.zeros((3, 3, 3), bool), 1.0) == (0.0, 0.0, 0.0)


def test_the_tumour_lies_round_the_zone_in_bone(monkeypatch):
    monkeypatch.setattr(mwa_eco, "SPACING_MM", 3.0)
    tissue = mwa_eco.medium("tumour in bone", Constants())
    z, y, x = np.rint(tissue.grid.to_index(np.zeros(3))).astype(int)
    assert tissue.permittivity[z, y, x] == 47
    assert tissue.permittivity[z, y, x - 7] < 25
    assert tissue.permittivity[z - 7, y, x] < 25
    assert mwa_eco.medium("liver ex vivo", Constants()).perfusion.max() == 0


def test_qiu_2019_rows_claim_35_mm_only_where_the_source_could_mean_it(monkeypatch):
    monkeypatch.setattr(mwa_eco, "SPACING_MM", 3.0)
    monkeypatch.setattr(mwa_eco, "TIMES_MIN", (3.0, 6.3))
    report = mwa_eco.run(lambda fraction: None, samples=0, media=("tumour in bone", "muscle"))
    claimed = [row for row in report.rows if row.reference == 35.0]
    assert {row.quantity for row in claimed} == {f"tumour in bone, 6.3 min, {d}: diameter" for d in mwa_eco.DEFINITIONS}
    assert all(row.passed is None for row in claimed)
    balance = report.rows[-1]
    assert balance.passed
    by_name = {row.quantity: row.value for row in report.rows}
    for medium in ("tumour in bone", "muscle"):
        for definition in mwa_eco.DEFINITIONS:
            assert by_name[f"{medium}, 6.3 min, {definition}: diameter"] > by_name[f"{medium}, 3 min, {definition}: diameter"]
        assert by_name[f"{medium}, 3 min, 60 C: diameter"] < by_name[f"{medium}, 3 min, 50 C: diameter"]
