"""What every treatment offers to the stages, and the shapes in which it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from osteon.evidence.value import Band, Value
from osteon.facts import Fact
from osteon.jobs import Executor
from osteon.ledgers.rows import Ledger as Ledger
from osteon.ledgers.rows import LedgerRow as LedgerRow
from osteon.space.anatomy import Anatomy, Field, Structure
from osteon.space.volume import Volume

How = Literal["converged", "steady", "time", "limit", "not_converged", "refused"]
Goal = Literal["cure", "palliation", "interface_palliation"]
Observe = Callable[[float], None]


@dataclass(frozen=True)
class Ended:
    """How a computation ended.

    Parameters
    ----------
    how : str
        converged, steady, time, limit, not_converged or refused.
    why : str
        One sentence.
    residual, energy_balance : float or None
        Relative residual; relative defect of the energy account (stored + carried away against put in).
    steps : int
        Steps or iterations done.
    """

    how: How
    why: str = ""
    residual: float | None = None
    energy_balance: float | None = None
    steps: int = 0


@dataclass(frozen=True)
class NeedlePose:
    """A straight needle from where it enters the skin to its tip, both in LPS mm."""

    entry_mm: tuple[float, float, float]
    tip_mm: tuple[float, float, float]

    @property
    def length_mm(self) -> float:
        """Skin to tip [mm]."""
        return float(np.linalg.norm(np.subtract(self.tip_mm, self.entry_mm)))

    @property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector from entry to tip, LPS."""
        unit = np.subtract(self.tip_mm, self.entry_mm) / max(self.length_mm, 1e-9)
        return float(unit[0]), float(unit[1]), float(unit[2])


@dataclass(frozen=True)
class Setting:
    """What an operator would dial in: a device, poses, controls. JSON-able.

    ``controls`` is a tuple of (name with unit, number) pairs, for example ``(("power_w", 60.0), ("time_s", 480.0))``.
    """

    device: str
    poses: tuple[NeedlePose, ...] = ()
    controls: tuple[tuple[str, float], ...] = ()

    def control(self, name: str) -> float:
        """Return one control.

        Raises
        ------
        KeyError
            If the setting has none of that name.
        """
        return dict(self.controls)[name]


@dataclass(frozen=True, eq=False)
class Trace:
    """A quantity over time: ``times_s`` (n,), ``values`` (n,), and where its extreme was found (LPS mm)."""

    times_s: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]
    unit: str
    place_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Effect:
    """What a treatment does to the tissue.

    Parameters
    ----------
    title : str
        One line for logs and legends, for example "microwave 60 W, 8 min".
    state : mapping of Field to Volume
        The fields after the treatment (temperature: the highest reached).
    traces : mapping of str to Trace
        Hottest point over time per structure, key ``"hottest:<structure id>"`` [°C]; ``"sensor:<name>"`` what a
        thermocouple read [°C]; ``"zone_cm3"``, ``"net_power_w"`` and so on.
    used : mapping of str to Value
        Every constant that was used, by name: what ``cite`` follows.
    ended : Ended
        How the computation ended.
    measures : mapping of str to float
        Figures of the run by name with unit, for example ``"energy_in_j"``, ``"energy_stored_j"``, ``"reflected_fraction"``.
    assumptions : tuple of str
        What was assumed, a sentence each.
    instruments : tuple of (NeedlePose, float)
        Needles in the tissue during the run, with their radius [mm]: what they fill is no tissue that could be missed.
    """

    title: str
    state: Mapping[Field, Volume]
    traces: Mapping[str, Trace]
    used: Mapping[str, Value]
    ended: Ended
    measures: Mapping[str, float] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    instruments: tuple[tuple[NeedlePose, float], ...] = ()


@dataclass(frozen=True)
class Draw:
    """The values of one run: sampled, or the middle of each spread.

    Parameters
    ----------
    seed : int or None
        None: the nominal draw, every value at its middle.
    """

    seed: int | None = None
    fixed: tuple[tuple[str, float], ...] = ()

    @classmethod
    def nominal(cls) -> Draw:
        """Return the draw that takes the middle of every spread."""
        return cls(None)

    def __call__(self, name: str, value: Value) -> float:
        """Return the number for ``value`` in this run; the same name gives the same number throughout one draw."""
        override = dict(self.fixed).get(name)
        if override is not None:
            return override
        if self.seed is None:
            return value.number
        from zlib import crc32

        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(crc32(name.encode()),)))
        return value.spread.draw(value.number, rng)


