"""Three approaches by the state of the cortex: exact scenes, phantoms, what cannot be told. Tolerances were set beforehand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lesion_scene import BEAM, CORTEX_MM, EXABLATE, HIP, LESION, NERVE, patient, plate, turned
from osteon.data_files import read_data
from osteon.errors import InputError, MissingError, NotOutlinedError
from osteon.io import images, labels
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Volume
from osteon.treatments.focused_ultrasound.approach import approaches_of, cortex_over, ranked, state_of
from osteon.treatments.focused_ultrasound.approach_rows import number, rows, values
from osteon.treatments.focused_ultrasound.bone_face import beam_axes, face_of, periosteum
from osteon.treatments.focused_ultrasound.shots import APPROACHES
from osteon.treatments.focused_ultrasound.target_site import solid_hu

OFFERED_BY = {
    "intact": ("near-target", "direct"), "partial": ("near-target", "direct"), "destroyed": ("trans-soft-tissue",)
}  # seed 1, figure 10  # fmt: skip


def offered(found):
    return tuple(a.name for a in found if a.answer == "offered")


def on_the_plate(beam=BEAM, **scene):
    return approaches_of(plate(**scene), LESION, beam, EXABLATE)


def cortex_of(anatomy, beam=BEAM):
    return cortex_over(anatomy, face_of(anatomy, LESION, beam), EXABLATE)


def test_constants_have_units_and_sources():
    for name, value in values().items():
        assert value.unit
        assert value.source
        assert value.verified == (value.source != "osteon-proposal")
        assert number(name) == value.number


def test_li_2022_states_and_approaches_are_those_of_the_rules_of_select():
    """``rules.yaml`` and ``approach.yaml`` say the same of each state, and quote the same sentences."""
    rules = {r["id"]: r for r in read_data("osteon.treatments.focused_ultrasound", "rules.yaml")["rules"] if "id" in r}
    assert tuple(rows()) == APPROACHES
    for row in rows().values():
        rule = rules[row["rule"]]
        assert set(row["source"]) == set(rule["source"])
        for example in rule["examples"]:
            state = example["facts"].get("cortex_adjacent")
            if isinstance(state, str):
                assert (state in row["cortex"]) == example["is"]
    for state, names in OFFERED_BY.items():
        assert tuple(n for n, row in rows().items() if state in row["cortex"]) == names


def test_li_2022_the_focus_lies_10_mm_behind_on_the_surface_or_in_the_tumour():
    near, direct, through = on_the_plate()
    assert (near.behind_mm, direct.behind_mm) == (10.0, 0.0)
    assert np.isnan(through.behind_mm)


def test_a_whole_cortex_is_measured_as_thick_as_it_is():
    """4 mm met within the cone of 22 degrees: 4.0 to 4.3 mm; within 0.6 mm with voxels of 1 mm. All rays cross it."""
    cortex = cortex_of(plate())
    assert cortex.share == cortex.low == cortex.high == 1.0
    assert CORTEX_MM - 0.6 <= cortex.thickness_mm <= 4.3 + 0.6
    assert cortex.states == ("intact",)
    assert cortex.unseen == 0.0


@pytest.mark.parametrize("spacing", [2.0, 1.0])
def test_half_a_cortex_is_a_share_of_one_half(spacing):
    """By symmetry one half, at any spacing; within 0.05."""
    cortex = cortex_of(plate(hole=lambda p: p[0] > 0, spacing=spacing))
    assert cortex.share == pytest.approx(0.5, abs=0.05)
    assert cortex.low <= cortex.share <= cortex.high
    assert cortex.states == ("partial",)


def test_a_larger_hole_never_leaves_more_cortex():
    shares = [cortex_of(plate(hole=lambda p, r=r: np.hypot(p[0], p[2]) < r)).share for r in (0, 4, 7, 10, 16)]
    assert all(a >= b for a, b in pairwise(shares))
    assert shares[0] == 1.0
    assert shares[-1] == 0.0


def test_the_cone_looks_only_at_the_side_of_the_beam():
    """The rear cortex gone: destroyed from behind, intact from the front."""
    gone = plate(hole=lambda p: np.hypot(p[0], p[2]) < 20)
    assert cortex_of(gone).states == ("destroyed",)
    assert cortex_of(gone, beam=(0.0, 1.0, 0.0)).states == ("intact",)


def test_another_part_of_the_same_bone_farther_out_is_no_cortex_of_the_lesion():
    """A second plate of it 18 mm outside, the cortex itself gone."""
    two = {HIP: lambda p: ((p[1] > -20) & (p[1] < 10)) | ((p[1] > 28) & (p[1] < 34))}

    def outer(p, values):
        values[(p[1] > 28) & (p[1] < 34)] = 1400.0

    assert cortex_of(plate(hole=lambda p: np.hypot(p[0], p[2]) < 30, masks=two, hu=outer)).share == 0.0


def test_a_cortex_of_middling_density_is_told_as_a_band():
    """360 HU: solid at the low end (289) and in the middle (340), not at the high end (374)."""

    def pale(p, values):
        values[(p[1] > 6) & (p[1] < 10)] = 360.0

    cortex = cortex_of(plate(hu=pale))
    assert (cortex.low, cortex.share, cortex.high) == (0.0, 1.0, 1.0)
    assert offered(on_the_plate(hu=pale)) == ()


def test_dense_bone_that_the_outline_of_the_lesion_takes_in_counts():
    """The lesion is drawn over its own cortex, up to the surface of the bone."""
    over = {LESION: lambda p: (np.hypot(p[0], p[2]) < 10) & (p[1] < 10) & (p[1] > -8)}
    assert cortex_of(plate(masks=over)).states == ("intact",)


def test_metal_is_no_cortex_and_hides_what_is_there():
    """A steel plate of 5000 HU where the cortex was, its edges blurred by voxels: no bone for sure, and none excluded."""

    def steel(p, values):
        values[(p[1] > 6) & (p[1] < 10)] = 5000.0

    cortex = cortex_of(plate(hu=steel))
    assert (cortex.low, cortex.high, cortex.unseen) == (0.0, 1.0, 1.0)
    assert offered(on_the_plate(hu=steel)) == ()


@pytest.mark.parametrize("name", ["femur", "ilium"])
@pytest.mark.parametrize("state", list(OFFERED_BY))
def test_phantoms_are_offered_what_the_paper_says(name, state):
    anatomy, beam = patient(name, state)
    found = approaches_of(anatomy, LESION, beam, EXABLATE)
    assert tuple(a.name for a in found) == APPROACHES
    assert found[0].cortex.states == (state,)
    assert offered(found) == OFFERED_BY[state]
    for one in found:
        assert one.answer == ("offered" if one.name in OFFERED_BY[state] else "not offered")
        assert one.cortex is found[0].cortex
        assert "cortex on" in one.reason


@pytest.mark.parametrize(
    ("scene", "beam", "asks"),
    [
        ({"imaged": lambda p: ~((p[0] > -6) & (p[1] > 6))}, BEAM, "image all of the bone"),
        ({"hole": lambda p: p[0] > -6, "slices": 5}, BEAM, "slices of at most 3 mm"),
    ],
    ids=["not imaged", "thick slices"],
)
def test_what_was_not_measured_cannot_be_told(scene, beam, asks):
    found = on_the_plate(**({"hole": lambda p: p[0] < -6} if "imaged" in scene else {}), **scene)
    assert {a.answer for a in found} == {"cannot tell"}
    for one in found:
        assert one.reason.startswith("cannot tell: ")
        assert asks in one.reason


def test_bone_that_is_cut_off_by_the_edge_of_the_image_is_unknown():
    """The image ends inside the cortex: nothing says what lies beyond."""
    whole = plate(hole=lambda p: p[1] < 9.0)
    rows_kept = int(np.floor(whole.grid.to_index(np.array([0.0, 8.6, 0.0]))[1]))
    cut = lambda v: Volume.of(v.array[:, :rows_kept], v.grid.matrix)  # noqa: E731
    anatomy = replace(whole, imaged=cut(whole.imaged), image=cut(whole.image), masks={k: cut(v) for k, v in whole.masks.items()})
    found = approaches_of(anatomy, LESION, BEAM, EXABLATE)
    assert found[0].cortex.unseen == 1.0
    assert offered(found) == ()


def test_what_is_not_imaged_outside_the_bone_does_not_hide_its_cortex():
    """The image ends 2 mm outside the surface; the outline's margin is 1.5 mm."""
    cortex = cortex_of(plate(imaged=lambda p: p[1] < 13))
    assert (cortex.share, cortex.unseen) == (1.0, 0.0)


