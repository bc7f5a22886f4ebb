"""From an anatomy to a bone in cubes, in the frame of its load, with what its voxels hold; and the same bone healed.

Density is averaged over each cube before any law is applied. Metal is no bone: its density is never read, and what its streaks
spoil takes the median of sound bone at the same depth below the surface.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
from scipy import ndimage

from osteon.assessment.loads.base import LoadCase, Pose, Voxels
from osteon.errors import ImageError, InputError, MissingError
from osteon.evidence.value import Value, values_in
from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Array, Grid, Volume, Window
from osteon.tissue.bone_density import Density
from osteon.tissue.calibration import Calibration

IMPLANT, CEMENT = structure("implant"), structure("cement")
FINEST = 3  # samples of the image along each edge of a cube, at most


@cache
def settings() -> Mapping[str, Value]:
    """Return the numbers of ``strength.yaml``."""
    return values_in("osteon.assessment", "strength.yaml")


def setting(name: str) -> float:
    """Return one number of ``strength.yaml``, in its unit."""
    return settings()[name].number


def edge_for(anatomy: Anatomy, asked_mm: float | None = None) -> float:
    """Return the edge of the model's cubes [mm]: as asked, else that of ``strength.yaml`` or the finest voxel, the larger."""
    finest = min(anatomy.grid.spacing_mm)
    if asked_mm is None:
        return max(setting("edge_mm"), finest)
    if not (np.isfinite(asked_mm) and 0.2 <= asked_mm <= 5.0):
        raise InputError(
            f"Cubes of {asked_mm} mm were asked for.",
            "Finer than 0.2 mm no clinical CT resolves, coarser than 5 mm no cortex is left.",
            "Choose 0.5 to 3 mm.",
        )
    return float(asked_mm)


def voxels_of(anatomy: Anatomy, case: LoadCase, pose: Pose, calibration: Calibration, edge_mm: float, margin_mm: float) -> Voxels:
    """Return a bone as cubes.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT, the outline of the bone, and what treatments wrote (cement, implants).
    case : LoadCase
        Names the bone and the lesion.
    pose : Pose
        The frame.
    calibration : Calibration
        From the image's numbers to density.
    edge_mm : float
        Of a cube [mm].
    margin_mm : float
        Of empty cubes on each side [mm].

    Returns
    -------
    Voxels
        Its notes name metal, streaks and what was filled in.

    Raises
    ------
    MissingError
        If there is no CT.
    ImageError
        If the CT holds values that are no numbers within the bone.
    InputError
        If the outline is empty, the model would be too large, or metal spoils too much of the bone.
    NotOutlinedError
        If the bone is not outlined.
    """
    if anatomy.image is None:
        raise MissingError(
            "There is no CT.",
            "Strength comes from density, and only a CT tells it.",
            "Add a CT of the bone without contrast agent.",
        )
    grid = _grid(anatomy, case, pose, edge_mm, margin_mm)
    offsets = _offsets(anatomy.grid, edge_mm)
    window = _near(anatomy, grid)
    bone = _share(anatomy.mask(case.bone), window, grid, offsets) >= 0.5
    metal = _metal(anatomy, window, grid, offsets)
    filled = ndimage.binary_dilation(bone, iterations=2)
    bone |= metal & filled
    metal &= bone
    lesion = np.zeros(grid.shape, bool)
    if anatomy.has(case.lesion):
        lesion = (_share(anatomy.mask(case.lesion), window, grid, offsets) >= 0.5) & bone & ~metal
    keep = _taking_part(grid, pose) & _imaged(anatomy, case, window, grid)
    bone, metal, lesion = bone & keep, metal & keep, lesion & keep
    if not bone.any():
        raise InputError(
            f"The outline of the {case.bone.name} holds no cube of {edge_mm:g} mm.",
            "There is no bone to load.",
            "Check the outline, and the part of the bone that the load takes.",
        )
    values = _values(anatomy, case, window, grid, offsets, bone & ~metal)
    spoilt = _spoilt(anatomy, window, grid) & bone & ~metal
    density = calibration.density(np.where(bone & ~metal, values, 0.0)).values_g_cm3 * (bone & ~metal)
    made = Voxels(
        grid, bone, lesion, metal, _cement(anatomy, window, grid), Density(calibration.kind, density, (f"{calibration.method}",)),
        _metal_notes(metal, spoilt, bone, edge_mm),
    )  # fmt: skip
    return _without_streaks(made, spoilt) if spoilt.any() else made


