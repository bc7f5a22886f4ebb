"""How much energy of a plane wave enters bone at each angle, and how much of it as shear: closed form beside the matrix of all
faces.

Beside the numbers of the default pair of media stands the table of the acoustics reference (0.1 points, set beforehand). For
any other pair the second coding is the reference.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from osteon.errors import InputError
from osteon.physics.acoustic_interface import energy_in
from osteon.physics.acoustic_layers import Array, Medium, Stack, solve
from osteon.validation.base import Report, Row

FREQUENCY_HZ = 1e6  # without attenuation it has no influence
POINTS, BALANCE, AGREE = 0.1, 1e-6, 0.1  # percentage points; of the incident power; percent
NOTHING = 1e-9  # a share of energy below rounding
DEFAULT = (2800.0, 1550.0, 1850.0, 1575.0, 1090.0)
ANGLES = (*(float(a) for a in range(0, 90, 5)), 89.0)
TABLE = {  # degrees: fluid bone, solid bone, share of shear [%]
    0.0: (74.8, 74.8, 0.0), 15.0: (71.6, 76.4, 14.0), 20.0: (68.4, 77.5, 23.9), 25.0: (62.6, 78.6, 35.0),
    30.0: (50.8, 78.4, 44.6), 40.0: (0.0, 94.5, 100.0), 60.0: (0.0, 97.3, 100.0),
}  # fmt: skip
PUBLISHED = "acoustics reference, section 6: muscle on cortical bone"
CODED = "global matrix of the interface"


def _angles(text: str) -> Array:
    """Return the angles [deg] of a list with commas."""
    if not text:
        return np.array(ANGLES)
    try:
        found = np.array([float(word) for word in text.split(",")])
    except ValueError:
        found = np.array([np.nan])
    if not (np.isfinite(found).all() and (found >= 0).all() and (found < 90).all()):
        raise InputError(
            f"The angles were given as {text!r}.",
            "A plane wave meets a face at 0 to below 90 degrees.",
            "Give numbers with commas: --angles 0,20,40.",
        )
    return found


def rows_of(first: Medium, second: Medium, angles: Array, table: dict[float, tuple[float, float, float]]) -> list[Row]:
    """Return the rows of a pair of media; ``table`` where numbers of others are known [%]."""
    enters, shear = energy_in(first, second, FREQUENCY_HZ, angles)
    flat, _ = energy_in(first, second.as_fluid, FREQUENCY_HZ, angles)
    stack, fluid = Stack(first, (), second, FREQUENCY_HZ), Stack(first, (), second.as_fluid, FREQUENCY_HZ)
    found, other = solve(stack, stack.transverse_per_m(angles)), solve(fluid, fluid.transverse_per_m(angles))
    part = found.transmitted_shear_share / np.where(found.entering > NOTHING, found.entering, np.nan)
    rows = []
    for i, angle in enumerate(angles):
        known = table.get(float(angle))
        for name, closed, matrix, told, words in (
            ("energy_in", enters[i], found.entering[i], known and known[1], "share of the incident power that enters the solid"),
            ("shear_share", shear[i], part[i], known and known[2], "share of what enters that goes as shear"),
            ("fluid_energy_in", flat[i], other.entering[i], known and known[0], "the same if the solid carried no shear"),
        ):
            if np.isnan(matrix):  # nothing enters: there is no share of it
                continue
            reference, source = (100 * float(matrix), CODED) if told is None else (told, PUBLISHED)
            rows.append(Row(f"{name}[{angle:g}]", 100 * float(closed) + 0.0, "%", words, reference, source, POINTS))
    every = stack.transverse_per_m(np.arange(0.0, 90.0))
    whole = solve(stack, every)
    gap = np.abs(whole.reflected_share + whole.transmitted_share + whole.transmitted_shear_share - 1).max()
    rows.append(
        Row("balance", float(gap), "1", "largest abs(R + T_l + T_s - 1), every degree from 0 to 89", 0.0, "conservation", BALANCE)
    )
    closed_in, _ = energy_in(first, second, FREQUENCY_HZ, np.arange(0.0, 90.0))
    apart = 100 * float(np.abs(closed_in - whole.entering).max())
    rows.append(Row("codings_apart", apart, "%", "largest difference of energy_in, every degree", 0.0, CODED, AGREE))
    return rows


def run(
    observe: Callable[[float], None],
    cl: float = DEFAULT[0],
    cs: float = DEFAULT[1],
    rho: float = DEFAULT[2],
    c1: float = DEFAULT[3],
    rho1: float = DEFAULT[4],
    angles: str = "",
) -> Report:
    """Return the rows of ``interface``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    cl, cs, rho : float
        Longitudinal and shear speed [m/s] and density [kg/m³] of the solid.
    c1, rho1 : float
        Speed and density of the fluid in front.
    angles : str
        Angles of incidence [deg], with commas.

    Raises
    ------
    InputError
        If a number makes no medium or no angle.
    """
    began = time.perf_counter()
    table = TABLE if (cl, cs, rho, c1, rho1) == DEFAULT else {}
    rows = rows_of(Medium(rho1, c1), Medium(rho, cl, shear_speed_m_s=cs), _angles(angles), table)
    observe(1.0)
    return Report("interface", tuple(rows), "done", time.perf_counter() - began, ("Plane waves, a flat face, no attenuation.",))
