"""Calibration of a real pelvis without phantom: samples, residuals, the methods beside each other, and seven vertebrae.

The range that is held plausible was set before the first run, from published numbers of trabecular bone in vertebrae: 56 +- 20
mg/cm3 in patients of 77 years who fractured again (PMC7680958), 80 and 120 mg/cm3 as the limits of osteoporosis and of normal
bone (PMC7495321, table 2), 186 at L4 and 193 mg/cm3 HA at T12 in healthy women, mean age of all 32 years (PMID 11176311). Its
ends are 56 less one standard deviation and 193 with the 20 % that a calibration without phantom may be off.

Nobody stated whether this patient was given contrast agent. The case goes on as without, which is an assumption; the blood of the
aorta is read and shown, and would refuse it were it denser than plain blood.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from osteon.assessment.calibrate import Calibrated, calibrate
from osteon.case.metal import find_metal
from osteon.errors import MissingError
from osteon.io import images, labels
from osteon.space.anatomy import Anatomy
from osteon.space.paths import distance_to
from osteon.space.volume import Array, Volume
from osteon.tissue.calibration import Calibration
from osteon.validation.base import Report, Row

VERTEBRAE = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
LOW_MG_CM3, HIGH_MG_CM3 = 56.0 - 20.0, 193.0 * 1.2
RANGE = "36 to 232 mg/cm3: PMC7680958 (56 - 20), PMID 11176311 (193 + 20 %)"
INSIDE_MM, THIRD, AXES, LEAST = 5.0, 1.0 / 3.0, 0.7, 50


def pelvis() -> Anatomy:
    """Return the pelvis of shared/data/pelvis_ct with its outlines, as a scan without contrast agent.

    Raises
    ------
    MissingError
        If the data are not here.
    """
    given = os.environ.get("OSTEON_SHARED")
    folder = (Path(given) if given else Path.cwd().parent / "shared") / "data" / "pelvis_ct"
    ct, outlines = folder / "example_ct.nii.gz", folder / "example_seg_fast_force_split.nii.gz"
    if not (ct.exists() and outlines.exists()):
        raise MissingError(
            f"The pelvis CT is not at {folder}.",
            "This case is about a real image, which is not part of osteon.",
            "Set OSTEON_SHARED to the folder that holds data/pelvis_ct.",
        )
    image = images.read(ct)
    masks = labels.read(outlines, image.volume.grid).masks
    metal = find_metal(image.volume, image.imaged)
    return Anatomy(image.imaged, image.volume, masks, contrast=False, unreliable=metal.unreliable)


def trabecular_region(vertebra: Volume) -> Array:
    """Return an elliptical cylinder of cancellous bone within a vertebral body, as an array of bool.

    The body is the largest piece of the vertebra deeper than 5 mm; the ellipse has its second moments in the middle third of its
    height, with 0.7 of its half axes.

    Parameters
    ----------
    vertebra : Volume of bool
        The whole vertebra, in canonical axes.

    Raises
    ------
    MissingError
        If hardly anything is that deep.
    """
    deep = distance_to(vertebra.with_array(~vertebra.array)).array >= INSIDE_MM
    pieces, _ = ndimage.label(deep)
    sizes = np.bincount(pieces.ravel(), minlength=2)[1:]
    if sizes.max() < LEAST:
        raise MissingError(
            f"Only {sizes.max()} voxels of the vertebra lie deeper than {INSIDE_MM:g} mm in one piece.",
            "Cancellous bone cannot be told from cortex there.",
            "cannot tell: too little of its body is in the image: needs a CT that holds the whole vertebra",
        )
    core = pieces == 1 + int(np.argmax(sizes))
    places = vertebra.grid.to_mm(np.argwhere(core))
    height = places[:, 2]
    middle, half = (
        (height.min() + height.max()) / 2.0,
        max((height.max() - height.min()) * THIRD / 2.0, vertebra.spacing_mm[0] / 2.0),
    )
    within = np.abs(height - middle) <= half + 1e-6
    flat = places[within, :2]
    away = flat - flat.mean(axis=0)
    # an ellipse filled evenly has a quarter of its squared half axes as variance
    inverse = np.linalg.inv(4.0 * AXES**2 * np.cov(away.T))
    kept = np.argwhere(core)[within][np.einsum("ij,jk,ik->i", away, inverse, away) <= 1.0]
    out = np.zeros(vertebra.grid.shape, bool)
    out[tuple(kept.T)] = True
    return out


def calibration_rows(found: Calibrated) -> list[Row]:
    """Return the samples, and each method with its residuals."""
    rows = []
    for tissue, (voxels, at) in found.where.items():
        said = "middle at " + ", ".join(f"{v:.0f}" for v in at) + " mm LPS"
        rows.append(Row(f"{tissue}: voxels", float(voxels), "1", said))
    for each in (found.chosen, *found.others):
        name = f"{each.method} ({each.kind})" + (", chosen" if each is found.chosen else "")
        rows += [
            Row(f"{name}: at 0 HU", float(each.density(0.0).mg_cm3), "mg/cm3", "what water would read"),
            Row(f"{name}: at 200 HU", float(each.density(200.0).mg_cm3), "mg/cm3", "what 200 HU read"),
        ]
        if each.energy_kev is not None:
            rows.append(Row(f"{name}: energy", each.energy_kev, "keV", "effective, as this method finds it"))
        rows += [
            Row(f"{name}: {s.name} of {s.hu:.0f} HU", 1e3 * s.residual_g_cm3, "mg/cm3", "residual: fitted less held")
            for s in each.samples
        ]
    return rows


def vertebra_rows(anatomy: Anatomy, found: Calibrated) -> tuple[list[Row], list[str]]:
    """Return the trabecular density of each vertebra by every method, the chosen one judged; and what could not be told."""
    assert anatomy.image is not None
    rows, refused = [], []
    for name in VERTEBRAE:
        try:
            region = trabecular_region(anatomy.mask(f"vertebra_{name}"))
        except MissingError as error:
            refused.append(f"{name}: {error.do}")
            continue
        hu = anatomy.image.array[region]
        said = f"ellipse in the eroded body, {len(hu)} voxels, mean {hu.mean():.0f} HU"
        middle, half = (HIGH_MG_CM3 + LOW_MG_CM3) / 2.0, (HIGH_MG_CM3 - LOW_MG_CM3) / 2.0
        rows.append(Row(f"{name}: {found.chosen.method}", _mean(found.chosen, hu), "mg/cm3", said, middle, RANGE, half))
        rows += [Row(f"{name}: {other.method}", _mean(other, hu), "mg/cm3", said) for other in found.others]
    return rows, refused


def _mean(calibration: Calibration, hu: Array) -> float:
    return float(calibration.density(hu).mg_cm3.mean())


def run(observe: Callable[[float], None] = lambda _: None) -> Report:
    """Run the reference case ``calibration-pelvis``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.

    Raises
    ------
    MissingError
        If the data are not here.
    """
    began = time.perf_counter()
    anatomy = pelvis()
    observe(0.4)
    found = calibrate(anatomy)
    observe(0.7)
    densities, unknown = vertebra_rows(anatomy, found)
    rows = calibration_rows(found) + densities
    assumptions = (
        "No contrast agent: nobody stated it, the blood of the aorta is as dense as plain blood.",
        *(f"{name} refused: {why}" for name, why in found.refused.items()),
        *unknown,
        *found.notes,
        *(f"{each.method}: {note}" for each in (found.chosen, *found.others) for note in each.notes),
        "HA-equivalent and K2HPO4-equivalent density are not the same number; published limits rarely say which they mean.",
    )
    return Report("calibration-pelvis", tuple(rows), "done", time.perf_counter() - began, assumptions)
