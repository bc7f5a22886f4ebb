"""The command line. Every command imports what it needs when it runs, so that ``osteon list`` answers at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteon import (
    __version__,
    cli_ask,
    cli_cohort,
    cli_decide,
    cli_device,
    cli_ledger,
    cli_make,
    cli_outline,
    cli_rules,
    cli_strength,
    cli_why,
)
from osteon.cli_make import Phantom
from osteon.cli_privacy import register
from osteon.errors import InputError, OsteonError

if TYPE_CHECKING:
    from osteon.pathway import Journey
    from osteon.planning.plan import PlanRequest

EPILOGUE = (
    "Research use only, not a medical device. "
    + "Exit codes: 0 done, 1 a named bad end, 2 bad input, 3 missing data or extra, 130 stopped."
)
app = typer.Typer(
    name="osteon",
    help="Follow one patient's bone metastasis along the clinical path: case, assess, select, plan, report.",
    epilog=EPILOGUE,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


class Policy(StrEnum):
    """Site policy for structures nearer than 10 mm."""

    STRICT = "strict"
    MITIGATED = "mitigated"


class Goal(StrEnum):
    """Goal of treatment."""

    CURE = "cure"
    PALLIATION = "palliation"
    INTERFACE_PALLIATION = "interface_palliation"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
CaseFolder = Annotated[Path, typer.Argument(metavar="CASE", help="Folder with case.yaml, or the file itself.")]
PolicyOption = Annotated[Policy, typer.Option(help="Site policy; both are reported.")]
SiteOption = Annotated[list[str] | None, typer.Option("--site", help="A site policy: mirels_fix_from=8. May be repeated.")]
GoalOption = Annotated[Goal | None, typer.Option(help="Overrides the goal of the chart.")]
Treatments = Annotated[str, typer.Option("--treatments", "--treatment", help="Comma-separated names (rfa, cryo, ...), or all.")]
Spacing = Annotated[float, typer.Option("--spacing", min=0.4, max=3.0, help="Grid of the final simulation [mm].")]
Samples = Annotated[int, typer.Option(min=0, max=1000, help="Runs of the uncertainty ensemble; 0: nominal only.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the ensemble.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Plan what is excluded or not indicated too; printed on every page.")]
ApproachOption = Annotated[
    str, typer.Option("--approach", help="Of treatments with several approaches: plan this one (near-target, direct, ...).")
]
DeviceOption = Annotated[str, typer.Option("--device", help="Plan with this device alone; see `osteon list devices`.")]
Thermocouples = Annotated[
    list[str] | None,
    typer.Option("--thermocouple", metavar="NAME=X,Y,Z", help="Read the temperature there [LPS mm]; repeatable."),
]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="Folder to write to; default: CASE/report.")]
KeepIdentity = Annotated[bool, typer.Option("--keep-identity", help="Write names, numbers and file names as they are.")]
NoStrength = Annotated[bool, typer.Option("--no-strength", help="Compute no strength of the bone.")]
StrengthSamples = Annotated[int, typer.Option(min=0, max=1000, help="Draws of the band of strength; 0: by calibration and law.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Recompute everything, whatever the cache holds.")]


def main() -> None:
    """Run the command line with documented exit codes and three-part errors."""
    as_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=False)
    except OsteonError as error:
        _say_error(error.what, error.why, error.do, as_json)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _say_error("Stopped.", "What was finished is kept in the cache.", "Run the same command again to go on.", as_json)
        sys.exit(130)
    except typer.Exit as leave:
        sys.exit(leave.exit_code)
    except Exception as error:
        if type(error).__module__.startswith(("typer", "click")) and hasattr(error, "format_message"):
            import shlex

            message = str(error.format_message()) or "No such command or option."
            message += f" (given: osteon {shlex.join(sys.argv[1:])})"
            _say_error(message, "osteon does not guess what was meant.", "See `osteon --help`.", as_json)
            sys.exit(2)
        import traceback

        trace = traceback.extract_tb(error.__traceback__)[-1]
        _say_error(
            f"{type(error).__name__}: {error} ({Path(trace.filename).name}:{trace.lineno}).",
            "This is a fault in osteon; no result of this run can be trusted.",
            "Report it with the command and the case file; set OSTEON_TRACEBACK=1 to see where it happened.",
            as_json,
        )
        import os

        if os.environ.get("OSTEON_TRACEBACK"):
            raise
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _say_error(what: str, why: str, do: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": {"what": what, "why": why, "do": do}}, ensure_ascii=False), file=sys.stderr)
        return
    print(f"osteon: {what}\n  why it matters: {why}\n  what to do:     {do}", file=sys.stderr)


def _print_json(tree: Any) -> None:
    print(json.dumps(tree, ensure_ascii=False, indent=2, sort_keys=False))


def _folder(case: Path) -> Path:
    folder = case.parent if case.is_file() else case
    if not (folder / "case.yaml").is_file():
        raise InputError(
            f"There is no case.yaml in {folder}.",
            "osteon reads everything about a patient from that file.",
            "Make one with `osteon new`, or try `osteon phantom ilium -o DIR`.",
        )
    return folder


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """Show a bar per stage with the time left, on a terminal's standard error only."""
    if quiet or not sys.stderr.isatty():
        yield lambda _stage, _fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:

        def observe(stage: str, fraction: float) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=1.0)
            bar.update(tasks[stage], completed=fraction)

        yield observe


