"""The section "How strong is this bone": status first, then numbers with bands, pictures, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from osteon.assessment.strength_accuracy import OWN, Accuracy, accuracies
from osteon.assessment.strength_results import LINEAR_WARNING, UNITS, WARNING, Assumed, Run, Strength
from osteon.evidence.value import Band
from osteon.report import words
from osteon.report.content import Row
from osteon.report.figures import Picture
from osteon.report.strength_figures import bars, load_curve, rigidity_picture
from osteon.report.strength_surface import surface_picture
from osteon.tissue.bone_density import KINDS
from osteon.tissue.calibration import Calibration

STATUS = {
    "prediction": ("Computed strength", ""),
    "if_no_fracture": ("A question comes first", "care"),
    "relative_only": ("Only the change is told", "open"),
    "refused": ("No strength was computed", "open"),
}
ENDED = {
    "converged": "converged", "plateau": "the load stopped growing", "limit": "the end of the test was reached, set beforehand",
    "not_converged": "did not converge", "unconstrained": "nothing holds the bone", "stalled": "the solver stalled",
    "refused": "not computed",
}  # fmt: skip
NOT_READ = "not read in its source"


@dataclass(frozen=True)
class StrengthSection:
    """Everything that the page says of one bone under one load; pictures are None where there is nothing to draw."""

    title: str
    heading: str
    tone: str
    why: str
    fracture: str
    numbers: tuple[Row, ...]
    linear: str
    bars: Picture | None
    curve: Picture | None
    surface: Picture | None
    rigidity: Picture | None
    rigid_note: str
    cortex: Picture | None
    demands: tuple[Row, ...]
    calibrations: tuple[tuple[Calibration, str, bool], ...]
    model: tuple[Row, ...]
    assumptions: tuple[Assumed, ...]
    band_from: tuple[str, ...]
    matters: tuple[Row, ...]
    warnings: tuple[str, ...]
    accuracies: tuple[Accuracy, ...]
    own: str
    caveat: str


def section_of(strength: Strength, cortex: Picture | None = None) -> StrengthSection:
    """Return what the page says of one strength.

    Parameters
    ----------
    strength : Strength
        Of any status.
    cortex : Picture, optional
        The unrolled cortex of the same bone.
    """
    heading, tone = STATUS[strength.status]
    found = strength.fracture
    refused = strength.status == "refused"
    run = strength.now
    return StrengthSection(
        title=words.sentence(strength.title),
        heading=heading,
        tone="stop" if found is not None and found.status == "present" else tone,
        why=_full(strength.why),
        fracture="" if found is None or found.sentence == strength.why else found.sentence,
        numbers=tuple(_numbers(strength)),
        linear=_linear(strength),
        bars=bars(strength),
        curve=load_curve(strength),
        surface=surface_picture(strength),
        rigidity=rigidity_picture(strength),
        rigid_note=_rigid_note(strength),
        cortex=cortex,
        demands=tuple(Row(w, words.number(v, "body weights"), s) for w, v, s in strength.demand),
        calibrations=_calibrations(strength),
        model=() if run is None else tuple(_model(strength, run)),
        assumptions=strength.assumptions,
        band_from=strength.band_from,
        matters=tuple(Row(w, words.number(100 * v, "%")) for w, v in strength.most_matters),
        warnings=() if refused else _warnings(strength),
        accuracies=accuracies(strength.case.bone),
        own=OWN,
        caveat="" if refused else WARNING,
    )


def sections_of(strengths: Iterable[Strength], cortex: Picture | None = None) -> list[StrengthSection]:
    """Return the sections of a bone's loads: those with numbers first, those refused for one reason together; one cortex."""
    listed = list(strengths)
    told = [each for each in listed if each.status != "refused"]
    reasons: dict[str, list[Strength]] = {}
    for each in (s for s in listed if s.status == "refused"):
        reasons.setdefault(each.why, []).append(each)
    together = [replace(same[0], title="; ".join(s.title for s in same)) for same in reasons.values()]
    return [section_of(each, cortex if number == 0 else None) for number, each in enumerate([*told, *together])]


