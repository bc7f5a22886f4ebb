"""Rows of ``elastic`` that voxels represent exactly: prism, patch, bars of two materials, plates on any plane, a smooth field.

Tolerances were set before the first run: 1e-6 where the solution lies in the space of the elements (solved to 1e-9), 1e-5 for
plates on any plane (solved to 1e-6, as shipped), 0.2 for the order.
"""

from __future__ import annotations

import numpy as np

from osteon.physics.elasticity import Model, element_stress, nodes_of
from osteon.physics.elasticity_levels import elasticity_matrix
from osteon.validation.base import Row
from osteon.validation.elastic_models import (
    MODULUS_PA,
    POISSON,
    TIGHT,
    Array,
    nodes_mm,
    pins,
    plates,
    slope,
    solved,
)

EXACT, AS_SHIPPED, ORDER = 1e-6, 1e-5, 0.2
SPACING_M, STRAIN = 1e-3, -0.01
PRISM, PATCH, BAR = (23, 14, 17), (13, 18, 11), (19, 6, 8)
CONTRASTS = (10.0, 1e5)
PLANE_GRIDS = (
    (32, 12, 12),
    (31, 13, 11),
    (37, 17, 19),
    (41, 9, 23),
)  # 32: what a coarse grid likes; odd and prime: what it does not
PLANE_GAP = 21  # layers between the plates
SMOOTH = (8, 12, 16, 24, 32)


def _relative(name: str, found: float, exact: float, definition: str, tolerance: float = EXACT, source: str = "exact") -> Row:
    """Return found over exact, which is 1."""
    return Row(name, found / exact, "1", definition, 1.0, source, tolerance)


def prism_rows() -> list[Row]:
    """Return a prism between plates without friction: force, stress, width."""
    shape, e = PRISM, np.full(PRISM, MODULUS_PA)
    move = STRAIN * shape[0] * SPACING_M
    model = Model(e, POISSON, SPACING_M)
    found = solved(model, plates(shape, 0, -1, move, pins(e > 0.0, 0)), tolerance=TIGHT)
    stress = element_stress(model, found.displacement)
    exact = np.array([MODULUS_PA * STRAIN, 0.0, 0.0, 0.0, 0.0, 0.0])
    worst = float(np.abs(stress - exact).max() / abs(exact[0]))
    wider = float(np.ptp(found.displacement[..., 2]))
    size = "x".join(str(n) for n in shape)
    return [
        _relative("prism: force", found.reaction_n[0], STRAIN * MODULUS_PA * shape[1] * shape[2] * SPACING_M**2,
                  f"{size} voxels, over E A strain"),
        Row("prism: stress", worst, "1", "largest error of any component in any voxel, over E strain", 0.0, "exact", EXACT),
        _relative("prism: widening", wider, -POISSON * STRAIN * shape[2] * SPACING_M, "over nu strain width"),
    ]  # fmt: skip


def patch_row(seed: int = 11) -> Row:
    """Return a block with holes, its surface moved by a random linear field: the stress must be uniform."""
    rng = np.random.default_rng(seed)
    e = np.where(rng.random(PATCH) < 0.04, 0.0, MODULUS_PA)
    gradient = 1e-3 * rng.standard_normal((3, 3))
    exact = 1e-3 * nodes_mm(PATCH, 1.0) @ gradient.T + 1e-5 * rng.standard_normal(3)
    inside = np.zeros([n + 1 for n in PATCH], bool)
    inside[1:-1, 1:-1, 1:-1] = ~nodes_of(e == 0.0)[1:-1, 1:-1, 1:-1]
    mask = np.repeat(~inside[..., None], 3, axis=-1)
    model = Model(e, POISSON, SPACING_M)
    found = solved(model, (mask, np.where(mask, exact, 0.0)), tolerance=TIGHT)
    g = gradient
    strain = np.array([g[0, 0], g[1, 1], g[2, 2], g[0, 1] + g[1, 0], g[0, 2] + g[2, 0], g[1, 2] + g[2, 1]])
    stress = MODULUS_PA * elasticity_matrix(POISSON) @ strain
    worst = float(np.abs(element_stress(model, found.displacement)[found.kept] - stress).max() / np.abs(stress).max())
    free = int(inside.sum())
    what = f"largest error of any component in any voxel, over the largest component; {free} free nodes, 4 % of the voxels empty"
    return Row("patch test: stress", worst, "1", what, 0.0, "exact: any linear field", EXACT)


