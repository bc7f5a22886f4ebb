"""From a point to an outline in the case; case.yaml keeps its comments; nerves as lines; TotalSegmentator kept quiet."""

from __future__ import annotations

import difflib
import json
import stat
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.case import total_segmentator
from osteon.case.load import load_case
from osteon.case.nerve_line import parse_polyline, read_polyline, write_nerve
from osteon.case.phantom import build, write
from osteon.case.segment import segment
from osteon.case.yaml_edit import set_entry, set_in_case
from osteon.errors import CaseFileError, InputError, MissingError, OsteonError
from osteon.report.preview import preview, write_preview
from osteon.space.anatomy import structure


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """An ilium phantom whose lesion has no outline yet, with a comment in its case.yaml."""
    file = write("ilium", tmp_path / "case", spacing_mm=2.0)
    lines = [x for x in file.read_text().splitlines() if x.strip() != "outline: {file: lesion.nii.gz}"]
    file.write_text("\n".join([*lines, "# a comment at the end", ""]))
    return file.parent


CENTRE = build("ilium", spacing_mm=4.0).lesion_centre_mm


def changed(before: str, after: str) -> list[str]:
    return [d for d in difflib.ndiff(before.splitlines(), after.splitlines()) if d[0] in "+-"]


def test_a_seed_becomes_an_outline_of_the_case(case: Path) -> None:
    before = (case / "case.yaml").read_text()
    assert load_case(case).lesions[0].mask is None
    found = segment(case, "L1", CENTRE)
    truth = build("ilium", spacing_mm=2.0).masks[structure("lesion")].array
    loaded = load_case(case).lesions[0].mask
    assert loaded is not None
    assert np.array_equal(loaded.array, found.mask.array)
    assert 2 * (loaded.array & truth).sum() / (loaded.array.sum() + truth.sum()) >= 0.85
    assert found.leak
    assert found.volume_ml == pytest.approx(found.mask.array.sum() * 8 / 1000)
    assert {f.name for f in found.files} == {"lesion_L1_grown.nii.gz", "case.yaml"}
    (line,) = changed(before, (case / "case.yaml").read_text())
    assert line.startswith("+     outline: {file: lesion_L1_grown.nii.gz, approximate: true")


def test_an_outline_is_not_lost_unasked_and_a_digest_follows(case: Path) -> None:
    segment(case, "L1", CENTRE)
    with pytest.raises(CaseFileError, match="outline already"):
        segment(case, "L1", CENTRE)
    set_in_case(case / "case.yaml", ("digests", "lesion_L1_grown.nii.gz"), load_case(case).digests["lesion_L1_grown.nii.gz"])
    moved = (CENTRE[0] + 3, CENTRE[1], CENTRE[2] + 3)
    segment(case, "L1", moved, replace=True)
    assert load_case(case).lesions[0].mask is not None


def test_a_trial_writes_nothing_and_ras_is_the_same_place(case: Path) -> None:
    before = {p.name: p.read_bytes() for p in case.iterdir() if p.is_file()}
    one = segment(case, "L1", CENTRE, write=False)
    two = segment(case, "L1", (-CENTRE[0], -CENTRE[1], CENTRE[2]), coordinates="RAS", write=False)
    assert np.array_equal(one.mask.array, two.mask.array)
    assert one.files == ()
    assert {p.name: p.read_bytes() for p in case.iterdir() if p.is_file()} == before


def test_unknown_lesion_and_frame(case: Path) -> None:
    with pytest.raises(InputError, match="Name one of: L1"):
        segment(case, "L2", CENTRE)
    with pytest.raises(InputError, match="LPS or RAS"):
        segment(case, "L1", CENTRE, coordinates="XYZ")


