"""What an outline's name or code means: a structure of the vocabulary, a question to be asked, or nothing that is known.

A side is read where it is written and asked where it is not; it is never guessed. Planning volumes (a margin, a ring, the
rest) are no anatomy and stay unmapped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.io.class_names import structure_named
from osteon.space.anatomy import Structure, structure, structures

Side = Literal["left", "right"]
_VERTEBRA = re.compile(r"^(?:(c|hwk)([1-7])|(t|th|bwk)([1-9]|1[0-2])|(l|lwk)([1-5])|(s|swk)(1))$")
_VERTEBRA_WORDS = {"vertebra", "vertebrae", "vertebral", "vb", "body", "corpus", "wk", "wirbel", "wirbelkoerper", "spine"}
_REGIONS = {"hwk": "C", "c": "C", "bwk": "T", "th": "T", "t": "T", "lwk": "L", "l": "L", "swk": "S", "s": "S"}


@dataclass(frozen=True)
class Question:
    """A name that cannot be decided without a person.

    Parameters
    ----------
    name : str
        As the file writes it.
    text : str
        The question.
    choices : tuple of Structure
        Possible answers; it may also be none of them.
    """

    name: str
    text: str
    choices: tuple[Structure, ...]


@dataclass(frozen=True)
class Resolved:
    """Names of one file.

    Parameters
    ----------
    structures : dict of str to Structure
        What is decided; several names may stand for one structure (lobes of a lung).
    questions : tuple of Question
        What must be asked.
    unmapped : dict of str to str
        Names that stay out, and why.
    """

    structures: dict[str, Structure]
    questions: tuple[Question, ...]
    unmapped: dict[str, str]


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = read_data("osteon.io", "structure_names.yaml")
    return found


@cache
def _phrases() -> Mapping[str, str]:
    """Return every known phrase with the unsided id it stands for."""
    found: dict[str, str] = {}
    for key, item in structures().items():
        base = _base(key)
        for text in (base, item.name.removeprefix(f"{item.side} ").split(" (")[0]):
            found[_joined(text)] = base
    for base, listed in _table()["synonyms"].items():
        for text in listed:
            found[_joined(text)] = base
    return found


def resolve(name: str, *, code: tuple[str, str] | None = None, side: Side | None = None) -> Structure | Question | None:
    """Return what an outline stands for.

    Parameters
    ----------
    name : str
        As the file writes it: an id of the vocabulary, a class of TotalSegmentator, or free text (``Lung-Left``).
    code : (value, scheme) or None
        Of the segment's property type; SCT, SRT and SNOMED are understood.
    side : {"left", "right"} or None
        Where the file says it beside the name (a modifier code).

    Returns
    -------
    Structure, Question or None
        None: not in the vocabulary, or no anatomy. A question where a side is missing, the name means several structures, or name
        and code contradict each other.

    Examples
    --------
    >>> str(resolve("Lung-Left"))
    'lung_left'
    >>> resolve("lung").text
    "Which side is 'lung'?"
    """
    by_name = _by_name(name, side)
    if code is None:
        return by_name
    by_code = _by_code(name, code, side)
    if by_code is None or by_code == by_name or _is_derived(name):
        return by_name
    if by_name is None:
        return by_code
    named, coded = _options(by_name), _options(by_code)
    common = tuple(s for s in named if s in coded)
    if len(common) == 1 and (isinstance(by_name, Structure) or isinstance(by_code, Structure)):
        return common[0]
    if common:
        return Question(name, f"What is {name!r}? Name and code {code[0]} leave a choice.", common)
    text = f"What is {name!r}? The name says {_list(named)}, the code {code[0]} ({code[1]}) says {_list(coded)}."
    return Question(name, text, tuple(dict.fromkeys((*named, *coded))))


def resolve_all(
    names: Iterable[str],
    answers: Mapping[str, str] | None = None,
    codes: Mapping[str, tuple[str, str]] | None = None,
    sides: Mapping[str, Side | None] | None = None,
) -> Resolved:
    """Return what the outlines of one file stand for, with what must be asked and what stays out.

    Parameters
    ----------
    names : iterable of str
        As the file writes them.
    answers : mapping of str to str
        Given answers: name to structure id, or ``ignore``.
    codes, sides : mapping
        Codes and sides by name, where the file has them.

    Returns
    -------
    Resolved
        Two names for the lesion are a question: they may be two lesions.

    Raises
    ------
    InputError
        If an answer is no structure of the vocabulary.
    """
    given, codes, sides = dict(answers or {}), dict(codes or {}), dict(sides or {})
    found: dict[str, Structure] = {}
    questions: list[Question] = []
    unmapped: dict[str, str] = {}
    for name in dict.fromkeys(names):
        if name in given:
            if given[name] == "ignore":
                unmapped[name] = "left out as told"
            else:
                found[name] = structure_named(given[name]) or structure(given[name])
            continue
        result = resolve(name, code=codes.get(name), side=sides.get(name))
        if isinstance(result, Structure):
            found[name] = result
        elif isinstance(result, Question):
            questions.append(result)
        else:
            unmapped[name] = (
                "a planning volume, no anatomy" if _is_derived(name) else "not in the vocabulary or the table of names"
            )
    lesions = [n for n, s in found.items() if s.id == "lesion" and n not in given]
    told = [n for n, s in found.items() if s.id == "lesion" and n in given]
    if len(lesions) + len(told) > 1:
        both = (structure("lesion"), structure("other_lesion"))
        for name in lesions:
            questions.append(Question(name, f"{_list([*told, *lesions])} may all be lesions: which is {name!r}?", both))
            del found[name]
    return Resolved(found, tuple(questions), unmapped)


def by_code(value: str, scheme: str, side: Side | None = None) -> Structure | Question | None:
    """Return what a code stands for; a sided structure without side is a question.

    Raises
    ------
    InputError
        If the code is empty.
    """
    if not value.strip():
        raise InputError("The code is empty.", "It stands for nothing.", "Give the code value, or resolve by name.")
    return _by_code("", (value, scheme), side)


def _by_name(name: str, side: Side | None) -> Structure | Question | None:
    exact = structure_named(name.strip())
    if exact is not None:
        return exact if side in (None, exact.side) or exact.side is None else _contradiction(name, exact, side)
    if _is_derived(name):
        return None
    tokens = _tokens(name)
    vertebrae = [structures()[f"vertebra_{v}"] for v in map(_vertebra, tokens) if v]
    weighting = {"mr", "mri", "mrt"} & set(tokens)  # T1 is then no vertebra
    if vertebrae and not weighting and all(_vertebra(t) or t in _VERTEBRA_WORDS or t in _noise() for t in tokens):
        if len(vertebrae) == 1:
            return vertebrae[0]
        return Question(name, f"Which vertebra is {name!r}? It names several.", tuple(vertebrae))
    sides, words = _sides(tokens)
    sides |= {side} if side else set()
    words = [re.sub(r"\d+$", "", w) for w in words if w not in _noise()]
    words = [w for w in words if w and w not in _noise()]
    for phrase in dict.fromkeys((" ".join(words), "".join(words))):
        asked = _table()["ask"].get(phrase)
        if asked:
            choices = tuple(s for base in asked["choices"] for s in _of_base(base, sides))
            return Question(name, f"What does {name!r} stand for? {asked['why'][0].upper()}{asked['why'][1:]}.", choices)
        if phrase in _phrases():
            return _sided(name, _phrases()[phrase], sides)
    return _rib(name, tokens, sides) if words in (["rib"], ["ribs"], ["rippe"], ["rippen"]) else None


def _by_code(name: str, code: tuple[str, str], side: Side | None) -> Structure | Question | None:
    value = _snomed(*code)
    bases = list(dict.fromkeys(_base(k) for k, s in structures().items() if value and s.code == value))
    if not bases:
        return None
    tokens, _ = _sides(_tokens(name))
    sides = tokens | ({side} if side else set())
    if len(bases) == 1:
        return _sided(name or code[0], bases[0], sides)
    choices = tuple(s for base in bases for s in _of_base(base, sides))
    return Question(name or code[0], f"What is {name or code[0]!r}? Its code {code[0]} stands for several structures.", choices)


def _snomed(value: str, scheme: str) -> str | None:
    """Return the SNOMED CT code; old SRT codes by pydicom's own mapping."""
    if scheme.upper() in {"SCT", "SNOMED", "SNOMEDCT", "SNOMED-CT"}:
        return value
    if scheme.upper() in {"SRT", "SNM3", "99SDM"}:
        from pydicom.sr._snomed_dict import mapping

        found = mapping["SRT"].get(value)
        return None if found is None else str(found)
    return None


