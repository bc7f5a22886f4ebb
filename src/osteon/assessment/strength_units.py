"""What the numbers of an image are: Hounsfield numbers, mg/cm3 or g/cm3; what cannot be right is refused, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from osteon.errors import ImageError, InputError, UnitError
from osteon.evidence.value import Value, values_in
from osteon.space.anatomy import Structure
from osteon.space.volume import Array, Volume
from osteon.tissue.bone_density import KINDS
from osteon.tissue.calibration import Calibration
from osteon.tissue.calibration_peaks import settings as calibrations

UNITS: Mapping[str, str] = {"hu": "", "k2hpo4": "k2hpo4", "ha": "ha", "ash": "ash", "app": "apparent"}
"""Words of the command line for a kind of density; Hounsfield numbers have none."""
WRONG = "Strength rises by the second power of density: a wrong unit makes it wrong by a factor of thousands."


@cache
def limits() -> Mapping[str, Value]:
    """Return the numbers of ``strength_input.yaml``."""
    return values_in("osteon.assessment", "strength_input.yaml")


def limit(name: str) -> float:
    """Return one number of ``strength_input.yaml``, in its unit."""
    return limits()[name].number


def kind_of(unit: str) -> str:
    """Return the kind of density that a word of the command line stands for; empty for Hounsfield numbers.

    Raises
    ------
    UnitError
        If there is no such word.
    """
    if unit not in UNITS:
        raise UnitError(
            f"There is no density unit {unit!r}.",
            WRONG,
            f"Use one of: {', '.join(UNITS)} (k2hpo4, ha, ash and app in mg/cm3 or g/cm3).",
        )
    return UNITS[unit]


def values_within(image: Volume, mask: Volume) -> Array:
    """Return the image's values in an outline.

    Raises
    ------
    ImageError
        If one of them is no number.
    """
    box = mask.box()
    values = np.zeros(0, np.float32) if box is None else image.part(box)[mask.part(box)]
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise ImageError(
            f"{bad} of {values.size} voxels within the bone hold values that are no numbers.",
            "Missing is not zero: a bone with unknown voxels has no known strength.",
            "Export the image again, or outline only what was imaged.",
        )
    return values


def check_hu(image: Volume, mask: Volume, bone: Structure) -> tuple[str, ...]:
    """Refuse an image whose numbers cannot be Hounsfield numbers; return what weakens it.

    Raises
    ------
    UnitError
        If the numbers are those of densities, of a windowed picture or of raw pixels.
    ImageError
        If most of the outline holds air, or values in it are no numbers.
    """
    values = values_within(image, mask)
    densest, median = float(np.percentile(values, 99.9)), float(np.median(values))
    low = float(np.nanpercentile(image.array[:: max(1, image.array.shape[0] // 60)], 0.1))
    if densest < limit("g_below"):
        raise _wrong(f"The densest {bone.name} of the image is {densest:.3g}: these are no Hounsfield numbers.", "g/cm3")
    if low >= 0 and densest <= 255 and float(np.nanmax(image.array)) <= 255:
        raise UnitError(
            f"The image runs from {low:.0f} to {float(np.nanmax(image.array)):.0f}: a picture in grey levels.", WRONG,
            "Name the original CT in Hounsfield numbers.",
        )  # fmt: skip
    if low >= 0 and median > limit("raw_above"):
        raise UnitError(
            f"Nothing in the image is below 0 and the median of the {bone.name} is {median:.0f}: raw pixels, not HU.",
            WRONG,
            "Apply the slope and intercept of the header (air -1000, water 0), or name the original DICOM.",
        )
    empty = float((values < limit("empty_below_hu")).mean())
    if empty > limit("empty_share"):
        raise ImageError(
            f"{100 * empty:.0f} % of the outline of the {bone.name} holds less than {limit('empty_below_hu'):.0f} HU: air.",
            "The outline does not lie on bone, or the specimen is dry: air in the marrow is no density.",
            "Name the outline of this image; scan specimens wet and free of air.",
        )
    return (
        (f"The image has no air and no fat (lowest {low:.0f}): make sure that it is in Hounsfield numbers.",) if low > -60 else ()
    )


def density_calibration(unit: str, image: Volume, mask: Volume, bone: Structure) -> tuple[Calibration, tuple[str, ...]]:
    """Return how the numbers of a density image become g/cm3, by the densest of the bone, and the decision in words.

    Raises
    ------
    UnitError
        If they leave open whether they are g/cm3 or mg/cm3, or can be neither.
    """
    kind, values = kind_of(unit), values_within(image, mask)
    densest = float(np.percentile(values, 99.9))
    if not limit("g_below") > densest and not densest > limit("mg_above"):
        raise UnitError(
            f"The densest {bone.name} of the image is {densest:.3g}: neither g/cm3 (below {limit('g_below'):g}) "
            f"nor mg/cm3 (above {limit('mg_above'):g}).",
            WRONG, "Write the image in g/cm3 or mg/cm3.",
        )  # fmt: skip
    if densest <= 0:
        raise UnitError(f"The {bone.name} of the image has no value above 0.", WRONG, "Name the image that holds the densities.")
    per_unit = 1.0 if densest < limit("g_below") else 1e-3
    named = "g/cm3" if per_unit == 1.0 else "mg/cm3"
    milligrams = values * np.float32(per_unit * 1e3)
    _plausible(milligrams, image, kind, bone)
    if per_unit == 1e-3:
        _no_air(image, kind)
    half = calibrations()["band_given"]
    note = f"Densities are taken as {named} of {KINDS[kind]}: the densest bone is {densest:.3g}."
    made = Calibration(
        "given", kind, per_unit, 0.0, 0.0, (), (1 - half.number, 1 + half.number), (half.source,),
        ("The image holds densities already; how they were made is not known here.",),
    )  # fmt: skip
    return made, (note,)


def line_calibration(line: tuple[float, float, str], contrast: bool | None) -> Calibration:
    """Return a line that was given by hand: slope [mg/cm3 per HU], intercept [mg/cm3], kind of density.

    Raises
    ------
    UnitError
        If the slope cannot be one of mg/cm3 per HU, or the kind is unknown.
    """
    slope, intercept, unit = line
    kind = kind_of(unit)
    if not kind or not (0.2 <= slope <= 3.0 and -400.0 <= intercept <= 400.0):
        raise UnitError(
            f"The line {slope:g},{intercept:g},{unit} is no line of density.",
            "A CT has 0.5 to 1.2 mg/cm3 per HU; another unit makes strength wrong by thousands.",
            "Give slope [mg/cm3 per HU], intercept [mg/cm3] and kind (k2hpo4, ha, ash or app): 0.8,5,k2hpo4.",
        )
    settings = calibrations()
    half = settings["band_phantom"].number * (1.0 if contrast is False else settings["contrast_widens"].number)
    notes = ["The line was given by hand."]
    if contrast is not False:
        notes.append("Contrast agent was given, or it is not known: the band is wider.")
    return Calibration(
        "given", kind, slope * 1e-3, intercept * 1e-3, 0.0, (), (1 - half, 1 + half), (settings["band_phantom"].source,),
        tuple(notes),
    )  # fmt: skip


def _plausible(milligrams: Array, image: Volume, kind: str, bone: Structure) -> None:
    """Refuse densities that no bone has."""
    densest, least = float(np.percentile(milligrams, 99.9)), float(np.percentile(milligrams, 0.5))
    most = limit(f"densest_{kind}")
    metal_ml = float((milligrams > limit("metal_density")).sum()) * image.grid.voxel_mm3 / 1e3
    if metal_ml > limit("metal_least_ml"):
        raise InputError(
            f"{metal_ml:.2f} ml of the {bone.name} exceed {limit('metal_density') / 1e3:g} g/cm3: metal, or another unit.",
            "A density image does not tell metal from bone, and its streaks spoil what lies near.",
            "Give the CT in HU (--density-unit hu), where metal is found and kept as an implant.",
        )
    if densest > most:
        raise _wrong(
            f"The densest {bone.name} has {densest:.0f} mg/cm3 of {KINDS[kind]}; solid cortex has less than {most:.0f}.", "HU"
        )
    if least < limit("least_density"):
        raise _wrong(f"The {bone.name} holds {least:.0f} mg/cm3: less than nothing.", "HU with air in it")


def _no_air(image: Volume, kind: str) -> None:
    """Refuse an image with the numbers of air: it was not calibrated."""
    some = image.array[:: max(1, image.array.shape[0] // 60)]
    share = float((np.abs(some + 1000.0) < 20.0).mean())
    if share > limit("air_share"):
        raise _wrong(
            f"{100 * share:.0f} % of the image lie at -1000, as air does in HU; {KINDS[kind]} of air is no such number.", "HU"
        )


def _wrong(what: str, seems: str) -> UnitError:
    do = (
        "Give --density-unit hu."
        if seems.startswith("HU")
        else "Give the kind of density: --density-unit k2hpo4, ha, ash or app."
    )
    return UnitError(what, f"It seems to be in {seems}. {WRONG}", f"{do} If the image was calibrated, set air to 0 in it.")
