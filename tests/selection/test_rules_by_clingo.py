"""An answer-set solver looks for rules that can never decide anything, and for rule books that contradict themselves."""

from __future__ import annotations

from itertools import count

import pytest
from selection_cases import MICROWAVE, treatment_of

from osteon.facts import Unknown, vocabulary
from osteon.selection.judging import RuleBook, book
from osteon.selection.kleene import Atom, Both, Constant, Either, Not, cells

clingo = pytest.importorskip("clingo")


class Solver:
    """Every complete assignment of the facts a rule book reads; every rule true or false in it."""

    def __init__(self, rules: RuleBook) -> None:
        self.book, self.number, self.lines = rules, count(), []
        self.values = {f: cells(vocabulary()[f], Unknown(), a) for f, a in rules.comparisons.items()}
        for fact, values in self.values.items():
            self.lines.append(f"1 {{ val({fact},0..{len(values) - 1}) }} 1.")
        for i, rule in enumerate(rules.rules):
            self.lines.append(f"rule({i}) :- {self.name(rule.when)}.")
        self.lines += ["t.", "#defined rule/1.", *(f"{{ rule({i}) }} :- f." for i, _ in enumerate(rules.rules)), "#defined f/0."]
        self.control = clingo.Control(["--warn=none"])
        self.control.add("base", [], "\n".join(self.lines))
        self.control.ground([("base", [])])

    def name(self, expression) -> str:
        """Write an expression as answer-set rules and return the atom that stands for it."""
        own = f"e{next(self.number)}"
        match expression:
            case Constant(value):
                return "t" if value else "not t"
            case Atom(fact):
                self.lines += [f"{own} :- val({fact},{i})." for i, v in enumerate(self.values[fact]) if expression.holds(v)]
            case Not(part):
                self.lines.append(f"{own} :- not {self.name(part)}.")
            case Both(parts):
                self.lines.append(f"{own} :- {', '.join(self.name(p) for p in parts)}.")
            case Either(parts):
                self.lines += [f"{own} :- {self.name(p)}." for p in parts]
        self.lines.append(f"#defined {own}/0.")
        return own

    def possible(self, **wanted: bool) -> bool:
        """Tell whether some assignment gives these rules these values; keys are ``r<index>``."""
        assumptions = [(clingo.Function("rule", [clingo.Number(int(k[1:]))]), v) for k, v in wanted.items()]
        return bool(self.control.solve(assumptions=assumptions).satisfiable)

    def of_kind(self, kind: str) -> list[int]:
        return [i for i, r in enumerate(self.book.rules) if r.kind == kind]


def dead_rules(rules: RuleBook) -> list[str]:
    """Return rules that are constant though not written so, and those that never decide because others always do first."""
    solver = Solver(rules)
    exclusions = solver.of_kind("exclusion")
    found = []
    for i, rule in enumerate(rules.rules):
        if isinstance(rule.when, Constant):
            continue
        if not solver.possible(**{f"r{i}": True}):
            found.append(f"{rule.id} is never true")
        told = all(a.operator == "known" for f in rule.facts for a in rules.comparisons[f] if a in set(_atoms(rule.when)))
        if not told and not solver.possible(**{f"r{i}": False}):
            found.append(f"{rule.id} is always true")
        if rule.kind == "exclusion" and not solver.possible(**{f"r{j}": j == i for j in exclusions}):
            found.append(f"{rule.id} never excludes by itself")
    return found


def _atoms(expression):
    from osteon.selection.kleene import atoms

    return list(atoms(expression))


def open_at_all(rules: RuleBook) -> bool:
    """Tell whether some patient is left with the treatment open."""
    solver = Solver(rules)
    wanted = {f"r{i}": False for i in solver.of_kind("exclusion")} | {f"r{i}": True for i in solver.of_kind("requirement")}
    return solver.possible(**wanted)


def made(*whens: tuple[str, str]) -> RuleBook:
    rules = [
        {
            "id": f"R{i}",
            "kind": k,
            "when": w,
            "because": "b",
            "source": "qiu-2019",
            "class": "seed",
            "examples": [{"is": "unknown"}],
        }
        for i, (k, w) in enumerate(whens)
    ]
    return RuleBook.of(r for r in book(treatment_of(rules)).rules if r.id.startswith("R"))


def test_microwave_has_no_dead_rule_and_can_be_open():
    rules = book(treatment_of(MICROWAVE))
    assert dead_rules(rules) == []
    assert open_at_all(rules)


def test_every_requirement_of_microwave_can_fail_by_itself():
    rules = book(treatment_of(MICROWAVE))
    solver = Solver(rules)
    needed, excluded = solver.of_kind("requirement"), solver.of_kind("exclusion")
    for i in needed:
        if any(a.operator == "known" for a in _atoms(rules.rules[i].when)):
            continue
        wanted = {f"r{j}": False for j in excluded} | {f"r{j}": j != i for j in needed}
        assert solver.possible(**wanted), rules.rules[i].id


def test_the_solver_does_find_dead_and_contradictory_rules():
    assert dead_rules(made(("caution", "pain_vas < 3 and pain_vas > 4"))) == ["R0 is never true"]
    assert dead_rules(made(("caution", "pain_vas < 3 or pain_vas >= 3"))) == ["R0 is always true"]
    assert dead_rules(made(("exclusion", "pain_vas < 3"), ("exclusion", "pain_vas < 2"))) == ["R1 never excludes by itself"]
    assert not open_at_all(made(("requirement", "pain_vas < 3"), ("requirement", "pain_vas > 3")))
    assert open_at_all(made(("requirement", "pain_vas < 3"), ("exclusion", "pain_vas < 2")))
