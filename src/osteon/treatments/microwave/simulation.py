"""One microwave treatment on a voxel grid: field and heat in turn, then the cooling until every structure is past its peak."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.physics import bioheat, damage
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array
from osteon.tissue.bone import properties_map
from osteon.tissue.properties import Constants
from osteon.treatments.base import Draw, Effect, Observe, Setting, Trace
from osteon.treatments.heat import (
    AFTER_ANOTHER,
    COOLING_S,
    DOSE_S,
    OTHER_PAIRS,
    PAIR,
    SNAPSHOT_S,
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
from osteon.treatments.microwave.antenna import cable_loss_fraction
from osteon.treatments.microwave.dielectric import driest
from osteon.treatments.microwave.source import Source, drawn
from osteon.treatments.needles import check_place
from osteon.treatments.sensing import Follow

if TYPE_CHECKING:
    from osteon.treatments.microwave.treatment import Microwave

# Numerical choices, not properties of tissue.
# Between two looks at the surroundings: often while the first voxels heat up, and after that.
FIRST_S, FIRST_LOOK_S, LOOK_S = 9.0, 0.5, 3.0
CHANGE_THAT_MATTERS = 0.05  # of the averaged surroundings within 15 mm; what 2 % would change: osteon validate mwa-follow
ASSUMED = (
    "Coagulated tissue (Arrhenius, liver constants) has no blood flow; what nothing treated before starts at 37 °C.",
    "Permittivity and conductivity follow liver's sigmoid (2.45 GHz) with temperature and loss of water, as a ratio, everywhere; "
    "it runs on above boiling to dry tissue, and what has dried stays dry.",
    "The field is computed for the tissue averaged around the needle and scaled by the local conductivity; the power is kept.",
    "Steam leaves: once all water of a voxel has boiled, its heat of vaporisation is gone and no condensing gives it back.",
    "A cooled shaft is held at 37 °C behind its wall from 2 mm behind the slot; its coolant takes what the line inside loses.",
)


@dataclass(eq=False)
class FollowingSource:
    """The heat source for ``bioheat.heat``: solved again when the averaged surroundings have changed, never by the clock.

    The surroundings are the rings of ``Source.nearby``: complex permittivity averaged over the angle, within 15 mm. Their change
    is the mean of abs(new/old - 1), weighted by the power that each ring took at the last solution.

    Parameters
    ----------
    source : Source
        Antenna, pose, tissue and power.
    change : float
        Solve again beyond this; infinite: never.
    """

    source: Source
    change: float = CHANGE_THAT_MATTERS

    def __post_init__(self) -> None:
        self._heating: Array | None = None
        self._highest: Array | None = None
        self._nearby: Array = np.empty(0, complex)

    def __call__(self, time_s: float, temperature_c: Array) -> Array:
        """Return the heating [W/m³] at ``time_s`` after power on."""
        if self._heating is not None and not np.isfinite(self.change):
            return self._heating
        if self._highest is None:
            self._highest = temperature_c.copy()
        np.maximum(self._highest, temperature_c, out=self._highest)
        near = self.source.near_voxels
        wetness_c = driest(self.source.constants, self._highest.ravel()[near], temperature_c.ravel()[near])
        nearby = self.source.nearby(wetness_c)
        if self._heating is None or self._changed(nearby) > self.change:
            self._heating = self.source.heating(time_s, driest(self.source.constants, self._highest, temperature_c))
            self._nearby = nearby
        return self._heating

    def _changed(self, nearby: Array) -> float:
        weights = self.source.weights
        return float(np.average(np.abs(nearby / self._nearby - 1.0), weights=weights)) if weights.any() else 0.0


def stages_of(following: Callable[[float, Array], Array], until_s: float, from_s: float = 0.0) -> list[bioheat.Stage]:
    """Return the stages from ``from_s`` to ``until_s`` after power on; ``following`` gets the seconds since power on."""
    stages = []
    for begin, end, look in ((0.0, FIRST_S, FIRST_LOOK_S), (FIRST_S, np.inf, LOOK_S)):
        first, last = max(begin, from_s), min(end, until_s)
        if last > first:
            source = partial(_shifted, following, first)
            stages.append(bioheat.Stage(last - first, source, refresh_s=look, same_is_unchanged=True))
    return stages


def _shifted(following: Callable[[float, Array], Array], began_s: float, time_s: float, temperature_c: Array) -> Array:
    return following(began_s + time_s, temperature_c)


def march(source: Source, stages: Sequence[bioheat.Stage], dead: Array | None = None, **options: Any) -> bioheat.HeatResult:
    """Run stages in the tissue of a source with its cooled shaft in place.

    Parameters
    ----------
    source : Source
        Antenna, pose and tissue.
    stages : sequence of Stage
        See ``stages_of``.
    dead : array of bool, optional
        Tissue without blood flow.
    **options
        Of ``bioheat.heat``; dose every 2 s and coagulation by Arrhenius in liver unless given.
    """
    materials = materials_of(source.tissue, source.constants, steam_leaves=True)
    if dead is not None:
        materials = replace(materials, perfusion=np.where(dead, np.float32(0.0), materials.perfusion))
    usual = {"coagulation": bioheat.Coagulation("arrhenius", PAIR), "dose_every_s": DOSE_S, "sink": source.sink}
    return bioheat.heat(cubic_spacing_mm(source.tissue.grid), materials, stages, **{**usual, **options})


def heat_tissue(
    source: Source,
    seconds: float,
    watch: Mapping[str, Array] | None = None,
    observe: Observe | None = None,
    start_c: Array | None = None,
    follow: Follow | None = None,
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
    follow : Follow, optional
        Thermocouples and cell death.
    """
    stages = [*stages_of(FollowingSource(source), seconds), bioheat.Stage(COOLING_S)]
    return march(
        source,
        stages,
        watch=watch,
        pairs=OTHER_PAIRS,
        initial_c=start_c,
        snapshot_every_s=SNAPSHOT_S,
        observe=observe,
        probe=follow,
        probe_every_s=DOSE_S if follow is None else follow.every_s,
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
    check_place(setting, treatment.needle(setting.device).active_offset_mm, tissue)
    source = Source(tissue, device, setting.poses[0], power, constants)
    watch = watched(anatomy)
    follow = Follow(anatomy, constants, draw.seed)
    result = heat_tissue(source, seconds, watch, observe, start_c, follow)
    told = follow.heat(result, setting.poses[0])
    return Effect(
        title=f"microwave {power:g} W, {seconds / 60:.3g} min",
        state=fields_of(result, tissue.grid),
        traces={
            **hottest_traces(result, tissue.grid),
            **power_traces(source, seconds),
            "zone_cm3": zone_trace(result, tissue.grid),
            **told.traces,
        },
        used={**tissue.used, **constants.used, **damage_values(), **told.used},
        ended=ended_of(result),
        measures={**measures_of(source, result, seconds), **told.measures},
        assumptions=(*ASSUMED, *(() if start_c is None else (AFTER_ANOTHER,)), *tissue.assumptions, *told.assumptions),
        instruments=treatment.instruments(setting),
    )


def beyond_use(treatment: Microwave, setting: Setting) -> tuple[str, ...]:
    """Say where a setting leaves what was published of its device."""
    use = treatment.device(setting.device)["time_s"]
    seconds = setting.control("time_s")
    if use["low"] <= seconds <= use["high"]:
        return ()
    shortest, longest = use["low"] / 60, use["high"] / 60
    return (f"{seconds / 60:.2g} min is outside the {shortest:g} to {longest:g} min published for this device.",)


def power_traces(source: Source, seconds: float) -> dict[str, Trace]:
    """Return the power that the tissue took over time [W]; each solution of the field holds until the next."""
    times = np.array([share.time_s for share in source.shares] + [seconds])
    watts = np.array([share.placed * source.incident_w for share in source.shares])
    return {"net_power_w": Trace(times, np.append(watts, 0.0), "W")}


def measures_of(source: Source, result: bioheat.HeatResult, seconds: float) -> dict[str, float]:
    """Return the figures of a run by name with unit."""
    cm3 = source.tissue.grid.voxel_mm3 * 1e-3
    necrosis = damage.constants("cem43")["necrosis"].number
    incident = source.incident_w
    shares = {name: source.mean(name, seconds) for name in ("reflected", "absorbed", "radiated", "placed")}
    return {
        "generator_w": source.generator_w,
        "cooling_s": COOLING_S,
        "incident_w": incident,
        "cable_loss_fraction": cable_loss_fraction(source.device),
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
        **source.account_j(seconds),
        "energy_in_j": result.energy_in_j,
        "energy_stored_j": result.energy_stored_j,
        "energy_coolant_j": result.energy_sink_j,
        "energy_out_j": result.energy_out_j,
        "energy_perfusion_j": result.energy_perfusion_j,
        "energy_steam_j": result.energy_steam_j,
    }
