"""A pig's thigh round the shaft of its femur, sonicated and heated: what ``swine-femur`` computes.

The shaft is a straight tube of cortex with yellow marrow inside, its near crest at the origin; it runs along the animal's z,
and sound comes along +y through skin, fat and muscle, all flat. Nothing changes along z, so a sonication farther along the bone
is the same one shifted: a target of several sonications needs one field for each place across.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from osteon.evidence.value import Value, values_in
from osteon.physics import bioheat, damage
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.acoustics import acoustic_map
from osteon.tissue.bone import properties_map
from osteon.tissue.properties import Constants
from osteon.treatments.focused_ultrasound.beam import ArrayPose
from osteon.treatments.focused_ultrasound.sonication import sonicate
from osteon.treatments.focused_ultrasound.transducer import transducer
from osteon.treatments.heat import materials_of

SPACING_MM = 0.5
BESIDE_MM, BEHIND_MM, AIR_MM = 18.0, 8.0, 2.0  # of the image beside the axis of the beam, behind the bone, before the skin
ALONG_MM = 14.0  # of the image beyond the outermost focus along the bone
HU = {"air": -1000.0, "soft": 60.0, "fat": -100.0, "cortex": 2000.0, "marrow": -50.0}  # cortex: the HUmax of the house
ANY_BAND_HZ = 480e3  # properties_map wants a frequency for its dielectric columns, which nobody reads here
DOSE_S = 1.0  # between dose samples; between them the temperature is a straight line
FINE = 4  # points along a voxel with which a lethal region is measured
LEAST_DOSE = 1e-6  # CEM43 [min] that stands for none where its logarithm is interpolated


@dataclass(frozen=True)
class Thigh:
    """The thickness of each layer [mm] and the temperature of the animal [°C]."""

    outer_radius_mm: float
    cortex_mm: float
    muscle_mm: float
    fat_mm: float
    skin_mm: float
    body_c: float

    @property
    def depth_mm(self) -> float:
        """From the skin to the near crest of the bone."""
        return self.muscle_mm + self.fat_mm + self.skin_mm


@dataclass(frozen=True)
class Shot:
    """One sonication: its place across (x) and along (z) the bone from the middle of the target, power, times on and off."""

    across_mm: float
    along_mm: float
    power_w: float
    on_s: float
    off_s: float


@dataclass(frozen=True, eq=False)
class Heard:
    """The heat [W/m³ per W of the array] of sonications at the middle along the bone, by place across; and shares of one watt."""

    anatomy: Anatomy
    per_watt: dict[float, Array]
    bone_share: float  # of the array's power that heats cortex and marrow
    shear_share: float  # of what heats solid bone
    entry_share: float  # of the array's power that crosses the entry plane
    peak_pa: float  # largest pressure amplitude in tissue at one watt
    ended: str
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Killed:
    """What a target's sonications did: extents [mm] by criterion, highest temperature [°C] by tissue, the march of heat."""

    depth_mm: dict[str, float]
    length_mm: dict[str, float]
    width_mm: dict[str, float]
    outside_mm: dict[str, float]
    peak_c: dict[str, float]
    result: bioheat.HeatResult


def assumed() -> dict[str, Value]:
    """Return the assumed numbers of ``swine_femur.yaml``."""
    return values_in("osteon.validation", "swine_femur.yaml")


def thigh(constants: Constants) -> Thigh:
    """Return the thigh of one run."""
    given = assumed()
    names = ("outer_radius_mm", "cortex_mm", "muscle_mm", "fat_mm", "skin_mm", "body_c")
    return Thigh(*(constants.of(f"swine.{name}", given[name]) for name in names))


def radius_mm(grid: Grid, pig: Thigh) -> Array:
    """Return the distance [mm] of each voxel from the axis of the shaft, shape (1, y, x): the same all along it."""
    y, x = _places(grid)[1:]
    return np.hypot(x[None, None, :], (y - pig.outer_radius_mm)[None, :, None])


def _places(grid: Grid) -> tuple[Array, Array, Array]:
    """Return z, y and x of the voxels [mm] of an upright grid."""
    first, step = grid.matrix[:3, 3], np.diag(grid.matrix)[:3]
    z, y, x = (first[2 - a] + step[2 - a] * np.arange(n) for a, n in enumerate(grid.shape))
    return z, y, x


