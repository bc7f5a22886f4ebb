"""Who an image's headers say the patient is, and texts without it: what osteon shows or writes is washed of these words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pydicom

from osteon.io.deidentify import PERSON, UID, table
from osteon.space.anatomy import structures

GONE = "…"
"""Stands where something was taken out."""
LEAST_LETTERS, ANY_CASE_LETTERS = 3, 5
"""Shorter parts of a name are not looked for; up to here they count only with a capital, so that Mr May takes no "may" away."""
LEAST_NUMBER, LEAST_DIGITS = 4, 5
MOST_NUMBERS = 3
NAMES = [
    *("PatientName", "PatientBirthName", "OtherPatientNames", "PatientMotherBirthName", "ResponsiblePerson", "ReviewerName"),
    *("ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "PhysiciansOfRecord", "RequestingPhysician"),
    *("NameOfPhysiciansReadingStudy", "ContentCreatorName", "ConsultingPhysicianName", "VerifyingObserverName"),
]
WHOLE = [
    *("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientAddress", "PatientTelephoneNumbers", "InstitutionName"),
    *("InstitutionAddress", "MedicalRecordLocator", "AdmissionID"),
]
NOBODY = frozenset(
    ("anon", "anonym", "anonymous", "anonymized", "anonymised", "name", "none", "patient", "phantom", "test", "unknown")
)
_SPELLED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa", "æ": "ae"})


@dataclass(frozen=True)
class Identity:
    """Words that tell who somebody is.

    Parameters
    ----------
    names : frozenset of str
        Parts of names: of the patient and of everybody who examined or referred.
    numbers : frozenset of str
        Numbers, addresses, the birth date as it may be written, UIDs: looked for as they are.
    outlines : tuple of str
        What regions of RTSTRUCT and segments of SEG are called, in their order, where that may hold a name.
    """

    names: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    outlines: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """Everything, for ``deidentify.check_clean``."""
        return tuple(sorted(self.names | self.numbers))

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        forms: set[str] = set()
        for name in self.names:
            for form in _spellings(name):
                if len(form) >= ANY_CASE_LETTERS:
                    forms.add(f"(?i:{re.escape(form)})")
                else:
                    forms |= {re.escape(form.title()), re.escape(form.upper())}
        forms |= {f"(?i:{re.escape(number)})" for number in self.numbers}
        if not forms:
            return None
        return re.compile(rf"(?<![^\W_])(?:{'|'.join(sorted(forms, key=len, reverse=True))})(?![^\W_])")

    def wash(self, text: str) -> str:
        """Return a text with these words, every ``FAMILY^GIVEN`` and every UID that is not DICOM's own taken out.

        Examples
        --------
        >>> Identity(frozenset(["Mustermann"])).wash("pelvis of Mrs MUSTERMANN, mustermann_ct")
        'pelvis of Mrs …, …_ct'
        """
        standard = table()["standard_root"]
        text = UID.sub(lambda m: m.group() if m.group().startswith(standard) else GONE, unicodedata.normalize("NFC", text))
        text = PERSON.sub(GONE, text)
        return self._pattern.sub(GONE, text) if self._pattern else text


def _spellings(name: str) -> set[str]:
    """Return a name as it is, with umlauts spelled out, and without accents."""
    plain = "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))
    return {name, name.lower().translate(_SPELLED), plain}


def identity_of(paths: Iterable[Path]) -> Identity:
    """Read from DICOM headers who the patient is.

    A header that says that its identity was removed holds a pseudonym, and nothing is taken from it but UIDs.

    Parameters
    ----------
    paths : iterable of Path
        Files, or folders that are searched through; what is no DICOM, or cannot be read, is passed over.

    Returns
    -------
    Identity
        Of all of them together.
    """
    names: set[str] = set()
    numbers: set[str] = set()
    outlines: dict[str, None] = {}
    for file in _files(paths):
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*NAMES, *WHOLE, *_OTHERS])
            removed = str(header.get("PatientIdentityRemoved") or "").upper() == "YES"
            outlines |= dict.fromkeys(_outlines(header))
            numbers |= {text for key in _UIDS for text in _texts(header, key) if not text.startswith(table()["standard_root"])}
        except Exception:  # no DICOM, or damaged: it names nobody
            continue
        if removed:
            continue
        names |= {
            part for key in NAMES for text in _texts(header, key) for part in re.split(r"[\s^=,.\-]+", text) if _tells(part)
        }
        lines = [line.strip() for key in WHOLE for text in _texts(header, key) for line in text.splitlines()]
        numbers |= {line for line in lines if len(line) >= LEAST_NUMBER and _tells(line)}
        numbers |= {form for text in _texts(header, "PatientBirthDate") for form in _written(text)}
    return Identity(frozenset(names), frozenset(numbers), tuple(outlines))


_UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"]
_OUTLINES = {"StructureSetROISequence": "ROIName", "SegmentSequence": "SegmentLabel"}
_OTHERS = [*_UIDS, *_OUTLINES, "PatientBirthDate", "PatientIdentityRemoved", "SpecificCharacterSet"]


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file())
        elif path.is_file():
            yield path


def _texts(header: Any, key: str) -> list[str]:
    try:
        value = header.get(key)
        many = isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue"
        return [text for v in (value if many else [value]) if v is not None and (text := str(v).strip())]
    except Exception:  # pydicom converts on access, and raises what it likes on a bad value
        return []


def _outlines(header: Any) -> list[str]:
    found = [text for key, name in _OUTLINES.items() for item in header.get(key) or () for text in _texts(item, name)]
    return [text for text in found if len(text) >= LEAST_LETTERS and not says_nothing(text)]


def _tells(word: str) -> bool:
    return len(word) >= (LEAST_DIGITS if word.isdigit() else LEAST_LETTERS) and word.casefold() not in NOBODY


def _written(day: str) -> set[str]:
    """Return the ways in which a date of eight digits is written."""
    if not re.fullmatch(r"\d{8}", day):
        return set()
    year, month, date = day[:4], day[4:6], day[6:]
    return {day, f"{year}-{month}-{date}", f"{date}.{month}.{year}", f"{date}/{month}/{year}", f"{month}/{date}/{year}"}


def says_nothing(name: str) -> bool:
    """Tell whether a file name is made of words that name nobody (``ct.nii.gz``, ``hip_right.nii.gz``) and short numbers.

    Examples
    --------
    >>> says_nothing("labels/hip_right.nii.gz"), says_nothing("mustermann_ct"), says_nothing("20240301")
    (True, False, False)
    """
    parts = re.findall(r"[^\W\d_]+|\d+", name)
    if sum(p.isdigit() for p in parts) > MOST_NUMBERS:  # a UID
        return False
    anatomy = {word for key in structures() for word in re.findall(r"[a-z]+", key.lower())}
    return all(len(p) <= LEAST_LETTERS if p.isdigit() else p.lower() in table()["file_words"] | anatomy for p in parts)
