"""How the planner carries a wave plane by plane, meets faces, and adds up its sweeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from scipy import fft

from osteon.physics import acoustic_planner_kernels as kernels
from osteon.physics.acoustic_layers import Medium
from osteon.physics.acoustic_planner_grid import Face, Spectra, faces_of, groups_of
from osteon.physics.acoustic_planner_runs import Runs

Array = np.ndarray[Any, np.dtype[Any]]
AHEAD = 0.5  # wavelengths of the slowest wave over which a wave is continued across a face
DARK = 1e-4  # of the largest pressure so far: what is fainter meets no face
EVERY = 7  # columns of a level face, of which one tells where power goes
FAINT = 1e-3  # of it: what is fainter is not continued across a face
HARD = 1.2  # times the slowest speed: a medium that much faster is carried apart, as a solid is
REACH = 3  # columns round a face that tell where a wave goes
VOID = 0.02  # of the largest impedance: gas, into which next to nothing goes and in which nothing is followed
MORE = 0.8  # sent back beyond what arrives, where a strip is too narrow for a wave that goes away flat; nothing at gas
Sent = tuple[slice, Array, Array]  # kinds of wave, columns, values
Waiting = dict[int, list[Sent]]
NOTHING = np.zeros((0, 1, 1), np.complex64)
LONG = 99  # planes since a change, at most counted
LEANS = math.cos(math.radians(5))


class Room:
    """Arrays that the next march may write on.

    The first touch of fresh memory can take longer than the transforms; who marches many sonications of one grid gives all of
    them one room, and takes what is needed of a result before the next one overwrites it.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Array] = {}

    def blank(self, name: str, shape: tuple[int, ...], kind: type) -> Array:
        """Return an array of zeros, the one of this name where it fits."""
        kept = self._kept.get(name)
        if kept is None or kept.shape != shape or kept.dtype != kind:
            kept = self._kept[name] = np.empty(shape, kind)
        kept.fill(0)
        return kept


