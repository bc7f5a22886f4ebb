"""Rules as inert data: read, checked at load, and tried on their own examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from importlib import resources
from typing import Any, cast

from osteon.data_files import parse_data, read_data
from osteon.errors import InputError
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, State, Unknown, vocabulary
from osteon.selection.kleene import Expression, evaluate, names
from osteon.selection.parse import parse
from osteon.selection.policies import DEFAULT, Site
from osteon.selection.verdicts import RuleKind, Truth

KINDS = ("exclusion", "requirement", "caution", "support", "variant", "red_flag")
CLASSES = ("regulator", "label", "guideline", "seed", "proposal")
"""Classes of source, strongest first."""
KEYS = {
    "id",
    "kind",
    "when",
    "then",
    "because",
    "source",
    "class",
    "valid_from",
    "supersedes",
    "conflicts",
    "mitigations",
    "examples",
    "extract",
    "film",
    "first",
    "holds",
}
EVERYWHERE = "scope"


@dataclass(frozen=True)
class Mitigation:
    """What, if planned, turns an exclusion into a caution (policy "mitigated") or answers a caution."""

    when: Expression
    text: str


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    id, kind : str
        Kind is exclusion, requirement, caution, support or variant (a schedule, an approach, a drug of the row: it suits or it
        does not, and changes no status).
    when : Expression
        For a requirement, what must hold; for the others, when it applies.
    then : str
        For an exclusion ``excluded`` or ``outside_scope``; for the others what to do, in words.
    because : str
        Why, in a clinician's words.
    source : tuple of str
        Quotation keys and ids of papers.
    source_class : str
        regulator, label, guideline, seed, proposal.
    valid_from : datetime.date or None
        Since when it holds.
    supersedes : tuple of str
        Ids of rules that are not used where this one is.
    conflicts : tuple of str
        Ids of the decision register.
    mitigations : tuple of Mitigation
        Any one of them suffices.
    examples : tuple of (mapping, Truth)
        Facts, and what ``when`` must come to.
    file : str
        Where it stands.
    extract : tuple of str
        Ids of the extraction of the papers that it uses, for example ``("CRY-03",)``.
    film : tuple of str
        Facts whose threshold here was found on plain films: what was read on a CT instead is labelled so.
    first, holds : bool
        Of a red flag: whether it is asked before everything else where it cannot be told, and whether treatments wait for it.
    """

    id: str
    kind: RuleKind
    when: Expression
    then: str
    because: str
    source: tuple[str, ...]
    source_class: str
    valid_from: date | None
    supersedes: tuple[str, ...]
    conflicts: tuple[str, ...]
    mitigations: tuple[Mitigation, ...]
    examples: tuple[tuple[Mapping[str, State], Truth], ...]
    file: str
    extract: tuple[str, ...] = ()
    film: tuple[str, ...] = ()
    first: bool = False
    holds: bool = True

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """The facts that ``when`` reads."""
        return names(self.when)

    @cached_property
    def planning(self) -> tuple[str, ...]:
        """The facts that its mitigations read."""
        return tuple(dict.fromkeys(n for m in self.mitigations for n in names(m.when)))


@dataclass(frozen=True)
class Conflict:
    """One entry of the decision register: where sources disagree, and what was decided.

    Parameters
    ----------
    id, title : str
        ``X01`` to ``X47``; what it is about.
    statements : tuple of str
        What the sources say: quotation keys.
    decision, changes : str
        What osteon does, and what would be different if one decided otherwise.
    decided : datetime.date
        When.
    policy : str
        Id of the site policy that switches it, or ``strict/mitigated``; "" where none does.
    also : tuple of str
        Ids of papers that bear on it.
    """

    id: str
    title: str
    statements: tuple[str, ...]
    decision: str
    decided: date
    changes: str = ""
    policy: str = ""
    also: tuple[str, ...] = ()


