"""One cryoablation on a voxel grid: freezes and thaws, then what is left frozen, and how cold every structure became."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.evidence.value import Fixed, Value
from osteon.physics import freezing
from osteon.physics.freezing_tables import FreezingTable, freezing_range, ice, tissue_table
from osteon.space.anatomy import Anatomy, Field
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.bone import TissueMap, properties_map
from osteon.tissue.properties import Constants, tissue
from osteon.treatments.base import Draw, Effect, Ended, Observe, Setting, Trace
from osteon.treatments.cryoablation.cryoprobe import cryoprobe, cycles
from osteon.treatments.heat import as_left, cubic_spacing_mm, place_of, watched
from osteon.treatments.needles import check_place
from osteon.treatments.sensing import Follow

if TYPE_CHECKING:
    from osteon.treatments.cryoablation.treatment import Cryoablation

FREQUENCY_HZ = 2450.0e6  # the tissue map asks for one; no dielectric property is used here
LETHAL_C = Value(-40.0, "degC", Fixed(), "[001 «critical low temperature that causes cell death is -40 °C»]")
TRANSITION_C = Value(-20.0, "degC", Fixed(), "thermal-laws-unverified", False)
ICE_C = Value(0.0, "degC", Fixed(), "[001 «with 0 at the ice-ball tissue boundary»]")
NEVER_FREEZES_C = -300.0
# Numerical: by how much a voxel may change in a superstep, and its stages. Against 0.7 K and 9 stages, in the iliac phantom, the
# lowest temperature moves by 0.1 K at most and 0.007 K at -40 °C. For searching the supersteps may also be longer.
CHANGE_K, SUPER_STAGES, COARSE_S = 4.0, 15, 20.0
ASSUMED = (
    "Dead is what reached -40 °C; the ice that is seen on CT (0 °C) is larger. Between -20 and -40 °C cells may live.",
    "Blood stops where tissue is frozen, and for good where it reached -20 °C (proposal); no vessel narrows around the ice.",
    "Water of tissue freezes evenly from -0.5 to -8 °C (unverified); frozen tissue takes conductivity and heat capacity of ice "
    "by its water.",
    "The wall of a probe exchanges heat by a film to the gas and carries no more than a power fitted to one published probe; the "
    "shaft behind its active length exchanges none.",
)


def simulate(
    treatment: Cryoablation,
    anatomy: Anatomy,
    setting: Setting,
    draw: Draw,
    observe: Observe | None = None,
    *,
    coarse: bool = False,
) -> Effect:
    """Simulate one setting; see ``Treatment.simulate``.

    Parameters
    ----------
    treatment, anatomy, setting, draw, observe
        As in ``Treatment.simulate``.
    coarse : bool
        Longer supersteps, for searching.

    Returns
    -------
    Effect
        Lowest temperature, temperature at the end and dead tissue on the anatomy's grid; ``coldest:<structure>`` of every
        critical structure.
    """
    freeze_s, thaw_s, freezes = treatment.check(setting)
    constants = Constants(draw)
    probe = cryoprobe(treatment.device(setting.device), constants, setting.device)
    found, start_c = as_left(properties_map(anatomy, FREQUENCY_HZ, draw), anatomy)
    check_place(setting, probe.active_end_mm + probe.active_length_mm, found)
    lines = [probe.line(pose, found.grid) for pose in setting.poses]
    follow = Follow(anatomy, constants, draw.seed, cell_death=False)
    result = freezing.freeze(
        cubic_spacing_mm(found.grid), materials_of(found, constants), cycles(probe, freeze_s, thaw_s, freezes), lines,
        start_c=37.0 if start_c is None else start_c, watch=watched(anatomy), observe=observe, stasis_c=TRANSITION_C.number,
        probe=follow if anatomy.thermocouples else None, probe_every_s=follow.every_s,
        change_k=CHANGE_K, super_stages=SUPER_STAGES, trace_every_s=COARSE_S if coarse else freezing.TRACE_S,
    )  # fmt: skip
    told = follow.cold(result, setting.poses[0])
    used = {key: value for key, value in found.used.items() if not key.endswith("MHz")}
    return Effect(
        title=f"cryoablation {in_words(freeze_s, thaw_s, freezes)}",
        state=fields_of(result, found.grid),
        traces={**traces_of(result, found.grid), **told.traces},
        used={
            **used, **constants.used, "lethal_cold": LETHAL_C, "transition_cold": TRANSITION_C, "visible_ice": ICE_C, **told.used,
        },
        ended=Ended(result.ended.how, result.ended.why, None, result.ended.energy_balance, result.ended.steps),
        measures={**measures_of(result, found.grid), **told.measures},
        assumptions=(*ASSUMED, *found.assumptions, *told.assumptions),
        instruments=treatment.instruments(setting),
    )  # fmt: skip


def in_words(freeze_s: float, thaw_s: float, freezes: int) -> str:
    """Return a cycle as operators say it, for example "10-8-10 min"."""
    minutes = [f"{freeze_s / 60:.3g}"]
    for _ in range(freezes - 1):
        minutes += [f"{thaw_s / 60:.3g}", f"{freeze_s / 60:.3g}"]
    return "-".join(minutes) + " min"


def materials_of(found: TissueMap, constants: Constants) -> freezing.FreezingMaterials:
    """Return freezing tables for a tissue map: voxels whose properties differ by a percent or two share one table."""
    water = found.vaporisation_heat / tissue("vaporisation")["latent_heat"].number
    rows = np.stack([np.ravel(a).astype(np.float64) for a in (found.conductivity, found.heat_capacity, water)], 1)
    step = 0.01
    while True:
        keys = np.stack([
            np.rint(np.log(rows[:, 0]) / step), np.rint(np.log(rows[:, 1]) / step), np.rint(rows[:, 2] / (1000.0 * step))
        ], 1).astype(np.int64)  # fmt: skip
        _, index, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
        if len(counts) <= 255:
            break
        step *= 1.5
    means = [np.bincount(np.ravel(index), rows[:, c], len(counts)) / counts for c in range(3)]
    range_c, ice_now = freezing_range(constants), ice(constants)
    tables = []
    for k, c, m in zip(*means, strict=True):
        table = tissue_table(float(k), float(c), float(m), range_c, ice_now)
        if m <= 0:  # gas, metal, cement: nothing freezes, and what holds gas at 37 °C goes on
            table = FreezingTable(table.temperature_c, table.enthalpy_j_m3, table.conductivity, NEVER_FREEZES_C)
        tables.append(table)
    return freezing.FreezingMaterials(tables, np.ravel(index).reshape(found.labels.shape), found.perfusion)


def fields_of(result: freezing.FreezeResult, grid: Grid) -> dict[Field, Volume]:
    """Return the state that a run leaves: lowest and last temperature, and dead where it was lethal."""
    lowest = np.asarray(result.lowest_c, np.float32)
    return {
        Field.FROZEN_MIN_C: Volume(lowest, grid),
        Field.PRESENT_C: Volume(np.asarray(result.temperature_c, np.float32), grid),
        Field.DEAD: Volume(lowest <= LETHAL_C.number, grid),
    }


def traces_of(result: freezing.FreezeResult, grid: Grid) -> dict[str, Trace]:
    """Return ``coldest:<structure>``, the ice over time, and wall temperature and power of every probe."""
    times = result.times_s
    traces = {
        f"coldest:{name}": Trace(at, values, "degC", place_of(grid, result.extreme[name][1]))
        for name, (at, values) in result.coldest.items()
    }
    for name, level in (("ice_cm3", 0.0), ("below_-20c_cm3", -20.0), ("zone_cm3", -40.0)):
        traces[name] = Trace(times, result.ice_cm3[level], "cm^3")
    for p in range(result.wall_c.shape[1]):
        wall = np.where(np.isfinite(result.wall_c[:, p]), result.wall_c[:, p], 37.0)
        traces[f"wall_c:{p + 1}"] = Trace(times, wall, "degC")
        traces[f"probe_power_w:{p + 1}"] = Trace(times, -result.power_w[:, p], "W")
    return traces


def measures_of(result: freezing.FreezeResult, grid: Grid) -> dict[str, float]:
    """Return the figures of a run by name with unit: volumes are of the lowest temperature, peaks of one moment."""
    cm3, low = grid.voxel_mm3 * 1e-3, result.lowest_c

    def volume(mask: Array) -> float:
        return float(np.count_nonzero(mask)) * cm3

    return {
        "visible_ice_cm3": volume(low <= ICE_C.number),
        "zone_minus20_cm3": volume(low <= TRANSITION_C.number),
        "zone_cm3": volume(low <= LETHAL_C.number),
        "ice_at_end_cm3": float(result.ice_cm3[0.0][-1]),
        "coldest_c": float(low.min()),
        "coldest_wall_c": float(np.nanmin(np.where(np.isfinite(result.wall_c), result.wall_c, np.nan)))
        if result.wall_c.size
        else 37.0,
        "most_power_w": float(-result.power_w.min(initial=0.0)),
        "cooling_s": 0.0,
        "energy_probes_j": result.energy_probes_j,
        "energy_stored_j": result.energy_stored_j,
        "energy_perfusion_j": result.energy_perfusion_j,
        "energy_out_j": -result.energy_walls_j,
    }
