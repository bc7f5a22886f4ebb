r"""From Hounsfield numbers and outlines to the properties of every voxel.

Inside bone a voxel is a mixture of marrow, cancellous and cortical bone by its bone volume fraction

.. math:: f = \mathrm{clip}(HU / HU_c, 0, 1), \qquad HU_c = 2000

(porosity 1 - HU/HUmax of Aubry et al. 2003, HUmax held fixed), interpolated linearly between three published rows: marrow at
f = 0, cancellous bone at the f that its density gives, cortical bone at f = 1. In a lesion tumour fills the pores.

Contrast agent adds HU to what is not mineral, e (1 - f); then :math:`f = \mathrm{clip}((HU - e) / (HU_c - e), 0, 1)`, and an
ensemble draws e.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteon.errors import InputError, MissingError
from osteon.evidence.value import Value
from osteon.space.anatomy import Anatomy, Kind, Structure
from osteon.space.shapes import Labels, ScalarField
from osteon.space.volume import Array, Grid
from osteon.tissue.properties import Constants, DrawFunction

LABELS = (
    "air", "muscle", "fat", "skin", "nerve", "cord", "vessel", "bowel", "cartilage", "organ", "lung",
    "bone", "lesion", "titanium", "cement", "liver", "not_imaged",
)  # fmt: skip
CODE = {name: code for code, name in enumerate(LABELS)}
# Later ones overwrite earlier ones.
LABEL_OF_KIND: tuple[tuple[Kind, str], ...] = (
    ("fat", "fat"), ("muscle", "muscle"), ("organ", "organ"), ("lung", "lung"), ("bowel", "bowel"), ("disc", "cartilage"),
    ("joint", "cartilage"), ("bone", "bone"), ("lesion", "lesion"), ("vessel", "vessel"), ("nerve", "nerve"), ("cord", "cord"),
    ("skin", "skin"), ("implant", "titanium"),
)  # fmt: skip
# The row of the tables that each label takes; bone and lesion are mixed voxel by voxel.
ROW = {"bowel": "muscle", "organ": "muscle", "vessel": "blood", "not_imaged": "muscle"}
FIELDS = ("conductivity", "heat_capacity", "perfusion", "vaporisation_heat", "permittivity", "conductivity_s_m")
BANDS = {480.0e3: "480kHz", 915.0e6: "915MHz", 2450.0e6: "2450MHz"}
# Which marrow an adult bone holds, by the beginning of its id: (row of properties, row of blood flow).
MARROW = (
    ("vertebra", "red_marrow", "red_marrow_lumbar"),
    ("hip", "red_marrow", "red_marrow_upper_pelvis"),
    ("sacrum", "red_marrow", "red_marrow_upper_pelvis"),
    ("rib", "red_marrow", "red_marrow"),
    ("sternum", "red_marrow", "red_marrow"),
    ("skull", "red_marrow", "red_marrow"),
    ("scapula", "red_marrow", "red_marrow"),
    ("clavicle", "red_marrow", "red_marrow"),
    ("", "yellow_marrow", "yellow_marrow"),
)


@dataclass(frozen=True, eq=False)
class TissueMap:
    """Properties of every voxel at 37 °C, float32, on ``grid``.

    Parameters
    ----------
    conductivity : array, shape (z, y, x)
        Thermal conductivity [W/m/K].
    heat_capacity : array
        Volumetric heat capacity [J/m³/K].
    perfusion : array
        w rho_b c_b [W/m³/K].
    vaporisation_heat : array
        Latent heat of the water in a voxel [J/m³].
    permittivity, conductivity_s_m : array
        Relative permittivity [1] and conductivity [S/m] at ``frequency_hz``.
    labels : array of uint8
        Index into ``LABELS``.
    used : mapping of str to Value
        Every constant that was used.
    assumptions : tuple of str
        What had to be assumed, in words.
    clamped_voxels, metal_voxels, not_imaged_voxels : int
        Bone denser than the law reaches; voxels taken for metal; voxels without image.
    """

    grid: Grid
    frequency_hz: float
    conductivity: ScalarField
    heat_capacity: ScalarField
    perfusion: ScalarField
    vaporisation_heat: ScalarField
    permittivity: ScalarField
    conductivity_s_m: ScalarField
    labels: Labels
    used: Mapping[str, Value]
    assumptions: tuple[str, ...]
    clamped_voxels: int = 0
    metal_voxels: int = 0
    not_imaged_voxels: int = 0

    def is_label(self, *names: str) -> Array:
        """Return where the labels are among ``names``."""
        return np.isin(self.labels, [CODE[n] for n in names])


def properties_map(anatomy: Anatomy, frequency_hz: float, draw: DrawFunction | None = None) -> TissueMap:
    """Return the properties of every voxel from Hounsfield numbers and outlines.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT; with contrast agent (``anatomy.contrast``) what it adds to the HU is taken off, as far as it can be known.
    frequency_hz : float
        480e3, 915e6 or 2450e6, for the dielectric properties.
    draw : callable, optional
        From a name and a ``Value`` to the number of this run; None: the middle of every spread.

    Returns
    -------
    TissueMap
        On the grid of ``anatomy``.

    Raises
    ------
    MissingError
        If there is no CT.
    InputError
        If no table holds that frequency.
    """
    if anatomy.image is None:
        raise MissingError(
            "This anatomy has no CT image.",
            "How much bone, marrow or tumour a voxel holds is read from its Hounsfield number.",
            "Give a CT of the lesion in case.yaml.",
        )
    band = band_of(frequency_hz)
    constants = Constants(draw)
    hu = anatomy.image.array.astype(np.float32)
    notes: list[str] = []
    hu = without_streaks(anatomy, hu, constants, notes)
    labels = label_voxels(anatomy, hu, constants, notes)
    present = {
        LABELS[code] for code in np.unique(labels)
    }  # what is not here is not looked up, so that `cite` names only what was used
    absent = (0.0,) * len(FIELDS)
    rows = [row_fields(name, band, constants, anatomy.grid) if name in present else absent for name in LABELS]
    table = np.array(rows, np.float32)
    fields = {name: table[:, column][labels] for column, name in enumerate(FIELDS)}
    clamped = _mix_bones(anatomy, hu, labels, fields, band, constants, notes)
    metal = int((labels == CODE["titanium"]).sum())
    missing = int((labels == CODE["not_imaged"]).sum())
    if metal:
        notes.append(f"{metal} voxels of metal take titanium's heat conduction; what metal does to microwaves is not modelled.")
    if missing:
        notes.append(f"{missing} voxels have no image and are computed as muscle; what lies there is unknown.")
    return TissueMap(
        grid=anatomy.grid, frequency_hz=frequency_hz, labels=labels, used=dict(constants.used), assumptions=tuple(notes),
        clamped_voxels=clamped, metal_voxels=metal, not_imaged_voxels=missing, **fields,
    )  # fmt: skip


def band_of(frequency_hz: float) -> str:
    """Return the column of the dielectric tables for a frequency.

    Raises
    ------
    InputError
        If no table holds it within 3 %.
    """
    for known, name in BANDS.items():
        if abs(frequency_hz - known) <= 0.03 * known:
            return name
    raise InputError(
        f"There are no dielectric properties at {frequency_hz / 1e6:.0f} MHz.",
        "Permittivity and conductivity change by tens of percent between bands.",
        "Use a device at 0.48, 915 or 2450 MHz, or add a column to tissue/data/gabriel-1996.yaml.",
    )


def label_voxels(anatomy: Anatomy, hu: Array, constants: Constants, notes: list[str]) -> Array:
    """Return the label of every voxel: outlines first, Hounsfield numbers where nothing is outlined."""
    air, fat_high = (constants("hounsfield", k) for k in ("air", "fat_high"))
    body = body_mask(anatomy, hu, air)
    labels = np.where(hu < fat_high, CODE["fat"], CODE["muscle"]).astype(np.uint8)
    labels[hu > constants("hounsfield", "unlabelled_bone") + added_hu(anatomy, constants)] = CODE["bone"]
    labels[hu < air] = CODE["air"]
    _notes_of_labels(notes, fat_high, air, anatomy.contrast, added_hu(anatomy, constants))
    for kind, label in LABEL_OF_KIND:
        for key in anatomy.of_kind(kind):
            mask = anatomy.masks[key].array
            if kind in ("organ", "bowel", "skin", "fat", "muscle"):
                mask = mask & (labels != CODE["air"])  # gas stays gas
            if kind == "vessel" and not _is_large(mask, anatomy.grid, constants):
                notes.append(f"The {key.name} is narrower than 3 mm and is computed as muscle, without cooling by its flow.")
                labels[mask] = CODE["muscle"]
                continue
            labels[mask] = CODE[key.id if key.id in ("cement", "liver") else label]
    outside = ~body
    for key in anatomy.of_kind("table"):
        outside |= anatomy.masks[key].array
    labels[outside] = CODE["air"]
    labels[(hu >= constants("hounsfield", "metal")) & body] = CODE["titanium"]
    labels[~anatomy.imaged.array] = CODE["not_imaged"]
    return labels


def without_streaks(anatomy: Anatomy, hu: Array, constants: Constants, notes: list[str]) -> Array:
    """Return HU in which what metal spoils has the value of its class: cancellous bone in outlines of bone, else soft tissue."""
    if anatomy.unreliable is None:
        return hu
    spoilt = anatomy.unreliable.array & anatomy.imaged.array
    if not spoilt.any():
        return hu
    added, cortical = added_hu(anatomy, constants), constants("hounsfield", "cortical")
    soft = constants("hounsfield", "tumour") + added
    cancellous = added + constants("hounsfield", "cancellous_fraction") * (cortical - added)
    bone = anatomy.union(anatomy.of_kind("bone")) & ~anatomy.union(anatomy.of_kind("lesion"))
    notes.append(
        f"{int(spoilt.sum())} voxels whose HU metal spoils are computed as cancellous bone in outlines of bone, as tumour in the "
        "lesion, as metal in the implant, and else as muscle or what is outlined there."
    )
    return np.where(spoilt, np.where(bone, cancellous, soft), hu).astype(np.float32)


def body_mask(anatomy: Anatomy, hu: Array, air_hu: float) -> Array:
    """Return the body: its outline, else the largest piece above ``air_hu`` with its holes filled slice by slice."""
    outlined = next((anatomy.masks[s].array for s in anatomy.of_kind("body")), None)
    if outlined is not None:
        return outlined
    solid = (hu > air_hu) | ~anatomy.imaged.array
    pieces, count = ndimage.label(solid)
    if count > 1:
        solid = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return np.stack([ndimage.binary_fill_holes(plane) for plane in solid])


def _is_large(mask: Array, grid: Grid, constants: Constants) -> bool:
    import edt

    where = ndimage.find_objects(mask.astype(np.uint8))[0]
    inscribed = edt.edt(np.ascontiguousarray(np.pad(mask[where], 1)), anisotropy=grid.spacing_mm)
    return bool(2.0 * float(inscribed.max()) >= constants("vessel", "least_diameter"))


def added_hu(anatomy: Anatomy, constants: Constants) -> float:
    """Return what contrast agent adds to soft tissue, marrow and tumour in this run; 0 where none is stated."""
    return constants("hounsfield", "contrast_adds") if anatomy.contrast else 0.0


def _notes_of_labels(notes: list[str], fat_high: float, air: float, contrast: bool | None, added: float) -> None:
    if contrast:
        law = (
            f"CT with contrast agent: {added:.0f} HU are taken off soft tissue, marrow and tumour before HU/2000 gives the bone "
            "volume fraction; an ensemble draws how many. An artery that is not outlined may still be computed as bone."
        )
    else:
        law = "Bone volume fraction is HU/2000 between 0 and 1; contrast medium would be read as bone."
    notes += [
        f"Soft tissue that is not outlined is fat up to {fat_high:.0f} HU, else muscle; below {air:.0f} HU it is gas.",
        "Air and gas are held at 37 °C behind a film of 10 W/m²K (5 to 15), so skin is judged on the warm side.",
        "Vessels of 3 mm and more are held at 37 °C by their flow; smaller ones are part of the perfusion.",
        "Bowel and organs other than liver take the properties of muscle. Cerebrospinal fluid does not flow (warm side).",
        "Vertebrae, pelvis, ribs, sternum, skull, scapula and clavicle hold red marrow, long bones yellow marrow.",
        law,
    ]


def row_fields(label: str, band: str, constants: Constants, grid: Grid) -> tuple[float, ...]:
    """Return ``FIELDS`` of a label that is one tissue (bone and lesion are overwritten later)."""
    if label == "air":
        step_m = float(np.mean(grid.spacing_mm)) * 1e-3
        capacity = constants("air", "heat_capacity_volume")
        return constants("air", "film") * step_m / 2.0, capacity, capacity / constants("air", "hold_time"), 0.0, 1.0, 0.0
    row = {"bone": "cortical_bone", "lesion": "lytic_tumour"}.get(label, ROW.get(label, label))
    density, capacity = constants(row, "density"), constants(row, "heat_capacity")
    heat = density * capacity
    if label in ("titanium", "cement"):
        perfusion, water = 0.0, 0.0
    elif label == "vessel":
        perfusion, water = heat / constants("vessel", "hold_time"), constants("water", "soft")
    else:
        perfusion = perfusion_w_m3k(constants, row, density)
        water = constants("water", row if row in ("fat", "cortical_bone", "liver") else "soft")
    dielectric = (1.0, 0.0) if label == "titanium" else _dielectric(constants, row, band)
    return (
        constants(row, "thermal_conductivity"),
        heat,
        perfusion,
        density * water * constants("vaporisation", "latent_heat"),
        *dielectric,
    )


def _dielectric(constants: Constants, row: str, band: str) -> tuple[float, float]:
    if band == "480kHz":  # quasi-static: the permittivity plays no part
        return 1.0, constants(row, "conductivity_480kHz")
    return constants(row, f"permittivity_{band}"), constants(row, f"conductivity_{band}")


def perfusion_w_m3k(constants: Constants, row: str, density: float) -> float:
    """Return w rho_b c_b [W/m³/K] from a flow in ml/min per kg of tissue of ``density`` [kg/m³]."""
    per_second = constants(row, "perfusion") * density * 1e-6 / 60.0
    return per_second * constants("blood", "density") * constants("blood", "heat_capacity")


def mixture(constants: Constants, pores: str, flow: str, band: str) -> tuple[Array, Array]:
    """Return bone volume fractions and ``FIELDS`` at the anchors of the mixing law.

    Parameters
    ----------
    constants : Constants
        The numbers of this run.
    pores : str
        What fills the pores: ``red_marrow``, ``yellow_marrow`` or ``lytic_tumour``.
    flow : str
        The row whose perfusion the pores have.
    band : str
        ``915MHz`` or ``2450MHz``.

    Returns
    -------
    fractions : array, shape (n,)
        Rising from 0 to 1.
    values : array, shape (n, 6)
        In the order of ``FIELDS``. Perfusion goes straight from pores to cortex: IT'IS gives cancellous bone the flow of yellow
        marrow, while red marrow was measured in the bones themselves.
    """
    latent = constants("vaporisation", "latent_heat")
    rows = [pores, "cortical_bone"] if pores == "lytic_tumour" else [pores, "cancellous_bone", "cortical_bone"]
    fractions = np.array([0.0, 1.0] if len(rows) == 2 else [0.0, constants("hounsfield", "cancellous_fraction"), 1.0])
    values = np.zeros((len(rows), len(FIELDS)))
    for i, row in enumerate(rows):
        density = constants(row, "density")
        water = constants("water", "soft" if row == "lytic_tumour" else row)
        values[i, :2] = constants(row, "thermal_conductivity"), density * constants(row, "heat_capacity")
        values[i, 3:] = density * water * latent, *_dielectric(constants, row, band)
    ends = (
        perfusion_w_m3k(constants, flow, constants(pores, "density")),
        perfusion_w_m3k(constants, "cortical_bone", constants("cortical_bone", "density")),
    )
    values[:, 2] = np.interp(fractions, [0.0, 1.0], ends)
    return fractions, values


def _mix_bones(
    anatomy: Anatomy, hu: Array, labels: Array, fields: dict[str, Array], band: str, constants: Constants, notes: list[str]
) -> int:
    """Fill bone and lesion voxels by the mixing law; return how many bone voxels lay above its end."""
    is_bone, is_lesion = labels == CODE["bone"], labels == CODE["lesion"]
    cortical, added = constants("hounsfield", "cortical"), added_hu(anatomy, constants)
    tumour_hu = constants("hounsfield", "tumour") + added
    left = is_bone.copy()
    jobs: list[tuple[Array, str, str, float]] = [(is_lesion, "lytic_tumour", "lytic_tumour", tumour_hu)]
    for key in anatomy.of_kind("bone"):
        where = left & anatomy.masks[key].array
        left &= ~where
        jobs.append((where, *marrow_of(key), added))
    jobs.append((left, "yellow_marrow", "yellow_marrow", added))
    if left.any():
        notes.append(f"{int(left.sum())} dense voxels that no outline holds are computed as bone with yellow marrow.")
    for where, pores, flow, start in jobs:
        if not where.any():
            continue
        fractions, values = mixture(constants, pores, flow, band)
        at = np.clip((hu[where] - start) / (cortical - start), 0.0, 1.0)
        for column, name in enumerate(FIELDS):
            fields[name][where] = np.interp(at, fractions, values[:, column]).astype(np.float32)
    clamped = int(((hu > cortical) & (is_bone | is_lesion)).sum())
    if clamped:
        notes.append(f"{clamped} bone voxels above {cortical:.0f} HU are computed as pure cortical bone.")
    return clamped


def marrow_of(bone: Structure) -> tuple[str, str]:
    """Return the rows of properties and of blood flow of a bone's marrow."""
    return next((pores, flow) for start, pores, flow in MARROW if bone.id.startswith(start))
