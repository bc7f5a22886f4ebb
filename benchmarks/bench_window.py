"""The search for an acoustic window: time, best of 3, beside the error of its shares. Run: python benchmarks/bench_window.py."""

import math
import os

import numpy as np
from common import best_of, memory_triad

from osteon.case.phantom import build
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume
from osteon.treatments.focused_ultrasound.access import search_window
from osteon.treatments.focused_ultrasound.access_looks import PARTS, look, scene_of

LESION = structure("lesion")
DEVICES = ("exablate-body-208", "sonalleve-v2-256", "conformal-bone-1000")
MANY = 10  # times more rays for the reference


def patient(name):
    """Return a phantom as an anatomy."""
    made = build(name, spacing_mm=1.0)
    everywhere = Volume(np.ones(made.image.grid.shape, bool), made.image.grid)
    return Anatomy(everywhere, made.image, made.masks, frozenset(structure(n) for n in made.absent))


def exact_error(rays):
    """Return how far the hidden share of a ball of gas lies from (1 - cos g) / (1 - cos a)."""
    grid = Grid.box(np.full(3, -90.0), np.full(3, 90.0), 1.01)
    p = np.moveaxis(grid.to_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)), -1, 0)
    inside = (p**2).sum(0) <= 80.0**2
    hu = np.where(inside, 50.0, -1000.0).astype(np.float32)
    hu[p[0] ** 2 + (p[1] - 50) ** 2 + p[2] ** 2 <= 144] = -900.0
    masks = {structure("body"): inside, LESION: (p**2).sum(0) <= 36}
    anatomy = Anatomy(Volume(np.ones(grid.shape, bool), grid), Volume(hu, grid), {k: Volume(v, grid) for k, v in masks.items()})
    scene = scene_of(anatomy, LESION, [DEVICES[0]])
    found = look(scene, DEVICES[0], np.zeros((1, 3)), ("x",), np.zeros(1, int), np.array([[0.0, 1.0, 0.0]]), rays)
    hidden = (1 - math.sqrt(1 - (12 / 50) ** 2)) / (1 - math.sqrt(1 - (60 / 160) ** 2))
    return float(1 - found.visible[0] - hidden)


def ray_error(scene, device):
    """Return mean and largest difference of the visible share of 200 poses to that with many more rays."""
    rng = np.random.default_rng(0)
    ways = rng.normal(size=(200, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    middle = scene.grid.to_mm(np.argwhere(scene.lesion)).mean(0)[None]
    few, many = (look(scene, device, middle, ("x",), np.zeros(200, int), ways, n).visible for n in (PARTS, MANY * PARTS))
    return float(np.abs(few - many).mean()), float(np.abs(few - many).max())


def main():
    print(f"triad {memory_triad():.1f} GB/s, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    errors = ", ".join(f"{exact_error(n):+.3f} with {n} rays" for n in (PARTS, MANY * PARTS))
    print(f"ball of gas on the axis: hidden share beside the exact one {errors}")
    for name in ("femur", "ilium", "vertebra"):
        anatomy = patient(name)
        for device in DEVICES:
            scene = scene_of(anatomy, LESION, [device])
            mapped = best_of(lambda a=anatomy, d=device: scene_of(a, LESION, [d]), 3)
            seconds = best_of(lambda a=anatomy, d=device, s=scene: search_window(a, LESION, d, scene=s), 3)
            found = search_window(anatomy, LESION, device, scene=scene)
            mean, most = ray_error(scene, device)
            seen = f"{100 * found.best.visible:.0f} %" if found.best else "nowhere"
            print(
                f"{name:<9}{device:<20} map {mapped:.2f} s, {found.tried} poses x {PARTS} rays {seconds:.2f} s: {found.verdict}, "
                f"best {seen}; against {MANY}x the rays: mean {mean:.3f}, largest {most:.3f}; load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
