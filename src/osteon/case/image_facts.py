"""Facts that the header of the planning CT tells: contrast agent and phase, slice spacing, kernel, tube voltage."""

from __future__ import annotations

from collections.abc import Mapping

from osteon.case.model import Study
from osteon.facts import Fact, Known, Origin, Scalar, merge, vocabulary

NOT_STATED = "no contrast agent stated: HU are read as of a CT without"


def with_image_facts(chart: Mapping[str, Fact], planning: Study | None) -> dict[str, Fact]:
    """Join the chart's facts of the planning CT with those of its header; a contradiction stays visible.

    Parameters
    ----------
    chart : mapping of str to Fact
        Facts of the patient.
    planning : Study or None
        The planning CT.

    Returns
    -------
    dict of str to Fact
        In the chart's order.
    """
    found = dict(chart)
    if planning is None:
        return found
    told: dict[str, Scalar | None] = {
        "contrast_enhanced": planning.contrast,
        "contrast_agent": planning.contrast_agent or None,
        "contrast_phase": planning.contrast_phase or None,
        "ct_slice_spacing_mm": planning.slice_spacing_mm,
        "ct_kernel": planning.kernel or None,
        "ct_kvp": planning.kvp,
    }
    for name, value in told.items():
        if value is None or name not in found or not _inside(name, value):
            continue
        seen = Fact(name, Known(value), vocabulary()[name].unit, (Origin("image", f"study {planning.id}", planning.date),))
        found[name] = merge([found[name], seen])
    return found


def _inside(name: str, value: Scalar) -> bool:
    """Tell whether a header's value is one that the fact can have; a tube voltage of 0 is no voltage."""
    domain = vocabulary()[name].domain
    return not domain or not isinstance(value, (int, float)) or float(domain[0]) <= value <= float(domain[1])
