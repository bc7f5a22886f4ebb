"""The fields of a bioheat run and how they advance: steps, the active box, doses, energies. Used by ``bioheat.heat`` only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from osteon.numerics.fields import placed
from osteon.physics import bioheat_dose_kernels as dose_kernels
from osteon.physics import bioheat_kernels as kernels
from osteon.physics.bioheat_sink import Coupled, Sink
from osteon.physics.damage import Arrhenius

Array = np.ndarray[Any, np.dtype[Any]]
SAFETY = 0.9  # share of the largest stable step
EDGE_K = 0.01  # the box grows where its rim is warmer or colder than this
TAIL_K = 1e-3  # a source that heats less than this over the rest of its stage does not enlarge the box
LARGEST_K = 1e5  # beyond this nothing is a temperature of tissue or plasma: the run has broken down
RIM = 8  # voxels by which it grows
LOOK = 4  # steps between two looks at the rim


class March:
    """Mutable state of one run; all fields flat float32.

    Parameters
    ----------
    spacing_m : float
        Voxel edge [m].
    conductivity, heat_capacity, perfusion, vaporisation_heat : ndarray, shape (z, y, x)
        Validated, in SI.
    slope : float
        Relative change of conductivity per kelvin.
    boiling_c : tuple of float
        Beginning and end of vaporisation [°C].
    start_c, arterial_c : float
        Reference of the state, and temperature of the blood [°C].
    initial_c : ndarray or None
        Temperature at time 0 where it is not ``start_c`` throughout.
    fixed : bool
        Whether a layer beyond the edge is held at ``start_c``; else no heat passes the edge.
    pairs : sequence of Arrhenius
        Integrals to accumulate.
    law : tuple of int and float
        Which dose coagulates (-1 none, -2 CEM43, else index of ``pairs``) and from what value.
    caps : mapping
        ``cem43_min`` and ``omega``.
    sink : Sink or None
        A tube with coolant.
    """

    def __init__(
        self,
        spacing_m: float,
        conductivity: Array,
        heat_capacity: Array,
        perfusion: Array,
        vaporisation_heat: Array,
        slope: float,
        boiling_c: tuple[float, float],
        start_c: float,
        arterial_c: float,
        initial_c: Array | None,
        fixed: bool,
        pairs: Sequence[Arrhenius],
        law: tuple[int, float],
        caps: Mapping[str, float],
        sink: Sink | None = None,
    ) -> None:
        self.shape = conductivity.shape
        self.h, self.start, self.arterial = spacing_m, start_c, arterial_c
        self.strides = np.array([self.shape[2], self.shape[1] * self.shape[2]], np.int64)
        self.edges = np.full(6, 1.0 if fixed else 0.0, np.float32)
        self.k = placed(conductivity, 1)
        self.ic = placed(1.0 / heat_capacity, 2)
        self.w = placed(perfusion, 3)  # a copy: coagulation stops it
        self.latent = placed(vaporisation_heat / heat_capacity, 5)
        self.plain = slope == 0.0 and not self.latent.any()
        knee, width = boiling_c[0] - start_c, boiling_c[1] - boiling_c[0]
        self.scalars = np.array([knee, width, slope, boiling_c[1] - start_c, 0.0, 0.0, arterial_c - start_c], np.float32)
        self.e = placed(np.zeros(self.k.size, np.float32), 0)
        self.before = np.zeros(self.k.size, np.float32)
        if initial_c is not None:
            self.before[:] = (initial_c.astype(np.float64) - start_c).ravel()
            self.e[:] = _enthalpy(self.before, self.latent, knee, width)
        self.peak = self.before + np.float32(start_c)
        self.cem, self.omega = np.zeros(self.k.size, np.float32), np.zeros((len(pairs), self.e.size), np.float32)
        self.coagulated = np.zeros(self.e.size, bool)
        self.pairs = np.array([(p.log_a, p.e_over_r) for p in pairs], float).reshape(-1, 2)
        self.law = np.array([law[0], law[1], caps["cem43_min"], caps["omega"]], float)
        hottest_k = (boiling_c[1] - start_c) if slope > 0 else 0.0
        self.sink = None if sink is None else Coupled(sink, conductivity, spacing_m)
        lost = self.w.copy()
        if self.sink is not None:
            lost[self.sink.voxels] += self.sink.rate
        rate = kernels.fastest_rate(self.k, self.ic, lost, spacing_m, self.strides, np.array(self.shape))
        self.dt_max = SAFETY * 2.0 / (rate * (1.0 + slope * hottest_k))
        self.steps, self.unsampled_s = 0, 0.0
        self.energy = {"in": 0.0, "out": 0.0, "perfusion": 0.0, "steam": 0.0, "sink": 0.0}
        self.steam_leaves = False
        self.energy_start = 0.0
        self.q = placed(np.zeros(self.k.size, np.float32), 4)
        self._set_box(self._first_box())
        self.energy_start = self.energy_stored()
        self.set_source(None, math.inf)

    def _first_box(self) -> Array:
        everywhere = abs(self.arterial - self.start) > 0 or self.start >= 39.0
        if everywhere:
            return np.array([0, self.shape[0], 0, self.shape[1], 0, self.shape[2]], np.int64)
        middle = [n // 2 for n in self.shape]
        box = np.array([middle[0], middle[0] + 1, middle[1], middle[1] + 1, middle[2], middle[2] + 1], np.int64)
        touched = self.e != 0
        if self.sink is not None:
            touched[self.sink.voxels] = True
        return self._around(touched, box)

    def _around(self, where: Array, box: Array | None) -> Array:
        """Return the box that holds ``box`` and every voxel of ``where`` with a rim."""
        cube, out = where.reshape(self.shape), np.empty(6, np.int64)
        if not cube.any():
            return box if box is not None else out
        for axis in range(3):
            hit = np.flatnonzero(cube.any(axis=tuple(a for a in range(3) if a != axis)))
            low, high = max(int(hit[0]) - RIM, 0), min(int(hit[-1]) + 1 + RIM, self.shape[axis])
            out[2 * axis], out[2 * axis + 1] = low, high
        if box is not None:
            out[::2], out[1::2] = np.minimum(out[::2], box[::2]), np.maximum(out[1::2], box[1::2])
        return out

    def _set_box(self, box: Array) -> None:
        self.box = box
        slabs = -(-int(box[1] - box[0]) // kernels.SLAB)
        self.faces = placed(np.zeros((4 * slabs, int(self.strides[1])), np.float32), 6).reshape(4 * slabs, -1)
        self.sums = np.zeros((2 * slabs + 1, 2))
        at_edge = np.array([box[0] == 0, box[1] == self.shape[0], box[2] == 0, box[3] == self.shape[1], box[4] == 0,
                            box[5] == self.shape[2]])  # fmt: skip
        self.box_edges = np.where(at_edge, self.edges, np.float32(0)).astype(np.float32)
        self.source_w = self._source_sum()

    def _view(self, field: Array) -> Array:
        b = self.box
        return field.reshape(self.shape)[b[0] : b[1], b[2] : b[3], b[4] : b[5]]

    def _source_sum(self) -> float:
        return float(self._view(self.q).sum(axis=(1, 2), dtype=np.float64).sum()) * self.h**3

    def set_source(self, density: Array | None, remaining_s: float) -> None:
        """Take a source [W/m³] for at most ``remaining_s``; the box grows to hold it."""
        if density is None:
            self.q[:] = 0.0
        else:
            self.q[:] = density.reshape(-1)
            self._set_box(self._around(np.abs(self.q) * self.ic * np.float32(remaining_s) > TAIL_K, self.box))
        self.source_w = self._source_sum()

    def _grow(self) -> None:
        """Enlarge the box where heat has reached its rim; the rim itself passes no heat, so none is lost."""
        inside, box = self._view(self.e), self.box.copy()
        for axis in range(3):
            for side in (0, 1):
                face = inside.take(0 if side == 0 else -1, axis=axis)
                if max(float(face.max()), -float(face.min())) > EDGE_K:
                    step = -RIM if side == 0 else RIM
                    box[2 * axis + side] = min(max(int(box[2 * axis + side]) + step, 0), self.shape[axis])
        if (box != self.box).any():
            self._settle()
            self._set_box(box)

    def _settle(self) -> None:
        """Move the sums of the last steps, all of the present step length, into the account."""
        dt = float(self.scalars[kernels.DT])
        self.energy["perfusion"] += float(self.sums[:, 0].sum()) * dt * self.h**3
        self.energy["out"] += float(self.sums[:, 1].sum()) * dt * self.h
        self.sums[:] = 0.0

    def advance(self, seconds: float, dose_every_s: float, sampled: Any) -> None:
        """Advance with the present source; ``sampled(seconds so far)`` is called after each dose sample."""
        count = max(1, math.ceil(seconds / self.dt_max - 1e-9))
        dt = seconds / count
        every = max(1, math.floor(dose_every_s / dt + 1e-9))
        self._settle()
        self.scalars[kernels.DT], self.scalars[kernels.COEF] = dt, dt / self.h**2
        dt = float(self.scalars[kernels.DT])
        for i in range(1, count + 1):
            self._step()
            self.energy["in"] += self.source_w * dt
            self.unsampled_s += dt
            if (self.steps % LOOK) == 0:
                self._grow()
            if i % every == 0 or i == count:
                self._sample()
                sampled(seconds * i / count)
        self._settle()

    def _step(self) -> None:
        fields = (self.e, self.k, self.ic, self.w, self.q)
        rest = (self.strides, self.box, self.box_edges, self.scalars, self.faces, self.sums)
        taken = None if self.sink is None else self._taken(self.sink)
        if self.plain:
            kernels.pennes_step(*fields, *rest)
        else:
            kernels.enthalpy_step(*fields, self.latent, *rest)
        if taken is not None and self.sink is not None:
            self.e[self.sink.voxels] -= taken
        self.steps += 1

    def _taken(self, sink: Coupled) -> Array:
        """Return what the tube takes from its voxels in one step [K of enthalpy], before that step, and note it."""
        at, dt = sink.voxels, float(self.scalars[kernels.DT])
        theta = kernels.temperature_of(self.e[at], self.latent[at], self.scalars[kernels.KNEE], self.scalars[kernels.WIDTH])
        density, watt = sink.take(theta.astype(np.float64) + self.start)
        self.energy["sink"] += watt * dt
        return np.asarray(density * self.ic[at] * dt, np.float32)

    def _sample(self) -> None:
        released = dose_kernels.sample_dose(
            self.e, self.latent, self.ic, self.before, self.peak, self.cem, self.omega, self.w, self.coagulated, self.strides,
            self.box, self.scalars, self.start, self.pairs, self.law, self.unsampled_s, self.steam_leaves,
        )  # fmt: skip
        self.unsampled_s = 0.0
        if self.steam_leaves:
            self.energy["steam"] += float(released.sum()) * self.h**3

    def temperature_c(self) -> Array:
        """Return the temperature now [°C], shape (z, y, x)."""
        theta: Array = kernels.temperature_of(self.e, self.latent, self.scalars[kernels.KNEE], self.scalars[kernels.WIDTH])
        theta += np.float32(self.start)
        return theta.reshape(self.shape)

    def energy_stored(self) -> float:
        """Return the enthalpy above that of time 0 [J]."""
        e, ic = self._view(self.e), self._view(self.ic)
        planes = [float((e[z].astype(np.float64) / ic[z]).sum()) for z in range(e.shape[0])]
        return sum(planes) * self.h**3 - self.energy_start

    def finite(self) -> bool:
        """Tell whether the field still holds temperatures."""
        inside = self._view(self.e)
        return bool(np.isfinite(inside).all()) and max(float(inside.max()), -float(inside.min())) < LARGEST_K


def _enthalpy(theta: Array, latent: Array, knee: float, width: float) -> Array:
    """Enthalpy over capacity [K] at a temperature above start: the inverse of the three straight pieces."""
    t = theta.astype(np.float64)
    enthalpy: Array = t + latent * np.clip((t - knee) / width, 0.0, 1.0)
    return enthalpy
