"""Mirels over all combinations, Harrington, Katagiri, and what every table of a score must carry."""

from __future__ import annotations

from importlib import resources
from itertools import product

import pytest

from osteon.assessment.scores.base import table
from osteon.assessment.scores.catalog import SCORES, UNVERIFIED, score_all
from osteon.assessment.scores.harrington_acetabulum import score as acetabulum
from osteon.assessment.scores.harrington_femur import score as femur
from osteon.assessment.scores.katagiri import score as katagiri
from osteon.assessment.scores.mirels import score as mirels
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, Unknown, vocabulary
from osteon.space.anatomy import structure

STATES = (Known, Interval, OneOf, Unknown, NotApplicable)
HIP, FEMUR, HUMERUS = structure("hip_left"), structure("femur_right"), structure("humerus_left")
FOLDER = resources.files("osteon.assessment.scores")
TABLES = sorted(f.name.removesuffix(".yaml") for f in FOLDER.iterdir() if f.name.endswith(".yaml"))


def facts(**states):
    return {n: Fact(n, s if isinstance(s, STATES) else Known(s)) for n, s in states.items()}


# --- Mirels 1989: four items of 1 to 3
SITES = ((HUMERUS, "humerus.shaft"), (FEMUR, "femur.shaft"), (FEMUR, "femur.peritrochanteric"))
PAINS = ({"pain_vas": 2.0, "pain_functional": False}, {"pain_vas": 6.0, "pain_functional": False}, {"pain_functional": True})
KINDS = ("blastic", "mixed", "lytic")
SIZES = (0.2, 0.5, 0.9)


@pytest.mark.parametrize(("site", "pain", "kind", "size"), product(range(3), repeat=4))
def test_mirels_over_all_81_combinations(site, pain, kind, size):
    bone, region = SITES[site]
    told = facts(long_bone=True, fracture="none", lesion_type=KINDS[kind], cortical_thickness_fraction=SIZES[size], **PAINS[pain])
    assert mirels(told, bone, region).state == Known(site + pain + kind + size + 4)


# --- Harrington 1981, as seed 2 prints it
WALLS = (
    "acetabular_medial_wall_destroyed",
    "acetabular_roof_destroyed",
    "acetabular_lateral_rim_destroyed",
    "acetabular_collapse",
)
GROUPS = {
    (False, False, False): ("I",),
    (True, False, False): ("II",),
    (True, True, True): ("III",),
    (True, True, False): ("II", "III"),
    (True, False, True): ("II", "III"),
    (False, True, False): ("I", "II"),
    (False, False, True): ("I", "II"),
    (False, True, True): ("I", "II"),
}


@pytest.mark.parametrize("walls", list(product((False, True), repeat=3)))
def test_harrington_acetabulum_over_all_defects(walls):
    told = facts(**dict(zip(WALLS, (*walls, False), strict=True)))
    expected = GROUPS[walls]
    state = acetabulum(told, HIP, "hip.acetabulum").state
    assert state == (Known(expected[0]) if len(expected) == 1 else OneOf(expected))
    collapsed = facts(**dict(zip(WALLS, (*walls, True), strict=True)))
    assert acetabulum(collapsed, HIP, "hip.acetabulum").state == Known("IV")


def test_harrington_of_case_4_is_a_set_with_one_action_register_x16():
    told = facts(**dict(zip(WALLS, (OneOf((False, True), conflict=True), False, False, False), strict=True)))
    result = acetabulum(told, HIP, "hip.acetabulum")
    assert result.state == OneOf(("I", "II"))
    assert result.action.count("I to III") == 1
    assert " or " not in result.action


def test_harrington_acetabulum_needs_the_walls_and_the_acetabulum():
    assert isinstance(acetabulum({}, HIP, "hip.acetabulum").state, Unknown)
    assert isinstance(acetabulum({}, HIP, "hip.ilium").state, NotApplicable)
    assert isinstance(acetabulum({}, FEMUR, "femur.proximal").state, NotApplicable)
    stated = facts(acetabular_medial_wall_destroyed=True)  # the chart says so, wherever the centre of the lesion lies
    assert acetabulum(stated, HIP, "hip.ilium").state == OneOf(("II", "III", "IV"))


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"circumferential_cortical_fraction": 0.5, "size_max_mm": 25.0, "lesser_trochanter_avulsed": False}, Interval(0, 1)),
        (
            {
                "circumferential_cortical_fraction": 0.51,
                "size_max_mm": 26.0,
                "lesser_trochanter_avulsed": True,
                "stress_pain_after_radiotherapy": True,
            },
            Known(4),
        ),
        (
            {
                "circumferential_cortical_fraction": 0.2,
                "size_max_mm": Interval(20, 30),
                "lesser_trochanter_avulsed": False,
                "prior_radiotherapy": False,
            },
            Interval(0, 1),
        ),
    ],
)
def test_harrington_femur_factors(states, expected):
    assert femur(facts(**states), FEMUR, "").state == expected


def test_harrington_femur_without_irradiation_has_no_pain_in_spite_of_it():
    found = next(i for i in femur(facts(prior_radiotherapy=False), FEMUR, "").items if i.name.startswith("stress"))
    assert (found.low, found.high) == (0, 0)
    assert isinstance(femur({}, HUMERUS, "").state, NotApplicable)
    assert isinstance(femur(facts(fracture="present"), FEMUR, "").state, NotApplicable)


# --- Katagiri 2014
GOOD = {
    "primary": "thyroid",
    "visceral_metastases": "none",
    "brain_metastases": False,
    "platelets_e9_l": 200.0,
    "calcium_mg_dl": 9.5,
    "bilirubin_mg_dl": 0.6,
    "crp_mg_dl": 0.1,
    "ldh_u_l": 180.0,
    "albumin_g_dl": 4.2,
    "ecog": 1.0,
    "prior_chemotherapy": False,
    "bone_lesions_total": 1.0,
}


