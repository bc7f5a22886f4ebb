"""Names that need no thought: ids of the vocabulary and TotalSegmentator's classes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from osteon.data_files import read_data
from osteon.space.anatomy import Structure, structures


@cache
def totalsegmentator() -> Mapping[int, tuple[str, str]]:
    """Return TotalSegmentator's classes: number to its own name and to the structure id."""
    entries = read_data("osteon.io", "totalsegmentator.yaml")
    return {int(k): (str(v["name"]), str(v["structure"])) for k, v in entries.items()}


def structure_named(name: str) -> Structure | None:
    """Return the structure that a name stands for: an id of the vocabulary or a name of TotalSegmentator; None if neither."""
    found = dict(totalsegmentator().values()).get(name, name)
    return structures().get(found)
