"""Bad inputs of every kind: how each is made, what it must raise, and what its message must name.

The table serves the test beside it and ``scripts/bad_inputs.py``, which writes ``docs/bad-inputs.md`` from what is really said.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml

from osteon.errors import CaseFileError, ImageError, InputError, MissingError, OsteonError, SettingError, UnitError
from osteon.io import images
from osteon.space.volume import Volume

Tree = dict[str, Any]


@cache
def base(kind: str) -> Path:
    """Return the good case that rows are spoiled copies of: a femur at 4 mm, as NIfTI or as DICOM; made once per process."""
    import atexit

    from osteon.case.phantom import write

    folder = Path(tempfile.mkdtemp(prefix="osteon-good-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write("femur", folder / kind, spacing_mm=4.0, dicom=kind == "dicom")
    return folder / kind


@dataclass
class Kit:
    """A fresh copy of the good case, and the ways to spoil it."""

    folder: Path
    kind: str = "nifti"

    @property
    def file(self) -> Path:
        return self.folder / "case.yaml"

    def copy(self) -> Kit:
        shutil.copytree(base(self.kind), self.folder)
        return self

    def text(self, old: str, new: str) -> None:
        before = self.file.read_text(encoding="utf-8")
        assert old in before, old
        self.file.write_text(before.replace(old, new, 1), encoding="utf-8")

    def edit(self, change: Callable[[Tree], object]) -> None:
        tree = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        change(tree)
        self.file.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def volume(self, name: str) -> Volume:
        return images.read(self.folder / name).volume

    def rewrite(self, name: str, change: Callable[[np.ndarray], np.ndarray], dtype: Any = np.float32) -> None:
        volume = self.volume(name)
        images.write_nifti(volume.with_array(change(volume.array.copy())), self.folder / name, dtype=dtype)

    def shift(self, name: str, by_mm: tuple[float, float, float]) -> None:
        volume = self.volume(name)
        affine = volume.grid.matrix
        affine[:3, 3] += by_mm
        images.write_nifti(Volume.of(volume.array, affine), self.folder / name, dtype=np.uint8)

    def nifti(self, name: str, change: Callable[[Any], Any]) -> None:
        """Rewrite a file through nibabel: ``change`` gets the image and returns another, or None where it edited it."""
        import nibabel as nib

        image = nib.load(self.folder / name)
        image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
        (self.folder / name).write_bytes(_gz((change(image) or image).to_bytes()))

    def header(self, name: str, change: Callable[[bytearray], object]) -> None:
        """Edit the raw header bytes of a compressed NIfTI file."""
        import gzip

        data = bytearray(gzip.decompress((self.folder / name).read_bytes()))
        change(data)
        (self.folder / name).write_bytes(_gz(bytes(data)))

    def slices(self) -> list[Path]:
        return sorted((self.folder / "ct").iterdir())

    def dicom(self, change: Callable[[Any, int], object], only: int | None = None) -> None:
        """Edit the headers of every slice, or of one."""
        import pydicom

        for index, path in enumerate(self.slices()):
            if only is None or index == only:
                data = pydicom.dcmread(path)
                change(data, index)
                data.save_as(path)


def _gz(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data, compresslevel=1, mtime=0)


@dataclass(frozen=True)
class Bad:
    """One kind of bad input.

    ``make`` spoils the kit and may return the arguments of the command line (default: ``assess CASE``), or a function to call.
    ``raises`` is None for what the command line itself refuses.
    """

    name: str
    group: str
    raises: type[OsteonError] | None
    tells: tuple[str, ...]
    make: Callable[[Kit], list[str] | Callable[[], object] | None]
    kind: str = "nifti"
    patch: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext

    @property
    def exit_code(self) -> int:
        return 2 if self.raises is None else self.raises.exit_code


@dataclass(frozen=True)
class Said:
    """What came of a row."""

    error: BaseException | None
    code: int
    what: str
    why: str
    do: str
    out: str


def run(bad: Bad, parent: Path) -> Said:
    """Spoil a copy of the good case in ``parent`` and give it to osteon's own ``main``; paths are told as CASE."""
    import osteon.cli as cli

    kit = Kit(parent / "case", bad.kind).copy()
    before = list(sys.argv)
    made = bad.make(kit)
    caught: list[BaseException] = []

    def watched(*args: Any, **kwargs: Any) -> Any:
        try:
            return made() if callable(made) else app(*args, **kwargs)
        except BaseException as error:
            caught.append(error)
            raise

    app = cli.app
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["osteon", *(made if isinstance(made, list) else ["assess", str(kit.folder), "--quiet"])]
    try:
        with (
            mock.patch.object(cli, "app", watched),
            bad.patch(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            cli.main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    finally:
        sys.argv = before
    return _parted(caught, code, err.getvalue(), out.getvalue(), parent)


def _parted(caught: list[BaseException], code: int, text: str, out: str, parent: Path) -> Said:
    """Take the three printed parts apart."""
    text = text.replace(str(parent / "case"), "CASE").replace(str(parent), "PARENT")
    text = re.sub(r"2\.25\.\d+", "2.25.…", re.sub(r"sha256 [0-9a-f]{12}", "sha256 …", text))  # the phantom's bytes may change
    head, _, rest = text.partition("\n  why it matters: ")
    why, _, do = rest.partition("\n  what to do:     ")
    return Said(caught[0] if caught else None, code, head.removeprefix("osteon: ").strip(), why.strip(), do.strip(), out)


# --- ways to spoil


def set_(place: str, value: Any) -> Callable[[Kit], None]:
    """Set one entry of case.yaml; the place is written with dots."""

    def change(tree: Tree) -> None:
        *parents, last = place.split(".")
        here: Any = tree
        for part in parents:
            here = here[int(part)] if part.isdigit() else here.setdefault(part, {})
        here[last] = value

    return lambda kit: kit.edit(change)


def swap(old: str, new: str) -> Callable[[Kit], None]:
    return lambda kit: kit.text(old, new)


def whole(data: bytes) -> Callable[[Kit], None]:
    def make(kit: Kit) -> None:
        kit.file.write_bytes(data)

    return make


def file(name: str, data: bytes) -> Callable[[Kit], None]:
    def make(kit: Kit) -> None:
        (kit.folder / name).write_bytes(data)

    return make


def cut(name: str, keep: float) -> Callable[[Kit], None]:
    def make(kit: Kit) -> None:
        path = kit.folder / name
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])

    return make


