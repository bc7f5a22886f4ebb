"""What ``rules.yaml`` tells of a treatment beside its rules, and the treatment that has nothing else: a row without simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, final

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.facts import Fact
from osteon.space.anatomy import Anatomy, Structure
from osteon.treatments.base import Treatment

NONE_STATED = "none stated"
SPECIALTIES = (
    "interventional_radiology",
    "radiation_oncology",
    "nuclear_medicine",
    "orthopaedics",
    "pain",
    "oncology",
)
SETTINGS = ("percutaneous", "open", "external", "systemic", "supportive")
PROFILE = ("speed", "structure", "tumour_control", "durability", "invasiveness", "interruption", "evidence", "resources")
HEAD = {
    "title", "family", "specialties", "setting", "elective", "refused_as", "planned_as", "profile", "parameters",
    "complications", "outcomes", "rules", "note", "reach_mm",
}  # fmt: skip
ITEM = {
    "id", "name", "event", "measure", "number", "low", "high", "unit", "count", "of", "of_what", "percent", "time", "text",
    "source", "class", "extract", "conflicts", "verified", "pooled",
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One parameter, complication or outcome of a treatment as a source states it.

    Parameters
    ----------
    id, name : str
        Within the row; what it is.
    text : str
        In words, with unit.
    number, low, high : float or None
        In ``unit``; low and high where the source gives a range.
    count, of : int or None
        How many of how many; ``of_what``: patients, lesions, procedures, vertebrae, leaks ...
    percent : float or None
        As printed, where it is.
    time : str
        When it was found or over which time.
    source : tuple of str
        Quotation keys and ids of papers.
    extract, conflicts : tuple of str
        Ids of the extraction, and of the decision register.
    verified : bool
        False where it was not read in its source.
    pooled : bool
        False where it must stay out of pooled evidence.
    """

    id: str
    name: str
    text: str
    number: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    count: int | None = None
    of: int | None = None
    of_what: str = ""
    percent: float | None = None
    time: str = ""
    source: tuple[str, ...] = ()
    source_class: str = "seed"
    extract: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    verified: bool = True
    pooled: bool = True


@dataclass(frozen=True)
class Sheet:
    """A treatment as its ``rules.yaml`` describes it, rules apart.

    Parameters
    ----------
    title, family : str
        As a clinician reads it; ablation, mechanics, radiation, radionuclide, drugs, care.
    specialties : tuple of str
        Whose view it stands in.
    setting : str
        percutaneous, open, external, systemic, supportive.
    elective : bool
        Whether it waits when a red flag is up.
    refused_as : str
        The member of the fact ``refused`` that refuses it; "" where none does.
    planned_as : str
        The fact that says it is planned, "" where none does.
    profile : mapping of str to Item
        Speed, structure, tumour_control, durability, invasiveness, interruption, evidence, resources: what sources state of each.
    parameters, complications, outcomes : tuple of Item
        Empty where none is stated.
    reach_mm : float or None
        Usable length of its needle; None where it has none, or where devices tell it.
    """

    title: str
    family: str
    specialties: tuple[str, ...]
    setting: str
    elective: bool = True
    refused_as: str = ""
    planned_as: str = ""
    profile: Mapping[str, Item] | None = None
    parameters: tuple[Item, ...] = ()
    complications: tuple[Item, ...] = ()
    outcomes: tuple[Item, ...] = ()
    reach_mm: float | None = None


@cache
def read(package: str) -> Mapping[str, Any]:
    """Return the parsed ``rules.yaml`` of a treatment's package; a bare list of rules becomes ``{"rules": [...]}``.

    Raises
    ------
    InputError
        If there is no such file.
    """
    try:
        loaded = read_data(package, "rules.yaml")
    except (FileNotFoundError, ModuleNotFoundError) as error:
        raise InputError(
            f"There are no rules in {package}.", "A treatment without rules cannot be judged.", "Add its rules.yaml."
        ) from error
    whole: Mapping[str, Any] = loaded if isinstance(loaded, dict) else {"rules": loaded}
    return whole


def sheet(which: Treatment) -> Sheet:
    """Return what is stated of a treatment beside its rules.

    Raises
    ------
    InputError
        If a key or a word of its head is not known.
    """
    return _sheet(which.name, getattr(which, "package", type(which).__module__.rpartition(".")[0]), which.title, which.family)


