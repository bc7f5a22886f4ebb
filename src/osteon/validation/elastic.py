"""Voxel elasticity against exact fields and the theory of beams; the tolerances stand beside the rows they belong to."""

from __future__ import annotations

import time
from collections.abc import Callable

from osteon.validation.base import Report, Row
from osteon.validation.elastic_beams import cantilever_rows, torsion_rows, tube_rows, turned_rows
from osteon.validation.elastic_cylinder import cylinder_rows
from osteon.validation.elastic_exact import bar_rows, order_rows, patch_row, plane_rows, prism_rows

GROUPS: tuple[Callable[[], list[Row]], ...] = (
    prism_rows, lambda: [patch_row()], bar_rows, plane_rows, order_rows, cantilever_rows, tube_rows, torsion_rows,
    cylinder_rows, turned_rows,
)  # fmt: skip
ASSUMPTIONS = (
    "Isotropic linear elasticity, small strain, nu 0.3 but for bars in series (nu 0, else their joint is no uniform stress).",
    "Round bodies are stairs of voxels here as in a CT: tube, round bar and thick-walled cylinder carry that error as well.",
    "Tolerances of torsion, turned bar and cylinder stand on an estimate made before the first run, not on another code.",
)


def run(observe: Callable[[float], None]) -> Report:
    """Return the rows of ``elastic``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began = time.perf_counter()
    rows: list[Row] = []
    for i, group in enumerate(GROUPS):
        rows += group()
        observe((i + 1) / len(GROUPS))
    return Report("elastic", tuple(rows), "done", time.perf_counter() - began, ASSUMPTIONS)
