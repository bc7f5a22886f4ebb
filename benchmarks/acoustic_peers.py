"""Other codes on the slab of bench_acoustic_planner.py: same cells, same sheet of pressure, one run each.

Each gives the steady pressure in the plane y = middle by a Fourier sum over the last period, and its seconds. It needs numpy and
the peers only, so that it may run in an environment of its own: `python benchmarks/acoustic_peers.py j-wave OUT.npz`.
"""

from __future__ import annotations

import math
import resource
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Slab:
    """A fluid slab in water, and a sheet in the first water that moves by a Gaussian of amplitude 1 Pa."""

    cells: tuple[int, int, int] = (64, 40, 40)  # z, y, x, without layers
    layers: int = 10  # absorbing, on each side
    spacing_m: float = 5e-4
    frequency_hz: float = 5e5
    sheet: int = 2  # plane of cells
    first: int = 20  # cell of the slab
    after: int = 32  # first cell behind it
    water: tuple[float, float] = (1500.0, 1000.0)  # speed, density
    slab: tuple[float, float] = (2300.0, 1700.0)
    waist_m: float = 4e-3
    steps: int = 26  # a period
    periods: int = 24

    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Speed and density in cells, with layers."""
        found = []
        for water, slab in zip(self.water, self.slab, strict=True):
            field = np.full([n + 2 * self.layers for n in self.cells], water)
            field[self.layers + self.first : self.layers + self.after] = slab
            found.append(field)
        return found[0], found[1]

    def gaussian(self, count: int | None = None) -> np.ndarray:
        """The sheet, (y, x) in the middle of ``count`` cells or of those with layers."""
        x = [(np.arange(n) - n // 2) * self.spacing_m for n in ((count,) * 2 if count else self.widths)]
        return np.exp(-(x[0][:, None] ** 2 + x[1] ** 2) / self.waist_m**2)

    @property
    def widths(self) -> tuple[int, int]:
        """Cells along y and x, with layers."""
        return self.cells[1] + 2 * self.layers, self.cells[2] + 2 * self.layers

    def drive(self) -> tuple[float, np.ndarray]:
        """Time step, and a sine that rises over three periods."""
        turn = np.arange(self.steps * self.periods) / self.steps
        return 1 / self.frequency_hz / self.steps, np.sin(2 * math.pi * turn) * np.sin(np.minimum(turn / 3, 1) * math.pi / 2) ** 2

    def steady(self, record: np.ndarray) -> np.ndarray:
        """Complex amplitude, time as exp(-i w t), of the last period of (time, ...)."""
        turn = np.exp(2j * math.pi * np.arange(self.steps) / self.steps)
        return 2 / self.steps * np.tensordot(turn, record[-self.steps :], 1)


def _no_download(url: str, *_: object) -> None:
    raise TimeoutError(f"{url}: nothing is downloaded here")


def k_wave(slab: Slab) -> tuple[np.ndarray, float, str]:
    """Midplane (z, x) of k-wave-python's NumPy engine, seconds, version.

    Its import downloads binaries that this engine does not use, and fails without a network unless that "times out".
    """
    fetch, urllib.request.urlretrieve = urllib.request.urlretrieve, _no_download
    try:
        import kwave
    finally:
        urllib.request.urlretrieve = fetch
    from kwave.kgrid import kWaveGrid
    from kwave.kmedium import kWaveMedium
    from kwave.ksensor import kSensor
    from kwave.ksource import kSource
    from kwave.kspaceFirstOrder import kspaceFirstOrder

    speed, density = slab.maps()
    step, signal = slab.drive()
    grid = kWaveGrid(list(speed.shape), [slab.spacing_m] * 3)
    grid.setTime(len(signal), step)
    sheet = np.zeros(speed.shape, bool)
    sheet[slab.layers + slab.sheet] = True
    source = kSource()
    source.p_mask, source.p = sheet, slab.gaussian().ravel()[:, None] * signal
    source.p_mode = "additive-no-correction"  # the default is made for the reference speed, here the slab's: 1.7 % low in water
    seen = np.zeros(speed.shape, bool)
    seen[:, speed.shape[1] // 2] = True
    sensor = kSensor(mask=seen, record=["p"])
    sensor.record_start_index = len(signal) - slab.steps + 1
    medium = kWaveMedium(sound_speed=speed, density=density)
    began = time.perf_counter()
    found = kspaceFirstOrder(
        grid, medium, source, sensor, pml_size=slab.layers, pml_inside=True, backend="python", dtype=np.float32, quiet=True
    )
    seconds = time.perf_counter() - began
    record = np.asarray(found["p"], float).T.reshape(-1, speed.shape[0], speed.shape[2])
    return slab.steady(record), seconds, f"k-wave-python {kwave.__version__} NumPy float32"


def j_wave(slab: Slab) -> tuple[np.ndarray, float, str]:
    """Midplane (z, x) of j-wave's time-domain PSTD, seconds of a second call, version and compile time."""
    from importlib.metadata import version

    import jax
    from jax import numpy as jnp
    from jwave import FourierSeries
    from jwave.acoustics.time_varying import simulate_wave_propagation
    from jwave.geometry import DistributedTransducer, Domain, Medium, TimeAxis

    speed, density = slab.maps()
    step, signal = slab.drive()
    domain = Domain(speed.shape, (slab.spacing_m,) * 3)
    sheet = np.zeros((*speed.shape, 1), np.float32)
    sheet[slab.layers + slab.sheet, :, :, 0] = slab.gaussian()
    medium = Medium(
        domain=domain,
        sound_speed=FourierSeries(jnp.asarray(speed[..., None], jnp.float32), domain),
        density=FourierSeries(jnp.asarray(density[..., None], jnp.float32), domain),
        pml_size=slab.layers,
    )
    times = TimeAxis(step, (len(signal) - 0.5) * step)
    source = DistributedTransducer(FourierSeries(jnp.asarray(sheet), domain), jnp.asarray(signal, jnp.float32), step, domain)
    middle = speed.shape[1] // 2

    @jax.jit
    def run(medium, source):
        return simulate_wave_propagation(medium, times, sources=source, sensors=lambda p, *_: p.on_grid[:, middle, :, 0])

    began = time.perf_counter()
    run(medium, source).block_until_ready()
    first = time.perf_counter() - began
    began = time.perf_counter()
    record = np.asarray(run(medium, source).block_until_ready(), float)
    seconds = time.perf_counter() - began
    return slab.steady(record), seconds, f"j-wave {version('jwave')} (first call {first:.1f} s)"


PEERS = {"k-wave-python": k_wave, "j-wave": j_wave}


def main(name: str, out: str) -> None:
    field, seconds, version = PEERS[name](Slab())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    np.savez(Path(out), field=field, seconds=seconds, version=version, peak_gb=peak)


if __name__ == "__main__":
    main(*sys.argv[1:3])