@cache
def _sheet(name: str, package: str, title: str, family: str) -> Sheet:
    try:
        whole = read(package) if package else {}
    except InputError:  # a treatment of another package may bring its rules in code
        whole = {}
    _check(name, whole)
    profile = {k: item(name, {"id": k, "name": k, **_worded(v)}) for k, v in whole.get("profile", {}).items()}
    return Sheet(
        title=str(whole.get("title", title)),
        family=str(whole.get("family", family)),
        specialties=tuple(whole.get("specialties", SPECIALTIES[:1])),
        setting=str(whole.get("setting", "percutaneous")),
        elective=bool(whole.get("elective", True)),
        refused_as=str(whole.get("refused_as", "")),
        planned_as=str(whole.get("planned_as", "")),
        profile=profile,
        parameters=_items(name, whole, "parameters"),
        complications=_items(name, whole, "complications"),
        outcomes=_items(name, whole, "outcomes"),
        reach_mm=item(name, {"id": "reach", **whole["reach_mm"]}).number if "reach_mm" in whole else None,
    )


def _worded(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {"text": str(value)}


def _items(name: str, whole: Mapping[str, Any], key: str) -> tuple[Item, ...]:
    given = whole.get(key, NONE_STATED)
    return () if given == NONE_STATED else tuple(item(name, entry) for entry in given)


def item(where: str, entry: Mapping[str, Any]) -> Item:
    """Read one parameter, complication or outcome.

    Raises
    ------
    InputError
        If it has an unknown key, or no words or no source where it states something.
    """
    wrong = sorted(set(entry) - ITEM)
    text = " ".join(str(entry.get("text", "")).split())
    if wrong or not text or (text != NONE_STATED and not entry.get("source")):
        raise InputError(
            f"{where}: the entry {entry.get('id', '(without id)')} has unknown keys {wrong}, or lacks `text` or `source`.",
            "What a reader sees of a treatment must have words and a source.",
            f"Use the keys {', '.join(sorted(ITEM))}.",
        )
    source = entry.get("source", ())
    listed = [source] if isinstance(source, str) else source
    return Item(
        id=str(entry.get("id", "")),
        name=str(entry.get("name") or entry.get("event") or entry.get("measure") or ""),
        text=text,
        number=entry.get("number"),
        low=entry.get("low"),
        high=entry.get("high"),
        unit=str(entry.get("unit", "")),
        count=entry.get("count"),
        of=entry.get("of"),
        of_what=str(entry.get("of_what", "")),
        percent=entry.get("percent"),
        time=str(entry.get("time", "")),
        source=tuple(" ".join(str(s).split()) for s in listed),
        source_class=str(entry.get("class", "seed")),
        extract=tuple(entry.get("extract", ())),
        conflicts=tuple(entry.get("conflicts", ())),
        verified=bool(entry.get("verified", True)),
        pooled=bool(entry.get("pooled", True)),
    )


def _check(name: str, whole: Mapping[str, Any]) -> None:
    wrong = sorted(set(whole) - HEAD)
    wrong += sorted(set(whole.get("specialties", ())) - set(SPECIALTIES)) + sorted(set(whole.get("profile", ())) - set(PROFILE))
    if whole.get("setting", SETTINGS[0]) not in SETTINGS:
        wrong.append(str(whole["setting"]))
    if wrong:
        raise InputError(
            f"treatments/{name}/rules.yaml: {', '.join(wrong)} is not known.",
            "What is misread there would stand wrongly on every page.",
            f"Keys: {', '.join(sorted(HEAD))}; specialties: {', '.join(SPECIALTIES)}; settings: {', '.join(SETTINGS)}; "
            f"profile: {', '.join(PROFILE)}.",
        )


@final
class Listed(Treatment):
    """A treatment that is selected and accounted for but not simulated: everything it is stands in its ``rules.yaml``.

    Parameters
    ----------
    name : str
        Name in the catalogue, and of the folder in ``osteon/treatments``.
    """

    devices: Mapping[str, Mapping[str, Any]] = {}

    def __init__(self, name: str) -> None:
        self.name = name
        self.package = f"osteon.treatments.{name}"
        whole = read(self.package)
        self.title, self.family = str(whole.get("title", name)), str(whole.get("family", ""))

    @cached_property
    def rules(self) -> Sequence[Mapping[str, Any]]:  # type: ignore[override]
        """Rules of ``rules.yaml``, parsed."""
        return list(read(self.package)["rules"])

    def site_facts(self, anatomy: Anatomy, target: Structure) -> list[Fact]:
        """Return whether a percutaneous path exists, where the row tells how long its needle is."""
        reach = sheet(self).reach_mm
        if reach is None or not anatomy.has(target):
            return []
        from osteon.treatments.needle_path import site_facts

        return site_facts(anatomy, target, reach)

    def simulates(self) -> bool:
        """Tell that this treatment is not simulated."""
        return False
