"""One asymmetric patient, drawn once and stored in many ways; and a reader of pictures that knows nothing of osteon's."""

from __future__ import annotations

import base64
import copy
import io
import re
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "io"))
from dicom_made import write_slices

from osteon.case.phantom import JUDGED
from osteon.case.phantom_canvas import Canvas, both, capsule, ellipsoid, grown
from osteon.case.phantom_chart import chart_of
from osteon.case.yaml_lines import write_yaml
from osteon.space.anatomy import structure, structures
from osteon.space.volume import Grid, Volume

FIELD = ((-140.0, -99.0, -260.0), (140.0, 105.0, -110.0))
STEP = (5, 3, 4)
"""Voxel size z, y, x of what is stored [mm]: unequal, so that a swapped axis or spacing shows."""
LESION_MM = (-70.0, -4.0, -185.0)
LESION_RADIUS_MM = 9.5
LESION_HALF_MM = 19.0
"""Half its length: it stands half out of the bone, and a needle along it ends within it, so no bone is on the way."""
ALIKE_MM = 6.0
"""How far its HU go on beyond its outline: more than a voxel, so that it matters not which voxels are the outline's."""
WAY_OUT = (-0.6, -0.57, -0.56)
"""Along the lesion, away from the bone: to the right, forwards and down. There, and there alone, the skin is flat and near."""
SKIN_MM = 50.0
"""From the lesion's middle to that skin: with the tip beyond it in the middle of the search's steps of 10 mm of length."""
PLACES_MM = {
    "sciatic_nerve_right": (-52.0, 61.0, -185.0),  # behind, where it crosses the lesion's axial plane
    "iliac_artery_right": (-35.0, -27.5, -185.0),  # in front, towards the middle
    "colon": (-74.0, -45.0, -150.0),  # in front and above
    "hip_joint_right": (-72.0, -2.0, -236.0),  # below
}
LETTERS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


@dataclass(frozen=True, eq=False)
class Patient:
    """A patient on a grid: HU, label numbers with their names, body and lesion, and what case.yaml says of him."""

    image: Volume
    labels: Volume
    names: dict[int, str]
    body: Volume
    lesion: Volume
    chart: dict[str, Any]

    def volumes(self) -> dict[str, Volume]:
        return {"image": self.image, "labels": self.labels, "body": self.body, "lesion": self.lesion}


