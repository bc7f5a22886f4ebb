"""Treatments that plan by themselves: judged as every other plan, worse where they know better, studies that are not offered."""

from dataclasses import replace

import numpy as np
import pytest

from osteon.assessment.results import LesionAssessment, RequiredStructure
from osteon.evidence.value import Band
from osteon.jobs import Serial
from osteon.planning.build import study_of
from osteon.planning.compare import compare, shown_first
from osteon.planning.offer import Site
from osteon.planning.own import plan_by_itself, unknown_findings, worsened
from osteon.planning.plan import Finding, Plan, PlanRequest
from osteon.selection.verdicts import Reason, Verdict, Verdicts
from osteon.space.anatomy import Field, structure
from osteon.space.volume import Volume
from osteon.treatments.base import Effect, Ended, Proposal, Setting, Treatment
from planning.scene import block

NERVE, LESION = "sciatic_nerve_right", structure("lesion")


class Lamp(Treatment):
    """Heats a ball of 10 mm round the lesion's middle to what it is told, and says what it knows more finely."""

    name, title, family, rules, devices = "lamp", "Lamp", "ablation", (), {}
    plans_itself = True
    studies = True

    def __init__(self, worst=None, extra=(), steps=True, condition=""):
        self.worst, self.extra, self.steps, self.condition = worst or {}, extra, steps, condition

    def simulates(self):
        return True

    def propose(self, anatomy, lesion, bone, asked, executor, observe):
        observe("heating", 1.0)
        self.asked = asked
        if not self.steps:
            return Proposal("lamp-1", (), Ended("refused", "no window: gas"), detail="map", condition=self.condition)
        grid = anatomy.grid
        away = np.linalg.norm(grid.to_mm(np.stack(np.indices(grid.shape), axis=-1)), axis=-1)
        heat = Volume(np.where(away < 10, 60.0, 37.0).astype(np.float32), grid)
        dose = Volume(np.where(away < 10, 1000.0, 0.0).astype(np.float32), grid)
        effect = Effect("lamp", {Field.TEMPERATURE_C: heat, Field.CEM43_MIN: dose}, {}, {}, Ended("converged", "", None, 1e-6, 5))
        setting = Setting("lamp-1", (), (("time_s", 120.0), ("power_w", 20.0)))
        return Proposal(
            "lamp-1", ((setting, effect, 0.0),), Ended("limit", "one shot left out"), anatomy, heat.with_array(away < 8),
            "the ball", ("S-1 is left out: gas",), self.worst, self.extra,
            {"probes": Band.of(0.0), "shots": Band(3.0, 2.0, 4.0, 9)},
            {"lamp": "on"}, ("light goes straight",), self.condition, 9, "picture",
        )  # fmt: skip


def site(status="outlined", nerve_at=(30.0, 0.0)):
    anatomy = block(nerve_at=nerve_at)
    required = (RequiredStructure(NERVE, status, "near the hip"),)
    return Site(
        LesionAssessment("L1", "pelvis", anatomy, {}, (), required), LESION, structure("hip_right"), ("supine",), False, "supine"
    )


def planned(lamp, where=None, **asked):
    base = Plan("lamp", "L1", "palliation", (), (), {}, Ended("refused"), condition="if INR is confirmed")
    return plan_by_itself(base, where or site(), lamp, "palliation", PlanRequest(**asked), Serial(), lambda *_: None)


def test_a_proposal_is_measured_and_judged_as_every_other_plan():
    lamp = Lamp()
    found = planned(lamp, samples=9, seed=4, spacing_mm=1.5, approach="direct")
    assert (lamp.asked.samples, lamp.asked.seed, lamp.asked.spacing_mm, lamp.asked.approach) == (9, 4, 1.5, "direct")
    assert found.measures["coverage"].best == 1.0
    assert found.measures["minutes"].best == 2.0
    assert found.measures["probes"].best == 0.0
    assert found.measures["shots"] == Band(3.0, 2.0, 4.0, 9)
    assert "min_margin_mm" not in found.measures  # its target is no lesion with a margin
    assert {f.level for f in found.findings if f.structure == NERVE and f.unit != "mm"} == {"ok"}
    assert found.ended == Ended("limit", "one shot left out")
    assert found.detail == "picture"
    assert found.uncovered[0] == "S-1 is left out: gas"
    assert "light goes straight" in found.assumptions
    assert any("9 draws" in text for text in found.assumptions)
    assert found.condition == "if INR is confirmed"
    assert found.after.state[Field.CEM43_MIN].array.max() == 1000.0


