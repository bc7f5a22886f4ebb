"""A second, independent judge of treatment rules: every possible completion of a chart, judged in plain two-valued logic.

It shares nothing with the code that is tested but the YAML of rules, limits, policies and facts. Where a chart leaves a fact
open, the fact takes each value of a representative set (see ``brute_conditions``). A complete chart has one status:

- a true scope rule: ``outside_scope``; else a true exclusion: ``excluded``; else a false requirement: ``not_indicated``;
- else a true caution: ``candidate_with_cautions``; else ``candidate``.

``needs`` and ``candidate_unchecked`` are no statuses of a complete chart: they say that several are reachable.
So a row that is judged ``not_indicated`` may still reach ``excluded`` or ``outside_scope``, and one judged ``excluded`` may
still reach ``outside_scope``: a false requirement decides before an open exclusion does.

What is taken from the algebra of the project, and not from any code:

- A comparison with a fact that is not applicable drops out of ``and``, ``or`` and ``not``; a rule of nothing else is silent.
- What is not said to be planned (facts that end in ``_planned``) is not planned; what is not said to be refused is not refused.
- ``refused_as`` of a row excludes it where that member is in the fact ``refused``.
- ``supersedes`` takes the named rules out of the same row; ``include`` brings in a guideline, each rule once.
- An exclusion with mitigations is a caution under the policy ``mitigated`` where a mitigation holds and no fact that the
  exclusion reads is unknown in the chart; under ``strict`` it excludes.
- ``known(fact)`` is true of every completion. A chart that leaves such a fact open is judged as if it were known; ``asked_for``
  names these facts, because a row waits for them although no answer changes its status.

Facts are taken as independent of each other: a score is free even where the facts below it would fix it, and a number that is a
count may lie between two counts. The reachable set is therefore never too small where ``Reach.exact`` is true.

Rules that share no open fact are enumerated apart and joined afterwards. That is exact and keeps the products small.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from brute_conditions import (
    NO,
    ROOT,
    SILENT,
    YES,
    atoms_of,
    evaluate,
    judge_atom,
    names,
    read_yaml,
    state_of,
    tree_of,
    unclear,
    values,
)

from osteon.facts import Unknown

MOST = 10**6
"""Completions of one group of rules that are all looked at; above, samples are drawn."""
SAMPLES = 10**5
SEED = 20260310
SCOPE, EXCLUDED, UNMET, CAUTION = 1, 2, 4, 8
"""What a group of rules may say of a completion; a row's outcome is the union of what its groups say."""
Bits = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """One rule that decides a status.

    Parameters
    ----------
    id : str
        As in the YAML; ``REFUSED`` for what the header ``refused_as`` says.
    bit : int
        SCOPE, EXCLUDED, UNMET (a requirement, which says it where it is false) or CAUTION.
    when : str
        The condition.
    mitigations : tuple of str
        Conditions, of an exclusion only.
    """

    id: str
    bit: int
    when: str
    mitigations: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """Its condition and those of its mitigations."""
        return (self.when, *self.mitigations)

    @property
    def facts(self) -> frozenset[str]:
        """Names of the facts that it or a mitigation reads."""
        return frozenset(chain.from_iterable(names(text) for text in self.texts))


@dataclass(frozen=True)
class Reach:
    """What the completions of a chart come to.

    Parameters
    ----------
    statuses : frozenset of str
        Reachable statuses of the row.
    exact : bool
        Whether every completion was looked at; else each group above ``MOST`` completions was sampled.
    completions : int
        How many were looked at, over all groups.
    """

    statuses: frozenset[str]
    exact: bool
    completions: int


@dataclass
class Group:
    """Rules that are joined by open facts."""

    rules: list[Rule] = field(default_factory=list)
    open: set[str] = field(default_factory=set)


