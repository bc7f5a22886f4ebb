"""One sonication: an array on a patient, sound marched through the voxels, heat on the patient's grid, and how far to trust it.

From array to skin there is the coupling fluid (water or gel): air of the image in front of the first tissue of a column is taken
as that. Behind it gas stays gas: it turns sound back. What lies beyond the image goes on as its last voxels do, and is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from osteon.errors import InputError
from osteon.evidence.value import Value
from osteon.physics import acoustic_entry, acoustic_phases, acoustic_trust
from osteon.physics.acoustic_layers import Medium
from osteon.physics.acoustic_planner import COARSEST, MOST_SWEEPS, Marched, march
from osteon.physics.acoustic_sources import plane_power_w
from osteon.physics.acoustic_trust import Trust
from osteon.space.volume import Array, Volume
from osteon.tissue.acoustics import AcousticMap
from osteon.tissue.acoustics_media import AcousticMedia, acoustic_media
from osteon.tissue.acoustics_rows import acoustic_row
from osteon.tissue.properties import Constants
from osteon.treatments.focused_ultrasound import way_in
from osteon.treatments.focused_ultrasound.beam import ArrayPose, BeamGrid, Triple, beam_grid, on_patient, vote
from osteon.treatments.focused_ultrasound.transducer import Transducer, devices
from osteon.treatments.focused_ultrasound.way_in import GAS

Phases = Literal["time of flight", "time reversal"]
COUPLING = "liquid_water"
FLUID, SOLID, VOID = 0, 1, 2
RIM = 0.1
POINTS = 3.0  # cells in the shortest wavelength unless asked otherwise
MARGIN_WAVES = 4.0  # beside the cone of the beam


@dataclass(frozen=True, eq=False)
class Emission:
    """What an array sends out in one sonication, and at what.

    Parameters
    ----------
    device : Transducer
        The array.
    pose : ArrayPose
        Where it stands.
    focus_mm : tuple of float
        Where its elements arrive together, LPS.
    acoustic_power_w : float
        Of all elements that are on.
    on : ndarray of bool, shape (elements,)
        Which radiate.
    """

    device: Transducer
    pose: ArrayPose
    focus_mm: Triple
    acoustic_power_w: float
    on: Array


@dataclass(frozen=True, eq=False)
class Sonication:
    """What one sonication does while it is on, at steady state.

    Parameters
    ----------
    emission : Emission
        What was sent out.
    frequency_hz : float
        Of the sound.
    beam : BeamGrid
        Its cells.
    amplitude_pa : Volume
        Pressure amplitude on the planes of the beam's grid, float32.
    heat_w_m3 : Volume
        Power turned into heat on the patient's grid: absorption alone, the power of the cells conserved.
    beam_heat_w_m3 : Volume
        The same on the cells of the beam.
    labels : Volume of uint8
        Medium of each cell of the beam, an index into ``names`` and ``media``.
    media : tuple of Medium
        What they are to sound.
    marched : Marched
        The planner's own result.
    entry_w, absorbed_w, outside_w : float
        Power through the entry plane; power that heats; the part of the latter that lies outside the image.
    remapped : float
        Factor that made the power on the patient's grid exact.
    peak_pa, peak_mm
        Largest amplitude in what is not coupling, and where (LPS).
    trust : Trust
        How far to believe the planner here.
    notes : tuple of str
        What was assumed, a sentence each.
    used : mapping of str to Value
        Constants that were used.
    absorption_np_m : tuple of (float, float)
        Of each medium, of both waves: what heats.
    """

    emission: Emission
    frequency_hz: float
    beam: BeamGrid
    amplitude_pa: Volume
    heat_w_m3: Volume
    beam_heat_w_m3: Volume
    labels: Volume
    names: tuple[str, ...]
    media: tuple[Medium, ...]
    marched: Marched
    entry_w: float
    absorbed_w: float
    outside_w: float
    remapped: float
    peak_pa: float
    peak_mm: Triple
    trust: Trust
    notes: tuple[str, ...] = ()
    used: Mapping[str, Value] = field(default_factory=dict)
    absorption_np_m: tuple[tuple[float, float], ...] = ()

    @property
    def solid(self) -> Volume:
        """Which cells of the beam are solid bone."""
        return self.labels.with_array(np.array([m.solid for m in self.media])[self.labels.array])

    @property
    def caught_share(self) -> float:
        """Power through the entry plane over what the elements radiate; the rest passes beside the grid."""
        return self.entry_w / self.emission.acoustic_power_w


@dataclass(frozen=True, eq=False)
class _Scene:
    """Media by number, what of them is which, and the coupling's number."""

    media: tuple[Medium, ...]
    names: tuple[str, ...]
    shares: Array  # (media, 2): absorbed share of longitudinal and shear loss
    kinds: Array
    coupling: int

    @property
    def absorbed(self) -> list[tuple[float, float]]:
        """What of each medium's two attenuations heats [Np/m]: the absorbed share; nothing in gas."""
        lost = np.array([(m.attenuation_np_m, m.shear_attenuation_np_m) for m in self.media])
        heats = np.where((self.kinds == VOID)[:, None], 0.0, lost * np.clip(self.shares, 0.0, 1.0))
        return [(float(a), float(b)) for a, b in heats]


