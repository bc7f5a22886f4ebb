"""A verdict in plain clinical English."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from osteon.facts import Interval, Known, NotApplicable, OneOf, State, Unknown, vocabulary
from osteon.selection.verdicts import Reason, Status, Verdict

STATUS_WORDS: Mapping[Status, str] = {
    "excluded": "excluded",
    "not_indicated": "not indicated",
    "needs": "needs more facts",
    "candidate_unchecked": "candidate, with cautions still to check",
    "candidate_with_cautions": "candidate with cautions",
    "candidate": "candidate",
    "outside_scope": "outside the knowledge base",
}
STATUS_ORDER: tuple[Status, ...] = (
    "candidate",
    "candidate_with_cautions",
    "candidate_unchecked",
    "needs",
    "not_indicated",
    "excluded",
    "outside_scope",
)
POLICY_WORDS: Mapping[str, str] = {
    "strict": "strict: closer than 10 mm to a critical structure is never treated by heat",
    "mitigated": "mitigated: closer than 10 mm is a caution where thermometry or hydrodissection is planned",
}
VARIANT_WORDS: Mapping[str, str] = {"true": "Suits", "false": "Does not suit", "unknown": "Cannot tell whether it suits"}
"""How a variant of a row (a schedule, an approach, a drug) came out."""
CLASS_ORDER = ("regulator", "label", "guideline", "seed", "proposal")
"""Classes of source, strongest first."""
SAID = {
    "vas": "VAS", "inr": "INR", "ecog": "ECOG", "hu": "HU", "mdt": "tumour board", "e9": "", "l": "", "kps": "KPS", "asa": "ASA",
    "hb": "haemoglobin", "ldh": "LDH", "crp": "CRP", "escc": "ESCC", "mr": "MR",
}  # fmt: skip
SUFFIXES = {"mm": "_mm", "mm²": "_mm2", "ml": "_ml", "week": "_weeks", "year": "_years", "1e9/l": "_e9_l"}
SUFFIXES |= {"g/dl": "_g_dl", "mg/dl": "_mg_dl", "U/l": "_u_l", "ml/min": "_ml_min", "mg/day": "_mg_day", "Gy": "_gy"}
UNITS = {"1": "", "1e9/l": "×10⁹/l", "year": "years", "week": "weeks"}


def status_words(status: Status) -> str:
    """Return a status as it stands on screen."""
    return STATUS_WORDS[status]


LABELS = {
    "size_max_mm": "largest diameter",
    "size_ap_mm": "size front to back",
    "size_lr_mm": "size left to right",
    "size_si_mm": "size head to foot",
    "distance_nerve_mm": "distance to the nearest nerve",
    "distance_cord_mm": "distance to the spinal cord or cauda",
    "distance_vessel_mm": "distance to the nearest large vessel",
    "distance_bowel_mm": "distance to the nearest bowel",
    "distance_joint_mm": "distance to the nearest joint",
    "distance_skin_mm": "distance to the skin",
    "distance_critical_mm": "distance to the nearest critical structure",
    "axial_cortical_mm": "axial cortical involvement",
    "circumferential_cortical_fraction": "circumferential cortical involvement",
    "cortical_thickness_fraction": "destroyed part of the cortical thickness",
    "lesion_diameter_fraction": "width of the lesion over that of the bone",
    "pain_refractory": "pain resists conventional treatment",
    "pain_concordant": "lesion corresponds to the pain",
    "pain_functional": "pain on loading",
    "organ_failure_severe": "severe organ failure",
    "bone_lesions_total": "bone lesions in total",
    "percutaneous_path": "a safe percutaneous path",
    "laterality_agrees": "chart, image and plan agree on the side",
    "spinal": "lesion of the spine",
    "implant_near": "metal implant near the lesion",
    "posterior_wall_involved": "posterior wall involved",
    "dose_max_gy": "largest earlier dose",
    "dose_mean_gy": "mean earlier dose",
    "dose_min_gy": "least earlier dose",
    "dose_d0_03ml_gy": "earlier dose of the hottest 0.03 ml",
    "dose_d0_1ml_gy": "earlier dose of the hottest 0.1 ml",
    "dose_d2ml_gy": "earlier dose of the hottest 2 ml",
    "refused": "treatments refused",
    "small_cell_lung": "small-cell lung carcinoma",
    "hormone_dependent": "hormone-dependent tumour",
    "targeted_drug": "molecularly targeted drug",
    "castration_resistant": "castration-resistant",
    "prior_chemotherapy": "earlier chemotherapy",
    "systemic_therapy_interruptible": "systemic therapy may be interrupted",
    "permeative": "permeative destruction",
    "cortex_adjacent": "cortex between lesion and skin",
    "pedicle_involved": "pedicles involved",
    "spinal_alignment": "alignment of the spine",
    "vertebral_collapse_fraction": "lost height of the vertebral body",
    "vertebral_body_involved_fraction": "involved part of the vertebral body",
    "acetabular_collapse": "complete acetabular collapse",
    "acetabular_lateral_rim_destroyed": "lateral rim of the acetabulum destroyed",
    "lesser_trochanter_avulsed": "lesser trochanter avulsed",
    "distance_lung_mm": "distance to the lung",
    "distance_heart_mm": "distance to the heart",
    "acoustic_window": "a window for ultrasound",
    "pain_average_vas": "average pain VAS",
    "pain_current_vas": "present pain VAS",
    "pain_mechanical": "mechanical pain",
    "pain_neuropathic": "neuropathic pain",
    "pain_duration_weeks": "duration of the pain",
    "pain_prior_response": "response of the pain to earlier treatment",
    "breakthrough_episodes_day": "breakthrough episodes a day",
    "background_opioid_mg_day": "background opioid in oral morphine",
    "background_opioid_long_acting": "long-acting background opioid",
    "radiotherapy_dose_gy": "earlier prescribed dose",
    "radiotherapy_fractions": "fractions of the earlier irradiation",
    "radiotherapy_technique": "technique of the earlier irradiation",
    "radiotherapy_days_ago": "days since the earlier irradiation",
    "radiotherapy_site": "field of the earlier irradiation",
    "radiotherapy_response": "response to the earlier irradiation",
    "stress_pain_after_radiotherapy": "stress pain despite irradiation",
    "prior_ablation": "earlier ablation",
    "prior_surgery": "earlier surgery",
    "prior_cement": "cement in or beside the lesion",
}
"""Names of facts that their ids do not give well."""


def label(fact: str) -> str:
    """Return the name of a fact in words, without its unit: ``distance_nerve_mm`` gives "distance to the nearest nerve"."""
    if fact in LABELS:
        return LABELS[fact]
    kind = vocabulary().get(fact)
    bare = fact.removesuffix(SUFFIXES.get(kind.unit or "", "\0")) if kind else fact
    return " ".join(SAID.get(w, w) for w in bare.split("_")).strip()


def state_words(fact: str, state: State) -> str:
    """Return what is known of a fact in words, for example "platelets 40 ×10⁹/l"."""
    kind = vocabulary().get(fact)
    unit = UNITS.get(kind.unit, kind.unit) if kind and kind.unit else ""
    match state:
        case Known(bool() as told):
            said = "yes" if told else "no"
        case Known(float() | int() as number):
            said = f"{number:.4g} {unit}".strip()
        case Known(value):
            said = str(value).replace("_", " ") if kind is not None and kind.type == "choice" else str(value)
        case Interval(low, high):
            said = f"between {low:.4g} and {high:.4g} {unit}".strip()
        case OneOf(values, conflict):
            said = " or ".join(str(v) for v in values) + (" (the origins contradict each other)" if conflict else "")
        case Unknown(why):
            said = f"unknown ({why})"
        case NotApplicable(why):
            said = f"not applicable ({why})"
    return f"{label(fact)} {said}"


def question(fact: str, state: State) -> str:
    """Return what to do about an open fact: the reason it gives itself, or the question to ask."""
    ask = vocabulary()[fact].ask
    if isinstance(state, Unknown):
        return ask if state.why in ("", "not given") else state.why
    return f"{ask} So far: {state_words(fact, state)}"


def outside(verdicts: Iterable[Verdict]) -> str:
    """Return why every treatment of a lesion is outside the knowledge base, one sentence per reason; "" where one is not."""
    listed = list(verdicts)
    if not listed or any(v.status != "outside_scope" for v in listed):
        return ""
    reasons = [
        r for v in listed for r in v.reasons if r.kind == "exclusion" and r.truth == "true" and r.rule_id.startswith("SCOPE")
    ]
    return " ".join(dict.fromkeys(r.text.partition(" Here: ")[0] for r in reasons))


def why(verdict: Verdict) -> list[str]:
    """Return the reasons for a verdict, one sentence or two each, the decisive first.

    Parameters
    ----------
    verdict : Verdict
        Of one treatment and lesion under one policy.

    Returns
    -------
    list of str
        The first line names the status; then what excludes, what fails, what is missing, cautions, and what speaks for it.
        Rules that do not bear on the case are left out.
    """
    lines = [
        f"{_name(verdict.treatment)} for lesion {verdict.lesion_id}: {status_words(verdict.status)} (policy {verdict.policy})."
    ]
    for heading, chosen in _groups(verdict):
        lines += [f"{heading}: {_sentence(reason)}" for reason in chosen]
    lines += [f"{VARIANT_WORDS[r.truth]}: {_sentence(r)}" for r in verdict.variants if r.truth in VARIANT_WORDS]
    if verdict.on_hold:
        lines.append("On hold: a red flag is up, and this treatment waits until it is dealt with.")
    if verdict.status == "needs" and verdict.missing:
        lines.append("To decide: " + " and ".join(label(f) for f in verdict.missing[0]) + ".")
    return lines


def one_line(verdict: Verdict, count: bool = True) -> str:
    """Return the decisive reason for a verdict in one line, without quotation.

    Of several, one that something known of the case bears on is told before one that always holds, then the one of the
    strongest class of source.

    Parameters
    ----------
    verdict : Verdict
        Of one treatment and lesion under one policy.
    count : bool
        Whether to say how many more there are.
    """
    chosen = decisive(verdict)
    if verdict.status == "needs":
        asked = verdict.opening or verdict.missing
        if asked:
            more = len(verdict.missing) - 1 if count else 0
            return f"to decide: {_listed([label(f) for f in asked[0]])}{_more(more, 'other way', 'other ways')}"
        return f"{len(chosen)} {'thing' if len(chosen) == 1 else 'things'} cannot be told{_rest(chosen)}"
    if not chosen:
        return "nothing speaks against it" if verdict.status == "candidate" else "see the reasons"
    kept = min(chosen, key=lambda r: (not r.facts, CLASS_ORDER.index(r.source_class)))
    return f"{_short(kept)}{_more(len(chosen) - 1 if count else 0, 'more', 'more')}"


def decisive(verdict: Verdict) -> tuple[Reason, ...]:
    """Return the reasons that make a status: exclusions that hold, requirements that fail, what is open, cautions, support."""
    wanted: Mapping[Status, set[tuple[str, str]]] = {
        "excluded": {("exclusion", "true")},
        "outside_scope": {("exclusion", "true")},
        "not_indicated": {("requirement", "false")},
        "needs": {("exclusion", "unknown"), ("requirement", "unknown")},
        "candidate_with_cautions": {("caution", "true")},
        "candidate_unchecked": {("caution", "unknown")},
        "candidate": {("support", "true")},
    }
    return tuple(r for r in verdict.reasons if (r.kind, r.truth) in wanted[verdict.status])


def _short(reason: Reason) -> str:
    """Return the first sentence of a reason, with what is known of the case."""
    because, _, told = reason.text.partition(" Here: ")
    because = because.partition(" Cannot tell: ")[0]
    first = because.partition(". ")[0].rstrip(".")
    told = told.partition(". ")[0].rstrip(".")
    if reason.truth == "unknown" and reason.unknown:
        return f"{first} (to check: {_listed([label(f) for f in reason.unknown])})"
    return f"{first} ({told})" if told else first


def _more(count: int, one: str, several: str) -> str:
    return "" if count < 1 else f"; {count} {one if count == 1 else several}"


def _rest(reasons: Iterable[Reason]) -> str:
    asked = list(dict.fromkeys(label(f) for r in reasons for f in r.unknown))
    return f": {_listed(asked[:4])}{' and more' if len(asked) > 4 else ''}" if asked else ""


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def _name(treatment: str) -> str:
    return treatment[:1].upper() + treatment[1:].replace("_", " ")


def _groups(verdict: Verdict) -> list[tuple[str, list[Reason]]]:
    def pick(kind: str, truth: str) -> list[Reason]:
        return [r for r in verdict.reasons if (r.kind, r.truth) == (kind, truth)]

    return [
        ("Excluded", pick("exclusion", "true")),
        ("Not met", pick("requirement", "false")),
        ("Cannot tell", [*pick("exclusion", "unknown"), *pick("requirement", "unknown")]),
        ("Caution", pick("caution", "true")),
        ("To check", pick("caution", "unknown")),
        ("For it", pick("support", "true")),
    ]


def _sentence(reason: Reason) -> str:
    quoted = f" {' '.join(reason.quotes)}" if reason.quotes else ""
    disagree = f" (sources disagree: {', '.join(reason.conflicts)})" if reason.conflicts else ""
    answered = not reason.mitigations or " Planned: " in reason.text
    wanted = "" if answered else f" Would have to be planned: {' or '.join(reason.mitigations)}."
    return f"{reason.text}{wanted}{disagree}{quoted}"
