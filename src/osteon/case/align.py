"""Decides which studies may be laid over the planning CT, and by what: the images, or headers that the images confirm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

import numpy as np

from osteon.cache import Cache, key
from osteon.case.model import Case, Study
from osteon.errors import ImageError, MissingError
from osteon.io.register_match import number
from osteon.io.register_result import Registration, root_mean_square
from osteon.space.volume import Array, Grid, Volume

Observe = Callable[[float], None]
Aligning = Callable[[str, float], None]
By = Literal["itself", "images", "headers", "nothing"]
MOST_POINTS = 200


def register(*images: Volume, **settings: Any) -> Registration:
    """Register two images; what it needs is loaded at the first call, so that a case of one image starts without it."""
    from osteon.io.register import register as found

    return found(*images, **settings)


@dataclass(frozen=True, eq=False)
class Alignment:
    """What was decided for one study.

    Parameters
    ----------
    study_id : str
        Of the study.
    accepted : bool
        Whether it may be laid over the planning CT.
    registration : Registration or None
        What was found, also where it was refused; None for the planning CT itself.
    text : str
        The decision in words, for the report.
    by : {"itself", "images", "headers", "nothing"}
        What places it: the registration, or the headers, confirmed by the registration.
    transform : ndarray or None
        4 x 4 from the study to the planning CT, LPS mm; None where not accepted.
    error_mm : float or None
        Estimated error at the lesion [mm].
    date : datetime.date or None
        Of the study. It stays a study of that day: aligning never dates its findings anew.
    days : int or None
        Days after the planning CT, negative for earlier; None where a date is unknown.
    headers_contradicted : bool
        The headers place an image of the same or an unknown day somewhere else than the images do, by more than the error.
    """

    study_id: str
    accepted: bool
    registration: Registration | None
    text: str
    by: By = "nothing"
    transform: Array | None = None
    error_mm: float | None = None
    date: date | None = None
    days: int | None = None
    headers_contradicted: bool = False

    def error_at(self, mm: Array) -> float:
        """Return the estimated error at points (n, 3) of the planning CT [mm]; it grows away from where the images agree.

        Raises
        ------
        ImageError
            If the alignment was not accepted.
        """
        if not self.accepted or self.transform is None or self.error_mm is None:
            raise self._refused()
        if self.registration is None or not len(mm):
            return self.error_mm
        if self.by == "images":
            return self.registration.error_at(mm)
        gap = root_mean_square(self.registration.to_fixed(mm) - np.asarray(mm, float))
        return max(gap, self.error_mm)

    def _refused(self) -> ImageError:
        return ImageError(
            f"Study {self.study_id} is not aligned to the planning CT: {self.text}",
            "What is drawn on it would lie in the wrong place.",
            "Draw it on the planning CT, or give an image that aligns.",
        )

    def carry(self, volume: Volume, grid: Grid, *, fill: float = 0.0) -> Volume:
        """Return an image or outline of this study on a grid of the planning CT.

        Raises
        ------
        ImageError
            If the alignment was not accepted.
        """
        if not self.accepted or self.transform is None:
            raise self._refused()
        return Volume.of(volume.array, self.transform @ volume.grid.matrix).resample(grid, fill=fill)


def align(case: Case, *, observe: Aligning | None = None) -> tuple[Alignment, ...]:
    """Align every study of a case to its planning CT.

    Parameters
    ----------
    case : Case
        With a planning CT.
    observe : callable or None
        Is told "aligning mr1" and the fraction of it done.

    Returns
    -------
    tuple of Alignment
        One per study, in their order; each keeps its own date.

    Raises
    ------
    MissingError
        If there is no planning CT.
    """
    planning = case.planning_image
    if planning is None:
        raise MissingError(
            f"The case of {case.patient} has no CT to align to.",
            "Plans are made on a CT; other images are laid over it.",
            "Add a CT of the region under `studies`.",
        )
    target = _target([lesion.mask for lesion in case.lesions if lesion.mask is not None])
    return tuple(align_study(planning, s, target_mm=target, observe=_named(observe, s)) for s in case.studies)


def aligned(
    studies: Sequence[Study],
    reference: Study | None,
    masks: Sequence[Volume],
    cache: Cache | None = None,
    stamps: Mapping[str, str] | None = None,
    observe: Aligning | None = None,
) -> tuple[Alignment, ...]:
    """Align every other study to the planning CT, or read from the cache what was found for the same files.

    Parameters
    ----------
    studies : sequence of Study
        Of the case.
    reference : Study or None
        The planning CT; nothing is aligned to an MR or PET.
    masks : sequence of Volume of bool
        Outlines of the lesions on the planning CT, where the error counts.
    cache : Cache or None
        Keeps what was found, study by study: a changed chart costs nothing.
    stamps : mapping of str to str
        Study id to what its voxels come from: digest of the file, and the series asked for.
    observe : callable or None
        Is told "aligning mr1" and the fraction of it done.

    Returns
    -------
    tuple of Alignment
        One for each study but the planning CT; none where there is no CT.
    """
    if reference is None or reference.modality != "CT":
        return ()
    target = _target(masks)
    found = []
    for study in studies:
        if study is reference:
            continue

        def compute(study: Study = study) -> Alignment:
            return align_study(reference, study, target_mm=target, observe=_named(observe, study))

        pair = [(s.id, s.modality, s.date, (stamps or {}).get(s.id)) for s in (reference, study)]
        if cache is None or any(stamp is None for *_, stamp in pair):
            found.append(compute())
        else:
            found.append(cache.get_or("align", key("align", {"pair": pair, "target": target}), compute))
    return tuple(found)


def _named(observe: Aligning | None, study: Study) -> Observe | None:
    return None if observe is None else lambda done: observe(f"aligning {study.id}", done)


def _target(masks: Sequence[Volume]) -> Array | None:
    """Return points of the lesions, LPS mm; None where none is outlined on the planning CT."""
    drawn = [points_of(mask) for mask in masks if mask.box() is not None]
    return np.vstack(drawn) if drawn else None


def align_study(
    planning: Study, study: Study, *, target_mm: Array | None = None, initial: Array | None = None, observe: Observe | None = None
) -> Alignment:
    """Decide whether one study may be laid over the planning CT.

    Headers are never believed unseen: equal affines or one frame of reference may still show two places. They stand only where
    the images, searched over all shifts, end near them although their own estimate is too coarse to be used alone, and only for
    images that are not of two days: a patient never lies down twice in the same place. The gap between the two answers is the
    error told then.

    Parameters
    ----------
    planning, study : Study
        The CT and the other image.
    target_mm : ndarray or None
        Points (n, 3) where the error counts, LPS mm of the planning CT.
    initial : ndarray or None
        A start, 4 x 4 from study to planning CT.
    observe : callable or None
        Is told the fraction done.

    Returns
    -------
    Alignment
        Accepted or not, and why.
    """
    days = (study.date - planning.date).days if study.date and planning.date else None
    if study is planning:
        return Alignment(study.id, True, None, "the planning CT", "itself", np.eye(4), 0.0, study.date, 0)
    try:
        found = register(
            planning.volume,
            study.volume,
            fixed_mask=planning.imaged,
            moving_mask=study.imaged,
            initial=initial,
            target_mm=target_mm,
            observe=observe,
        )
    except ImageError as error:
        return Alignment(study.id, False, None, f"{study.id} ({_when(days)}) is not aligned: {error}", date=study.date, days=days)
    place = "at the lesion" if target_mm is not None else "in the middle of what both show"
    return _decided(planning, study, found, days, place, initial is None and days in (None, 0))


def _decided(planning: Study, study: Study, found: Registration, days: int | None, place: str, same_day: bool) -> Alignment:
    """Decide on what was found; headers count only of ``same_day``, which a day that nobody knows may be."""
    label = f"{study.id} ({study.modality}, {_when(days)})"
    refused = Alignment(study.id, False, found, "", date=study.date, days=days)
    other = _other_patient(planning, study, found)
    if other:
        return replace(refused, text=f"{label} is not aligned, and not shown over the planning CT: {other}")
    outside = _outside(found, study) if place == "at the lesion" else None
    if outside is not None:
        return replace(refused, text=f"{label} is not aligned at the lesion: {outside}")
    if found.ended == "converged":
        gone = found.header_gap_mm > max(found.error_mm, number("largest_error_mm"))
        text = f"{label} is aligned by its image: estimated error {found.error_mm:.1f} mm {place} {_figures(found)}"
        if gone and same_day:
            text += (
                f" WARNING: its headers place it {found.header_gap_mm:.0f} mm from where the image fits; they are not used. "
                "Check that it is the same patient and that the file was not cropped or moved."
            )
        elif gone:
            text += f" Its headers, of another day, place it {found.header_gap_mm:.0f} mm from there; they are not used."
        gone = gone and same_day
        return Alignment(study.id, True, found, text, "images", found.transform, found.error_mm, study.date, days, gone)
    if same_day and _only_coarse(found) and found.header_gap_mm <= number("largest_error_mm"):
        gap_mm = max(found.header_gap_mm, _floor(planning, study))
        text = (
            f"{label} stays where its headers place it: the images, searched over all shifts, end {found.header_gap_mm:.1f} mm "
            f"from there {place}; their own estimate ({found.error_mm:.1f} mm) is too coarse to move it. "
            f"Estimated error {gap_mm:.1f} mm."
        )
        return Alignment(study.id, True, found, text, "headers", np.eye(4), gap_mm, study.date, days)
    why = " ".join(str(r) for r in found.refusals)
    return replace(refused, text=f"{label} is not aligned, and not shown over the planning CT: {why}")


def _figures(found: Registration) -> str:
    return (
        f"(forth and back {found.inverse_consistency_mm:.1f} mm, restarts {found.restarts_spread_mm:.1f} mm, "
        f"halves {found.halves_spread_mm:.1f} mm; overlap {100 * found.overlap_fraction:.0f} %)."
    )


def _other_patient(planning: Study, study: Study, found: Registration) -> str:
    """Say why two CT may be of two patients; empty where they agree well enough, and for other kinds of image."""
    least = number("least_information_of_two_ct")
    if not planning.modality == study.modality == "CT" or found.metric >= least:
        return ""
    return (
        f"the two CT agree too little for one patient (entropy correlation {found.metric:.2f}, least {least:g}). "
        "Bones of two people can be made to fit within a few millimetres. "
        "Check that both are of this patient and this region."
    )


def _only_coarse(found: Registration) -> bool:
    """Tell whether nothing but the size of its error speaks against a registration."""
    return (
        len(found.refusals) == 1
        and found.error_mm > number("largest_error_mm")
        and (
            found.inverse_consistency_mm <= number("largest_inverse_mm")
            and found.restarts_spread_mm <= number("largest_restarts_mm")
        )
        and found.overlap_fraction >= number("least_overlap")
        and found.metric >= number("least_information")
    )


def _floor(planning: Study, study: Study) -> float:
    coarser = np.maximum(planning.volume.spacing_mm, study.volume.spacing_mm)
    return number("cover_factor") * number("floor_fraction") * float(np.linalg.norm(coarser))


def _outside(found: Registration, study: Study) -> str | None:
    """Say where most of the target lies outside the study."""
    if found.ended == "refused" or found.target_mm is None:
        return None
    seen = study.imaged.sample(found.to_moving(found.target_mm), fill=0.0) > 0.5
    if seen.mean() >= 0.5:
        return None
    return (
        f"only {100 * float(seen.mean()):.0f} % of it lies in the field of that image. "
        "An error told there would be a guess. Give an image that shows the lesion."
    )


def _when(days: int | None) -> str:
    if days is None:
        return "day unknown"
    if days == 0:
        return "same day"
    return f"{abs(days)} {'day' if abs(days) == 1 else 'days'} {'after' if days > 0 else 'before'} the planning CT"


def points_of(mask: Volume) -> Array:
    """Return at most 200 points of an outline, LPS mm."""
    box = mask.box()
    if box is None:
        return np.empty((0, 3))
    index = np.argwhere(mask.part(box)) + np.array([s.start for s in box])
    return mask.grid.to_mm(index[:: max(1, len(index) // MOST_POINTS)])
