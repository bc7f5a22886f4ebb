"""A structure drawn only in part: heat and stand-off where nobody drew it are unknown, never ok."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteon.assessment.results import RequiredStructure
from osteon.planning.limits import judge
from osteon.planning.target import boxed, define_target, planning_box
from osteon.space.anatomy import Field, structure
from osteon.space.drawn import planes
from osteon.space.volume import Volume
from osteon.treatments.base import Effect, Ended
from planning.scene import block

LESION, NERVE = structure("lesion"), structure("sciatic_nerve_right")
OUTLINED = (RequiredStructure(NERVE.id, "outlined", "outlined"),)


class Plain:
    name = "plain"

    def target(self, anatomy, goal, lesion):
        return None


def findings(drawn_below_mm: float | None, hot: bool, nerve_at=(40.0, 0.0)) -> dict:
    """Judge a nerve along z that is drawn below a plane only; the heat lies beside the lesion, at the height of its middle."""
    full = block(nerve_at=nerve_at)
    if drawn_below_mm is not None:
        z = full.grid.to_mm(np.column_stack([np.arange(full.grid.shape[0]), *np.zeros((2, full.grid.shape[0]))]))[:, 2]
        drawn = planes(full.grid, 0, z < drawn_below_mm)
        nerve = full.masks[NERVE]
        full = replace(full, masks={**full.masks, NERVE: nerve.with_array(nerve.array & drawn.array)}, drawn={NERVE: drawn})
    box = boxed(full, planning_box(full, LESION, 2.0))
    target = define_target(box, LESION, None, "cure", Plain()).mask
    temperature = np.full(box.grid.shape, 37.0, np.float32)
    if hot:
        at = np.rint(box.grid.to_index(np.array([24.0, 0.0, 0.0]))).astype(int)
        temperature[tuple(at)] = 60.0
    state = {Field.TEMPERATURE_C: Volume(temperature, box.grid), Field.CEM43_MIN: Volume(0 * temperature, box.grid)}
    return {f.limit_id: f for f in judge([Effect("t", state, {}, {}, Ended("time"))], box, OUTLINED, target, full)}


def test_heat_where_the_nerve_was_not_drawn_cannot_be_judged():
    assert findings(None, hot=True)["nerve-peak-temperature"].level == "ok"
    found = findings(-20.0, hot=True)["nerve-peak-temperature"]
    assert found.level == "unknown"
    assert "60 °C reaches the edge of what is drawn of it" in found.text
    assert found.text.endswith("draw it on")


@pytest.mark.parametrize("below", [-20.0, 20.0])
def test_without_heat_where_it_was_not_drawn_the_limit_holds(below):
    found = findings(below, hot=False)
    assert found["nerve-peak-temperature"].level == "ok"


def test_stand_off_is_unknown_where_the_undrawn_part_lies_nearer_than_the_limit():
    assert findings(None, hot=False)["nerve-stand-off"].level == "ok"
    found = findings(-20.0, hot=False)["nerve-stand-off"]
    assert found.level == "unknown"
    assert "is not drawn" in found.text
    near = findings(-20.0, hot=False, nerve_at=(20.0, 0.0))["nerve-stand-off"]
    assert near.level == "breach"  # what is drawn is too near already
