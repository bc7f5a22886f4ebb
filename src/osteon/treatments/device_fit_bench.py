"""Zones of one device in one uniform medium, as a bench would measure them: what ``device_fit`` compares rows with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.physics import bioheat, damage
from osteon.space.volume import Array, Grid
from osteon.tissue.bone import TissueMap
from osteon.tissue.properties import Constants
from osteon.treatments import zones
from osteon.treatments.base import NeedlePose
from osteon.treatments.heat import materials_of, uniform

SPACING_MM, HALF_MM = 2.0, 40.0
DOSE_S, EVERY_S = 4.0, 10.0
EX_VIVO = " ex vivo"
MEDIA = {"liver": "liver", "muscle": "muscle", "fat": "fat", "tumour": "lesion", "cortical bone": "bone"}
SOLVE_AGAIN = 0.2  # change of the surroundings of an antenna; coarser than in a plan
NEAREST_MM = 0.5


@dataclass(frozen=True)
class Bench:
    """How one treatment predicts zones, and how its entry takes another net power.

    Parameters
    ----------
    zones : callable
        (device, power, displayed, medium, temperature_c, times, criterion) to a list of (long, short) [mm] per time, and the mean
        share of ``displayed`` that reaches the tissue.
    with_power : callable
        (entry, factor, gsd) to an entry with ``factor`` times the net power, and that spread.
    """

    zones: Callable[[str, float, float, str, float, Sequence[float], str], tuple[list[tuple[float, float]], float]]
    with_power: Callable[[Mapping[str, Any], float, float], dict[str, Any]]


@dataclass(eq=False)
class _Watch:
    """Zones at the asked times of a run, by one criterion."""

    grid: Grid
    criterion: damage.Criterion
    pose: NeedlePose
    times_s: tuple[float, ...]
    start_c: float
    found: dict[float, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last_s, self._last = 0.0, np.full(self.grid.shape, self.start_c, np.float32)
        self._peak, self._dose = self._last.copy(), np.zeros(self.grid.shape)

    def __call__(self, time_s: float, temperature_c: Array) -> None:
        """Add what passed since the last sample; measure where that was an asked time."""
        now = np.array(temperature_c, np.float32)
        if time_s > self._last_s:
            warm = np.maximum(now, self._last) >= 39.0
            if warm.any() and self.criterion.looks_at in ("cem43_min", "omega"):
                times, both = np.array([self._last_s, time_s]), np.stack([self._last[warm], now[warm]])
                added = (
                    damage.omega(times, both, damage.arrhenius(self.criterion.pair))
                    if self.criterion.looks_at == "omega"
                    else damage.cem43(times, both)
                )
                self._dose[warm] += added
        self._peak = np.maximum(self._peak, now)
        self._last_s, self._last = time_s, now
        for asked in self.times_s:
            if asked not in self.found and time_s >= asked - 1e-6:
                self.found[asked] = self._axes()

    def _axes(self) -> tuple[float, float]:
        c = self.criterion
        fields: dict[str, Any] = {"omega": {c.pair: self._dose}, "cem43_min": self._dose, "peak_c": self._peak}
        given = {c.looks_at: fields[c.looks_at]}
        zone = next(z for z in zones.criteria(self.grid, pose=self.pose, **given).zones if z.name == c.name)
        return zone.long_mm, zone.short_mm


def bench_tissue(
    medium: str, temperature_c: float, band: str, frequency_hz: float, constants: Constants, grid: Grid
) -> TissueMap:
    """Return a uniform medium: one of ``MEDIA``, with " ex vivo" without blood flow.

    Raises
    ------
    InputError
        If the medium is not known, or living tissue is not at 37 °C.
    """
    ex_vivo = medium.endswith(EX_VIVO)
    tissue = MEDIA.get(medium.removesuffix(EX_VIVO))
    if tissue is None or (not ex_vivo and abs(temperature_c - 37.0) > 3.0):
        raise InputError(
            f"The medium is {medium!r} at {temperature_c:g} °C.",
            "Its properties and its blood flow decide the zone; living tissue is near 37 °C.",
            f"Use one of: {', '.join(MEDIA)}; add '{EX_VIVO.strip()}' where no blood flows.",
        )
    return uniform(tissue, band, frequency_hz, constants, grid, perfused=not ex_vivo)


def bench_grid() -> tuple[Grid, NeedlePose]:
    """Return the box of a bench, and a needle along z whose zone's middle lies at its centre; move the tip by the device."""
    half = np.full(3, HALF_MM)
    return Grid.box(-half, half, SPACING_MM), NeedlePose((0.0, 0.0, 150.0), (0.0, 0.0, 0.0))


def _criterion(name: str) -> damage.Criterion:
    c = damage.criteria()[name]
    if c.looks_at not in ("omega", "cem43_min", "peak_c"):
        raise InputError(
            f"The criterion {name} looks at {c.looks_at}.",
            "A bench of heat follows temperature, CEM43 and Arrhenius integrals only.",
            "Name one of those.",
        )
    return c


