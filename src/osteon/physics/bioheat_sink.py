"""A thin tube with coolant in the bioheat grid: coupled as a line, never painted into voxels (see ``lines``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from osteon.physics import lines

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sink:
    """A tube whose inside is held at one temperature; it takes heat through its wall as long as the run lasts.

    Parameters
    ----------
    line : Line
        Where it lies; its radius is the outer one.
    film_w_m2k : float
        Heat through the wall per outer surface and kelvin [W/m²/K].
    medium_c : float
        Temperature inside [°C].
    """

    line: lines.Line
    film_w_m2k: float
    medium_c: float


class Coupled:
    r"""A sink on one grid: :math:`q = g\,(\bar T - T_{in})` per length, taken as :math:`W^T q`, with g from the tissue at 37 °C.

    Parameters
    ----------
    sink : Sink
        The tube.
    conductivity : ndarray, shape (z, y, x)
        Heat conductivity of the tissue [W/m/K].
    spacing_m : float
        Voxel edge [m].
    """

    def __init__(self, sink: Sink, conductivity: Array, spacing_m: float) -> None:
        rows = lines.weights(sink.line, conductivity.shape, spacing_m)
        per_length = lines.log_conductance(lines.average(conductivity, rows), rows, film=sink.film_w_m2k)
        self.medium_c = sink.medium_c
        self.w_k = per_length * rows.length_m  # of each segment [W/K]
        segment = np.repeat(np.arange(len(rows.weight)), rows.weight.shape[1])
        touched = rows.weight.ravel() > 0.0
        self.voxels, column = np.unique(rows.index.ravel()[touched], return_inverse=True)
        size = (len(rows.weight), self.voxels.size)
        self._average = sparse.csr_matrix((rows.weight.ravel()[touched], (segment[touched], column)), shape=size)
        self._spread = (self._average.T @ sparse.diags_array(self.w_k / spacing_m**3)).tocsr()

    @property
    def rate(self) -> Array:
        """How much each of ``voxels`` would lose to the tube per kelvin of all of them together [W/m³/K]: for the time step."""
        return np.asarray(self._spread @ np.ones(self.w_k.size))

    def take(self, temperature_c: Array) -> tuple[Array, float]:
        """Return what the tube takes from each of ``voxels`` [W/m³] at their temperature [°C], and in all [W]."""
        apart = self._average @ temperature_c - self.medium_c
        return np.asarray(self._spread @ apart), float(self.w_k @ apart)
