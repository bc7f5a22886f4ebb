"""The coaxial slot antenna: its published benchmark, its devices, and its pattern in voxels."""

from __future__ import annotations

import copy
import doctest
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError, SettingError
from osteon.space.volume import Grid, Volume
from osteon.treatments.base import NeedlePose
from osteon.treatments.microwave.antenna import (
    Medium,
    Pattern,
    cable_loss_fraction,
    coax_of,
    devices,
    shaft_coax_loss,
    solve,
)
from osteon.treatments.microwave.pattern import heating_table, medium_from, place, place_along_shaft, zone_centre_mm
from osteon.treatments.needles import device_values
from osteon.validation.mwa_liver import LIVER, isotherm_mm, run, steady_temperature

CLINICAL = [name for name, entry in devices().items() if not entry.get("validation_only")]
# Gabriel 1996 at the frequency of each device: liver, cancellous bone
TISSUE = {2.45e9: {"liver": (43.03, 1.69), "bone": (18.5, 0.805)}, 9.15e8: {"liver": (46.8, 0.861), "bone": (20.8, 0.344)}}


@pytest.fixture(scope="module")
def saito() -> dict[int, Pattern]:
    """The benchmark on about 5 and 20 thousand cells."""
    return {n: solve(devices()["saito-2450"], LIVER, n) for n in (1, 2)}


def part_power(pattern: Pattern) -> np.ndarray:
    """Power of each cell [W per W]."""
    return pattern.heating * np.pi * np.diff(pattern.r_edges_mm**2) * np.diff(pattern.z_edges_mm)[:, None] * 1e-9


@pytest.mark.parametrize("refine", [1, 2])
def test_comsol_saito_absorbs_9_35_of_10_watts(saito: dict[int, Pattern], refine: int) -> None:
    pattern = saito[refine]
    assert 10 * pattern.absorbed_fraction == pytest.approx(9.35, abs=0.1)
    assert pattern.balance == pytest.approx(1.0, abs=0.01)
    assert pattern.reflection_db == pytest.approx(-17.8, abs=0.1)
    assert 10 * pattern.radiated_fraction == pytest.approx(0.49, abs=0.1)


def test_comsol_saito_absorbs_the_same_on_5_and_20_thousand_cells(saito: dict[int, Pattern]) -> None:
    sizes = [p.heating.size for p in saito.values()]
    assert 4_000 < sizes[0] < 6_500
    assert 17_000 < sizes[1] < 25_000
    assert saito[1].absorbed_fraction == pytest.approx(saito[2].absorbed_fraction, rel=0.005)


@pytest.mark.slow
def test_comsol_saito_reference_case_passes_up_to_100_thousand_cells() -> None:
    seen: list[float] = []
    report = run(seen.append)
    assert report.passed
    assert [row.quantity for row in report.rows if row.passed is None] == []
    assert seen[-1] == 1.0


def test_comsol_saito_steady_isotherms_within_half_a_millimetre(saito: dict[int, Pattern]) -> None:
    basis, temperature = steady_temperature(saito[1], 0.895, 10.0)
    radius, length = isotherm_mm(basis, temperature, 50.0)
    assert radius == pytest.approx(11.76, abs=0.5)
    assert length == pytest.approx(38.3, abs=0.5)
    assert isotherm_mm(basis, temperature, 60.0)[0] == pytest.approx(8.08, abs=0.5)
    assert temperature.max() == pytest.approx(100.8, abs=0.7)


def test_pattern_sums_to_what_is_absorbed_and_heats_no_metal(saito: dict[int, Pattern]) -> None:
    pattern = saito[1]
    assert part_power(pattern).sum() == pytest.approx(pattern.absorbed_fraction, rel=1e-9)
    inside = (pattern.z_mm[:, None] > 0) & (pattern.r_mm[None, :] < 0.895)
    assert (pattern.heating[inside] == 0).all()


@pytest.mark.parametrize("name", CLINICAL)
@pytest.mark.parametrize("tissue", ["liver", "bone"])
def test_power_of_clinical_devices_is_balanced(name: str, tissue: str) -> None:
    entry = devices()[name]
    pattern = solve(entry, Medium.uniform(*TISSUE[entry["frequency"]["value"]][tissue]))
    assert pattern.balance == pytest.approx(1.0, abs=0.01)
    assert pattern.absorbed_fraction > 0.5
    assert pattern.residual < 1e-6


