"""What leaves osteon says nothing of a person: DICOM objects cleaned and checked, texts, headers and file names scanned."""

from __future__ import annotations

import copy
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydicom.dataset import Dataset

from osteon.cache import write_atomically
from osteon.data_files import read_data
from osteon.errors import ImageError, InputError
from osteon.io.class_names import structure_named

Kind = Literal["name", "birth_date", "uid", "date", "text", "private", "pixels", "known", "unchecked"]
UID = re.compile(r"(?<!\d)(?<!\d\.)(?:[0-2](?:\.(?:0|[1-9]\d*)){5,}|2\.25\.[1-9]\d{9,})(?!\.?\d)")
PERSON = re.compile(r"\b[^\W\d_][\w'’-]+\^[^\W\d_][\w'’-]+")
LEAST_SALT = 16
SHORT = 5
NO_DAY = "19000101"
OWN = frozenset(("", "0", "1", "anonymous", "Software library used to create this instance"))


@dataclass(frozen=True)
class Finding:
    """Something that would tell of a person. The value itself is not repeated here.

    Parameters
    ----------
    kind : str
        name, birth_date, uid, date, text, private, pixels, known (given by the caller) or unchecked (cannot be looked into).
    where : str
        File and attribute, or place in a text.
    why : str
        Why it matters.
    do : str
        What to do.
    """

    kind: Kind
    where: str
    why: str
    do: str

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}. {self.why} {self.do}"


@dataclass(frozen=True)
class _Allowed:
    """What may stand in an object that leaves."""

    pseudonyms: frozenset[str]
    texts: frozenset[str]
    known: tuple[str, ...]
    dates: bool


@cache
def table() -> Mapping[str, Any]:
    """Return the table of ``deidentify.yaml``: what is kept, emptied, replaced and removed."""
    loaded: dict[str, Any] = read_data("osteon.io", "deidentify.yaml")
    return {k: frozenset(v) if isinstance(v, list) and k != "own_roots" else v for k, v in loaded.items()}


def read_salt(path: Path) -> bytes:
    """Return the secret from which new UIDs are made; it is drawn once and written where there is none.

    Keep it inside the hospital and out of every exported folder: who has it can find an original UID by trying.

    Raises
    ------
    InputError
        If the file holds fewer than 16 bytes.
    OsteonError
        If it cannot be written.
    """
    path = Path(path)
    if not path.exists():
        write_atomically(path, secrets.token_bytes(32))
        path.chmod(0o600)
    salt = path.read_bytes()
    _check_salt(salt, str(path))
    return salt


def _check_salt(salt: bytes, where: str) -> None:
    if len(salt) < LEAST_SALT:
        raise InputError(
            f"The salt ({where}) has {len(salt)} bytes.",
            "With a short secret the original UIDs could be found by trying.",
            f"Give at least {LEAST_SALT} random bytes, for example by `read_salt`.",
        )


def new_uid(uid: str, salt: bytes) -> str:
    """Return the replacement of a UID: the same for the same UID and salt; standard UIDs and empty ones stay."""
    if not uid or uid.startswith(table()["standard_root"]):
        return uid
    return f"2.25.{int.from_bytes(hmac.new(salt, uid.encode(), hashlib.sha256).digest()[:16], 'big')}"


def clean(
    dataset: Dataset,
    *,
    salt: bytes,
    pseudonym: str = "anonymous",
    keep: Collection[str] = (),
    keep_dates: bool = False,
) -> Dataset:
    """Return a copy of a DICOM object that says nothing of a person.

    Parameters
    ----------
    dataset : pydicom Dataset
        Not changed.
    salt : bytes
        Secret, at least 16 bytes; equal salts replace equal UIDs equally, so references between files hold.
    pseudonym : str
        New PatientName and PatientID.
    keep : collection of str
        Attributes (DICOM keywords) that were asked to stay as they are.
    keep_dates : bool
        Whether dates and times of examination stay (the birth date never does unless named in ``keep``).

    Returns
    -------
    pydicom Dataset
        With PatientIdentityRemoved and DeidentificationMethod set.

    Raises
    ------
    InputError
        If the salt is too short.
    ImageError
        If the object says that its pixels carry burned-in text.
    """
    _check_salt(salt, "argument")
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES" and "BurnedInAnnotation" not in keep:
        raise ImageError(
            "The image says that text is burned into its pixels.",
            "It may hold a name, which no header rule removes.",
            "Blacken the text first, or export the series without annotations.",
        )
    out = copy.deepcopy(dataset)
    _clean_level(out, salt, frozenset(keep), keep_dates)
    for keyword in table()["pseudonym"] - set(keep):
        if keyword in out:
            setattr(out, keyword, pseudonym)
    out.PatientIdentityRemoved = "YES"
    out.DeidentificationMethod = "osteon: names, typed texts, private removed; UIDs replaced"
    meta = getattr(out, "file_meta", None)
    if meta is not None:
        _clean_level(meta, salt, frozenset(keep), keep_dates)
    if getattr(out, "preamble", None):
        out.preamble = b"\0" * 128
    return out


