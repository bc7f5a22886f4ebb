"""Bioheat against three exact solutions: heated sphere and point source with blood flow, and a Gaussian that spreads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from osteon.physics.bioheat import Coagulation, HeatResult, Materials, Stage, heat
from osteon.validation.base import Report, Row

Array = np.ndarray[Any, np.dtype[Any]]
NEVER = Coagulation("never")
CONDUCTIVITY, CAPACITY = 0.5, 3.6e6  # W/m/K, J/m3/K: soft tissue; the exact solutions hold for any
LENGTH_MM = 5.0  # sqrt(k / W): how far heat reaches against blood flow
SPHERE_MM, START = 8.0, 37.0
TOLERANCE = 0.01  # thermal reference T4


def materials(count: int, perfusion: float) -> Materials:
    """Return uniform tissue on a cube of ``count`` voxels a side."""
    shape = (count, count, count)
    return Materials(
        np.full(shape, CONDUCTIVITY, np.float32), np.full(shape, CAPACITY, np.float32),
        np.full(shape, perfusion, np.float32), np.zeros(shape, np.float32),
    )  # fmt: skip


def radii(count: int, spacing_mm: float, centre: float | None = None) -> Array:
    """Return the distance [mm] of each voxel from the middle of the cube (or the voxel index ``centre``)."""
    middle = (count - 1) / 2 if centre is None else centre
    along = (np.arange(count) - middle) * spacing_mm
    return np.asarray(np.sqrt(along[:, None, None] ** 2 + along[None, :, None] ** 2 + along[None, None, :] ** 2))


def sphere_fraction(count: int, spacing_mm: float, radius_mm: float, parts: int = 6) -> Array:
    """Return the share of each voxel that lies in a sphere, by ``parts`` cubed points."""
    fine = radii(count * parts, spacing_mm / parts) <= radius_mm
    return np.asarray(fine.reshape(count, parts, count, parts, count, parts).mean(axis=(1, 3, 5)))


def steady(count: int, spacing_mm: float, density: Array) -> HeatResult:
    """March with perfusion until exp(-12) of the start is left."""
    perfusion = CONDUCTIVITY / (LENGTH_MM * 1e-3) ** 2
    stage = Stage(12 * CAPACITY / perfusion, density.astype(np.float32))
    return heat(spacing_mm, materials(count, perfusion), [stage], coagulation=NEVER, dose_every_s=600.0, trace_every_s=600.0)


def sphere_exact(r_mm: Array, density: float) -> Array:
    """Temperature above start of a sphere heated evenly, in endless tissue with blood flow (sinh form)."""
    perfusion, m, a = CONDUCTIVITY / (LENGTH_MM * 1e-3) ** 2, 1 / LENGTH_MM, SPHERE_MM
    mr = np.maximum(m * r_mm, 1e-9)
    inside = 1 - (1 + m * a) * math.exp(-m * a) * np.sinh(np.minimum(mr, m * a)) / mr
    outside = (m * a * math.cosh(m * a) - math.sinh(m * a)) * np.exp(-mr) / mr
    return density / perfusion * np.where(r_mm < a, inside, outside)


def gaussian_error(count: int, spacing_mm: float) -> tuple[float, float]:
    """Return error over the highest exact value at the end, and the energy balance, of a spreading Gaussian with blood flow."""
    width, seconds, perfusion, height = 5e-3, 60.0, 6.0e3, 8.0
    r = radii(count, spacing_mm) * 1e-3
    wider = width**2 + 2 * CONDUCTIVITY / CAPACITY * seconds
    start = START + height * np.exp(-(r**2) / (2 * width**2))
    exact = height * (width**2 / wider) ** 1.5 * np.exp(-(r**2) / (2 * wider)) * math.exp(-perfusion * seconds / CAPACITY)
    result = heat(
        spacing_mm, materials(count, perfusion), [Stage(seconds)], coagulation=NEVER, initial_c=start, dose_every_s=60.0
    )
    return float(np.abs(result.temperature_c - START - exact).max() / exact.max()), result.ended.energy_balance


def sphere_rows() -> list[Row]:
    """Return the rows of the heated sphere at 1 mm."""
    count, density = 64, 2.0e5
    result = steady(count, 1.0, density * sphere_fraction(count, 1.0, SPHERE_MM))
    r = radii(count, 1.0)
    near, exact = r <= 2 * SPHERE_MM, sphere_exact(r, density)
    ours = result.temperature_c.astype(float) - START
    worst = float(np.abs(ours - exact)[near].max() / exact.max())
    return [
        Row("sphere: worst error", worst, "1", "largest error within two radii over the highest rise", 0.0, "sinh form",
            TOLERANCE),
        Row("sphere: rise in the middle", float(ours[r < 1].mean()), "K", "mean of the 8 middle voxels",
            float(exact[r < 1].mean()), "sinh form", TOLERANCE * float(exact.max())),
        Row("sphere: energy balance", result.ended.energy_balance, "1", "abs(in - stored - out - blood) / in", 0.0,
            "conservation", 1e-3),
    ]  # fmt: skip


def lattice_exact(count: int, period: int = 128) -> Array:
    """Return what a unit source [W] in the middle of 1 mm voxels gives [K] on the 7-point lattice itself (Fourier series)."""
    s = 4 * np.sin(np.pi * np.fft.fftfreq(period)) ** 2
    symbol = s[:, None, None] + s[None, :, None] + s[None, None, :] + 1 / LENGTH_MM**2
    around = (np.arange(count) - count // 2) % period
    return np.asarray(np.fft.ifftn(1 / symbol).real[np.ix_(around, around, around)] / (CONDUCTIVITY * 1e-3))


def point_rows() -> list[Row]:
    """Return the rows of the point source beyond 3 voxels."""
    count, power = 65, 2.0
    density = np.zeros((count, count, count))
    density[32, 32, 32] = power / 1e-9
    result = steady(count, 1.0, density)
    r, ours = radii(count, 1.0), result.temperature_c.astype(float) - START
    ratio = ours * 4 * math.pi * CONDUCTIVITY * r * 1e-3 / (power * np.exp(-r / LENGTH_MM))
    shells = [float(ratio[(r >= low) & (r < low + 1)].mean()) for low in range(3, 16)]
    near = (r >= 3) & (r <= 16)
    lattice = float(np.abs(ours / (power * lattice_exact(count)) - 1)[near].max())
    where = "P exp(-m r) / (4 pi k r)"
    return [
        Row("point source: shells", max(abs(s - 1) for s in shells), "1", "worst mean ratio - 1 of 1 mm shells, 3 to 16 voxels",
            0.0, where, TOLERANCE),
        Row("point source: lattice", lattice, "1", "worst voxel, 3 to 16 voxels, against the 7-point lattice's own solution",
            0.0, "Fourier series of the lattice", 1e-3),
        Row("point source: single voxels", float(np.abs(ratio[near] - 1).max()), "1",
            "worst single voxel, 3 to 16 voxels, against the continuum: the lattice's own direction error, on the axes",
            0.0, where, None),
        Row("point source: energy balance", result.ended.energy_balance, "1", "abs(in - stored - out - blood) / in", 0.0,
            "conservation", 1e-3),
    ]  # fmt: skip


def gaussian_rows(sizes: tuple[int, ...] = (36, 54, 72)) -> list[Row]:
    """Return the rows of the Gaussian (width 5 mm) and its order of convergence on cubes of 72 mm."""
    errors, balances = zip(*(gaussian_error(count, 72.0 / count) for count in sizes))
    order = math.log(errors[0] / errors[-1]) / math.log(sizes[-1] / sizes[0])
    return [
        Row("Gaussian: worst error", errors[-1], "1", f"largest error over the highest rise, {72 / sizes[-1]:.3g} mm", 0.0,
            "closed form", TOLERANCE),
        Row("Gaussian: order", order, "1", f"from {72 / sizes[0]:.3g} to {72 / sizes[-1]:.3g} mm, step with the square", 2.0,
            "second order in space", 0.2),
        Row("Gaussian: energy balance", max(balances), "1", "abs(stored + out + blood) over the largest of them", 0.0,
            "conservation", 1e-3),
    ]  # fmt: skip


def run(observe: Callable[[float], None] = lambda _: None) -> Report:
    """Run the reference case ``pennes``."""
    began = time.perf_counter()
    rows: list[Row] = []
    for i, part in enumerate((sphere_rows, point_rows, gaussian_rows)):
        rows += part()
        observe((i + 1) / 3)
    assumptions = (
        "uniform tissue, cube of 64 to 72 mm with the layer beyond its edge at the start temperature",
        "a voxel cut by the sphere is heated by the share inside",
    )
    return Report("pennes", tuple(rows), seconds=time.perf_counter() - began, assumptions=assumptions)
