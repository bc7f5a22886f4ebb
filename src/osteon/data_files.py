"""Reading the YAML that lies beside the code, by the fast safe loader."""

from __future__ import annotations

from importlib import resources
from typing import Any


def read_data(package: str, *names: str) -> Any:
    """Return what a YAML file of a package holds.

    Parameters
    ----------
    package : str
        For example ``"osteon.tissue"``.
    *names : str
        Folders and file below it, for example ``"data", "bone.yaml"``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    return parse_data(resources.files(package).joinpath(*names).read_text(encoding="utf-8"))


def parse_data(text: str) -> Any:
    """Return what YAML text holds."""
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
