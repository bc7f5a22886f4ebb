"""Conditions of rules in two-valued logic, for the second judge in ``brute``: values, comparisons, and, or, not.

An open fact takes each value of a representative set: of a number the ends, every threshold that a condition names and a value on
both sides of it; of a set all subsets; of a text every literal that a condition names and one other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import chain, combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

import osteon
from osteon.errors import InputError
from osteon.facts import Interval, Known, NotApplicable, OneOf, Unknown

ROOT = Path(osteon.__file__).parent
NO, YES, SILENT = 0, 1, 2
OTHER_TEXT = "some other text"
Codes = npt.NDArray[np.int8]


def values(name: str, states: Mapping[str, Any], conditions: Iterable[str], site: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the representative values of a fact; ``(NotApplicable,)`` where the question has no meaning."""
    kind, state = _kind(name), state_of(name, states)
    if isinstance(state, NotApplicable):
        return (NotApplicable,)
    if isinstance(state, Known):
        return (_plain(kind, state.value),)
    if isinstance(state, OneOf):
        return tuple(dict.fromkeys(_plain(kind, v) for v in state.values))
    if isinstance(state, Interval):
        return _numbers(state.low, state.high, _literals(name, conditions, site))
    if name.endswith("_planned"):
        return (False,)
    if name == "refused":
        return (frozenset(),)
    if kind["type"] == "bool":
        return (False, True)
    if kind["type"] == "choice":
        return tuple(kind["domain"])
    if kind["type"] == "set":
        sizes = range(len(kind["domain"]) + 1)
        return tuple(frozenset(c) for c in chain.from_iterable(combinations(kind["domain"], n) for n in sizes))
    literals = _literals(name, conditions, site)
    if kind["type"] == "text":
        return (*sorted(v for v in literals if isinstance(v, str)), OTHER_TEXT)
    low, high = (float(v) for v in kind["domain"])
    return _numbers(low, high, literals)


def _numbers(low: float, high: float, literals: Iterable[Any]) -> tuple[float, ...]:
    """Return both ends, the thresholds between them, and a value between each two of these."""
    inside = {float(v) for v in literals if not isinstance(v, (bool, str)) and low < float(v) < high}
    marks = sorted({float(low), float(high)} | inside)
    return tuple(sorted({*marks, *((a + b) / 2 for a, b in pairwise(marks))}))


def _literals(name: str, conditions: Iterable[str], site: Mapping[str, Any]) -> set[Any]:
    """Return every constant that a rule compares a fact with."""
    found: set[Any] = set()
    for text in conditions:
        for atom in atoms_of(tree_of(text)):
            node = tree_of(atom)
            if name in names(atom) and isinstance(node, ast.Compare):
                for side in (node.left, *node.comparators):
                    if not isinstance(side, ast.Name):
                        value = _constant(side, site)
                        found |= set(value) if isinstance(value, tuple) else {value}
    return found


def state_of(name: str, states: Mapping[str, Any]) -> Any:
    """Return the state of a fact; a plain value is known, what is absent is unknown."""
    given = states.get(name, Unknown())
    given = getattr(given, "state", given)  # a Fact holds its state
    return given if isinstance(given, (Known, Interval, OneOf, Unknown, NotApplicable)) else Known(given)


def _plain(kind: Mapping[str, Any], value: Any) -> Any:
    """Return a set as a frozenset, a number as a float, all else as it is."""
    if kind["type"] == "set":
        members = value if not isinstance(value, str) else [w.strip() for w in value.split(",")]
        return frozenset(m for m in members if m not in ("", "none"))
    return float(value) if kind["type"] == "number" else value


# --- conditions


@cache
def tree_of(text: str) -> ast.expr:
    """Return the parsed condition."""
    return ast.parse(text.strip(), mode="eval").body


@cache
def names(text: str) -> frozenset[str]:
    """Return the facts that a condition reads."""
    tree = tree_of(text)
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    return frozenset(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called)


