"""The order of convergence, checked the same way everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def assert_order(errors: Sequence[float], sizes: Sequence[float], expected: float, tolerance: float) -> float:
    """Assert that errors fall with the given power of the size (voxel edge, element size, step).

    The order is the slope of a straight line through log(error) over log(size); returns it.
    """
    e, h = np.asarray(errors, float), np.asarray(sizes, float)
    assert e.shape == h.shape, f"{e.size} errors, {h.size} sizes"
    assert e.size >= 3, "an order needs at least three sizes"
    assert np.isfinite(e).all(), f"not finite: {e}"
    assert (e > 0).all(), f"an error of zero has no order: {e}"
    order = float(np.polyfit(np.log(h), np.log(e), 1)[0])
    assert abs(order - expected) <= tolerance, (
        f"order {order:.3f}, expected {expected} +- {tolerance}; errors {errors}, sizes {sizes}"
    )
    return order