def _clean_level(level: Dataset, salt: bytes, keep: frozenset[str], keep_dates: bool) -> None:
    rules = table()
    for number, element in enumerate(list(level)):
        keyword = element.keyword
        if keyword and keyword in keep:
            continue
        if _goes(element, keyword):
            del level[element.tag]
        elif keyword in rules["empty"]:
            if element.VR not in rules["date_vr"] or keyword == "PatientBirthDate" or not keep_dates:
                element.value = ""
        elif keyword in rules["replaced"]:
            if not _is_plain(element.value):
                element.value = rules["replaced"][keyword]
        elif element.VR == "SQ":
            for item in element.value:
                _clean_level(item, salt, keep, keep_dates)
        elif element.VR == "UI":
            _replace_uids(element, salt)
        elif keyword in rules["structure"]:
            if not _names_a_structure(str(element.value)):
                element.value = f"structure {level.get('ROINumber', level.get('SegmentNumber', number))}"
        elif element.VR in rules["date_vr"] and not keep_dates:
            del level[element.tag]


def _goes(element: Any, keyword: str) -> bool:
    """Tell whether an element is removed whatever it holds."""
    rules = table()
    group = int(element.tag.group)
    if element.tag.is_private or not keyword or 0x5000 <= group < 0x5100 or 0x6000 <= group < 0x6100:
        return True
    if keyword in rules["remove"]:
        return True
    spared = rules["keep"] | rules["empty"] | rules["structure"] | rules["replaced"].keys()
    return bool(element.VR in rules["text_vr"] and keyword not in spared) or (
        keyword.endswith(("BirthDate", "DeathDate", "BirthTime")) and keyword not in rules["empty"]
    )


def _names_a_structure(name: str) -> bool:
    return structure_named(name) is not None or re.fullmatch(r"structure \d+|Background", name) is not None


def _is_plain(value: Any) -> bool:
    return str(value).strip().upper() in table()["plain"]


def _replace_uids(element: Any, salt: bytes) -> None:
    value = element.value
    if isinstance(value, str):
        element.value = new_uid(value, salt)
    elif value:
        element.value = [new_uid(str(v), salt) for v in value]


def check_clean(
    given: Dataset | Path,
    *,
    pseudonyms: Collection[str] = (),
    known: Collection[str] = (),
    keep_dates: bool = False,
    texts: Collection[str] = (),
) -> list[Finding]:
    """Return everything in a DICOM object, a file or a folder that would tell of a person.

    Parameters
    ----------
    given : pydicom Dataset or Path
        A file or folder is searched as ``private_files.check_files`` says: DICOM by its elements, others by texts and names.
    pseudonyms : collection of str
        What PatientName and PatientID may be, besides empty and "anonymous".
    known : collection of str
        Names, numbers and UIDs of this patient that must occur nowhere.
    keep_dates : bool
        Whether dates of examination may stay; a birth date never may.
    texts : collection of str
        Descriptions that osteon itself wrote; what begins with "osteon" is taken for such.

    Returns
    -------
    list of Finding
        Empty where clean. A file of another kind is "unchecked", not clean.
    """
    allowed = _Allowed(frozenset(pseudonyms) | OWN, frozenset(texts) | OWN, tuple(filter(None, known)), keep_dates)
    if isinstance(given, Dataset):
        return list(_check_dataset(given, "", allowed))
    from osteon.io.private_files import check_files

    return check_files(Path(given), allowed.known, lambda dataset, where: list(_check_dataset(dataset, where, allowed)))


def _check_dataset(dataset: Dataset, where: str, allowed: _Allowed) -> Iterator[Finding]:
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        yield Finding("pixels", f"{where}BurnedInAnnotation", "Text in the pixels may be a name.", "Blacken it.")
    for part in (getattr(dataset, "file_meta", None), dataset):
        if part is not None:
            yield from _check_level(part, where, allowed)


def _check_level(level: Dataset, where: str, allowed: _Allowed) -> Iterator[Finding]:
    for element in level:
        place = f"{where}{element.keyword or element.tag}"
        if element.VR == "SQ" and not _goes(element, element.keyword):
            for i, item in enumerate(element.value):
                yield from _check_level(item, f"{place}[{i}].", allowed)
            continue
        values = [str(v) for v in (element.value if element.VM > 1 else [element.value])] if element.VR not in _binary() else []
        if any(_place_of(word, value) >= 0 for word in allowed.known for value in values):
            yield Finding("known", place, "It holds what is known of this patient.", "Run `clean` before writing.")
        finding = _judge(element, place, values, allowed)
        if finding is not None:
            yield finding


