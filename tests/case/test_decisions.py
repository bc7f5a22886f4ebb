"""Decisions: added, never rewritten; read back as they were; what stands; errors in three parts with the line."""

from __future__ import annotations

from datetime import date

import pytest

from osteon.case.decisions import FILE, Decision, Departure, append, read, standing, washed
from osteon.errors import InputError
from osteon.io.identity import Identity

TODAY = date(2026, 11, 21)
FIRST = Decision(
    number=0,
    lesion="L1",
    date=TODAY,
    reason='Pain: "worse at night"',
    options=("alpha",),
    present=("oncology", "pain"),
    wish="no operation # at all",
    departs=(Departure("alpha", "R-1", "caution", "Near a nerve: 8 mm.", ("dist_nerve_mm",)),),
    status={"alpha": "candidate_with_cautions"},
    site={"mirels_fix_from": 9},
    rules="abc",
    snapshot="decisions/rules-abc.json.gz",
    case="def",
)


def test_a_decision_comes_back_as_it_was_given_and_none_is_a_choice_too(tmp_path):
    assert read(tmp_path) == ()
    first = append(tmp_path, FIRST, TODAY)
    none = append(tmp_path, Decision(0, "L2", TODAY, "the patient declined", ()), TODAY)
    assert read(tmp_path) == (first, none)
    assert (first.number, none.number, none.options) == (1, 2, ())


def test_earlier_entries_keep_every_byte_even_with_comments_and_odd_line_ends(tmp_path):
    append(tmp_path, FIRST, TODAY)
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes() + b"# a note by hand\r\n\r\n# no line end")
    before = file.read_bytes()
    append(tmp_path, FIRST, TODAY)
    assert file.read_bytes().startswith(before)
    assert len(read(tmp_path)) == 2
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_a_later_decision_stands_until_it_is_withdrawn_then_the_one_before_it(tmp_path):
    append(tmp_path, FIRST, TODAY)
    append(tmp_path, Decision(0, "L1", TODAY, "changed", ("beta",)), TODAY)
    assert standing(read(tmp_path))["L1"].options == ("beta",)
    append(tmp_path, Decision(0, "L1", TODAY, "a mistake", withdraws=2), TODAY)
    assert standing(read(tmp_path))["L1"].options == ("alpha",)
    append(tmp_path, Decision(0, "L1", TODAY, "that too", withdraws=1), TODAY)
    assert standing(read(tmp_path)) == {}
    with pytest.raises(InputError, match="no decision stands"):
        append(tmp_path, Decision(0, "L1", TODAY, "again", withdraws=1), TODAY)
    assert len(read(tmp_path)) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [({"date": date(2026, 11, 22)}, "later than today"), ({"reason": " "}, "has no reason")],
)
def test_what_cannot_be_a_decision_is_refused_and_nothing_is_written(tmp_path, change, words):
    from dataclasses import replace

    with pytest.raises(InputError, match=words) as caught:
        append(tmp_path, replace(FIRST, **change), TODAY)
    assert caught.value.why
    assert caught.value.do
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {lesion: L1, date: 2026-01-01, reason: r}\n- {lesion: L1, date: 2026-01-01}\n", f"{FILE}:2"),
        ("- {lesion: L1, date: yesterday, reason: r}\n", f"{FILE}:1: date"),
        ("- {lesion: L1, date: 2026-01-01, reason: r, colour: red}\n", "colour"),
        ("- {lesion: L1, date: 2026-01-01, reason: r, departs: [x]}\n", "departs"),
        ("- {lesion: L1, date: 2026-01-01, reason: r, options: microwave}\n", "options"),
        ("lesion: L1\n", "no list"),
        ("- {lesion\n", "no YAML"),
        ("- word\n", f"{FILE}:1"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line_and_never_overwritten(tmp_path, text, words):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InputError, match=words):
        read(tmp_path)
    with pytest.raises(InputError, match=words):
        append(tmp_path, FIRST, TODAY)
    assert (tmp_path / FILE).read_text() == text


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


def test_what_is_shown_names_nobody(tmp_path):
    named = Decision(1, "L1", TODAY, "Mrs Sorensen is tired", wish="Sorensen wants to walk")
    shown = washed([named], Identity(frozenset({"Sorensen"})))[0]
    assert "Sorensen" not in shown.reason + shown.wish
    assert shown.number == 1
