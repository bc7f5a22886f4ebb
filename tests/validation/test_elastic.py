"""The reference case ``elastic``: every row with a tolerance holds it, and the tolerances are those that were written first."""

import numpy as np
import pytest

from osteon.errors import NumericalError
from osteon.physics.elasticity import Model
from osteon.validation import elastic, elastic_beams, elastic_cylinder, elastic_exact
from osteon.validation.catalog import case
from osteon.validation.elastic_models import nothing, plates, solved


def test_the_tolerances_are_those_written_first():
    assert (elastic_exact.EXACT, elastic_exact.AS_SHIPPED, elastic_exact.ORDER) == (1e-6, 1e-5, 0.2)
    assert elastic_beams.CANTILEVER == {4: 0.05, 8: 0.02, 16: 0.012}
    assert elastic_beams.TUBE == {2: (0.015, 0.03), 4: (0.01, 0.03), 8: (0.005, 0.015)}
    assert elastic_beams.ROUND == {8: 0.12, 16: 0.06, 32: 0.03}
    assert elastic_beams.TURNED == {12: (0.03, 0.06), 24: (0.015, 0.03)}
    assert elastic_cylinder.LAME == {1.0: (0.02, 0.03), 0.5: (0.01, 0.015), 0.25: (0.005, 0.0075)}


@pytest.mark.parametrize(
    ("group", "judged"),
    [
        (elastic_exact.prism_rows, 3), (lambda: [elastic_exact.patch_row()], 1), (elastic_exact.bar_rows, 4),
        (elastic_exact.order_rows, 1), (elastic_beams.cantilever_rows, 3), (elastic_beams.tube_rows, 9),
        (elastic_beams.torsion_rows, 5), (elastic_cylinder.cylinder_rows, 9), (elastic_beams.turned_rows, 9),
    ],
)  # fmt: skip
def test_every_group_holds_its_tolerances(group, judged):
    rows = group()
    assert sum(row.tolerance is not None for row in rows) == judged
    assert [row.quantity for row in rows if row.passed is False] == []


def test_plates_on_every_offset_of_odd_and_prime_grids():
    assert {n for shape in elastic_exact.PLANE_GRIDS for n in shape} >= {31, 37, 41, 13, 17, 9}
    rows = elastic_exact.plane_rows()
    assert len(rows) == 8
    assert all(row.passed for row in rows)


def test_the_pressure_pushes_outward_with_the_force_of_the_bore():
    solid = np.hypot(*(np.indices((6, 6)) + 0.5)) > 3.0
    forces = elastic_cylinder.pressure_forces(np.broadcast_to(solid, (2, 6, 6)), 1e-3)
    assert forces[..., 0].any() == np.False_
    assert forces[..., 1].sum() == pytest.approx(elastic_cylinder.PRESSURE_PA * 3e-3 * 2e-3)
    assert forces[..., 2].sum() == pytest.approx(elastic_cylinder.PRESSURE_PA * 3e-3 * 2e-3)
    assert (forces >= 0.0).all()


def test_a_reference_model_that_does_not_converge_is_no_number():
    shape = (6, 5, 5)
    with pytest.raises(NumericalError, match="unconstrained"):
        solved(Model(np.full(shape, 1e9), 0.3, 1e-3), plates(shape, 0, -1, -1e-5, []))
    mask, given = nothing(shape)
    assert not mask.any()
    assert given.shape == (7, 6, 6, 3)


def test_the_case_is_in_the_catalogue():
    assert case("elastic") is elastic.run