def _sided(name: str, base: str, sides: set[str]) -> Structure | Question:
    single = structures().get(base)
    if single is not None:
        if sides and single.kind != "lesion":
            return Question(
                name, f"{name!r} names a side, but {single.name} is one structure: does it stand for all of it?", (single,)
            )
        return single
    choices = tuple(structures()[f"{base}_{side}"] for side in ("left", "right"))
    if len(sides) == 1 and "both" not in sides:
        return structures()[f"{base}_{next(iter(sides))}"]
    if sides:
        return Question(
            name, f"{name!r} names both sides: split the outline into left and right, or say which one it is.", choices
        )
    return Question(name, f"Which side is {name!r}?", choices)


def _contradiction(name: str, exact: Structure, side: Side) -> Question:
    other = structures()[f"{_base(exact.id)}_{side}"]
    return Question(name, f"Which side is {name!r}? The name says {exact.side}, the file's modifier says {side}.", (exact, other))


def _rib(name: str, tokens: list[str], sides: set[str]) -> Structure | Question | None:
    counts = [int(n) for t in tokens for n in re.findall(r"\d+", t)]
    if len(counts) == 1 and 1 <= counts[0] <= 12:
        return _sided(name, f"rib_{counts[0]}", sides)
    choices = tuple(s for i in range(1, 13) for s in _of_base(f"rib_{i}", sides))
    return Question(name, f"Which rib is {name!r}?", choices)


