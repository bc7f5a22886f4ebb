"""Assessments made of facts alone, and treatments made of rules alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import osteon
from osteon.assessment.results import Assessment, LesionAssessment
from osteon.case.model import Case, Study
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, Unknown, vocabulary
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Grid, Volume
from osteon.treatments.base import Treatment

TREATMENTS = Path(osteon.__file__).parent / "treatments"
MICROWAVE = yaml.safe_load((TREATMENTS / "microwave/rules.yaml").read_text(encoding="utf-8"))["rules"]

FIT: dict[str, Any] = {
    "age_years": 53,
    "sex": "female",
    "pregnant": False,
    "disease_class": "metastasis",
    "primary": "breast",
    "ecog": 1,
    "platelets_e9_l": 214,
    "inr": 1.0,
    "coagulopathy_correctable": False,
    "anticoagulant": False,
    "systemic_infection": False,
    "organ_failure_severe": False,
    "anaesthesia": "general, local",
    "pacemaker": False,
    "painful_regions": 1,
    "oligometastatic_count": 1,
    "mdt_agreed": True,
    "cross_sectional_imaging": True,
    "pain_vas": 7,
    "pain_refractory": True,
    "pain_concordant": True,
    "progression": False,
    "hormone_excess": False,
    "local_infection": False,
    "fracture": "none",
    "weight_bearing": False,
    "histology_known": True,
    "goal": "palliation",
    "side": "right",
    "bone": "hip_right",
    "lesion_type": "lytic",
    "soft_tissue_component": False,
    "size_max_mm": 25,
    "cortex_contact": "contact",
    "posterior_wall_involved": False,
    "distance_critical_mm": 22,
    "distance_bowel_mm": 60,
    "distance_skin_mm": 45,
    "implant_near": False,
    "percutaneous_path": True,
    "thermometry_planned": False,
    "hydrodissection_planned": False,
    "stabilisation_planned": False,
}
"""Someone with nothing against microwave ablation, and nothing unknown."""


def facts(told: Mapping[str, Any]) -> dict[str, Fact]:
    """Return facts; a value may be a state."""
    states = (Known, Interval, OneOf, Unknown, NotApplicable)
    assert set(told) <= set(vocabulary())
    return {n: Fact(n, v if isinstance(v, states) else Known(v)) for n, v in told.items()}


def assessment(*lesions: Mapping[str, Any], patient: Mapping[str, Any] | None = None, modality: str | None = None) -> Assessment:
    """Return an assessment of lesions L1, L2, ... made of facts."""
    grid = Grid((2, 2, 2), np.eye(4))
    volume = Volume(np.zeros((2, 2, 2), np.float32), grid)
    imaged = Volume(np.ones((2, 2, 2), bool), grid)
    studies = (Study("s1", modality, None, volume, imaged),) if modality else ()
    case = Case(Path(), "P", facts(patient or {}), (), studies)
    made = tuple(LesionAssessment(f"L{i}", "ilium", Anatomy(imaged), facts(told), (), ()) for i, told in enumerate(lesions, 1))
    return Assessment(case, made)


def fit(**changes: Any) -> dict[str, Any]:
    """Return the fit patient's facts with changes; None removes one."""
    return {n: v for n, v in {**FIT, **changes}.items() if v is not None}


def treatment_of(rules: Sequence[Mapping[str, Any]], name: str = "microwave", found: Sequence[Fact] = ()) -> Treatment:
    """Return a treatment that has rules and nothing else."""

    class Made(Treatment):
        def simulates(self) -> bool:
            return False

        def site_facts(self, anatomy: Anatomy, target: object) -> list[Fact]:
            return list(found)

    made = Made()
    made.name, made.title, made.family, made.rules, made.devices = name, name, "ablation", rules, {}
    return made
