"""One patient's way through osteon, on one page. Start reading here.

    load_case(folder) -> Case
    assess(case) -> Assessment
    strengths_of(lesion) -> [Strength], for each lesion
    select(assessment, policy) -> Verdicts
    plan(assessment, verdicts, request, executor) -> [Plan]

``journey`` goes all the way and keeps what was computed, so that an unchanged rerun reads instead of computing.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from osteon import NUMBERS_VERSION, __version__
from osteon.assessment.assess import assess
from osteon.assessment.results import Assessment, LesionAssessment
from osteon.assessment.strength_results import Strength
from osteon.cache import Cache, key
from osteon.case.load import load_case
from osteon.case.model import Case
from osteon.case.private import Hidden, without_identity
from osteon.errors import OsteonError
from osteon.jobs import Executor, Serial
from osteon.planning.build import plan
from osteon.planning.plan import Plan, PlanRequest
from osteon.selection.policies import site_of
from osteon.selection.select import select
from osteon.selection.verdicts import Verdicts
from osteon.treatments.site_devices import digest as site_devices

T = TypeVar("T")
Observe = Callable[[str, float], None]
LIBRARIES = ("numpy", "scipy", "numba", "scikit-fem", "pydicom", "nibabel")


@dataclass(frozen=True, eq=False)
class Journey:
    """All of it: what was given, what was made of it, and how it was made.

    Parameters
    ----------
    case, assessment, verdicts, plans
        The result of each stage.
    request : PlanRequest
        What was asked.
    provenance : mapping
        ``inputs`` (file to sha256), ``options``, ``versions`` and ``run`` (seconds per stage, date, machine: the only part
        that may differ between two runs).
    hidden : Hidden
        What was taken out of the case because it tells who the patient is. It is never written.
    strengths : mapping of str to tuple of Strength
        By lesion id, the usual load first; a lesion is missing where it was not asked for.
    """

    case: Case
    assessment: Assessment
    verdicts: Verdicts
    plans: tuple[Plan, ...]
    request: PlanRequest
    provenance: Mapping[str, object] = field(default_factory=dict)
    hidden: Hidden = field(default_factory=Hidden)
    strengths: Mapping[str, tuple[Strength, ...]] = field(default_factory=dict)


@dataclass
class _Clock:
    """Seconds per stage, and word to whoever watches."""

    observe: Observe
    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, stage: str, work: Callable[[], T]) -> T:
        """Do the work of one stage and note how long it took."""
        begin = time.perf_counter()
        self.observe(stage, 0.0)
        result = work()
        self.seconds[stage] = round(time.perf_counter() - begin, 2)
        self.observe(stage, 1.0)
        return result


def _silent(stage: str, fraction: float) -> None:
    """Watch nothing."""


def journey(
    folder: Path | str,
    request: PlanRequest | None = None,
    *,
    cache: Cache | None = None,
    executor: Executor | None = None,
    observe: Observe = _silent,
    with_plans: bool = True,
    keep_identity: bool = False,
    with_strength: bool | None = None,
    strength_samples: int = 0,
) -> Journey:
    """Follow the patient of one case folder from the files to the plans.

    Parameters
    ----------
    folder : Path or str
        Holds ``case.yaml``.
    request : PlanRequest, optional
        What to plan, under which policy, on which grid.
    cache : Cache, optional
        Default: ``folder/.osteon/cache``.
    executor : Executor, optional
        Runs ensembles; default: in this process.
    observe : callable, optional
        Called with the stage's name and the fraction done.
    with_plans : bool
        False: stop after selection.
    keep_identity : bool
        True: what the case and its files say of who the patient is stays, and is shown and written.
    with_strength : bool or None
        Whether the strength of the bone is computed; None: where plans are made.
    strength_samples : int
        Draws of the band of strength; 0: by calibration and law alone.

    Returns
    -------
    Journey
        Every stage's result, with its provenance.

    Raises
    ------
    OsteonError
        If the case cannot be read or a stage ended badly.
    """
    folder, request = Path(folder), request or PlanRequest()
    store = cache or Cache(folder / ".osteon" / "cache")
    clock = _Clock(observe)
    case = clock.time(
        "case", lambda: load_case(folder, cache=store, observe=lambda done: observe("case", done), aligning=observe)
    )
    hidden = Hidden()
    if not keep_identity:
        case, hidden = without_identity(case)
    inputs, kept = dict(case.digests), ("identity kept",) if keep_identity else ()
    assessment = clock.time("assess", lambda: _assessed(case, store, kept))
    strengths: Mapping[str, tuple[Strength, ...]] = {}
    if with_plans if with_strength is None else with_strength:
        drawn = _Strength(strength_samples, request.seed, executor or Serial(), observe)
        strengths = clock.time("strength", lambda: drawn.of(assessment, store, inputs, kept))
    verdicts = clock.time("select", lambda: select(assessment, request.policy, site_of(folder, dict(request.site))))
    plans: tuple[Plan, ...] = ()
    if with_plans:
        digest = key("plan", {"inputs": inputs, "request": request, "verdicts": verdicts, "devices": site_devices()}, *kept)

        def compute() -> tuple[Plan, ...]:
            return tuple(plan(assessment, verdicts, request, executor or Serial(), observe, keep))

        def keep(name: str, make: Callable[[], Plan]) -> Plan:
            return store.get_or("plan", key("plan", {"of": digest, "one": name}), make)

        plans = clock.time("plan", lambda: store.get_or("plan", digest, compute))
    run = {
        "seconds": clock.seconds,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()} {platform.system()}",
        "cache_hits": store.hits,
        "cache_damaged": list(store.damaged),
    }
    options = {**_options(request), **({"strength_samples": strength_samples} if strength_samples else {})}
    provenance = {"inputs": inputs, "options": options, "versions": versions(), "run": run}
    return Journey(case, assessment, verdicts, plans, request, provenance, hidden, strengths)


@dataclass(frozen=True)
class _Strength:
    """The stage of strength: what is asked of it, and who watches."""

    samples: int
    seed: int
    executor: Executor
    observe: Observe

    def of(
        self, assessment: Assessment, store: Cache, inputs: Mapping[str, str], kept: tuple[str, ...]
    ) -> Mapping[str, tuple[Strength, ...]]:
        """Return the strengths of every lesion, computed or read."""
        from osteon.assessment.strength import strengths_of

        def one(lesion: LesionAssessment) -> tuple[Strength, ...]:
            asked = {"inputs": inputs, "lesion": lesion.lesion_id, "samples": self.samples, "seed": self.seed}

            def compute() -> tuple[Strength, ...]:
                try:
                    found = strengths_of(
                        lesion, samples=self.samples, seed=self.seed, executor=self.executor, observe=self.observe
                    )
                except OsteonError as error:  # a damaged image takes the strength, not the whole journey
                    found = _refused(lesion, str(error))
                return tuple(packed(each) for each in found)

            return store.get_or("strength", key("strength", asked, *kept), compute)

        return {lesion.lesion_id: one(lesion) for lesion in assessment.lesions}


def _refused(lesion: LesionAssessment, why: str) -> tuple[Strength, ...]:
    """Return the usual load of a lesion's bone as refused."""
    from osteon.assessment.loads.base import LoadCase
    from osteon.assessment.loads.catalog import cases_for
    from osteon.space.anatomy import structure

    bone = structure(str(lesion.facts["bone"].value))
    return tuple(
        Strength(LoadCase(each.name, bone), each.title, "refused", why, each.quantity, ended="refused")
        for each in cases_for(bone)[:1]
    )