def test_what_the_treatment_knows_more_finely_only_makes_a_finding_worse():
    worse = planned(Lamp({(NERVE, "nerve-peak-temperature"): 46.0}))
    row = next(f for f in worse.findings if (f.structure, f.limit_id) == (NERVE, "nerve-peak-temperature"))
    assert row.level == "breach"
    assert row.value.best == 46.0
    assert worse.standing == "breach"
    better = planned(Lamp({(NERVE, "nerve-peak-temperature"): 20.0}))
    row = next(f for f in better.findings if (f.structure, f.limit_id) == (NERVE, "nerve-peak-temperature"))
    assert row.level == "ok"
    assert row.value.best >= 37.0


@pytest.mark.parametrize(("value", "level"), [(44.0, "warning"), (45.5, "breach"), (38.0, "ok")])
def test_an_open_finding_never_becomes_ok(value, level):
    told = Finding("nerve-peak-temperature", NERVE, Band.of(37.0), "°C", 45.0, "unknown", "cannot tell: draw it on")
    found = worsened(told, {(NERVE, "nerve-peak-temperature"): value})
    assert found.level == ("breach" if level == "breach" else "unknown")
    nothing = replace(told, value=None)
    assert worsened(nothing, {(NERVE, "nerve-peak-temperature"): value}) is nothing


def test_limits_that_stand_in_no_table_are_judged_too():
    rows = (("near_field", "near-field-necrosis", 300.0, 240.0, "CEM43 min", "near field: 300"),)
    found = planned(Lamp(extra=rows))
    assert found.findings[-1].level == "breach"
    assert planned(Lamp(extra=(("near_field", "x", None, 1.0, "°C", "cannot tell"),))).findings[-1].level == "unknown"


def test_a_structure_that_nobody_outlined_is_never_ok():
    found = planned(Lamp(), site("not_outlined", None))
    assert found.standing == "cannot tell"
    assert found.unknown_structures() == [NERVE]


def test_a_refused_proposal_keeps_its_picture_and_what_cannot_be_told():
    found = planned(Lamp(steps=False, condition="if the breath is held"), site("not_outlined", None))
    assert not found.steps
    assert found.ended.why == "no window: gas"
    assert found.detail == "map"
    assert found.condition == "if INR is confirmed; if the breath is held"
    assert {f.level for f in found.findings} == {"unknown"}
    assert unknown_findings([RequiredStructure(NERVE, "absent", "")]) == []


# --- studies


def reason(rule, kind="exclusion", truth="true", source="label", facts=("bone_class",)):
    return Reason(rule, kind, truth, f"{rule} says so", (), facts, source_class=source)


def told(status, *reasons):
    return Verdicts((Verdict("L1", "lamp", "strict", status, tuple(reasons)),), (), "strict")


def test_what_only_label_site_or_way_in_exclude_is_a_study():
    request = PlanRequest()
    assert study_of(told("excluded", reason("LABEL")), "L1", "lamp", request) == "LABEL says so"
    distance = reason("NEAR", source="seed", facts=("distance_nerve_mm",))
    assert study_of(told("excluded", reason("LABEL"), distance), "L1", "lamp", request) == "LABEL says so; NEAR says so"
    window = reason("PATH", source="proposal", facts=("acoustic_window",))
    assert study_of(told("not_indicated", reason("MR", "requirement", "false"), window), "L1", "lamp", request)


def test_the_patient_or_an_open_verdict_make_no_study():
    request = PlanRequest()
    patient = reason("INFECTION", source="seed", facts=("systemic_infection",))
    assert not study_of(told("excluded", reason("LABEL"), patient), "L1", "lamp", request)
    assert not study_of(told("candidate"), "L1", "lamp", request)
    assert not study_of(told("needs", reason("LABEL", truth="unknown")), "L1", "lamp", request)
    assert not study_of(told("outside_scope", patient), "L1", "lamp", request)


def test_a_study_betters_no_plan_and_is_shown_last():
    step = planned(Lamp()).steps
    good = {"coverage": Band.of(1.0), "minutes": Band.of(1.0), "probes": Band.of(0.0), "min_margin_mm": Band.of(3.0)}
    poor = {"coverage": Band.of(0.5), "minutes": Band.of(9.0), "probes": Band.of(1.0), "min_margin_mm": Band.of(1.0)}
    study = Plan("lamp", "L1", "palliation", step, (), good, Ended("converged"), study="outside its label")
    real = Plan("other", "L1", "palliation", step, (), poor, Ended("converged"))
    rows = compare([study, real])
    assert [r.pareto for r in rows] == [True, True]
    assert rows[0].study == "outside its label"
    assert [p.treatment for p in shown_first([study, real])] == ["other", "lamp"]
    assert not compare([replace(study, study=""), real])[1].pareto
