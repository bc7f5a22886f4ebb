"""How far a strength may be off: calibration, choice of law, boundary conditions, strength in tension.

Three ways, each named in the answer: every draw run to failure; linear runs scaled by the ratio of the middle run (large models);
or, without draws, the published half-width of calibration over the runs of every law.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from zlib import crc32

import numpy as np

from osteon.assessment.loads.base import Builder, Pose, Variation, Voxels
from osteon.assessment.strength_material import Draw, laws_of, middle_draw
from osteon.assessment.strength_run import Made, run_bone
from osteon.assessment.strength_voxels import setting, settings
from osteon.evidence.value import Band
from osteon.jobs import Executor
from osteon.physics.collapse import Curve
from osteon.space.anatomy import Structure
from osteon.tissue.calibration import Calibration

WHAT = ("calibration", "choice of law", "strength in tension", "direction of the load", "end caps")
FEW = 8  # draws below which no percentile and no share of variance is told
Observe = Callable[[float], None]
Result = tuple[float, float, float, bool]
"""Failure load, linear load, healed linear load [N or N m], and whether nothing yielded: the first is then only borne."""


@dataclass(frozen=True)
class Sampled:
    """One draw: of the material, of the load, and the numbers it was made from (in the order of ``WHAT``)."""

    draw: Draw
    variation: Variation
    numbers: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Spread:
    """What the draws gave.

    Parameters
    ----------
    now, healed : tuple of float
        Failure loads [N or N m], draw by draw; ``healed`` is empty without a lesion.
    ratios : tuple of float
        Now over healed, draw by draw.
    from_ : tuple of str
        What the band was made from, in words.
    most_matters : tuple of (str, float)
        Share of the variance, largest first.
    """

    now: tuple[float, ...]
    healed: tuple[float, ...]
    ratios: tuple[float, ...]
    from_: tuple[str, ...]
    most_matters: tuple[tuple[str, float], ...]


def draws(bone: Structure, calibration: Calibration, count: int, seed: int) -> list[Sampled]:
    """Return draws of what is uncertain, the same for the same seed."""
    laws, low, high = laws_of(bone), *calibration.band
    found = []
    for number in range(count):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(crc32(b"strength"), number)))
        load = float(rng.uniform(low, high))
        chosen = int(rng.integers(len(laws)))
        ratio = settings()["tension_ratio"].spread.draw(setting("tension_ratio"), rng)
        bonding = settings()["cement_bonding"].spread.draw(setting("cement_bonding"), rng)
        about_x, about_y = (settings()["tilt_deg"].spread.draw(0.0, rng) for _ in range(2))
        cap = settings()["cap_factor"].spread.draw(1.0, rng)
        draw = Draw(laws[chosen].name, load ** (1.0 / setting("strength_exponent")), ratio, bonding)
        numbers = (load, float(chosen), ratio, float(np.hypot(about_x, about_y)), cap)
        found.append(Sampled(draw, Variation((about_x, about_y), cap), numbers))
    return found


def spread_of(
    voxels: Voxels, healed: Voxels | None, builder: Builder, pose: Pose, middle: Made, middle_healed: Made | None,
    sampled: Sequence[Sampled], *, to_failure: bool, executor: Executor, observe: Observe | None = None,
) -> Spread:  # fmt: skip
    """Run the draws.

    Parameters
    ----------
    voxels, healed : Voxels
        The bone as it is and healed.
    builder, pose : Builder, Pose
        The load.
    middle, middle_healed : Made
        The middle runs.
    sampled : sequence of Sampled
        From ``draws``.
    to_failure : bool
        False: linear runs, scaled by the ratio of failure to linear load of the middle run.
    executor : Executor
        Runs the draws.
    observe : callable, optional
        Told the share done.

    Returns
    -------
    Spread
        A healed load is that of the draw times healed over present linear load, times the same ratio of the middle runs' failure
        over linear load.
    """
    scale = _scale(middle)
    scale_healed = None if middle_healed is None else _scale(middle_healed)
    start = middle.curve if to_failure else None
    one = partial(_one, voxels, healed, builder, pose, to_failure, start)
    results: list[Result] = []
    groups = max(1, getattr(executor, "workers", 1))
    chunks = [list(sampled[i::groups]) for i in range(groups)] if groups > 1 else [[s] for s in sampled]
    if groups > 1:
        parts = executor.map(partial(_many, one), chunks)
        order = [i for g in range(groups) for i in range(g, len(sampled), groups)]
        flat = [r for part in parts for r in part]
        results = [r for _, r in sorted(zip(order, flat, strict=True), key=lambda pair: pair[0])]
        if observe is not None:
            observe(1.0)
    else:
        for number, chunk in enumerate(chunks):
            results += _many(one, chunk)
            if observe is not None:
                observe((number + 1) / len(chunks))
    nan = float("nan")
    now = [failed if to_failure else linear * scale if scale else nan for failed, linear, _, _ in results]
    more = scale_healed / scale if scale and scale_healed else nan
    well = [load * more * healthy / linear for load, (_, linear, healthy, _) in zip(now, results, strict=True)]
    kept = [i for i, v in enumerate(now) if np.isfinite(v)]
    ratios = tuple(now[i] / well[i] for i in kept if np.isfinite(well[i]) and well[i] > 0)
    how = (
        "each draw run to failure"
        if to_failure
        else "linear runs scaled by the ratio of failure to linear load of the middle run"
    )
    lost = f"; {len(now) - len(kept)} draws did not end" if len(kept) < len(now) else ""
    borne = sum(1 for i in kept if results[i][3])
    lost += f"; in {borne} nothing yielded: their last load, which is borne, stands in" if borne else ""
    words: tuple[str, ...] = (f"{len(kept)} draws of {', '.join(WHAT)}: {how}{lost}",)
    if any(np.isfinite(well)):
        words += ("the healed bone: by the ratio of linear runs, scaled likewise",)
    matters = _shares([sampled[i].numbers for i in kept], [now[i] for i in kept])
    return Spread(tuple(now[i] for i in kept), tuple(v for v in well if np.isfinite(v)), ratios, words, matters)


def band_of(best: float, values: Sequence[float]) -> Band:
    """Return the 5th to 95th percentile of draws, or their range where there are few; the best lies within."""
    if not values:
        return Band.of(best)
    low, high = np.percentile(values, [5, 95]) if len(values) >= FEW else (min(values), max(values))
    return Band(best, min(float(low), best), max(float(high), best), len(values))


def unsampled(best: float, others: Sequence[float], calibration: Calibration) -> Band:
    """Return a band without draws: the runs of every law, widened by what calibration leaves open."""
    runs = [best, *others]
    return Band(best, min(runs) * calibration.band[0], max(runs) * calibration.band[1], len(runs))


def _one(
    voxels: Voxels, healed: Voxels | None, builder: Builder, pose: Pose, to_failure: bool, start: Curve | None, sample: Sampled
) -> Result:
    """Return failure load, linear load and healed linear load of one draw; not a number where there is none."""
    made = run_bone(voxels, builder, pose, sample.draw, variation=sample.variation, to_failure=to_failure, start=start)
    nan, well = float("nan"), float("nan")
    if healed is not None:
        other = run_bone(healed, builder, pose, sample.draw, variation=sample.variation, to_failure=False)
        well = other.run.linear_load or nan
    run = made.run
    return run.failure_load or run.at_least or nan, run.linear_load or nan, well, run.at_least is not None


def _many(one: Callable[[Sampled], Result], chunk: Sequence[Sampled]) -> list[Result]:
    return [one(sample) for sample in chunk]


def _scale(made: Made) -> float | None:
    if not made.run.failure_load or not made.run.linear_load:
        return None
    return made.run.failure_load / made.run.linear_load


def _shares(numbers: Sequence[tuple[float, ...]], loads: Sequence[float]) -> tuple[tuple[str, float], ...]:
    """Return each source's share of the variance of the load's logarithm that a straight line in it explains."""
    if len(loads) < 2 * FEW:
        return ()
    x, y = np.array(numbers, float), np.log(np.array(loads))
    spread = x.std(0)
    use = spread > 1e-12
    if not use.any() or y.std() < 1e-12:
        return ()
    scaled = (x[:, use] - x[:, use].mean(0)) / spread[use]
    slope, *_ = np.linalg.lstsq(scaled, y - y.mean(), rcond=None)
    share = slope**2 / y.var()
    named = zip([w for w, u in zip(WHAT, use, strict=True) if u], share.tolist(), strict=True)
    return tuple(sorted(((w, float(s)) for w, s in named), key=lambda pair: -pair[1]))


def other_laws(
    voxels: Voxels, builder: Builder, pose: Pose, bone: Structure, middle: Made, to_failure: bool
) -> tuple[tuple[str, float], ...]:
    """Return the failure load by every law but the middle one; linear runs scaled where ``to_failure`` is False."""
    found = []
    for each in laws_of(bone)[1:]:
        draw = Draw(each.name, 1.0, middle_draw(bone).tension_ratio, middle_draw(bone).cement_bonding)
        made = run_bone(voxels, builder, pose, draw, to_failure=to_failure, start=middle.curve if to_failure else None)
        scale = _scale(middle)
        borne = made.run.failure_load or made.run.at_least  # where nothing yielded the law bears at least this
        load = borne if to_failure else (made.run.linear_load or 0.0) * scale if scale else None
        if load:
            found.append((each.name, load))
    return tuple(found)
