"""15 min of microwave at 100^3, 1 mm: with a fixed pattern and solved again; and one bioheat case beside finite elements.

Each line: time (best of the repeats), error, and how busy the machine was. `python benchmarks/bench_microwave.py [repeats]`
"""

from __future__ import annotations

import sys
import time
from functools import partial

import numba
import numpy as np
from common import load, memory_triad
from scipy.sparse.linalg import splu
from skfem import Basis, BilinearForm, Element, ElementHex1, ElementHex2, LinearForm, MeshHex
from skfem.helpers import dot, grad

from osteon.physics import bioheat
from osteon.space.volume import Grid
from osteon.tissue.bone import FIELDS, LABELS, TissueMap, row_fields
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose
from osteon.treatments.microwave import simulation
from osteon.treatments.microwave.source import Source, drawn
from osteon.treatments.microwave.treatment import Microwave

DEVICE, POWER_W, SECONDS, EDGE = "eco-100a1-14g", 60.0, 900.0, 100


def tissue(constants: Constants) -> TissueMap:
    """100^3 voxels of 1 mm: a tumour of 30 mm in muscle, cortical bone on one side."""
    grid = Grid.box(np.full(3, -0.5 * EDGE), np.full(3, 0.5 * EDGE - 1.0), 1.0)
    z, y, x = np.meshgrid(*(np.arange(n) - 0.5 * EDGE for n in grid.shape), indexing="ij")
    labels = np.full(grid.shape, LABELS.index("muscle"), np.uint8)
    labels[x < -20] = LABELS.index("bone")
    labels[x**2 + y**2 + z**2 <= 15.0**2] = LABELS.index("lesion")
    rows = np.zeros((len(LABELS), len(FIELDS)), np.float32)
    for name in ("muscle", "bone", "lesion"):
        rows[LABELS.index(name)] = row_fields(name, "2450MHz", constants, grid)
    fields = {key: rows[labels, i] for i, key in enumerate(FIELDS)}
    return TissueMap(grid=grid, frequency_hz=2.45e9, labels=labels, used={}, assumptions=(), **fields)


def treat(change: float) -> tuple[float, Source, bioheat.HeatResult]:
    """Return seconds, source and result of one treatment without cooling."""
    constants = Constants()
    device = drawn(Microwave().device(DEVICE), constants, DEVICE)
    given = tissue(constants)
    began = time.perf_counter()
    source = Source(given, device, NeedlePose((0.0, 0.0, 110.0), (0.0, 0.0, -15.0)), POWER_W, constants)
    result = simulation.march(source, simulation.stages_of(simulation.FollowingSource(source, change), SECONDS))
    return time.perf_counter() - began, source, result


def machine() -> str:
    return f"triad {memory_triad():.0f} GB/s, threads {numba.get_num_threads()}, load {load():.1f}"


def microwave(repeats: int) -> None:
    closest: float | None = None
    for name, change in (("solved again after 2 %", 0.02), ("solved again after 5 %", 0.05), ("fixed pattern", np.inf)):
        runs = [treat(change) for _ in range(1 if change == 0.02 else repeats)]
        seconds = min(run[0] for run in runs)
        _, source, result = runs[0]
        zone = float((result.cem43_min >= 240.0).sum()) * 1e-3
        closest = zone if closest is None else closest
        print(
            f"15 min microwave, {EDGE}^3 at 1 mm, {name}: {seconds:6.2f} s ({len(source.shares)} fields, "
            f"{result.ended.steps} steps)"
            f"  energy {result.ended.energy_balance:.1e}  zone {zone:.2f} cm3, {100 * (zone / closest - 1):+.2f} % of 2 %"
            f"  | {machine()}",
            flush=True,
        )


# One bioheat case on the same physics with an exact solution: a cube with blood flow and edges at 37 °C, heated by half a sine
# wave along each axis: T = 37 + q / s (1 - exp(-s t / C)) sin sin sin, s = 3 k (pi/L)^2 + W.
CUBE_M, HEAT_S, K, CAPACITY, PERFUSION, DENSITY = 0.04, 60.0, 0.5, 3.6e6, 9000.0, 1.5e6


def wave(*at: np.ndarray) -> np.ndarray:
    x, y, z = (np.sin(np.pi * a / CUBE_M) for a in at)
    return x * y * z


def exact(*at: np.ndarray) -> np.ndarray:
    rate = 3.0 * K * (np.pi / CUBE_M) ** 2 + PERFUSION
    return 37.0 + DENSITY / rate * (1.0 - np.exp(-rate * HEAT_S / CAPACITY)) * wave(*at)


def voxels(count: int) -> tuple[float, float]:
    """Seconds and largest error [K] of our march; the centres of the layer beyond the edge lie on the faces of the cube."""
    at = np.meshgrid(*(3 * [CUBE_M * np.arange(1, count) / count]), indexing="ij")
    full = lambda value: np.full(at[0].shape, value, np.float32)  # noqa: E731
    heat = (DENSITY * wave(*at)).astype(np.float32)
    began = time.perf_counter()
    result = bioheat.heat(
        1e3 * CUBE_M / count, bioheat.Materials(full(K), full(CAPACITY), full(PERFUSION), full(0.0)),
        [bioheat.Stage(HEAT_S, heat)], coagulation=bioheat.Coagulation("never"), dose_every_s=HEAT_S,
    )  # fmt: skip
    return time.perf_counter() - began, float(np.abs(result.temperature_c - exact(*at)).max())


@BilinearForm
def stiffness(u, v, _):
    return K * dot(grad(u), grad(v)) + PERFUSION * u * v


@BilinearForm
def mass(u, v, _):
    return CAPACITY * u * v


@LinearForm
def heating(v, w):
    return DENSITY * wave(*w.x) * v


def elements(count: int, element: Element, steps: int) -> tuple[float, float]:
    """Seconds and largest error at the nodes [K] of finite elements: Crank-Nicolson with one factorisation."""
    line = np.linspace(0.0, CUBE_M, count + 1)
    began = time.perf_counter()
    basis = Basis(MeshHex.init_tensor(line, line, line), element)
    a, m, f = stiffness.assemble(basis), mass.assemble(basis), heating.assemble(basis)
    inside = basis.complement_dofs(basis.get_dofs())
    a, m, f = a[inside][:, inside], m[inside][:, inside], f[inside]
    dt = HEAT_S / steps
    solve = splu((m / dt + 0.5 * a).tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve
    u = np.zeros(inside.size)
    for _ in range(steps):
        u = solve(m @ u / dt - 0.5 * (a @ u) + f)
    seconds = time.perf_counter() - began
    return seconds, float(np.abs(37.0 + u - exact(*basis.doflocs[:, inside])).max())


def beside(repeats: int) -> None:
    """Print our march and scikit-fem, each with its time and its error against the exact solution."""
    highest = float(exact(*(3 * [np.array(0.5 * CUBE_M)])))
    cases = [(f"ours, {n}^3 voxels", partial(voxels, n)) for n in (20, 40)]
    cases += [(f"scikit-fem, {n}^3 trilinear", partial(elements, n, ElementHex1(), 30)) for n in (20, 28)]
    cases += [("scikit-fem, 10^3 triquadratic", partial(elements, 10, ElementHex2(), 30))]
    for name, run in cases:
        runs = [run() for _ in range(max(repeats, 2))]
        print(
            f"bioheat {HEAT_S:g} s to {highest:.1f} °C, {name}: {min(r[0] for r in runs):6.3f} s  error {runs[0][1]:.4f} K"
            f"  | {machine()}",
            flush=True,
        )


if __name__ == "__main__":
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    beside(times)
    microwave(times)
