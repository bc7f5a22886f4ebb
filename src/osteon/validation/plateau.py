"""The load at which voxels give way against plastic limit loads: prism, two materials, moment, torque.

Tolerances were set before the first run: 1e-6 where the strain is uniform in each piece (the conjugate gradients go to 1e-8),
0.3 % where the fixed point needs several solutions (it stops there), 6 and 2 % for the moment of 8 and 16 layers (one stress
point an element), 10 and 5 % for the torque of 16 and 32 voxels across (stairs).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.physics.collapse import Caps, Curve, collapse
from osteon.physics.elasticity import Model, Support
from osteon.validation.base import Report, Row

Array = np.ndarray[Any, np.dtype[Any]]
EXACT, SETTLED = 1e-6, 0.003
MOMENT, TORQUE = {8: 0.06, 16: 0.02}, {16: 0.10, 32: 0.05}
SPACING_M, MODULUS_PA, POISSON = 1e-3, 1e9, 0.3
CAP_PA, TENSION_PA, STRONG_PA = 5e6, 3e6, 20e6
BEYOND = 20.0  # times the factor of first yield


@dataclass(frozen=True, eq=False)
class Bar:
    """A column between frictionless plates: modulus and caps, and the exact plateau [N]."""

    name: str
    modulus_pa: Array
    cap_pa: Array
    tension_pa: Array
    exact_n: float
    tolerance: float
    poisson: float = POISSON
    closes: bool = True


def bars() -> tuple[Bar, ...]:
    """Return the columns."""
    shape, area = (8, 3, 4), SPACING_M**2
    whole, none = np.full(shape, MODULUS_PA), np.full(shape, np.inf)
    cap, tension = np.full(shape, CAP_PA), np.full(shape, TENSION_PA)
    beside, strong = whole.copy(), cap.copy()
    beside[:, :, 0], strong[:, :, 0] = 17.0 * MODULUS_PA, STRONG_PA
    above, most = 2.0 * whole, np.full(shape, STRONG_PA)
    above[3:5], most[3:5] = MODULUS_PA, CAP_PA
    stiff, weak = whole.copy(), np.full(shape, STRONG_PA)
    stiff[3:5], weak[3:5] = 10.0 * MODULUS_PA, CAP_PA
    side = (9 * CAP_PA + 3 * STRONG_PA) * area
    return (
        Bar("prism pressed", whole, cap, none, CAP_PA * 12 * area, EXACT),
        Bar("prism pulled, tension cap smaller", whole, cap, tension, TENSION_PA * 12 * area, EXACT, closes=False),
        Bar("prism pulled, Tresca cap smaller", whole, cap, 3.0 * tension, CAP_PA * 12 * area, EXACT, closes=False),
        Bar("two materials side by side", beside, strong, none, side, EXACT),
        Bar("two materials in series", above, most, none, CAP_PA * 12 * area, SETTLED, poisson=0.0),
        Bar("the stiffest link is the weakest", stiff, weak, none, CAP_PA * 12 * area, SETTLED, poisson=0.0),
    )


def pressed(bar: Bar) -> Curve:
    """Return the curve of a column, in N per metre of the plate's way."""
    nodes = tuple(n + 1 for n in bar.modulus_pa.shape)
    mask, moved = np.zeros((*nodes, 3), bool), np.zeros((*nodes, 3))
    mask[[0, -1], ..., 0] = mask[0, 0, 0] = mask[0, 0, 1, 1] = True
    moved[-1, ..., 0] = -1.0 if bar.closes else 1.0
    most = BEYOND * STRONG_PA / MODULUS_PA * bar.modulus_pa.shape[0] * SPACING_M
    model, caps = Model(bar.modulus_pa, bar.poisson, SPACING_M), Caps(bar.cap_pa, bar.tension_pa)
    return collapse(model, caps, Support(mask, moved), most_factor=most, tolerance=1e-8)


