r"""From Hounsfield numbers and outlines to what sound meets in every voxel.

The labels are those of ``tissue.bone``, so that heat and sound agree on what a voxel is. Bone is the mixture by the bone volume
fraction f of that module, between marrow (tumour in a lesion), cancellous and cortical rows; from the fraction of cancellous bone
on it carries shear, below it is a fluid to sound. A model of ``acoustics_ct`` named instead takes over density, speed and
attenuation of solid bone; absorption stays with the rows, for no mapping gives it and the absorbed share of one source must not
meet the attenuation of another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from osteon.errors import ImageError, MissingError
from osteon.evidence.value import Value
from osteon.space.anatomy import Anatomy
from osteon.space.shapes import Labels, ScalarField
from osteon.space.volume import Array, Grid
from osteon.tissue.acoustics_ct import MIXTURE, CtMapping, Mapped, Quantity, ct_model, map_bone
from osteon.tissue.acoustics_rows import NUMBERS, AcousticRow, acoustic_row, check_frequency, most_shear_share
from osteon.tissue.bone import CODE, LABELS, ROW, added_hu, label_voxels, marrow_of, without_streaks
from osteon.tissue.properties import Constants, DrawFunction

FIELD_OF: Mapping[Quantity, str] = {
    "density": "density", "speed": "speed_l", "shear_speed": "speed_s", "attenuation": "attenuation_l",
}  # fmt: skip
MIXED = ("bone", "lesion")
SOLID_ROWS = ("cancellous_bone", "cortical_bone")  # between them shear is interpolated, in a lesion too


@dataclass(frozen=True, eq=False)
class AcousticMap:
    """What sound of one frequency meets in every voxel, float32, on ``grid``.

    Parameters
    ----------
    grid : Grid
        Of the anatomy.
    frequency_hz : float
        At which the coefficients hold.
    model : str
        ``mixture`` or the name of a model of ``acoustics_ct``.
    density : array, shape (z, y, x)
        [kg/m3].
    speed_l, speed_s : array
        Longitudinal and shear speed [m/s]; shear 0 in what is a fluid to sound.
    attenuation_l_np_m, attenuation_s_np_m : array
        Amplitude coefficients [Np/m].
    absorption_share, absorption_share_s : array
        What of the longitudinal and of the shear attenuation heats, 0 to 1; of the latter 0 where there is no shear.
    label : array of uint8
        Index into ``tissue.bone.LABELS``.
    used : mapping of str to Value
        Every constant that was used.
    mappings : mapping of str to CtMapping
        The mappings of the model, by quantity.
    counted : mapping of str to int
        Voxels that something was assumed or held for, by what; see ``notes``.
    notes : tuple of str
        What had to be assumed, in words.
    """

    grid: Grid
    frequency_hz: float
    model: str
    density: ScalarField
    speed_l: ScalarField
    speed_s: ScalarField
    attenuation_l_np_m: ScalarField
    attenuation_s_np_m: ScalarField
    absorption_share: ScalarField
    absorption_share_s: ScalarField
    label: Labels
    used: Mapping[str, Value]
    mappings: Mapping[Quantity, CtMapping]
    counted: Mapping[str, int]
    notes: tuple[str, ...]

    def is_label(self, *names: str) -> Array:
        """Return where the labels are among ``names``."""
        return np.isin(self.label, [CODE[n] for n in names])

    @property
    def unknown(self) -> Array:
        """Where nothing was imaged: computed as muscle, but a beam that crosses it cannot be called free."""
        return self.is_label("not_imaged")

    @property
    def blocks(self) -> Array:
        """Where gas or lung stops sound."""
        return self.is_label("air", "lung")

    @property
    def solid(self) -> Array:
        """Where shear runs."""
        return np.asarray(self.speed_s > 0)


def acoustic_map(anatomy: Anatomy, frequency_hz: float, draw: DrawFunction | None = None, model: str = MIXTURE) -> AcousticMap:
    """Return what sound meets in every voxel, from Hounsfield numbers and outlines.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT; contrast agent is taken off as for heat.
    frequency_hz : float
        Of the sound [Hz].
    draw : callable, optional
        From a name and a ``Value`` to the number of this run; None: the middle of every spread.
    model : str
        ``mixture`` or one of ``acoustics_ct.ct_models``, for solid bone.

    Returns
    -------
    AcousticMap
        On the grid of ``anatomy``.

    Raises
    ------
    MissingError
        If there is no CT.
    ImageError
        If the CT has voxels without a number where it says that it was imaged.
    InputError
        If the frequency is none that the laws hold for, or there is no such model.
    """
    check_frequency(frequency_hz)
    mappings = ct_model(model)
    hu = _hounsfield(anatomy)
    constants = Constants(draw)
    notes: list[str] = []
    hu = without_streaks(anatomy, hu, constants, notes)
    labels = label_voxels(anatomy, hu, constants, [])  # its notes speak of heat
    present = {LABELS[code] for code in np.unique(labels)}
    held: list[str] = []
    table = np.zeros((len(LABELS), len(NUMBERS)), np.float32)
    for code, name in enumerate(LABELS):
        if name in present and name not in MIXED:
            table[code] = _numbers(acoustic_row(ROW.get(name, name)), frequency_hz, constants, held)
    fields = {name: table[:, column][labels] for column, name in enumerate(NUMBERS)}
    counted = _mix_bones(anatomy, hu, labels, fields, frequency_hz, mappings, constants, held)
    counted |= _hold(fields)
    counted |= {"metal": int((labels == CODE["titanium"]).sum()), "not_imaged": int((labels == CODE["not_imaged"]).sum())}
    notes += _notes(anatomy, present, model, mappings, counted, held)
    return AcousticMap(
        grid=anatomy.grid, frequency_hz=frequency_hz, model=model, density=fields["density"], speed_l=fields["speed_l"],
        speed_s=fields["speed_s"], attenuation_l_np_m=fields["attenuation_l"], attenuation_s_np_m=fields["attenuation_s"],
        absorption_share=_share(fields["absorption_l"], fields["attenuation_l"]),
        absorption_share_s=_share(fields["absorption_s"], fields["attenuation_s"]),
        label=labels, used=dict(constants.used), mappings=mappings, counted=counted, notes=tuple(notes),
    )  # fmt: skip


def bone_mixture(pores: str, frequency_hz: float, constants: Constants, held: list[str] | None = None) -> tuple[Array, Array]:
    """Return bone volume fractions and ``NUMBERS`` at the anchors of the mixing law, as ``tissue.bone.mixture`` does for heat.

    Parameters
    ----------
    pores : str
        What fills the pores: ``red_marrow``, ``yellow_marrow`` or ``lytic_tumour``.
    frequency_hz : float
        Of the sound.
    constants : Constants
        The numbers of this run.
    held : list of str, optional
        Takes the names of rows whose absorption was cut at their attenuation.

    Returns
    -------
    fractions : array, shape (n,)
        Rising from 0 to 1.
    values : array, shape (n, 7)
        In the order of ``NUMBERS``; what belongs to shear is 0 at fraction 0.
    """
    rows = [pores, "cortical_bone"] if pores == "lytic_tumour" else [pores, "cancellous_bone", "cortical_bone"]
    fractions = np.array([0.0, 1.0] if len(rows) == 2 else [0.0, constants("hounsfield", "cancellous_fraction"), 1.0])
    names = held if held is not None else []
    return fractions, np.array([_numbers(acoustic_row(row), frequency_hz, constants, names) for row in rows])


def _hounsfield(anatomy: Anatomy) -> Array:
    if anatomy.image is None:
        raise MissingError(
            "This anatomy has no CT image.",
            "How much bone, marrow or tumour a voxel holds, and so its speed of sound, is read from its Hounsfield number.",
            "Give a CT of the lesion in case.yaml.",
        )
    hu = anatomy.image.array.astype(np.float32)
    bad = ~np.isfinite(hu)
    lost = int((bad & anatomy.imaged.array).sum())
    if lost:
        raise ImageError(
            f"{lost} voxels of the CT have no finite Hounsfield number.",
            "Sound through them cannot be computed, and one such voxel spoils the whole field.",
            "Export the CT again, or mark these voxels as not imaged.",
        )
    return np.where(bad, np.float32(-1000.0), hu)


def _numbers(row: AcousticRow, frequency_hz: float, constants: Constants, held: list[str]) -> tuple[float, ...]:
    found = row.at(frequency_hz, constants)
    if found.held and row.name not in held:
        held.append(row.name)
    return found.values


def _bones(anatomy: Anatomy, labels: Array) -> Iterator[tuple[Array, str]]:
    """Yield the voxels of lesion, of each outlined bone and of dense tissue without outline, with what fills their pores."""
    yield labels == CODE["lesion"], "lytic_tumour"
    left = labels == CODE["bone"]
    for key in anatomy.of_kind("bone"):
        where = left & anatomy.masks[key].array
        left &= ~where
        yield where, marrow_of(key)[0]
    yield left, "yellow_marrow"


def _mix_bones(
    anatomy: Anatomy, hu: Array, labels: Array, fields: dict[str, Array], frequency_hz: float,
    mappings: Mapping[Quantity, CtMapping], constants: Constants, held: list[str],
) -> dict[str, int]:  # fmt: skip
    """Fill bone and lesion voxels; return what was counted on the way."""
    counted = {"fluid_bone": 0, "clamped": 0, "unlabelled_bone": 0}
    counted |= {f"{quantity}_{side}": 0 for quantity in mappings for side in ("below", "above")}
    if not np.isin(labels, [CODE[name] for name in MIXED]).any():
        return counted
    cortical, added = constants("hounsfield", "cortical"), added_hu(anatomy, constants)
    cancellous = constants("hounsfield", "cancellous_fraction")
    tumour_hu = constants("hounsfield", "tumour") + added
    for where, pores in _bones(anatomy, labels):
        if not where.any():
            continue
        start = tumour_hu if pores == "lytic_tumour" else added
        fractions, values = bone_mixture(pores, frequency_hz, constants, held)
        at = np.clip((hu[where] - start) / (cortical - start), 0.0, 1.0)
        solid = at >= cancellous
        ends = (
            bone_mixture("red_marrow", frequency_hz, constants)[1][1:] if solid.any() and pores == "lytic_tumour" else values[-2:]
        )
        mixed = {name: np.interp(at, fractions, values[:, column]) for column, name in enumerate(NUMBERS)}
        for column, name in enumerate(NUMBERS):
            if name.endswith("_s"):
                mixed[name] = np.where(solid, np.interp(at, [cancellous, 1.0], [end[column] for end in ends]), 0.0)
        if mappings and solid.any():
            plain = cortical * (hu[where][solid] - added) / (cortical - added)  # HU without contrast agent
            _overwrite(mixed, solid, map_bone(mappings, plain, cortical, frequency_hz, constants), counted)
        for name in NUMBERS:
            fields[name][where] = mixed[name].astype(np.float32)
        counted["fluid_bone"] += int((~solid).sum())
        counted["clamped"] += int((hu[where] > cortical).sum())
    outlined = anatomy.union(anatomy.of_kind("bone"))
    counted["unlabelled_bone"] = int(((labels == CODE["bone"]) & ~outlined).sum())
    return counted


def _overwrite(mixed: dict[str, Array], solid: Array, found: Mapping[Quantity, Mapped], counted: dict[str, int]) -> None:
    for quantity, mapped in found.items():
        mixed[FIELD_OF[quantity]][solid] = mapped.values
        counted[f"{quantity}_below"] += mapped.below
        counted[f"{quantity}_above"] += mapped.above


def _hold(fields: dict[str, Array]) -> dict[str, int]:
    """Hold absorption at attenuation and shear below what a solid allows, in place; return how often each was needed."""
    most = np.float32(most_shear_share()) * fields["speed_l"]
    fast = fields["speed_s"] > most * np.float32(1 + 1e-6)
    fields["speed_s"] = np.minimum(fields["speed_s"], most)
    over = 0
    for wave in "ls":
        lost, heats = fields[f"attenuation_{wave}"], fields[f"absorption_{wave}"]
        over += int((heats > lost * np.float32(1 + 1e-6)).sum())
        fields[f"absorption_{wave}"] = np.minimum(heats, lost)
    return {"held_shear_speed": int(fast.sum()), "held_absorption": over}


def _share(absorbed: Array, lost: Array) -> Array:
    out = np.zeros_like(lost)
    np.divide(absorbed, lost, out=out, where=lost > 0)
    return np.clip(out, 0.0, 1.0)


def _notes(
    anatomy: Anatomy, present: set[str], model: str, mappings: Mapping[Quantity, CtMapping], counted: Mapping[str, int],
    held: list[str],
) -> list[str]:  # fmt: skip
    as_muscle = ", ".join(s.name for s in anatomy.of_kind("organ", "bowel") if s.id != "liver")
    bones = bool(present & set(MIXED))
    n = counted
    said = [
        (as_muscle, f"No acoustic row for {as_muscle}: computed as muscle; gas that the CT does not show is not known."),
        (present & {"air", "lung"}, "Gas and lung stop sound; what lies behind them is not heated."),
        (anatomy.contrast, "CT with contrast agent: what it adds is taken off before bone is read, as for heat."),
        (bones, f"{n['fluid_bone']} voxels of bone or lesion hold less than cancellous bone: a fluid to sound, without shear."),
        (bones, "Bone carries sound equally in all directions; cortex along its axis is faster by a quarter."),
        (bones and not mappings, "Speed and loss of bone are a mixture of tissue rows by HU/2000; the rows are mostly of skull."),
        (bones and mappings, _model_note(model, mappings, counted)),
        (n["clamped"], f"{n['clamped']} bone voxels above HUmax are pure cortical bone where the mixture rules."),
        (n["unlabelled_bone"], f"{n['unlabelled_bone']} dense voxels without outline are computed as bone with yellow marrow."),
        (held, f"Drawn absorption lay above attenuation in {', '.join(held)} and is held at it."),
        (
            n["held_absorption"],
            f"In {n['held_absorption']} voxels a mapping attenuates less than bone absorbs: absorption is held at it, too low.",
        ),
        (n["held_shear_speed"], f"In {n['held_shear_speed']} voxels shear was too fast for a solid so slow; it is held."),
        (n["metal"], f"{n['metal']} voxels of metal take titanium's speeds; its shape is what the CT shows of it."),
        (
            n["not_imaged"],
            f"{n['not_imaged']} voxels have no image and are computed as muscle. Cannot tell if sound passes: image them.",
        ),
    ]
    return [line for true, line in said if true]


def _model_note(model: str, mappings: Mapping[Quantity, CtMapping], counted: Mapping[str, int]) -> str:
    lines = [
        f"Solid bone takes {', '.join(f'{q} of {m.name}' for q, m in mappings.items())} (model {model}). {_fitted(mappings)}"
    ]
    for quantity, mapping in mappings.items():
        below, above = counted[f"{quantity}_below"], counted[f"{quantity}_above"]
        if below or above:
            own = "" if mapping.range_verified else ", a range of this project's own reading"
            lines.append(
                f"Range of {mapping.name} for {quantity}{own}: {below} voxels below and {above} above are held at its ends."
            )
    return " ".join(lines)


def _fitted(mappings: Mapping[Quantity, CtMapping]) -> str:
    return next((m.note for m in mappings.values() if m.fitted_on == "skull"), "Fitted on samples of the whole body.")
