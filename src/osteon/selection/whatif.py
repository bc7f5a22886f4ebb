"""What would change an answer: the one-step changes of known and open facts, of the policy and of the site's choices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import groupby, pairwise
from typing import Any

from osteon.assessment.results import Assessment
from osteon.data_files import parse_data, read_data
from osteon.facts import Fact, FactType, Interval, Known, NotApplicable, OneOf, State, Unknown, vocabulary
from osteon.selection.answer import Answer, Bench
from osteon.selection.explain import STATUS_ORDER, UNITS, label, state_words, status_words
from osteon.selection.judging import Judged, book, judge, status_of
from osteon.selection.kleene import Atom, Expression, as_value
from osteon.selection.parse import parse
from osteon.selection.policies import Site, policies
from osteon.selection.rules import EVERYWHERE, states_of
from osteon.selection.select import base_facts, joined, site_facts
from osteon.selection.verdicts import OPEN, Status, Verdicts
from osteon.treatments.catalog import entries, treatment

SHUT: tuple[Status, ...] = ("excluded", "not_indicated", "outside_scope")


@dataclass(frozen=True)
class Change:
    """One step that would give another status.

    Parameters
    ----------
    fact : str
        The fact that would be otherwise; "" for a policy or a choice of the site.
    text : str
        The condition in words, for example "if platelets < 50 ×10⁹/l (now 214 ×10⁹/l)".
    status : Status
        What the row would then be.
    decisive : bool
        Whether a rule that makes the present status reads it.
    """

    fact: str
    text: str
    status: Status
    decisive: bool = False

    @property
    def said(self) -> str:
        """The whole sentence without its full stop."""
        return f"{status_words(self.status)} {self.text}"


@cache
def settings() -> Mapping[str, Any]:
    """Return ``whatif.yaml``."""
    loaded: Mapping[str, Any] = read_data("osteon.selection", "whatif.yaml")
    return loaded


def answers(assessment: Assessment, verdicts: Verdicts, lesion_id: str) -> dict[str, Answer]:
    """Return the answers behind a lesion's verdicts, by treatment, under the policy that counts, to be asked what would change.

    Sets of missing facts are not searched again. What a treatment of another package cannot tell is left out.

    Raises
    ------
    KeyError
        If the assessment has no such lesion.
    """
    lesion, site = assessment.lesion(lesion_id), site_of(verdicts)
    base = base_facts(assessment, lesion, site)
    benches: dict[tuple[Fact, ...], Bench] = {(): Bench.of(states_of(base))}
    found: dict[str, Answer] = {}
    for verdict in verdicts.verdicts:
        if (verdict.lesion_id, verdict.policy) != (lesion_id, verdicts.policy) or verdict.treatment not in entries():
            continue
        which = treatment(verdict.treatment)
        told = tuple(site_facts(lesion, which))
        if told not in benches:
            benches[told] = Bench.of(states_of(joined(base, told)))
        rules = book(which, site)
        found[which.name] = Answer.to(lesion_id, which.name, verdict.policy, rules, benches[told], missing=False)
    return found


def states_at(assessment: Assessment, verdicts: Verdicts, lesion_id: str) -> dict[str, State]:
    """Return what is known of a patient and a lesion, with what follows from it, without what a treatment finds at the site.

    Raises
    ------
    KeyError
        If the assessment has no such lesion.
    """
    return states_of(base_facts(assessment, assessment.lesion(lesion_id), site_of(verdicts)))


def site_of(verdicts: Verdicts) -> Site:
    """Return the choices of the site that some verdicts were made under."""
    return Site.with_choices({name: choice for name, choice, default in verdicts.site if not default})


def would_change(answer: Answer, verdicts: Verdicts | None = None, most: int | None = None) -> tuple[Change, ...]:
    """Return the few most telling one-step changes of an answer's status, decisive exclusions first.

    Parameters
    ----------
    answer : Answer
        Of one treatment and lesion under one policy.
    verdicts : Verdicts, optional
        Gives the status under the other policies and the site's choices; without it those are not told.
    most : int, optional
        How many facts at most; default: ``most_told`` of ``whatif.yaml``.

    Returns
    -------
    tuple of Change
        Empty for what is outside the knowledge base, and where no single step changes anything.
    """
    if answer.status == "outside_scope":
        return ()
    told = settings()["most_told"] if most is None else most
    found = (c for c in _of_facts(answer) if c.status != "outside_scope" and (c.decisive or answer.status not in SHUT))
    facts = _pick(answer, _ranked(answer, found), told)
    return (*facts, *(_of_policies(answer, verdicts) if verdicts is not None else ()))


def decisive_facts(answer: Answer) -> tuple[str, ...]:
    """Return the facts read by the rules that make the status: exclusions that hold, requirements that fail, what is open."""
    found: dict[str, None] = {}
    for rule in (j for j in answer.judged if _decides(j, answer.status)):
        found.update(dict.fromkeys((*rule.rule.facts, *rule.rule.planning)))
    return tuple(found)


def _decides(judged: Judged, status: Status) -> bool:
    pair = (judged.kind, judged.truth)
    if status in ("excluded", "outside_scope"):
        return pair == ("exclusion", "true")
    if status == "not_indicated":
        return pair == ("requirement", "false")
    if status == "needs":
        return judged.kind in ("exclusion", "requirement") and judged.truth == "unknown"
    return pair == ("caution", "true") if status == "candidate_with_cautions" else judged.kind in ("exclusion", "requirement")


def _of_facts(answer: Answer) -> Iterator[Change]:
    """Yield every one-step change of a fact that alters the status; the facts of decisive rules are tried first."""
    first = decisive_facts(answer)
    fixed, words = set(settings()["fixed"]), vocabulary()
    left = int(settings()["most_tried"])
    for fact in dict.fromkeys((*first, *answer.book.comparisons)):
        state = answer.states.get(fact, Unknown())
        atoms = answer.book.comparisons.get(fact, ())
        if not atoms or isinstance(state, NotApplicable) or (fact in fixed and isinstance(state, Known)):
            continue
        cells = _cells(words[fact], state, atoms)
        left -= len(cells)
        if left < 0:
            return
        for text, status in _outcomes(answer, fact, cells):
            joint = " " if words[fact].type == "number" else ": "
            now = f" (now {state_words(fact, state).removeprefix(label(fact)).strip()})" if isinstance(state, Known) else ""
            yield Change(fact, f"if {label(fact)}{joint}{text}{now}", status, fact in first)


@dataclass(frozen=True)
class _Cell:
    """One way in which the comparisons of a fact can come out: a value of it, and a piece of the number line or words."""

    value: object
    here: bool
    said: str = ""
    low: float | None = None
    high: float | None = None


def _cells(kind: FactType, state: State, atoms: Sequence[Atom]) -> list[_Cell]:
    """Return the pieces of a fact's domain between its comparisons; ``here``: where what is known lies."""
    match kind.type:
        case "number":
            return _pieces(kind, state, atoms)
        case "bool":
            return [_Cell(v, state == Known(v), "yes" if v else "no") for v in (True, False)]
        case "choice":
            return [_Cell(v, state == Known(v), str(v).replace("_", " ")) for v in kind.domain]
        case "set":
            return _members(kind, state, atoms)
    return []  # no finite list of texts is worth telling


