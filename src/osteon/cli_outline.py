"""The command that outlines a whole case: by TotalSegmentator where it is installed, or bones by threshold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from osteon.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(outline)


def outline(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder with case.yaml, or the file itself.")],
    fast: Annotated[bool, typer.Option("--fast", help="TotalSegmentator's 3 mm model.")] = False,
    bones: Annotated[bool, typer.Option("--bones", help="Find bones by threshold instead, without another program.")] = False,
    name: Annotated[list[str] | None, typer.Option(help="Which piece is which: bone_3=hip_left. May be repeated.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the label map of an earlier run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Outline a case: TotalSegmentator where it is installed, or with --bones pieces of bone to be named. Both approximate."""
    from osteon.case.add_labels import outline_by_model
    from osteon.cli import _folder, _progress

    folder = _folder(case)
    if bones:
        _bones(folder, name or [], fast, replace, as_json)
        return
    if name:
        raise InputError(
            f"--name {name[0]} was given without --bones.",
            "TotalSegmentator names its outlines itself.",
            "Add --bones, or leave --name out.",
        )
    with _progress(quiet or as_json) as observe:
        observe("TotalSegmentator", 0.0)
        made = outline_by_model(folder, fast=fast, replace=replace, observe=lambda done: observe("TotalSegmentator", done))
        observe("TotalSegmentator", 1.0)
    if as_json:
        print(json.dumps({"labels": str(made), "approximate": True}, ensure_ascii=False, indent=2))
        return
    print(f"Wrote {made} and named it in {folder / 'case.yaml'}, as approximate: a model's output. Look at it before you use it.")


def _bones(folder: Path, given: Sequence[str], fast: bool, replace: bool, as_json: bool) -> None:
    from osteon.case.add_labels import outline_bones
    from osteon.report.pieces import write_pieces

    if fast:
        raise InputError(
            "--fast was given with --bones.", "It is a choice of TotalSegmentator's models.", "Leave one of the two out."
        )
    made = outline_bones(folder, _names(given), replace=replace)
    picture = write_pieces(folder / "bones_preview.svg", made.image, made.found, made.names)
    rows = [
        {
            "piece": b.id,
            "name": made.names[b.id].id if b.id in made.names else None,
            "side": b.side,
            "volume_ml": round(b.volume_ml, 1),
        }
        for b in made.found.bones
    ]
    if as_json:
        tree = {
            "pieces": rows,
            "labels": str(made.file),
            "in_case": made.named_in_case,
            "preview": str(picture),
            "notes": list(made.found.notes),
        }
        print(json.dumps(tree, ensure_ascii=False, indent=2))
        return
    for row in rows:
        print(f"{row['piece']:<8} {row['name'] or '-':<16} {row['side']:<8} {row['volume_ml']:>7} ml")
    for note in made.found.notes:
        print(f"  {note}")
    if made.named_in_case:
        print(f"Named them in {folder / 'case.yaml'}, as approximate. Look at {picture} before you use them.")
    else:
        print(f"Look at {picture}, then name the pieces that you know: osteon outline {folder} --bones --name bone_1=hip_left")


def _names(given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        piece, _, name = each.partition("=")
        if not piece.strip() or not name.strip() or piece.strip() in found:
            raise InputError(
                f"--name {each} is not piece=structure, or names a piece twice.",
                "A bone without a clear name is worse than none.",
                "Give it as --name bone_3=hip_left, once for each piece.",
            )
        found[piece.strip()] = name.strip()
    return found
