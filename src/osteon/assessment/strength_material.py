"""What the cubes of a bone can bear: modulus and caps from density by a named law, metal, cement and end caps beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from osteon.assessment.loads.base import Placed, Voxels
from osteon.assessment.measure_base import family
from osteon.assessment.strength_voxels import setting
from osteon.data_files import read_data
from osteon.errors import UnitError
from osteon.physics.collapse import Caps
from osteon.physics.elasticity import Model
from osteon.space.anatomy import Structure
from osteon.space.volume import Array
from osteon.tissue.bone_density import KINDS, Conversion, Density, conversions
from osteon.tissue.bone_laws import Law, law, modulus_pa, yield_pa

PA_PER_MPA = 1e6
LEAST_CEMENT = 0.05  # share of a cube


@dataclass(frozen=True)
class Draw:
    """One draw of what is uncertain about the material; the default is the middle.

    Parameters
    ----------
    law : str
        Name of the law.
    density_factor : float
        On every density: what calibration leaves open.
    tension_ratio : float
        Tensile over compressive strength.
    cement_bonding : float
        Share of its modulus that cement brings into bone.
    """

    law: str
    density_factor: float = 1.0
    tension_ratio: float = 0.62
    cement_bonding: float = 0.8


@dataclass(frozen=True, eq=False)
class Material:
    """A model with what its cubes can bear, and how much of the bone lies outside the law's range."""

    model: Model
    caps: Caps
    law_notes: tuple[str, ...]


def laws_of(bone: Structure) -> tuple[Law, ...]:
    """Return the laws for a bone: that of the middle run first."""
    entries: Mapping[str, list[str]] = _table()
    kind = family(bone)
    found = entries.get("vertebra" if kind.startswith("vertebra") else kind, entries["other"])
    return tuple(law(name) for name in found)


def middle_draw(bone: Structure) -> Draw:
    """Return the draw of the middle run."""
    return Draw(laws_of(bone)[0].name, 1.0, setting("tension_ratio"), setting("cement_bonding"))


def as_kind(density: Density, kind: str) -> Density:
    """Return densities as another kind, along the lines of ``strength_laws.yaml``, forwards or backwards.

    Raises
    ------
    UnitError
        If no chain of lines leads there.
    """
    lines = [conversions()[name] for name in _table()["lines"]]
    for step in _chain(density.kind, kind, lines):
        density = step[0](density) if step[1] else _backwards(step[0], density)
    return density


def material_of(voxels: Voxels, placed: Placed, draw: Draw) -> Material:
    """Return modulus and caps of every cube.

    Parameters
    ----------
    voxels : Voxels
        The bone.
    placed : Placed
        With the material that the load case adds.
    draw : Draw
        Law and factors.

    Returns
    -------
    Material
        Cement in bone bears itself alone: bone within it adds nothing.
    """
    found, inside = law(draw.law), voxels.bone & ~voxels.metal
    density = as_kind(voxels.density[inside] * draw.density_factor, found.density)
    stiff, strong = modulus_pa(density, found), yield_pa(density, found)
    shape = voxels.bone.shape
    modulus, compression, tension = np.zeros(shape), np.full(shape, np.inf), np.full(shape, np.inf)
    modulus[inside] = stiff.pa
    compression[inside] = np.maximum(np.nan_to_num(strong.pa), setting("least_cap") * PA_PER_MPA)
    ratio = draw.tension_ratio
    tension[inside] = yield_pa(density, found, "tension").pa if found.tension else ratio * compression[inside]
    _put_cement(voxels, draw, modulus, compression, tension)
    metal = voxels.metal
    modulus[metal] = setting("metal_modulus") * PA_PER_MPA
    compression[metal] = tension[metal] = setting("metal_yield") * PA_PER_MPA
    for each in placed.added:
        where = each.where & ~voxels.bone
        modulus[where], compression[where], tension[where] = each.modulus_pa, each.compression_pa, each.tension_pa
    model = Model(modulus, setting("poisson"), voxels.edge_mm * 1e-3)
    notes = tuple(dict.fromkeys((stiff.note, strong.note)))
    return Material(model, Caps(compression, tension), notes)


def _put_cement(voxels: Voxels, draw: Draw, modulus: Array, compression: Array, tension: Array) -> None:
    """Give cubes with cement its modulus by share, porosity and bonding, and its caps by share; in place."""
    there = (voxels.cement > LEAST_CEMENT) & voxels.bone & ~voxels.metal
    if not there.any():
        return
    share = voxels.cement[there]
    own = setting("cement_modulus") * PA_PER_MPA * (1 - setting("cement_porosity")) ** 2 * draw.cement_bonding * share
    stiffer = own > modulus[there]
    for array, cap in ((compression, "cement_compression"), (tension, "cement_tension")):
        array[there] = np.where(stiffer, setting(cap) * PA_PER_MPA * share, array[there])
    modulus[there] = np.maximum(own, modulus[there])


def _chain(start: str, end: str, lines: list[Conversion]) -> list[tuple[Conversion, bool]]:
    """Return the steps from one kind to another, each with whether it is walked forwards."""
    ways: dict[str, list[tuple[Conversion, bool]]] = {start: []}
    queue = [start]
    while queue and end not in ways:
        here = queue.pop(0)
        for line in lines:
            for there, forwards in ((line.gives, True),) if line.takes == here else ((line.takes, False),) * (line.gives == here):
                if there not in ways:
                    ways[there] = [*ways[here], (line, forwards)]
                    queue.append(there)
    if end not in ways:
        raise UnitError(
            f"No line leads from {KINDS[start]} to {KINDS[end]}.",
            "The law takes no other density.",
            "Choose another law, or calibrate to another density.",
        )
    return ways[end]


def _backwards(line: Conversion, density: Density) -> Density:
    values = (density.needs(line.gives, f"The line {line.name} backwards") - line.intercept_g_cm3) / line.slope
    return Density(line.takes, values, (*density.made_by, f"{line.name}, backwards"))


@cache
def _table() -> Mapping[str, list[str]]:
    read: Mapping[str, list[str]] = read_data("osteon.assessment", "strength_laws.yaml")
    return read