def _of_base(base: str, sides: set[str]) -> tuple[Structure, ...]:
    if base in structures():
        return (structures()[base],)
    wanted = sides if len(sides) == 1 and "both" not in sides else ("left", "right")
    return tuple(structures()[f"{base}_{side}"] for side in wanted)


def _options(result: Structure | Question) -> tuple[Structure, ...]:
    return result.choices if isinstance(result, Question) else (result,)


def _base(key: str) -> str:
    side = structures()[key].side
    return key.removesuffix(f"_{side}") if side else key


def _list(items: Iterable[object]) -> str:
    return " or ".join(item.name if isinstance(item, Structure) else repr(item) for item in items)


def _vertebra(token: str) -> str | None:
    found = _VERTEBRA.match(token)
    if not found:
        return None
    region, number = (g for g in found.groups() if g)
    return f"{_REGIONS[region]}{number}"


@cache
def _noise() -> frozenset[str]:
    return frozenset(_table()["noise"])


def _is_derived(name: str) -> bool:
    words = {re.sub(r"\d+$", "", t) for t in _tokens(name)}
    return structure_named(name.strip()) is None and (
        bool(words & set(_table()["derived"])) or bool(re.search(r"[+!~]|\w-\s*[A-Z]?(PTV|CTV|GTV)\b", name))
    )


def _sides(tokens: list[str]) -> tuple[set[str], list[str]]:
    table = _table()["side"]
    found = {key for token in tokens for key, words in table.items() if token in words}
    used = {word for words in table.values() for word in words}
    return found, [t for t in tokens if t not in used]


def _tokens(name: str) -> list[str]:
    """Split a name into lower-case words: at signs, at blanks and where a small letter meets a capital."""
    folded = name.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue").replace("ß", "ss")
    folded = unicodedata.normalize("NFKD", folded).encode("ascii", "ignore").decode()
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", folded)
    tokens = re.findall(r"[a-z]+\d*|\d+", split.lower())
    joined: list[str] = []
    for token in tokens:  # "LWK 3" is one word
        if joined and joined[-1] in {"lwk", "bwk", "hwk", "swk", "th"} and token.isdigit():
            joined[-1] += token.lstrip("0")
        else:
            joined.append(token)
    return joined


def _joined(text: str) -> str:
    return " ".join(w for w in _tokens(text.replace("_", " ")) if w not in _noise())
