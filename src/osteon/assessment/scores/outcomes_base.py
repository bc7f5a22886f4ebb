"""What every outcome that is graded shares: the class or classes that are left, and by which definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from osteon.errors import InputError
from osteon.facts import State


@dataclass(frozen=True)
class Outcome:
    """An outcome by one definition.

    Parameters
    ----------
    definition : str
        Id of the definition or version, for example "consensus-2012"; kept with every stored outcome.
    state : Known, OneOf, Interval, Unknown or NotApplicable
        The class or number, or those that are left where something is not known.
    text : str
        In words, with what the definition leaves open.
    quotes : tuple of str
        Quotation keys and paper ids.
    """

    definition: str
    state: State
    text: str
    quotes: tuple[str, ...] = ()


Conditions = Mapping[str, Sequence[object]]


def classes(rows: Sequence[Mapping[str, object]], answers: Mapping[str, Sequence[object]]) -> tuple[str, ...]:
    """Return the classes that a table leaves, over every completion of what is open.

    Parameters
    ----------
    rows : sequence of mapping
        Each with ``class`` (one or several, where the definition leaves it open) and ``any``: one of these conjunctions must
        hold, each a mapping of a question to the answers that fit. The first row that fits decides.
    answers : mapping of str to sequence
        What each question may still be answered.

    Returns
    -------
    tuple of str
        The mildest first: tables begin with the gravest.

    Raises
    ------
    ValueError
        If no row fits an answer: the table is not complete.
    """
    found: set[str] = set()
    for values in product(*answers.values()):
        case = dict(zip(answers, values, strict=True))
        row = next((r for r in rows if any(_fits(c, case) for c in _list(r["any"]))), None)
        if row is None:
            raise ValueError(f"no class for {case}")
        found.update(str(c) for c in _list(row["class"]))
    order = dict.fromkeys(str(c) for r in reversed(rows) for c in _list(r["class"]))
    return tuple(c for c in order if c in found)


def chosen(name: str, among: Sequence[str], what: str) -> str:
    """Return a name that is one of several.

    Raises
    ------
    InputError
        If it is none of them.
    """
    if name in among:
        return name
    raise InputError(
        f"There is no {what} {name!r}.",
        "An outcome without its definition cannot be compared with any other.",
        f"Use one of: {', '.join(among)}.",
    )


def _fits(conditions: object, case: Mapping[str, object]) -> bool:
    assert isinstance(conditions, Mapping)
    return all(case[name] in _list(wanted) for name, wanted in conditions.items())


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else (value,)
