"""The reference case of the vertebra: in the catalogue, with truths that nobody computed by the code under test."""

import numpy as np
import pytest

from osteon.validation import vertebra_phantom as phantom
from osteon.validation.catalog import case


def test_the_case_is_in_the_catalogue():
    assert case("vertebra-measures").__module__ == "osteon.validation.vertebra_measures"


def test_the_phantoms_body_has_the_volume_of_its_sections():
    z = np.linspace(-phantom.HALF_HEIGHT_MM, phantom.HALF_HEIGHT_MM, 20001)
    waist = 1 - phantom.WAIST * (1 - (z / phantom.HALF_HEIGHT_MM) ** 2)
    area = np.pi * phantom.HALF_WIDTH_MM * phantom.HALF_DEPTH_MM * waist**2
    assert pytest.approx(float(np.trapezoid(area, z)) / 1000, rel=1e-6) == phantom.BODY_ML


def test_a_squeezed_body_has_the_height_that_was_drawn():
    whole = phantom.made(1.0)
    shape = phantom.squeezed(whole, phantom.uniform(0.7))
    middle = np.round(whole.grid.to_index(phantom.MIDDLE_MM)).astype(int)
    heights = [each.masks[phantom.L3].array[:, middle[1], middle[2]].sum() for each in (whole, shape)]
    assert heights[0] in (29, 30)  # 30 mm, faces on voxel centres
    assert abs(heights[1] - 0.7 * heights[0]) <= 1
