"""What elasticity.py refuses to solve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from osteon.physics.elasticity import Model, Support

Array = np.ndarray[Any, np.dtype[Any]]


def check(model: Model, support: Support, forces: Array | None, start: Array | None, tolerance: float) -> None:
    """Refuse what cannot be solved."""
    e, why = model.modulus_pa, "The result would be no number or a wrong one."
    if e.ndim != 3 or not np.isfinite(e).all() or (e < 0.0).any():
        raise InputError(
            f"The modulus (shape {e.shape}) is not 3-D, not finite or negative.", why, "Give pascals, 0 where nothing is."
        )
    if not -1.0 < model.poisson < 0.5 or not (model.spacing_m > 0.0 and math.isfinite(model.spacing_m)) or not tolerance > 0.0:
        raise InputError(
            f"Poisson's ratio {model.poisson}, spacing {model.spacing_m} m, tolerance {tolerance}: one is out of range.", why,
            "Give a ratio above -1 and below 0.5, a spacing and a tolerance above 0.",
        )  # fmt: skip
    expected = (*(n + 1 for n in e.shape), 3)
    if support.mask.dtype != bool:
        raise InputError(
            f"The support mask holds {support.mask.dtype}, not bool.", why, "Give True where a displacement is prescribed."
        )
    given = {"support mask": support.mask, "given displacement": support.displacement_m, "forces": forces, "start": start}
    for name, array in given.items():
        if array is not None and array.shape != expected:
            raise InputError(
                f"The {name} has shape {array.shape}, the nodes have {expected}.", why, "Give one value per node and axis."
            )
        if array is not None and not np.isfinite(array[support.mask] if name == "given displacement" else array).all():
            raise InputError(f"The {name} holds values that are no numbers.", why, "Give finite values, in metres and newtons.")
