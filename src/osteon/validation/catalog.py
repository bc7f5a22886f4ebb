"""The reference cases by name; nothing is imported until one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import cast

from osteon.errors import InputError
from osteon.validation.base import Option, ReferenceCase, Run

SOLID = (
    Option("cl", 2800.0, "longitudinal speed of the bone [m/s]"),
    Option("cs", 1550.0, "shear speed of the bone [m/s], 0 for a fluid"),
    Option("rho", 1850.0, "density of the bone [kg/m3]"),
    Option("c1", 1575.0, "speed of the tissue in front [m/s]"),
    Option("rho1", 1090.0, "density of the tissue in front [kg/m3]"),
    Option("angles", "", "angles of incidence [deg], with commas; every 5 and those of the table if left out"),
)
BENCHMARK = (
    Option("case", "BM4", "BM1 to BM8 of the ITRUSST benchmark"),
    Option("source", "SC1", "SC1, a bowl, or SC2, a disc"),
    Option("bone", "fluid", "fluid, as the benchmark has it, or solid, with shear (BM1 to BM6)"),
)
GRIDS = (
    Option("points", "8,10,12", "points per wavelength of the full wave, rising, with commas"),
    Option("cells", "mixed", "cells on a surface: mixed by volume, or middle, all of what fills most of them"),
)
SWINE = (
    Option("device", "exablate-body-208", "an array of devices.yaml"),
    Option("behind_mm", 0.0, "how far behind the near cortex the focus lies [mm]"),
    Option("samples", 48.0, "draws of one sonication; a third as many of the target of six; 0 for none"),
)
CASES = (
    ReferenceCase("pennes", "Bioheat against three exact solutions", "osteon.validation.pennes:run"),
    ReferenceCase("cem43", "Thermal dose against closed forms", "osteon.validation.cem43:run"),
    ReferenceCase("spheroid", "Electrodes as lines against a spheroid and a sphere", "osteon.validation.spheroid:run", slow=True),
    ReferenceCase("mwa-liver", "Coaxial slot antenna in liver", "osteon.validation.mwa_liver:run"),
    ReferenceCase("mwa-media", "Where ten watt go in six tissues", "osteon.validation.mwa_media:run"),
    ReferenceCase("mwa-sigmoid", "Temperatures by the law of the dielectric", "osteon.validation.mwa_sigmoid:run", slow=True),
    ReferenceCase("mwa-follow", "Solving the antenna again after 5 and 2 %", "osteon.validation.mwa_follow:run", slow=True),
    ReferenceCase("mwa-eco", "Zone of the 2450 MHz antenna of seed 4 at 60 W", "osteon.validation.mwa_eco:run", slow=True),
    ReferenceCase("rfa-exvivo", "Cooled electrode in liver ex vivo, 12 min", "osteon.validation.rfa_exvivo:run", slow=True),
    ReferenceCase("rfa-invivo", "The same electrode in perfused liver", "osteon.validation.rfa_invivo:run", slow=True),
    ReferenceCase(
        "rfa-osteoid", "Osteoid osteoma, without and with a reactive zone", "osteon.validation.rfa_osteoid:run", slow=True
    ),
    ReferenceCase("cosman", "Uncooled electrodes: how the width answers each control", "osteon.validation.cosman:run", slow=True),
    ReferenceCase("fibre", "Light of an interstitial fibre against the diffusion limit", "osteon.validation.fibre:run"),
    ReferenceCase("neumann", "Freezing against Neumann's plane front, and a case's energy", "osteon.validation.neumann:run"),
    ReferenceCase("line-sink", "Freezing round a line against the exponential integral", "osteon.validation.line_sink:run"),
    ReferenceCase("elastic", "Voxel elasticity: exact fields, Lamé, theory of beams", "osteon.validation.elastic:run"),
    ReferenceCase("plateau", "Load at which voxels give way against plastic limit loads", "osteon.validation.plateau:run"),
    ReferenceCase("littrup", "One and two cryoprobes in agar", "osteon.validation.littrup:run", slow=True),
    ReferenceCase("cryo-multi", "Three, four and thinner cryoprobes in agar", "osteon.validation.cryo_multi:run", slow=True),
    ReferenceCase("calibration", "From Hounsfield numbers to density on known tissues", "osteon.validation.calibration:run"),
    ReferenceCase(
        "calibration-pelvis", "A real pelvis without phantom: its vertebrae", "osteon.validation.calibration_pelvis:run"
    ),
    ReferenceCase("cortex-map", "The unrolled cortex on tubes with known lesions", "osteon.validation.cortex_map:run", slow=True),
    ReferenceCase(
        "vertebra-measures",
        "Collapse, share, shift and angle of a vertebra against phantoms",
        "osteon.validation.vertebra_measures:run",
    ),
    ReferenceCase(
        "lytic-vertebra", "How much stiffness a lesion takes from a vertebra", "osteon.validation.lytic_vertebra:run", slow=True
    ),
    ReferenceCase("oneil", "Bowl and disc on their axis against O'Neil", "osteon.validation.oneil:run"),
    ReferenceCase(
        "interface",
        "How much sound enters a solid, and how much of it as shear",
        "osteon.validation.interface:run",
        options=SOLID,
    ),
    ReferenceCase(
        "array-steering", "An array of 256 elements: its focus, and what steering costs", "osteon.validation.array_steering:run"
    ),
    ReferenceCase(
        "itrusst", "A bowl and a disc through water, skin and bone", "osteon.validation.itrusst:run", options=BENCHMARK
    ),
    ReferenceCase(
        "bm7", "The planner beside the full wave on a real skull", "osteon.validation.bm7:run", slow=True, options=GRIDS
    ),
    ReferenceCase("slab", "A solid plate in water: the full wave against the exact layer", "osteon.validation.slab:run"),
    ReferenceCase(
        "sonication",
        "A sonication of uniform tissue against spherical waves and Pennes, exactly",
        "osteon.validation.sonication:run",
        slow=True,
    ),
    ReferenceCase(
        "curved-shell",
        "A curved elastic shell at 20 and 35 degrees: the planner against the full wave",
        "osteon.validation.curved_shell:run",
        slow=True,
    ),
    ReferenceCase(
        "swine-femur",
        "Pigs' femora given 400 J, strong and short or weak and long",
        "osteon.validation.swine_femur:run",
        slow=True,
        options=SWINE,
    ),
    ReferenceCase(
        "residual-bone", "Energy of a sonication by what is left of the cortex", "osteon.validation.residual_bone:run", slow=True
    ),
    ReferenceCase(
        "acoustic-layers", "Sound through flat fluid and solid layers, two codings", "osteon.validation.acoustic_layers:run"
    ),
)


def entry_of(name: str) -> ReferenceCase:
    """Return the line of a reference case.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    for entry in CASES:
        if entry.name == name:
            return entry
    raise InputError(
        f"There is no reference case {name!r}.",
        "Only listed cases have a published or exact number beside them.",
        f"Use one of: {', '.join(entry.name for entry in CASES)}.",
    )


