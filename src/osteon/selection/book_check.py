"""What is wrong with the rule base, with file and line: form, examples, and rules that can never do what they are there for.

Findings make ``osteon rules check`` fail. Notes do not: they name what can be meant, for example a caution that only holds where
the row is excluded anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

from osteon.errors import OsteonError
from osteon.evidence.quotes import index
from osteon.evidence.source import QUOTATION
from osteon.facts import FactType, Interval, Known, OneOf, State, vocabulary
from osteon.selection.judging import refusal
from osteon.selection.kleene import Atom, Constant, as_value, atoms
from osteon.selection.page import Page, faults_of, pages_of
from osteon.selection.parse import parse
from osteon.selection.rules import EVERYWHERE, Rule, failing_examples, read_rules
from osteon.selection.satisfiable import Solver, Wanted
from osteon.selection.snapshot import GUIDELINES, TREATMENTS, Snapshot, installed
from osteon.treatments import rows

SECTIONS = ("parameters", "complications", "outcomes")
BUILT_IN = ("scope", "red_flags", "board")
"""Guidelines that the program reads by itself; every other one must be included by some row."""
PERCENT_ROUNDING = 0.51
PAPERS = "evidence/papers/"
NOT_INDEXED = "is not in the index of quotations"


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong.

    Parameters
    ----------
    file, line, rule : str, int, str
        Where: path inside osteon, line from 1, id of the rule or entry ("" for the whole file).
    kind : str
        form, example, no example, never true, never false, contradiction, duplicate, number, source, unused, not settled.
    text : str
        In words.
    note : bool
        Whether it is only pointed out.
    """

    file: str
    line: int
    rule: str
    kind: str
    text: str
    note: bool = False


@dataclass
class _Read:
    """The rules of one file, and what it includes, in order."""

    page: Page
    entries: list[Rule | str] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)


def check(snapshot: Snapshot | None = None, *, notes: bool = True) -> tuple[Finding, ...]:
    """Return everything that is wrong with a rule base, by file and line.

    Parameters
    ----------
    snapshot : Snapshot, optional
        Default: what is installed.
    notes : bool
        Whether to look for what is only pointed out, too.
    """
    whole = snapshot or installed()
    found: list[Finding] = _beside(whole)
    if any(f.file in whole.files for f in found):
        return tuple(sorted(found))  # without facts, limits and policies no rule can be read
    read: dict[str, _Read] = {}
    for page in pages_of(whole):
        found += [Finding(page.path, line, "", "form", text) for line, text in page.faults]
        read[page.path] = one = _Read(page)
        found += _form(one)
        if page.path.startswith(TREATMENTS):
            found += _items(page)
    solver = Solver(vocabulary())
    included: set[str] = set()
    for one in read.values():
        found += _each(one, solver)
    for path, one in read.items():
        included |= {e for e in one.entries if isinstance(e, str)}
        if path.startswith(TREATMENTS):
            found += _row(one, read, solver, notes)
    for path in read:
        name = path.removeprefix(GUIDELINES).removesuffix(".yaml")
        if path.startswith(GUIDELINES) and name not in included and name not in BUILT_IN:
            found.append(Finding(path, 1, "", "unused", "no row includes these rules"))
    return tuple(sorted(f for f in {*_joined(found)} if notes or not f.note))


def _joined(found: Sequence[Finding]) -> Iterator[Finding]:
    """Yield the findings; quotations that the index lacks as one per file."""
    lacking: dict[str, list[Finding]] = {}
    for each in found:
        if each.kind == "source" and NOT_INDEXED in each.text:
            lacking.setdefault(each.file, []).append(each)
        else:
            yield each
    for listed in lacking.values():
        first = min(listed)
        more = f" (and {len(listed) - 1} more in this file)" if len(listed) > 1 else ""
        yield replace(first, text=first.text + more)


def _beside(whole: Snapshot) -> list[Finding]:
    """Return what is wrong with the files that the rules refer to: facts, limits, policies, conflicts, papers."""
    texts = {path: text for path, text in whole.files.items() if not path.startswith((GUIDELINES, TREATMENTS))}
    folder = resources.files("osteon.evidence").joinpath("papers")
    texts |= {f"{PAPERS}{f.name}": f.read_text(encoding="utf-8") for f in folder.iterdir() if f.name.endswith(".yaml")}
    return [Finding(path, line, "", "form", words) for path, text in texts.items() for line, words in faults_of(text)]


