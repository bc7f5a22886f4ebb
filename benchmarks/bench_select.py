"""Charts judged per second, through the real loader: `python benchmarks/bench_select.py [charts]`.

Random charts (tests/selection/random_charts.py, so many different texts) are written as case.yaml and judged by two processes:
status and reasons of every row. Then one lesion at a time in this process, best of 5: with and without minimal sets.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numba
from common import best_of, load, memory_triad

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "selection"))

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.cli_cohort import streamed
from osteon.selection.select import select

WORKERS, PER_LESION = 2, 200


@dataclass(frozen=True)
class Spent:
    """Seconds of one chart per stage and of processor, lesions, and the largest memory of the process so far [MB]."""

    process: int
    seconds: tuple[float, float, float]
    processor: float
    lesions: int
    megabytes: float


def megabytes() -> float:
    """Return the largest memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def judge(file: Path) -> Spent:
    """Judge one chart."""
    busy, marks = time.process_time(), [time.perf_counter()]
    case = load_case(file)
    marks.append(time.perf_counter())
    assessment = assess(case)
    marks.append(time.perf_counter())
    select(assessment, missing=False, policies=("strict",))
    marks.append(time.perf_counter())
    load_s, assess_s, select_s = (b - a for a, b in pairwise(marks))
    return Spent(os.getpid(), (load_s, assess_s, select_s), time.process_time() - busy, len(case.lesions), megabytes())


def write(folder: Path, numbers: range) -> None:
    """Write random charts."""
    import random_charts

    for number in numbers:
        place = folder / f"{number:06}"
        place.mkdir()
        (place / "case.yaml").write_text(random_charts.text(number), encoding="utf-8")


def write_all(folder: Path, count: int) -> None:
    """Write every chart, by processes of their own, so that what generating takes counts nowhere."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        list(pool.map(write, [folder] * WORKERS, [range(i, count, WORKERS) for i in range(WORKERS)]))


def machine() -> str:
    return f"triad {memory_triad():5.1f} GB/s  threads {numba.get_num_threads()}  load {load():.2f}"


def cohort(files: list[Path]) -> None:
    """Judge every chart once and print what it took."""
    totals, processor, lesions, most = [0.0, 0.0, 0.0], 0.0, 0, {}
    began = time.perf_counter()
    for spent in streamed(files, judge, WORKERS):
        totals = [a + b for a, b in zip(totals, spent.seconds)]
        processor += spent.processor
        lesions += spent.lesions
        most[spent.process] = max(most.get(spent.process, 0.0), spent.megabytes)
    wall = time.perf_counter() - began
    split = "  ".join(f"{name} {1e3 * s / len(files):.1f}" for name, s in zip(("load", "assess", "select"), totals))
    here = most.pop(os.getpid(), megabytes())
    split += f", processor {1e3 * processor / len(files):.1f}"
    speed = f"{wall:.1f} s, {len(files) / wall:.0f} charts/s by {WORKERS} processes; ms a chart: {split}"
    memory = f"peak RSS {sum(most.values()):.0f} MB of both, {here:.0f} MB of the one that starts them"
    print(f"cohort of {len(files)} charts, {lesions} lesions: {speed}; {memory}  {machine()}", flush=True)


def one_by_one(files: list[Path]) -> None:
    """Print what one lesion takes after it was loaded, with and without minimal sets."""
    assessments = [assess(load_case(file)) for file in files]
    for missing, name in ((False, "status and reasons"), (True, "with missing sets and questions")):
        took = [1e3 * best_of(partial(select, a, missing=missing)) / len(a.lesions) for a in assessments]
        print(f"one lesion, {name}: median {median(took):.1f} ms, worst {max(took):.1f} ms over {len(files)} charts  {machine()}")


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_all(folder, count)
        files = sorted(folder.glob("*/case.yaml"))
        cohort(files)
        one_by_one(files[:PER_LESION])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
