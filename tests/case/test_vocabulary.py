"""The facts of the clinical model 3.1 and how a chart may write the new ones."""

from __future__ import annotations

import pytest

from osteon.case.chart import value_of
from osteon.case.new import skeleton
from osteon.errors import CaseFileError, UnitError
from osteon.facts import vocabulary
from osteon.selection.explain import label

# What clinical.md 3.1 lists, in its order, by the fact that holds it.
MODEL = """
age_years sex ecog kps expected_survival_weeks anticoagulant platelets_e9_l inr hb_g_dl creatinine_mg_dl
creatinine_clearance_ml_min calcium_mg_dl bilirubin_mg_dl albumin_g_dl ldh_u_l crp_mg_dl asa systemic_infection pregnant pacemaker
mr_compatible anaesthesia allergy cachexia dental_infection hepatic_impairment
primary disease_class hormone_dependent targeted_drug castration_resistant visceral_metastases brain_metastases bone_lesions_total
painful_regions oligometastatic_count progression systemic_therapy systemic_therapy_interruptible prior_chemotherapy
bone side region size_max_mm lesion_type permeative cortex_adjacent axial_cortical_mm circumferential_cortical_fraction
soft_tissue_component posterior_wall_involved pedicle_involved escc_grade fracture fracture_displaced fracture_orientation
weight_bearing dominant_load distance_nerve_mm distance_cord_mm distance_vessel_mm distance_joint_mm distance_bowel_mm
distance_skin_mm distance_lung_mm distance_heart_mm implant_near percutaneous_path acoustic_window local_infection
pain_vas pain_average_vas pain_current_vas pain_mechanical pain_neuropathic pain_on_movement pain_duration_weeks
pain_prior_response breakthrough_episodes_day background_opioid background_opioid_mg_day background_opioid_long_acting
radiotherapy_dose_gy radiotherapy_fractions radiotherapy_technique radiotherapy_days_ago radiotherapy_site radiotherapy_response
prior_ablation prior_surgery goals goal refused
"""


def test_every_fact_of_the_clinical_model_is_in_the_vocabulary():
    assert [name for name in MODEL.split() if name not in vocabulary()] == []


def test_no_label_is_a_bare_id():
    assert [name for name in vocabulary() if "_" in label(name)] == []
    assert label("calcium_mg_dl") == "calcium"
    assert label("hb_g_dl") == "haemoglobin"


@pytest.mark.parametrize(
    ("fact", "written", "expected"),
    [
        ("calcium_mg_dl", "2.57 mmol/l", 10.3),  # 40.078 g/mol
        ("creatinine_mg_dl", "88.4 µmol/l", 1.0),  # 113.12 g/mol
        ("bilirubin_mg_dl", "17.1 µmol/l", 1.0),  # 584.66 g/mol
        ("calcium_mg_dl", "10.3 mg/dl", 10.3),
        ("albumin_g_dl", "37 g/l", 3.7),
        ("crp_mg_dl", "4 mg/l", 0.4),
        ("ldh_u_l", "250 IU/l", 250),
        ("hb_g_dl", 12.5, 12.5),
    ],
)
def test_laboratory_values_are_read_in_either_unit(fact, written, expected):
    assert value_of(vocabulary()[fact], written, "chart") == pytest.approx(expected, rel=1e-3)


def test_a_value_in_the_other_unit_without_its_unit_is_refused_where_it_cannot_be():
    with pytest.raises(CaseFileError):
        value_of(vocabulary()["calcium_mg_dl"], 2.4, "chart")
    with pytest.raises(CaseFileError):
        value_of(vocabulary()["creatinine_mg_dl"], 88, "chart")
    with pytest.raises(UnitError):
        value_of(vocabulary()["hb_g_dl"], "7.5 mmol/l", "chart")  # of which molecule is not agreed


def test_a_grade_may_be_written_without_quotation_marks():
    assert value_of(vocabulary()["escc_grade"], 2, "chart") == "2"
    assert value_of(vocabulary()["escc_grade"], "1c", "chart") == "1c"
    with pytest.raises(CaseFileError):
        value_of(vocabulary()["escc_grade"], 4, "chart")


def test_the_form_asks_for_them():
    form = skeleton({"patient": "P", "lesions": [{"id": "L1", "bone": "unknown"}]})
    for name in ("calcium_mg_dl", "escc_grade", "spinal_alignment", "refused"):
        assert f"{name}: unknown" in form