def _request(
    treatments: str,
    goal: Goal | None,
    spacing: float,
    samples: int,
    seed: int,
    anyway: bool,
    policy: Policy,
    site: list[str] | None,
    thermocouple: list[str] | None = None,
    device: str = "",
    approach: str = "",
) -> PlanRequest:
    from osteon.planning.plan import PlanRequest
    from osteon.treatments.names import rows_named

    given = [n.strip() for n in treatments.split(",") if n.strip()] or ["all"]
    names = tuple(dict.fromkeys(row for n in given for row in (("all",) if n == "all" else rows_named(n))))
    chosen: Any = None if goal is None else goal.value
    return PlanRequest(
        names, chosen, spacing, samples, seed, anyway, policy.value, _site(site), _thermocouples(thermocouple), device,
        approach,
    )  # fmt: skip


def _thermocouples(texts: list[str] | None) -> tuple[tuple[str, tuple[float, float, float]], ...]:
    if not texts:
        return ()
    from osteon.treatments.sensing import thermocouples_of

    return thermocouples_of(texts)


def _site(texts: list[str] | None) -> tuple[tuple[str, bool | int | float | str], ...]:
    from osteon.selection.policies import choices_of

    return tuple(sorted(choices_of(texts or ()).items()))


def _travel(
    folder: Path, request: PlanRequest, quiet: bool, *, with_plans: bool = True, fresh: bool = False, keep_identity: bool = False,
    with_strength: bool = False, strength_samples: int = 0,
) -> Journey:  # fmt: skip
    import shutil

    from osteon.cache import Cache
    from osteon.cli_privacy import say_hidden
    from osteon.jobs import Local
    from osteon.pathway import journey

    store = Cache(folder / ".osteon" / "cache")
    if fresh:
        shutil.rmtree(store.folder, ignore_errors=True)
    with _progress(quiet) as observe:
        result = journey(
            folder, request, cache=store, executor=Local(), observe=observe, with_plans=with_plans, keep_identity=keep_identity,
            with_strength=with_strength, strength_samples=strength_samples,
        )  # fmt: skip
    say_hidden(result.hidden)
    for name in store.damaged:
        print(f"osteon: a damaged cache entry was recomputed: {name}", file=sys.stderr)
    if store.unkept:
        print(f"osteon: goes on without keeping what it computes. {store.unkept[0]}", file=sys.stderr)
    return result


