"""YAML read with the line of every entry, so that an error can point at it; and written back readably."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from osteon.errors import CaseFileError, MissingError

Place = tuple[str | int, ...]
LARGEST_BYTES = 1_000_000
MOST_ENTRIES = 100_000
DEEPEST = 60
"""A chart is far smaller than these; beyond them a file is an accident or an attack (aliases that multiply)."""


class Lines:
    """Where each entry of a file stands.

    Parameters
    ----------
    file : Path
        The file.
    lines : dict
        Place in the tree (keys and indices) to line number, from 1.
    """

    def __init__(self, file: Path, lines: dict[Place, int]) -> None:
        self.file, self.lines = file, lines

    def at(self, *place: str | int) -> str:
        """Return ``case.yaml:12`` for a place, or for the deepest part of it that the file has."""
        known: Place = ()
        for part in place:
            if (*known, part) in self.lines:
                known = (*known, part)
        return f"{self.file.name}:{self.lines.get(known, 1)}"


def read_yaml(file: Path) -> tuple[Any, Lines]:
    """Read a YAML file with its line numbers.

    Raises
    ------
    MissingError
        If there is no such file.
    CaseFileError
        If it is not YAML, is empty or far too large, or names a key twice.
    """
    text = read_text(file)
    lines: dict[Place, int] = {(): 1}
    try:
        loader, node = _composed(text)
        if node is None:
            raise CaseFileError(f"{file} is empty.", "Nothing is known of the patient.", "Make one with `osteon new`.")
        _walk(node, (), lines, file, yaml.SafeLoader(""))
        return _constructed(node, file, loader), Lines(file, lines)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file.name}:{mark.line + 1}" if mark else file.name
        raise CaseFileError(
            f"{where}: this is not YAML: {' '.join(str(getattr(error, 'problem', None) or error).split())}.",
            "Nothing after this line can be trusted.",
            "Look for a missing colon, quote or bracket, or a tab, at or above this line.",
        ) from error
    except RecursionError as error:
        raise _too_much(file, 1, "more levels than can be followed") from error


def _composed(text: str) -> tuple[Any, Any]:
    """Return a loader and the root node of a text: by libyaml where it is installed, else, and for every message, by PyYAML.

    libyaml calls itself once per level, without a limit, so that only a text that is known to be flat is given to it; and it
    takes a tab where PyYAML does not.
    """
    fast = getattr(yaml, "CSafeLoader", None)
    if fast is not None and "\t" not in text:
        try:
            if _is_flat(fast(text)):
                loader = fast(text)
                return loader, loader.get_single_node()
        except yaml.YAMLError:  # PyYAML tells more of what is wrong
            pass
    loader = yaml.SafeLoader(text)
    return loader, loader.get_single_node()


def _is_flat(events: Any) -> bool:
    """Tell whether a text has no more levels than a chart may have."""
    level = 0
    while events.check_event():
        event = events.get_event()
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
            if level > DEEPEST:
                return False
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
    return True


def read_text(file: Path) -> str:
    """Return the text of a case file.

    Raises
    ------
    MissingError
        If there is no such file.
    CaseFileError
        If it cannot be opened, is far too large, or is not UTF-8.
    """
    try:
        size = file.stat().st_size
        data = file.read_bytes() if size <= LARGEST_BYTES else b""
    except FileNotFoundError as error:
        raise MissingError(
            f"There is no {file}.", "A case begins with its case.yaml.", "Make one with `osteon new` or `osteon phantom`."
        ) from error
    except OSError as error:
        raise CaseFileError(
            f"{file} cannot be opened: {error.strerror or error}.",
            "Everything about a patient is read from it.",
            "Put a text file there that you may read.",
        ) from error
    if size > LARGEST_BYTES:
        raise CaseFileError(
            f"{file} has {size:,} bytes; a case file has at most {LARGEST_BYTES:,}.",
            "A chart is a few pages; this is another file, or something was pasted into it.",
            "Name the right file; outlines of many points belong in an image file of their own.",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CaseFileError(
            f"{file.name}:{line}: the byte {data[error.start]:#04x} is not UTF-8.",
            "Names and units would be read wrongly.",
            "Save the file as UTF-8.",
        ) from error


def _too_much(file: Path, line: int, what: str) -> CaseFileError:
    return CaseFileError(
        f"{file.name}:{line}: the file holds {what}.",
        "No chart has that; aliases (&a, *a) that name each other multiply without end.",
        "Write the entries out, without aliases.",
    )


def _constructed(node: Any, file: Path, loader: Any = None) -> Any:
    """Return the value of a node, refusing what looks like a number or a date and is none."""
    try:
        return (loader or yaml.SafeLoader("")).construct_document(node)
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError) as error:  # PyYAML lets Python's own through
        raise CaseFileError(
            f"{file.name}:{node.start_mark.line + 1}: {str(node.value)[:40]!r} is no number and no date: {str(error)[:100]}.",
            "What it says is unknown, and nothing is guessed.",
            "Correct it, or put quotes round it if it is a text.",
        ) from error


def _walk(node: Any, place: Place, lines: dict[Place, int], file: Path, loader: Any) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if len(place) > DEEPEST or len(lines) > MOST_ENTRIES:
        told = f"more than {DEEPEST} levels" if len(place) > DEEPEST else f"more than {MOST_ENTRIES:,} entries"
        raise _too_much(file, node.start_mark.line + 1, told)
    if isinstance(node, yaml.ScalarNode):
        if node.tag.rpartition(":")[2] in ("int", "float", "timestamp", "binary"):
            _constructed(node, file, loader)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            plain = isinstance(key, yaml.ScalarNode)
            name: str | int = _constructed(key, file, loader) if plain and key.tag.endswith(":int") else str(key.value)[:200]
            inner = (*place, name)
            if inner in lines:
                raise CaseFileError(
                    f"{file.name}:{key.start_mark.line + 1}: {name!r} stands here again; first on line {lines[inner]}.",
                    "Which of the two holds cannot be told.",
                    "Keep one; where both were measured, write a dated list: [{value: ..., date: ...}, ...].",
                )
            lines[inner] = key.start_mark.line + 1
            _walk(value, inner, lines, file, loader)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*place, index), lines, file, loader)


class _Dumper(yaml.SafeDumper):
    """Indents lists and keeps short ones on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    flat = all(not isinstance(v, dict) and (not isinstance(v, list) or len(v) == 3) for v in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)


def _represent_dict(dumper: yaml.SafeDumper, values: dict[Any, Any]) -> yaml.Node:
    flat = len(values) <= 3 and bool(values) and all(not isinstance(v, (dict, list)) for v in values.values())
    return dumper.represent_mapping("tag:yaml.org,2002:map", values.items(), flow_style=flat)


class Block(dict[str, Any]):
    """A mapping that is written one key per line however short it is."""


def _represent_block(dumper: yaml.SafeDumper, values: Block) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", values.items(), flow_style=False)


_Dumper.add_representer(Block, _represent_block)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(dict, _represent_dict)


def write_yaml(tree: dict[str, Any]) -> str:
    """Return YAML in the order of the tree, dates unquoted."""
    from datetime import date

    def plain(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return type(value)((k, plain(v, str(k))) for k, v in value.items())
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        if key == "date" and isinstance(value, str) and value != "unknown":
            return date.fromisoformat(value)
        return value

    return yaml.dump(plain(Block(tree)), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=125)
