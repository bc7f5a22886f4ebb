"""The command that asks what matters first, and writes each answer down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteon.errors import InputError, OsteonError

if TYPE_CHECKING:
    from osteon.assessment.results import Assessment
    from osteon.selection.verdicts import Question, Verdicts

SCHEMA = "osteon-ask/1"
HELP = "Answer; Enter: not known now; ?: why it is asked; q: stop. Write 4-6 for between, lytic or mixed for one of, n/a: why."


@dataclass(frozen=True)
class Judgement:
    """The case as it stands in its file, judged."""

    assessment: Assessment
    verdicts: Verdicts

    def statuses(self) -> dict[tuple[str, str], str]:
        """Return the status of every lesion and treatment under the policy asked for."""
        here = self.verdicts.policy
        return {(v.lesion_id, v.treatment): v.status for v in self.verdicts.verdicts if v.policy == here}


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(ask)


def ask(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder with case.yaml, or the file itself.")],
    answer: Annotated[list[str] | None, typer.Option(help="fact=value, without being asked. May be repeated.")] = None,
    lesion: Annotated[str, typer.Option(help="Whose facts --answer gives; default: the only lesion.")] = "",
    day: Annotated[str, typer.Option("--date", help="Day of the answers; a later one than the chart's moves the chart's.")] = "",
    most: Annotated[int, typer.Option(min=1, help="How many questions at most.")] = 20,
    policy: Annotated[str, typer.Option(help="Policy of distance: strict or mitigated.")] = "strict",
    as_json: Annotated[bool, typer.Option("--json", help="Print the questions as JSON, ask nothing.")] = False,
) -> None:
    """Ask what matters first, in the order of its effect, and write each answer into case.yaml, dated."""
    from osteon.cli import _folder

    folder, when = _folder(case), _day(day)
    for each in answer or ():
        _given(folder, each, lesion, when)
    judged = _judge(folder, policy)
    if as_json:
        print(json.dumps(_tree(judged, most), ensure_ascii=False, indent=2))
        return
    if answer or not _interactive():
        _list(judged, most)
        return
    _dialogue(folder, judged, when, most)


def _interactive() -> bool:
    import sys

    return sys.stdin.isatty()


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--date {text!r} is not a day.", "Values age by their date.", "Write it as 2025-03-01.") from None


def _given(folder: Path, text: str, lesion: str, when: date | None) -> None:
    import yaml

    from osteon.case.answers import write_answer

    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--answer {text!r} has no '='.", "It is not clear which fact is meant.", "Write --answer fact=value.")
    if not lesion:
        ids = [str(entry["id"]) for entry in yaml.safe_load((folder / "case.yaml").read_text(encoding="utf-8"))["lesions"]]
        lesion = ids[0] if len(ids) == 1 else ""
    write_answer(folder, name.strip(), lesion, value, when)


def _judge(folder: Path, policy: str) -> Judgement:
    from osteon.assessment.assess import assess
    from osteon.case.load import load_case
    from osteon.selection.policies import site_of
    from osteon.selection.select import select

    assessment = assess(load_case(folder))
    return Judgement(assessment, select(assessment, policy, site_of(folder)))


def _tree(judged: Judgement, most: int) -> dict[str, Any]:
    from osteon.facts import vocabulary

    words = vocabulary()
    return {
        "schema": SCHEMA,
        "patient": judged.assessment.case.patient,
        "policy": judged.verdicts.policy,
        "questions": [
            {
                "fact": q.fact,
                "lesion": q.lesion_id,
                "ask": q.ask,
                "changes": q.changes,
                "treatments": list(q.treatments),
                "type": words[q.fact].type,
                "unit": words[q.fact].unit,
                "domain": list(words[q.fact].domain),
            }
            for q in judged.verdicts.questions[:most]
        ],
        "asked_in_all": len(judged.verdicts.questions),
    }


def _list(judged: Judgement, most: int) -> None:
    asked = judged.verdicts.questions
    if not asked:
        print("Nothing is missing that could change an answer.")
    for number, question in enumerate(asked[:most], 1):
        print(f"{number:2}. {_worded(question)}")
    if len(asked) > most:
        print(f"    {len(asked) - most} more; see --most.")


def _worded(question: Question) -> str:
    whose = f"[{question.lesion_id}] " if question.lesion_id else ""
    several = "answer" if question.changes == 1 else "answers"
    count = f"could change {question.changes} {several}" if question.changes else "bears on answers together with others"
    return f"{whose}{question.ask}  ({question.fact}; {count})"


def _dialogue(folder: Path, judged: Judgement, when: date | None, most: int) -> None:
    from osteon.case.answers import write_answer

    for note in judged.assessment.case.notes:
        print(f"From the chart (not read by the program): {note}\n")
    print(HELP)
    skipped: set[tuple[str, str]] = set()
    for _ in range(most):
        question = next((q for q in judged.verdicts.questions if (q.fact, q.lesion_id) not in skipped), None)
        if question is None:
            print("Nothing else is missing that could change an answer.")
            return
        reply = _asked(question, judged)
        if reply == "q":
            return
        if not reply:
            skipped.add((question.fact, question.lesion_id))
            continue
        try:
            write_answer(folder, question.fact, question.lesion_id, reply, when)
        except OsteonError as error:
            print(f"  {error}")
            continue
        before, judged = judged, _judge(folder, judged.verdicts.policy)
        _changes(before, judged)


def _asked(question: Question, judged: Judgement) -> str:
    while True:
        print(f"\n{_worded(question)}")
        try:
            reply = input("> ").strip()
        except EOFError:
            return "q"
        if reply != "?":
            return reply
        print("  It could change: " + (", ".join(t.replace("_", " ") for t in question.treatments) or "nothing by itself") + ".")
        for flag in judged.verdicts.flags:
            if question.fact in flag.unknown and flag.lesion_id in (question.lesion_id, flag.lesion_id):
                print(f"  It decides a red flag: {flag.call}")


def _changes(before: Judgement, after: Judgement) -> None:
    from osteon.selection.explain import status_words

    then, now = before.statuses(), after.statuses()
    changed = [(key, now[key]) for key in now if then.get(key) != now[key]]
    raised = {f.rule_id for f in before.verdicts.flags if f.truth == "true"}
    for flag in after.verdicts.flags:
        if flag.truth == "true" and flag.rule_id not in raised:
            print(f"  ACT NOW: {flag.text} {flag.call}")
    if not changed:
        print("  Written down. No status changed.")
    for (lesion, name), status in _first(changed):
        print(f"  {name.replace('_', ' ')} for {lesion}: {status_words(status)}")  # type: ignore[arg-type]
    if len(changed) > MOST_SHOWN:
        print(f"  and {len(changed) - MOST_SHOWN} more")


MOST_SHOWN = 8


def _first(changed: Sequence[tuple[tuple[str, str], str]]) -> Sequence[tuple[tuple[str, str], str]]:
    return changed[:MOST_SHOWN]
