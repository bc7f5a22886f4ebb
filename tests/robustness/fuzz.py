"""Files spoiled at random, reproducibly: (target, seed) always gives the same bytes, and osteon must take or refuse them.

A target is one kind of file with the reader that meets it. Reading may end in a result or in an ``OsteonError`` of three
parts; anything else (another exception, more than 10 s, more than 4 GB) is a failure, told by target and seed.
"""

from __future__ import annotations

import gzip
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from osteon.errors import OsteonError

SECONDS, BYTES = 10.0, 4 << 30
Rng = np.random.Generator
CHART = """schema: osteon-case/1
patient: p1
date: 2025-03-10
stamps: ['made up']
studies:
  - {id: ct1, modality: CT, file: ct.nii.gz, date: 2025-03-03, patient_position: HFS}
labels:
  - file: labels.nii.gz
    names: {1: femur_right, 2: muscle}
structures:
  sciatic_nerve_right: {polyline_mm: [[4, 4, 4], [8, 8, 30]], radius: 4 mm}
absent: [table, implant]
facts:
  age_years: 63
  ecog: {value: 1, date: 2025-03-05}
  platelets_e9_l: [{value: 214000 / µl, date: 2025-03-05}, {value: 180, date: 2025-02-01}]
  anaesthesia: [general, local]
  pregnant: false
  expected_survival_weeks: 80 week
lesions:
  - id: L1
    bone: femur_right
    side: right
    goal: palliation
    outline: {sphere_mm: {center: [10, 10, 20], diameter: 1.2 cm}}
    facts:
      pain_vas: {min: 5, max: 7}
      lesion_type: {one_of: [lytic, mixed]}
      size_max_mm: 25 mm
timeline:
  - {date: 2024-11-05, treatment: radiotherapy, site: L1, details: {dose_gy: 8, fractions: 1}}
"""
NASTY = [
    *(
        "",
        "null",
        "~",
        "true",
        "-1",
        "0",
        "1e999",
        ".nan",
        ".inf",
        "-.inf",
        "0x1F",
        "0b11",
        "1_000",
        "1:30",
        "12:30:45",
        "9" * 400,
    ),
    *(
        "2025-13-45",
        "2025-02-30",
        "9999-12-31",
        "0000-00-00",
        "2025-03-05T10:00:00Z",
        "2025-03-05 25:61:61",
        "12 mm",
        "5 kg",
        "5 **",
    ),
    *(
        "80 9**9**9",
        "7 %",
        "3 m^m",
        "4 1/0",
        "1 (((",
        "1 mm mm",
        "-4 mm",
        "[1, 2",
        "[[[[]]]]",
        "{a: 1}",
        "{value: 1}",
        "{min: 2, max: 1}",
    ),
    *(
        "{one_of: 5}",
        "{one_of: [[1], {a: 2}]}",
        "{value: [1]}",
        "{1: 2, b: 3}",
        "{value: 3, unit: {a: 1}}",
        "{value: 3, date: [1]}",
    ),
    *(
        "[{value: 1, date: x}]",
        "[{}, {}]",
        "[1, [2]]",
        "&a [*a]",
        "&b {x: *b}",
        "*zz",
        "<<",
        "{<<: {a: 1}}",
        "? [a, b]",
        "!!binary aGk=",
        "!!binary '*'",
    ),
    *(
        "!!set {a, b}",
        "!!omap [a: 1]",
        "!!python/name:os.system x",
        "!!int x",
        "!!float x",
        "!!timestamp x",
        "!!str 5",
        "|",
        ">-",
        "'",
        '"',
        "# x",
    ),
    *(
        "\t",
        "\0",
        "\ufeff",
        "\x85",
        "\u2028",
        "\U0001f9b4",
        "../../etc/passwd",
        "/etc/passwd",
        "CON",
        "a" * 3000,
        "unknown",
        "L1",
        "left",
    ),
    *(
        "femur_left",
        "liver",
        "no_such_bone",
        "[9, 9]",
        "[[1e308, 1e308, 1e308], [-1e308, 0, 0]]",
        "[[0,0,0],[0,0,0]]",
        "---",
        "...",
        "%YAML 9.9",
    ),
]
TEXTS = [
    *(
        b"",
        b" ",
        b"\\",
        b"\\\\\\",
        b"abc",
        b"1\\2",
        b"nan\\inf",
        b"1e999\\0",
        b"-1",
        b"0",
        b"0\\0",
        b"99999999999999999999",
        b"1.2.3.4",
    ),
    *(
        b"\xff\xfe\xfd\xfc",
        b"\0\0",
        b"ORIGINAL\\PRIMARY",
        b"20251345",
        b"ISO_IR 192",
        b"ISO 2022 IR 87",
        b"\x1b$B\x1b",
        b"BINARY",
        b"LABELMAP",
    ),
    *(
        b"MONOCHROME1",
        b"RGB",
        b"YBR_FULL",
        b"PALETTE COLOR",
        b"CLOSED_PLANAR",
        b"POINT",
        b"HU",
        b"GY",
        b"1\\0\\0\\0\\1\\0",
        b"0\\0\\0\\0\\0\\0",
    ),
    *(b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.5", b"x" * 70000),
]
INTS = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 32, 64, 127, 128, 255, 256, 4096, 32767, 32768, 60000, 65535, -1]


