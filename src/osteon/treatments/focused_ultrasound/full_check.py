"""One sonication once more by the full wave, in the box that the planner's trust offers: what to do where it says "with care"."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from osteon.errors import InputError
from osteon.physics.acoustic_layers import vertical
from osteon.physics.acoustic_planner import march
from osteon.physics.acoustic_wave import Entry, Media, Wave, solve
from osteon.space.volume import Array
from osteon.treatments.focused_ultrasound.sonication import RIM, Sonication
from osteon.treatments.focused_ultrasound.way_in import GAS


@dataclass(frozen=True, eq=False)
class Checked:
    """The planner beside the full wave in one box.

    Parameters
    ----------
    wave : Wave
        The full wave, with how it ended; ``caution`` says what to know of its grid.
    heat_w_m3 : ndarray of float32, shape (z, y, x)
        Of the full wave, absorption alone, on the cells of the planner in the box.
    low : tuple of int
        The first of these cells.
    power_w, planned_w : float
        Heat in the box by the full wave and by the planner.
    solid_w, planned_solid_w : float
        The same in solid bone.
    apart : float
        2-norm of the difference of heat over that of the full wave.
    sentence : str
        The same in words.
    """

    wave: Wave
    heat_w_m3: Array
    low: tuple[int, int, int]
    power_w: float
    planned_w: float
    solid_w: float
    planned_solid_w: float
    apart: float
    sentence: str


def by_full_wave(
    sonication: Sonication, spacing_m: float | None = None, observe: Callable[[int, float], None] | None = None
) -> Checked:
    """March the full wave through the box that ``sonication.trust.full_wave`` prices.

    The wave that goes down through the top of the box is the planner's, without echoes; voxels are those of the planner, cut
    finer without smoothing.

    Parameters
    ----------
    sonication : Sonication
        What ``sonicate`` returned.
    spacing_m : float or None
        Largest edge of a voxel; None: what the trust offers, 12 to the slowest wave.
    observe : callable or None
        As of ``acoustic_wave.solve``.

    Returns
    -------
    Checked
        Both results, and how far apart they are.

    Raises
    ------
    InputError
        If the box holds gas, begins in a solid, or the grid is too coarse or does not fit into memory.
    """
    offered, h = sonication.trust.full_wave, sonication.beam.spacing_m
    box = tuple(slice(a, b) for a, b in zip(offered.low, offered.high, strict=True))
    labels = np.asarray(sonication.labels.array)[box]
    if any(sonication.names[i] in GAS for i in np.unique(labels)):
        raise InputError(
            "The box of the full wave holds gas.",
            "Sound is so slow in gas that no grid of this size carries it.",
            "Choose a way in without gas, or compare the planner where there is none.",
        )
    finer = math.ceil(h / (spacing_m or offered.spacing_m) * (1 - 1e-9))
    fine = labels.repeat(finer, 0).repeat(finer, 1).repeat(finer, 2)
    names = ("density_kg_m3", "speed_m_s", "attenuation_np_m", "shear_speed_m_s", "shear_attenuation_np_m")
    columns = {name: np.array([getattr(m, name) for m in sonication.media], np.float32)[fine] for name in names}
    media = Media(**columns, spacing_m=h / finer)
    wave = solve(media, Entry(_entering(sonication, finer), sonication.frequency_hz), observe=observe)
    heat = _coarser(_absorbed(wave, fine, sonication), finer)
    planned = np.asarray(sonication.beam_heat_w_m3.array)[box]
    return _compared(sonication, wave, heat, planned, labels, h)


def _entering(sonication: Sonication, finer: int) -> Array:
    """Return the wave that goes down, at the middles of the first fine cells of the box."""
    offered, h = sonication.trust.full_wave, sonication.beam.spacing_m
    top, y, x = offered.low
    whole = np.asarray(sonication.labels.array)
    down = sonication.marched.entry_pa
    if top > 0:
        down = march(down, whole[:top], sonication.media, sonication.frequency_hz, h, most_sweeps=1, rim=RIM).pressure_pa[-1]
    medium = sonication.media[int(np.bincount(whole[top, y : offered.high[1], x : offered.high[2]].ravel()).argmax())]
    ky, kx = (2 * math.pi * np.fft.fftfreq(n, h) for n in down.shape)
    k_z = vertical(medium.wavenumber(sonication.frequency_hz), np.hypot(ky[:, None], kx))
    down = fft.ifft2(fft.fft2(down.astype(complex)) * np.exp(0.5j * k_z * h / finer))
    rows, columns = (
        low + (np.arange((high - low) * finer) + 0.5) / finer - 0.5 for low, high in zip((y, x), offered.high[1:], strict=True)
    )
    at = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(
        sum(f * ndimage.map_coordinates(part, at, order=3, mode="nearest") for f, part in ((1, down.real), (1j, down.imag)))
    )


def _absorbed(wave: Wave, labels: Array, sonication: Sonication) -> Array:
    """Return the heat of what is absorbed: of each wave its share of what it loses."""
    lost = np.array([(m.attenuation_np_m, m.shear_attenuation_np_m) for m in sonication.media])
    share = np.divide(sonication.absorption_np_m, lost, out=np.zeros_like(lost), where=lost > 0).astype(np.float32)
    return np.asarray(wave.longitudinal_w_m3 * share[labels, 0] + wave.shear_w_m3 * share[labels, 1])


def _coarser(heat: Array, finer: int) -> Array:
    """Return means over blocks of cells."""
    z, y, x = (n // finer for n in heat.shape)
    return np.asarray(heat.reshape(z, finer, y, finer, x, finer).mean(axis=(1, 3, 5), dtype=np.float64), np.float32)


def _compared(sonication: Sonication, wave: Wave, heat: Array, planned: Array, labels: Array, h: float) -> Checked:
    """Return both results and a sentence."""
    solid = np.array([m.solid for m in sonication.media])[labels]
    unit = h**3
    power, planned_w, solid_w, planned_solid = (
        unit * float(part.sum(dtype=np.float64)) for part in (heat, planned, heat[solid], planned[solid])
    )
    apart = float(np.linalg.norm((planned - heat).astype(float))) / max(float(np.linalg.norm(heat.astype(float))), 1e-300)
    ended = "" if wave.how == "settled" else f" The full wave is {wave.how}: {wave.why}."
    caution = f" {wave.caution}." if wave.caution else ""
    sentence = (
        f"In the box the full wave turns {power:.3g} W into heat, {solid_w:.3g} W of them in solid bone; the planner "
        f"{planned_w:.3g} and {planned_solid:.3g} W; heat differs by {100 * apart:.0f} % (2-norm).{ended}{caution}"
    )
    return Checked(wave, heat, sonication.trust.full_wave.low, power, planned_w, solid_w, planned_solid, apart, sentence)
