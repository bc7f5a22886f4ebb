"""What the image shows by itself: metal and what it spoils, bone without outlines, gaps; approximate, and never decided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from assessment_cases import chart, thigh

from osteon.assessment.assess import assess
from osteon.assessment.found import find
from osteon.assessment.measure import measure
from osteon.assessment.measure_base import Scene
from osteon.case.load import load_case
from osteon.case.model import Case, Lesion, Study
from osteon.case.phantom import build, write
from osteon.facts import Interval, Known, OneOf, Unknown, possible
from osteon.planning.maps import build_maps
from osteon.selection.select import select
from osteon.space.anatomy import structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.bone import CODE, properties_map
from osteon.treatments.needle_path import cast_rays

FEMUR, HIP, OTHER, IMPLANT = (structure(n) for n in ("femur_left", "hip_left", "other_bone", "implant"))


def changed(case: Case, change) -> Case:
    """The case with another CT; ``change`` gets the HU and the places in LPS mm (3, z, y, x)."""
    study = case.studies[0]
    hu = study.volume.array.copy()
    places = np.moveaxis(study.volume.grid.to_mm(np.moveaxis(np.indices(hu.shape), 0, -1)), -1, 0)
    change(hu, places)
    return replace(case, studies=(replace(study, volume=study.volume.with_array(hu)),))


def nail(hu: np.ndarray, places: np.ndarray, *, away: float = -4.0, value: float = 3071.0, streaks: bool = True) -> None:
    """A nail of 6 mm along the femur beside the lesion, and bands of noise to its right and left in 24 mm of slices."""
    x, y, z = places
    if streaks:
        band = (np.abs(y) < 5) & (np.abs(x) < 45) & (np.abs(z) < 12)
        hu[band] += np.random.default_rng(1).normal(0, 250, hu.shape)[band]
    hu[(np.hypot(x - away, y) <= 3) & (np.abs(z) < 12)] = value


# --- metal


def test_metal_becomes_an_implant_and_spoils_what_lies_in_its_streaks() -> None:
    found = assess(changed(thigh(noise=5.0), nail)).lesions[0]
    assert found.anatomy.has(IMPLANT)
    assert IMPLANT in found.anatomy.approximate
    assert found.facts["implant_near"].state == Known(True)
    for name in ("mean_hu", "lytic_fraction", "blastic_fraction", "lesion_type", "cortex_contact", "cortex_loss_mm2"):
        state = found.facts[name].state
        assert isinstance(state, Unknown), name
        assert state.why.startswith("cannot tell: streaks of metal spoil HU here"), name
    assert any(w.startswith("metal 0 mm from the lesion: streaks spoil the HU in") for w in found.warnings)


def test_a_chart_answers_what_metal_hides() -> None:
    found = assess(changed(thigh(noise=5.0, lesion_type="lytic"), nail)).lesions[0]
    assert found.facts["lesion_type"].state == Known("lytic")


def spoilt_beyond(part_mm: float) -> tuple[Scene, Scene]:
    """The thigh's lesion as it is, and with the HU beyond a plane spoilt to 3000 and marked as unreliable."""
    case = thigh(noise=5.0)
    clean = assess(case).lesions[0].anatomy
    z = np.moveaxis(clean.grid.to_mm(np.moveaxis(np.indices(clean.grid.shape), 0, -1)), -1, 0)[2]
    spoilt = clean.imaged.with_array(z > part_mm)
    image = clean.image.with_array(np.where(spoilt.array, 3000, clean.image.array).astype(np.float32))
    streaked = replace(clean, image=image, unreliable=spoilt)
    one, two = (Scene(a, FEMUR, "femur.shaft", "CT", contrast=False) for a in (clean, streaked))
    return one, two


def test_a_small_spoilt_part_is_left_out_and_said() -> None:
    clean, streaked = spoilt_beyond(6.0)  # a cap of a tenth of the ball
    assert streaked.spoilt == pytest.approx(0.104, abs=0.03)
    before, after = measure(clean), measure(streaked)
    for name in ("lesion_type", "cortex_contact"):
        assert after[name].state == before[name].state, name
    for end in ("low", "high"):
        assert getattr(after["mean_hu"].state, end) == pytest.approx(getattr(before["mean_hu"].state, end), abs=3)
    for name in ("mean_hu", "lytic_fraction", "lesion_type", "cortex_loss_mm2"):
        assert "in streaks of metal" in after[name].origins[0].where, name
        assert "in streaks of metal" not in before[name].origins[0].where, name


