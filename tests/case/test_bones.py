"""Body, skin, bones, cuts and gaps from an image alone; approximate, unnamed, and honest about it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from osteon.case.bones import find_bones
from osteon.case.fracture import cut_bones, cut_edges, possible_fractures
from osteon.case.phantom import build
from osteon.errors import ImageError
from osteon.io import images, labels
from osteon.space.anatomy import structure, structures
from osteon.space.volume import Volume


def trunk() -> Volume:
    """A trunk 300 mm wide with a rod of bone on either side and one in the middle; 2 mm voxels, air all round it."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-200.0, -120.0, 0.0)
    _, y, x = np.meshgrid(np.arange(60) * 2.0, np.arange(120) * 2.0 - 120, np.arange(200) * 2.0 - 200, indexing="ij")
    hu = np.where((x / 150) ** 2 + (y / 90) ** 2 <= 1, 40.0, -1000.0)
    for centre in (-90.0, 0.0, 90.0):
        hu[np.hypot(x - centre, y) <= 12] = 900.0
    hu[:6] = -1000.0
    hu[-6:] = -1000.0
    return Volume.of(ndimage.gaussian_filter(hu, 0.5).astype(np.float32), affine)


def test_left_is_left_and_boxes_fit() -> None:
    found = find_bones(trunk())
    by_side = {b.side: b for b in found.bones}
    assert sorted(b.side for b in found.bones) == ["left", "midline", "right"]
    for side, middle in (("left", 90.0), ("right", -90.0), ("midline", 0.0)):
        low, high = by_side[side].box_mm
        assert (low[0] + high[0]) / 2 == pytest.approx(middle, abs=2)
        assert high[0] - low[0] == pytest.approx(24, abs=4)
        assert by_side[side].volume_ml == pytest.approx(np.pi * 1.2**2 * 9.6, rel=0.15)
        assert by_side[side].cut == ()


def test_no_name_of_the_vocabulary_is_given_to_a_piece() -> None:
    found = find_bones(build("ilium", spacing_mm=3.0).image)
    assert found.bones
    assert all(b.id not in structures() and b.id.startswith("bone_") for b in found.bones)
    assert any("without names" in n for n in found.notes)


def test_body_and_skin_of_a_phantom() -> None:
    made = build("femur", spacing_mm=2.0)
    found = find_bones(made.image)
    body = made.masks[structure("body")].array
    both = 2 * (found.body.array & body).sum() / (found.body.array.sum() + body.sum())
    assert both >= 0.97
    assert all(b.side == "unknown" for b in found.bones), "one thigh tells no side"
    assert found.implant is None


def test_where_the_image_ends_in_the_body_there_is_no_skin() -> None:
    whole = trunk()
    cut = Volume.of(np.ascontiguousarray(whole.array[:, :, 40:]), _moved(whole, 40))
    found = find_bones(cut)
    assert not found.skin.array[:, :, :2][found.body.array[:, :, :2]][..., None].all()
    assert any("not imaged on the right" in n for n in found.notes)
    assert all(b.side == "unknown" for b in found.bones)


def _moved(volume: Volume, columns: int) -> np.ndarray:
    affine = volume.grid.matrix
    affine[:3, 3] = volume.grid.to_mm(np.array([0, 0, columns], float))
    return affine


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(ImageError, match="No body"):
        find_bones(Volume.of(np.full((20, 20, 20), -1000, np.float32), np.diag([2.0, 2, 2, 1])))


def test_cut_edges_are_named_and_a_whole_bone_has_none() -> None:
    mask = np.zeros((10, 10, 10), bool)
    mask[4:8, 4:8, 4:8] = True
    whole = Volume.of(mask, np.eye(4))
    assert cut_edges(whole) == ()
    below = mask.copy()
    below[:5, 5, 5] = True
    assert cut_edges(whole.with_array(below)) == ("below",)
    left = mask.copy()
    left[5, 5, 5:] = True
    assert cut_edges(whole.with_array(left)) == ("on the left",)
    seen = np.ones_like(mask)
    seen[8:] = False  # padding directly above
    assert cut_edges(whole, whole.with_array(seen)) == ("above",)