def _grid(anatomy: Anatomy, case: LoadCase, pose: Pose, edge_mm: float, margin_mm: float) -> Grid:
    """Return the cubic grid round the bone along the axes of the load; the very voxels of the image where those are its own."""
    mask = anatomy.mask(case.bone)
    box = mask.box()
    if box is None:
        raise InputError(
            f"The outline of the {case.bone.name} is empty.", "There is no bone to load.", "Outline it, or name another label."
        )
    along = _ends(mask, box) @ pose.axes
    low, high = along.min(0), along.max(0)
    if pose.along_mm is not None:
        low[2], high[2] = max(low[2], pose.along_mm[0]), min(high[2], pose.along_mm[1])
    margin = edge_mm * np.ceil(margin_mm / edge_mm + 1)
    start, end = low - margin, high + margin
    start = _on_lattice(anatomy.grid, pose, edge_mm, start)
    count = np.ceil((end - start) / edge_mm).astype(int) + 1
    if float(np.prod(count)) > setting("most_elements") * 8:
        raise InputError(
            f"The {case.bone.name} would need {int(np.prod(count)):,} cubes of {edge_mm:g} mm.".replace(",", " "),
            "That does not fit into memory.",
            "Choose larger cubes (--voxel-mm), or a shorter part of the bone.",
        )
    return Grid.box(start, start + (count - 1) * edge_mm, edge_mm, pose.axes)


def _ends(mask: Volume, box: Window) -> Array:
    """Return the first and last voxel of each row of a mask, LPS mm: what reaches farthest in any direction is among them."""
    part = mask.part(box)
    rows = np.argwhere(part.any(axis=2))
    lines = part[rows[:, 0], rows[:, 1]]
    first, last = lines.argmax(1), lines.shape[1] - 1 - lines[:, ::-1].argmax(1)
    index = np.concatenate([np.column_stack([rows, first]), np.column_stack([rows, last])])
    return mask.grid.to_mm(index + np.array([s.start for s in box]))


def _on_lattice(grid: Grid, pose: Pose, edge_mm: float, start: Array) -> Array:
    """Move the first cube onto whole voxels where the axes are the image's and the edge a multiple of its own.

    Then nothing is interpolated.
    """
    step = float(np.mean(grid.spacing_mm))
    turn = (grid.matrix[:3, :3] / np.linalg.norm(grid.matrix[:3, :3], axis=0)).T @ pose.axes
    same = np.abs(np.abs(turn).max(0) - 1.0).max() < 1e-6 and np.allclose(grid.spacing_mm, step, rtol=1e-4)
    if not (same and abs(edge_mm / step - round(edge_mm / step)) < 1e-4):
        return start
    signs = np.sign(np.take_along_axis(turn, np.abs(turn).argmax(0)[None], 0)[0])
    origin = grid.matrix[:3, 3] @ pose.axes + signs * (edge_mm - step) / 2
    return np.asarray(origin + np.floor((start - origin) / edge_mm) * edge_mm)


def _offsets(grid: Grid, edge_mm: float) -> list[tuple[float, float, float]]:
    """Return where within a cube the image is sampled: shares of its edge from its middle, along x, y, z of the model."""
    count = int(np.clip(round(edge_mm / min(grid.spacing_mm)), 1, FINEST))
    at = [(i + 0.5) / count - 0.5 for i in range(count)]
    return list(product(at, at, at))


def _near(anatomy: Anatomy, grid: Grid) -> tuple[Array, Array]:
    """Return the LPS box that holds the model, a voxel wider."""
    corners, wide = grid.corners_mm(), 2 * max(anatomy.grid.spacing_mm)
    return corners.min(0) - wide, corners.max(0) + wide


def _shifted(grid: Grid, offset: tuple[float, float, float]) -> Grid:
    affine = grid.matrix
    affine[:3, 3] += affine[:3, :3] @ np.array(offset)
    return Grid.of(grid.shape, affine)


def _mean(volume: Volume, grid: Grid, offsets: list[tuple[float, float, float]], fill: float) -> Array:
    """Return the mean of a volume over each cube, float32."""
    total = np.zeros(grid.shape, np.float32)
    for offset in offsets:
        total += volume.resample(_shifted(grid, offset), fill=fill).array
    return np.asarray(total / np.float32(len(offsets)))