def packed(strength: Strength) -> Strength:
    """Return a strength whose fields are kept as 16-bit numbers: they are for pictures, and a cache holds many."""
    maps = strength.maps
    if maps is None:
        return strength
    used, stress = (np.asarray(a, np.float16) for a in (np.minimum(maps.utilisation, 6e4), np.minimum(maps.stress_mpa, 6e4)))
    return replace(strength, maps=replace(maps, utilisation=used, stress_mpa=stress))


def _assessed(case: Case, store: Cache, kept: tuple[str, ...]) -> Assessment:
    """Assess, or read what was assessed of the same files."""

    def compute() -> tuple[LesionAssessment, ...]:
        return assess(case).lesions

    return Assessment(case, store.get_or("assess", key("assess", dict(case.digests), *kept), compute, _arrays(case)))


def _arrays(case: Case) -> list[np.ndarray[Any, Any]]:
    """Return what the files of a case hold: no result needs to keep it a second time."""
    volumes = [v for s in case.studies for v in (s.volume, s.imaged)] + list(case.masks.values())
    return [v.kept for v in (*volumes, *(lesion.mask for lesion in case.lesions if lesion.mask is not None))]


def _options(request: PlanRequest) -> dict[str, object]:
    return {
        "treatments": list(request.treatments), "goal": request.goal, "spacing_mm": request.spacing_mm,
        "samples": request.samples, "seed": request.seed, "anyway": request.anyway, "policy": request.policy,
        **({"site": dict(request.site)} if request.site else {}),
        **({"device": request.device} if request.device else {}),
        **({"approach": request.approach} if request.approach else {}),
        **({"thermocouples": dict(request.thermocouples)} if request.thermocouples else {}),
        **({"site_devices": devices} if (devices := site_devices()) else {}),
    }  # fmt: skip


def versions() -> dict[str, str]:
    """Return osteon's version, its numbers version, and those of the libraries that numbers rest on."""
    found = {name: version(name) for name in LIBRARIES}
    return {"osteon": __version__, "numbers": str(NUMBERS_VERSION), "python": platform.python_version(), **found}
