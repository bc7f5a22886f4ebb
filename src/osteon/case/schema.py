"""The form of case.yaml: every key that may stand there; anything else is refused with its line."""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model, model_validator

from osteon.case.yaml_lines import Lines, read_text, read_yaml
from osteon.errors import CaseFileError
from osteon.facts import FactType, vocabulary

SCHEMA = "osteon-case/1"

QUANTITY = {
    "anyOf": [
        {"type": ["number", "boolean", "string"]},
        {
            "type": "object",
            "properties": {"value": {}, "unit": {"type": "string"}, "date": {"type": "string", "format": "date"}},
            "required": ["value"],
        },
        {
            "type": "object",
            "properties": {"min": {}, "max": {}, "unit": {"type": "string"}, "date": {"type": "string", "format": "date"}},
            "required": ["min", "max"],
        },
        {"type": "object", "properties": {"one_of": {"type": "array"}, "unit": {"type": "string"}}, "required": ["one_of"]},
        {"type": "object", "properties": {"not_applicable": {"type": "string"}}, "required": ["not_applicable"]},
        {"type": "array", "description": "a dated series, or the members of a set"},
    ]
}
FactEntry = Annotated[Any, WithJsonSchema(QUANTITY)]
Quantity = Annotated[float | str, Field(description="a number in mm, or a text with unit, for example '4 mm'")]
Coordinate = Annotated[float, Field(ge=-1e5, le=1e5, allow_inf_nan=False)]
PointMm = Annotated[list[Coordinate], Field(min_length=3, max_length=3)]
Goal = Literal["cure", "palliation", "interface_palliation", "stability", "unknown"]


