"""The rule base in words: rows, rules, what is stated of a treatment, with exact intervals; as text and as a JSON tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from osteon.errors import InputError
from osteon.numerics.proportions import exact_interval
from osteon.selection.kleene import Atom, Both, Constant, Either, Expression, Not
from osteon.selection.rules import Conflict, Rule, conflicts
from osteon.treatments.rows import NONE_STATED, Item, Sheet

SECTIONS = ("parameters", "complications", "outcomes")
ORDER = ("exclusion", "requirement", "caution", "support", "variant")
HEADS = {
    "exclusion": "Excluded if",
    "requirement": "Required",
    "caution": "Caution if",
    "support": "Speaks for it if",
    "variant": "Variants of the row",
}


def words(expression: Expression, inside: bool = False) -> str:
    """Return an expression as it is written in a rule."""
    match expression:
        case Constant(value):
            return "always" if value else "never"
        case Atom(fact, operator, literal):
            if operator == "known":
                return f"{fact} is known"
            if operator == "has":
                return f"{fact} holds {literal}"
            if isinstance(literal, bool):
                return fact if literal is (operator == "==") else f"not {fact}"
            shown = ", ".join(map(str, literal)) or "none" if isinstance(literal, (tuple, frozenset)) else f"{literal}"
            return f"{fact} {operator} {f'({shown})' if isinstance(literal, tuple) else shown}"
        case Not(part):
            return f"not ({words(part)})"
        case Both(parts) | Either(parts):
            text = (" and " if isinstance(expression, Both) else " or ").join(words(p, inside=True) for p in parts)
            return f"({text})" if inside else text


def rule_lines(rule: Rule) -> Iterator[str]:
    """Yield a rule in full."""
    yield f"{rule.id}  {rule.kind} ({rule.source_class})  {rule.file}"
    yield f"  when: {words(rule.when)}"
    yield f"  because: {rule.because}"
    if rule.then and rule.then != "excluded":
        yield f"  then: {rule.then.replace('_', ' ') if rule.then == 'outside_scope' else rule.then}"
    for each in rule.mitigations:
        yield f"  mitigated if: {words(each.when)}: {each.text}"
    if rule.film:
        yield f"  thresholds of plain films: {', '.join(rule.film)}"
    if rule.valid_from:
        yield f"  valid from: {rule.valid_from}"
    if rule.supersedes:
        yield f"  supersedes: {', '.join(rule.supersedes)}"
    for name in rule.conflicts:
        yield f"  sources disagree: {name} {conflicts()[name].title}. {conflicts()[name].decision}"
    if rule.extract:
        yield f"  extract: {', '.join(rule.extract)}"
    yield f"  sources: {', '.join(rule.source)}"


def row_lines(sheet: Sheet, rules: Iterable[Rule]) -> Iterator[str]:
    """Yield a row: what is stated of the treatment, then its rules by kind, one line each."""
    yield f"{sheet.title}  ({sheet.family}, {sheet.setting}; {', '.join(sheet.specialties).replace('_', ' ')})"
    for name, item in (sheet.profile or {}).items():
        yield f"  {name.replace('_', ' ')}: {item.text}"
    for section in SECTIONS:
        items: tuple[Item, ...] = getattr(sheet, section)
        yield f"\n{section.capitalize()}:" + ("" if items else f" {NONE_STATED}")
        yield from (f"  {item_words(item)}" for item in items)
    listed = list(rules)
    for kind in ORDER:
        of_kind = [rule for rule in listed if rule.kind == kind]
        if of_kind:
            yield f"\n{HEADS[kind]}:"
        for rule in of_kind:
            disagree = f"  (sources disagree: {', '.join(rule.conflicts)})" if rule.conflicts else ""
            outside = " [outside scope]" if rule.then == "outside_scope" else ""
            yield f"  {rule.id:<18} {words(rule.when)}{outside}{disagree}"


def item_words(item: Item) -> str:
    """Return one parameter, complication or outcome in words, with the exact interval where a count is given."""
    parts = [item.text if not item.name or item.name in item.text else f"{item.name}: {item.text}"]
    if item.count is not None and item.of is not None:
        low, high = (100 * x for x in exact_interval(item.count, item.of))
        share = 100 * item.count / item.of
        what = f" {item.of_what}" if item.of_what else ""
        parts.append(f"{item.count} of {item.of}{what}: {share:.3g} % (95 % interval {low:.3g} to {high:.3g} %)")
    if item.time:
        parts.append(item.time)
    marks = [*([] if item.verified else ["not verified"]), *([] if item.pooled else ["kept out of pooled evidence"])]
    marks += [f"sources disagree: {', '.join(item.conflicts)}"] if item.conflicts else []
    return "; ".join(parts) + (f"  ({'; '.join(marks)})" if marks else "")


def conflict_lines(entry: Conflict) -> Iterator[str]:
    """Yield an entry of the decision register in full."""
    yield f"{entry.id}  {entry.title}"
    yield f"  decision ({entry.decided}): {entry.decision}"
    yield f"  decided otherwise: {entry.changes}"
    if entry.policy:
        yield f"  switched by the site policy: {entry.policy}"
    yield f"  statements: {', '.join((*entry.statements, *entry.also))}"


def rule_tree(rule: Rule) -> dict[str, Any]:
    """Return a rule as a JSON tree."""
    return {
        "id": rule.id,
        "kind": rule.kind,
        "when": words(rule.when),
        "then": rule.then,
        "because": rule.because,
        "facts": list(rule.facts),
        "source": list(rule.source),
        "class": rule.source_class,
        "valid_from": rule.valid_from.isoformat() if rule.valid_from else None,
        "supersedes": list(rule.supersedes),
        "conflicts": list(rule.conflicts),
        "mitigations": [{"when": words(m.when), "text": m.text} for m in rule.mitigations],
        "extract": list(rule.extract),
        "film": list(rule.film),
        "file": rule.file,
    }


def item_tree(item: Item) -> dict[str, Any]:
    """Return one parameter, complication or outcome as a JSON tree; ``interval_percent`` where a count is given."""
    from dataclasses import asdict

    tree = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(item).items() if v not in (None, "", ())}
    if item.count is not None and item.of is not None:
        tree["interval_percent"] = [round(100 * x, 4) for x in exact_interval(item.count, item.of)]
    return tree


def row_tree(name: str, sheet: Sheet, rules: Iterable[Rule]) -> dict[str, Any]:
    """Return a row as a JSON tree; what is not stated is the text "none stated"."""
    sections: Mapping[str, Any] = {
        section: [item_tree(i) for i in getattr(sheet, section)] or NONE_STATED for section in SECTIONS
    }
    return {
        "treatment": name,
        "title": sheet.title,
        "family": sheet.family,
        "setting": sheet.setting,
        "specialties": list(sheet.specialties),
        "profile": {k: item_tree(i) for k, i in (sheet.profile or {}).items()},
        **sections,
        "rules": [rule_tree(rule) for rule in rules],
    }


def rule_named(name: str, rules: Iterable[Rule], where: str) -> Rule:
    """Return the rule of an id.

    Raises
    ------
    InputError
        If there is none.
    """
    from difflib import get_close_matches

    by_id = {rule.id: rule for rule in rules}
    if name.upper() in by_id:
        return by_id[name.upper()]
    near = get_close_matches(name.upper(), by_id, n=3, cutoff=0.5)
    raise InputError(
        f"{where} has no rule {name!r}.",
        "Only its own and its shared rules can be shown.",
        f"Did you mean {' or '.join(near)}?" if near else f"See `osteon rules show {where}`.",
    )
