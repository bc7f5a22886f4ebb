"""The coarsest grid of elasticity_levels.py: Cholesky factors of a band matrix, on one thread.

``band[j, i]`` is entry (j + i, j). LAPACK's own asks the threads of its library for a few milliseconds of work, and on a busy
machine waits for them for seconds.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

FAST = {"cache": True, "fastmath": True, "error_model": "numpy"}


@njit(**FAST)
def assemble(band, index, modulus, stiffness):
    """Add elements of the places ``index``, below 0 where nothing moves."""
    for element in range(index.shape[0]):
        for a in range(24):
            j = index[element, a]
            if j >= 0:
                for b in range(24):
                    i = index[element, b]
                    if i >= j:
                        band[j, i - j] += modulus[element] * stiffness[b, a]


@njit(**FAST)
def _less(a, at, b, start, factor, n):
    """A -= factor b, both from their places on."""
    for i in range(uint64(0), n):
        a[at + i] -= factor * b[start + i]


@njit(**FAST)
def factorise(band):
    """Turn the lower triangle of a positive matrix into its Cholesky factor; the diagonal holds inverses."""
    count, wide = band.shape
    flat = band.reshape(-1)
    for j in range(count):
        inverse = 1.0 / np.sqrt(band[j, 0])
        band[j, 0] = inverse
        last = min(wide, count - j)
        while last > 1 and band[j, last - 1] == 0.0:
            last -= 1
        for i in range(1, last):
            band[j, i] *= inverse
        for i in range(1, last):
            if band[j, i] != 0.0:
                _less(flat, uint64((j + i) * wide), flat, uint64(j * wide + i), band[j, i], uint64(last - i))


@njit(**FAST)
def substitute(band, x):
    """Solve with the factor, in place."""
    count, wide = band.shape
    flat = band.reshape(-1)
    for j in range(count):
        x[j] *= band[j, 0]
        _less(x, uint64(j + 1), flat, uint64(j * wide + 1), x[j], uint64(min(wide, count - j) - 1))
    for j in range(count - 1, -1, -1):
        total = x[j]
        for i in range(uint64(1), uint64(min(wide, count - j))):
            total -= band[j, i] * x[uint64(j) + i]
        x[j] = total * band[j, 0]
