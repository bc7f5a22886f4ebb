"""How a plan stands when the constants are not what their middle says: an ensemble over their spreads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from osteon.evidence.value import Band
from osteon.jobs import Executor
from osteon.planning.fields import BASELINE_C
from osteon.planning.limits import UNITS, judge
from osteon.planning.measures import measure
from osteon.planning.plan import Finding
from osteon.planning.search import Scene
from osteon.space.anatomy import Structure
from osteon.treatments.base import Draw, Setting
from osteon.treatments.catalog import treatment as find

Values = Mapping[tuple[str, str], float]


@dataclass(frozen=True, eq=False)
class Sample:
    """One run: everything a child process needs."""

    treatment: str
    settings: tuple[Setting, ...]
    scene: Scene
    lesion: Structure
    seed: int


def seed_of(seed: int, treatment: str, sample: int) -> int:
    """Return the seed of one run, the same on every machine and for any number of workers."""
    return int(np.random.SeedSequence(seed, spawn_key=(crc32(treatment.encode()), sample)).generate_state(1)[0])


def run_sample(sample: Sample) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """Simulate the plan with one draw of the constants; return its figures and what each limit saw."""
    treatment, draw = find(sample.treatment), Draw(sample.seed)
    box, effects = sample.scene.box, []
    for setting in sample.settings:
        effects.append(treatment.simulate(box, setting, draw))
        box = box.with_(effects[-1])
    figures, _ = measure(effects, sample.scene.box, sample.lesion, sample.scene.target, sample.settings)
    findings = judge(effects, sample.scene.box, (), sample.scene.target, watched=sample.scene.watched)
    return figures, {(f.limit_id, f.structure): f.value.best for f in findings if f.value is not None}


def ensemble(
    treatment: str, settings: Sequence[Setting], scene: Scene, lesion: Structure, samples: int, seed: int, executor: Executor
) -> list[tuple[dict[str, float], dict[tuple[str, str], float]]]:
    """Run the plan with ``samples`` draws, on the coarse grid.

    Parameters
    ----------
    treatment : str
        Name in the catalogue, found again in each child process.
    settings : sequence of Setting
        In order of application.
    scene : Scene
        On the coarse grid.
    lesion : Structure
        The lesion.
    samples, seed : int
        How many; the seed of the request.
    executor : Executor
        Where they run.
    """
    items = [Sample(treatment, tuple(settings), scene, lesion, seed_of(seed, treatment, i)) for i in range(samples)]
    return executor.map(run_sample, items, [f"{treatment} sample {i}" for i in range(samples)])


def with_bands(findings: Sequence[Finding], samples: Sequence[Values]) -> list[Finding]:
    """Give each finding its band; one whose bad end breaks the limit is at least a warning."""
    out = []
    for each in findings:
        values = [s[each.limit_id, each.structure] for s in samples if (each.limit_id, each.structure) in s]
        if each.value is None or not values:
            out.append(each)
            continue
        low, high = (float(v) for v in np.percentile(values, [5, 95]))
        band = Band(each.value.best, min(low, each.value.best), max(high, each.value.best), len(values))
        low_is_bad = each.unit == UNITS["stand_off_mm"] or (
            each.unit == UNITS["lowest_temperature_c"] and each.limit < BASELINE_C
        )
        if each.level == "ok" and (band.low < each.limit if low_is_bad else band.high >= each.limit):
            text = f"{each.text}; with other constants {'down' if low_is_bad else 'up'} to "
            text += f"{band.low if low_is_bad else band.high:.3g} {each.unit}"
            out.append(replace(each, value=band, level="warning", text=text))
        else:
            out.append(replace(each, value=band))
    return out