class Strict(BaseModel):
    """A mapping without room for unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)


class SphereModel(Strict):
    """A ball: centre and diameter."""

    center: PointMm
    diameter: Quantity
    coordinates: Literal["LPS", "RAS"] = "LPS"


class OutlineModel(Strict):
    """Where a lesion or a structure lies: a file, one label of a file, a ball, or a line with a radius."""

    file: str | None = None
    label: int | None = Field(default=None, description="Value in a label map, or segment number of a DICOM SEG")
    roi: str | None = Field(default=None, description="Region name in an RTSTRUCT, or segment label of a DICOM SEG")
    study: str | None = Field(default=None, description="Study that it was drawn on; the planning CT where not given")
    sphere_mm: SphereModel | None = None
    polyline_mm: list[PointMm] | None = Field(default=None, min_length=2, max_length=5000)
    radius: Quantity | None = None
    coordinates: Literal["LPS", "RAS"] = "LPS"
    approximate: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _one_shape(self) -> OutlineModel:
        given = [k for k in ("file", "sphere_mm", "polyline_mm") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of file, sphere_mm, polyline_mm; has {given or 'none'}")
        if (self.polyline_mm is None) != (self.radius is None):
            raise ValueError("polyline_mm and radius belong together")
        if (self.label is not None or self.roi is not None) and self.file is None:
            raise ValueError("label and roi need a file")
        if self.label is not None and self.roi is not None:
            raise ValueError("give label or roi, not both")
        return self


class StudyModel(Strict):
    """One dated image."""

    id: str
    modality: Literal["CT", "MR", "PT", "NM", "XR", "other"]
    file: str | None = Field(
        default=None, description="NIfTI, NRRD or MetaImage file or DICOM folder, relative to case.yaml; none: not at hand"
    )
    date: datetime.date | Literal["unknown"] = "unknown"
    series: str | None = Field(default=None, description="UID, number or description, where the folder holds several series")
    patient_position: Literal["HFS", "HFP", "FFS", "FFP", "HFDL", "HFDR", "FFDL", "FFDR", "unknown"] = "unknown"
    contrast: bool | Literal["unknown"] = "unknown"
    note: str = ""
    planning: bool = Field(default=False, description="Plan on this CT, where there are several; else the first CT is planned on")

    @model_validator(mode="after")
    def _readable(self) -> StudyModel:
        if self.planning and (self.modality != "CT" or self.file is None):
            given = f"{self.modality}{'' if self.file else ' without file'}"
            raise ValueError(f"`planning: true` needs a CT that is at hand; study {self.id!r} is {given}")
        if self.file is not None and self.modality == "XR":
            raise ValueError("a radiograph is no volume; give its reading as facts and declare it without file")
        return self


class LabelsModel(Strict):
    """A label map, a folder with one mask per structure, an RTSTRUCT or a DICOM SEG."""

    file: str
    names: dict[int, str] | Literal["totalsegmentator"] = "totalsegmentator"
    answers: dict[str, str] = Field(
        default_factory=dict, description="What an outline's name means, where osteon asks: structure id, or ignore"
    )
    study: str | None = Field(default=None, description="Study that they were drawn on; the planning CT where not given")
    approximate: bool = False
    note: str = ""


class DoseModel(Strict):
    """A dose distribution of an earlier irradiation (RTDOSE)."""

    file: str
    study: str | None = Field(default=None, description="Study that it was planned on; the planning CT where not given")
    date: datetime.date | Literal["unknown"] = "unknown"
    note: str = ""


class EventModel(Strict):
    """An earlier treatment."""

    date: datetime.date | Literal["unknown"] = "unknown"
    treatment: str
    site: str
    details: dict[str, Any] = Field(default_factory=dict)


def _fields(scope: str) -> dict[str, Any]:
    def describe(kind: FactType) -> str:
        extra = f" [{kind.unit}]" if kind.unit and kind.unit != "1" else ""
        extra += f" One of: {', '.join(map(str, kind.domain))}." if kind.type in ("choice", "set") else ""
        return kind.ask + extra

    return {k: (FactEntry, Field(default=None, description=describe(v))) for k, v in vocabulary().items() if v.scope == scope}


PatientFacts = cast(type[Strict], create_model("PatientFacts", __base__=Strict, **_fields("patient")))
LesionFacts = cast(type[Strict], create_model("LesionFacts", __base__=Strict, **_fields("lesion")))


class LesionModel(Strict):
    """One lesion."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    bone: str = Field(description="Structure id (hip_right, vertebra_L3), or hip, femur, vertebra with side or level, or unknown")
    side: Literal["left", "right", "midline", "unknown"] | None = None
    level: str | None = Field(default=None, description="of a vertebra or rib, for example L3")
    region: str | None = None
    goal: Goal = "unknown"
    outline: OutlineModel | None = None
    synthetic: str = ""
    facts: LesionFacts = Field(default_factory=LesionFacts)  # type: ignore[valid-type]


