"""NRRD and MetaImage: any orientation is the same patient, and a header that leaves the place to guesses is refused."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from osteon.errors import ImageError, OsteonError
from osteon.io import images, metaimage
from osteon.space.volume import Volume

sitk = pytest.importorskip("SimpleITK")


def sample() -> Volume:
    affine = np.diag([1.5, 0.75, 2.5, 1.0])
    affine[:3, 3] = (-40.0, 12.5, -300.0)
    return Volume.of(np.random.default_rng(0).integers(-1000, 1500, (6, 7, 8)).astype(np.float32), affine)


def write(volume: Volume, path: Path, order: tuple[int, ...] = (0, 1, 2), flip: bool = False) -> Path:
    array = np.transpose(volume.array, [2 - order[2], 2 - order[1], 2 - order[0]])
    affine = volume.grid.matrix[:, [*order, 3]]
    if flip:
        array = np.flip(array, axis=2)
        affine[:3, 3] += affine[:3, 0] * (array.shape[2] - 1)
        affine[:3, 0] *= -1
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.astype(np.int16)))
    size = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing([float(v) for v in size])
    image.SetDirection([float(v) for v in (affine[:3, :3] / size).ravel()])
    image.SetOrigin([float(v) for v in affine[:3, 3]])
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("ending", metaimage.ENDINGS)
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_any_orientation_is_the_same_patient(tmp_path: Path, ending, order, flip):
    found = images.read(write(sample(), tmp_path / f"a{ending}", order, flip)).volume
    np.testing.assert_array_equal(found.array, sample().array)
    assert found.grid.same_as(sample().grid, 1e-3)


def test_nrrd_in_ras_is_mirrored_to_lps(tmp_path: Path):
    """NRRD format definition, `space: right-anterior-superior`: x and y point the other way than in LPS."""
    values = np.zeros((2, 3, 4), "<i2")
    values[1, 2, 3] = 500
    head = (
        "NRRD0004\ntype: int16\ndimension: 3\nspace: right-anterior-superior\nsizes: 4 3 2\n"
        "space directions: (2,0,0) (0,2,0) (0,0,2)\nkinds: domain domain domain\nendian: little\nencoding: raw\n"
        "space origin: (10,20,30)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(head.encode() + values.tobytes())
    volume = images.read(tmp_path / "a.nrrd").volume
    place = volume.grid.to_mm(np.argwhere(volume.array == 500))[0]
    np.testing.assert_allclose(place, [-16.0, -24.0, 32.0], atol=1e-4)


@pytest.mark.parametrize(
    ("ending", "line", "word"),
    [
        (".nrrd", b"space:", "space"),
        (".nrrd", b"space directions:", "space directions"),
        (".mha", b"TransformMatrix =", "TransformMatrix"),
        (".mha", b"Offset =", "Offset"),
    ],
)
def test_a_header_without_orientation_is_refused(tmp_path: Path, ending, line, word):
    file = write(sample(), tmp_path / f"a{ending}")
    file.write_bytes(file.read_bytes().replace(line, b"#" + line[1:], 1))
    with pytest.raises(ImageError, match=f"no .*{word}"):
        images.read(file)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
@pytest.mark.parametrize("keep", [0.9, 0.5, 20, 0])
def test_a_file_cut_short_is_refused(tmp_path: Path, ending, keep):
    file = write(sample(), tmp_path / f"a{ending}")
    content = file.read_bytes()
    file.write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    with pytest.raises(OsteonError):
        images.read(file)


def test_four_dimensions_vectors_and_giants_are_refused(tmp_path: Path):
    sitk.WriteImage(sitk.Image([3, 3, 3, 3], sitk.sitkInt16), str(tmp_path / "four.mha"))
    sitk.WriteImage(sitk.Image([3, 3, 3], sitk.sitkVectorInt16, 3), str(tmp_path / "vector.mha"))
    for name in ("four.mha", "vector.mha"):
        with pytest.raises(ImageError, match="dimensions"):
            images.read(tmp_path / name)
    file = write(sample(), tmp_path / "giant.mha")
    file.write_bytes(file.read_bytes().replace(b"DimSize = 8 7 6", b"DimSize = 9999 9999 9999"))
    with pytest.raises(ImageError, match="would not fit into memory"):
        images.read(file)


def test_a_label_map_must_hold_whole_numbers(tmp_path: Path):
    image = sitk.GetImageFromArray(np.full((3, 3, 3), 0.5, np.float32))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    with pytest.raises(ImageError, match="not whole"):
        metaimage.read_volume(tmp_path / "a.mha", integer=True)
    assert metaimage.read_volume(write(sample(), tmp_path / "b.mha"), integer=True).array.dtype == np.int32


@pytest.mark.real
def test_real_liver_segmentation_nrrd_voxel_counts(real):
    """shared/data/README: liver.dcm has 36233 / 35645 / 35220 voxels per slice = liver_seg.nrrd."""
    volume = metaimage.read_volume(real("dicom_seg/data/segmentations/liver_seg.nrrd"), integer=True)
    assert sorted(int(n) for n in (volume.array > 0).sum(axis=(1, 2))) == [35220, 35645, 36233]
