r"""The fibre and the optics of the tissue round it: where light leaves the tip, and what each voxel does to it.

A diffusing tip emits evenly along its length. From a bare tip the light goes on ahead and is scattered after an exponential path
of mean :math:`1/(\mu_a + \mu_s')`: the first scatterings are the sources of the diffusion equation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.physics import light
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array, Grid
from osteon.tissue.bone import CODE, LABELS, TissueMap, added_hu, marrow_of, without_streaks
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose

SAMPLED = ("emitting_length", "dead_end", "transmission")  # parts of a device whose spread a draw samples
ROW = {
    "bowel": "muscle", "organ": "muscle", "vessel": "blood", "not_imaged": "muscle", "lesion": "lytic_tumour",
    "bone": "cortical_bone", "air": "muscle", "titanium": "muscle",
}  # fmt: skip
POINTS = 24  # point sources per tip
BANDS_NM = (980, 1064)


@dataclass(frozen=True, eq=False)
class Optics:
    """Optics of every voxel at one wavelength.

    Parameters
    ----------
    absorption_per_m, reduced_scattering_per_m : array, shape (z, y, x)
        Of tissue that is not coagulated [1/m].
    outside, opaque : array of bool
        Air; metal.
    refractive_index : float
        Of tissue.
    scattering_factor, absorption_factor : float
        By which coagulation changes them.
    """

    absorption_per_m: Array
    reduced_scattering_per_m: Array
    outside: Array
    opaque: Array
    refractive_index: float
    scattering_factor: float
    absorption_factor: float

    def after(self, coagulated: Array | None) -> tuple[Array, Array]:
        """Return absorption and reduced scattering [1/m] where some tissue is coagulated."""
        if coagulated is None or not coagulated.any():
            return self.absorption_per_m, self.reduced_scattering_per_m
        absorption = np.where(coagulated, self.absorption_per_m * self.absorption_factor, self.absorption_per_m)
        return absorption, np.where(
            coagulated, self.reduced_scattering_per_m * self.scattering_factor, self.reduced_scattering_per_m
        )


def band_of(wavelength_nm: float) -> str:
    """Return the column of ``tissue/data/optical.yaml`` for a wavelength.

    Raises
    ------
    InputError
        If no column lies within 10 nm.
    """
    for known in BANDS_NM:
        if abs(wavelength_nm - known) <= 10.0:
            return f"{known}nm"
    raise InputError(
        f"There are no optical properties at {wavelength_nm:g} nm.",
        "Absorption changes several-fold between water bands.",
        f"Use a fibre at {' or '.join(map(str, BANDS_NM))} nm, or add a column to tissue/data/optical.yaml.",
    )


def uniform(row: str, wavelength_nm: float, constants: Constants, shape: tuple[int, ...]) -> Optics:
    """Return the optics of one tissue everywhere, for benches."""
    band = band_of(wavelength_nm)
    nothing = np.zeros(shape, bool)
    absorption, scattering = (np.full(shape, constants(row, f"{name}_{band}")) for name in ("absorption", "reduced_scattering"))
    return Optics(absorption, scattering, nothing, nothing, *_laws(constants))


def optics(tissue: TissueMap, anatomy: Anatomy, wavelength_nm: float, constants: Constants) -> Optics:
    """Return the optics of every voxel: by label, and in bone and lesion between what fills the pores and cortex, by HU.

    Parameters
    ----------
    tissue : TissueMap
        Labels on the grid.
    anatomy : Anatomy
        On the same grid, with a CT.
    wavelength_nm : float
        980 or 1064.
    constants : Constants
        The numbers of this run.
    """
    band = band_of(wavelength_nm)
    names = ("absorption", "reduced_scattering")
    present = set(np.unique(tissue.labels).tolist())
    table = np.array(
        [[constants(ROW.get(n, n), f"{name}_{band}") if CODE[n] in present else 0.0 for name in names] for n in LABELS]
    )
    fields = [table[:, i][tissue.labels] for i in range(2)]
    assert anatomy.image is not None  # properties_map has refused an anatomy without CT
    hu = without_streaks(anatomy, anatomy.image.array.astype(np.float32), constants, [])
    cortical, added = constants("hounsfield", "cortical"), added_hu(anatomy, constants)
    left = tissue.is_label("bone")
    jobs = [(tissue.is_label("lesion"), "lytic_tumour", constants("hounsfield", "tumour") + added)]
    for key in anatomy.of_kind("bone"):
        where = left & anatomy.masks[key].array
        left &= ~where
        jobs.append((where, marrow_of(key)[0], added))
    jobs.append((left, "yellow_marrow", added))
    for where, pores, start in jobs:
        if where.any():
            share = np.clip((hu[where] - start) / (cortical - start), 0.0, 1.0)
            for field, name in zip(fields, names):
                ends = [constants(row, f"{name}_{band}") for row in (pores, "cortical_bone")]
                field[where] = np.interp(share, (0.0, 1.0), ends)
    return Optics(fields[0], fields[1], tissue.is_label("air"), tissue.is_label("titanium"), *_laws(constants))


def _laws(constants: Constants) -> tuple[float, float, float]:
    return (
        constants("light", "refractive_index"),
        constants("coagulated_optics", "scattering_factor"),
        constants("coagulated_optics", "absorption_factor"),
    )


def emission(device: Mapping[str, Any], pose: NeedlePose, transport_per_m: float) -> tuple[Array, Array]:
    """Return the point sources of a tip: places (LPS mm) and shares of the emitted power, which sum to 1.

    Parameters
    ----------
    device : mapping
        Entry of ``devices.yaml`` with the numbers of this run.
    pose : NeedlePose
        Where the fibre lies.
    transport_per_m : float
        Absorption and reduced scattering at the tip, together [1/m]; for a bare tip.
    """
    quantile = (np.arange(POINTS) + 0.5) / POINTS
    if device["tip"] == "diffusing":
        along = -(float(device["dead_end"]["value"]) + quantile * float(device["emitting_length"]["value"]))
    else:
        along = -np.log1p(-quantile) / transport_per_m * 1e3
    places = np.array(pose.tip_mm) + along[:, None] * np.array(pose.direction)
    return places, np.full(POINTS, 1.0 / POINTS)


def source_density(
    device: Mapping[str, Any], pose: NeedlePose, seen: tuple[Array, Array], grid: Grid, spacing_m: float, watt: float
) -> Array:
    """Return the density of the light's sources [W/m³].

    Raises
    ------
    InputError
        If the tip lies outside the grid.
    """
    tip = np.rint(grid.to_index(np.array(pose.tip_mm))).astype(int)
    if (tip < 0).any() or (tip >= np.array(grid.shape)).any():
        raise InputError(
            f"The tip of the fibre lies at {tuple(round(v, 1) for v in pose.tip_mm)} mm, outside the computed box.",
            "Light that starts outside the box cannot be followed.",
            "Move the tip into the anatomy.",
        )
    transport = float(seen[0][tuple(tip)] + seen[1][tuple(tip)])
    places, shares = emission(device, pose, transport)
    inside = np.clip(np.asarray(grid.to_index(places), float), 0.0, np.array(grid.shape) - 1.0)
    return light.deposit(inside * spacing_m, watt * shares, grid.shape, spacing_m)
