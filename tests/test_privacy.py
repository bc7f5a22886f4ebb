"""Nothing of a name, a birth date, a number or an original UID leaves: a patient full of them through every command."""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from osteon import cli, load_case
from osteon.case.model import OutlineQuestion
from osteon.case.phantom import write
from osteon.case.private import without_identity
from osteon.io.deidentify import check_clean
from osteon.io.identity import identity_of
from osteon.io.nifti import read_volume
from osteon.io.rtstruct_write import write_rtstruct
from osteon.space.anatomy import structure
from osteon.space.mesh import surface, write_ply, write_stl

ROOT = "1.3.12.2.1107.5.1.4.60064.3000002212080811"
BIRTH = "19500229"
TELLING = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "0815-4711",
    "PatientBirthDate": BIRTH,
    "AccessionNumber": "ACC-990017",
    "InstitutionName": "St. Nirgendwo Klinik",
    "ReferringPhysicianName": "House^Gregory",
    "OperatorsName": "Ratched^Mildred",
    "StudyDescription": "CT Becken Mustermann Erika",
    "SeriesDescription": "nativ Mustermann 5.0 B30f",
    "ProtocolName": "Becken_Mustermann",
    "ImageComments": "call daughter Annegret",
    "StudyID": "ST-55123",
    "PatientAddress": "Hauptstr. 17",
    "StationName": "CT-NIRGENDWO-2",
}
WORDS = (
    *("mustermann", "erika", "0815-4711", BIRTH, "1950-02-29", "29.02.1950", "acc-990017", "nirgendwo", "gregory", "ratched"),
    *("mildred", "annegret", "st-55123", "hauptstr", "becken", ROOT, "1.3.12.2.1107", "geheim"),
)


def tell(folder: Path) -> None:
    """Fill every slice of a series with a person."""
    for number, file in enumerate(sorted(folder.glob("*.dcm")), start=1):
        data = pydicom.dcmread(file)
        for key, value in TELLING.items():
            setattr(data, key, value)
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = f"{ROOT}.1", f"{ROOT}.2", f"{ROOT}.3"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.4.{number}"
        del data.PatientIdentityRemoved, data.DeidentificationMethod
        data.private_block(0x0029, "SECRET MAKER", create=True).add_new(0x01, "LO", "geheim")
        data.save_as(file.with_name(f"CT.{ROOT}.4.{number}"))
        file.unlink()


def tell_rtstruct(file: Path, mask, slices: Path) -> None:
    """Write outlines as a planning system does, under names that somebody typed."""
    from osteon.io.dicom_objects import image_uids

    write_rtstruct(file, {structure("lesion"): mask}, references=image_uids(slices), keep_uids=True)
    data = pydicom.dcmread(file)
    data.PatientName, data.PatientID, data.PatientBirthDate = TELLING["PatientName"], TELLING["PatientID"], BIRTH
    data.StructureSetLabel, data.StructureSetName, data.ReviewerName = "Mustermann", "Erika Becken", "Ratched^Mildred"
    data.StructureSetROISequence[0].ROIName = "GTV Mustermann"
    del data.PatientIdentityRemoved
    data.save_as(file)


@pytest.fixture(scope="module")
def patient(tmp_path_factory) -> Path:
    """A case of a phantom whose files say that it is Erika Mustermann; so does its case.yaml."""
    folder = tmp_path_factory.mktemp("mustermann") / "case_mustermann"
    write("femur", folder, dicom=True, spacing_mm=4.0)
    (folder / "ct").rename(folder / "mustermann_ct")
    tell(folder / "mustermann_ct")
    (folder / "labels.nii.gz").rename(folder / "Erika_Mustermann_labels.nii.gz")
    (folder / "mustermann_ct" / "Brief Mustermann.txt").write_text("Sehr geehrte Frau Mustermann", encoding="utf-8")
    tell_rtstruct(folder / "mustermann_ct" / f"RS.{ROOT}.9", load(folder), folder / "mustermann_ct")
    shutil.copy(folder / "mustermann_ct" / f"RS.{ROOT}.9", folder / "Outlines Mustermann.dcm")
    tree = yaml.safe_load((folder / "case.yaml").read_text(encoding="utf-8"))
    tree["patient"] = "Mustermann^Erika"
    tree["studies"][0] |= {"file": "mustermann_ct", "series": f"{ROOT}.2"}
    tree["labels"][0]["file"] = "Erika_Mustermann_labels.nii.gz"
    tree["labels"].append({"file": "Outlines Mustermann.dcm"})
    tree["stamps"] = [*tree["stamps"], f"Frau MUSTERMANN, *29.02.1950, {ROOT}.1"]
    tree["timeline"] = [{"date": "2024-11-05", "treatment": "surgery", "site": "lung", "details": {"by": "Dr. Gregory House"}}]
    text = yaml.safe_dump({"schema": tree.pop("schema"), **tree}, sort_keys=False, allow_unicode=True)
    (folder / "case.yaml").write_text(text, encoding="utf-8")
    return folder