def sources_of(strengths: Iterable[Strength]) -> Iterator[str]:
    """Yield the sources of everything that the section shows."""
    for each in strengths:
        yield from (source for _, _, source in each.demand)
        yield from (a.source for a in each.assumptions)
        for found in (each.calibration, *each.calibration_others):
            yield from () if found is None else found.sources
        yield from (a.source for a in accuracies(each.case.bone))


def lines(strength: Strength) -> list[str]:
    """Return the strength in lines for a terminal: the status first, then numbers, then what weakens them."""
    heading, _ = STATUS[strength.status]
    said = [f"{heading}. {_full(strength.why)}".strip()]
    if strength.status == "refused":
        return [*said, *(f"! {note}" for note in strength.notes[1:])]
    if strength.fracture is not None and strength.fracture.sentence not in ("", strength.why):
        said.append(strength.fracture.sentence)
    said += [f"{row.label}: {row.value}{f' ({row.note})' if row.note else ''}" for row in _numbers(strength)]
    if strength.rigidity_ratio is not None:
        said.append(f"Rigidity: {_rigid_note(strength)}")
    if _linear(strength):
        said.append(_linear(strength))
    found, run = strength.calibration, strength.now
    if found is not None:
        said.append(f"Density: {found.method}, {KINDS.get(found.kind, found.kind)}; law {strength.law}")
    if strength.enters:
        said.append(f"Where the load enters: {strength.enters}")
    if run is not None:
        said.append(
            f"Model: {run.elements} cubes of {words.number(strength.voxel_mm, 'mm')}, ended: {ENDED.get(run.ended, run.ended)}"
        )
    return [*said, *(f"! {note}" for note in (WARNING, *_warnings(strength)))]


def brief(strength: Strength) -> str:
    """Return the strength in one line: the status first."""
    heading, _ = STATUS[strength.status]
    if strength.status == "refused":
        return f"{strength.title}: {heading.lower()}: {strength.why}"
    wanted = ("Failure load", "Failure moment", "Now over the same bone healed")
    told = "; ".join(f"{row.label.lower()} {row.value}" for row in _numbers(strength) if row.label in wanted)
    return f"{strength.title}: {heading.lower()}. {strength.why + ' ' if strength.why else ''}{told}"


def picture(strength: Strength) -> str | None:
    """Return the surface of the bone as SVG; None where there is nothing to draw."""
    found = surface_picture(strength)
    return None if found is None else found.svg


def page(strength: Strength) -> str:
    """Return the section as a page of its own."""
    from osteon.report.html import strength_page

    return strength_page(strength)


