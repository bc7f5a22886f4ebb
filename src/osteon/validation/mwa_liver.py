"""The coaxial slot antenna of the published benchmark in liver: where ten watt go, and the steady temperature that follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse.linalg import splu
from skfem import Basis, BilinearForm, ElementQuad2, LinearForm, MeshQuad
from skfem.helpers import dot, grad
from threadpoolctl import threadpool_limits

from osteon.treatments.microwave.antenna import Medium, Pattern, coax_of, devices, solve
from osteon.validation.base import Report, Row

Array = np.ndarray[Any, np.dtype[Any]]

SOURCE = "COMSOL Microwave Heating of a Cancer Tumor, after Saito; own figure in thermal.md, T6"
INPUT_W = 10.0
LIVER = Medium.uniform(43.03, 1.69)  # T6
CONDUCTIVITY, PERFUSION, BLOOD_DENSITY, BLOOD_HEAT, BODY_C = 0.56, 3.6e-3, 1000.0, 3639.0, 37.0  # T6
REFINEMENTS = (1, 2, 5)  # about 5, 20 and 100 thousand elements


@BilinearForm
def _pennes(u, v, w):  # type: ignore[no-untyped-def]
    return (CONDUCTIVITY * dot(grad(u), grad(v)) + PERFUSION * BLOOD_DENSITY * BLOOD_HEAT * u * v) * w.x[0]


@LinearForm
def _source(v, w):  # type: ignore[no-untyped-def]
    return w["q"] * v * w.x[0]


def steady_temperature(pattern: Pattern, sheath_radius_mm: float, watt: float) -> tuple[Any, Array]:
    r"""Solve :math:`-\nabla\cdot(k\nabla T) + \omega\rho_b c_b (T - T_a) = Q` outside the antenna, with no flux through any wall.

    Parameters
    ----------
    pattern : Pattern
        Heating per watt.
    sheath_radius_mm : float
        Radius of the antenna, which takes no part.
    watt : float
        Incident power.

    Returns
    -------
    Basis, (N,) array
        Quadratic elements on the cells of the pattern [m], and the temperature at their nodes [°C].
    """
    r, z = pattern.r_edges_mm * 1e-3, pattern.z_edges_mm * 1e-3
    tissue = ~((pattern.r_mm[None, :] < sheath_radius_mm) & (pattern.z_mm[:, None] > 0))
    cells = np.flatnonzero(tissue.ravel())
    corner = (cells // pattern.r_mm.size) * r.size + cells % pattern.r_mm.size
    corners = np.stack([corner, corner + 1, corner + r.size + 1, corner + r.size])
    used, numbered = np.unique(corners, return_inverse=True)
    mesh = MeshQuad(np.stack([r[used % r.size], z[used // r.size]]), numbered.reshape(corners.shape))
    basis = Basis(mesh, ElementQuad2(), intorder=5)
    heat = watt * pattern.heating.ravel()[cells]
    load = _source.assemble(basis, q=heat[:, None] * np.ones(basis.dx.shape))
    matrix = _pennes.assemble(basis).tocsc()
    with threadpool_limits(1, "blas"):
        factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return basis, BODY_C + np.asarray(factors.solve(load))


def isotherm_mm(basis: Any, temperature: Array, level_c: float) -> tuple[float, float]:
    """Return the largest radius and the length along the shaft of the region above a temperature [mm]."""
    r, z = basis.doflocs * 1e3
    radius = _reach(r, z, temperature, level_c)
    ahead, behind = (_reach(sign * z, r, temperature, level_c) for sign in (-1, 1))
    return radius, ahead + behind


def _reach(along: Array, across: Array, temperature: Array, level: float) -> float:
    """Return the farthest place above a level along one direction, linear between the nodes of each mesh line."""
    lines = np.round(across, 6)
    order = np.lexsort((along, lines))
    x, line, t = along[order], lines[order], temperature[order]
    crossing = (line[1:] == line[:-1]) & (t[:-1] >= level) & (t[1:] < level)
    place = x[:-1] + (x[1:] - x[:-1]) * (t[:-1] - level) / np.where(crossing, t[:-1] - t[1:], 1.0)
    return float(place[crossing].max()) if crossing.any() else float(x[t >= level].max(initial=-np.inf))


def run(observe: Callable[[float], None]) -> Report:
    """Run the benchmark on meshes that span twenty times the number of elements.

    Tolerances: 1 % for powers and for the rise of temperature, the last printed figure for S11, half a millimetre for isotherms.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.

    Returns
    -------
    Report
        Power account, reflection, temperatures and isotherms, with the tolerances that were set beforehand.
    """
    began = time.perf_counter()
    device = devices()["saito-2450"]
    patterns = []
    for step, refine in enumerate(REFINEMENTS):
        patterns.append(solve(device, LIVER, refine))
        observe((step + 1) / (len(REFINEMENTS) + 1))
    basis, temperature = steady_temperature(patterns[0], coax_of(device).sheath_radius, INPUT_W)
    radius_50, length_50 = isotherm_mm(basis, temperature, 50.0)
    radius_60, _ = isotherm_mm(basis, temperature, 60.0)
    rows = [row for pattern in patterns for row in _power_rows(pattern, patterns[-1])]
    steady = (
        ("highest temperature", float(temperature.max()), "°C", "steady, 10 W, k 0.56, perfusion 3.6e-3 1/s", 100.8, 0.7),
        ("radius of 50 °C", radius_50, "mm", "largest distance from the axis", 11.76, 0.5),
        ("radius of 60 °C", radius_60, "mm", "largest distance from the axis", 8.08, 0.5),
        ("length of 50 °C", length_50, "mm", "extent along the shaft", 38.3, 0.5),
    )
    rows += [
        Row(name, value, unit, what, reference, SOURCE, tolerance) for name, value, unit, what, reference, tolerance in steady
    ]
    observe(1.0)
    return Report(
        "mwa-liver",
        tuple(rows),
        seconds=time.perf_counter() - began,
        assumptions=(
            "Perfusion 3.6e-3 1/s is the benchmark's, a quarter of measured liver perfusion.",
            "The reference figures are an own earlier computation of the published benchmark; its printed total was not read.",
            "Steady state, properties constant, no heat crosses the wall of the antenna.",
        ),
    )


def _power_rows(pattern: Pattern, finest: Pattern) -> list[Row]:
    """Return the rows of one mesh."""
    cells = f"{pattern.heating.size / 1000:.0f} k cells"
    watt = INPUT_W
    return [
        Row(f"absorbed, {cells}", watt * pattern.absorbed_fraction, "W", "of 10 W incident", 9.35, SOURCE, 0.1),
        Row(
            f"absorbed against the finest mesh, {cells}",
            pattern.absorbed_fraction / finest.absorbed_fraction, "1", "ratio", 1.0, "the finest mesh of this run", 0.005,
        ),
        Row(
            f"absorbed + reflected + radiated, {cells}",
            pattern.balance, "1", "share of the input; the radiated part is the Poynting flux of the fields at the outer wall",
            1.0, "conservation of energy", 0.01,
        ),
        Row(f"power reflection, {cells}", pattern.reflected_fraction, "1", "|Gamma|² at the port", 0.0165, SOURCE, 0.0004),
        Row(f"S11, {cells}", pattern.reflection_db, "dB", "20 log10 |Gamma|", -17.8, SOURCE, 0.1),
        Row(f"leaves by the outer wall, {cells}", watt * pattern.radiated_fraction, "W", "of 10 W incident", 0.49, SOURCE, 0.1),
    ]  # fmt: skip
