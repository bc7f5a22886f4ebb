from dataclasses import replace

import numpy as np
import pytest

from osteon.planning.target import boxed, define_target, planning_box
from osteon.space.anatomy import structure
from planning.scene import block

LESION, HIP = structure("lesion"), structure("hip_right")


class Plain:
    name = "plain"

    def target(self, anatomy, goal, lesion):
        return None


def at(anatomy, spacing=1.0):
    return boxed(anatomy, planning_box(anatomy, LESION, spacing))


@pytest.mark.parametrize(("goal", "margin"), [("cure", 10.0), ("palliation", 2.0)])
def test_seed_2_and_4_margin_by_goal_by_volume(goal, margin):
    box = at(block(spacing=1.0, radius=12.0))
    target = define_target(box, LESION, HIP, goal, Plain())
    cm3 = target.mask.array.sum() * box.grid.voxel_mm3 / 1000.0
    assert cm3 == pytest.approx(4 / 3 * np.pi * (12.0 + margin) ** 3 / 1000.0, rel=0.04)
    assert f"{margin:.0f} mm" in target.text
    assert "«" in target.text


def test_the_margin_stops_at_the_skin_and_this_is_said():
    box = at(block(lesion_at=(65.0, 0.0, 0.0)))
    target = define_target(box, LESION, HIP, "cure", Plain())
    assert not (target.mask.array & ~box.mask("body").array).any()
    assert "outside the body" in target.left_out[0]


def test_palliation_of_a_mass_larger_than_one_zone_goes_for_the_interface_and_names_the_rest():
    box = at(block(radius=20.0))
    target = define_target(box, LESION, HIP, "palliation", Plain())
    assert target.goal == "interface_palliation"
    assert "larger than one zone" in target.text
    assert "left out on purpose" in target.left_out[0]
    assert not target.mask.array[tuple(n // 2 for n in box.grid.shape)]  # the middle of the mass is not bone's border


def test_palliation_of_a_nerve_abutting_mass_goes_for_the_interface():
    target = define_target(at(block(nerve_at=(18.0, 0.0))), LESION, HIP, "palliation", Plain())
    assert target.goal == "interface_palliation"
    assert "right sciatic nerve" in target.text


def test_a_treatment_may_define_its_own_target():
    class Own(Plain):
        name = "own"

        def target(self, anatomy, goal, lesion):
            return anatomy.mask(lesion)

    box = at(block())
    target = define_target(box, LESION, HIP, "cure", Own())
    assert (target.mask.array == box.mask(LESION).array).all()
    assert "own" in target.text


def test_the_box_is_isotropic_holds_the_margin_and_stops_at_the_image():
    anatomy = block()
    grid = planning_box(anatomy, LESION, 1.0)
    assert grid.spacing_mm == (1.0, 1.0, 1.0)
    assert 110 <= min(grid.shape) <= max(grid.shape) <= 130
    cut = planning_box(block(lesion_at=(60.0, 0.0, 0.0)), LESION, 1.0)
    assert cut.corners_mm()[:, 0].max() <= anatomy.grid.corners_mm()[:, 0].max() + 1e-6


def test_without_a_body_outline_the_box_takes_it_from_the_image():
    anatomy = block()
    bare = replace(anatomy, masks={k: v for k, v in anatomy.masks.items() if k.id != "body"})
    box = at(bare, 2.0)
    assert box.mask("body").array.mean() == pytest.approx(at(anatomy, 2.0).mask("body").array.mean(), abs=0.02)
    assert structure("body") in box.approximate
