"""What is refused before a bioheat run begins: shapes, properties, times and sources that cannot be used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from osteon.physics.bioheat import Materials, Stage

Array = np.ndarray[Any, np.dtype[Any]]


def watched_indices(watch: Mapping[str, Array], shape: tuple[int, ...]) -> dict[str, Array]:
    """Return the flat indices of every watched mask; a mask that is empty or of another shape is refused."""
    found = {}
    for name, mask in watch.items():
        if mask.shape != shape or mask.dtype != bool or not mask.any():
            raise InputError(
                f"The watched mask {name!r} has shape {mask.shape}, type {mask.dtype} and {int(np.count_nonzero(mask))} voxels.",
                "The hottest point of a structure that is not on the grid cannot be told.",
                f"Give a non-empty bool mask of shape {shape}, and report structures off the grid as unknown.",
            )
        found[name] = np.flatnonzero(mask)
    return found


def checked_source(density: Array | None, shape: tuple[int, ...]) -> Array | None:
    """Return a source that fits the grid; another shape or a value that is not finite is refused."""
    if density is not None and (density.shape != shape or not np.isfinite(density).all()):
        raise InputError(
            f"A source has shape {density.shape} and {int(np.count_nonzero(~np.isfinite(density)))} values that are not finite.",
            "Heat put in by mistake cannot be told from heat.",
            f"Give W/m³ as finite numbers of shape {shape}.",
        )
    return density


def check(
    spacing_mm: float,
    materials: Materials,
    stages: Sequence[Stage],
    start_c: float,
    arterial_c: float,
    boundary: str,
    initial_c: Array | None,
) -> tuple[int, ...]:
    """Return the shape of the grid; numbers that do not make a problem are refused."""
    shape = cast(tuple[int, ...], materials.conductivity.shape)
    lowest = {"conductivity": (materials.conductivity, False), "heat_capacity": (materials.heat_capacity, False),
              "perfusion": (materials.perfusion, True), "vaporisation_heat": (materials.vaporisation_heat, True)}  # fmt: skip
    for name, (values, zero_allowed) in lowest.items():
        if values.shape != shape or len(shape) != 3:
            raise InputError(
                f"{name} has shape {values.shape}, conductivity {shape}.",
                "Every voxel needs each property.",
                "Give arrays of one shape (z, y, x).",
            )
        least = float(values.min())
        if not np.isfinite(values).all() or least < 0 or (least == 0 and not zero_allowed):
            raise InputError(
                f"{name} has values down to {least} or not finite.",
                "A voxel without a physical property has no temperature.",
                f"Give finite numbers {'of at least' if zero_allowed else 'above'} 0 everywhere, tissue or not.",
            )
    begins, ends = materials.vaporisation_c
    numbers = (spacing_mm, start_c, arterial_c, materials.conductivity_slope, begins, ends)
    given = [number for stage in stages for number in (stage.duration_s, stage.refresh_s)]
    spans = [number for number in given if not callable(number)]
    usable = all(math.isfinite(n) for n in numbers) and spacing_mm > 0 and start_c < begins < ends <= start_c + 1000
    slope_ok = 1.0 + materials.conductivity_slope * (ends - start_c) > 0
    if not (usable and slope_ok and boundary in ("fixed", "insulated")):
        raise InputError(
            f"Spacing {spacing_mm} mm, start {start_c} °C, blood {arterial_c} °C, slope {materials.conductivity_slope} 1/K, "
            f"vaporisation {begins} to {ends} °C, boundary {boundary!r} do not make a problem.",
            "The equation needs a positive spacing, a start below vaporisation and a conductivity that stays positive.",
            "Correct the number that is out of range; the boundary is 'fixed' or 'insulated'.",
        )
    if not stages or not all(n > 0 for n in spans) or not all(math.isfinite(stage.duration_s) for stage in stages):
        raise InputError(
            f"The stages last {[s.duration_s for s in stages]} s, refreshed every {[s.refresh_s for s in stages]} s.",
            "A run needs at least one stage, and time goes forward.",
            "Give positive, finite durations and positive refresh times.",
        )
    if initial_c is not None and (initial_c.shape != shape or not np.isfinite(initial_c).all()):
        raise InputError(
            f"The initial temperature has shape {initial_c.shape} or values that are not finite.",
            "Every voxel needs a temperature to start from.",
            f"Give °C as finite numbers of shape {shape}.",
        )
    return shape
