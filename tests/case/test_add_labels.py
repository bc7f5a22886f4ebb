"""Outlines made for a case: written beside it, named in case.yaml without touching anything else, never over others unasked."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.case import add_labels, total_segmentator
from osteon.case.add_labels import BONES_FILE, MODEL_FILE, outline_bones, outline_by_model
from osteon.case.load import load_case
from osteon.case.phantom import build, write
from osteon.case.schema import read_case_file
from osteon.case.yaml_edit import insert_first, set_in_case
from osteon.errors import CaseFileError, ImageError, InputError, MissingError, OsteonError
from osteon.io import images
from osteon.report.pieces import pieces
from osteon.space.anatomy import structure


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A vertebra phantom without label map, with comments in its case.yaml."""
    file = write("vertebra", tmp_path / "case", spacing_mm=3.0)
    tree = yaml.safe_load(file.read_text())
    for key in ("labels", "structures"):
        tree.pop(key, None)
    file.write_text(yaml.safe_dump(tree, sort_keys=False) + "# a comment at the end\n")
    return file.parent


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a stand-in for TotalSegmentator on the path, and weights where it looks for them."""
    program = folder / "bin" / "TotalSegmentator"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n" + body)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "weights").mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(folder / "weights"))


def model_output(case: Path, folder: Path) -> Path:
    """A label map as the model would write it: L3 is its class 29."""
    made = build("vertebra", spacing_mm=3.0)
    mask = made.masks[structure("vertebra_L3")]
    file = images.write_nifti(mask.with_array(np.where(mask.array, 29, 0).astype(np.uint8)), folder / "model.nii.gz")
    assert load_case(case).planning_image.volume.grid.same_as(mask.grid)
    return file


BARS = r"""printf 'Resampling...\nPredicting part 1 of 2 ...\n  0%%|   | 0/4\r 50%%|##  | 2/4\r100%%|####| 4/4\n' >&2
printf 'Predicting part 2 of 2 ...\n 50%%|##  | 2/4\r' >&2
"""


def test_a_model_outlines_the_case_and_progress_is_told(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, BARS + f'case "$2" in *.nii.gz) cp {model_output(case, tmp_path)} "$4";; esac\n')
    before, told = (case / "case.yaml").read_text(), []
    made = outline_by_model(case, fast=True, observe=told.append)
    assert made == case / MODEL_FILE
    loaded = load_case(case)
    key = structure("vertebra_L3")
    assert np.array_equal(loaded.masks[key].array, build("vertebra", spacing_mm=3.0).masks[key].array)
    assert key in loaded.approximate
    after = (case / "case.yaml").read_text()
    assert [x for x in after.splitlines() if x not in before.splitlines()] == [
        "labels: [{file: totalsegmentator.nii.gz, names: totalsegmentator, approximate: true, "
        "note: 'TotalSegmentator, fast model: a model''s output'}]"
    ]
    assert "# a comment at the end" in after
    assert told == sorted(told)
    assert told[-1] >= 0.5
    assert told[-1] < 1.0
    assert not [p for p in case.iterdir() if p.name.startswith(".osteon.")]  # the copy of the image is gone


def test_a_model_result_is_not_replaced_unasked(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, f'cp {model_output(case, tmp_path)} "$4"\n')
    (case / MODEL_FILE).write_bytes(b"drawn by hand")
    with pytest.raises(CaseFileError, match=r"beside case\.yaml already"):
        outline_by_model(case)
    assert (case / MODEL_FILE).read_bytes() == b"drawn by hand"
    outline_by_model(case, replace=True)
    set_in_case(case / "case.yaml", ("digests", MODEL_FILE), load_case(case).digests[MODEL_FILE])
    with pytest.raises(CaseFileError, match=r"label map totalsegmentator\.nii\.gz already"):
        outline_by_model(case)
    outline_by_model(case, replace=True)
    assert len(read_case_file(case / "case.yaml")[0].labels) == 1
    assert load_case(case).masks


def test_other_label_maps_stay_and_count(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hand-drawn L3 of another shape wins over the model's, and is not called approximate."""
    key = structure("vertebra_L3")
    mask = build("vertebra", spacing_mm=3.0).masks[key]
    images.write_nifti(mask.with_array(np.roll(mask.array, 1, axis=0).astype(np.uint8)), case / "mine.nii.gz")
    text = (case / "case.yaml").read_text()
    (case / "case.yaml").write_text(text + "labels:\n  # drawn by hand\n  - {file: mine.nii.gz, names: {1: vertebra_L3}}  # me\n")
    installed(tmp_path, monkeypatch, f'cp {model_output(case, tmp_path)} "$4"\n')
    outline_by_model(case)
    after = (case / "case.yaml").read_text()
    assert after.index(MODEL_FILE) < after.index("# drawn by hand") < after.index("mine.nii.gz") < after.index("# me")
    loaded = load_case(case)
    assert np.array_equal(loaded.masks[key].array, np.roll(mask.array, 1, axis=0))
    assert key not in loaded.approximate