@cache
def drawn() -> Patient:
    """Draw the patient in voxels of 1 mm: the lesion deep in the right hip, other things in front, behind, above and below.

    Nothing lies at a threshold: the test is of left and right, not of how voxels sample an edge.
    """
    canvas = Canvas(*FIELD, 1.0, "turned")
    body = both(ellipsoid((0, 2, 0), (134, 96, np.inf)), flat_side)
    canvas.paint("skin", body, 40)
    canvas.paint("fat", grown(body, -5), -100)
    canvas.paint("muscle", grown(body, -17), 55)
    shell = {"cortex_mm": 4.0, "cortex_hu": 1300.0, "inside_hu": 190.0, "texture_hu": 40.0}
    for name, centre, radii in (
        ("hip_right", (-55, 17, -160), (30, 36, 40)),
        ("hip_left", (64, 12, -192), (20, 40, 46)),
        ("sacrum", (1, 58, -190), (32, 20, 45)),
    ):
        low, high = (tuple(c + s * (r + 4.0) for c, r in zip(centre, radii, strict=True)) for s in (-1, 1))
        canvas.bone(name, ellipsoid(centre, radii), (low, high), **shell)  # type: ignore[arg-type]
    canvas.paint("colon", ellipsoid((-74, -45, -150), (16, 14, 20)), 25)
    canvas.paint("small_bowel", ellipsoid((20, -45, -160), (22, 18, 20)), 30)
    canvas.paint("urinary_bladder", ellipsoid((8, -35, -235), (24, 20, 16)), 8)
    canvas.paint("hip_joint_right", ellipsoid((-72, -2, -236), (13, 13, 7)), 70)
    canvas.rod("sciatic_nerve_right", [(-45, 55, -110), (-52, 61, -185), (-58, 66, -260)], 4.5, 30)
    canvas.rod("sciatic_nerve_left", [(48, 52, -110), (56, 60, -185), (60, 66, -260)], 4.5, 30)
    canvas.rod("lumbosacral_plexus_right", [(-16, 30, -110), (-40, 45, -140)], 4.5, 30)
    canvas.rod("iliac_artery_right", [(-22, -10, -110), (-35, -27.5, -185), (-30, -30, -260)], 5.5, 45)
    canvas.rod("iliac_vein_right", [(-14, 8, -110), (-24, -12, -185), (-16, -22, -260)], 5.5, 42)
    canvas.rod("femoral_nerve_left", [(60, -50, -110), (72, -62, -260)], 4.0, 30)
    hip = canvas.label == canvas.number("hip_right")
    reach = LESION_HALF_MM - LESION_RADIUS_MM
    distance = capsule(along(-reach), along(reach), LESION_RADIUS_MM)
    window = canvas.paint(None, grown(distance, ALIKE_MM), 40)
    x, y, z = (a.reshape(s) for a, s in zip(canvas.axes, ((1, 1, -1), (1, -1, 1), (-1, 1, 1)), strict=True))
    lesion = np.zeros(canvas.grid.shape, bool)
    lesion[window] = distance(x, y, z)[window] < 0
    numbers = np.where(lesion & ~hip, 0, canvas.label).astype(np.uint8)
    names = {i: n for i, n in enumerate(canvas.labels) if i and (numbers == i).any()}
    chart = chart_of("ilium", "hip_right", 2 * LESION_HALF_MM, True, 1.0, 0)
    inside = canvas.label > 0
    image = canvas.finish()
    grid = image.grid
    return Patient(image, Volume(numbers, grid), names, Volume(inside, grid), Volume(lesion, grid), chart)


def along(mm: float) -> tuple[float, float, float]:
    """Return the place so far from the lesion's middle along the way out."""
    x, y, z = (c + mm * w for c, w in zip(LESION_MM, WAY_OUT, strict=True))
    return x, y, z


def flat_side(x: Any, y: Any, z: Any) -> Any:
    """Signed distance to the plane that cuts the body flat where the way in begins."""
    return sum(np.float32(n) * (p - np.float32(c)) for n, p, c in zip(WAY_OUT, (x, y, z), LESION_MM, strict=True)) - SKIN_MM


@cache
def mirrored() -> Patient:
    """Return the patient's mirror image: what was on the right is on the left, and is called so."""
    one = drawn()

    def over(volume: Volume) -> Volume:
        return volume.with_array(np.ascontiguousarray(volume.array[..., ::-1]))

    chart = copy.deepcopy(one.chart)
    chart["lesions"][0] |= {"bone": "hip_left", "side": "left"}
    return Patient(
        over(one.image),
        over(one.labels),
        {k: other_side(v) for k, v in one.names.items()},
        over(one.body),
        over(one.lesion),
        chart,
    )


def other_side(text: str) -> str:
    """Swap left and right in words."""
    swap = {"left": "right", "right": "left", "LEFT": "RIGHT", "RIGHT": "LEFT"}
    return re.sub("left|right|LEFT|RIGHT", lambda m: swap[m[0]], text)


