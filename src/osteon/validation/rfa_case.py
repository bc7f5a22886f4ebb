"""What the radiofrequency cases share: one electrode upright in a uniform block, and how large the zone is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteon.physics import bioheat
from osteon.space.volume import Array, Grid
from osteon.tissue.bone import TissueMap
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose
from osteon.treatments.heat import OTHER_PAIRS, PAIR, materials_of, uniform
from osteon.treatments.radiofrequency import simulation
from osteon.treatments.radiofrequency.circuit import Circuit
from osteon.treatments.radiofrequency.treatment import all_devices

BAND = "480kHz"
FINER = 4  # sizes are read on a grid so many times finer, linear between voxels


@dataclass(frozen=True, eq=False)
class Treated:
    """One run: circuit, heat, spacing [mm], tip length [mm]."""

    circuit: Circuit
    result: bioheat.HeatResult
    spacing_mm: float


def block(label: str, constants: Constants, spacing_mm: float, half_mm: float, perfused: bool) -> TissueMap:
    """Return a cube of one tissue, its middle at the origin.

    Parameters
    ----------
    label : str
        ``liver``, ``muscle``, ... (see ``uniform``).
    constants : Constants
        The numbers of this run.
    spacing_mm, half_mm : float
        Voxel edge and half edge of the cube [mm].
    perfused : bool
        Whether blood flows.
    """
    grid = Grid.box(np.full(3, -half_mm), np.full(3, half_mm), spacing_mm)
    return uniform(label, BAND, 480e3, constants, grid, perfused)


def treat(
    device: str,
    controls: dict[str, float],
    seconds: float,
    tissue: TissueMap,
    constants: Constants,
    *,
    start_c: float = 37.0,
    cooling_s: float = simulation.COOLING_S,
    observe: Callable[[float], None] | None = None,
    seen: Callable[[float, Array], None] | None = None,
    coagulates: str = PAIR,
    **numerical: float,
) -> Treated:
    """Run one electrode upright along z, the middle of its active part at the origin.

    Parameters
    ----------
    device : str
        Id in ``devices.yaml``.
    controls : dict
        ``power_w`` or ``temperature_c``.
    seconds : float
        Power on [s].
    tissue : TissueMap
        The block.
    constants : Constants
        The numbers of this run.
    start_c : float
        Temperature of the block and beyond [°C].
    cooling_s : float
        After power off [s].
    observe, seen : callable, optional
        As in ``simulation.heat_tissue``.
    coagulates : str
        Arrhenius pair at whose threshold blood stops.
    **numerical : float
        ``step_s``, ``least_s`` of ``Circuit``.
    """
    entry = all_devices()[device]
    back = float(entry["zone_centre_mm"]["value"])
    pose = NeedlePose((0.0, 0.0, 100.0), (0.0, 0.0, -back))
    circuit = simulation.circuit_of(tissue, entry, pose, controls, constants, device, **numerical)
    result = simulation.heat_tissue(
        circuit,
        materials_of(tissue, constants),
        seconds,
        start_c=start_c,
        cooling_s=cooling_s,
        observe=observe,
        seen=seen,
        coagulates=coagulates,
        pairs=(PAIR, *OTHER_PAIRS),
    )
    return Treated(circuit, result, float(np.mean(tissue.grid.spacing_mm)))


def zone_mm(field: Array, level: float, spacing_mm: float, kept: Array | None = None) -> tuple[float, float, float]:
    """Return length along the electrode [mm], width across it [mm] and volume [cm³] of where a field exceeds a level.

    The length is the longest line along the electrode (first axis), the width the diameter of the circle of equal area in the
    widest cross-section; linear between voxels.

    Parameters
    ----------
    field : array, shape (z, y, x)
        A smooth field: temperature, or the logarithm of a dose.
    level : float
        Its level at the edge of the zone.
    spacing_mm : float
        Voxel edge [mm].
    kept : array, shape (z, y, x), optional
        Share of its length that tissue keeps (``contraction.kept``): the zone as it is measured after it has contracted.
    """
    inside = field >= level
    if not inside.any():
        return 0.0, 0.0, 0.0
    (found,) = ndimage.find_objects(inside.astype(np.uint8))
    box = tuple(slice(max(s.start - 2, 0), s.stop + 2) for s in found)
    part = field[box]
    shape = [FINER * (n - 1) + 1 for n in part.shape]
    at = np.meshgrid(*(np.arange(n) / FINER for n in shape), indexing="ij", sparse=True)
    places = np.broadcast_arrays(*at)
    fine = ndimage.map_coordinates(part.astype(np.float32), places, order=1) >= level
    share = fine.astype(np.float32)
    if kept is not None:
        share *= ndimage.map_coordinates(kept[box].astype(np.float32), places, order=1)
    step = spacing_mm / FINER
    length = float(share.sum(axis=0).max()) * step
    width = 2.0 * float(np.sqrt((share**2).sum(axis=(1, 2)).max() / np.pi)) * step
    return length, width, float((share**3).sum()) * step**3 * 1e-3


def log_dose(dose: Array) -> Array:
    """Return the decimal logarithm of a dose, held above 1e-6."""
    return np.asarray(np.log10(np.maximum(dose, 1e-6)), np.float32)
