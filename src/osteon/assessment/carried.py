"""What it means that an outline was drawn on another study than the planning CT: its error, and that of what follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from osteon.case.model import Case, Lesion
from osteon.space.anatomy import Anatomy, Structure, structure

LESION, OTHER = structure("lesion"), structure("other_lesion")
MADE_FROM = {"joint": ("bone",), "skin": ("body",)}
"""Kinds that osteon derives where nobody drew them, and the kinds that they are derived from."""


def with_errors(anatomy: Anatomy, case: Case) -> Anatomy:
    """Return the anatomy with the errors of outlines that were carried over, and of what was derived from them.

    Parameters
    ----------
    anatomy : Anatomy
        What all lesions share.
    case : Case
        Whose outlines they are.
    """
    error = {key: mm for key, mm in case.outline_error_mm.items() if key in anatomy.masks}
    study = {key: case.outline_study[key] for key in error if key in case.outline_study}
    for key in anatomy.masks:
        if key in case.masks or key.kind not in MADE_FROM:
            continue
        sources = [k for k in error if k.kind in MADE_FROM[key.kind]]
        if sources:
            worst = max(sources, key=lambda k: (error[k], k.id))
            error[key] = error[worst]
            study |= {key: study[worst]} if worst in study else {}
    return replace(anatomy, error_mm=error, drawn_on=study)


def with_lesion_errors(anatomy: Anatomy, lesion: Lesion, others: Iterable[Lesion]) -> Anatomy:
    """Return the anatomy with the error of the lesion and of the other lesions.

    Parameters
    ----------
    anatomy : Anatomy
        With their outlines.
    lesion : Lesion
        The one that is looked at.
    others : iterable of Lesion
        The rest of the case.
    """
    error: dict[Structure, float] = dict(anatomy.error_mm)
    study: dict[Structure, str] = dict(anatomy.drawn_on)
    rest = [each for each in others if each.mask is not None]
    worst = max(rest, key=lambda each: each.outline_error_mm, default=None)
    for key, each in ((LESION, lesion), (OTHER, worst)):
        if each is not None and each.outline_error_mm > 0:
            error[key] = each.outline_error_mm
            study |= {key: each.outline_study} if each.outline_study else {}
    return replace(anatomy, error_mm=error, drawn_on=study)


def carried_cautions(anatomy: Anatomy) -> list[str]:
    """Return what a reader must know of outlines that were carried over, one sentence each."""
    said = []
    if LESION in anatomy.error_mm:
        said.append(
            f"the lesion was {anatomy.carried_in_words(LESION)}: its place on the planning CT, the HU read in it and every "
            "margin are uncertain by as much"
        )
    rest = sorted(s for s in anatomy.error_mm if s not in (LESION, OTHER))
    if rest:
        listed = ", ".join(f"{s.name} ({anatomy.carried_in_words(s)})" for s in rest)
        said.append(f"not drawn on the planning CT: {listed}; distances to them are told with that error")
    return said