def test_cut_bones_of_the_femur_phantom() -> None:
    made = build("femur", spacing_mm=2.0)  # its field is a whole number of these voxels
    (found,) = cut_bones(made.masks)
    assert found.bone.id == "femur_right"
    assert found.edges == ("below", "above")
    assert "cannot be told" in found.note


def broken(gap_mm: float) -> tuple[Volume, Volume]:
    made = build("femur", breach=False, lesion_mm=10.0, spacing_mm=1.5)
    image = made.image.array.copy()
    bone = made.masks[structure("femur_right")]
    zyx = np.indices(image.shape)
    place = made.image.grid.to_mm(np.moveaxis(zyx, 0, -1))
    slanted = np.abs(place[..., 2] + 0.3 * (place[..., 0] + 95.0) + 405.0) <= gap_mm / 2
    image[slanted & bone.array] = 40.0
    return made.image.with_array(image), bone


def test_a_slanted_gap_through_the_shaft_is_a_possible_fracture_to_confirm() -> None:
    image, bone = broken(3.0)
    (found,) = possible_fractures(image, bone)
    assert found.place_mm[2] == pytest.approx(-405, abs=6)
    assert found.gap_mm == pytest.approx(3.0, abs=2.0)
    assert "possible fracture" in found.note
    assert "confirm" in found.note
    assert "joint" in possible_fractures(image, bone, split=True)[0].note


def test_whole_bones_have_none() -> None:
    for name in ("femur", "vertebra", "ilium"):
        made = build(name, breach=False, spacing_mm=2.0)
        for key, mask in made.masks.items():
            if key.kind == "bone":
                assert possible_fractures(made.image, mask) == (), key.id


@pytest.mark.real
def test_real_pelvis_ct_bones_cut_by_the_field(real) -> None:
    folder = real("pelvis_ct")
    ct = images.read(folder / "example_ct.nii.gz")
    outlined = labels.read(folder / "example_seg_fast_force_split.nii.gz", ct.volume.grid).masks
    found = {c.bone.id: c.edges for c in cut_bones(outlined, ct.imaged)}
    for name in ("femur_left", "femur_right", "hip_left", "hip_right"):
        assert found[name] == ("below",)
    for name in ("vertebra_T11", "vertebra_T12"):
        assert found[name] == ("above",)
    assert not {"vertebra_L1", "vertebra_L2", "vertebra_L3", "vertebra_L4", "vertebra_L5", "sacrum"} & set(found)


@pytest.mark.real
def test_real_pelvis_ct_bones_without_a_label_map(real) -> None:
    """The labels are a model's output: they show where pieces lie, they are no truth; the Dice is printed, not judged."""
    folder = real("pelvis_ct")
    ct = images.read(folder / "example_ct.nii.gz")
    outlined = labels.read(folder / "example_seg_fast_force_split.nii.gz", ct.volume.grid).masks
    found = find_bones(ct.volume, ct.imaged)
    pieces = np.any([b.mask.array for b in found.bones], axis=0)
    bones = np.any([m.array for k, m in outlined.items() if k.kind == "bone"], axis=0)
    overlap = 2 * (pieces & bones).sum() / (pieces.sum() + bones.sum())
    print(f"{len(found.bones)} pieces; Dice of their union with the union of the model's bones {overlap:.3f}")
    canal = outlined[structure("spinal_cord")].array
    assert (pieces & canal).sum() <= 0.1 * canal.sum()
    assert any("left" in n and "skin was not imaged" in n for n in found.notes)
    assert any(b.holds_metal for b in found.bones)
    assert found.implant is not None
    assert any(b.cut for b in found.bones)
