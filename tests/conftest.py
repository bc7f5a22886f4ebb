"""Shared fixtures: where real data lie, and how many of their tests ran."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

CHECKED = ("physics.bioheat", "physics.multigrid", "physics.potential", "tissue.bone", "treatments.microwave.pattern")
install_import_hook([f"osteon.{name}" for name in CHECKED], "typecheck.check")  # before anything of osteon is imported

settings.register_profile("same", derandomize=True)  # the same examples each time, so that a red run is a change
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("OSTEON_HYPOTHESIS", "same"))
ROOT = Path(__file__).resolve().parents[1]
GIVEN = os.environ.get("OSTEON_SHARED")
SHARED = Path(GIVEN) if GIVEN else ROOT.parent / "shared"
COUNT = {"ran": 0, "skipped": 0}


def shared_path(relative: str) -> Path:
    """Return a path under shared; fail where OSTEON_SHARED promises it, skip where it is simply not there."""
    path = SHARED / relative
    if not path.exists():
        if GIVEN:
            pytest.fail(f"OSTEON_SHARED is set to {GIVEN}, but {relative} is not there")
        pytest.skip(f"real data '{relative}' is not here: expected at {path}, or set OSTEON_SHARED")
    return path


@pytest.fixture
def real() -> Callable[[str], Path]:
    """Return a function from a name under shared/data to its path."""
    return lambda name: shared_path(f"data/{name}")


@pytest.fixture
def seeds() -> Path:
    """Return the folder of the five papers."""
    return shared_path("seeds")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "real" not in report.keywords:
        return
    if report.skipped:
        COUNT["skipped"] += 1
    elif report.when == "call":
        COUNT["ran"] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    source = "OSTEON_SHARED" if GIVEN else "../shared"
    terminalreporter.write_line(f"real-data tests: {COUNT['ran']} ran, {COUNT['skipped']} skipped (data from {source})")