def on_grid(patient: Patient, code: str = "LPS", tilt_degrees: float = 0.0) -> Patient:
    """Return the patient in voxels of 4 x 3 x 5 mm; with a tilt, slices of this order slide along their columns."""
    if not tilt_degrees:
        thin = tuple(slice(None, None, s) for s in STEP)
        affine = patient.image.grid.matrix
        affine[:3, :3] *= np.array(STEP[::-1])

        def picked(volume: Volume) -> Volume:
            return Volume.of(volume.array[thin].copy(), affine)

        return replace(patient, **{k: picked(v) for k, v in patient.volumes().items()})
    grid = leaning_grid(patient.image.grid, code, tilt_degrees)
    low, high = (getattr(patient.image.grid.corners_mm(), end)(0) for end in ("min", "max"))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)
    places = np.clip(grid.to_mm(index), low, high)  # the patient goes on beyond the field that was drawn

    def sampled(volume: Volume) -> Volume:
        order = 1 if volume is patient.image else 0
        return Volume(np.rint(volume.sample(places, order)).astype(volume.array.dtype), grid)

    return replace(patient, **{k: sampled(v) for k, v in patient.volumes().items()})


def leaning_grid(fine: Grid, code: str, tilt_degrees: float) -> Grid:
    """Return a grid, axes in the order x, y, z, on which slices (the code's last axis) slide along columns (its second)."""
    _, row, cut = (axis_of(c)[0] for c in code)
    sign = axis_of(code[1])[1] * axis_of(code[2])[1]
    size = np.array(STEP[::-1], float)
    count = np.array(fine.shape[::-1]) // np.array(STEP[::-1]) + 1
    slide = sign * np.tan(np.deg2rad(tilt_degrees)) * size[cut]
    extra = int(np.ceil(abs(slide) * (count[cut] - 1) / 2 / size[row]))
    affine = np.diag([*size, 1.0])
    affine[row, cut] = slide
    affine[:3, 3] = fine.matrix[:3, 3]
    affine[row, 3] -= extra * size[row] + slide * (count[cut] - 1) / 2
    count[row] += 2 * extra
    return Grid.of(tuple(int(n) for n in count[::-1]), affine)


def axis_of(letter: str) -> tuple[int, int]:
    """Return which patient axis a letter follows, and whether along or against it."""
    axis = int(np.argmax(np.abs(LETTERS[letter])))
    return axis, int(LETTERS[letter][axis])


def turned(volume: Volume, code: str) -> Volume:
    """Return the same voxels in the same places, stored along other axes: columns, rows, slices run towards the letters."""
    order = [axis_of(c)[0] for c in code]
    array = np.transpose(volume.array, [2 - order[2], 2 - order[1], 2 - order[0]])
    affine = volume.grid.matrix[:, [*order, 3]]
    for new, letter in enumerate(code):
        if axis_of(letter)[1] < 0:
            array = np.flip(array, 2 - new)
            affine[:3, 3] += affine[:3, new] * (array.shape[2 - new] - 1)
            affine[:3, new] *= -1
    return Volume.of(np.ascontiguousarray(array), affine)