def options_of(name: str, words: Sequence[str]) -> dict[str, float | str]:
    """Return the options of a case from the words ``--name value`` behind it.

    Parameters
    ----------
    name : str
        A reference case, or ``all``, which takes none.
    words : sequence of str
        As they stand on the command line.

    Raises
    ------
    InputError
        If the case has no such option, or a value is missing or no number.
    """
    known = {} if name == "all" else {option.name: option for option in entry_of(name).options}
    pieces = [piece for word in words for piece in (word.split("=", 1) if word.startswith("--") else [word])]
    found: dict[str, float | str] = {}
    for flag, value in zip(pieces[::2], [*pieces[1::2], ""] if len(pieces) % 2 else pieces[1::2], strict=True):
        option = known.get(flag.removeprefix("--")) if flag.startswith("--") else None
        if option is None:
            listed = ", ".join(f"--{each.name} ({each.text})" for each in known.values()) or "none but --json and --quiet"
            raise InputError(
                f"The reference case {name!r} has no option {flag!r}.", "It would be ignored.", f"It takes {listed}."
            )
        try:
            found[option.name] = float(value) if isinstance(option.default, float) else value
        except ValueError:
            value = value or "nothing"
            raise InputError(
                f"The option --{option.name} of {name!r} was given as {value}.",
                "It needs a number.",
                f"Give {option.text}; {option.default:g} if left out.",
            ) from None
    return found


def case(name: str) -> Run:
    """Return the function that runs a reference case.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    module, _, function = entry_of(name).where.partition(":")
    return cast(Run, getattr(import_module(module), function))
