"""Setting one entry of case.yaml as text: everything else, comments among it, stays as it is."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from osteon.cache import write_atomically
from osteon.case.schema import CaseModel, read_case_file
from osteon.case.yaml_lines import Place
from osteon.errors import CaseFileError


def set_in_case(file: Path, place: Place, value: Any, *, after: str | None = None) -> None:
    """Set one entry of a case file, which is read again before it is kept.

    Parameters
    ----------
    file : Path
        case.yaml; it is seen old or new, never half.
    place : tuple of str or int
        For example ``("lesions", 0, "outline")``.
    value : Any
        What YAML can hold; written on one line.
    after : str, optional
        A new key goes behind this one where it exists.

    Raises
    ------
    CaseFileError
        If the file is malformed, or would be after the change; it is then left as it was.
    OsteonError
        If it cannot be written.
    """
    text = _text_of(file)
    _keep(file, set_entry(text, place, value, after=after), _with(yaml.safe_load(text), place, value), place, value)


def insert_first_in_case(file: Path, key: str, value: Any) -> None:
    """Put an entry in front of a list of a case file, which is read again before it is kept; a missing list is made.

    Parameters
    ----------
    file : Path
        case.yaml; it is seen old or new, never half.
    key : str
        Of the list, for example ``labels``.
    value : Any
        What YAML can hold; written on one line.

    Raises
    ------
    CaseFileError
        If the file is malformed, or would be after the change; it is then left as it was.
    OsteonError
        If it cannot be written.
    """
    text = _text_of(file)
    tree = yaml.safe_load(text)
    if not tree.get(key):
        set_in_case(file, (key,), [value])
        return
    _keep(file, insert_first(text, key, value), {**tree, key: [value, *tree[key]]}, (key, 0), value)


def _text_of(file: Path) -> str:
    """Return the text of a sound case file, line ends as they are."""
    read_case_file(file)
    with file.open(encoding="utf-8", newline="") as opened:
        return opened.read()


def _keep(file: Path, new: str, wanted: Any, place: Place, value: Any) -> None:
    """Write the new text, unless it says something else than wanted or is no case."""
    if yaml.safe_load(new) != wanted:
        raise CaseFileError(
            f"{file.name}: {'.'.join(map(str, place))} could not be set without touching something else.",
            "An entry changed by accident would not be noticed.",
            f"Write it by hand: {_flow(value)}",
        )
    try:
        CaseModel.model_validate(yaml.safe_load(new))
    except ValueError as error:
        raise CaseFileError(
            f"{file.name}: {'.'.join(map(str, place))} cannot be {_flow(value):.200}: {error!s:.300}",
            "The case could not be read afterwards.",
            "Correct the value; `osteon schema case` prints the whole form.",
        ) from error
    write_atomically(file, new.encode())


def set_entry(text: str, place: Place, value: Any, *, after: str | None = None) -> str:
    r"""Return YAML text with one entry set; comments and all other text stay.

    Parameters
    ----------
    text : str
        YAML whose root is a mapping.
    place : tuple of str or int
        Keys and indices; missing mappings on the way are made.
    value : Any
        Written on one line.
    after : str, optional
        A new key goes behind this one where it exists, else to the end of its mapping.

    Returns
    -------
    str
        The new text.

    Raises
    ------
    CaseFileError
        If the place leads through something that is no mapping or list.

    Examples
    --------
    >>> print(set_entry("a: 1  # one\nb: {c: 2}\n", ("b", "d"), [3, 4]), end="")
    a: 1  # one
    b: {c: 2, d: [3, 4]}
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    column = -1  # of the key whose value is looked at
    for depth, part in enumerate(place):
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
            node, column = node.value[part], -1
            continue
        if not isinstance(node, yaml.MappingNode):
            raise CaseFileError(
                f"{'.'.join(map(str, place[:depth])) or 'the file'} is no mapping.",
                f"{part!r} cannot be set in it.",
                "Correct the file by hand.",
            )
        pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
        if pair is None:
            rest: Any = value
            for name in reversed(place[depth + 1 :]):
                rest = {name: rest}
            return _insert(text, node, str(part), rest, after if depth == len(place) - 1 else None)
        node, column = pair[1], int(pair[0].start_mark.column)
    assert node is not None  # an empty file has no mapping and was refused above
    start, end = int(node.start_mark.index), _end(text, node)
    # a list may stand as far left as its key, one line must stand farther right; behind a bare `key:` a blank is missing
    indent = max(column + 2 - int(node.start_mark.column), 0) if _first_on_line(text, start) else 0
    indent = 1 if start and text[start - 1] == ":" else indent
    return text[:start] + " " * indent + _flow(value) + text[end:]


def insert_first(text: str, key: str, value: Any) -> str:
    r"""Return YAML text with an entry in front of a list that holds some; comments and all other text stay.

    Examples
    --------
    >>> print(insert_first("a:\n  - 1  # one\n", "a", {"b": 2}), end="")
    a:
      - {b: 2}
      - 1  # one
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    name, held = next(((k, v) for k, v in pairs if k.value == key), (None, None))
    if name is None or not isinstance(held, yaml.SequenceNode) or not held.value:
        raise CaseFileError(f"{key} is no list with entries.", "Nothing can be put in front of it.", "Correct the file by hand.")
    first = int(held.value[0].start_mark.index)
    if held.flow_style:
        return f"{text[:first]}{_flow(value)}, {text[first:]}"
    begin = text.index("\n", int(name.end_mark.index)) + 1  # above the comments of the entry that was the first
    ending = "\r\n" if "\r\n" in text else "\n"
    return f"{text[:begin]}{' ' * int(held.start_mark.column)}- {_flow(value)}{ending}{text[begin:]}"


def _with(tree: Any, place: Place, value: Any) -> Any:
    tree = copy.deepcopy(tree)
    inner = tree
    for part in place[:-1]:
        if isinstance(inner, dict) and part not in inner:
            inner[part] = {}
        inner = inner[part]
    inner[place[-1]] = value
    return tree


def _flow(value: Any) -> str:
    return (
        yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False)
        .removesuffix("...\n")
        .strip()
    )


def _first_on_line(text: str, index: int) -> bool:
    return not text[text.rfind("\n", 0, index) + 1 : index].strip()


def _end(text: str, node: yaml.Node) -> int:
    """Return where a node's own text ends; a block collection's mark lies behind the comments that follow it."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(text, node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(text, node.value[-1])
    first, last = int(node.start_mark.index), int(node.end_mark.index)
    return first + len(text[first:last].rstrip())


def _insert(text: str, node: yaml.MappingNode, key: str, value: Any, after: str | None) -> str:
    entry = f"{_flow(key)}: {_flow(value)}"
    if node.flow_style:
        close = int(node.end_mark.index) - 1
        head = text[:close].rstrip()
        return head + ("" if head.endswith(("{", ",")) else ", ") + entry + text[close:]
    anchor = next(((k, v) for k, v in node.value if k.value == after), node.value[-1])
    indent = " " * int(anchor[0].start_mark.column)
    end = _end(text, anchor[1])
    line_end = text.find("\n", end)
    ending = "\r\n" if "\r\n" in text else "\n"
    if line_end < 0:
        return f"{text.rstrip()}{ending}{indent}{entry}{ending}"
    return f"{text[: line_end + 1]}{indent}{entry}{ending}{text[line_end + 1 :]}"