def read_rules(entries: Sequence[Mapping[str, Any]], file: str, site: Site = DEFAULT) -> tuple[Rule, ...]:
    """Read rules from parsed YAML; an entry ``{include: name}`` takes in the rules of ``selection/guidelines/<name>.yaml``.

    Parameters
    ----------
    entries : sequence of mapping
        As parsed.
    file : str
        Where they stand, for messages.
    site : Site
        The site's policies, which ``policy('id')`` in an expression stands for.

    Raises
    ------
    InputError
        If a rule has an unknown or missing key, an unknown fact, value, conflict or class, no example, an id that is already
        taken, or if a weaker class of source would loosen a stronger one.
    """
    found: list[Rule] = []
    for entry in entries:
        if set(entry) == {"include"}:
            found += guideline(str(entry["include"]), site)
        else:
            found.append(_rule(entry, file, site))
    _check_together(found, file)
    dropped = {superseded for rule in found for superseded in rule.supersedes}
    return tuple(rule for rule in found if rule.id not in dropped)


@cache
def guideline(name: str, site: Site = DEFAULT) -> tuple[Rule, ...]:
    """Return the rules of one file in ``selection/guidelines``.

    Raises
    ------
    InputError
        If there is none of that name, or it cannot be read.
    """
    folder = resources.files("osteon.selection").joinpath("guidelines")
    file = folder.joinpath(f"{name}.yaml")
    if not file.is_file():
        known = ", ".join(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))
        raise InputError(
            f"There are no shared rules {name!r}.",
            "A treatment that includes them would be judged without them.",
            f"Include one of: {known}.",
        )
    return read_rules(parse_data(file.read_text(encoding="utf-8")), f"guidelines/{name}.yaml", site)


@cache
def conflicts() -> Mapping[str, Conflict]:
    """Return the decision register ``evidence/conflicts.yaml``, by id."""
    return {
        e["id"]: Conflict(
            id=e["id"],
            title=e["title"],
            statements=tuple(e["statements"]),
            decision=" ".join(e["decision"].split()),
            decided=e["decided"],
            changes=" ".join(e.get("changes", "").split()),
            policy=e.get("policy", ""),
            also=tuple(e.get("also", ())),
        )
        for e in read_data("osteon.evidence", "conflicts.yaml")
    }


def _refuse(what: str, where: str, do: str) -> InputError:
    return InputError(f"{where}: {what}", "A rule that is misread would judge a patient wrongly.", do)


def _rule(entry: Mapping[str, Any], file: str, site: Site) -> Rule:
    where = f"{file}: rule {entry.get('id', '(without id)')}"
    wrong = sorted(set(entry) - KEYS)
    absent = [k for k in ("id", "kind", "when", "because", "source", "class", "examples") if entry.get(k) in (None, "", [])]
    if wrong or absent:
        raise _refuse(
            f"unknown keys {wrong}, missing {absent}.", where, f"Use the keys {', '.join(sorted(KEYS))}; give examples."
        )
    kind, then, source_class = entry["kind"], str(entry.get("then", "")), entry["class"]
    if kind == "exclusion":
        then = then or "excluded"
    allowed_then = ("excluded", "outside_scope") if kind == "exclusion" else (then,)
    if kind not in KINDS or source_class not in CLASSES or then not in allowed_then:
        raise _refuse(
            f"kind {kind!r}, class {source_class!r} or then {then!r} is not known.",
            where,
            f"Kinds: {', '.join(KINDS)}; classes: {', '.join(CLASSES)}; an exclusion's then: excluded or outside_scope.",
        )
    if entry.get("mitigations") and (kind not in ("exclusion", "caution") or source_class in ("regulator", "label")):
        raise _refuse(
            "mitigations do not loosen this rule.",
            where,
            "Only exclusions and cautions of guideline, seed or proposal take them.",
        )
    unknown = [c for c in entry.get("conflicts", ()) if c not in conflicts()]
    if unknown:
        raise _refuse(f"no entry {unknown} in the decision register.", where, "Add it to evidence/conflicts.yaml.")
    words = vocabulary()
    source = entry["source"]
    made = Rule(
        id=entry["id"],
        kind=cast(RuleKind, kind),
        when=parse(entry["when"], words, where, site),
        then=" ".join(then.split()),
        because=" ".join(str(entry["because"]).split()),
        source=tuple(" ".join(s.split()) for s in ([source] if isinstance(source, str) else source)),
        source_class=source_class,
        valid_from=entry.get("valid_from"),
        supersedes=tuple(entry.get("supersedes", ())),
        conflicts=tuple(entry.get("conflicts", ())),
        mitigations=tuple(Mitigation(parse(m["when"], words, where, site), m["text"]) for m in entry.get("mitigations", ())),
        examples=tuple(_example(e, where) for e in entry["examples"]),
        file=file,
        extract=tuple(entry.get("extract", ())),
        film=tuple(entry.get("film", ())),
        first=bool(entry.get("first", False)),
        holds=bool(entry.get("holds", True)),
    )
    unread = [name for name in made.film if name not in made.facts]
    if unread:
        raise _refuse(f"`film` names {unread}, which `when` does not read.", where, "Name facts that the condition compares.")
    return made


