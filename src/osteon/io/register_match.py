"""The workings of rigid registration: images as SimpleITK holds them, starts over all shifts, one descent, one score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
from scipy import fft, ndimage

from osteon.data_files import read_data
from osteon.evidence.value import Value, spread_from
from osteon.space.volume import Array, Grid, Volume

BINS = 32
SCORED = 30000
STEPS = 80
REMAP_BINS, REMAP_CAP = 256, 4.0
ENDS_AT_MM = 0.01


@cache
def numbers() -> Mapping[str, Value]:
    """Return the settings of ``register.yaml``, each with unit, spread and source."""
    entries: dict[str, dict[str, Any]] = read_data("osteon.io", "register.yaml")
    return {
        name: Value(float(e["number"]), e["unit"], spread_from(e["spread"]), e["source"], bool(e["verified"]))
        for name, e in entries.items()
    }


def number(name: str) -> float:
    """Return one setting's number, in the unit that ``register.yaml`` gives it."""
    return numbers()[name].number


def _sitk() -> Any:
    """Return SimpleITK, loaded at the first registration: a case without a second image starts without it."""
    import SimpleITK

    return SimpleITK


@dataclass(frozen=True, eq=False)
class Level:
    """An image and its mask on isotropic voxels along LPS axes, smoothed to that voxel size."""

    image: Any
    mask: Any
    volume: Volume
    inside: Volume

    @property
    def millilitres(self) -> float:
        """Volume of what may be compared."""
        return float(self.inside.array.sum()) * self.volume.grid.voxel_mm3 / 1000.0


def to_itk(array: Array, grid: Grid) -> Any:
    """Return a SimpleITK image; both sides use LPS mm, so the affine is only taken apart."""
    sitk = _sitk()
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    matrix = grid.matrix
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing([float(v) for v in spacing])
    image.SetDirection([float(v) for v in (matrix[:3, :3] / spacing).ravel()])
    image.SetOrigin([float(v) for v in matrix[:3, 3]])
    return image


def straight(volume: Volume) -> Volume:
    """Return a volume whose axes are at right angles, as SimpleITK needs them; a sheared one is resampled."""
    matrix = volume.grid.matrix[:3, :3]
    directions = matrix / np.linalg.norm(matrix, axis=0)
    if np.abs(directions.T @ directions - np.eye(3)).max() < 1e-4:
        return volume
    corners = volume.grid.corners_mm()
    return volume.resample(Grid.box(corners.min(0), corners.max(0), min(volume.spacing_mm)))


