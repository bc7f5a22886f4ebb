"""Arrays of MATLAB 7.3 files, which are HDF5; older ones go through ``scipy.io``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from osteon.errors import InputError, MissingError

Array = np.ndarray[Any, np.dtype[Any]]


def read_matlab(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Return arrays of a MATLAB 7.3 file, with their axes in MATLAB's order.

    MATLAB stores its first axis fastest, so that HDF5 shows the axes reversed; they are turned back here.

    Parameters
    ----------
    path : Path
        The file.
    names : sequence of str
        Which arrays.

    Returns
    -------
    dict of ndarray
        By name; logical arrays as bool.

    Raises
    ------
    MissingError
        If the file or h5py, which reads HDF5, is not there.
    InputError
        If the file is not HDF5 or does not hold such an array.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingError(
            f"{path.name} is a MATLAB 7.3 file, and h5py is not installed.",
            "Such files are HDF5, which nothing else here reads.",
            "Install it: pip install 'osteon[validate]', or pip install h5py.",
        ) from error
    if not path.exists():
        raise MissingError(f"There is no file {path}.", "Its arrays are needed.", "Check the name, or fetch the file.")
    try:
        with h5py.File(path, "r") as file:
            lacking = [name for name in names if not isinstance(file.get(name), h5py.Dataset)]
            if lacking:
                raise InputError(
                    f"{path.name} holds no array {' or '.join(lacking)}, but {', '.join(sorted(file)) or 'nothing'}.",
                    "What is missing cannot be guessed.",
                    "Give the file that holds it.",
                )
            return {name: _turned(file[name]) for name in names}
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read as HDF5: {error}.",
            "It may be cut short, or a MATLAB file older than 7.3, which is no HDF5.",
            "Fetch it again, or save it in MATLAB with the option -v7.3.",
        ) from error


def _turned(stored: Any) -> Array:
    """Return a data set in MATLAB's order of axes."""
    array = np.asarray(stored[()]).T
    logical = stored.attrs.get("MATLAB_class", b"") == b"logical"
    return array.astype(bool) if logical else array
