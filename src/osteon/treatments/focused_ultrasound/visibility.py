"""From a patient and the pose of an array to the elements that see the target: what stops sound here, and what nobody can tell.

>>> from osteon.treatments.focused_ultrasound.visibility import pose, visible, way_of  # doctest: +SKIP
>>> way = way_of(anatomy, acoustic_map(anatomy, array.frequency_hz))  # once for a patient  # doctest: +SKIP
>>> on = visible(way, array, pose(array, target_mm, beam=(0, 1, 0))).on("strict")  # once for each pose  # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from osteon.errors import ImageError, InputError, MissingError
from osteon.physics.acoustic_visibility import Visible, visible_elements
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Volume
from osteon.tissue.acoustics import AcousticMap
from osteon.tissue.bone import CODE, LABELS, body_mask
from osteon.tissue.properties import Constants
from osteon.treatments.focused_ultrasound.transducer import Transducer

Array = np.ndarray[Any, np.dtype[Any]]
COUPLING = len(LABELS)  # air of the image that gel or water takes during treatment
BLOCKS = {CODE["air"]: "gas", CODE["lung"]: "lung", CODE["titanium"]: "metal", CODE["bowel"]: "bowel"}
OUTLINE_MM = 3.0  # an outline of the body may lie so far outside the skin; air within it is no gas


def way_of(anatomy: Anatomy, sound: AcousticMap) -> Volume:
    """Return what sound meets on its way to the body and in it, as labels of ``tissue.bone`` and ``COUPLING``.

    Air outside the body, and what the outline of the body takes in of it at the skin, is coupling. Solid parts of a lesion count
    as bone. A couch that the CT shows outside the body is not where the device stands, and counts as coupling too.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT.
    sound : AcousticMap
        Of it.

    Returns
    -------
    Volume of uint8

    Raises
    ------
    MissingError
        If there is no CT.
    ImageError
        If the map lies on another grid.
    """
    if anatomy.image is None:
        raise MissingError(
            "This anatomy has no CT image.",
            "Where gas lies before the target is read from it.",
            "Give a CT of the lesion in case.yaml.",
        )
    if not sound.grid.same_as(anatomy.grid):
        raise ImageError(
            f"The map of sound has shape {sound.grid.shape}, the anatomy {anatomy.grid.shape}, or they lie apart.",
            "Body and labels must be of the same voxels.",
            "Make the map from this anatomy.",
        )
    body = body_mask(anatomy, anatomy.image.array, Constants(None)("hounsfield", "air"))
    air = sound.label == CODE["air"]
    outside = air & ~body
    _, rows, columns = anatomy.grid.spacing_mm
    plane = np.zeros((3, 3, 3), bool)
    plane[1] = ndimage.generate_binary_structure(2, 1)
    outside = ndimage.binary_dilation(outside, plane, iterations=math.ceil(OUTLINE_MM / min(rows, columns)), mask=air)
    labels = sound.label.copy()
    labels[outside] = COUPLING
    labels[(labels == CODE["lesion"]) & sound.solid] = CODE["bone"]
    return Volume(labels, anatomy.grid)


def pose(
    array: Transducer, target_mm: Sequence[float], beam: Sequence[float], turn_deg: float = 0.0, focus_m: Array | None = None
) -> Array:
    """Return the place of an array whose focus lies on a target, shape (4, 4), from its own frame [m] to LPS mm.

    Parameters
    ----------
    array : Transducer
        The device.
    target_mm : sequence of float
        Of the patient, LPS.
    beam : sequence of float
        Where the axis of the device looks, LPS; any length above 0.
    turn_deg : float
        About that axis.
    focus_m : ndarray, shape (3,), optional
        The point of its own frame that comes to lie on the target; the centre of curvature if left out.

    Raises
    ------
    InputError
        If a number is not finite, the beam has no direction, or a flat array has no focus.
    """
    target, axis = np.asarray(target_mm, float), np.asarray(beam, float)
    focus = focus_of(array, focus_m)
    length = float(np.linalg.norm(axis))
    if target.shape != (3,) or axis.shape != (3,) or not (np.isfinite([*target, *axis, turn_deg]).all() and length > 0):
        raise InputError(
            f"A device was to look along {list(beam)} at {list(target_mm)} mm, turned by {turn_deg:g} degrees.",
            "Its place needs a finite target, a direction and an angle.",
            "Give three coordinates, a vector that is not zero, and degrees.",
        )
    w = axis / length
    helper = np.eye(3)[int(np.argmin(np.abs(w)))]
    u = np.cross(helper, w)
    u /= np.linalg.norm(u)
    v = np.cross(w, u)
    cosine, sine = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    place = np.eye(4)
    place[:3, :3] = 1e3 * np.stack([cosine * u + sine * v, cosine * v - sine * u, w], axis=1)
    place[:3, 3] = target - place[:3, :3] @ focus
    return place


def focus_of(array: Transducer, focus_m: Array | None = None) -> Array:
    """Return a focus in the frame of the array, its centre of curvature if none is given.

    Raises
    ------
    InputError
        If it is not one finite point.
    """
    focus = np.array([0.0, 0.0, array.radius_m]) if focus_m is None else np.asarray(focus_m, float)
    if focus.shape != (3,) or not np.isfinite(focus).all():
        raise InputError(
            f"The focus of {array.name} is {focus.tolist()} m.",
            "A flat array has no focus of its own, and rays need one point.",
            "Give focus_m as x, y, z in the frame of the device.",
        )
    return focus


def visible(
    way: Volume,
    array: Transducer,
    device_to_lps: Array,
    focus_m: Array | None = None,
    rays: int | None = None,
) -> Visible:
    """Return which elements of an array see its focus through a patient.

    Gas, lung, metal and bowel block. Outlined bowel does so whether the image shows gas in it or not: what it holds changes from
    day to day, and its wall must not be heated. Bowel that nobody outlined is soft tissue here and only its gas blocks: outline
    it. The search for a window (``access``) judges bowel in the same way, and notes what nobody outlined.

    Parameters
    ----------
    way : Volume
        From ``way_of``.
    array : Transducer
        The device.
    device_to_lps : ndarray, shape (4, 4)
        From ``pose``.
    focus_m : ndarray, shape (3,), optional
        In the frame of the device; the centre of curvature if left out.
    rays : int, optional
        From each element.

    Returns
    -------
    Visible

    Raises
    ------
    OsteonError
        What ``physics.acoustic_visibility.visible_elements`` refuses.
    """
    place = np.linalg.inv(np.asarray(device_to_lps, float)) @ way.grid.matrix
    return visible_elements(
        array.source, focus_of(array, focus_m), way.array, place, blocks=BLOCKS, unknown={},
        not_imaged=(CODE["not_imaged"],), coupling=(COUPLING,), bone=(CODE["bone"],), rays=rays,
    )  # fmt: skip
