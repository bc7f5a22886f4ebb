"""What is held and kept, counted in bytes: outlines by their boxes, and no image a second time on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from osteon.cache import Cache
from osteon.case.phantom import write
from osteon.io import images, labels
from osteon.pathway import journey
from osteon.space.volume import CompactMask, Grid, Volume


def test_a_label_map_of_every_class_holds_no_more_than_its_boxes(tmp_path: Path) -> None:
    """117 classes of 6 x 6 x 6 voxels on a grid of 64 x 96 x 96: 69 MB as whole arrays, under 1 MB as held."""
    grid = Grid.of((64, 96, 96), np.diag([2.0, 2.0, 2.0, 1.0]))
    array = np.zeros(grid.shape, np.uint8)
    for number in range(1, 118):
        z, y, x = np.array(np.unravel_index(number, (8, 8, 8))) * 8
        array[z : z + 6, y : y + 6, x : x + 6] = number
    images.write_nifti(Volume(array, grid), tmp_path / "labels.nii.gz", dtype=np.uint8)
    found = labels.read(tmp_path / "labels.nii.gz", grid).masks
    assert len(found) > 100
    assert all(isinstance(mask, CompactMask) for mask in found.values())
    joined = {key for key in found if key.id.startswith("lung")}  # several classes make one structure: a box round all
    assert all(found[key].kept.nbytes == 6**3 for key in found if key not in joined)
    assert sum(mask.kept.nbytes for mask in found.values()) < 1e6 < 0.02 * len(found) * array.size


def test_the_cache_keeps_of_an_assessment_what_the_files_do_not_hold(tmp_path: Path) -> None:
    folder = write("femur", tmp_path / "case", spacing_mm=3.0).parent
    first = journey(folder, cache=Cache(tmp_path / "cache"), with_plans=False)
    store = Cache(tmp_path / "cache")
    again = journey(folder, cache=store, with_plans=False)
    assert store.hits >= 1
    entry = max((tmp_path / "cache" / "assess").glob("*.npz"), key=lambda path: path.stat().st_size)
    image = first.case.studies[0].volume
    assert entry.stat().st_size < 0.25 * image.array.nbytes
    for one, other in zip(first.assessment.lesions, again.assessment.lesions, strict=True):
        assert one.facts == other.facts
        assert other.anatomy.image is again.case.studies[0].volume or np.shares_memory(
            other.anatomy.image.array, again.case.studies[0].volume.array
        )
        assert set(one.anatomy.masks) == set(other.anatomy.masks)
        for key, mask in one.anatomy.masks.items():
            np.testing.assert_array_equal(mask.array, other.anatomy.masks[key].array)
