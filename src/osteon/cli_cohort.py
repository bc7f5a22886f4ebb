"""The command that judges many charts: who had no option open, and which missing fact blocked it."""

from __future__ import annotations

import csv
import gc
import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar

import typer

from osteon.errors import InputError, OsteonError

T = TypeVar("T")
R = TypeVar("R")
SCHEMA = "osteon-cohort/1"
SIGNS = {
    "candidate": "C",
    "candidate_with_cautions": "c",
    "candidate_unchecked": "u",
    "needs": "?",
    "not_indicated": "-",
    "excluded": "x",
    "outside_scope": "o",
}
"""One letter per status, so that a lesion fits on one line."""
DECIDING = ("exclusion", "requirement")
NOTHING = "nothing: every treatment is decided"
CHUNK = 16
"""Charts that a process is given at once."""


@dataclass(frozen=True)
class Row:
    """One lesion of one chart, or a chart that could not be read.

    Parameters
    ----------
    chart : str
        Folder of its case.yaml, below the folder of the cohort.
    lesion : str
        Id; empty where the chart could not be read.
    status : dict of str to str
        By treatment.
    blocking : str
        The unknown fact that most treatments wait for; empty where none waits.
    flags, unknown_flags : tuple of str
        Red flags that are up, and urgent ones that cannot be told.
    error : str
        Why the chart could not be read.
    """

    chart: str
    lesion: str = ""
    status: dict[str, str] = field(default_factory=dict)
    blocking: str = ""
    flags: tuple[str, ...] = ()
    unknown_flags: tuple[str, ...] = ()
    error: str = ""

    @property
    def has_option(self) -> bool:
        """Whether a treatment is open."""
        from osteon.selection.verdicts import OPEN

        return any(status in OPEN for status in self.status.values())


@dataclass
class Summary:
    """What the rows of a cohort come to; nothing of a single row is kept."""

    charts: int = 0
    lesions: int = 0
    unreadable: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    without: int = 0
    blocked_by: Counter[str] = field(default_factory=Counter)
    _last: str = ""

    def add(self, row: Row) -> None:
        """Count one row."""
        self.charts += row.chart != self._last
        self._last = row.chart
        if row.error:
            self.unreadable += 1
            return
        self.lesions += 1
        for name, status in row.status.items():
            self.counts.setdefault(name, Counter())[status] += 1
        if not row.has_option:
            self.without += 1
            self.blocked_by[row.blocking or NOTHING] += 1

    def tree(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "charts": self.charts,
            "lesions": self.lesions,
            "unreadable": self.unreadable,
            "treatments": {name: {s: counts[s] for s in SIGNS} for name, counts in self.counts.items()},
            "no_option_open": {"lesions": self.without, "blocked_by": dict(self.blocked_by.most_common())},
        }


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(cohort)


