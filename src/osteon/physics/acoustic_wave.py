r"""The full wave of one frequency in voxels of fluid and solid, by finite differences in time.

.. math:: \rho\,\dot v = \nabla\cdot\sigma,\quad \sigma = K\,\mathrm{tr}\,\varepsilon + 2\mu\,\mathrm{dev}\,\varepsilon

Moduli are complex. Staggered grid, fourth order in space (Levander, Geophysics 1988;53:1425), second in time and exact in time
once steady (acoustic_wave_march.py); densities averaged arithmetically at faces, rigidity harmonically at edges (Moczo, Bull
Seism Soc Am 2002;92:3042). A continuous wave enters through the first plane of the box, or from points; what it meets comes back
through that plane unhindered. The run ends when the steady state is reached, and says so. Without a solid voxel, pressure alone
is marched.

A box may repeat itself along y or x, with a phase from one box to the next (then fields are complex): a plane wave of any angle
on flat layers needs one cell across, and no beam that has edges.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from osteon.errors import InputError
from osteon.physics import acoustic_wave_power as power
from osteon.physics.acoustic_wave_boundary import Repeat
from osteon.physics.acoustic_wave_march import PHASES, Frame, March, Repeats, rule
from osteon.physics.acoustic_wave_media import Media, check_media
from osteon.physics.acoustic_wave_source import Entry, Points, rates_of, rim_of

__all__ = ["Entry", "Media", "Points", "Wave", "solve"]
Array = np.ndarray[Any, np.dtype[Any]]
How = Literal["settled", "unsettled", "diverged"]
Observe = Callable[[int, float], None]
RAMP = rule("ramp_periods")
PIECE = 1 << 20  # numbers summed at once


@dataclass(frozen=True, eq=False)
class Wave:
    """A steady wave, and how it came about.

    Parameters
    ----------
    pressure_pa : ndarray of complex64, shape (z, y, x)
        Amplitude and phase of the pressure (in a solid: minus the mean normal stress), time as exp(-i omega t).
    heat_w_m3, longitudinal_w_m3, shear_w_m3 : ndarray of float32, shape (z, y, x)
        Power turned into heat, and its two parts, which add up to it. Within a wavelength of a face the parts hold a cross term.
    stress : dict of ndarray
        Amplitudes with layers and ghosts, for ``through``.
    how : {"settled", "unsettled", "diverged"}
        Only "settled" numbers may be used.
    why : str
        What to know about another end; else empty.
    periods : int
        Marched.
    change : float
        Of the velocity over the last period, 2-norms over the box.
    unsettled : float
        What is still to come, if the changes go on shrinking as they did.
    points_per_wavelength : float
        Of the slowest wave.
    slowest_m_s : float
        Its speed.
    courant : float
        Step over the longest stable step.
    steps_per_period, cells : int
        Cells with layers.
    rim : float
        Largest pressure at the rim of the entry plane over the largest of all; 0 for points and where the box repeats.
    incident_w : float
        Power that enters with the wave (points: NaN).
    enters_w, absorbed_w, leaves_w : float
        Of the box less 4 cells at its open sides; NaN if it is too small for that.
    seconds : float
        Wall time of the march.
    """

    pressure_pa: Array
    heat_w_m3: Array
    longitudinal_w_m3: Array
    shear_w_m3: Array
    stress: dict[str, Array]
    how: How
    why: str
    periods: int
    change: float
    unsettled: float
    points_per_wavelength: float
    slowest_m_s: float
    courant: float
    steps_per_period: int
    cells: int
    rim: float
    incident_w: float
    enters_w: float
    absorbed_w: float
    leaves_w: float
    seconds: float
    media: Media
    frame: Frame

    @property
    def imbalance(self) -> float:
        """What enters less what is absorbed and leaves, over what enters."""
        return abs(self.enters_w - self.absorbed_w - self.leaves_w) / abs(self.enters_w)

    @property
    def caution(self) -> str:
        """What to know of the grid and of the entry plane; empty where both are as advised."""
        advised, found = rule("advised_points_per_wavelength"), []
        if self.points_per_wavelength < advised * (1 - 1e-9):
            points = f"{self.points_per_wavelength:.1f} points per wavelength of {self.slowest_m_s:g} m/s"
            found.append(f"{points}; {advised:g} are advised at bone")
        if self.rim > rule("rim"):
            found.append(
                f"the wave that enters is cut off at the rim of its plane, at {100 * self.rim:.0f} % of its largest pressure"
            )
        return "; ".join(found)

    def through(self, axis: int) -> Array:
        """Return the intensity [W/m²] through the planes between each cell and the next along an axis (0, 1, 2 for z, y, x)."""
        return power.flux(self.stress, self.media, self.frame, axis)


def solve(
    media: Media, source: Entry | Points, *, settled: float | None = None, most_periods: int | None = None,
    courant_share: float | None = None, observe: Observe | None = None,
) -> Wave:  # fmt: skip
    """March to the steady wave.

    Parameters
    ----------
    media : Media
        The box; layers that absorb are added round it.
    source : Entry or Points
        What drives it.
    settled : float or None
        Change still to come, over the field, below which the wave is steady; None: by acoustic_wave.yaml.
    most_periods : int or None
        Then ``how`` says "unsettled"; None: three crossings of the box and 60.
    courant_share : float or None
        Of the longest stable step.
    observe : callable or None
        Called with the number of periods and what is unsettled.

    Returns
    -------
    Wave
        The wave and how it ended.

    Raises
    ------
    InputError
        If a medium or the source is no number, the wave starts in a solid, the grid is too coarse, or the memory too small.

    Examples
    --------
    >>> water = Media(np.full((40, 1, 1), 1000.0), np.full((40, 1, 1), 1500.0), np.zeros((40, 1, 1)), 1.25e-4)
    >>> found = solve(water, Entry(np.full((1, 1), 1e5), 1e6))
    >>> found.how, found.points_per_wavelength, round(float(abs(found.pressure_pa[20, 0, 0])) / 1e5, 2)
    ('settled', 12.0, 1.0)
    """
    check_media(media, source.frequency_hz)
    repeats = _repeats(source.repeats, media)
    points, slowest = _resolution(media, source.frequency_hz)
    frame = Frame(media, source.frequency_hz, repeats, courant_share)
    frame.check_memory()
    cells, rates, incident = rates_of(media, source, repeats)
    march = March(media, frame)
    began = time.perf_counter()
    ended = _settle(march, (frame.place_of(cells), rates), media, settled, most_periods, observe)
    stress = _amplitudes(march, (frame.place_of(cells), rates)) if ended[0] != "diverged" else _nothing(march)
    seconds = time.perf_counter() - began
    del march  # its fields are no longer needed, and what follows is wide
    mean = stress["s"] if not frame.solid else (stress["zz"] + stress["yy"] + stress["xx"]) / 3
    warm, longitudinal = power.heat(stress, media, frame)
    enters, absorbed, leaves = power.balance(stress, media, frame, warm)
    shown = (-mean[frame.inside()], warm, longitudinal, warm - longitudinal, stress)
    return Wave(
        *shown, *ended, points, slowest, frame.courant, frame.steps, math.prod(frame.cells), rim_of(source, frame), incident,
        enters, absorbed, leaves, seconds, media, frame,
    )  # fmt: skip


def _repeats(given: Repeats, media: Media) -> Repeats:
    """Return the repetition along y and x; an axis of one cell repeats without a phase unless one is given."""
    y, x = (0.0 if k is None and n == 1 else k for k, n in zip(given, media.shape[1:], strict=True))
    return y, x


def _resolution(media: Media, frequency_hz: float) -> tuple[float, float]:
    """Return points per wavelength of the slowest wave and its speed; refuse too few."""
    slowest = float(media.speed_m_s.min())
    if media.solid:
        shear = np.asarray(media.shear_speed_m_s)
        slowest = min(slowest, float(shear[shear > 0].min()))
    points, least = slowest / (frequency_hz * media.spacing_m), rule("least_points_per_wavelength")
    if points < least:
        raise InputError(
            f"The grid of {media.spacing_m * 1e3:g} mm gives the wave of {slowest:g} m/s at {frequency_hz:g} Hz "
            f"{points:.2g} points per wavelength.",
            f"Below {least:g} its speed and where it is absorbed are wrong.",
            f"Use voxels of at most {slowest / (frequency_hz * rule('advised_points_per_wavelength')) * 1e3:.3g} mm, "
            "or crop the box to afford them.",
        )
    return points, slowest


def _rates_at(frame: Frame, rates: Array, step: int) -> Array:
    """Return the rates half a step after ``step``, with the ramp at the beginning."""
    t = (step + 0.5) / frame.steps
    x = min(t / RAMP, 1.0)
    ramp = x - math.sin(2 * math.pi * x) / (2 * math.pi)
    now = rates * (ramp * np.exp(-2j * math.pi * t))
    return np.asarray(now if np.issubdtype(frame.dtype, np.complexfloating) else now.real)


def _settle(
    march: March, source: tuple[Array, Array], media: Media, settled: float | None, most: int | None, observe: Observe | None
) -> tuple[How, str, int, float, float]:
    """March until nothing changes from period to period; return how, why, periods, change and what is still to come."""
    frame = march.frame
    limit = rule("settled") if settled is None else settled
    size = math.hypot(*(n for n, o in zip(frame.inner, frame.open_axes, strict=True) if o)) * frame.spacing
    least = math.ceil(RAMP + 1.2 * size * frame.frequency / float(media.speed_m_s.min()))
    most = 3 * least + 60 if most is None else most
    before, last, change, rest = np.zeros(0), math.nan, math.nan, math.inf
    for period in range(1, most + 1):
        for _ in range(frame.steps):
            march.advance(source[0], _rates_at(frame, source[1], march.time))
        now = march.fields["vz"]
        if period >= least - 2:
            strength = math.sqrt(_square(now))
            if not math.isfinite(strength):
                return (
                    "diverged",
                    "the field grew beyond all numbers: report the media, the step should have been stable",
                    period,
                    change,
                    rest,
                )
            if before.size:
                last, change = change, math.sqrt(_square(now, before)) / strength if strength > 0 else math.nan
                falls = min(change / last, 0.98) if last > 0 else 0.98
                rest = change * falls / (1 - falls)
            before = now.copy()
        if observe is not None:
            observe(period, rest)
        if period >= least and rest <= limit:
            return "settled", "", period, change, rest
    left = f"{100 * rest:.2g} % of the field is still to come" if math.isfinite(rest) else "the wave has not crossed the box yet"
    why = f"after {most} periods {left} (allowed {100 * limit:.2g} %): march on, or crop"
    return "unsettled", why, most, change, rest


def _square(field: Array, less: Array | None = None) -> float:
    """Return the sum of squares of a flat field, less another, piece by piece: in one order and without a copy."""
    total = 0.0
    for i in range(0, field.size, PIECE):
        part = field[i : i + PIECE] if less is None else field[i : i + PIECE] - less[i : i + PIECE]
        total += float(np.sum(np.square(np.abs(part)), dtype=np.float64))
    return total


def _amplitudes(march: March, source: tuple[Array, Array]) -> dict[str, Array]:
    """March one more period and return the Fourier sums of the stresses [Pa], padded, with the ghosts of repeating axes."""
    frame, names = march.frame, march.names[3:]
    sums = {name: np.zeros(frame.size, np.complex64) for name in names}
    each = 1.0 if np.issubdtype(frame.dtype, np.complexfloating) else 2.0
    for step in range(frame.steps):
        march.advance(source[0], _rates_at(frame, source[1], march.time))
        if (step + 1) % (frame.steps // PHASES) == 0:
            turn = np.complex64(each * march.impedance / PHASES * np.exp(2j * math.pi * march.time / frame.steps))
            for name in names:
                for i in range(0, frame.size, PIECE):
                    sums[name][i : i + PIECE] += turn * march.fields[name][i : i + PIECE]
    ghosts = Repeat(frame.cells, (frame.plane, frame.row, 1), frame.turns, np.complex64)
    for field in sums.values():
        ghosts.fill(field)
    return {name: frame.view(field) for name, field in sums.items()}


def _nothing(march: March) -> dict[str, Array]:
    return {name: march.frame.view(np.full(march.frame.size, np.nan, np.complex64)) for name in march.names[3:]}
