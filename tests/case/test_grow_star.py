"""The smooth surface: exact harmonics, a ball among like-valued noise, the size that pulls, and saying so where no edge is."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.case.grow import surface_recipe
from osteon.case.grow_core import distance_from
from osteon.case.grow_star import _directions, _harmonics, find_surface


@pytest.mark.parametrize(("space", "count"), [(2, 7), (3, 16)])
def test_harmonics_are_orthonormal_over_all_directions(space: int, count: int) -> None:
    basis, degree = _harmonics(_directions(space), 3)
    assert basis.shape[1] == count == len(degree)
    assert np.allclose(basis.T @ basis / len(basis), np.eye(count), atol=0.03)


def test_first_degree_is_the_direction_itself() -> None:
    directions = _directions(3)
    basis, degree = _harmonics(directions, 1)
    assert np.allclose(basis[:, degree == 1] ** 2 @ np.ones(3), 3.0)  # the addition theorem: 2 l + 1


def ball_in_bone(radius_mm: float, bone_hu: float, noise_hu: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    inside = distance_from((24, 22, 26), (48, 48, 48), (2, 2, 2)) <= radius_mm
    return np.where(inside, 40.0, bone_hu) + rng.normal(0, noise_hu, inside.shape), inside


def surface(image: np.ndarray, seed: tuple[float, float, float], size: float | None = None):
    ball = distance_from(seed, image.shape, (2, 2, 2)) <= 4
    return find_surface(image, seed, (2, 2, 2), np.ones(image.shape, bool), ball, 40.0, surface_recipe(), size)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_a_ball_is_found_from_a_point_off_its_centre_where_many_voxels_look_alike() -> None:
    image, inside = ball_in_bone(14, 120, 40)
    found = surface(image, (26, 20, 27))
    assert dice(found.inside, inside) >= 0.9
    assert found.radius == pytest.approx(14, rel=0.1)
    assert found.change < 1.5


def test_without_an_edge_it_says_so() -> None:
    image, _ = ball_in_bone(14, 50, 25)
    found = surface(image, (24, 22, 26))
    assert found.change > 1.5 or found.contrast < 0.5


def test_a_given_size_pulls_where_the_image_tells_nothing_and_not_where_it_tells_all() -> None:
    blind, _ = ball_in_bone(14, 40, 25)
    assert abs(surface(blind, (24, 22, 26), 12).radius - 12) <= abs(surface(blind, (24, 22, 26)).radius - 12)
    clear, inside = ball_in_bone(14, 250, 20)
    assert dice(surface(clear, (24, 22, 26), 20).inside, inside) >= 0.9