def _cropped(volume: Volume, window: tuple[Array, Array]) -> Volume:
    affine = volume.grid.matrix
    corners = np.array(list(product(*zip(*window, strict=True))))
    index = volume.grid.to_index(corners)
    low = np.clip(np.floor(index.min(0)), 0, np.array(volume.grid.shape) - 1).astype(int)
    high = np.clip(np.ceil(index.max(0)) + 1, low + 1, volume.grid.shape).astype(int)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    affine[:3, 3] = volume.grid.to_mm(low.astype(float))
    return Volume.of(np.asarray(volume.part((z, y, x)), np.float32), affine)


def _share(mask: Volume, window: tuple[Array, Array], grid: Grid, offsets: list[tuple[float, float, float]]) -> Array:
    """Return the share of each cube that a mask fills."""
    return _mean(_cropped(mask, window), grid, offsets, 0.0)


def _metal(anatomy: Anatomy, window: tuple[Array, Array], grid: Grid, offsets: list[tuple[float, float, float]]) -> Array:
    out = np.zeros(grid.shape, bool)
    for key in anatomy.of_kind("implant"):
        if key != CEMENT:
            out |= _share(anatomy.mask(key), window, grid, offsets) >= 0.5
    if Field.IMPLANT_ID in anatomy.state:
        placed = anatomy.state[Field.IMPLANT_ID]
        out |= _share(placed.with_array(placed.array > 0), window, grid, offsets) >= 0.5
    return out


def _cement(anatomy: Anatomy, window: tuple[Array, Array], grid: Grid) -> Array:
    out = np.zeros(grid.shape, np.float32)
    if Field.CEMENT_FRACTION in anatomy.state:
        out = _cropped(anatomy.state[Field.CEMENT_FRACTION], window).resample(grid, fill=0.0).array.astype(np.float32)
    if anatomy.has(CEMENT):
        out = np.maximum(out, _cropped(anatomy.mask(CEMENT), window).resample(grid, fill=0.0).array.astype(np.float32))
    return np.clip(out, 0.0, 1.0)


def _spoilt(anatomy: Anatomy, window: tuple[Array, Array], grid: Grid) -> Array:
    if anatomy.unreliable is None:
        return np.zeros(grid.shape, bool)
    return np.asarray(_cropped(anatomy.unreliable, window).resample(grid, fill=0.0).array >= 0.5)


def _taking_part(grid: Grid, pose: Pose) -> Array:
    """Return the cubes within the part of the bone that the load takes."""
    if pose.along_mm is None:
        return np.ones(grid.shape, bool)
    z = (grid.matrix[:3, 3] @ pose.axes)[2] + np.arange(grid.shape[0]) * grid.spacing_mm[0]
    inside = (z >= pose.along_mm[0]) & (z <= pose.along_mm[1])
    return np.broadcast_to(inside[:, None, None], grid.shape)


def _imaged(anatomy: Anatomy, case: LoadCase, window: tuple[Array, Array], grid: Grid) -> Array:
    """Return the cubes that were imaged.

    Raises
    ------
    ImageError
        If the outline of the bone holds voxels that were not.
    """
    seen, outline = _cropped(anatomy.imaged, window), _cropped(anatomy.mask(case.bone), window)
    unseen, count = int(((outline.array > 0) & (seen.array == 0)).sum()), int((outline.array > 0).sum())
    if unseen > 0.001 * count:
        raise ImageError(
            f"{unseen} of {count} voxels of the {case.bone.name} were not imaged.",
            "What was not imaged is unknown; strength rests on every voxel.",
            "Use a scan that holds the whole outline, or cut the outline at the image's edge.",
        )
    return np.asarray(seen.resample(grid, fill=0.0).array > 0.0)


def _values(
    anatomy: Anatomy,
    case: LoadCase,
    window: tuple[Array, Array],
    grid: Grid,
    offsets: list[tuple[float, float, float]],
    bone: Array,
) -> Array:
    """Return the image's mean over the outlined part of each cube: what lies beside a specimen, air or water, is left out."""
    assert anatomy.image is not None
    image, outline = _cropped(anatomy.image, window), _cropped(anatomy.mask(case.bone), window)
    bad = ~np.isfinite(image.array)
    if bad.any():
        where = image.with_array(bad.astype(np.float32)).resample(grid, fill=0.0).array > 0
        if (where & bone).any():
            raise ImageError(
                f"The CT holds {int((where & bone).sum())} cubes within the bone whose values are no numbers.",
                "Missing is not zero: a bone with unknown voxels has no known strength.",
                "Export the series again, or outline only what was imaged.",
            )
        image = image.with_array(np.where(bad, 0.0, image.array).astype(np.float32))
    least = float(image.array.min())  # below every value, so that the product with the outline keeps its sign
    inside = _mean(image.with_array((image.array - least) * outline.array), grid, offsets, 0.0)
    share = _mean(outline, grid, offsets, 0.0)
    return np.asarray(np.where(share > 0.0, inside / np.maximum(share, 1e-6) + least, least))


