r"""How much shorter heated soft tissue becomes: a zone is measured after it has contracted, and simulated before.

A length of tissue l keeps :math:`(1-\varepsilon(T))\,l`, T the highest temperature it reached; areas keep the square of that,
volumes the cube. The shares :math:`\varepsilon` are those of porcine liver held for 15 min at one temperature (Rossmann 2014),
straight lines between them, none up to 50 °C and no more above 95 °C. Bone does not contract.
"""

from __future__ import annotations

import numpy as np

from osteon.evidence.value import Value, values_in
from osteon.space.shapes import ScalarField


def laws() -> dict[str, Value]:
    """Return the numbers of ``contraction.yaml``, by name."""
    return values_in("osteon.physics", "contraction.yaml")


def kept(peak_c: ScalarField) -> ScalarField:
    """Return the share of its length that tissue keeps [1].

    Parameters
    ----------
    peak_c : ndarray, shape (z, y, x)
        Highest temperature [°C].

    Returns
    -------
    ndarray, shape (z, y, x)
        Between 0 and 1.

    Examples
    --------
    >>> [round(float(v), 4) for v in kept(np.array([37.0, 60.0, 80.0, 200.0]))]
    [1.0, 0.877, 0.821, 0.783]
    """
    found = laws()
    points = sorted((float(name.removeprefix("at_")), value.number) for name, value in found.items() if name.startswith("at_"))
    at = [found["onset"].number, *(t for t, _ in points)]
    return np.asarray(1.0 - np.interp(peak_c, at, [0.0, *(e for _, e in points)]))