def reachable(
    treatment: str, states: Mapping[str, Any], policy: str = "strict", site: Mapping[str, Any] | None = None
) -> set[str]:
    """Return every status that a treatment can have once the chart is complete.

    Parameters
    ----------
    treatment : str
        Name of a folder of ``osteon/treatments`` with ``rules.yaml``.
    states : mapping
        Fact name to a state of ``osteon.facts`` or a plain value; what is absent is unknown.
    policy : {"strict", "mitigated"}
        What a planned mitigation does to an exclusion.
    site : mapping, optional
        Choices of site policies that differ from the first.

    Returns
    -------
    set of str
        Of ``outside_scope``, ``excluded``, ``not_indicated``, ``candidate_with_cautions``, ``candidate``.

    Raises
    ------
    InputError
        For a rule, fact or policy that is not understood.
    """
    return set(explore(treatment, states, policy, site).statuses)


def explore(treatment: str, states: Mapping[str, Any], policy: str = "strict", site: Mapping[str, Any] | None = None) -> Reach:
    """Return what ``reachable`` returns, with how it was found; parameters and errors as there."""
    if policy not in ("strict", "mitigated"):
        raise unclear(f"The policy is {policy!r}.", "Use strict or mitigated.")
    rules, chosen = rules_of(treatment), dict(site or {})
    texts = tuple(chain.from_iterable(r.texts for r in rules))
    domain = {name: values(name, states, texts, chosen) for name in sorted({f for r in rules for f in r.facts})}
    outcomes, exact, looked = {0}, True, 0
    for group in _groups(rules, domain):
        found, whole, count = _outcomes(group, domain, states, policy, chosen)
        outcomes = {one | other for one in outcomes for other in found}
        exact, looked = exact and whole, looked + count
    return Reach(frozenset(_status(bits) for bits in outcomes), exact, looked)