def bent(layers: int, tension_pa: float, axis: float) -> Curve:
    """Return the curve of a bar turned at one end about a line at a share ``axis`` of its height, in N m per radian."""
    shape, nodes = (layers, layers, 2), (layers + 1, layers + 1, 3)
    mask, moved = np.zeros((*nodes, 3), bool), np.zeros((*nodes, 3))
    mask[[0, -1], ..., 0] = mask[0, 0, 0] = mask[0, 0, -1, 1] = True
    moved[-1, ..., 0] = (np.arange(layers + 1) - axis * layers)[:, None] * SPACING_M
    caps = Caps(np.full(shape, CAP_PA), np.full(shape, tension_pa))
    model = Model(np.full(shape, MODULUS_PA), POISSON, SPACING_M)
    return collapse(model, caps, Support(mask, moved), most_factor=BEYOND * 2.0 * CAP_PA / MODULUS_PA, tolerance=1e-6)


def twisted(across: int) -> Curve:
    """Return the curve of a round bar turned at one end, in N m per radian."""
    length, at = 4, np.arange(across) - 0.5 * (across - 1)
    solid = np.broadcast_to(np.hypot(at[:, None], at[None, :]) <= 0.5 * across, (length, across, across))
    nodes = (length + 1, across + 1, across + 1)
    mask, moved = np.zeros((*nodes, 3), bool), np.zeros((*nodes, 3))
    mask[[0, -1], ..., 1:] = mask[0, across // 2, across // 2] = True
    place = (np.arange(across + 1) - 0.5 * across) * SPACING_M
    moved[-1, ..., 1], moved[-1, ..., 2] = -place[None, :], place[:, None]
    caps = Caps(np.full(solid.shape, CAP_PA), np.full(solid.shape, np.inf))
    yields = 0.5 * CAP_PA * 2.0 * (1.0 + POISSON) / MODULUS_PA * length / (0.5 * across)
    model = Model(MODULUS_PA * solid, POISSON, SPACING_M)
    return collapse(model, caps, Support(mask, moved), most_factor=BEYOND * yields, tolerance=1e-6)


def row(name: str, unit: str, curve: Curve, exact: float, source: str, share: float) -> Row:
    """Return the row of one limit load; without a plateau there is no number."""
    value = curve.failure if curve.ended == "plateau" and curve.failure is not None else math.nan
    return Row(
        name, value, unit, f"plateau of the curve; {curve.steps} factors, {curve.solves} solutions", exact, source, share * exact
    )


def run(observe: Callable[[float], None]) -> Report:
    """Return the rows of ``plateau``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began, rows = time.perf_counter(), []
    for bar in bars():
        rows.append(
            row(bar.name, "N", pressed(bar), bar.exact_n, "cap times area; sum side by side, least in series", bar.tolerance)
        )
    observe(0.3)
    for layers, share in MOMENT.items():
        exact = CAP_PA * 2 * SPACING_M * (layers * SPACING_M) ** 2 / 4.0
        found = bent(layers, np.inf, 0.5)
        rows.append(row(f"plastic moment, {layers} layers", "N m", found, exact, "Y b h^2 / 4", share))
    exact = 2 * SPACING_M * (16 * SPACING_M) ** 2 / 2.0 * CAP_PA * TENSION_PA / (CAP_PA + TENSION_PA)
    axis = TENSION_PA / (CAP_PA + TENSION_PA)  # share of the height that is pressed
    found = bent(16, TENSION_PA, axis)
    rows.append(
        row("plastic moment, weaker in tension, 16 layers", "N m", found, exact, "b h^2 Yc Yt / (2 (Yc + Yt))", MOMENT[16])
    )
    observe(0.6)
    for across, share in TORQUE.items():
        exact = 2.0 / 3.0 * math.pi * (0.5 * across * SPACING_M) ** 3 * 0.5 * CAP_PA
        rows.append(
            row(f"plastic torque, {across} voxels across", "N m", twisted(across), exact, "2/3 pi r^3 Y/2 (Tresca)", share)
        )
    observe(1.0)
    assumptions = (
        "Deformation theory: the load only rises; no unloading, no softening, no contact.",
        "Poisson's ratio stays constant in yield: in series it is set to 0, so that the pieces do not hold each other sideways.",
    )
    return Report("plateau", tuple(rows), "done", time.perf_counter() - began, assumptions)
