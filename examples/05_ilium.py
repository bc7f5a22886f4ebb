"""Focused ultrasound of the iliac phantom: from CT by a body array of 1 MHz to pressure and heat, and how far to trust them."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from osteon.case.phantom import build
from osteon.report.sound_figures import planes_of, sections, write_png
from osteon.space.anatomy import Anatomy
from osteon.tissue.acoustics import acoustic_map
from osteon.treatments.focused_ultrasound.beam import ArrayPose
from osteon.treatments.focused_ultrasound.sonication import sonicate
from osteon.treatments.focused_ultrasound.transducer import transducer

DEVICE, POWER_W = "exablate-body-208", 60.0
FIELD_MM = 55.0  # of the CT, beside the beam


def main(folder: Path, colours: int | None = None) -> dict[str, float]:
    """Sonicate the outer cortex over the lesion, draw it, say how far to believe it, and return its figures."""
    made = build("ilium", lesion_mm=20.0, breach=False, spacing_mm=1.5)
    lesion, outward = np.array(made.lesion_centre_mm), np.array(made.approach)
    focus = tuple(float(v) for v in lesion + 12.0 * outward)  # on the cortex that covers it
    whole = Anatomy(made.image.with_array(np.ones(made.image.grid.shape, bool)), made.image, made.masks, contrast=False)
    reach = np.stack([np.array(focus) - 45.0 * outward, np.array(focus) + 110.0 * outward])
    part = made.image.crop(reach.min(0) - FIELD_MM, reach.max(0) + FIELD_MM)
    anatomy = whole.on(part.grid)
    array = transducer(DEVICE)
    sound = acoustic_map(anatomy, array.frequency_hz)
    pose = ArrayPose.aimed(focus, tuple(-outward), 1e3 * array.radius_m)
    found = sonicate(sound, array, pose, focus, POWER_W, bone_steps=2, points_per_wavelength=2.4, beyond_mm=20.0, most_sweeps=5)
    kept = float(found.heat_w_m3.array.sum(dtype=float)) * found.heat_w_m3.grid.voxel_mm3 * 1e-9
    bone = sound.solid
    in_bone = float(found.heat_w_m3.array[bone].sum(dtype=float)) * found.heat_w_m3.grid.voxel_mm3 * 1e-9
    print(f"{array.name}, {POWER_W:g} W of sound: {found.entry_w:.1f} W cross the entry plane, {found.absorbed_w:.1f} W heat")
    print(f"on the patient's voxels {kept:.2f} W, {in_bone:.1f} W of them in solid bone; peak {found.peak_pa / 1e6:.2f} MPa")
    print(f"believe the planner here: {found.trust.believe}")
    for sentence in (*found.trust.sentences, *found.notes):
        print("-", sentence)
    title = f"Phantom of the ilium: {array.name}, {POWER_W:g} W, 1 MHz (research use only, no patient)"
    note = "dashed: -6 dB; cross: focus asked for; white: solid bone (its pressure: compression alone). "
    note += f"Believe the planner here: {found.trust.believe}"
    picture = sections(planes_of(found, made.image), title, note)
    print("picture:", write_png(picture, folder / "ilium.png", colours))
    return {"remapped": found.remapped, "entry_w": found.entry_w, "absorbed_w": found.absorbed_w, "bone_share": in_bone / kept}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with TemporaryDirectory() as temporary:
            main(Path(temporary))
