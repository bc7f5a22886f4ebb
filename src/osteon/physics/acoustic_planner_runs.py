"""Level planes of one fluid: a wave leaps over many at once, and the planes between are filled when all sweeps are done."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft

from osteon.physics.acoustic_planner_kernels import fill_run

if TYPE_CHECKING:
    from osteon.physics.acoustic_planner_march import March

Array = np.ndarray[Any, np.dtype[Any]]
LONGEST = 12  # planes
OF_RIM = 4  # planes are at most the rim over this: flat waves must not cross it between two fades
SHORTEST = 4


class Runs:
    """The runs of a box: from each first plane to each last, and the spectra that went in at both ends, summed over sweeps."""

    def __init__(self, march: March) -> None:
        self.march = march
        self.after: dict[int, int] = {}
        self.before: dict[int, int] = {}
        self.inward: dict[int, list[Array | None]] = {}
        self._fades: dict[int, Array] = {}
        self._many: dict[tuple[int, int], Array] = {}
        faded = [int((march.fade[i].ravel() < 1).sum()) // 2 for i in (np.s_[:, march.shape[1] // 2], np.s_[march.shape[0] // 2])]
        longest = min([LONGEST, *(max(1, rim // OF_RIM) for rim in faded if rim > 1)])
        for first, last in _level_stretches(march) if longest > 1 else []:
            count = -(-(last - first) // longest)
            edges = [first + round(i * (last - first) / count) for i in range(count + 1)]
            for begin, end in pairwise(edges):
                self.after[begin], self.before[end] = end, begin
                self.inward[begin] = [None, None]

    def starts(self, plane: int, down: bool) -> bool:
        """Whether a run begins at a plane, this way."""
        return plane in (self.after if down else self.before)

    def _power(self, medium: int, planes: int) -> Array:
        """Return the propagator over many cells."""
        if (medium, planes) not in self._many:
            grid = self.march.spectra
            self._many[medium, planes] = (grid.step(medium).astype(complex) ** planes).astype(np.complex64)
        return self._many[medium, planes]

    def _faded(self, planes: int) -> Array:
        """Return the fade of many planes."""
        if planes not in self._fades:
            self._fades[planes] = self.march.fade ** np.float32(planes)
        return self._fades[planes]

    def through(self, wave: Array, plane: int, down: bool) -> tuple[Array, int]:
        """Return the wave at the other end of the run, and where that is."""
        begin = plane if down else self.before[plane]
        end = self.after[begin]
        medium = int(self.march.present[begin][0])
        spectrum = fft.fft2(wave[0])
        known = self.inward[begin]
        so_far = known[0 if down else 1]
        known[0 if down else 1] = spectrum if so_far is None else so_far + spectrum
        further = fft.ifft2(spectrum * self._power(medium, end - begin), overwrite_x=True)
        further *= self._faded(end - begin)
        return further[None], end if down else begin

    def fill(self) -> None:
        """Write the planes inside the runs."""
        total, grid = self.march.total, self.march.spectra
        for begin, (down, up) in self.inward.items():
            if down is None and up is None:
                continue
            end = self.after[begin]
            inside = total[begin + 1 : end]
            nothing = np.zeros(self.march.shape, np.complex64)
            step = grid.step(int(self.march.present[begin][0]))
            fill_run(inside, nothing if down is None else down, nothing if up is None else up, step)
            inside[:] = fft.ifft2(inside, axes=(-2, -1), overwrite_x=True, workers=self.march.workers)


def _level_stretches(march: March) -> list[tuple[int, int]]:
    """Return first and last planes of stretches of one soft medium, clear of faces by a cell and of leaning bone by more."""
    count = len(march.labels)
    free = np.array([len(p) == 1 and not march.hard[p[0]] and not march.void[p[0]] for p in march.present])
    for plane in march.changes:
        free[max(0, plane - march.ahead - 1) : plane + march.ahead + 1] = False
    found, begin = [], 0
    medium = np.array([p[0] for p in march.present])
    for cell in range(1, count + 1):
        if cell == count or not free[cell] or not free[begin] or medium[cell] != medium[begin]:
            first, last = begin + 1, cell - 1  # the cells at a face are marched one by one
            if free[begin] and last - first >= SHORTEST:
                found.append((first, last))
            begin = cell
    return found