def cohort(
    folder: Annotated[Path, typer.Argument(help="Every case.yaml below it is judged.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the table as CSV, one line per lesion.")] = None,
    treatments: Annotated[str, typer.Option(help="Comma-separated names or families, or all.")] = "all",
    policy: Annotated[str, typer.Option(help="Site policy: strict or mitigated.")] = "strict",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Judge every chart below a folder: a line per lesion, and for whom no option is open and which missing fact blocked it."""
    import os

    from osteon.cli import _progress
    from osteon.selection.judging import POLICIES

    if policy not in POLICIES:
        raise InputError(f"There is no policy {policy!r}.", "It decides what is excluded.", f"Use {' or '.join(POLICIES)}.")
    names, charts = chosen(treatments), charts_below(folder)
    work = Judge(folder, names, policy)
    summary = Summary()
    with ExitStack() as stack:
        observe = stack.enter_context(_progress(quiet))
        sinks = [as_json_lines(sys.stdout, policy) if as_json else as_text(sys.stdout, names)]
        if out is not None:
            sinks.append(as_csv(stack.enter_context(_opened(out)), names))
        for sink in sinks:
            next(sink)
        observe("cohort", 0.0)
        for done, rows in enumerate(streamed(charts, work, workers or os.cpu_count() or 1), 1):
            for row in rows:
                summary.add(row)
                for sink in sinks:
                    sink.send(row)
            observe("cohort", done / len(charts))
        for sink in sinks:
            sink.close()
    print(json.dumps(summary.tree(), ensure_ascii=False) + "}" if as_json else told(summary))
    if summary.unreadable:
        raise typer.Exit(1)


def charts_below(folder: Path) -> list[Path]:
    """Return every case.yaml below a folder, in the order of their paths.

    Raises
    ------
    InputError
        If there is none.
    """
    found = sorted(folder.rglob("case.yaml")) if folder.is_dir() else []
    if not found:
        raise InputError(
            f"There is no case.yaml below {folder}.",
            "Without charts there is no cohort.",
            "Name a folder that holds folders of cases.",
        )
    return found


def chosen(treatments: str) -> tuple[str, ...]:
    """Return the treatments of a list of names and families, in the order of the catalogue.

    Raises
    ------
    InputError
        If one is neither.
    """
    from osteon.treatments.catalog import entries
    from osteon.treatments.names import rows_named

    known = entries()
    said = [t.strip() for t in treatments.split(",") if t.strip()] or ["all"]
    families = {entry.family for entry in known.values()}
    meant = {row for each in said if each != "all" and each not in families for row in rows_named(each)}
    return tuple(n for n, entry in known.items() if "all" in said or n in meant or entry.family in said)


@dataclass(frozen=True)
class Judge:
    """Reads and judges one chart; pickled to the processes that do it."""

    folder: Path
    names: tuple[str, ...]
    policy: str

    def __call__(self, file: Path) -> list[Row]:
        """Return a row per lesion, or one with the error."""
        from osteon.assessment.assess import assess
        from osteon.case.load import load_case
        from osteon.selection.policies import site_of
        from osteon.selection.select import select

        chart = file.parent.relative_to(self.folder).as_posix()
        try:
            verdicts = select(assess(load_case(file)), self.policy, site_of(file.parent), missing=False, policies=(self.policy,))
        except OsteonError as error:
            return [Row(chart, error=error.what)]
        except Exception as error:  # one chart must not end the others
            return [Row(chart, error=f"a fault in osteon, not in the chart: {type(error).__name__}: {error}")]
        rows: dict[str, dict[str, str]] = {}
        waits: dict[str, Counter[str]] = {}
        for verdict in verdicts.verdicts:
            if verdict.policy != self.policy or verdict.treatment not in self.names:
                continue
            rows.setdefault(verdict.lesion_id, {})[verdict.treatment] = verdict.status
            counted = waits.setdefault(verdict.lesion_id, Counter())
            if verdict.status == "needs":
                counted.update({f for r in verdict.reasons if r.truth == "unknown" and r.kind in DECIDING for f in r.unknown})
        flags = {lesion: [f for f in verdicts.flags if f.lesion_id == lesion] for lesion in rows}
        return [
            Row(
                chart,
                lesion,
                status,
                most_blocking(waits[lesion]),
                tuple(f.rule_id for f in flags[lesion] if f.truth == "true"),
                tuple(f.rule_id for f in flags[lesion] if f.urgent),
            )
            for lesion, status in rows.items()
        ]


def most_blocking(waits: Counter[str]) -> str:
    """Return the fact that most treatments wait for; of equals the first of the vocabulary; "" where none waits."""
    from osteon.facts import vocabulary

    most = max(waits.values(), default=0)
    return next((name for name in vocabulary() if waits[name] == most), "") if most else ""


def streamed(items: Sequence[T], work: Callable[[T], R], workers: int) -> Iterator[R]:
    """Yield the results of work in the order of the items, a few chunks ahead, so that memory stays flat.

    Parameters
    ----------
    items : sequence
        Picklable.
    work : callable
        Picklable.
    workers : int
        Processes; 1: this one.
    """
    if workers == 1 or len(items) <= CHUNK:
        yield from map(work, items)
        return
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing import get_context

    ahead: deque[Future[list[R]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        left = iter(items)
        while chunk := list(islice(left, CHUNK)):
            ahead.append(pool.submit(_several, work, chunk))
            if len(ahead) > 3 * workers:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def _several(work: Callable[[T], R], chunk: Sequence[T]) -> list[R]:
    if gc.get_freeze_count() == 0:
        first = work(chunk[0])  # reads the rules, which stay for good and need not be looked through again
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000)
        return [first, *map(work, chunk[1:])]
    return [work(each) for each in chunk]


def _one_thread() -> None:
    import os

    os.environ["NUMBA_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"


def _opened(out: Path) -> TextIO:
    from osteon.cache import check_writable

    check_writable(out.parent)
    return out.open("w", encoding="utf-8", newline="")


Sink = Any


def as_csv(file: TextIO, names: Iterable[str]) -> Sink:
    """Write rows that are sent to it as CSV."""
    writer = csv.writer(file)
    writer.writerow(["chart", "lesion", "error", "blocking", "red_flags", "red_flags_unknown", *names])
    while True:
        row: Row = yield
        flags = " ".join(row.flags), " ".join(row.unknown_flags)
        writer.writerow([row.chart, row.lesion, row.error, row.blocking, *flags, *(row.status.get(n, "") for n in names)])


def as_json_lines(file: TextIO, policy: str) -> Sink:
    """Write rows that are sent to it as the list of a JSON object that the summary closes."""
    file.write(json.dumps({"schema": SCHEMA, "policy": policy})[:-1] + ', "rows": [')
    between = "\n"
    try:
        while True:
            row: Row = yield
            tree = {"chart": row.chart, "error": row.error} if row.error else {k: v for k, v in vars(row).items() if k != "error"}
            file.write(between + json.dumps(tree, ensure_ascii=False))
            between = ",\n"
    finally:
        file.write('\n], "summary": ')


def as_text(file: TextIO, names: Sequence[str]) -> Sink:
    """Write rows that are sent to it as lines: one letter per treatment."""
    file.write("One letter per treatment: " + ", ".join(f"{sign} {name}" for name, sign in SIGNS.items()) + "\n")
    file.write("In the order: " + ", ".join(names) + "\n\n")
    while True:
        row: Row = yield
        if row.error:
            file.write(f"{row.chart}: cannot be read: {row.error}\n")
            continue
        signs = "".join(SIGNS[row.status[n]] for n in names)
        said = [f"waits for {row.blocking}"] if row.blocking else []
        said += [f"red flag {', '.join(row.flags)}"] if row.flags else []
        said += [f"cannot tell {', '.join(row.unknown_flags)}"] if row.unknown_flags else []
        file.write(f"{row.chart} {row.lesion}  {signs}  {'; '.join(said)}".rstrip() + "\n")


def told(summary: Summary) -> str:
    """Return a summary in words."""
    lines = ["", f"{summary.lesions} lesions of {summary.charts - summary.unreadable} charts"]
    lines[-1] += f"; {summary.unreadable} charts cannot be read." if summary.unreadable else "."
    width = max((len(n) for n in summary.counts), default=0)
    heads = list(SIGNS)
    lines.append(" ".join([" " * width, *heads]))
    for name, counts in summary.counts.items():
        lines.append(" ".join([name.ljust(width), *(str(counts[s]).rjust(len(s)) for s in heads)]))
    lines.append(f"No option is open for {summary.without} lesions.")
    if summary.without:
        lines.append("What blocked most: " + ", ".join(f"{n} ({k})" for n, k in summary.blocked_by.most_common(8)) + ".")
    return "\n".join(lines)
