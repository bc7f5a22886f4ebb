"""Looks through files of every kind that osteon writes for what would tell who the patient is."""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zipfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from osteon.io.deidentify import PERSON, UID, Finding, scan_text

CheckDataset = Callable[[Any, str], list[Finding]]
TEXTS = (".json", ".html", ".htm", ".yaml", ".yml", ".csv", ".txt", ".md", ".svg", ".xml", ".log", ".bib")
EMBEDDED = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
PNG = b"\x89PNG\r\n\x1a\n"
TOLD_IN_PNG = (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME")
LONGEST_HEADER = 4096
LEAST_IN_BYTES = 6
"""Shorter words stand by chance in a million numbers."""
SALT = "salt"


def check_files(path: Path, known: Collection[str], check_dataset: CheckDataset) -> list[Finding]:
    """Return everything in a file, or in the files of a folder, that would tell of a person.

    DICOM by its elements, NIfTI by the free texts of its header, texts by ``scan_text`` with the pictures embedded in them,
    meshes by their headers, cache entries by their text and by ``known``, all by their names. Pictures beside are "unchecked".

    Parameters
    ----------
    path : Path
        File or folder.
    known : collection of str
        Words that must occur nowhere.
    check_dataset : callable
        Checks a DICOM object; gets it and where it is.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found: list[Finding] = []
    for file in files:
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        found += [Finding(f.kind, f"name of file {number}", f.why, f.do) for number, f in enumerate(scan_text(name, known=known))]
        found += _check_file(file, _shown(name, known), known, check_dataset)
    return found


def _shown(name: str, known: Collection[str]) -> str:
    """Return a file name without what it must not tell."""
    for word in filter(None, known):
        name = re.sub(re.escape(word), "…", name, flags=re.IGNORECASE)
    return PERSON.sub("…", UID.sub("…", name))


def _check_file(file: Path, name: str, known: Collection[str], check_dataset: CheckDataset) -> list[Finding]:
    if file.name == SALT and file.parent.name == ".osteon":
        return [Finding("uid", name, "With it original UIDs are found by trying.", "Leave the folder .osteon out.")]
    if file.name.endswith((".nii", ".nii.gz")):
        return _check_nifti(file, name)
    if file.suffix.lower() in TEXTS:
        return list(_check_text(file.read_text(encoding="utf-8", errors="replace"), name, known))
    if file.suffix.lower() in (".stl", ".ply"):
        with file.open("rb") as stream:
            head = stream.read(80 if file.suffix.lower() == ".stl" else LONGEST_HEADER).split(b"end_header")[0]
        return list(_check_text(head.decode("latin-1"), name, known))
    if file.suffix == ".npz":
        return list(_check_entry(file, name, known))
    try:
        return check_dataset(pydicom.dcmread(file), f"{name}, ")
    except Exception:  # no DICOM, or a damaged one: pydicom raises what it likes
        data = file.read_bytes()
        return [
            *_known_in(data, name, known),
            *(_told_in_png(data, name) if data.startswith(PNG) else ()),
            Finding(
                "unchecked", name, "A file of a kind that is not looked into may hold anything.", "Look at it before it leaves."
            ),
        ]


def _check_text(text: str, name: str, known: Collection[str]) -> Iterator[Finding]:
    """Yield what a text tells; embedded pictures are looked into and not read as words."""
    for picture in EMBEDDED.finditer(text):
        try:
            yield from _told_in_png(base64.b64decode(picture[1], validate=True), f"{name}, picture at {picture.start()}")
        except (binascii.Error, struct.error):
            yield Finding("unchecked", f"{name}, picture at {picture.start()}", "It cannot be read.", "Look at it.")
    for f in scan_text(EMBEDDED.sub("", text), known=known):
        yield Finding(f.kind, f"{name}, {f.where}", f.why, f.do)


def _told_in_png(data: bytes, name: str) -> Iterator[Finding]:
    """Yield the texts, dates and camera data that a PNG carries beside its pixels."""
    at = len(PNG)
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if kind in TOLD_IN_PNG:
            yield Finding("text", f"{name}, {kind.decode()}", "Programs write names and dates here.", "Save it without metadata.")
        at += 12 + length


def _known_in(data: bytes, name: str, known: Collection[str]) -> Iterator[Finding]:
    lower = data.lower()
    for word in (w for w in known if len(w) >= LEAST_IN_BYTES):
        if word.lower().encode() in lower or word.lower().encode("utf-16-le") in lower:
            yield Finding("known", name, "It holds what is known of this patient.", "Leave it out.")


def _check_entry(file: Path, name: str, known: Collection[str]) -> Iterator[Finding]:
    """Yield what an entry of the cache tells: its text as a text, its arrays only for what is known."""
    try:
        with zipfile.ZipFile(file) as entry:
            for member in entry.namelist():
                if member == "tree.npy":
                    with entry.open(member) as stream:
                        text = np.lib.format.read_array(stream, allow_pickle=False).tobytes().decode()
                    yield from _check_text(text, f"{name}, {member}", known)
                else:
                    yield from _known_in(entry.read(member), f"{name}, {member}", known)
    except (zipfile.BadZipFile, ValueError, OSError):
        yield Finding("unchecked", name, "It is damaged.", "Leave it out.")


def _check_nifti(file: Path, name: str) -> list[Finding]:
    import nibabel as nib

    try:
        header = nib.load(file).header
    except Exception:  # nibabel raises what it likes on a damaged file
        return [Finding("unchecked", name, "It cannot be read as NIfTI.", "Look at it before it leaves.")]
    found = []
    for field in ("descrip", "aux_file", "db_name", "intent_name", "data_type"):
        if field in header.keys() and bytes(header[field].tobytes()).strip(b"\0 "):  # noqa: SIM118
            found.append(
                Finding("text", f"{name}, {field}", "Converters write names and numbers here.", "Write it again by osteon.")
            )
    if len(header.extensions):
        found.append(Finding("text", f"{name}, extension", "It may hold a whole DICOM header.", "Write it again by osteon."))
    return found
