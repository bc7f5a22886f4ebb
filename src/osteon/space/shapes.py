"""Shapes as types: for readers and mypy, and checked by beartype in the tests (``tests/conftest.py`` installs the hook).

The letters are array axes in order: ``z y x`` is a field on a grid, ``n`` samples over time.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

ScalarField = Float[np.ndarray, "z y x"]
Mask = Bool[np.ndarray, "z y x"]
Labels = UInt8[np.ndarray, "z y x"]
Samples = Float[np.ndarray, " n"]
