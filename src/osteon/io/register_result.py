"""What a registration found: the transform, what is known of its error anywhere in the image, and why it must not be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from osteon.errors import ImageError
from osteon.io.register_match import number
from osteon.space.volume import Array, Grid, Volume


@dataclass(frozen=True)
class Refusal:
    """Why a registration is not to be used, in three parts, as an error would say it."""

    what: str
    why: str
    do: str

    def __str__(self) -> str:
        return f"{self.what} {self.why} {self.do}"


@dataclass(frozen=True)
class Spread:
    """What an estimated error is made of, at some points [mm]."""

    restarts_mm: float
    inverse_mm: float
    halves_mm: float
    floor_mm: float

    @property
    def error_mm(self) -> float:
        """The bound that most errors keep."""
        parts = ((self.restarts_mm / 2) ** 2, (self.inverse_mm / 2) ** 2, (self.halves_mm / 2) ** 2, self.floor_mm**2)
        return number("cover_factor") * float(np.sqrt(sum(parts)))


@dataclass(frozen=True, eq=False)
class Rivals:
    """Other answers to the same question, fixed to moving, 4 x 4 LPS mm: how far they scatter tells the error at any place.

    Parameters
    ----------
    ends : tuple of ndarray
        Of other starts that fit about as well.
    back : ndarray
        Moving to fixed, found with the roles changed.
    halves : tuple of (ndarray, ndarray)
        Of the two sides of three cuts, aligned alone.
    floor_mm : float
        Below which no estimate goes.
    """

    ends: tuple[Array, ...]
    back: Array
    halves: tuple[tuple[Array, Array], ...]
    floor_mm: float

    def spread(self, found: Array, mm: Array) -> Spread:
        """Return how far the answers lie from ``found`` at points (n, 3) of the fixed image."""
        restarts = [root_mean_square(apply(end, mm) - apply(found, mm)) for end in self.ends]
        sides = [root_mean_square(apply(one, mm) - apply(other, mm)) for one, other in self.halves]
        halves = float(np.sqrt(np.mean(np.square(sides)))) if sides else float("inf")
        return Spread(max(restarts, default=0.0), root_mean_square(apply(self.back @ found, mm) - mm), halves, self.floor_mm)


@dataclass(frozen=True, eq=False)
class Registration:
    """A rigid transform and what is known of its error.

    Parameters
    ----------
    transform : ndarray
        4 x 4, from LPS mm of the moving image to LPS mm of the fixed one.
    metric : float
        Entropy correlation coefficient, 0 (the images tell nothing of each other) to 1.
    error_mm : float
        Estimated target registration error at ``target_mm`` [mm]; most true errors lie below it.
    inverse_consistency_mm : float
        How far the target comes back from itself when the images change roles [mm].
    restarts_spread_mm : float
        How far the ends of other starts lie apart at the target [mm]; starts that ended clearly worse are not counted.
    overlap_fraction : float
        Common volume over the smaller image's, 0 to 1.
    ended : {"converged", "refused"}
        A refused transform is kept to be looked at, not to be used.
    refusals : tuple of Refusal
        Why; empty where it converged.
    halves_spread_mm : float
        How far the halves of the image (left and right, front and back, upper and lower), aligned alone, move the target [mm]:
        sees what one rigid motion cannot follow.
    target_mm : ndarray
        The points (n, 3) at which errors are told, LPS mm of the fixed image.
    header_gap_mm : float
        How far the target lies from where the headers alone would put it [mm].
    header_metric : float
        ``metric`` of the headers alone.
    descents : int
        How many descents were made.
    others : Rivals or None
        The other answers that the error is told from.
    """

    transform: Array
    metric: float
    error_mm: float
    inverse_consistency_mm: float
    restarts_spread_mm: float
    overlap_fraction: float
    ended: Literal["converged", "refused"]
    refusals: tuple[Refusal, ...] = ()
    halves_spread_mm: float = 0.0
    target_mm: Array | None = None
    header_gap_mm: float = 0.0
    header_metric: float = 0.0
    descents: int = 0
    others: Rivals | None = None

    def error_at(self, mm: Array) -> float:
        """Return the estimated error at other points (n, 3) of the fixed image [mm]; ``error_mm`` where only that is known."""
        if self.others is None:
            return self.error_mm
        return self.others.spread(np.linalg.inv(self.transform), np.atleast_2d(np.asarray(mm, float))).error_mm

    def to_fixed(self, mm: Array) -> Array:
        """Map points (..., 3) of the moving image to the fixed one, LPS mm."""
        return apply(self.transform, mm)

    def to_moving(self, mm: Array) -> Array:
        """Map points (..., 3) of the fixed image to the moving one, LPS mm."""
        return apply(np.linalg.inv(self.transform), mm)

    def carry(self, moving: Volume, grid: Grid, *, fill: float = 0.0) -> Volume:
        """Return an image or mask of the moving study on a grid of the fixed one.

        Raises
        ------
        ImageError
            If the registration was refused.
        """
        if self.ended == "refused":
            raise ImageError(
                f"An image is to be carried over by a refused registration: {self.refusals[0].what}",
                "Its outlines would lie in the wrong place.",
                self.refusals[0].do,
            )
        return Volume.of(moving.array, self.transform @ moving.grid.matrix).resample(grid, fill=fill)


def apply(matrix: Array, mm: Array) -> Array:
    """Return points (..., 3) moved by a 4 x 4 transform."""
    return cast(Array, np.asarray(mm, float) @ matrix[:3, :3].T + matrix[:3, 3])


def root_mean_square(difference: Array) -> float:
    """Return the root of the mean squared length of vectors (n, 3)."""
    return float(np.sqrt((difference**2).sum(axis=-1).mean()))
