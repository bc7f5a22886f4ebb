"""A plan on a CT with contrast agent says so: in its assumptions, its findings and at the needle."""

from dataclasses import replace

import pytest

from osteon.case.image_facts import NOT_STATED
from osteon.evidence.value import Band
from osteon.planning.contrast import assumed_of, with_contrast
from osteon.planning.plan import Finding
from osteon.planning.prescription import needle_lines
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Volume
from osteon.treatments.base import NeedlePose
from planning.scene import ACCESS, block

STRAIGHT = NeedlePose((0.0, -80.0, 0.0), (0.0, 0.0, 0.0))


def test_the_assumption_names_agent_says_nothing_without_and_says_what_is_not_stated():
    anatomy = block(spacing=4.0)
    said = assumed_of(replace(anatomy, contrast=True))
    assert said.startswith("CT with contrast agent: 60 HU are taken off")
    assert "an ensemble draws up to 200 HU" in said
    assert assumed_of(replace(anatomy, contrast=False)) == ""
    assert assumed_of(anatomy) == NOT_STATED
    assert assumed_of(Anatomy(anatomy.imaged, contrast=True)) == ""  # nothing is read from HU without a CT


def test_findings_of_heat_say_it_and_distances_do_not():
    finding = Finding("x", "skin", Band.of(40.0), "degC", 45.0, "ok", "skin: 40 °C, limit 45")
    findings = [finding, replace(finding, value=Band(40, 39, 41, 8)), replace(finding, unit="mm"), replace(finding, value=None)]
    single, sampled, distance, unknown = with_contrast(findings, replace(block(spacing=4.0), contrast=True))
    assert single.text.endswith("; bone was read from a CT with contrast agent, what that may change was not sampled")
    assert sampled.text.endswith("; bone was read from a CT with contrast agent")
    assert (distance, unknown) == (findings[2], findings[3])
    for contrast in (False, None):
        assert with_contrast(findings, replace(block(spacing=4.0), contrast=contrast)) == findings


@pytest.mark.parametrize(
    ("hu", "without", "with_agent"),
    [(250, "broken", "broken"), (310, "intact", "unknown"), (499, "intact", "unknown"), (900, "intact", "intact")],
)
def test_the_needle_is_told_that_agent_may_look_like_cortex(hu, without, with_agent):
    anatomy = block()
    image = anatomy.image.array.copy()
    image[image == 900] = hu
    anatomy = replace(anatomy, image=Volume(image, anatomy.grid))
    hip, lesion = structure("hip_right"), structure("lesion")
    for contrast, expected in ((False, without), (None, without), (True, with_agent)):
        lines = needle_lines(replace(anatomy, contrast=contrast), lesion, hip, STRAIGHT, ACCESS)
        assert lines["cortex"] == expected
        if expected == "unknown":
            assert "contrast agent may be 200; have the bone needle ready" in lines["cortex_text"]
            assert lines["introducer"] == ACCESS.introducer