def save_nifti(volume: Volume, file: Path, *, signs_wrong: bool = False) -> None:
    """Write with nibabel alone, the affine as an sform: a qform cannot hold a shear. Signs are wrong where LPS is called RAS."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0] if signs_wrong else [-1.0, -1.0, 1.0, 1.0]) @ volume.grid.matrix
    array = volume.array.astype(np.uint8) if volume.array.dtype in (bool, np.uint8) else volume.array.astype(np.int16)
    image = nib.Nifti1Image(array.transpose(2, 1, 0), affine)
    image.set_sform(affine, code=1)
    image.set_qform(None, code=0)
    nib.save(image, file)


def store(
    patient: Patient,
    folder: Path,
    kind: str = "nifti",
    axes: str = "LPS",
    *,
    outlines: tuple[str, str, str] = ("LPS", "LPS", "LPS"),
    position: str = "HFS",
    signs_wrong: tuple[str, ...] = (),
) -> Path:
    """Write a case folder: the image along ``axes``; label map, body and lesion each along axes of their own.

    The affines of the volumes in ``signs_wrong`` are written as LPS where NIfTI wants RAS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = turned(patient.image, axes)
    file = "ct" if kind == "dicom" else "ct.nii.gz"
    study = {"id": "ct1", "modality": "CT", "file": file, "date": "2025-03-03", "patient_position": position, "contrast": False}
    if kind == "dicom":
        write_slices(image, folder / "ct", PatientPosition=position)
    else:
        save_nifti(image, folder / "ct.nii.gz", signs_wrong="image" in signs_wrong)
    for name, way in zip(("labels", "body", "lesion"), outlines, strict=True):
        save_nifti(turned(patient.volumes()[name], way), folder / f"{name}.nii.gz", signs_wrong=name in signs_wrong)
    found = {structure(n) for n in patient.names.values()}
    lesion = patient.chart["lesions"][0]
    tree = {k: patient.chart[k] for k in ("schema", "patient", "date", "stamps")} | {
        "studies": [study],
        "labels": [{"file": "labels.nii.gz", "names": patient.names}],
        "structures": {"body": {"file": "body.nii.gz"}},
        "absent": [s.id for s in structures().values() if s.kind in JUDGED and s not in found],
        "facts": patient.chart["facts"],
        "lesions": [{**lesion, "outline": {"file": "lesion.nii.gz"}}],
        "timeline": [],
    }
    (folder / "case.yaml").write_text(write_yaml(tree), encoding="utf-8")
    return folder


def pictures_of(page: str) -> list[str]:
    """Return every picture of a page, in its order."""
    return re.findall(r"<svg.*?</svg>", page, re.S)


class Seen:
    """What can be read off one picture without knowing how it was made: letters at the edges, scale, lines, grey values."""

    def __init__(self, svg: str) -> None:
        self.svg = svg
        self.size = float(re.findall(r'viewBox="0 0 ([\d.]+)', svg)[0])
        self.words = [(float(x), float(y), t) for x, y, t in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<', svg)]

    def edges(self) -> tuple[str, str, str, str]:
        """Return the letter nearest to the left, right, top and bottom edge."""
        middle = self.size / 2
        marks = [(x, y, t) for x, y, t in self.words if re.fullmatch("[LRAPSI]{1,3}", t)]
        ends = ((0, middle), (self.size, middle), (middle, 0), (middle, self.size))
        found = [min(marks, key=lambda m, e=end: np.hypot(m[0] - e[0], m[1] - e[1]))[2] for end in ends]
        return found[0], found[1], found[2], found[3]

    def mm_per_unit(self) -> float:
        """Return the scale, from the bar under the words 20 mm."""
        bars = re.findall(r'<line x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="\2"[^>]*stroke-width="2.5"', self.svg)
        (x0, _, x1) = bars[0]
        assert any(t == "20 mm" for _, _, t in self.words)
        return 20.0 / (float(x1) - float(x0))

    def middle_of(self, colour: str, dash: str = "") -> np.ndarray | None:
        """Return the middle of what one line style encloses, in picture units; None where it is not drawn."""
        ends = f' stroke-dasharray="{dash}"' if dash else ""
        found = re.findall(
            rf'<path d="([^"]*)" fill="none" stroke="{colour}" stroke-width="[\d.]+" stroke-linejoin="round"{ends}[ /]', self.svg
        )
        if not dash:
            found = [d for d in found if f'd="{d}"' in self.svg]
        if not found:
            return None
        points = np.array([[float(a), float(b)] for a, b in re.findall(r"[ML]([\d.]+) ([\d.]+)", found[0])])
        return (points.min(0) + points.max(0)) / 2

    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the picture's right and bottom lie in the patient, by its letters (one letter each)."""
        _, right, _, bottom = self.edges()
        return np.array(LETTERS[right], float), np.array(LETTERS[bottom], float)

    def grey(self) -> np.ndarray:
        """Return the CT that lies under the lines, as numbers 0 to 255."""
        data = re.findall(r'href="data:image/png;base64,([^"]*)"', self.svg)[0]
        return np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"), float)