class TooLong(BaseException):
    """Raised by the clock; no reader's ``except Exception`` can swallow it."""


@dataclass
class Outcome:
    """What a run of many inputs came to."""

    count: int = 0
    seconds: float = 0.0
    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    slowest: tuple[float, str, int] = (0.0, "", 0)
    peak_bytes: int = 0

    def add(self, other: Outcome) -> None:
        self.count += other.count
        self.seconds += other.seconds
        self.taken += other.taken
        self.refused += other.refused
        self.failures += other.failures
        self.slowest = max(self.slowest, other.slowest)
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)


# --- good files, made once per process


def _block() -> tuple[Any, Any]:
    from osteon.space.volume import Volume

    array = np.full((10, 12, 8), -100, np.int16)
    array[:, 3:9, 2:6] = 300
    array[:, 0, :] = -1000
    volume = Volume.of(array.astype(np.float32), np.diag([3.0, 2.0, 4.0, 1.0]))
    return volume, volume.with_array(array > 0)


@cache
def good() -> Path:
    """Return the folder of good files, one folder per target."""
    import atexit

    from osteon.io import images, rtstruct_write, seg_write

    folder = Path(tempfile.mkdtemp(prefix="osteon-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    volume, mask = _block()
    for name in ("case", "nifti"):
        images.write_nifti(volume, folder / name / "ct.nii.gz", dtype=np.int16)
        images.write_nifti(mask, folder / name / "labels.nii.gz")
        images.write_nifti(volume, folder / name / "ct.nii", dtype=np.int16)
    (folder / "case" / "ct.nii").unlink()
    (folder / "case" / "case.yaml").write_text(CHART, encoding="utf-8")
    images.write_series(volume.crop(np.array([0, 0, 0.0]), np.array([21, 22, 12.0])), folder / "dicom")
    uids = None
    rtstruct_write.write_rtstruct(_made(folder / "rtstruct") / "object.dcm", {"L1": mask}, references=uids)
    for kind in ("BINARY", "LABELMAP"):
        seg_write.write_seg(_made(folder / f"seg_{kind.lower()}") / "object.dcm", {"L1": mask}, kind=kind, references=uids)
    _dose(_made(folder / "rtdose") / "object.dcm")
    for ending in ("nrrd", "mha"):
        _itk(volume, _made(folder / "metaimage") / f"ct.{ending}")
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _itk(volume: Any, path: Path) -> None:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(volume.array.astype(np.int16))
    image.SetSpacing(tuple(reversed(volume.spacing_mm)))
    sitk.WriteImage(image, str(path))


def _dose(path: Path) -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.2", "2.25.7"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data: Any = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = meta.MediaStorageSOPClassUID, "2.25.7", "RTDOSE"
    data.FrameOfReferenceUID = "2.25.8"
    data.DoseUnits, data.DoseType, data.DoseSummationType, data.DoseGridScaling = "GY", "PHYSICAL", "PLAN", 0.001
    data.ImagePositionPatient, data.ImageOrientationPatient, data.PixelSpacing = [0, 0, 0], [1, 0, 0, 0, 1, 0], [2, 3]
    data.Rows, data.Columns, data.NumberOfFrames, data.GridFrameOffsetVector = 6, 5, 3, [0, 4, 8]
    data.FrameIncrementPointer = 0x3004000C
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.PixelData = np.arange(90, dtype="<u2").tobytes()
    data["PixelData"].VR = "OW"
    data.save_as(path, enforce_file_format=True)


# --- ways to spoil


def spoil_bytes(data: bytes, rng: Rng) -> bytes:
    """Flip, cut, insert, repeat or blank bytes, most often near the head, where formats keep what they promise."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        end = min(len(out), 700) if rng.random() < 0.7 else len(out)
        at = int(rng.integers(0, max(end, 1)))
        length = int(rng.choice([1, 2, 4, 8, 64]))
        match int(rng.integers(0, 7)):
            case 0 | 1 if out:
                out[at % len(out)] ^= 1 << int(rng.integers(0, 8))
            case 2:
                out[at : at + length] = rng.bytes(length)
            case 3:
                del out[at : at + length]
            case 4:
                out[at:at] = rng.bytes(length)
            case 5:
                out[at : at + length] = bytes([int(rng.choice([0, 255]))]) * length
            case 6 if rng.random() < 0.5:
                del out[int(rng.integers(0, len(out) + 1)) :]
    return bytes(out)


def spoil_nifti(data: bytes, rng: Rng) -> bytes:
    """Put extreme values into one to three fields of the header."""
    import nibabel as nib

    raw = np.frombuffer(data[:348], nib.Nifti1Header.template_dtype).copy()
    for name in rng.choice(np.array(raw.dtype.names), int(rng.integers(1, 4)), replace=False):
        place = raw[name]
        flat = place.reshape(-1)
        if place.dtype.kind in "iu":
            limits = np.iinfo(place.dtype)
            options = [v for v in [*INTS, limits.max, limits.min] if limits.min <= v <= limits.max]
            flat[int(rng.integers(flat.size))] = rng.choice(options)
        elif place.dtype.kind == "f":
            flat[int(rng.integers(flat.size))] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, 1e-30, 3.4e38, 0.5])
        else:
            flat[int(rng.integers(flat.size))] = rng.bytes(4)
        raw[name] = flat.reshape(place.shape)
    return raw.tobytes() + data[348:]


def spoil_dicom(path: Path, rng: Rng) -> None:
    """Spoil elements; where pydicom refuses to write the nonsense, spoil bytes instead."""
    data = path.read_bytes()
    try:
        _spoil_elements(path, rng)
    except Exception:
        path.write_bytes(spoil_bytes(data, rng))


def _spoil_elements(path: Path, rng: Rng) -> None:
    """Give one to three elements, sequences' too, a value that does not fit, or take them away."""
    import pydicom
    from pydicom.dataelem import RawDataElement

    data: Any = pydicom.dcmread(path)
    places = list(_elements(data))
    for _ in range(int(rng.integers(1, 4))):
        where, tag = places[int(rng.integers(len(places)))]
        if tag not in where:
            continue
        if rng.random() < 0.15:
            del where[tag]
            continue
        vr = where[tag].VR
        if vr in ("US", "SS", "OW", "OB", "UL", "FD") and rng.random() < 0.8:
            value = int(rng.choice(INTS)).to_bytes(4, "little", signed=True)[: 2 if vr in ("US", "SS") else 4]
            value *= int(rng.choice([1, 1, 1, 2, 40]))
        else:
            value = TEXTS[int(rng.integers(len(TEXTS)))] if rng.random() < 0.8 else rng.bytes(int(rng.integers(0, 40)))
        vr = str(rng.choice(["DS", "IS", "UI", "LO", "US", "OB", "SQ", "CS"])) if rng.random() < 0.1 else vr
        value = value[:65000] + b" " * (len(value) % 2)
        where._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    with path.open("wb") as stream:
        data.save_as(stream)


def _elements(data: Any) -> Iterator[tuple[Any, Any]]:
    for element in data:
        yield data, element.tag
        if element.VR == "SQ":
            for item in list(element.value)[:3]:
                yield from _elements(item)


def spoil_yaml(text: str, rng: Rng) -> bytes:
    """Replace tokens, repeat, drop, move or indent lines, or spoil bytes."""
    import re

    rows = text.split("\n")
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        at = int(rng.integers(len(rows)))
        tokens = [m.span() for m in re.finditer(r"[^\s,:{}\[\]'-][^,:{}\[\]']*", rows[at])]
        match int(rng.integers(0, 9)):
            case 0:
                rows.insert(at, rows[int(rng.integers(len(rows)))])
            case 1 if len(rows) > 1:
                del rows[at]
            case 2:
                rows[at] = " " * int(rng.integers(0, 6)) + rows[at].lstrip(" ")
            case _ if tokens:
                start, stop = tokens[int(rng.integers(len(tokens)))]
                rows[at] = rows[at][:start] + NASTY[int(rng.integers(len(NASTY)))] + rows[at][stop:]
    data = "\n".join(rows).encode()
    return spoil_bytes(data, rng) if rng.random() < 0.1 else data


# --- targets: spoil a copy, then read it


def _read_case(folder: Path, rng: Rng) -> None:
    from osteon.case.load import load_case

    (folder / "case.yaml").write_bytes(spoil_yaml(CHART, rng))
    load_case(folder)


def _read_nifti(folder: Path, rng: Rng) -> None:
    from osteon.io import images, labels

    which = str(rng.choice(["ct.nii", "ct.nii.gz", "labels.nii.gz"]))
    path = folder / which
    data = path.read_bytes()
    if which.endswith("gz") and rng.random() < 0.3:
        path.write_bytes(spoil_bytes(data, rng))
    else:
        plain = gzip.decompress(data) if which.endswith("gz") else data
        spoiled = spoil_nifti(plain, rng) if rng.random() < 0.6 else spoil_bytes(plain, rng)
        path.write_bytes(gzip.compress(spoiled, 1) if which.endswith("gz") else spoiled)
    if which.startswith("ct"):
        images.check_ct(images.read(path).volume, path)
        return
    grid = _block()[0].canonical().grid
    for read in (lambda: labels.read(path, grid, names={1: "femur_right"}), lambda: labels.read_mask(path, grid)):
        read()


def _read_dicom(folder: Path, rng: Rng) -> None:
    from osteon.io import images

    files = sorted(folder.iterdir())
    path = files[int(rng.integers(len(files)))]
    if rng.random() < 0.6:
        spoil_dicom(path, rng)
    else:
        path.write_bytes(spoil_bytes(path.read_bytes(), rng))
    images.check_ct(images.read(folder).volume, folder)


def _object(read: Callable[[Path], object]) -> Callable[[Path, Rng], None]:
    def run(folder: Path, rng: Rng) -> None:
        path = folder / "object.dcm"
        if rng.random() < 0.7:
            spoil_dicom(path, rng)
        else:
            path.write_bytes(spoil_bytes(path.read_bytes(), rng))
        read(path)

    return run


def _rtstruct(path: Path) -> None:
    from osteon.io.rtstruct import read_rtstruct

    read_rtstruct(path, _block()[0])


def _seg(path: Path) -> None:
    from osteon.io.seg import read_seg

    grid = _block()[0].grid
    for segment in read_seg(path).segments:
        segment.on(grid)


def _rtdose(path: Path) -> None:
    from osteon.io.rtdose import read_dose

    read_dose(path)


def _metaimage(folder: Path, rng: Rng) -> None:
    from osteon.io import images

    path = folder / str(rng.choice(["ct.nrrd", "ct.mha"]))
    path.write_bytes(spoil_bytes(path.read_bytes(), rng))
    images.check_ct(images.read(path).volume, path)


TARGETS: dict[str, Callable[[Path, Rng], None]] = {
    "case": _read_case,
    "nifti": _read_nifti,
    "dicom": _read_dicom,
    "rtstruct": _object(_rtstruct),
    "seg_binary": _object(_seg),
    "seg_labelmap": _object(_seg),
    "rtdose": _object(_rtdose),
    "metaimage": _metaimage,
}


# --- running


@contextmanager
def clock(seconds: float) -> Iterator[None]:
    """Interrupt what runs longer."""

    def ring(*_: object) -> None:
        raise TooLong(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def one(target: str, seed: int, out: Outcome, scratch: Path) -> None:
    """Spoil and read one input."""
    rng = np.random.default_rng([crc32(target.encode()), seed])
    folder = scratch / target
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good() / target, folder)
    begin = time.perf_counter()
    try:
        with clock(SECONDS):
            TARGETS[target](folder, rng)
        out.taken += 1
    except OsteonError as error:
        out.refused[type(error).__name__] += 1
        if not (error.what.strip() and error.why.strip() and error.do.strip()):
            out.failures.append((target, seed, "a part of the message is empty"))
    except (Exception, TooLong) as error:
        place = traceback.extract_tb(error.__traceback__)
        ours = [f for f in place if "osteon" in f.filename and "tests" not in f.filename]
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        out.failures.append((target, seed, f"{type(error).__name__}: {str(error)[:160]} at {where}"))
    spent = time.perf_counter() - begin
    out.count += 1
    out.seconds += spent
    out.slowest = max(out.slowest, (spent, target, seed))


def many(todo: Sequence[tuple[str, int]], at: Any = None) -> Outcome:
    """Run inputs in this process; ``at.value`` is set to the number of the one that runs."""
    out = Outcome()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=_memory()) as scratch:
        warnings.simplefilter("ignore")
        import logging

        logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
        for index, (target, seed) in enumerate(todo):
            if at is not None:
                at.value = index
            one(target, seed, out, Path(scratch))
    out.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return out


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _child(todo: list[tuple[str, int]], at: Any, pipe: Any) -> None:
    """Run inputs in a child that may take 4 GB; ``at`` tells how far it came if it dies."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    pipe.send(many(todo, at))


def _in_children(todo: list[tuple[str, int]], out: Outcome) -> None:
    """Run inputs in one child after the other: one that dies is a failure of the input it was at, and the rest goes on."""
    context = get_context("spawn")
    while todo:
        ours, theirs = context.Pipe(duplex=False)
        at = context.Value("i", -1, lock=False)
        child = context.Process(target=_child, args=(todo, at, theirs))
        child.start()
        theirs.close()
        try:
            done = ours.recv()
        except EOFError:
            child.join()
            if at.value < 0:
                raise RuntimeError(f"a child died before its first input: exit code {child.exitcode}") from None
            target, seed = todo[at.value]
            done = Outcome(count=at.value + 1, failures=[(target, seed, f"the process died: exit code {child.exitcode}")])
            todo = todo[at.value + 1 :]
        else:
            child.join()
            todo = []
        out.add(done)


def spread(todo: Sequence[tuple[str, int]], processes: int = 2, chunk: int = 2000) -> Outcome:
    """Run inputs in child processes, that many at a time."""
    from concurrent.futures import ThreadPoolExecutor

    total = Outcome()
    chunk = min(chunk, max(1, -(-len(todo) // processes)))
    parts = [list(todo[i : i + chunk]) for i in range(0, len(todo), chunk)]
    results = [Outcome() for _ in parts]
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(_in_children, parts, results))
    for result in results:
        total.add(result)
    return total


def jobs(count: int, first_seed: int = 0) -> list[tuple[str, int]]:
    """Return that many (target, seed), the targets in turn."""
    names = list(TARGETS)
    return [(names[i % len(names)], first_seed + i // len(names)) for i in range(count)]


def told(result: Outcome, wall: float) -> str:
    """Return what a run came to in words: how many, how fast, and each kind of failure with its first seed."""
    rows = [
        f"{result.count} inputs in {wall:.1f} s: {result.count / wall:.0f}/s",
        f"taken {result.taken}, refused {dict(result.refused)}",
        f"slowest {result.slowest[0]:.2f} s {result.slowest[1:]}; peak {result.peak_bytes / 2**20:.0f} MiB",
        f"failures {len(result.failures)}",
    ]
    for (target, why), number in Counter((t, why) for t, _, why in result.failures).most_common(40):
        rows.append(f"{number} x {target}: {why}; seed {next(s for t, s, w in result.failures if (t, w) == (target, why))}")
    return "\n".join(rows)


if __name__ == "__main__":  # python fuzz.py COUNT [FIRST_SEED [TARGET]]
    import sys

    count, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    asked = [(sys.argv[3], first + i) for i in range(count)] if len(sys.argv) > 3 else jobs(count, first)
    begin = time.perf_counter()
    result = spread(asked)
    print(told(result, time.perf_counter() - begin))
