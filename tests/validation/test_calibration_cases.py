"""The reference cases of calibration: every row with a tolerance holds it; the published bias is told without a verdict."""

import pytest

from osteon.errors import MissingError
from osteon.validation import calibration, calibration_pelvis
from osteon.validation.catalog import case


def test_known_compositions_are_read_within_their_tolerances():
    report = calibration.run()
    judged = [row for row in report.rows if row.tolerance is not None]
    assert len(judged) >= 34
    assert [row.quantity for row in judged if not row.passed] == []
    assert (calibration.PERCENT, calibration.KEV, calibration.HAND) == (1.0, 0.5, 1e-6)


def test_the_published_search_on_real_tissues_is_told_without_a_verdict():
    told = [row for row in calibration.internal_rows() if "ICRU" in row.quantity]
    assert len(told) == 15
    assert all(row.passed is None for row in told)
    assert all(row.error is not None and abs(row.error) > 1.0 for row in told)  # it misses, and the row says by how much


def test_the_cases_are_in_the_catalogue():
    assert case("calibration") is calibration.run
    assert case("calibration-pelvis") is calibration_pelvis.run


def test_without_data_the_pelvis_says_where_it_looked(monkeypatch, tmp_path):
    monkeypatch.setenv("OSTEON_SHARED", str(tmp_path))
    with pytest.raises(MissingError, match="pelvis CT is not at") as raised:
        calibration_pelvis.run()
    assert raised.value.exit_code == 3


@pytest.mark.real
def test_six_vertebrae_are_plausible_and_the_seventh_is_cut_off(real, monkeypatch):
    monkeypatch.setenv("OSTEON_SHARED", str(real("pelvis_ct").parents[1]))
    report = calibration_pelvis.run()
    judged = [row for row in report.rows if row.tolerance is not None]
    assert [row.quantity.split(":")[0] for row in judged] == ["T12", "L1", "L2", "L3", "L4", "L5"]
    assert all(row.passed for row in judged)
    assert any(line.startswith("T11: cannot tell") for line in report.assumptions)
    assert {"internal", "composition"} <= {row.quantity.split(": ")[1] for row in report.rows}