def atoms_of(node: ast.expr) -> list[str]:
    """Return the conditions without ``and``, ``or`` and ``not`` of which a condition is made."""
    if isinstance(node, ast.BoolOp):
        return [a for part in node.values for a in atoms_of(part)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return atoms_of(node.operand)
    return [ast.unparse(node)]


def evaluate(
    node: ast.expr, domain: Mapping[str, tuple[Any, ...]], chosen: Mapping[str, npt.NDArray[np.intp]], site: Mapping[str, Any]
) -> Codes:
    """Return NO, YES or SILENT of a condition, for each completion (or once, where it reads no open fact)."""
    if isinstance(node, ast.BoolOp):
        parts = np.broadcast_arrays(*(evaluate(v, domain, chosen, site) for v in node.values))
        stack = np.stack(parts)
        decisive = NO if isinstance(node.op, ast.And) else YES
        result = np.where((stack == decisive).any(axis=0), decisive, 1 - decisive)
        return np.where((stack == SILENT).all(axis=0), SILENT, result).astype(np.int8)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = evaluate(node.operand, domain, chosen, site)
        return np.where(inner == SILENT, SILENT, 1 - inner).astype(np.int8)
    read = sorted(names(ast.unparse(node)))
    if len(read) > 1:
        raise unclear(f"The comparison {ast.unparse(node)!r} reads {', '.join(read)}.", "Compare one fact with constants.")
    if not read:
        return np.array([judge_atom(node, {}, site)], np.int8)
    table = np.array([judge_atom(node, {read[0]: value}, site) for value in domain[read[0]]], np.int8)
    return table[chosen[read[0]]] if read[0] in chosen else table


def judge_atom(node: ast.expr, given: Mapping[str, Any], site: Mapping[str, Any]) -> int:
    """Judge one comparison of at most one fact."""
    if NotApplicable in given.values():
        return SILENT
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "known":
        return YES
    if isinstance(node, ast.Compare):
        values = [_value(side, given, site) for side in (node.left, *node.comparators)]
        return int(all(_compare(op, a, b) for op, a, b in zip(node.ops, values, values[1:], strict=False)))
    value = _value(node, given, site)
    if not isinstance(value, bool):
        raise unclear(f"The condition {ast.unparse(node)!r} is {value!r}.", "Compare it with something.")
    return int(value)


def _value(node: ast.expr, given: Mapping[str, Any], site: Mapping[str, Any]) -> Any:
    return given[node.id] if isinstance(node, ast.Name) else _constant(node, site)


def _compare(op: ast.cmpop, one: Any, other: Any) -> bool:
    if isinstance(one, frozenset) and isinstance(other, tuple):  # a set against a list of members
        other = frozenset(other)
    match op:
        case ast.Eq():
            return bool(one == other)
        case ast.NotEq():
            return bool(one != other)
        case ast.Lt():
            return bool(one < other)
        case ast.LtE():
            return bool(one <= other)
        case ast.Gt():
            return bool(one > other)
        case ast.GtE():
            return bool(one >= other)
        case ast.In():
            return one in other
        case ast.NotIn():
            return one not in other
    raise unclear(f"A rule compares by {type(op).__name__}.", "Use ==, !=, <, <=, >, >=, in, not in.")


def _constant(node: ast.expr, site: Mapping[str, Any]) -> Any:
    """Return a literal, a limit of ``tolerance.yaml`` or the choice of a site policy."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("limit", "policy"):
        name = str(ast.literal_eval(node.args[0]))
        if node.func.id == "limit":
            return read_yaml(ROOT / "tissue" / "tolerance.yaml")[name]["limit"]
        return site.get(name, read_yaml(ROOT / "selection" / "policies.yaml")[name]["choices"][0])
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise unclear(f"A rule holds {ast.unparse(node)!r}.", "Use facts, constants, limit() and policy().") from error


# --- files


@cache
def read_yaml(file: Path) -> Any:
    """Return the content of a YAML file."""
    return yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _kind(name: str) -> Mapping[str, Any]:
    kind: Mapping[str, Any] | None = read_yaml(ROOT / "facts.yaml").get(name)
    if kind is None:
        raise unclear(f"A rule reads {name!r}, which is no fact.", "Use a name of facts.yaml.")
    return kind


def unclear(what: str, remedy: str) -> InputError:
    """Return the error of a rule that is not understood."""
    return InputError(what, "The second judge must read rules as they are written, or not at all.", remedy)
