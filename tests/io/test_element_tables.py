"""Element tables: three units and two origins in one folder, and what no table may leave open."""

import numpy as np
import pytest

from osteon.errors import InputError, MissingError
from osteon.io.element_tables import read_elements, sphere

FOLDER = "transducers/TranscranialModeling"
PUBLISHED = {  # file: elements, radius mm (shared/data/README, sphere fits)
    "ATACArray.csv": (128, 53.2),
    "DomeTxTransducerGeometry.csv": (1024, 150.0),
    "H-317 XYZ Coordinates_revB update 1.18.22.csv": (128, 135.0),
    "H301.csv": (128, 150.0),
    "I12378.csv": (128, 72.0),
    "IGT64_500.csv": (64, 75.0),
    "R15646.csv": (64, 65.0),
    "R15148_1001.mat": (128, 80.0),
}


@pytest.mark.real
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_array_lies_on_its_sphere_and_faces_its_focus(real, name):
    table = read_elements(real(f"{FOLDER}/{name}"))
    count, radius = PUBLISHED[name]
    assert len(table.centres_m) == count
    assert table.radius_m * 1e3 == pytest.approx(radius, abs=0.05)
    assert table.residual_m < 0.02e-3
    focus = np.array([0, 0, table.radius_m])
    np.testing.assert_allclose(np.linalg.norm(table.centres_m - focus, axis=1), table.radius_m, atol=0.02e-3)
    np.testing.assert_allclose(table.normals, (focus - table.centres_m) / table.radius_m, atol=1e-3)
    assert (table.centres_m[:, 2] > -0.1e-3).all()
    assert table.centres_m[:, 2].mean() < table.radius_m
    assert np.abs(table.centres_m[:, :2].mean(axis=0)).max() < 0.03 * table.radius_m
    assert table.frequency_hz
    assert table.element_diameter_m
    assert table.source == "babelbrain"


@pytest.mark.real
def test_the_flat_array_is_flat_and_in_metres(real):
    table = read_elements(real(f"{FOLDER}/REMOPD_ElementPosition.mat"))
    assert len(table.centres_m) == 256
    assert np.isinf(table.radius_m)
    near = np.sort(np.linalg.norm(table.centres_m - table.centres_m[0], axis=1))[1]
    assert near == pytest.approx(3.08e-3, abs=0.01e-3)
    assert (table.normals == [0, 0, 1]).all()


def cap(radius=100.0, count=20):
    rise = np.linspace(0.01, 0.1, count)
    turn = np.arange(count) * 2.4
    return radius * np.stack([np.sqrt(rise * (2 - rise)) * np.cos(turn), np.sqrt(rise * (2 - rise)) * np.sin(turn), rise], axis=1)


def write(path, points):
    path.write_text("\ufeffNr X Y Z\n" + "\n".join(" ".join(map(str, [i, *p])) for i, p in enumerate(points)), encoding="utf-8")
    return path


def test_a_table_of_ones_own_needs_unit_and_origin(tmp_path):
    path = write(tmp_path / "mine.txt", cap())
    with pytest.raises(InputError, match="inches read as millimetres"):
        read_elements(path)
    table = read_elements(path, unit="mm", origin="vertex")
    assert table.radius_m == pytest.approx(0.1)
    np.testing.assert_allclose(table.centres_m, cap() * 1e-3, atol=1e-12)
    assert table.frequency_hz is None


def test_a_table_from_the_focus_that_looks_down_is_turned_not_mirrored(tmp_path):
    points = (cap() - [0, 0, 100.0]) * [1, -1, -1]
    table = read_elements(write(tmp_path / "down.csv", points), unit="mm", origin="focus")
    np.testing.assert_allclose(table.centres_m, cap() * 1e-3, atol=1e-12)


@pytest.mark.parametrize(
    ("points", "how", "words"),
    [
        (cap(5.3), {"unit": "mm", "origin": "vertex"}, "Check the unit"),
        (cap() + np.random.default_rng(0).normal(size=(20, 3)), {"unit": "mm", "origin": "vertex"}, "on one sphere"),
        (cap(), {"unit": "mm", "origin": "focus"}, "confused"),
        (cap(), {"unit": "mm", "origin": "plane"}, "no flat array"),
        (cap(), {"unit": "foot", "origin": "vertex"}, "layout"),
        (cap()[:1], {"unit": "mm", "origin": "vertex"}, "rows"),
        (cap() * np.nan, {"unit": "mm", "origin": "vertex"}, "not finite"),
        (cap(), {"unit": "mm", "origin": "polar", "radius_mm": 0.01}, "not on the sphere"),
    ],
)
def test_a_table_that_makes_no_array_is_refused(tmp_path, points, how, words):
    with pytest.raises(InputError, match=words):
        read_elements(write(tmp_path / "bad.txt", points), **how)


def test_a_file_that_is_not_there_or_holds_no_numbers_is_named(tmp_path):
    with pytest.raises(MissingError):
        read_elements(tmp_path / "none.csv")
    (tmp_path / "words.csv").write_text("a,b,c\n", encoding="utf-8")
    with pytest.raises(InputError, match="0 rows"):
        read_elements(tmp_path / "words.csv", unit="mm", origin="vertex")
    (tmp_path / "no.mat").write_bytes(b"not matlab" * 40)
    with pytest.raises(InputError):
        read_elements(tmp_path / "no.mat", unit="mm", origin="vertex")


def test_the_sphere_through_exact_points_is_exact():
    centre, radius, residual = sphere(cap())
    np.testing.assert_allclose(centre, [0, 0, 100], atol=1e-9)
    assert (radius, residual) == (pytest.approx(100), pytest.approx(0, abs=1e-9))
