"""The door through which DICOM files leave: nothing passes that ``deidentify`` finds, unless it was asked for."""

from __future__ import annotations

import io
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from osteon.cache import write_atomically
from osteon.errors import ImageError, InputError
from osteon.io.deidentify import Finding, check_clean, clean, read_salt, scan_text

DIRECTORY = "1.2.840.10008.1.3.10"


def salt_of(case_folder: Path | None) -> bytes:
    """Return the secret from which the UIDs of a case's exports are made, drawn once and kept in ``.osteon/salt``.

    Parameters
    ----------
    case_folder : Path or None
        None: a secret that is not kept; what it exports refers to no other export.

    Raises
    ------
    InputError
        If the file is too short.
    OsteonError
        If it cannot be written.
    """
    return secrets.token_bytes(32) if case_folder is None else read_salt(Path(case_folder) / ".osteon" / "salt")


def write_dicom(
    path: Path,
    data: Dataset,
    *,
    pseudonym: str = "anonymous",
    texts: Collection[str] = (),
    keep: Collection[str] = (),
    keep_dates: bool = False,
    keep_uids: bool = False,
) -> Path:
    """Write a DICOM object that says nothing of a person; the file is seen whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    data : pydicom Dataset
        With its file meta information.
    pseudonym : str
        What PatientName and PatientID may be.
    texts : collection of str
        Descriptions and names of outlines that the caller vouches for; what looks like a name or a UID is refused all the same.
    keep : collection of str
        Attributes (DICOM keywords) that were asked to stay as they are.
    keep_dates, keep_uids : bool
        Whether dates of examination, and original UIDs, were asked for.

    Raises
    ------
    InputError
        If it would tell who the patient is.
    OsteonError
        If it cannot be written.
    """
    vouched = [text for text in texts if not scan_text(text)]
    pseudonyms = [] if scan_text(pseudonym) else [pseudonym]
    found = check_clean(data, pseudonyms=pseudonyms, texts=vouched, keep_dates=keep_dates)
    asked = set(keep)
    telling = [
        f for f in found if _attribute(f) not in asked and not (keep_uids and f.kind == "uid") and not _vouched(f, data, vouched)
    ]
    if telling:
        raise InputError(
            f"{path} would hold a {telling[0].kind} in {telling[0].where} ({len(telling)} such places).",
            telling[0].why,
            f"Give a pseudonym and plain descriptions; or ask for it by name: keep={_attribute(telling[0])!r}.",
        )
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data, enforce_file_format=True)
    write_atomically(Path(path), buffer.getvalue())
    return Path(path)


def _attribute(finding: Finding) -> str:
    return finding.where.rpartition(".")[2]


def _vouched(finding: Finding, data: Dataset, texts: Collection[str]) -> bool:
    """Tell whether what was found is the name of an outline that the caller vouches for."""
    if _attribute(finding) not in ("ROIName", "SegmentLabel") or finding.kind != "text":
        return False
    place: Any = data
    for step in finding.where.split("."):
        key, _, index = step.rstrip("]").partition("[")
        place = place[key].value
        place = place[int(index)] if index else place
    return str(place) in texts


def clean_files(
    path: Path, out: Path, *, salt: bytes, pseudonym: str = "anonymous", keep: Collection[str] = (), keep_dates: bool = False
) -> tuple[list[Path], int]:
    """Write the DICOM files of a folder again without what tells who the patient is, under numbers for names.

    Parameters
    ----------
    path : Path
        File or folder; it stays as it is.
    out : Path
        New or empty folder.
    salt, pseudonym, keep, keep_dates
        As for ``deidentify.clean``.

    Returns
    -------
    list of Path, int
        What was written, and how many files are no DICOM objects (a DICOMDIR, which lists names, is none).

    Raises
    ------
    InputError
        If there is no DICOM file, the folder is not empty, or something would still tell.
    ImageError
        If pixels carry burned-in text, or a file is damaged.
    OsteonError
        If a file cannot be written.
    """
    path, out = Path(path), Path(out)
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(f"{out} is not empty.", "What is there would be taken for cleaned.", "Name a new folder.")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and ".osteon" not in p.parts)
    written: list[Path] = []
    passed_over = 0
    for file in files:
        data = _opened(file)
        if data is None:
            passed_over += 1
            continue
        cleaned = clean(data, salt=salt, pseudonym=pseudonym, keep=keep, keep_dates=keep_dates)
        kind = str(cleaned.get("Modality") or "object")
        target = out / f"{kind}_{len(written) + 1:05d}.dcm"
        written.append(write_dicom(target, cleaned, pseudonym=pseudonym, keep=keep, keep_dates=keep_dates))
    if not written:
        raise InputError(f"There is no DICOM file in {path}.", "Nothing was written.", "Name the folder that holds them.")
    return written, passed_over


def _opened(file: Path) -> Dataset | None:
    """Return a DICOM object whole; None where a file is none."""
    try:
        with file.open("rb") as stream:
            marked = stream.read(132)[128:] == b"DICM"
        if not marked:
            return None
        data = pydicom.dcmread(file)
        return None if str(data.file_meta.get("MediaStorageSOPClassUID") or "") == DIRECTORY else data
    except Exception as error:
        raise ImageError(
            f"{file} cannot be read as DICOM ({type(error).__name__}).",
            "It cannot be cleaned.",
            "Export it again, or leave it out.",
        ) from error
