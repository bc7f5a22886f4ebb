from dataclasses import replace

from osteon.evidence.value import Band
from osteon.facts import Unknown
from osteon.planning.compare import QUESTIONS, compare, shown_first
from osteon.planning.contrast import SAID
from osteon.planning.plan import LARGER, Finding, Plan, Step
from osteon.report.words import few
from osteon.treatments.base import Effect, Ended, Setting

STEP = (Step("a", Setting("d"), Effect("t", {}, {}, {}, Ended("time"))),)


def made(name, steps=STEP, **measures):
    found = {k: Band.of(v) for k, v in measures.items()}
    return Plan(name, "L1", "cure", steps, (), found, Ended("time"))


def test_every_question_is_answered_or_unknown_with_a_reason():
    row = compare([made("a", coverage=0.9, min_margin_mm=3.0, minutes=5.0, probes=1.0)])[0]
    assert tuple(row.answers) == QUESTIONS
    assert isinstance(row.answers["strength_ratio"], Unknown)
    assert row.answers["strength_ratio"].why


def test_a_plan_that_another_betters_in_every_respect_is_not_pareto():
    good = made("a", coverage=0.9, min_margin_mm=3.0, minutes=5.0, probes=1.0)
    worse = made("b", coverage=0.8, min_margin_mm=3.0, minutes=5.0, probes=1.0)
    quicker = made("c", coverage=0.8, min_margin_mm=1.0, minutes=2.0, probes=1.0)
    assert [r.pareto for r in compare([good, worse, quicker])] == [True, False, True]


def test_a_plan_without_steps_is_never_pareto():
    assert not compare([made("a", steps=())])[0].pareto


def finding(level):
    return Finding("nerve", "nerve", Band.of(40.0), "°C", 45.0, level, "")


def test_a_plan_that_stands_worse_or_needs_a_condition_betters_nothing():
    holds = made("a", coverage=0.6, min_margin_mm=-4.0, minutes=38.0, probes=1.0)
    more = {"coverage": 0.99, "min_margin_mm": 1.0, "minutes": 2.0, "probes": 1.0}
    warns = replace(made("b", **more), findings=(finding("warning"),))
    if_known = replace(made("c", **more), condition="if metal implant is confirmed")
    assert compare([holds, warns])[0].pareto
    assert compare([holds, if_known])[0].pareto
    assert not compare([holds, made("d", **more)])[0].pareto


def test_shown_in_full_is_what_is_open_breaks_nothing_and_covers_most():
    plans = [
        replace(made("conditional", coverage=1.0, minutes=1.0), condition="if metal implant is confirmed"),
        replace(made("breaks", coverage=1.0, minutes=1.0), findings=(finding("breach"),)),
        made("cold", coverage=0.6, minutes=38.0),
        replace(made("warns", coverage=0.99, minutes=2.0), findings=(finding("warning"),)),
        made("nothing", steps=()),
    ]
    assert [p.treatment for p in shown_first(plans)] == ["warns", "cold", "breaks", "conditional"]


def test_what_nobody_outlined_is_named_before_what_only_goes_on_beyond_the_image():
    def unknown(name, text):
        return Finding("x", name, None, "°C", 45.0, "unknown", text)

    found = Plan(
        "rfa", "L1", "cure", (), (
            unknown("aorta", f"cannot tell: 39 °C reaches the edge of what is seen, and the aorta goes on beyond it; {LARGER}"),
            unknown("sciatic_nerve_right", "cannot tell: outline the right sciatic nerve"),
            unknown("colon", f"cannot tell: 39 °C reaches the edge of what is seen; {LARGER}; {SAID}"),
        ), {}, Ended("time"),
    )  # fmt: skip
    assert found.unknown_structures() == ["sciatic_nerve_right", "aorta", "colon"]
    assert found.structures_beyond() == {"aorta", "colon"}
    assert few(["a", "b"]) == "a and b"
    assert few(list("abcdefghijkl")) == "a, b, c, d, e, f, g, h and 4 more"