def test_without_an_outlined_bone_nothing_can_be_told():
    anatomy = plate()
    bare = replace(anatomy, masks={k: v for k, v in anatomy.masks.items() if k != HIP})
    found = approaches_of(bare, LESION, BEAM, EXABLATE)
    assert {a.answer for a in found} == {"cannot tell"}
    assert "outline the bone" in found[0].reason


def test_a_share_between_two_states_offers_only_what_both_allow():
    """Spoilt by metal on 40 % of its width, else whole: intact or partial, and both take the beam up."""
    base = plate(hole=None)
    spoilt = np.zeros(base.grid.shape, bool)
    x = base.grid.to_mm(np.moveaxis(np.indices(base.grid.shape), 0, -1))[..., 0]
    spoilt[x > 6] = True
    hole = plate(hole=lambda p: p[0] > 6)
    found = approaches_of(replace(hole, unreliable=Volume(spoilt, base.grid)), LESION, BEAM, EXABLATE)
    assert set(found[0].cortex.states) == {"intact", "partial"}
    assert offered(found) == ("near-target", "direct")


def test_states_keep_to_their_limits():
    assert [state_of(s) for s in (0.0, 0.1, 0.11, 0.89, 0.9, 1.0)] == [
        "destroyed", "destroyed", "partial", "partial", "intact", "intact"
    ]  # fmt: skip