def sonicate(
    sound: AcousticMap, device: Transducer, pose: ArrayPose, focus_mm: Triple, acoustic_power_w: float, *,
    on: Array | None = None, phases: Phases = "time of flight", media: AcousticMedia | None = None, bone_steps: int = 4,
    points_per_wavelength: float = POINTS, spacing_mm: float | None = None, beyond_mm: float = 30.0,
    most_sweeps: int = MOST_SWEEPS, constants: Constants | None = None,
) -> Sonication:  # fmt: skip
    r"""Return the steady sound and heat of one array at one focus.

    Elements move with the velocity that radiates the power, :math:`v = \sqrt{2P/(\rho c A)}`; the power that then crosses the
    entry plane is integrated, :math:`P = \sum |\hat p|^2 \mathrm{Re} k_z / 2\omega\rho`, and told beside it.

    Parameters
    ----------
    sound : AcousticMap
        The patient, at the device's frequency.
    device : Transducer
        The array.
    pose : ArrayPose
        Where it stands.
    focus_mm : tuple of float
        Where its elements arrive together, LPS; may lie off the axis (steering).
    acoustic_power_w : float
        Of all elements that are on.
    on : ndarray of bool, optional
        Elements that may radiate; those whose way crosses gas or lung are off in any case.
    phases : {"time of flight", "time reversal"}
        By the coupling's speed alone, or through the patient (one march more).
    media : AcousticMedia, optional
        ``acoustic_media(sound)``, where it was made before.
    bone_steps : int
        Steps of bone, where it was not.
    points_per_wavelength : float
        Cells in the shortest wavelength; at least 2.2.
    spacing_mm : float, optional
        Edge of a cell instead.
    beyond_mm : float
        How far behind the focus.
    most_sweeps : int
        As for the planner.
    constants : Constants, optional
        The numbers of this run, for the coupling fluid.

    Returns
    -------
    Sonication
        Field, heat, trust and notes.

    Raises
    ------
    InputError
        If the map holds no numbers, the focus lies outside the image or beside the array's front, the array stands in the
        patient or in bone, no element sees the focus, or the grid is too coarse.
    SettingError
        If the device does not run at the map's frequency, or not at that power.
    """
    way_in.check(sound, device, focus_mm)
    numbers = constants or Constants(None)
    cut = media if media is not None else acoustic_media(sound, bone_steps)
    scene = _scene(cut, sound.frequency_hz, numbers)
    focus_m = pose.to_device(np.asarray(focus_mm, float))
    rim_m = float(device.source.points_m[:, 2].max())
    skin_m, seen, off_image = way_in.rays(sound, device, pose, focus_m, rim_m)
    live = seen if on is None else seen & np.asarray(on, bool)
    coupling = scene.media[scene.coupling]
    present = [m for m, kind in zip(scene.media, scene.kinds, strict=True) if kind != VOID]
    step_m = _spacing(present, sound.frequency_hz, points_per_wavelength, spacing_mm)
    entry_m = way_in.entry_depth(skin_m, rim_m, focus_m, step_m, coupling.speed_m_s / sound.frequency_hz)
    drive = device.drive(focus_m, acoustic_power_w, coupling.density_kg_m3, coupling.speed_m_s, live)
    margin = MARGIN_WAVES * coupling.speed_m_s / sound.frequency_hz
    end_m = float(focus_m[2]) + beyond_mm * 1e-3
    points = device.source.centres_m[live]
    beam = beam_grid(pose, points, focus_m, step_m, entry_m, end_m, RIM, margin)
    labels, known = _labels(cut, sound, scene, beam)
    if phases == "time reversal":
        target = beam.index_of(np.asarray(focus_mm))
        found = acoustic_phases.ways(
            device.source, labels, scene.media, sound.frequency_hz, step_m, np.asarray(beam.corner_m), target
        )
        drive = np.abs(drive) * acoustic_phases.reversed_drive(found, live)
    entry = acoustic_entry.entry_plane(
        device.source, drive, beam.entry, sound.frequency_hz, density_kg_m3=coupling.density_kg_m3,
        speed_m_s=coupling.speed_m_s, attenuation_np_m=coupling.attenuation_np_m,
    ).pressure_pa  # fmt: skip
    marched = march(
        entry, labels, scene.media, sound.frequency_hz, step_m, absorption_np_m=scene.absorbed, most_sweeps=most_sweeps, rim=RIM
    )
    emission = Emission(device, pose, focus_mm, acoustic_power_w, live)
    told = _told(sound, emission, focus_m, off_image, known, marched.pressure_pa)
    entry_w = plane_power_w(entry, coupling, sound.frequency_hz, step_m)
    made = _result(emission, sound, entry_w, beam, scene, labels, marched)
    return replace(made, notes=(*told, *sound.notes), used={**sound.used, **numbers.used}, absorption_np_m=tuple(scene.absorbed))


