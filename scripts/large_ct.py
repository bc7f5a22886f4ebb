"""A whole-body-sized CT, from the files to the facts: seconds, peak memory, and whether progress was shown.

usage: scripts/large_ct.py [--out DIR] [--slices 500] [syntax ...]      syntax: raw rle jpeg2000; default: all three

Writes an artificial trunk of 512 x 512 x slices voxels with a label map of 76 structures in TotalSegmentator's numbers once into
DIR (default: out/large_ct; about 1 GB), then loads and assesses it in a fresh process per transfer syntax, with an empty cache.
The limits of 30 s from load to facts and of 4 GB stand in issue 3; the exit code is 1 where one is missed. On a busy machine wall
time means little: the load and the seconds of processor stand beside it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

SECONDS, BYTES = 30.0, 4 << 30
SPACING_MM = (1.0, 0.8, 0.8)
ROOT = Path(__file__).resolve().parents[1]
SYNTAXES = {"raw": "1.2.840.10008.1.2.1", "rle": "1.2.840.10008.1.2.5", "jpeg2000": "1.2.840.10008.1.2.4.90"}
CHART = """schema: osteon-case/1
patient: large
date: 2025-03-10
stamps: [PHANTOM]
studies:
  - {id: ct1, modality: CT, file: ct, date: 2025-03-03, patient_position: HFS, contrast: false}
labels:
  - {file: labels.nii.gz, names: totalsegmentator}
lesions:
  - {id: L1, bone: hip_right, side: right, goal: palliation, outline: {sphere_mm: {center: [-85, 25, 70], diameter: 25 mm}}}
