"""Study of the acoustic window to the iliac wing beside sarcoma 018, for docs/cases.md: no metastasis, no plan, nothing offered.

usage: scripts/window_study.py [OUT]      default: out/window (untracked); reads ../shared/data/sarcoma or OSTEON_SHARED

The target is the bone within 5 mm of the drawn tumour; bone is found by threshold, since none is outlined.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import perf_counter

from scipy import ndimage

from osteon.case.bones import find_bones
from osteon.io import images
from osteon.report.window_figures import sound_window_figure
from osteon.space.anatomy import Anatomy, structure
from osteon.treatments.focused_ultrasound.access import search_window
from osteon.treatments.focused_ultrasound.transducer import clinical_devices

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("OSTEON_SHARED", ROOT.parent / "shared"))
NEAR_MM = 5.0
LESION, BONE = structure("lesion"), structure("hip_left")


def scene(folder: Path) -> Anatomy:
    """Return CT, body, the iliac wing by threshold, and of it what lies near the tumour, as the target."""
    image = images.read(folder / "CT_image.nii.gz")
    tumour = images.read(folder / "CT_mask.nii.gz").volume
    grown = ndimage.distance_transform_edt(tumour.array < 0.5, sampling=tumour.grid.spacing_mm) <= NEAR_MM
    found = find_bones(image.volume, image.imaged)
    bones = [b.mask.resample(image.volume.grid).array for b in found.bones]
    wing = max(bones, key=lambda m: int((m & grown).sum()))
    whole = image.volume
    masks = {
        structure("body"): found.body.resample(whole.grid), BONE: whole.with_array(wing), LESION: whole.with_array(wing & grown),
    }  # fmt: skip
    return Anatomy(image.imaged, whole, masks)


def main(out: Path) -> None:
    """Search for each array and print what decides; pictures go into an untracked folder."""
    anatomy = scene(SHARED / "data" / "sarcoma" / "nifti" / "STS_018")
    mm3 = anatomy.grid.voxel_mm3
    print(f"target: {anatomy.mask(LESION).array.sum() * mm3 / 1000:.1f} cm3 of bone within {NEAR_MM:g} mm of the tumour")
    out.mkdir(parents=True, exist_ok=True)
    for name in clinical_devices():
        begin = perf_counter()
        window = search_window(anatomy, LESION, name, BONE).as_study(("a sarcoma beside bone, no metastasis",))
        seconds = perf_counter() - begin
        best = window.best
        seen = "nowhere" if best is None else f"best {100 * best.visible:.0f} % seen, {100 * best.unknown:.0f} % not imaged"
        print(f"{name}: {window.title}; {seen}; {window.tried} poses, {seconds:.1f} s; ends {dict(window.ends)}")
        for line in (*window.reasons, *window.notes):
            print(f"   {line}")
        (out / f"sarcoma-018-{name}.svg").write_text(sound_window_figure(window, anatomy, LESION).svg, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "out" / "window")
