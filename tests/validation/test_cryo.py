"""Reference cases of freezing: how a diameter is measured, the keys that others read, and the published figures."""

import functools

import numpy as np
import pytest

from osteon.validation import cryo_multi, littrup, neumann, phantoms
from osteon.validation.phantoms import AgarRun, agar_run, places


def plane(radii_mm, centres_mm, size=81):
    y, x = np.mgrid[:size, :size].astype(float)
    inside = [np.hypot(y - cy, x - cx) - r for r, (cy, cx) in zip(radii_mm, centres_mm, strict=True)]
    return AgarRun(np.minimum.reduce(inside) - 30.0, 1.0, None)


def test_a_disc_is_as_long_as_it_is_wide():
    run = plane([12.0], [(40.0, 40.0)])
    assert run.diameter_mm(-30.0) == pytest.approx(24.0, abs=0.2)
    assert run.longest_mm(-30.0) == pytest.approx(24.0, abs=0.2)


def test_two_discs_are_longer_than_their_area_says():
    run = plane([6.0, 6.0], [(40.0, 30.0), (40.0, 50.0)])
    assert run.longest_mm(-30.0) == pytest.approx(32.0, abs=0.2)
    assert run.diameter_mm(-30.0) == pytest.approx(12.0 * np.sqrt(2.0), abs=0.2)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_neighbouring_probes_stand_two_centimetres_apart(count):
    at = np.array(places(count))
    assert np.linalg.norm(at[0] - at[1]) == pytest.approx(20.0)


def test_cryo_multi_prints_the_names_that_others_read(monkeypatch):
    monkeypatch.setattr(cryo_multi, "agar_run", functools.partial(agar_run, spacing_mm=5.0, seconds=20.0))
    rows = {row.quantity: row for row in cryo_multi.run().rows}
    assert {"d_minus30_mm[probes=3]", "d_minus30_mm[probes=4]", "d_minus30_mm[probe=1.7mm]"} <= rows.keys()
    assert rows["energy_balance"].passed


def test_littrup_compares_the_fit_and_the_prediction_with_their_tolerances(monkeypatch):
    monkeypatch.setattr(littrup, "agar_run", functools.partial(agar_run, spacing_mm=5.0, seconds=20.0))
    rows = {row.quantity: row for row in littrup.run().rows}
    assert (rows["d_minus30_mm[probes=1]"].reference, rows["d_minus30_mm[probes=1]"].tolerance) == (12.0, 0.5)
    assert (rows["d_minus30_mm[probes=2]"].reference, rows["d_minus30_mm[probes=2]"].tolerance) == (33.0, pytest.approx(3.3))
    assert rows["equal_area_minus30_mm[probes=2]"].tolerance is None
    assert any("chosen after" in line for line in phantoms.ASSUMED)


@pytest.mark.slow
def test_littrup_2009_two_probes_from_one():
    assert littrup.run().passed


@pytest.mark.slow
def test_neumann_and_the_energy_of_a_whole_case():
    rows = {row.quantity: row for row in neumann.run().rows}
    assert all(row.passed is not False for row in rows.values())
    assert rows["case_energy_balance"].value <= 1e-3
    assert rows["case_ice_cm3"].value > rows["case_zone_cm3"].value > 1.0
