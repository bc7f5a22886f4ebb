"""Every load case, by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from osteon.assessment.loads.base import Builder
from osteon.assessment.measure_base import family
from osteon.errors import InputError
from osteon.space.anatomy import Structure


@cache
def builders() -> Mapping[str, Builder]:
    """Return every builder of a load case, by name."""
    from osteon.assessment.loads.femur import FemurStair, FemurStance, FemurStumble
    from osteon.assessment.loads.long_bone import Bending, Torsion
    from osteon.assessment.loads.relative import PelvisStance, RelativeCompression
    from osteon.assessment.loads.vertebra import VertebraCompression, VertebraFlexion

    every: tuple[Builder, ...] = (
        VertebraCompression(), VertebraFlexion(), FemurStance(), FemurStair(), FemurStumble(), Bending(), Torsion(),
        PelvisStance(), RelativeCompression(),
    )  # fmt: skip
    return {each.name: each for each in every}


def builder(name: str) -> Builder:
    """Return one builder.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in builders():
        raise InputError(
            f"There is no load case {name!r}.",
            "Strength is the answer to one load; which one decides the number.",
            f"Use one of: {', '.join(builders())}.",
        )
    return builders()[name]


def cases_for(bone: Structure) -> tuple[Builder, ...]:
    """Return the load cases that a bone can be asked for, the usual one first."""
    kind = family(bone)
    return tuple(b for b in builders().values() if any(kind == f or kind.startswith(f"{f}_") for f in b.families))