def named_piece(name: str) -> Callable[[Kit], list[str]]:
    """Return a way to outline bones by threshold with one name."""
    return argv("outline", "CASE", "--bones", "--name", name)


def bones_before(k: Kit) -> list[str]:
    """A case that names its pieces of bone already."""
    shutil.copy(k.folder / "labels.nii.gz", k.folder / "bones_found.nii.gz")
    set_("labels.0.file", "bones_found.nii.gz")(k)
    return ["outline", str(k.folder), "--bones", "--name", "bone_1=femur_right"]


def no_ct(k: Kit) -> list[str]:
    """A case with a chart and nothing else."""

    def strip(tree: Tree) -> None:
        tree["studies"], tree["labels"], tree["structures"] = [], [], {}
        tree["lesions"][0].pop("outline")

    k.edit(strip)
    return ["outline", str(k.folder), "--bones"]


def argv(*words: str) -> Callable[[Kit], list[str]]:
    return lambda kit: [w.replace("CASE", str(kit.folder)) for w in words]


def header_int16(offset: int, value: int) -> Callable[[Kit], None]:
    return lambda kit: kit.header("ct.nii.gz", lambda d: d.__setitem__(slice(offset, offset + 2), value.to_bytes(2, "little")))


def affine(change: Callable[[np.ndarray], object], name: str = "ct.nii.gz") -> Callable[[Kit], None]:
    def edit(image: Any) -> Any:
        matrix = np.array(image.affine, float)
        change(matrix)
        image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = matrix[:3]
        image.header["sform_code"], image.header["qform_code"] = 1, 0
        return _raw(image)

    return lambda kit: kit.nifti(name, edit)


class _raw:
    """An image whose bytes are header and data as they are; nibabel would set the affine again."""

    def __init__(self, image: Any) -> None:
        self.image = image

    def to_bytes(self) -> bytes:
        header = self.image.header.copy()
        header["vox_offset"], header["magic"] = 352, b"n+1"
        return bytes(header.binaryblock) + b"\0" * 4 + np.asarray(self.image.dataobj).tobytes(order="F")


def with_shape(shape: tuple[int, ...]) -> Callable[[Kit], None]:
    def make(kit: Kit) -> None:
        import nibabel as nib

        image = nib.Nifti1Image(np.zeros(shape, np.int16), np.diag([4.0, 4, 4, 1]))
        (kit.folder / "ct.nii.gz").write_bytes(_gz(image.to_bytes()))

    return make


def gigantic(kit: Kit) -> None:
    """A NIfTI-2 header that claims 100000 x 100000 x 100000 voxels, and no data."""
    import nibabel as nib

    image = nib.Nifti2Image(np.zeros((2, 2, 2), np.int16), np.diag([1.0, 1, 1, 1]))
    data = bytearray(image.to_bytes())
    data[24:48] = b"".join(n.to_bytes(8, "little") for n in (100000, 100000, 100000))
    (kit.folder / "ct.nii.gz").write_bytes(_gz(bytes(data)))


def disagreeing(kit: Kit) -> None:
    def change(image: Any) -> Any:
        there = np.array(image.affine)
        image.set_qform(there, 1)
        there[0, 3] += 50
        image.set_sform(there, 1)
        return _raw(image)

    kit.nifti("ct.nii.gz", change)


def placeless(image: Any) -> Any:
    image.header["sform_code"] = image.header["qform_code"] = 0
    return _raw(image)


def loop(name: str) -> Callable[[Kit], None]:
    def make(kit: Kit) -> None:
        path = kit.folder / name
        path.unlink()
        path.symlink_to(path)

    return make


def folder_instead(name: str) -> Callable[[Kit], None]:
    def make(kit: Kit) -> None:
        (kit.folder / name).unlink()
        (kit.folder / name).mkdir()

    return make


