"""How far to believe the planner: a case where each finding must be made, one where none may, and the price of the full wave."""

import math
from dataclasses import replace

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.physics.acoustic_layers import Medium
from osteon.physics.acoustic_planner import march
from osteon.physics.acoustic_trust import full_wave, judge, limits
from osteon.physics.acoustic_wave_march import Frame
from osteon.physics.acoustic_wave_media import Media

WATER, BONE = Medium(1000.0, 1500.0), Medium(1850.0, 2800.0, 46.0, 1550.0, 138.0)
F, H, N = 5e5, 0.5e-3, 96  # 6 cells in a wave of water, 11 in one of bone


def plane(degree=0.0, waist=6e-3, shift=0.0):
    x = (np.arange(N) - N // 2) * H
    beam = np.exp(-((x[:, None] / waist) ** 2) - ((x - shift) / waist) ** 2)
    return 1e5 * beam * np.exp(2j * np.pi * F / 1500 * np.sin(np.radians(degree)) * x)


def slab(cells, tilt_deg=0.0, deep=50, top=20):
    z, _, x = np.indices((deep, N, N))
    depth = (z - top) * math.cos(math.radians(tilt_deg)) + (x - N // 2) * math.sin(math.radians(tilt_deg))
    return ((depth >= 0) & (depth < cells)).astype(np.uint8)


def judged(labels, entry, **changed):
    found = replace(march(entry, labels, (WATER, BONE), F, H), **changed)
    return judge(found, labels, (WATER, BONE), F, H)


def test_a_thick_level_plate_met_at_right_angles_is_believed():
    trust = judged(slab(16), plane(), beyond_critical=0.0, stairs=0.0)
    assert trust.believe == "yes"
    assert trust.measures["coarse"] == 0.0
    assert trust.measures["thin_oblique"] == 0.0
    assert trust.measures["least_cells"] == pytest.approx(16, abs=0.01)
    assert trust.measures["mean_incidence_deg"] < 6  # a beam of two waves' waist spreads by a few degrees
    assert "No limit" in trust.sentences[0]
    assert trust.sentences[-1].startswith("Run the full wave")


def mirrored(degree, reflected, top=30, deep=70):
    """Return the exact field of a level wave, its echo from a tilted half-space and what goes on below, on the planes."""
    z, _, x = np.indices((deep + 1, N, N)) * H
    angle = math.radians(degree)
    k, tilt = 2 * np.pi * F / 1500, (math.cos(angle), math.sin(angle))
    depth = (z - top * H) * tilt[0] + (x - N // 2 * H) * tilt[1]
    comes = np.exp(1j * k * z)
    echo = reflected * np.exp(1j * k * (z - 2 * tilt[0] * depth))  # of each point the mirrored one
    along = np.exp(1j * k * (z - tilt[0] * depth))  # on the face below each point
    goes = (1 + reflected) * along * np.exp(-np.abs(depth) / 3e-3)
    beam = np.exp(-(((x - N // 2 * H) / 9e-3) ** 2) - ((np.indices(z.shape)[1] - N // 2) * H / 9e-3) ** 2)
    return (beam * np.where(depth < 0, comes + echo, goes)).astype(np.complex64)


@pytest.mark.parametrize(("degree", "reflected"), [(20.0, 0.5), (20.0, -0.8j), (35.0, 0.6 + 0.7j), (35.0, 0.0)])
def test_angle_at_a_tilted_face_is_right_in_the_exact_field_of_wave_and_echo(degree, reflected):
    found = march(plane(), slab(60, degree, deep=70, top=30), (WATER, BONE), F, H, most_sweeps=1)
    exact = replace(found, pressure_pa=mirrored(degree, reflected))
    trust = judge(exact, slab(60, degree, deep=70, top=30), (WATER, BONE), F, H)
    assert trust.measures["mean_incidence_deg"] == pytest.approx(degree, abs=5)


@pytest.mark.parametrize("degree", [20.0, 35.0])
def test_angle_of_a_tilted_wave_at_a_level_face(degree):
    shift = -20 * H * math.tan(math.radians(degree))
    by_wave = judged(slab(16), plane(degree, shift=shift)).measures["mean_incidence_deg"]
    assert by_wave == pytest.approx(degree, abs=5)


def test_a_thin_oblique_shell_is_told_and_so_is_one_of_too_few_voxels():
    thin = judged(slab(4, 35.0, deep=70, top=30), plane(), beyond_critical=0.0, stairs=0.0)  # 2 mm; half a wave is 2.8 mm
    assert thin.measures["thin_oblique"] > 0.9
    assert thin.believe == "no"
    assert any("thinner than half a wavelength" in line for line in thin.sentences)
    level = judged(slab(4), plane(), beyond_critical=0.0, stairs=0.0)
    assert level.measures["thin_oblique"] < 0.1
    few = judged(slab(2), plane(), beyond_critical=0.0, stairs=0.0)
    assert few.measures["coarse"] == pytest.approx(1.0)
    assert few.believe == "no"


@pytest.mark.parametrize("name", ["beyond_critical", "last_added"])
def test_the_planners_own_shares_are_weighed_by_the_limits(name):
    clean = {"beyond_critical": 0.0, "stairs": 0.0, "last_added": 0.0}
    care, no = (limits()[f"{name}_{level}"].number for level in ("care", "no"))
    for value, expected in ((care * 0.9, "yes"), (care * 1.1, "with care"), (no * 1.1, "no")):
        trust = judged(slab(16), plane(), **{**clean, name: value})
        assert trust.believe == expected
        assert (f"{100 * care:g} %" in " ".join(trust.sentences)) == (expected != "yes")


def test_stairs_are_a_caution_bone_at_the_rim_is_told_and_a_number_that_is_none_is_never_believed():
    assert judged(slab(16), plane(), beyond_critical=0.0, stairs=1.0).believe == "with care"
    wide = judged(slab(16), plane(waist=0.1), beyond_critical=0.0, stairs=0.0)
    assert wide.measures["rim"] > 0.1
    assert wide.believe == "no"
    assert judged(slab(16), plane(), stairs=math.nan).believe == "no"
    silent = judged(slab(16), plane() * 0, stairs=0.0, beyond_critical=0.0)
    assert silent.believe == "no"
    assert "Nothing arrived" in silent.sentences[0]


def test_without_bone_there_is_nothing_to_doubt():
    trust = judged(slab(16) * 0, plane(), stairs=0.0)
    assert trust.believe == "yes"
    assert "No solid bone" in trust.sentences[0]


def test_price_of_the_full_wave_is_that_of_its_own_frame():
    labels = slab(13)
    found = march(plane(), labels, (WATER, BONE), F, H)
    asked = full_wave(found.pressure_pa, labels == 1, labels, (WATER, BONE), F, H)
    box = tuple(slice(a, b) for a, b in zip(asked.low, asked.high, strict=True))
    assert asked.spacing_m == pytest.approx(1500 / F / 12)
    fine = np.repeat(np.repeat(np.repeat(labels[box], 2, 0), 2, 1), 2, 2)  # 0.25 mm is just what is advised
    fields = [np.array([getattr(m, n) for m in (WATER, BONE)])[fine] for n in WATER.__dataclass_fields__]
    frame = Frame(Media(*fields[:3], 0.25e-3, *fields[3:]), F, (None, None))
    assert asked.cells == math.prod(frame.cells)
    assert asked.bytes == pytest.approx(frame.bytes, rel=0.05)
    assert asked.steps % frame.steps == 0
    assert (np.abs(found.pressure_pa[1:][labels == 1]) > 0).any()


def test_field_and_labels_that_do_not_fit_are_refused():
    found = march(plane(), slab(16), (WATER, BONE), F, H)
    with pytest.raises(InputError, match="stands beside cells"):
        judge(found, slab(16)[:-1], (WATER, BONE), F, H)
