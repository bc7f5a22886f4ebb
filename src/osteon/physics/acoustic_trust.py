"""How far to believe the planner in one sonication, in sentences with numbers, and what the full wave of it would cost.

What counts was seen to fail, or is known to be left out: power beyond the critical angle, thin shells that the beam meets
obliquely, layers of few voxels, faces that are not level, bone where the field is faded out, sweeps that did not settle. Shares
are of the power that arrives at solids, counted where a column of voxels enters one. Limits: ``acoustic_trust.yaml``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import fft, ndimage

from osteon.errors import InputError
from osteon.evidence.value import Value, values_in
from osteon.physics.acoustic_layers import Medium
from osteon.physics.acoustic_planner import Marched
from osteon.physics.acoustic_wave_march import Frame
from osteon.physics.acoustic_wave_march import rule as wave_rule
from osteon.physics.acoustic_wave_media import Media

Array = np.ndarray[Any, np.dtype[Any]]
Believe = Literal["yes", "with care", "no"]
ORDER: tuple[Believe, ...] = ("yes", "with care", "no")
SMOOTH_CELLS = 1.5  # normals are those of the solid blurred by so much: its stairs are not its shape
LITTLE = 1e-3  # of the largest power: columns with less are not looked at
SETTLING = 1.5  # periods until the full wave is steady, over those of one crossing


@dataclass(frozen=True)
class FullWave:
    """What the full wave of a sonication would take.

    Parameters
    ----------
    low, high : tuple of int
        Cells of the planner (z, y, x) that the box holds, from and up to.
    spacing_m : float
        Its voxels.
    cells : int
        With absorbing layers.
    steps : int
        In time.
    bytes : int
        Memory.
    minutes : float
        At the measured rate of two cores.
    """

    low: tuple[int, int, int]
    high: tuple[int, int, int]
    spacing_m: float
    cells: int
    steps: int
    bytes: int
    minutes: float


@dataclass(frozen=True)
class Trust:
    """How far to believe a result of the planner.

    Parameters
    ----------
    believe : {"yes", "with care", "no"}
        The worst of all findings.
    sentences : tuple of str
        What was found, with numbers and limits; the offer of the full wave is the last.
    measures : mapping of str to float
        The numbers behind them.
    full_wave : FullWave
        What it would take.
    used : mapping of str to Value
        The limits.
    """

    believe: Believe
    sentences: tuple[str, ...]
    measures: Mapping[str, float]
    full_wave: FullWave
    used: Mapping[str, Value]


def limits() -> Mapping[str, Value]:
    """Return the limits of ``acoustic_trust.yaml``."""
    return values_in("osteon.physics", "acoustic_trust.yaml")


def judge(
    marched: Marched, labels: Array, media: Sequence[Medium], frequency_hz: float, spacing_m: float, *, rim: float = 0.1
) -> Trust:
    """Return how far a result of the planner is to be believed.

    Parameters
    ----------
    marched : Marched
        What the planner found.
    labels : ndarray of int, shape (z, y, x)
        Which medium fills each cell.
    media : sequence of Medium
        At the frequency.
    frequency_hz, spacing_m : float
        Frequency and edge of a cell.
    rim : float
        Share of the grid at each edge over which the planner fades the field.

    Returns
    -------
    Trust
        Verdict, sentences, numbers, and the cost of the full wave.

    Raises
    ------
    InputError
        If field and labels do not belong together.
    """
    if marched.pressure_pa.shape != (len(labels) + 1, *labels.shape[1:]):
        raise InputError(
            f"A field on planes {marched.pressure_pa.shape} stands beside cells {labels.shape}.",
            "Each cell lies between two planes; what meets bone cannot be told otherwise.",
            "Give the labels that were marched through.",
        )
    solid = np.array([m.solid for m in media])[labels]
    measures = {
        "beyond_critical": marched.beyond_critical,
        "stairs": marched.stairs,
        "last_added": 0.0 if marched.ended == "converged" and marched.sweeps == 1 else marched.last_added,
        **_shells(marched.pressure_pa, solid, labels, media, frequency_hz, spacing_m),
        "rim": _at_rim(marched.pressure_pa, solid, rim),
    }
    wave = full_wave(marched.pressure_pa, solid, labels, media, frequency_hz, spacing_m)
    found = [_finding(name, measures[name], marched) for name in SAID]
    sentences = [words for level, words in found if level != "yes"]
    worst = max((level for level, _ in found), key=ORDER.index)
    if not np.isfinite([measures[name] for name in SAID]).all() or not marched.pressure_pa[1:].any():
        worst, sentences = "no", ["Nothing arrived, or not all of it is a number: there is no result to believe.", *sentences]
    if not solid.any():
        sentences.append("No solid bone lies in the grid: what the planner does badly does not occur here.")
    elif worst == "yes":
        sentences.append("No limit of the planner is touched: bone is met steeply, is thick and well sampled.")
    return Trust(worst, (*sentences, _offer(wave, spacing_m)), measures, wave, limits())


# Of each measure: what it is, and what it does to the answer.
SAID = {
    "beyond_critical": (
        "of the power at faces to faster media arrives beyond the critical angle",
        "there it enters as shear or not at all, and how much depends on the true shape of the face",
    ),
    "thin_oblique": (
        "of the power that meets bone meets it obliquely where it is thinner than half a wavelength",
        "waves that run along such a shell are not carried",
    ),
    "coarse": (
        "of the power that meets bone meets a layer of too few voxels",
        "its echoes and its heat come out too large or too small",
    ),
    "stairs": ("of the power at faces meets such that are not level", "echoes from them are approximate"),
    "rim": ("of the squared pressure, at the entry or in bone, lies where it is faded out", "that part is lost: widen the grid"),
    "last_added": ("of the peak was still added by the last sweep", "echoes go on: allow more sweeps"),
}


def _finding(name: str, value: float, marched: Marched) -> tuple[Believe, str]:
    known, (what, so) = limits(), SAID[name]
    care = known[f"{name}_care"].number
    no = known[f"{name}_no"].number if f"{name}_no" in known else math.inf
    level: Believe = "no" if not value <= no else "with care" if value > care else "yes"
    bars = f"care from {100 * care:g} %" + (f", no from {100 * no:g} %" if math.isfinite(no) else "")
    shown = f"{100 * value:.0f} %" if value >= 0.095 else f"{100 * value:.1f} %"
    ended = f" ({marched.ended})" if name == "last_added" else ""
    return level, f"{shown} {what}{ended} ({bars}): {so}."


def _shells(
    pressure: Array, solid: Array, labels: Array, media: Sequence[Medium], frequency_hz: float, spacing_m: float
) -> dict[str, float]:
    """Return the shares of power that meet thin oblique and coarsely sampled solids, and the mean angle and thickness."""
    enters = solid.copy()
    enters[1:] &= ~solid[:-1]
    at = np.nonzero(enters)
    if not len(at[0]):
        return {"thin_oblique": 0.0, "coarse": 0.0, "mean_incidence_deg": 0.0, "least_cells": math.inf}
    impedance = np.array([m.density_kg_m3 * m.speed_m_s for m in media])
    speed = np.array([m.speed_m_s for m in media])
    above = labels[(np.maximum(at[0] - 1, 0), at[1], at[2])]
    power = np.abs(pressure[at]) ** 2 / impedance[above]
    whole = float(power.sum())
    if not whole > 0:
        return {"thin_oblique": 0.0, "coarse": 0.0, "mean_incidence_deg": 0.0, "least_cells": math.inf}
    kept = power > LITTLE * power.max()
    at, power = tuple(a[kept] for a in at), power[kept]
    whole, runs = float(power.sum()), _runs(solid)[at]
    front = float((power * speed[above[kept]]).sum()) / whole
    normal, angle = _incidence(pressure, solid, at, 2 * math.pi * frequency_hz * spacing_m / front)
    thick = runs * np.abs(normal)
    known = limits()
    wave = speed[labels[at]] / frequency_hz / spacing_m
    thin = (thick < known["thin_share"].number * wave) & (angle > known["oblique_deg"].number)
    coarse = thick < known["voxels_across"].number * (1 - 1e-9)
    return {
        "thin_oblique": float(power[thin].sum()) / whole,
        "coarse": float(power[coarse].sum()) / whole,
        "mean_incidence_deg": float((power * angle).sum()) / whole,
        "least_cells": float(thick[power > 10 * LITTLE * power.max()].min()),
    }


def _runs(solid: Array) -> Array:
    """Return for each cell how many cells down its column the solid goes on; infinity where it reaches the end of the grid."""
    count = len(solid)
    stops = np.where(solid, np.float32(np.inf), np.arange(count, dtype=np.float32)[:, None, None])
    after = np.minimum.accumulate(stops[::-1], axis=0)[::-1]
    return np.asarray(after - np.arange(count, dtype=np.float32)[:, None, None])


def _incidence(pressure: Array, solid: Array, at: tuple[Array, ...], turns: float) -> tuple[Array, Array]:
    r"""Return the z part of the face's normal and the angle [deg] between it and the wave, where columns enter the solid.

    In front of a face a wave and its echo add up. Averaged over their pattern, the flux along the face and the squared pressure
    both hold :math:`1 + |R|^2`, so that :math:`\sin\theta = |\langle\mathrm{Im}(p^*\nabla p)\rangle_t| / k\langle|p|^2\rangle`.

    Parameters
    ----------
    pressure : ndarray of complex, shape (z + 1, y, x)
        Of the planner.
    solid : ndarray of bool, shape (z, y, x)
        Which cells are solid.
    at : tuple of ndarray
        Cells (z, y, x).
    turns : float
        Phase from cell to cell of the wave in front [rad].
    """
    wide = math.ceil(4 * math.pi / 2 / turns)
    part = tuple(slice(max(0, int(a.min()) - wide), int(a.max()) + wide + 1) for a in at)
    inside = tuple(a - p.start for a, p in zip(at, part, strict=True))
    there = solid[part]
    if min(there.shape) < 2:
        return np.ones(len(at[0])), np.zeros(len(at[0]))
    slope = np.stack([g[inside] for g in np.gradient(ndimage.gaussian_filter(there.astype(np.float32), SMOOTH_CELLS))])
    length = np.linalg.norm(slope, axis=0)
    normal = np.where(length > 0, slope / np.where(length > 0, length, 1.0), np.array([[1.0], [0.0], [0.0]]))
    field = pressure[:-1][part]
    free = (~ndimage.binary_dilation(there, np.ones((3, 3, 3), bool))).astype(np.float32)
    spread = math.pi / 2 / turns  # a quarter of the wave, in cells: the pattern of wave and echo averages out

    def mean(values: Array) -> Array:
        return np.asarray(ndimage.gaussian_filter(values * free, spread)[inside], float)

    flux = np.stack([mean(np.imag(np.conj(field) * _slope(field, axis, wide // 2))) for axis in range(3)])
    square = mean(np.abs(field) ** 2)
    tangent = flux - (flux * normal).sum(axis=0) * normal
    sine = np.linalg.norm(tangent, axis=0) / np.maximum(turns * square, 1e-30)
    return np.asarray(normal[0]), np.degrees(np.arcsin(np.clip(sine, 0.0, 1.0)))


def _slope(field: Array, axis: int, taper: int) -> Array:
    """Return the derivative along an axis, per cell, by its spectrum: differences fail at three cells to a wavelength."""
    count = field.shape[axis]
    edge = min(taper, count // 2)
    weight = np.ones(count, np.float32)
    weight[:edge] = np.sin(np.arange(edge) / max(edge, 1) * math.pi / 2) ** 2
    weight[count - edge :] = weight[:edge][::-1]
    shape = [count if a == axis else 1 for a in range(3)]
    turns = (2j * math.pi * fft.fftfreq(count)).astype(np.complex64)
    return np.asarray(fft.ifft(fft.fft(field * weight.reshape(shape), axis=axis) * turns.reshape(shape), axis=axis))


def _at_rim(pressure: Array, solid: Array, rim: float) -> float:
    """Return the share of the squared pressure that lies in the faded edges, at the entry or in solids, whichever is more."""
    edges = [max(1, round(rim * n)) for n in solid.shape[1:]]
    core = (slice(None), slice(edges[0], -edges[0]), slice(edges[1], -edges[1]))
    shares = [0.0]
    for square in (np.abs(pressure[:1]) ** 2, np.where(solid, np.abs(pressure[1:]) ** 2, 0.0)):
        whole = float(square.sum(dtype=np.float64))
        if whole > 0:
            shares.append(1.0 - float(square[core].sum(dtype=np.float64)) / whole)
    return max(shares)


def full_wave(
    pressure: Array, solid: Array, labels: Array, media: Sequence[Medium], frequency_hz: float, spacing_m: float
) -> FullWave:
    """Return what the full wave of the part that matters would take: round bone that is heated, or else round the focus.

    Parameters
    ----------
    pressure : ndarray of complex, shape (z + 1, y, x)
        Of the planner.
    solid : ndarray of bool, shape (z, y, x)
        Which cells are solid.
    labels, media, frequency_hz, spacing_m
        As for ``judge``.
    """
    known = limits()
    square = np.abs(pressure[1:]) ** 2
    if solid.any():
        square = np.where(solid, square, 0.0)
    marked = ndimage.find_objects((square >= known["box_share"].number * square.max()).astype(np.uint8))
    slowest = min(media[i].speed_m_s for i in np.unique(labels))
    extra = math.ceil(known["box_waves"].number * slowest / frequency_hz / spacing_m)
    box = tuple(slice(max(0, s.start - extra), min(n, s.stop + extra)) for s, n in zip(marked[0], labels.shape, strict=True))
    part = labels[box]
    column = np.array(
        [(m.density_kg_m3, m.speed_m_s, m.attenuation_np_m, m.shear_speed_m_s, m.shear_attenuation_np_m) for m in media]
    )
    present = column[np.unique(part)]
    waves = np.concatenate([present[:, 1], present[present[:, 3] > 0, 3]])
    fine = float(waves.min()) / frequency_hz / wave_rule("advised_points_per_wavelength")
    coarse = Frame(_media([column[:, i][part] for i in range(5)], fine), frequency_hz, (None, None))
    inner = tuple(math.ceil(n * spacing_m / fine) for n in part.shape)
    solids = present[:, 3].max() > 0
    one = [np.broadcast_to(np.array(v), inner) for v in (1e3, 1.5e3, 0.0, 1.0 if solids else 0.0, 0.0)]
    frame = _Priced(_media(one, fine), frequency_hz, coarse.fastest)
    cells = math.prod(frame.cells)
    crossing = wave_rule("ramp_periods") + 1.2 * math.hypot(*inner) * fine * frequency_hz / float(waves.min())
    steps = frame.steps * math.ceil(SETTLING * crossing)
    rate = known["rate_solid" if solids else "rate_fluid"].number
    (z, y, x) = box
    low, high = (int(z.start), int(y.start), int(x.start)), (int(z.stop), int(y.stop), int(x.stop))
    return FullWave(low, high, fine, cells, steps, frame.bytes, cells * steps / rate / 60)


class _Priced(Frame):
    """A frame of which only size and step are asked: its fastest wave is known, so that no map of that size is needed."""

    def __init__(self, media: Media, frequency_hz: float, fastest: float) -> None:
        self._known = fastest
        super().__init__(media, frequency_hz, (None, None))

    def _fastest(self, media: Media) -> float:
        return self._known


def _media(fields: Sequence[Array], spacing_m: float) -> Media:
    """Return voxels of density, speed, attenuation, shear speed and shear attenuation."""
    return Media(fields[0], fields[1], fields[2], spacing_m, fields[3], fields[4])


def _offer(wave: FullWave, spacing_m: float) -> str:
    size = " x ".join(f"{1e3 * spacing_m * (b - a):.0f}" for a, b in zip(wave.low, wave.high, strict=True))
    minutes = f"{wave.minutes:.0f} min" if wave.minutes >= 1 else f"{60 * wave.minutes:.0f} s"
    return (
        f"Run the full wave (osteon.physics.acoustic_wave) to be sure: box of {size} mm, {wave.cells / 1e6:.3g} Mcells of "
        f"{1e3 * wave.spacing_m:.2g} mm, about {minutes} on two cores and {wave.bytes / 2**30:.2g} GiB."
    )
