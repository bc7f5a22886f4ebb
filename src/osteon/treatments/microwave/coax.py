"""The geometry of a coaxial antenna: a line with a ring slot under a sheath, or one whose inner conductor stands out bare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.errors import SettingError
from osteon.evidence.value import Value
from osteon.physics.electromagnetic import LIGHT_SPEED

Array = np.ndarray[Any, np.dtype[Any]]
Device = Mapping[str, Any]

METAL, DIELECTRIC, SLOT, SHEATH, CHOKE, TISSUE = range(6)
COARSEST = 1 / 80  # the coarsest cell is a share of the wavelength in vacuum: numerical, held by the test of convergence


@dataclass(frozen=True)
class Coax:
    """The geometry of a device as plain numbers [mm]; hashable, so that its mesh is made once."""

    inner_radius: float
    dielectric_radius: float
    outer_radius: float
    sheath_radius: float
    coax_end: float
    short: float
    slot_from: float
    slot_to: float
    domain_radius: float
    domain_ahead: float
    domain_behind: float
    coarsest: float
    choke: tuple[float, float, float, float] | None = None  # from, to, radius of its dielectric, radius of its sleeve
    monopole: float | None = None  # length of bare inner conductor ahead of the line; then there is neither slot nor sheath


def number(device: Device, path: str) -> float:
    """Return a number of a device by its dotted name; entries may be mappings with ``value``, Values or bare numbers."""
    entry: Any = device
    for part in path.split("."):
        if not isinstance(entry, Mapping) or part not in entry:
            raise SettingError(
                f"The device has no {path!r}.",
                "Its field cannot be computed without it.",
                "Give it in devices.yaml with unit, spread and source.",
            )
        entry = entry[part]
    if isinstance(entry, Value):
        return entry.number
    return float(entry["value"] if isinstance(entry, Mapping) else entry)


def _monopole_of(device: Device) -> Coax:
    """Return a line that ends open, its inner conductor standing out bare; the line begins where the monopole ends."""
    length, outer = number(device, "geometry.monopole_length"), number(device, "geometry.outer_conductor_radius")
    return Coax(
        inner_radius=number(device, "geometry.inner_conductor_radius"),
        dielectric_radius=number(device, "geometry.dielectric_radius"),
        outer_radius=outer,
        sheath_radius=outer,
        coax_end=length,
        short=0.0,
        slot_from=length,
        slot_to=length,
        domain_radius=number(device, "domain.radius"),
        domain_ahead=number(device, "domain.ahead"),
        domain_behind=number(device, "domain.behind"),
        coarsest=LIGHT_SPEED / number(device, "frequency") * COARSEST * 1e3,
        monopole=length,
    )


def coax_of(device: Device) -> Coax:
    """Return the geometry of a device.

    Parameters
    ----------
    device : mapping
        One entry of ``devices.yaml``.

    Returns
    -------
    Coax
        Radii and lengths [mm].

    Raises
    ------
    SettingError
        If a number is missing or the parts do not fit into each other.
    """
    if "monopole_length" in device.get("geometry", {}):
        return _checked(_monopole_of(device))
    choke = None
    if "choke" in device:
        start, length = number(device, "choke.from_tip"), number(device, "choke.length")
        choke = (start, start + length, number(device, "choke.dielectric_radius"), number(device, "choke.sleeve_radius"))
    slot, coax_end = number(device, "geometry.slot_from"), number(device, "geometry.coax_end")
    coax = Coax(
        inner_radius=number(device, "geometry.inner_conductor_radius"),
        dielectric_radius=number(device, "geometry.dielectric_radius"),
        outer_radius=number(device, "geometry.outer_conductor_radius"),
        sheath_radius=number(device, "geometry.sheath_radius"),
        coax_end=coax_end,
        short=number(device, "geometry.short_length"),
        slot_from=slot,
        slot_to=slot + number(device, "geometry.slot_length"),
        domain_radius=number(device, "domain.radius"),
        domain_ahead=number(device, "domain.ahead"),
        domain_behind=number(device, "domain.behind"),
        coarsest=LIGHT_SPEED / number(device, "frequency") * COARSEST * 1e3,
        choke=choke,
    )
    return _checked(coax)


def _checked(coax: Coax) -> Coax:
    radii, lengths = marks(coax)
    if (np.diff(radii) <= 0).any() or (np.diff(lengths) <= 0).any():
        raise SettingError(
            f"The parts of the antenna do not fit: radii {radii.tolist()} mm, heights {lengths.tolist()} mm.",
            "Each part must lie outside, or behind, the one before it.",
            "Correct the geometry in devices.yaml.",
        )
    return coax


def marks(coax: Coax) -> tuple[Array, Array]:
    """Return the radii and the heights at which the geometry changes, in the order in which they must increase [mm]."""
    radii = [0.0, coax.inner_radius, coax.dielectric_radius, coax.outer_radius]
    if coax.monopole is not None:
        return np.array([*radii, coax.domain_radius]), np.array([-coax.domain_ahead, 0.0, coax.monopole, coax.domain_behind])
    lengths = [-coax.domain_ahead, 0.0, coax.coax_end, coax.coax_end + coax.short, coax.slot_from, coax.slot_to]
    if coax.choke is not None:
        start, end, dielectric, sleeve = coax.choke
        radii += [dielectric, sleeve]
        lengths += [start, end, end + coax.short]
    return np.array([*radii, coax.sheath_radius, coax.domain_radius]), np.array([*lengths, coax.domain_behind])


def parts(coax: Coax, r: Array, z: Array) -> Array:
    """Return what each cell (m, n) with centres at r, z [mm] is made of."""
    r, z = r[None, :], z[:, None]
    if coax.monopole is not None:
        line = z > coax.monopole
        metal = ((z > 0) & (r < coax.inner_radius)) | (line & (r > coax.dielectric_radius) & (r < coax.outer_radius))
        inside = line & (r > coax.inner_radius) & (r < coax.dielectric_radius)
        return np.where(metal, METAL, np.where(inside, DIELECTRIC, TISSUE))
    part = np.where((r < coax.sheath_radius) & (z > 0), SHEATH, TISSUE)
    line = z > coax.coax_end
    part[line & (r < coax.outer_radius)] = METAL
    part[line & (z > coax.slot_from) & (z < coax.slot_to) & (r > coax.dielectric_radius) & (r < coax.outer_radius)] = SLOT
    part[(z > coax.coax_end + coax.short) & (r > coax.inner_radius) & (r < coax.dielectric_radius)] = DIELECTRIC
    if coax.choke is not None:
        start, end, dielectric, sleeve = coax.choke
        covered = (z > start) & (r > coax.outer_radius)
        part[covered & (z < end + coax.short) & (r < sleeve)] = METAL
        part[covered & (z < end) & (r < dielectric)] = CHOKE
    return part
