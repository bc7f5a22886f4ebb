r"""The fast planner of ultrasound: an angular spectrum that marches plane by plane through voxels, with echoes and with shear.

From plane to plane the field is propagated once for every kind of medium in the slab between, and each column takes the one it
lies in (phase shift plus interpolation, Gazdag & Sguazzero 1984); media of nearly one speed go together, each with its own
phase. Where a column changes its medium, the field goes through the coefficients of that interface in k-space, angle by angle:
fluid to fluid, and into, between and out of solids with mode conversion (``acoustic_scatter``). What is sent back waits at its
plane and sets out on the next sweep, upward and downward in turn, until a sweep adds next to nothing. On flat level layers the
sum of sweeps is the exact answer.

Where a face leans, the difference between its own normal (from the voxels round it) and z is added for the mean direction in
which the wave goes there: Snell's law on the true face, and the share of a strip of columns that a wave moving sideways fills
twice or leaves empty. That is a correction of first order in the tilt; ``Marched.stairs`` says how much power meets such faces.

In a solid the longitudinal wave is carried as :math:`\rho\omega^2\varphi`, which in a fluid is the pressure, and shear as the
horizontal part of :math:`\rho\omega^2\boldsymbol\psi`. Planes are the faces of voxels: cell k lies between planes k and k + 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from osteon.errors import InputError, NumericalError
from osteon.physics.acoustic_layers import Medium
from osteon.physics.acoustic_planner_grid import present_in
from osteon.physics.acoustic_planner_heat import heat_of
from osteon.physics.acoustic_planner_march import DARK, VOID, March, Room, Waiting, largest
from osteon.physics.acoustic_sources import plane_power_w

Array = np.ndarray[Any, np.dtype[Any]]
__all__ = ["Marched", "Room", "march"]
MOST_SWEEPS = 15
ENOUGH = 1e-3  # a sweep that adds less than this share of the peak is the last
GROWS = 0.05  # of the peak: echoes that grow beyond it are an error of the method, not a resonance
COARSEST = 2.2  # voxels a wavelength: below it the grid does not carry the wave


@dataclass(frozen=True, eq=False)
class Marched:
    r"""The field of the planner.

    Parameters
    ----------
    pressure_pa : ndarray of complex64, shape (z + 1, y, x)
        On the planes between cells, on the lower side of a face; plane 0 is the entry. In a solid :math:`\rho\omega^2\varphi`.
    heat_w_m3, shear_w_m3 : ndarray of float32, shape (z, y, x)
        Power turned into heat in each cell, and what of it shear brings.
    incident_w : float
        Power that goes in through the entry plane.
    sweeps : int
        Made.
    last_added : float
        Largest pressure that the last sweep added, as a share of the peak.
    ended : str
        ``converged``, ``stopped after n sweeps``, or ``stopped: echoes grew in sweep n``.
    stairs : float
        Share of the power at interfaces that meets a face that leans by more than 5 degrees.
    beyond_critical : float
        Share of the power at interfaces to a faster medium that arrives beyond its critical angle, counted from the true normal.
    points_per_wavelength : float
        Voxels in the shortest wavelength.
    entry_pa : ndarray of complex, shape (y, x)
        What was given.
    """

    pressure_pa: Array
    heat_w_m3: Array
    shear_w_m3: Array
    incident_w: float
    sweeps: int
    last_added: float
    ended: str
    stairs: float
    beyond_critical: float
    points_per_wavelength: float
    entry_pa: Array = field(default_factory=lambda: np.zeros((0, 0), complex))

    @property
    def longitudinal_w_m3(self) -> Array:
        """Heat of the longitudinal wave alone."""
        return self.heat_w_m3 - self.shear_w_m3


def march(
    entry_pa: Array,
    labels: Array,
    media: Sequence[Medium],
    frequency_hz: float,
    spacing_m: float,
    *,
    absorption_np_m: Sequence[tuple[float, float]] | None = None,
    most_sweeps: int = MOST_SWEEPS,
    enough: float = ENOUGH,
    rim: float = 0.1,
    observe: Callable[[int, float], None] | None = None,
    room: Room | None = None,
) -> Marched:
    """Propagate a plane of pressure through labelled voxels.

    Parameters
    ----------
    entry_pa : ndarray of complex, shape (y, x)
        On the upper face of the first cells, going down (along z).
    labels : ndarray of int, shape (z, y, x)
        Which medium fills each cell; the first plane of cells is fluid wherever the wave enters.
    media : sequence of Medium
        At the frequency.
    frequency_hz : float
        Frequency.
    spacing_m : float
        Edge of a cell.
    absorption_np_m : sequence of (float, float) or None
        Of each medium, of the longitudinal and the shear wave: what of the attenuation turns into heat. None: all of it.
    most_sweeps : int
        At most so many sweeps; 1 is downward only.
    enough : float
        A sweep that adds less than this share of the peak is the last.
    rim : float
        Share of the grid, at each edge, over which the field is faded; what is not faded comes back in on the other side. An axis
        of one cell repeats and is not faded.
    observe : callable or None
        Called with the number of sweeps made and what the last one added.
    room : Room or None
        Arrays to write on, of an earlier march whose result is no longer needed; None: fresh ones.

    Returns
    -------
    Marched
        Field and heat, and how far to believe them.

    Raises
    ------
    InputError
        If shapes or labels do not fit, something is not finite, the wave starts in a solid, or the grid is too coarse.
    NumericalError
        If the field is not finite.
    """
    present, ppw = _check(entry_pa, labels, media, frequency_hz, spacing_m)
    labels, media, present = _distinct(labels, media, present)
    run = March(labels, media, frequency_hz, spacing_m, present, rim, room)
    run.total[0] += np.asarray(entry_pa, np.complex64)
    run.peak = largest(run.total[0])
    waiting: Waiting = {0: [(slice(0, 1), np.arange(entry_pa.size), run.total[0].reshape(1, -1).copy())]}
    added, least, sweeps, grew = 1.0, 1.0, 0, False
    while sweeps < most_sweeps and waiting and (sweeps < 2 or added >= enough) and not grew:
        waiting, most = run.sweep(waiting, sweeps % 2 == 0, sweeps == 0)
        sweeps += 1
        added = most / run.peak if run.peak > 0 else 0.0
        least = min(least, added)
        grew = added > max(1.5 * least, GROWS)
        if not math.isfinite(most):
            raise NumericalError(
                "The marched field is not finite.", "Nothing can be planned on it.", "Check media and entry plane."
            )
        if observe is not None:
            observe(sweeps, added)
    settled = added < enough or not waiting
    ended = f"stopped: echoes grew in sweep {sweeps}" if grew else "converged" if settled else f"stopped after {sweeps} sweeps"
    run.runs.fill()
    heat, shear = heat_of(run, absorption_np_m)
    incident = plane_power_w(
        np.asarray(entry_pa), media[int(labels[0].ravel()[np.abs(entry_pa).argmax()])], frequency_hz, spacing_m
    )
    return Marched(
        run.total, heat, shear, incident, sweeps, added, ended, *run.trust(), ppw, np.asarray(entry_pa),
    )  # fmt: skip


def _distinct(labels: Array, media: Sequence[Medium], present: list[Array]) -> tuple[Array, list[Medium], list[Array]]:
    """Return the same with one label for media that are equal: between them there is no face."""
    first = np.array([list(media).index(m) for m in media])
    if (first == np.arange(len(media))).all():
        return labels, list(media), present
    return first[labels], list(media), [np.unique(first[p]) for p in present]


def _check(
    entry: Array, labels: Array, media: Sequence[Medium], frequency_hz: float, spacing_m: float
) -> tuple[list[Array], float]:
    """Refuse what cannot be marched; return the media of each plane of cells and the points in the shortest wavelength."""
    if labels.ndim != 3 or entry.shape != labels.shape[1:] or labels.dtype.kind not in "ui" or not np.isfinite(entry).all():
        raise InputError(
            f"Labels {labels.shape} of kind {labels.dtype}, entry plane {entry.shape}: they do not fit or are not finite.",
            "Each column of voxels needs its pressure, and each voxel one medium.",
            "Give whole-number labels (z, y, x) and a finite plane (y, x).",
        )
    if labels.size == 0 or int(labels.min()) < 0 or int(labels.max()) >= len(media):
        raise InputError(
            f"The labels run to {labels.max(initial=0)}, but there are {len(media)} media.",
            "A voxel without medium stops the wave.",
            "Give a medium for every label.",
        )
    if not (math.isfinite(frequency_hz) and math.isfinite(spacing_m) and frequency_hz > 0 and spacing_m > 0):
        raise InputError(f"Frequency {frequency_hz:g} Hz on voxels of {spacing_m:g} m.", "Both must be above 0.", "Correct them.")
    solid = np.array([m.solid for m in media])[labels[0]]
    if (solid & (np.abs(entry) > DARK * np.abs(entry).max(initial=0.0))).any():
        raise InputError(
            "The wave enters the voxels inside a solid.",
            "A source in bone has no pressure that a plane could carry.",
            "Begin the grid in water, gel or soft tissue in front of the bone.",
        )
    present = present_in(labels)
    used = [media[i] for i in set(np.concatenate(present).tolist())]
    impedance = max(m.density_kg_m3 * m.speed_m_s for m in used)
    carried = [m for m in used if m.density_kg_m3 * m.speed_m_s >= VOID * impedance]
    slowest = min(min(m.speed_m_s, m.shear_speed_m_s or m.speed_m_s) for m in carried)
    ppw = slowest / frequency_hz / spacing_m
    if ppw < COARSEST:
        raise InputError(
            f"Voxels of {spacing_m * 1e3:g} mm hold {ppw:.2g} to a wavelength at {frequency_hz:g} Hz.",
            "A wave needs more than two points; the planner asks for 2.2.",
            f"Resample to at most {spacing_m * ppw / COARSEST * 1e3:.3g} mm, or lower the frequency.",
        )
    return present, ppw
