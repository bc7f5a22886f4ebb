"""What contrast agent in the planning CT means for a plan, said where the plan is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from osteon.case.image_facts import NOT_STATED
from osteon.planning.plan import Finding
from osteon.space.anatomy import Anatomy
from osteon.tissue.properties import most_added_hu, tissue

SAID = "bone was read from a CT with contrast agent"


def assumed_of(anatomy: Anatomy) -> str:
    """Return what a plan assumes of contrast agent; empty where the CT is stated to have none."""
    if anatomy.image is None or anatomy.contrast is False:
        return ""
    if anatomy.contrast is None:
        return NOT_STATED
    value = tissue("hounsfield")["contrast_adds"]
    return (
        f"CT with contrast agent: {value.number:.0f} HU are taken off soft tissue, marrow and tumour before bone is read from HU "
        f"({value.source}, not read in a source); an ensemble draws up to {most_added_hu():.0f} HU, a single run has no such band"
    )


def with_contrast(findings: Sequence[Finding], anatomy: Anatomy) -> list[Finding]:
    """Say on every finding that rests on the computed heat that bone was read from a CT with contrast agent; distances do not."""
    if not anatomy.contrast:
        return list(findings)
    return [each if each.value is None or each.unit == "mm" else replace(each, text=_text(each)) for each in findings]


def _text(finding: Finding) -> str:
    sampled = finding.value is not None and finding.value.n > 0
    return f"{finding.text}; {SAID}{'' if sampled else ', what that may change was not sampled'}"