def test_a_large_spoilt_part_closes_what_is_read_from_hu_and_nothing_else() -> None:
    clean, streaked = spoilt_beyond(2.0)
    assert streaked.spoilt > 0.2
    before, after = measure(clean), measure(streaked)
    of_hu = {name for name in before if before[name].state != after[name].state}
    assert {"mean_hu", "lytic_fraction", "blastic_fraction", "lesion_type", "cortex_contact", "cortex_loss_mm2"} <= of_hu
    assert not of_hu & {"volume_ml", "size_max_mm", "distance_nerve_mm", "soft_tissue_component", "side"}
    assert all("streaks of metal" in after[name].state.why for name in of_hu - {"implant_near"})


def test_without_metal_nothing_is_unreliable() -> None:
    found = assess(thigh(noise=5.0)).lesions[0]
    assert found.anatomy.unreliable is None
    assert not found.anatomy.has(IMPLANT)
    assert found.facts["implant_near"].state != Known(True)


def test_denser_than_bone_but_less_than_metal_is_asked() -> None:
    found = assess(changed(thigh(), lambda hu, p: nail(hu, p, value=2300.0, streaks=False))).lesions[0]
    state = found.facts["implant_near"].state
    assert isinstance(state, Unknown)
    assert "denser than bone, but less than metal" in state.why
    assert found.facts["implant_near"].origins[0].place_mm is not None


def test_an_outlined_implant_stays_as_drawn_and_other_metal_is_added() -> None:
    case = changed(thigh(), nail)
    metal = assess(case).lesions[0].anatomy.mask(IMPLANT)
    larger = metal.with_array(metal.array | np.roll(metal.array, 1, axis=2))
    drawn = assess(replace(case, masks={**case.masks, IMPLANT: larger})).lesions[0].anatomy
    assert np.array_equal(drawn.mask(IMPLANT).array, larger.array)
    assert IMPLANT not in drawn.approximate
    elsewhere = metal.with_array(np.roll(metal.array, 20, axis=2))
    both = assess(replace(case, masks={**case.masks, IMPLANT: elsewhere})).lesions[0]
    assert np.array_equal(both.anatomy.mask(IMPLANT).array, elsewhere.array | metal.array)
    assert IMPLANT in both.anatomy.approximate
    assert any("beside the outlined implant" in w for w in both.warnings)


def test_metal_that_was_declared_absent_is_kept_and_said() -> None:
    found = assess(replace(changed(thigh(), nail), absent=frozenset({IMPLANT}))).lesions[0]
    assert found.anatomy.has(IMPLANT)
    assert any("declared absent, but the CT shows metal" in w for w in found.warnings)


def test_metal_stands_in_the_way_of_needles() -> None:
    anatomy = assess(changed(thigh(), nail)).lesions[0].anatomy
    centre = np.array([8.0, 0.0, 0.0])
    maps = build_maps(anatomy, centre, 80.0, {FEMUR}, structure("lesion"))
    at = tuple(np.round(maps.grid.to_index(np.array([-4.0, 0.0, 0.0]))).astype(int))
    assert maps.margin[at] < 0
    assert IMPLANT in maps.critical
    clean = assess(thigh()).lesions[0].anatomy
    assert build_maps(clean, centre, 80.0, {FEMUR}, structure("lesion")).margin[at] > 10
    blocked = [cast_rays(a, structure("lesion"), 200.0).blocked for a in (anatomy, clean)]
    assert blocked[0] > blocked[1]


def test_tissue_that_metal_spoils_takes_the_values_of_its_class() -> None:
    case = changed(thigh(noise=5.0), nail)
    anatomy = assess(case).lesions[0].anatomy
    found = properties_map(anatomy, 2.45e9)
    plain = properties_map(replace(anatomy, unreliable=None), 2.45e9)
    spoilt = anatomy.unreliable.array & anatomy.imaged.array
    assert any("whose HU metal spoils" in a for a in found.assumptions)
    lesion = spoilt & found.is_label("lesion")
    assert lesion.any()
    assert np.ptp(found.conductivity[lesion]) == 0
    assert np.ptp(plain.conductivity[lesion]) > 0
    assert np.array_equal(found.labels[~spoilt], plain.labels[~spoilt])
    assert (found.labels[anatomy.mask(IMPLANT).array] == CODE["titanium"]).all()
    assert not (found.labels[spoilt & anatomy.mask("body").array] == CODE["air"]).any()


# --- bone without outlines

WITHIN_MM = 2.0
LOSS_WITHIN, FRACTION_WITHIN, AXIAL_WITHIN_MM, ROUND_WITHIN = 0.25, 0.15, 5.0, 0.1
"""Set before anything was compared: distances 2 mm; intervals meet once widened by a quarter, 0.15, 5 mm and 0.1."""


