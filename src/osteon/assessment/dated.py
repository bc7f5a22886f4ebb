"""What the dates of the images mean: an old planning CT, and a newer one that is not planned on."""

from __future__ import annotations

from osteon.assessment.measure_base import threshold
from osteon.case.model import Case, Study


def date_cautions(case: Case) -> tuple[str, ...]:
    """Return what a reader must know of the dates of the images, one sentence each.

    Parameters
    ----------
    case : Case
        As loaded, with its alignments.
    """
    planning = case.planning_image
    if planning is None:
        return ()
    return (*_age(case, planning), *_others(case, planning))


def _age(case: Case, planning: Study) -> list[str]:
    most = threshold("planning_ct_valid_days")
    if planning.date is None:
        return ["the planning CT has no date: how old it is cannot be told; give its `date`"]
    if case.date is None:
        return []
    age = (case.date - planning.date).days
    if age < 0:
        return [f"the planning CT is dated {planning.date.isoformat()}, after the chart: one of the two dates is wrong"]
    if age > most:
        return [
            f"the planning CT is {age} days old (good for {most:g}): the lesion may have grown since; "
            "needs a new one before a treatment is planned on it"
        ]
    return []


def _others(case: Case, planning: Study) -> list[str]:
    """Say which other CT may be the better one to plan on."""
    said = []
    aligned = {a.study_id: a for a in case.alignments}
    for study in case.studies:
        if study.modality != "CT" or study.id == planning.id:
            continue
        found = aligned.get(study.id)
        same_region = found is not None and found.accepted
        if planning.date is None or study.date is None:
            if same_region and not planning.planning:
                said.append(
                    f"{study.id} is a CT of the same region, and which of the two is newer cannot be told: "
                    f"{planning.id} is planned on; give the dates, or mark one with `planning: true`"
                )
            continue
        days = (study.date - planning.date).days
        if days > 0:
            shows = "shows the same region" if same_region else "could not be aligned; look whether it shows the lesion"
            chosen = "the case file chose it" if planning.planning else "mark the newer with `planning: true` and outline on it"
            said.append(f"{study.id} is a CT {_days(days)} newer than the planning CT {planning.id} and {shows}: {chosen}")
        elif days == 0 and same_region and not planning.planning:
            said.append(
                f"{study.id} is a CT of the same day and region as {planning.id}, which is planned on because it stands first; "
                "mark the right one with `planning: true`"
            )
    return said


def _days(days: int) -> str:
    return f"{days} day" if days == 1 else f"{days} days"
