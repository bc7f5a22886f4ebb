"""The fields of a freezing run and how they advance: active box, supersteps, energy account. Used by ``freezing.freeze`` only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from osteon.physics import freezing_kernels as kernels
from osteon.physics.freezing_tables import FreezingTable
from osteon.physics.lines import Weights

Array = np.ndarray[Any, np.dtype[Any]]
SAFETY = 0.9  # share of the largest stable step of an explicit scheme
ABSOLUTE_ZERO_C = -273.15
EDGE_K = 0.02  # the box grows where its rim has changed by more than this
CHANGE_K = 0.7  # by which no voxel should change in one superstep: what freezes through in it loses its moment
RIM = 8  # voxels by which it grows
FIRST_RIM = 10  # voxels round what the probes touch
HIGHEST_K = 10.0  # conductivity of ice beyond which no probe takes it [W/m/K]: bounds the coupling of a probe without film
SMALL_SHARE = 1.0001e-3  # of its highest value: what of a Gaussian is left out
LEVELS_C = (0.0, -20.0, -40.0)  # whose volumes are followed


class Tables:
    """Every material's nodes as float32 arrays of one length, with slopes."""

    def __init__(self, tables: Sequence[FreezingTable]) -> None:
        most = max(len(t.temperature_c) for t in tables)
        nodes = np.zeros((3, len(tables), most))
        for m, table in enumerate(tables):
            own = np.array([table.temperature_c, table.enthalpy_j_m3, table.conductivity])
            lead = most - own.shape[1]  # nodes before the first: the same line carried on to the cold, k kept
            nodes[:, m, lead:] = own
            step = own[:, 1] - own[:, 0]
            for n in range(lead):
                nodes[:2, m, n] = own[:2, 0] - (lead - n) * step[:2]
                nodes[2, m, n] = own[2, 0]
        temperature, enthalpy, conductivity = nodes
        rise = np.diff(enthalpy, axis=1)
        slope_t, slope_k = np.diff(temperature, axis=1) / rise, np.diff(conductivity, axis=1) / rise
        slope_k[:, 0] = 0.0  # beyond the coldest node conductivity stays
        slope_k[:, -1] = 0.0
        near = np.pad(slope_t, ((0, 0), (1, 1)), mode="edge")
        self.t0, self.e0, self.k0 = (np.ascontiguousarray(a[:, :-1], np.float32) for a in nodes)
        self.t0, self.e0, self.k0 = (_padded(a) for a in (self.t0, self.e0, self.k0))
        self.dt, self.dk = _padded(slope_t.astype(np.float32)), _padded(slope_k.astype(np.float32))
        self.steepest = _padded(np.maximum(np.maximum(near[:, :-2], near[:, 2:]), slope_t).astype(np.float32))
        self.starts = np.array([t.freezing_starts_c for t in tables], np.float32)
        self.warm, self.warm_steepest = self._warm()

    def _warm(self) -> tuple[Array, Array]:
        """Return per material the node from which T(H) and k(H) are one straight line, and the steepest slope there."""
        count, nodes = self.dt.shape
        first = np.full(count, nodes - 2, np.int64)
        for m in range(count):
            while first[m] > 0 and all(np.isclose(a[m, first[m] - 1], a[m, nodes - 2], rtol=1e-6) for a in (self.dt, self.dk)):
                first[m] -= 1
        return first, np.array([self.steepest[m, j:].max() for m, j in enumerate(first)], np.float32)


def _padded(values: Array) -> Array:
    """Return with one column more, which no lookup reaches: the kernels start at the column before the last."""
    return np.ascontiguousarray(np.pad(values, ((0, 0), (0, 1)), mode="edge"))


class Coupling:
    """The segments of all probes, flat over the grid, with the state of each."""

    def __init__(self, rows: Sequence[Weights], radii: Sequence[float]) -> None:
        kept = [_heaviest(r) for r in rows]
        width = max(index.shape[1] for index, _ in kept)
        self.index = np.concatenate([np.pad(index, ((0, 0), (0, width - index.shape[1])), mode="edge") for index, _ in kept])
        self.weight = np.concatenate([np.pad(weight, ((0, 0), (0, width - weight.shape[1]))) for _, weight in kept])
        self.length = np.concatenate([r.length_m for r in rows])
        self.log_ratio = np.concatenate([np.log(r.r_eff_m / a) for r, a in zip(rows, radii)]) / (2 * math.pi)
        self.owner = np.repeat(np.arange(len(rows)), [len(r.length_m) for r in rows])
        self.radius = np.array(radii)[self.owner]
        count = len(self.length)
        self.film, self.medium, self.most = np.ones(count), np.full(count, 37.0), np.zeros(count)
        self.heat, self.wall = np.zeros(count), np.full(count, np.nan)
        self.local = self.index


