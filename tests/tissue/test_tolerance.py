"""Limits as data: the sources' numbers, what is a proposal said to be one, and every quotation literally in its paper."""

import re

import pytest

from osteon.space.anatomy import structure
from osteon.tissue.tolerance import limits, limits_for


def by_id():
    return {limit.id: limit for limit in limits()}


def test_li_2022_neural_tissue_45_degrees_act_from_43():
    nerve, cord = by_id()["nerve-peak-temperature"], by_id()["cord-peak-temperature"]
    assert (nerve.warn, nerve.limit, nerve.verified) == (43, 45, True)
    assert (cord.warn, cord.limit, cord.verified) == (43, 45, True)


def test_itrusst_2025_doses_for_cns_skin_and_bone():
    assert (by_id()["cord-dose"].limit, by_id()["skin-dose"].limit, by_id()["bone-dose"].limit) == (2, 21, 16)
    assert not by_id()["bone-dose"].breaches
    assert by_id()["bone-dose"].applies == "outside_target"


def test_lo_bianco_2022_one_centimetre_from_critical_structures():
    kinds = {limit.applies_to for limit in limits() if limit.quantity == "stand_off_mm"}
    assert kinds == {"nerve", "cord", "vessel", "bowel", "joint"}
    for limit in limits():
        if limit.quantity == "stand_off_mm":
            assert limit.limit == 10
            assert limit.level(9.9) == "breach"
            assert limit.level(10.0) == "ok"


def test_nerve_dose_is_a_proposal_and_says_so():
    limit = by_id()["nerve-dose"]
    assert (limit.warn, limit.limit, limit.verified) == (10, 40, False)
    assert "proposal" in limit.text


@pytest.mark.parametrize(
    ("value", "level"), [(42.9, "ok"), (43.0, "warning"), (44.9, "warning"), (45.0, "breach"), (60, "breach")]
)
def test_a_nerve_at_each_temperature(value, level):
    assert by_id()["nerve-peak-temperature"].level(value) == level


def test_unknown_is_not_judged():
    with pytest.raises(ValueError, match="cannot tell"):
        by_id()["nerve-peak-temperature"].level(float("nan"))


def test_limits_for_a_structure_are_those_of_its_kind():
    ids = [limit.id for limit in limits_for(structure("sciatic_nerve_right"))]
    assert ids == ["nerve-peak-temperature", "nerve-dose", "nerve-stand-off", "nerve-lowest-temperature"]
    assert limits_for(structure("gluteus_maximus_right")) == ()


def test_warning_never_comes_after_the_breach():
    for limit in limits():
        if limit.side == "above":
            assert limit.warn <= limit.limit, limit.id
        else:
            assert limit.warn >= limit.limit, limit.id


def test_what_is_called_a_proposal_is_not_verified():
    for limit in limits():
        if limit.source == "project-proposal":
            assert not limit.verified, limit.id


@pytest.mark.real
def test_every_quotation_stands_in_its_paper(seeds):
    papers = {p.name.split("-")[1].zfill(3): " ".join(p.read_text(encoding="utf-8").split()) for p in seeds.glob("seed-*.txt")}
    keys = [key for limit in limits() for key in (limit.source, *limit.also) if key.startswith("[")]
    assert len(keys) >= 10
    for key in keys:
        number, words = re.fullmatch(r"\[(\d{3}) «([^«»]+)»\]", key).groups()
        assert words in papers[number], key
