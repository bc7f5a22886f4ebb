"""The strength of a bone: one door for the assessment as it is, and for planning on the anatomy that a treatment left.

    strength_of(anatomy, load_case) -> Strength
    strengths_of(lesion assessment)  -> every usual load of its bone

The failure load is verified model to model; no bone of a patient was broken to validate it. What is safest is relative: the same
bone with its lesion healed, because calibration and law cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from osteon.assessment.calibrate import Calibrated, calibrate
from osteon.assessment.fracture_hint import FractureState, fracture_state
from osteon.assessment.loads.base import Builder, LoadCase, Pose, Voxels
from osteon.assessment.loads.catalog import builder as builder_of
from osteon.assessment.loads.catalog import cases_for
from osteon.assessment.results import LesionAssessment
from osteon.assessment.strength_band import Spread, band_of, draws, other_laws, spread_of, unsampled
from osteon.assessment.strength_material import laws_of, middle_draw
from osteon.assessment.strength_more import assumptions, demand_of, opposite_of, rigidity_of
from osteon.assessment.strength_outline import check_not_cut, check_one_piece
from osteon.assessment.strength_results import Status, Strength
from osteon.assessment.strength_run import Made, maps_of, run_bone
from osteon.assessment.strength_voxels import edge_for, healed, voxels_of
from osteon.errors import ImageError, InputError, OsteonError, UnitError
from osteon.evidence.value import Band
from osteon.facts import Fact
from osteon.jobs import Executor, Serial
from osteon.space.anatomy import Anatomy, structures
from osteon.tissue.calibration import Calibration

GRAVITY = 9.80665
RELATIVE = "no threshold is validated for this load: only the change against the same bone without its lesion is told"
Observe = Callable[[str, float], None]


@dataclass(frozen=True)
class Options:
    """How a strength is computed.

    Parameters
    ----------
    edge_mm : float or None
        Edge of the cubes; None: that of ``strength.yaml``, or the finest voxel.
    samples : int
        Draws of the band; 0: the laws' runs, widened by the published half-width of calibration.
    seed : int
        Of the draws.
    band_by_failure : bool or None
        Every draw to failure (True), or linear runs scaled by the middle run (False); None: to failure where the model is small.
    with_opposite : bool
        Whether the other side is run where the image holds it.
    calibration_method : str or None
        One of ``tissue.calibration.METHODS``; None: the best that the image allows.
    """

    edge_mm: float | None = None
    samples: int = 0
    seed: int = 0
    band_by_failure: bool | None = None
    with_opposite: bool = True
    calibration_method: str | None = None


SMALL = 250_000  # elements: below it every draw is run to failure


def _silent(stage: str, fraction: float) -> None:
    """Watch nothing."""


def strength_of(
    anatomy: Anatomy, case: LoadCase, *, facts: Mapping[str, Fact] | None = None, calibration: Calibration | None = None,
    options: Options = Options(), executor: Executor | None = None, observe: Observe = _silent,
) -> Strength:  # fmt: skip
    """Return the strength of one bone under one load.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT and the outline of the bone, which holds what the lesion replaced; cement and implants in its state count.
    case : LoadCase
        The load and the bone.
    facts : mapping of str to Fact, optional
        ``fracture`` and ``lesion_type`` decide whether a number may be read as a prediction; ``weight_kg`` gives body weights.
    calibration : Calibration, optional
        From the image's numbers to density; found on the image where it is not given.
    options : Options
        Cubes, draws, sides.
    executor : Executor, optional
        Runs the draws.
    observe : callable, optional
        Told the stage and the share done.

    Returns
    -------
    Strength
        ``status`` and ``why`` come first. A fracture, a scan too coarse for every law or a bone that the image cuts off give no
        failure load and say so.

    Raises
    ------
    OsteonError
        If there is no CT, the bone is not outlined, or the CT holds values that are no numbers within it.
    InputError
        If there is no such load case.
    """
    facts = facts or {}
    how = builder_of(case.name)
    observe("pose", 0.0)
    pose, lost = _pose(anatomy, case, how)
    fracture = fracture_state(anatomy, case.bone, facts, None if pose is None else pose.axes[:, 2])
    refused = Strength(case, how.title, "refused", "", how.quantity, pose=pose, fracture=fracture, ended="refused")
    if fracture.status == "present":
        open_angle = f" How the gap stands to the load cannot be told: {lost}" if fracture.plane and pose is None else ""
        return replace(refused, why=fracture.sentence + open_angle)
    notes: list[str] = []
    try:
        check_one_piece(anatomy.mask(case.bone), case.bone, notes)
        if anatomy.has(case.lesion) and anatomy.image is not None:
            check_not_cut(anatomy.mask(case.bone), anatomy.mask(case.lesion), anatomy.image, case.bone)
        if pose is None:
            return replace(refused, why=lost)
        calibrated = _calibrated(anatomy, case, calibration, options)
        voxels = voxels_of(anatomy, case, pose, calibrated.chosen, edge_for(anatomy, options.edge_mm), how.margin_mm)
    except (ImageError, UnitError):
        raise
    except InputError as error:
        return replace(refused, why=str(error))
    status, why = _status(anatomy, case, how, fracture)
    made = _Work(anatomy, case, how, pose, calibrated, voxels, options, executor or Serial(), observe, fracture, notes)
    return made.strength(replace(refused, status=status, why=why), facts)


def strengths_of(
    lesion: LesionAssessment, *, samples: int = 0, seed: int = 0, executor: Executor | None = None, observe: Observe = _silent
) -> tuple[Strength, ...]:
    """Return the strength of a lesion's bone under every load that is usual for it; empty where the bone is not outlined."""
    bone = lesion.facts["bone"].value if "bone" in lesion.facts else None
    known = structures().get(str(bone)) if bone is not None else None
    if known is None or not lesion.anatomy.has(known) or lesion.anatomy.image is None:
        return ()
    options, weight = Options(samples=samples, seed=seed), _weight(lesion.facts)
    found = []
    for each in cases_for(known):
        case = LoadCase(each.name, known, weight_kg=weight)
        found.append(strength_of(lesion.anatomy, case, facts=lesion.facts, options=options, executor=executor, observe=observe))
    return tuple(found)