def microwave_zones(
    device: str, power_w: float, displayed_w: float, medium: str, temperature_c: float, times_s: Sequence[float], criterion: str
) -> tuple[list[tuple[float, float]], float]:
    """Return the zones of an antenna; see ``Bench``."""
    from osteon.treatments.microwave import simulation
    from osteon.treatments.microwave.source import Source, drawn
    from osteon.treatments.microwave.treatment import Microwave

    treatment, constants = Microwave(), Constants()
    entry = drawn(treatment.device(device), constants, device)
    frequency = float(entry["frequency"]["value"])
    grid, pose = bench_grid()
    pose = NeedlePose(pose.entry_mm, (0.0, 0.0, -treatment.needle(device).active_offset_mm))
    band = "915MHz" if frequency < 1.5e9 else "2450MHz"
    tissue = bench_tissue(medium, temperature_c, band, frequency, constants, grid)
    source = Source(tissue, entry, pose, power_w, constants)
    following = simulation.FollowingSource(source, SOLVE_AGAIN)
    materials = materials_of(source.tissue, constants)
    found = _march(grid, pose, materials, following, temperature_c, times_s, criterion)
    return found, source.mean("placed", max(times_s)) * source.incident_w / displayed_w


def laser_zones(
    device: str, power_w: float, displayed_w: float, medium: str, temperature_c: float, times_s: Sequence[float], criterion: str
) -> tuple[list[tuple[float, float]], float]:
    """Return the zones of a fibre; see ``Bench``."""
    from osteon.treatments.laser import fibre, simulation
    from osteon.treatments.laser.treatment import Laser

    treatment, constants = Laser(), Constants()
    entry = simulation.drawn(treatment.device(device), constants, device)
    grid, pose = bench_grid()
    pose = NeedlePose(pose.entry_mm, (0.0, 0.0, -treatment.needle(device).active_offset_mm))
    tissue = bench_tissue(medium, temperature_c, "2450MHz", simulation.ANY_BAND_HZ, constants, grid)
    row = MEDIA[medium.removesuffix(EX_VIVO)]
    optics = fibre.uniform(fibre.ROW.get(row, row), float(entry["wavelength_nm"]["value"]), constants, grid.shape)
    source = simulation.LightSource(grid, optics, entry, pose, power_w)
    materials = materials_of(tissue, constants)
    found = _march(grid, pose, materials, source, temperature_c, times_s, criterion)
    return found, source.mean_absorbed_w(max(times_s)) / displayed_w


def _march(
    grid: Grid,
    pose: NeedlePose,
    materials: bioheat.Materials,
    source: Callable[[float, Array], Array],
    temperature_c: float,
    times_s: Sequence[float],
    criterion: str,
) -> list[tuple[float, float]]:
    watch = _Watch(grid, _criterion(criterion), pose, tuple(sorted(set(times_s))), temperature_c)
    began, stages = 0.0, []
    for until in watch.times_s:  # a stage ends at every asked time, so that its zone is measured there

        def shifted(time_s: float, field_c: Array, at: float = began) -> Array:
            return source(at + time_s, field_c)

        stages.append(bioheat.Stage(until - began, shifted, refresh_s=EVERY_S))
        began = until
    bioheat.heat(
        SPACING_MM, materials, stages, start_c=temperature_c, arterial_c=temperature_c, dose_every_s=DOSE_S, trace_every_s=1e9,
        probe=watch, probe_every_s=DOSE_S,
    )  # fmt: skip
    return [watch.found[time] for time in times_s]


def microwave_with_power(entry: Mapping[str, Any], factor: float, gsd: float) -> dict[str, Any]:
    """Return an antenna whose cable loses so much less or more that ``factor`` times the power reaches the slot."""
    cable = entry["cable"]
    length = float(cable["length"]["value"])
    loss = float(cable["attenuation"]["value"]) * length - 10.0 * math.log10(factor)
    if loss < 0.0:
        raise InputError(
            f"The zones ask for {factor:.2f} times the net power of this device, {-loss:.1f} dB more than its cable loses.",
            "A device does not give more than it takes; the antenna's own match is not fitted.",
            "Check whether power_w is what the generator showed, the medium, and which zone was measured.",
        )
    step = 10.0 * math.log10(gsd)
    low, high = max(0.0, loss - 2.0 * step) / length, (loss + 2.0 * step) / length
    attenuation = {
        "value": round(loss / length, 4), "unit": "dB/m", "spread": {"uniform": [round(low, 4), round(high, 4)]},
        "source": "site-measurement", "verified": False,
    }  # fmt: skip
    fixed = {**cable["length"], "spread": "fixed"}
    return {**entry, "cable": {**cable, "attenuation": attenuation, "length": fixed}}


def laser_with_power(entry: Mapping[str, Any], factor: float, gsd: float) -> dict[str, Any]:
    """Return a fibre that transmits ``factor`` times as much."""
    value = float(entry["transmission"]["value"]) * factor
    if value > 1.0:
        raise InputError(
            f"The zones ask for {value:.2f} W out of the tip for every watt displayed.",
            "A fibre does not give more than it takes.",
            "Check whether power_w is what the laser showed, the medium, and which zone was measured.",
        )
    low, high = value / gsd**2, min(1.0, value * gsd**2)
    return {
        **entry,
        "transmission": {
            "value": round(value, 4), "unit": "1", "spread": {"uniform": [round(low, 4), round(high, 4)]},
            "source": "site-measurement", "verified": False,
        },
    }  # fmt: skip


BENCHES: dict[str, Bench] = {
    "microwave": Bench(microwave_zones, microwave_with_power),
    "laser": Bench(laser_zones, laser_with_power),
}
"""By treatment; one line for each whose quick simulation can stand on a bench."""
