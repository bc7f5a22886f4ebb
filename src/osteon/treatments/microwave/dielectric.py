"""How permittivity and conductivity follow temperature and the loss of water, as a ratio to their value at 37 °C.

The sigmoids were measured in liver at 2.45 GHz while it dried: they fall from wet tissue to ``s4``, what is left without water.
They are used as a ratio in every tissue that holds water, and at 915 MHz too, where no such measurement is known to us.
Between the beginning and the end of boiling the temperature of a voxel says how much of its water has gone; water that has gone
does not come back, so ``driest`` keeps the highest temperature from the beginning of boiling on.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from osteon.tissue.properties import Constants

Array = np.ndarray[Any, np.dtype[Any]]
Law = Literal["ji_brace", "lopresto", "linear", "static"]
LAWS: tuple[Law, ...] = ("ji_brace", "lopresto", "linear", "static")
BODY_C = 37.0


def sigmoid(constants: Constants, law: str, temperature_c: Array) -> Array:
    r"""Return :math:`s_1 (1 - 1/(1 + e^{s_2 - s_3 T})) + s_4` over its value at 37 °C.

    Parameters
    ----------
    constants : Constants
        The numbers of this run.
    law : str
        A row of ``temperature-laws.yaml``, for example ``sigmoid_permittivity_ji_brace``.
    temperature_c : array
        Temperature [°C]. Above boiling the law runs on towards dry tissue, its ``s4``.
    """
    s1, s2, s3, s4 = (np.float32(constants(law, key)) for key in ("s1", "s2", "s3", "s4"))

    def value(t: Array) -> Array:
        wet = 1 / (1 + np.exp(np.minimum(s3 * t - s2, np.float32(80.0))))  # 1 - 1/(1 + e^-x) without overflow
        return np.asarray(s1 * wet + s4)

    return value(np.asarray(temperature_c, np.float32)) / value(np.asarray(BODY_C, np.float32))


def ratios(constants: Constants, law: Law, temperature_c: Array) -> tuple[Array, Array]:
    """Return permittivity and conductivity over their values at 37 °C.

    Parameters
    ----------
    constants : Constants
        The numbers of this run.
    law : {"ji_brace", "lopresto", "linear", "static"}
        Two measured sigmoids, straight lines (unverified), or no change at all.
    temperature_c : array
        Temperature [°C], where tissue has boiled its highest so far.

    Returns
    -------
    tuple of arrays
        Of the shape of ``temperature_c``, at least 0.
    """
    if law == "static":
        return np.ones_like(temperature_c), np.ones_like(temperature_c)
    if law == "linear":
        above = np.asarray(temperature_c, np.float32) - np.float32(BODY_C)
        slopes = (np.float32(constants("linear_dielectric", key)) for key in ("permittivity_slope", "conductivity_slope"))
        permittivity, conductivity = (np.maximum(1 + slope * above, np.float32(0.0)) for slope in slopes)
        return permittivity, conductivity
    permittivity, conductivity = (
        sigmoid(constants, f"sigmoid_{name}_{law}", temperature_c) for name in ("permittivity", "conductivity")
    )
    return permittivity, conductivity


def driest(constants: Constants, highest_c: Array, temperature_c: Array) -> Array:
    """Return the temperature that tells the water content: now, or the highest so far where boiling had begun.

    Parameters
    ----------
    constants : Constants
        The numbers of this run.
    highest_c, temperature_c : array
        Highest so far and present temperature [°C].
    """
    began = np.float32(constants("vaporisation", "boiling_start"))
    return np.where(highest_c > began, np.maximum(highest_c, temperature_c), temperature_c)