def _full(text: str) -> str:
    """Return a text with a capital and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if not text or text[-1] in ".!?" else ".")


def _numbers(strength: Strength) -> Iterator[Row]:
    """Yield the numbers that come first: failure load, body weights, ratios, stiffness."""
    unit, stiffness, _ = UNITS[strength.quantity]
    if strength.status == "refused":
        return
    if strength.failure is not None:
        yield Row("Failure load" if strength.quantity == "force" else "Failure moment", _band(strength.failure, unit), "")
    elif strength.now is not None and strength.now.at_least is not None:
        name = "Failure load" if strength.quantity == "force" else "Failure moment"
        yield Row(name, f"at least {words.number(strength.now.at_least, unit)}", "no failure load: nothing yielded up to there")
    elif strength.status != "relative_only" and strength.now is not None:
        yield Row("Failure load", f"cannot tell: {strength.now.why or 'the run did not get there'}")
    if strength.quantity == "force" and strength.failure is not None:
        told = strength.body_weights
        yield Row("In body weights", "cannot tell: state the weight" if told is None else _band(told, ""))
    if strength.maps is None or strength.maps.lesion.any():
        yield Row("Now over the same bone healed", _ratio(strength.ratio_healed, "there is no lesion to heal"), _of(strength))
    if strength.case.bone.side is not None:
        yield Row("Now over the opposite side", _ratio(strength.ratio_opposite, strength.opposite_why), _side_note(strength))
    if strength.now is not None:
        yield Row("Stiffness", words.number(strength.now.stiffness, stiffness))


def _band(band: Band, unit: str) -> str:
    if band.high > band.low:
        spread = f"{words.number(band.best)} ({words.number(band.low)} to {words.number(band.high)})"
        return words.with_unit(spread, unit)
    return words.number(band.best, unit)


def _ratio(ratio: Band | None, why: str) -> str:
    if ratio is None:
        told = why.removeprefix("cannot tell: ").removeprefix("cannot tell ") or "it was not run"
        return f"cannot tell: {told}"
    return _band(Band(100 * ratio.best, 100 * ratio.low, 100 * ratio.high, ratio.n), "%")


def _of(strength: Strength) -> str:
    """Return what a ratio is of."""
    if not strength.ratio_healed or not strength.ratio_of:
        return ""
    if strength.ratio_of == "stiffness":
        return "of stiffness"
    return "of failure loads" if strength.quantity == "force" else "of failure moments"


def _side_note(strength: Strength) -> str:
    return strength.opposite_why if strength.ratio_opposite is not None else ""


def _linear(strength: Strength) -> str:
    run = strength.now
    if run is None or run.linear_load is None or strength.status == "relative_only":
        return ""
    return f"Linear strength: {words.number(run.linear_load, UNITS[strength.quantity][0])}, {run.linear_by}. {LINEAR_WARNING}"


def _rigid_note(strength: Strength) -> str:
    ratio = strength.rigidity_ratio
    if ratio is None:
        return "" if strength.rigidity is None else "Rigidity was measured, but there is no reference to compare it with."
    names = {"ea_n": "EA", "ei_least_n_m2": "EI least", "gj_n_m2": "GJ"}
    told = words.joined([f"{names[k]} {words.number(100 * v, '%')}" for k, (v, _) in ratio.least.items() if k in names])
    flagged = [names[k] for k in ratio.flagged if k in names]
    fall = words.number(ratio.fall_percent, "%")
    if flagged:
        return (
            f"in the weakest level {told} of the reference: {words.joined(flagged)} fall by more than {fall}, which is flagged."
        )
    return f"in the weakest level {told} of the reference: no fall by more than {fall}."


def _calibrations(strength: Strength) -> tuple[tuple[Calibration, str, bool], ...]:
    found = (strength.calibration, *strength.calibration_others)
    return tuple((c, _residuals(c), n == 0) for n, c in enumerate(found) if c is not None)


def _residuals(found: Calibration) -> str:
    if not found.samples:
        return "none: nothing was fitted"
    return "; ".join(f"{s.name} {words.number(1e3 * s.residual_g_cm3)}" for s in found.samples)


def _model(strength: Strength, run: Run) -> Iterator[Row]:
    yield Row("Law of modulus and strength", strength.law.replace("_", " "), " ".join(strength.law_notes))
    yield Row("Cubes", words.number(strength.voxel_mm, "mm"), f"{run.nodes} nodes, {run.elements} elements".replace(",", " "))
    yield Row("Bone in the model", words.number(run.volume_cm3, "cm³"))
    yield Row("How it ended", ENDED.get(run.ended, run.ended), run.why)
    worst = f"{run.cg_residual:.1e}", f"{run.reaction_imbalance:.1e}"
    yield Row("Worst residual; worst imbalance of the reactions", f"{worst[0]}; {worst[1]}", f"{run.solves} solutions")
    if run.failure_load is not None:
        yield Row("At its limit at failure", words.number(100 * run.share_yielded, "%"), "of the cubes of bone")
    if run.dropped:
        yield Row("Loose pieces left out", str(len(run.dropped)), "; ".join(run.dropped))
    if strength.pose is not None:
        by = "given by hand" if strength.pose.by_hand else "found from landmarks, drawn above"
        if strength.enters:
            yield Row("Where the load enters", strength.enters)
        yield Row("Pose of the load", by, " ".join(strength.pose.doubts))


def _warnings(strength: Strength) -> tuple[str, ...]:
    run: Run | None = strength.now
    said: list[str] = [_full(run.why)] if run is not None and run.why else []
    said += [_full(note) for note in strength.notes]
    said += [_full(n) for n in (strength.calibration.notes if strength.calibration is not None else ())]
    shown: Sequence[str] = tuple(dict.fromkeys(s for s in said if s))
    return tuple(shown)
