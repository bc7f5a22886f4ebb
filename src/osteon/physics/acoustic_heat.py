r"""Heat that a field of pressure leaves in fluids and soft tissue: absorption heats, attenuation only weakens the wave.

.. math:: q = \frac{\alpha_{abs}\,|p|^2}{\rho c}

With :math:`k = \omega/c + i\alpha` and :math:`\alpha_{abs} = \alpha` this is stress times strain rate in any field of one
frequency, standing or converging; for a plane wave it is :math:`2\alpha_{abs} I`. Solids carry shear, which pressure does not
tell: their heat comes from the stresses.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from osteon.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]


def fluid_heat(
    pressure_pa: Array,
    density_kg_m3: Array | float,
    speed_m_s: Array | float,
    absorption_np_m: Array | float,
    *,
    attenuation_np_m: Array | float | None = None,
    spacing_m: float | None = None,
    on_planes: bool = True,
) -> Array:
    r"""Return the power turned into heat in each cell.

    .. math:: q_k = \frac{\alpha_{abs}}{\rho c}\cdot\frac{S_k + S_{k+1}}{2}\cdot\frac{\tanh\alpha h}{\alpha h},\qquad
        S = |p|^2 + \frac{h^2}{24}\nabla_\perp^2|p|^2

    Cell k lies between planes k and k + 1; a heat equation in finite volumes asks for the mean over it. S is that mean across,
    by five points: the middle of a narrow focus is hotter than its cell, and its value alone makes twice the error of
    temperature. Along z half the sum of two planes is right to the second order too; the last factor makes it exact for waves
    that decay along z, up or down, however strongly. Of a standing wave, sums over a layer are much better than single cells:
    its square repeats twice a wavelength. Sums over a plane stay those of the field.

    Parameters
    ----------
    pressure_pa : ndarray of complex, shape (z + 1, y, x)
        Amplitude on the planes between cells, as the planner gives it; shape (z, y, x), in the cells, without ``on_planes``.
    density_kg_m3, speed_m_s, absorption_np_m : float or ndarray, shape (z, y, x)
        Of the cells; absorption is what heats, at the frequency, and at most the attenuation.
    attenuation_np_m : float or ndarray, optional
        What weakens the wave, for the last factor; ``spacing_m`` belongs to it. Left out: the factor is 1.
    spacing_m : float, optional
        From plane to plane.
    on_planes : bool
        Whether the pressure lies on planes between cells.

    Returns
    -------
    ndarray, shape (z, y, x)
        [W/m³], in the precision of the pressure.

    Raises
    ------
    InputError
        If something is not finite, negative or of a shape that does not fit, or absorption exceeds attenuation.

    Examples
    --------
    >>> wave = np.exp(-10.0 * np.array([0.0, 1e-3]))[:, None, None] * 1e6
    >>> q = fluid_heat(wave, 1000.0, 1500.0, 10.0, attenuation_np_m=10.0, spacing_m=1e-3)
    >>> round(float(q[0, 0, 0]))  # (|p_0|^2 - |p_1|^2) / (2 rho c h)
    6600442
    """
    pressure = np.asarray(pressure_pa)
    cells = (len(pressure) - on_planes, *pressure.shape[1:]) if pressure.ndim == 3 else pressure.shape
    if pressure.ndim != 3 or cells[0] < 1 or not np.isfinite(pressure).all():
        raise InputError(
            f"The pressure has shape {pressure.shape}, or is not finite everywhere.",
            "Heat comes from the pressure of each cell, which has a plane above and one below it.",
            "Give (z + 1, y, x) on planes, or (z, y, x) in cells with on_planes=False.",
        )
    rho, c = (_of_cells(n, v, cells, lowest) for n, v, lowest in _least(density_kg_m3, speed_m_s))
    absorbed = _of_cells("absorption_np_m", absorption_np_m, cells, 0.0)
    square = pressure.real**2 + pressure.imag**2
    if on_planes:
        square = _across((square[:-1] + square[1:]) / 2)
    if (attenuation_np_m is None) != (spacing_m is None) or not (spacing_m is None or 0 < spacing_m < math.inf):
        raise InputError(
            f"The attenuation was {'not ' * (attenuation_np_m is None)}given, the spacing is {spacing_m}.",
            "Only both together, with a spacing above 0, tell how much a wave loses from plane to plane.",
            "Give attenuation_np_m and spacing_m, or neither.",
        )
    factor: Array | float = 1.0
    if attenuation_np_m is not None and spacing_m is not None:
        lost = _of_cells("attenuation_np_m", attenuation_np_m, cells, 0.0)
        if (absorbed > lost * (1 + 1e-6)).any():
            raise InputError(
                f"Absorption reaches {float(np.max(absorbed)):g} Np/m where attenuation is less.",
                "A wave cannot heat with more than it loses.",
                "Give the absorbed share of this attenuation, of the same source and frequency.",
            )
        path = lost * spacing_m
        factor = np.where(path > 1e-6, np.tanh(path) / np.maximum(path, 1e-6), 1.0) if on_planes else 1.0
    return np.asarray(square * (absorbed / (rho * c) * factor), square.dtype)


def _across(square: Array) -> Array:
    """Return the mean of each cell across a plane from the values in the middles of cells; edges go on as they are."""
    found = square * (20 / 24)
    for axis in (1, 2):
        count = square.shape[axis]
        for way in (-1, 1):
            found += np.take(square, np.clip(np.arange(count) + way, 0, count - 1), axis) / 24
    return np.asarray(found)


def _least(density: Array | float, speed: Array | float) -> tuple[tuple[str, Array | float, float], ...]:
    """Return density and speed by name, with the smallest number above 0 as their bound."""
    return ("density_kg_m3", density, np.finfo(float).tiny), ("speed_m_s", speed, np.finfo(float).tiny)


def _of_cells(name: str, given: Array | float, cells: tuple[int, ...], lowest: float) -> Array:
    """Return a property of the cells, refused where it is none."""
    numbers = np.asarray(given, float)
    if numbers.shape not in ((), cells) or not np.isfinite(numbers).all() or (numbers < lowest).any():
        raise InputError(
            f"{name} has shape {numbers.shape} for cells {cells}, or is not finite or too small somewhere.",
            "Each cell needs one number: density and speed above 0, absorption and attenuation at least 0.",
            f"Give one {name} for all cells or one for each.",
        )
    return numbers