@pytest.mark.parametrize("name", CLINICAL)
def test_clinical_device_is_usable_in_cancellous_bone_and_heats_beside_its_shaft(name: str) -> None:
    entry = devices()[name]
    pattern = solve(entry, Medium.uniform(*TISSUE[entry["frequency"]["value"]]["bone"]))
    assert -40.0 < pattern.reflection_db < -6.0  # a quarter back is where an antenna stops being of use
    along = part_power(pattern).sum(axis=1)
    middle = float((along * pattern.z_mm).sum() / along.sum())
    assert 0.0 < middle < 2 * entry["zone_centre_mm"]["value"]


def test_every_gauge_is_there_at_both_frequencies() -> None:
    found = {(devices()[name]["gauge"]["value"], devices()[name]["frequency"]["value"]) for name in CLINICAL}
    assert found >= {(gauge, frequency) for gauge in (14, 16, 17) for frequency in (9.15e8, 2.45e9)}


def test_what_was_not_read_of_a_validation_antenna_is_not_verified() -> None:
    entry = devices()["ji-brace-2450"]
    assert not any(entry[name]["verified"] for name in ("frequency", "min_power_w", "max_power_w", "usual_power_w"))


def test_fatty_marrow_sends_back_more_than_liver() -> None:
    entry = devices()["eco-100a1-14g"]
    fatty = solve(entry, Medium.uniform(5.3, 0.095))  # yellow marrow at 2.45 GHz, Gabriel 1996
    assert fatty.reflected_fraction > 3 * solve(entry, LIVER).reflected_fraction
    assert fatty.absorbed_fraction < 0.7


def test_choke_keeps_heat_off_the_shaft() -> None:
    entry = devices()["generic-915-17g"]
    bare = {key: value for key, value in entry.items() if key != "choke"}
    medium = Medium.uniform(*TISSUE[9.15e8]["liver"])
    shares = []
    for device in (entry, bare):
        pattern = solve(device, medium)
        behind = pattern.z_mm > entry["choke"]["from_tip"]["value"] + 20
        shares.append(part_power(pattern)[behind].sum() / pattern.absorbed_fraction)
    assert shares[0] < 0.25 * shares[1]


def test_worked_example_of_the_docstring_runs() -> None:
    from osteon.treatments.microwave import antenna

    outcome = doctest.testmod(antenna)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_layered_medium_of_one_tissue_is_the_uniform_one() -> None:
    entry = devices()["eco-100a1-16g"]
    r, z = np.arange(0.5, 20), np.arange(-10.0, 30)
    one = np.ones((z.size, r.size))
    layered = solve(entry, Medium(r, z, 43.03 * one, 1.69 * one))
    assert layered.absorbed_fraction == pytest.approx(solve(entry, LIVER).absorbed_fraction, rel=1e-12)


def test_medium_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError):
        Medium(np.arange(3.0), np.arange(4.0), np.ones((3, 4)), np.ones((3, 4)))


def test_cable_loss_is_the_decibels_of_both_lines() -> None:
    entry = devices()["eco-100a1-14g"]
    decibel = sum(entry[part]["attenuation"]["value"] * entry[part]["length"]["value"] for part in ("cable", "shaft_coax"))
    assert 10 * np.log10(1 - cable_loss_fraction(entry)) == pytest.approx(-decibel, rel=1e-12)
    assert cable_loss_fraction(devices()["saito-2450"]) == 0.0


def test_only_an_uncooled_shaft_gives_its_loss_to_the_tissue() -> None:
    entry = copy.deepcopy(dict(devices()["eco-100a1-14g"]))
    assert solve(entry, LIVER).shaft_loss_fraction == 0.0
    entry["cooled"]["value"] = False
    assert solve(entry, LIVER).shaft_loss_fraction == pytest.approx(shaft_coax_loss(entry))
    assert shaft_coax_loss(entry) > 0.01


def test_915_mhz_cable_loses_less_than_2450() -> None:
    assert cable_loss_fraction(devices()["generic-915-17g"]) < cable_loss_fraction(devices()["eco-100a1-14g"])


