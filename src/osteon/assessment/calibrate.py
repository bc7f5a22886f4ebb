"""The density calibration of a patient's CT: phantom rods where there are any, else the patient's own tissues, else none, stated.

The order of choice, and why:

1. ``phantom``: rods in the same scan say what this scanner does.
2. ``air-fat-muscle``: failure loads by it did not differ from a phantom's in 67 femurs (Eggermont 2019). It cannot see the energy
   of the scan.
3. ``composition``: exact on tissues of known composition, but this project's own, and no better than the cortex that was sampled.
4. ``internal`` (Michalski 2020): published, but low in mineral on tissues of known composition.
5. ``none``: the line of another scanner; only ratios within the image mean anything.

3 and 4 are chosen only where the cortex that was sampled is solid. What could be done beside the choice is in ``others``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from osteon.assessment.calibrate_samples import Point, Sampled, sample
from osteon.errors import InputError, MissingError, OsteonError
from osteon.space.anatomy import Anatomy, Structure
from osteon.tissue.bone_density import Density
from osteon.tissue.calibration import (
    METHODS,
    Calibration,
    from_air_fat_muscle,
    from_composition,
    from_internal,
    from_phantom,
    not_calibrated,
)
from osteon.tissue.calibration_peaks import settings

ORDER = ("phantom", "air-fat-muscle", "composition", "internal")


@dataclass(frozen=True, eq=False)
class Rods:
    """The rods of a phantom that lies in the image.

    Parameters
    ----------
    hu : tuple of float
        Mean Hounsfield number of each.
    density : Density
        What its maker says of each.
    water_mg_cm3 : tuple of float or None
        Water-equivalent density of each, where the certificate gives it beside K2HPO4.
    """

    hu: tuple[float, ...]
    density: Density
    water_mg_cm3: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The calibration of one image, and what else could be done on it.

    Parameters
    ----------
    chosen : Calibration
        The one that strength uses.
    others : tuple of Calibration
        The other methods that could be done on this image, in the order of choice.
    where : mapping of str to (int, point)
        By sampled tissue: voxels that were read, and their middle, LPS mm.
    refused : mapping of str to str
        By method that was not possible: "cannot tell: ..." with why and what to do.
    notes : tuple of str
        What a reader must know of samples and choice.
    """

    chosen: Calibration
    others: tuple[Calibration, ...]
    where: Mapping[str, tuple[int, Point]]
    refused: Mapping[str, str]
    notes: tuple[str, ...]


def calibrate(
    anatomy: Anatomy, *, method: str | None = None, rods: Rods | None = None, bone: Structure | None = None
) -> Calibrated:
    """Find the line from Hounsfield numbers to density for a patient's CT.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT in canonical axes. Nothing is read in its lesions, nor where metal spoils it.
    method : {"phantom", "air-fat-muscle", "internal", "composition", "none"}, optional
        Which one; the best that is possible if None.
    rods : Rods, optional
        Of a phantom in the image.
    bone : Structure, optional
        The bone in question; its cortex is sampled only where no other bone has any.

    Returns
    -------
    Calibrated
        ``chosen`` is "none" where nothing else was possible, and says so.

    Raises
    ------
    InputError
        If the method is unknown.
    MissingError
        If there is no CT, or the method that was asked for is not possible on this image.
    """
    if method == "given":
        raise InputError(
            "The calibration method 'given' cannot be found on an image.",
            "It is a line from elsewhere, and none came with it.",
            "Give the line itself (`calibration` of strength_of, or --calibration-line), or leave the method open.",
        )
    if method is not None and method not in METHODS:
        raise InputError(
            f"There is no calibration method {method!r}.",
            "Each method gives another kind of density.",
            f"Use one of: {', '.join(METHODS)}.",
        )
    sampled = sample(anatomy, bone)
    made: dict[str, Calibration] = {}
    refused: dict[str, str] = {}
    for name in ORDER:
        try:
            made[name] = _WAYS[name](sampled, rods)
        except OsteonError as error:
            refused[name] = error.do if error.do.startswith("cannot tell:") else f"cannot tell: {error.what} {error.do}"
    chosen = _choice(method, made, refused, sampled)
    others = tuple(c for c in made.values() if c.method != chosen.method)
    notes = list(sampled.notes)
    if method is None and chosen.method == "none":
        notes.append("No method was possible: " + "; ".join(f"{k}: {v}" for k, v in refused.items()))
    return Calibrated(chosen, others, sampled.where, refused, tuple(notes))


def _choice(method: str | None, made: Mapping[str, Calibration], refused: Mapping[str, str], sampled: Sampled) -> Calibration:
    """Return the method that was asked for, else the first in order that can be trusted, else none."""
    if method == "none":
        return not_calibrated(sampled.contrast)
    if method is not None:
        if method not in made:
            raise MissingError(
                f"The calibration by {method} is not possible on this image.",
                f"Density by another method would be of another kind or band than what was asked for. {refused[method]}",
                f"Do what is missing, or leave the method open: {', '.join(made) or 'none'} is possible.",
            )
        return made[method]
    usable = [n for n in ORDER if n in made and (sampled.solid or n not in ("composition", "internal"))]
    return made[usable[0]] if usable else not_calibrated(sampled.contrast)


def _phantom(sampled: Sampled, rods: Rods | None) -> Calibration:
    if rods is None:
        raise MissingError(
            "No rods of a phantom were given.",
            "Only they say what this scanner does.",
            "cannot tell: no rods of a phantom were given: scan with a phantom, or name its rods",
        )
    return from_phantom(rods.hu, rods.density, sampled.contrast, rods.water_mg_cm3)


def _air_fat_muscle(sampled: Sampled, _: Rods | None) -> Calibration:
    return from_air_fat_muscle(_needed(sampled, ("air", "fat", "muscle")), sampled.contrast)


def _composition(sampled: Sampled, _: Rods | None) -> Calibration:
    bone, least = _needed(sampled, ("bone",))["bone"], settings()["least_cortex_hu"].number
    if bone < least:
        raise MissingError(
            f"The densest cortex that was found has {bone:.0f} HU.",
            "It is mixed with what lies round it, and would be taken for solid bone.",
            f"cannot tell: the densest cortex that was found has {bone:.0f} HU, no solid cortex: needs a CT with thinner slices",
        )
    hu = {"bone": bone, **{k: v for k, v in sampled.hu.items() if k in ("blood", "muscle")}}
    if "fat" in sampled.hu:
        hu["adipose"] = sampled.hu["fat"]
    return from_composition(hu, sampled.contrast)


def _internal(sampled: Sampled, _: Rods | None) -> Calibration:
    if sampled.contrast is None:
        raise MissingError(
            "Nobody stated whether contrast agent was given.",
            "The internal calibration takes blood for plain blood.",
            "cannot tell: nobody stated whether contrast agent was given: state it for this CT",
        )
    hu = _needed(sampled, ("air", "fat", "muscle", "blood", "bone"))
    return from_internal({"adipose": hu.pop("fat"), **hu}, sampled.contrast)


def _needed(sampled: Sampled, tissues: tuple[str, ...]) -> dict[str, float]:
    """Return the HU of tissues; raise with what to do about the first that was not found."""
    for tissue in tissues:
        if tissue in sampled.missing:
            raise MissingError(f"No {tissue} was found.", "The calibration rests on it.", sampled.missing[tissue])
    return {t: sampled.hu[t] for t in tissues}


_WAYS: Mapping[str, Callable[[Sampled, Rods | None], Calibration]] = {
    "phantom": _phantom,
    "air-fat-muscle": _air_fat_muscle,
    "composition": _composition,
    "internal": _internal,
}
