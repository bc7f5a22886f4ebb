"""One run of one bone: its elastic model, its failure load, and the fields for pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from osteon.assessment.loads.base import Builder, Placed, Pose, Variation, Voxels
from osteon.assessment.strength_material import Draw, material_of
from osteon.assessment.strength_results import Maps, Run
from osteon.assessment.strength_voxels import setting
from osteon.physics.collapse import Caps, Curve, Linear, collapse, linear, tresca
from osteon.physics.elasticity import Model, Solved, Support, element_stress, nodes_of
from osteon.space.volume import Grid, box_of

LINEAR_TOLERANCE = 1e-6
PLATEAU_M = 0.2e-3  # strength reference, section 5: a plateau grows by less than 1 % in 0.2 mm
MM_PER_M, DEGREES = 1e3, 180.0 / math.pi


@dataclass(frozen=True, eq=False)
class Made:
    """A run with what later runs and pictures need; cubes, loads and fields are cut to the box of the model."""

    run: Run
    voxels: Voxels
    placed: Placed
    model: Model
    caps: Caps
    linear: Linear
    curve: Curve | None
    law_notes: tuple[str, ...]


def run_bone(
    voxels: Voxels, builder: Builder, pose: Pose, draw: Draw, *, variation: Variation | None = None, to_failure: bool = True,
    start: Curve | None = None,
) -> Made:  # fmt: skip
    """Load one bone.

    Parameters
    ----------
    voxels : Voxels
        The bone.
    builder, pose : Builder, Pose
        The load.
    draw : Draw
        Of the material.
    variation : Variation, optional
        Of the load; the middle where it is not given.
    to_failure : bool
        False: one elastic solve only.
    start : Curve, optional
        Of a similar run on the same cubes.

    Returns
    -------
    Made
        The run says how it ended.
    """
    voxels, placed = trimmed(voxels, builder.place(voxels, pose, variation or Variation()))
    material = material_of(voxels, placed, draw)
    model, caps = material.model, material.caps
    if not to_failure:
        found = linear(model, caps, placed.support, tolerance=LINEAR_TOLERANCE)
        return Made(
            _linear_run(found, placed, voxels, builder.by_height), voxels, placed, model, caps, found, None, material.law_notes
        )
    over = PLATEAU_M if placed.quantity == "force" else None
    if start is not None and start.displacement.shape != placed.support.mask.shape:  # turned caps: another box
        start = None
    curve = collapse(model, caps, placed.support, most_factor=placed.most, plateau_over=over, start=start)
    found = Linear(curve.linear, curve.utilisation, curve.linear_solved)
    return Made(
        _failure_run(curve, found, placed, voxels, builder.by_height),
        voxels,
        placed,
        model,
        caps,
        found,
        curve,
        material.law_notes,
    )


def trimmed(voxels: Voxels, placed: Placed) -> tuple[Voxels, Placed]:
    """Return bone and load cut to the cubes that hold something: the solver pays for empty ones too."""
    solid = voxels.bone.copy()
    for each in placed.added:
        solid |= each.where
    box = box_of(solid)
    if box is None:
        return voxels, placed
    nodes = tuple(slice(s.start, s.stop + 1) for s in box)
    affine = voxels.grid.matrix
    affine[:3, 3] = voxels.grid.to_mm(np.array([s.start for s in box], float))
    grid = Grid.of(voxels.bone[box].shape, affine)
    support = Support(placed.support.mask[nodes], placed.support.displacement_m[nodes])
    bone = replace(
        voxels, grid=grid, bone=voxels.bone[box], lesion=voxels.lesion[box], metal=voxels.metal[box], cement=voxels.cement[box],
        density=voxels.density[box],
    )  # fmt: skip
    return bone, replace(placed, added=tuple(replace(a, where=a.where[box]) for a in placed.added), support=support)


def maps_of(made: Made, at_load: float | None = None) -> Maps:
    """Return the fields for pictures at a load: that given, else the failure load, else one per unit of displacement.

    Stress and utilisation are those of the elastic model scaled to that load; what failed is that of the failure run.
    """
    voxels = made.voxels
    load = at_load if at_load is not None else made.run.failure_load or made.run.linear_load or 1.0
    factor = load / made.linear.linear if made.linear.linear else 0.0
    stress = element_stress(made.model, made.linear.solved.displacement) * np.float32(factor)
    failed = np.zeros(voxels.bone.shape, bool)
    if made.curve is not None and made.curve.failure is not None:
        kept = made.linear.solved.kept & voxels.bone
        failed = kept & (made.curve.modulus_pa < 0.999 * made.model.modulus_pa)
    caps = np.zeros(voxels.bone.shape, bool)
    for each in made.placed.added:
        caps |= each.where
    bearing = voxels.bone & made.linear.solved.kept
    return Maps(
        voxels.grid, voxels.bone, voxels.lesion, voxels.metal, caps & ~voxels.bone,
        np.where(bearing, made.linear.utilisation * factor, 0.0).astype(np.float32),
        np.where(bearing, tresca(stress) * 1e-6, 0.0).astype(np.float32), failed, float(load),
    )  # fmt: skip


def _units(placed: Placed) -> float:
    """Return mm per metre, or degrees per radian."""
    return MM_PER_M if placed.quantity == "force" else DEGREES


def _linear_load(found: Linear, placed: Placed, voxels: Voxels, by_height: bool) -> tuple[float | None, str]:
    """Return linear strength: of a vertebra by its stiffness and height, else where a share of the bone is beyond its cap."""
    if by_height:
        strain = setting("linear_strain")
        load = strain * found.linear * placed.length_mm / MM_PER_M
        return (load if math.isfinite(load) else None), f"{strain:g} x stiffness x height (Crawford 2003)"
    share = setting("linear_share")
    outside = voxels.bone & found.solved.kept & ~voxels.lesion & ~voxels.metal
    said = f"load at which {100 * share:.0f} % of the bone outside the lesion is beyond its cap (own choice)"
    if not outside.any() or not math.isfinite(found.linear):
        return None, said
    used = float(np.quantile(found.utilisation[outside], 1.0 - share))
    return (found.linear / used if used > 0.0 else None), said


def _size(found: Linear, voxels: Voxels) -> tuple[int, int, float]:
    kept = found.solved.kept
    return int(nodes_of(kept).sum()), int(kept.sum()), float((voxels.bone & kept).sum()) * voxels.edge_mm**3 / 1e3


def _dropped(solved: Solved, voxels: Voxels) -> tuple[str, ...]:
    """Name the pieces that took no part: fragments one by one, noise together."""
    ml = voxels.edge_mm**3 / 1e3
    large = [i for i in solved.dropped if i.voxels * ml >= setting("fragment_least_ml")]
    small = [i for i in solved.dropped if i.voxels * ml < setting("fragment_least_ml")]
    named = []
    for number, island in enumerate(large, start=1):
        x, y, z = voxels.grid.to_mm(np.array(island.place, float)).round(0).tolist()
        named.append(f"fragment {number}: {island.voxels * ml:.1f} ml round {x:g}, {y:g}, {z:g} mm LPS, joined to nothing")
    if small:
        total = sum(i.voxels for i in small)
        named.append(f"noise: {len(small)} loose pieces of {total} cubes together")
    return tuple(named)


def _linear_run(found: Linear, placed: Placed, voxels: Voxels, by_height: bool) -> Run:
    solved = found.solved
    nodes, elements, volume = _size(found, voxels)
    load, said = _linear_load(found, placed, voxels, by_height)
    return Run(
        stiffness=found.linear / _units(placed), linear_load=load, linear_by=said, failure_load=None, failure_at=None, curve=(),
        nodes=nodes, elements=elements, cg_residual=solved.residual, reaction_imbalance=solved.imbalance, solves=1,
        iterations=solved.iterations, ended=solved.how, why=solved.why, dropped=_dropped(solved, voxels), volume_cm3=volume,
    )  # fmt: skip


def _failure_run(curve: Curve, found: Linear, placed: Placed, voxels: Voxels, by_height: bool) -> Run:
    nodes, elements, volume = _size(found, voxels)
    load, said = _linear_load(found, placed, voxels, by_height)
    units = _units(placed)
    at = None if curve.failure_factor is None else curve.failure_factor * units
    points = tuple((float(f) * units, float(q)) for f, q in zip(curve.factor, curve.load, strict=True))
    return Run(
        stiffness=curve.linear / units, linear_load=load, linear_by=said, failure_load=curve.failure, failure_at=at, curve=points,
        at_least=points[-1][1] if curve.ended == "limit" and curve.failure is None else None,
        nodes=nodes, elements=elements, cg_residual=curve.worst_residual, reaction_imbalance=curve.worst_imbalance,
        solves=curve.solves, iterations=curve.cg_iterations, ended=curve.ended, why=curve.why,
        dropped=_dropped(curve.linear_solved, voxels), volume_cm3=volume,
        share_yielded=float(curve.share_yielded[-1]) if len(curve.share_yielded) else 0.0,
    )  # fmt: skip
