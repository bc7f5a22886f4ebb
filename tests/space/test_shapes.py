"""The hook of conftest really checks shapes: a field with too few axes does not pass where a scalar field is declared."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from osteon.space.volume import Grid
from osteon.tissue.bone import TissueMap


def test_a_flat_array_is_no_scalar_field():
    field, flat = np.zeros((2, 3, 4), np.float32), np.zeros((2, 3), np.float32)
    grid = Grid.of((2, 3, 4), np.eye(4))
    labels = np.zeros((2, 3, 4), np.uint8)
    TissueMap(grid, 2.45e9, field, field, field, field, field, field, labels, {}, ())
    with pytest.raises(TypeCheckError):
        TissueMap(grid, 2.45e9, field, field, field, field, field, flat, labels, {}, ())