def test_stopped_before_case_yaml_the_case_is_as_it_was(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (case / "case.yaml").read_bytes()

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("osteon.case.segment.set_in_case", stopped)
    with pytest.raises(KeyboardInterrupt):
        segment(case, "L1", CENTRE)
    assert (case / "case.yaml").read_bytes() == before
    assert load_case(case).lesions[0].mask is None


def test_the_preview_shows_three_cuts_and_says_what_it_is(case: Path, tmp_path: Path) -> None:
    found = segment(case, "L1", CENTRE, write=False)
    file = write_preview(
        tmp_path / "p.svg", found.image, found.mask, imaged=found.imaged, seed_mm=CENTRE, notes=found.notes, title="L1"
    )
    text = file.read_text()
    assert all(name in text for name in ("axial", "coronal", "sagittal", "possible leak", "approximate"))
    assert text == preview(found.image, found.mask, imaged=found.imaged, seed_mm=CENTRE, notes=found.notes, title="L1")
    assert text.count("<image ") == 3


# --- case.yaml as text


@pytest.mark.parametrize(
    ("text", "place", "value", "expected"),
    [
        ("a: 1 # one\nb: 2\n", ("a",), 5, "a: 5 # one\nb: 2\n"),
        ("a: {} # none\n", ("a", "k"), {"x": [1, 2]}, "a: {k: {x: [1, 2]}} # none\n"),
        ("a: {b: 1}\n", ("a", "c"), "t", "a: {b: 1, c: t}\n"),
        ("a:\n  b: 1  # here\n# end\n", ("a", "c"), 2, "a:\n  b: 1  # here\n  c: 2\n# end\n"),
        ("a:\n  - id: L1\n    bone: x # bone\n    facts:\n      p: 1\n", ("a", 0, "o"), 3, None),
        ("a:\n- 0\nb: 1\n", ("a",), None, "a:\n  null\nb: 1\n"),
        ("a:\nb: 1\n", ("a",), 2, "a: 2\nb: 1\n"),
        ("a: 1", ("s", "n"), [1], "a: 1\ns: {n: [1]}\n"),
        ("a:\n  b:\n    c: 1\n  # between\n  d: 2\n", ("a", "b"), 7, "a:\n  b:\n    7\n  # between\n  d: 2\n"),
        ("a: 1\r\nb: 2\r\n", ("c",), 3, "a: 1\r\nb: 2\r\nc: 3\r\n"),
    ],
)
def test_one_entry_changes_and_comments_stay(text: str, place: tuple, value: object, expected: str | None) -> None:
    new = set_entry(text, place, value, after="bone")
    if expected is not None:
        assert new == expected
    else:
        assert new == "a:\n  - id: L1\n    bone: x # bone\n    o: 3\n    facts:\n      p: 1\n"


KEYS = st.sampled_from(["a", "b", "c", "d"])
LEAVES = st.integers(-9, 9) | st.sampled_from(["x", "y z", "1", "true", "#", ""]) | st.none()
TREES = st.dictionaries(
    KEYS, st.recursive(LEAVES, lambda t: st.lists(t, max_size=3) | st.dictionaries(KEYS, t, max_size=3)), min_size=1
)


@settings(max_examples=150, deadline=None)
@given(TREES, st.lists(KEYS, min_size=1, max_size=3), LEAVES, st.booleans())
def test_law_setting_an_entry_changes_that_entry_and_nothing_else(
    tree: dict, place: list[str], value: object, flow: bool
) -> None:
    text = yaml.safe_dump(tree, default_flow_style=None if flow else False, sort_keys=False)
    text = "# first\n" + text + "# last\n"
    wanted = yaml.safe_load(text)
    inner = wanted
    for part in place[:-1]:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            with pytest.raises(CaseFileError, match="no mapping"):
                set_entry(text, tuple(place), value)
            return
    inner[place[-1]] = value
    new = set_entry(text, tuple(place), value)
    assert yaml.safe_load(new) == wanted
    assert new.startswith("# first\n")
    assert "# last" in new


def test_what_the_form_does_not_allow_is_not_written(case: Path) -> None:
    before = (case / "case.yaml").read_bytes()
    with pytest.raises(CaseFileError, match="cannot be"):
        set_in_case(case / "case.yaml", ("lesions", 0, "goal"), "immortality")
    assert (case / "case.yaml").read_bytes() == before


# --- nerves


def test_points_from_text_and_file(tmp_path: Path) -> None:
    expected = [(-62.0, 60.0, -20.5), (-70.0, 66.0, -60.0)]
    for text in ("-62,60,-20.5; -70,66,-60", "-62 60 -20.5\n# knee\n-70\t66 -60 # end\n", "[-62, 60, -20.5]\n[-70, 66, -60]"):
        assert parse_polyline(text) == expected
    file = tmp_path / "nerve.txt"
    file.write_text("\ufeff-62 60 -20.5\n-70 66 -60\n", encoding="utf-8")
    assert read_polyline(str(file)) == expected
    assert read_polyline("-62 60 -20.5; -70 66 -60") == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1,2; 3,4,5", "Point 1"),
        ("1 2 3\n1 2 x", "Point 2"),
        ("1 2 nan; 3 4 5", "Point 1"),
        ("1 2 3; 1 2 3", "are the same"),
        ("1 2 3", "two at least"),
        ("nerve_of_mine.txt", "no file"),
    ],
)
def test_points_that_are_none(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_polyline(text)


def test_a_nerve_is_written_as_a_line_and_loaded_as_approximate(case: Path) -> None:
    before = (case / "case.yaml").read_text()
    points = [(-70.0, 58.0, -240.0), (-74.0, 60.0, -270.0)]
    write_nerve(case, "sciatic_nerve_right", points, radius_mm=4)
    loaded = load_case(case)
    key = structure("sciatic_nerve_right")
    assert key in loaded.approximate
    assert loaded.masks[key].array.sum() * 8 == pytest.approx(np.pi * 16 * 31 + 4 / 3 * np.pi * 64, rel=0.2)
    assert len(changed(before, (case / "case.yaml").read_text())) <= 2
    assert "# a comment at the end" in (case / "case.yaml").read_text()
    with pytest.raises(CaseFileError, match="outlined already"):
        write_nerve(case, "sciatic_nerve_right", points, radius_mm=4)


def test_a_nerve_that_cannot_be_leaves_the_case_as_it_was(case: Path) -> None:
    before = (case / "case.yaml").read_bytes()
    with pytest.raises(CaseFileError, match="outside the image"):
        write_nerve(case, "sciatic_nerve_right", [(500.0, 0, 0), (500.0, 0, 50.0)], radius_mm=4)
    with pytest.raises(InputError, match="no nerve"):
        write_nerve(case, "colon", [(0, 0, 0), (0, 0, 5.0)], radius_mm=4)
    with pytest.raises(InputError, match="radius"):
        write_nerve(case, "sciatic_nerve_right", [(0, 0, 0), (0, 0, 5.0)], radius_mm=100)
    assert (case / "case.yaml").read_bytes() == before


# --- TotalSegmentator


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a stand-in for the command on the path, and its weights where it looks for them."""
    program = folder / "bin" / "TotalSegmentator"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n" + body)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "weights").mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(folder / "weights"))
    monkeypatch.setenv("no_proxy", "*")
    (folder / "ct.nii.gz").write_bytes(b"image")


def test_missing_totalsegmentator_is_said_in_three_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="not on the path") as caught:
        total_segmentator.outline(tmp_path, tmp_path / "out")
    assert caught.value.exit_code == 3
    assert "Install it" in caught.value.do


def test_totalsegmentator_runs_without_telemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f'env > {tmp_path}/env.txt; cp "$TOTALSEG_HOME_DIR/config.json" {tmp_path}/config.json; cp "$2" "$4"\n'
    installed(tmp_path, monkeypatch, script)
    made = total_segmentator.outline(tmp_path / "ct.nii.gz", tmp_path / "out")
    assert made.read_bytes() == b"image"
    assert json.loads((tmp_path / "config.json").read_text())["send_usage_stats"] is False
    environment = dict(line.split("=", 1) for line in (tmp_path / "env.txt").read_text().splitlines() if "=" in line)
    assert environment["http_proxy"] == environment["HTTPS_PROXY"] == total_segmentator.NOWHERE
    assert "no_proxy" not in environment
    assert environment["TOTALSEG_WEIGHTS_PATH"] == str(tmp_path / "weights")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["totalsegmentator.nii.gz"]


@pytest.mark.parametrize(
    ("script", "told"), [("echo out of memory >&2; exit 3\n", "exit code 3: out of memory"), ("exit 0\n", "without writing")]
)
def test_totalsegmentator_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str) -> None:
    installed(tmp_path, monkeypatch, script)
    with pytest.raises(OsteonError, match=told):
        total_segmentator.outline(tmp_path / "ct.nii.gz", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_totalsegmentator_too_slow_or_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, "exec sleep 5\n")
    with pytest.raises(OsteonError, match="stopped after"):
        total_segmentator.outline(tmp_path / "ct.nii.gz", tmp_path / "out", timeout_s=0.3)
    (tmp_path / "weights").rmdir()
    with pytest.raises(MissingError, match="starts no download"):
        total_segmentator.outline(tmp_path / "ct.nii.gz", tmp_path / "out")
