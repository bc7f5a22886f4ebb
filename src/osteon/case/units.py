"""Units, parsed once at the door: what a chart writes becomes a number in the unit of the fact."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

from osteon.errors import UnitError

NUMBER = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")
COUNT = re.compile(r"^(?:x\s*)?(?:1e9|10\^9|10\*\*9|10\*9|10⁹|giga|G)\s*/\s*[lL]$")
PLAIN = {
    "mm²": "mm**2",
    "mm2": "mm**2",
    "mm³": "mm**3",
    "cm³": "cm**3",
    "cc": "cm**3",
    "°C": "degC",
    "IU/l": "U/l",
    "IU/L": "U/l",
    "µl": "microliter",
}
DIMENSIONLESS = ("", "1", "%")
LONGEST = 80
UNIT_TEXT = re.compile(r"^[A-Za-zµμ°Ω%²³⁹0-9 ./*^-]{1,40}$")
POWER = re.compile(r"[0-9]\s*(?:\*\*|\^)|(?:\*\*|\^)\s*-?[0-9]{2}")
"""A number to a power, or a power of two digits, is no unit; 9**9**9 would be computed for ever."""


@cache
def registry() -> Any:
    """Return the one unit registry."""
    import pint

    units = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    units.define("hounsfield = [hounsfield] = HU")
    return units


def to_unit(given: object, unit: str | None, what: str) -> float:
    """Return a quantity as a number in a unit.

    Parameters
    ----------
    given : object
        A number, which is taken in ``unit``, or a text such as "12 mm".
    unit : str or None
        The unit that is wanted; None or "1" for a plain number.
    what : str
        For the message: the name of the quantity and where it stands.

    Returns
    -------
    float
        In ``unit``.

    Raises
    ------
    UnitError
        If it is no number, has a unit that does not fit, or is not finite.

    Examples
    --------
    >>> to_unit("1.2 cm", "mm", "size")
    12.0
    >>> to_unit("214000 / µl", "1e9/l", "platelets")
    214.0
    """
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise UnitError(
            f"{what} is {given!r}, not a quantity.",
            "It is used as a number.",
            f"Write it like {_example(unit)}.",
        )
    if not isinstance(given, str):
        return _finite(float(given) if abs(given) < 1e300 else math.inf, f"{given!r:.40}", what)
    match = NUMBER.match(given) if len(given) <= LONGEST else None
    if not match:
        raise UnitError(
            f"{what} is {given[:LONGEST]!r}, which does not begin with a number."
            if len(given) <= LONGEST
            else f"{what} is a text of {len(given)} characters: {given[:40]!r}...",
            "It is used as a number.",
            f"Write a number with its unit, for example {_example(unit)}, or `unknown`.",
        )
    number, written = float(match[1]), match[2]
    if not written or written == unit:
        return _finite(number, given, what)
    return _finite(_convert(number, written, unit, given, what), given, what)


def _example(unit: str | None) -> str:
    return "12" if unit in (None, "1") else f"'12 {unit}'"


def _convert(number: float, written: str, unit: str | None, given: str, what: str) -> float:
    if unit in (None, "1"):
        if written == "%":
            return number / 100.0
        raise UnitError(
            f"{what} is {given!r}, but it has no unit.",
            "A count or a score with a unit is another quantity.",
            "Write the number alone.",
        )
    units = registry()
    try:
        if not COUNT.match(written) and (not UNIT_TEXT.match(written) or POWER.search(written)):
            raise ValueError("no unit")
        quantity = _quantity(units, number, written)
        target = _quantity(units, 1.0, str(unit))
        return round(float((quantity / target).to("").magnitude), 12)
    except Exception as error:  # pint raises its own, tokenize's and Python's errors for a text it cannot read
        raise UnitError(
            f"{what} is {given!r}; that is no quantity in {unit}.",
            "A wrong unit is a wrong dose, size or count.",
            f"Give it in {unit}, or in a unit that converts to it.",
        ) from error


def _quantity(units: Any, number: float, written: str) -> Any:
    if COUNT.match(written):
        return units.Quantity(number * 1e9, "1/liter")
    text = PLAIN.get(written, written)
    for symbol, plain in PLAIN.items():
        text = text.replace(symbol, plain) if symbol in ("µl",) else text
    if text.startswith("/"):
        text = f"1{text}"
    return number * units.Quantity(1.0, "") * units.parse_expression(text)


def _finite(number: float, given: object, what: str) -> float:
    if not math.isfinite(number):
        raise UnitError(f"{what} is {given!r}.", "Only finite numbers can be judged.", "Give a number, or `unknown`.")
    return number
