"""Electrodes as lines against the exact solutions of a prolate spheroid and of a sphere, at random poses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from osteon.physics.lines import Line
from osteon.physics.potential import Potential, potential
from osteon.validation.base import Report, Row

Array = np.ndarray[Any, np.dtype[Any]]
SIGMA = 0.5  # S/m
RADIUS_M, HALF_M = 0.75e-3, 10e-3  # thermal reference T2
FOCUS_M = math.sqrt(HALF_M**2 - RADIUS_M**2)
SPHEROID_OHM = math.log((HALF_M + FOCUS_M) / (HALF_M - FOCUS_M)) / (8 * math.pi * SIGMA * FOCUS_M)  # 52.382
SPHERE_M = 1e-3
SPHERE_OHM = 1 / (4 * math.pi * SIGMA * SPHERE_M)
BOX_M, POSES, SEED, VOLTS = 64e-3, 20, 2024, 50.0
TOLERANCE = {1.0: 0.03, 0.5: 0.02}  # of the impedance at 1 and 0.5 mm: set by the issue
SHELLS_MM = range(6, 20)  # of the sphere, at 1 mm
SLOPE_TOLERANCE, SHELL_TOLERANCE, BALANCE = 0.05, 0.05, 1e-6
PROFILE = 81  # points of the radius along the spheroid


def spheroid(centre_m: Array, direction: Array) -> Line:
    """Return the line of a prolate spheroid: from focus to focus, with the radius of the spheroid.

    A uniform charge between the foci has the spheroid as equipotential, so this line is exact; a cylinder is not.
    """
    at = np.linspace(-FOCUS_M, FOCUS_M, PROFILE)
    radius = RADIUS_M * np.sqrt(1 - (at / HALF_M) ** 2)
    ends = (centre_m - FOCUS_M * direction, centre_m + FOCUS_M * direction)
    return Line(_point(ends[0]), _point(ends[1]), tuple(float(a) for a in radius))


def cylinder(centre_m: Array, direction: Array) -> Line:
    """Return the rod of the same length and the largest radius."""
    return Line(_point(centre_m - HALF_M * direction), _point(centre_m + HALF_M * direction), RADIUS_M)


def poses(count: int = POSES) -> list[tuple[Array, Array]]:
    """Return random offsets from the middle of the box [m] (within 1 mm either way) and directions, by a fixed seed."""
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(count):
        direction = rng.standard_normal(3)
        found.append((rng.uniform(-1e-3, 1e-3, 3), direction / np.linalg.norm(direction)))
    return found


def solve(line_of: Callable[[Array, Array], Line], pose: tuple[Array, Array], spacing_mm: float) -> Potential:
    """Return the potential round an electrode at ``VOLTS`` in open space of ``SIGMA``."""
    count, h = round(BOX_M / (spacing_mm * 1e-3)), spacing_mm * 1e-3
    middle = np.full(3, (count - 1) * h / 2)
    return potential(np.full((count,) * 3, SIGMA, np.float32), h, [(line_of(middle + pose[0], pose[1]), VOLTS)], boundary="robin")


def pose_rows(spacing_mm: float, observe: Callable[[int], None] = lambda _: None, count: int = POSES) -> list[Row]:
    """Return the impedance of each pose, the worst error and the worst power balance at one voxel size."""
    rows, ohms, balances = [], [], []
    for i, pose in enumerate(poses(count)):
        found = solve(spheroid, pose, spacing_mm)
        ohms.append(VOLTS / float(found.current_a[0]))
        balances.append(found.balance)
        where = ", ".join(f"{v:+.2f}" for v in (*(1e3 * pose[0]), *pose[1]))
        rows.append(
            Row(f"impedance_ohm[pose={i + 1},spacing={spacing_mm:g}mm]", ohms[-1], "ohm",
                f"volts over current; offset mm, direction (z, y, x): {where}", SPHEROID_OHM,
                "ln((c+f)/(c-f)) / (8 pi sigma f)", TOLERANCE[spacing_mm] * SPHEROID_OHM)
        )  # fmt: skip
        observe(i)
    worst = max(abs(r / SPHEROID_OHM - 1) for r in ohms)
    at = f"spacing={spacing_mm:g}mm"
    rows += [
        Row(f"worst_impedance_error[{at}]", worst, "1", f"largest relative error of {count} poses", 0.0,
            "ln((c+f)/(c-f)) / (8 pi sigma f)", TOLERANCE[spacing_mm]),
        Row(f"worst_power_balance[{at}]", max(balances), "1", "abs(volts times ampere - heat) over volts times ampere", 0.0,
            "conservation", BALANCE),
    ]  # fmt: skip
    return rows


def cylinder_row() -> Row:
    """Return what a rod of constant radius has instead: not the spheroid."""
    found = solve(cylinder, poses(1)[0], 1.0)
    what = "a rod of 20 mm and constant radius at one potential: more surface than the spheroid inside it, less ohm"
    return Row("cylinder_ohm", VOLTS / float(found.current_a[0]), "ohm", what)


def sphere_rows(spacing_mm: float = 1.0) -> list[Row]:
    """Return resistance, fall of the heat and worst shell of a sphere of 1 mm: a line much shorter than its radius."""
    tiny = 0.01 * SPHERE_M
    found = solve(lambda c, d: Line(_point(c - tiny * d), _point(c + tiny * d), SPHERE_M), poses(1)[0], spacing_mm)
    count = found.phi_v.shape[0]
    away = [(np.arange(count) - (count - 1) / 2) * spacing_mm - 1e3 * v for v in poses(1)[0][0]]
    r = np.sqrt(away[0][:, None, None] ** 2 + away[1][:, None] ** 2 + away[2] ** 2)
    exact = SIGMA * (VOLTS * SPHERE_M / (1e-3 * r) ** 2) ** 2
    shells = [(r >= low) & (r < low + 1) for low in SHELLS_MM]
    ratio = [float((found.heat_w_m3[s] / exact[s]).mean()) for s in shells]
    radii = [float(np.log(r[s]).mean()) for s in shells]
    heats = [float(np.log(found.heat_w_m3[s]).mean()) for s in shells]
    slope = float(np.polyfit(radii, heats, 1)[0])
    span = f"1 mm shells from {SHELLS_MM.start} to {SHELLS_MM.stop} mm"
    return [
        Row("sphere_ohm", VOLTS / float(found.current_a[0]), "ohm", "sphere of 1 mm, 1 mm voxels", SPHERE_OHM,
            "1 / (4 pi sigma a)", TOLERANCE[1.0] * SPHERE_OHM),
        Row("sphere_sar_slope", slope, "1", f"log heat over log radius, {span}", -4.0, "Q ~ r^-4", SLOPE_TOLERANCE),
        Row("sphere_sar_error", max(abs(v - 1) for v in ratio), "1", f"worst mean ratio - 1, {span}", 0.0,
            "sigma (V a / r^2)^2", SHELL_TOLERANCE),
    ]  # fmt: skip


def _point(at: Array) -> tuple[float, float, float]:
    return (float(at[0]), float(at[1]), float(at[2]))


def run(observe: Callable[[float], None] = lambda _: None) -> Report:
    """Run the reference case ``spheroid``."""
    began = time.perf_counter()
    rows = [*pose_rows(1.0, lambda i: observe(0.2 * (i + 1) / POSES)), cylinder_row(), *sphere_rows()]
    rows += pose_rows(0.5, lambda i: observe(0.2 + 0.8 * (i + 1) / POSES))
    assumptions = (
        f"open space: flux on the faces of a {1e3 * BOX_M:g} mm cube as of a charge in its middle",
        f"offsets and directions drawn with seed {SEED}",
    )
    return Report("spheroid", tuple(rows), seconds=time.perf_counter() - began, assumptions=assumptions)