def anatomy_of(pig: Thigh, along_mm: float = 0.0, spacing_mm: float = SPACING_MM) -> Anatomy:
    """Return the thigh as a CT with outlines.

    Parameters
    ----------
    pig : Thigh
        Its layers.
    along_mm : float
        How far from the middle the outermost focus lies along the bone.
    spacing_mm : float
        Edge of a voxel.
    """
    reach = along_mm + ALONG_MM
    low = np.array([-BESIDE_MM, -pig.depth_mm - AIR_MM, -reach])
    high = np.array([BESIDE_MM, 2 * pig.outer_radius_mm + BEHIND_MM, reach])
    grid = Grid.box(low, high, spacing_mm)
    y = np.broadcast_to(_places(grid)[1][None, :, None], grid.shape)
    r = np.broadcast_to(radius_mm(grid, pig), grid.shape)
    skin = (y >= -pig.depth_mm) & (y < pig.skin_mm - pig.depth_mm)
    fat = (y >= pig.skin_mm - pig.depth_mm) & (y < -pig.muscle_mm)
    bone, marrow = r <= pig.outer_radius_mm, r <= pig.outer_radius_mm - pig.cortex_mm
    hu = np.where(y < -pig.depth_mm, HU["air"], HU["soft"]).astype(np.float32)
    hu[fat], hu[bone], hu[marrow] = HU["fat"], HU["cortex"], HU["marrow"]
    masks = {"skin": skin, "fat": fat, "muscle": (y >= -pig.muscle_mm) & ~bone, "femur_right": bone}
    return Anatomy(
        Volume(np.ones(grid.shape, bool), grid),
        Volume(hu, grid),
        {structure(name): Volume(mask, grid) for name, mask in masks.items()},
        contrast=False,
    )


