"""One function per fact that can be read from the image; ``measure`` runs them all.

A function is named as its fact in ``facts.yaml`` and takes a ``Scene``. What treatments must say (percutaneous_path) is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from osteon.assessment.measure_acetabulum import (
    acetabular_lateral_rim_destroyed,
    acetabular_medial_wall_destroyed,
    acetabular_roof_destroyed,
    bone_stock_fraction,
    bone_stock_ml,
)
from osteon.assessment.measure_base import Scene
from osteon.assessment.measure_cortex import (
    axial_cortical_mm,
    circumferential_cortical_fraction,
    cortex_contact,
    cortex_loss_mm2,
    cortical_thickness_fraction,
    lesion_diameter_fraction,
    posterior_wall_involved,
    soft_tissue_component,
)
from osteon.assessment.measure_density import blastic_fraction, implant_near, lesion_type, lytic_fraction, mean_hu
from osteon.assessment.measure_distance import (
    depth_from_skin_mm,
    distance_bowel_mm,
    distance_cord_mm,
    distance_critical_mm,
    distance_joint_mm,
    distance_nerve_mm,
    distance_skin_mm,
    distance_vessel_mm,
)
from osteon.assessment.measure_size import long_bone, side, size_ap_mm, size_lr_mm, size_max_mm, size_si_mm, volume_ml
from osteon.assessment.measure_vertebra import (
    pedicle_involved,
    posterior_wall_height_mm,
    posterolateral_involvement,
    vertebral_body_involved_fraction,
    vertebral_collapse_fraction,
)
from osteon.assessment.measure_vertebra_line import retropulsion_mm, spinal_alignment
from osteon.facts import Fact

LEFT_TO_TREATMENTS = frozenset({"percutaneous_path"})

MEASURES: Mapping[str, Callable[[Scene], Fact]] = {
    function.__name__: function
    for function in (
        side, long_bone, lesion_type, size_max_mm, size_ap_mm, size_lr_mm, size_si_mm, volume_ml, mean_hu, lytic_fraction,
        blastic_fraction, cortex_contact, cortex_loss_mm2, axial_cortical_mm, circumferential_cortical_fraction,
        cortical_thickness_fraction, lesion_diameter_fraction, soft_tissue_component, posterior_wall_involved,
        depth_from_skin_mm, distance_nerve_mm,
        distance_cord_mm, distance_vessel_mm, distance_bowel_mm, distance_joint_mm, distance_critical_mm, distance_skin_mm,
        implant_near, vertebral_collapse_fraction, vertebral_body_involved_fraction, posterior_wall_height_mm, retropulsion_mm,
        posterolateral_involvement, pedicle_involved, bone_stock_ml, bone_stock_fraction,
    )
}  # fmt: skip

HINTS: Mapping[str, Callable[[Scene], Fact | None]] = {
    function.__name__: function
    for function in (
        spinal_alignment, acetabular_medial_wall_destroyed, acetabular_roof_destroyed, acetabular_lateral_rim_destroyed,
    )
}  # fmt: skip
"""Facts that the chart is asked for and of which an image shows a part; None where it has nothing to say."""


def measure(scene: Scene) -> dict[str, Fact]:
    """Read every fact that the image can tell of one lesion.

    Parameters
    ----------
    scene : Scene
        The lesion in its anatomy, with what must be judged.

    Returns
    -------
    dict of str to Fact
        By name; a fact that cannot be told is Unknown and says what to do.

    Raises
    ------
    ImageError
        If the axes of the image are not at right angles.
    """
    hints = {name: fact for name, function in HINTS.items() if (fact := function(scene)) is not None}
    return {name: function(scene) for name, function in MEASURES.items()} | hints
