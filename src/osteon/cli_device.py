"""The command that makes a device entry from zones that a site measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osteon.errors import InputError

if TYPE_CHECKING:
    from osteon.treatments.device_fit import Fit

device = typer.Typer(help="Devices of the site.", no_args_is_help=True)
HEAD = "Fitted to the site's own zones. Research use only, not a medical device."


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(device, name="device")


@device.callback()
def _devices() -> None:
    """Devices of the site."""


@device.command("fit")
def fit_device(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV: device, power_w, time_s, long_mm, short_mm, medium, temperature_c.")
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the device entry (YAML).")] = None,
    treatment: Annotated[str, typer.Option(help="Whose quick simulation predicts: microwave or laser.")] = "microwave",
    criterion: Annotated[str, typer.Option(help="By which the edge of the simulated zone is drawn.")] = "arrhenius_liver",
    date: Annotated[str | None, typer.Option(help="Of the fit, YYYY-MM-DD; default: today.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Where to draw measured against held-out zones (SVG).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Fit the net power of a device to measured zones; print spread and held-out error; write a dated device entry."""
    import yaml

    from osteon.cli import _progress
    from osteon.treatments import device_fit
    from osteon.treatments.catalog import shipped as find

    day = _day(date)
    for path in (output, plot):
        if path is not None and not path.resolve().parent.is_dir():
            raise InputError(
                f"There is no folder {path.resolve().parent}.",
                "The fit would be lost after its computation.",
                "Create the folder, or name another file.",
            )
    rows = device_fit.read_rows(file)
    known = find(treatment).devices
    lost = sorted({row.device for row in rows} - known.keys())
    if lost:
        raise InputError(
            f"{file.name} names the device {lost[0]!r}; {treatment} has none of that name.",
            "A fit changes the net power of a shipped device; without its geometry nothing can be simulated.",
            f"Use one of: {', '.join(known)}.",
        )
    with _progress(quiet or as_json) as observe:
        found = device_fit.fit(rows, treatment, criterion, lambda done: observe(f"fitting {treatment}", done))
    base = known[found.device]
    name = device_fit.name_of(found, day)
    entry = device_fit.entry_of(found, base, day, device_fit.digest_of(file))
    if output is not None:
        text = yaml.safe_dump({name: entry}, sort_keys=False, allow_unicode=True, width=130)
        output.write_text(f"# {HEAD}\n{text}", encoding="utf-8")
    if plot is not None:
        plot.write_text(drawing(found), encoding="utf-8")
    if as_json:
        tree = {**found.as_json(), "id": name, "date": day, "entry": entry, "output": None if output is None else str(output)}
        print(json.dumps(tree, ensure_ascii=False, indent=2))
        return
    for line in lines(found, name):
        print(line)
    if output is not None:
        print(f"Wrote {output}. Plan with it: put its folder in OSTEON_DEVICES, then osteon plan CASE --device {name}")


def _day(given: str | None) -> str:
    from datetime import date

    if given is None:
        return date.today().isoformat()
    try:
        return date.fromisoformat(given).isoformat()
    except ValueError:
        raise InputError(f"--date is {given!r}.", "The entry carries its date.", "Give it as YYYY-MM-DD.") from None


def lines(found: Fit, name: str) -> list[str]:
    """Return a fit in words."""
    told = [
        f"{name}  {HEAD}",
        f"  net power: {found.net_power_fraction * 100:.0f} % of what is displayed ({found.factor:.2f} times the shipped entry)",
        f"  spread: a factor of {found.spread_gsd:.2f} between zones; {len(found.rows)} zones, criterion {found.criterion}",
        f"  held out: length {found.long_rms_mm:.1f} mm, width {found.short_rms_mm:.1f} mm rms, at worst {found.worst_mm:.1f} mm",
    ]
    for row, own, held in zip(found.rows, found.own_factors, found.held_out):
        told.append(
            f"  line {row.line}: {row.power_w:g} W, {row.time_s:g} s, measured {row.long_mm:g} x {row.short_mm:g} mm, held out "
            f"{row.long_mm + held.long_error_mm:.1f} x {row.short_mm + held.short_error_mm:.1f} mm, asks for {own:.2f}"
        )
    return told


def drawing(found: Fit) -> str:
    """Return measured axes against those predicted by a fit to all other rows, as SVG."""
    points = [
        (measured, measured + error, colour)
        for row, held in zip(found.rows, found.held_out)
        for measured, error, colour in (
            (row.long_mm, held.long_error_mm, "#1f77b4"),
            (row.short_mm, held.short_error_mm, "#ff7f0e"),
        )
    ]
    most = 1.1 * max(max(a, b) for a, b, _ in points)
    size, edge = 360.0, 45.0

    def at(a: float, b: float) -> tuple[float, float]:
        return edge + (size - 2 * edge) * a / most, size - edge - (size - 2 * edge) * b / most

    x0, y0 = at(0, 0)
    x1, y1 = at(most, most)
    marks = "".join(f'<circle cx="{at(a, b)[0]:.1f}" cy="{at(a, b)[1]:.1f}" r="4" fill="{colour}"/>' for a, b, colour in points)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size:g} {size:g}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<path d="M{x0:.1f} {y1:.1f}V{y0:.1f}H{x1:.1f}" fill="none" stroke="black"/>'
        f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="grey" stroke-dasharray="4"/>{marks}'
        f'<text x="{x1:.1f}" y="{y0 + 14:.1f}" text-anchor="end">{most:.0f}</text>'
        f'<text x="{size / 2:g}" y="{size - 10:g}" text-anchor="middle">measured [mm]</text>'
        f'<text x="14" y="{size / 2:g}" text-anchor="middle" transform="rotate(-90 14 {size / 2:g})">held out [mm]</text>'
        f'<text x="{x0 + 8:.1f}" y="{y1 + 4:.1f}" fill="#1f77b4">length</text>'
        f'<text x="{x0 + 8:.1f}" y="{y1 + 18:.1f}" fill="#ff7f0e">width</text></svg>\n'
    )
