"""Plan the real pelvis of docs/cases.md: implant the declared lesions, fill in the chart, answer, and write the pages.

usage: scripts/real_cases.py [OUT] [CASES] [TREATMENTS]      default: out/real A1,A2,B1,B2 microwave
       scripts/real_cases.py out/real A2 rfa,focused_ultrasound:direct   (a colon: the approach)
OUT is untracked; reads ../shared/data/pelvis_ct or OSTEON_SHARED

The images are real, the lesions are not; nothing of the images is kept in the repository.
"""

from __future__ import annotations

import os
import sys
from itertools import product
from pathlib import Path
from time import perf_counter

import yaml

from osteon import PlanRequest, journey, write_report
from osteon.case.implant import implant
from osteon.jobs import Local
from osteon.pathway import Journey
from osteon.treatments.names import rows_named

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("OSTEON_SHARED", ROOT.parent / "shared"))
ILIUM = ((-86.0, -128.3, 181.3), 25.0, "hip_right")
L3 = ((-12.0, -146.0, 316.0), 25.0, "vertebra_L3")
NERVE = {"polyline_mm": [[-40, -80, 195], [-50, -86, 178], [-66, -92, 160], [-74, -98, 140], [-78, -100, 118]], "radius": "5 mm"}
DAY = "2025-03-05"
PATIENT = {
    "age_years": 63,
    "sex": "female",
    "ecog": {"value": 1, "date": DAY},
    "platelets_e9_l": {"value": 210, "date": DAY},
    "inr": {"value": 1.0, "date": DAY},
    "anticoagulant": {"value": False, "date": DAY},
    "coagulopathy_correctable": True,
    "systemic_infection": False,
    "organ_failure_severe": False,
    "anaesthesia": ["general", "sedation", "local"],
    "pregnant": False,
    "pacemaker": False,
    "primary": "breast",
    "disease_class": "metastasis",
    "bone_lesions_total": 3,
    "painful_regions": 1,
    "mdt_agreed": True,
}
LESION = {
    "pain_vas": {"value": 7, "date": DAY}, "pain_functional": True, "pain_refractory": True, "pain_concordant": True,
    "progression": True, "local_infection": False, "fracture": "none", "weight_bearing": True, "histology_known": True,
    "hormone_excess": False, "sensation_intact": True,
}  # fmt: skip
PLANNED = {"thermometry_planned": True, "hydrodissection_planned": True}
CASES = {
    "A1": (ILIUM, {}, {}, "strict"),
    "A2": (ILIUM, {"sciatic_nerve_right": NERVE}, {}, "strict"),
    "B1": (L3, {}, {}, "strict"),
    "B2": (L3, {}, PLANNED, "mitigated"),
}


def make(folder: Path, name: str) -> Path:
    """Implant the lesion of one case and write its chart; return the case folder."""
    (centre, diameter, bone), structures, planned, _ = CASES[name]
    pelvis = SHARED / "data" / "pelvis_ct"
    case = folder / name
    implant(pelvis / "example_ct.nii.gz", pelvis / "example_seg_fast_force_split.nii.gz", centre, diameter, bone, case)
    file = case / "case.yaml"
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    absent = ["lumbosacral_plexus_right"] if structures else []  # declared, as docs/cases.md says of A2
    tree |= {"patient": f"pelvis-{name}", "date": "2025-03-10", "structures": structures, "absent": absent}
    tree["facts"] |= PATIENT
    tree["lesions"][0]["facts"] |= {**LESION, **planned}
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)
    file.write_text(text, encoding="utf-8")
    return case


def tell(name: str, result: Journey) -> None:
    """Print what came out, as docs/cases.md quotes it."""
    for verdict in result.verdicts.verdicts:
        missing = "; ".join(" + ".join(group) for group in verdict.missing[:3])
        print(f"{name} {verdict.treatment} {verdict.policy}: {verdict.status}" + (f" (needs {missing})" if missing else ""))
    for plan in result.plans:
        print(f"{name} plan ({plan.condition or 'open'}): {plan.standing}; ended {plan.ended.how}: {plan.ended.why}")
        print("   " + "; ".join(f"{key} {band}" for key, band in plan.measures.items()))
        if plan.study:
            print(f"   study, not offered: {plan.study}")
        for way in getattr(plan.detail, "ways", ()):
            need = (
                "" if way.dosed is None else f", {way.dosed.needed_w:.3g} W of {way.dosed.allowed_w:.3g} ({way.dosed.binding.id})"
            )
            print(
                f"   {way.approach.name}: {way.approach.answer}, {way.ended.how}{need}, {way.sonications} cells of {way.cell_mm}"
            )
        for finding in plan.findings:
            if finding.level != "ok":
                print(f"   {finding.level}: {finding.text}")


def main(folder: Path, names: list[str], treatments: list[str]) -> None:
    """Make, follow and write every case named, one page per treatment named (the microwave's is ``report``)."""
    for name, short in product(names, treatments):
        case, policy = folder / name, CASES[name][3]
        row, _, approach = short.partition(":")
        if not (case / "case.yaml").exists():
            make(folder, name)
        begin = perf_counter()
        request = PlanRequest(treatments=rows_named(row), policy=policy, approach=approach)
        result = journey(case, request, executor=Local())
        tell(name, result)
        page = write_report(result, case / ("report" if short == "microwave" else f"report-{short.replace(':', '-')}"))
        print(f"{name} {short}: {perf_counter() - begin:.0f} s; page: {page}", flush=True)


if __name__ == "__main__":
    given = [*sys.argv[1:], "", "", ""]
    main(
        Path(given[0]) if given[0] else ROOT / "out" / "real",
        (given[1] or ",".join(CASES)).split(","),
        (given[2] or "microwave").split(","),
    )
