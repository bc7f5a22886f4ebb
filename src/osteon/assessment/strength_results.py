"""What strength answers: one bone under one load, as it is, with its lesion healed, and the opposite side.

A failure load is verified model to model, not validated clinically. Nothing here is a probability of fracture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from osteon.assessment.fracture_hint import FractureState
from osteon.assessment.loads.base import LoadCase, Pose, Quantity
from osteon.assessment.rigidity import Rigidity, RigidityRatio
from osteon.evidence.value import Band
from osteon.space.volume import Array, Grid
from osteon.tissue.calibration import Calibration

Status = Literal["prediction", "if_no_fracture", "relative_only", "refused"]
UNITS: Mapping[Quantity, tuple[str, str, str]] = {"force": ("N", "N/mm", "mm"), "moment": ("N m", "N m/degree", "degree")}
"""Load, stiffness and displacement."""
WARNING = "Verified model to model, not validated clinically. Research use only."
LINEAR_WARNING = "Linear strength over-rates weak bone; it stands here for comparison only."


@dataclass(frozen=True, eq=False)
class Run:
    """One bone under one load.

    Parameters
    ----------
    stiffness : float
        [N/mm or N m/degree].
    linear_load : float or None
        Linear strength [N or N m], by ``linear_by``; None where it could not be told.
    linear_by : str
        How it was defined.
    failure_load : float or None
        [N or N m]; None where the run was linear only or did not get there, or where nothing yielded on the way (``at_least``).
    failure_at : float or None
        Displacement of it [mm or degree].
    curve : tuple of (displacement, load)
        [mm or degree, N or N m]; empty where the run was linear only.
    nodes, elements : int
        Of the model as solved.
    cg_residual, reaction_imbalance : float
        The worst of all solves.
    solves, iterations : int
        Linear solves and their conjugate gradients together.
    ended : str
        converged, plateau, limit, not_converged, unconstrained, stalled or refused.
    why : str
        One sentence where it is no clean end.
    dropped : tuple of str
        Loose pieces of bone that took no part, in words.
    at_least : float or None
        Of a failure run in which nothing yielded: the load at its end, which the bone bears [N or N m].
    share_yielded : float
        Share of the bone's cubes at their cap at failure, 0 to 1.
    volume_cm3 : float
        Of the bone in the model.
    """

    stiffness: float
    linear_load: float | None
    linear_by: str
    failure_load: float | None
    failure_at: float | None
    curve: tuple[tuple[float, float], ...]
    nodes: int
    elements: int
    cg_residual: float
    reaction_imbalance: float
    solves: int
    iterations: int
    ended: str
    why: str = ""
    dropped: tuple[str, ...] = ()
    at_least: float | None = None
    share_yielded: float = 0.0
    volume_cm3: float = 0.0


@dataclass(frozen=True, eq=False)
class Maps:
    """Fields on the cubes of the model, for pictures on the bone's surface.

    Parameters
    ----------
    grid : Grid
        Cubes in the frame of the load.
    bone, lesion, metal, caps : ndarray of bool, shape (z, y, x)
        What each cube is.
    utilisation : ndarray of float32
        Elastic stress over what the cube can bear, at the load that is shown (``at_load``); above 1: beyond it.
    stress_mpa : ndarray of float32
        Largest minus least principal stress at that load [MPa].
    failed : ndarray of bool
        Cubes at their cap at failure; all False for a linear run.
    at_load : float
        The load of ``utilisation`` and ``stress_mpa`` [N or N m].
    """

    grid: Grid
    bone: Array
    lesion: Array
    metal: Array
    caps: Array
    utilisation: Array
    stress_mpa: Array
    failed: Array
    at_load: float


@dataclass(frozen=True)
class Assumed:
    """A choice behind a strength: what, the value in words, its source, and whether it was read there."""

    what: str
    value: str
    source: str
    verified: bool


@dataclass(frozen=True, eq=False)
class Strength:
    """The strength of one bone under one load.

    Parameters
    ----------
    case : LoadCase
        What was asked.
    title : str
        The load in words.
    status : {"prediction", "if_no_fracture", "relative_only", "refused"}
        How the numbers may be read. "if_no_fracture": the question "fracture?" is open and comes first. "relative_only": no
        threshold is validated for this load. "refused": there are no numbers, ``why`` says what to do.
    why : str
        The sentence to show with the status.
    quantity : {"force", "moment"}
        What a load is; ``UNITS`` gives the units.
    pose : Pose or None
        Where the load lies; None where it was refused before.
    enters : str
        Where the load enters, in words; empty where there is none.
    now : Run or None
        The bone as it is.
    healed : Run or None
        The same bone with its lesion virtually healed; None without a lesion.
    opposite : Run or None
        The bone of the other side.
    opposite_why : str
        Why there is none, or what weakens it.
    failure : Band or None
        Failure load now, with its band [N or N m].
    failure_healed, failure_opposite : Band or None
        The same of the others.
    body_weights : Band or None
        Failure load over body weight (force only, and the weight must be known).
    demand : tuple of (words, body weights, source)
        What daily loads ask of it.
    ratio_healed, ratio_opposite : Band or None
        Now over healed, now over opposite side; of failure loads where both failed, else of stiffness (``ratio_of``).
    ratio_of : {"failure load", "stiffness", ""}
        What the ratios are of.
    band_from : tuple of str
        What the band was drawn from, in words; and how (all failure runs, or linear runs scaled by the nominal ratio).
    most_matters : tuple of (str, float)
        Share of the band's variance by source of uncertainty, largest first.
    calibration : Calibration or None
        From image to density.
    calibration_others : tuple of Calibration
        The other ways that this image allows.
    law : str
        Of the middle run.
    law_notes : tuple of str
        How much lies outside its range.
    voxel_mm : float
        Edge of the model's cubes [mm].
    maps : Maps or None
        For pictures.
    rigidity : Rigidity or None
        Slice by slice along the load axis or the shaft.
    rigidity_ratio : RigidityRatio or None
        Against the healed bone or the opposite side.
    fracture : FractureState or None
        What is known of a fracture.
    assumptions : tuple of Assumed
        Every choice with its source.
    notes : tuple of str
        What a reader must know.
    ended : str
        How the middle run ended.
    """

    case: LoadCase
    title: str
    status: Status
    why: str
    quantity: Quantity
    pose: Pose | None = None
    enters: str = ""
    now: Run | None = None
    healed: Run | None = None
    opposite: Run | None = None
    opposite_why: str = ""
    failure: Band | None = None
    failure_healed: Band | None = None
    failure_opposite: Band | None = None
    body_weights: Band | None = None
    demand: tuple[tuple[str, float, str], ...] = ()
    ratio_healed: Band | None = None
    ratio_opposite: Band | None = None
    ratio_of: str = ""
    band_from: tuple[str, ...] = ()
    most_matters: tuple[tuple[str, float], ...] = ()
    calibration: Calibration | None = None
    calibration_others: tuple[Calibration, ...] = ()
    law: str = ""
    law_notes: tuple[str, ...] = ()
    voxel_mm: float = 0.0
    maps: Maps | None = None
    rigidity: Rigidity | None = None
    rigidity_ratio: RigidityRatio | None = None
    fracture: FractureState | None = None
    assumptions: tuple[Assumed, ...] = ()
    notes: tuple[str, ...] = ()
    ended: str = ""
