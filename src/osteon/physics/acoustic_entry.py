r"""The plane of pressure that a source lays in front of the planner, fast: round elements from a table of one.

The Rayleigh sum takes hundreds of points of each element to each target. The field of a flat round element depends only on the
distance d and the angle to its normal, so it is tabulated once, by Gauss's rule over the face:

.. math:: \frac{1}{\pi a^2}\int\frac{e^{iks}}{s}\,dA = T\!\left(\frac1D, \sin\vartheta\right)\frac{e^{ikD}}{D},
   \qquad D^2 = d^2 + \frac{a^2}{2}

D, the root mean square distance to the face, takes out the curvature of the wave front, so that T is smooth; far away it is the
directivity :math:`2 J_1(ka\sin\vartheta)/(ka\sin\vartheta)`. A target nearer to an element than 1.25 radii gets the sum over the
rule itself; sources of another form (bowls) get the full sum. Each answer is held against the rule at some targets. Rule and
table know no pieces: they are nearer to the true element than the full sum over one that was cut coarsely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from scipy.special import jv

from osteon.errors import InputError
from osteon.physics import acoustic_sources
from osteon.physics.acoustic_sources import Source

Array = np.ndarray[Any, np.dtype[Any]]
TOLERANCE = 0.005  # of the largest pressure
NEAR = 1.25  # radii; nearer, the full sum
STEP = 0.1  # of the table, in radians of phase across the radius: linear interpolation then errs by about STEP² / 32
CHECKED = 32  # targets held against the rule, besides those nearest to elements
NEAREST = 8  # elements whose nearest target is checked
FLAT, ROUND, FULL = 1e-6, 0.02, 0.15  # how far moments of an element's points may be off those of a disc, as shares
GROUPS = 3  # kinds of elements with a table each
COST = 8.0  # of one look into the table, in terms of the full sum
UNDERFLOW = 300.0  # attenuation over the distance, Np: beyond it only the far field is left


@dataclass(frozen=True, eq=False)
class Plane:
    """Targets on a flat grid, in the frame of the source.

    Parameters
    ----------
    origin_m : ndarray, shape (3,)
        Target [0, 0], as (x, y, z).
    along_y_m, along_x_m : ndarray, shape (3,)
        Step to the next row, and to the next column.
    shape : tuple of int
        Rows, columns.

    Raises
    ------
    InputError
        If a number is not finite, the steps are not across each other, or there is no target.
    """

    origin_m: Array
    along_y_m: Array
    along_x_m: Array
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        vectors = [np.asarray(v, float) for v in (self.origin_m, self.along_y_m, self.along_x_m)]
        good = all(v.shape == (3,) and np.isfinite(v).all() for v in vectors) and min(self.shape) > 0
        across = math.sqrt(float((np.cross(vectors[1], vectors[2]) ** 2).sum())) if good else 0.0
        if not (good and across > 1e-3 * float(np.linalg.norm(vectors[1]) * np.linalg.norm(vectors[2])) > 0):
            raise InputError(
                f"A plane begins at {self.origin_m}, has steps {self.along_y_m} and {self.along_x_m} and shape {self.shape}.",
                "Rows and columns must be finite and span a plane.",
                "Give three vectors of (x, y, z) in metres, the two steps across each other, and at least one target.",
            )

    @classmethod
    def level(cls, z_m: float, shape: tuple[int, int], spacing_m: float) -> Plane:
        """Return a plane across the beam at ``z_m``; target [rows // 2, columns // 2] lies on the axis of the device."""
        y, x = (-(n // 2) * spacing_m for n in shape)
        return cls(np.array([x, y, z_m]), np.array([0.0, spacing_m, 0.0]), np.array([spacing_m, 0.0, 0.0]), shape)

    @property
    def targets_m(self) -> Array:
        """Places of the targets, shape (rows, columns, 3)."""
        rows, columns = (np.arange(n)[:, None] * step for n, step in zip(self.shape, (self.along_y_m, self.along_x_m)))
        return np.asarray(self.origin_m + rows[:, None] + columns[None])


@dataclass(frozen=True, eq=False)
class EntryPlane:
    """Pressure on a plane, and what it is worth.

    Parameters
    ----------
    pressure_pa : ndarray of complex, shape (rows, columns)
        Time goes as exp(-i omega t).
    how : {"table", "full sum"}
        How it was summed.
    error : float
        Largest difference from the rule over each face at ``checked`` targets, as a share of the largest pressure. NaN
        for the full sum, whose pieces are those of the source.
    checked : int
        Targets at which both were computed.
    rim : float
        Largest pressure at the rim of the plane over the largest of all: what a plane too small cuts off.
    """

    pressure_pa: Array
    how: Literal["table", "full sum"]
    error: float
    checked: int
    rim: float


def entry_plane(
    source: Source,
    velocity_m_s: Array | complex,
    plane: Plane,
    frequency_hz: float,
    *,
    density_kg_m3: float,
    speed_m_s: float,
    attenuation_np_m: float = 0.0,
    tolerance: float = TOLERANCE,
    beam: tuple[float, float, float] = (0.0, 0.0, 1.0),
) -> EntryPlane:
    """Return the pressure of a source in uniform fluid on a plane in front of it.

    Parameters
    ----------
    source : Source
        Best an array of flat round elements; anything else gets the full sum.
    velocity_m_s : complex or ndarray of complex, shape (elements,)
        Normal velocity of each element; 0 where switched off.
    plane : Plane
        Where, in the frame of the source; level or tilted.
    frequency_hz : float
        Frequency.
    density_kg_m3, speed_m_s, attenuation_np_m : float
        Of the fluid, attenuation at the frequency.
    tolerance : float
        Share of the largest pressure by which the checked targets may be off; more, and all get the full sum.
    beam : tuple of float
        Where the source radiates: what tells a plane in front from one behind.

    Returns
    -------
    EntryPlane

    Raises
    ------
    InputError
        If no element moves, shapes do not fit, a number is not finite, or the plane lies behind the source or cuts it.

    Examples
    --------
    >>> from osteon.physics.acoustic_sources import disc
    >>> found = entry_plane(disc(0.02, 4e-4), 0.04, Plane.level(0.05, (3, 3), 1e-3), 5e5, density_kg_m3=1e3, speed_m_s=1500.0)
    >>> found.how, round(abs(found.pressure_pa[1, 1]) / 1e3)
    ('full sum', 114)
    """
    acoustic_sources._check(frequency_hz=frequency_hz, density_kg_m3=density_kg_m3, speed_m_s=speed_m_s)
    velocity = _velocity(source, velocity_m_s)
    _in_front(source, velocity, plane, np.asarray(beam, float))
    if not (math.isfinite(tolerance) and tolerance >= 0 and math.isfinite(attenuation_np_m) and attenuation_np_m >= 0):
        raise InputError(
            f"The tolerance is {tolerance:g} and the attenuation {attenuation_np_m:g} Np/m.",
            "Both must be finite and at least 0.",
            "Correct them; a tolerance of 0 asks for the full sum.",
        )
    targets = plane.targets_m.reshape(-1, 3)
    k = 2 * math.pi * frequency_hz / speed_m_s
    groups = _groups(source, velocity) if tolerance > 0 else None
    if groups is not None and _pays(groups, len(targets), k, int((velocity != 0)[source.element].sum())):
        scale = -1j * k * density_kg_m3 * speed_m_s / (2 * math.pi)
        pressure = scale * _summed(groups, velocity, targets, k, attenuation_np_m)
        at = _to_check(groups, targets, pressure)
        fine = scale * _summed(groups, velocity, targets[at], k, attenuation_np_m, cut=True)
        peak = float(np.abs(pressure).max())
        error = float(np.abs(pressure[at] - fine).max()) / peak if peak > 0 else math.inf
        if error <= tolerance:
            return _finished(pressure, plane, "table", error, len(at))
    fluid = {"density_kg_m3": density_kg_m3, "speed_m_s": speed_m_s, "attenuation_np_m": attenuation_np_m}
    exact = acoustic_sources.field(source, velocity, targets, frequency_hz, **fluid)
    return _finished(exact, plane, "full sum", math.nan, 0)


@dataclass(frozen=True, eq=False)
class _Group:
    """Alike round elements: which, their radius, and centres, normals and two vectors across them, each (3, n)."""

    elements: Array
    radius_m: float
    centres_m: Array
    axes: Array  # (3 axes, 3, n): normal first


def _groups(source: Source, velocity: Array) -> list[_Group] | None:
    """Return the elements that move as flat round ones of a few sizes, or None where they are not."""
    live = np.flatnonzero(velocity)
    area, centres = source.element_areas_m2, source.centres_m
    if not (area[live] > 0).all():
        return None
    away = source.points_m - centres[source.element]
    moments = np.empty((source.elements, 3, 3))
    for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
        summed = np.bincount(source.element, source.areas_m2 * away[:, i] * away[:, j], source.elements)
        moments[:, i, j] = moments[:, j, i] = summed / np.where(area > 0, area, 1.0)
    values, vectors = np.linalg.eigh(moments[live])
    quarter = area[live] / (4 * math.pi)  # radius² / 4, both moments of a disc
    flat = np.abs(values[:, 0]) < FLAT * quarter
    alike = np.abs(values[:, 2] - values[:, 1]) < ROUND * quarter
    full = np.abs(values[:, 1:].mean(1) - quarter) < FULL * quarter
    sizes, which = np.unique(np.round(2e9 * np.sqrt(quarter)), return_inverse=True)  # to a nanometre
    if not (flat & alike & full).all() or len(sizes) > GROUPS:
        return None
    kinds = [np.flatnonzero(which == n) for n in range(len(sizes))]
    return [
        _Group(live[kind], float(2 * np.sqrt(quarter[kind].mean())), centres[live[kind]].T, vectors[kind].transpose(2, 1, 0))
        for kind in kinds
    ]


def _sizes(ka: float) -> tuple[int, int, int, int]:
    """Return rows and columns of the table, and rings and spokes of the face that fills it."""
    top = ka / math.sqrt(NEAR**2 + 0.5)
    return 8 + math.ceil(top / STEP), 8 + math.ceil(ka / STEP), 8 + math.ceil(ka / 2), 24 + math.ceil(ka)


def _pays(groups: list[_Group], targets: int, k: float, points: int) -> bool:
    """Return whether tables cost less than the full sum over all points."""
    fast = 0.0
    for group in groups:
        rows, columns, rings, spokes = _sizes(k * group.radius_m)
        fast += rows * columns * rings * spokes + COST * targets * len(group.elements)
    return fast < targets * points


def _rule(radius_m: float, rings: int, spokes: int, turn: float) -> tuple[Array, Array]:
    """Return points (2, n) on a face and their shares of the area, Gauss along the radius and even round it."""
    nodes, weights = np.polynomial.legendre.leggauss(rings)
    r, angle = radius_m * (nodes + 1) / 2, turn * (np.arange(spokes) + 0.5) / spokes
    face = np.stack([np.outer(r, np.cos(angle)).ravel(), np.outer(r, np.sin(angle)).ravel()])
    return face, np.repeat(weights * r / radius_m / spokes, spokes)


@lru_cache(maxsize=8)
def _table(radius_m: float, k: float, attenuation_np_m: float) -> tuple[Array, tuple[float, float]]:
    """Return T (rows of 1/D, columns of sine, 2) and its steps per 1/D [m] and per sine."""
    from osteon.physics.acoustic_kernels import rayleigh

    rows, columns, rings, spokes = _sizes(k * radius_m)
    top = 1 / (radius_m * math.sqrt(NEAR**2 + 0.5))
    inverse, sine = np.linspace(0, top, rows), np.linspace(0, 1, columns)
    face, share = _rule(radius_m, rings, spokes, math.pi)  # half the face is as good as all
    face = np.concatenate([face, np.zeros((1, len(share)))])
    table = np.empty((rows, columns), complex)
    x = complex(k, attenuation_np_m) * radius_m * sine
    far = np.where(sine > 0, 2 * jv(1, x) / np.where(sine > 0, x, 1.0), 1.0)
    table[:] = far
    near = inverse > attenuation_np_m / UNDERFLOW
    mean = 1 / inverse[near][:, None]
    d = np.sqrt(mean**2 - radius_m**2 / 2)
    at = np.stack([d * sine, np.zeros((len(d), columns)), d * np.sqrt(1 - sine**2)], axis=-1).reshape(-1, 3)
    summed = rayleigh(at, face, share, np.zeros_like(share), k, attenuation_np_m)
    table[near] = (summed[:, 0] + 1j * summed[:, 1]).reshape(len(d), -1) * mean * np.exp((attenuation_np_m - 1j * k) * mean)
    parts = np.ascontiguousarray(np.stack([table.real, table.imag], axis=-1))
    parts.setflags(write=False)
    return parts, ((rows - 1) / top, float(columns - 1))


def _summed(groups: list[_Group], velocity: Array, targets: Array, k: float, alpha: float, cut: bool = False) -> Array:
    """Return the sum of v exp(i k s) / s dA, by tables or (``cut``) by the rule over every face."""
    from osteon.physics.acoustic_kernels import cut_discs, discs

    found = np.zeros((len(targets), 2))
    for group in groups:
        moves = velocity[group.elements]
        parts = (np.ascontiguousarray(moves.real), np.ascontiguousarray(moves.imag))
        near, area = math.inf if cut else NEAR * group.radius_m, math.pi * group.radius_m**2
        if not cut:
            table, steps = _table(group.radius_m, k, alpha)
            place = np.concatenate([group.centres_m, group.axes[0]])
            found += area * discs(targets, place, *parts, table, steps, k, alpha, group.radius_m, near)
        _, _, rings, spokes = _sizes(k * group.radius_m)
        face, share = _rule(group.radius_m, rings, 2 * spokes, 2 * math.pi)
        place = np.concatenate([group.centres_m, group.axes[1], group.axes[2]])
        cut_discs(targets, place, face, area * share, *parts, k, alpha, near, found)
    return np.asarray(found[:, 0] + 1j * found[:, 1])


def _to_check(groups: list[_Group], targets: Array, pressure: Array) -> Array:
    """Return targets to hold against the sum over pieces: spread over all, the largest, and those nearest to elements."""
    spread = np.linspace(0, len(targets) - 1, CHECKED).astype(int)
    centres = np.concatenate([group.centres_m.T for group in groups])
    middle = targets.mean(axis=0)
    outermost = np.argsort(-((centres - middle) ** 2).sum(1), kind="stable")[:: max(1, len(centres) // NEAREST)][:NEAREST]
    nearest = [int(((targets - centres[e]) ** 2).sum(1).argmin()) for e in outermost]
    return np.unique(np.concatenate([spread, [int(np.abs(pressure).argmax())], nearest]))


def _finished(pressure: Array, plane: Plane, how: Literal["table", "full sum"], error: float, checked: int) -> EntryPlane:
    """Return the plane with the share of its rim."""
    pressure = pressure.reshape(plane.shape)
    size = np.abs(pressure)
    edge = max(float(side.max()) for side in (size[0], size[-1], size[:, 0], size[:, -1]))
    return EntryPlane(pressure, how, error, checked, edge / max(float(size.max()), 1e-300))


def _velocity(source: Source, given: Array | complex) -> Array:
    """Return one velocity for each element; refuse what does not fit, is not finite, or is 0 everywhere."""
    velocity = np.asarray(given, complex)
    velocity = np.broadcast_to(velocity, (source.elements,)) if velocity.ndim == 0 else velocity
    if velocity.shape != (source.elements,) or not np.isfinite(velocity).all():
        raise InputError(
            f"Velocities of shape {velocity.shape} for {source.elements} elements: they do not fit, or not all are finite.",
            "Each element needs one velocity.",
            "Give one number for all elements or one for each, in m/s.",
        )
    if not velocity.any():
        raise InputError(
            f"None of the {source.elements} elements moves.",
            "All are blocked or switched off, so that there is no beam.",
            "Move or turn the device, or choose another way in.",
        )
    return velocity


def _in_front(source: Source, velocity: Array, plane: Plane, beam: Array) -> None:
    """Refuse a plane that lies behind the elements that move, on them, or along the beam."""
    if beam.shape != (3,) or not np.isfinite(beam).all() or not beam.any():
        raise InputError(f"The beam goes along {beam}.", "It needs a direction.", "Give three finite numbers, not all 0.")
    normal = np.cross(plane.along_x_m, plane.along_y_m)
    normal = normal / np.linalg.norm(normal)
    slope = float(normal @ beam) / float(np.linalg.norm(beam))
    if abs(slope) < 1e-6:
        raise InputError(
            "The plane lies along the beam.", "The beam does not enter through it.", "Turn the plane across the beam."
        )
    live = (velocity != 0)[source.element]
    height = (source.points_m[live] - plane.origin_m) @ normal * math.copysign(1.0, slope)
    clear = 0.5 * math.sqrt(float(source.areas_m2[live].max()))
    if float(height.max()) <= -clear:
        return
    where = "behind the source" if float(height.min()) > clear else "on its elements or between them"
    raise InputError(
        f"The plane lies {where}: they reach {float(height.max()) * 1e3:.3g} mm beyond it along the beam.",
        "The planner takes what goes forward through the plane, so that all elements must lie before it.",
        f"Move the plane by at least {(float(height.max()) + clear) * 1e3:.3g} mm along the beam.",
    )
