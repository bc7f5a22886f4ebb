"""A sonication checked by the full wave: the same heat in uniform tissue, and what cannot be checked."""

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.treatments.focused_ultrasound.full_check import by_full_wave
from osteon.treatments.focused_ultrasound.sonication import sonicate
from sonication_scene import MIDDLE, aimed, ball, scene, small_array


@pytest.mark.slow
def test_in_uniform_tissue_both_heat_alike():
    label = ball()
    z, y, x = np.indices(label.shape) * 1.5
    label[z > 33] = "muscle"  # no air behind the focus
    label[(x - 33) ** 2 + (y - 33) ** 2 + (z - 33) ** 2 < 6**2] = "lesion"
    found = sonicate(scene(label), small_array(), aimed(MIDDLE, (0, 0, 1.0)), MIDDLE, 20.0)
    checked = by_full_wave(found, spacing_m=0.4e-3)
    assert checked.wave.how == "settled"
    assert checked.planned_w == pytest.approx(checked.power_w, rel=0.1)  # set beforehand; 8 voxels to a wave
    assert checked.apart < 0.25
    assert checked.solid_w == checked.planned_solid_w == 0.0
    assert "planner" in checked.sentence


def test_a_box_with_gas_is_refused():
    label = ball()
    z, _, x = np.indices(label.shape) * 1.5
    label[(np.abs(z - 33) < 3) & (x > 36) & (label == "muscle")] = "air"
    found = sonicate(scene(label), small_array(), aimed(MIDDLE, (0, 0, 1.0)), MIDDLE, 20.0)
    with pytest.raises(InputError, match="gas"):
        by_full_wave(found)
