"""How osteon's shapes are put into words: numbers, bands, states, names of measures and controls."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from osteon.evidence.value import Band, Fixed, LogNormal, Normal, Spread, Uniform
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, Scalar, State, Unknown
from osteon.space.anatomy import structures

NARROW = "\u202f"  # between a number and its unit: never broken across lines

# Endings of field names, longest first, with the unit they stand for.
UNIT_ENDINGS: Mapping[str, str] = {
    "cem43_min": "min CEM43",
    "kg_m3": "kg/m³",
    "per_min": "per min",
    "ml_min": "ml/min",
    "cm3": "cm³",
    "mm2": "mm²",
    "mm3": "mm³",
    "fraction": "%",
    "minutes": "min",
    "percent": "%",
    "mhz": "MHz",
    "ghz": "GHz",
    "hz": "Hz",
    "deg": "°",
    "min": "min",
    "mm": "mm",
    "cm": "cm",
    "ml": "ml",
    "hu": "HU",
    "kg": "kg",
    "c": "°C",
    "s": "s",
    "w": "W",
    "j": "J",
    "m": "m",
}

DOSE_SHOWN = 1e5  # more equivalent minutes than this say no more than "far beyond"

# What plans measure: name shown, unit, factor from the stored number.
MEASURES: Mapping[str, tuple[str, str, float]] = {
    "coverage": ("Coverage of the target", "%", 100.0),
    "lesion_coverage": ("Coverage of the lesion", "%", 100.0),
    "min_margin_mm": ("Smallest margin", "mm", 1.0),
    "zone_cm3": ("Treated zone", "cm³", 1.0),
    "median_margin_mm": ("Middle margin", "mm", 1.0),
    "target_cm3": ("Target", "cm³", 1.0),
    "beyond_target_cm3": ("Treated beyond the target", "cm³", 1.0),
    "collateral_bone_cm3": ("Bone treated beyond the target", "cm³", 1.0),
    "hottest_c": ("Hottest point", "°C", 1.0),
    "minutes": ("Time of treatment", "min", 1.0),
    "probes": ("Probes", "", 1.0),
    "uncovered_cm3": ("Target left uncovered", "cm³", 1.0),
    "coldest_c": ("Coldest point", "°C", 1.0),
    "zone_along_mm": ("Zone along the needle", "mm", 1.0),
    "zone_across_mm": ("Zone across the needle", "mm", 1.0),
    "positions": ("Positions of the needle", "", 1.0),
    "power_w": ("Power set", "W", 1.0),
    "strength_ratio": ("Strength after, against healed", "%", 100.0),
    "energy_balance": ("Energy account, relative defect", "", 1.0),
    "sonications": ("Sonications", "", 1.0),
    "cells_coverage": ("Covered by single sonications", "%", 100.0),
    "acoustic_energy_j": ("Acoustic energy of all sonications", "J", 1.0),
    "absorbed_energy_j": ("Acoustic energy turned into heat", "J", 1.0),
    "lowest_power_w": ("Lowest acoustic power", "W", 1.0),
    "highest_power_w": ("Highest acoustic power", "W", 1.0),
    "longest_wait_s": ("Longest wait after a sonication", "s", 1.0),
    "test_power_w": ("Acoustic power of the test sonication", "W", 1.0),
    "test_rise_k": ("Rise that the test sonication makes", "K", 1.0),
    "reached_in_run": ("Places dead in the run of the session", "", 1.0),
    "near_field_c": ("Hottest soft tissue before the places", "°C", 1.0),
    "voxel_mm": ("Voxels of the session", "mm", 1.0),
    "needed_w": ("Acoustic power that the spot needs", "W", 1.0),
    "whole_w": ("Acoustic power that all places of the cell need", "W", 1.0),
    "killed_share": ("Places of the cell that die", "%", 100.0),
    "spot_c": ("Hottest at the spot", "°C", 1.0),
    "cell_width_mm": ("Width of what one sonication kills", "mm", 1.0),
    "cell_length_mm": ("Length of what one sonication kills", "mm", 1.0),
}

# What a run tells of itself, by the names in ``Effect.measures``; the names of criteria stand in ``tissue/data/damage.yaml``.
RUN_MEASURES: Mapping[str, tuple[str, str, float]] = {
    "absorbed_w": ("Absorbed by the tissue at first", "W", 1.0),
    "cable_loss_fraction": ("Lost in the cable", "%", 100.0),
    "coagulated_cm3": ("Coagulated (blood flow stopped)", "cm³", 1.0),
    "coldest_wall_c": ("Coldest wall of a probe", "°C", 1.0),
    "cooling_s": ("Followed after power off", "s", 1.0),
    "emitted_w": ("Light emitted", "W", 1.0),
    "energy_beyond_grid_j": ("Energy into tissue beyond the grid", "J", 1.0),
    "energy_cable_j": ("Energy lost in the cable", "J", 1.0),
    "energy_coolant_j": ("Energy taken by the coolant", "J", 1.0),
    "energy_coolant_line_j": ("Energy taken by the coolant along the shaft", "J", 1.0),
    "energy_field_defect_j": ("Energy that the field does not account for", "J", 1.0),
    "energy_generator_j": ("Energy from the generator", "J", 1.0),
    "energy_in_j": ("Energy put in", "J", 1.0),
    "energy_out_j": ("Energy through the edge of the box", "J", 1.0),
    "energy_perfusion_j": ("Energy carried by the blood", "J", 1.0),
    "energy_probes_j": ("Energy taken by the probes", "J", 1.0),
    "energy_radiated_j": ("Energy radiated away", "J", 1.0),
    "energy_reflected_j": ("Energy reflected", "J", 1.0),
    "energy_steam_j": ("Energy carried by steam", "J", 1.0),
    "energy_stored_j": ("Energy stored in the tissue", "J", 1.0),
    "escaped_fraction": ("Light that left the tissue", "%", 100.0),
    "field_power_balance": ("Power account of the field, relative defect", "", 1.0),
    "field_solutions": ("Times the field was solved", "", 1.0),
    "first_impedance_ohm": ("Impedance at first", "Ω", 1.0),
    "generator_w": ("Power of the generator, at most", "W", 1.0),
    "highest_c": ("Highest temperature", "°C", 1.0),
    "highest_current_ma": ("Highest current", "mA", 1.0),
    "ice_at_end_cm3": ("Ice left at the end", "cm³", 1.0),
    "incident_w": ("Power that reaches the antenna", "W", 1.0),
    "last_impedance_ohm": ("Impedance at the end", "Ω", 1.0),
    "least_impedance_ohm": ("Least impedance", "Ω", 1.0),
    "light_solutions": ("Times the light was solved", "", 1.0),
    "most_power_w": ("Most that a probe took", "W", 1.0),
    "net_power_w": ("Power into the tissue, mean", "W", 1.0),
    "radiated_w": ("Radiated away", "W", 1.0),
    "reflected_fraction": ("Reflected", "%", 100.0),
    "roll_offs": ("Roll-offs of the impedance, each with a pause", "", 1.0),
    "tip_highest_c": ("Highest temperature at the tip", "°C", 1.0),
    "visible_ice_cm3": ("Ice that is seen (0 °C)", "cm³", 1.0),
    "zone_50c_cm3": ("Reached 50 °C", "cm³", 1.0),
    "zone_60c_cm3": ("Reached 60 °C", "cm³", 1.0),
    "zone_minus20_cm3": ("Reached −20 °C", "cm³", 1.0),
}
# What is dialled in, by the names in ``Setting.controls``.
CONTROLS: Mapping[str, tuple[str, str, float]] = {
    "time_s": ("Time", "s", 1.0),
    "temperature_c": ("Temperature held", "°C", 1.0),
    "thaw_s": ("Passive thaw between", "s", 1.0),
    "freezes": ("Freezes", "", 1.0),
}
# What is drawn over time, by the names in ``Effect.traces`` before a colon; what comes first is drawn first.
TRACES: Mapping[str, str] = {
    "net_power_w": "Power into the tissue",
    "impedance_ohm": "Impedance",
    "tip_c": "Temperature of the tip",
    "wall_c": "Wall of probe",
    "probe_power_w": "Taken by probe",
    "sensor": "Thermocouple",
    "coolant_w": "Taken by the coolant",
    "current_a": "Current",
    "voltage_v": "Voltage",
}
UNIT_WORDS: Mapping[str, str] = {"degC": "°C", "cm^3": "cm³", "ohm": "Ω"}

STATUS_TONE: Mapping[str, str] = {
    "candidate": "good",
    "candidate_with_cautions": "care",
    "candidate_unchecked": "open",
    "needs": "open",
    "not_indicated": "quiet",
    "excluded": "stop",
    "outside_scope": "quiet",
}
LEVEL_WORDS: Mapping[str, str] = {
    "ok": "within the limit",
    "warning": "warning",
    "breach": "breach",
    "unknown": "cannot tell",
}
STANDING_WORDS: Mapping[str, str] = {
    "ok": "every limit that was judged holds",
    "warning": "no limit is breached, at least one warns",
    "breach": "at least one limit is breached",
    "cannot tell": "cannot tell: not every structure could be judged",
}
TONE: Mapping[str, str] = {
    "ok": "good", "warning": "care", "breach": "stop", "unknown": "open", "cannot tell": "open",
}  # fmt: skip
GOALS: Mapping[str, str] = {
    "cure": "local cure",
    "palliation": "relief of pain",
    "interface_palliation": "relief of pain by treating the painful interface of bone and soft tissue",
    "stability": "stability of the bone",
}
ENDED_WORDS: Mapping[str, str] = {
    "converged": "converged",
    "steady": "reached a steady state",
    "time": "ran to its set time",
    "limit": "stopped at a limit",
    "not_converged": "did not converge",
    "refused": "no plan was made",
}
STRUCTURE_STATUS: Mapping[str, str] = {
    "outlined": "outlined",
    "absent": "stated absent",
    "not_outlined": "not outlined",
    "cut": "cut off at the edge of the image",
    "outside_field": "outside the field of view",
}


def number(value: float | int | None, unit: str = "") -> str:
    """Return a number with at most three significant digits and its unit; no exponent between 0.001 and a million."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not known"
    if math.isinf(value):
        return "no upper bound" if value > 0 else "no lower bound"
    if "CEM43" in unit and value >= DOSE_SHOWN:
        return with_unit("over 100 000", unit)
    size = abs(float(value))
    if size == 0 or 1e-3 <= size < 1e6:
        digits = 0 if size == 0 else max(0, 2 - math.floor(math.log10(size)))
        rounded = round(float(value), digits) if size < 1000 else float(f"{float(value):.3g}")
        shown = f"{rounded:.{digits}f}"
        shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
        shown = "0" if shown == "-0" else shown.replace("-", "−")
    else:
        mantissa, exponent = f"{value:.2e}".split("e")
        shown = f"{mantissa.rstrip('0').rstrip('.')}·10{_superscript(int(exponent))}".replace("-", "−")
    return with_unit(shown, unit)


