"""How an image was taken, as far as its header says: contrast agent, phase, kernel, kVp, spacing and thickness."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from osteon.io.dicom_scan import Plane, text
from osteon.space.volume import Array

NO_AGENT = ("", "NO", "NONE", "N", "0", "OFF", "NATIVE", "NIL", "NO CONTRAST", "WITHOUT", "KEIN")
WITHOUT = re.compile(
    r"\b(native?|nativ|plain|unenhanced|non[- ]?(contrast|enhanced)|without (iv )?contrast|w/?o( iv)? contrast|nc)\b"
)
PHASES = {
    "arterial": re.compile(r"\b(arterial|art\.? ?(phase)?|angio\w*|cta)\b"),
    "portal venous": re.compile(r"\b(portal\w*|porto\w*|pv|venous|venös|ven\.? phase)\b"),
    "delayed": re.compile(r"\b(delayed|late phase|excretory|urographic)\b"),
    "nephrographic": re.compile(r"\bnephrograph\w*\b"),
    "contrast": re.compile(r"(\b(with contrast|w/ ?contrast|post[- ]?contrast|post[- ]?gad\w*|enhanced|ce)\b|\+ ?c\b|\bkm\+)"),
}
"""Words of a series description that name a phase; the last row tells only that there was contrast agent."""


@dataclass(frozen=True)
class Acquisition:
    """How an image was taken.

    Parameters
    ----------
    contrast : bool or None
        Whether contrast agent was given; None: not stated.
    contrast_agent : str
        Its name as the header has it.
    phase : str
        arterial, portal venous, delayed, nephrographic, native; empty where not stated.
    kernel : str
        Reconstruction kernel.
    kvp : float or None
        Tube voltage [kV].
    slice_spacing_mm, slice_thickness_mm : float or None
        Between slice planes, by their positions; as the header says.
    """

    contrast: bool | None = None
    contrast_agent: str = ""
    phase: str = ""
    kernel: str = ""
    kvp: float | None = None
    slice_spacing_mm: float | None = None
    slice_thickness_mm: float | None = None


def acquisition_of(plane: Plane, affine: Array, notes: list[str]) -> Acquisition:
    """Read how a stack was taken; a doubt is appended to ``notes``.

    Parameters
    ----------
    plane : Plane
        Any of the stack.
    affine : ndarray, shape (4, 4)
        Index (x, y, z) to mm.
    notes : list of str
        Appended to.

    Returns
    -------
    Acquisition
        What is not stated stays None or empty.
    """
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    spacing = abs(float(normal @ affine[:3, 2] / np.linalg.norm(normal)))
    thickness = _number(plane.text("SliceThickness"))
    if thickness is not None and abs(thickness - spacing) > 0.05 * spacing:
        notes.append(
            f"slices are {thickness:g} mm thick and {spacing:.3g} mm apart; distances and volumes follow their positions"
        )
    contrast, agent, phase = _contrast(plane, notes)
    kernel = plane.text("ConvolutionKernel").replace("\\", " ")
    return Acquisition(contrast, agent, phase, kernel, _number(plane.text("KVP")), round(spacing, 4), thickness)


def _contrast(plane: Plane, notes: list[str]) -> tuple[bool | None, str, str]:
    said = " ".join((plane.text("SeriesDescription"), plane.text("ProtocolName"))).lower().replace("_", " ")
    native = WITHOUT.search(said) is not None
    phase = "" if native else next((name for name, words in PHASES.items() if words.search(said)), "")
    agent = _agent(plane)
    amount = _number(plane.text("ContrastBolusVolume"))
    if agent.upper() not in NO_AGENT or (amount or 0) > 0:
        if native:
            notes.append("the header names a contrast agent, the description says native; the agent counts")
        return True, agent or "not named", "" if phase == "contrast" else phase
    if agent or native:
        return False, "", "native"
    if phase:
        found = PHASES[phase].search(said)  # the word alone: a description may hold a name
        notes.append(f"contrast agent by the series description only ({(found.group() if found else phase)!r})")
        return True, "not named", "" if phase == "contrast" else phase
    return None, "", ""


def _agent(plane: Plane) -> str:
    named = plane.text("ContrastBolusAgent")
    if named:
        return named
    try:
        items = list(plane.header.get("ContrastBolusAgentSequence") or ())
    except Exception:  # malformed
        return ""
    return next((m for item in items if (m := text(item, "CodeMeaning"))), "not named" if items else "")


def _number(given: str) -> float | None:
    try:
        value = float(given)
    except ValueError:
        return None
    return value if np.isfinite(value) and value > 0 else None
