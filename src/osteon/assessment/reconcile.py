"""Chart against image: when they agree, when one is finer than the other, and when they contradict each other."""

from __future__ import annotations

from dataclasses import replace

from osteon.assessment.measure_base import threshold
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, State, Unknown, merge


def join(chart: Fact, image: Fact, voxel_mm: float) -> Fact:
    """Join what the chart says with what the image shows.

    Parameters
    ----------
    chart, image : Fact
        Of one name.
    voxel_mm : float
        Largest voxel edge: lengths nearer to each other than this do not contradict.

    Returns
    -------
    Fact
        A chart value that lies within what the image leaves open is taken; numbers near each other give the interval that holds
        both; all else is a conflict, ``OneOf(conflict=True)``. A question that has no meaning in this bone stays without one.
    """
    origins = (*chart.origins, *image.origins)
    if isinstance(image.state, Unknown) or isinstance(chart.state, Unknown):
        return merge([chart, image])
    if isinstance(image.state, NotApplicable):
        return replace(chart, origins=origins)
    if _within(chart.state, image.state):
        return replace(chart, origins=origins)
    near = _hull(chart.state, image.state, voxel_mm if chart.unit == "mm" else 0.0)
    return merge([chart, image]) if near is None else replace(image, state=near, origins=origins)


def _within(chart: State, image: State) -> bool:
    """Tell whether the chart names one of the values that the image leaves open."""
    if not isinstance(chart, Known):
        return False
    match image:
        case OneOf(values):
            return chart.value in values
        case Interval(low, high) if not isinstance(chart.value, str):
            return low <= float(chart.value) <= high
    return False


def _hull(chart: State, image: State, step: float) -> State | None:
    """Return the interval that holds two numbers near enough to each other; None where they are not."""
    one, other = _ends(chart), _ends(image)
    if one is None or other is None:
        return None
    apart = max(one[0] - other[1], other[0] - one[1], 0.0)
    allowed = max(threshold("agree_fraction") * max(abs(other[0]), abs(other[1])), threshold("agree_voxels") * step)
    if apart > allowed:
        return None
    low, high = min(one[0], other[0]), max(one[1], other[1])
    return Known(low) if low == high else Interval(low, high)


def _ends(state: State) -> tuple[float, float] | None:
    match state:
        case Known(value) if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value), float(value)
        case Interval(low, high):
            return low, high
    return None
