r"""What one flat face between any two media does to a plane wave that arrives from either side, exactly.

Amplitudes are of :math:`\rho\omega^2` times the potential, as in ``acoustic_layers``; the unknown waves that leave the face solve
the conditions of ``acoustic_states``: normal displacement and stress go on, between solids the tangential ones too, and at a
fluid the shear stress vanishes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from osteon.physics.acoustic_layers import Medium, waves
from osteon.physics.acoustic_states import conditions

Array = np.ndarray[Any, np.dtype[Any]]


def scatter(upper: Medium, lower: Medium, frequency_hz: float, transverse_per_m: Array, *, down: bool) -> Array:
    r"""Return the amplitudes that leave a face for unit amplitudes that arrive.

    Parameters
    ----------
    upper, lower : Medium
        Above and below the face; z runs down.
    frequency_hz : float
        Frequency.
    transverse_per_m : ndarray, shape (n,)
        Transverse wavenumber [1/m].
    down : bool
        The wave arrives from above; else from below.

    Returns
    -------
    ndarray of complex, shape (out, arriving, n)
        Arriving: longitudinal and, in a solid, shear. Out: the same of the medium it came from (sent back), then of the other one
        (going on). Shear is the potential along :math:`\hat z\times\hat k`, whichever way the wave goes.

    Examples
    --------
    >>> one = scatter(Medium(1000.0, 1500.0), Medium(1850.0, 2800.0), 1e6, np.zeros(1), down=True)
    >>> np.round(one[:, 0, 0].real, 4)
    array([0.5509, 1.5509])
    """
    xi = np.asarray(transverse_per_m, float)
    k_first = 2 * math.pi * frequency_hz / min(upper.speed_m_s, lower.speed_m_s)
    states = []
    for medium in (upper, lower):
        state, _ = waves(medium, frequency_hz, xi)
        state[:2] *= upper.density_kg_m3 / (medium.density_kg_m3 * k_first)  # displacements comparable between media
        states.append(state)
    above, below = states
    modes_above, modes_below = above.shape[1] // 2, below.shape[1] // 2
    leaving = (above[:, modes_above:], below[:, :modes_below])
    arriving = above[:, :modes_above] if down else below[:, modes_below:]
    rows = conditions(upper, lower)
    size = modes_above + modes_below
    matrix = np.zeros((len(xi), size, size), complex)
    right = np.zeros((len(xi), size, arriving.shape[1]), complex)
    for row, (kind, has_upper, has_lower) in enumerate(rows):
        if has_upper:
            matrix[:, row, :modes_above] = leaving[0][kind].T
        if has_lower:
            matrix[:, row, modes_above:] = -leaving[1][kind].T
        if (down and has_upper) or (not down and has_lower):
            right[:, row] = (-1 if down else 1) * arriving[kind].T
    found = np.linalg.solve(matrix, right).transpose(1, 2, 0)
    return found if down else np.concatenate([found[modes_above:], found[:modes_above]])