class CaseModel(Strict):
    """One patient: case.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, title="osteon case")

    schema_: Literal["osteon-case/1"] = Field(alias="schema")
    patient: str = Field(description="Pseudonym")
    date: datetime.date = Field(description="The day this chart was written; measurements age from here")
    stamps: list[str] = Field(default_factory=list, description="Said on every page")
    notes: list[str] | str = Field(
        default_factory=list, description="Letters and remarks as text; shown beside the questions, never read by the program"
    )
    studies: list[StudyModel] = Field(default_factory=list)
    labels: list[LabelsModel] = Field(default_factory=list)
    structures: dict[str, OutlineModel] = Field(default_factory=dict)
    doses: list[DoseModel] = Field(default_factory=list)
    absent: list[str] = Field(default_factory=list, description="Structures that someone saw are not here")
    facts: PatientFacts = Field(default_factory=PatientFacts)  # type: ignore[valid-type]
    lesions: list[LesionModel] = Field(min_length=1)
    timeline: list[EventModel] = Field(default_factory=list)
    digests: dict[str, str] = Field(default_factory=dict, description="sha256 per file; a file that changed since is refused")

    @model_validator(mode="after")
    def _unique(self) -> CaseModel:
        for what, ids in (("lesion", [x.id for x in self.lesions]), ("study", [x.id for x in self.studies])):
            twice = sorted({i for i in ids if ids.count(i) > 1})
            if twice:
                raise ValueError(f"two entries have the {what} id {twice[0]!r}")
        chosen = [s.id for s in self.studies if s.planning]
        if len(chosen) > 1:
            raise ValueError(f"one CT can be the planning CT; {', '.join(chosen)} have `planning: true`")
        known = {s.id for s in self.studies if s.file is not None}
        drawn_on = [x.study for x in self.labels] + [x.study for x in self.doses] + [x.study for x in self.structures.values()]
        for named in [*drawn_on, *(x.outline.study for x in self.lesions if x.outline is not None)]:
            if named is None:
                continue
            if named not in known:
                raise ValueError(f"there is no study {named!r} with a file; there are {sorted(known) or 'none'}")
        return self


@cache
def json_schema() -> dict[str, Any]:
    """Return the JSON schema of case.yaml."""
    tree = CaseModel.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **tree}


def read_case_file(file: Path) -> tuple[CaseModel, Lines]:
    """Read and check case.yaml.

    Parameters
    ----------
    file : Path
        The file.

    Returns
    -------
    CaseModel, Lines
        Its content, and where each entry stands.

    Raises
    ------
    MissingError
        If there is none.
    CaseFileError
        With file and line, for anything that the form does not allow.
    """
    tree, lines = read_yaml(file)
    first = next((t for t in read_text(file).splitlines() if t.strip() and not t.lstrip().startswith("#")), "")
    if not isinstance(tree, dict) or "".join(first.split()) not in (
        f"schema:{SCHEMA}",
        f"schema:'{SCHEMA}'",
        f'schema:"{SCHEMA}"',
    ):
        raise CaseFileError(
            f"{file.name}:1: the first entry is {first[:60]!r}, not `schema: {SCHEMA}`.",
            "The form of the file says how every other entry is read.",
            f"Begin the file with `schema: {SCHEMA}`.",
        )
    try:
        return CaseModel.model_validate(tree), lines
    except ValidationError as error:
        raise _explain(error, lines) from error


def _explain(error: ValidationError, lines: Lines) -> CaseFileError:
    found = error.errors(include_url=False)
    told = []
    for item in found[:5]:
        place = tuple(p for p in item["loc"] if isinstance(p, (str, int)))
        name = ".".join(str(p) for p in place) or "the file"
        if item["type"] == "extra_forbidden":
            told.append(f"{lines.at(*place)}: there is no key {place[-1]!r} ({name}){_near(place)}")
        elif item["type"] == "missing":
            told.append(f"{lines.at(*place[:-1])}: {place[-1]!r} is missing ({name})")
        else:
            given = f" is {item.get('input')!r:.80}" if place else ""
            told.append(f"{lines.at(*place)}: {name}{given}: {item['msg'].removeprefix('Value error, ')}")
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return CaseFileError(
        ("; ".join(told) + more).removesuffix("?") + ("?" if told[-1].endswith("?") and not more else "."),
        "A key or value that is not understood would silently not count.",
        "Correct these lines; `osteon schema case` prints the whole form.",
    )


def _near(place: tuple[str | int, ...]) -> str:
    """Suggest the nearest key that exists there."""
    import difflib

    names: dict[str, list[str]] = {
        "facts": [k for k, v in vocabulary().items() if (v.scope == "lesion") == ("lesions" in place)],
        "lesions": list(LesionModel.model_fields),
        "studies": list(StudyModel.model_fields),
        "labels": list(LabelsModel.model_fields),
        "timeline": list(EventModel.model_fields),
        "doses": list(DoseModel.model_fields),
    }
    parents = [p for p in place[:-1] if isinstance(p, str) and p in names]
    choices = names[parents[-1]] if parents else ["schema", *list(CaseModel.model_fields)[1:]]
    close = difflib.get_close_matches(str(place[-1]), choices, n=1, cutoff=0.6)
    return f"; is {close[0]!r} meant?" if close else ""
