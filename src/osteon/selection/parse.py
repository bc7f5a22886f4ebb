"""Reading an expression over facts: nothing in it is ever executed."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from osteon.errors import InputError
from osteon.facts import FactType
from osteon.selection.kleene import Atom, Both, Constant, Either, Expression, Literal, Not, interned
from osteon.selection.policies import DEFAULT, Site
from osteon.tissue.tolerance import limits

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_NAMES: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
}


def parse(text: str | bool, vocabulary: Mapping[str, FactType], where: str, site: Site = DEFAULT) -> Expression:
    """Read an expression over facts.

    Parameters
    ----------
    text : str or bool
        Comparisons of a fact with a literal, ``and``, ``or``, ``not``, ``in``, a bare fact of type bool, ``known(fact)``,
        ``'member' in set_fact``, ``set_fact == ()``; or a constant. ``limit('id')`` is the number of that limit in
        ``tissue/tolerance.yaml``, ``policy('id')`` what the site chose of ``policies.yaml``.
    vocabulary : mapping of str to FactType
        The facts that may be named.
    where : str
        File and rule, for messages.
    site : Site
        The site's choices.

    Returns
    -------
    Expression
        Nothing in it is ever executed.

    Raises
    ------
    InputError
        If a fact is not in the vocabulary, a value not in its domain, or anything else stands there.
    """
    if isinstance(text, bool):
        return Constant(text)
    try:
        tree = ast.parse(" ".join(text.split()), mode="eval").body
    except SyntaxError as error:
        raise _refuse(f"{text!r} cannot be read ({error.msg}).", where) from error
    return interned(_Reader(vocabulary, where, site).read(tree))


def _refuse(what: str, where: str) -> InputError:
    return InputError(
        f"{where}: {what}",
        "A rule that is misread would judge a patient wrongly, so none of this file is used.",
        "Write comparisons of facts from facts.yaml with and, or, not, in, known(); see selection/parse.py.",
    )


class _Reader:
    def __init__(self, vocabulary: Mapping[str, FactType], where: str, site: Site) -> None:
        self.vocabulary, self.where, self.site = vocabulary, where, site

    def read(self, node: ast.expr) -> Expression:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return Both(tuple(self.read(v) for v in values))
            case ast.BoolOp(op=ast.Or(), values=values):
                return Either(tuple(self.read(v) for v in values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.read(operand))
            case ast.Constant(value=bool() as value):
                return Constant(value)
            case ast.Call(func=ast.Name(id="policy"), args=[ast.Constant(value=str() as name)], keywords=[]):
                return Constant(self.site.of(name, self.where) is True)
            case ast.Name(id=name):
                if self.kind(name).type != "bool":
                    raise _refuse(
                        f"the fact {name!r} is a {self.kind(name).type}, so it must be compared with something.", self.where
                    )
                return Atom(name, "==", True)
            case ast.Call(func=ast.Name(id="known"), args=[ast.Name(id=name)], keywords=[]):
                self.kind(name)
                return Atom(name, "known", True)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                parts = tuple(self.compare(a, _NAMES.get(type(op), ""), b) for a, op, b in zip(sides, ops, sides[1:]))
                return parts[0] if len(parts) == 1 else Both(parts)
        raise _refuse(f"{ast.unparse(node)!r} is not allowed in a rule.", self.where)

    def kind(self, name: str) -> FactType:
        if name not in self.vocabulary:
            raise _refuse(f"there is no fact {name!r} in facts.yaml.", self.where)
        return self.vocabulary[name]

    def compare(self, left: ast.expr, operator: str, right: ast.expr) -> Expression:
        shown = f"{ast.unparse(left)} {operator} {ast.unparse(right)}"
        if not operator:
            raise _refuse(f"{shown!r} uses a comparison that is not allowed in a rule.", self.where)
        match left, right:
            case ast.Name(id=name), ast.Name():
                raise _refuse(f"{shown!r} compares two facts; compare one fact with a value.", self.where)
            case ast.Name(id=name), _:
                atom = Atom(name, operator, self.literal(right, shown))
            case _, ast.Name(id=name) if operator in _FLIPPED:
                atom = Atom(name, _FLIPPED[operator], self.literal(left, shown))
            case _, ast.Name(id=name) if operator in ("in", "not in"):
                atom = Atom(name, "has", self.literal(left, shown))
                self.check(atom, shown)
                return atom if operator == "in" else Not(atom)
            case _:
                raise _refuse(f"{shown!r} compares no fact with a value.", self.where)
        if self.kind(atom.fact).type == "set" and atom.literal == ():
            atom = Atom(atom.fact, atom.operator, frozenset())
        self.check(atom, shown)
        return atom

    def literal(self, node: ast.expr, shown: str) -> Literal:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
            case ast.Call(func=ast.Name(id="limit"), args=[ast.Constant(value=str() as name)], keywords=[]):
                return self.limit(name)
            case ast.Call(func=ast.Name(id="policy"), args=[ast.Constant(value=str() as name)], keywords=[]):
                return self.site.of(name, self.where)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)) if not isinstance(
                number, bool
            ):
                return -number
            case ast.Tuple(elts=elements) | ast.List(elts=elements) if all(isinstance(e, ast.Constant) for e in elements):
                values = [e.value for e in elements if isinstance(e, ast.Constant)]
                return tuple(v for v in values if isinstance(v, (bool, int, float, str)))
        raise _refuse(f"{shown!r} needs a number, a quoted word, or a list of them.", self.where)

    def limit(self, name: str) -> float:
        found = {each.id: each.limit for each in limits()}
        if name not in found:
            raise _refuse(f"there is no limit {name!r} in tissue/tolerance.yaml.", self.where)
        return float(found[name])

    def check(self, atom: Atom, shown: str) -> None:
        kind = self.kind(atom.fact)
        several = atom.literal if isinstance(atom.literal, (tuple, frozenset)) else (atom.literal,)
        ordered = atom.operator in ("<", "<=", ">", ">=")
        if kind.type == "number":
            good = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in several) and atom.operator != "has"
        elif kind.type == "bool":
            good = atom.operator in ("==", "!=") and isinstance(atom.literal, bool)
        elif kind.type == "set":
            good = (atom.operator == "has" and atom.literal in kind.domain) or (
                atom.operator in ("==", "!=") and isinstance(atom.literal, frozenset)
            )
        else:
            known = kind.type == "text" or all(x in kind.domain for x in several)
            good = known and not ordered and atom.operator != "has" and all(isinstance(x, str) for x in several)
        tuple_wanted = atom.operator in ("in", "not in")
        if kind.type != "set" and tuple_wanted != isinstance(atom.literal, tuple):
            good = False
        if not good:
            allowed = ", ".join(str(x) for x in kind.domain) or "any text"
            raise _refuse(f"{shown!r} does not fit the fact {atom.fact!r} ({kind.type}: {allowed}).", self.where)