class March:
    """The sums of all sweeps so far.

    A wave is an array (c, y, x): pressure in fluids and, where there are solids, longitudinal and shear x and y. Each kind goes
    on for half a wavelength into columns where it does not belong: behind a face as if there were none, before a face as what
    will come through it. Without that the edge of the columns, plane after plane, would diffract it away.
    """

    def __init__(
        self,
        labels: Array,
        media: Sequence[Medium],
        frequency_hz: float,
        spacing_m: float,
        present: list[Array],
        rim: float,
        room: Room | None = None,
    ) -> None:
        used = sorted(set(np.concatenate(present).tolist()))
        self.labels, self.media, self.present, self.frequency_hz = labels, list(media), present, frequency_hz
        self.shape = (labels.shape[1], labels.shape[2])
        self.spectra = Spectra(media, frequency_hz, self.shape, spacing_m)
        self.faces = faces_of(labels, present, media)
        self.group = groups_of(media, used)
        self.solids = np.array([m.solid for m in media])
        impedance = np.array([m.density_kg_m3 * m.speed_m_s for m in media])
        self.void = impedance < VOID * float(impedance[used].max())
        slowest = min((media[i].speed_m_s for i in used if not self.void[i]), default=media[used[0]].speed_m_s)
        self.hard = self.solids | (np.array([m.speed_m_s > HARD * slowest for m in media]) & ~self.void)
        self.solid = bool(self.solids[used].any())
        self.kinds = 4 if self.solid else 2 if self.hard[used].any() else 1
        self.has_hard = [bool(self.hard[p].any()) for p in present]
        self.has_solid = [bool(self.solids[p].any()) for p in present]
        self.fade = np.outer(fade_of(self.shape[0], rim), fade_of(self.shape[1], rim)).astype(np.float32)
        self.room = room or Room()
        self.total = self.room.blank("total", (len(labels) + 1, *self.shape), np.complex64)
        self.ahead = max(2, min(LONG - 1, round(AHEAD * slowest / frequency_hz / spacing_m)))
        near = [a or b for a, b in zip([False, *self.has_solid], [*self.has_solid, False], strict=True)]
        planes = [k for k, there in enumerate(near) if there]
        self.box = self._box()
        box = (self.box[1] - self.box[0], self.box[3] - self.box[2])
        inner = self.room.blank("inner", (len(planes), 3, *box), np.complex64)
        self.inner = dict(zip(planes, inner, strict=True)) if self.solid else {}
        self.above = {k: np.zeros((3, sum(len(f.columns) for f in faces)), np.complex64) for k, faces in self.faces.items()}
        self.changes = {
            k: kept
            for k, faces in self.faces.items()
            if (kept := [f for f in faces if self.hard[f.upper] != self.hard[f.lower] and not f.level])
        }
        self.runs = Runs(self)
        self.workers = numba.get_num_threads()  # over fields, not inside one
        self._rooms: dict[str, Array] = {}
        self.peak = 0.0
        self.met = np.zeros(4)  # power at faces, at leaning ones, at faster media, beyond critical

    def sweep(self, waiting: Waiting, down: bool, first: bool) -> tuple[Waiting, float]:
        """March once through all planes; return what is sent back, by plane, and the largest pressure that was added."""
        count = len(self.labels)
        echo: Waiting = {}
        wave, most = np.zeros((1, *self.shape), np.complex64), 0.0
        since = np.full(self.shape, LONG, np.int16)  # planes since a column changed between soft and hard
        plane = min(waiting) if down else max(waiting)
        while 0 <= (plane if down else plane - 1) < count:
            for kinds, columns, values in waiting.get(plane, ()):
                if len(wave) < kinds.stop:
                    wave = sum_of(wave, np.zeros((self.kinds, *self.shape), np.complex64))
                wave.reshape(len(wave), -1)[kinds, columns] += values
            cell, after = (plane, plane + 1) if down else (plane - 1, plane - 1)
            wave = self._ahead(wave, since, plane, cell, down)
            if len(wave) == 1 and self.runs.starts(plane, down):
                wave, plane = self.runs.through(wave, plane, down)
                largest_here = self._add(wave, cell, plane)
            else:
                spectra, wave = self._across(wave, cell)
                plane = after
                if len(wave) > 1:
                    since += since < LONG
                faces = self.faces.get(plane, ())
                if faces:
                    back, wave, largest_here = self._meet(spectra, wave, since, faces, cell, plane, down, first)
                    if back:
                        echo[plane] = back
                else:
                    largest_here = self._add(wave, cell, plane)
            most = max(most, largest_here)
            self.peak = max(self.peak, most) if first else self.peak
            if not math.isfinite(most):
                break
        return echo, most

    def _add(self, wave: Array, cell: int, plane: int) -> float:
        """Add a wave to the sums; return the largest amplitude of what it is in each column."""
        inner = self.inner.get(plane, NOTHING) if len(wave) > 2 else NOTHING
        square = kernels.add_wave(wave, self.hard, self.labels[cell], self.total[plane], inner, self.box[0], self.box[2])
        return math.sqrt(float(square))

    def _ahead(self, wave: Array, since: Array, plane: int, cell: int, down: bool) -> Array:
        """Continue each kind of wave into columns that will be its own within the next planes; end it where it has long left."""
        if self.kinds == 1:
            return wave
        if len(wave) > 1 and not self.has_hard[cell] and not (since <= self.ahead).any():
            wave = wave[:1].copy()
        coming = [self.changes.get(plane + j if down else plane - j, ()) for j in range(1, self.ahead + 1)]
        if len(wave) == 1 and not self.has_hard[cell] and not any(coming):
            return wave
        if len(wave) == 1:
            wave = sum_of(wave, np.zeros((self.kinds, *self.shape), np.complex64))
        kernels.end_old(wave, self.hard, self.labels[cell], since, self.ahead)
        done = np.zeros(since.size, bool)
        flat, filled = wave.reshape(self.kinds, -1), []
        for j, faces in enumerate(coming, 1):
            for face in faces:
                pick = np.flatnonzero(~done[face.columns] & (since.ravel()[face.columns] >= j))
                done[face.columns] = True
                one = face.upper if down else face.lower
                near = flat[1:] if self.hard[one] else flat[:1]
                pick = pick[np.abs(near[:, face.columns[pick]]).max(axis=0) >= FAINT * self.peak]
                columns = face.columns[pick]
                if len(pick):
                    filled.append((bool(self.hard[one]), columns, self._true(wave, face, pick, down)))
        for hard, columns, found in filled:
            if hard:
                flat[0, columns] = found[:, 3]
            else:
                flat[1:, columns] = found[:, 3 : 2 + self.kinds].T
        return wave

    def _across(self, wave: Array, cell: int) -> tuple[Array, Array]:
        """Return spectrum and field one cell further: of each column, as its own medium carries it."""
        labels, present = self.labels[cell], self.present[cell]
        spectra = np.multiply(wave, self.fade, out=self._room("spectra", len(wave)))
        spectra = fft.fft2(spectra, axes=(-2, -1), overwrite_x=True, workers=self.workers)
        tasks = []  # kind, members of the group
        for hard in (False, True) if len(wave) > 1 else (False,):
            media = present[(self.hard[present] == hard) & ~self.void[present]]
            if not len(media):  # none here: it goes on in the nearest
                media = self._nearest(cell, hard)
            for one in dict.fromkeys(self.group[media].tolist()):
                members = media[self.group[media] == one]
                tasks += [(kind, members) for kind in (range(1, self.kinds) if hard else range(1))]
        parts = self._room("parts", len(tasks))
        for part, (kind, members) in zip(parts, tasks, strict=True):
            np.multiply(spectra[kind], self.spectra.step(int(members[0]), kind > 1), out=part)
        parts = fft.ifft2(parts, axes=(-2, -1), overwrite_x=True, workers=self.workers)
        going = parts if len(tasks) == len(wave) else self._room("going", len(wave))
        filled: set[int] = set()
        for part, (kind, members) in zip(parts, tasks, strict=True):
            if len(members) > 1 and kind < 2:
                part *= self.spectra.screen(int(members[0]))[labels]
            if kind in filled:
                np.copyto(going[kind], part, where=self.group[labels] == self.group[members[0]])
            elif going is not parts:
                going[kind] = part
            filled.add(kind)
        if self.void[present].any():
            going[:, self.void[labels]] = 0
        return spectra, going

    def _box(self) -> tuple[int, int, int, int]:
        """Return rows and columns round all solids, and a margin for slopes and smoothing."""
        there = np.zeros(self.shape, bool)
        for labels, any_there in zip(self.labels, self.has_solid, strict=True):
            if any_there:
                there |= self.solids[labels]
        if not there.any():
            return 0, 1, 0, 1
        rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
        margin = self.ahead + 4
        return (
            max(0, int(rows[0]) - margin), min(self.shape[0], int(rows[-1]) + 1 + margin),
            max(0, int(columns[0]) - margin), min(self.shape[1], int(columns[-1]) + 1 + margin),
        )  # fmt: skip

    def boxed(self, columns: Array) -> tuple[Array, Array]:
        """Return which columns of the whole plane lie in the box of the solids, and where."""
        y, x = np.divmod(columns, self.shape[1])
        y0, y1, x0, x1 = self.box
        inside = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
        return inside, ((y - y0) * (x1 - x0) + x - x0)[inside]

    def _room(self, name: str, planes: int) -> Array:
        """Return planes to write on, the same ones every time: fresh memory costs more than a transform."""
        if name not in self._rooms or len(self._rooms[name]) < planes:
            self._rooms[name] = np.empty((planes, *self.shape), np.complex64)
        return self._rooms[name][:planes]

    def _nearest(self, cell: int, hard: bool) -> Array:
        """Return a medium of a kind from the cells next to one that has none."""
        for j in range(1, len(self.labels)):
            for at in (cell - j, cell + j):
                if 0 <= at < len(self.labels):
                    media = self.present[at][(self.hard[self.present[at]] == hard) & ~self.void[self.present[at]]]
                    if len(media):
                        return np.asarray(media[:1])
        return np.flatnonzero((self.hard == hard) & ~self.void)[:1]

    def _meet(
        self, spectra: Array, wave: Array, since: Array, faces: Sequence[Face], cell: int, after: int, down: bool, first: bool
    ) -> tuple[list[Sent], Array, float]:
        """Take a wave through the faces of a plane; return what is sent back, what goes on, and the largest of that."""
        other = cell + 1 if down else cell - 1
        met = []
        for face in faces:
            one, two = (face.upper, face.lower) if down else (face.lower, face.upper)
            own = list(range(1, self.kinds)) if self.hard[one] else [0]
            arrives = np.zeros((3, len(face.columns)), np.complex64)
            if max(own) < len(wave):
                arrives[: len(own)] = wave.reshape(len(wave), -1)[own][:, face.columns]
            found = self._turn(spectra, wave, arrives, face, down, first)
            if found is None:  # too faint to be turned: it goes on as it is
                found = np.zeros((len(face.columns), 6), np.complex64)
                found[:, 3:] = arrives.T
            if self.void[two]:
                found[:, 3:] = 0
            met.append((face, one, two, arrives, found[:, :3].T, found[:, 3:].T))
        if len(wave) == 1 and self.has_hard[other]:
            wave = sum_of(wave, np.zeros((self.kinds, *self.shape), np.complex64))
        back: list[Sent] = []
        flat = wave.reshape(len(wave), -1)
        total, inner = self.total[after].reshape(-1), self.inner[after].reshape(3, -1) if after in self.inner else None
        kept = []
        for face, one, two, arrives, near, far in met:
            columns = face.columns
            if self.hard[one] != self.hard[two]:
                since.ravel()[columns] = LONG if len(columns) == since.size else 0
            if near.any():
                kinds = slice(1, self.kinds) if self.hard[one] else slice(0, 1)
                back.append((kinds, columns, near[: kinds.stop - kinds.start].copy()))
            (flat[1:] if self.hard[two] else flat[:1])[:, columns] = far[: self.kinds - 1 if self.hard[two] else 1]
            upper, lower = (arrives + near, far) if down else (far, arrives + near)
            self.above[after][:, face.place] += upper
            inside = None
            if inner is not None:
                both = self.hard[one] and self.hard[two]
                now = lower if both else arrives + near if self.hard[one] else far if self.hard[two] else flat[1:, columns]
                boxed, at = self.boxed(columns)
                inside = at, inner[:, at] + now[:, boxed]
            kept.append((columns, total[columns] + lower[0], inside))
        most = self._add(wave, other, after)
        for columns, whole, inside in kept:
            total[columns] = whole
            if inner is not None and inside is not None:
                inner[:, inside[0]] = inside[1]
        return back, wave, most

    def _turn(self, spectra: Array, wave: Array, arrives: Array, face: Face, down: bool, first: bool) -> Array | None:
        """Return, column by column, what a face sends back and lets go on, (n, 6); None where next to nothing arrives."""
        if max(largest(part) for part in arrives) < DARK * self.peak:
            return None
        one, two = (face.upper, face.lower) if down else (face.lower, face.upper)
        if face.level:
            found = self._level(spectra, face, one, two, down)
            if first:
                self._true(wave, face, np.arange(0, len(face.columns), EVERY), down, note=True)
            return found
        return self._true(wave, face, np.arange(len(face.columns)), down, share=0.0 if self.void[two] else MORE, note=first)

    def _level(self, spectra: Array, face: Face, one: int, two: int, down: bool) -> Array:
        """Return what a level face does, in k-space."""
        grid = self.spectra
        coefficient = grid.level(face.upper, face.lower, down)
        arriving = [spectra[int(self.hard[one])] * grid.step(one)]
        if self.solids[one]:
            x, y = grid.sideways()
            arriving.append((spectra[2] * x + spectra[3] * y) * grid.step(one, True))
        out = np.zeros((len(face.columns), 6), np.complex64)
        place = [0, 1] if self.solids[one] else [0]
        place += [3, 4] if self.solids[two] else [3]
        for o, at in enumerate(place):
            whole = sum(coefficient[o, i] * part for i, part in enumerate(arriving))
            if at in (0, 3):
                out[:, at] = fft.ifft2(whole, overwrite_x=True).ravel()[face.columns]
            else:
                for i, unit in enumerate(grid.sideways()):
                    out[:, at + i] = fft.ifft2(whole * unit, overwrite_x=True).ravel()[face.columns]
        return out

    def _true(self, wave: Array, face: Face, pick: Array, down: bool, *, share: float = -1.0, note: bool = False) -> Array:
        """Return what a face does by its true normals and the mean direction of the wave there, (n, 6)."""
        grid, columns = self.spectra, face.columns[pick]
        one, two = (face.upper, face.lower) if down else (face.lower, face.upper)
        n, width = len(columns), self.shape[1]
        solid = bool(self.solids[one])
        ways = np.zeros((2, n, 2))
        k_in = grid.wavenumbers[one].copy()
        shear = np.zeros((n, 2), np.complex64)
        kind = int(self.hard[one])
        found, meets = np.zeros((n, 6), complex), np.zeros((n, 2))
        if kind < len(wave):
            kernels.directions(wave[kind : kind + 1], columns, width, grid.spacing_m, REACH, ways[0])
            if solid:
                kernels.directions(wave[2:], columns, width, grid.spacing_m, REACH, ways[1])
                shear = np.ascontiguousarray(wave[2:].reshape(2, -1)[:, columns].T)
            kernels.tilted(
                wave[kind].ravel()[columns], shear, columns, face.normals[pick], ways[0], ways[1], k_in,
                np.stack([grid.wavenumbers[one], grid.wavenumbers[two]]), grid.table(face.upper, face.lower, down),
                grid.table_step, 1.0 if down else -1.0, share, found, meets,
            )  # fmt: skip
        if note:
            every = EVERY if face.level else 1
            meets *= every
            power = float(meets[:, 0].sum())
            self.met[:2] += power, float(meets[face.normals[pick, 2] < LEANS, 0].sum())
            if self.media[two].speed_m_s > self.media[one].speed_m_s:
                self.met[2:] += power, float(meets[:, 1].sum())
        return found.astype(np.complex64)

    def trust(self) -> tuple[float, float]:
        """Return the share at faces that lean and the share beyond the critical angle."""
        met = self.met.tolist()
        return met[1] / max(met[0], 1e-300), met[3] / max(met[2], 1e-300)


def sum_of(one: Array, other: Array) -> Array:
    """Return the second wave, of all kinds, with the first one in it."""
    other[: len(one)] += one
    return other


def largest(wave: Array) -> float:
    """Return the largest amplitude."""
    return math.sqrt(float((wave.real**2 + wave.imag**2).max(initial=0.0)))


def fade_of(count: int, rim: float) -> Array:
    """Return weights along an axis that fall to 0.7 within the rim, at every plane again.

    1 without a rim, and where there is one cell only.
    """
    if count == 1 or rim <= 0:
        return np.ones(count)
    edge = max(1, round(rim * count))
    weight = np.ones(count)
    ramp = 1.0 - 0.3 * np.cos(np.linspace(0, math.pi / 2, edge, endpoint=False)) ** 2
    weight[:edge], weight[count - edge :] = ramp, ramp[::-1]
    return weight
