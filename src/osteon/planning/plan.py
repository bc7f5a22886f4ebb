"""A plan: what would be done, what it would do, and how it stands against every limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from osteon.evidence.value import Band
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Volume
from osteon.treatments.base import Effect, Ended, Goal, NeedlePose, Setting

Level = Literal["ok", "warning", "breach", "unknown"]
Standing = Literal["ok", "warning", "breach", "cannot tell"]


@dataclass(frozen=True)
class PlanRequest:
    """What is asked of the planner.

    Parameters
    ----------
    treatments : tuple of str
        Names; ``("all",)`` for every one that `select` leaves open.
    goal : str or None
        None: the goal of the lesion's chart.
    spacing_mm : float
        Grid of the final simulation.
    samples : int
        Runs of the uncertainty ensemble; 0: nominal only.
    seed : int
        For SeedSequence(seed, spawn_key=(crc32(treatment), sample)).
    anyway : bool
        Plan what is excluded or not indicated too; printed on every page.
    policy : str
        Policy of distance, "strict" or "mitigated".
    site : tuple of (str, choice)
        Choices of this run among the site's policies; they go before the site's files.
    thermocouples : tuple of (str, (x, y, z))
        Where a temperature is to be read over time, by name (LPS mm).
    device : str
        Plan with this device alone, shipped or fitted by the site; empty: each treatment's own, in their order.
    approach : str
        Of treatments with several approaches: plan this one in full; empty: the one that is preferred.
    """

    treatments: tuple[str, ...] = ("all",)
    goal: Goal | None = None
    spacing_mm: float = 1.0
    samples: int = 0
    seed: int = 0
    anyway: bool = False
    policy: str = "strict"
    site: tuple[tuple[str, bool | int | float | str], ...] = ()
    thermocouples: tuple[tuple[str, tuple[float, float, float]], ...] = ()
    device: str = ""
    approach: str = ""


LARGER = "image a larger field"  # what to do where an outlined structure goes on beyond what is seen


@dataclass(frozen=True)
class Finding:
    """One limit, judged at one structure.

    Parameters
    ----------
    limit_id : str
        Entry of ``tissue/tolerance.yaml``.
    structure : str
        Structure id.
    value : Band or None
        What the plan does there; None where it cannot be told.
    unit : str
        Unit of value and limit.
    limit : float
        The limit.
    level : {"ok", "warning", "breach", "unknown"}
        How it stands.
    text : str
        In words; for unknown: "cannot tell: outline the right sciatic nerve".
    place_mm : tuple or None
        Where (LPS).
    time_s : float or None
        When.
    source : str
        Paper id or quotation key of the limit.
    """

    limit_id: str
    structure: str
    value: Band | None
    unit: str
    limit: float
    level: Level
    text: str
    place_mm: tuple[float, float, float] | None = None
    time_s: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Step:
    """One application: a treatment, its setting, what it did, and the wait after it."""

    treatment: str
    setting: Setting
    effect: Effect
    wait_s: float = 0.0


@dataclass(frozen=True)
class Path:
    """A needle path with what it was judged by.

    Parameters
    ----------
    pose : NeedlePose
        Entry at the skin and tip.
    objectives : mapping of str to float
        length_mm, clearance_mm, bone_mm, skin_incidence_deg, cortex_incidence_deg, off_axis_mm: smaller is better,
        except clearance.
    cortex_mm : tuple or None
        Where it meets the cortex (LPS).
    nearest : str
        The critical structure that gives the clearance.
    position : str
        How the patient must lie for it: supine, prone, left_decubitus, right_decubitus.
    """

    pose: NeedlePose
    objectives: Mapping[str, float]
    cortex_mm: tuple[float, float, float] | None
    nearest: str
    position: str = ""


@dataclass(frozen=True)
class PathSearch:
    """What came of the search for a way in.

    Parameters
    ----------
    candidates, feasible : int
        Number tried, number left after the hard limits.
    pareto : tuple of Path
        The non-dominated ones.
    recommended : int or None
        Index into ``pareto``; None where there is none.
    why : str
        Why that one, or why none.
    rejected : mapping of str to int
        How many candidates each hard limit removed.
    """

    candidates: int
    feasible: int
    pareto: tuple[Path, ...]
    recommended: int | None
    why: str
    rejected: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Plan:
    """A plan that has judged itself.

    Parameters
    ----------
    treatment, lesion_id, goal : str
        For what.
    steps : tuple of Step
        In order of application.
    findings : tuple of Finding
        Every limit at every structure that must be judged.
    measures : mapping of str to Band
        coverage (part of the target that is dead: CEM43 >= 240 min, lethal cold), min_margin_mm, zone_cm3, minutes, probes, ...
    ended : Ended
        Worst of the steps, or why there is no plan.
    paths : PathSearch or None
        For needle treatments.
    before, after : Anatomy or None
        On the planning grid; ``before.masks`` holds the target under structure ``target``.
    margin_mm : Volume or None
        Signed distance from the lesion surface to the edge of the zone, on surface voxels of the lesion, NaN elsewhere.
    prescription : mapping of str to object
        What an operator dials in; JSON-able (see ``planning/prescription.py``).
    condition : str
        Empty, or "if platelets and INR are confirmed": heading for a plan of status "needs", or "ANYWAY: excluded because ...".
    study : str
        Empty, or why this is shown as a study and not offered: what of its label, or of the way in, leaves the site out.
    detail : object
        What only pictures of this treatment need.
    """

    treatment: str
    lesion_id: str
    goal: Goal
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    measures: Mapping[str, Band]
    ended: Ended
    seed: int = 0
    paths: PathSearch | None = None
    before: Anatomy | None = None
    after: Anatomy | None = None
    margin_mm: Volume | None = None
    prescription: Mapping[str, object] = field(default_factory=dict)
    condition: str = ""
    uncovered: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    provenance: Mapping[str, object] = field(default_factory=dict)
    study: str = ""
    detail: object = None

    @property
    def standing(self) -> Standing:
        """Worst first: breach, cannot tell, warning, ok."""
        levels = {f.level for f in self.findings}
        if "breach" in levels:
            return "breach"
        if "unknown" in levels or not self.steps:
            return "cannot tell"
        return "warning" if "warning" in levels else "ok"

    def unknown_structures(self) -> list[str]:
        """Return the structures that could not be judged, those that only go on beyond what is seen last."""
        beyond = self.structures_beyond()
        return sorted({f.structure for f in self.findings if f.level == "unknown"}, key=lambda s: (s in beyond, s))

    def structures_beyond(self) -> set[str]:
        """Return those of them that are outlined and go on beyond what is seen, where it is not at rest."""
        unknown = [f for f in self.findings if f.level == "unknown"]
        return {f.structure for f in unknown} - {f.structure for f in unknown if LARGER not in f.text}


TARGET = Structure(
    "target", "target", "lesion", None, None, "what the plan means to treat; a planning concept, not an anatomical one"
)
UNCOVERED = Structure(
    "uncovered", "uncovered target", "lesion", None, None, "what of the target stays uncovered; in ``Plan.after``, to be drawn"
)
