"""What a load case is: where the bone is held, where it is moved, and in which frame.

A builder finds the pose of the load from landmarks of the outlined bone (``pose``), and puts supports and end caps onto its
voxels (``place``). An implausible pose is an error; a pose can be given by hand.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import numpy as np

from osteon.evidence.value import Value, values_in
from osteon.physics.elasticity import Support
from osteon.space.anatomy import Anatomy, Structure, structure
from osteon.space.volume import Array, Grid
from osteon.tissue.bone_density import Density

Point = tuple[float, float, float]
Quantity = Literal["force", "moment"]
LESION = structure("lesion")


@cache
def settings() -> Mapping[str, Value]:
    """Return the numbers of ``loads.yaml``."""
    return values_in("osteon.assessment.loads", "loads.yaml")


def number(name: str) -> float:
    """Return one number of ``loads.yaml``, in its unit."""
    return settings()[name].number


@dataclass(frozen=True)
class LoadCase:
    """What is asked of which bone.

    Parameters
    ----------
    name : str
        A name of ``loads.catalog``, for example ``vertebra-compression`` or ``femur-stance``.
    bone : Structure
        The bone.
    lesion : Structure
        Its lesion; the anatomy need not hold one.
    axis : tuple of float, optional
        By hand: direction of the load axis from the held end to the moved end, LPS. For a vertebra from the lower to the upper
        end plate; for the stance of a femur from the knee to the head; for a shaft its long axis.
    head_mm : tuple of float, optional
        By hand: centre of the femoral head, LPS mm.
    weight_kg : float, optional
        Of the patient; without it no multiple of body weight is told.
    """

    name: str
    bone: Structure
    lesion: Structure = LESION
    axis: Point | None = None
    head_mm: Point | None = None
    weight_kg: float | None = None


@dataclass(frozen=True, eq=False)
class Pose:
    """The frame of a load and how it was found.

    Parameters
    ----------
    axes : array (3, 3)
        Columns: unit vectors of the model's x, y and z in LPS, right-handed. z runs along the load, from the held end to the
        moved end; a load presses towards -z.
    landmarks : mapping of str to point
        What it was found from, LPS mm; drawn.
    lines : tuple of (str, point, point)
        Axes and forces to draw, LPS mm.
    along_mm : (float, float) or None
        The part of the bone that takes part: coordinates along z [mm, LPS dot z]; None: all of it.
    by_hand : bool
        Whether it was given.
    doubts : tuple of str
        What weakens it.
    """

    axes: Array
    landmarks: Mapping[str, Point]
    lines: tuple[tuple[str, Point, Point], ...] = ()
    along_mm: tuple[float, float] | None = None
    by_hand: bool = False
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Voxels:
    """A bone as cubes in the frame of its load.

    Parameters
    ----------
    grid : Grid
        Cubic; index x, y, z run along the pose's axes. It is wider than the bone by at least ``Builder.margin_mm`` on each side.
    bone : ndarray of bool, shape (z, y, x)
        Every cube of the bone, lesion, metal and cement within it included.
    lesion, metal : ndarray of bool, same shape
        Parts of the bone that the lesion holds, and metal in and on it.
    cement : ndarray of float32, same shape
        Share of the cube that cement fills, 0 to 1.
    density : Density
        One value a cube, 0 outside the bone.
    notes : tuple of str
        What was done on the way.
    """

    grid: Grid
    bone: Array
    lesion: Array
    metal: Array
    cement: Array
    density: Density
    notes: tuple[str, ...] = ()

    @property
    def edge_mm(self) -> float:
        """Edge of a cube [mm]."""
        return float(self.grid.spacing_mm[0])


@dataclass(frozen=True, eq=False)
class Added:
    """Material that the load case adds to the bone, for example an end cap of cement.

    Parameters
    ----------
    name : str
        As the report names it.
    where : ndarray of bool, shape (z, y, x)
        Its cubes; none of them is bone.
    modulus_pa : float
        Young's modulus [Pa].
    compression_pa, tension_pa : float
        What it can bear [Pa]; infinity: it never yields here.
    """

    name: str
    where: Array
    modulus_pa: float
    compression_pa: float = float("inf")
    tension_pa: float = float("inf")


@dataclass(frozen=True, eq=False)
class Placed:
    """A load on the voxels of a bone.

    Parameters
    ----------
    added : tuple of Added
        End caps and the like.
    support : Support
        Held and moved nodes; ``displacement_m`` is the pattern of one unit of the generalised displacement: 1 m, or 1 rad.
        The generalised load is the sum of reaction times pattern: N, or N m, positive where the load presses or turns.
    quantity : {"force", "moment"}
        Which.
    length_mm : float
        Length of what is loaded along z, for strain: height of the vertebral body, length between the clamps [mm].
    most : float
        Largest generalised displacement of a failure run [m or rad].
    area_note : str
        Where the load enters, in words.
    notes : tuple of str
        What a reader must know: "lateral motion free", "joint contact only".
    """

    added: tuple[Added, ...]
    support: Support
    quantity: Quantity
    length_mm: float
    most: float
    area_note: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variation:
    """A draw of what is uncertain about the load: 0 and 1 are the middle.

    Parameters
    ----------
    tilt_deg : (float, float)
        The load axis turned about the model's x and y [degrees].
    cap_modulus_factor : float
        On the modulus of end caps.
    """

    tilt_deg: tuple[float, float] = (0.0, 0.0)
    cap_modulus_factor: float = 1.0


class Builder(ABC):
    """One load case.

    ``absolute`` False: no threshold is validated for it; only the relative change is told. ``families`` are those of
    ``measure_base.family``; "vertebra" stands for all vertebrae.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    families: ClassVar[tuple[str, ...]]
    quantity: ClassVar[Quantity] = "force"
    absolute: ClassVar[bool] = True
    margin_mm: ClassVar[float] = 3.0
    by_height: ClassVar[bool] = False  # linear strength as 0.0068 times stiffness times height (Crawford 2003), for a vertebra
    sources: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def pose(self, anatomy: Anatomy, case: LoadCase) -> Pose:
        """Find the frame of the load.

        Raises
        ------
        InputError
            If the pose is implausible, or the bone in this image does not reach far enough for it; says what to give by hand.
        NotOutlinedError
            If the bone is not outlined.
        """

    @abstractmethod
    def place(self, voxels: Voxels, pose: Pose, variation: Variation = Variation()) -> Placed:
        """Put supports and end caps onto the voxels.

        Raises
        ------
        InputError
            If there is nothing to hold or to press on.
        """


def turned(axes: Array, tilt_deg: tuple[float, float]) -> Array:
    """Return axes turned about their own x and y by two small angles [degrees]."""
    from scipy.spatial.transform import Rotation

    return np.asarray(axes @ Rotation.from_euler("xy", tilt_deg, degrees=True).as_matrix())
