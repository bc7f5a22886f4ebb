"""Commands about who a patient is: what of it is in a folder, and DICOM files without it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osteon.errors import InputError, MissingError

if TYPE_CHECKING:
    from osteon.case.private import Hidden

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
LookFor = Annotated[Path | None, typer.Option("--case", help="Case folder whose DICOM headers tell what to look for.")]
SecretOf = Annotated[Path | None, typer.Option("--case", help="Case folder that keeps the secret for new UIDs.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(name="check-private")(check_private)
    app.command()(deidentify)


def say_hidden(hidden: Hidden) -> None:
    """Say on standard error what was taken out of a case, and which outlines got a number for a name; on the terminal only."""
    if hidden.places:
        print(f"osteon: a name, number or UID was left out of: {', '.join(hidden.places)}.", file=sys.stderr)
    if hidden.words and sys.stderr.isatty():
        for shown, name in hidden.words.items():
            print(f"osteon: {shown} is {name!r}", file=sys.stderr)


def check_private(
    path: Annotated[Path, typer.Argument(help="File or folder that is about to be shared.")],
    case: LookFor = None,
    known: Annotated[
        list[str] | None, typer.Option(help="A word that must not occur: a name, a number. May be repeated.")
    ] = None,
    pseudonym: Annotated[list[str] | None, typer.Option(help="What patient name and number may be. May be repeated.")] = None,
    keep_dates: Annotated[bool, typer.Option("--keep-dates", help="Dates of examination may stay in DICOM files.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look for names, birth dates, numbers and UIDs in a folder before it is shared; exit code 1 where there are any."""
    from osteon.io.deidentify import check_clean
    from osteon.io.identity import identity_of

    if not path.exists():
        raise MissingError(f"There is no file or folder {path}.", "Nothing was looked at.", "Correct the path.")
    words = (*(identity_of([case]).known if case is not None else ()), *(known or ()))
    found = check_clean(path, known=words, pseudonyms=pseudonym or (), keep_dates=keep_dates)
    if as_json:
        rows = [{"kind": f.kind, "where": f.where, "why": f.why, "do": f.do} for f in found]
        print(json.dumps({"clean": not found, "looked_for": len(words), "findings": rows}, ensure_ascii=False, indent=2))
        raise typer.Exit(1 if found else 0)
    for kind, where, what in (("kind", "where", "what to do"), *((f.kind, f.where, f.do) for f in found)) if found else ():
        print(f"{kind:<11} {where:<60} {what}")
    print(f"{len(found)} findings." if found else "Nothing was found that tells who the patient is.", file=sys.stderr)
    raise typer.Exit(1 if found else 0)


def deidentify(
    path: Annotated[Path, typer.Argument(metavar="DICOM", help="DICOM file, or folder of them.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="New folder.")],
    case: SecretOf = None,
    pseudonym: Annotated[str, typer.Option(help="New patient name and number.")] = "anonymous",
    keep: Annotated[list[str] | None, typer.Option(help="A DICOM attribute that stays as it is. May be repeated.")] = None,
    keep_dates: Annotated[bool, typer.Option("--keep-dates", help="Dates of examination stay.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write DICOM files again without names, dates, typed texts and original UIDs, under new file names.

    UIDs are replaced alike for one case (--case keeps the secret in CASE/.osteon/salt), so that files still refer to one another.
    """
    from osteon.io.dicom_write import clean_files, salt_of

    if case is not None and not (case / "case.yaml").is_file():
        raise InputError(
            f"There is no case.yaml in {case}.", "The secret for new UIDs is kept with a case.", "Name the case folder."
        )
    written, passed_over = clean_files(
        path, out, salt=salt_of(case), pseudonym=pseudonym, keep=tuple(keep or ()), keep_dates=keep_dates
    )
    if as_json:
        print(json.dumps({"written": len(written), "passed_over": passed_over}, ensure_ascii=False))
        return
    print(f"Wrote {len(written)} files to {out}; {passed_over} files that are no DICOM were passed over.")