def _tree(journey: Journey) -> dict[str, Any]:
    from osteon.report.journey_json import as_json

    return as_json(journey)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("osteon-demo"),
    phantom: Annotated[Phantom, typer.Option(help="Which phantom.")] = Phantom.ILIUM,
    spacing: Spacing = 1.0,
    samples: Samples = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan microwave ablation of an embedded phantom and write the report."""
    import time

    from osteon.case.phantom import write

    begin = time.perf_counter()
    folder = out / f"case-{phantom.value}"
    if not (folder / "case.yaml").exists():
        write(phantom.value, folder)
    request = _request("microwave", None, spacing, samples, 0, False, Policy.STRICT, None)
    _report(folder, out / f"report-{phantom.value}", request, as_json, quiet, False, strength_samples=0)
    if not as_json:
        print(f"The phantom's case lies in {folder}; all of it took {time.perf_counter() - begin:.0f} s.")


cli_make.register(app)


@app.command()
def assess(case: CaseFolder, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Measure each lesion on the image, score it, and say what must be judged."""
    from osteon.planning.plan import PlanRequest

    result = _travel(_folder(case), PlanRequest(), quiet, with_plans=False)
    if as_json:
        tree = _tree(result)
        _print_json({key: tree[key] for key in ("schema", "case", "assessment", "provenance")})
        return
    from osteon.report.terminal import print_assessment

    print_assessment(result)