@cache
def _papers() -> frozenset[str]:
    folder = resources.files("osteon.evidence").joinpath("papers")
    return frozenset(f.name.removesuffix(".yaml") for f in folder.iterdir())


def _form(one: _Read) -> Iterator[Finding]:
    page = one.page
    for number, entry in enumerate(page.rules):
        line, where = page.line("rules", number), str(entry.get("id", "")) if isinstance(entry, dict) else ""
        if not isinstance(entry, dict):
            yield Finding(page.path, line, "", "form", f"{str(entry)[:60]!r} is no rule")
        elif set(entry) == {"include"}:
            one.entries.append(str(entry["include"]))
            if f"{GUIDELINES}{entry['include']}.yaml" not in page.beside:
                yield Finding(page.path, line, "", "form", f"there are no shared rules {entry['include']!r} to include")
        elif where in one.lines:
            yield Finding(page.path, line, where, "form", f"the id stands in line {one.lines[where]} already")
        else:
            one.lines[where] = line
            try:
                one.entries += read_rules([entry], page.path)
            except OsteonError as error:
                yield Finding(page.path, _line(page, number, entry), where, "form", error.what)
            except (TypeError, ValueError, KeyError, AttributeError) as error:  # values of a wrong kind
                yield Finding(page.path, line, where, "form", f"an entry has a wrong form: {type(error).__name__}: {error}")


def _line(page: Page, number: int, entry: Mapping[str, Any]) -> int:
    """Return the line of the part of a rule that cannot be read, or of the rule."""
    for key in ("when", "mitigations"):
        texts = [entry.get(key)] if key == "when" else [m.get("when") for m in entry.get(key) or () if isinstance(m, dict)]
        try:
            for text in texts:
                parse(text if isinstance(text, (str, bool)) else "", vocabulary(), "")
        except OsteonError:
            return page.line("rules", number, key)
    return page.line("rules", number)


def _each(one: _Read, solver: Solver) -> Iterator[Finding]:
    """Yield what is wrong with single rules: examples, sources, and conditions that can only come out one way."""
    numbers = {str(e.get("id")): n for n, e in enumerate(one.page.rules) if isinstance(e, dict)}
    for rule in (r for r in one.entries if isinstance(r, Rule)):
        line, at = one.lines[rule.id], numbers[rule.id]
        for text in failing_examples([rule]):
            yield Finding(one.page.path, one.page.line("rules", at, "examples"), rule.id, "example", text.split(", ", 1)[1])
        for number, (states, _) in enumerate(rule.examples):
            for name, state in states.items():
                if fault := _outside(vocabulary()[name], state):
                    place = one.page.line("rules", at, "examples", number)
                    yield Finding(one.page.path, place, rule.id, "example", f"{name} is {fault}, which facts.yaml does not allow")
        yield from (Finding(one.page.path, line, rule.id, "source", text) for text in _sources(rule.source))
        if not isinstance(rule.when, Constant):
            yield from _sides(one.page, line, rule, solver)
        elif not rule.when.value and rule.kind not in ("requirement", "variant"):
            yield Finding(
                one.page.path, line, rule.id, "never true", "the condition is the constant false: the rule says nothing"
            )


def _sides(page: Page, line: int, rule: Rule, solver: Solver) -> Iterator[Finding]:
    can = {value: solver.together([(rule.when, value)]) is not None for value in (True, False)}
    asks = any(atom.operator == "known" for atom in atoms(rule.when))
    if not can[True] and not asks:
        yield Finding(page.path, line, rule.id, "never true", "no values of the facts make the condition true")
    if not can[False] and not asks:
        yield Finding(page.path, line, rule.id, "never false", "no values of the facts make the condition false")
    shown = {expected for _, expected in rule.examples}
    absent = [word for value, word in ((True, "true"), (False, "false")) if can[value] and word not in shown]
    if absent:
        yield Finding(page.path, line, rule.id, "no example", f"no example comes to {' nor one to '.join(absent)}")


