"""The site of a target: which bone holds it, what nobody outlined, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lesion_scene import HIP, LESION, NERVE, plate
from osteon.errors import MissingError, NotOutlinedError
from osteon.space.anatomy import structure
from osteon.treatments.focused_ultrasound.target_site import ct_of, not_outlined, touching_most


def test_the_bone_that_shares_most_holds_the_target_the_first_by_name_of_equals_and_none_that_shares_nothing():
    femur, sacrum = structure("femur_right"), structure("sacrum")
    assert touching_most({femur: 3, HIP: 7, sacrum: 2}) == HIP
    assert touching_most({sacrum: 4, femur: 4}) == touching_most({femur: 4, sacrum: 4}) == femur
    assert touching_most({femur: 0, HIP: 0}) is None
    assert touching_most({}) is None


def test_what_nobody_outlined_or_called_absent_is_named():
    whole = plate()
    assert not_outlined(whole) == ""
    assert not_outlined(replace(whole, absent=frozenset())) == "nerve, bowel, lung"
    assert not_outlined(replace(plate(masks={NERVE: lambda p: p[1] < -25}), absent=frozenset())) == "bowel, lung"


def test_the_ct_is_given_or_what_is_missing_is_said_in_three_parts():
    whole = plate()
    assert ct_of(whole, LESION, "why") is whole.image
    with pytest.raises(MissingError) as told:
        ct_of(replace(whole, image=None), LESION, "Gas is read from it.")
    assert told.value.why == "Gas is read from it."
    with pytest.raises(NotOutlinedError, match="lesion is not outlined"):
        ct_of(replace(whole, masks={}), LESION, "why")
