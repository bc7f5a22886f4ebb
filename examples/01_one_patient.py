"""One patient from the files to the page: a phantom of the femur shaft, on a coarse grid so that it runs in seconds."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from osteon import PlanRequest, journey, write_report
from osteon.case.phantom import write


def main(folder: Path) -> float:
    """Write the phantom's case, follow it, write the page, and return the share of the target that would be ablated."""
    write("femur", folder / "case", spacing_mm=2.0)
    result = journey(folder / "case", PlanRequest(treatments=("microwave",), spacing_mm=2.0))
    for verdict in result.verdicts.verdicts:
        print(f"{verdict.treatment}, {verdict.policy} policy: {verdict.status}")
    plan = result.plans[0]
    print(f"plan: {plan.standing}; coverage {plan.measures['coverage']}; least margin {plan.measures['min_margin_mm']} mm")
    print(f"report: {write_report(result, folder / 'report')}")
    return plan.measures["coverage"].best


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with TemporaryDirectory() as temporary:
            main(Path(temporary))
