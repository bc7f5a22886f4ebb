"""A small made-up Journey: spheres for bone, lesion and nerve, a warm ball for a plan."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from osteon.assessment.results import Assessment, LesionAssessment, RequiredStructure, ScoreItem, ScoreResult
from osteon.case.model import Case, Lesion, Study
from osteon.evidence.source import papers
from osteon.evidence.value import Band, LogNormal, Normal, Value
from osteon.facts import Fact, Interval, Known, Origin, Unknown
from osteon.pathway import Journey
from osteon.planning.plan import TARGET, Finding, PathSearch, Plan, PlanRequest, Step
from osteon.planning.plan import Path as NeedlePath
from osteon.selection.verdicts import Flag, Question, Reason, Verdict, Verdicts
from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Volume
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting, Trace

LESION = structure("lesion")
CENTRE = np.array([-90.0, 10.0, -200.0])  # the patient's right
SPACING = 2.0
N = 64
NO_PATH = "no admissible path: all 12000 candidates cross the right sciatic nerve"
POSE = NeedlePose((-140.0, 55.0, -185.0), (-92.0, 12.0, -201.0))


def paper_id() -> str:
    """Return any paper that the library has."""
    return next(iter(papers()), "nobody_1900")


def affine() -> np.ndarray:
    matrix = np.diag([SPACING, SPACING, SPACING, 1.0])
    matrix[:3, 3] = CENTRE - SPACING * (N - 1) / 2
    return matrix


def ball(centre, radius) -> Volume:
    volume = Volume.of(np.zeros((N, N, N), bool), affine())
    places = volume.grid.to_mm(np.moveaxis(np.indices((N, N, N)), 0, -1))
    return volume.with_array(((places - np.asarray(centre)) ** 2).sum(-1) <= radius**2)


def tube_z(centre, radius) -> Volume:
    volume = Volume.of(np.zeros((N, N, N), bool), affine())
    places = volume.grid.to_mm(np.moveaxis(np.indices((N, N, N)), 0, -1))
    return volume.with_array(((places[..., :2] - np.asarray(centre)[:2]) ** 2).sum(-1) <= radius**2)


def anatomy(nerve: bool = True) -> Anatomy:
    body, bone, lesion = ball(CENTRE, 62), ball(CENTRE + np.array([12, 0, 0]), 32), ball(CENTRE, 12)
    rng = np.random.default_rng(1)
    hu = np.full((N, N, N), -1000.0, np.float32)
    hu[body.array] = 45
    hu[bone.array] = 700
    hu[ball(CENTRE + np.array([12, 0, 0]), 27).array] = 220
    hu[lesion.array] = 50
    hu += rng.normal(0, 15, hu.shape).astype(np.float32)
    masks = {structure("hip_right"): bone, LESION: lesion, structure("body"): body}
    if nerve:
        masks[structure("sciatic_nerve_right")] = tube_z(CENTRE + np.array([4, 40, 0]), 4)
    masks[structure("iliac_artery_right")] = tube_z(CENTRE + np.array([42, -18, 0]), 5)
    return Anatomy(imaged=Volume.of(np.ones((N, N, N), bool), affine()), image=Volume.of(hu, affine()), masks=masks)


def effect(where: Anatomy) -> Effect:
    places = where.grid.to_mm(np.moveaxis(np.indices(where.grid.shape), 0, -1))
    squared = ((places - CENTRE) ** 2).sum(-1)
    temperature = (37 + 75 * np.exp(-squared / (2 * 11.0**2))).astype(np.float32)
    factor = np.where(temperature >= 43, 0.5, 0.25)
    dose = (8 * factor ** (43 - np.clip(temperature, 37, 60))).astype(np.float32)
    times = np.linspace(0, 480, 97)
    curve = 1 - np.exp(-times / 120)
    source = paper_id()
    return Effect(
        "microwave 60 W, 8 min",
        {Field.TEMPERATURE_C: Volume(temperature, where.grid), Field.CEM43_MIN: Volume(dose, where.grid)},
        {
            "hottest:sciatic_nerve_right": Trace(times, 37 + 6.2 * curve, "°C", (-86.0, 46.0, -200.0)),
            "hottest:iliac_artery_right": Trace(times, 37 + 1.1 * curve, "°C"),
            "net_power_w": Trace(times, np.full(97, 46.0), "W"),
        },
        {
            "bone.thermal_conductivity": Value(0.37, "W/m/K", Normal(0.1), source),
            "lytic.perfusion": Value(0.0123, "1/s", LogNormal(1.6), source, verified=False),
        },
        Ended("time", "the set time was over", residual=None, energy_balance=4.2e-4, steps=9600),
        {"energy_in_j": 22080.0, "energy_stored_j": 17010.0, "reflected_fraction": 0.071},
    )


def plan(nerve: bool = True) -> Plan:
    before = anatomy(nerve).with_mask(TARGET, ball(CENTRE, 14))
    made = effect(before)
    surface = before.mask(LESION).array & ~ball(CENTRE, 10.5).array
    distance = np.linalg.norm(before.grid.to_mm(np.moveaxis(np.indices(before.grid.shape), 0, -1)) - CENTRE, axis=-1)
    margin = np.where(surface, 18 - distance + 2 * np.sin(distance * 5), np.nan).astype(np.float32)
    nerve_finding = (
        Finding(
            "nerve_45c",
            "sciatic_nerve_right",
            Band(43.2, 41.9, 45.6, 24),
            "°C",
            45.0,
            "warning",
            "the band reaches the limit",
            (-86.0, 46.0, -200.0),
            480.0,
            paper_id(),
        )
        if nerve
        else Finding(
            "nerve_45c",
            "sciatic_nerve_right",
            None,
            "°C",
            45.0,
            "unknown",
            "cannot tell: outline the right sciatic nerve",
            source=paper_id(),
        )
    )
    other = Finding(
        "vessel_standoff",
        "iliac_artery_right",
        Band.of(7.4),
        "mm",
        10.0,
        "breach",
        "7.4 mm from the zone; the limit is 10 mm",
        source=paper_id(),
    )
    paths = PathSearch(
        12000,
        340,
        tuple(
            NeedlePath(
                NeedlePose((-140.0, 55.0 + i, -185.0), POSE.tip_mm),
                {
                    "length_mm": 60.0 + 5 * i,
                    "clearance_mm": 8 + 4 * np.sqrt(i),
                    "bone_mm": 9.0 + i,
                    "skin_incidence_deg": 30.0 - i,
                },
                (-110.0, 27.0, -195.0),
                "sciatic_nerve_right",
            )
            for i in range(6)
        ),
        2,
        "shortest of those that stay 10 mm from every nerve",
        {"too long": 4100, "crosses the right sciatic nerve": 2300, "skin not imaged": 0},
    )
    needle = {
        "entry_lps_mm": [-140.0, 55.0, -185.0],
        "tip_lps_mm": [-92.0, 12.0, -201.0],
        "entry_slice_z_mm": -185.0,
        "entry_slice_index": 39,
        "entry_from_midline_mm": 140.0,
        "entry_side_of_midline": "right",
        "midline_x_mm": 0.0,
        "landmark": {
            "structure": "hip_right",
            "text": "17 mm below the highest point of the right hip bone, 12 mm to its right, 44 mm behind it",
        },
        "in_plane_angle_deg": 48.2,
        "in_plane_text": "in the axial plane 48° from the vertical: towards the front and the patient's left",
        "craniocaudal_angle_deg": -13.9,
        "craniocaudal_text": "tip tilted 14° towards the feet",
        "depth_skin_to_cortex_mm": 41.5,
        "depth_skin_to_target_mm": 54.0,
        "depth_skin_to_tip_mm": 66.4,
        "mm_in_bone": 9.5,
        "cortex": "intact",
        "cortex_text": "intact cortex on the path (up to 720 HU): bone needle first",
        "antenna_gauge": "14G",
        "antenna_length_mm": 150.0,
        "shaft_diameter_mm": 2.1,
        "introducer": "11G bone needle, 10 cm",
        "introducer_bore_mm": 2.4,
        "introducer_length_mm": 100.0,
        "introducer_depth_mm": 41.5,
        "tip_beyond_zone_centre_mm": 9.0,
    }
    prescription = {
        "patient_position": "prone",
        "patient_position_text": "prone (to be chosen: the chart does not fix it)",
        "scanned_as": "HFS",
        "needles": [needle],
        "applications": [{"device": "generic_2450_14g", "controls": {"power_w": 60.0, "time_s": 480.0}, "needles": 1}],
        "warnings": ["position to be chosen: prone; the image was made supine"],
    }
    return Plan(
        "microwave",
        "L1",
        "palliation",
        (Step("microwave", Setting("generic_2450_14g", (POSE,), (("power_w", 60.0), ("time_s", 480.0))), made, 60.0),),
        (nerve_finding, other),
        {
            "coverage": Band(0.962, 0.91, 0.99, 24),
            "min_margin_mm": Band.of(3.4),
            "zone_cm3": Band.of(21.7),
            "minutes": Band.of(9.0),
            "probes": Band.of(1.0),
        },
        made.ended,
        0,
        paths,
        before,
        before.with_(made),
        Volume(margin, before.grid),
        prescription,
        "if platelets and INR are confirmed",
        ("2 mm at the medial edge",),
        ("perfusion of lytic tissue taken from muscle",),
        {"grid_mm": 2.0},
    )


def journey(nerve: bool = True, plans: bool = True, patient: str = "P-001") -> Journey:
    where = anatomy(nerve)
    facts = {
        "pain_vas": Fact("pain_vas", Known(7), "1", (Origin("chart", "case.yaml line 12", date(2026, 3, 1)),)),
        "size_max_mm": Fact("size_max_mm", Known(24.0), "mm", (Origin("image", "ct1", place_mm=(-90.0, 10.0, -200.0)),)),
        "axial_cortical_mm": Fact("axial_cortical_mm", Interval(10.0, 18.0), "mm", (Origin("image", "ct1"),)),
        "side": Fact("side", Known("right"), None, (Origin("image", "ct1"),)),
        "goal": Fact("goal", Known("palliation"), None, (Origin("chart", "case.yaml"),)),
        "sensation_intact": Fact("sensation_intact", Known(False), None, (Origin("chart", "case.yaml"),)),
        "inr": Fact("inr", Unknown("not given"), "1"),
    }
    lesion = Lesion("L1", structure("hip_right"), facts, where.mask(LESION), "palliation", "ilium", synthetic="a ball")
    case = Case(
        Path("/nowhere"),
        patient,
        {},
        (lesion,),
        (Study("ct1", "CT", date(2026, 2, 20), where.image, where.imaged, "HFS"),),
        where.masks,
        stamps=("PHANTOM",),
        digests={"ct.nii.gz": "ab" * 32},
    )
    quote = quote_key()
    required = (
        RequiredStructure(
            "sciatic_nerve_right",
            "outlined" if nerve else "not_outlined",
            "26 mm from the lesion" if nerve else "cannot tell: outline the right sciatic nerve",
            26.0 if nerve else None,
            (quote,),
        ),
        RequiredStructure("iliac_artery_right", "outlined", "25 mm from the lesion", 25.0),
        RequiredStructure("femoral_nerve_right", "not_outlined", "cannot tell: outline the right femoral nerve"),
    )
    score = ScoreResult(
        "mirels",
        "Mirels",
        Interval(7, 9),
        (
            ScoreItem("site", Known("lower limb"), 2, 2, "lower limb"),
            ScoreItem("pain", Unknown("not given"), 1, 3, "pain on loading is not known"),
        ),
        "consider fixation at 9 or more",
        "sensitivity 91 %, specificity 35 %",
        (quote,),
    )
    assessed = LesionAssessment("L1", "iliac wing", where, facts, (score,), required, ("the left skin lies outside the field",))
    reasons = (
        Reason("mwa-01", "requirement", "unknown", "INR must be below 1.5", (quote,), ("inr",), ("inr",)),
        Reason("mwa-02", "support", "true", "painful lytic lesion up to 3 cm", (quote,), ("size_max_mm",)),
        Reason("mwa-03", "caution", "true", "a nerve lies within 30 mm", (), (), mitigations=("thermocouple beside the nerve",)),
    )
    verdicts = tuple(Verdict("L1", "microwave", policy, "needs", reasons, (("inr",),)) for policy in ("strict", "mitigated"))
    shut = Reason("x-01", "exclusion", "true", "no window <b>here</b>", ())
    verdicts += tuple(Verdict("L1", "heated_sphere", policy, "excluded", (shut,)) for policy in ("strict", "mitigated"))
    questions = (Question("inr", "L1", "What is the INR?", 3, ("microwave",)),)
    made = (
        (plan(nerve),)
        if plans
        else (
            Plan(
                "microwave",
                "L1",
                "palliation",
                (),
                (),
                {},
                Ended("refused", NO_PATH),
                paths=PathSearch(12000, 0, (), None, "none is left", {"too long": 5000, "crosses a nerve": 7000}),
            ),
        )
    )
    return Journey(
        case,
        Assessment(case, (assessed,)),
        Verdicts(verdicts, questions, "strict", flags=(flag(), flag("unknown"))),
        made,
        PlanRequest(),
        {
            "inputs": {"ct.nii.gz": "ab" * 32},
            "options": {"spacing_mm": 2.0},
            "versions": {"osteon": "0.1.0"},
            "run": {"date": "2026-03-02", "seconds": {"plan": 12.3}},
        },
    )


def flag(truth: str = "true") -> Flag:
    """Return a red flag, up or not to be told."""
    text = "New weakness. Here: sensation intact no." if truth == "true" else "Cannot tell: Are there signs of sepsis?"
    return Flag("RF-X", "L1", truth, text, "Call the neurologist now.", ("sepsis",), quotes=(quote_key(),), urgent=True)  # type: ignore[arg-type]


def quote_key() -> str:
    """Return the first quotation key that the library holds."""
    from osteon.evidence.quotes import index

    seed, words = next(iter(index().quotes))
    return f"[{seed} «{words}»]"