def heard(
    pig: Thigh, anatomy: Anatomy, device_name: str, across_mm: Sequence[float], behind_mm: float, constants: Constants,
    missed_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Heard:  # fmt: skip
    """Return the heat of the array at one watt, for each place across the bone.

    Parameters
    ----------
    pig : Thigh
        The layers.
    anatomy : Anatomy
        The same as voxels.
    device_name : str
        Of ``devices.yaml``.
    across_mm : sequence of float
        Where foci lie across the bone.
    behind_mm : float
        How far behind the level of the near crest the focus lies along the beam.
    constants : Constants
        The numbers of this run.
    missed_mm : tuple of float
        By how much the focus misses, along x, y, z.
    """
    device = transducer(device_name)
    sound = acoustic_map(anatomy, device.frequency_hz, constants.of)
    in_bone = radius_mm(anatomy.grid, pig) <= pig.outer_radius_mm
    found: dict[float, Array] = {}
    shares: list[tuple[float, float, float]] = []
    notes: list[str] = []
    ended: list[str] = []
    peak = 0.0
    for across in across_mm:
        focus = (across + missed_mm[0], behind_mm + missed_mm[1], missed_mm[2])
        made = sonicate(
            sound, device, ArrayPose.aimed(focus, (0.0, 1.0, 0.0), 1e3 * device.radius_m), focus, 1.0,
            spacing_mm=anatomy.grid.spacing_mm[0], beyond_mm=2 * pig.outer_radius_mm + 0.5 * BEHIND_MM - focus[1],
            constants=constants,
        )  # fmt: skip
        heat, solid = made.heat_w_m3.array, made.solid.array
        bone = float((heat * in_bone).sum(dtype=np.float64)) * anatomy.grid.voxel_mm3 * 1e-9
        shear, all_heat = (float(f[solid].sum(dtype=np.float64)) for f in (made.marched.shear_w_m3, made.marched.heat_w_m3))
        shares.append((bone, shear / all_heat if all_heat > 0 else 0.0, made.caught_share))
        found[float(across)], peak = heat, max(peak, made.peak_pa)
        notes += made.notes
        ended.append(made.marched.ended)
    bone, shear, caught = (float(v) for v in np.mean(shares, axis=0))
    return Heard(anatomy, found, bone, shear, caught, peak, "; ".join(dict.fromkeys(ended)), tuple(dict.fromkeys(notes)))


def killed(pig: Thigh, sound: Heard, shots: Sequence[Shot], constants: Constants) -> Killed:
    """Return what sonications one after the other do.

    Parameters
    ----------
    pig : Thigh
        The layers.
    sound : Heard
        Heat at one watt.
    shots : sequence of Shot
        In order.
    constants : Constants
        The numbers of this run.
    """
    grid = sound.anatomy.grid
    stages = []
    for shot in shots:
        heat = _shifted(sound.per_watt[float(shot.across_mm)], round(shot.along_mm / grid.spacing_mm[0]))
        stages += [bioheat.Stage(shot.on_s, heat * np.float32(shot.power_w)), bioheat.Stage(shot.off_s)]
    materials = materials_of(properties_map(sound.anatomy, ANY_BAND_HZ, constants.of), constants)
    result = bioheat.heat(
        grid.spacing_mm[0], materials, stages, start_c=pig.body_c, arterial_c=pig.body_c,
        coagulation=bioheat.Coagulation("cem43"), dose_every_s=DOSE_S, trace_every_s=60.0,
    )  # fmt: skip
    levels = damage.criteria()
    dose, log_level = np.log10(np.maximum(result.cem43_min, LEAST_DOSE)), math.log10(levels["cem43_240"].level.number)
    sizes = {
        "CEM43 240": extents(dose, log_level, grid, pig),
        "55 degC": extents(result.peak_c, levels["peak_55c"].level.number, grid, pig),
    }
    depth, length, width, outside = ({name: size[i] for name, size in sizes.items()} for i in range(4))
    return Killed(depth, length, width, outside, _hottest(result.peak_c, grid, pig), result)


def _hottest(peak_c: Array, grid: Grid, pig: Thigh) -> dict[str, float]:
    """Return the highest temperature of each tissue [°C]."""
    r, y = radius_mm(grid, pig)[0], np.broadcast_to(_places(grid)[1][:, None], grid.shape[1:])
    inner, top = pig.outer_radius_mm - pig.cortex_mm, peak_c.max(axis=0)
    where = {
        "cortex": (r <= pig.outer_radius_mm) & (r > inner),
        "marrow": r <= inner,
        "muscle": (y >= -pig.muscle_mm) & (r > pig.outer_radius_mm),
        "skin": (y >= -pig.depth_mm) & (y < pig.skin_mm - pig.depth_mm),
    }
    return {name: float(top[mask].max()) for name, mask in where.items()}


def _shifted(heat: Array, cells: int) -> Array:
    """Return heat moved along the bone by whole voxels; what leaves the image is left out, and nothing enters."""
    moved = np.zeros_like(heat)
    if cells >= 0:
        moved[cells:] = heat[: len(heat) - cells]
    else:
        moved[:cells] = heat[-cells:]
    return moved


def extents(field: Array, level: float, grid: Grid, pig: Thigh) -> tuple[float, float, float, float]:
    """Return how deep, how long, how wide a region is in the near half of the bone, and how far it reaches out of it [mm].

    Depth is measured from the nearest point of the periosteum, radially; on the axis of the beam that is along the beam. Length
    is along the bone, width across it and the beam. The last number is the largest distance before the crest, along the beam.
    Between voxels the field is linear.

    Parameters
    ----------
    field : ndarray, shape (z, y, x)
        Peak temperature or logarithm of the dose.
    level : float
        From which on the region counts.
    grid : Grid
        Of the field.
    pig : Thigh
        The layers.
    """
    inside = np.argwhere(field >= level)
    if not len(inside):
        return 0.0, 0.0, 0.0, 0.0
    low = np.maximum(inside.min(axis=0) - 1, 0)
    high = np.minimum(inside.max(axis=0) + 1, np.array(field.shape) - 1)
    part = np.asarray(field[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))], np.float32)
    for axis in range(3):
        part = _finer(part, axis)
    z, y, x = (p[a] + np.arange(n) * s / FINE for p, a, n, s in zip(_places(grid), low, part.shape, grid.spacing_mm, strict=True))
    r = np.hypot(x[None, :], (y - pig.outer_radius_mm)[:, None])
    hot = part >= level
    bone = hot & ((r <= pig.outer_radius_mm) & (y <= pig.outer_radius_mm)[:, None])
    before = float(max(0.0, -y[hot.any(axis=(0, 2))].min())) if hot.any() else 0.0
    if not bone.any():
        return 0.0, 0.0, 0.0, before
    across = bone.any(axis=(0, 1))
    return (
        float(pig.outer_radius_mm - r[bone.any(axis=0)].min()),
        float(np.ptp(z[bone.any(axis=(1, 2))])),
        float(np.ptp(x[across])),
        before,
    )


def _finer(field: Array, axis: int) -> Array:
    """Return a field with ``FINE`` points from voxel to voxel along an axis, on straight lines."""
    first, last = np.moveaxis(field, axis, 0)[:-1], np.moveaxis(field, axis, 0)[1:]
    parts = [first + np.float32(k / FINE) * (last - first) for k in range(FINE)]
    joined = np.stack(parts, axis=1).reshape(-1, *first.shape[1:]) if len(first) else last[:0]
    whole = np.concatenate([joined, np.moveaxis(field, axis, 0)[-1:]])
    return np.moveaxis(whole, 0, axis)
