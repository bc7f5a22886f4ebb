"""Flat fluid and solid layers: the global matrix beside a coding without potentials, and the shares of a slab that the full
wave must meet.

Agreement of 0.1 % of the incident power was set beforehand (acoustics reference, A5).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from osteon.physics.acoustic_layers import Layer, Medium, Stack, solve
from osteon.validation import plane_wave_second
from osteon.validation.base import Report, Row

AGREE = 1e-3
NP_M = 100 * np.log(10) / 20  # of 1 dB/cm
WATER, SKIN = Medium(1000.0, 1500.0), Medium(1090.0, 1610.0, 0.2 * NP_M)
BRAIN = Medium(1040.0, 1560.0, 0.3 * NP_M)
CORTICAL = Medium(1850.0, 2800.0, 4 * NP_M, 1550.0, 12 * NP_M)
TRABECULAR = Medium(1700.0, 2300.0, 8 * NP_M, 1400.0, 12 * NP_M)
HEAD = ((SKIN, 4e-3), (CORTICAL, 1.5e-3), (TRABECULAR, 4e-3), (CORTICAL, 1e-3))
ANGLES = np.arange(0.0, 90.0)
SECOND = "second coding: eigenvectors of motion, recursion of impedance"
TOLD = (0.0, 20.0, 40.0)


def stacks() -> dict[str, Stack]:
    """Return the stacks that are compared: benchmark 4 of ITRUSST at 500 kHz, fluid and elastic, and a slab of bone."""
    fluid = tuple(Layer(medium.as_fluid, d) for medium, d in HEAD)
    solid = tuple(Layer(medium, d) for medium, d in HEAD)
    return {
        "BM4 fluid": Stack(WATER, fluid, BRAIN, 5e5),
        "BM4 elastic": Stack(WATER, solid, BRAIN, 5e5),
        "slab 6.5 mm": Stack(WATER, (Layer(CORTICAL, 6.5e-3),), WATER, 5e5),
    }


def rows_of(name: str, stack: Stack) -> list[Row]:
    """Return how far the codings are apart at every degree, and the shares of power at three angles."""
    xi = stack.transverse_per_m(ANGLES)
    found = solve(stack, xi)
    answers = [plane_wave_second.respond(stack, float(one)) for one in xi]
    amplitude = max(abs(found.reflected[i] - answer[0]) for i, answer in enumerate(answers))
    on = found.entering - found.absorbed_share.sum(axis=0)
    passed = max(abs(on[i] - answer[1]) for i, answer in enumerate(answers))
    stayed = max(float(np.abs(found.absorbed_share[:, i] - answer[2]).max()) for i, answer in enumerate(answers))
    rows = [
        Row(
            f"{name}: reflected",
            float(amplitude),
            "1",
            "largest difference of the amplitude, 0 to 89 degrees",
            0.0,
            SECOND,
            AGREE,
        ),
        Row(f"{name}: passed on", float(passed), "1", "largest difference of the share of power", 0.0, SECOND, AGREE),
        Row(f"{name}: absorbed in a layer", stayed, "1", "largest difference of the share of power", 0.0, SECOND, AGREE),
    ]
    for angle in TOLD:
        i = int(angle)
        shares = (("reflected", found.reflected_share[i]), ("absorbed", found.absorbed_share[:, i].sum()), ("passed on", on[i]))
        rows += [Row(f"{name}: {kind} at {angle:g} deg", 100 * float(x), "%", "of the incident power") for kind, x in shares]
    return rows


def run(observe: Callable[[float], None]) -> Report:
    """Return the rows of ``acoustic-layers``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began = time.perf_counter()
    rows = []
    for i, (name, stack) in enumerate(stacks().items()):
        rows += rows_of(name, stack)
        observe((i + 1) / 3)
    told = ("Media of the ITRUSST benchmark, elastic by its extension in BabelVisco; plane waves, flat faces.",)
    return Report("acoustic-layers", tuple(rows), "done", time.perf_counter() - began, told)