def points(name, **changed):
    states = {n: s for n, s in {**GOOD, **changed}.items() if s is not None}
    found = next(i for i in katagiri(facts(**states), None, "").items if i.name == name)
    return found.low, found.high


def test_katagiri_runs_from_0_to_10_and_its_bands_leave_no_gap():
    assert katagiri(facts(**GOOD), None, "").state == Known(0)
    worst = {
        **GOOD,
        "primary": "pancreas",
        "visceral_metastases": "disseminated",
        "calcium_mg_dl": 11.0,
        "ecog": 3.0,
        "prior_chemotherapy": True,
        "bone_lesions_total": 2.0,
    }
    assert katagiri(facts(**worst), None, "").state == Known(10)
    assert "6 %" in katagiri(facts(**worst), None, "").action
    totals = [t for band in table("katagiri")["bands"] for t in range(band["totals"][0], band["totals"][1] + 1)]
    assert totals == list(range(11))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"crp_mg_dl": 0.4}, (1, 1)),
        ({"crp_mg_dl": 0.39}, (0, 0)),
        ({"ldh_u_l": 250.0}, (1, 1)),
        ({"albumin_g_dl": 3.7}, (0, 0)),
        ({"albumin_g_dl": 3.69}, (1, 1)),
        ({"platelets_e9_l": 99.0}, (2, 2)),
        ({"platelets_e9_l": 100.0}, (0, 0)),
        ({"calcium_mg_dl": 10.3}, (2, 2)),
        ({"bilirubin_mg_dl": 1.4}, (2, 2)),
        ({"crp_mg_dl": 5.0, "platelets_e9_l": 80.0}, (2, 2)),  # both groups: the critical one wins, they do not add
        ({"crp_mg_dl": 5.0, "calcium_mg_dl": None}, (1, 2)),  # abnormal for sure, critical perhaps
        ({"crp_mg_dl": None}, (0, 1)),
        ({"platelets_e9_l": None}, (0, 2)),
        ({"platelets_e9_l": 80.0, "crp_mg_dl": None, "ldh_u_l": None}, (2, 2)),  # nothing that is missing can change it
        ({"platelets_e9_l": OneOf((80.0, 150.0), conflict=True), "crp_mg_dl": 5.0}, (1, 2)),  # two values of one day
        ({"calcium_mg_dl": Interval(10.0, 10.5)}, (0, 2)),
    ],
)
def test_katagiri_laboratory_groups(changed, expected):
    assert points("laboratory", **changed) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"primary": "breast", "hormone_dependent": True}, (0, 0)),
        ({"primary": "breast", "hormone_dependent": False}, (2, 2)),
        ({"primary": "breast"}, (0, 2)),  # the same organ in two groups: the organ alone does not tell
        ({"primary": "lung", "targeted_drug": True}, (2, 2)),
        ({"primary": "lung"}, (2, 3)),
        ({"primary": "kidney"}, (2, 2)),
        ({"primary": "liver"}, (3, 3)),
        ({"primary": None}, (0, 3)),
    ],
)
def test_katagiri_primary(changed, expected):
    assert points("primary", **changed) == expected


def test_katagiri_knows_every_primary_of_the_vocabulary():
    listed = [o for row in table("katagiri")["primary"].values() for o in row["of"]] + list(table("katagiri")["treatability"])
    assert sorted(listed) == sorted(vocabulary()["primary"].domain)


def test_katagiri_brain_metastases_count_as_nodular_and_ecog_is_not_made_from_kps():
    assert points("visceral or brain metastases", brain_metastases=True) == (1, 1)
    assert points("visceral or brain metastases", brain_metastases=True, visceral_metastases="disseminated") == (2, 2)
    assert points("performance", ecog=None, kps=40.0) == (0, 1)


def test_katagiri_has_no_meaning_for_a_primary_tumour():
    assert isinstance(katagiri(facts(disease_class="primary_bone_tumour"), None, "").state, NotApplicable)


# --- what holds for all
@pytest.mark.parametrize("name", TABLES)
def test_every_table_names_its_source_and_says_whether_it_was_read_there(name):
    tree = table(name)
    checked = {
        "mirels": lambda: [*tree["risk"], tree["pain"]],
        "performance": lambda: tree["maps"].values(),
        "outcomes_pain": lambda: [*tree["definitions"].values(), *tree["severity"].values()],
        "outcomes_complications": lambda: [*tree["systems"].values(), *tree["pain_grades"].values()],
        "outcomes_quality": lambda: [tree["odi"], tree["fact_p"], *tree["eq5d"]["value_sets"].values()],
    }.get(name, lambda: [tree])()
    for row in checked:
        assert row.keys() & {"source", "quotes"}
        assert isinstance(row["verified"], bool)


@pytest.mark.parametrize("name", list(SCORES))
def test_every_item_reads_facts_of_the_vocabulary_and_a_table_not_read_in_its_paper_says_so(name):
    for bone, region in ((HIP, "hip.acetabulum"), (FEMUR, "femur.shaft"), (structure("vertebra_T8"), "")):
        told = facts(long_bone=bone is FEMUR)
        result = next(r for r in score_all(told, bone, region) if r.id == name)
        assert all(fact in vocabulary() for i in result.items for fact in i.facts)
        if isinstance(result.state, NotApplicable):
            assert result.state.why
        elif result.accuracy and table(name).get("verified") is False:
            assert UNVERIFIED in result.accuracy
