"""Absurd settings of every treatment by heat or cold: an ``OsteonError`` in three parts, or an end by name; never a figure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from osteon.errors import OsteonError
from osteon.physics import bioheat
from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.bone import properties_map
from osteon.treatments.base import Draw, NeedlePose, Setting
from osteon.treatments.catalog import treatment

TREATMENTS = ("microwave", "radiofrequency_monopolar", "radiofrequency_bipolar", "laser", "cryoablation")
LESION, NAN = structure("lesion"), float("nan")
STRAIGHT = NeedlePose((0.0, -100.0, 0.0), (0.0, 15.0, 0.0))
NAMED = {"converged", "steady", "time", "limit", "not_converged", "refused"}


def patient(air_in_front: bool = False) -> Anatomy:
    """A ball of tumour in muscle; ``air_in_front``: the body begins at y = 0."""
    grid = Grid.box(np.full(3, -37.5), np.full(3, 37.5), 2.5)
    mm = grid.to_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1))
    lesion = np.linalg.norm(mm, axis=-1) <= 12.0
    body = mm[..., 1] >= 0.0 if air_in_front else np.ones(grid.shape, bool)
    hu = np.where(body, 50.0, -1000.0).astype(np.float32)
    masks = {LESION: Volume(lesion & body, grid), structure("body"): Volume(body, grid)}
    return Anatomy(imaged=Volume(np.ones(grid.shape, bool), grid), image=Volume(hu, grid), masks=masks)


def usual(name: str) -> Setting:
    """The first setting that the treatment itself offers for its first device."""
    made = treatment(name)
    first = next(iter(made.settings(patient(), LESION, "palliation", next(iter(made.devices)), [STRAIGHT])))
    return replace(first, poses=(STRAIGHT,))


def but(setting: Setting, **controls: float) -> Setting:
    return replace(setting, controls=tuple((k, controls.get(k, v)) for k, v in setting.controls))


def strength(setting: Setting) -> str:
    return next((k for k, _ in setting.controls if k in ("power_w", "temperature_c")), "time_s")


def strong(value: float) -> Callable[[Setting], Setting]:
    return lambda s: but(s, **{strength(s): value})


def lying(entry: tuple[float, float, float], tip: tuple[float, float, float]) -> Callable[[Setting], Setting]:
    return lambda s: replace(s, poses=(NeedlePose(entry, tip),))


ABSURD: dict[str, Callable[[Setting], Setting]] = {
    "probe outside the computed box": lying((0.0, -100.0, 500.0), (0.0, 0.0, 500.0)),
    "negative power": strong(-20.0),
    "power that is no number": strong(NAN),
    "endless power": strong(math.inf),
    "time that is no number": lambda s: but(s, time_s=NAN),
    "negative time": lambda s: but(s, time_s=-60.0),
    "zero time": lambda s: but(s, time_s=0.0),
    "a million seconds": lambda s: but(s, time_s=1e6),
    "entry at the tip": lying((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    "tip longer than shaft": lying((0.0, 10.0, 0.0), (0.0, 15.0, 0.0)),
    "place that is no number": lying((0.0, NAN, 0.0), (0.0, 15.0, 0.0)),
    "place at infinity": lying((0.0, -100.0, 0.0), (0.0, math.inf, 0.0)),
    "20 probes in one voxel": lambda s: replace(
        s, poses=tuple(NeedlePose((0.01 * i, -100.0, 0.0), (0.01 * i, 15.0, 0.0)) for i in range(20))
    ),
    "no probe": lambda s: replace(s, poses=()),
    "no controls": lambda s: replace(s, controls=()),
    "no such device": lambda s: replace(s, device="broom"),
}


@pytest.mark.parametrize("absurd", ABSURD)
@pytest.mark.parametrize("name", TREATMENTS)
def test_an_absurd_setting_is_refused_in_three_parts(name: str, absurd: str) -> None:
    with pytest.raises(OsteonError) as error:
        treatment(name).simulate(patient(), ABSURD[absurd](usual(name)), Draw.nominal())
    assert all(part.strip() for part in (error.value.what, error.value.why, error.value.do))


@pytest.mark.parametrize("name", [n for n in TREATMENTS if n != "cryoablation"])
def test_no_power_is_refused_or_does_nothing(name: str) -> None:
    setting = but(usual(name), time_s=60.0)
    if strength(setting) != "power_w":
        pytest.skip("this device holds a temperature")
    low = float(treatment(name).devices[setting.device]["min_power_w"]["value"])
    if name in ("microwave", "laser") or low > 0:
        with pytest.raises(OsteonError):
            treatment(name).simulate(patient(), strong(0.0)(setting), Draw.nominal())
        return
    effect = treatment(name).simulate(patient(), strong(0.0)(setting), Draw.nominal())
    assert np.ptp(effect.state[Field.TEMPERATURE_C].array) == 0.0
    assert not effect.state[Field.DEAD].array.any()


@pytest.mark.parametrize("name", TREATMENTS)
def test_a_probe_in_the_air_before_the_body_is_refused(name: str) -> None:
    setting = replace(usual(name), poses=(NeedlePose((0.0, -100.0, 0.0), (0.0, -12.0, 0.0)),))
    with pytest.raises(OsteonError) as error:
        treatment(name).simulate(patient(air_in_front=True), setting, Draw.nominal())
    assert "air" in error.value.what


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "laser")) for n in TREATMENTS])
def test_no_blood_flow_as_long_as_the_device_can_ends_by_a_name_and_with_temperatures(name: str) -> None:
    made, setting, anatomy = treatment(name), usual(name), patient()
    flows = [key for key in properties_map(anatomy, 2450e6).used if key.endswith("perfusion")]
    assert flows
    draw = Draw(None, tuple((key, 0.0) for key in flows))
    longest = float(made.devices[setting.device]["time_s"]["high"])
    effect = made.simulate(anatomy, but(setting, time_s=longest), draw)
    assert effect.ended.how in NAMED
    assert effect.ended.why
    field = Field.FROZEN_MIN_C if name == "cryoablation" else Field.TEMPERATURE_C
    temperature = effect.state[field].array
    assert np.isfinite(temperature).all()
    assert (temperature > -273.15).all()
    assert effect.ended.energy_balance is not None


def test_heat_that_can_go_nowhere_for_ever_has_an_end_by_name() -> None:
    shape = (6, 6, 6)
    tissue = bioheat.Materials(*(np.full(shape, v, np.float32) for v in (0.5, 3.6e6, 0.0, 0.0)))
    lit = np.full(shape, 1e9, np.float32)
    result = bioheat.heat(2.5, tissue, [bioheat.Stage(1e5, lit)], boundary="insulated", dose_every_s=60.0)
    assert result.ended.how == "not_converged"
    assert result.ended.why
