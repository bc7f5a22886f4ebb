"""Decides which studies may be laid over the planning CT, and by what: the images, or headers that the images confirm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from osteon.case.model import Case, Study
from osteon.errors import ImageError, MissingError
from osteon.io.register import Registration, register
from osteon.io.register_match import number
from osteon.space.volume import Array, Grid, Volume

Observe = Callable[[float], None]
By = Literal["itself", "images", "headers", "nothing"]


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
        The headers place it somewhere else than the images do, by more than the error.
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

    def carry(self, volume: Volume, grid: Grid, *, fill: float = 0.0) -> Volume:
        """Return an image or outline of this study on a grid of the planning CT.

        Raises
        ------
        ImageError
            If the alignment was not accepted.
        """
        if not self.accepted or self.transform is None:
            raise ImageError(
                f"Study {self.study_id} is not aligned to the planning CT: {self.text}",
                "What is drawn on it would lie in the wrong place.",
                "Draw it on the planning CT, or give an image that aligns.",
            )
        return Volume.of(volume.array, self.transform @ volume.grid.matrix).resample(grid, fill=fill)


def align(case: Case, *, observe: Observe | None = None) -> tuple[Alignment, ...]:
    """Align every study of a case to its planning CT.

    Parameters
    ----------
    case : Case
        With the first CT as planning image.
    observe : callable or None
        Is told the fraction done.

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
    masks = [lesion.mask for lesion in case.lesions if lesion.mask is not None]
    target = np.vstack([_points(mask) for mask in masks]) if masks else None
    found = []
    for i, study in enumerate(case.studies):
        share = _shared(observe, i, len(case.studies))
        found.append(align_study(planning, study, target_mm=target, observe=share))
    return tuple(found)


def align_study(
    planning: Study, study: Study, *, target_mm: Array | None = None, initial: Array | None = None, observe: Observe | None = None
) -> Alignment:
    """Decide whether one study may be laid over the planning CT.

    Headers are never believed unseen: equal affines or one frame of reference may still show two places. They stand only where
    the images, searched over all shifts, end near them although their own estimate is too coarse to be used alone; two
    independent answers then differ by at least the error of either, so their gap is the error told.

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
    when = _when(days)
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
        return Alignment(study.id, False, None, f"{study.id} ({when}) is not aligned: {error}", date=study.date, days=days)
    label = f"{study.id} ({study.modality}, {when})"
    outside = _outside(found, study) if target_mm is not None else None
    if outside is not None:
        text = f"{label} is not aligned at the lesion: {outside}"
        return Alignment(study.id, False, found, text, date=study.date, days=days)
    if found.ended == "converged":
        apart = found.header_gap_mm > max(found.error_mm, number("largest_error_mm"))
        text = (
            f"{label} is aligned by its image: estimated error {found.error_mm:.1f} mm at the lesion "
            f"(forth and back {found.inverse_consistency_mm:.1f} mm, restarts {found.restarts_spread_mm:.1f} mm, "
            f"halves {found.halves_spread_mm:.1f} mm; overlap {100 * found.overlap_fraction:.0f} %)."
        )
        if apart:
            text += (
                f" WARNING: its headers place it {found.header_gap_mm:.0f} mm from where the image fits; they are not used. "
                "Check that it is the same patient and that the file was not cropped or moved."
            )
        return Alignment(study.id, True, found, text, "images", found.transform, found.error_mm, study.date, days, apart)
    if _only_coarse(found) and found.header_gap_mm <= number("largest_error_mm") and initial is None:
        gap_mm = max(found.header_gap_mm, _floor(planning, study))
        text = (
            f"{label} stays where its headers place it: the images, searched over all shifts, end {found.header_gap_mm:.1f} mm "
            f"from there at the lesion; their own estimate ({found.error_mm:.1f} mm) is too coarse to move it. "
            f"Estimated error {gap_mm:.1f} mm."
        )
        return Alignment(study.id, True, found, text, "headers", np.eye(4), gap_mm, study.date, days)
    text = f"{label} is not aligned, and not shown over the planning CT: " + " ".join(str(r) for r in found.refusals)
    return Alignment(study.id, False, found, text, date=study.date, days=days)


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


def _points(mask: Volume) -> Array:
    """Return at most 200 points of an outline, LPS mm."""
    index = np.argwhere(mask.array)
    return mask.grid.to_mm(index[:: max(1, len(index) // 200)])


def _shared(observe: Observe | None, index: int, count: int) -> Observe | None:
    if observe is None:
        return None
    return lambda done: observe((index + done) / count)
