"""Hand-made strengths for pictures and words: an elliptical column with arch, lesion and caps; the fields follow simple rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from osteon.assessment.fracture_hint import FractureState
from osteon.assessment.loads.base import LoadCase, Pose
from osteon.assessment.rigidity import Rigidity, RigidityRatio
from osteon.assessment.strength_results import Assumed, Maps, Run, Strength
from osteon.evidence.value import Band
from osteon.space.anatomy import structure
from osteon.space.volume import Grid
from osteon.tissue.calibration import Calibration, Sample

EDGE = 2.0
FITTED = (Sample("air", -1000.0, -0.84, 0.001), Sample("fat", -100.0, -0.08, -0.009), Sample("muscle", 53.0, 0.03, 0.008))
CALIBRATION = Calibration(
    "air-fat-muscle", "ha", 0.83e-3, -0.006, 0.0, FITTED, (0.8, 1.2), ("eggermont-2019",),
    ("The three reference densities are recalled and not confirmed.",),
)  # fmt: skip
OTHER = Calibration("none", "ash", 0.7e-3, -0.009, 0.0, (), (0.6, 1.4), ("knowles-2016",), ())


def _run(stiffness: float, failure: float, linear: float) -> Run:
    at = np.array([0.0, 0.4, 0.7, 1.0, 1.6, 2.4]) * failure / stiffness
    load = failure * np.array([0.0, 0.4, 0.66, 0.82, 0.95, 1.0])
    return Run(
        stiffness=stiffness, linear_load=linear, linear_by="0.0068 x stiffness x height (Crawford 2003)", failure_load=failure,
        failure_at=float(at[-1]), curve=tuple(zip(at.tolist(), load.tolist(), strict=True)), nodes=83044, elements=73219,
        cg_residual=7.9e-5, reaction_imbalance=9.8e-4, solves=32, iterations=125, ended="plateau", share_yielded=0.447,
        dropped=("noise: 3 loose pieces of 7 cubes together",), volume_cm3=46.7,
    )  # fmt: skip


def maps(*, lesion: bool = True) -> Maps:
    """Return fields on a column of 40 x 30 x 28 mm with an arch behind and caps on its ends."""
    shape = (28, 40, 28)
    affine = np.diag([EDGE, EDGE, EDGE, 1.0])
    affine[:3, 3] = (-28.0, -30.0, 100.0)
    grid = Grid.of(shape, affine)
    z, y, x = (np.arange(n) for n in shape)
    mm = grid.to_mm(np.stack(np.meshgrid(z, y, x, indexing="ij"), -1))
    body = (mm[..., 0] / 20) ** 2 + ((mm[..., 1] + 8) / 15) ** 2 <= 1
    level = np.abs(mm[..., 2] - 127) < 14
    arch = (np.abs(mm[..., 0]) < 5) & (mm[..., 1] > 5) & (mm[..., 1] < 38) & (np.abs(mm[..., 2] - 127) < 6)
    bone = (body & level) | arch
    ill = bone & (((mm - np.array([12.0, -10.0, 127.0])) ** 2).sum(-1) < 10.0**2) if lesion else np.zeros(shape, bool)
    caps = body & ~level & (np.abs(mm[..., 2] - 127) < 24)
    away = ndimage.distance_transform_edt(~ill) * EDGE if lesion else np.full(shape, 20.0)
    used = np.where(bone, np.clip(1.4 - away / 20, 0.1, 1.4), 0).astype(np.float32)
    used[arch] = 0.02
    return Maps(
        grid, bone, ill, np.zeros(shape, bool), caps, used, used * 9.0, bone & (used > 1.0) if lesion else np.zeros(shape, bool),
        3150.0,
    )  # fmt: skip


def _rigidity() -> tuple[Rigidity, RigidityRatio]:
    along = np.arange(-14.0, 15.0, 2.0)
    one = np.ones_like(along)
    start, axis = np.array([0.0, -8.0, 127.0]), np.array([0.0, 0.0, 1.0])
    dip = np.exp(-((along / 6.0) ** 2))
    ratios = {"ea_n": 1 - 0.3 * dip, "ei_least_n_m2": 1 - 0.48 * dip, "ei_most_n_m2": 1 - 0.2 * dip, "gj_n_m2": 1 - 0.25 * dip}
    least = {k: (float(v.min()), float(along[np.argmin(v)])) for k, v in ratios.items()}
    found = Rigidity(along, 1e6 * one, 40 * one, 80 * one, 50 * one, start + along[:, None] * axis, start, axis, False, ())
    return found, RigidityRatio(along, ratios, least, ("ei_least_n_m2",), 35.0, ("against the same bone healed",))


def strength(status: str = "if_no_fracture", **changes: object) -> Strength:
    """Return a strength of L3; ``changes`` replace its parts."""
    bone = structure("vertebra_L3")
    upper, lower = (0.0, -8.0, 141.0), (0.0, -8.0, 113.0)
    pose = Pose(np.eye(3), {"upper end plate": upper, "lower end plate": lower}, (("axis of the load", lower, upper),))
    rigid, ratio = _rigidity()
    asked = "Is there a fracture? The L3 vertebra bears weight and the lesion may be lytic."
    made = Strength(
        LoadCase("vertebra-compression", bone, weight_kg=70.0), "compression of the vertebra", "if_no_fracture", asked, "force",
        pose=pose, now=_run(15200.0, 3150.0, 2130.0), healed=_run(18000.0, 4290.0, 3100.0),
        opposite_why="the L3 vertebra has no other side", failure=Band(3150, 1980, 3780, 2),
        failure_healed=Band(4290, 3430, 5150, 1),
        body_weights=Band(4.59, 2.88, 5.51, 2), demand=(("walking", 2.38, "bergmann-2001"),),
        ratio_healed=Band(0.734, 0.70, 0.78, 20), ratio_of="failure load",
        band_from=("no draws: the runs of every law, times 0.8 to 1.2 for calibration",), most_matters=(("calibration", 0.6),),
        calibration=CALIBRATION, calibration_others=(OTHER,), law="kopperdahl_2002_vertebra",
        law_notes=("All within its range.",),
        voxel_mm=EDGE, maps=maps(), rigidity=rigid, rigidity_ratio=ratio, fracture=FractureState("asked", asked),
        assumptions=(Assumed("Poisson's ratio", "0.3", "ogo", False), Assumed("modulus of cement", "2500 MPa", "ogo", True)),
        notes=("Lower cap held along the axis.",), ended="plateau",
    )  # fmt: skip
    return replace(made, **{"status": status, **changes})  # type: ignore[arg-type]


def refused(why: str = "The scan has slices of 5 mm: too coarse for every law. Scan with 3 mm or less.") -> Strength:
    """Return a strength without numbers."""
    bone = structure("vertebra_L3")
    return Strength(
        LoadCase("vertebra-compression", bone), "compression of the vertebra", "refused", why, "force", ended="refused"
    )
