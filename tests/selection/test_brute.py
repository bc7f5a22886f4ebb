"""Every status against a second judge that completes each chart in every way (clinical 3.0; written without the engine)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import brute
import pytest
import yaml
from case_files import IDS, read

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.selection.policies import Site
from osteon.selection.rules import states_of
from osteon.selection.select import facts_for, select
from osteon.treatments.catalog import entries, treatment

EXAMPLES = Path(__file__).parents[2] / "examples"
SEED2 = tuple(sorted(p.name for p in EXAMPLES.glob("ahmed_2019_case_*")))
CLOSED = {"excluded", "outside_scope"}
ALLOWED = {
    "outside_scope": {"outside_scope"},
    "excluded": CLOSED,
    "not_indicated": CLOSED | {"not_indicated"},  # a false requirement decides before an exclusion that is open (3.0)
    "candidate_unchecked": {"candidate", "candidate_with_cautions"},
    "candidate_with_cautions": {"candidate_with_cautions"},
    "candidate": {"candidate"},
}


def chart(name: str):
    """Return the assessment of one case and its site."""
    if name in SEED2:
        return assess(load_case(EXAMPLES / name)), {}
    entry = read(name)
    with TemporaryDirectory() as folder:
        (Path(folder) / "case.yaml").write_text(yaml.safe_dump(dict(entry["case"]), allow_unicode=True, sort_keys=False))
        return assess(load_case(Path(folder))), dict(entry.get("site") or {})


def contradictions(name: str) -> list[str]:
    """Return where a status is not what every completion of the chart says, or "needs" where all of them say the same."""
    assessment, site = chart(name)
    verdicts = select(assessment, site=Site.with_choices(site), missing=False)
    found = []
    for lesion in assessment.lesions:
        for row in entries():
            states = states_of(facts_for(assessment, lesion, treatment(row), Site.with_choices(site)))
            for policy in ("strict", "mitigated"):
                status = verdicts.of(lesion.lesion_id, row, policy).status
                reach = brute.explore(row, states, policy, site)
                if status == "needs":
                    good = len(reach.statuses) > 1 or bool(brute.asked_for(row, states))
                else:
                    good = reach.statuses <= ALLOWED[status]
                if not good:
                    found.append(f"{name} {lesion.lesion_id} {row} {policy}: {status}, but {sorted(reach.statuses)}")
    return found


@pytest.mark.parametrize("name", [i for i in IDS if not read(i).get("error")] + list(SEED2))
def test_every_status_holds_in_every_completion_and_every_needs_differs_in_two(name):
    assert contradictions(name) == []
