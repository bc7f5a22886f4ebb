"""Selection: the status algebra, both policies, what is missing, and laws that hold whatever the rules (clinical 3.0, 3.5)."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selection_cases import FIT, MICROWAVE, assessment, facts, fit, treatment_of

from osteon.errors import InputError, NotOutlinedError
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, Origin, Unknown, vocabulary
from osteon.selection import select as module
from osteon.selection.answer import Answer
from osteon.selection.explain import _short
from osteon.selection.judging import POLICIES, book
from osteon.selection.kleene import cells
from osteon.selection.select import select
from osteon.treatments.catalog import Entry, entries, treatment

OPEN = ("candidate", "candidate_with_cautions", "candidate_unchecked")


def use(monkeypatch, *treatments):
    by_name = {t.name: t for t in treatments}
    monkeypatch.setattr(module, "entries", lambda: {n: Entry(n, "ablation", "-") for n in by_name})
    monkeypatch.setattr(module, "treatment", by_name.__getitem__)


@pytest.fixture
def microwave(monkeypatch):
    use(monkeypatch, treatment_of(MICROWAVE))


def verdict(told, policy="strict"):
    return select(assessment(told), policy).of("L1", "microwave")


def rule(kind, when, **more):
    example = [{"facts": {}, "is": "unknown"}]
    return {
        "id": more.pop("id", f"{kind}-{when}"),
        "kind": kind,
        "when": when,
        "because": "b",
        "source": "qiu-2019",
        "class": "seed",
        "examples": example,
        **more,
    }


# --- the algebra


ALGEBRA = [rule("exclusion", "pacemaker"), rule("requirement", "pain_refractory"), rule("caution", "implant_near")]
EXPECTED = {
    (True, None): "excluded",
    (True, True): "excluded",
    (True, False): "excluded",
    (None, False): "not_indicated",
    (False, False): "not_indicated",
    (None, True): "needs",
    (None, None): "needs",
    (False, None): "needs",
}


@pytest.mark.parametrize(("x", "r", "c"), list(product((True, False, None), repeat=3)))
def test_status_algebra_of_clinical_3_0(monkeypatch, x, r, c):
    use(monkeypatch, treatment_of(ALGEBRA))
    told = {n: v for n, v in (("pacemaker", x), ("pain_refractory", r), ("implant_near", c)) if v is not None}
    open_ = {True: "candidate_with_cautions", None: "candidate_unchecked", False: "candidate"}[c]
    scope = {n: FIT[n] for n in ("disease_class", "age_years", "pregnant", "side", "mdt_agreed")}
    assert verdict({**scope, **told}).status == EXPECTED.get((x, r), open_)


def test_not_applicable_excludes_nothing_requires_nothing_and_cautions_of_nothing(monkeypatch):
    use(monkeypatch, treatment_of(ALGEBRA))
    scope = {n: FIT[n] for n in ("disease_class", "age_years", "pregnant", "side", "mdt_agreed")}
    nothing = {n: NotApplicable("-") for n in ("pacemaker", "pain_refractory", "implant_near")}
    assert verdict({**scope, **nothing}).status == "candidate"


@pytest.mark.parametrize("change", [{"disease_class": "primary_bone_tumour"}, {"age_years": 17}, {"pregnant": True}])
@pytest.mark.usefixtures("microwave")
def test_escapes_of_clinical_3_4(change):
    for policy in POLICIES:
        assert verdict(fit(**change), policy).status == "outside_scope"


# --- microwave ablation


@pytest.mark.usefixtures("microwave")
def test_nothing_against_it_is_a_candidate_with_the_one_caution_that_always_holds():
    found = verdict(fit())
    assert found.status == "candidate_with_cautions"
    assert [r.rule_id for r in found.reasons if r.kind == "caution" and r.truth == "true"] == ["MWA-05"]
    assert not [r.rule_id for r in found.reasons if r.truth == "unknown"]
    assert found.missing == ()


@pytest.mark.parametrize(
    ("change", "status", "decisive"),
    [
        ({"platelets_e9_l": 49}, "excluded", "ABL-08"),
        ({"inr": 1.6}, "excluded", "ABL-08"),
        ({"local_infection": True}, "excluded", "ABL-07-INFECTION"),
        ({"anaesthesia": "none"}, "excluded", "ABL-07-ANAESTHESIA"),
        ({"percutaneous_path": False}, "excluded", "ABL-07-PATH"),
        ({"organ_failure_severe": True}, "excluded", "ABL-10"),
        ({"distance_critical_mm": 6}, "excluded", "ABL-05"),
        ({"side": OneOf(("left", "right"), conflict=True)}, "excluded", "GATE-1"),
        ({"ecog": 3}, "not_indicated", "ABL-09"),
        ({"pain_vas": 3}, "not_indicated", "ABL-02"),
        ({"painful_regions": 4}, "not_indicated", "ABL-03"),
        ({"pain_concordant": False}, "not_indicated", "ABL-03-PAIN"),
        ({"pain_refractory": False}, "not_indicated", "ABL-01"),
        ({"goal": "cure", "oligometastatic_count": 5}, "not_indicated", "ABL-11"),
        ({"cross_sectional_imaging": False}, "not_indicated", "ABL-20"),
        ({"size_max_mm": 36}, "candidate_with_cautions", "MWA-08"),
        ({"lesion_type": "blastic"}, "candidate_with_cautions", "ABL-04-SCLEROTIC"),
        ({"weight_bearing": True}, "candidate_with_cautions", "ABL-18"),
        ({"distance_skin_mm": 5}, "candidate_with_cautions", "MWA-12"),
        ({"posterior_wall_involved": True}, "candidate_with_cautions", "ABL-17"),
        ({"histology_known": False}, "candidate_with_cautions", "BIOPSY"),
        ({"thermometry_planned": True}, "candidate_with_cautions", "ABL-14"),
        ({"goal": "cure", "oligometastatic_count": 4}, "candidate_with_cautions", "ABL-11-COUNT"),
    ],
)
@pytest.mark.usefixtures("microwave")
def test_one_changed_fact_decides(change, status, decisive):
    found = verdict(fit(**change))
    assert found.status == status
    wanted = "false" if status == "not_indicated" else "true"
    (reason,) = [r for r in found.reasons if r.rule_id == decisive]
    assert reason.truth == wanted
    assert reason.quotes


@pytest.mark.usefixtures("microwave")
def test_nearer_than_10_mm_is_mitigated_only_if_planned_and_only_by_that_policy():
    near = {"distance_critical_mm": 6}
    for planned in ({}, {"thermometry_planned": True}, {"hydrodissection_planned": True}, {"thermometry_planned": None}):
        answers = select(assessment(fit(**near, **planned)), "strict")
        asked = any(planned.values())
        assert answers.of("L1", "microwave", "strict").status == "excluded"
        assert answers.of("L1", "microwave", "mitigated").status == ("candidate_with_cautions" if asked else "excluded")
    (reason,) = [r for r in answers.of("L1", "microwave", "strict").reasons if r.rule_id == "ABL-05"]
    assert reason.conflicts == ("X26",)
    assert len(reason.mitigations) == 2


@pytest.mark.usefixtures("microwave")
def test_a_nerve_that_is_not_outlined_is_never_ok():
    why = "cannot tell: outline the right sciatic nerve"
    for planned in (True, False):
        answers = select(assessment(fit(distance_critical_mm=Unknown(why), thermometry_planned=planned)))
        found = answers.of("L1", "microwave", "strict")
        assert found.status == "needs"
        assert found.missing[0] == ("distance_critical_mm",)
        (reason,) = [r for r in found.reasons if r.rule_id == "ABL-05"]
        assert why.capitalize() in reason.text
        assert reason.unknown == ("distance_critical_mm",)
        assert answers.questions[0].fact == "distance_critical_mm"


@pytest.mark.usefixtures("microwave")
def test_cement_answers_the_caution_of_weight_bearing():
    found = verdict(fit(weight_bearing=True, stabilisation_planned=True))
    (reason,) = [r for r in found.reasons if r.rule_id == "ABL-18"]
    assert reason.truth == "false"
    assert "Planned: cement" in reason.text


@pytest.mark.usefixtures("microwave")
def test_imaging_is_inferred_from_the_case_and_the_side_from_the_facts():
    told = fit(cross_sectional_imaging=None)
    assert select(assessment(told)).of("L1", "microwave").status == "needs"
    assert select(assessment(told, modality="CT")).of("L1", "microwave").status == "candidate_with_cautions"
    assert select(assessment(told, modality="XR")).of("L1", "microwave").status == "needs"
    assert ("laterality_agrees",) in verdict(fit(side=None)).missing
    assert verdict(fit(side=NotApplicable("midline"))).status == "candidate_with_cautions"


@pytest.mark.usefixtures("microwave")
def test_the_extraspinal_series_of_qiu_2019_speaks_for_no_vertebra():
    def speaks(bone):
        found = verdict(fit(bone=bone, stabilisation_planned=True))
        return next(r.truth for r in found.reasons if r.rule_id == "MWA-18")

    assert [speaks(b) for b in ("hip_right", "vertebra_L3", "sacrum", None)] == ["true", "false", "false", "unknown"]


# --- the four cases of seed 2, as far as microwave ablation goes (clinical 3.5)


@pytest.mark.usefixtures("microwave")
def test_case_1_scapula_needs_coagulation_and_is_a_candidate_once_it_is_known():
    case = fit(platelets_e9_l=None, inr=None, ecog=None, distance_critical_mm=None, lesion_type="lytic", prior_radiotherapy=True)
    assert verdict(case).status == "needs"
    assert {"platelets_e9_l", "inr", "ecog", "distance_critical_mm"} <= set(verdict(case).missing[0])
    known = {**case, "platelets_e9_l": 200, "inr": 1.0, "ecog": 2, "distance_critical_mm": 12}
    assert verdict(known).status == "candidate_with_cautions"


@pytest.mark.usefixtures("microwave")
def test_case_2_sternum_is_never_better_than_needs_without_a_platelet_count():
    case = fit(platelets_e9_l=None, disease_class="haematological", age_years=Interval(69, 71), painful_regions=2)
    assert verdict(case).status == "needs"
    assert verdict({**case, "coagulopathy_correctable": True}).status == "needs"
    assert verdict({**case, "painful_regions": 6}).status == "not_indicated"
    assert verdict({**case, "distance_critical_mm": 5}).status == "excluded"


@pytest.mark.usefixtures("microwave")
def test_case_3_femur_with_a_nail_is_not_excluded_by_the_metal():
    found = verdict(fit(implant_near=True, disease_class="haematological", primary="lymphoma", fracture="present"))
    assert found.status == "candidate_with_cautions"
    assert ("MWA-03", "true") in {(r.rule_id, r.truth) for r in found.reasons}
    assert ("ABL-18", "true") in {(r.rule_id, r.truth) for r in found.reasons}


@pytest.mark.usefixtures("microwave")
def test_case_4_ilium_stops_at_the_wrong_side_and_cure_asks_for_10_mm():
    case = fit(goal="cure", oligometastatic_count=1, side=OneOf(("left", "right"), conflict=True))
    assert verdict(case).status == "excluded"
    found = verdict({**case, "side": "left"})
    assert found.status == "candidate_with_cautions"
    assert ("ABL-11-MARGIN", "true") in {(r.rule_id, r.truth) for r in found.reasons}


# --- laws (clinical 3.5, b to e)

DECISIVE = [
    "platelets_e9_l",
    "inr",
    "local_infection",
    "organ_failure_severe",
    "anaesthesia",
    "ecog",
    "painful_regions",
    "lesion_type",
]
DECISIVE += ["percutaneous_path", "distance_critical_mm", "pain_vas", "pain_concordant", "disease_class", "age_years"]


@pytest.mark.parametrize("fact", DECISIVE)
@pytest.mark.usefixtures("microwave")
def test_b_without_one_decisive_fact_it_needs_just_that_one(fact):
    found = verdict(fit(**{fact: None}))
    assert found.status == "needs"
    assert found.missing == ((fact,),)


PLANS = ("thermometry_planned", "hydrodissection_planned", "stabilisation_planned")
VARIED = [n for n in vocabulary() if n in book(treatment_of(MICROWAVE)).comparisons]


def some_value(data, name):
    kind = vocabulary()[name]
    comparisons = book(treatment_of(MICROWAVE)).comparisons[name]
    value = data.draw(st.sampled_from(cells(kind, Unknown(), comparisons)), label=name)
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else value


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_c_learning_never_makes_an_excluded_treatment_a_candidate(data):
    rules = book(treatment_of(MICROWAVE))
    changed = {n: some_value(data, n) for n in data.draw(st.sets(st.sampled_from(VARIED), max_size=5))}
    full = {n: f.state for n, f in facts({**FIT, "laterality_agrees": True, **changed}).items()}
    hidden = data.draw(st.sets(st.sampled_from([n for n in full if n not in PLANS]), max_size=8))
    part = {n: s for n, s in full.items() if n not in hidden}
    for policy in POLICIES:
        less, more = (Answer.to("L1", "m", policy, rules, s).status for s in (part, full))
        if less == "excluded":
            assert more in ("excluded", "outside_scope")
        if less == "not_indicated":
            assert more in ("excluded", "not_indicated", "outside_scope")
        if less in OPEN:
            assert more in OPEN


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_c_a_wider_interval_never_decides_otherwise(data):
    rules = book(treatment_of(MICROWAVE))
    base = {n: f.state for n, f in facts({**FIT, "laterality_agrees": True}).items()}
    name = data.draw(st.sampled_from([n for n in VARIED if vocabulary()[n].type == "number" and n in base]))
    low, high = sorted((float(some_value(data, name)), float(some_value(data, name))))
    inside = data.draw(st.floats(low, high))
    wide = Answer.to("L1", "m", "strict", rules, {**base, name: Interval(low, high)}).status
    sharp = Answer.to("L1", "m", "strict", rules, {**base, name: Known(inside)}).status
    assert wide in ("needs", sharp) or {wide, sharp} <= set(OPEN)


@pytest.mark.usefixtures("microwave")
def test_d_the_order_of_facts_and_lesions_changes_nothing():
    told = fit(platelets_e9_l=None, ecog=Interval(2, 3), distance_critical_mm=8)
    expected = select(assessment(told))
    for seed in range(5):
        items = list(told.items())
        random.Random(seed).shuffle(items)
        assert select(assessment(dict(items))) == expected


def test_d_the_order_of_rules_changes_no_status_and_no_missing_set(monkeypatch):
    told = fit(platelets_e9_l=None, goal=None, hormone_excess=None, pain_vas=None)
    statuses = []
    for seed in range(4):
        rules = list(MICROWAVE)
        random.Random(seed).shuffle(rules)
        use(monkeypatch, treatment_of(rules))
        found = verdict(told)
        statuses.append((found.status, found.missing))
    assert len(set(statuses)) == 1


def test_e_no_treatment_is_both_excluded_and_a_candidate_in_all_3_to_the_7_assignments():
    rules = book(treatment_of(MICROWAVE))
    base = {n: f.state for n, f in facts({**FIT, "laterality_agrees": True}).items()}
    bad_good = {
        "platelets_e9_l": (40, 200),
        "local_infection": (True, False),
        "percutaneous_path": (False, True),
        "distance_critical_mm": (5, 20),
        "ecog": (4, 1),
        "weight_bearing": (True, False),
        "pregnant": (True, False),
    }
    for picks in product((0, 1, None), repeat=len(bad_good)):
        states = dict(base)
        for (name, pair), pick in zip(bad_good.items(), picks):
            states[name] = Unknown() if pick is None else Known(pair[pick])
        answer = Answer.to("L1", "m", "strict", rules, states)
        excludes = any(j.kind == "exclusion" and j.truth == "true" for j in answer.judged)
        fails = any(j.kind == "requirement" and j.truth == "false" for j in answer.judged)
        assert (answer.status in OPEN) <= (not excludes and not fails)
        assert (answer.status == "needs") == bool(answer.sets)
        if all(p == 1 for p in picks):
            assert answer.status in OPEN


# --- what is missing


@pytest.mark.usefixtures("microwave")
def test_the_first_missing_set_is_the_one_that_can_open_the_treatment():
    found = verdict(fit(platelets_e9_l=None, inr=None, distance_critical_mm=None))
    assert found.missing[0] == ("platelets_e9_l", "inr", "distance_critical_mm")
    assert set(found.missing[1:]) == {("distance_critical_mm",), ("platelets_e9_l",), ("inr",)}


@pytest.mark.usefixtures("microwave")
def test_each_missing_set_once_known_takes_the_status_out_of_needs():
    told = fit(platelets_e9_l=None, inr=None, coagulopathy_correctable=None, goal=None, pain_vas=Interval(3, 6), ecog=None)
    rules = book(treatment_of(MICROWAVE))
    states = {n: f.state for n, f in facts({**told, "laterality_agrees": True}).items()}
    answer = Answer.to("L1", "m", "strict", rules, states)
    assert answer.sets
    for names, opens in answer.sets:
        options = [cells(vocabulary()[n], states.get(n, Unknown()), rules.comparisons[n]) for n in names]
        seen = {
            Answer.to("L1", "m", "strict", rules, {**states, **{n: Known(v) for n, v in zip(names, picks)}}).status
            for picks in product(*options)
        }
        assert seen - {"needs"}, names
        assert not opens or seen & set(OPEN), names


@pytest.mark.usefixtures("microwave")
def test_what_cannot_change_the_answer_is_not_asked():
    told = fit(pain_vas=None, hormone_excess=None, goal="cure", platelets_e9_l=None)
    answers = select(assessment(told))
    assert answers.of("L1", "microwave").missing == (("platelets_e9_l",),)
    assert [q.fact for q in answers.questions] == ["platelets_e9_l"]
    assert select(assessment(fit())).questions == ()


def test_questions_count_verdicts_over_treatments_and_lesions(monkeypatch):
    second = treatment_of([rule("exclusion", "pacemaker", id="P"), rule("exclusion", "inr > 1.5", id="I")], "second")
    use(monkeypatch, treatment_of(MICROWAVE), second)
    here = fit(inr=None, pacemaker=None, distance_critical_mm=None)
    answers = select(assessment(here, {**here, "distance_critical_mm": 30}))
    asked = {(q.fact, q.lesion_id): (q.changes, q.treatments) for q in answers.questions}
    assert asked["inr", ""] == (4, ("microwave", "second"))
    assert asked["pacemaker", ""] == (2, ("second",))
    assert asked["distance_critical_mm", "L1"] == (1, ("microwave",))
    assert ("distance_critical_mm", "L2") not in asked
    assert [q.changes for q in answers.questions] == sorted((q.changes for q in answers.questions), reverse=True)
    assert all(q.ask.endswith((".", "?")) for q in answers.questions)


@pytest.mark.usefixtures("microwave")
def test_facts_that_only_change_something_together_are_asked_last():
    asked = select(assessment(fit(platelets_e9_l=None, inr=None, coagulopathy_correctable=None))).questions
    assert {(q.fact, q.changes) for q in asked} == {("platelets_e9_l", 0), ("inr", 0), ("coagulopathy_correctable", 0)}


# --- the door


@pytest.mark.usefixtures("microwave")
def test_both_policies_are_always_reported_and_the_asked_one_is_the_default():
    answers = select(assessment(fit(), fit()), "mitigated")
    assert [(v.lesion_id, v.policy) for v in answers.verdicts] == list(product(("L1", "L2"), POLICIES))
    assert answers.of("L1", "microwave").policy == "mitigated"
    with pytest.raises(InputError, match="lenient"):
        select(assessment(fit()), "lenient")


def test_facts_of_the_site_come_from_the_treatment(monkeypatch):
    found = [Fact("percutaneous_path", Known(False))]
    use(monkeypatch, treatment_of(MICROWAVE, found=found))
    assert verdict(fit(percutaneous_path=None)).status == "excluded"
    assert verdict(fit(percutaneous_path=True)).status == "needs"
    use(monkeypatch, treatment_of(MICROWAVE, found=[Fact("percutaneous_path", Unknown("give a CT that reaches the skin"))]))
    (reason,) = [r for r in verdict(fit(percutaneous_path=Unknown())).reasons if r.rule_id == "ABL-07-PATH"]
    assert "give a CT that reaches the skin" in reason.text
    use(monkeypatch, treatment_of(MICROWAVE, found=[Fact("nosuch", Known(False))]))
    with pytest.raises(InputError, match="nosuch"):
        verdict(fit())


def test_a_site_that_cannot_be_judged_stays_unknown(monkeypatch):
    made = treatment_of(MICROWAVE)

    def refuse(anatomy, target):
        raise NotOutlinedError("a", "b", "c")

    monkeypatch.setattr(made, "site_facts", refuse, raising=False)
    use(monkeypatch, made)
    assert verdict(fit(percutaneous_path=None)).status == "needs"


def test_a_treatment_without_rules_is_judged_by_scope_alone(monkeypatch):
    use(monkeypatch, treatment_of([], "bare"))
    assert select(assessment(fit())).of("L1", "bare").status == "candidate"
    assert select(assessment({})).of("L1", "bare").status == "needs"


def test_no_treatment_is_named_in_the_code():
    from pathlib import Path

    from osteon.treatments.catalog import ENTRIES

    for path in Path(module.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8").lower()
        assert not [e.name for e in ENTRIES if e.name in text and e.name not in vocabulary()], path.name


@pytest.mark.usefixtures("microwave")
def test_the_lookahead_counts_do_not_explode_with_nothing_known():
    answers = select(assessment({}))
    assert answers.of("L1", "microwave").status == "needs"
    assert len(answers.of("L1", "microwave").missing) < 100


# --- thresholds of plain films


ON_CT = "film threshold on a CT length: not validated"


def read_on(kind, **told):
    """Facts of a femur with the origin of what was measured: "image" or "chart", or "both"."""
    kinds = ("chart", "image") if kind == "both" else (kind,)
    made = facts({"bone": "femur_left", "bone_class": "femur", "long_bone": True, **told})
    return {n: replace(f, origins=tuple(Origin(k, "somewhere") for k in kinds)) for n, f in made.items()}


def reason_of(rule_id, treatment_name, told):
    one = assessment({})
    one = replace(one, lesions=(replace(one.lesions[0], facts=told),))
    found = select(one, "strict", missing=False).of("L1", treatment_name)
    return next(r for r in found.reasons if r.rule_id == rule_id)


FILM = [
    ("VDL-AXIAL", "osteoplasty", {"axial_cortical_mm": 42.0}),
    ("VDL-CIRCUMFERENCE", "osteoplasty", {"circumferential_cortical_fraction": 0.7}),
    ("HARRINGTON-FEMUR", "osteoplasty", {"size_max_mm": 31.0}),
    ("FIX-NEED", "screws", {"axial_cortical_mm": 42.0}),
    ("FIX-11-AXIAL", "screws", {"axial_cortical_mm": 42.0}),
    ("FIX-11-CIRCUMFERENCE", "screws", {"circumferential_cortical_fraction": 0.7}),
    ("FIX-11-FEMUR", "screws", {"size_max_mm": 31.0}),
]


@pytest.mark.parametrize(("rule_id", "name", "told"), FILM)
def test_a_film_threshold_on_a_number_read_on_ct_is_labelled_wherever_a_rule_uses_it(rule_id, name, told):
    assert ON_CT in reason_of(rule_id, name, read_on("image", **told)).text
    assert ON_CT in reason_of(rule_id, name, read_on("both", **told)).text
    assert ON_CT not in reason_of(rule_id, name, read_on("chart", **told)).text


def test_the_label_stays_where_it_cannot_be_told_or_does_not_hold_and_in_the_short_line():
    open_ = reason_of("VDL-AXIAL", "osteoplasty", read_on("image", axial_cortical_mm=Interval(28.0, 33.0)))
    assert (open_.truth, ON_CT in open_.text) == ("unknown", True)
    below = reason_of("VDL-AXIAL", "osteoplasty", read_on("image", axial_cortical_mm=20.0))
    assert (below.truth, ON_CT in below.text) == ("false", True)
    assert ON_CT in _short(reason_of("VDL-AXIAL", "osteoplasty", read_on("image", axial_cortical_mm=42.0)))


def test_every_rule_that_compares_van_der_lindens_measures_says_that_they_are_of_films():
    """A new rule on these measures cannot forget it."""
    measures = {"axial_cortical_mm", "circumferential_cortical_fraction"}
    for name in entries():
        for one in book(treatment(name)).rules:
            assert measures & set(one.facts) <= set(one.film), (name, one.id)
