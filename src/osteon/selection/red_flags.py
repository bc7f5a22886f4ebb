"""What comes before every treatment: red flags of one lesion, up or not to be told."""

from __future__ import annotations

from collections.abc import Callable

from osteon.facts import NotApplicable, Unknown
from osteon.selection.explain import question, state_words
from osteon.selection.judging import comparisons_of
from osteon.selection.kleene import Truths
from osteon.selection.missing import Cubes, mattering
from osteon.selection.policies import DEFAULT, Site
from osteon.selection.rules import Rule, guideline
from osteon.selection.verdicts import Flag

FILE = "red_flags"


def flags_of(lesion_id: str, truths: Truths, site: Site = DEFAULT) -> tuple[Flag, ...]:
    """Return the red flags of a lesion that are up, then those that cannot be told; those known to be down are left out.

    Parameters
    ----------
    lesion_id : str
        Whose.
    truths : Truths
        What is known of it.
    site : Site
        The site's policies.

    Examples
    --------
    >>> from osteon.facts import Known, vocabulary
    >>> told = Truths({"spinal": Known(True), "sphincter_loss": Known(True)}, vocabulary())
    >>> flags_of("L1", told)[0].rule_id
    'RF-NEURO'
    """
    rules = guideline(FILE, site)
    cubes = Cubes(truths, comparisons_of(rule.when for rule in rules))
    found = [_flag(lesion_id, rule, truths, lambda: cubes) for rule in rules if truths.of(rule.when) in ("true", "unknown")]
    return tuple(sorted(found, key=lambda f: (f.truth != "true", not f.urgent)))


def _flag(lesion_id: str, rule: Rule, truths: Truths, cubes: Callable[[], Cubes]) -> Flag:
    truth, states = truths.of(rule.when), truths.states
    unknown = mattering(rule.when, truths, cubes) if truth == "unknown" else ()
    told = [f for f in rule.facts if not isinstance(states.get(f, Unknown()), (Unknown, NotApplicable))]
    here = f" Here: {', '.join(state_words(f, states[f]) for f in told)}." if told else ""
    asked = " ".join(question(f, states.get(f, Unknown())).removeprefix("cannot tell: ") for f in unknown)
    return Flag(
        rule_id=rule.id,
        lesion_id=lesion_id,
        truth=truth,
        text=f"Cannot tell: {asked}" if truth == "unknown" else rule.because + here,
        call=rule.then,
        facts=rule.facts,
        unknown=unknown,
        quotes=rule.source,
        source_class=rule.source_class,
        urgent=rule.first and truth == "unknown" and _place_known(rule, truths),
        holds=rule.holds,
    )


def _place_known(rule: Rule, truths: Truths) -> bool:
    """Tell whether it is known that the rule bears on this place: every fact but those of its question is known."""
    return "spinal" not in mattering(rule.when, truths, lambda: Cubes(truths, comparisons_of([rule.when])))
