"""A sonication of uniform tissue: our chain from bowl to temperature against spherical waves and Pennes' equation, exactly.

Ours: Rayleigh's sum on an entry plane, the planner's march through absorbing voxels, absorption into heat, the bioheat equation
in steps of time. Judged by 1 % of the peak rise (set beforehand), over time at the hottest point, along the axis and across, when
the sound goes off and when the tissue has cooled. What the finest grid leaves of the published error of a chain like it (A11 of
the acoustics reference) is printed without verdict: its phantom was not at hand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from osteon.physics import acoustic_sources as sources
from osteon.physics.acoustic_layers import Medium
from osteon.physics.acoustic_planner import march
from osteon.physics.acoustic_sources import Array
from osteon.physics.bioheat import Coagulation, Materials, Stage, heat
from osteon.validation.array_steering import width
from osteon.validation.base import Report, Row
from osteon.validation.sonication_exact import Bowl, Pennes, Tissue

OF_PEAK = 0.01  # of the issue
ON_S, OFF_S = 20.0, 40.0
CELLS = 6  # of the bowl to a wavelength
DENSITY, SPEED, ATTENUATION, SHARE = 1000.0, 1545.0, 7.0, 0.85  # generic soft tissue, Np/m at 1 MHz; share as soft tissue
CONDUCTIVITY, HEAT_CAPACITY, FLOW = 0.53, 3640.0, 8.3  # W/m/K, J/kg/K, kg/m3/s; acoustics reference, section 4
BLOOD_CAPACITY = 3617.0  # J/kg/K, IT'IS
AROUND_M, ASIDE_M = 12e-3, 6e-3  # compared to this distance from the hottest point, along the axis and across
A11 = "10.1080/02656736.2018.1513168, abstract: HAS and Pennes against MR thermometry in a phantom"


@dataclass(frozen=True)
class Sonication:
    """A bowl, and the box of tissue in which the chain follows it.

    Parameters
    ----------
    bowl : Bowl
        The source.
    before_m, behind_m, aside_m : float
        The box from its entry plane before the centre of curvature to its end behind it, and to each side of the axis.
    """

    bowl: Bowl
    before_m: float
    behind_m: float
    aside_m: float

    @property
    def tissue(self) -> Tissue:
        """Of the box and of the exact solution."""
        return Tissue(CONDUCTIVITY, DENSITY * HEAT_CAPACITY, FLOW * BLOOD_CAPACITY, SHARE * self.bowl.attenuation_np_m)


def bowl(radius_m: float, aperture_m: float, frequency_hz: float, face_pa: float) -> Bowl:
    """Return a bowl in generic soft tissue; attenuation goes with the frequency."""
    lost = ATTENUATION * frequency_hz / 1e6
    return Bowl(radius_m, aperture_m, frequency_hz, face_pa / (DENSITY * SPEED), DENSITY, SPEED, lost)


SLOW = Sonication(bowl(0.064, 0.064, 0.5e6, 150e3), 0.029, 0.031, 0.032)
FAST = Sonication(bowl(0.08, 0.064, 1.2e6, 120e3), 0.024, 0.02, 0.022)


@dataclass(frozen=True, eq=False)
class Heated:
    """What the chain gave: places of the cells [m], rise [K] at the hottest cell over time, and lines through it.

    ``lines`` holds, at each time [s], the rise along the axis and from the axis to one side.
    """

    z_m: Array
    x_m: Array
    top: int
    times_s: Array
    rises: Array
    lines: dict[float, tuple[Array, Array]]
    power_w: float
    balance: float


def chain(case: Sonication, spacing_m: float) -> Heated:
    """Return what our chain makes of a sonication on voxels of a given edge.

    Parameters
    ----------
    case : Sonication
        Source and box.
    spacing_m : float
        Edge of the voxels.
    """
    b, tissue, half = case.bowl, case.tissue, math.ceil(case.aside_m / spacing_m)
    x = np.arange(-half, half) * spacing_m
    cells = math.ceil((case.before_m + case.behind_m) / spacing_m)
    entry_z = b.radius_m - case.before_m
    at = np.stack([*np.meshgrid(x, x), np.full((len(x), len(x)), entry_z)], axis=-1)
    source = sources.bowl(b.radius_m, b.aperture_m, SPEED / b.frequency_hz / CELLS)
    entry = sources.field(
        source, b.velocity_m_s, at, b.frequency_hz, density_kg_m3=DENSITY, speed_m_s=SPEED, attenuation_np_m=b.attenuation_np_m
    )
    medium = Medium(DENSITY, SPEED, b.attenuation_np_m)
    marched = march(
        entry, np.zeros((cells, len(x), len(x)), np.uint8), [medium], b.frequency_hz, spacing_m,
        absorption_np_m=[(tissue.absorption_np_m, 0.0)],
    )  # fmt: skip
    return _heated(marched.heat_w_m3, tissue, entry_z + (np.arange(cells) + 0.5) * spacing_m, x, spacing_m)


def _heated(q: Array, tissue: Tissue, z: Array, x: Array, spacing_m: float) -> Heated:
    """Return the temperatures that a source makes while it is on and after."""
    middle = len(x) // 2
    top = int(q[:, middle, middle].argmax())
    times: list[float] = []
    rises: list[float] = []
    lines: dict[float, tuple[Array, Array]] = {}

    def probe(seconds: float, temperature_c: Array) -> None:
        times.append(seconds)
        rises.append(float(temperature_c[top, middle, middle]) - 37.0)
        if any(abs(seconds - asked) < 1e-6 for asked in (ON_S, ON_S + OFF_S)):
            rise = temperature_c.astype(float) - 37.0
            lines[round(seconds, 3)] = rise[:, middle, middle], rise[top, middle, middle:]

    k, rho_c, flow, steam = (
        np.full(q.shape, number, np.float32) for number in (tissue.conductivity, tissue.capacity, tissue.perfusion, 0.0)
    )
    properties = Materials(k, rho_c, flow, steam)
    found = heat(
        1e3 * spacing_m,
        properties,
        [Stage(ON_S, q.astype(np.float32)), Stage(OFF_S)],
        coagulation=Coagulation("never"),
        dose_every_s=1.0,
        trace_every_s=60.0,
        probe=probe,
    )
    power = float(q.sum(dtype=float)) * spacing_m**3
    return Heated(z, x, top, np.array(times), np.array(rises), lines, power, found.ended.energy_balance)


def judge(case: Sonication) -> Pennes:
    """Return the exact solution, followed a little farther than the box."""
    return Pennes(case.bowl, case.tissue, case.aside_m, max(case.before_m, case.behind_m))


@dataclass(frozen=True, eq=False)
class Compared:
    """Ours and the exact rise [K] over time, and at each end along the axis and across; errors as a share of the exact peak."""

    peak_k: float
    ours: dict[str, Array]
    exact: dict[str, Array]

    def error(self, name: str) -> float:
        """Return the largest error of one line, as a share of the peak rise."""
        return float(np.abs(self.ours[name] - self.exact[name]).max() / self.peak_k)

    @property
    def worst(self) -> float:
        """The largest of all."""
        return max(self.error(name) for name in self.ours)


def compare(found: Heated, exact: Pennes) -> Compared:
    """Return ours beside the exact solution at the very places and times of ours."""
    z0 = found.z_m[found.top]
    near = np.abs(found.z_m - z0) <= AROUND_M
    aside = found.x_m[len(found.x_m) // 2 :]
    close = aside <= ASIDE_M
    here = np.zeros(1)
    ours, true = {"over time": found.rises}, {}
    true["over time"] = np.array([exact.rise(t, ON_S, here, here + z0)[0] for t in found.times_s])
    for seconds, (along, across) in found.lines.items():
        z, r = found.z_m[near], aside[close]
        ours[f"along the axis at {seconds:g} s"] = along[near]
        true[f"along the axis at {seconds:g} s"] = exact.rise(seconds, ON_S, 0 * z, z)
        ours[f"across at {seconds:g} s"] = across[close]
        true[f"across at {seconds:g} s"] = exact.rise(seconds, ON_S, r, 0 * r + z0)
    return Compared(float(true["over time"].max()), ours, true)


def rows_of(name: str, case: Sonication, spacings_m: tuple[float, ...]) -> tuple[list[Row], Compared, Heated]:
    """Return the rows of a sonication on several grids, judged on the finest; and what was compared there."""
    exact, rows, errors = judge(case), [], []
    where = "spherical waves of the bowl and Pennes' equation in wavenumbers"
    for spacing in spacings_m:
        found = chain(case, spacing)
        both = compare(found, exact)
        errors.append(both.worst)
        finest = spacing == spacings_m[-1]
        grid = f"{name}, {1e3 * spacing:g} mm"
        for line in both.ours if finest else ():
            rows.append(Row(f"{grid}: {line}", both.error(line), "1", "largest error over the peak rise", 0.0, where, OF_PEAK))
        if not finest:
            rows.append(Row(f"{grid}: worst", both.worst, "1", "largest error over the peak rise, all lines", 0.0, where))
        rows.append(
            Row(f"{grid}: peak rise", float(both.ours["over time"].max()), "K", "hottest cell of the axis", both.peak_k, where,
                OF_PEAK * both.peak_k if finest else None)
        )  # fmt: skip
    order = math.log(errors[0] / errors[-1]) / math.log(spacings_m[0] / spacings_m[-1])
    rows += [
        Row(f"{name}: order", order, "1", "of the worst error, from the coarsest to the finest grid"),
        Row(f"{name}: energy balance", found.balance, "1", "of the heat equation on the finest grid", 0.0, "conservation", 1e-3),
    ]
    return rows, both, found


def bars(both: Compared, found: Heated) -> list[Row]:
    """Return our errors beside the published ones of a chain like it, without verdict."""
    end = f"{ON_S:g} s"
    z = found.z_m[np.abs(found.z_m - found.z_m[found.top]) <= AROUND_M]
    sizes = []
    for rise in (both.ours, both.exact):
        side = rise[f"across at {end}"]
        x = np.arange(1 - len(side), len(side)) * float(found.x_m[1] - found.x_m[0])
        axis = rise[f"along the axis at {end}"]
        sizes.append((float(axis.max()), width(x, np.r_[side[:0:-1], side], 0.5), width(z, axis, 0.5)))
    (peak, wide, long), (true_peak, true_wide, true_long) = sizes
    told = "ours against the exact chain, at the end of the sound"
    return [
        Row("A11 peak rise", peak - true_peak, "K", told, 0.33, A11),
        Row("A11 peak rise, relative", 100 * (peak / true_peak - 1), "%", told, 6.9, A11),
        Row("A11 half width across", 100 * (wide / true_wide - 1), "%", told, -1.9, A11),
        Row("A11 half length along", 100 * (long / true_long - 1), "%", told, 7.5, A11),
    ]


def run(observe: Callable[[float], None] = lambda _: None) -> Report:
    """Return the rows of ``sonication``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began = time.perf_counter()
    rows, _, _ = rows_of("0.5 MHz", SLOW, (1e-3, 0.75e-3, 0.5e-3))
    observe(0.4)
    more, both, found = rows_of("1.2 MHz", FAST, (0.5e-3, 0.4e-3))
    observe(1.0)
    assumptions = (
        "Uniform tissue from the face of the bowl on, blood flow that never stops; 20 s of sound and 40 s after it.",
        "The exact side takes Rayleigh's integral as the field of a bowl, as O'Neil did.",
        "A11: the published numbers are of another phantom, against MR thermometry; ours are errors of computing alone.",
    )
    return Report("sonication", tuple(rows + more + bars(both, found)), "done", time.perf_counter() - began, assumptions)