def _heaviest(row: Weights) -> tuple[Array, Array]:
    """Return the voxels that carry the most of every segment, with weights that sum to 1 again."""
    order = np.argsort(-row.weight, axis=1, kind="stable")
    weight = np.take_along_axis(row.weight, order, axis=1)
    weight = np.where(weight >= SMALL_SHARE * weight[:, :1], weight, 0.0)
    enough = int((weight > 0).sum(axis=1).max())
    weight = weight[:, :enough] / weight.sum(axis=1, keepdims=True)
    return np.take_along_axis(row.index, order, axis=1)[:, :enough], weight


class March:
    """Mutable state of one run.

    Parameters
    ----------
    spacing_m : float
        Voxel edge [m].
    material : ndarray of integer, shape (z, y, x)
        Row of the tables.
    tables : sequence of FreezingTable
        Materials.
    perfusion : ndarray, shape (z, y, x)
        W/m³/K.
    start_c : ndarray, shape (z, y, x)
        Temperature at time 0.
    rest_c, arterial_c, stasis_c : float
        Temperature that needs no box; of blood; below which flow never comes back.
    sides_c : sequence of float or None
        Temperature of the walls z-, z+, y-, y+, x-, x+; None: insulated.
    rows, radii : sequences
        Probes.
    stages : int
        Of a superstep; 1: explicit.
    change_k : float
        By which no voxel should change in one superstep [K].
    """

    def __init__(
        self, spacing_m: float, material: Array, tables: Sequence[FreezingTable], perfusion: Array, start_c: Array, rest_c: float,
        arterial_c: float, stasis_c: float, sides_c: Sequence[float | None], rows: Sequence[Weights], radii: Sequence[float],
        stages: int, change_k: float = CHANGE_K,
    ) -> None:  # fmt: skip
        self.h, self.stages, self.change_k, self.sides = spacing_m, stages, change_k, tuple(sides_c)
        self.arterial, self.stasis = np.float32(arterial_c), np.float32(stasis_c)
        self.tables, self.shape = Tables(tables), material.shape
        self.material, self.perfusion = material.astype(np.uint8), perfusion.astype(np.float32)
        self.temperature = start_c.astype(np.float32)
        self.lowest, self.highest, self.first = self.temperature.copy(), self.temperature.copy(), self.temperature.copy()
        self.enthalpy = np.zeros(self.shape)
        for m, table in enumerate(tables):
            here = self.material == m
            self.enthalpy[here] = table.enthalpy_at(self.temperature[here].astype(np.float64))
        self.enthalpy_0 = self.enthalpy.copy()
        self.coupling = Coupling(rows, radii) if rows else None
        self.energy = np.zeros(3)  # from blood, walls, probes [J]
        self.given = np.zeros(len(rows))  # per probe [J]
        self.steps = self.evaluations = 0
        self.allowed_s = 0.0  # the next superstep; begins small, for the probes have just changed
        self.finite = True
        self._set_box(self._first_box(rest_c))

    def _first_box(self, rest_c: float) -> Array:
        moved = np.abs(self.temperature - rest_c) > EDGE_K
        if (self.perfusion > 0).any() and abs(float(self.arterial) - rest_c) > EDGE_K:
            moved[:] = True
        for axis, (low, high) in enumerate(zip(self.sides[::2], self.sides[1::2], strict=True)):
            for side, at in ((low, 0), (high, -1)):
                if side is not None and abs(side - rest_c) > EDGE_K:
                    np.moveaxis(moved, axis, 0)[at] = True
        if self.coupling is not None:
            moved.reshape(-1)[self.coupling.index] = True
        if not moved.any():
            moved[tuple(n // 2 for n in self.shape)] = True
        box = np.empty(6, np.int64)
        for axis in range(3):
            hit = np.flatnonzero(moved.any(axis=tuple(a for a in range(3) if a != axis)))
            box[2 * axis] = max(int(hit[0]) - FIRST_RIM, 0)
            box[2 * axis + 1] = min(int(hit[-1]) + 1 + FIRST_RIM, self.shape[axis])
        return box

    def _set_box(self, box: Array) -> None:
        self.box = box
        b = self.box
        self.where = (slice(b[0], b[1]), slice(b[2], b[3]), slice(b[4], b[5]))
        size = tuple(int(b[2 * a + 1] - b[2 * a]) + 2 for a in range(3))
        inner = (slice(1, -1),) * 3

        def local(values: Array, kind: Any = np.float32) -> Array:
            out = np.zeros(size, kind)
            out[inner] = values[self.where]
            return out

        self.e, self.m, self.w0 = local(self.enthalpy, np.float64), local(self.material, np.uint8), local(self.perfusion)
        self.low, self.high = local(self.lowest), local(self.highest)
        self.t, self.k = np.zeros(size, np.float32), np.zeros(size, np.float32)
        self.w, self.line_rate = np.zeros(size, np.float32), np.zeros(size, np.float32)
        self.buffers = [np.zeros(size, np.float32) for _ in range(6)]  # the last stays zero: no change
        self.plane_sums, self.counts = np.zeros(size[0]), np.zeros((size[0], len(LEVELS_C)), np.int64)
        self.levels, self.extremes = np.array(LEVELS_C, np.float32), np.zeros((size[0], 2), np.float32)
        inside = self.m[:, :, 1:-1]
        self.row_material = np.where((inside == inside[:, :, :1]).all(axis=2), inside[:, :, 0].astype(np.int16), np.int16(-1))
        self.cold = np.ones(size[:2], np.bool_)
        self.has_walls = False
        for axis in range(3):
            for end, at in ((0, 0), (1, -1)):
                edge = b[2 * axis + end] == (0, self.shape[axis])[end]
                side = self.sides[2 * axis + end]
                if edge and side is not None:
                    np.moveaxis(self.t, axis, 0)[at], np.moveaxis(self.k, axis, 0)[at] = side, kernels.FIXED
                    self.has_walls = True
        if self.coupling is not None:
            z, y, x = np.unravel_index(self.coupling.index, self.shape)
            self.coupling.local = np.ascontiguousarray(
                np.ravel_multi_index((z - b[0] + 1, y - b[2] + 1, x - b[4] + 1), size).astype(np.int64)
            )
            self._rate_of_lines()
        self._thermal(self.buffers[5])
        self.last = self.t.copy()
        self._sample()

    def _rate_of_lines(self) -> None:
        c = self.coupling
        assert c is not None
        self.line_rate[:] = 0.0
        resistance = c.film + np.maximum(c.log_ratio, 0.0) / HIGHEST_K
        per_segment = np.where(c.most > 0, c.length / resistance, 0.0) / self.h**3
        np.add.at(
            self.line_rate.reshape(-1), c.local.reshape(-1), (c.weight * per_segment[:, None]).reshape(-1).astype(np.float32)
        )

    def drive(self, medium_c: Sequence[float], film_w_m2k: Sequence[float], most_w_m: Sequence[float]) -> None:
        """Set, per probe, the temperature behind its wall, the film and the most heat per length in either direction."""
        c = self.coupling
        self.allowed_s = 0.0
        if c is None:
            return
        c.medium, c.most = np.asarray(medium_c, float)[c.owner], np.asarray(most_w_m, float)[c.owner]
        c.film = 1.0 / (2 * math.pi * c.radius * np.asarray(film_w_m2k, float)[c.owner])
        self._rate_of_lines()

    def _thermal(self, change: Array) -> None:
        s = self.tables
        kernels.thermal(
            self.e, change, self.m, self.row_material, s.warm, s.t0, s.e0, s.k0, s.dt, s.dk, self.t, self.k, self.cold
        )  # fmt: skip

    def _rate(self, change: Array | None, out: Array) -> Array:
        """Evaluate dH/dt [W/m³] at the enthalpy plus ``change`` (None: as it stands) into ``out``; return what enters [W]."""
        if change is not None:
            self._thermal(change)
        self.evaluations += 1
        kernels.divergence(self.t, self.k, self.w, self.arterial, np.float32(1.0 / self.h**2), out, self.plane_sums)
        sums = np.zeros(3)
        sums[kernels.PERFUSION] = float(self.plane_sums[1:-1].sum()) * self.h**3
        if self.has_walls:
            sums[kernels.WALLS] = kernels.walls(self.t, self.k, self.h)
        if self.coupling is not None:
            c = self.coupling
            sums[kernels.LINES] = kernels.lines(
                self.t, self.k, c.local, c.weight, c.length, c.log_ratio, c.film, c.medium, c.most, 1.0 / self.h**3, out, c.heat,
                c.wall,
            )  # fmt: skip
        return sums

    def explicit_step_s(self) -> float:
        """Return the step that an explicit scheme may take now [s]."""
        s = self.tables
        rate = kernels.fastest_rate(
            self.e, self.k, self.w, self.m, self.row_material, self.cold, s.warm_steepest, s.e0, s.steepest,
            np.float32(1.0 / self.h**2), self.line_rate,
        )  # fmt: skip
        return SAFETY * 2.0 / max(float(rate), 1e-12)

    def superstep(self, longest_s: float) -> float:
        """Take one superstep and return its length [s]: at most ``longest_s``, and an explicit one's while voxels change fast."""
        dt = self.explicit_step_s()
        longest_s = min(longest_s, max(dt, self.allowed_s))  # never below dt: three stages there are exact enough
        tau = min(dt * max(1.0, (self.stages**2 + self.stages - 2) / 4.0), longest_s)
        if self.stages == 1:
            give = self._rate(None, self.buffers[0])
            self.e += tau * self.buffers[0].astype(np.float64)
            self.energy += tau * give
        else:
            count = 3  # no more stages than the length needs, odd
            while dt * (count**2 + count - 2) / 4.0 < tau * (1 - 1e-9):
                count += 2
            self._rkl2(min(count, max(self.stages, 3)), tau)
        self.steps += 1
        if self.coupling is not None:
            self.given += tau * np.bincount(self.coupling.owner, self.coupling.heat, len(self.given))
        self._thermal(self.buffers[5])
        self._sample()
        change, coldest = float(self.extremes[1:-1, 0].max()), float(self.extremes[1:-1, 1].min())
        wanted = tau * min(2.0, self.change_k / max(change, 1e-6))
        self.allowed_s = 2.0 ** (math.floor(4.0 * math.log2(wanted) + 0.5) / 4.0)  # in steps, so that rounding errors choose none
        self.finite = bool(np.isfinite(self.energy).all()) and coldest > ABSOLUTE_ZERO_C  # comparison with NaN is false
        if self.finite:
            self._grow()
        return tau

    def _rkl2(self, count: int, tau: float) -> None:
        """Advance by ``tau`` in ``count`` stages; the energy account follows the same recurrence, so it closes exactly."""
        b = [1 / 3, 1 / 3, 1 / 3] + [(j * j + j - 2) / (2 * j * (j + 1)) for j in range(3, count + 1)]
        w1 = 4.0 / (count * count + count - 2)
        rate_0, rate, newest, before, spare, none = self.buffers
        give_0 = self._rate(None, rate_0)
        kernels.combine(none, none, rate_0, rate_0, *_f(0, 0, b[1] * w1 * tau, 0), newest)
        before[:] = 0.0
        account_before, account = np.zeros(3), b[1] * w1 * tau * give_0
        for j in range(2, count + 1):
            mu, nu = (2 * j - 1) / j * b[j] / b[j - 1], -(j - 1) / j * b[j] / b[j - 2]
            now = mu * w1 * tau
            first = -(1.0 - b[j - 1]) * now
            give = self._rate(newest, rate)
            kernels.combine(newest, before, rate, rate_0, *_f(mu, nu, now, first), spare)
            account_before, account = account, mu * account + nu * account_before + now * give + first * give_0
            newest, before, spare = spare, newest, before
        self.e += newest
        self.energy += account

    def _sample(self) -> None:
        kernels.sample(
            self.t, self.last, self.w0, self.m, self.row_material, self.tables.starts, self.stasis, self.low, self.high, self.w,
            self.counts, self.levels, self.extremes,
        )  # fmt: skip

    def volumes_m3(self) -> Array:
        """Return the volume now at or below each of ``LEVELS_C`` [m³]."""
        return np.asarray(self.counts[1:-1].sum(axis=0) * self.h**3)

    def store(self) -> None:
        """Write the box back into the whole fields."""
        inner = (slice(1, -1),) * 3
        self.enthalpy[self.where], self.temperature[self.where] = self.e[inner], self.t[inner]
        self.lowest[self.where], self.highest[self.where] = self.low[inner], self.high[inner]

    def _grow(self) -> None:
        box, change = self.box.copy(), self.t[1:-1, 1:-1, 1:-1]
        start = self.first[self.where]
        for axis in range(3):
            for end, at in ((0, 0), (1, -1)):
                side = (slice(None),) * axis + (at,)
                rim = np.abs(change[side] - start[side])
                if float(rim.max()) > EDGE_K:
                    moved = int(box[2 * axis + end]) + (RIM if end else -RIM)
                    box[2 * axis + end] = min(max(moved, 0), self.shape[axis])
        if (box != self.box).any():
            self.store()
            self._set_box(box)

    def energy_stored(self) -> float:
        """Return the enthalpy gained since time 0 [J]."""
        now, then = self.e[1:-1, 1:-1, 1:-1], self.enthalpy_0[self.where]
        return float((now.astype(np.float64) - then).sum()) * self.h**3


def _f(*numbers: float) -> tuple[np.float32, ...]:
    return tuple(np.float32(n) for n in numbers)
