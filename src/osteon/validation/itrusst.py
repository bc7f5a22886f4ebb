"""The ITRUSST benchmarks 1 to 6 by the planner, beside the exact field of flat layers and of concentric shells.

Benchmarks 7 and 8, on the masks of a skull, are in ``itrusst_skull``.

For benchmark 4 with the bowl the published field of STRIDE stands beside ours too (peak, place and size; the field itself is
compared in ``tests/validation``). Tolerances of the acoustics reference, set beforehand: peak 2 %, place 0.5 mm, sizes 2 %.
For the curved ones the same tolerances are asked of the planner against the exact shells. ``--bone solid`` adds shear.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

from osteon.errors import InputError
from osteon.physics import acoustic_sources
from osteon.physics.acoustic_layers import Array, Layer, Medium, Stack
from osteon.physics.acoustic_planner import Marched, march
from osteon.validation import itrusst_exact
from osteon.validation.base import Report, Row

FREQUENCY_HZ, FACE_M_S = 5e5, 0.04
NP_M = 100 * np.log(10) / 20  # of 1 dB/cm
WATER, SKIN = Medium(1000.0, 1500.0), Medium(1090.0, 1610.0, 0.2 * NP_M)
BRAIN, LOSSY = Medium(1040.0, 1560.0, 0.3 * NP_M), Medium(1000.0, 1500.0, 1.0 * NP_M)
CORTICAL, TRABECULAR = Medium(1850.0, 2800.0, 4 * NP_M), Medium(1700.0, 2300.0, 8 * NP_M)
STEP_M, ACROSS, DEEP_M = 0.5e-3, 256, 0.12
CENTRE_M = 0.105
FIRST_PLANE = 74  # metrics count from the index 75, 1-based: z = 37 mm
PEAK, PLACE_MM, SIZE = 0.02, 0.5, 0.02
EXACT, STRIDE = "exact layers or fluid shells", "PH1-BM4-SC1 STRIDE, published"
PUBLISHED = {"peak_pa": 316738.57, "z_mm": 57.0, "axial_6db_mm": 27.289, "lateral_6db_mm": 4.344}


@dataclass(frozen=True)
class Case:
    """A benchmark: where each medium begins on the axis [m]; ``curved`` about the centre at 105 mm."""

    media: tuple[Medium, ...]
    faces_m: tuple[float, ...]
    curved: bool = False


HEAD = ((WATER, SKIN, CORTICAL, TRABECULAR, CORTICAL, BRAIN), (0.026, 0.030, 0.0315, 0.0355, 0.0365))
CASES = {
    "BM1": Case((WATER,), ()), "BM2": Case((LOSSY,), ()), "BM3": Case((WATER, CORTICAL, WATER), (0.030, 0.0365)),
    "BM4": Case(*HEAD), "BM5": Case((WATER, CORTICAL, WATER), (0.030, 0.0365), True), "BM6": Case(*HEAD, True),
}  # fmt: skip
SKULLS = ("BM7", "BM8")
SHEAR = {2800.0: 1550.0, 2300.0: 1400.0}  # of BabelBrain's elastic extension, 12 dB/cm; its peak in BM4-SC1: 355.0 kPa (page, A6)
ENTRY_M = {"SC1": 0.010, "SC2": 0.005}


def source_of(name: str) -> acoustic_sources.Source:
    """Return the bowl or the disc."""
    fine = WATER.speed_m_s / FREQUENCY_HZ
    return acoustic_sources.bowl(0.064, 0.064, fine / 10) if name == "SC1" else acoustic_sources.disc(0.02, fine / 16)


def case_of(name: str, bone: str = "fluid") -> Case:
    """Return a benchmark; with ``bone`` solid, bones carry shear."""
    chosen = CASES[name]
    if bone != "solid":
        return chosen
    media = [
        replace(m, shear_speed_m_s=SHEAR[m.speed_m_s], shear_attenuation_np_m=12 * NP_M) if m.speed_m_s in SHEAR else m
        for m in chosen.media
    ]
    return replace(chosen, media=tuple(media))


def labels_of(case: Case, entry_m: float, step_m: float, across: int) -> Array:
    """Return which medium fills each cell below the entry plane."""
    z = entry_m + (np.arange(round((DEEP_M - entry_m) / step_m)) + 0.5) * step_m
    x = (np.arange(across) - across // 2) * step_m
    depth = np.broadcast_to(z[:, None, None], (len(z), across, across))
    if case.curved:  # depth below the outermost sphere, as on the axis
        depth = CENTRE_M - np.sqrt((z[:, None, None] - CENTRE_M) ** 2 + x[:, None] ** 2 + x**2)
        depth = np.where(z[:, None, None] > CENTRE_M, DEEP_M, depth)
    return np.searchsorted(np.array(case.faces_m), depth).astype(np.uint8)


def entry_of(source: acoustic_sources.Source, medium: Medium, entry_m: float, step_m: float, across: int) -> Array:
    """Return the pressure on the entry plane, from its values along a radius."""
    half = step_m * (across // 2)
    r = np.arange(0, 1.5 * half, 0.1e-3)
    p = acoustic_sources.field(
        source, FACE_M_S, np.stack([r, 0 * r, 0 * r + entry_m], axis=-1), FREQUENCY_HZ, density_kg_m3=medium.density_kg_m3,
        speed_m_s=medium.speed_m_s, attenuation_np_m=medium.attenuation_np_m,
    )  # fmt: skip
    x = (np.arange(across) - across // 2) * step_m
    return np.asarray(CubicSpline(r, p)(np.hypot(x[:, None], x)))


def planned(
    case: str, source: str, step_m: float = STEP_M, across: int = ACROSS, bone: str = "fluid", **how: float
) -> tuple[Marched, Array]:
    """Return the planner's field of a benchmark, and the depth [m] of its planes."""
    entry_m = ENTRY_M[source]
    chosen = case_of(case, bone)
    entry = entry_of(source_of(source), chosen.media[0], entry_m, step_m, across)
    found = march(entry, labels_of(chosen, entry_m, step_m, across), chosen.media, FREQUENCY_HZ, step_m, **how)  # type: ignore[arg-type]
    return found, entry_m + np.arange(len(found.pressure_pa)) * step_m


