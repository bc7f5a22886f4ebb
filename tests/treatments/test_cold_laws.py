"""Laws of cold, searched by hypothesis on a small phantom: as ``test_thermal_laws`` for heat."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.physics import freezing
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.bone import properties_map
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose
from osteon.treatments.cryoablation.cryoprobe import cryoprobe, cycles
from osteon.treatments.cryoablation.simulation import FREQUENCY_HZ, materials_of
from osteon.treatments.cryoablation.treatment import Cryoablation

LESION, BONE = structure("lesion"), structure("hip_right")
SPACING_MM, HALF_MM, FREEZE_S = 2.5, 35.0, 180.0
GRID_ICE, GRID_HEAT = 0.10, 0.05  # what the grid alone changes when patient and probe turn: set before it was seen


@dataclass(frozen=True)
class Run:
    """What the laws look at."""

    result: freezing.FreezeResult
    ice_cm3: float

    @property
    def taken_j(self) -> float:
        """Heat that the probe took."""
        return -self.result.energy_probes_j


def patient(turn: np.ndarray) -> Anatomy:
    """A ball of tumour in bone (x < 0) and muscle; ``turn`` rotates what is in the grid, not the grid."""
    grid = Grid.box(np.full(3, -HALF_MM), np.full(3, HALF_MM), SPACING_MM)
    mm = grid.to_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)) @ turn
    lesion = np.linalg.norm(mm, axis=-1) <= 12.0
    bone = (mm[..., 0] < 0) & (np.abs(mm[..., 1]) < 20)
    hu = np.where(lesion, 40.0, np.where(bone, 300.0, 50.0)).astype(np.float32)
    masks = {LESION: Volume(lesion, grid), BONE: Volume(bone, grid)}
    return Anatomy(imaged=Volume(np.ones(grid.shape, bool), grid), image=Volume(hu, grid), masks=masks)


def run(power: float = 1.0, freeze_s: float = FREEZE_S, turn: np.ndarray | None = None) -> Run:
    """Freeze once, thaw passively and actively; ``power``: share of what the gas can carry."""
    turn, constants = np.eye(3) if turn is None else turn, Constants()
    tissue = properties_map(patient(turn), FREQUENCY_HZ)
    made = Cryoablation()
    probe = cryoprobe(made.device("generic-2.4mm"), constants, "generic-2.4mm")
    probe = replace(probe, freezing=replace(probe.freezing, most_w_m=probe.freezing.most_w_m * power))
    if power == 0.0:
        probe = replace(probe, thawing=replace(probe.thawing, most_w_m=0.0))
    pose = NeedlePose(*(tuple(map(float, turn @ np.array(p))) for p in ((0.0, -100.0, 0.0), (0.0, 20.0, 0.0))))
    result = freezing.freeze(
        SPACING_MM, materials_of(tissue, constants), cycles(probe, freeze_s, 120.0, 1), [probe.line(pose, tissue.grid)],
        start_c=37.0,
    )  # fmt: skip
    return Run(result, float((result.lowest_c <= 0.0).sum()) * SPACING_MM**3 * 1e-3)


@pytest.fixture(scope="module")
def usual() -> Run:
    return run()


def turned(axis: list[float], degrees: float) -> np.ndarray:
    """Rotation matrix about an axis."""
    u = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -u[2], u[1]], [u[2], 0, -u[0]], [-u[1], u[0], 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@settings(max_examples=3, deadline=None)
@given(power=st.floats(0.2, 0.95))
def test_more_cold_is_never_less_ice(usual: Run, power: float) -> None:
    less = run(power)
    assert less.ice_cm3 <= usual.ice_cm3
    assert less.taken_j <= usual.taken_j * (1 + 1e-6)
    assert (usual.result.lowest_c <= less.result.lowest_c + 0.25).all()  # supersteps are within 0.2 K of fine steps


@settings(max_examples=3, deadline=None)
@given(shorter=st.floats(0.3, 0.9))
def test_a_longer_freeze_is_never_warmer(usual: Run, shorter: float) -> None:
    brief = run(freeze_s=FREEZE_S * shorter)
    assert brief.ice_cm3 <= usual.ice_cm3
    assert (usual.result.lowest_c <= brief.result.lowest_c + 0.25).all()


@settings(max_examples=3, deadline=None)
@given(power=st.floats(0.2, 1.0), freeze_s=st.floats(60.0, 200.0))
def test_heat_lost_is_what_probe_blood_and_edges_exchange(power: float, freeze_s: float) -> None:
    result = run(power, freeze_s).result
    given_j = result.energy_probes_j + result.energy_perfusion_j + result.energy_walls_j
    assert result.energy_stored_j == pytest.approx(given_j, abs=1e-3 * abs(result.energy_probes_j))
    assert result.ended.energy_balance < 1e-3


def test_a_probe_without_power_does_nothing() -> None:
    result = run(power=0.0).result
    assert np.ptp(result.lowest_c) == 0.0
    assert result.energy_probes_j == 0.0
    assert result.ice_cm3[0.0].max() == 0.0


@settings(max_examples=3, deadline=None)
@given(axis=st.lists(st.floats(0.1, 1.0), min_size=3, max_size=3), degrees=st.floats(5.0, 175.0))
def test_turning_patient_and_probe_together_changes_only_what_the_grid_does(
    usual: Run, axis: list[float], degrees: float
) -> None:
    other = run(turn=turned(axis, degrees))
    assert other.ice_cm3 == pytest.approx(usual.ice_cm3, rel=GRID_ICE)
    assert other.taken_j == pytest.approx(usual.taken_j, rel=GRID_HEAT)


def test_a_quarter_turn_on_the_grid_changes_nothing_but_rounding(usual: Run) -> None:
    other = run(turn=np.rint(turned([0.0, 0.0, 1.0], 90.0)))
    assert other.ice_cm3 == pytest.approx(usual.ice_cm3, rel=0.02)
    assert other.taken_j == pytest.approx(usual.taken_j, rel=2e-3)