@dataclass(frozen=True)
class NeedleAccess:
    """What a needle-like device needs of its way in.

    Parameters
    ----------
    max_depth_mm : float
        Usable length of the shaft.
    gauge : str
        Gauge of the antenna or electrode.
    shaft_diameter_mm : float
        Its outer diameter.
    introducer : str
        The bone needle to use where the cortex is intact, with gauge and length.
    introducer_bore_mm : float
        Inner diameter of that needle; it must pass the shaft.
    introducer_length_mm : float
        Its length.
    drills_bone : tuple of str
        Ids of bone structures that may be crossed; ``("*",)`` any bone, ``("target",)`` only the bone that holds the target.
    max_incidence_deg : float
        Largest angle between the needle and the normal of skin or cortex.
    active_offset_mm : float
        From the tip back to the centre of the zone along the shaft.
    """

    max_depth_mm: float
    gauge: str
    shaft_diameter_mm: float
    introducer: str
    introducer_bore_mm: float
    introducer_length_mm: float
    drills_bone: tuple[str, ...] = ("target",)
    max_incidence_deg: float = 60.0
    active_offset_mm: float = 0.0


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a treatment plans by itself, where it has no needle whose ways planning could search.

    Parameters
    ----------
    device : str
        With what.
    steps : tuple of (Setting, Effect, float)
        In order, with the wait after each [s]; empty where nothing can be offered.
    ended : Ended
        How it ended; without steps, why there is no plan.
    box : Anatomy or None
        The grid on which the effects lie.
    target : Volume of bool or None
        What is meant to be treated, on that grid.
    target_text : str
        How it was defined, with its source.
    left_out : tuple of str
        What of it is not treated, named.
    worst : mapping of (str, str) to float
        By structure and limit of ``tolerance.yaml``: the worst value, where the treatment knows it more finely than the fields.
    extra : tuple of (str, str, float or None, float, str, str)
        Limits that stand in no table: structure, name, value (None: cannot tell), limit, unit, text; above the limit is a breach.
    measures : mapping of str to Band
        Beside those that planning takes from the effects.
    prescription : mapping of str to object
        What an operator dials in, JSON-able.
    assumptions : tuple of str
        What was assumed, a sentence each.
    condition : str
        What must be seen to before it may be done, or nothing.
    sampled : int
        Runs behind the bands of ``measures``.
    detail : object
        What only pictures of this treatment need.
    """

    device: str
    steps: tuple[tuple[Setting, Effect, float], ...]
    ended: Ended
    box: Anatomy | None = None
    target: Volume | None = None
    target_text: str = ""
    left_out: tuple[str, ...] = ()
    worst: Mapping[tuple[str, str], float] = field(default_factory=dict)
    extra: tuple[tuple[str, str, float | None, float, str, str], ...] = ()
    measures: Mapping[str, Band] = field(default_factory=dict)
    prescription: Mapping[str, object] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    condition: str = ""
    sampled: int = 0
    detail: object = None


@dataclass(frozen=True)
class Asked:
    """What planning asks of a treatment that plans by itself: goal, device or "", voxel, draws, seed, approach or ""."""

    goal: Goal
    device: str = ""
    spacing_mm: float = 1.0
    samples: int = 0
    seed: int = 0
    approach: str = ""


class Treatment(ABC):
    """A treatment. Final classes only; found by name in ``treatments/catalog.py`` or the entry point ``osteon.treatments``.

    Subclasses set ``name``, ``family`` ("ablation", "mechanics", "radiation", "drugs", ...), ``title`` (as a clinician reads it),
    ``rules`` (parsed rules.yaml: a list of dicts) and ``devices`` (parsed devices.yaml: id to dict). ``most_positions``: in how
    many places one needle may be used one after the other in a session; ``can_pull_back``: whether it may be drawn back along its
    shaft and used again. Such a treatment starts from the ``Anatomy.state`` that the last application left (dead tissue,
    temperature) and tells in the measure ``cooling_s`` how long after power off that was. ``plans_itself``: ``propose`` is asked
    in place of ``settings`` and ``simulate``. ``studies``: where only its label or the lack of a way in leaves it out, planning
    shows it as a study that is not offered.
    """

    name: str
    title: str
    family: str
    rules: Sequence[Mapping[str, Any]]
    devices: Mapping[str, Mapping[str, Any]]
    most_positions: int = 1
    can_pull_back: bool = False
    plans_itself: bool = False
    studies: bool = False

    def site_facts(self, anatomy: Anatomy, target: Structure) -> list[Fact]:
        """Return facts of feasibility at this site for ``select`` (path, window, corridor), within 5 s."""
        return []

    def needle(self, device: str) -> NeedleAccess | None:
        """Return what the device needs of its way in; None where it is not a needle."""
        return None

    def target(self, anatomy: Anatomy, goal: Goal, lesion: Structure) -> Volume | None:
        """Return what is to be treated for a goal where it differs from lesion + margin; None: planning's own definition."""
        return None

    @abstractmethod
    def simulates(self) -> bool:
        """Tell whether ``settings`` and ``simulate`` exist; a ledger-only treatment says no."""

    def settings(
        self, anatomy: Anatomy, target: Structure, goal: Goal, device: str, poses: Sequence[NeedlePose] = ()
    ) -> Iterable[Setting]:
        """Return the search space, most promising first. ``poses``: the admissible needle poses that planning found."""
        return ()

    def quick(self, anatomy: Anatomy, setting: Setting) -> Effect | None:
        """Return a fast prediction for searching, or None."""
        return None

    def simulate(self, anatomy: Anatomy, setting: Setting, draw: Draw, observe: Observe | None = None) -> Effect:
        """Simulate one setting on the anatomy's grid.

        Parameters
        ----------
        anatomy : Anatomy
            On an isotropic grid, cropped round the target.
        setting : Setting
            Poses and controls.
        draw : Draw
            The values of this run.
        observe : callable, optional
            Called with the fraction done, 0 to 1.

        Returns
        -------
        Effect
            Fields, traces, constants used, and how it ended.
        """
        raise NotImplementedError(f"{self.name} has no simulator; it answers in ledger()")

    def propose(
        self, anatomy: Anatomy, lesion: Structure, bone: Structure | None, asked: Asked, executor: Executor,
        observe: Callable[[str, float], None],
    ) -> Proposal:  # fmt: skip
        """Plan by itself: search, choose, simulate (``plans_itself``).

        Parameters
        ----------
        anatomy : Anatomy
            On the full grid of the image, with CT.
        lesion : Structure
            Outlined.
        bone : Structure or None
            The bone that holds it, where it is known.
        asked : Asked
            Goal, device, grid, draws.
        executor : Executor
            Where independent runs go.
        observe : callable
            Called with what is being done and the fraction done, 0 to 1.
        """
        raise NotImplementedError(f"{self.name} is planned by its settings")

    def ledger(self, facts: Mapping[str, Fact]) -> Ledger | None:
        """Return the dose account of a treatment without simulator, or None."""
        return None
