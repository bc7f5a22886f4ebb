"""Which rows of the catalogue a name means: full names, short names, titles."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.treatments.catalog import entries


@cache
def aliases() -> Mapping[str, tuple[str, ...]]:
    """Return ``aliases.yaml``: short name to names of rows."""
    loaded = read_data("osteon.treatments", "aliases.yaml")
    return {str(short): tuple(names) for short, names in loaded.items()}


def rows_named(name: str) -> tuple[str, ...]:
    """Return the rows of the catalogue that a name means.

    Parameters
    ----------
    name : str
        A row's name, a short name of ``aliases.yaml``, or the beginning of exactly one row's name; case, blanks and hyphens
        do not matter.

    Raises
    ------
    InputError
        If no row is meant.
    """
    wanted = "_".join(name.strip().lower().replace("-", " ").split())
    known = entries()
    if wanted in known:
        return (wanted,)
    meant = tuple(row for row in aliases().get(wanted, ()) if row in known)
    begun = [row for row in known if row.startswith(wanted)] if len(wanted) > 2 else []
    if meant or len(begun) == 1:
        return meant or tuple(begun)
    near = get_close_matches(wanted, [*known, *aliases()], n=3, cutoff=0.5)
    raise InputError(
        f"There is no treatment {name!r}.",
        "Only treatments in the catalogue can be asked about.",
        (f"Did you mean {' or '.join(near)}? " if near else "") + "See `osteon list treatments`.",
    )