# --- devices.yaml


def entries(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Walk the entries with a source."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            if "source" in value:
                yield f"{path}{key}", value
            else:
                yield from entries(value, f"{path}{key}.")


@pytest.mark.parametrize("name", list(devices()))
def test_every_number_of_a_device_has_unit_spread_source_and_standing(name: str) -> None:
    found = dict(entries(devices()[name]))
    assert len(found) > 20
    for path, entry in found.items():
        assert isinstance(entry["verified"], bool), path
        number = entry.get("value")
        if isinstance(number, int | float) and not isinstance(number, bool):
            assert {"unit", "spread", "source"} <= entry.keys(), path
        assert not isinstance(number, str), f"{path} was read as text"
    assert set(device_values(devices()[name])) <= set(found)
    assert device_values(devices()[name])["frequency"].unit == "Hz"


@pytest.mark.parametrize("name", CLINICAL)
def test_unpublished_inside_of_a_clinical_device_is_not_verified(name: str) -> None:
    entry = devices()[name]
    for part in ("geometry", "cable", "shaft_coax", "choke"):
        assert not any(value["verified"] for _, value in entries(entry.get(part, {})))


@pytest.mark.parametrize("name", list(devices()))
def test_bone_needle_passes_the_shaft_and_the_sheath_is_the_shaft(name: str) -> None:
    entry = devices()[name]
    assert entry["introducer"]["bore_mm"]["value"] > entry["shaft_diameter_mm"]["value"]
    assert 2 * coax_of(entry).sheath_radius == pytest.approx(entry["shaft_diameter_mm"]["value"], abs=0.01)


@pytest.mark.parametrize("name", list(devices()))
def test_sources_of_devices_are_known_papers(name: str) -> None:
    from osteon.evidence.source import papers

    assert {entry["source"] for _, entry in entries(devices()[name])} <= papers().keys()


@pytest.mark.real
def test_quotations_of_devices_stand_in_their_papers(seeds: Path) -> None:
    texts = {path.name.split("-")[1]: " ".join(path.read_text(encoding="utf-8").split()) for path in seeds.glob("seed-*.txt")}
    quotes = [entry["quote"] for name in devices() for _, entry in entries(devices()[name]) if "quote" in entry]
    assert len(quotes) > 10
    for quote in quotes:
        match = re.fullmatch(r"\[00(\d) «(.+)»\]", quote)
        assert match, quote
        assert match[2] in texts[match[1]], quote


@pytest.mark.parametrize("name", list(devices()))
def test_zone_centre_of_a_device_is_where_the_solver_puts_it(name: str) -> None:
    entry = devices()[name]
    media = TISSUE[entry["frequency"]["value"]].values()
    computed = np.mean([zone_centre_mm(solve(entry, Medium.uniform(*tissue))) for tissue in media])
    assert entry["zone_centre_mm"]["value"] == pytest.approx(computed, abs=1.0)


def test_parts_that_do_not_fit_are_refused() -> None:
    entry = copy.deepcopy(dict(devices()["saito-2450"]))
    entry["geometry"]["dielectric_radius"]["value"] = 0.7
    with pytest.raises(SettingError, match="do not fit"):
        solve(entry, LIVER)
    del entry["geometry"]["slot_from"]
    with pytest.raises(SettingError, match="slot_from"):
        solve(entry, LIVER)


# --- in voxels


def pose_at(tip: np.ndarray, direction: np.ndarray, length: float = 120.0) -> NeedlePose:
    unit = direction / np.linalg.norm(direction)
    entry = tip - length * unit
    return NeedlePose(tuple(map(float, entry)), tuple(map(float, tip)))  # type: ignore[arg-type]


def whole_grid(pose: NeedlePose, pattern: Pattern, spacing: float) -> Grid:
    """A grid round everything that the pattern heats."""
    tip, back = np.array(pose.tip_mm), -np.array(pose.direction)
    ends = np.stack([tip + back * pattern.z_edges_mm[0], tip + back * pattern.z_edges_mm[-1]])
    reach = pattern.r_edges_mm[-1] + 2 * spacing
    return Grid.box(ends.min(0) - reach, ends.max(0) + reach, spacing)


directions = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda d: np.linalg.norm(d) > 0.1)
shifts = st.tuples(*[st.floats(-0.5, 0.5)] * 3)


