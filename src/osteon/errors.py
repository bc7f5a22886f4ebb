"""Everything osteon raises on purpose, in one tree.

OsteonError
├── InputError            what the user gave cannot be used                     exit 2
│   ├── CaseFileError     case.yaml is malformed or contradicts itself
│   ├── ImageError        an image, label map or affine cannot be used
│   ├── UnitError         a quantity has the wrong or no unit
│   └── SettingError      a device setting outside what the device can do
├── MissingError          data, a file or an optional extra is not there        exit 3
│   └── NotOutlinedError  a structure that is needed is not outlined
└── NumericalError        a solver ended badly and the result cannot be used    exit 1

A clinical finding (a nerve at 46 °C) is a result, never one of these.
"""

from __future__ import annotations


class OsteonError(Exception):
    """An error in three parts.

    Parameters
    ----------
    what : str
        What is wrong, with the value that was given and the file it came from.
    why : str
        Why it matters.
    do : str
        What to do about it.

    Raises
    ------
    ValueError
        If one of the three parts is empty.
    """

    exit_code = 1

    def __init__(self, what: str, why: str, do: str) -> None:
        if not (what.strip() and why.strip() and do.strip()):
            raise ValueError("an OsteonError needs a non-empty what, why and do")
        super().__init__(f"{what} {why} {do}")
        self.what, self.why, self.do = what, why, do

    def __reduce__(self) -> tuple[type[OsteonError], tuple[str, str, str]]:
        return type(self), (self.what, self.why, self.do)


class InputError(OsteonError):
    """What the user gave cannot be used."""

    exit_code = 2


class CaseFileError(InputError):
    """A case file is malformed or contradicts itself."""


class ImageError(InputError):
    """An image, a label map or an affine cannot be used."""


class UnitError(InputError):
    """A quantity has the wrong unit or none."""


class SettingError(InputError):
    """A device setting lies outside what the device can do."""


class MissingError(OsteonError):
    """Data, a file or an optional extra is not there."""

    exit_code = 3


class NotOutlinedError(MissingError):
    """A structure that is needed is not outlined."""


class NumericalError(OsteonError):
    """A solver ended badly and its result cannot be used."""
