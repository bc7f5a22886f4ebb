"""Growing from one point: what is enclosed exactly, known lesions of the phantoms, leaks, refusals, pictures without scale."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from osteon.case.grow import grow, threshold, thresholds
from osteon.case.grow_core import enclosed_fraction
from osteon.case.grow_pixels import grow_pixels
from osteon.case.implant import implant
from osteon.case.load import load_case
from osteon.case.phantom import Phantom, build
from osteon.errors import ImageError, InputError, UnitError
from osteon.io import images, labels
from osteon.space.anatomy import structure
from osteon.space.volume import Volume

MEDIAN_DICE = 0.9  # of the issue
FALSE_ALARMS = 0.1  # of the unbreached, chosen before the run
BEYOND_MM = 4.0  # the lesions of the phantoms stand out by 2 mm; a cut on the closed cortex may miss the plane by this
LESION = structure("lesion")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / max(float(a.sum() + b.sum()), 1.0)


@dataclass(frozen=True)
class Trial:
    name: str
    size_mm: float
    breach: bool
    spacing_mm: float
    dice: float
    leak: bool


def trial(number: int, rng: np.random.Generator, outlined: bool) -> Trial:
    """Grow one random lesion from a random point of its inner half."""
    name, breach = ("femur", "vertebra", "ilium")[number % 3], (number // 3) % 2 == 0
    size, spacing, seed = float(rng.uniform(12, 35)), float(rng.choice([1.5, 2.0])), int(rng.integers(1_000_000))
    made = build(name, lesion_mm=size, breach=breach, spacing_mm=spacing, seed=seed)
    truth = made.masks[LESION]
    while True:
        offset = rng.uniform(-1, 1, 3)
        point = np.array(made.lesion_centre_mm) + offset * size / 4
        if np.linalg.norm(offset) <= 1 and truth.sample(point) > 0.5:
            break
    try:
        found = grow(made.image, tuple(point), bone=made.masks[made.lesion_bone] if outlined else None)
    except InputError:
        return Trial(name, size, breach, spacing, 0.0, False)
    return Trial(name, size, breach, spacing, dice(found.mask.array, truth.array), found.leak)


def judge(trials: list[Trial]) -> None:
    for t in trials:
        print(f"{t.name:9s} {t.size_mm:5.1f} mm breach={t.breach!s:5s} voxel={t.spacing_mm} Dice {t.dice:.3f} leak={t.leak}")
    all_of = np.array([t.dice for t in trials])
    breached, whole = [t for t in trials if t.breach], [t for t in trials if not t.breach]
    caught, alarms = sum(t.leak for t in breached), sum(t.leak for t in whole)
    print(f"median {np.median(all_of):.3f}, min {all_of.min():.3f}, below 0.8: {int((all_of < 0.8).sum())} of {len(trials)}")
    print(f"leaks caught {caught}/{len(breached)}, false alarms {alarms}/{len(whole)}")
    assert np.median(all_of) >= MEDIAN_DICE
    assert caught == len(breached)
    assert alarms <= FALSE_ALARMS * len(whole)


def test_enclosed_fraction_exact_on_a_shell_and_beside_a_half_space() -> None:
    shell = np.ones((9, 9, 9), bool)
    shell[1:-1, 1:-1, 1:-1] = False
    assert enclosed_fraction(shell, (1, 1, 1), 20.0)[4, 4, 4] == 1.0
    half = np.zeros((21, 21, 21), bool)
    half[:8] = True
    found = enclosed_fraction(half, (1, 1, 1), 3.0)
    assert found[8, 10, 10] == pytest.approx(9 / 26)  # the nine directions into the half-space
    assert found[10, 10, 10] == pytest.approx(1 / 26)  # at three voxels only the straight one is short enough
    assert found[11, 10, 10] == 0.0
    assert enclosed_fraction(half, (2, 2, 2), 3.0)[9, 10, 10] == 0.0  # two steps of 2 mm are farther than 3 mm


def test_enclosed_fraction_in_the_plane_of_a_hole_counts_the_wall_and_what_lies_behind() -> None:
    wall = np.zeros((31, 31), bool)
    wall[0], wall[:, 0], wall[:, -1], wall[-1] = True, True, True, True
    wall[-1, 10:21] = False
    found = enclosed_fraction(wall, (1, 1), 40.0)
    assert found[-1, 15] == pytest.approx(5 / 8)  # two along the wall, three inwards, three outwards


def test_lesions_of_three_phantoms_from_random_points() -> None:
    rng = np.random.default_rng(31)
    judge([trial(n, rng, outlined=False) for n in range(9)])


@pytest.mark.slow
@pytest.mark.parametrize("outlined", [False, True], ids=["image only", "bone outlined"])
def test_sixty_lesions_of_three_phantoms_from_random_points(outlined: bool) -> None:
    rng = np.random.default_rng(2718)
    judge([trial(n, rng, outlined) for n in range(60)])


@cache
def phantom(name: str, breach: bool, size_mm: float = 25.0) -> Phantom:
    return build(name, lesion_mm=size_mm, breach=breach, spacing_mm=2.0, seed=3)


@pytest.mark.parametrize("name", ["femur", "vertebra", "ilium"])
def test_a_leak_is_cut_at_the_closed_cortex(name: str) -> None:
    made = phantom(name, True)
    found = grow(made.image, made.lesion_centre_mm)
    bone = made.masks[made.lesion_bone].array
    beyond = ndimage.distance_transform_edt(~bone, sampling=made.image.spacing_mm)[found.mask.array]
    assert found.leak
    assert found.cut_mm2 >= threshold("leak_least_mm2")
    assert beyond.max() <= BEYOND_MM
    assert any("leak" in n for n in found.notes)


def test_bone_gone_all_round_is_bridged_and_said() -> None:
    made = phantom("femur", True, 35.0)
    found = grow(made.image, made.lesion_centre_mm)
    assert found.bridged
    assert found.leak
    assert any("gone on most sides" in n for n in found.notes)


def test_stored_the_other_way_round_it_is_the_same_lesion() -> None:
    made = phantom("ilium", True)
    flipped = made.image.grid.matrix
    count = np.array(made.image.array.shape[::-1])
    for axis in range(3):
        flipped[:3, 3] += flipped[:3, axis] * (count[axis] - 1)
        flipped[:3, axis] *= -1
    other = Volume.of(np.ascontiguousarray(made.image.array[::-1, ::-1, ::-1]), flipped)
    one, two = grow(made.image, made.lesion_centre_mm), grow(other, made.lesion_centre_mm)
    assert np.array_equal(one.mask.array, two.mask.array)
    assert np.array_equal(one.mask.array, grow(made.image, made.lesion_centre_mm).mask.array)


def test_thick_slices() -> None:
    made = build("vertebra", spacing_mm=1.0, breach=False, seed=5)
    affine = made.image.grid.matrix
    affine[:3, 2] *= 3
    affine[2, 3] += 1.0
    count = made.image.array.shape[0] // 3 * 3
    thick = Volume.of(made.image.array[:count].reshape(-1, 3, *made.image.array.shape[1:]).mean(axis=1), affine)
    found = grow(thick, made.lesion_centre_mm)
    truth = made.masks[LESION].array[1:count:3]
    assert dice(found.mask.array, truth) >= 0.85
    assert not found.leak


def test_an_edge_that_the_threshold_decides_is_said() -> None:
    made = phantom("ilium", False)
    assert not grow(made.image, made.lesion_centre_mm).edge_unsure
    image = made.image.array.copy()
    bone = made.masks[made.lesion_bone].array & (image > 60) & (image < 450) & ~made.masks[LESION].array
    image[bone] = 95 + 0.5 * (image[bone] - 190)  # thin bone round the upper edge of the first band
    found = grow(made.image.with_array(image), made.lesion_centre_mm)
    assert found.edge_unsure
    assert any("not sharp" in n for n in found.notes)


@pytest.mark.parametrize(
    ("offset", "told"),
    [
        ((500.0, 0.0, 0.0), "outside the image"),
        ((0.0, 86.0, 0.0), "air"),
        ((11.0, 0.0, 40.0), "dense bone"),
        ((45.0, -30.0, 0.0), "Nothing grows"),
    ],
)
def test_seeds_that_cannot_be_are_refused(offset: tuple[float, float, float], told: str) -> None:
    made = phantom("femur", False)
    seed = tuple(c + o for c, o in zip((-95.0, 5.0, -450.0), offset, strict=True))
    with pytest.raises(InputError, match=told):
        grow(made.image, seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("diameter", [1.0, 200.0, float("nan")])
def test_a_diameter_that_cannot_be_is_refused(diameter: float) -> None:
    made = phantom("ilium", False)
    with pytest.raises(InputError, match="A diameter of"):
        grow(made.image, made.lesion_centre_mm, diameter_mm=diameter)


def test_every_threshold_has_unit_spread_and_source() -> None:
    for name, value in thresholds().items():
        assert value.source, name
        assert value.unit, name
        low, high = getattr(value.spread, "low", value.number), getattr(value.spread, "high", value.number)
        assert low <= value.number <= high, name


@pytest.mark.real
@pytest.mark.parametrize("outlined", [True, False], ids=["bone outlined", "image only"])
def test_real_pelvis_ct_with_synthetic_lesions(real, tmp_path, outlined: bool) -> None:
    """SYNTHETIC lesions in a real CT of 3 mm voxels and thin bone: Dice is printed; what fails must mostly say so itself.

    The surface was chosen on other lesions of hip_right; the other bones were not looked at before.
    """
    folder = real("pelvis_ct")
    image, outlines = folder / "example_ct.nii.gz", folder / "example_seg_fast_force_split.nii.gz"
    ct = images.read(image).volume
    masks = labels.read(outlines, ct.grid).masks
    rng = np.random.default_rng(11)
    found = []
    for number, name in enumerate(("hip_right", "hip_left", "vertebra_L2", "vertebra_L3", "vertebra_L4", "femur_right")):
        bone = masks[structure(name)]
        depth = ndimage.distance_transform_edt(bone.array, sampling=ct.spacing_mm)
        deep = np.argwhere(depth > 0.7 * depth.max())
        centre = ct.grid.to_mm(deep[rng.integers(len(deep))])
        place = (float(centre[0]), float(centre[1]), float(centre[2]))
        case = implant(image, outlines, place, 22.0, name, tmp_path / str(number), breach=number % 2 == 1)
        truth = load_case(case).lesions[0].mask
        result = grow(images.read(case.parent / "ct.nii.gz").volume, place, bone=bone if outlined else None)
        assert truth is not None
        found.append((dice(result.mask.array, truth.array), result.edge_unsure))
        print(f"{name}, breach {number % 2 == 1}: Dice {found[-1][0]:.3f}, leak {result.leak}, edge unsure {result.edge_unsure}")
    print(f"median Dice {np.median([d for d, _ in found]):.3f}; below 0.6: {[w for d, w in found if d < 0.6]} unsure")
    poor = [unsure for value, unsure in found if value < 0.6]
    assert sum(poor) >= 0.5 * len(poor)


# --- pictures without scale


def disc_picture(noise: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """A bright plate of bone in soft tissue with a dark disc of radius 14 in it."""
    y, x = np.mgrid[:200, :200]
    picture = np.full((200, 200), 70.0)
    picture[50:150, 40:160] = 180.0
    disc = (y - 100) ** 2 + (x - 95) ** 2 <= 14**2
    picture[disc] = 80.0
    rng = np.random.default_rng(4)
    return ndimage.gaussian_filter(picture, 0.7) + rng.normal(0, noise, picture.shape), disc


def test_a_disc_in_a_plate_is_found_in_pixels() -> None:
    picture, disc = disc_picture()
    found = grow_pixels(picture, (97, 99), units="pixels")
    assert dice(found.mask, disc) >= 0.9
    assert found.area_pixels == int(found.mask.sum())
    assert not found.leak
    assert found.ended == "grown"


def test_a_picture_has_neither_mm_nor_hu() -> None:
    picture, _ = disc_picture()
    with pytest.raises(UnitError, match="no spacing"):
        grow_pixels(picture, (97, 99), units="mm")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="without spacing or HU"):
        grow(picture, (97.0, 99.0, 0.0))  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="shape"):
        grow_pixels(np.zeros((20, 20, 3)), (5, 5), units="pixels")
    with pytest.raises(InputError, match="outside"):
        grow_pixels(picture, (97, 400), units="pixels")


@pytest.mark.real
def test_real_bone_metastases_2d_grower_against_expert_masks(real) -> None:
    """Reports Dice per slice, seeded at the innermost pixel of the largest expert region; no quality is asserted or claimed."""
    from PIL import Image

    folder = real("bone_metastases_2d")
    reported = []
    for file in sorted((folder / "images").iterdir()):
        grey = np.asarray(Image.open(file).convert("L"))
        expert = np.asarray(Image.open(folder / "masks" / file.name).convert("L")) > 127
        pieces, _ = ndimage.label(expert)
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        largest = pieces == int(sizes.argmax())
        depth = ndimage.distance_transform_edt(largest)
        seed = tuple(int(i) for i in np.unravel_index(depth.argmax(), depth.shape))
        found = grow_pixels(grey, seed, units="pixels")  # type: ignore[arg-type]
        value = dice(found.mask, expert)
        reported.append(value)
        print(
            f"{file.name}: expert {int(expert.sum())} px, grown {found.area_pixels} px, Dice {value:.3f}, "
            f"leak {found.leak}, unsure {found.edge_unsure}"
        )
    print(f"{len(reported)} slices of about 5 patients: median Dice {np.median(reported):.3f}")
    assert len(reported) == 12
    assert all(0 <= v <= 1 for v in reported)
