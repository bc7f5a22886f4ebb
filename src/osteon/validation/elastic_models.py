"""What the elastic reference cases share: grids of nodes, supports, and a solution that must have converged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from osteon.errors import NumericalError
from osteon.physics.elasticity import Model, Solved, Support, nodes_of, solve

Array = np.ndarray[Any, np.dtype[Any]]
Ends = tuple[Array, Array]  # which displacements are prescribed, and to what
POISSON = 0.3
MODULUS_PA = 17e9  # of cortical bone; the closed forms hold for any
TIGHT = 1e-9  # residual asked where a field or a force is exact


def nodes_mm(shape: Sequence[int], spacing_mm: float, centred: bool = False) -> Array:
    """Return the places of the nodes, shape (z + 1, y + 1, x + 1, 3), z first; from the middle of the grid where centred."""
    axes = [spacing_mm * (np.arange(n + 1.0) - (n / 2.0 if centred else 0.0)) for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def centres_mm(shape: Sequence[int], spacing_mm: float, centred: bool = False) -> Array:
    """Return the middles of the voxels, shape (z, y, x, 3), z first; from the middle of the grid where centred."""
    axes = [spacing_mm * (np.arange(n) + 0.5 - (n / 2.0 if centred else 0.0)) for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def nothing(shape: Sequence[int]) -> Ends:
    """Return supports that hold nothing yet."""
    nodes = tuple(n + 1 for n in shape)
    return np.zeros((*nodes, 3), bool), np.zeros((*nodes, 3))


def plates(shape: Sequence[int], low: int, high: int, move_m: float, pinned: Sequence[tuple[int, int, int, int]]) -> Ends:
    """Return plates without friction on two planes of nodes across z, the high one moved; ``pinned`` are node and axis."""
    mask, given = nothing(shape)
    mask[[low, high], ..., 0] = True
    given[high, ..., 0] = move_m
    for z, y, x, axis in pinned:
        mask[z, y, x, axis] = True
    return mask, given


def pins(solid: Array, low: int) -> list[tuple[int, int, int, int]]:
    """Return the supports that keep a body on a plate from sliding and turning: a node in y and x, a far one of its row in y."""
    y, x = np.argwhere(nodes_of(solid)[low]).T
    row = int(np.bincount(y).argmax())
    along = x[y == row]
    return [(low, row, int(along.min()), 1), (low, row, int(along.min()), 2), (low, row, int(along.max()), 1)]


def solved(model: Model, ends: Ends, *, forces: Array | None = None, tolerance: float = 1e-6) -> Solved:
    """Solve, and refuse to go on with anything but a converged end.

    Raises
    ------
    NumericalError
        If the solver ended otherwise: a reference case has no use for such numbers.
    """
    found = solve(model, Support(*ends), forces=forces, tolerance=tolerance)
    if found.how != "converged":
        raise NumericalError(
            f"A reference model of {model.modulus_pa.shape} voxels ended {found.how!r}: {found.why}",
            "Its numbers say nothing about the elements.",
            "Look at physics/elasticity.py: every model of this case has a solution.",
        )
    return found


def slope(errors: Sequence[float], sizes: Sequence[float]) -> float:
    """Return the order of convergence: the slope of log error over log size."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


Observe = Callable[[float], None]