def _metal_notes(metal: Array, spoilt: Array, bone: Array, edge_mm: float) -> tuple[str, ...]:
    notes = []
    if metal.any():
        notes.append(f"Metal in the bone: {metal.sum() * edge_mm**3 / 1e3:.1f} ml, kept as an implant, out of the density.")
    if spoilt.any():
        part = spoilt.sum() / max(int((bone & ~metal).sum()), 1)
        notes.append(f"Streaks of metal spoil {100 * part:.0f} % of the bone: taken as sound bone at the same depth.")
    return tuple(notes)


def _without_streaks(made: Voxels, spoilt: Array) -> Voxels:
    part = spoilt.sum() / max(int((made.bone & ~made.metal).sum()), 1)
    if part > setting("unreliable_most"):
        raise InputError(
            f"Streaks of metal spoil {100 * part:.0f} % of the bone's density.",
            f"Beyond {100 * setting('unreliable_most'):.0f} % a strength would be that of the streaks.",
            "Use a CT with metal artefact reduction, or one from before the implant.",
        )
    sound = made.bone & ~made.metal & ~spoilt & ~made.lesion
    filled = at_depth(made, sound, spoilt)
    density = np.where(spoilt, filled, made.density.values_g_cm3)
    return replace(made, density=made.density.with_values(density, "streaks of metal filled"))


def depth_mm(voxels: Voxels) -> Array:
    """Return the depth of each cube below the surface of the bone [mm]; 0 outside."""
    return np.asarray(ndimage.distance_transform_edt(voxels.bone) * voxels.edge_mm, dtype=np.float32)


def at_depth(voxels: Voxels, sound: Array, wanted: Array) -> Array:
    """Return for each wanted cube the median density of sound cubes at its depth below the surface [g/cm3], 0 elsewhere.

    Raises
    ------
    InputError
        If there is too little sound bone to compare with.
    """
    if sound.sum() < setting("healthy_least_cubes"):
        raise InputError(
            f"There are {int(sound.sum())} cubes of sound bone to compare with.",
            "What this bone would be without its lesion cannot be told from the lesion.",
            "Outline more of the bone.",
        )
    depth = depth_mm(voxels)
    edges = voxels.edge_mm * np.array([0.0, 1.05, 2.05, 3.05, 4.05, 6.05, 8.05, 11.0, 15.0, 1e6])
    which = np.digitize(depth, edges[1:-1])
    rho, out, before = voxels.density.values_g_cm3, np.zeros(voxels.bone.shape), None
    for number in range(len(edges) - 1):
        here = sound & (which == number)
        if here.sum() >= 20:
            before = float(np.median(rho[here]))
        if before is not None:
            out[wanted & (which == number)] = before
    return out


def healed(voxels: Voxels) -> Voxels:
    """Return the same bone with its lesion virtually healed.

    Each cube of the lesion takes the median density of sound bone near it at the same depth below the surface. In a lesion that
    takes density away no cube gets less than it has; in one that adds density it may.

    Raises
    ------
    InputError
        If there is too little sound bone to compare with.
    """
    away = ndimage.distance_transform_edt(~voxels.lesion) * voxels.edge_mm
    sound = voxels.bone & ~voxels.metal & (voxels.cement < 0.05) & (away > setting("healthy_beyond_mm"))
    near = sound & (away <= setting("healthy_within_mm"))
    filled = at_depth(voxels, near if near.sum() >= setting("healthy_least_cubes") else sound, voxels.lesion)
    rho = voxels.density.values_g_cm3
    takes_away = float(np.median(rho[voxels.lesion])) <= float(np.median(filled[voxels.lesion]))
    new = np.where(voxels.lesion, np.maximum(filled, rho) if takes_away else filled, rho)
    return replace(voxels, density=voxels.density.with_values(new, "lesion virtually healed"))
