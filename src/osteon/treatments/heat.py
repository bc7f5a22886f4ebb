"""What every treatment by heat or cold shares: the state it begins with, what it watches, and the fields and traces it leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.evidence.value import Value
from osteon.physics import bioheat, damage
from osteon.space.anatomy import Anatomy, Field, Kind
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.bone import CODE, FIELDS, TissueMap, row_fields
from osteon.tissue.properties import Constants
from osteon.treatments.base import Ended, Trace

CRITICAL: tuple[Kind, ...] = ("nerve", "cord", "vessel", "bowel", "joint", "skin", "organ", "lung")
# Numerical choices, not properties of tissue.
COOLING_S = 120.0  # after power off
DOSE_S, SNAPSHOT_S = 2.0, 30.0  # between dose samples; the dose of a straight line between them is exact
PAIR = "liver"
OTHER_PAIRS = ("bone_beside_cement",)
AFTER_ANOTHER = (
    "Begins with the temperature and without the blood flow that the application before it left; water that it boiled off counts "
    "as there again."
)


def materials_of(tissue: TissueMap, constants: Constants, steam_leaves: bool = False) -> bioheat.Materials:
    """Return what the heat solver needs of a tissue map; ``steam_leaves`` as in ``bioheat.Materials``."""
    return bioheat.Materials(
        conductivity=tissue.conductivity,
        heat_capacity=tissue.heat_capacity,
        perfusion=tissue.perfusion,
        vaporisation_heat=tissue.vaporisation_heat,
        conductivity_slope=constants("conductivity_slope", "slope"),
        vaporisation_c=(constants("vaporisation", "boiling_start"), constants("vaporisation", "boiling_end")),
        steam_leaves=steam_leaves,
    )


def uniform(label: str, band: str, frequency_hz: float, constants: Constants, grid: Grid, perfused: bool = True) -> TissueMap:
    """Return a grid full of one tissue, as a bench has it.

    Parameters
    ----------
    label : str
        Of ``LABELS``: ``liver``, ``muscle``, ``bone``, ...
    band : str
        Of the dielectric tables: ``480kHz``, ``915MHz``, ``2450MHz``.
    frequency_hz : float
        What the map says of itself [Hz].
    constants : Constants
        The numbers of this run.
    grid : Grid
        Where.
    perfused : bool
        Whether blood flows.
    """
    values = dict(zip(FIELDS, row_fields(label, band, constants, grid)))
    if not perfused:
        values["perfusion"] = 0.0
    fields: dict[str, Any] = {name: np.full(grid.shape, value, np.float32) for name, value in values.items()}
    labels = np.full(grid.shape, CODE[label], np.uint8)
    return TissueMap(grid=grid, frequency_hz=frequency_hz, labels=labels, used=dict(constants.used), assumptions=(), **fields)


def cubic_spacing_mm(grid: Grid) -> float:
    """Return the edge of the cubic voxels.

    Raises
    ------
    InputError
        If they are not cubic.
    """
    spacing = grid.spacing_mm
    if max(spacing) > 1.01 * min(spacing):
        raise InputError(
            f"The grid has voxels of {spacing[0]:.2f} x {spacing[1]:.2f} x {spacing[2]:.2f} mm.",
            "Heat is computed on cubic voxels.",
            "Resample with Volume.isotropic or Anatomy.on first.",
        )
    return float(np.mean(spacing))


def watched(anatomy: Anatomy) -> dict[str, Array]:
    """Return the outlines of every critical structure on the grid, by structure id."""
    return {key.id: anatomy.masks[key].array for key in anatomy.of_kind(*CRITICAL)}


def as_left(tissue: TissueMap, anatomy: Anatomy) -> tuple[TissueMap, Array | None]:
    """Return the tissue as an earlier application left it: no blood flow where it is dead, and its temperature; None: 37 °C."""
    dead, present = (anatomy.state.get(name) for name in (Field.DEAD, Field.PRESENT_C))
    if dead is not None:
        tissue = replace(tissue, perfusion=np.where(dead.array, np.float32(0.0), tissue.perfusion))
    return tissue, None if present is None else np.asarray(present.array, np.float32)


def fields_of(result: bioheat.HeatResult, grid: Grid) -> dict[Field, Volume]:
    """Return the state that a run leaves: highest and last temperature, dose, and dead where CEM43 reached necrosis."""
    necrosis = damage.constants("cem43")["necrosis"].number
    return {
        Field.TEMPERATURE_C: Volume(np.asarray(result.peak_c, np.float32), grid),
        Field.PRESENT_C: Volume(np.asarray(result.temperature_c, np.float32), grid),
        Field.CEM43_MIN: Volume(np.asarray(result.cem43_min, np.float32), grid),
        Field.DEAD: Volume(result.cem43_min >= necrosis, grid),
    }


def place_of(grid: Grid, flat_index: int) -> tuple[float, float, float]:
    """Return where a voxel lies (LPS mm)."""
    x, y, z = grid.to_mm(np.array(np.unravel_index(flat_index, grid.shape), float))
    return float(x), float(y), float(z)


def hottest_traces(result: bioheat.HeatResult, grid: Grid) -> dict[str, Trace]:
    """Return ``hottest:<structure>`` for every watched structure, with the place of its highest temperature."""
    return {
        f"hottest:{name}": Trace(times, values, "degC", place_of(grid, result.hottest[name][1]))
        for name, (times, values) in result.traces.items()
    }


def zone_trace(result: bioheat.HeatResult, grid: Grid) -> Trace:
    """Return the volume with CEM43 at necrosis over time [cm³]."""
    volumes = [float(shot.mask(grid.shape).sum()) * grid.voxel_mm3 * 1e-3 for shot in result.snapshots]
    return Trace(np.array([0.0, *(shot.time_s for shot in result.snapshots)]), np.array([0.0, *volumes]), "cm^3")


def damage_values() -> dict[str, Value]:
    """Return the constants of thermal damage that a run uses."""
    used = {f"cem43.{name}": value for name, value in damage.constants("cem43").items()}
    for name in (PAIR, *OTHER_PAIRS):
        pair = damage.arrhenius(name)
        used[f"arrhenius.{name}.frequency_factor"] = pair.frequency_factor
        used[f"arrhenius.{name}.activation_energy"] = pair.activation_energy
    return used


def ended_of(result: bioheat.HeatResult) -> Ended:
    """Return how a run ended, and what was still warming then."""
    ending = result.ended
    still = [name for name, (_, values) in result.traces.items() if values.size > 2 and values[-1] >= values.max() > 37.5]
    late = f" Still warming at the end: {', '.join(still)}." if still else ""
    return Ended(ending.how, ending.why + late, None, ending.energy_balance, ending.steps)