def exact(case: str, source: str, rho_m: Array, z_m: Array, bone: str = "fluid") -> Array:
    """Return the exact field of a benchmark behind its last face, shape (z, rho)."""
    chosen, made = case_of(case, bone), source_of(source)
    if chosen.curved:
        radii = [CENTRE_M - face for face in chosen.faces_m]
        return itrusst_exact.behind_shells(made, FACE_M_S, CENTRE_M, radii, chosen.media, FREQUENCY_HZ, rho_m, z_m)
    if not chosen.faces_m:
        z, rho = np.meshgrid(z_m, rho_m, indexing="ij")
        medium = chosen.media[0]
        return acoustic_sources.field(
            made, FACE_M_S, np.stack([rho, 0 * rho, z], axis=-1), FREQUENCY_HZ, density_kg_m3=medium.density_kg_m3,
            speed_m_s=medium.speed_m_s, attenuation_np_m=medium.attenuation_np_m,
        )  # fmt: skip
    ends = (*chosen.faces_m[1:], 0.0)
    layers = tuple(Layer(m, b - a) for m, a, b in zip(chosen.media[1:-1], chosen.faces_m[:-1], ends[:-1], strict=True))
    stack = Stack(chosen.media[0], layers, chosen.media[-1], FREQUENCY_HZ)
    return itrusst_exact.behind_layers(made, FACE_M_S, ENTRY_M[source], chosen.faces_m[0], stack, rho_m, z_m)


def width(x: Array, p: Array, top: int) -> float:
    """Return the width above half of ``p[top]`` round it, interpolated, in the unit of ``x``; NaN if it does not fall so far."""
    bar = p[top] / 2
    right, left = np.flatnonzero(p[top:] < bar), np.flatnonzero(p[top::-1] < bar)
    if not len(right) or not len(left):
        return float("nan")
    i, j = top + int(right[0]), top - int(left[0])
    return float(np.interp(bar, [p[i], p[i - 1]], [x[i], x[i - 1]]) - np.interp(bar, [p[j], p[j + 1]], [x[j], x[j + 1]]))


def figures(z_m: Array, x_m: Array, p: Array, source: str) -> dict[str, float]:
    """Return the figures of a field on the plane through the axis, shape (z, x), ``x_m`` symmetric about 0."""
    middle = len(x_m) // 2
    if source == "SC2":
        at = int(np.abs(z_m - 0.06).argmin())
        return {"amplitude_at_60mm_pa": float(p[at, middle]), "lateral_6db_mm": 1e3 * width(x_m, p[at], middle)}
    begin = int(np.searchsorted(z_m, FIRST_PLANE * STEP_M - 1e-9))
    row, column = np.unravel_index(p[begin:].argmax(), p[begin:].shape)
    row += begin
    return {
        "peak_pa": float(p[row, column]), "z_mm": 1e3 * float(z_m[row]), "axial_6db_mm": 1e3 * width(z_m, p[:, column], int(row)),
        "lateral_6db_mm": 1e3 * width(x_m, p[row], int(column)),
    }  # fmt: skip