def _weight(facts: Mapping[str, Fact]) -> float | None:
    fact = facts.get("weight_kg")
    return float(fact.value) if fact is not None and isinstance(fact.value, int | float) else None


def _pose(anatomy: Anatomy, case: LoadCase, how: Builder) -> tuple[Pose | None, str]:
    """Return the pose, or why there is none: a broken bone may have none, and its fracture is told all the same."""
    try:
        return how.pose(anatomy, case), ""
    except (ImageError, UnitError):
        raise
    except InputError as error:
        return None, str(error)


def _calibrated(anatomy: Anatomy, case: LoadCase, given: Calibration | None, options: Options) -> Calibrated:
    if given is not None:
        return Calibrated(given, (), {}, {}, ())
    return calibrate(anatomy, method=options.calibration_method, bone=case.bone)


def _status(anatomy: Anatomy, case: LoadCase, how: Builder, fracture: FractureState) -> tuple[Status, str]:
    """Return how the numbers may be read."""
    coarse = [each.too_coarse(anatomy.grid.spacing_mm) for each in laws_of(case.bone)]
    if all(coarse):
        return "relative_only", coarse[0]
    if not how.absolute:
        return "relative_only", RELATIVE
    if fracture.status == "asked":
        return "if_no_fracture", fracture.sentence
    return "prediction", ""


