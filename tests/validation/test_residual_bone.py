"""The reference case ``residual-bone``: its slab, the exact layer behind it, and its verdicts. Tolerances were set beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.physics.acoustic_layers import Layer, Medium, Stack, solve
from osteon.space.anatomy import structure
from osteon.validation import residual_bone
from osteon.validation.residual_bone import CORTEX_MM, GRIDS_MM, Needed, needed_by, rows_of, slab

ANGLES = np.linspace(0.0, 22.0, 45)  # the cone of the array


def taken_up(cortex_mm: float) -> float:
    """Share of the power of plane waves of the cone that an exact layer of cortex between muscle and tumour keeps, all loss."""
    muscle, tumour = Medium(1090, 1588.4, 7.1), Medium(1052, 1560, 8.0)
    stack = Stack(muscle, (Layer(Medium(1732, 2934.6, 106.1, 1513.9, 329.0), cortex_mm * 1e-3),), tumour, 1e6)
    shares = solve(stack, stack.transverse_per_m(ANGLES)).absorbed_share[0]
    weights = np.sin(np.radians(2 * ANGLES))
    return float((shares * weights).sum() / weights.sum())


def test_exact_layers_take_up_more_the_thicker_they_are_up_to_half_a_wavelength_and_then_no_steadily_more():
    assert taken_up(0.25) < taken_up(0.5) < taken_up(1.0) < taken_up(1.5)
    assert taken_up(2.0) < taken_up(1.5)


@pytest.mark.parametrize("grid", list(GRIDS_MM))
@pytest.mark.parametrize("cortex", CORTEX_MM)
def test_the_slab_holds_as_much_cortex_as_it_should_on_each_grid(grid, cortex):
    """Sum of HU over a column: the cortex's surplus over tumour, exactly."""
    anatomy = slab(cortex, GRIDS_MM[grid])
    none = slab(0.0, GRIDS_MM[grid])
    surplus = (anatomy.image.array - none.image.array)[:, 3, 5].sum(dtype=float) * GRIDS_MM[grid]
    assert surplus == pytest.approx(cortex * (residual_bone.CORTEX_HU - residual_bone.TUMOUR_HU), rel=1e-4, abs=1e-6)
    tumour = anatomy.masks[structure("lesion")].array[:, 3, 5].sum() * GRIDS_MM[grid]
    assert tumour == pytest.approx(residual_bone.TUMOUR_MM - cortex, abs=0.5 * GRIDS_MM[grid] + 1e-9)


def test_li_2022_more_residual_bone_needs_less_energy(monkeypatch):
    """Two millimetres of cortex need less than 0.7 of what none needs, with few echoes too."""
    monkeypatch.setitem(residual_bone.SETUP, "most_sweeps", 3)
    none, some = needed_by(0.0, 1.0), needed_by(2.0, 1.0)
    assert 0 < some.energy_j < 0.7 * none.energy_j
    assert some.energy_j == pytest.approx(30.0 * some.power_w)
    assert 45.0 < some.peak_c < 60.0


def test_the_verdicts_notice_a_rise_and_a_saving_that_is_too_small():
    def verdicts(*joules):
        rows = rows_of("fine", {c: Needed(j / 30, j, 0.2, 54.0) for c, j in zip(CORTEX_MM, joules, strict=True)})
        return {row.quantity: row.passed for row in rows if row.passed is not None}

    assert verdicts(300, 170, 100, 101, 102) == {"rise[fine]": True, "thickest_over_none[fine]": True}
    assert verdicts(300, 170, 100, 103, 102) == {"rise[fine]": False, "thickest_over_none[fine]": True}
    assert verdicts(300, 290, 280, 270, 260) == {"rise[fine]": True, "thickest_over_none[fine]": False}


@pytest.mark.slow
def test_the_case_passes():
    assert residual_bone.run(lambda done: None).passed