def _members(kind: FactType, state: State, atoms: Sequence[Atom]) -> list[_Cell]:
    asked = list(dict.fromkeys(str(a.literal) for a in atoms if a.operator == "has"))
    if not isinstance(state, Known):
        return [_Cell(frozenset(), False, "none"), *(_Cell(frozenset((m,)), False, m) for m in asked)]
    now = as_value(kind, state.value)
    known = now if isinstance(now, frozenset) else frozenset[Any]()
    return [_Cell(known ^ {m}, False, f"without {m}" if m in known else f"with {m}") for m in asked]


def _pieces(kind: FactType, state: State, atoms: Sequence[Atom]) -> list[_Cell]:
    lowest, highest = (float(x) for x in kind.domain)
    compared = [a for a in atoms if a.operator != "known"]
    said = {float(x) for a in compared for x in (a.literal if isinstance(a.literal, (tuple, frozenset)) else (a.literal,))}
    cuts = sorted(x for x in said if lowest <= x <= highest)
    ends = [None, *cuts, None]
    cells = []
    for low, high in pairwise(ends):
        start, stop = lowest if low is None else low, highest if high is None else high
        if stop > start:
            middle = (start + stop) / 2
            cells.append(_Cell(middle, _lies(state, start, stop, low is None, high is None), "", low, high))
        if high is not None:
            cells.append(_Cell(high, state == Known(high), "", high, high))
    return cells


def _lies(state: State, low: float, high: float, from_low: bool, to_high: bool) -> bool:
    if not isinstance(state, Known) or isinstance(state.value, str):
        return False
    value = float(state.value)
    return low < value < high or (from_low and value == low) or (to_high and value == high)


def _outcomes(answer: Answer, fact: str, cells: Sequence[_Cell]) -> Iterator[tuple[str, Status]]:
    """Yield each piece of a fact's domain that gives another status, neighbours with one status joined, in words."""
    kind, atoms = vocabulary()[fact], answer.book.comparisons[fact]
    seen: dict[tuple[bool, ...], Status] = {}
    state = answer.states.get(fact, Unknown())

    def status(cell: _Cell) -> Status:
        if cell.here or not _possible(kind, state, cell):
            return answer.status
        signature = tuple(a.holds(cell.value) for a in atoms)
        if signature not in seen:
            seen[signature] = answer.after(fact, cell.value)
        return seen[signature]

    if kind.type == "number":
        for result, run in groupby(cells, key=status):
            if result != answer.status:
                yield _range_words(list(run), UNITS.get(kind.unit or "", kind.unit or "")), result
        return
    results: dict[Status, list[str]] = {}
    for cell in cells:
        results.setdefault(status(cell), []).append(cell.said)
    for result, said in results.items():
        if result != answer.status and len(said) == len(cells) and not isinstance(state, Known):
            yield "told, whatever it is", result
        elif result != answer.status:
            yield " or ".join(said) if len(said) <= 4 else f"{', '.join(said[:3])} or another of {len(said)}", result