def bar_rows() -> list[Row]:
    """Return bars of two materials: one after the other without Poisson effect, side by side with it."""
    rows, shape = [], BAR
    area, length, move = shape[1] * shape[2] * SPACING_M**2, shape[0] * SPACING_M, STRAIN * shape[0] * SPACING_M
    for contrast in CONTRASTS:
        soft = MODULUS_PA / contrast
        e = np.full(shape, MODULUS_PA)
        e[11:] = soft
        found = solved(Model(e, 0.0, SPACING_M), plates(shape, 0, -1, move, pins(e > 0.0, 0)), tolerance=TIGHT)
        parts = SPACING_M * (11 / MODULUS_PA + (shape[0] - 11) / soft)
        rows.append(_relative(f"bar in series, {contrast:g}:1", found.reaction_n[0], move * area / parts, "force, nu 0"))
        e = np.full(shape, MODULUS_PA)
        e[:, :, 3:] = soft
        found = solved(Model(e, POISSON, SPACING_M), plates(shape, 0, -1, move, pins(e > 0.0, 0)), tolerance=TIGHT)
        exact = move / length * (3 * MODULUS_PA + (shape[2] - 3) * soft) * shape[1] * SPACING_M**2
        rows.append(_relative(f"bar side by side, {contrast:g}:1", found.reaction_n[0], exact, "force, nu 0.3 in both"))
    return rows


def plane_rows() -> list[Row]:
    """Return plates on every offset to the coarse grid: force exact, and no offset much dearer than another."""
    rows = []
    for shape in PLANE_GRIDS:
        worst, counts = 0.0, []
        for low in range(shape[0] - PLANE_GAP + 1):
            e = np.zeros(shape)
            e[low : low + PLANE_GAP] = MODULUS_PA
            move = STRAIN * PLANE_GAP * SPACING_M
            ends = plates(shape, low, low + PLANE_GAP, move, pins(e > 0.0, low))
            found = solved(Model(e, POISSON, SPACING_M), ends)
            exact = STRAIN * MODULUS_PA * shape[1] * shape[2] * SPACING_M**2
            worst = max(worst, abs(found.reaction_n[0] / exact - 1.0))
            counts.append(found.iterations)
        size = "x".join(str(n) for n in shape)
        what = (
            f"{len(counts)} offsets of two plates {PLANE_GAP} layers apart, solved to 1e-6 as shipped: largest error of the force"
        )
        rows.append(Row(f"plates off the coarse grid, {size}", worst, "1", what, 0.0, "exact", AS_SHIPPED))
        what = "most iterations of any offset over the least"
        rows.append(
            Row(f"plates off the coarse grid, {size}: cost", max(counts) / min(counts), "1", what, 1.0, "own limit: twice", 1.0)
        )
    return rows


def smooth_error(n: int) -> float:
    """Return the error of u = a cos(k x + 0.4) on n x n x n elements of a unit cube, root mean square over that of u.

    The displacement is prescribed on the whole surface, the body force is what the field needs.
    """
    lame, shear = POISSON / ((1 + POISSON) * (1 - 2 * POISSON)), 0.5 / (1 + POISSON)
    a, k = np.array([0.7, 1.0, -0.5]), np.array([-2.6, 1.9, 2.4])
    h = 1.0 / n
    phase = nodes_mm((n, n, n), h) @ k + 0.4
    exact: Array = np.cos(phase)[..., None] * a
    body = (shear * (k @ k) * a + (lame + shear) * (a @ k) * k) * np.cos(phase)[..., None]
    mask = np.ones(exact.shape, bool)
    mask[1:-1, 1:-1, 1:-1] = False
    ends = (mask, np.where(mask, exact, 0.0))
    found = solved(Model(np.ones((n, n, n)), POISSON, h), ends, forces=np.where(mask, 0.0, body * h**3), tolerance=TIGHT)
    return float(np.sqrt(((found.displacement - exact) ** 2).mean() / (exact**2).mean()))


def order_rows() -> list[Row]:
    """Return the order of convergence on a smooth field, and the errors it is read from."""
    errors = [smooth_error(n) for n in SMOOTH]
    rows = [
        Row(f"smooth field, {n} elements a side", e, "1", "root mean square error over u")
        for n, e in zip(SMOOTH, errors, strict=True)
    ]
    order = slope(errors, [1.0 / n for n in SMOOTH])
    return [*rows, Row("smooth field: order", order, "1", "slope of log error over log edge", 2.0, "trilinear elements", ORDER)]
