r"""One sonication of a plan with every constant drawn: what sound, heat and the aim are not known to, at the planned power.

A draw takes its own numbers of sound (speed, attenuation, absorption, density), of heat (conduction, capacity, blood flow) and
of the CT, and its own miss of the focus: focus and array are moved together, because it is the patient who lies elsewhere. Then
the sonication is run once, sound and linear heat, and read at places that stay in the patient.

Draws are coarser than the plan, so that 50 of them take two minutes: the patient is cut to the beam, sound goes down once and
no echo is followed, on cells of ``POINTS`` to the shortest wave (shear too), bone and lesion are ``BONE_STEPS`` media each, and
the voxels of heat round the place are ``FINE_MM`` wide. Bands are therefore read relative to their own nominal run, which is as
coarse: ``scaled``. Against the plan's settings that run gives, at a place on the iliac phantom at 1 MHz, a rise at the spot 9 %
lower, a power 9 % higher, 7 % less power absorbed and skin 2 % cooler; fewer steps of bone move it by a quarter either way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from osteon.errors import InputError
from osteon.evidence.value import Band
from osteon.jobs import Executor
from osteon.physics import bioheat, damage
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array, Grid
from osteon.tissue.acoustics import acoustic_map
from osteon.tissue.acoustics_media import AcousticMedia, acoustic_media
from osteon.tissue.acoustics_rows import acoustic_row
from osteon.tissue.bone import BANDS, TissueMap, properties_map
from osteon.tissue.properties import Constants, tissue
from osteon.treatments.focused_ultrasound.bands import HOTTEST, Influence, Samples, focus_error_mm, sample
from osteon.treatments.focused_ultrasound.beam import ArrayPose, on_patient
from osteon.treatments.focused_ultrasound.sampled_patch import Patch, cut_out
from osteon.treatments.focused_ultrasound.session_power import name_of
from osteon.treatments.focused_ultrasound.session_response import BODY_C, HALF_BOX_MM, bisect, box_grid, extent_of, knots, linear
from osteon.treatments.focused_ultrasound.session_response import sampled as tissue_on
from osteon.treatments.focused_ultrasound.shots import Aim, Shot, Triple
from osteon.treatments.focused_ultrasound.sonication import COUPLING, sonicate
from osteon.treatments.focused_ultrasound.transducer import Transducer, transducer
from osteon.treatments.focused_ultrasound.way_in import GAS
from osteon.treatments.heat import as_left, cubic_spacing_mm

OUTCOMES: Mapping[str, tuple[str, str]] = {
    "spot_c": ("peak temperature at the spot", "°C"),
    "needed_w": ("acoustic power that the spot needs", "W"),
    "killed_share": ("share of the cell's places that reach the dose of necrosis", "1"),
    "whole_w": ("acoustic power that all places of the cell need", "W"),
    "hottest_c": ("peak temperature anywhere round the spot", "°C"),
    "cell_width_mm": ("width of what is killed", "mm"),
    "cell_length_mm": ("length of what is killed, along the beam", "mm"),
    "absorbed_w": ("acoustic power turned into heat", "W"),
    "hottest:skin": ("hottest skin", "°C"),
    "hottest:near_field": ("hottest near field", "°C"),
}
# Numerical choices, not properties of tissue.
POINTS, BONE_STEPS, SWEEPS = 2.25, 4, 1
FINE_MM = 0.75
BEYOND_MM = 20.0
MOST_W = 1e4  # a spot that this power does not kill lies outside the beam
# Asked for, but without meaning for sound and linear heat; air turns back all sound.
HELD = (
    *(f"water.{name}" for name in tissue("water")), "conductivity_480kHz", "permittivity", "latent_heat",
    "air.density", "air.absorption", "air.attenuation", "air.speed",
)  # fmt: skip
# How the constants of the tables are read.
WORDS: Mapping[str, str] = {
    "speed_l": "speed of sound in {}",
    "speed_s": "speed of shear waves in {}",
    "attenuation_l": "attenuation of sound in {}",
    "attenuation_s": "attenuation of shear waves in {}",
    "attenuation_l_exponent": "growth with frequency of the attenuation of sound in {}",
    "attenuation_s_exponent": "growth with frequency of the attenuation of shear waves in {}",
    "absorption_l": "absorption of sound in {}",
    "absorption_s": "absorption of shear waves in {}",
    "absorption_l_share": "share of the lost sound that heats {}",
    "absorption_s_share": "share of the lost shear waves that heats {}",
    "density": "density of {}",
    "thermal_conductivity": "heat conduction in {}",
    "heat_capacity": "heat capacity of {}",
    "perfusion": "blood flow in {}",
    "film": "cooling of the skin by {}",
}
NAMES: Mapping[str, str] = {
    "focus_miss_across_mm": "miss of the focus across the beam (registration)",
    "focus_miss_along_mm": "miss of the focus along the beam (registration)",
    "focus_error_x_mm": "miss of the focus from right to left",
    "focus_error_y_mm": "miss of the focus from front to back",
    "focus_error_z_mm": "miss of the focus from feet to head",
    "hounsfield.cortical": "CT number of pure cortical bone",
    "hounsfield.contrast_adds": "what contrast agent adds to the CT",
    "liquid_water": "the coupling water",
    "red_marrow_upper_pelvis": "red marrow of the upper pelvis",
    "red_marrow_lumbar": "red marrow of the lumbar spine",
    "lytic_tumour": "the tumour",
}


@dataclass(frozen=True, eq=False)
class Draw:
    """One sonication as a function of the constants of a run.

    Parameters
    ----------
    patch : Patch
        The patient.
    device : str or Transducer
        The array.
    aim : Aim
        Where it is meant to go.
    pose : ArrayPose
        Where the array is meant to stand.
    power_w, on_s, off_s : float
        As planned.
    places_mm : ndarray, shape (n, 3)
        What the cell must kill, LPS.
    """

    patch: Patch
    device: str | Transducer
    aim: Aim
    pose: ArrayPose
    power_w: float
    on_s: float
    off_s: float
    places_mm: Array = field(default_factory=lambda: np.zeros((0, 3)))

    def __call__(self, constants: Constants) -> dict[str, float]:
        """Return the outcomes of a run with these constants.

        Raises
        ------
        InputError
            As ``sonicate``: where the focus misses so far that the array touches the patient.
        """
        anatomy, device = self.patch.anatomy, _array(self.device)
        by = np.array(focus_error_mm(constants))
        pose, focus = replace(self.pose, vertex_mm=_moved(self.pose.vertex_mm, by)), _moved(self.aim.focus_mm, by)
        sound = acoustic_map(anatomy, device.frequency_hz, constants.of)
        media = acoustic_media(sound, BONE_STEPS)
        heated, _ = as_left(properties_map(anatomy, next(iter(BANDS)), constants.of), anatomy)
        water = acoustic_row(COUPLING).at(device.frequency_hz, constants).speed_l
        step_mm = 1e3 * min(water, _slowest(media)) / device.frequency_hz / POINTS
        beam = sonicate(
            sound, device, pose, focus, 1.0, media=media, spacing_mm=step_mm, beyond_mm=BEYOND_MM, most_sweeps=SWEEPS,
            constants=constants,
        )  # fmt: skip
        small = box_grid(anatomy.grid, np.asarray(self.aim.spot_mm), FINE_MM)
        fine, _, _ = on_patient(beam.beam_heat_w_m3.array, beam.beam, small)
        near, along = self._heat(tissue_on(heated, small), fine.array), self._heat(heated, beam.heat_w_m3.array)
        hottest = {}
        for name, packed in self.patch.watch.items():
            voxels = np.argwhere(self.patch.mask(packed).array)
            near_c = _highest(near.peak_c, small, anatomy.grid.to_mm(voxels.astype(float)))
            hottest[HOTTEST + name] = max(near_c, float(along.peak_c[tuple(voxels.T)].max()))
        return self._at_the_spot(near, small) | {"absorbed_w": self.power_w * beam.absorbed_w} | hottest

    def _heat(self, heated: TissueMap, heat_w_m3: Array) -> _Heated:
        """Run sound on and off at the planned power, with properties that do not change."""
        every = float(knots(self.on_s, self.off_s)[1])
        seconds: list[float] = []
        seen: list[Array] = []
        index = heated.grid.to_index(np.concatenate([np.array(self.aim.spot_mm)[None], self.places_mm])).T

        def note(time_s: float, temperature_c: Array) -> None:
            seconds.append(time_s)
            seen.append(ndimage.map_coordinates(temperature_c, index, order=1, mode="nearest"))

        stages = [bioheat.Stage(self.on_s, heat_w_m3 * np.float32(self.power_w)), bioheat.Stage(self.off_s)]
        run = bioheat.heat(
            cubic_spacing_mm(heated.grid), linear(heated), stages, coagulation=bioheat.Coagulation("never"), dose_every_s=every,
            trace_every_s=self.on_s, probe=note, probe_every_s=every,
        )  # fmt: skip
        return _Heated(run.peak_c, run.cem43_min, np.array(seconds), np.stack(seen))

    def _at_the_spot(self, near: _Heated, small: Grid) -> dict[str, float]:
        lethal = damage.constants("cem43")["necrosis"].number
        rise = (near.seen_c - BODY_C) / self.power_w

        def needed_w(some: Array) -> float:
            return min(
                bisect(lambda w: float(damage.cem43(near.times_s, BODY_C + w * some).min()) >= lethal, MOST_W), MOST_W
            )  # fmt: skip

        width, length = extent_of(near.cem43_min >= lethal, int(near.peak_c.argmax()), small, self.pose)
        found = {
            "spot_c": float(near.seen_c[:, 0].max()), "needed_w": needed_w(rise[:, :1]),
            "hottest_c": float(near.peak_c.max()), "cell_width_mm": width, "cell_length_mm": length,
        }  # fmt: skip
        if not len(self.places_mm):
            return found
        killed = damage.cem43(near.times_s, near.seen_c[:, 1:]) >= lethal
        return found | {"killed_share": float(killed.mean()), "whole_w": needed_w(rise[:, 1:])}


@dataclass(frozen=True, eq=False)
class _Heated:
    peak_c: Array
    cem43_min: Array
    times_s: Array
    seen_c: Array  # (times, spot and places)


def sample_sonication(
    anatomy: Anatomy, device: str | Transducer, aim: Aim, pose: ArrayPose, power_w: float, on_s: float, off_s: float, *,
    places_mm: Array, count: int = 50, seed: int = 0, executor: Executor | None = None,
    observe: Callable[[float], None] | None = None,
) -> Samples:  # fmt: skip
    """Run one sonication of a plan with every constant at its middle, then with ``count`` draws of all of them.

    Parameters
    ----------
    anatomy : Anatomy
        With CT, on cubic voxels.
    device : str or Transducer
        The array; one of ``devices.yaml`` by its id.
    aim : Aim
        Where it is focused; its spot is where temperature and power are read.
    pose : ArrayPose
        Where the array stands.
    power_w, on_s, off_s : float
        Acoustic power, seconds with sound, and after it.
    places_mm : ndarray, shape (n, 3)
        Places that this cell must kill, LPS; with none, ``killed_share`` and ``whole_w`` are left out.
    count, seed : int
        Draws, and of the hypercube.
    executor : Executor, optional
        Where they run; two processes with one thread each if left out.
    observe : callable, optional
        Called with the fraction done.

    Returns
    -------
    Samples
        Outcomes of ``OUTCOMES``, and ``hottest:<id>`` of every structure with limits that the cut patient holds. Heat is linear:
        beyond boiling a temperature is what it would be without. A power that no place reaches is held at ``MOST_W``.

    Raises
    ------
    InputError, SettingError
        If power, times or places cannot be used, or as ``prepare`` and ``sonicate``.
    """
    places = np.asarray(places_mm, float).reshape(-1, 3)
    apart = np.abs(places - np.asarray(aim.spot_mm))
    if not (np.isfinite(places).all() and bool((apart <= HALF_BOX_MM).all())):
        raise InputError(
            f"Of {len(places)} places of the cell {aim.id} the farthest lies {apart.max():g} mm beside its spot.",
            f"Heat is followed within {HALF_BOX_MM:g} mm of the spot.",
            "Give the places of this cell alone, finite and in LPS millimetres.",
        )
    Shot(aim, power_w, on_s, off_s)  # refuses what no sonication has
    patch = cut_out(anatomy, _array(device), aim, pose, BEYOND_MM, HALF_BOX_MM)
    run = Draw(patch, device, aim, pose, power_w, on_s, off_s, places)
    return sample(run, count, seed=seed, executor=executor, held=HELD, observe=observe)


def described(outcome: str) -> tuple[str, str]:
    """Return title and unit of an outcome.

    Raises
    ------
    InputError
        If it is none of ``sample_sonication``.
    """
    if outcome in OUTCOMES:
        return OUTCOMES[outcome]
    if not outcome.startswith(HOTTEST):
        raise InputError(
            f"There is no outcome {outcome!r}.",
            "Only what a sonication was read for has a title and a unit.",
            f"Use one of: {', '.join(OUTCOMES)}, or {HOTTEST}<structure>.",
        )
    return f"hottest {name_of(outcome.removeprefix(HOTTEST))}", "°C"


def scaled(samples: Samples, outcome: str, planned: float) -> Band:
    r"""Return the band of a planned figure: what the draws are to their own coarse nominal run.

    .. math:: b = b_0 + (d - b_0)\,\frac{p - b_0}{n - b_0}

    with a draw d, the nominal run n, the planned figure p, and b₀ = 37 °C for temperatures, else 0.

    Parameters
    ----------
    samples : Samples
        From ``sample_sonication``.
    outcome : str
        Which.
    planned : float
        The plan's own figure, in the unit of the outcome.

    Returns
    -------
    Band
        ``planned`` as its best. Shares, and what is nothing in the nominal run, cannot be scaled: they are as drawn.

    Raises
    ------
    InputError
        If there is no such outcome, or the figure is not finite.
    """
    _, unit = described(outcome)
    if not math.isfinite(planned):
        raise InputError(
            f"The planned {outcome} is {planned:g}.", "A band lies round a number.", "Give the plan's figure, or no band."
        )
    drawn = samples.band(outcome)
    base = BODY_C if unit == "°C" else 0.0
    nominal, low, high = (end - base for end in (drawn.best, drawn.low, drawn.high))
    if unit != "1" and nominal > 0:
        share = max(planned - base, 0.0) / nominal
        low, high = low * share, high * share
    return Band(planned, min(low + base, planned), max(high + base, planned), drawn.n)


def influence_words(influence: Influence) -> str:
    """Return in plain words what a constant is.

    Parameters
    ----------
    influence : Influence
        From ``which_matters``.

    Examples
    --------
    >>> from osteon.evidence.value import Uniform, Value
    >>> influence_words(Influence("cortical_bone.absorption_l", 0.5, 1, Value(31.1, "1/m", Uniform(26, 55), "pinton-2012")))
    'absorption of sound in cortical bone'
    """
    if influence.name in NAMES:
        return NAMES[influence.name]
    where, _, what = influence.name.partition(".")
    return WORDS.get(what, what.replace("_", " ") + " of {}").format(NAMES.get(where, where.replace("_", " ")))


def _array(device: str | Transducer) -> Transducer:
    return transducer(device) if isinstance(device, str) else device


def _slowest(media: AcousticMedia) -> float:
    """Return the speed of the slowest wave that the grid must carry [m/s], shear too."""
    speeds = media.table[[name not in GAS for name in media.names], 1:3]
    return float(speeds[speeds > 0].min())


def _moved(place_mm: Triple, by_mm: Array) -> Triple:
    x, y, z = np.asarray(place_mm) + by_mm
    return float(x), float(y), float(z)


def _highest(field_c: Array, grid: Grid, places_mm: Array) -> float:
    """Return the highest of a field at those places that lie on its grid; nothing is lower than the body."""
    index = np.rint(grid.to_index(places_mm)).astype(int)
    index = index[((index >= 0) & (index < grid.shape)).all(axis=1)]
    return float(field_c[tuple(index.T)].max(initial=BODY_C))
