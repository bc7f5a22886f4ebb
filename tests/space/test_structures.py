"""Every code stands in pydicom's dictionary with the meaning that we give it."""

from pydicom.sr._concepts_dict import concepts

from osteon.space.anatomy import structures

WITHOUT_CODE = (
    55  # nerves, joints and muscles that pydicom's dictionary does not hold; a change here is a change of the vocabulary
)


def test_codes_are_in_pydicoms_dictionary_with_this_meaning():
    meanings = {}
    for entries in concepts["SCT"].values():
        for code, (meaning, *_) in entries.items():
            meanings.setdefault(code, set()).add(meaning)
    wrong = [s.id for s in structures().values() if s.code is not None and s.meaning not in meanings.get(s.code, ())]
    assert wrong == []


def test_number_of_structures_without_code_is_pinned_and_each_says_why():
    without = [s for s in structures().values() if s.code is None]
    assert len(without) == WITHOUT_CODE
    assert all("dictionary" in s.meaning for s in without)


def test_sided_structures_share_the_unsided_code_and_name_their_side():
    left, right = structures()["femur_left"], structures()["femur_right"]
    assert left.code == right.code == "71341001"
    assert (left.name, right.name) == ("left femur", "right femur")