def bomb() -> bytes:
    """Nine levels of nine aliases: 387 million entries from 500 bytes."""
    rows = ["schema: osteon-case/1", "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    return "\n".join(rows).encode()


def full() -> contextlib.AbstractContextManager[Any]:
    """A disk on which nothing more can be put."""
    return mock.patch("os.fsync", side_effect=OSError(28, os.strerror(28)))


def read_only() -> contextlib.AbstractContextManager[Any]:
    return mock.patch("tempfile.mkstemp", side_effect=OSError(30, os.strerror(30)))


def setting(device: str, power: float, time: float, needles: int = 1) -> Callable[[Kit], Callable[[], object]]:
    def call() -> object:
        from osteon.treatments.base import NeedlePose, Setting
        from osteon.treatments.catalog import treatment

        pose = NeedlePose((0.0, 0.0, 0.0), (0.0, 0.0, 60.0))
        asked = Setting(
            device or next(iter(treatment("microwave").devices)), (pose,) * needles, (("power_w", power), ("time_s", time))
        )
        return treatment("microwave").check(asked)  # type: ignore[attr-defined]

    return lambda kit: call


def names_of(field: str, value: Any) -> Callable[[Kit], None]:
    return lambda kit: kit.dicom(lambda data, _: setattr(data, field, value))


def second_series(kit: Kit) -> None:
    import pydicom

    for path in kit.slices():
        data = pydicom.dcmread(path)
        data.SeriesInstanceUID += ".9"
        data.SOPInstanceUID += ".9"
        data.SeriesDescription = "lung window"
        data.save_as(path.with_name(f"B{path.name}"))


def raw_tag(name: str, value: str) -> Callable[[Kit], None]:
    """Write a text into a numeric tag, as a broken exporter does."""

    def change(data: Any, _: int) -> None:
        from pydicom.datadict import tag_for_keyword
        from pydicom.dataelem import RawDataElement
        from pydicom.tag import Tag

        tag = Tag(tag_for_keyword(name))
        padded = value.encode() + b" " * (len(value) % 2)
        data._dict[tag] = RawDataElement(tag, "DS", len(padded), padded, 0, False, True)

    return lambda kit: kit.dicom(change, only=3)


def dicom_tilt(data: Any, index: int) -> None:
    place = [float(v) for v in data.ImagePositionPatient]
    data.ImagePositionPatient = [place[0] + 25.0 * (index % 2), place[1], place[2]]


def drawn(kind: str, spoil: Callable[[Kit, Path], object], moved_mm: float = 0.0) -> Callable[[Kit], Callable[[], object]]:
    """Write the lesion as an RTSTRUCT or SEG, spoil the file, and read it onto the CT (moved where asked)."""

    def make(kit: Kit) -> Callable[[], object]:
        from osteon.io.rtstruct import read_rtstruct
        from osteon.io.rtstruct_write import write_rtstruct
        from osteon.io.seg import read_seg
        from osteon.io.seg_write import write_seg

        mask = kit.volume("lesion.nii.gz")
        mask = mask.with_array(mask.array > 0)
        path = kit.folder / "object.dcm"
        (write_rtstruct if kind == "RTSTRUCT" else write_seg)(path, {"L1": mask})
        spoil(kit, path)
        affine = mask.grid.matrix
        affine[2, 3] += moved_mm
        image = Volume.of(kit.volume("lesion.nii.gz").array, affine)
        return (lambda: read_rtstruct(path, image)) if kind == "RTSTRUCT" else (lambda: read_seg(path))

    return make


def outlined_in(kind: str, place: str, value: Any) -> Callable[[Kit], None]:
    """Write the lesion as the region L1 of an RTSTRUCT or SEG, and set one entry of case.yaml."""

    def make(kit: Kit) -> None:
        drawn(kind, lambda *_: None)(kit)
        set_(place, value)(kit)

    return make


def _halved(kit: Kit, path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _letter(kit: Kit, path: Path) -> None:
    path.write_bytes(b"Dear colleague")


def _gone(kit: Kit, path: Path) -> None:
    path.unlink()


def _other_kind(kind: str) -> Callable[[Kit, Path], None]:
    def spoil(kit: Kit, path: Path) -> None:
        drawn(kind, lambda *_: None)(kit)

    return spoil


def _without(*names: str) -> Callable[[Kit, Path], None]:
    def spoil(kit: Kit, path: Path) -> None:
        import pydicom

        data = pydicom.dcmread(path)
        for name in names:
            delattr(data, name)
        data.save_as(path)

    return spoil


FILE = "case.yaml as a file"
FORM = "case.yaml: its form"
CHART = "the chart: values, units, dates, sides"
DRAWN = "outlines and places"
NIFTI = "NIfTI images and masks"
DICOM = "DICOM folders"
OBJECT = "RTSTRUCT and SEG"
COMMAND = "the command line and device settings"
DISK = "the place to write to"
POLY = [[-60.0, 40.0, z] for z in (-40.0, 0.0, 40.0)]

TABLE: tuple[Bad, ...] = (
    # --- case.yaml as a file
    Bad("no case.yaml in the folder", FILE, InputError, ("no case.yaml", "CASE"), lambda k: k.file.unlink()),
    Bad("a folder that does not exist", FILE, InputError, ("no case.yaml", "nowhere"), argv("assess", "CASE/nowhere")),
    Bad("case.yaml with zero bytes", FILE, CaseFileError, ("case.yaml is empty",), whole(b"")),
    Bad("case.yaml of comments only", FILE, CaseFileError, ("is empty",), whole(b"# nothing yet\n")),
    Bad("a directory named case.yaml", FILE, InputError, ("no case.yaml",), folder_instead("case.yaml")),
    Bad("case.yaml is a link to itself", FILE, InputError, ("no case.yaml",), loop("case.yaml")),
    Bad(
        "case.yaml in Latin-1",
        FILE,
        CaseFileError,
        ("case.yaml:2", "0xfc", "not UTF-8"),
        whole(b"schema: osteon-case/1\npatient: M\xfcller\n"),
    ),
    Bad(
        "case.yaml in UTF-16",
        FILE,
        CaseFileError,
        ("case.yaml:1", "not UTF-8"),
        whole("schema: osteon-case/1\n".encode("utf-16")),
    ),
    Bad(
        "case.yaml with a zero byte",
        FILE,
        CaseFileError,
        ("case.yaml", "not YAML"),
        whole(b"schema: osteon-case/1\npatient: a\0b\n"),
    ),
    Bad(
        "case.yaml of 3 MB", FILE, CaseFileError, ("3,000,0", "1,000,000"), whole(b"schema: osteon-case/1\n" + b"# x\n" * 750000)
    ),
    Bad("an image named case.yaml", FILE, CaseFileError, ("case.yaml:1", "not UTF-8"), whole(b"\x89PNG\r\n\x1a\n\0\0")),
    # --- its form
    Bad("a tab as indentation", FORM, CaseFileError, ("case.yaml:", "not YAML", "\\t"), swap("  - id: ct1", "\t- id: ct1")),
    Bad(
        "a bracket that is not closed",
        FORM,
        CaseFileError,
        ("case.yaml:", "not YAML"),
        swap("absent: [table,", "absent: [[table,"),
    ),
    Bad(
        "a key twice",
        FORM,
        CaseFileError,
        ("case.yaml:", "'patient' stands here again"),
        swap("date: 2025", "patient: other\ndate: 2025"),
    ),
    Bad("aliases that multiply (YAML bomb)", FORM, CaseFileError, ("case.yaml:", "more than 100,000 entries"), whole(bomb())),
    Bad(
        "an alias that holds itself",
        FORM,
        CaseFileError,
        ("case.yaml:", "levels"),
        whole(b"schema: osteon-case/1\nlesions: &a [*a]\n"),
    ),
    Bad(
        "2,000 nested lists",
        FORM,
        CaseFileError,
        ("case.yaml:", "levels"),
        whole(b"schema: osteon-case/1\nlesions: " + b"[" * 2000 + b"]" * 2000),
    ),
    Bad(
        "a tag that would run code",
        FORM,
        CaseFileError,
        ("case.yaml:2", "not YAML"),
        whole(b"schema: osteon-case/1\npatient: !!python/object/apply:os.system [ls]\n"),
    ),
    Bad(
        "two CT that both are the planning CT",
        FORM,
        CaseFileError,
        ("case.yaml", "ct1, ct2 have `planning: true`"),
        lambda k: k.edit(
            lambda tree: (
                tree["studies"][0].update(planning=True),
                tree["studies"].append({"id": "ct2", "modality": "CT", "file": "ct.nii.gz", "planning": True}),
            )
        ),
    ),
    Bad(
        "an MR chosen as planning CT",
        FORM,
        CaseFileError,
        ("case.yaml", "needs a CT that is at hand", "'mr1' is MR"),
        lambda k: k.edit(
            lambda tree: tree["studies"].append({"id": "mr1", "modality": "MR", "file": "ct.nii.gz", "planning": True})
        ),
    ),
    Bad(
        "two studies with one id",
        FORM,
        CaseFileError,
        ("case.yaml", "two entries have the study id 'ct1'"),
        lambda k: k.edit(lambda tree: tree["studies"].append(dict(tree["studies"][0]))),
    ),
    Bad("two documents in one file", FORM, CaseFileError, ("case.yaml:", "not YAML"), swap("studies:", "---\nstudies:")),
    Bad(
        "a list instead of a mapping",
        FORM,
        CaseFileError,
        ("case.yaml:1", "schema: osteon-case/1"),
        whole(b"- schema: osteon-case/1\n"),
    ),
    Bad("a schema of the future", FORM, CaseFileError, ("case.yaml:1", "osteon-case/9"), swap("osteon-case/1", "osteon-case/9")),
    Bad("an unknown key", FORM, CaseFileError, ("case.yaml:", "'age_yeers'", "age_years"), swap("  age_years:", "  age_yeers:")),
    Bad("a number as key", FORM, CaseFileError, ("case.yaml:", "7"), swap("studies:", "7: x\nstudies:")),
    Bad("no lesion", FORM, CaseFileError, ("case.yaml:", "lesions"), set_("lesions", [])),
    Bad(
        "two lesions with one id",
        FORM,
        CaseFileError,
        ("case.yaml:", "'L1'"),
        lambda k: k.edit(lambda t: t["lesions"].append(t["lesions"][0])),
    ),
    Bad("a lesion id with a slash", FORM, CaseFileError, ("case.yaml:", "../L1"), set_("lesions.0.id", "../L1")),
    # --- the chart
    Bad(
        "a date that is no day", CHART, CaseFileError, ("case.yaml:", "2025-13-45"), swap("date: 2025-03-10", "date: 2025-13-45")
    ),
    Bad(
        "a measurement dated after the chart",
        CHART,
        CaseFileError,
        ("case.yaml:", "inr", "2031-01-01", "2025-03-10"),
        swap("inr: {value: 1.0, date: 2025-03-05}", "inr: {value: 1.0, date: 2031-01-01}"),
    ),
    Bad(
        "an age of 630",
        CHART,
        CaseFileError,
        ("case.yaml:", "age_years", "630", "0 to 120"),
        swap("age_years: 63", "age_years: 630"),
    ),
    Bad("a survival in kilograms", CHART, UnitError, ("case.yaml:", "80 kg", "week"), swap("80 week", "80 kg")),
    Bad("a pain score with a unit", CHART, UnitError, ("case.yaml:", "7 mm"), set_("lesions.0.facts.pain_vas", "7 mm")),
    Bad("a number that is not finite", CHART, UnitError, ("case.yaml:", "inf"), swap("age_years: 63", "age_years: .inf")),
    Bad(
        "a number of 400 digits", CHART, UnitError, ("case.yaml:", "age_years"), swap("age_years: 63", "age_years: 1" + "0" * 400)
    ),
    Bad("a unit that would compute for ever", CHART, UnitError, ("case.yaml:", "9**9**9"), swap("80 week", "80 9**9**9")),
    Bad("true where a number belongs", CHART, UnitError, ("case.yaml:", "True"), swap("age_years: 63", "age_years: true")),
    Bad(
        "a choice that does not exist",
        CHART,
        CaseFileError,
        ("case.yaml:", "'femal'", "female, male, other"),
        swap("sex: female", "sex: femal"),
    ),
    Bad(
        "an interval upside down",
        CHART,
        CaseFileError,
        ("case.yaml:", "size_max_mm", "30", "20"),
        set_("lesions.0.facts.size_max_mm", {"min": 30, "max": 20}),
    ),
    Bad(
        "one of nothing", CHART, CaseFileError, ("case.yaml:", "size_max_mm"), set_("lesions.0.facts.size_max_mm", {"one_of": 5})
    ),
    Bad(
        "a value and an interval at once",
        CHART,
        CaseFileError,
        ("case.yaml:", "value, min"),
        set_("lesions.0.facts.size_max_mm", {"value": 1, "min": 1, "max": 2}),
    ),
    Bad(
        "a list of values without dates",
        CHART,
        CaseFileError,
        ("case.yaml:", "inr", "`date`"),
        set_("facts.inr", [{"value": 1}, {"value": 2}]),
    ),
    Bad(
        "a right femur on the left side",
        CHART,
        CaseFileError,
        ("case.yaml:", "femur_right", "left"),
        swap("    side: right", "    side: left"),
    ),
    Bad(
        "a vertebra at two levels",
        CHART,
        CaseFileError,
        ("case.yaml:", "vertebra_L3", "L4"),
        lambda k: k.edit(lambda t: t["lesions"][0].update(bone="vertebra_L3", level="L4", side="midline")),
    ),
    Bad("a bone that is no bone", CHART, CaseFileError, ("case.yaml:", "liver"), swap("bone: femur_right", "bone: liver")),
    Bad(
        "a bone that does not exist",
        CHART,
        CaseFileError,
        ("case.yaml:", "femur_rihgt", "femur_right"),
        swap("bone: femur_right", "bone: femur_rihgt"),
    ),
    Bad("a goal that does not exist", CHART, CaseFileError, ("case.yaml:", "hope"), swap("goal: palliation", "goal: hope")),
    Bad(
        "absent, and outlined",
        CHART,
        CaseFileError,
        ("case.yaml:", "absent", "femur"),
        lambda k: k.edit(lambda t: t["absent"].append("femur_right")),
    ),
    Bad(
        "table position against the header",
        CHART,
        CaseFileError,
        ("case.yaml:", "FFP", "HFS"),
        swap("patient_position: HFS", "patient_position: FFP"),
        "dicom",
    ),
    # --- outlines and places
    Bad(
        "a lesion outside the image",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "500", "outside the image"),
        set_("lesions.0.outline", {"sphere_mm": {"center": [500, 0, 0], "diameter": 20}}),
    ),
    Bad(
        "a lesion of 5 m",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "5 m"),
        set_("lesions.0.outline", {"sphere_mm": {"center": [0, 0, 0], "diameter": "5 m"}}),
    ),
    Bad(
        "a lesion of negative size",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "-20"),
        set_("lesions.0.outline", {"sphere_mm": {"center": [0, 0, 0], "diameter": -20}}),
    ),
    Bad(
        "a place that is not a number",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "center", "nan"),
        set_("lesions.0.outline", {"sphere_mm": {"center": [float("nan"), 0, 0], "diameter": 20}}),
    ),
    Bad(
        "a nerve line outside the image",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "900", "outside the image"),
        set_("structures.obturator_nerve_left", {"polyline_mm": [[900, 0, 0], [900, 0, 50]], "radius": 4}),
    ),
    Bad(
        "a nerve line of one point",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "polyline_mm"),
        set_("structures.sciatic_nerve_right", {"polyline_mm": POLY[:1], "radius": 4}),
    ),
    Bad(
        "a nerve line without radius",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "radius"),
        set_("structures.sciatic_nerve_right", {"polyline_mm": POLY}),
    ),
    Bad(
        "a nerve line of 6,000 points",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "polyline_mm", "5000"),
        set_("structures.sciatic_nerve_right", {"polyline_mm": POLY * 2000, "radius": 4}),
    ),
    Bad(
        "an outline of two shapes",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "exactly one"),
        set_("lesions.0.outline", {"file": "lesion.nii.gz", "sphere_mm": {"center": [0, 0, 0], "diameter": 20}}),
    ),
    Bad(
        "a structure that does not exist",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "sciatic_nerf_right", "sciatic_nerve_right"),
        set_("structures.sciatic_nerf_right", {"polyline_mm": POLY, "radius": 4}),
    ),
    Bad("outlines without an image", DRAWN, CaseFileError, ("case.yaml:", "no image"), set_("studies", [])),
    Bad(
        "a mask with nothing in it",
        DRAWN,
        ImageError,
        ("case.yaml:", "lesion.nii.gz", "empty"),
        lambda k: k.rewrite("lesion.nii.gz", np.zeros_like),
    ),
    Bad(
        "a mask of not-a-numbers",
        DRAWN,
        ImageError,
        ("case.yaml:", "lesion.nii.gz", "empty"),
        lambda k: k.rewrite("lesion.nii.gz", lambda a: a.astype(np.float32) * np.nan),
    ),
    Bad(
        "a mask of another patient (no overlap)",
        DRAWN,
        ImageError,
        ("lesion.nii.gz", "do not meet"),
        lambda k: k.shift("lesion.nii.gz", (0, 0, 900)),
    ),
    Bad(
        "labels that were interpolated",
        DRAWN,
        ImageError,
        ("labels.nii.gz", "not whole"),
        lambda k: k.rewrite("labels.nii.gz", lambda a: a + np.float32(0.5)),
    ),
    Bad(
        "labels with not-a-numbers",
        DRAWN,
        ImageError,
        ("labels.nii.gz", "not whole", "nan"),
        lambda k: k.rewrite("labels.nii.gz", lambda a: np.where(a > 0, np.nan, a)),
    ),
    Bad(
        "a label that nobody drew",
        DRAWN,
        ImageError,
        ("case.yaml:", "labels.nii.gz", "empty"),
        set_("lesions.0.outline", {"file": "labels.nii.gz", "label": 99}),
    ),
    Bad(
        "a label named as no structure",
        DRAWN,
        CaseFileError,
        ("case.yaml:", "thigh"),
        lambda k: k.edit(lambda t: t["labels"][0]["names"].update({1: "thigh"})),
    ),
    # --- NIfTI
    Bad("an image that is not there", NIFTI, MissingError, ("case.yaml:", "nope.nii.gz"), set_("studies.0.file", "nope.nii.gz")),
    Bad(
        "an absolute path",
        NIFTI,
        CaseFileError,
        ("case.yaml:", "/data/ct.nii.gz", "absolute"),
        set_("studies.0.file", "/data/ct.nii.gz"),
    ),
    Bad("an image with zero bytes", NIFTI, ImageError, ("ct.nii.gz",), file("ct.nii.gz", b"")),
    Bad("an image cut short", NIFTI, ImageError, ("ct.nii.gz",), cut("ct.nii.gz", 0.6)),
    Bad("a text named .nii.gz", NIFTI, ImageError, ("ct.nii.gz",), file("ct.nii.gz", b"this is a letter, no image\n" * 20)),
    Bad(
        "a picture as the image",
        NIFTI,
        ImageError,
        ("ct.png",),
        lambda k: (file("ct.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 400)(k), set_("studies.0.file", "ct.png")(k))[1],
    ),
    Bad("a directory named ct.nii.gz", NIFTI, MissingError, ("ct.nii.gz",), folder_instead("ct.nii.gz")),
    Bad("an image that links to itself", NIFTI, MissingError, ("ct.nii.gz",), loop("ct.nii.gz")),
    Bad("a 2-D image", NIFTI, ImageError, ("ct.nii.gz", "(40, 40)"), with_shape((40, 40))),
    Bad("a 4-D image", NIFTI, ImageError, ("ct.nii.gz", "(10, 10, 10, 5)"), with_shape((10, 10, 10, 5))),
    Bad("a header that claims 100000³ voxels", NIFTI, ImageError, ("ct.nii.gz", "100000 x 100000 x 100000"), gigantic),
    Bad("a header that claims more than the file holds", NIFTI, ImageError, ("ct.nii.gz",), header_int16(42, 30000)),
    Bad("an unknown data type", NIFTI, ImageError, ("ct.nii.gz",), header_int16(70, 9999)),
    Bad(
        "an affine without inverse", NIFTI, ImageError, ("ct.nii.gz", "0"), affine(lambda m: m.__setitem__((slice(None), 1), 0.0))
    ),
    Bad(
        "an affine of not-a-numbers",
        NIFTI,
        ImageError,
        ("ct.nii.gz", "not numbers"),
        affine(lambda m: m.__setitem__((0, 0), np.nan)),
    ),
    Bad(
        "an affine with three axes askew",
        NIFTI,
        ImageError,
        ("ct.nii.gz", "right angles"),
        affine(lambda m: m.__setitem__((slice(0, 2), slice(1, 3)), 2.0)),
    ),
    Bad("voxels in metres", NIFTI, ImageError, ("ct.nii.gz", "0.004"), affine(lambda m: m.__imul__(0.001))),
    Bad("negative voxel size", NIFTI, ImageError, ("ct.nii.gz", "pixdim", "positive"), lambda k: k.nifti("ct.nii.gz", _negative)),
    Bad(
        "no place in the patient",
        NIFTI,
        ImageError,
        ("ct.nii.gz", "neither sform nor qform"),
        lambda k: k.nifti("ct.nii.gz", placeless),
    ),
    Bad("two places in the patient", NIFTI, ImageError, ("ct.nii.gz", "disagree"), disagreeing),
    Bad(
        "a CT of nothing but not-a-numbers",
        NIFTI,
        ImageError,
        ("ct.nii.gz", "used as CT"),
        lambda k: k.rewrite("ct.nii.gz", lambda a: a * np.nan),
    ),
    Bad(
        "an MR called CT",
        NIFTI,
        ImageError,
        ("ct.nii.gz", "no fat, no air"),
        lambda k: k.rewrite("ct.nii.gz", lambda a: np.abs(a) + 10),
    ),
    Bad(
        "a file that changed since its digest",
        NIFTI,
        CaseFileError,
        ("case.yaml:", "ct.nii.gz has changed", "000000000000"),
        set_("digests", {"ct.nii.gz": "0" * 64}),
    ),
    # --- DICOM
    Bad(
        "an empty folder",
        DICOM,
        MissingError,
        ("ct", "no DICOM image"),
        lambda k: [p.unlink() for p in k.slices()] and None,
        "dicom",
    ),
    Bad(
        "a folder of letters",
        DICOM,
        MissingError,
        ("ct", "no DICOM image"),
        lambda k: [p.write_text("letter") for p in k.slices()] and None,
        "dicom",
    ),
    Bad("a slice cut short", DICOM, ImageError, ("CT_0004.dcm",), lambda k: cut("ct/CT_0004.dcm", 0.5)(k), "dicom"),
    Bad("a slice missing", DICOM, ImageError, ("ct", "CT_0010.dcm", "CT_0012.dcm"), lambda k: k.slices()[10].unlink(), "dicom"),
    Bad("two series in one folder", DICOM, ImageError, ("ct", "lung window"), second_series, "dicom"),
    Bad("a series that is not there", DICOM, ImageError, ("ct", "bone window"), set_("studies.0.series", "bone window"), "dicom"),
    Bad("one slice", DICOM, ImageError, ("ct", "one slice"), lambda k: [p.unlink() for p in k.slices()[1:]] and None, "dicom"),
    Bad(
        "slices without a position",
        DICOM,
        ImageError,
        ("ImagePositionPatient",),
        lambda k: k.dicom(lambda d, _: d.__delattr__("ImagePositionPatient")),
        "dicom",
    ),
    Bad("slices shifted sideways", DICOM, ImageError, ("ct", "mm"), lambda k: k.dicom(dicom_tilt), "dicom"),
    Bad("a pixel size of zero", DICOM, ImageError, ("CT_0001.dcm", "PixelSpacing"), names_of("PixelSpacing", [0, 0]), "dicom"),
    Bad(
        "a position in words",
        DICOM,
        ImageError,
        ("CT_0004.dcm", "ImagePositionPatient"),
        raw_tag("ImagePositionPatient", "here\\there\\x"),
        "dicom",
    ),
    Bad(
        "row and column along one direction",
        DICOM,
        ImageError,
        ("CT_0001.dcm", "ImageOrientationPatient"),
        names_of("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
        "dicom",
    ),
    Bad(
        "headers that claim 60000 x 60000 pixels",
        DICOM,
        ImageError,
        ("60000",),
        lambda k: k.dicom(lambda d, _: (setattr(d, "Rows", 60000), setattr(d, "Columns", 60000))),
        "dicom",
    ),
    Bad("an MR folder called CT", DICOM, CaseFileError, ("case.yaml:", "MR", "CT"), names_of("Modality", "MR"), "dicom"),
    Bad("a film", DICOM, ImageError, ("ct",), names_of("Modality", "DX"), "dicom"),
    # --- RTSTRUCT and SEG
    Bad("an RTSTRUCT that is not there", OBJECT, MissingError, ("object.dcm",), drawn("RTSTRUCT", _gone)),
    Bad("a letter as RTSTRUCT", OBJECT, ImageError, ("object.dcm",), drawn("RTSTRUCT", _letter)),
    Bad("an RTSTRUCT cut in half", OBJECT, ImageError, ("object.dcm",), drawn("RTSTRUCT", _halved)),
    Bad("a SEG given as RTSTRUCT", OBJECT, ImageError, ("object.dcm", "SEG"), drawn("RTSTRUCT", _other_kind("SEG"))),
    Bad(
        "an RTSTRUCT without contours",
        OBJECT,
        ImageError,
        ("object.dcm", "contours"),
        drawn("RTSTRUCT", _without("ROIContourSequence")),
    ),
    Bad(
        "an RTSTRUCT of another patient (no overlap)",
        OBJECT,
        ImageError,
        ("object.dcm", "L1"),
        drawn("RTSTRUCT", lambda *_: None, 900),
    ),
    Bad("a letter as SEG", OBJECT, ImageError, ("object.dcm",), drawn("SEG", _letter)),
    Bad("a SEG cut in half", OBJECT, ImageError, ("object.dcm",), drawn("SEG", _halved)),
    Bad("an RTSTRUCT given as SEG", OBJECT, ImageError, ("object.dcm", "RTSTRUCT"), drawn("SEG", _other_kind("RTSTRUCT"))),
    Bad("a SEG without segments", OBJECT, ImageError, ("object.dcm",), drawn("SEG", _without("SegmentSequence"))),
    Bad("a SEG without places", OBJECT, ImageError, ("object.dcm",), drawn("SEG", _without("PerFrameFunctionalGroupsSequence"))),
    # --- the same files in a case
    Bad(
        "a region that the RTSTRUCT does not hold",
        OBJECT,
        ImageError,
        ("case.yaml:", "object.dcm", "'L2'", "'L1'", "roi: L1"),
        outlined_in("RTSTRUCT", "lesions.0.outline", {"file": "object.dcm", "roi": "L2"}),
    ),
    Bad(
        "a region number of an RTSTRUCT",
        OBJECT,
        ImageError,
        ("case.yaml:", "object.dcm", "`label: 1`", "`roi:`"),
        outlined_in("RTSTRUCT", "lesions.0.outline", {"file": "object.dcm", "label": 1}),
    ),
    Bad(
        "a segment that the SEG does not hold",
        OBJECT,
        ImageError,
        ("case.yaml:", "no segment 9", "[1]"),
        outlined_in("SEG", "lesions.0.outline", {"file": "object.dcm", "label": 9}),
    ),
    Bad(
        "a region name for a label map",
        OBJECT,
        ImageError,
        ("case.yaml:", "lesion.nii.gz", "'L1'", "`label:`"),
        set_("lesions.0.outline", {"file": "lesion.nii.gz", "roi": "L1"}),
    ),
    Bad(
        "an outline file that is a letter",
        OBJECT,
        ImageError,
        ("case.yaml:", "case.txt", "no RTSTRUCT"),
        lambda k: (
            (k.folder / "case.txt").write_bytes(b"Dear colleague"),
            set_("lesions.0.outline", {"file": "case.txt"})(k),
        )[1],
    ),
    Bad(
        "a folder with an RTSTRUCT instead of the file",
        OBJECT,
        MissingError,
        ("all", "object.dcm"),
        lambda k: (
            outlined_in("RTSTRUCT", "labels.0.file", "all")(k),
            (k.folder / "all").mkdir(),
            (k.folder / "object.dcm").rename(k.folder / "all" / "object.dcm"),
        )[0],
    ),
    Bad(
        "an answer for a name that the file does not hold",
        OBJECT,
        CaseFileError,
        ("case.yaml:", "object.dcm", "'lung'", "'L1'"),
        outlined_in("RTSTRUCT", "labels", [{"file": "object.dcm", "answers": {"lung": "lung_left"}}]),
    ),
    Bad(
        "an answer that is no structure",
        OBJECT,
        CaseFileError,
        ("case.yaml:", "'lung_lfet'", "'lung_left'"),
        outlined_in("RTSTRUCT", "labels", [{"file": "object.dcm", "answers": {"L1": "lung_lfet"}}]),
    ),
    Bad(
        "an outline on a study that is not there",
        OBJECT,
        CaseFileError,
        ("case.yaml:", "'mr9'", "ct1"),
        outlined_in("RTSTRUCT", "lesions.0.outline", {"file": "object.dcm", "roi": "L1", "study": "mr9"}),
    ),
    Bad(
        "a structure set as a dose file",
        OBJECT,
        ImageError,
        ("case.yaml:", "object.dcm", "RTSTRUCT", "RTDOSE"),
        outlined_in("RTSTRUCT", "doses", [{"file": "object.dcm"}]),
    ),
    # --- command line
    Bad("an unknown command", COMMAND, None, ("cure",), argv("cure", "CASE")),
    Bad("no case named", COMMAND, None, ("CASE",), lambda k: ["assess"]),
    Bad("a spacing out of range", COMMAND, None, ("99", "--spacing"), argv("report", "CASE", "--spacing", "99")),
    Bad("a spacing that is no number", COMMAND, None, ("--spacing", "nan"), argv("report", "CASE", "--spacing", "nan")),
    Bad("a negative number of samples", COMMAND, None, ("-5", "--samples"), argv("plan", "CASE", "--samples", "-5")),
    Bad("an unknown policy", COMMAND, None, ("lax", "strict"), argv("select", "CASE", "--policy", "lax")),
    Bad("an unknown goal", COMMAND, None, ("hope", "palliation"), argv("plan", "CASE", "--goal", "hope")),
    Bad(
        "an unknown treatment",
        COMMAND,
        InputError,
        ("'prayer'", "osteon list treatments", "Did you mean"),
        argv("plan", "CASE", "--treatments", "prayer", "-q"),
    ),
    Bad("an unknown phantom", COMMAND, None, ("dragon", "femur"), argv("phantom", "dragon", "-o", "CASE/x")),
    Bad(
        "a centre of two numbers",
        COMMAND,
        InputError,
        ("'1,2'",),
        argv("implant", "CASE", "-o", "CASE/x", "--labels", "CASE/labels.nii.gz", "--bone", "femur_right", "--center=1,2"),
    ),
    Bad(
        "a centre that is not a number",
        COMMAND,
        InputError,
        ("'nan,0,0'",),
        argv("implant", "CASE", "-o", "CASE/x", "--labels", "CASE/labels.nii.gz", "--bone", "femur_right", "--center=nan,0,0"),
    ),
    Bad("an unknown list", COMMAND, InputError, ("moons",), argv("list", "moons")),
    Bad("an unknown paper", COMMAND, InputError, ("nobody-1999",), argv("cite", "nobody-1999")),
    Bad("an unknown schema", COMMAND, InputError, ("moon",), argv("schema", "moon")),
    Bad("an unknown reference case", COMMAND, InputError, ("moon",), argv("validate", "moon")),
    Bad("a device that does not exist", COMMAND, SettingError, ("'toaster'",), setting("toaster", 60, 300)),
    Bad("a power of a megawatt", COMMAND, SettingError, ("1e+06 W",), setting("", 1e6, 300)),
    Bad("a negative time", COMMAND, SettingError, ("-300 s",), setting("", 60, -300)),
    Bad("a power that is no number", COMMAND, SettingError, ("nan W",), setting("", float("nan"), 300)),
    Bad("no needle", COMMAND, SettingError, ("0 needles",), setting("", 60, 300, needles=0)),
    Bad(
        "TotalSegmentator that is not installed",
        COMMAND,
        MissingError,
        ("TotalSegmentator", "Install it"),
        argv("outline", "CASE", "-q"),
        patch=lambda: mock.patch.dict(os.environ, {"PATH": "/nowhere"}),
    ),
    Bad("a name for TotalSegmentator", COMMAND, InputError, ("bone_1=rib",), argv("outline", "CASE", "--name", "bone_1=rib")),
    Bad("a bone without a piece", COMMAND, InputError, ("hip_left",), argv("outline", "CASE", "--bones", "--name", "hip_left")),
    Bad("a piece that is not there", COMMAND, InputError, ("bone_99",), named_piece("bone_99=femur_right")),
    Bad("a piece named as no bone", COMMAND, InputError, ("bone_1=colon",), named_piece("bone_1=colon")),
    Bad("bones found over those found before", COMMAND, CaseFileError, ("bones_found.nii.gz",), bones_before),
    Bad("bones of a case without a CT", COMMAND, ImageError, ("case.yaml", "no CT"), no_ct),
    # --- where to write
    Bad("a new case over an old one", DISK, CaseFileError, ("case.yaml", "already there"), argv("new", "CASE")),
    Bad(
        "a file where the report's folder should be",
        DISK,
        InputError,
        ("ct.nii.gz",),
        argv("report", "CASE", "-o", "CASE/ct.nii.gz", "-q"),
    ),
    Bad(
        "a report into a folder that may only be read",
        DISK,
        InputError,
        ("CASE", "Read-only"),
        argv("report", "CASE", "-q"),
        patch=read_only,
    ),
    Bad(
        "a phantom onto a full disk",
        DISK,
        OsteonError,
        ("x/", "No space left"),
        argv("phantom", "femur", "-o", "CASE/x", "--spacing", "3"),
        patch=full,
    ),
)


def _negative(image: Any) -> Any:
    image.header["pixdim"][1:4] = -4.0
    image.header["sform_code"], image.header["qform_code"] = 0, 1
    return _raw(image)


# --- taken, with a word: what osteon can still use, and what it says of it


@dataclass(frozen=True)
class Taken:
    """Imperfect input that is used: where osteon says so must be found among the case's notes and facts."""

    name: str
    tells: tuple[str, ...]
    make: Callable[[Kit], object]
    kind: str = "nifti"


def words_of(taken: Taken, parent: Path) -> list[str]:
    """Return what the loaded case says of a spoiled copy: notes, alignments, dates of studies, facts without plain value."""
    from osteon.assessment.dated import date_cautions
    from osteon.case.load import load_case
    from osteon.facts import Known, Unknown

    kit = Kit(parent / "case", taken.kind).copy()
    taken.make(kit)
    case = load_case(kit.folder)
    said = [note for study in case.studies for note in study.notes]
    for fact in [*case.facts.values(), *(f for lesion in case.lesions for f in lesion.facts.values())]:
        if isinstance(fact.state, Unknown) and fact.state != Unknown():
            said.append(f"{fact.name}: unknown: {fact.state.why}")
        elif not isinstance(fact.state, (Known, Unknown)):
            said.append(f"{fact.name}: {fact.state}")
    said += [a.text for a in case.alignments if not a.accepted or a.headers_contradicted]
    said += date_cautions(case)
    return [text.replace(str(kit.folder), "CASE") for text in said]


def _second_ct(kit: Kit, change: Callable[[np.ndarray], np.ndarray], moved_mm: float = 0.0, **entry: Any) -> None:
    volume = kit.volume("ct.nii.gz")
    affine = volume.grid.matrix
    affine[2, 3] += moved_mm
    images.write_nifti(Volume.of(change(volume.array.copy()), affine), kit.folder / "ct2.nii.gz", dtype=np.float32)
    kit.edit(lambda tree: tree["studies"].append({"id": "ct2", "modality": "CT", "file": "ct2.nii.gz", **entry}))


def _noise(array: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    found = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=array.shape), 2)
    return (300 * found / found.std() - 200).clip(-1000, 2000).astype(np.float32)


def _other_grid(kit: Kit) -> None:
    volume = kit.volume("labels.nii.gz")
    images.write_nifti(volume.resample(volume.isotropic(6.0).grid), kit.folder / "labels.nii.gz", dtype=np.uint8)


def _part(kit: Kit) -> None:
    volume = kit.volume("labels.nii.gz")
    images.write_nifti(Volume.of(volume.array[10:30].copy(), _lifted(volume, 10)), kit.folder / "labels.nii.gz", dtype=np.uint8)


def _lifted(volume: Volume, slices: int) -> np.ndarray:
    matrix = volume.grid.matrix
    matrix[:3, 3] += matrix[:3, 2] * slices
    return matrix


def _unlabelled(kit: Kit) -> None:
    kit.edit(lambda tree: tree["labels"][0]["names"].pop(1))


USED: tuple[Taken, ...] = (
    Taken("not-a-numbers in a part of the CT", ("not imaged",), lambda k: k.rewrite("ct.nii.gz", _holed)),
    Taken("a label map with a number that nothing names", ("labels.nii.gz", "left out"), _unlabelled),
    Taken("a label map on a coarser grid", ("labels.nii.gz", "another grid"), _other_grid),
    Taken("a label map of a part of the image", ("labels.nii.gz", "beyond that nothing is drawn"), _part),
    Taken("letters beside the slices", ("letter.txt",), file("ct/letter.txt", b"Dear colleague"), "dicom"),
    Taken(
        "a study dated otherwise in its header",
        ("2025-02-01", "2025-03-03"),
        swap("date: 2025-03-03", "date: 2025-02-01"),
        "dicom",
    ),
    Taken(
        "a second CT that shows something else",
        ("ct2", "not aligned", "Check that both are of this patient"),
        lambda k: _second_ct(k, _noise, date="2025-01-02"),
    ),
    Taken(
        "a second CT of the same day whose header moves it by 120 mm",
        ("ct2", "WARNING", "120 mm"),
        lambda k: _second_ct(k, lambda a: a, 120.0, date="2025-03-03"),
    ),
    Taken(
        "a newer CT behind the one that is planned on",
        ("ct2 is a CT 2 days newer", "planning: true"),
        lambda k: _second_ct(k, lambda a: a, date="2025-03-05"),
    ),
    Taken("a planning CT of last year", ("days old", "needs a new one"), swap("date: 2025-03-03", "date: 2024-03-03")),
    Taken("a planning CT without a date", ("has no date",), swap("date: 2025-03-03", "date: unknown")),
    Taken(
        "platelets of last year",
        ("platelets_e9_l: unknown: needs a new one", "2024-03-05"),
        swap("platelets_e9_l: {value: 214, date: 2025-03-05}", "platelets_e9_l: {value: 214, date: 2024-03-05}"),
    ),
    Taken(
        "a chart that names the other side than its bone's facts",
        ("side: ", "conflict=True"),
        set_("lesions.0.facts.side", "left"),
    ),
)


def _holed(array: np.ndarray) -> np.ndarray:
    array = array.astype(np.float32)
    array[:3] = np.nan
    return array


def as_page() -> str:
    """Return the page of docs: every input with the message that osteon gives now."""
    rows = ["# Bad inputs, and what osteon says", ""]
    rows += [
        "Written by `scripts/bad_inputs.py` from what the program really says; a test holds it against the program.",
        "Every message has three parts: what is wrong with the value and the file, why it matters, what to do.",
        "Exit codes: 1 a named bad end, 2 bad input, 3 missing data. CASE is the case's folder.",
    ]
    group = ""
    for bad in TABLE:
        if bad.group != group:
            group = bad.group
            rows += [
                "",
                f"## {group[0].upper()}{group[1:]}",
                "",
                "| input | exit | what | why it matters | what to do |",
                "|---|---|---|---|---|",
            ]
        with tempfile.TemporaryDirectory() as folder:
            said = run(bad, Path(folder))
        rows.append(f"| {bad.name} | {said.code} | {_cell(said.what)} | {_cell(said.why)} | {_cell(said.do)} |")
    rows += ["", "## Taken, with a word", "", "| input | what the case then says |", "|---|---|"]
    for taken in USED:
        with tempfile.TemporaryDirectory() as folder:
            said_of = words_of(taken, Path(folder))
        chosen = [text for text in said_of if all(word in text for word in taken.tells)]
        rows.append(f"| {taken.name} | {_cell('; '.join(chosen))} |")
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