def _scene(cut: AcousticMedia, frequency_hz: float, constants: Constants) -> _Scene:
    """Return the media with the coupling as the last; gas takes a speed that the grid carries, its density stays."""
    water = acoustic_row(COUPLING).at(frequency_hz, constants)
    row = [water.density, water.speed_l, 0.0, water.attenuation_l, 0.0, water.absorption_l / water.attenuation_l, 0.0]
    table, names = np.vstack([cut.table, row]), (*cut.names, "coupling water")
    kinds = np.where(table[:, 2] > 0, SOLID, FLUID)
    kinds[[i for i, name in enumerate(names) if name in GAS]] = VOID
    slowest = table[kinds != VOID, 1].min()
    table[kinds == VOID, 1] = np.maximum(table[kinds == VOID, 1], slowest)
    media = tuple(Medium(r[0], r[1], r[3], r[2], r[4]) for r in table.tolist())
    return _Scene(media, names, table[:, 5:7], kinds, len(names) - 1)


def _spacing(present: list[Medium], frequency_hz: float, points: float, spacing_mm: float | None) -> float:
    wave_m = min(m.speed_m_s for m in present) / frequency_hz
    step = wave_m / points if spacing_mm is None else 1e-3 * spacing_mm
    if not (math.isfinite(step) and step > 0 and wave_m / step >= COARSEST * (1 - 1e-9)):
        raise InputError(
            f"Cells of {1e3 * step:g} mm were asked for where the shortest wave is {1e3 * wave_m:.2g} mm.",
            f"The planner needs {COARSEST:g} cells to a wavelength.",
            f"Ask for at least {COARSEST:g} points per wavelength, or cells of at most {1e3 * wave_m / COARSEST:.2g} mm.",
        )
    return step


def _labels(cut: AcousticMedia, sound: AcousticMap, scene: _Scene, beam: BeamGrid) -> tuple[Array, Array]:
    """Return the medium of each cell of the beam, air before the first tissue as coupling, and where the image reaches."""
    labels, known = vote(cut.index, sound.grid, scene.kinds, beam.cells)
    air = scene.names.index("air") if "air" in scene.names else -1
    before = np.logical_and.accumulate(labels == air, axis=0)
    labels[before] = scene.coupling
    return labels, known


def _result(
    emission: Emission, sound: AcousticMap, entry_w: float, beam: BeamGrid, scene: _Scene, labels: Array, marched: Marched
) -> Sonication:
    """Return fields, heat and trust; notes and constants are filled in by the caller."""
    heat = marched.heat_w_m3
    patient, outside, factor = on_patient(heat, beam, sound.grid)
    amplitude = np.abs(marched.pressure_pa)
    in_tissue = np.concatenate([labels[:1], labels]) != scene.coupling
    top = np.unravel_index(int(np.where(in_tissue, amplitude, 0).argmax()), amplitude.shape)
    place = beam.planes.to_mm(np.array(top, float))
    absorbed = float(heat.sum(dtype=np.float64)) * beam.spacing_m**3
    trust = acoustic_trust.judge(marched, labels, scene.media, sound.frequency_hz, beam.spacing_m, rim=RIM)
    return Sonication(
        emission, sound.frequency_hz, beam, Volume(amplitude, beam.planes), patient, Volume(heat, beam.cells),
        Volume(labels, beam.cells), scene.names, scene.media, marched, entry_w, absorbed, outside, factor,
        float(amplitude[top]), (float(place[0]), float(place[1]), float(place[2])), trust,
    )  # fmt: skip


def _told(
    sound: AcousticMap, emission: Emission, focus_m: Array, off_image: int, known: Array, pressure: Array
) -> tuple[str, ...]:
    """Return what this sonication assumed, in sentences."""
    size = np.abs(pressure[1:]) ** 2
    beyond = float((size * ~known).sum() / size.sum())
    steered = 1e3 * float(np.linalg.norm(focus_m - np.array([0.0, 0.0, emission.device.radius_m])))
    allowed = devices().get(emission.device.name, {}).get("steering_mm", {}).get("value", math.inf)
    off = int((~emission.on).sum())
    unknown = sound.unknown
    said = [
        (
            not emission.device.verified,
            f"The places of the elements of {emission.device.name} are not published: a spiral stands in for them.",
        ),
        (True, "Between array and skin there is water without bubbles; the skin is where the image shows it."),
        (off, f"{off} of {len(emission.on)} elements are off: asked for, or gas or lung lies between them and the focus."),
        (
            off_image,
            f"{off_image} elements look through a side at which the image ends inside the body; what lies there is not known.",
        ),
        (
            beyond > 0.01,
            f"{100 * beyond:.0f} % of the squared pressure of the beam lies beyond the image, where its last voxels go on.",
        ),
        (unknown.any(), "Voxels without image are computed as muscle. Cannot tell if sound passes: image them."),
        (steered > allowed, f"The focus is steered by {steered:.0f} mm; {allowed:g} mm is known of this device."),
        (True, "Linear, steady, at body temperature: no shock waves, no cavitation, no change of absorption with heat."),
    ]
    return tuple(line for true, line in said if true)