"""


def tubes():
    """Return what the trunk holds, later over earlier: number of the class, polyline in LPS mm, radius [mm], HU."""
    both = [(-1, 1), (1, 0)]  # right is -x and has the lower or the higher number by class
    rows = [(5, [(-70, -20, 290)], 65, 60), (1, [(100, 10, 290)], 38, 50), (6, [(60, -40, 280)], 35, 40)]
    rows += [(7, [(-20, -20, 250), (50, -10, 260)], 12, 40), (51, [(20, -30, 400)], 50, 40), (21, [(0, -30, 40)], 35, 10)]
    rows += [(12, [(-75, 0, 370), (-70, 0, 460)], 55, -800), (10, [(75, 0, 370), (70, 0, 460)], 55, -800)]
    rows += [(20, [(-110, -30, 130), (-110, -40, 230), (110, -40, 230), (110, -30, 130)], 20, 0)]
    rows += [(18, [(-60, -50, 120), (60, -50, 120), (60, -50, 160), (-60, -50, 160)], 22, 20)]
    rows += [(2, [(-60, 40, 230), (-60, 40, 270)], 25, 40), (3, [(60, 40, 230), (60, 40, 270)], 25, 40)]
    rows += [(52, [(10, 15, 140), (10, 15, 430)], 11, 45), (63, [(-18, 12, 140), (-18, 12, 380)], 11, 45)]
    rows += [(64, [(-20, -20, 270), (-60, -20, 290)], 7, 45)]
    for sign, left in both:
        rows += [(66 - left, [(0, 15, 140), (sign * 50, 0, 60)], 5, 45), (68 - left, [(0, 22, 138), (sign * 50, 8, 60)], 6, 45)]
        rows += [(81 - left, [(sign * 70, 90, 20), (sign * 80, 85, 90)], 22, 50)]
        rows += [(83 - left, [(sign * 125, 40, 90), (sign * 130, 30, 40)], 14, 50)]
        rows += [(85 - left, [(sign * 112, 10, 80), (sign * 118, 5, 40)], 8, 50)]
        rows += [(87 - left, [(sign * 35, 80, 110), (sign * 35, 80, 450)], 18, 50)]
        rows += [(89 - left, [(sign * 35, 40, 220), (sign * 90, 0, 40)], 16, 50)]
        rows += [(78 - left, [(sign * 45, -40, 25), (sign * 85, 20, 55), (sign * 85, 25, 105), (sign * 60, 60, 120)], 16, 700)]
        rows += [(76 - left, [(sign * 118, 15, -20), (sign * 118, 15, 30), (sign * 112, 18, 45)], 14, 700)]
        for i in range(12):
            points = [(sign * 20, 75, 450 - 18 * i), (sign * 120, 60, 440 - 18 * i), (sign * 140, -40, 430 - 18 * i)]
            rows.append(((104 if sign < 0 else 92) + i, points, 6, 700))
    rows += [(25, [(0, 70, 60), (0, 60, 100)], 22, 700)]
    rows += [(27 + i, [(0, 50, 122 + 21 * i), (0, 50, 127 + 21 * i)], 15, 700) for i in range(17)]
    return [*rows, (79, [(0, 72, 90), (0, 72, 490)], 7, 30)]


def trunk(slices):
    """Return image [HU] and labels of the trunk."""
    from osteon.case.outlines import line
    from osteon.space.volume import Grid, Volume

    dz, dy, dx = SPACING_MM
    affine = np.diag([dx, dy, dz, 1.0])
    affine[:3, 3] = [-255.5 * dx, -255.5 * dy, 0]
    grid = Grid.of((slices, 512, 512), affine)
    y, x = np.mgrid[-255.5:256, -255.5:256] * dy
    inside = (x / 185) ** 2 + (y / 125) ** 2
    flat = np.where(inside < 0.85, 45, np.where(inside < 1, -95, -1000))
    flat[(y > 140) & (y < 150) & (abs(x) < 200)] = 100  # the table
    image = np.repeat(flat[None].astype(np.int16), slices, axis=0)
    labels = np.zeros(grid.shape, np.uint8)
    for number, points, radius, hu in tubes():
        points = points * 2 if len(points) == 1 else points
        mask = line(grid, np.array(points, float), radius).array
        labels[mask], image[mask] = number, hu
        if hu == 700:
            image[line(grid, np.array(points, float), radius - 3).array] = 150
    image[line(grid, np.array([(-85, 25, 70)] * 2, float), 12.5).array] = 40
    rng = np.random.default_rng(0)
    for z in range(slices):
        image[z] += rng.normal(0, 12, (512, 512)).astype(np.int16)
    return Volume(image, grid), Volume(labels, grid)


def compress(syntax, folder, path):
    """Write one slice of the series again, its pixels losslessly compressed."""
    import pydicom
    from PIL import Image
    from pydicom.encaps import encapsulate

    data = pydicom.dcmread(path)
    pixels = (data.pixel_array + 2048).astype(np.uint16)
    data.RescaleIntercept, data.PixelRepresentation = -2048, 0
    data.PixelData = pixels.tobytes()
    if syntax == "rle":
        data.compress(SYNTAXES[syntax])
    else:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG2000", irreversible=False, no_jp2=True)
        data.PixelData = encapsulate([buffer.getvalue()])
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
        data.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    data.save_as(folder / path.name)


def make(out, slices, syntaxes):
    """Write the case once per syntax; what is there stays."""
    from osteon.io import images

    raw = out / "raw"
    if not (raw / "case.yaml").exists():
        volume, labels = trunk(slices)
        images.write_series(volume, raw / "ct", patient="large")
        images.write_nifti(labels, raw / "labels.nii.gz", dtype=np.uint8)
        (raw / "case.yaml").write_text(CHART, encoding="utf-8")
    for syntax in syntaxes:
        folder = out / syntax
        if (folder / "case.yaml").exists():
            continue
        (folder / "ct").mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor() as pool:
            list(pool.map(partial(compress, syntax, folder / "ct"), sorted((raw / "ct").iterdir()), chunksize=20))
        shutil.copy(raw / "labels.nii.gz", folder)
        (folder / "case.yaml").write_text(CHART, encoding="utf-8")


def measure(folder):
    """Load and assess one case in this process; print what it took as JSON."""
    begin = time.perf_counter()
    from osteon.cache import Cache
    from osteon.pathway import journey

    ready = time.perf_counter()
    said, peaks = {}, {}

    def observe(stage, _fraction):
        said[stage] = said.get(stage, 0) + 1
        peaks[stage] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    with tempfile.TemporaryDirectory(dir=folder) as cache:
        result = journey(folder, cache=Cache(Path(cache)), observe=observe, with_plans=False)
        kept = sum(p.stat().st_size for p in Path(cache).rglob("*") if p.is_file())
    known = sum(f.value is not None for f in result.assessment.lesions[0].facts.values())
    stages = result.provenance["run"]["seconds"]
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({
        "seconds": round(ready - begin + stages["case"] + stages["assess"], 1),
        "processor": round(sum(u.ru_utime + u.ru_stime for u in used), 1), "stages": stages,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "peaks": peaks,
        "children_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "observed": said, "facts": known, "masks": len(result.case.masks), "cache_bytes": kept,
    }))  # fmt: skip


def main():
    """Make the cases, measure each, compare with the limits."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("syntax", nargs="*", default=[])
    asked.add_argument("--out", type=Path, default=ROOT / "out" / "large_ct")
    asked.add_argument("--slices", type=int, default=500)
    asked.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.measure:
        return measure(given.measure)
    syntaxes = given.syntax or list(SYNTAXES)
    make(given.out, given.slices, syntaxes)
    missed = False
    for syntax in syntaxes:
        load = os.getloadavg()[0]
        told = subprocess.run(
            [sys.executable, __file__, "--measure", str(given.out / syntax)], stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(told.stdout.splitlines()[-1])
        peak = found["peak_bytes"] + found["children_bytes"]
        bad = found["seconds"] > SECONDS or peak > BYTES
        missed |= bad
        gib = {name: found["peaks"][name] / 2**30 for name in ("case", "assess")}
        gib["beside"] = found["children_bytes"] / 2**30
        words = [
            f"{syntax:<9}{found['seconds']:5.1f} s of {SECONDS:g} {found['stages']}, processor {found['processor']:.0f} s",
            f"peak {peak / 2**30:.2f} GiB of {BYTES / 2**30:g} (loading {gib['case']:.2f}, children {gib['beside']:.2f})",
            f"{found['masks']} structures, {found['facts']} facts known, cache {found['cache_bytes'] / 2**20:.0f} MiB",
            f"progress told {found['observed'].get('case', 0)} times while loading",
            f"load {load:.1f} on {os.cpu_count()} cores{'  MISSED' if bad else ''}",
        ]
        print("; ".join(words), flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
