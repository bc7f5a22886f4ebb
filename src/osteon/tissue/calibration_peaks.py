"""The peaks of air, fat and muscle in a histogram of Hounsfield numbers, and the numbers of ``data/calibration.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from osteon.errors import MissingError
from osteon.evidence.value import Value, values_in
from osteon.space.volume import Array


@cache
def settings() -> Mapping[str, Value]:
    """Return the numbers of ``data/calibration.yaml``."""
    return values_in("osteon.tissue", "data/calibration.yaml")


def peaks(hu: ArrayLike) -> dict[str, float]:
    """Return the Hounsfield numbers at the histogram peaks of air, fat and muscle in a region that holds all three.

    Parameters
    ----------
    hu : array_like
        Hounsfield numbers of any shape; padding of -1024 and below is left out.

    Raises
    ------
    MissingError
        If a window holds too few voxels, or its most frequent number lies at the window's border: then it is no peak.
    """
    x = np.asarray(hu, dtype=float).ravel()
    return {name: peak(name, x) for name in ("air", "fat", "muscle")}


def peak(name: str, hu: ArrayLike) -> float:
    """Return the Hounsfield number at the histogram peak of one tissue.

    Parameters
    ----------
    name : {"air", "fat", "muscle"}
        Says between which numbers it is looked for.
    hu : array_like
        Hounsfield numbers of any shape; what lies outside the tissue's window is left out.

    Raises
    ------
    MissingError
        If the window holds too few voxels, or its most frequent number lies at the window's border: then it is no peak.
    """
    x = np.asarray(hu, dtype=float).ravel()
    low, high = settings()[f"{name}_low"].number, settings()[f"{name}_high"].number
    inside = x[(x >= low) & (x <= high)]
    found = _peak(inside, low, high) if inside.size >= settings()["peak_voxels"].number else None
    if found is None:
        raise MissingError(
            f"The region shows no peak of {name} between {low:.0f} and {high:.0f} HU ({inside.size} voxels there).",
            "Without it the scanner cannot be calibrated on this patient.",
            "Choose a region that holds air, fat and muscle and no table, or use a phantom.",
        )
    return found


def _peak(values: Array, low: float, high: float) -> float | None:
    """Return the top of the smoothed histogram, refined by the mean of what lies round it; None at a border."""
    quarter, three = np.percentile(values, [25, 75])
    width = max(settings()["peak_width"].number, float(three - quarter) / 2.7)  # half the deviation of the noise
    counts, edges = np.histogram(values, bins=np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.5))
    top = int(np.argmax(ndimage.gaussian_filter1d(counts.astype(float), width, mode="constant")))
    middle = float(edges[top]) + 0.5
    for _ in range(50):  # a window round its own mean: no bin decides where the peak lies
        half = min(3.0 * width, middle - low, high - middle)
        if half < 1.0:
            return None
        moved = float(values[np.abs(values - middle) <= half].mean())
        if abs(moved - middle) < 1e-3:
            break
        middle = moved
    return middle