def _outside(kind: FactType, state: State) -> str:
    """Return an example's value where it is none of the fact, else ""."""
    values: tuple[object, ...] = ()
    match state:
        case Known(one):
            values = (one,)
        case OneOf(several):
            values = several
        case Interval(low, high):
            values = (low, high)
    return next((repr(value) for value in values if not _allowed(kind, as_value(kind, value))), "")


def _allowed(kind: FactType, value: object) -> bool:
    match kind.type:
        case "number":
            low, high = (float(x) for x in kind.domain)
            return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        case "set":
            return isinstance(value, frozenset) and value <= set(kind.domain)
        case "choice":
            return value in kind.domain
    return isinstance(value, bool if kind.type == "bool" else str)


def _sources(source: Sequence[str]) -> Iterator[str]:
    for each in source:
        key = QUOTATION.fullmatch(each)
        if key is not None and (key["seed"], " ".join(key["words"].split())) not in index().quotes:
            yield f"{each} {NOT_INDEXED}: run scripts/index_quotes.py"
        elif key is None and each not in _papers():
            yield f"{each!r} is neither a quotation key nor a paper of evidence/papers"


def _items(page: Page) -> Iterator[Finding]:
    """Yield what is wrong with the head of a row and with its parameters, complications, outcomes and profile."""
    name, tree = page.path.split("/")[1], page.tree if isinstance(page.tree, dict) else {}
    try:
        rows._check(name, tree)
    except OsteonError as error:
        yield Finding(page.path, 1, "", "form", error.what)
    words = vocabulary()
    if (planned := str(tree.get("planned_as", ""))) and (planned not in words or words[planned].type != "bool"):
        yield Finding(page.path, page.line("planned_as"), "", "form", f"planned_as {planned!r} is no yes-or-no fact")
    if (refused := str(tree.get("refused_as", ""))) and refused not in words["refused"].domain:
        yield Finding(
            page.path, page.line("refused_as"), "", "form", f"refused_as {refused!r} is no member of the fact `refused`"
        )
    for section in SECTIONS:
        listed = tree.get(section, ())
        for number, entry in enumerate(listed if isinstance(listed, list) else ()):
            yield from _item(page, page.line(section, number), name, entry, section)
        if not isinstance(listed, (list, tuple)) and listed != rows.NONE_STATED:
            yield Finding(page.path, page.line(section), "", "form", f"{section} is neither a list nor {rows.NONE_STATED!r}")
    profile = tree.get("profile", {})
    for key, value in profile.items() if isinstance(profile, dict) else ():
        entry = {"id": key, "name": key, **rows._worded(value)}
        yield from _item(page, page.line("profile", key), name, entry, "profile")


def _item(page: Page, line: int, name: str, entry: Any, section: str) -> Iterator[Finding]:
    if not isinstance(entry, dict):
        yield Finding(page.path, line, "", "form", f"{section}: {str(entry)[:60]!r} is no entry")
        return
    called = f"{section}/{entry.get('id', '')}"
    try:
        found = rows.item(name, entry)
    except OsteonError as error:
        yield Finding(page.path, line, called, "form", error.what)
        return
    yield from (Finding(page.path, line, called, "source", text) for text in _sources(found.source))
    if found.count is not None and found.of is not None:
        if not 0 <= found.count <= found.of or not found.of:
            yield Finding(page.path, line, called, "number", f"{found.count} of {found.of} is no count")
        elif found.percent is not None and not found.conflicts:
            exact = 100 * found.count / found.of
            if abs(exact - found.percent) > PERCENT_ROUNDING:
                text = f"{found.count} of {found.of} is {exact:.1f} %, not {found.percent} %: name the conflict, or correct it"
                yield Finding(page.path, line, called, "number", text)
    if found.low is not None and found.high is not None and found.low > found.high:
        yield Finding(page.path, line, called, "number", f"low {found.low} lies above high {found.high}")


