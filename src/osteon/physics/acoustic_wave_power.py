r"""Where the power of a steady wave goes: what turns into heat, and what crosses a plane.

Heat is stress times strain rate, :math:`\tfrac12\mathrm{Re}(\sigma:\dot\varepsilon^*)`. Its longitudinal part is
:math:`\tfrac\omega2 |\mathrm{Im} M|\,|\nabla\cdot u|^2`, the shear part the rest: for a plane wave of either kind
:math:`2\alpha I`. Where both meet, the rest holds their cross term too: within a wavelength of a face it may be negative, and
only sums over a wavelength mean something. The flux is the one that the grid itself conserves; it reaches across two cells.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from osteon.physics.acoustic_wave_boundary import FAR, NEAR
from osteon.physics.acoustic_wave_march import Frame
from osteon.physics.acoustic_wave_media import Media, in_parts, moduli

Array = np.ndarray[Any, np.dtype[Any]]
AXES = "zyx"
REACH = 5  # cells to each side that the flux through a plane depends on, and two to spare
Stress = dict[str, Array]  # padded, (z + 4, y + 4, row), complex, Pa


def _up(f: Array, axis: int) -> Array:
    """Return the difference half a cell up."""
    return np.asarray(NEAR * (np.roll(f, -1, axis) - f) - FAR * (np.roll(f, -2, axis) - np.roll(f, 1, axis)))


def _down(f: Array, axis: int) -> Array:
    """Return the difference at the place itself of what lies half a cell up."""
    return np.asarray(NEAR * (f - np.roll(f, 1, axis)) - FAR * (np.roll(f, -1, axis) - np.roll(f, 2, axis)))


def heat(stress: Stress, media: Media, frame: Frame) -> tuple[Array, Array]:
    """Return the power turned into heat and its longitudinal part [W/m³], float32, shape (z, y, x) of the inner box."""
    total, longitudinal = np.empty(media.shape, np.float32), np.empty(media.shape, np.float32)
    wide = np.empty(0)
    if frame.solid:
        yields = np.empty(media.shape, np.float32)
        for planes, part in in_parts(media):
            rigid = moduli(part, frame.frequency)[1]
            yields[planes] = (1 / np.where(rigid == 0, 1.0, rigid)).imag
        wide = frame.view(frame.padded(yields, np.float32))
    half, first = math.pi * frame.frequency, frame.inside()[0].start
    for planes, part in in_parts(media):
        bulk, _, whole = moduli(part, frame.frequency)
        place = (slice(first + planes.start, first + planes.stop), *frame.inside()[1:])
        normal = [stress[name][place] for name in (("zz", "yy", "xx") if frame.solid else ("s",))]
        mean = sum(normal) / len(normal)
        longitudinal[planes] = half * np.abs(whole.imag) * np.abs(mean) ** 2 / np.abs(bulk) ** 2
        total[planes] = half * (1 / bulk).imag * np.abs(mean) ** 2
        if frame.solid:
            total[planes] += 0.5 * half * wide[place] * sum(np.abs(s - mean) ** 2 for s in normal)
            total[planes] += half * _at_edges(stress, wide, place)
    return total, longitudinal


def _at_edges(stress: Stress, wide: Array, place: tuple[slice, ...]) -> Array:
    """Return what the three shear stresses turn into heat, given back from edges to cells; over half of the angular frequency."""
    window = slice(place[0].start - 1, place[0].stop + 1)
    soft, inside = wide[window], (slice(1, -1), *place[1:])
    found: Array = np.zeros(soft[inside].shape, np.float32)
    for a, b in ((1, 0), (2, 0), (2, 1)):
        both = soft + np.roll(soft, -1, a)
        at_edge = 0.25 * (both + np.roll(both, -1, b)) * np.abs(stress["".join(sorted(AXES[a] + AXES[b]))][window]) ** 2
        both = at_edge + np.roll(at_edge, 1, a)
        found += 0.25 * (both + np.roll(both, 1, b))[inside]
    return found


def _velocity(stress: Stress, heavy: Array, frame: Frame, axis: int) -> Array:
    """Return one velocity [m/s], half a cell up its axis."""
    push = _up(stress["s"] if not frame.solid else stress[AXES[axis] * 2], axis)
    if frame.solid:
        for other in range(3):
            if other != axis:
                push = push + _down(stress["".join(sorted(AXES[axis] + AXES[other]))], other)
    face = 0.5 * (heavy + np.roll(heavy, -1, axis))
    return np.asarray(push / (-2j * math.pi * frame.frequency * face * frame.spacing))


def _flux(stress: Stress, heavy: Array, frame: Frame, axis: int, region: bool) -> Array:
    """Return the intensity [W/m²] above each cell of padded arrays; wrong within three cells of their ends.

    What tangential stress carries lies half a cell aside: with ``region`` it is given to the cell above (then the sums over a
    block's sides are exact), else to both neighbours.
    """
    pairs = [(axis, -(stress["s"] if not frame.solid else stress[AXES[axis] * 2]), _velocity(stress, heavy, frame, axis))]
    if frame.solid:
        for other in range(3):
            if other != axis:
                moving = _velocity(stress, heavy, frame, other)
                pairs.append((other, moving, -stress["".join(sorted(AXES[axis] + AXES[other]))]))
    total = np.zeros(heavy.shape)
    for aside, here, above in pairs:  # at the cell, and half a cell up
        back = np.roll(above, 1, axis)
        far = here * np.conj(np.roll(above, -1, axis)) + np.roll(here, 1, axis) * np.conj(above)
        far = far + np.roll(here, -1, axis) * np.conj(back)
        part = 0.5 * np.real(NEAR * here * np.conj(above) - FAR * far)
        if aside != axis:
            below = np.roll(part, 1, aside)
            part = below if region else 0.5 * (part + below)
        total += part
    return total


def flux(stress: Stress, media: Media, frame: Frame, axis: int) -> Array:
    """Return the intensity through the planes between cells and the next along an axis [W/m²], inner box.

    Parameters
    ----------
    stress : dict of ndarray
        Amplitudes, padded.
    media : Media
        The inner box.
    frame : Frame
        Its layers.
    axis : int
        0, 1, 2 for z, y, x; positive towards higher places.
    """
    heavy = frame.view(frame.padded(media.density_kg_m3, np.float32))
    return np.asarray(_flux(stress, heavy, frame, axis, False)[frame.inside()])


def balance(stress: Stress, media: Media, frame: Frame, warm: Array, margin: int = 4) -> tuple[float, float, float]:
    """Return what enters, what is absorbed and what leaves [W] an inner part of the box, ``margin`` cells from its open sides.

    NaN three times where the box is too small for that.
    """
    cuts = [(margin, n - 1 - margin) if o else (-1, n - 1) for n, o in zip(frame.inner, frame.open_axes, strict=True)]
    if any(low + 1 > high for low, high in cuts):
        return math.nan, math.nan, math.nan
    heavy = frame.view(frame.padded(media.density_kg_m3, np.float32))
    inside = frame.inside()
    part = [slice(low + 1, high + 1) for low, high in cuts]
    area, enters, leaves = frame.spacing**2, 0.0, 0.0
    for axis in range(3):
        if not frame.open_axes[axis]:
            continue
        sums = []
        for cut in cuts[axis]:
            at = inside[axis].start + cut
            near = tuple(slice(at - REACH, at + REACH + 1) if a == axis else slice(None) for a in range(3))
            slab = _flux({name: field[near] for name, field in stress.items()}, heavy[near], frame, axis, True)
            side = tuple(slice(inside[a].start + part[a].start, inside[a].start + part[a].stop) for a in range(3) if a != axis)
            sums.append(float(np.moveaxis(slab, axis, 0)[REACH][side].sum()) * area)
        enters += sums[0] if axis == 0 else 0.0
        leaves += sums[1] - (0.0 if axis == 0 else sums[0])
    return enters, float(warm[tuple(part)].sum(dtype=np.float64)) * frame.spacing**3, leaves
