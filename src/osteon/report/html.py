"""The page a clinician reads: one HTML file that needs nothing else, and the files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from osteon import __version__
from osteon.assessment.results import LesionAssessment
from osteon.cache import write_atomically
from osteon.evidence.source import QUOTATION
from osteon.facts import NotApplicable
from osteon.planning.compare import shown_first
from osteon.planning.plan import Plan
from osteon.report import content, plan_content, plan_section, treatments_section, ultrasound_section, words
from osteon.report.board_section import board_of
from osteon.report.figures import Picture, legend, section
from osteon.report.graphs import pareto
from osteon.report.images_section import image_rows, pictures_of
from osteon.report.journey_json import write_json
from osteon.report.ledgers_section import TRUTH, ledgers_of
from osteon.report.planes import centre_of, extent_mm, standard_planes
from osteon.report.prescription_files import poses_of, stems, write_plan_files
from osteon.report.references import References, mentions, references_of, references_to
from osteon.report.sketch import body_sketch
from osteon.report.strength_section import sections_of, sources_of
from osteon.report.surface import view_3d
from osteon.selection.explain import label
from osteon.space.anatomy import structure, structures

if TYPE_CHECKING:
    from osteon.assessment.strength_results import Strength
    from osteon.pathway import Journey

IDENTIFIER = re.compile(r"\b(?:" + "|".join(sorted((s for s in structures() if "_" in s), key=len, reverse=True)) + r")\b")
RESEARCH = "Research use only, not a medical device"


def write_report(journey: Journey, folder: Path | str) -> Path:
    """Write ``report.html``, ``journey.json``, and per plan the needles (3D Slicer) and the fields (NIfTI).

    Parameters
    ----------
    journey : Journey
        What the path gave.
    folder : Path or str
        Made where it is not there.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OsteonError
        If a file cannot be written.
    """
    folder = Path(folder)
    write_json(journey, folder / "journey.json")
    files: list[str] = ["journey.json"]
    for plan, stem in zip(journey.plans, stems(journey.plans), strict=True):
        files += [path.name for path in write_plan_files(plan, stem, folder)]
    page = folder / "report.html"
    write_atomically(page, render(journey, files).encode())
    return page


def render(journey: Journey, files: Iterable[str] = ()) -> str:
    """Return the page as text.

    Parameters
    ----------
    journey : Journey
        What the path gave.
    files : iterable of str
        Names of the files beside the page.
    """
    references = references_of(journey)
    environment = _environment(references)
    run = journey.provenance.get("run")
    made = run.get("date") if isinstance(run, Mapping) else None
    lesions = [_lesion(journey, each) for each in journey.assessment.lesions]
    bones = [(lesion.id, lesion.bone.id) for lesion in journey.case.lesions if lesion.bone is not None]
    image = journey.case.planning_image
    return environment.get_template("report.html.j2").render(
        journey=journey,
        case=journey.case,
        research=RESEARCH,
        version=__version__,
        made=str(made)[:10] if made else "date not recorded",
        image_date=words.iso(image.date) if image is not None else "no planning image",
        alarms=content.alarms(journey),
        unasked=content.alarms(journey, "unknown"),
        contradictions=content.contradictions(journey),
        board=board_of(journey),
        site=treatments_section.site_rows(journey),
        shared=content.shared_of(journey),
        images=image_rows(journey.case),
        compared=pictures_of(journey.case),
        sketch=Markup(body_sketch(bones)),
        lesions=lesions,
        holdings=content.holdings(journey.case),
        ledgers=ledgers_of(journey.case),
        references=references,
        files=list(files),
        provenance=journey.provenance,
        policy=journey.verdicts.policy,
        policies=sorted({v.policy for v in journey.verdicts.verdicts}, key=lambda p: (p != journey.verdicts.policy, p)),
    )


def strength_page(strength: Strength) -> str:
    """Return one strength as a page of its own."""
    references = references_to(sources_of([strength]))
    return (
        _environment(references)
        .get_template("strength_page.html.j2")
        .render(
            bone=strength.case.bone.name,
            research=RESEARCH,
            version=__version__,
            sections=sections_of([strength]),
            references=references,
        )
    )


def _environment(references: References) -> Environment:
    """Return the templates with every filter; whatever is not markup made here is escaped."""
    environment = Environment(
        loader=PackageLoader("osteon.report", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        cited=partial(_cited, references=references),
        refs=partial(_refs, references=references),
        refs_short=partial(_refs_short, references=references),
        fact=label,
        number=words.number,
        band=words.band,
        structure=words.structure_name,
        sentence=words.sentence,
        svg=Markup,
        policy=content.policy_words,
        place=plan_content.finding_place,
        disagree=treatments_section.conflict_words,
        sides=treatments_section.order_sides,
        evidence=treatments_section.evidence_words,
        treatment=content.treatment_words,
    )
    environment.globals.update(
        LEVELS=words.LEVEL_WORDS,
        TONE=words.TONE,
        TRUTHS=TRUTH,
        points=content.points,
        score_total=content.score_total,
        read_from=content.read_from,
        state=words.state,
    )
    return environment


def _mark(number: int | None, key: str) -> Markup:
    if number is None:
        return Markup('<sup class="ref">[{}: not in the library]</sup>').format(key)
    return Markup('<sup class="ref"><a href="#ref-{0}">[{0}]</a></sup>').format(number)


def _cited(text: str, references: References) -> Markup:
    """Return a text with its quotation keys shown as the quoted words and the number of their paper."""
    text = IDENTIFIER.sub(lambda found: words.structure_name(found[0]), text)
    body, last = Markup(""), 0
    for found in QUOTATION.finditer(text):
        body += escape(text[last : found.start()])
        body += Markup("<q>{}</q>").format(" ".join(found["words"].split())) + _mark(references.number_of(found[0]), found[0])
        last = found.end()
    return body + escape(text[last:])


def _refs(sources: str | Iterable[str], references: References) -> Markup:
    """Return the sources beside a sentence: quoted words and numbers of papers."""
    parts = []
    for mention in mentions([sources] if isinstance(sources, str) else sources, references):
        quoted = Markup("<q>{}</q>").format(mention.words) if mention.words else Markup("")
        parts.append(quoted + _mark(mention.number, mention.key))
    return Markup(" ").join(parts)


def _refs_short(sources: str | Iterable[str], references: References) -> Markup:
    """Return the sources beside a sentence as numbers of papers, each once, the quoted words on hover."""
    said: dict[int | str, list[str]] = {}
    for mention in mentions([sources] if isinstance(sources, str) else sources, references):
        said.setdefault(mention.key if mention.number is None else mention.number, []).append(mention.words)
    parts = []
    for key, quoted in said.items():
        if isinstance(key, str):
            parts.append(_mark(None, key))
        else:
            words_said = " … ".join(w for w in quoted if w)
            parts.append(Markup('<sup class="ref"><a href="#ref-{0}" title="{1}">[{0}]</a></sup>').format(key, words_said))
    return Markup("").join(parts)


def _lesion(journey: Journey, assessed: LesionAssessment) -> dict[str, Any]:
    """Return everything that the page says about one lesion."""
    given = next((x for x in journey.case.lesions if x.id == assessed.lesion_id), None)
    facts = content.facts_of(assessed, journey.case.facts)
    question, answer = content.question_and_answer(journey, assessed)
    plans = [p for p in journey.plans if p.lesion_id == assessed.lesion_id]
    simulated = shown_first(plans)
    place = content.place_in_words(given, assessed)
    strengths = journey.strengths.get(assessed.lesion_id, ())
    side = given.bone.side if given is not None and given.bone is not None else None
    told = facts["side"].value if side is None and "side" in facts else side
    chosen = simulated[0] if simulated else None
    shown = partial(plan_section.plan_in_full, journey, assessed, facts=facts, place=place, side=str(told or ""))
    return {
        "id": assessed.lesion_id,
        "place": place,
        "question": question,
        "answer": answer,
        "synthetic": given.synthetic if given is not None else "",
        "pictures": _anatomy_pictures(assessed, chosen),
        "assessed": assessed,
        "required": [(content.required_row(r), r) for r in assessed.required],
        "facts": content.fact_rows(facts),
        "doses": content.dose_rows(journey.case, facts),
        "key_facts": content.fact_rows({k: v for k, v in facts.items() if k in content.KEY_FACTS}),
        "unknown_facts": content.unknown_facts(facts),
        "scores": [s for s in assessed.scores if not isinstance(s.state, NotApplicable)],
        "scores_apart": [s for s in assessed.scores if isinstance(s.state, NotApplicable)],
        "assumed": content.assumed_facts(facts),
        "strengths": sections_of(strengths, _cortex(assessed) if strengths else None),
        "why_no_strength": _why_no_strength(journey, assessed),
        "treatments": treatments_section.section_of(journey, assessed.lesion_id),
        "questions": content.questions_of(journey, assessed.lesion_id),
        "steps": content.steps_of(journey, assessed.lesion_id),
        "plans": plans,
        "headings": [plan_content.heading(p) for p in plans],
        "comparison": plan_content.comparison(plans) if plans else [],
        "several": len({p.treatment for p in plans}) > 1,
        "refused": [p for p in plans if not p.steps],
        "chosen": shown(chosen) if chosen is not None else None,
        "others": [shown(p) for p in plans if ultrasound_section.scheme_of(p) is not None and p is not chosen],
        "ended": [(plan_content.heading(p), plan_content.ended_rows(p)) for p in plans],
        "pareto": [(plan_content.heading(p), p.paths, _picture(pareto(p.paths))) for p in plans if p.paths is not None],
    }


def _cortex(assessed: LesionAssessment) -> Picture | None:
    """Return the unrolled cortex of a long bone round the lesion; None where it cannot be told."""
    from osteon.assessment.cortex_map_scene import map_readings
    from osteon.assessment.measure_base import Scene
    from osteon.report.cortex_figure import cortex_figure

    anatomy = assessed.anatomy
    bone = structures().get(str(assessed.facts["bone"].value)) if "bone" in assessed.facts else None
    if bone is None or anatomy.image is None or not anatomy.has(structure("lesion")):
        return None
    found = map_readings(Scene(anatomy, bone, "", "CT", contrast=anatomy.contrast))
    return None if isinstance(found, str) else cortex_figure(found[0].found)


def _why_no_strength(journey: Journey, assessed: LesionAssessment) -> str:
    """Return why there is no strength, and what to do; empty where there is one."""
    if journey.strengths.get(assessed.lesion_id):
        return ""
    if assessed.lesion_id not in journey.strengths:
        return "Not computed in this run: leave --no-strength out."
    if assessed.anatomy.image is None:
        return "Cannot tell: there is no CT. Only a CT tells density."
    bone = assessed.facts["bone"].value if "bone" in assessed.facts else None
    known = structures().get(str(bone))
    if known is None or not assessed.anatomy.has(known):
        return f"Cannot tell: outline the {known.name if known is not None else 'bone of this lesion'}."
    return f"Cannot tell: no load case is made for the {known.name}."


def _picture(picture: Picture | None) -> dict[str, str] | None:
    return None if picture is None else {"svg": picture.svg, "caption": picture.caption}


def _anatomy_pictures(assessed: LesionAssessment, plan: Plan | None) -> dict[str, Any]:
    """Return the three cuts through the lesion and the 3-D view, or why there are none."""
    anatomy = assessed.anatomy
    lesion = structure("lesion")
    if not anatomy.has(lesion):
        return {
            "why_none": "No picture: the lesion is not outlined. Outline it in case.yaml.",
            "cuts": [],
            "view": None,
            "legend": [],
        }
    mask = anatomy.mask(lesion)
    centre = centre_of(mask)
    half = float(np.clip(extent_mm(mask) + 50, 60, 110))
    cuts = [section(anatomy, plane) for plane in standard_planes(centre, half)]
    needles = tuple(poses_of(plan)) if plan is not None else ()
    view = view_3d(anatomy, lesion, needles, half_mm=min(half + 10, 110))
    drawn = tuple(s for cut in cuts for s in cut.shown)
    place = ", ".join(f"{axis} {words.number(round(float(v), 1))}" for axis, v in zip("xyz", centre, strict=True))
    return {
        "why_none": "" if anatomy.image or anatomy.shown else "There is no CT: only outlines are drawn.",
        "cuts": cuts,
        "view": view,
        "legend": legend(drawn),
        "centre": f"{place} mm (LPS)",
    }