def test_without_the_command_nothing_is_read_or_written(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    before = {p.name: p.read_bytes() for p in case.iterdir()}
    with pytest.raises(MissingError, match="not on the path") as caught:
        outline_by_model(case)
    assert "osteon does not do that" in caught.value.do
    assert {p.name: p.read_bytes() for p in case.iterdir()} == before


def test_a_failed_or_misplaced_result_leaves_the_case_as_it_was(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.name: p.read_bytes() for p in case.iterdir()}
    mask = build("vertebra", spacing_mm=3.0).masks[structure("vertebra_L3")]
    affine = mask.grid.matrix
    affine[0, 3] += 5000
    far = images.write_nifti(type(mask).of(mask.array.astype(np.uint8), affine), tmp_path / "far.nii.gz")
    installed(tmp_path, monkeypatch, f'[ -n "$FAR" ] && cp {far} "$4" && exit 0; echo no memory >&2; exit 3\n')
    with pytest.raises(OsteonError, match="no memory"):
        outline_by_model(case)
    monkeypatch.setenv("FAR", "1")
    with pytest.raises(ImageError, match="do not meet"):
        outline_by_model(case)
    assert {p.name: p.read_bytes() for p in case.iterdir()} == before


def test_what_the_command_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, f"(sleep 3; touch {tmp_path}/late) & sleep 30\n")
    (tmp_path / "ct.nii.gz").write_bytes(b"image")
    with pytest.raises(OsteonError, match="stopped after"):
        total_segmentator.outline(tmp_path / "ct.nii.gz", tmp_path / "out", timeout_s=0.5)
    import time

    time.sleep(3.2)
    assert not (tmp_path / "late").exists()


def test_bones_are_offered_and_named_by_the_user(case: Path) -> None:
    before = (case / "case.yaml").read_text()
    offered = outline_bones(case)
    assert not offered.named_in_case
    assert (case / "case.yaml").read_text() == before
    truth = build("vertebra", spacing_mm=3.0).masks
    best = {}
    for level in ("L2", "L3", "L4"):
        inside = truth[structure(f"vertebra_{level}")].array
        best[level] = max((int((b.mask.array & inside).sum()), b.id) for b in offered.found.bones)[1]
    assert len(set(best.values())) == 3
    named = outline_bones(case, {best["L3"]: "vertebra_L3"})
    assert named.named_in_case
    loaded = load_case(case)
    mask, key = truth[structure("vertebra_L3")].array, structure("vertebra_L3")
    ours = loaded.masks[key].array
    assert 2 * (ours & mask).sum() / (ours.sum() + mask.sum()) >= 0.8
    assert {key, structure("other_bone")} <= loaded.approximate
    with pytest.raises(CaseFileError, match=f"{BONES_FILE} already"):
        outline_bones(case, {best["L3"]: "vertebra_L3"})
    outline_bones(case, {best["L3"]: "vertebra_L3", best["L2"]: "vertebra_L2"}, replace=True)
    assert structure("vertebra_L2") in load_case(case).masks


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"bone_99": "hip_left"}, "no piece 'bone_99'"),
        ({"bone_1": "colon"}, "no bone"),
        ({"bone_1": "elbow"}, "no structure 'elbow'"),
    ],
)
def test_names_that_cannot_be(case: Path, names: dict[str, str], told: str) -> None:
    before = {p.name: p.read_bytes() for p in case.iterdir()}
    with pytest.raises(InputError, match=told):
        outline_bones(case, names)
    assert {p.name: p.read_bytes() for p in case.iterdir()} == before


def test_a_piece_on_the_other_side_gets_no_name(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    found = outline_bones(case).found
    moved = replace(found, bones=tuple(replace(b, side="right") for b in found.bones))
    monkeypatch.setattr(add_labels, "find_bones", lambda *_: moved)
    with pytest.raises(InputError, match="bone_1 lies on the right"):
        outline_bones(case, {"bone_1": "hip_left"})


def test_the_picture_of_the_pieces_is_the_same_each_time_and_names_them(case: Path) -> None:
    made = outline_bones(case)
    text = pieces(made.image, made.found, {"bone_1": structure("vertebra_L4")})
    assert text == pieces(made.image, made.found, {"bone_1": structure("vertebra_L4")})
    assert text.count("<image ") == 3
    assert "bone_1 = L4 vertebra" in text
    assert all(f">{n}</text>" in text for n in range(1, len(made.found.bones) + 1))


def test_the_command(case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from osteon.cli import main

    def say(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["osteon", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        out = capsys.readouterr()
        return int(caught.value.code or 0), out.out, out.err

    code, out, _ = say("outline", str(case), "--bones", "--json")
    assert code == 0
    tree = json.loads(out)
    assert [p["piece"] for p in tree["pieces"]] == ["bone_1", "bone_2", "bone_3"]
    assert not tree["in_case"]
    assert Path(tree["preview"]).is_file()
    assert say("outline", str(case), "--bones", "--name", "bone_1")[0] == 2
    assert say("outline", str(case), "--bones", "--fast")[0] == 2
    assert say("outline", str(case), "--name", "bone_1=hip_left")[0] == 2
    monkeypatch.setenv("PATH", str(case))
    code, _, error = say("outline", str(case))
    assert code == 3
    assert "osteon does not do that" in error


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 9) | st.dictionaries(st.sampled_from("ab"), st.integers(0, 9), min_size=1), min_size=1), st.booleans()
)
def test_law_an_entry_goes_in_front_and_nothing_else_changes(entries: list, flow: bool) -> None:
    tree = {"x": 1, "list": entries, "y": {"z": [2]}}
    text = yaml.safe_dump(tree, default_flow_style=None if flow else False, sort_keys=False)
    text = text.replace("list:\n", "list:  # here\n# of the first\n") + "# last\n"
    new = insert_first(text, "list", {"b": "new"})
    assert yaml.safe_load(new) == {**tree, "list": [{"b": "new"}, *entries]}
    kept = iter(new.splitlines())
    if "list:  # here" in text:
        assert all(line in kept for line in text.splitlines())  # every line still there, in order
