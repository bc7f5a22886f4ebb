"""Names of outlines: every synonym resolves, a side is never guessed, planning volumes stay out, codes and names are compared."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.io.labels import totalsegmentator
from osteon.io.structure_names import Question, _table, by_code, resolve, resolve_all
from osteon.space.anatomy import Structure, structures


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Spinal-Cord", "spinal_cord"),
        ("SpinalCanal", "spinal_cord"),
        ("spinal cord", "spinal_cord"),
        ("Lung-Left", "lung_left"),
        ("L_lung", "lung_left"),
        ("LungR", "lung_right"),
        ("LUNG_RT", "lung_right"),
        ("GTV-1", "lesion"),
        ("GTV", "lesion"),
        ("GTV_Mass_CT", "lesion"),
        ("GTV_Mass_MR_T1", "lesion"),
        ("GTV_Mass_PET", "lesion"),
        ("Kidney li", "kidney_left"),
        ("Niere re", "kidney_right"),
        ("BrachialPlex_L", "brachial_plexus_left"),
        ("N. ischiadicus rechts", "sciatic_nerve_right"),
        ("L3", "vertebra_L3"),
        ("VB_L3", "vertebra_L3"),
        ("LWK 3", "vertebra_L3"),
        ("Th12", "vertebra_T12"),
        ("vertebrae_T12", "vertebra_T12"),
        ("Rib05_L", "rib_5_left"),
        ("rib_left_5", "rib_5_left"),
        ("Large bowel", "colon"),
        ("External", "body"),
        ("CouchSurface", "table"),
        ("A_Aorta", "aorta"),
        ("Glnd_Adrenal_R", "adrenal_gland_right"),
        ("lung_upper_lobe_left", "lung_left"),
        ("hip_left", "hip_left"),
        ("Oesophagus", "esophagus"),
        ("Rückenmark", "spinal_cord"),
        ("Scar", "scar"),
        ("Narbe", "scar"),
    ],
)
def test_free_text(name: str, expected: str):
    found = resolve(name)
    assert isinstance(found, Structure), found
    assert found.id == expected


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("lung", {"lung_left", "lung_right"}),
        ("Lungs", {"lung_left", "lung_right"}),
        ("Lung_L_R", {"lung_left", "lung_right"}),
        ("Femoral head L", {"femur_left", "hip_joint_left"}),
        ("Femur_Head_R", {"femur_right", "hip_joint_right"}),
        ("Hip R", {"hip_right", "hip_joint_right"}),
        ("Bowel", {"small_bowel", "colon"}),
        ("L3-L5", {"vertebra_L3", "vertebra_L5"}),
        ("Liver left", {"liver"}),
        ("Ilium left", {"hip_left"}),
    ],
)
def test_what_is_unsure_is_asked(name: str, choices: set[str]):
    found = resolve(name)
    assert isinstance(found, Question), found
    assert {s.id for s in found.choices} == choices
    assert found.text.endswith(("?", "."))
    assert name in found.text


@pytest.mark.parametrize(
    "name",
    ["PTV", "PTV_3000", "CTV1", "SpinalCord_PRV05", "Body-PTV", "Lung_L minus GTV", "Ring 2cm", "zzOpt", "asdf", "", "   ", "Ω"],
)
def test_planning_volumes_and_strangers_stay_unmapped(name: str):
    assert resolve(name) is None


def test_mr_t1_is_no_vertebra():
    assert resolve("T1").id == "vertebra_T1"
    assert resolve("MR T1") is None


def test_every_class_of_totalsegmentator_and_every_id_is_decided():
    for name, expected in totalsegmentator().values():
        assert resolve(name) == structures()[expected]
    for key, item in structures().items():
        assert resolve(key) == item


def test_every_synonym_is_decided_or_asked_for_its_side_and_never_for_another_structure():
    for base, phrases in _table()["synonyms"].items():
        for phrase in phrases:
            found = resolve(phrase)
            if base in structures():
                assert found == structures()[base], phrase
            else:
                assert isinstance(found, Question), phrase
                assert {s.id for s in found.choices} == {f"{base}_left", f"{base}_right"}, phrase
                for side in ("left", "right"):
                    assert resolve(f"{phrase} {side}") == structures()[f"{base}_{side}"], phrase


def test_no_phrase_is_both_a_synonym_and_a_question_and_all_choices_exist():
    table = _table()
    known = {p for listed in table["synonyms"].values() for p in listed}
    assert not known & set(table["ask"])
    bases = {k.removesuffix(f"_{s.side}") if s.side else k for k, s in structures().items()}
    assert set(table["synonyms"]) <= bases
    assert {c for entry in table["ask"].values() for c in entry["choices"]} <= bases


SIDED = sorted({k.removesuffix("_left") for k, s in structures().items() if s.side == "left" and not k.startswith("rib")})


@settings(max_examples=150, deadline=None)
@given(
    base=st.sampled_from(SIDED),
    side=st.sampled_from(["l", "L", "left", "Left", "lt", "li", "r", "R", "right", "Rt", "re", "rechts", ""]),
    joiner=st.sampled_from([" ", "_", "-", ".", ", "]),
    first=st.booleans(),
)
def test_a_side_is_read_or_asked_never_guessed(base, side, joiner, first):
    text = base.replace("_", joiner)
    name = text if not side else f"{side}{joiner}{text}" if first else f"{text}{joiner}{side}"
    found = resolve(name)
    wanted = "left" if side[:1] in ("l", "L") else "right"
    if isinstance(found, Structure):
        assert side
        assert found.id == f"{base}_{wanted}"
    else:
        assert isinstance(found, Question)  # "hip" and the like are asked for more than the side
        assert not side or all(s.side == wanted for s in found.choices)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_any_text_ends_in_one_of_three_answers(name):
    assert resolve(name) is None or isinstance(resolve(name), Structure | Question)


def test_codes_of_snomed_and_of_its_old_form():
    assert resolve("Segment_1", code=("10200004", "SCT")).id == "liver"
    assert resolve("Segment_1", code=("T-62000", "SRT")).id == "liver"
    assert resolve("Segment_1", code=("85756007", "SCT")) is None
    assert resolve("x", code=("64033007", "SCT"), side="left").id == "kidney_left"
    assert isinstance(by_code("64033007", "SCT"), Question)
    assert resolve("Left kidney", code=("64033007", "SCT")).id == "kidney_left"
    assert {s.id for s in resolve("x", code=("52988006", "SCT")).choices} == {"lesion", "other_lesion"}
    assert resolve("GTV", code=("52988006", "SCT")).id == "lesion"
    with pytest.raises(InputError, match="empty"):
        by_code(" ", "SCT")


def test_name_against_code_and_side_against_side_are_asked():
    found = resolve("kidney left", code=("10200004", "SCT"))
    assert {s.id for s in found.choices} == {"kidney_left", "liver"}
    found = resolve("kidney_left", side="right")
    assert {s.id for s in found.choices} == {"kidney_left", "kidney_right"}
    assert isinstance(resolve("Kidney L", side="right"), Question)
    assert resolve("SpinalCord_PRV05", code=("2748008", "SCT")) is None


def test_a_whole_file_with_answers():
    names = ["GTV-1", "GTV-2", "Spinal-Cord", "lung", "PTV", "foo"]
    found = resolve_all(names)
    assert {k: v.id for k, v in found.structures.items()} == {"Spinal-Cord": "spinal_cord"}
    assert [q.name for q in found.questions] == ["lung", "GTV-1", "GTV-2"]
    assert set(found.unmapped) == {"PTV", "foo"}
    answered = resolve_all(names, {"GTV-1": "lesion", "GTV-2": "other_lesion", "lung": "lung_left", "foo": "ignore"})
    assert {k: v.id for k, v in answered.structures.items()} == {
        "GTV-1": "lesion",
        "GTV-2": "other_lesion",
        "Spinal-Cord": "spinal_cord",
        "lung": "lung_left",
    }
    assert not answered.questions
    with pytest.raises(InputError, match="vocabulary"):
        resolve_all(["x"], {"x": "third_kidney"})