def _check_together(found: Sequence[Rule], file: str) -> None:
    ids = [rule.id for rule in found]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise _refuse(f"the ids {twice} occur more than once.", file, "Give every rule its own id.")
    by_id = {rule.id: rule for rule in found}
    for rule in found:
        for other in (by_id[i] for i in rule.supersedes if i in by_id):
            if CLASSES.index(rule.source_class) > CLASSES.index(other.source_class):
                raise _refuse(
                    f"{rule.id} ({rule.source_class}) would supersede {other.id} ({other.source_class}).",
                    file,
                    "Only a source of the same or a stronger class supersedes a rule.",
                )


def _example(entry: Mapping[str, Any], where: str) -> tuple[Mapping[str, State], Truth]:
    expected = {True: "true", False: "false"}.get(entry["is"], entry["is"]) if not isinstance(entry["is"], str) else entry["is"]
    if expected not in ("true", "false", "unknown", "not_applicable"):
        raise _refuse(f"an example's `is` is {entry['is']!r}.", where, "Use true, false, unknown or not_applicable.")
    words = vocabulary()
    strange = [name for name in entry.get("facts", {}) if name not in words]
    if strange:
        raise _refuse(f"an example names the facts {strange}, which facts.yaml lacks.", where, "Use the vocabulary.")
    return {n: state_from(v) for n, v in entry.get("facts", {}).items()}, cast(Truth, expected)


def state_from(value: Any) -> State:
    """Return a state as examples write it: a value, a list for a set-typed fact, ``{min, max}``, ``{one_of}``, unknown, n/a."""
    if isinstance(value, Mapping):
        if "one_of" in value:
            return OneOf(tuple(value["one_of"]))
        return Interval(float(value["min"]), float(value["max"]))
    if value is None or value == "unknown":
        return Unknown()
    if value == "n/a":
        return NotApplicable("example")
    if isinstance(value, list):
        return Known(", ".join(value) or "none")
    return Known(value)


def states_of(facts: Mapping[str, Fact]) -> dict[str, State]:
    """Return the states of facts by name."""
    return {name: fact.state for name, fact in facts.items()}


def failing_examples(rules: Iterable[Rule]) -> list[str]:
    """Return one line per example that does not come out as its rule says."""
    found = []
    for rule in rules:
        for number, (states, expected) in enumerate(rule.examples, 1):
            actual = evaluate(rule.when, states, vocabulary())
            if actual != expected:
                found.append(f"{rule.file}: rule {rule.id}, example {number}: {actual}, expected {expected}")
    return found
