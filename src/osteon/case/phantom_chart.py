"""The made-up charts of the phantoms, complete so that the demonstration can be judged."""

from __future__ import annotations

from typing import Any

DATE = "2025-03-10"
IMAGE_DATE = "2025-03-03"

REGIONS = {"femur": "shaft", "vertebra": "body", "ilium": "supra-acetabular ilium"}
POSITIONS = {"femur": ("supine", "HFS"), "vertebra": ("prone", "HFP"), "ilium": ("supine", "HFS")}
SIDES = {"femur": "right", "vertebra": "right", "ilium": "right"}


def chart_of(name: str, bone: str, lesion_mm: float, breach: bool, spacing_mm: float, seed: int) -> dict[str, Any]:
    """Return what case.yaml says of a phantom's patient, without images and structures.

    Parameters
    ----------
    name, bone : str
        Recipe and structure id.
    lesion_mm, spacing_mm : float
        As built [mm].
    breach : bool
        As built.
    seed : int
        As built.
    """

    def measured(value: float) -> dict[str, Any]:
        return {"value": value, "date": "2025-03-05"}

    return {
        "schema": "osteon-case/1",
        "patient": f"phantom-{name}",
        "date": DATE,
        "stamps": [
            f"PHANTOM {name}: lesion {lesion_mm:g} mm, breach {breach}, voxels {spacing_mm:g} mm, seed {seed}; no patient"
        ],
        "facts": {
            "age_years": 63,
            "sex": "female",
            "ecog": measured(1),
            "platelets_e9_l": measured(214),
            "inr": measured(1.0),
            "anticoagulant": {"value": False, "date": "2025-03-05"},
            "coagulopathy_correctable": True,
            "systemic_infection": False,
            "organ_failure_severe": False,
            "anaesthesia": ["general", "sedation", "local"],
            "pregnant": False,
            "pacemaker": False,
            "primary": "breast",
            "disease_class": "metastasis",
            "bone_lesions_total": 1,
            "painful_regions": 1,
            "oligometastatic_count": 1,
            "expected_survival_weeks": "80 week",
            "patient_position": POSITIONS[name][0],
            "mdt_agreed": True,
        },
        "lesions": [
            {
                "id": "L1",
                "bone": bone,
                "region": REGIONS[name],
                "side": SIDES[name],
                "goal": "palliation",
                "synthetic": "PHANTOM lesion",
                "facts": {
                    "pain_vas": measured(7),
                    "pain_functional": True,
                    "pain_refractory": True,
                    "pain_concordant": True,
                    "progression": False,
                    "prior_radiotherapy": False,
                    "local_infection": False,
                    "fracture": "none",
                    "weight_bearing": True,
                    "histology_known": True,
                    "hormone_excess": False,
                    "sensation_intact": True,
                    "thermometry_planned": True,
                    "hydrodissection_planned": False,
                    "stabilisation_planned": True,
                },
            }
        ],
        "timeline": [],
    }