@settings(max_examples=12, deadline=None)
@given(directions, shifts, st.sampled_from([1.0, 2.0]))
def test_placing_keeps_the_power_in_any_pose(direction: tuple[float, ...], shift: tuple[float, ...], spacing: float) -> None:
    pattern = PLACED
    pose = pose_at(np.array(shift), np.array(direction))
    grid = whole_grid(pose, pattern, spacing)
    total = place(pattern, pose, grid).sum(dtype=float) * grid.voxel_mm3 * 1e-9
    assert total == pytest.approx(pattern.absorbed_fraction, rel=1e-6)


PLACED = solve(devices()["saito-2450"], LIVER)


def test_table_keeps_the_power_of_the_pattern() -> None:
    table = heating_table(PLACED)
    r = (np.arange(table.values.shape[1]) + 0.5) * table.step_r
    power = (table.values * 2 * np.pi * r).sum() * table.step_r * table.step_z * 1e-9
    assert power == pytest.approx(PLACED.absorbed_fraction, rel=1e-9)
    assert (table.values >= 0).all()


def test_voxels_on_a_cropped_grid_are_those_of_the_whole() -> None:
    pose = pose_at(np.array([0.2, -0.3, 0.1]), np.array([1.0, 2.0, -0.5]))
    grid = whole_grid(pose, PLACED, 2.0)
    matrix = grid.matrix
    matrix[:3, 3] = grid.to_mm(np.array([15, 20, 25]))
    cropped = Grid.of((20, 18, 16), matrix)
    whole = place(PLACED, pose, grid)
    np.testing.assert_allclose(place(PLACED, pose, cropped), whole[15:35, 20:38, 25:41], rtol=1e-5)


def test_grid_that_the_pattern_does_not_reach_stays_cold() -> None:
    grid = Grid.box(np.full(3, 500.0), np.full(3, 520.0), 2.0)
    assert not place(PLACED, pose_at(np.zeros(3), np.array([0, 0, 1.0])), grid).any()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_patient_and_needle_turned_together_are_heated_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]  # may be a reflection: a mirrored patient too
    tip, direction = rng.uniform(-1, 1, 3), rng.normal(size=3)
    matrix = np.diag([1.5, 1.5, 3.0, 1.0])
    matrix[:3, 3] = -20.0
    turned = np.eye(4)
    turned[:3, :3] = rotation
    here = place(PLACED, pose_at(tip, direction), Grid.of((14, 28, 28), matrix))
    there = place(PLACED, pose_at(rotation @ tip, rotation @ direction), Grid.of((14, 28, 28), turned @ matrix))
    close = np.isclose(here, there, rtol=1e-4, atol=1e-6 * here.max())
    assert close.mean() > 0.999  # a sample on the edge of two cells of the table may fall on either side
    assert here.sum(dtype=float) == pytest.approx(there.sum(dtype=float), rel=1e-4)


def test_needle_the_other_way_round_heats_the_mirror_image() -> None:
    grid = Grid.box(np.full(3, -20.0), np.full(3, 20.0), 1.0)
    up = place(PLACED, pose_at(np.zeros(3), np.array([0, 0, 1.0])), grid)
    down = place(PLACED, pose_at(np.zeros(3), np.array([0, 0, -1.0])), grid)
    np.testing.assert_allclose(up, down[::-1], rtol=1e-3, atol=1e-4 * up.max())
    assert up[:20].sum() > 3 * up[21:].sum()  # behind the tip, towards the hub


