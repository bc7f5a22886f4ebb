"""Electrodes as thin lines: contacts that carry voltage, and the wall behind which coolant flows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from osteon.errors import SettingError
from osteon.physics.lines import Line
from osteon.space.volume import Array, Grid
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose
from osteon.treatments.needles import device_values

SAMPLED = ("geometry", "cooling")  # parts of a device whose spread a draw samples
POINT = 1e-3  # of a bevel's length: there its point is as thin as is computed
PER_MM = 10  # points per mm at which the radius of a bevel is given
Kind = Literal["monopolar", "bipolar"]


@dataclass(frozen=True)
class Cooling:
    """Coolant in the shaft, from ``from_mm`` behind the tip up to the hub: its temperature [°C] and film [W/m²/K]."""

    coolant_c: float
    film_w_m2k: float
    from_mm: float = 0.0


@dataclass(frozen=True)
class Tines:
    """Expandable tines: straight thin lines at the voltage of the tip, spread evenly over a cone that opens forwards."""

    count: int
    length_mm: float
    radius_mm: float
    angle_deg: float


@dataclass(frozen=True)
class Electrode:
    """One straight radiofrequency electrode; lengths along the shaft count from the tip towards the hub [mm].

    Parameters
    ----------
    kind : {"monopolar", "bipolar"}
        Against ground pads, or between two contacts of one shaft without net current.
    radius_mm : float
        Outer radius.
    contacts : tuple of (from_mm, to_mm)
        One (monopolar) or two (bipolar) bare stretches.
    cooling : Cooling or None
        Internal cooling.
    tines : Tines or None
        Expandable tines that start at the tip.
    shaft_mm : float
        Usable length.
    bevel_mm : float
        Length of the slanted cut of a sharp cannula, from its point on; 0: blunt.
    """

    kind: Kind
    radius_mm: float
    contacts: tuple[tuple[float, float], ...]
    cooling: Cooling | None = None
    tines: Tines | None = None
    shaft_mm: float = 150.0
    bevel_mm: float = 0.0

    def __post_init__(self) -> None:
        wanted = 2 if self.kind == "bipolar" else 1
        ordered = [edge for contact in self.contacts for edge in contact]
        apart = all(b > a for a, b in pairwise(ordered))
        if len(self.contacts) != wanted or not self.radius_mm > 0 or not apart or ordered[0] < 0 or ordered[-1] > self.shaft_mm:
            raise SettingError(
                f"A {self.kind} electrode of radius {self.radius_mm:g} mm has its contacts at {self.contacts} mm on a shaft of "
                f"{self.shaft_mm:g} mm.",
                "Contacts are bare stretches of the shaft, one after the other, and cannot be longer than it.",
                f"Give {wanted} contact(s) between 0 and {self.shaft_mm:g} mm behind the tip, in order, and a positive radius.",
            )

    @property
    def active_mm(self) -> float:
        """From the tip to the end of the last contact [mm]."""
        return self.contacts[-1][1]

    def radius_at(self, behind_mm: Array) -> Array:
        r"""Return the radius of the round conductor that carries as much current as the shaft so far behind the tip [mm].

        A slanted cut leaves an arc of the tube's wall. The logarithmic capacity of an arc of half-angle :math:`\alpha` is
        :math:`a \sin(\alpha/2)`; at the height :math:`2 a z / L` of a plane cut that is :math:`a \sqrt{z/L}`.
        """
        if self.bevel_mm <= 0.0:
            return np.full(np.shape(behind_mm), self.radius_mm)
        return np.asarray(self.radius_mm * np.sqrt(np.clip(behind_mm / self.bevel_mm, POINT, 1.0)))


def electrode_of(device: Mapping[str, Any], constants: Constants, name: str) -> Electrode:
    """Return the electrode of an entry of ``devices.yaml`` with the numbers of this run.

    Parameters
    ----------
    device : mapping
        The entry.
    constants : Constants
        The numbers of this run; what is used is noted under ``name``.
    name : str
        Id of the device.
    """
    values = device_values({key: device[key] for key in SAMPLED if key in device})

    def number(path: str, otherwise: float = 0.0) -> float:
        return constants.of(f"{name}.{path}", values[path]) if path in values else otherwise

    kind: Kind = "bipolar" if device["kind"]["text"] == "bipolar" else "monopolar"
    radius, tip = number("geometry.radius"), number("geometry.tip_length")
    contacts: tuple[tuple[float, float], ...] = ((0.0, tip),)
    if kind == "bipolar":
        gap = number("geometry.gap")
        contacts = ((0.0, tip), (tip + gap, tip + gap + number("geometry.second_length")))
    cooling = tines = None
    if bool(device["cooled"]["value"]):
        cooling = Cooling(number("cooling.coolant"), number("cooling.film"), number("cooling.starts"))
    if "geometry.tine_count" in values:
        tines = Tines(
            round(number("geometry.tine_count")), number("geometry.tine_length"), number("geometry.tine_radius"),
            number("geometry.tine_angle"),
        )  # fmt: skip
    bevel = 2.0 * radius / math.tan(math.radians(number("geometry.bevel"))) if "geometry.bevel" in values else 0.0
    return Electrode(kind, radius, contacts, cooling, tines, float(device["usable_length_mm"]["value"]), bevel)


def along(pose: NeedlePose, behind_mm: float) -> Array:
    """Return the point of the shaft so far behind the tip (LPS mm)."""
    return np.asarray(np.array(pose.tip_mm) - behind_mm * np.array(pose.direction))


def line_between(grid: Grid, start_mm: Array, end_mm: Array, radius_mm: float | Array) -> Line | None:
    """Return the part of a straight line that lies on the grid, in metres of its voxels; None where nothing does.

    Several radii stand at equally spaced points of a line that lies wholly on the grid.
    """
    h = float(np.mean(grid.spacing_mm)) * 1e-3
    a, b = (np.asarray(grid.to_index(np.asarray(p)[None]))[0] for p in (start_mm, end_mm))
    low, high, way = 0.0, 1.0, b - a
    for axis, n in enumerate(grid.shape):
        if abs(way[axis]) < 1e-12:
            if not 0 <= a[axis] <= n - 1:
                return None
            continue
        ends = sorted((-a[axis] / way[axis], (n - 1 - a[axis]) / way[axis]))
        low, high = max(low, ends[0]), min(high, ends[1])
    if high - low <= 1e-9:
        return None
    start, end = ((a + t * way) * h for t in (low, high))
    radius = radius_mm * 1e-3
    return Line(_triple(start), _triple(end), tuple(radius.tolist()) if isinstance(radius, np.ndarray) else radius)


def _triple(point: Array) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def conductors(electrode: Electrode, pose: NeedlePose, grid: Grid) -> list[tuple[Line, float]]:
    """Return every conductor with its voltage where 1 V is applied: 1 V against the pads, or plus and minus half a volt.

    Raises
    ------
    SettingError
        If a contact reaches beyond the grid, or out of the skin.
    """
    if electrode.active_mm > pose.length_mm + 1e-6 or electrode.shaft_mm < pose.length_mm - 1e-6:
        raise SettingError(
            f"The active part is {electrode.active_mm:g} mm long, the shaft {electrode.shaft_mm:g} mm, and the needle lies "
            f"{pose.length_mm:.1f} mm deep.",
            "A contact outside the skin burns it, and a shaft that is too short does not reach.",
            "Choose a shorter tip, a longer shaft or another way in.",
        )
    volts = (1.0,) if electrode.kind == "monopolar" else (0.5, -0.5)
    found = []
    for (begin, end), volt in zip(electrode.contacts, volts):
        line = line_between(grid, along(pose, begin), along(pose, end), _radii(electrode, begin, end))
        if line is None or abs(_length_mm(line) - (end - begin)) > 1e-3 * (end - begin):
            _outside(pose)
        assert line is not None
        found.append((line, volt))
    for start, end_of_tine in tine_ends(electrode, pose):
        assert electrode.tines is not None
        line = line_between(grid, start, end_of_tine, electrode.tines.radius_mm)
        if line is None:
            _outside(pose)
        assert line is not None
        found.append((line, 1.0))
    return found


def _radii(electrode: Electrode, begin_mm: float, end_mm: float) -> float | Array:
    """Return the radius of a contact [mm], at equally spaced points where a bevel reaches into it."""
    if begin_mm >= electrode.bevel_mm:
        return electrode.radius_mm
    return electrode.radius_at(np.linspace(begin_mm, end_mm, math.ceil(PER_MM * (end_mm - begin_mm)) + 1))


def _outside(pose: NeedlePose) -> None:
    x, y, z = pose.tip_mm
    raise SettingError(
        f"A contact of the electrode with its tip at ({x:.1f}, {y:.1f}, {z:.1f}) mm lies outside the computed box.",
        "Its current cannot be computed where there is no tissue map.",
        "Place the needle in the imaged body, or enlarge the planning box.",
    )


def tine_ends(electrode: Electrode, pose: NeedlePose) -> list[tuple[Array, Array]]:
    """Return where every tine starts and ends (LPS mm)."""
    tines = electrode.tines
    if tines is None:
        return []
    forward = np.array(pose.direction)
    side = np.cross(forward, np.eye(3)[int(np.argmin(np.abs(forward)))])
    side /= np.linalg.norm(side)
    other = np.cross(forward, side)
    ends = []
    for k in range(tines.count):
        turn, open_ = 2.0 * math.pi * k / tines.count, math.radians(tines.angle_deg)
        way = math.cos(open_) * forward + math.sin(open_) * (math.cos(turn) * side + math.sin(turn) * other)
        tip = np.array(pose.tip_mm)
        ends.append((tip, tip + tines.length_mm * way))
    return ends


def coolant_line(electrode: Electrode, pose: NeedlePose, grid: Grid) -> Line | None:
    """Return the cooled stretch of the shaft on the grid; None where the electrode is not cooled."""
    if electrode.cooling is None:
        return None
    return line_between(grid, along(pose, electrode.cooling.from_mm), along(pose, pose.length_mm), electrode.radius_mm)


def _length_mm(line: Line) -> float:
    return float(np.linalg.norm(np.subtract(line.end_m, line.start_m))) * 1e3