def lightened(volume: Volume, mask: Volume, spacing_mm: float) -> tuple[Volume, Volume]:
    """Return image and mask with whole blocks of voxels averaged, as long as they stay no larger than ``spacing_mm``.

    A level of 2 mm loses nothing when voxels of 0.7 mm are first joined to 1.4 mm, and everything after is four times faster.
    """
    blocks = [max(1, int(spacing_mm / s + 1e-6)) for s in volume.spacing_mm]
    kept = [n // b for n, b in zip(volume.grid.shape, blocks, strict=True)]
    if max(blocks) == 1 or min(kept) == 0:
        return volume, mask
    window = tuple(slice(n * b) for n, b in zip(kept, blocks, strict=True))
    split = [part for n, b in zip(kept, blocks, strict=True) for part in (n, b)]
    inside = mask.array[window]
    total = np.where(inside, volume.array[window], np.float32(0)).reshape(split).sum(axis=(1, 3, 5), dtype=np.float32)
    count = inside.reshape(split).sum(axis=(1, 3, 5), dtype=np.float32)
    affine = volume.grid.matrix
    affine[:3, 3] = volume.grid.to_mm((np.array(blocks) - 1) / 2)
    affine[:3, :3] *= np.array(blocks[::-1])
    image = Volume.of(total / np.maximum(count, 1), affine)
    return image, image.with_array(count >= np.prod(blocks) / 2)


def level_of(volume: Volume, mask: Volume, spacing_mm: float) -> Level:
    """Return an image smoothed and resampled to isotropic voxels along the patient's axes, with its mask."""
    sitk = _sitk()
    image = to_itk(volume.array, volume.grid)
    sigmas = [0.5 * float(np.sqrt(max(spacing_mm**2 - s**2, 0.0))) for s in image.GetSpacing()]
    if max(sigmas) > 0:
        image = sitk.SmoothingRecursiveGaussian(image, [max(s, 1e-3 * spacing_mm) for s in sigmas])
    corners = volume.grid.corners_mm()
    grid = Grid.box(corners.min(0), corners.max(0), spacing_mm)
    reference = to_itk(np.zeros(grid.shape, np.uint8), grid)
    still = sitk.Transform(3, sitk.sitkIdentity)
    image = sitk.Resample(image, reference, still, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    flat = to_itk(mask.array.astype(np.uint8), volume.grid)
    inside = sitk.Resample(flat, reference, still, sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    arrays = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(inside).astype(bool)
    return Level(image, inside, Volume(arrays[0], grid), Volume(arrays[1], grid))


def levelled(array: Array, inside: Array) -> Array:
    """Return values remapped to 0..1 so that bins hold tissue: air, fat and muscle each get their share, metal none.

    A histogram equalisation with capped counts; monotone, so mutual information loses nothing but what it binned away.
    """
    low, high = (float(v) for v in np.percentile(array[inside], [0.5, 99.5]))
    if high <= low:
        low, high = float(array[inside].min()), float(array[inside].max())
    counts, edges = np.histogram(array[inside], bins=REMAP_BINS, range=(low, high))
    share = np.minimum(counts, REMAP_CAP * counts.mean()) + 0.1 * counts.mean()
    ranks = np.concatenate([[0.0], np.cumsum(share) / share.sum()])
    return cast(Array, np.interp(np.where(inside, array, low), edges, ranks).astype(np.float32))


def shifts(fixed: Level, moving: Level, count: int) -> list[Array]:
    """Return the shifts (fixed to moving, mm) at which two images or their edges look most alike, over all shifts.

    Normalised cross-correlation under masks by Fourier transform: D. Padfield, IEEE Trans Image Process 21 (2012) 2706.
    Edges are compared too, because tissue bright in CT may be dark in MR.
    """
    spacing = fixed.volume.spacing_mm[0]
    offset = fixed.volume.grid.matrix[:3, 3] - moving.volume.grid.matrix[:3, 3]
    found: list[tuple[float, Array]] = []
    for edges in (False, True):
        pictures = [_edges(level) if edges else level.volume.array for level in (fixed, moving)]
        alike = _correlate(pictures[0], fixed.inside.array, pictures[1], moving.inside.array)
        for _ in range(count):
            at = np.unravel_index(int(np.argmax(alike)), alike.shape)
            best = float(alike[at])
            if best <= 0:
                break
            lag = np.array(at) - (np.array(moving.volume.array.shape) - 1)  # fixed index = moving index + lag
            found.append((best, -lag[::-1] * spacing - offset))
            near = tuple(slice(max(int(a) - 3, 0), int(a) + 4) for a in at)
            alike[near] = 0
    return [shift for _, shift in sorted(found, key=lambda pair: -pair[0])]


def _edges(level: Level) -> Array:
    return cast(Array, ndimage.gaussian_gradient_magnitude(level.volume.array, 1.0).astype(np.float32))


def _correlate(fixed: Array, fixed_in: Array, moving: Array, moving_in: Array) -> Array:
    """Return the masked correlation for every lag; 0 where too little overlaps."""
    shape = [fft.next_fast_len(a + b - 1, real=True) for a, b in zip(fixed.shape, moving.shape, strict=True)]

    def forward(array: Array) -> Array:
        return cast(Array, fft.rfftn(array.astype(np.float64), shape))

    def product(one: Array, other: Array) -> Array:
        full = fft.irfftn(one * other, shape)
        window = tuple(slice(a + b - 1) for a, b in zip(fixed.shape, moving.shape, strict=True))
        return cast(Array, full[window])

    f = np.where(fixed_in, fixed - fixed[fixed_in].mean(), 0)
    m = np.where(moving_in, moving - moving[moving_in].mean(), 0)[::-1, ::-1, ::-1]
    m_in = moving_in[::-1, ::-1, ::-1]
    ff, f1, f2 = forward(f), forward(fixed_in), forward(f * f)
    mm, m1, m2 = forward(m), forward(m_in), forward(m * m)
    count = np.maximum(np.rint(product(f1, m1)), 1)
    sum_f, sum_m = product(ff, m1), product(f1, mm)
    cross = product(ff, mm) - sum_f * sum_m / count
    spread_f = np.maximum(product(f2, m1) - sum_f**2 / count, 0)
    spread_m = np.maximum(product(f1, m2) - sum_m**2 / count, 0)
    scale = np.sqrt(spread_f * spread_m)
    enough = count >= number("least_overlap") * min(fixed_in.sum(), moving_in.sum())
    return cast(Array, np.where(enough & (scale > 1e-6 * scale.max()), np.abs(cross) / np.maximum(scale, 1e-30), 0))


@dataclass(frozen=True, eq=False)
class Descent:
    """Where one descent ended: fixed to moving, 4 x 4 LPS mm, and whether it came to rest."""

    matrix: Array
    rested: bool


def descend(fixed: Level, moving: Level, start: Array, *, seed: int, part: Array | None = None) -> Descent:
    """Climb the Mattes mutual information from one start; one thread and seeded sampling, so equal calls end equally.

    Parameters
    ----------
    fixed, moving : Level
        Images of one level.
    start : ndarray
        4 x 4, fixed to moving, LPS mm.
    seed : int
        Of the sampling.
    part : ndarray of bool or None
        Compare only there, on the fixed level's voxels.

    Returns
    -------
    Descent
        ``rested`` is False where no descent was possible: too few points map into the moving image.
    """
    sitk = _sitk()
    inside = fixed.inside.array if part is None else fixed.inside.array & part
    if int(inside.sum()) < 10 * BINS:
        return Descent(start, rested=False)
    if part is None and moving.millilitres < fixed.millilitres:  # else most samples would map outside the smaller image
        back = descend(moving, fixed, np.linalg.inv(start), seed=seed)
        return Descent(np.linalg.inv(back.matrix), back.rested)
    centre = fixed.volume.grid.to_mm(_middle(inside))
    transform = sitk.Euler3DTransform()
    transform.SetCenter([float(v) for v in centre])
    transform.SetMatrix([float(v) for v in start[:3, :3].ravel()], 1e-6)
    transform.SetTranslation([float(v) for v in start[:3, :3] @ centre + start[:3, 3] - centre])
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(to_itk(inside.astype(np.uint8), fixed.volume.grid))
    method.SetMetricMovingMask(moving.mask)
    method.SetMetricSamplingStrategy(method.RANDOM)  # off the lattice: on it, interpolation favours whole-voxel shifts
    method.SetMetricSamplingPercentage(float(min(1.0, number("samples") / int(inside.sum()))), 1 + seed)
    method.MetricUseFixedImageGradientFilterOff()
    method.MetricUseMovingImageGradientFilterOff()
    method.SetInterpolator(sitk.sitkLinear)
    voxel = fixed.volume.spacing_mm[0]
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=voxel, minStep=ENDS_AT_MM, numberOfIterations=STEPS, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # the metric has threads of its own; their sums depend on their order
    try:
        method.Execute(fixed.image, moving.image)
    except RuntimeError:  # SimpleITK's only class: no sample maps into the moving image
        return Descent(start, rested=False)
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    out = np.eye(4)
    out[:3, :3] = rotation
    out[:3, 3] = centre + np.array(transform.GetTranslation()) - rotation @ centre
    return Descent(out, rested=method.GetOptimizerIteration() < STEPS)


def _middle(inside: Array) -> Array:
    """Return the mean index of the true voxels, without listing them."""
    counts = [inside.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    return np.array([float(np.average(np.arange(len(c)), weights=c)) for c in counts])


@dataclass(frozen=True)
class Score:
    """How much two images tell of each other under a transform."""

    information: float
    overlap: float

    @property
    def worth(self) -> float:
        """Information weighted by overlap: a sliver that fits by chance must not win."""
        return self.information * min(1.0, self.overlap)


def score(fixed: Level, moving: Level, matrix: Array) -> Score:
    r"""Return the entropy correlation coefficient and the overlap under ``matrix`` (fixed to moving).

    .. math:: ECC = 2 I(F; M) / (H(F) + H(M))

    F. Maes et al., IEEE Trans Med Imaging 16 (1997) 187. It lies between 0 (independent) and 1 (one determines the other).
    Overlap is the common volume over the smaller of the two.
    """
    flat = np.flatnonzero(fixed.inside.array)
    flat = flat[:: max(1, len(flat) // SCORED)]
    index = np.stack(np.unravel_index(flat, fixed.inside.array.shape), axis=-1)
    places = fixed.volume.grid.to_mm(index) @ matrix[:3, :3].T + matrix[:3, 3]
    common = moving.inside.sample(places, fill=0.0) > 0.5
    smaller = min(1.0, float(moving.inside.array.sum()) / max(1, int(fixed.inside.array.sum())))
    overlap = float(common.mean()) / smaller if smaller else 0.0
    if int(common.sum()) < 10 * BINS:
        return Score(0.0, min(1.0, overlap))
    values_f = fixed.volume.array[tuple(index[common].T)]
    values_m = moving.volume.sample(places[common], fill=0.0)
    joint, _, _ = np.histogram2d(values_f, values_m, bins=BINS)
    joint /= joint.sum()
    alone = _entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))
    information = 2 * (alone - _entropy(joint)) / alone if alone > 0 else 0.0
    return Score(float(max(information, 0.0)), min(1.0, overlap))


def _entropy(p: Array) -> float:
    used = p[p > 0]
    return float(-(used * np.log(used)).sum())
