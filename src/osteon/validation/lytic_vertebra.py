"""Lesions of 4 to 35 % of a vertebral body take 3 to 30 % of its stiffness; size matters, place hardly.

The phantom's L3 with a ball of soft tissue of a given share of the body, without a breach, at one of five places. Elastic runs
only. The source measured it by digital volume correlation.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from osteon.assessment.loads.base import LoadCase, Pose
from osteon.assessment.loads.vertebra import VertebraCompression
from osteon.assessment.strength_material import middle_draw
from osteon.assessment.strength_run import run_bone
from osteon.assessment.strength_voxels import voxels_of
from osteon.case.phantom import Phantom, build
from osteon.case.phantom_vertebra import CENTRE_Z, HALF_HEIGHT_MM
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Array, Volume
from osteon.tissue.calibration import Calibration, from_air_fat_muscle
from osteon.validation.base import Report, Row

SOURCE = "Palanca, Garavelli: 4 to 35 % of the volume takes 3 to 30 % of the stiffness; size matters, place hardly"
SHARES = (0.04, 0.12, 0.2, 0.35)
PLACES = {
    "middle": (0.0, -2.0, 0.0),
    "left": (6.0, -2.0, 0.0),
    "front": (0.0, -6.0, 0.0),
    "back": (0.0, 2.0, 0.0),
    "up": (0.0, -2.0, 4.0),
}
PLACE_SHARE = 0.12  # of the balls that are moved
LESION_HU = 40.0
HU = {"air": -1000.0, "fat": -100.0, "muscle": 52.0}
EDGE_MM = 1.5


def run(observe: Callable[[float], None]) -> Report:
    """Run it.

    Parameters
    ----------
    observe : callable
        Told the fraction done.

    Returns
    -------
    Report
        Loss of stiffness over the share of the body, and what place does at one share.
    """
    began = time.perf_counter()
    made = build("vertebra", lesion_mm=5.0, breach=False, spacing_mm=1.0)
    anatomy = _anatomy(made, made.image.array)
    case, how = LoadCase("vertebra-compression", structure("vertebra_L3")), VertebraCompression()
    pose, calibration = how.pose(anatomy, case), from_air_fat_muscle(HU, contrast=False)
    at = made.image.grid.to_mm(np.argwhere(np.ones(made.image.grid.shape, bool))).reshape(*made.image.grid.shape, 3)
    body = made.masks[structure("vertebra_L3")].array & (at[..., 1] < 15.0) & (np.abs(at[..., 2] - CENTRE_Z) <= HALF_HEIGHT_MM)
    whole = _stiffness(anatomy, case, how, pose, calibration)
    cases = [("middle", share) for share in SHARES] + [(place, PLACE_SHARE) for place in PLACES if place != "middle"]
    loss: dict[tuple[str, float], float] = {}
    shares: dict[tuple[str, float], float] = {}
    for number, (place, share) in enumerate(cases):
        ball = _ball(body, at, np.array(PLACES[place]) + np.array([0.0, 0.0, CENTRE_Z]), share)
        hit = _anatomy(made, np.where(ball, np.float32(LESION_HU), made.image.array))
        loss[place, share] = 1.0 - _stiffness(hit, case, how, pose, calibration) / whole
        shares[place, share] = ball.sum() / body.sum()
        observe((number + 1) / len(cases))
    return Report("lytic-vertebra", tuple(_rows(loss, shares)), "done", time.perf_counter() - began, (
        f"Cubes of {EDGE_MM:g} mm; lesions of {LESION_HU:g} HU; a made-up vertebra, no specimen of the source.",
        "Ball-shaped lesions; the source's were simulated defects and real metastases of other shapes.",
    ))  # fmt: skip


def _rows(loss: dict[tuple[str, float], float], shares: dict[tuple[str, float], float]) -> list[Row]:
    rows = []
    reference = {0.04: (3.0, 3.0), 0.35: (30.0, 10.0)}  # per cent, and tolerance in points, set first
    for share in SHARES:
        middle, off = reference.get(share, (None, None))
        rows.append(Row(
            f"stiffness_lost_percent[{100 * share:g} %]", 100 * loss["middle", share], "%",
            f"ball in the middle of the body of {100 * shares['middle', share]:.1f} % of its volume", middle, SOURCE, off,
        ))  # fmt: skip
    rising = [loss["middle", share] for share in SHARES]
    rows.append(Row("larger_is_weaker", float(all(np.diff(rising) > 0)), "1", "1: each larger ball takes more", 1.0, SOURCE, 0.0))
    moved = [loss[place, PLACE_SHARE] for place in PLACES]
    of_size, of_place = rising[-1] - rising[0], max(moved) - min(moved)
    text = f"range over five places at {100 * PLACE_SHARE:g} % over range over sizes 4 to 35 %; below 0.5: size matters more"
    rows.append(Row("place_over_size", of_place / of_size, "1", text, 0.0, SOURCE, 0.5))
    for place in PLACES:
        moved_by = ", ".join(f"{v:g}" for v in PLACES[place])
        text = f"ball of {100 * shares[place, PLACE_SHARE]:.1f} % at {moved_by} mm from the middle"
        rows.append(Row(f"stiffness_lost_percent[{place}]", 100 * loss[place, PLACE_SHARE], "%", text))
    return rows


def _anatomy(made: Phantom, image: Array) -> Anatomy:
    masks = {k: v for k, v in made.masks.items() if k.id in ("vertebra_L3", "spinal_cord")}
    seen = Volume(np.ones(made.image.grid.shape, bool), made.image.grid)
    return Anatomy(imaged=seen, image=made.image.with_array(image), masks=masks, contrast=False)


def _ball(body: Array, at: Array, centre: Array, share: float) -> Array:
    """Return the ball round a point, cut to the body, that holds this share of it."""
    distance = np.where(body, np.linalg.norm(at - centre, axis=-1), np.inf)
    reach = np.sort(distance[body])[round(share * body.sum()) - 1]
    return np.asarray(distance <= reach)


def _stiffness(anatomy: Anatomy, case: LoadCase, how: VertebraCompression, pose: Pose, calibration: Calibration) -> float:
    voxels = voxels_of(anatomy, case, pose, calibration, EDGE_MM, how.margin_mm)
    return run_bone(voxels, how, pose, middle_draw(case.bone), to_failure=False).run.stiffness
