"""A patient as osteon holds him: images, structures, lesions, chart and timeline, every fact with its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from osteon.facts import Fact
from osteon.space.anatomy import Structure
from osteon.space.volume import Volume


@dataclass(frozen=True, eq=False)
class Study:
    """One dated image.

    Parameters
    ----------
    id, modality : str
        For example "ct1", "CT".
    date : datetime.date or None
        Of acquisition.
    volume : Volume
        float32; HU for CT, in canonical LPS axes.
    imaged : Volume of bool
        False for padding.
    patient_position : str
        "HFS", "HFP", "FFS" ... or "unknown": where the table was.
    notes : tuple of str
        What the reader did that one should know.
    contrast : bool or None
        Whether contrast agent was given, by the case file or else the header; None: not stated.
    kernel : str
        Of a CT, as the header says.
    kvp, slice_spacing_mm : float or None
        Tube voltage [kV]; between slice planes [mm].
    """

    id: str
    modality: str
    date: date | None
    volume: Volume
    imaged: Volume
    patient_position: str = "unknown"
    notes: tuple[str, ...] = ()
    contrast: bool | None = None
    kernel: str = ""
    kvp: float | None = None
    slice_spacing_mm: float | None = None


@dataclass(frozen=True)
class Event:
    """An earlier treatment on the timeline."""

    date: date | None
    treatment: str
    site: str
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Lesion:
    """One lesion as the case file gives it.

    Parameters
    ----------
    id : str
        For example "L1".
    bone : Structure or None
        The bone that holds it, for example ``hip_right``.
    facts : mapping of str to Fact
        Chart facts of this lesion.
    mask : Volume of bool or None
        Its outline, on the planning CT's grid.
    goal : str or None
        cure, palliation, interface_palliation.
    approximate : bool
        Whether the outline was grown or drawn by rule and must be looked at.
    """

    id: str
    bone: Structure | None
    facts: Mapping[str, Fact]
    mask: Volume | None = None
    goal: str | None = None
    region: str | None = None
    synthetic: str = ""
    approximate: bool = False


@dataclass(frozen=True, eq=False)
class Case:
    """One patient.

    Parameters
    ----------
    folder : Path
        Where case.yaml lies.
    patient : str
        Pseudonym.
    facts : mapping of str to Fact
        Chart facts of the patient.
    lesions : tuple of Lesion
        Any number.
    studies : tuple of Study
        Dated images; the first CT is the planning image.
    masks : mapping of Structure to Volume of bool
        Outlines on the planning CT's grid.
    absent, approximate : frozenset of Structure
        Declared absent; approximately outlined.
    timeline : tuple of Event
        Earlier treatments.
    stamps : tuple of str
        What must be said on every page: "SYNTHETIC LESION implanted ...", "PHANTOM".
    digests : mapping of str to str
        File name relative to the folder, to sha256.
    """

    folder: Path
    patient: str
    facts: Mapping[str, Fact]
    lesions: tuple[Lesion, ...]
    studies: tuple[Study, ...] = ()
    masks: Mapping[Structure, Volume] = field(default_factory=dict)
    absent: frozenset[Structure] = frozenset()
    approximate: frozenset[Structure] = frozenset()
    timeline: tuple[Event, ...] = ()
    stamps: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def planning_image(self) -> Study | None:
        """The first CT, or None."""
        return next((s for s in self.studies if s.modality == "CT"), None)