def test_a_sclerotic_lesion_without_cortex_holds_no_place_for_a_focus():
    found = on_the_plate(sclerotic=True, hole=lambda p: np.hypot(p[0], p[2]) < 30)
    assert found[0].cortex.states == ("intact",)  # its own bone takes the beam up
    assert found[2].answer == "not offered"


def test_a_nerve_behind_the_cortex_changes_which_approach_comes_first():
    """A nerve 11 to 13 mm behind the surface: 1 mm from foci near the target, 11 mm from those on it; within 1 mm."""
    without = on_the_plate()
    assert [a.name for a in ranked(without)][:2] == ["near-target", "direct"]
    assert without[0].near == ()
    found = on_the_plate(masks={NERVE: lambda p: (p[1] < -1) & (p[1] > -3)})
    near, direct, _ = found
    assert near.near[0].name == "right sciatic nerve"
    assert near.near[0].distance_mm == pytest.approx(1.0, abs=1.0)
    assert direct.near == ()
    assert [a.name for a in ranked(found)] == ["direct", "near-target", "trans-soft-tissue"]


def test_a_nerve_on_the_bone_is_told_for_both():
    """A nerve whose face lies 5 mm outside the cortex: 5 mm from foci on it, 15 mm from those behind it; within 1 mm."""
    found = on_the_plate(masks={NERVE: lambda p: (p[1] > 15) & (p[1] < 19)})
    assert found[1].near[0].distance_mm == pytest.approx(5.0, abs=1.0)
    assert found[0].near == ()


def test_a_lesion_on_the_far_side_of_its_bone_is_told():
    """From the front the lesion begins 12 mm below the surface (y from -20 to -8), from the back 4 mm; within 1 mm."""
    front, back = (on_the_plate(beam)[1].notes for beam in ((0.0, 1.0, 0.0), BEAM))
    assert back == ()
    (told,) = front
    assert float(told.split("lies ")[1].split(" mm")[0]) == pytest.approx(12.0, abs=1.0)


def test_what_nobody_outlined_is_said():
    bare = replace(plate(), absent=frozenset())
    assert "nerve, bowel, lung" in approaches_of(bare, LESION, BEAM, EXABLATE)[0].notes[0]


