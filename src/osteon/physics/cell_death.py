r"""Three-state cell death on a whole field, while the heat is computed (O'Neill 2011).

.. math:: \dot A = -k_f e^{T/T_k}(1-A)A + k_b(1-A-D), \qquad \dot D = k_f e^{T/T_k}(1-A)(1-A-D)

The law of ``damage.three_state_death`` for every voxel: the rate at each sample, a straight line of temperature between. Tissue
that never left its idle temperature is computed once, for all of it. Viability is :math:`1 - D`; in the paper
perfusion stops at 0.8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.physics import damage
from osteon.physics.cell_death_kernels import advance
from osteon.space.shapes import ScalarField

Array = np.ndarray[Any, np.dtype[Any]]
IDLE_ABOVE_K = 0.5  # tissue warmed by less than this counts as idle: at 37.5 for 37 °C the rate differs by 1.2 %
LONGEST_STEP_S = 2.0  # of the Runge-Kutta rule, shortened where the rate asks for it
GONE = 1e-4  # viability below which no change is followed


class CellDeath:
    """Viability of a field; give it to ``bioheat.heat`` as ``probe``, then read ``viability``.

    Parameters
    ----------
    idle_c : float
        Temperature of tissue that nothing heats [°C].

    Raises
    ------
    InputError
        If it is asked before it has seen two samples, or samples go back in time.
    """

    def __init__(self, idle_c: float = 37.0) -> None:
        self.idle_c = idle_c
        self.last_s: float | None = None
        self.touched = 0
        self._constants = {name: value.number for name, value in damage.constants("three_state").items()}
        self._idle = (np.array([self._constants["alive_start"]]), np.zeros(1))

    def __call__(self, time_s: float, temperature_c: Array) -> None:
        """Take the temperature [°C] of the field at ``time_s``."""
        now = np.ascontiguousarray(temperature_c, np.float32)
        if self.last_s is None:
            self._shape = now.shape
            self._alive = np.full(now.size, -1.0, np.float32)
            self._dead = np.zeros(now.size, np.float32)
            self._rate = np.full(now.size, -1.0, np.float32)
        elif now.shape != self._shape or not time_s > self.last_s:
            raise InputError(
                f"A sample at {time_s:g} s of shape {now.shape} follows one at {self.last_s:g} s of shape {self._shape}.",
                "Cell death is an integral over time on one grid.",
                "Give samples of one grid in rising order of time.",
            )
        else:
            self._step(time_s - self.last_s, now.ravel())
        self.last_s, self._before = time_s, now.ravel()

    def _step(self, seconds: float, now: Array) -> None:
        c = self._constants
        law = (c["forward_rate"], c["backward_rate"], c["temperature_scale"], LONGEST_STEP_S, GONE)
        alive, dead = (float(part[0]) for part in self._idle)
        limit = np.float32(self.idle_c + IDLE_ABOVE_K)
        self.touched += int(advance(self._alive, self._dead, self._rate, self._before, now, alive, dead, limit, seconds, *law))
        idle = np.full(1, self.idle_c, np.float32)
        advance(*self._idle, np.full(1, -1.0), idle, idle, 0.0, 0.0, np.float32(-1e9), seconds, *law)

    @property
    def viability(self) -> ScalarField:
        """Return 1 - D now, float32 of the shape of the field.

        Raises
        ------
        InputError
            Before the second sample.
        """
        if self.last_s is None:
            raise InputError(
                "Cell death has seen no temperature.",
                "Its state is an integral over samples.",
                "Give it to bioheat.heat as `probe` first.",
            )
        found = np.where(self._alive < 0.0, np.float32(1.0 - self._idle[1][0]), 1.0 - self._dead)
        return np.asarray(found, np.float32).reshape(self._shape)

    def dead(self, below: float | None = None) -> Array:
        """Return where viability has fallen to ``below`` (default: where the paper's perfusion stops, 0.8)."""
        limit = self._constants["perfusion_stops_below_viability"] if below is None else below
        return np.asarray(self.viability <= limit)


def together(*probes: Any) -> Any:
    """Return one probe that hands every sample to each of ``probes``."""

    def probe(time_s: float, temperature_c: Array) -> None:
        for each in probes:
            each(time_s, temperature_c)

    return probe