def ends(fact) -> tuple[float, float]:
    state = fact.state
    return (state.low, state.high) if isinstance(state, Interval) else (float(state.value), float(state.value))


def meet(a: tuple[float, float], b: tuple[float, float], slack: float) -> bool:
    return a[0] - slack <= b[1] and b[0] - slack <= a[1]


@pytest.mark.parametrize("breach", [True, False])
@pytest.mark.parametrize("name", ["femur", "vertebra", "ilium"])
def test_phantoms_without_label_map_give_what_those_with_one_give(name: str, breach: bool, tmp_path: Path) -> None:
    case = load_case(write(name, tmp_path, spacing_mm=2.0, breach=breach).parent)
    known = assess(case).lesions[0]
    bare = assess(replace(case, masks={})).lesions[0]
    bone = case.lesions[0].bone
    assert bone in bare.anatomy.approximate
    assert any("found by threshold" in w for w in bare.warnings)
    a, b = known.facts, bare.facts
    for fact in ("volume_ml", "size_max_mm", "size_lr_mm", "mean_hu", "lytic_fraction", "lesion_type", "soft_tissue_component"):
        assert a[fact].state == b[fact].state, fact
    for fact in ("depth_from_skin_mm", "distance_skin_mm"):
        assert ends(a[fact]) == pytest.approx(ends(b[fact]), abs=WITHIN_MM), fact
    assert set(possible(a["cortex_contact"].state)) & set(possible(b["cortex_contact"].state))
    loss = [ends(f["cortex_loss_mm2"]) for f in (a, b)]
    assert meet(*loss, LOSS_WITHIN * max(loss[0]))
    assert meet(*(ends(f["cortical_thickness_fraction"]) for f in (a, b)), FRACTION_WITHIN)
    if name == "femur":
        assert meet(*(ends(f["axial_cortical_mm"]) for f in (a, b)), AXIAL_WITHIN_MM)
        assert meet(*(ends(f["circumferential_cortical_fraction"]) for f in (a, b)), ROUND_WITHIN)


