from osteon.evidence.value import Band
from osteon.facts import Unknown
from osteon.planning.compare import QUESTIONS, compare
from osteon.planning.plan import Plan, Step
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
