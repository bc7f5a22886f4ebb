"""Literal quotations: where each stands in its paper, and digests by which a change is seen even without the papers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from osteon.data_files import read_data
from osteon.errors import MissingError
from osteon.evidence.source import OPENING, QUOTATION, quote_keys

CONTEXT = 40


@dataclass(frozen=True)
class Quote:
    """One quotation as the index keeps it.

    Parameters
    ----------
    seed, words : str
        The paper's three digits and its own words.
    offset : int
        Where they first stand in the normalised text, in characters.
    words_sha256 : str
        Digest of the words.
    context_sha256 : str
        Digest of the words with 40 characters of the paper on either side.
    """

    seed: str
    words: str
    offset: int
    words_sha256: str
    context_sha256: str


@dataclass(frozen=True)
class Index:
    """All quotations, and the digest of each whole normalised paper."""

    papers: Mapping[str, str]
    quotes: Mapping[tuple[str, str], Quote]


def normalise(text: str) -> str:
    """Return the text with every run of white space turned into one blank; nothing else is changed."""
    return " ".join(text.split())


def digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@cache
def index() -> Index:
    """Return the stored index ``quotes.yaml``."""
    tree: dict[str, Any] = read_data("osteon.evidence", "quotes.yaml")
    quotes = [Quote(**entry) for entry in tree["quotes"]]
    return Index(dict(tree["papers"]), {(q.seed, q.words): q for q in quotes})


def keys_in_tree(folder: Path) -> dict[tuple[str, str], str]:
    """Return every quotation key in the YAML and Python files of a folder, with the file where it first stands.

    Raises
    ------
    MissingError
        If a quotation is opened but not of the form ``[00n «words»]``.
    """
    found: dict[tuple[str, str], str] = {}
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.py")]):
        if path.name == "quotes.yaml":
            continue
        text = path.read_text(encoding="utf-8")
        for opening in OPENING.finditer(text):
            if QUOTATION.match(text, opening.start()) is None:
                line = text.count("\n", 0, opening.start()) + 1
                raise MissingError(
                    f"{path.name}:{line} opens a quotation that is not of the form [00n «words»].",
                    "A quotation that cannot be read cannot be checked against its paper.",
                    "Write three digits, one blank, and the words between « and » with ] after them.",
                )
        for key in quote_keys(text):
            found.setdefault(key, path.relative_to(folder).as_posix())
    return found


def read_seeds(folder: Path) -> dict[str, str]:
    """Return the normalised text of each paper ``seed-N-*.txt`` under its three digits.

    Raises
    ------
    MissingError
        If there is none in that folder.
    """
    found = {p.name.split("-")[1].zfill(3): normalise(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("seed-*-*.txt"))}
    if not found:
        raise MissingError(
            f"There is no seed-N-*.txt in {folder}.",
            "Without the papers, quotations can only be held against the stored digests.",
            "Name the folder with the five papers.",
        )
    return found


def locate(seed: str, words: str, texts: Mapping[str, str]) -> Quote | None:
    """Return a quotation with its offset and digests, or None where the paper does not hold it."""
    text = texts.get(seed, "")
    at = text.find(words) if words else -1
    if at < 0:
        return None
    around = text[max(0, at - CONTEXT) : at + len(words) + CONTEXT]
    return Quote(seed, words, at, digest(words), digest(around))


def faults(keys: Iterable[tuple[str, str]], texts: Mapping[str, str] | None = None) -> list[str]:
    """Return what is wrong with some quotations: held against the index, and against the papers where they are given.

    Parameters
    ----------
    keys : iterable of (str, str)
        Seed and words.
    texts : mapping, optional
        Normalised papers, from ``read_seeds``.

    Returns
    -------
    list of str
        One line per fault; empty when all is well.
    """
    stored = index()
    found: list[str] = []
    for seed, digest_of_paper in stored.papers.items():
        if texts is not None and (seed not in texts or digest(texts[seed]) != digest_of_paper):
            found.append(f"the text of seed {seed} is not the one that was indexed")
    for seed, words in keys:
        name = f"[{seed} «{words}»]"
        quote = stored.quotes.get((seed, words))
        if quote is None:
            found.append(f"{name} is not in the index: run scripts/index_quotes.py")
        elif digest(words) != quote.words_sha256:
            found.append(f"{name} does not match its stored digest")
        elif texts is not None:
            actual = locate(seed, words, texts)
            if actual is None:
                found.append(f"{name} does not stand in seed {seed}")
            elif actual != quote:
                found.append(f"{name} stands at {actual.offset}, stored {quote.offset}, or its surroundings changed")
    return found


def dump(keys: Iterable[tuple[str, str]], texts: Mapping[str, str]) -> str:
    """Return the index as YAML text.

    Raises
    ------
    MissingError
        If a quotation does not stand in its paper.
    """
    import yaml

    located = {key: locate(*key, texts) for key in sorted(set(keys))}
    absent = [f"[{s} «{w}»]" for (s, w), quote in located.items() if quote is None]
    if absent:
        raise MissingError(
            f"{len(absent)} quotations do not stand in their papers: {'; '.join(absent)}.",
            "A reason that misquotes its source is worse than none.",
            "Copy the words from the paper; case, hyphens and quotation marks must match.",
        )
    tree = {
        "papers": {seed: digest(text) for seed, text in sorted(texts.items())},
        "quotes": [vars(quote) for quote in located.values() if quote is not None],
    }
    head = "# Written by scripts/index_quotes.py. Offsets and digests of the papers with white space made one blank.\n"
    return head + yaml.safe_dump(tree, allow_unicode=True, sort_keys=False, width=1000)
