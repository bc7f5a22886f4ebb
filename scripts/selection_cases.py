"""Write docs/selection-cases.md: the cases, what was expected of them, and where authors and rules differ."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "selection"))

from case_files import IDS, REGISTER, expected, read  # noqa: E402

HEAD = """# Cases of the knowledge, and where authors and rules differ

{count} charts with {lesions} lesions in `tests/selection/cases/`, each with the expected status of every one of the {rows}
treatments. They were written from `clinical.md` alone, by two authors who had not seen the rules, and committed before the
rules were run on them. Of {answers} expected statuses {same} came out as written; {differ} did not and stand in the last
table with who was right. `open` stands for each of the three candidate statuses. The four published cases of Ahmed 2019
stand in `examples/`, their expected outcomes (clinical.md 3.5) in `tests/selection/test_seed2_cases.py`. Made by
`scripts/selection_cases.py`.

What the first run taught (the author was right, the rules were changed): cold near a structure is a caution and no
exclusion, as the matrix has it; laser asks nothing beyond "not indicated"; a chart that names a risk of NSAIDs gives a
caution on the analgesic ladder; what is not said to be planned counts as not planned in every rule, not in mitigations only;
a Mirels score from which the site fixes puts focused ultrasound outside its label; where no systemic therapy is left, that
row is not indicated; cement with irradiation needs a cavity. The fact `mr_visible` came into the vocabulary after the cases
were written and was added to their charts; no expected status was changed.

Every exclusion and every caution fires in at least one of these charts, of the published cases, or of the {firing} charts of
`tests/selection/firing.yaml`; the test prints the count.

## Cases

| id | what it is |
|---|---|
"""


def page() -> str:
    """Return the page."""
    register = yaml.safe_load(REGISTER.read_text(encoding="utf-8"))
    sound = [i for i in IDS if not read(i).get("error")]
    answers = [pair for i in sound for pair in expected(i)]
    differ = sum(len(row["cases"]) for row in register)
    firing = yaml.safe_load((REGISTER.parent / "firing.yaml").read_text(encoding="utf-8"))
    text = HEAD.format(
        count=len(IDS),
        lesions=sum(len(read(i)["case"]["lesions"]) for i in sound),
        rows=len({row for _, row, _ in answers}),
        answers=len(answers),
        same=len(answers) - differ,
        differ=differ,
        firing=len(firing),
    )
    text += "".join(f"| {i} | {read(i)['title']} |\n" for i in IDS)
    text += "\n## Where they differ\n\n| treatment | cases (lesion) | expected | rules say | right | why |\n"
    text += "|---|---|---|---|---|---|\n"
    for row in register:
        cells = (row["treatment"], ", ".join(row["cases"]), row["expected"], row["got"], row["right"], row["why"])
        text += f"| {' | '.join(str(c).replace('|', '/') for c in cells)} |\n"
    return text


if __name__ == "__main__":
    (ROOT / "docs" / "selection-cases.md").write_text(page(), encoding="utf-8")