def _rows(ours: dict[str, float], truth: dict[str, float], source: str, mark: str = "") -> list[Row]:
    """Return the rows of the figures beside a reference."""
    words = {
        "peak_pa": ("Pa", "largest amplitude from z = 37 mm on, 0.5 mm grid"), "z_mm": ("mm", "where"),
        "axial_6db_mm": ("mm", "above half the peak, along the axis"), "lateral_6db_mm": ("mm", "above half of that on the axis"),
        "amplitude_at_60mm_pa": ("Pa", "on the axis"),
    }  # fmt: skip
    rows = []
    for name, value in ours.items():
        unit, text = words[name]
        known = truth.get(name)
        allowed = None if known is None else PLACE_MM if name == "z_mm" else (PEAK if unit == "Pa" else SIZE) * known
        rows.append(Row(name + mark, value, unit, text, known, source if known is not None else "", allowed))
    return rows


def run(observe: Callable[[float], None], case: str = "BM4", source: str = "SC1", bone: str = "fluid") -> Report:
    """Return the rows of ``itrusst``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    case : str
        BM1 to BM8; the last two need the masks of the shared data.
    source : str
        SC1, the bowl, or SC2, the disc.
    bone : str
        ``fluid``, as the benchmark has it, or ``solid``, with shear (BM1 to BM6; curved solids have no exact field here).

    Raises
    ------
    InputError
        If the benchmark or the source is not known.
    MissingError
        If the mask of a skull, or h5py to read it, is not here.
    """
    case, source, bone = case.upper(), source.upper(), bone.lower()
    if bone not in ("fluid", "solid") or (bone == "solid" and case in SKULLS):
        raise InputError(
            f"Bone of {case} is to be {bone!r}.",
            "The benchmark has fluid bone; shear is our extension of BM1 to BM6.",
            "Use fluid or solid.",
        )
    if case not in (*CASES, *SKULLS) or source not in ENTRY_M:
        raise InputError(
            f"There is no benchmark {case} with source {source}.",
            "Of the nine, BM9 is not built: its mask is not among the shared data.",
            f"Give --case {' or '.join((*CASES, *SKULLS))} and --source SC1 or SC2.",
        )
    if case in SKULLS:
        from osteon.validation import itrusst_skull

        return itrusst_skull.run(observe, case, source)
    began = time.perf_counter()
    found, z = planned(case, source, bone=bone)
    took = time.perf_counter() - began
    observe(0.7)
    x = (np.arange(141) - 70) * STEP_M
    middle = ACROSS // 2
    p = np.abs(found.pressure_pa[:, middle, middle - 70 : middle + 71])
    ours = figures(z, x, p, source)
    rows = _beside(case, source, bone, ours, p, x, z)
    if (case, source, bone) == ("BM4", "SC1", "fluid"):
        rows += _rows(ours, PUBLISHED, STRIDE, " (published)")
    rows += [
        Row(
            "stairs",
            found.stairs,
            "1",
            "of the power at interfaces, meets a face that leans by more than 5 degrees: right to first order only",
        ),
        Row("sweeps", float(found.sweeps), "1", "through the planes, until one adds less than 0.1 % of the peak"),
        Row("planner_s", took, "s", "entry plane and sweeps, this run"),
    ]
    told = (f"Bones as {bone}s; the benchmark has fluids.", f"The march {found.ended}; 256 x 256 columns of 0.5 mm.")
    return Report("itrusst", tuple(rows), found.ended, time.perf_counter() - began, told)


def _beside(case: str, source: str, bone: str, ours: dict[str, float], p: Array, x: Array, z: Array) -> list[Row]:
    """Return the figures beside those of the exact field, and how far the fields are apart."""
    chosen = case_of(case, bone)
    if chosen.curved and bone == "solid":
        return _rows(ours, {}, "")
    deep = z >= FIRST_PLANE * STEP_M - 1e-9
    right = np.abs(exact(case, source, x[70:], z[deep], bone))
    right = np.concatenate([right[:, :0:-1], right], axis=1)
    inside = np.ones(right.shape, bool)
    if chosen.curved:  # the exact field holds below the last sphere only
        inside = np.hypot(z[deep][:, None] - CENTRE_M, x) < CENTRE_M - chosen.faces_m[-1]
    apart = float(np.sqrt(((p[deep] - right)[inside] ** 2).sum() / (right[inside] ** 2).sum()))
    text = "of the plane through the axis, from z = 37 mm on"
    return [
        *_rows(ours, figures(z[deep], x, right, source), EXACT),
        Row("l2_to_exact", 100 * apart, "%", text, 0.0, EXACT, 2.0),
    ]
