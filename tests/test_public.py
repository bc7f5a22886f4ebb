"""The public names are those documented; the licences of what is installed are allowed; listing is quick because it is light."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distribution, requires

import pytest

import osteon

LISTS = ("treatments", "devices", "structures", "facts", "limits", "papers", "validations")
HEAVY = ("numba", "scipy", "SimpleITK", "matplotlib", "skfem", "nibabel", "pydicom")  # typer itself looks for pydantic


def test_public_names_are_exactly_those_documented() -> None:
    named = re.search(r"Public names: (.*?)\. They", osteon.__doc__ or "", re.DOTALL)
    assert named
    assert sorted(n.strip() for n in named.group(1).replace("\n", " ").split(",")) == sorted(osteon.__all__)
    for name in osteon.__all__:
        assert getattr(osteon, name).__doc__, name


@pytest.mark.parametrize("what", LISTS)
def test_list_answers_without_heavy_imports(what: str) -> None:
    code = (
        f"import sys; sys.argv = ['osteon', 'list', {what!r}, '--json']\n"
        "from osteon.cli import main\n"
        "try:\n main()\nexcept SystemExit as e:\n assert not e.code, e.code\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().startswith("[")
    assert "HEAVY []" in done.stderr


def core_requirements() -> list[str]:
    """Names of everything the core install pulls in."""
    todo, seen = ["osteon"], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for line in requires(name) or ():
            if (
                "extra ==" in line
                or "python_version <" in line
                or 'sys_platform == "win32"' in line
                or "platform_system ==" in line
            ):
                continue
            found = re.match(r"[A-Za-z0-9_.-]+", line)
            if found and found.group() not in seen:
                try:
                    distribution(found.group())
                except Exception:
                    continue
                todo.append(found.group())
    return sorted(seen - {"osteon"})


def test_nothing_at_run_time_is_gpl() -> None:
    names = core_requirements()
    assert "numpy" in names
    assert "matplotlib" in names
    for name in names:
        data = distribution(name).metadata
        text = " ".join(
            [data.get("License-Expression") or "", (data.get("License") or "")[:200], *(data.get_all("Classifier") or [])]
        )
        strong = re.search(r"(?<!L)(?<!Lesser )\b(A?GPL|GNU (Affero )?General Public)", text.replace("LGPL", "lesser"))
        assert not strong, f"{name}: {text[:200]}"