def _row(one: _Read, read: Mapping[str, _Read], solver: Solver, notes: bool) -> Iterator[Finding]:
    """Yield what is wrong among the rules of one row: contradictions, duplicates, rules that the others make idle."""
    tree = one.page.tree if isinstance(one.page.tree, dict) else {}
    refused = str(tree.get("refused_as", ""))
    shared = _gathered([EVERYWHERE], read)
    listed = [*shared, *([refusal(refused)] if refused in vocabulary()["refused"].domain else []), *_gathered(one.entries, read)]
    dropped = {i for rule in listed for i in rule.supersedes}
    rules = [rule for rule in listed if rule.id not in dropped]
    ids = [rule.id for rule in rules]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        yield Finding(one.page.path, 1, twice[0], "form", f"with its shared rules the row holds more than one of {twice}")
        return
    own = {rule.id for rule in one.entries if isinstance(rule, Rule)}
    place = {rule.id: one.lines.get(rule.id, 1) if rule.id in own else 1 for rule in rules}
    yield from _duplicates(one, rules, own, place, solver)
    closed = [r for r in rules if isinstance(r.when, Constant) and r.when.value is (r.kind == "exclusion")]
    if any(r.kind in ("exclusion", "requirement") for r in closed):
        return  # the row is closed on purpose, whoever the patient is
    deciding = [r for r in rules if r.kind in ("exclusion", "requirement") and not r.mitigations]
    wanted: dict[str, Wanted] = {r.id: (r.when, r.kind == "requirement") for r in deciding}
    try:
        if solver.together(list(wanted.values())) is None:
            core = solver.core(list(wanted.values()))
            named = [i for i, w in wanted.items() if any(w is c for c in core)]
            line, rule = next(((place[i], i) for i in named if i in own), (1, named[0]))
            outside = any(r.then == "outside_scope" for r in deciding if r.id in named)
            text = f"{' and '.join(named)} leave no patient for whom the row is open"
            yield Finding(one.page.path, line, rule, "contradiction", text, note=outside)
        elif notes:
            yield from _idle(one, rules, wanted, own, solver)
    except OsteonError as error:
        yield Finding(one.page.path, 1, "", "not settled", error.what)


def _gathered(entries: Sequence[Rule | str], read: Mapping[str, _Read]) -> list[Rule]:
    found: list[Rule] = []
    for entry in entries:
        if isinstance(entry, Rule):
            found.append(entry)
        elif (path := f"{GUIDELINES}{entry}.yaml") in read:
            found += _gathered(read[path].entries, read)
    return found


def _duplicates(one: _Read, rules: Sequence[Rule], own: set[str], place: Mapping[str, int], solver: Solver) -> Iterator[Finding]:
    told = [r for r in rules if not isinstance(r.when, Constant)]
    for number, rule in enumerate(told):
        for other in told[number + 1 :]:
            decides = rule.kind in ("exclusion", "requirement")
            alike = rule.kind == other.kind and rule.then == other.then and not rule.mitigations and not other.mitigations
            said = decides or rule.because == other.because
            if alike and said and {rule.id, other.id} & own and solver.same(rule.when, other.when):
                line = max(place[rule.id], place[other.id])
                text = (
                    f"it says the same as {rule.id if place[other.id] == line else other.id}: join them, with all their sources"
                )
                yield Finding(one.page.path, line, other.id if place[other.id] == line else rule.id, "duplicate", text)


def _idle(one: _Read, rules: Sequence[Rule], wanted: Mapping[str, Wanted], own: set[str], solver: Solver) -> Iterator[Finding]:
    """Yield the row's own rules that can only decide where another rule has decided already."""
    for rule in rules:
        silent = isinstance(rule.when, Constant) or rule.kind in ("support", "variant") or bool(rule.mitigations)
        if rule.id not in own or silent or any(a.operator == "known" for a in atoms(rule.when)):
            continue
        others = _touching([w for i, w in wanted.items() if i != rule.id], rule)
        if solver.together([*others, (rule.when, rule.kind != "requirement")]) is None:
            where = "the row is closed by other rules" if rule.kind == "caution" else "other rules close the row"
            yield Finding(one.page.path, one.lines[rule.id], rule.id, "idle", f"it only acts where {where} anyway", note=True)


def _touching(wanted: Sequence[Wanted], rule: Rule) -> list[Wanted]:
    """Return the expressions that share facts with a rule, directly or through others."""
    facts, left, found = set(rule.facts), list(wanted), []
    while near := [w for w in left if facts & {a.fact for a in _atoms(w)}]:
        found += near
        left = [w for w in left if not any(w is n for n in near)]
        facts |= {a.fact for w in near for a in _atoms(w)}
    return found


def _atoms(wanted: Wanted) -> list[Atom]:
    return list(atoms(wanted[0]))
