"""The papers behind a result: ``cite(anything)`` gives exactly those, as text or BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from osteon.data_files import parse_data
from osteon.errors import MissingError
from osteon.evidence.value import Value

Status = Literal["read", "abstract", "quoted", "unverified"]
STATUSES = ("read", "abstract", "quoted", "unverified")
OPENING = re.compile(r"\[(\d{3})\s*«")
QUOTATION = re.compile(r"\[(?P<seed>\d{3}) «(?P<words>[^«»]+)»\]")
NAMES_A_SOURCE = frozenset({"source", "sources", "quotes", "also", "reference_source"})


@dataclass(frozen=True)
class Paper:
    """One source.

    Parameters
    ----------
    id : str
        Name of its file in ``evidence/papers``.
    seed : str or None
        Three digits of the quotation keys ``[00n «...»]`` that point into it.
    authors, title, journal : str
        As printed; ``journal`` holds volume and pages too.
    year : int or None
        Of publication.
    doi, pmid : str or None
        Where known.
    note : str
        What was taken from it and how far it was checked.
    status : {"read", "abstract", "quoted", "unverified"}
        Read in full; only its abstract; known through another source that quotes it; not confirmed.
    """

    id: str
    seed: str | None
    authors: str
    title: str
    journal: str
    year: int | None
    doi: str | None
    pmid: str | None
    note: str
    status: Status


@cache
def papers() -> Mapping[str, Paper]:
    """Return every known source, by id, in order of id.

    Raises
    ------
    MissingError
        If a file in ``evidence/papers`` lacks a part or names another id than its own.
    """
    found: dict[str, Paper] = {}
    folder = resources.files("osteon.evidence").joinpath("papers")
    for file in sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name):
        entry: dict[str, Any] = parse_data(file.read_text(encoding="utf-8"))
        faults = [k for k in ("id", "title", "note", "status") if not str(entry.get(k) or "").strip()]
        if faults or f"{entry['id']}.yaml" != file.name or entry["status"] not in STATUSES:
            raise MissingError(
                f"papers/{file.name} is not a source: missing {faults or 'nothing'}, id {entry.get('id')!r}.",
                "A number without an honest source cannot be judged.",
                f"Give id (the file's name), title, note and status ({', '.join(STATUSES)}).",
            )
        found[entry["id"]] = Paper(
            id=entry["id"],
            seed=entry.get("seed"),
            authors=entry.get("authors") or "",
            title=entry["title"],
            journal=entry.get("journal") or "",
            year=entry.get("year"),
            doi=entry.get("doi"),
            pmid=None if entry.get("pmid") is None else str(entry["pmid"]),
            note=" ".join(entry["note"].split()),
            status=entry["status"],
        )
    return dict(sorted(found.items()))


@cache
def _by_seed() -> Mapping[str, Paper]:
    return {p.seed: p for p in papers().values() if p.seed is not None}


def quote_keys(text: str) -> list[tuple[str, str]]:
    """Return the quotation keys ``[00n «words»]`` in a text as (seed, words), white space made one blank."""
    return [(m["seed"], " ".join(m["words"].split())) for m in QUOTATION.finditer(text)]


def source_ids(text: str) -> list[str]:
    """Return the source ids in a ``source`` field: what is left beside quotation keys, parted by comma or semicolon."""
    rest = QUOTATION.sub(" , ", text)
    return [part.strip() for part in re.split(r"[,;]", rest) if part.strip()]


def cite(*things: object) -> list[Paper]:
    """Return exactly the papers behind some results.

    Walks dataclasses, mappings and sequences. A field or key called ``source``, ``sources`` or ``quotes`` names ids of papers
    or quotation keys; a quotation key counts wherever it stands in a text.

    Parameters
    ----------
    *things : object
        Values, Findings, Reasons, Plans, a whole Journey, or ids of papers.

    Returns
    -------
    list of Paper
        Each once, in order of id.

    Raises
    ------
    MissingError
        If a source id or the seed of a quotation has no paper, or a Value has no source.
    """
    ids: set[str] = set()
    unknown: set[str] = set()
    named = [t for t in things if isinstance(t, str) and t in papers()]
    for name in (*named, *_walk(things, as_source=False, seen=set())):
        if name.startswith("seed "):
            paper = _by_seed().get(name.removeprefix("seed "))
            (ids.add(paper.id) if paper else unknown.add(name))
        else:
            (ids.add(name) if name in papers() else unknown.add(name))
    if unknown:
        listed = ", ".join(sorted(repr(u) for u in unknown))
        raise MissingError(
            f"No paper is known for the source {listed}.",
            "A number whose source cannot be named cannot be checked by anyone.",
            "Add a file evidence/papers/<id>.yaml, or correct the source field.",
        )
    return [papers()[i] for i in sorted(ids)]


def _walk(thing: object, as_source: bool, seen: set[int]) -> Iterator[str]:
    """Yield ids of papers and ``seed 00n`` for quotation keys, in whatever order."""
    if isinstance(thing, str):
        yield from (f"seed {seed}" for seed, _ in quote_keys(thing))
        if as_source:
            yield from source_ids(thing)
        return
    if isinstance(thing, Mapping):
        if id(thing) not in seen:
            seen.add(id(thing))
            for key, value in thing.items():
                if is_dataclass(key):
                    yield from _walk(key, False, seen)
                yield from _walk(value, key in NAMES_A_SOURCE if isinstance(key, str) else False, seen)
    elif is_dataclass(thing) and not isinstance(thing, type):
        if id(thing) not in seen:
            seen.add(id(thing))
            if isinstance(thing, Value) and not thing.source.strip():
                yield f"(none: a Value of {thing.number} {thing.unit})"
            for each in fields(thing):
                yield from _walk(getattr(thing, each.name), each.name in NAMES_A_SOURCE, seen)
    elif isinstance(thing, (list, tuple, set, frozenset)):
        for item in thing:
            yield from _walk(item, as_source, seen)


def text(paper: Paper) -> str:
    """Return one line: authors, title, journal, year, identifiers, and how far it was checked."""
    year = f" ({paper.year})" if paper.year and str(paper.year) not in paper.journal else ""
    parts = [paper.authors, paper.title, f"{paper.journal}{year}".strip()]
    line = ". ".join(p.rstrip(".") for p in parts if p) + "."
    if paper.doi:
        line += f" doi:{paper.doi}."
    if paper.pmid:
        line += f" PMID {paper.pmid}."
    checked = {
        "read": "",
        "abstract": " [only the abstract was read]",
        "quoted": " [known through another source that quotes it]",
        "unverified": " [not confirmed]",
    }
    return line + checked[paper.status]


def bibtex(listed: Iterable[Paper]) -> str:
    """Return BibTeX entries, one per paper; letters that BibTeX reads as its own are escaped."""
    return "\n".join(_entry(paper) for paper in listed)


def _entry(paper: Paper) -> str:
    kind = "article" if paper.journal else "misc"
    rows = [
        ("author", " and ".join(_authors(paper.authors))),
        ("title", f"{{{paper.title}}}"),
        ("journal", paper.journal),
        ("year", str(paper.year or "")),
        ("doi", paper.doi or ""),
        ("pmid", paper.pmid or ""),
        (
            "note",
            {"read": "", "abstract": "abstract read", "quoted": "quoted by others", "unverified": "not confirmed"}[paper.status],
        ),
    ]
    body = ",\n".join(f"  {k} = {{{_escape(v)}}}" for k, v in rows if v)
    return f"@{kind}{{{paper.id},\n{body}\n}}\n"


def _authors(printed: str) -> list[str]:
    return [a.strip() for a in re.split(r",|;| and ", printed) if a.strip()]


def _escape(words: str) -> str:
    return re.sub(r"([&%$#_])", r"\\\1", words)