@pytest.mark.parametrize("hole", [None, lambda p: np.hypot(p[0], p[2]) < 6])
def test_a_turned_patient_has_the_same_cortex(hole):
    """Share within 0.02, thickness within 0.25 mm."""
    turn = turned()
    still, moved = cortex_of(plate(hole)), cortex_of(plate(hole, affine=turn), tuple(turn[:3, :3] @ np.array(BEAM)))
    assert moved.share == pytest.approx(still.share, abs=0.02)
    assert moved.thickness_mm == pytest.approx(still.thickness_mm, abs=0.25)
    assert moved.states == still.states


def test_the_periosteum_of_a_flat_bone_is_flat_and_as_large_as_the_lesion_with_its_margin():
    """A disc of 10 + 3 mm: area within 5 %, at y = 10 within half a voxel and half a cell."""
    face = face_of(plate(), LESION, BEAM)
    index, area = periosteum(face)
    assert area.sum() == pytest.approx(np.pi * 13.0**2, rel=0.05)
    assert np.abs(face.to_mm(face.to_uvw(index))[:, 1] - 10.0).max() < 1.0


def test_axes_of_the_beam_are_right_handed_and_turn_with_the_image():
    grid = plate().grid
    axes = beam_axes(grid, (0.2, -3.0, 0.4))
    assert np.allclose(axes.T @ axes, np.eye(3))
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert np.allclose(np.cross(axes[:, 0], axes[:, 1]), axes[:, 2])


def test_solid_limits_follow_the_spread_of_the_tables():
    """0.17 of 1700, 2000 and 2200 HU (voxel-rules.yaml)."""
    assert [solid_hu(plate(), e) for e in ("low", "middle", "high")] == pytest.approx([289.0, 340.0, 374.0])


@pytest.mark.parametrize("beam", [(0.0, 0.0, 0.0), (0.0, float("nan"), 1.0), (0.0, 1.0)])
def test_a_beam_without_direction_is_refused(beam):
    with pytest.raises(InputError, match="side of the bone"):
        face_of(plate(), LESION, beam)


def test_what_is_missing_is_refused():
    with pytest.raises(NotOutlinedError):
        approaches_of(plate(), structure("femur_left"), BEAM, EXABLATE)
    with pytest.raises(MissingError, match="no CT"):
        approaches_of(replace(plate(), image=None), LESION, BEAM, EXABLATE)
    with pytest.raises(InputError, match="no array"):
        approaches_of(plate(), LESION, BEAM, "torch")


@pytest.mark.real
def test_the_right_ilium_of_the_real_pelvis_is_offered_what_is_left_of_its_cortex(real):
    """A lytic ball drawn above the acetabulum on a CT of 3 mm: with its cortex, and with the cortex over it taken away."""
    image = images.read(real("pelvis_ct/example_ct.nii.gz"))
    grid = image.volume.grid
    masks = labels.read(real("pelvis_ct/example_seg_fast_force_split.nii.gz"), grid).masks
    hip, femur = (grid.to_mm(np.argwhere(masks[structure(n)].array)) for n in ("hip_right", "femur_right"))
    away = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) - hip[np.abs(hip[:, 2] - femur[:, 2].max() - 25) < 2].mean(0)
    ball = np.linalg.norm(away, axis=-1) <= 12.5
    hu = np.where(ball, 40.0, image.volume.array).astype(np.float32)
    over = (np.hypot(away[..., 1], away[..., 2]) < 22) & (away[..., 0] < 0) & (away[..., 0] > -45) & (hu > 100)
    for filled, wanted in (
        (hu, ("near-target", "direct")),
        (np.where(over, 40.0, hu).astype(np.float32), ("trans-soft-tissue",)),
    ):
        anatomy = Anatomy(image.imaged, Volume(filled, grid), {**masks, LESION: Volume(ball, grid)})
        found = approaches_of(anatomy, LESION, (1.0, 0.0, 0.0), EXABLATE)
        assert offered(found) == wanted
        assert all("nerve" in one.notes[0] for one in found)  # nobody outlined it