@app.command()
def select(
    case: CaseFolder,
    policy: PolicyOption = Policy.STRICT,
    site: SiteOption = None,
    view: Annotated[str | None, typer.Option(help="Rows of one specialty, for example orthopaedics.")] = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="Every reason of every row, under every policy.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Answer for every treatment: candidate, excluded, not indicated or what it needs; with cited reasons."""
    from dataclasses import replace

    from osteon.planning.plan import PlanRequest

    request = PlanRequest(policy=policy.value, site=_site(site))
    result = _travel(_folder(case), request, quiet, with_plans=False)
    if view is not None:
        from osteon.selection.views import view as seen_by

        result = replace(result, verdicts=seen_by(result.verdicts, view))
    if as_json:
        tree = _tree(result)
        _print_json({key: tree[key] for key in ("schema", "verdicts", "references", "provenance")})
        return
    from osteon.report.terminal import print_verdicts

    print_verdicts(result, reasons)


@app.command()
def plan(
    case: CaseFolder,
    treatments: Treatments = "all",
    goal: GoalOption = None,
    policy: PolicyOption = Policy.STRICT,
    site: SiteOption = None,
    spacing: Spacing = 1.0,
    samples: Samples = 0,
    seed: Seed = 0,
    anyway: Anyway = False,
    device: DeviceOption = "",
    approach: ApproachOption = "",
    thermocouple: Thermocouples = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Search, simulate and judge: where the needle goes, what is heated, which limits hold."""
    request = _request(treatments, goal, spacing, samples, seed, anyway, policy, site, thermocouple, device, approach)
    result = _travel(_folder(case), request, quiet, fresh=fresh)
    if as_json:
        tree = _tree(result)
        _print_json({key: tree[key] for key in ("schema", "plans", "references", "provenance")})
        return
    from osteon.report.terminal import print_plans

    print_plans(result)


@app.command()
def report(
    case: CaseFolder,
    out: Out = None,
    treatments: Treatments = "all",
    goal: GoalOption = None,
    policy: PolicyOption = Policy.STRICT,
    site: SiteOption = None,
    spacing: Spacing = 1.0,
    samples: Samples = 0,
    seed: Seed = 0,
    anyway: Anyway = False,
    device: DeviceOption = "",
    approach: ApproachOption = "",
    thermocouple: Thermocouples = None,
    fresh: Fresh = False,
    keep_identity: KeepIdentity = False,
    no_strength: NoStrength = False,
    strength_samples: StrengthSamples = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Go all the way and write one self-contained page, journey.json, fields, needle and procedure sheet."""
    folder = _folder(case)
    request = _request(treatments, goal, spacing, samples, seed, anyway, policy, site, thermocouple, device, approach)
    drawn = None if no_strength else strength_samples
    _report(folder, out or folder / "report", request, as_json, quiet, fresh, keep_identity, drawn)


def _report(
    folder: Path, out: Path, request: PlanRequest, as_json: bool, quiet: bool, fresh: bool, keep_identity: bool = False,
    strength_samples: int | None = None,
) -> None:  # fmt: skip
    from osteon.cache import check_writable
    from osteon.report.html import write_report

    check_writable(out)
    result = _travel(
        folder, request, quiet, fresh=fresh, keep_identity=keep_identity, with_strength=strength_samples is not None,
        strength_samples=strength_samples or 0,
    )  # fmt: skip
    page = write_report(result, out)
    if as_json:
        _print_json(_tree(result))
        return
    from osteon.report.terminal import print_summary

    print_summary(result)
    print(f"Report: {page}")


@app.command(name="list")
def list_(
    what: Annotated[
        str, typer.Argument(help="treatments, devices, structures, facts, limits, papers or validations.")
    ] = "treatments",
    as_json: AsJson = False,
) -> None:
    """List what osteon knows by name."""
    from osteon.listing import rows_of

    header, rows = rows_of(what)
    if as_json:
        _print_json([dict(zip(header, row, strict=True)) for row in rows])
        return
    widths = [max(len(str(cell)) for cell in column) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def cite(
    what: Annotated[str, typer.Argument(help="A case folder (everything its report rests on), or a paper's id.")],
    bibtex: Annotated[bool, typer.Option("--bibtex", help="BibTeX instead of text.")] = False,
    policy: PolicyOption = Policy.STRICT,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Name exactly the papers behind a case's answers, or one paper."""
    from osteon.evidence import source

    if Path(what).exists():
        from osteon.planning.plan import PlanRequest

        result = _travel(_folder(Path(what)), PlanRequest(policy=policy.value), quiet)
        papers = source.cite(result.assessment.lesions, result.verdicts, result.plans)
    else:
        if what not in source.papers():
            raise InputError(
                f"{what!r} is neither a folder nor the id of a paper.",
                "Only papers on file can be cited.",
                "See `osteon list papers`.",
            )
        papers = [source.papers()[what]]
    if bibtex:
        print(source.bibtex(papers))
    elif as_json:
        _print_json([{"id": paper.id, "text": source.text(paper)} for paper in papers])
    else:
        for paper in papers:
            print(f"[{paper.id}] {source.text(paper)}")


@app.command()
def schema(what: Annotated[str, typer.Argument(help="case, journey or validate.")] = "case") -> None:
    """Print the JSON Schema of a file that osteon reads or writes."""
    if what == "case":
        from osteon.case.schema import json_schema

        _print_json(json_schema())
        return
    from importlib import resources

    homes = {
        "journey": ("osteon.report", "journey.schema.json"),
        "validate": ("osteon.validation", "validate.schema.json"),
        "sonications": ("osteon.treatments.focused_ultrasound", "sonications.schema.json"),
    }
    if what not in homes:
        raise InputError(
            f"There is no schema {what!r}.", "Only documented files have one.", "Use case, journey, validate or sonications."
        )
    package, name = homes[what]
    print(resources.files(package).joinpath(name).read_text(encoding="utf-8"), end="")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def validate(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A reference case, or all.")] = "all",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run reference cases: a number that nobody here wrote, ours beside it, the error. Some take options: interface --cl 3000."""
    from osteon.validation.catalog import CASES, case, options_of

    options = options_of(name, context.args)
    names = [entry.name for entry in CASES] if name == "all" else [name]
    failed = False
    trees = []
    with _progress(quiet or as_json) as observe:
        for each in names:
            outcome = case(each)(lambda fraction, each=each: observe(f"validate {each}", fraction), **options)
            failed |= not outcome.passed
            if as_json:
                trees.append(outcome.as_json(__version__))
            else:
                from osteon.validation.base import print_report

                print_report(outcome)
    if as_json:
        _print_json(trees[0] if name != "all" else trees)
    raise typer.Exit(1 if failed else 0)


register(app)
cli_outline.register(app)
cli_ledger.register(app)
cli_cohort.register(app)
cli_rules.register(app)
cli_decide.register(app)
cli_ask.register(app)
cli_why.register(app)
cli_device.register(app)
cli_strength.register(app)


@app.callback(invoke_without_command=True)
def _start(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"osteon {__version__}")
        raise typer.Exit(0)