def trunk(*, chart_bone: str = "femur_left", at_mm: float = 75.0, **facts) -> Case:
    """A trunk 300 mm wide with two femora at x = +-75 mm, a ball in the one at ``at_mm``, and no outline but the lesion's."""
    grid = Grid.box(np.array([-165.0, -90, -60]), np.array([165.0, 90, 60]), 3.0)
    x, y, z = np.moveaxis(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    hu = np.where((x / 150) ** 2 + (y / 75) ** 2 <= 1, 50.0, -1000.0)
    for middle in (-75.0, 75.0):
        away = np.hypot(x - middle, y)
        hu[away <= 15] = 1200.0
        hu[away <= 9] = -20.0
    lesion = (x - at_mm) ** 2 + y**2 + z**2 <= 8.0**2
    hu[lesion] = 40.0
    seen = Volume(np.ones(grid.shape, bool), grid)
    study = Study("ct1", "CT", None, Volume(hu.astype(np.float32), grid), seen, contrast=False)
    one = Lesion("L1", structure(chart_bone), chart(**facts), Volume(lesion, grid), "palliation", "shaft")
    return Case(Path(), "trunk", {}, (one,), (study,))


def test_the_piece_that_holds_the_lesion_is_the_bone_and_the_others_have_no_name() -> None:
    found = assess(trunk()).lesions[0]
    assert {s.id for s in found.anatomy.of_kind("bone")} == {"femur_left", "other_bone"}
    places = found.anatomy.mask(FEMUR).centre_mm()
    assert places[0] == pytest.approx(75, abs=2)
    assert found.anatomy.mask(OTHER).centre_mm()[0] == pytest.approx(-75, abs=2)
    assert {FEMUR, OTHER} <= found.anatomy.approximate
    assert found.facts["side"].state == Known("left")
    assert found.facts["laterality_agrees"].state == Known(True)
    assert any(w.startswith("unlabelled bone: 1 other dense piece found") for w in found.warnings)
    maps = build_maps(found.anatomy, np.array([75.0, 0, 0]), 200.0, {FEMUR}, structure("lesion"))
    where = [tuple(np.round(maps.grid.to_index(np.array([x, 12.0, 20.0]))).astype(int)) for x in (75.0, -75.0)]
    assert [int(maps.bone[i]) for i in where] == [1, 2]  # the lesion's bone may be drilled, the other one not


def test_a_bone_on_the_other_side_than_the_chart_says_is_a_conflict_and_gets_no_name() -> None:
    found = assess(trunk(chart_bone="femur_right")).lesions[0]
    assert structure("femur_right") not in found.anatomy.masks
    assert FEMUR not in found.anatomy.masks
    assert found.facts["side"].state == OneOf(("left", "right"), conflict=True) or found.facts["side"].state == OneOf(
        ("right", "left"), conflict=True
    )
    assert found.facts["laterality_agrees"].state == Known(False)
    assert any("lies on the left: it is not taken for that bone" in w for w in found.warnings)
    assert "chart and image contradict each other: side" in found.warnings


def test_one_piece_for_two_bones_is_named_for_neither() -> None:
    case = trunk()
    second = replace(case.lesions[0], id="L2", bone=HIP)
    found = assess(replace(case, lesions=(*case.lesions, second))).lesions
    assert all(not each.anatomy.has(key) for each in found for key in (FEMUR, HIP))
    assert any("one piece of bone holds lesions of left femur and left hip bone" in w for w in found[0].warnings)


def test_a_lesion_without_bone_in_the_chart_names_no_piece() -> None:
    case = trunk()
    found = assess(replace(case, lesions=(replace(case.lesions[0], bone=None),))).lesions[0]
    assert [s.id for s in found.anatomy.of_kind("bone")] == ["other_bone"]
    assert isinstance(found.facts["bone"].state, Unknown)


def test_a_lesion_beside_every_bone_is_said() -> None:
    found = assess(trunk(at_mm=0.0)).lesions[0]
    assert any("no dense piece of bone holds it" in w for w in found.warnings)
    assert FEMUR not in found.anatomy.masks


def test_where_bones_are_outlined_none_is_looked_for() -> None:
    case = thigh()
    assert OTHER not in find(case, case.studies[0], case.masks).masks


# --- gaps and cuts


def broken(**facts) -> Case:
    """A femur phantom with a slanted gap of 3 mm through its shaft, 45 mm above the lesion."""
    made = build("femur", breach=False, lesion_mm=12.0, spacing_mm=1.5)
    grid = made.image.grid
    key = structure("femur_right")
    x, _, z = np.moveaxis(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    hu = made.image.array.copy()
    hu[(np.abs(z + 0.3 * (x + 95.0) + 405.0) <= 1.5) & made.masks[key].array] = 40.0
    study = Study("ct1", "CT", None, made.image.with_array(hu), made.image.with_array(np.ones(hu.shape, bool)), contrast=False)
    one = Lesion("L1", key, chart(**facts), made.masks[structure("lesion")], "palliation", "shaft")
    return Case(Path(), "broken", {}, (one,), (study,), {key: made.masks[key]})


def test_a_gap_is_asked_about_where_the_chart_is_silent_and_never_decided() -> None:
    assessment = assess(broken())
    found = assessment.lesions[0]
    fact = found.facts["fracture"]
    assert isinstance(fact.state, Unknown)
    assert fact.state.why.startswith("cannot tell: a gap of about ")
    assert fact.state.why.endswith("look at it and state `fracture`")
    assert fact.origins[0].place_mm[2] == pytest.approx(-405, abs=6)
    (warning,) = [w for w in found.warnings if w.startswith("possible fracture")]
    assert "axial slice" in warning
    assert "right femur" in warning


def test_a_gap_against_the_chart_is_something_to_check_and_no_conflict() -> None:
    found = assess(broken(fracture="none")).lesions[0]
    assert found.facts["fracture"].state == Known("none")
    assert any(w.startswith("the chart says that there is no fracture, but the CT shows a gap") for w in found.warnings)
    assert not any("contradict each other: fracture" in w for w in found.warnings)
    known = assess(broken(fracture="present")).lesions[0]
    assert known.facts["fracture"].state == Known("present")


def test_a_gap_is_among_the_first_questions() -> None:
    assessment = assess(broken())
    asked = [q.fact for q in select(assessment).questions if q.lesion_id == "L1"]
    assert asked[0] == "fracture"
    first = next(q for q in select(assessment).questions if q.fact == "fracture")
    assert "a gap of about" in first.ask
    silent = [q.fact for q in select(assess(thigh())).questions if q.lesion_id == "L1"]
    assert silent[0] != "fracture"


def test_whole_bone_asks_nothing() -> None:
    found = assess(thigh()).lesions[0]
    assert found.facts["fracture"].state == Unknown()
    assert not any("fracture" in w for w in found.warnings)


def test_a_cut_bone_is_said_once_with_the_edges() -> None:
    found = assess(broken()).lesions[0]
    said = [w for w in found.warnings if "cut by the edge" in w]
    assert said == [
        "cut by the edge of the image: right femur (below); volume, symmetry and load cases of a cut bone do not hold"
    ]