def asked_for(treatment: str, states: Mapping[str, Any]) -> set[str]:
    """Return the facts that a row wants to know as such, by ``known(fact)``, and that the chart leaves unknown."""
    asked: set[str] = set()
    for rule in rules_of(treatment):
        for node in ast.walk(tree_of(rule.when)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "known":
                asked |= {ast.unparse(a) for a in node.args if isinstance(state_of(ast.unparse(a), states), Unknown)}
    return asked


def values_of(when: str | bool, states: Mapping[str, Any], site: Mapping[str, Any] | None = None) -> set[bool | None]:
    """Return the values that one condition takes over the completions; None where it is silent."""
    rule, chosen = Rule("", EXCLUDED, str(when)), dict(site or {})
    domain = {name: values(name, states, (rule.when,), chosen) for name in rule.facts}
    chosen_index, _ = _completions([n for n in sorted(rule.facts) if len(domain[n]) > 1], domain)
    codes = evaluate(tree_of(rule.when), domain, chosen_index, chosen)
    return {None if c == SILENT else bool(c) for c in np.unique(codes)}


# --- the rules of a row


@cache
def rules_of(treatment: str) -> tuple[Rule, ...]:
    """Return the rules that decide the status of a row: scope, its own, what it includes, without what is superseded."""
    file = ROOT / "treatments" / treatment / "rules.yaml"
    if not file.is_file():
        raise unclear(f"There is no rules.yaml of {treatment!r}.", "Name a folder of osteon/treatments that has one.")
    tree = read_yaml(file)
    head: Mapping[str, Any] = tree if isinstance(tree, dict) else {}
    entries = list(_entries([{"include": "scope"}, *(head["rules"] if head else tree)]))
    gone = {name for entry in entries for name in entry.get("supersedes", ())}
    found: dict[str, Rule] = {}
    for entry in entries:
        rule = _rule(entry)
        if rule is not None and entry["id"] not in gone:
            found.setdefault(entry["id"], rule)
    if head.get("refused_as"):
        found["REFUSED"] = Rule("REFUSED", EXCLUDED, f"{head['refused_as']!r} in refused")
    return tuple(found.values())


def _entries(listed: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    for entry in listed:
        if "include" in entry:
            yield from _entries(read_yaml(ROOT / "selection" / "guidelines" / f"{entry['include']}.yaml"))
        else:
            yield entry


def _rule(entry: Mapping[str, Any]) -> Rule | None:
    kinds = {"exclusion": EXCLUDED, "requirement": UNMET, "caution": CAUTION}
    if entry["kind"] not in kinds:
        return None
    bit = SCOPE if entry.get("then") == "outside_scope" else kinds[entry["kind"]]
    eased = entry.get("mitigations", ()) if bit == EXCLUDED else ()
    return Rule(entry["id"], bit, str(entry["when"]), tuple(str(m["when"]) for m in eased))


# --- groups of rules and their completions


def _groups(rules: Iterable[Rule], domain: Mapping[str, tuple[Any, ...]]) -> list[Group]:
    """Join rules that share an open fact."""
    groups: list[Group] = []
    for rule in rules:
        mine = Group([rule], {f for f in rule.facts if len(domain[f]) > 1})
        for group in [g for g in groups if g.open & mine.open]:
            groups.remove(group)
            mine = Group(group.rules + mine.rules, group.open | mine.open)
        groups.append(mine)
    return groups


def _outcomes(
    group: Group, domain: Mapping[str, tuple[Any, ...]], states: Mapping[str, Any], policy: str, site: Mapping[str, Any]
) -> tuple[set[int], bool, int]:
    """Return the outcomes of a group, whether all completions were looked at, and how many were."""
    merged = {**domain, **_merged(group, domain, site)}
    chosen, exact = _completions(sorted(group.open), merged)
    size = max((len(index) for index in chosen.values()), default=1)
    total: Bits = np.zeros(size, np.int64)
    for rule in group.rules:
        codes = np.broadcast_to(evaluate(tree_of(rule.when), merged, chosen, site), (size,))
        if rule.bit == UNMET:
            total |= np.where(codes == NO, UNMET, 0)
            continue
        said: Bits = np.full(size, rule.bit, np.int64)
        told = not any(isinstance(state_of(f, states), Unknown) for f in names(rule.when))
        if policy == "mitigated" and told:
            for text in rule.mitigations:
                eased = np.broadcast_to(evaluate(tree_of(text), merged, chosen, site), (size,)) == YES
                said = np.where(eased, CAUTION, said)
        total |= np.where(codes == YES, said, 0)
    return {int(b) for b in np.unique(total)}, exact, size


def _completions(open_facts: list[str], domain: Mapping[str, tuple[Any, ...]]) -> tuple[dict[str, npt.NDArray[np.intp]], bool]:
    """Return, for each open fact, the index of its value in each completion, and whether these are all."""
    shape = [len(domain[name]) for name in open_facts]
    if not shape:
        return {}, True
    size = math.prod(shape)
    if size <= MOST:
        return dict(zip(open_facts, np.unravel_index(np.arange(size), shape), strict=True)), True
    draw = np.random.default_rng(SEED)
    return {name: draw.integers(0, n, SAMPLES) for name, n in zip(open_facts, shape, strict=True)}, False


def _merged(group: Group, domain: Mapping[str, tuple[Any, ...]], site: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Keep one value of those that no comparison of the group tells apart."""
    atoms: dict[str, set[str]] = {name: set() for name in group.open}
    for text in chain.from_iterable(r.texts for r in group.rules):
        for atom in atoms_of(tree_of(text)):
            for name in names(atom) & group.open:
                atoms[name].add(atom)
    kept = {}
    for name, texts in atoms.items():
        ordered = sorted(texts)
        classes = {tuple(judge_atom(tree_of(t), {name: value}, site) for t in ordered): value for value in reversed(domain[name])}
        kept[name] = tuple(classes.values())
    return kept


def _status(bits: int) -> str:
    for bit, status in ((SCOPE, "outside_scope"), (EXCLUDED, "excluded"), (UNMET, "not_indicated")):
        if bits & bit:
            return status
    return "candidate_with_cautions" if bits & CAUTION else "candidate"
