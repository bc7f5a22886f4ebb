"""Sound of one sonication of a plan in two planes through its beam, for pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.treatments.focused_ultrasound.scheme import Cut
from osteon.treatments.focused_ultrasound.shots import Shot
from osteon.treatments.focused_ultrasound.sonication import Sonication, sonicate

if TYPE_CHECKING:
    from osteon.treatments.focused_ultrasound.ways import Patient, Stand


def cuts_of(patient: Patient, shot: Shot, stand: Stand) -> tuple[Cut, Cut]:
    """Run the sound of a sonication once more, at its power, and return what a picture needs of it.

    Parameters
    ----------
    patient : Patient
        Of the plan.
    shot : Shot
        Which sonication.
    stand : Stand
        Where the array stands for it, and which elements are on.
    """
    sound = sonicate(
        patient.sound, patient.device, stand.pose, shot.aim.focus_mm, shot.power_w, **{**patient.options, "on": stand.on}
    )
    return planes_through(sound)


def planes_through(sound: Sonication) -> tuple[Cut, Cut]:
    """Return the planes of the array's x and y axis through its axis and the focus."""
    beam, pose = sound.beam, sound.emission.pose
    focus = 1e3 * pose.to_device(np.asarray(sound.emission.focus_mm))
    depth = 1e3 * (beam.corner_m[2] + np.arange(beam.shape[0]) * beam.spacing_m)
    made = []
    for axis, at in enumerate(indices_of(sound)):
        across = 1e3 * (beam.corner_m[axis] + np.arange(beam.shape[2 - axis]) * beam.spacing_m)
        made.append(
            Cut(
                pose, axis, depth, across, sound.amplitude_pa.array[at][:-1].copy(), sound.beam_heat_w_m3.array[at].copy(),
                sound.solid.array[at].copy(), (float(focus[2]), float(focus[axis])), 1e3 * beam.spacing_m,
            )
        )  # fmt: skip
    return made[0], made[1]


def indices_of(sound: Sonication) -> tuple[tuple[slice, int], tuple[slice, slice, int]]:
    """Return which cells of the beam lie in those two planes."""
    _, row, column = sound.beam.index_of(np.asarray(sound.emission.focus_mm))
    row, column = (int(np.clip(i, 0, n - 1)) for i, n in ((row, sound.beam.shape[1]), (column, sound.beam.shape[2])))
    every = slice(None)
    return (every, row), (every, every, column)