def _superscript(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def with_unit(shown: str, unit: str) -> str:
    """Join a written number and its unit so that they stay on one line."""
    if unit in ("", "1"):
        return shown
    return f"{shown}{'' if unit == '°' else NARROW}{unit}"


def band(value: Band | None, unit: str = "", factor: float = 1.0) -> str:
    """Return "42 (36 to 49) °C", or "42 °C" where the band was not sampled."""
    if value is None:
        return "cannot tell"
    best = number(value.best * factor)
    if value.n == 0 or not math.isfinite(value.best):
        return number(value.best * factor, unit)
    return with_unit(f"{best} ({number(value.low * factor)} to {number(value.high * factor)})", unit)


def scalar(value: Scalar, unit: str = "") -> str:
    """Return one value of a fact in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value, unit)
    return structure_name(value)


def unit_of(fact_unit: str | None) -> str:
    """Return a fact's unit as a clinician writes it."""
    if fact_unit is None:
        return ""
    return {"1": "", "1e9/l": "·10⁹/l", "year": "years", "week": "weeks"}.get(fact_unit, fact_unit)


def state(value: State, unit: str | None = None) -> str:
    """Return a state in words: "12 mm", "10 to 14 mm", "lytic or mixed", "not known: ..."."""
    shown = unit_of(unit)
    match value:
        case Known(one):
            return scalar(one, shown)
        case Interval(low, high):
            return with_unit(f"{number(low)} to {number(high)}", shown)
        case OneOf(values, conflict):
            listed = " or ".join(scalar(v, shown) for v in values)
            return f"{listed} (sources contradict each other)" if conflict else listed
        case Unknown(why):
            return f"not known: {why}"
        case NotApplicable(why):
            return f"does not apply: {why}"


def origin(fact: Fact) -> str:
    """Return where a fact was read."""
    kinds = {"chart": "chart", "image": "image", "inferred": "inferred", "assumed": "ASSUMED", "synthetic": "SYNTHETIC"}
    parts = [f"{kinds[o.kind]}: {o.where}" + (f" ({iso(o.date)})" if o.date else "") for o in fact.origins]
    return "; ".join(dict.fromkeys(parts))


def iso(day: date | None) -> str:
    """Return an ISO date, or that there is none."""
    return day.isoformat() if day else "no date"


def structure_name(identifier: str) -> str:
    """Return a structure as a clinician reads it; an unknown id is shown with blanks for underscores."""
    found = structures().get(identifier)
    return found.name if found else identifier.replace("_", " ")


@dataclass(frozen=True)
class Named:
    """A field name in words: label, unit and the factor from stored number to shown number."""

    label: str
    unit: str
    factor: float = 1.0


def named(key: str) -> Named:
    """Split a field name such as ``power_w`` into "Power" and "W"; fractions are shown in per cent."""
    for table in (MEASURES, RUN_MEASURES, CONTROLS):
        if key in table:
            return Named(*table[key])
    if key.startswith("one_"):  # of the draws of one sonication
        one = named(key.removeprefix("one_"))
        return Named(f"{one.label}, one sonication", one.unit, one.factor)
    for ending, unit in UNIT_ENDINGS.items():
        if key == ending:
            return Named(sentence(key), unit)
        if key.endswith(f"_{ending}"):
            factor = 100.0 if ending == "fraction" else 1.0
            return Named(sentence(key.removesuffix(f"_{ending}")), unit, factor)
    return Named(sentence(key), "")


def sentence(key: str) -> str:
    """Return an identifier as words with a capital first letter."""
    words = re.sub(r"[_\s]+", " ", key).strip()
    return words[:1].upper() + words[1:]


def duration(seconds: float) -> str:
    """Return seconds as a person says them: "45 s", "8 min", "8 min 30 s"."""
    whole = round(seconds)
    if whole < 60:
        return with_unit(str(whole), "s")
    minutes, rest = divmod(whole, 60)
    return with_unit(str(minutes), "min") + (f" {with_unit(str(rest), 's')}" if rest else "")


def spread(value: Spread, unit: str = "") -> str:
    """Return a spread in words."""
    match value:
        case Fixed():
            return "fixed"
        case Normal(sd, _, _):
            return f"normal, SD {number(sd, unit)}"
        case Uniform(low, high):
            return f"uniform, {with_unit(f'{number(low)} to {number(high)}', unit)}"
        case LogNormal(gsd):
            return f"log-normal, factor {number(gsd)} for one SD"


def few(parts: list[str], most: int = 8) -> str:
    """Return "a, b and c"; of a long list the first of them and how many more."""
    return joined(parts) if len(parts) <= most + 1 else f"{', '.join(parts[:most])} and {len(parts) - most} more"


def joined(parts: list[str], last: str = "and") -> str:
    """Return "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"
