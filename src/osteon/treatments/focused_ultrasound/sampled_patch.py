"""The part of a patient that one beam crosses: cut out, packed, and small enough to go to another process with every draw."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Array, Grid, Volume, Window
from osteon.tissue.acoustics import AcousticMap, acoustic_map
from osteon.tissue.acoustics_rows import acoustic_row
from osteon.tissue.bone import body_mask
from osteon.tissue.properties import tissue
from osteon.treatments.focused_ultrasound import way_in
from osteon.treatments.focused_ultrasound.beam import ArrayPose, beam_grid
from osteon.treatments.focused_ultrasound.session_setup import NEAR_FIELD, prepare
from osteon.treatments.focused_ultrasound.shots import Aim
from osteon.treatments.focused_ultrasound.sonication import COUPLING, MARGIN_WAVES
from osteon.treatments.focused_ultrasound.transducer import Transducer

AROUND_MM = 8.0  # of the patient that stays beside the beam: a focus misses by 6 mm at most
NO_HU = -1024.0  # of voxels without a number, which are not imaged


@dataclass(frozen=True, eq=False)
class Patch:
    """A part of a patient.

    Parameters
    ----------
    grid : Grid
        Its voxels.
    hounsfield : ndarray of int16, shape (z, y, x)
        HU, whole numbers.
    imaged : bytes
        Where there is image information, packed as all masks here.
    outlines : mapping of str to bytes
        By id of the structure; the body is always among them.
    watch : mapping of str to bytes
        What is judged: structures with limits, skin, near field.
    contrast : bool or None
        As of the anatomy.
    unreliable, dead : bytes or None
        Where metal spoils the HU; where an earlier application killed.
    """

    grid: Grid
    hounsfield: Array
    imaged: bytes
    outlines: Mapping[str, bytes]
    watch: Mapping[str, bytes]
    contrast: bool | None
    unreliable: bytes | None = None
    dead: bytes | None = None

    @property
    def anatomy(self) -> Anatomy:
        """Image and outlines again."""
        state = {} if self.dead is None else {Field.DEAD: self.mask(self.dead)}
        unreliable = None if self.unreliable is None else self.mask(self.unreliable)
        image = Volume(self.hounsfield.astype(np.float32), self.grid)
        masks = {structure(name): self.mask(packed) for name, packed in self.outlines.items()}
        return Anatomy(self.mask(self.imaged), image, masks, state=state, contrast=self.contrast, unreliable=unreliable)

    def mask(self, packed: bytes) -> Volume:
        """Return a mask that was packed."""
        bits = np.frombuffer(zlib.decompress(packed), np.uint8)
        return Volume(np.unpackbits(bits, count=math.prod(self.grid.shape)).astype(bool).reshape(self.grid.shape), self.grid)


def cut_out(
    anatomy: Anatomy, device: Transducer, aim: Aim, pose: ArrayPose, beyond_mm: float, half_box_mm: float
) -> Patch:  # fmt: skip
    """Return the part of a patient that a beam crosses wherever its focus may miss to, and the heat round the spot.

    Skin and near field are those of the whole image; HU are rounded to whole numbers.

    Parameters
    ----------
    anatomy : Anatomy
        With CT, on cubic voxels.
    device : Transducer
        The array.
    aim : Aim
        Where it is focused.
    pose : ArrayPose
        Where the array stands.
    beyond_mm : float
        How far behind the focus sound is followed.
    half_box_mm : float
        How far round the spot heat is followed.

    Raises
    ------
    InputError, SettingError, MissingError, ImageError
        As ``prepare``, ``acoustic_map`` and the first look of ``sonicate`` at where array and focus are.
    """
    sound = acoustic_map(anatomy, device.frequency_hz)
    way_in.check(sound, device, aim.focus_mm)
    setup = prepare(anatomy, sound, device, [aim])
    window = _window(sound, device, pose, aim, beyond_mm, half_box_mm)
    image = anatomy.image
    assert image is not None  # acoustic_map has read it
    body = body_mask(anatomy, image.array, tissue("hounsfield")["air"].number)[window]
    outlines = {key.id: mask.part(window) for key, mask in anatomy.masks.items()} | {"body": body}
    watch = {}
    for name, voxels in {**setup.watch, NEAR_FIELD: setup.front}.items():
        whole = np.zeros(anatomy.grid.shape, bool)
        whole.ravel()[voxels] = True
        watch[name] = whole[window]
    hu = np.nan_to_num(image.array[window], nan=NO_HU)
    return Patch(
        _part(anatomy.grid, window), np.rint(np.clip(hu, -32768, 32767)).astype(np.int16), _packed(anatomy.imaged.part(window)),
        {name: _packed(mask) for name, mask in outlines.items() if mask.any()},
        {name: _packed(mask) for name, mask in watch.items() if mask.any()}, anatomy.contrast,
        None if anatomy.unreliable is None else _packed(anatomy.unreliable.part(window)),
        _packed(anatomy.state[Field.DEAD].part(window)) if Field.DEAD in anatomy.state else None,
    )  # fmt: skip


def _packed(mask: Array) -> bytes:
    return zlib.compress(np.packbits(mask.astype(bool)).tobytes(), 1)


def _window(
    sound: AcousticMap, device: Transducer, pose: ArrayPose, aim: Aim, beyond_mm: float, half_box_mm: float
) -> Window:  # fmt: skip
    """Return the voxels round the beam from the skin on, however its focus misses, and round the spot."""
    source, focus_m = device.source, pose.to_device(np.asarray(aim.focus_mm, float))
    skin_m, _, _ = way_in.rays(sound, device, pose, focus_m, float(source.points_m[:, 2].max()))
    around_m = 1e-3 * AROUND_MM
    begin_m, end_m = min(skin_m, float(focus_m[2])) - around_m, float(focus_m[2]) + 1e-3 * beyond_mm + around_m
    margin_m = MARGIN_WAVES * acoustic_row(COUPLING).speed_l.number / device.frequency_hz + around_m
    beam = beam_grid(pose, source.centres_m, focus_m, 1e-3, begin_m, end_m, 0.0, margin_m)
    spot = np.asarray(aim.spot_mm) + half_box_mm * np.array([[-1.0], [1.0]])
    cube = np.stack(np.meshgrid(*spot.T, indexing="ij"), axis=-1).reshape(-1, 3)
    index = sound.grid.to_index(np.concatenate([beam.planes.corners_mm(), cube]))
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, np.array(sound.grid.shape) - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, low + 1, sound.grid.shape)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return z, y, x


def _part(grid: Grid, window: Window) -> Grid:
    affine = grid.matrix
    affine[:3, 3] = grid.to_mm(np.array([s.start for s in window], float))
    return Grid.of(tuple(s.stop - s.start for s in window), affine)