def _binary() -> frozenset[str]:
    return frozenset(("OB", "OW", "OF", "OD", "OL", "OV", "OB or OW"))


def _judge(element: Any, place: str, values: list[str], allowed: _Allowed) -> Finding | None:
    """Return what speaks against one element, or None."""
    rules, keyword = table(), element.keyword
    filled = any(v.strip() and v not in ("None", NO_DAY) for v in values)
    filled &= element.VR != "TM" or any(
        v.strip("0.: ") for v in values
    )  # SEG must have a time; midnight says plainly that it is none
    own = all(v in allowed.texts or v.startswith("osteon") for v in values)
    clean_it = "Run `clean` before writing."
    if element.tag.is_private:
        return Finding("private", place, "Private elements hold anything, names too.", clean_it)
    if "Birth" in keyword and element.VR in rules["date_vr"]:
        return Finding("birth_date", place, "A birth date finds a person.", clean_it) if filled else None
    if keyword in rules["pseudonym"]:
        if all(v in allowed.pseudonyms for v in values):
            return None
        return Finding("name", place, "It is not a pseudonym that was given.", clean_it)
    if element.VR == "PN":
        return Finding("name", place, "It is a person's name.", clean_it) if filled and set(values) - allowed.pseudonyms else None
    if element.VR == "UI":
        roots = (rules["standard_root"], *rules["own_roots"])
        foreign = filled and not all(v.startswith(roots) for v in values)
        return Finding("uid", place, "An original UID leads back to the hospital's archive.", clean_it) if foreign else None
    if element.VR in rules["date_vr"]:
        told = filled and not allowed.dates
        return Finding("date", place, "A day of examination narrows down who it was.", clean_it) if told else None
    if keyword in rules["replaced"]:
        told = not own and not all(_is_plain(v) for v in values)
        return Finding("text", place, "Text that somebody typed may tell who it is.", clean_it) if told else None
    if keyword in rules["structure"] and filled:
        return (
            None
            if all(_names_a_structure(v) for v in values)
            else Finding("text", place, "A name outside the vocabulary may be a person's.", clean_it)
        )
    if _goes(element, keyword) or (keyword in rules["empty"] and filled):
        told = element.VR in _binary() or (filled and not own)
        return Finding("text", place, "Text that somebody typed may tell who it is.", clean_it) if told else None
    return None


def scan_text(text: str, *, known: Collection[str] = (), own_uids: bool = False) -> list[Finding]:
    """Return what in a JSON, HTML or other text, or in a file name, would tell of a person.

    Parameters
    ----------
    text : str
        Any.
    known : collection of str
        Names, numbers and UIDs of this patient that must not occur.
    own_uids : bool
        Whether UIDs that osteon made itself may occur.

    Returns
    -------
    list of Finding
        UIDs other than those of the DICOM standard, ``FAMILY^GIVEN`` names, filled DICOM attributes, and ``known``.
    """
    rules = table()
    allowed = (rules["standard_root"], *(rules["own_roots"] if own_uids else ()))
    found = [
        Finding("uid", f"character {m.start()}", "An original UID leads back to the archive.", "Leave it out.")
        for m in UID.finditer(text)
        if not m.group().startswith(allowed)
    ]
    found += [
        Finding("name", f"character {m.start()}", "It is written as DICOM writes names.", "Leave it out.")
        for m in PERSON.finditer(text)
    ]
    found += [
        Finding("text", f"character {m.start()}, {m.group(1)}", "It tells who or which examination it was.", "Leave it out.")
        for m in _telling().finditer(text)
    ]
    for word in filter(None, known):
        at = _place_of(word, text)
        if at >= 0:
            found.append(Finding("known", f"character {at}", "It holds what is known of this patient.", "Leave it out."))
    return found


def _place_of(word: str, text: str) -> int:
    """Return where a word stands, in any case, or -1; a short one counts only where it stands alone."""
    if len(word) > SHORT:
        return text.casefold().find(word.casefold())
    alone = re.search(rf"(?<![^\W\d_]){re.escape(word)}(?![^\W\d_])", text, re.IGNORECASE)
    return alone.start() if alone else -1


@cache
def _telling() -> re.Pattern[str]:
    words = "|".join(sorted(table()["telling"]))
    return re.compile(rf"""\b({words})\b["']?\s*[:=]\s*["']?(?!["'\s,}}\]]|null|None|anonymous)""")