@dataclass(eq=False)
class _Work:
    """One strength under way."""

    anatomy: Anatomy
    case: LoadCase
    how: Builder
    pose: Pose
    calibrated: Calibrated
    voxels: Voxels
    options: Options
    executor: Executor
    observe: Observe
    fracture: FractureState
    notes: list[str] = field(default_factory=list)

    def strength(self, begun: Strength, facts: Mapping[str, Fact]) -> Strength:
        """Run the bone as it is, healed and of the other side, and judge."""
        to_failure = begun.status != "relative_only"
        draw = middle_draw(self.case.bone)
        self.observe("strength now", 0.0)
        now = run_bone(self.voxels, self.how, self.pose, draw, to_failure=to_failure)
        if now.run.ended in ("unconstrained", "stalled", "refused") or not np.isfinite(now.run.stiffness):
            return replace(begun, status="refused", why=now.run.why, now=now.run, ended=now.run.ended)
        well_voxels, well = self._healed(to_failure)
        self.observe("strength of the other side", 0.0)
        other, other_why = opposite_of(self, to_failure) if self.options.with_opposite else (None, "")
        spread, others = self._spread(now, well_voxels, well, to_failure)
        failure = self._band(now, spread, others)
        law = laws_of(self.case.bone)[0]
        done = replace(
            begun, now=now.run, healed=None if well is None else well.run, opposite=None if other is None else other.run,
            enters=now.placed.area_note, opposite_why=other_why, failure=failure, voxel_mm=self.voxels.edge_mm,
            law=law.name, law_notes=now.law_notes,
            failure_healed=self._healed_band(well, spread), failure_opposite=self._alone(other),
            calibration=self.calibrated.chosen, calibration_others=self.calibrated.others,
            maps=maps_of(now), ended=now.run.ended, demand=demand_of(self.how),
            band_from=self._from(spread, others), most_matters=spread.most_matters if spread else (),
            assumptions=assumptions(law, now.placed),
        )  # fmt: skip
        done = self._ratios(done, now, well, other, spread)
        weight = self.case.weight_kg or _weight(facts)
        if failure is not None and weight and self.how.quantity == "force":
            each = weight * GRAVITY
            done = replace(done, body_weights=Band(failure.best / each, failure.low / each, failure.high / each, failure.n))
        rigid, ratio, said = rigidity_of(self, now, well)
        self.notes += [*self.voxels.notes, *now.placed.notes, *self.pose.doubts, *self.calibrated.notes, *said]
        return replace(done, rigidity=rigid, rigidity_ratio=ratio, notes=tuple(dict.fromkeys(self.notes)))

    def _healed(self, to_failure: bool) -> tuple[Voxels | None, Made | None]:
        if not self.voxels.lesion.any():
            return None, None
        try:
            voxels = healed(self.voxels)
        except OsteonError as error:
            self.notes.append(f"cannot tell what the bone would bear without its lesion: {error}")
            return None, None
        self.observe("strength healed", 0.0)
        draw = middle_draw(self.case.bone)
        return voxels, run_bone(voxels, self.how, self.pose, draw, to_failure=to_failure)  # its own curve is drawn

    def _spread(
        self, now: Made, well_voxels: Voxels | None, well: Made | None, to_failure: bool
    ) -> tuple[Spread | None, tuple[tuple[str, float], ...]]:
        """Return the draws, or without them the other laws' runs."""
        if not to_failure or now.run.failure_load is None:
            return None, ()
        by_failure = self.options.band_by_failure
        by_failure = now.run.elements <= SMALL if by_failure is None else by_failure
        if self.options.samples <= 0:
            self.observe("strength by another law", 0.0)
            return None, other_laws(self.voxels, self.how, self.pose, self.case.bone, now, by_failure)
        sampled = draws(self.case.bone, self.calibrated.chosen, self.options.samples, self.options.seed)
        spread = spread_of(
            self.voxels, well_voxels, self.how, self.pose, now, well, sampled,
            to_failure=by_failure, executor=self.executor, observe=lambda done: self.observe("band", done),
        )  # fmt: skip
        return spread, ()

    def _band(self, now: Made, spread: Spread | None, others: Sequence[tuple[str, float]]) -> Band | None:
        if now.run.failure_load is None:
            return None
        if spread is not None:
            return band_of(now.run.failure_load, spread.now)
        return unsampled(now.run.failure_load, [load for _, load in others], self.calibrated.chosen)

    def _healed_band(self, well: Made | None, spread: Spread | None) -> Band | None:
        if well is None or well.run.failure_load is None:
            return None
        return band_of(well.run.failure_load, spread.healed) if spread else self._alone(well)

    def _alone(self, made: Made | None) -> Band | None:
        """Return a band of calibration alone."""
        if made is None or made.run.failure_load is None:
            return None
        return unsampled(made.run.failure_load, (), self.calibrated.chosen)

    def _from(self, spread: Spread | None, others: Sequence[tuple[str, float]]) -> tuple[str, ...]:
        if spread is not None:
            return spread.from_
        low, high = self.calibrated.chosen.band
        named = "".join(f"; {name} gives {load:.3g}" for name, load in others)
        how = f"times {low:.2g} to {high:.2g} for calibration ({self.calibrated.chosen.method})"
        return (f"no draws: the runs of every law, {how}{named}",)

    def _ratios(self, done: Strength, now: Made, well: Made | None, other: Made | None, spread: Spread | None) -> Strength:
        both = [m for m in (now, well, other) if m is not None]
        by_load = all(m.run.failure_load for m in both)

        def ratio(against: Made | None) -> float | None:
            if against is None:
                return None
            pair = [(m.run.failure_load if by_load else m.run.stiffness) or float("nan") for m in (now, against)]
            return pair[0] / pair[1]

        one, two = ratio(well), ratio(other)
        drawn = spread.ratios if spread is not None and by_load else ()
        return replace(
            done, ratio_of="failure load" if by_load else "stiffness",
            ratio_healed=None if one is None else band_of(one, drawn), ratio_opposite=None if two is None else Band.of(two),
        )  # fmt: skip
