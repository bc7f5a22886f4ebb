"""One laser treatment on a voxel grid: light and heat in turn, coagulation changes the light, then the cooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.physics import bioheat, damage, light
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array, Grid
from osteon.tissue.bone import TissueMap, properties_map
from osteon.tissue.properties import Constants
from osteon.treatments import heat as thermal
from osteon.treatments.base import Draw, Effect, NeedlePose, Observe, Setting, Trace
from osteon.treatments.laser import fibre
from osteon.treatments.needles import check_place
from osteon.treatments.sensing import Follow

if TYPE_CHECKING:
    from osteon.treatments.laser.treatment import Laser

# Numerical choices, not properties of tissue.
COOLING_S = 120.0
DOSE_S, SNAPSHOT_S, LOOK_S = 2.0, 30.0, 10.0
LONGEST_BETWEEN_SOLVES_S = 60.0
CHANGE_THAT_MATTERS = 0.05  # of the heat that is made where tissue has coagulated since the last solution
SOLVE_TO = 1e-7
ANY_BAND_HZ = 2.45e9  # tissue maps come with dielectric properties; a laser uses none of them
PAIR, OTHER_PAIRS = "liver", ("bone_beside_cement",)
ASSUMED = (
    "Light spreads by diffusion: within about a millimetre of the fibre this is not exact.",
    "Coagulated tissue (Arrhenius, liver constants) scatters more and has no blood flow; charring is not modelled.",
    "The optics of bone lie between marrow and cortex by the bone volume fraction; none was measured in metastases of bone.",
    "Metal lets no light pass and takes none; light that reaches air is lost but for the reflection at the surface.",
)


@dataclass(frozen=True)
class LightShare:
    """Where the light went at one time: emitted, absorbed, escaped [W], and the balance of the solution."""

    time_s: float
    emitted_w: float
    absorbed_w: float
    escaped_w: float
    balance: float


@dataclass(eq=False)
class LightSource:
    """The heat source for ``bioheat.heat``: solved again when coagulation has changed the optics where the heat is made.

    Parameters
    ----------
    grid : Grid
        With cubic voxels.
    optics : fibre.Optics
        Of every voxel.
    device : mapping
        Entry of ``devices.yaml`` with the numbers of this run.
    pose : NeedlePose
        Where the fibre lies.
    power_w : float
        What the laser shows; the tip emits its transmission of it.
    """

    grid: Grid
    optics: fibre.Optics
    device: Mapping[str, Any]
    pose: NeedlePose
    power_w: float
    shares: list[LightShare] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.emitted_w = self.power_w * float(self.device["transmission"]["value"])
        self._pair = damage.arrhenius(PAIR)
        self._omega = np.zeros(self.grid.shape, np.float32)
        self._last_s, self._last_c = 0.0, np.full(self.grid.shape, -np.inf, np.float32)
        self._solved: light.Light | None = None
        self._solved_s, self._heat = -np.inf, np.zeros(self.grid.shape, np.float32)
        self._seen = np.zeros(self.grid.shape, bool)

    def __call__(self, time_s: float, temperature_c: Array) -> Array:
        """Return the heating [W/m³] at ``time_s`` after power on."""
        self._age(time_s, temperature_c)
        now = self._omega >= 1.0
        fresh = now & ~self._seen
        if self._solved is None or (fresh.any() and self._matters(time_s, fresh)):
            self._solve(time_s, now)
        return self._heat

    def _age(self, time_s: float, temperature_c: Array) -> None:
        if time_s > self._last_s:
            warm = np.maximum(temperature_c, self._last_c) >= 42.0
            if warm.any():
                both = np.stack([self._last_c[warm], temperature_c[warm]])
                self._omega[warm] += damage.omega(np.array([self._last_s, time_s]), both, self._pair).astype(np.float32)
        self._last_s, self._last_c = time_s, np.array(temperature_c, np.float32)

    def _matters(self, time_s: float, fresh: Array) -> bool:
        made = float(self._heat.sum(dtype=np.float64))
        share = float(self._heat[fresh].sum(dtype=np.float64)) / made if made > 0 else 0.0
        return share > CHANGE_THAT_MATTERS or time_s - self._solved_s >= LONGEST_BETWEEN_SOLVES_S - 1e-6

    def _solve(self, time_s: float, coagulated: Array) -> None:
        h = thermal.cubic_spacing_mm(self.grid) * 1e-3
        seen = self.optics.after(coagulated)
        density = fibre.source_density(self.device, self.pose, seen, self.grid, h, self.emitted_w)
        o = self.optics
        self._solved = light.fluence(
            *seen, h, density, outside=o.outside, opaque=o.opaque, refractive_index=o.refractive_index, tolerance=SOLVE_TO,
            start=None if self._solved is None else self._solved.fluence_w_m2,
        )  # fmt: skip
        self._heat = np.maximum(self._solved.heat_w_m3, 0.0).astype(np.float32)
        self._solved_s, self._seen = time_s, coagulated
        s = self._solved
        self.shares.append(LightShare(time_s, s.emitted_w, s.absorbed_w, s.escaped_w, s.balance))

    def mean_absorbed_w(self, until_s: float) -> float:
        """Return what the tissue took on average over the time of heating [W]."""
        starts = np.array([share.time_s for share in self.shares])
        lengths = np.maximum(np.minimum(np.append(starts[1:], np.inf), max(until_s, 1e-9)) - starts, 0.0)
        return float(np.average([share.absorbed_w for share in self.shares], weights=lengths))


def drawn(device: Mapping[str, Any], constants: Constants, name: str) -> dict[str, Any]:
    """Return a device with the numbers of this run; every number used is noted in ``constants`` under ``name``."""
    from osteon.evidence.value import Value, spread_from

    taken = dict(device)
    for key in fibre.SAMPLED:
        if key in device:
            e = device[key]
            value = Value(float(e["value"]), e["unit"], spread_from(e["spread"]), e["source"], bool(e["verified"]))
            taken[key] = {**e, "value": constants.of(f"{name}.{key}", value)}
    return taken


def without_dielectric(tissue: TissueMap) -> dict[str, Any]:
    """Return the constants that a tissue map used, without those of electric fields."""
    return {k: v for k, v in tissue.used.items() if "permittivity" not in k and not k.endswith(("MHz", "kHz"))}


def heat_tissue(
    source: LightSource,
    materials: bioheat.Materials,
    seconds: float,
    watch: Mapping[str, Array] | None = None,
    observe: Observe | None = None,
    start_c: Array | None = None,
    follow: Follow | None = None,
) -> bioheat.HeatResult:
    """Return what a fibre does to its tissue: light on for ``seconds``, then the cooling."""
    return bioheat.heat(
        thermal.cubic_spacing_mm(source.grid),
        materials,
        [bioheat.Stage(seconds, source, refresh_s=LOOK_S, same_is_unchanged=True), bioheat.Stage(COOLING_S)],
        watch=watch,
        coagulation=bioheat.Coagulation("arrhenius", PAIR),
        pairs=OTHER_PAIRS,
        initial_c=start_c,
        dose_every_s=DOSE_S,
        snapshot_every_s=SNAPSHOT_S,
        observe=observe,
        probe=follow,
        probe_every_s=DOSE_S if follow is None else follow.every_s,
    )


def simulate(treatment: Laser, anatomy: Anatomy, setting: Setting, draw: Draw, observe: Observe | None = None) -> Effect:
    """Simulate one setting; see ``Treatment.simulate``."""
    power, seconds = treatment.check(setting)
    constants = Constants(draw)
    device = drawn(treatment.device(setting.device), constants, setting.device)
    tissue, start_c = thermal.as_left(properties_map(anatomy, ANY_BAND_HZ, draw), anatomy)
    check_place(setting, 2.0 * treatment.needle(setting.device).active_offset_mm, tissue)
    optics = fibre.optics(tissue, anatomy, float(device["wavelength_nm"]["value"]), constants)
    source = LightSource(tissue.grid, optics, device, setting.poses[0], power)
    follow = Follow(anatomy, constants, draw.seed)
    materials = thermal.materials_of(tissue, constants)
    result = heat_tissue(source, materials, seconds, thermal.watched(anatomy), observe, start_c, follow)
    told = follow.heat(result, setting.poses[0])
    return Effect(
        title=f"laser {power:g} W, {seconds / 60:.3g} min",
        state=thermal.fields_of(result, tissue.grid),
        traces={
            **thermal.hottest_traces(result, tissue.grid),
            "net_power_w": absorbed_trace(source, seconds),
            "zone_cm3": thermal.zone_trace(result, tissue.grid),
            **told.traces,
        },
        used={**without_dielectric(tissue), **constants.used, **thermal.damage_values(), **told.used},
        ended=thermal.ended_of(result),
        measures={**measures_of(source, result, seconds), **told.measures},
        assumptions=(*ASSUMED, *tissue.assumptions, *told.assumptions),
        instruments=treatment.instruments(setting),
    )


def absorbed_trace(source: LightSource, seconds: float) -> Trace:
    """Return the power that the tissue took over time [W]."""
    times = np.array([share.time_s for share in source.shares] + [seconds, seconds])
    last = source.shares[-1].absorbed_w if source.shares else 0.0
    return Trace(times, np.array([share.absorbed_w for share in source.shares] + [last, 0.0]), "W")


def measures_of(source: LightSource, result: bioheat.HeatResult, seconds: float) -> dict[str, float]:
    """Return the figures of a run by name with unit."""
    cm3 = source.grid.voxel_mm3 * 1e-3
    necrosis = damage.constants("cem43")["necrosis"].number
    absorbed = source.mean_absorbed_w(seconds)
    return {
        "generator_w": source.power_w,
        "emitted_w": source.emitted_w,
        "net_power_w": absorbed,
        "escaped_fraction": 1.0 - absorbed / source.emitted_w if source.emitted_w > 0 else 0.0,
        "light_solutions": float(len(source.shares)),
        "cooling_s": COOLING_S,
        "zone_cm3": float((result.cem43_min >= necrosis).sum()) * cm3,
        "coagulated_cm3": float(result.coagulated.sum()) * cm3,
        "highest_c": float(result.peak_c.max()),
        "energy_in_j": result.energy_in_j,
        "energy_stored_j": result.energy_stored_j,
        "energy_out_j": result.energy_out_j,
        "energy_perfusion_j": result.energy_perfusion_j,
    }
