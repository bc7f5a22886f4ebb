"""The reference cases by name; nothing is imported until one is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from osteon.errors import InputError
from osteon.validation.base import ReferenceCase, Run

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
)


def case(name: str) -> Run:
    """Return the function that runs a reference case.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    for entry in CASES:
        if entry.name == name:
            module, _, function = entry.where.partition(":")
            return cast(Run, getattr(import_module(module), function))
    raise InputError(
        f"There is no reference case {name!r}.",
        "Only listed cases have a published or exact number beside them.",
        f"Use one of: {', '.join(entry.name for entry in CASES)}.",
    )
