"""The order of sonications: successive ones far apart across the beam, so that the near field cools between them."""

from __future__ import annotations

import numpy as np

from osteon.space.volume import Array
from osteon.treatments.focused_ultrasound.approach_rows import number

BACK = 4  # so many sonications before one are looked at
IMPROVED_UP_TO = 60  # with more places swaps and moves are not tried


def apart(across_mm: Array, cell_mm: float) -> Array:
    r"""Return an order of places that keeps the overlap of near fields low.

    The cost of an order is :math:`\sum_{i<j} m^{j-i-1} (\exp(-d_{ij}^2 / s^2) + \exp(-d_{ij}^2 / c^2))` over pairs at most
    ``BACK`` apart: each sonication is taken as leaving a share m of its heat to the next, over a width s across the beam in the
    near field and c at the target. It is no model of heat, only an order; the heat itself is computed elsewhere. From each place
    the next is the one that adds least, the first is the one farthest from the middle; then places are swapped and moved as
    long as that helps.

    Parameters
    ----------
    across_mm : ndarray (n, 2)
        Places across the beam.
    cell_mm : float
        Width c of a cell; s is ``near_field_cells`` of them.

    Returns
    -------
    ndarray of int (n,)
        Indices, first sonication first.
    """
    count = len(across_mm)
    if count < 3:
        return np.arange(count)
    gap = np.linalg.norm(across_mm[:, None] - across_mm[None], axis=2)
    wide = number("near_field_cells") * cell_mm
    overlap = np.round(np.exp(-((gap / wide) ** 2)) + np.exp(-((gap / cell_mm) ** 2)), 9)
    fades = number("memory") ** np.arange(BACK)
    order = [int(np.argmax(np.round(np.linalg.norm(across_mm - across_mm.mean(0), axis=1), 6)))]
    left = [i for i in range(count) if i != order[0]]
    while left:
        recent = order[: -BACK - 1 : -1]
        added = np.round(fades[: len(recent)] @ overlap[recent][:, left], 9)
        farthest = np.round(gap[order][:, left].min(axis=0), 6)
        order.append(left.pop(int(np.lexsort((-farthest, added))[0])))
    found = np.array(order)
    return _improved(found, overlap, fades) if count <= IMPROVED_UP_TO else found


def cost(order: Array, overlap: Array, fades: Array) -> float:
    """Return what ``apart`` makes small."""
    return float(sum(f * overlap[order[k + 1 :], order[: -k - 1]].sum() for k, f in enumerate(fades) if k + 1 < len(order)))


def _improved(order: Array, overlap: Array, fades: Array) -> Array:
    """Return an order that no swap of two places and no move of one makes cheaper."""
    best, better, count = cost(order, overlap, fades), True, len(order)
    while better:
        better = False
        for i in range(count):
            for j in range(count):
                for tried in (_swap(order, i, j), _move(order, i, j)) if i < j else (_move(order, i, j),):
                    now = cost(tried, overlap, fades)
                    if now < best - 1e-6:
                        order, best, better = tried, now, True
    return order


def _swap(order: Array, i: int, j: int) -> Array:
    found = order.copy()
    found[[i, j]] = found[[j, i]]
    return found


def _move(order: Array, i: int, j: int) -> Array:
    return np.asarray(np.insert(np.delete(order, i), j, order[i]))
