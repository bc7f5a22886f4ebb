"""A patient as osteon holds him: images, structures, lesions, chart and timeline, every fact with its origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from osteon.facts import Fact
from osteon.space.anatomy import Structure
from osteon.space.volume import Volume

if TYPE_CHECKING:
    from osteon.case.align import Alignment


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
    contrast_agent, contrast_phase : str
        Name of the agent; arterial, portal venous, delayed, nephrographic. As the header says; empty where it does not.
    planning : bool
        Whether the case file chose it to be planned on.
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
    contrast_agent: str = ""
    contrast_phase: str = ""
    planning: bool = False


@dataclass(frozen=True)
class Declared:
    """An image that exists but is not at hand: a film on the light box, an examination elsewhere."""

    id: str
    modality: str
    date: date | None = None
    note: str = ""


@dataclass(frozen=True)
class OutlineQuestion:
    """A name of an outline file that only a person can decide; until then the structure stays unknown.

    Parameters
    ----------
    file, name : str
        Where it stands.
    text : str
        The question.
    choices : tuple of str
        Structure ids that it may be; ``ignore`` is always possible.
    """

    file: str
    name: str
    text: str
    choices: tuple[str, ...]


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
        Whether the outline was grown, drawn by rule or carried over, and must be looked at.
    outline_error_mm : float
        Error of an outline that was carried over from another study [mm].
    no_outline : str
        Why an outline that the case file names cannot be used, and what to do; empty where there is one, or none is named.
    outline_study : str
        Study that it was drawn on; empty for the reference.
    """

    id: str
    bone: Structure | None
    facts: Mapping[str, Fact]
    mask: Volume | None = None
    goal: str | None = None
    region: str | None = None
    synthetic: str = ""
    approximate: bool = False
    outline_error_mm: float = 0.0
    no_outline: str = ""
    outline_study: str = ""


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
        Dated images; one CT is the planning image.
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
    declared : tuple of Declared
        Images that exist but are not at hand.
    alignments : tuple of Alignment
        For every study beside the reference: whether it may be laid over the planning CT, and with what error.
    drawn : mapping of Structure to Volume of bool
        Where someone looked for a structure, for outlines that cover a part of the image only; beyond it, it is unknown.
    outline_error_mm : mapping of Structure to float
        Error of outlines that were carried over from another study [mm].
    organ_doses : mapping of Structure to mapping of str to Fact
        What an earlier irradiation gave to each outlined structure.
    questions : tuple of OutlineQuestion
        Names of outlines that must be decided by a person.
    notes : tuple of str
        Letters and remarks of the chart as text, never read by the program.
    date : datetime.date or None
        Of the chart: from here measurements age.
    outline_study : mapping of Structure to str
        Study that an outline was drawn on, where that is not the reference.
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
    declared: tuple[Declared, ...] = ()
    alignments: tuple[Alignment, ...] = ()
    drawn: Mapping[Structure, Volume] = field(default_factory=dict)
    outline_error_mm: Mapping[Structure, float] = field(default_factory=dict)
    organ_doses: Mapping[Structure, Mapping[str, Fact]] = field(default_factory=dict)
    questions: tuple[OutlineQuestion, ...] = ()
    notes: tuple[str, ...] = ()
    date: date | None = None
    outline_study: Mapping[Structure, str] = field(default_factory=dict)

    @property
    def planning_image(self) -> Study | None:
        """The CT that the case file chose to plan on, else the first CT, or None."""
        return planning_ct(self.studies)


def planning_ct(studies: Sequence[Study]) -> Study | None:
    """Return the CT that is chosen to be planned on, else the first CT; None where there is none."""
    listed = [s for s in studies if s.modality == "CT"]
    return next((s for s in listed if s.planning), listed[0] if listed else None)