def load(folder: Path):
    """Return the outline of its lesion."""
    volume = read_volume(folder / "lesion.nii.gz").canonical()
    return volume.with_array(volume.array > 0.5)


def run(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    """Run a command in this process."""
    monkeypatch.setattr(sys, "argv", ["osteon", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def raw(path: Path) -> list[bytes]:
    """Return what a file holds, packed or not."""
    data = path.read_bytes()
    parts = [path.name.encode(), data]
    if data[:2] == b"\x1f\x8b":
        parts.append(gzip.decompress(data))
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts += [archive.read(name) for name in archive.namelist()]
    return parts


def told(folder: Path, *also: str) -> set[tuple[str, str]]:
    """Return every word of the person, and every path of this machine, that a folder's files hold, byte by byte."""
    found = set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        for part in raw(path):
            for word in (*WORDS, *also):
                if any(form in part.lower() for form in (word.lower().encode(), word.lower().encode("utf-16-le"))):
                    found.add((path.name, word))
    return found


def places_of(folder: Path) -> tuple[str, ...]:
    return str(folder), str(Path.home()) + "/", str(Path(cli.__file__).parents[2])


def test_the_patient_is_full_of_it(patient):
    here = {word for _, word in told(patient)}
    assert {"mustermann", "erika", BIRTH, "0815-4711", "geheim", ROOT, "annegret"} <= here
    assert check_clean(patient / "mustermann_ct") != []


@pytest.fixture(scope="module")
def reported(patient, tmp_path_factory):
    """The report of that case, the case as it is afterwards, and what the command printed."""
    out = tmp_path_factory.mktemp("out") / "report"
    monkeypatch = pytest.MonkeyPatch()
    stdout, stderr = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(sys, "argv", ["osteon", "report", str(patient), "-o", str(out), "--spacing", "3", "--anyway", "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    monkeypatch.undo()
    assert not end.value.code, stderr.getvalue()
    return out, stdout.getvalue(), stderr.getvalue()


def test_a_report_tells_nothing(reported, patient):
    out, said, heard = reported
    names = {p.name for p in out.iterdir()}
    assert {"report.html", "journey.json"} <= names
    assert any(name.endswith("_temperature.nii.gz") for name in names)
    assert any(name.endswith(".mrk.json") for name in names)
    assert told(out, *places_of(patient)) == set()
    assert check_clean(out, known=[*WORDS, *places_of(patient)]) == []
    assert not [w for w in (*WORDS, *places_of(patient)) if w.lower() in said.lower()]
    assert not [w for w in WORDS if w.lower() in heard.lower()]
    assert "left out of: patient" in heard


def test_the_cache_tells_nothing(reported, patient):
    assert list((patient / ".osteon").rglob("*.npz"))
    assert told(patient / ".osteon", *places_of(patient)) == set()


@pytest.mark.parametrize("command", [("assess",), ("select",)])
def test_what_is_printed_as_json_tells_nothing(reported, patient, monkeypatch, capsys, command):
    code, said, heard = run(monkeypatch, capsys, *command, patient, "--json")
    assert code == 0
    assert json.loads(said)["schema"] == "osteon-journey/1"
    assert not [w for w in (*WORDS, *places_of(patient)) if w.lower() in (said + heard).lower()]


def test_what_is_taken_out_and_what_stays(patient):
    case, hidden = without_identity(load_case(patient))
    assert case.patient == "patient"
    assert set(hidden.places) == {"patient", "stamps", "timeline"}
    assert list(case.digests) == ["case.yaml", "study ct1", "labels 1", "labels 2", "body.nii.gz", "lesion.nii.gz"]
    assert case.stamps[0].startswith("PHANTOM femur")
    assert case.stamps[1] == "Frau …, *…, …"
    assert case.timeline[0].details == {"by": "Dr. … …"}
    assert str(case.studies[0].date) == "2025-03-03"  # a clinical fact
    assert "left out, no DICOM: study ct1, file 1" in case.studies[0].notes
    assert case.lesions[0].facts == load_case(patient).lesions[0].facts


def test_unless_asked(patient):
    from osteon import journey
    from osteon.report.journey_json import as_json

    kept = journey(patient, with_plans=False, keep_identity=True)
    assert kept.case.patient == "Mustermann^Erika"
    assert "mustermann_ct" in as_json(kept)["provenance"]["inputs"]
    assert kept.hidden.places == ()


def test_a_case_that_names_nobody_stays_as_it_is(tmp_path):
    case = load_case(write("femur", tmp_path, dicom=True, spacing_mm=4.0))
    clean, hidden = without_identity(case)
    assert hidden.places == ()
    assert (clean.patient, clean.stamps, clean.studies[0].notes) == (case.patient, case.stamps, case.studies[0].notes)
    assert list(clean.digests) == list(case.digests)


def test_names_of_outlines_are_numbers_outside_and_names_on_the_terminal(patient):
    from dataclasses import replace

    asked = OutlineQuestion("rs.dcm", "GTV Mustermann", "What is 'GTV Mustermann'?", ("lesion",))
    lung = OutlineQuestion("rs.dcm", "lung", "Which side is 'lung'?", ("lung_left", "lung_right"))
    case, hidden = without_identity(replace(load_case(patient), questions=(asked, lung), notes=("GTV Mustermann: 2 contours",)))
    assert [q.text for q in case.questions] == ["What is 'unmapped outline 1'?", "Which side is 'lung'?"]
    assert case.questions[0].choices == ("lesion",)
    assert case.notes == ("unmapped outline 1: 2 contours",)
    assert hidden.words == {"unmapped outline 1": "GTV Mustermann"}


def test_segment_and_its_picture_tell_nothing(patient, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "case_mustermann"
    shutil.copytree(patient, folder, ignore=shutil.ignore_patterns(".osteon"))
    before = set(folder.iterdir())
    mask = load(folder)
    seed = mask.grid.to_mm(np.argwhere(mask.array).mean(axis=0))
    place = ",".join(f"{v:.1f}" for v in seed)
    code, _, heard = run(monkeypatch, capsys, "segment", folder, f"--seed={place}", "--replace")
    assert code == 0, heard
    out = tmp_path / "written"
    out.mkdir()
    for file in set(folder.iterdir()) - before:
        shutil.copy(file, out)
    assert {p.name for p in out.iterdir()} == {"lesion_L1_grown.nii.gz", "lesion_L1_preview.svg"}
    assert told(out, *places_of(folder)) == set()
    assert check_clean(out, known=WORDS) == []


def test_implanting_into_a_patient_tells_nothing(patient, tmp_path, monkeypatch, capsys):
    labels = tmp_path / "masks"
    case = load_case(patient)
    from osteon.io.images import write_nifti

    bone = case.lesions[0].bone
    write_nifti(case.masks[bone], labels / f"{bone.id}.nii.gz")
    write_nifti(case.masks[bone], labels / "Mustermann tumour.nii.gz")
    centre = case.masks[bone].grid.to_mm(np.argwhere(case.masks[bone].array).mean(axis=0))
    inside = np.argwhere(case.masks[bone].array)
    nearest = case.masks[bone].grid.to_mm(inside)[np.linalg.norm(case.masks[bone].grid.to_mm(inside) - centre, axis=1).argmin()]
    words = ["--labels", labels, "--bone", bone.id, f"--center={','.join(f'{v:.1f}' for v in nearest)}"]
    code, _, heard = run(monkeypatch, capsys, "implant", patient / "mustermann_ct", "-o", tmp_path / "new", *words)
    assert code == 0, heard
    assert told(tmp_path / "new", *places_of(patient)) == set()


def test_meshes_say_only_their_frame(patient, tmp_path):
    shape = surface(load(patient))
    write_stl(shape, tmp_path / "a.stl")
    write_ply(shape, tmp_path / "a.ply")
    assert told(tmp_path, *places_of(patient)) == set()
    assert check_clean(tmp_path) == []


@pytest.fixture(scope="module")
def cleaned(patient, tmp_path_factory):
    """Its DICOM files, cleaned by the command."""
    out = tmp_path_factory.mktemp("cleaned") / "dicom"
    monkeypatch = pytest.MonkeyPatch()
    words = ["osteon", "deidentify", str(patient / "mustermann_ct"), "-o", str(out), "--case", str(patient), "--json"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        cli.main()
    monkeypatch.undo()
    assert not end.value.code
    return out


def test_cleaned_dicom_tells_nothing_and_still_holds_together(cleaned, patient):
    from osteon.io.dicom_objects import image_uids
    from osteon.io.images import read
    from osteon.io.rtstruct import read_rtstruct

    assert told(cleaned, "20250303", *places_of(patient)) == set()
    assert check_clean(cleaned, known=WORDS) == []
    before, after = read(patient / "mustermann_ct"), read(cleaned)
    assert np.array_equal(before.volume.array, after.volume.array)
    assert np.allclose(before.volume.grid.matrix, after.volume.grid.matrix)
    assert after.date is None
    (file,) = cleaned.glob("RTSTRUCT_*")
    found = read_rtstruct(file, after.volume, image_uids(cleaned))
    assert found.matched_by == "instance"
    assert list(found.structures) == ["structure 1"]


def test_an_outline_written_with_the_case_s_secret_fits_the_cleaned_images(cleaned, patient, tmp_path):
    from osteon.io.dicom_objects import image_uids
    from osteon.io.dicom_write import salt_of
    from osteon.io.images import read
    from osteon.io.rtstruct import read_rtstruct
    from osteon.io.seg import read_seg
    from osteon.io.seg_write import write_seg

    uids = image_uids(patient / "mustermann_ct")
    salt = salt_of(patient)
    masks = {structure("lesion"): load(patient)}
    rtstruct = write_rtstruct(tmp_path / "rs.dcm", masks, references=uids, salt=salt)
    seg = write_seg(tmp_path / "seg.dcm", masks, references=uids, salt=salt)
    assert told(tmp_path) == set()
    assert check_clean(tmp_path, known=WORDS) == []
    assert read_rtstruct(rtstruct, read(cleaned).volume, image_uids(cleaned)).matched_by == "instance"
    assert not [note for note in read_seg(seg, image_uids(cleaned)).notes if "image references" in note]


@pytest.mark.parametrize("given", [{"patient": "Mustermann^Erika"}, {"label": "CT Mustermann^Erika"}, {"patient": f"{ROOT}.1"}])
@pytest.mark.parametrize("kind", ["series", "rtstruct", "seg"])
def test_dicom_under_a_name_is_refused_unless_asked(tmp_path, patient, kind, given):
    from osteon.errors import InputError
    from osteon.io.images import write_series
    from osteon.io.seg_write import write_seg

    mask = load(patient)

    def export(keep=()):
        if kind == "series":
            words = {"description" if k == "label" else k: v for k, v in given.items()}
            return write_series(mask.with_array(mask.array.astype(np.float32)), tmp_path / "ct", keep=keep, **words)
        door = write_rtstruct if kind == "rtstruct" else write_seg
        return door(tmp_path / "x.dcm", {structure("lesion"): mask}, keep=keep, **given)

    with pytest.raises(InputError, match=r"name|text|uid") as refused:
        export()
    assert "Mustermann" not in str(refused.value)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    export(keep=("PatientName", "PatientID", "SeriesDescription", "StructureSetLabel"))
    assert [p for p in tmp_path.rglob("*") if p.is_file()]


def test_check_private(reported, cleaned, patient, tmp_path, monkeypatch, capsys):
    code, said, heard = run(monkeypatch, capsys, "check-private", reported[0], "--case", patient)
    assert (code, said) == (0, "")
    assert "Nothing was found" in heard
    assert run(monkeypatch, capsys, "check-private", cleaned, "--case", patient)[0] == 0
    code, said, _ = run(monkeypatch, capsys, "check-private", patient, "--case", patient, "--json")
    tree = json.loads(said)
    assert code == 1
    assert not tree["clean"]
    assert {"name", "birth_date", "uid", "text", "private", "known", "date"} <= {f["kind"] for f in tree["findings"]}
    assert any(f["where"] == ".osteon/salt" for f in tree["findings"])
    assert not re.search("mustermann|erika|0815-4711|nirgendwo", said, re.IGNORECASE)  # findings do not repeat what they found
    code, said, _ = run(monkeypatch, capsys, "check-private", patient / "case.yaml")
    assert code == 1
    assert said.splitlines()[0].split()[:2] == ["kind", "where"]
    assert run(monkeypatch, capsys, "check-private", tmp_path / "nowhere")[0] == 3


def test_identity_of_a_header_that_holds_a_pseudonym(tmp_path):
    write("femur", tmp_path, dicom=True, spacing_mm=4.0)
    found = identity_of([tmp_path / "ct"])
    assert found.names == frozenset()
    assert all(n.startswith("2.25.") for n in found.numbers)


def test_every_kind_of_file_is_looked_into(tmp_path):
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    from osteon.report.svg import png

    plain = png(np.zeros((4, 4), np.uint8))
    named = plain[:33] + chunk(b"tEXt", b"Author\0Mustermann") + plain[33:]
    import base64

    (tmp_path / "a.html").write_text(f'<img src="data:image/png;base64,{base64.b64encode(named).decode()}">', encoding="utf-8")
    (tmp_path / "b.html").write_text(f'<img src="data:image/png;base64,{base64.b64encode(plain).decode()}">', encoding="utf-8")
    (tmp_path / "c.stl").write_bytes(b"solid Mustermann".ljust(84, b"\0"))
    (tmp_path / "d.npz").write_bytes(b"PK but damaged")
    (tmp_path / "e.bin").write_bytes(b"..Mustermann..")
    (tmp_path / "f.nii").write_bytes(b"no image")
    found = {(f.where.split(",")[0], f.kind) for f in check_clean(tmp_path, known=["Mustermann"])}
    expected = {("a.html", "text"), ("c.stl", "known"), ("d.npz", "unchecked"), ("e.bin", "known"), ("e.bin", "unchecked")}
    assert found == expected | {("f.nii", "unchecked")}


def test_midnight_is_no_time():
    data = Dataset()
    data.ContentDate, data.ContentTime = "19000101", "000000.000"
    assert check_clean(data) == []
    data.ContentTime = "000100"
    assert [f.kind for f in check_clean(data)] == ["date"]


def test_seg_without_a_day_is_clean(tmp_path, patient):
    from osteon.io.seg_write import write_seg

    for kind in ("BINARY", "LABELMAP"):
        assert check_clean(write_seg(tmp_path / kind, {structure("lesion"): load(patient)}, kind=kind)) == []


def test_labels_and_agents_that_somebody_typed_are_replaced():
    from osteon.io.deidentify import clean

    data = Dataset()
    data.StructureSetLabel, data.ContentLabel, data.ContrastBolusAgent = "Mustermann", "ERIKA", "80 ml for Erika"
    inner = Dataset()
    inner.ContrastBolusAgent = "NONE"
    data.ReferencedImageSequence = Sequence([inner])
    assert [f.kind for f in check_clean(data)] == ["text"] * 3
    out = clean(data, salt=b"s" * 32)
    assert (out.StructureSetLabel, out.ContentLabel, out.ContrastBolusAgent) == ("OUTLINES", "OUTLINES", "AGENT")
    assert out.ReferencedImageSequence[0].ContrastBolusAgent == "NONE"
    assert check_clean(out) == []


def test_a_description_is_not_quoted(patient, tmp_path):
    from osteon.io.images import read

    for file in sorted((patient / "mustermann_ct").glob("CT.*")):
        data = pydicom.dcmread(file)
        data.SeriesDescription = "Becken venous Mustermann"
        (tmp_path / "ct").mkdir(exist_ok=True)
        data.save_as(tmp_path / "ct" / file.name)
    assert "contrast agent by the series description only ('venous')" in read(tmp_path / "ct").notes


@pytest.mark.real
def test_real_pelvis_dicom_uids_do_not_reach_the_page(real, tmp_path):
    """Trap: its files carry UIDs in their names, and the original frame of reference."""
    from osteon import journey
    from osteon.case.new import new_case
    from osteon.io.deidentify import scan_text
    from osteon.report.html import render
    from osteon.report.journey_json import as_json

    image = real("pelvis_ct") / "example_ct_dicom"
    new_case(tmp_path, image)
    found = journey(tmp_path, with_plans=False)
    words = identity_of([image]).known
    assert any(word.startswith("1.3.12.") for word in words)
    for text in (json.dumps(as_json(found), ensure_ascii=False), render(found)):
        assert (
            scan_text(re.sub(r"base64,[^\"]+", "", text), known=[*words, *(p.name for p in image.iterdir()), str(tmp_path)]) == []
        )
    assert list(found.case.digests) == ["case.yaml", "study image1"]


def test_header_names_in_any_spelling(tmp_path, patient):
    file = next((patient / "mustermann_ct").glob("CT.*"))
    data = pydicom.dcmread(file)
    data.SpecificCharacterSet, data.PatientName = "ISO_IR 192", "Müller-Öz^Ann Li=..."
    data.save_as(tmp_path / "x")
    found = identity_of([tmp_path])
    assert {"Müller", "Ann"} <= found.names
    assert not {"Öz", "Li"} & found.names  # too short to be looked for
    washed = found.wash("MUELLER muller Müller's ANN; ann may plan, Muellerian, 1950-02-29")
    assert washed == "… … …'s …; ann may plan, Muellerian, …"
