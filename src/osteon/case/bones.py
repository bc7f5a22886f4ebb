"""Body, skin and pieces of bone from a CT alone, where nobody outlined anything: approximate, and without names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from scipy import ndimage

from osteon.case.fracture import PossibleFracture, cut_edges, possible_fractures
from osteon.case.grow import threshold
from osteon.case.grow_core import enclosed_fraction
from osteon.case.metal import find_metal
from osteon.errors import ImageError
from osteon.space.paths import distance_to
from osteon.space.volume import Array, Volume, box_of

WORK_MM = 2.0
Corner = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class BoneCandidate:
    """A dense piece that is probably bone; which bone, nobody said.

    Parameters
    ----------
    id : str
        bone_1 (the largest), bone_2, ...
    side : {"left", "right", "midline", "unknown"}
        Of the body as imaged; unknown where the image cuts the body at one side, or shows less than a trunk.
    mask : Volume of bool
        On the working grid: the image's, or 2 mm where the image is finer.
    box_mm : tuple of tuple of float
        Low and high corner, LPS mm.
    volume_ml : float
        Of the piece.
    cut : tuple of str
        Where it ends only because the image ends.
    holds_metal : bool
        Whether metal touches it.
    fractures : tuple of PossibleFracture
        Gaps to be confirmed.
    """

    id: str
    side: Literal["left", "right", "midline", "unknown"]
    mask: Volume
    box_mm: tuple[Corner, Corner]
    volume_ml: float
    cut: tuple[str, ...] = ()
    holds_metal: bool = False
    fractures: tuple[PossibleFracture, ...] = ()


@dataclass(frozen=True, eq=False)
class FoundBones:
    """What an image shows by itself; everything here is approximate.

    Parameters
    ----------
    body, skin : Volume of bool
        On the working grid, as everything here. Skin is drawn only where air was imaged beside the body.
    bones : tuple of BoneCandidate
        Largest first.
    implant, unreliable : Volume of bool or None
        Metal, and where its streaks spoil the HU.
    notes : tuple of str
        What a reader must know.
    """

    body: Volume
    skin: Volume
    bones: tuple[BoneCandidate, ...]
    implant: Volume | None
    unreliable: Volume | None
    notes: tuple[str, ...]


def find_bones(image: Volume, imaged: Volume | None = None, lesions: Volume | None = None) -> FoundBones:
    """Find body, skin, pieces of bone and metal in a CT.

    Bone is what is dense inside the body; pieces are split where the connection is much narrower than both sides, which parts
    many joints, leaves some bones together and breaks some bones apart: the pieces have no names.

    Parameters
    ----------
    image : Volume
        CT in HU.
    imaged : Volume of bool, optional
        Where there is image information.
    lesions : Volume of bool, optional
        Outlined lesions: what bone encloses of them was bone, so that a lytic lesion neither opens nor splits its bone.

    Returns
    -------
    FoundBones
        All approximate.

    Raises
    ------
    ImageError
        If no body is in the image.
    """
    image = image.canonical()
    seen = image.with_array(np.ones(image.grid.shape, bool)) if imaged is None else imaged.canonical()
    work = image if min(image.spacing_mm) >= WORK_MM else image.isotropic(max(WORK_MM, min(image.spacing_mm)), fill=-1024.0)
    known = seen.resample(work.grid)
    body = _body(work, known.array)
    if not body.any():
        raise ImageError(
            "No body was found in the image.",
            f"Nothing larger than {threshold('table_thin_mm'):g} mm is denser than {threshold('body_above_hu'):.0f} HU.",
            "Check that this is a CT in HU.",
        )
    metal = find_metal(work, known)
    hard = np.zeros(work.grid.shape, bool) if metal.implant is None else metal.implant.array
    held = np.zeros(work.grid.shape, bool) if lesions is None else lesions.canonical().resample(work.grid).array
    pieces, count = _pieces(work, body, hard, held)
    side_of = _sides(work, body)
    candidates = []
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = [
        int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] * work.grid.voxel_mm3 / 1e3 >= threshold("bone_least_ml")
    ]
    touching = ndimage.binary_dilation(hard) if hard.any() else hard
    for number, piece in enumerate(kept, start=1):
        mask = Volume(pieces == piece, work.grid)
        index = np.argwhere(mask.array)
        corners = work.grid.to_mm(np.stack([index.min(0), index.max(0)]))
        box = (_corner(corners.min(0)), _corner(corners.max(0)))
        ml = float(sizes[piece]) * work.grid.voxel_mm3 / 1e3
        side = side_of(float(work.grid.to_mm(index.mean(axis=0))[0]))
        cut, metallic = cut_edges(mask, known), bool((touching & mask.array).any())
        gaps = possible_fractures(work, mask, split=True)
        candidates.append(BoneCandidate(f"bone_{number}", side, mask, box, ml, cut, metallic, gaps))
    skin = _skin(work, body, known.array)
    whole, layer = Volume(body, work.grid), Volume(skin, work.grid)
    return FoundBones(whole, layer, tuple(candidates), metal.implant, metal.unreliable, _notes(candidates, metal.notes, body))


def _corner(values: Array) -> Corner:
    return float(values[0]), float(values[1]), float(values[2])


def _body(image: Volume, seen: Array) -> Array:
    """Return the largest piece of what is no air, without table and sheets; what a slice encloses is filled."""
    import cc3d

    dense = (image.array > threshold("body_above_hu")) & seen
    half = threshold("table_thin_mm") / 2
    core = distance_to(image.with_array(~dense)).array > half
    if not core.any():
        return np.zeros(dense.shape, bool)
    pieces, count = cc3d.connected_components(core, connectivity=6, return_N=True)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    largest = pieces == int(np.argmax(sizes))
    grown = dense & (distance_to(image.with_array(largest)).array <= half + min(image.spacing_mm) / 2)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in grown])


def _skin(image: Volume, body: Array, seen: Array) -> Array:
    """Return the layer beside imaged air; where the image ends in the body there is no skin to be seen."""
    air = ~body & seen
    thick = max(threshold("skin_mm"), max(image.spacing_mm) * 1.01)
    return cast(Array, body & (distance_to(image.with_array(air)).array <= thick)) if air.any() else air


def _pieces(image: Volume, body: Array, metal: Array, lesions: Array) -> tuple[Array, int]:
    """Return dense pieces inside the body, holes filled, split at narrow places."""
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    dense = body & (image.array > threshold("bone_above_hu")) | metal
    dense |= replaced(dense, lesions, image.spacing_mm)
    inner = enclosed_fraction(dense, image.spacing_mm, threshold("marrow_reach_mm")) >= threshold("marrow_enclosed")
    dense = ndimage.binary_fill_holes(dense | (inner & body))
    area = image.spacing_mm[1] * image.spacing_mm[2]
    dense = np.stack([_marrow_filled(p, hu, area) for p, hu in zip(dense, image.array, strict=True)])
    depth = np.minimum(distance_to(image.with_array(~dense)).array, 120.0)
    steps = np.rint(ndimage.gaussian_filter(depth, 0.7) * 2).astype(np.uint8)  # half millimetres
    lowered = np.maximum(steps.astype(np.int16) - max(int(2 * threshold("joint_depth_mm")), 1), 0)
    domes = reconstruction(
        lowered, steps, method="dilation"
    )  # its flat tops join equal maxima along one shaft; h_maxima does not
    peaks, _ = ndimage.label(local_maxima(domes, connectivity=3) & dense, structure=np.ones((3, 3, 3)))
    pieces = watershed(-depth, peaks, mask=dense)
    return pieces, int(pieces.max())


def replaced(dense: Array, lesions: Array, step: tuple[float, float, float]) -> Array:
    """Return which part of the lesions bone encloses on more than half of all sides: it was bone.

    Parameters
    ----------
    dense, lesions : array of bool, shape (z, y, x)
        Bone as found, and lesions.
    step : tuple of float
        Voxel size (z, y, x) [mm].
    """
    found = np.zeros(dense.shape, bool)
    box = box_of(lesions)
    if box is None:
        return found
    reach = threshold("ray_reach_mm")
    window = tuple(
        slice(max(s.start - int(reach / d) - 1, 0), s.stop + int(reach / d) + 1) for s, d in zip(box, step, strict=True)
    )
    found[window] = lesions[window] & (enclosed_fraction(dense[window], step, reach) >= threshold("enclosed_least"))
    return found


def _marrow_filled(plane: Array, hu: Array, pixel_mm2: float) -> Array:
    """Fill what bone encloses in a slice where it is small or fatty marrow: the spinal canal stays open."""
    filled = ndimage.binary_fill_holes(plane)
    holes, count = ndimage.label(filled & ~plane)
    if count == 0:
        return plane
    numbers = np.arange(1, count + 1)
    areas = np.bincount(holes.ravel(), minlength=count + 1)[1:] * pixel_mm2
    fatty = np.asarray(ndimage.median(hu, holes, numbers)) < threshold("yellow_marrow_below_hu")
    take = np.zeros(count + 1, bool)
    take[1:] = (areas <= threshold("marrow_hole_mm2")) | (fatty & (areas <= threshold("marrow_canal_mm2")))
    return cast(Array, plane | take[holes])


def _sides(image: Volume, body: Array) -> _SideOf:
    """Return how to tell the side: by the middle of the body, where a whole trunk (and no single limb) is imaged."""
    columns = np.flatnonzero(body.any(axis=(0, 1)))
    low_cut, high_cut = bool(columns[0] == 0), bool(columns[-1] == body.shape[2] - 1)
    places = image.grid.to_mm(np.array([[0, 0, columns[0]], [0, 0, columns[-1]]], float))[:, 0]
    trunk = float(np.ptp(places)) >= threshold("trunk_least_mm")
    return _SideOf(float(places.mean()), trunk and not (low_cut or high_cut))


@dataclass(frozen=True)
class _SideOf:
    middle_mm: float
    whole: bool

    def __call__(self, x_mm: float) -> Literal["left", "right", "midline", "unknown"]:
        if not self.whole:
            return "unknown"
        if abs(x_mm - self.middle_mm) < threshold("midline_mm"):
            return "midline"
        return "left" if x_mm > self.middle_mm else "right"


def _notes(bones: list[BoneCandidate], metal: tuple[str, ...], body: Array) -> tuple[str, ...]:
    said = [
        f"{len(bones)} dense pieces were found by threshold ({threshold('bone_above_hu'):.0f} HU); approximate, without names: "
        "calcification, contrast agent and stones count as bone, thin and lytic bone is missed, "
        "bones may be joined at joints or broken into pieces"
    ]
    cut = [b.id for b in bones if b.cut]
    if cut:
        said.append(f"cut by the edge of the image: {', '.join(cut)}")
    said += [f"{b.id}: {f.note}" for b in bones for f in b.fractures]
    faces = {"front": (1, 0), "back": (1, -1), "right": (2, 0), "left": (2, -1)}
    unseen = [name for name, (axis, end) in faces.items() if body.take(end, axis=axis).any()]
    if unseen:
        said.append(
            f"the skin was not imaged on the {', '.join(unseen)}: it is not drawn there, and entry there cannot be judged"
        )
    return (*said, *metal)
