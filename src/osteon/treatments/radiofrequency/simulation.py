"""One radiofrequency treatment on a voxel grid: generator, potential and heat in turn, then the cooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from osteon.errors import SettingError
from osteon.physics import bioheat, damage
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array
from osteon.tissue.bone import TissueMap, properties_map
from osteon.tissue.properties import Constants
from osteon.treatments.base import Draw, Effect, Ended, NeedleAccess, NeedlePose, Observe, Setting, Trace
from osteon.treatments.heat import (
    AFTER_ANOTHER,
    OTHER_PAIRS,
    PAIR,
    as_left,
    cubic_spacing_mm,
    damage_values,
    ended_of,
    fields_of,
    hottest_traces,
    materials_of,
    watched,
    zone_trace,
)
from osteon.treatments.radiofrequency.circuit import METAL_S_M, STEP_S, Circuit, Warming, law
from osteon.treatments.radiofrequency.electrode import electrode_of
from osteon.treatments.radiofrequency.generator import Generator, Mode, Program
from osteon.treatments.sensing import Follow

# Numerical choices, not properties of tissue.
COOLING_S = 120.0  # after power off
DOSE_S, SNAPSHOT_S = 2.0, 30.0
ASSUMED = (
    "Coagulated tissue (Arrhenius, liver constants) has no blood flow; what nothing treated before starts at 37 °C.",
    "Conductivity rises by 1.75 % per kelvin over its value at 37 °C and falls to a hundredth between 100 and 105 °C, in every "
    "tissue; the steam of dried tissue stays there, so that it conducts again once it has cooled below 100 °C.",
    "The electrode is a thin line; where no coolant flows in it, its metal conducts heat along the shaft and stores none.",
)
PADS = "Ground pads are far away: beyond the computed box the tissue is as at its edge."
TWO = "Current flows between the two contacts only; none leaves the computed box."
COOLANT = "The coolant keeps its temperature along the shaft and stops with the power."
LOOSE = (
    "The thermocouple is taken to be as warm as the metal round it; a probe that lies loose in a wide cannula reads too low, and "
    "more is heated than is shown: reading 5 to 20 % of the rise too low would be 0.5 to 2 mm of width (16G, 80 °C, 2 min)."
)
METAL = (
    "metal voxels are computed as equipotential; what metal beside an electrode really carries is not known: keep away from it."
)


class Devices(Protocol):
    """What the simulation needs of a treatment."""

    def device(self, name: str) -> Mapping[str, Any]:
        """Return one entry of ``devices.yaml``."""

    def needle(self, device: str) -> NeedleAccess:
        """Return what it needs of its way in."""

    def instruments(self, setting: Setting) -> tuple[tuple[NeedlePose, float], ...]:
        """Return the electrodes of a setting with their radius [mm]."""

    def check(self, setting: Setting) -> tuple[dict[str, float], float]:
        """Return controls and time [s]."""


def program_of(device: Mapping[str, Any], controls: Mapping[str, float], constants: Constants) -> Program:
    """Return what the generator does: the device's limits and the operator's controls.

    Parameters
    ----------
    device : mapping
        Entry of ``devices.yaml``.
    controls : mapping
        ``power_w`` or ``temperature_c``; for mode ``pulsed`` also ``on_s`` and ``off_s``.
    constants : Constants
        The numbers of this run.
    """
    mode: Mode = device["mode"]["text"]
    most = float(device["max_power_w"]["value"])
    return Program(
        mode=mode,
        power_w=min(controls.get("power_w", most), most),
        temperature_c=controls.get("temperature_c", float("nan")),
        most_current_a=float(device["most_current_ma"]["value"]) * 1e-3,
        most_voltage_v=float(device["most_voltage_v"]["value"]),
        proportional_v_k=law(constants, "proportional"),
        integral_v_ks=law(constants, "integral"),
        rise=law(constants, "roll_off_rise"),
        pause_s=law(constants, "roll_off_pause"),
        on_s=controls.get("on_s", float("inf")),
        off_s=controls.get("off_s", 0.0),
    )


def circuit_of(
    tissue: TissueMap,
    device: Mapping[str, Any],
    pose: NeedlePose,
    controls: Mapping[str, float],
    constants: Constants,
    name: str,
    **numerical: float,
) -> Circuit:
    """Return electrode, tissue and generator together.

    Parameters
    ----------
    tissue : TissueMap
        Properties at 37 °C, at 480 kHz.
    device : mapping
        Entry of ``devices.yaml``.
    pose : NeedlePose
        Where the electrode lies.
    controls : mapping
        Of the setting.
    constants : Constants
        The numbers of this run.
    name : str
        Id of the device.
    **numerical : float
        ``step_s`` and ``least_s`` of ``Circuit``.
    """
    metal, steady = tissue.is_label("titanium"), tissue.is_label("titanium", "air", "cement")
    conductivity = np.where(metal, np.float32(METAL_S_M), tissue.conductivity_s_m)
    return Circuit(
        tissue.grid, conductivity, (tissue.conductivity, tissue.heat_capacity), electrode_of(device, constants, name), pose,
        Generator(program_of(device, controls, constants)), Warming.of(constants), steady,
        metal_w_mk=law(constants, "metal_conductivity") * law(constants, "metal_share"), **numerical,
    )  # fmt: skip


def in_the_body(circuit: Circuit, tissue: TissueMap) -> None:
    """Refuse a contact that lies in air.

    Raises
    ------
    SettingError
        If more than half of a contact does.
    """
    air = tissue.is_label("air")
    for line, _ in circuit.wires:
        points = np.linspace(line.start_m, line.end_m, 21) / circuit.h
        at = np.clip(np.rint(points).astype(int), 0, np.array(air.shape) - 1)
        if air[tuple(at.T)].mean() > 0.5:
            x, y, z = circuit.pose.tip_mm
            raise SettingError(
                f"A contact of the electrode with its tip at ({x:.1f}, {y:.1f}, {z:.1f}) mm lies in air.",
                "No current flows where there is no tissue.",
                "Place the active part of the needle in the body.",
            )


def heat_tissue(
    circuit: Circuit,
    materials: bioheat.Materials,
    seconds: float,
    *,
    watch: Mapping[str, Array] | None = None,
    observe: Observe | None = None,
    start_c: float = 37.0,
    initial_c: Array | None = None,
    cooling_s: float = COOLING_S,
    coagulates: str = PAIR,
    pairs: Sequence[str] = OTHER_PAIRS,
    seen: Callable[[float, Array], None] | None = None,
    dose_every_s: float = DOSE_S,
    follow: Follow | None = None,
) -> bioheat.HeatResult:
    """Return what an electrode does to its tissue: power on for ``seconds``, then the cooling.

    Parameters
    ----------
    circuit : Circuit
        Electrode, tissue, generator; its traces and energies are filled.
    materials : bioheat.Materials
        Thermal properties.
    seconds : float
        Power on [s].
    watch : mapping of str to array of bool, optional
        Structures to follow.
    observe : callable, optional
        Called with the fraction done.
    start_c, initial_c : float, array or None
        Temperature of tissue and blood; where an earlier application left another [°C].
    cooling_s : float
        After power off [s]; 0: none.
    coagulates : str
        Arrhenius pair at whose threshold blood stops.
    pairs : sequence of str
        Arrhenius pairs besides that one.
    seen : callable, optional
        Called with time and temperature at every look of the generator.
    dose_every_s : float
        Between dose samples [s].
    follow : Follow, optional
        Thermocouples and cell death.
    """

    def source(time_s: float, temperature_c: Array) -> Array:
        if seen is not None:
            seen(time_s, temperature_c)
        return circuit(time_s, temperature_c)

    circuit.until_s = seconds
    stages = [bioheat.Stage(seconds, source, refresh_s=lambda: circuit.next_s)]
    if cooling_s > 0:
        stages.append(bioheat.Stage(cooling_s))
    return bioheat.heat(
        cubic_spacing_mm(circuit.grid), materials, stages, start_c=start_c, arterial_c=start_c, watch=watch,
        coagulation=bioheat.Coagulation("arrhenius", coagulates), pairs=pairs, initial_c=initial_c, dose_every_s=dose_every_s,
        snapshot_every_s=SNAPSHOT_S, observe=observe, probe=follow,
        probe_every_s=DOSE_S if follow is None else follow.every_s,
    )  # fmt: skip


def simulate(treatment: Devices, anatomy: Anatomy, setting: Setting, draw: Draw, observe: Observe | None = None) -> Effect:
    """Simulate one setting; see ``Treatment.simulate``.

    Returns
    -------
    Effect
        Peak temperature, CEM43 and dead tissue; impedance, power, current and tip temperature over time; how it ended.
    """
    controls, seconds = treatment.check(setting)
    constants = Constants(draw)
    device = treatment.device(setting.device)
    tissue, start_c = as_left(properties_map(anatomy, float(device["frequency"]["value"]), draw), anatomy)
    step = min(STEP_S, seconds)
    circuit = circuit_of(tissue, device, setting.poses[0], controls, constants, setting.device, step_s=step)
    in_the_body(circuit, tissue)
    watch = watched(anatomy)
    materials = materials_of(tissue, constants)
    follow = Follow(anatomy, constants, draw.seed)
    result = heat_tissue(circuit, materials, seconds, watch=watch, observe=observe, initial_c=start_c, follow=follow)
    told = follow.heat(result, setting.poses[0])
    return Effect(
        title=title_of(device, controls, seconds),
        state=fields_of(result, tissue.grid),
        traces={
            **hottest_traces(result, tissue.grid), **power_traces(circuit, seconds), "zone_cm3": zone_trace(result, tissue.grid),
            **told.traces,
        },
        used={**tissue.used, **constants.used, **damage_values(), **told.used},
        ended=ending(circuit, result),
        measures={**measures_of(circuit, result), **told.measures},
        assumptions=(*assumed(circuit, tissue, start_c is not None), *told.assumptions),
        instruments=treatment.instruments(setting),
    )  # fmt: skip


def title_of(device: Mapping[str, Any], controls: Mapping[str, float], seconds: float) -> str:
    """Return one line for logs and legends."""
    set_to = f"{controls['temperature_c']:g} °C" if "temperature_c" in controls else f"up to {controls['power_w']:g} W"
    return f"radiofrequency {device['kind']['text']} {set_to}, {seconds / 60:.3g} min"


def assumed(circuit: Circuit, tissue: TissueMap, after_another: bool) -> tuple[str, ...]:
    """Return what was assumed, a sentence each."""
    notes = [*ASSUMED, TWO if circuit.electrode.kind == "bipolar" else PADS]
    if circuit.electrode.cooling is not None:
        notes.append(COOLANT)
    if circuit.electrode.cooling is None and circuit.generator.program.mode == "temperature":
        notes.append(LOOSE)
    if after_another:
        notes.append(AFTER_ANOTHER)
    if tissue.metal_voxels:
        notes.append(f"Warning: {tissue.metal_voxels} {METAL}")
    wrong = "what metal does to microwaves is not modelled"  # said by the tissue map, for another treatment
    return (*notes, *(note for note in tissue.assumptions if wrong not in note))


def power_traces(circuit: Circuit, seconds: float) -> dict[str, Trace]:
    """Return impedance, power, voltage, current, tip temperature and what the coolant took, over time."""
    noted = circuit.traces
    times = np.array([*noted.time_s, seconds])

    def trace(values: list[float], unit: str, last: float) -> Trace:
        return Trace(times, np.array([*values, last]), unit)

    return {
        "net_power_w": trace(noted.power_w, "W", 0.0),
        "voltage_v": trace(noted.voltage_v, "V", 0.0),
        "current_a": trace(noted.current_a, "A", 0.0),
        "impedance_ohm": trace(noted.resistance_ohm, "ohm", noted.resistance_ohm[-1]),
        "tip_c": trace(noted.tip_c, "degC", noted.tip_c[-1]),
        "coolant_w": trace(noted.coolant_w, "W", 0.0),
    }


@dataclass(frozen=True)
class Account:
    """Where the energy went [J], and the defect over what moved."""

    generator_j: float
    coolant_j: float
    outside_j: float
    placed_j: float
    defect: float


def account(circuit: Circuit, result: bioheat.HeatResult) -> Account:
    """Return the account of a run: generator = tissue + blood + boundary + coolant + what heats tissue beyond the grid."""
    given, coolant, outside = (circuit.energy_j[name] for name in ("generator", "coolant", "outside"))
    kept = result.energy_stored_j + result.energy_out_j + result.energy_perfusion_j
    moved = max(abs(given), abs(coolant), abs(kept))
    defect = abs(given - coolant - outside - kept) / moved if moved > 0 else 0.0
    return Account(given, coolant, outside, result.energy_in_j, defect)


def ending(circuit: Circuit, result: bioheat.HeatResult) -> Ended:
    """Return how a run ended; a potential that did not converge is said."""
    ended = ended_of(result)
    balance = account(circuit, result).defect
    if circuit.how:
        return Ended("not_converged", f"The potential ended {circuit.how}. {ended.why}", None, balance, ended.steps)
    pauses = circuit.generator.pauses
    why = f"{ended.why} {pauses} roll-offs, each followed by a pause." if pauses else ended.why
    return replace(ended, why=why, energy_balance=balance)


def measures_of(circuit: Circuit, result: bioheat.HeatResult) -> dict[str, float]:
    """Return the figures of a run by name with unit."""
    cm3 = circuit.grid.voxel_mm3 * 1e-3
    necrosis = damage.constants("cem43")["necrosis"].number
    noted, energy = circuit.traces, account(circuit, result)
    seconds = circuit.elapsed_s
    return {
        "generator_w": max(noted.power_w, default=0.0),
        "net_power_w": energy.generator_j / seconds if seconds else 0.0,
        "cooling_s": COOLING_S,
        "first_impedance_ohm": noted.resistance_ohm[0],
        "least_impedance_ohm": min(noted.resistance_ohm),
        "last_impedance_ohm": noted.resistance_ohm[-1],
        "highest_current_ma": 1e3 * max(noted.current_a),
        "roll_offs": float(circuit.generator.pauses),
        "field_solutions": float(len(circuit.solved_s)),
        "field_power_balance": circuit.worst_balance,
        "tip_highest_c": max(noted.tip_c),
        "zone_cm3": float((result.cem43_min >= necrosis).sum()) * cm3,
        "zone_50c_cm3": float((result.peak_c >= 50.0).sum()) * cm3,
        "zone_60c_cm3": float((result.peak_c >= 60.0).sum()) * cm3,
        "coagulated_cm3": float(result.coagulated.sum()) * cm3,
        **{f"zone_arrhenius_{name}_cm3": float((omega >= 1.0).sum()) * cm3 for name, omega in result.omega.items()},
        "highest_c": float(result.peak_c.max()),
        "energy_in_j": energy.generator_j,
        "energy_coolant_j": energy.coolant_j,
        "energy_beyond_grid_j": energy.outside_j,
        "energy_stored_j": result.energy_stored_j,
        "energy_out_j": result.energy_out_j,
        "energy_perfusion_j": result.energy_perfusion_j,
    }
