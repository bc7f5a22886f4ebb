"""One microwave treatment on a voxel grid: field and heat in turn, then the cooling until every structure is past its peak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.evidence.value import Value
from osteon.physics import bioheat, damage
from osteon.space.anatomy import Anatomy, Field, Kind
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.bone import TissueMap, properties_map
from osteon.tissue.properties import Constants
from osteon.treatments.base import Draw, Effect, Ended, NeedlePose, Observe, Setting, Trace
from osteon.treatments.microwave.source import Source, drawn, sigmoid

if TYPE_CHECKING:
    from osteon.treatments.microwave.treatment import Microwave

CRITICAL: tuple[Kind, ...] = ("nerve", "cord", "vessel", "bowel", "joint", "skin", "organ", "lung")
# Numerical choices, not properties of tissue.
COOLING_S = 120.0  # after power off
DOSE_S, SNAPSHOT_S = 2.0, 30.0  # between dose samples; the dose of a straight line between them is exact
LONGEST_BETWEEN_SOLVES_S, SHORTEST_BETWEEN_SOLVES_S = 60.0, 15.0  # solving every 5 s moves the zone by less than 1 %
CHANGE_THAT_MATTERS = 0.20  # of the permittivity, averaged over where the heat is made
PAIR = "liver"
OTHER_PAIRS = ("bone_beside_cement",)
ASSUMED = (
    "Coagulated tissue (Arrhenius, liver constants) has no blood flow; what nothing treated before starts at 37 °C.",
    "Permittivity and conductivity follow liver's sigmoid with temperature, as a ratio and up to 100 °C, in every tissue.",
    "The field is computed for the tissue averaged around the needle and scaled by the local conductivity; the power is kept.",
    "A cooled shaft is held at 37 °C behind its wall from 2 mm behind the slot; its coolant takes what the line inside loses.",
)
AFTER_ANOTHER = (
    "Begins with the temperature and without the blood flow that the application before it left; water that it boiled off counts "
    "as there again."
)


@dataclass(eq=False)
class FollowingSource:
    """The heat source for ``bioheat.heat``: solved again every minute, and sooner where drying matters."""

    source: Source

    def __post_init__(self) -> None:
        self._heating: Array | None = None
        self._solved_s = -np.inf
        self._where: tuple[Array, ...] = ()
        self._weight = self._ratio = np.empty(0, np.float32)

    def __call__(self, time_s: float, temperature_c: Array) -> Array:
        """Return the heating [W/m³] at ``time_s`` after power on."""
        if self._heating is None or self._matters(time_s, temperature_c):
            self._heating = self.source.heating(time_s, None if self._heating is None else temperature_c)
            self._solved_s = time_s
            self._where = np.nonzero(self._heating > 0.02 * self._heating.max())
            self._weight = self._heating[self._where]
            self._ratio = self._permittivity(temperature_c)
        return self._heating

    def _permittivity(self, temperature_c: Array) -> Array:
        return sigmoid(self.source.constants, "sigmoid_permittivity_ji_brace", temperature_c[self._where])

    def _matters(self, time_s: float, temperature_c: Array) -> bool:
        since = time_s - self._solved_s
        if since < SHORTEST_BETWEEN_SOLVES_S - 1e-6 or since >= LONGEST_BETWEEN_SOLVES_S - 1e-6:
            return since >= LONGEST_BETWEEN_SOLVES_S - 1e-6
        change = np.abs(self._permittivity(temperature_c) / self._ratio - 1.0)
        return float(np.average(change, weights=self._weight)) > CHANGE_THAT_MATTERS


def materials_of(tissue: TissueMap, constants: Constants) -> bioheat.Materials:
    """Return what the heat solver needs of a tissue map."""
    return bioheat.Materials(
        conductivity=tissue.conductivity,
        heat_capacity=tissue.heat_capacity,
        perfusion=tissue.perfusion,
        vaporisation_heat=tissue.vaporisation_heat,
        conductivity_slope=constants("conductivity_slope", "slope"),
        vaporisation_c=(constants("vaporisation", "boiling_start"), constants("vaporisation", "boiling_end")),
    )


def cubic_spacing_mm(grid: Grid) -> float:
    """Return the edge of the cubic voxels.

    Raises
    ------
    InputError
        If they are not cubic.
    """
    spacing = grid.spacing_mm
    if max(spacing) > 1.01 * min(spacing):
        raise InputError(
            f"The grid has voxels of {spacing[0]:.2f} x {spacing[1]:.2f} x {spacing[2]:.2f} mm.",
            "Heat is computed on cubic voxels.",
            "Resample with Volume.isotropic or Anatomy.on first.",
        )
    return float(np.mean(spacing))


def watched(anatomy: Anatomy) -> dict[str, Array]:
    """Return the outlines of every critical structure on the grid, by structure id."""
    return {key.id: anatomy.masks[key].array for key in anatomy.of_kind(*CRITICAL)}


def as_left(tissue: TissueMap, anatomy: Anatomy) -> tuple[TissueMap, Array | None]:
    """Return the tissue as an earlier application left it: no blood flow where it is dead, and its temperature; None: 37 °C."""
    dead, present = (anatomy.state.get(name) for name in (Field.DEAD, Field.PRESENT_C))
    if dead is not None:
        tissue = replace(tissue, perfusion=np.where(dead.array, np.float32(0.0), tissue.perfusion))
    return tissue, None if present is None else np.asarray(present.array, np.float32)


def start_of(source: Source, present_c: Array | None) -> Array | None:
    """Return the temperature at power on; a cooled shaft, new in its place, has body temperature."""
    if present_c is None or source.shaft is None:
        return present_c
    return np.where(source.shaft, np.float32(37.0), present_c)


def heat_tissue(
    source: Source,
    seconds: float,
    watch: Mapping[str, Array] | None = None,
    observe: Observe | None = None,
    start_c: Array | None = None,
) -> bioheat.HeatResult:
    """Return what a source does to its tissue: power on for ``seconds``, then the cooling.

    Parameters
    ----------
    source : Source
        Antenna, pose, tissue and power.
    seconds : float
        Power on [s].
    watch : mapping of str to array of bool, optional
        Structures to follow.
    observe : callable, optional
        Called with the fraction done.
    start_c : array, optional
        Temperature that an earlier application left [°C].
    """
    stages = [
        bioheat.Stage(seconds, FollowingSource(source), refresh_s=SHORTEST_BETWEEN_SOLVES_S),
        bioheat.Stage(COOLING_S),
    ]
    return bioheat.heat(
        cubic_spacing_mm(source.tissue.grid),
        materials_of(source.tissue, source.constants),
        stages,
        watch=watch,
        coagulation=bioheat.Coagulation("arrhenius", PAIR),
        pairs=OTHER_PAIRS,
        initial_c=start_of(source, start_c),
        dose_every_s=DOSE_S,
        snapshot_every_s=SNAPSHOT_S,
        observe=observe,
    )


def simulate(treatment: Microwave, anatomy: Anatomy, setting: Setting, draw: Draw, observe: Observe | None = None) -> Effect:
    """Simulate one setting; see ``Treatment.simulate``.

    Returns
    -------
    Effect
        Peak temperature, CEM43 and dead tissue on the anatomy's grid; ``hottest:<structure>`` of every critical structure.
    """
    power, seconds = treatment.check(setting)
    constants = Constants(draw)
    device = drawn(treatment.device(setting.device), constants, setting.device)
    tissue, start_c = as_left(properties_map(anatomy, float(device["frequency"]["value"]), draw), anatomy)
    source = Source(tissue, device, setting.poses[0], power, constants)
    watch = watched(anatomy)
    result = heat_tissue(source, seconds, watch, observe, start_c)
    return Effect(
        title=f"microwave {power:g} W, {seconds / 60:g} min",
        state=fields_of(result, tissue.grid),
        traces={
            **hottest_traces(result, tissue.grid),
            **power_traces(source, seconds),
            "zone_cm3": zone_trace(result, tissue.grid),
        },
        used={**tissue.used, **constants.used, **damage_values()},
        ended=ended_of(result),
        measures=measures_of(source, result, seconds),
        assumptions=(*ASSUMED, *(() if start_c is None else (AFTER_ANOTHER,)), *tissue.assumptions),
        instruments=instruments_of(treatment, setting),
    )


def instruments_of(treatment: Microwave, setting: Setting) -> tuple[tuple[NeedlePose, float], ...]:
    """Return the antennas of a setting with their radius [mm]."""
    radius = 0.5 * treatment.needle(setting.device).shaft_diameter_mm
    return tuple((pose, radius) for pose in setting.poses)


def beyond_use(treatment: Microwave, setting: Setting) -> tuple[str, ...]:
    """Say where a setting leaves what was published of its device."""
    use = treatment.device(setting.device)["time_s"]
    seconds = setting.control("time_s")
    if use["low"] <= seconds <= use["high"]:
        return ()
    shortest, longest = use["low"] / 60, use["high"] / 60
    return (f"{seconds / 60:.2g} min is outside the {shortest:g} to {longest:g} min published for this device.",)


def fields_of(result: bioheat.HeatResult, grid: Grid) -> dict[Field, Volume]:
    """Return the state that a run leaves: highest and last temperature, dose, and dead where CEM43 reached necrosis."""
    necrosis = damage.constants("cem43")["necrosis"].number
    return {
        Field.TEMPERATURE_C: Volume(np.asarray(result.peak_c, np.float32), grid),
        Field.PRESENT_C: Volume(np.asarray(result.temperature_c, np.float32), grid),
        Field.CEM43_MIN: Volume(np.asarray(result.cem43_min, np.float32), grid),
        Field.DEAD: Volume(result.cem43_min >= necrosis, grid),
    }


def place_of(grid: Grid, flat_index: int) -> tuple[float, float, float]:
    """Return where a voxel lies (LPS mm)."""
    x, y, z = grid.to_mm(np.array(np.unravel_index(flat_index, grid.shape), float))
    return float(x), float(y), float(z)


def hottest_traces(result: bioheat.HeatResult, grid: Grid) -> dict[str, Trace]:
    """Return ``hottest:<structure>`` for every watched structure, with the place of its highest temperature."""
    return {
        f"hottest:{name}": Trace(times, values, "degC", place_of(grid, result.hottest[name][1]))
        for name, (times, values) in result.traces.items()
    }


def power_traces(source: Source, seconds: float) -> dict[str, Trace]:
    """Return the power that the tissue took over time [W]; each solution of the field holds until the next."""
    times = np.array([share.time_s for share in source.shares] + [seconds])
    watts = np.array([share.placed * source.incident_w for share in source.shares])
    return {"net_power_w": Trace(times, np.append(watts, 0.0), "W")}


def zone_trace(result: bioheat.HeatResult, grid: Grid) -> Trace:
    """Return the volume with CEM43 at necrosis over time [cm³]."""
    volumes = [float(shot.mask(grid.shape).sum()) * grid.voxel_mm3 * 1e-3 for shot in result.snapshots]
    return Trace(np.array([0.0, *(shot.time_s for shot in result.snapshots)]), np.array([0.0, *volumes]), "cm^3")


def damage_values() -> dict[str, Value]:
    """Return the constants of thermal damage that a run uses."""
    used = {f"cem43.{name}": value for name, value in damage.constants("cem43").items()}
    for name in (PAIR, *OTHER_PAIRS):
        pair = damage.arrhenius(name)
        used[f"arrhenius.{name}.frequency_factor"] = pair.frequency_factor
        used[f"arrhenius.{name}.activation_energy"] = pair.activation_energy
    return used


def ended_of(result: bioheat.HeatResult) -> Ended:
    """Return how a run ended, and what was still warming then."""
    ending = result.ended
    still = [name for name, (_, values) in result.traces.items() if values.size > 2 and values[-1] >= values.max() > 37.5]
    late = f" Still warming at the end: {', '.join(still)}." if still else ""
    return Ended(ending.how, ending.why + late, None, ending.energy_balance, ending.steps)


def measures_of(source: Source, result: bioheat.HeatResult, seconds: float) -> dict[str, float]:
    """Return the figures of a run by name with unit."""
    cm3 = source.tissue.grid.voxel_mm3 * 1e-3
    necrosis = damage.constants("cem43")["necrosis"].number
    incident, coolant = source.incident_w, source.coolant_j(result.temperature_c)
    shares = {name: source.mean(name, seconds) for name in ("reflected", "absorbed", "radiated", "placed")}
    return {
        "generator_w": source.generator_w,
        "cooling_s": COOLING_S,
        "incident_w": incident,
        "cable_loss_fraction": 1.0 - incident / source.generator_w,
        "reflected_fraction": shares["reflected"],
        "absorbed_w": shares["absorbed"] * incident,
        "radiated_w": shares["radiated"] * incident,
        "net_power_w": shares["placed"] * incident,
        "field_solutions": float(len(source.shares)),
        "zone_cm3": float((result.cem43_min >= necrosis).sum()) * cm3,
        "zone_50c_cm3": float((result.peak_c >= 50.0).sum()) * cm3,
        "zone_60c_cm3": float((result.peak_c >= 60.0).sum()) * cm3,
        "coagulated_cm3": float(result.coagulated.sum()) * cm3,
        **{f"zone_arrhenius_{name}_cm3": float((omega >= 1.0).sum()) * cm3 for name, omega in result.omega.items()},
        "highest_c": float(result.peak_c.max()),
        "energy_in_j": result.energy_in_j,
        "energy_stored_j": result.energy_stored_j - coolant,
        "energy_coolant_j": coolant,
        "energy_out_j": result.energy_out_j,
        "energy_perfusion_j": result.energy_perfusion_j,
    }
