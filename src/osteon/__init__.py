"""osteon follows one patient's bone metastasis along the clinical path. Research use only, not a medical device.

Public names: load_case, assess, select, plan, journey, write_report, cite, Cache, PlanRequest, Volume, Anatomy, OsteonError. They
are imported when first used, so that ``import osteon`` stays quick.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # before numba loads: waiting threads that spin make a busy machine 6 times slower
NUMBERS_VERSION = 1  # raised with every change that moves a computed result; part of every cache key

if TYPE_CHECKING:
    from osteon.assessment.assess import assess
    from osteon.cache import Cache
    from osteon.case.load import load_case
    from osteon.errors import OsteonError
    from osteon.evidence.source import cite
    from osteon.pathway import journey
    from osteon.planning.build import plan
    from osteon.planning.plan import PlanRequest
    from osteon.report.html import write_report
    from osteon.selection.select import select
    from osteon.space.anatomy import Anatomy
    from osteon.space.volume import Volume

_HOMES = {
    "load_case": "osteon.case.load",
    "assess": "osteon.assessment.assess",
    "select": "osteon.selection.select",
    "plan": "osteon.planning.build",
    "journey": "osteon.pathway",
    "write_report": "osteon.report.html",
    "cite": "osteon.evidence.source",
    "Cache": "osteon.cache",
    "PlanRequest": "osteon.planning.plan",
    "Volume": "osteon.space.volume",
    "Anatomy": "osteon.space.anatomy",
    "OsteonError": "osteon.errors",
}
__all__ = [
    "Anatomy",
    "Cache",
    "OsteonError",
    "PlanRequest",
    "Volume",
    "assess",
    "cite",
    "journey",
    "load_case",
    "plan",
    "select",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'osteon' has no attribute {name!r}")
