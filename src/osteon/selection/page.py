"""A file of the rule base with the line of every entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from osteon.selection.snapshot import GUIDELINES, TREATMENTS, Snapshot

Place = tuple[str | int, ...]


@dataclass
class Page:
    """One file.

    Parameters
    ----------
    path : str
        Inside osteon.
    tree : object
        Parsed; None where it is no YAML.
    lines : dict
        Place in the tree (keys and indices) to line, from 1.
    faults : list of (line, text)
        What keeps it from being read as meant: no YAML, a key twice.
    beside : frozenset of str
        Paths of the other files.
    """

    path: str
    tree: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)
    beside: frozenset[str] = frozenset()

    @property
    def rules(self) -> list[Any]:
        """The entries that are rules or includes."""
        found = self.tree.get("rules") if isinstance(self.tree, dict) else self.tree
        return found if isinstance(found, list) else []

    def line(self, *place: str | int) -> int:
        """Return the line of an entry, or of the deepest part of its place that the file has."""
        known: Place = ()
        for part in place[1:] if place[:1] == ("rules",) and isinstance(self.tree, list) else place:
            if (*known, part) not in self.lines:
                break
            known = (*known, part)
        return self.lines.get(known, 1)


def pages_of(snapshot: Snapshot) -> Iterator[Page]:
    """Yield the guidelines and the rows of a rule base."""
    beside = frozenset(snapshot.files)
    for path, text in snapshot.files.items():
        if path.startswith((GUIDELINES, TREATMENTS)):
            yield page(path, text, beside)


def page(path: str, text: str, beside: frozenset[str] = frozenset()) -> Page:
    """Read one file with its lines; what is wrong with it stands in ``faults``."""
    found = _read(path, text, beside)
    if found.faults and found.tree is None:
        return found
    if not isinstance(found.tree, (dict, list)):
        found.faults.append((1, "there are no rules in this file"))
    elif isinstance(found.tree, dict) and not isinstance(found.tree.get("rules"), list):
        found.faults.append((found.line("rules"), "`rules` is no list"))
    return found


def faults_of(text: str) -> list[tuple[int, str]]:
    """Return, with its line, what keeps a text from being read as YAML as meant."""
    return _read("", text, frozenset()).faults


def _read(path: str, text: str, beside: frozenset[str]) -> Page:
    import yaml

    found = Page(path, beside=beside)
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        root = yaml.compose(text, Loader=loader)
        found.tree = yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        words = " ".join(str(getattr(error, "problem", None) or error).split())
        found.faults.append((mark.line + 1 if mark is not None else 1, f"this is no YAML: {words}"))
        return found
    if root is not None:
        _walk(root, (), found)
    return found


def _walk(node: Any, place: Place, found: Page) -> None:
    import yaml

    found.lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for number, child in enumerate(node.value):
            _walk(child, (*place, number), found)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            if key.value in seen:
                found.faults.append((key.start_mark.line + 1, f"the key {key.value!r} stands twice in one entry"))
            seen.add(key.value)
            found.lines.setdefault((*place, key.value), key.start_mark.line + 1)
            _walk(child, (*place, key.value), found)
