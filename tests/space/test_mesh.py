"""Surfaces: area and volume of exact solids, and files that say their frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_solids import FLIPS, ORDERS, ball, grid_of

from osteon.errors import NotOutlinedError, SettingError
from osteon.space import mesh
from osteon.space.volume import Volume


def test_ball_area_and_volume():
    shape = mesh.surface(ball(grid_of((1.0, 1.0, 1.0)), (0, 0, 0), 15))
    assert shape.volume_mm3 == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.02)
    assert shape.area_mm2 == pytest.approx(4 * np.pi * 15**2, rel=0.03)


@settings(max_examples=10, deadline=None)
@given(ORDERS, FLIPS, st.tuples(*[st.floats(0.8, 2.0)] * 3))
def test_law_same_surface_in_any_axes_and_faces_turn_outward(order, flips, spacing):
    shape = mesh.surface(ball(grid_of(spacing, order, flips), (2, 1, -3), 13))
    assert shape.volume_mm3 == pytest.approx(4 / 3 * np.pi * 13**3, rel=0.05)
    out = shape.vertices_mm - [2, 1, -3]
    assert ((out * shape.normals).sum(1) > 0).all()


def test_cut_mask_is_closed_by_a_cap():
    full = Volume.of(np.ones((5, 5, 5), bool), np.diag([2.0, 2.0, 2.0, 1.0]))
    # a cube of edge 10 whose 12 edges (8 mm between the outermost centres) lose a prism of 0.5 mm² and whose corners keep 1/6 mm³
    assert mesh.surface(full, smooth=False).volume_mm3 == pytest.approx(1000 - 12 * 8 * 0.5 - 8 * 5 / 6, rel=1e-6)


def test_stl_holds_triangles_and_names_its_frame(tmp_path):
    shape = mesh.surface(ball(grid_of((2.0, 2.0, 2.0)), (5, 6, 7), 10))
    for frame, sign in (("LPS", 1), ("RAS", -1)):
        file = tmp_path / f"{frame}.stl"
        mesh.write_stl(shape, file, frame)
        raw = file.read_bytes()
        assert f"SPACE={frame}".encode() in raw[:80]
        count = int(np.frombuffer(raw[80:84], "<u4")[0])
        assert count == len(shape.faces)
        assert len(raw) == 84 + 50 * count
        corners = np.frombuffer(raw[84:], np.dtype([("n", "<f4", 3), ("c", "<f4", (3, 3)), ("a", "<u2")]))
        centre = corners["c"].reshape(-1, 3).mean(0)
        np.testing.assert_allclose(centre, [sign * 5, sign * 6, 7], atol=0.3)
        assert ((corners["c"].mean(1) - centre) * corners["n"]).sum(1).min() > 0


def test_ply_holds_vertices_and_faces(tmp_path):
    shape = mesh.surface(ball(grid_of((2.0, 2.0, 2.0)), (0, 0, 0), 8))
    mesh.write_ply(shape, tmp_path / "a.ply")
    head, _, body = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    assert b"SPACE=LPS" in head
    assert f"element vertex {len(shape.vertices_mm)}".encode() in head
    assert len(body) == 24 * len(shape.vertices_mm) + 13 * len(shape.faces)


def test_refuses_an_empty_outline_and_an_unknown_frame(tmp_path):
    empty = Volume.of(np.zeros((3, 3, 3), bool), np.eye(4))
    with pytest.raises(NotOutlinedError):
        mesh.surface(empty)
    with pytest.raises(SettingError):
        mesh.write_stl(mesh.surface(ball(grid_of((3.0, 3.0, 3.0)), (0, 0, 0), 9)), tmp_path / "x.stl", "XYZ")