def test_voxels_are_the_mean_of_the_cells_in_them() -> None:
    """Against 12 cubed samples of the untouched pattern in each voxel near the slot."""
    direction = np.array([0.3, -0.5, 0.8])
    pose = pose_at(np.array([0.3, 0.1, -0.2]), direction)
    back = -np.array(pose.direction)
    centre = np.array(pose.tip_mm) + 6.5 * back
    grid = Grid.box(centre - 6, centre + 6, 1.0)
    steps = (np.arange(12) + 0.5) / 12 - 0.5
    index = np.indices(grid.shape).reshape(3, -1).T
    total = np.zeros(len(index))
    for offset in np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3):
        away = grid.to_mm(index + offset) - pose.tip_mm
        z = away @ back
        r = np.linalg.norm(away - z[:, None] * back, axis=1)
        total += PLACED.heating[np.searchsorted(PLACED.z_edges_mm, z) - 1, np.searchsorted(PLACED.r_edges_mm, r) - 1]
    exact = (total / 12**3).reshape(grid.shape)
    ours = place(PLACED, pose, grid)
    assert np.abs(ours - exact).max() < 0.05 * exact.max()
    assert ours.sum(dtype=float) == pytest.approx(exact.sum(), rel=0.01)


def test_local_conductivity_moves_the_heat_and_keeps_the_power() -> None:
    grid = Grid.box(np.full(3, -15.0), np.full(3, 15.0), 1.0)
    pose = pose_at(np.zeros(3), np.array([0, 0, 1.0]))
    plain = place(PLACED, pose, grid)
    sigma = np.full(grid.shape, 1.69, np.float32)
    np.testing.assert_allclose(place(PLACED, pose, grid, Volume(sigma, grid)), plain, rtol=1e-4)
    sigma[:, :, :15] = 0.5
    moved = place(PLACED, pose, grid, Volume(sigma, grid))
    assert moved.sum(dtype=float) == pytest.approx(plain.sum(dtype=float), rel=1e-5)
    assert moved[:, :, :13].sum() < 0.5 * moved[:, :, 18:].sum()


def test_shaft_loss_is_spread_over_the_shaft() -> None:
    grid = Grid.box(np.full(3, -30.0), np.full(3, 30.0), 1.0)
    pose = pose_at(np.zeros(3), np.array([0, 0, 1.0]))
    heat = place_along_shaft(0.5, 5.0, 25.0, pose, grid)
    assert heat.sum(dtype=float) * 1e-9 == pytest.approx(0.5, rel=1e-6)
    assert (np.argwhere(heat)[:, 0] <= 25).all()  # z below the tip


def test_needle_without_length_is_refused() -> None:
    with pytest.raises(InputError):
        place(PLACED, NeedlePose((1.0, 2.0, 3.0), (1.0, 2.0, 3.0)), Grid.box(np.zeros(3), np.ones(3), 1.0))


@settings(max_examples=5, deadline=None)
@given(directions)
def test_medium_round_an_oblique_needle_is_the_layers_that_were_put_there(direction: tuple[float, ...]) -> None:
    pose = pose_at(np.array([0.4, -0.2, 0.3]), np.array(direction))
    grid = Grid.box(np.full(3, -45.0), np.full(3, 45.0), 1.5)
    back = -np.array(pose.direction)
    away = grid.to_mm(np.indices(grid.shape).transpose(1, 2, 3, 0)) - pose.tip_mm
    z = away @ back
    r = np.linalg.norm(away - z[..., None] * back, axis=-1)
    sigma = Volume((0.5 + 0.02 * r + 0.01 * z).astype(np.float32), grid)
    eps = Volume((10 + r).astype(np.float32), grid)
    medium = medium_from(eps, sigma, pose, r_max_mm=20, z_range_mm=(-15, 30))
    rr, zz = np.meshgrid(medium.r_mm, medium.z_mm)
    far = rr > 3  # the tip of a cone cannot be sampled on voxels
    assert np.abs(medium.permittivity - 10 - rr)[far].max() < 0.1
    assert np.abs(medium.conductivity - 0.5 - 0.02 * rr - 0.01 * zz)[far].max() < 0.005


def test_medium_of_half_bone_half_muscle_is_their_mean() -> None:
    grid = Grid.box(np.full(3, -30.0), np.full(3, 30.0), 1.0)
    values = np.full(grid.shape, 18.5, np.float32)
    values[:, :, 30:] = 52.7
    values[:, :, 30] = 0.5 * (18.5 + 52.7)
    medium = medium_from(Volume(values, grid), Volume(values, grid), pose_at(np.zeros(3), np.array([0, 0, 1.0])), r_max_mm=20)
    np.testing.assert_allclose(medium.permittivity, 0.5 * (18.5 + 52.7), rtol=1e-3)
