"""What a plan of focused ultrasound is made of: window, approaches compared, sonications, session, bands, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array, Volume
from osteon.treatments.base import Ended
from osteon.treatments.focused_ultrasound.access import Window
from osteon.treatments.focused_ultrasound.approach import Approach
from osteon.treatments.focused_ultrasound.bands import Influence, Samples
from osteon.treatments.focused_ultrasound.beam import ArrayPose
from osteon.treatments.focused_ultrasound.session import Session
from osteon.treatments.focused_ultrasound.session_power import Dosed
from osteon.treatments.focused_ultrasound.shots import Aim, Triple


@dataclass(frozen=True, eq=False)
class Cut:
    """Sound of one sonication in a plane through the axis of the array and the focus.

    Parameters
    ----------
    pose : ArrayPose
        Where the array stands; ``across`` is its x axis (``axis`` 0) or its y axis (1).
    axis : int
        0 or 1.
    depth_mm, across_mm : ndarray, shapes (n,) and (m,)
        Places of the samples in the frame of the array: from its vertex along the beam, and across.
    amplitude_pa, heat_w_m3 : ndarray (n, m)
        Pressure amplitude, and power turned into heat, at the acoustic power of the sonication.
    solid : ndarray of bool (n, m)
        Bone that is a solid to sound.
    focus_mm : tuple of float
        Depth and place across of the focus.
    cell_mm : float
        Edge of a cell of the sound.
    """

    pose: ArrayPose
    axis: int
    depth_mm: Array
    across_mm: Array
    amplitude_pa: Array
    heat_w_m3: Array
    solid: Array
    focus_mm: tuple[float, float]
    cell_mm: float

    def places_mm(self) -> Array:
        """Return the samples in LPS mm, (n, m, 3)."""
        points = np.zeros((len(self.depth_mm), len(self.across_mm), 3))
        points[..., self.axis] = self.across_mm[None, :]
        points[..., 2] = self.depth_mm[:, None]
        return self.pose.to_mm(points * 1e-3)


@dataclass(frozen=True, eq=False)
class Way:
    """One of the three approaches, tried at the middle of what it would treat.

    Parameters
    ----------
    approach : Approach
        Whether the cortex allows it, and why.
    aim : Aim or None
        The middle place; None where there is nothing to treat that way.
    dosed : Dosed or None
        The power that kills that spot, and what every limit allows there.
    design_w : float
        Power by which the cells were sized: as much as every limit allows, with a margin [W]; 0 where none was.
    cell_mm : tuple of float
        Width and length along the beam of what one sonication kills at that power.
    sonications : int
        Cells that cover what is treated.
    coverage : float
        Share of it that they cover.
    energy_j : float
        Of all sonications at the power that each cell needs at the middle: acoustic power by time, an estimate.
    solid_share : float
        Share of the rays to the lesion that cross cortex: how much bone is left to take up sound.
    ended : Ended
        ``converged``: it can be done at the middle; ``limit``: something binds; ``refused``: nothing to treat that way.
    """

    approach: Approach
    aim: Aim | None
    dosed: Dosed | None
    design_w: float
    cell_mm: tuple[float, float]
    sonications: int
    coverage: float
    energy_j: float
    solid_share: float
    ended: Ended


@dataclass(frozen=True, eq=False)
class Scheme:
    """A plan of focused ultrasound on one patient.

    Parameters
    ----------
    device : str
        The array.
    window : Window
        Whether it reaches the target, with the map of the skin.
    ways : tuple of Way
        The three approaches, in the order of preference; empty without a window.
    chosen : int or None
        Index into ``ways`` of what was planned in full; None where none can be.
    why : str
        Why that one, or why none.
    box : Anatomy or None
        The grid of the session, with the outlines: array side, path, lesion, far field.
    target : Volume of bool or None
        What is meant to be treated, on that grid.
    face_mm : ndarray (n, 3)
        Places of the treated surface (or of the tumour), LPS, for drawing.
    session : Session or None
        Sonications with power, times, heat, limits.
    poses : mapping of str to ArrayPose
        Where the array stands, by id of the aim.
    left_out : mapping of str to str
        Aims that are not given, and why.
    cuts : tuple of Cut
        Sound in two planes through the beam of the sonication ``shown``.
    shown : str
        Id of the aim of the cuts.
    sampled : Samples or None
        Draws of one sonication.
    influences : mapping of str to tuple of Influence
        By outcome: which constants move it.
    grids_mm : mapping of str to float
        Edge of a cell or voxel: ``sound``, ``response``, ``session``.
    trust : str
        "yes", "with care" or "no": the least that the planner of sound says of any sonication.
    sentences : tuple of str
        Why.
    notes : tuple of str
        What was assumed.
    ended : Ended
        How all of it ended.
    """

    device: str
    window: Window
    ways: tuple[Way, ...]
    chosen: int | None
    why: str
    box: Anatomy | None
    target: Volume | None
    face_mm: Array
    session: Session | None
    poses: Mapping[str, ArrayPose]
    left_out: Mapping[str, str]
    cuts: tuple[Cut, ...]
    shown: str
    sampled: Samples | None
    influences: Mapping[str, tuple[Influence, ...]]
    grids_mm: Mapping[str, float]
    trust: str
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    ended: Ended

    @property
    def way(self) -> Way | None:
        """The approach that was planned in full."""
        return None if self.chosen is None else self.ways[self.chosen]

    def middle_mm(self) -> Triple:
        """Return the middle of what is treated, LPS."""
        x, y, z = self.face_mm.mean(axis=0)
        return float(x), float(y), float(z)