def _possible(kind: FactType, state: State, cell: _Cell) -> bool:
    """Tell whether a value is left open by what is partly known; a known fact may be otherwise as a whole."""
    if isinstance(state, Interval) and isinstance(cell.value, (int, float)):
        low = -float("inf") if cell.low is None else cell.low
        high = float("inf") if cell.high is None else cell.high
        return low <= state.high and state.low <= high
    if isinstance(state, OneOf) and kind.type in ("bool", "choice"):
        return cell.value in state.values
    return True


def _range_words(run: Sequence[_Cell], unit: str) -> str:
    low, high = run[0].low, run[-1].high
    with_low, with_high = run[0].low == run[0].high, run[-1].low == run[-1].high

    def said(number: float) -> str:
        return f"{number:.4g}"

    if low is None and high is None:
        text = "known"
    elif low is None and high is not None:
        text = f"≤ {said(high)}" if with_high else f"< {said(high)}"
    elif high is None and low is not None:
        text = f"≥ {said(low)}" if with_low else f"> {said(low)}"
    elif low == high and low is not None:
        text = f"= {said(low)}"
    else:
        text = f"{said(low or 0.0)} to {said(high or 0.0)}"
    return f"{text} {unit}".strip()


def _ranked(answer: Answer, changes: Iterable[Change]) -> list[Change]:
    """Order changes: of decisive facts first; from open to shut the hardest first, from shut to open the freest first."""
    shut, last = answer.status not in OPEN, set(settings()["last"])

    def weight(change: Change) -> tuple[bool, bool, bool, int]:
        place = STATUS_ORDER.index(change.status)
        known = isinstance(answer.states.get(change.fact, Unknown()), Known)
        return (change.fact in last, not change.decisive, not known, place if shut else -place)

    return sorted(changes, key=weight)


def _pick(answer: Answer, ranked: Sequence[Change], most: int) -> tuple[Change, ...]:
    """Return the changes of the first facts: one of a known fact, up to two of an open one, which may come out either way."""
    kept: dict[str, list[Change]] = {}
    for change in ranked:
        known = isinstance(answer.states.get(change.fact, Unknown()), Known)
        if len(kept.get(change.fact, ())) < (1 if known else 2):
            kept.setdefault(change.fact, []).append(change)
    return tuple(change for each in list(kept.values())[:most] for change in each)


def _of_policies(answer: Answer, verdicts: Verdicts) -> Iterator[Change]:
    for other in verdicts.verdicts:
        same = (other.lesion_id, other.treatment) == (answer.lesion_id, answer.treatment)
        if same and other.policy != answer.policy and other.status != answer.status:
            yield Change("", f"under the policy “{other.policy}”", other.status, decisive=True)
    yield from _of_site(answer, {name: choice for name, choice, _ in verdicts.site})


def _of_site(answer: Answer, chosen: Mapping[str, bool | int | float | str]) -> Iterator[Change]:
    """Yield what another choice of the site would give, for the choices that the treatment's rules read."""
    asking = _asking(answer.treatment)
    by_id = {j.rule.id: j for j in answer.judged}
    for name in dict.fromkeys(policy for _, _, policy in asking):
        entry = policies()[name]
        now = chosen.get(name, entry["choices"][0])
        for choice in (c for c in entry["choices"] if c != now):
            site = Site.with_choices({**chosen, name: choice})
            redone = {
                rule: judge(replace(by_id[rule].rule, when=_parsed(when, rule, site)), answer.bench.truths, answer.policy)
                for rule, when, policy in asking
                if policy == name and rule in by_id
            }
            status = status_of(redone.get(j.rule.id, j) for j in answer.judged)
            if status != answer.status:
                said = str(choice).lower() if isinstance(choice, bool) else str(choice)
                yield Change("", f"under the site's choice “{entry['words'].format(said)}”", status)


@cache
def _parsed(when: str, where: str, site: Site) -> Expression:
    return parse(when, vocabulary(), where, site)


@cache
def _asking(name: str) -> tuple[tuple[str, str, str], ...]:
    """Return (rule, expression, site policy) for each rule of a treatment that reads a choice of the site."""
    found = []
    for entry in (*_raw(EVERYWHERE), *_expanded(treatment(name).rules)):
        when = str(entry.get("when", ""))
        found += [(str(entry["id"]), when, policy) for policy in policies() if f"policy('{policy}')" in when.replace('"', "'")]
    return tuple(found)


def _expanded(rules: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for entry in rules:
        found += _raw(str(entry["include"])) if set(entry) == {"include"} else [entry]
    return found


@cache
def _raw(name: str) -> tuple[Mapping[str, Any], ...]:
    file = resources.files("osteon.selection").joinpath("guidelines", f"{name}.yaml")
    return tuple(_expanded(parse_data(file.read_text(encoding="utf-8"))))
