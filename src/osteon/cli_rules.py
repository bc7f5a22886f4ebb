"""Commands about the rule base: what is wrong with it, what it says, what changed, what of the papers it uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from osteon.selection.book_check import Finding
    from osteon.selection.coverage import Use
    from osteon.selection.snapshot import Snapshot

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
INSTALLED = "installed"
rules = typer.Typer(help="The rule base: check, show, compare, keep.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(rules, name="rules")


def _print_json(tree: Any) -> None:
    print(json.dumps(tree, ensure_ascii=False, indent=2))


def _base(name: str) -> Snapshot:
    from osteon.selection.snapshot import installed, load

    return installed() if name == INSTALLED else load(Path(name))


@rules.command()
def check(
    base: Annotated[str, typer.Argument(help="A snapshot, or installed.")] = INSTALLED,
    notes: Annotated[bool, typer.Option(help="Name rules that only act where others have decided, too.")] = True,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong, with file and line: form, examples, dead, contradictory and double rules; exit code 1 if any."""
    from osteon.selection import book_check

    found = book_check.check(_base(base), notes=notes)
    wrong = [f for f in found if not f.note]
    if as_json:
        _print_json([_finding(f) for f in found])
    else:
        for f in found:
            mark = "note" if f.note else f.kind
            print(f"{f.file}:{f.line}  {mark}: {f.rule}{' ' if f.rule else ''}{f.text}")
        print(f"{len(wrong)} findings, {len(found) - len(wrong)} notes.")
    raise typer.Exit(1 if wrong else 0)


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "file": found.file,
        "line": found.line,
        "rule": found.rule,
        "kind": found.kind,
        "text": found.text,
        "note": found.note,
    }


@rules.command()
def show(
    treatment: Annotated[str, typer.Argument(help="A treatment, or an entry of the decision register (X26).")] = "",
    rule: Annotated[str, typer.Argument(help="Id of one rule of it, in full.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show a treatment: what is stated of it, with exact intervals, and its rules; without a name, list all treatments."""
    from osteon.selection.rules import conflicts

    if not treatment:
        _show_all(as_json)
    elif treatment.upper() in conflicts():
        _show_conflict(treatment.upper(), as_json)
    else:
        _show_rows(treatment, rule, as_json)


def _show_all(as_json: bool) -> None:
    from osteon.selection.judging import book
    from osteon.treatments.catalog import entries
    from osteon.treatments.catalog import treatment as named

    rows = [(name, entry.family, len(book(named(name)).rules)) for name, entry in entries().items()]
    if as_json:
        _print_json([{"treatment": n, "family": f, "rules": count} for n, f, count in rows])
        return
    for name, family, count in rows:
        print(f"{name:<28}{family:<14}{count:>4} rules")


def _show_conflict(name: str, as_json: bool) -> None:
    from dataclasses import asdict

    from osteon.selection.book_text import conflict_lines
    from osteon.selection.rules import conflicts

    entry = conflicts()[name]
    if as_json:
        _print_json({**asdict(entry), "decided": entry.decided.isoformat()})
        return
    print("\n".join(conflict_lines(entry)))


def _show_rows(name: str, rule: str, as_json: bool) -> None:
    from osteon.selection import book_text
    from osteon.selection.judging import book
    from osteon.treatments.catalog import treatment
    from osteon.treatments.names import rows_named
    from osteon.treatments.rows import sheet

    trees = []
    for number, row in enumerate(rows_named(name)):
        which = treatment(row)
        listed = book(which).rules
        if rule:
            found = book_text.rule_named(rule, listed, row)
            trees.append(book_text.rule_tree(found))
            lines = list(book_text.rule_lines(found))
        else:
            trees.append(book_text.row_tree(row, sheet(which), listed))
            lines = list(book_text.row_lines(sheet(which), listed))
        if not as_json:
            print(("\n" if number else "") + "\n".join(lines))
    if as_json:
        _print_json(trees[0] if len(trees) == 1 else trees)


@rules.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A snapshot.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another; default: what is installed.")] = INSTALLED,
    as_json: AsJson = False,
) -> None:
    """Say which rules, parameters, policies, conflicts, limits and facts were added, removed or changed from A to B."""
    from osteon.selection.snapshot import difference

    before, after = _base(first), _base(second)
    found = difference(before, after)
    if as_json:
        changes = [
            {
                "file": c.file,
                "entry": c.entry,
                "what": c.what,
                "fields": {name: {"before": _json(a), "after": _json(b)} for name, a, b in c.fields},
            }
            for c in found
        ]
        _print_json({"first": before.digest, "second": after.digest, "changes": changes})
        return
    print(f"{before.digest[:12]} -> {after.digest[:12]}: {len(found)} entries differ.")
    for c in found:
        print(f"{c.what:<8} {c.file}: {c.entry}")
        for name, a, b in c.fields:
            print(f"           {name}: {_short(a)} -> {_short(b)}")


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 100 else text[:97] + "..."


@rules.command()
def coverage(
    only_open: Annotated[bool, typer.Option("--open", help="Only what is neither used nor left out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what became of every statement of the papers: used, used elsewhere, left out for a reason; exit code 1 if open."""
    from osteon.selection import coverage as book

    found = book.coverage()
    if as_json:
        uses = [{"id": u.id, "rules": list(u.rules), "files": list(u.files), "left_out": u.reason} for u in found.uses]
        _print_json({"settled": found.fraction, "open": list(found.open), "faults": list(found.faults), "statements": uses})
    else:
        for use in found.uses:
            if not only_open or not use.settled:
                print(f"{use.id:<28} {_use(use)}")
        for fault in found.faults:
            print(f"wrong: {fault}")
        used = sum(bool(u.rules) for u in found.uses)
        left = sum(bool(u.reason) for u in found.uses)
        other = len(found.uses) - used - left - len(found.open)
        print(f"{len(found.uses)} statements: {used} used by rules, {other} elsewhere, {left} left out, {len(found.open)} open.")
    raise typer.Exit(1 if found.open or found.faults else 0)


def _use(use: Use) -> str:
    if use.reason:
        return f"left out: {use.reason}"
    where = [*use.rules, *use.files]
    more = f" and {len(where) - 3} more" if len(where) > 3 else ""
    return "; ".join(where[:3]) + more if where else "open"


@rules.command()
def snapshot(
    file: Annotated[Path, typer.Argument(help="File to write: .json, or .json.gz to compress it.")], as_json: AsJson = False
) -> None:
    """Write the whole rule base into one file, by which a decision can be judged again."""
    from osteon.selection.snapshot import installed, write

    base = installed()
    write(base, file)
    if as_json:
        _print_json({"file": str(file), "digest": base.digest, "files": len(base.files)})
        return
    print(f"Wrote {file}: {len(base.files)} files, version {base.digest[:12]}.")
