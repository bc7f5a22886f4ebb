"""Freezing: closed forms, the law of the probe, energy, symmetry, and what cannot be asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError, OsteonError
from osteon.physics.freezing import OFF, Drive, FreezeStage, FreezingMaterials, freeze
from osteon.physics.freezing_tables import FreezingTable, freezing_range, ice, sharp_table, tissue_table
from osteon.physics.lines import Line
from osteon.validation import line_sink, neumann

COLD, WARM = Drive(-150.0, 2000.0, 550.0), Drive(40.0, 2000.0, 220.0)
N, H = 21, 2.0
MIDDLE = N // 2 * H * 1e-3


def tissue():
    return tissue_table(0.5, 3.7e6, 800.0, freezing_range(), ice())


def materials(perfusion=3000.0, n=N):
    return FreezingMaterials([tissue()], np.zeros((n, n, n), np.uint8), np.full((n, n, n), perfusion, np.float32))


def line(axis=0, offset=0.0):
    start, end = [MIDDLE + offset] * 3, [MIDDLE + offset] * 3
    start[axis], end[axis] = MIDDLE - 10e-3, MIDDLE + 10e-3
    return Line(tuple(start), tuple(end), 1.2e-3)


def freezing(seconds=120.0, drive=COLD, **more):
    return freeze(H, materials(), [FreezeStage("freeze", seconds, (drive,))], [line(more.pop("axis", 0))], **more)


def test_thermal_reference_t1_neumann_front_and_isotherms():
    depth, temperature, result = neumann.plane(1.0)
    for level, allowed in ((-0.5, 1.0), (-20.0, 0.5), (-40.0, 0.5)):
        assert np.interp(level, temperature, depth) == pytest.approx(neumann.exact_mm(level), abs=allowed)
    assert neumann.similarity() == pytest.approx(0.473085, abs=1e-6)
    assert neumann.exact_mm(-0.5) == pytest.approx(24.430, abs=1e-3)
    assert result.ended.energy_balance <= 1e-4


def test_front_of_a_line_sink_carslaw_and_jaeger():
    rows = {row.quantity: row for row in line_sink.run().rows}
    assert all(row.passed for row in rows.values())


def test_supersteps_stay_within_a_fifth_of_a_kelvin_of_the_explicit_scheme():
    fast, slow = freezing(60.0), freezing(60.0, super_stages=1, trace_every_s=0.05)
    assert np.abs(fast.temperature_c - slow.temperature_c).max() <= 0.2


def test_supersteps_are_fewer_than_explicit_steps_and_stay_within_a_fifth_of_a_kelvin_for_five_minutes():
    """A real probe for 5 min: what RKL2 saves at the error that is asked of it, 9 and 15 stages beside explicit steps."""
    truth = freezing(300.0, super_stages=1, trace_every_s=0.1)
    explicit = freezing(300.0, super_stages=1, change_k=1e9)
    for stages in (9, 15):
        fast = freezing(300.0, super_stages=stages)
        assert np.abs(fast.temperature_c - truth.temperature_c).max() <= 0.2
        assert np.abs(fast.lowest_c - truth.lowest_c).max() <= 0.2
        assert fast.ended.steps < 0.6 * explicit.ended.steps  # each superstep has one bound, one sample and one growth check


def test_a_looser_limit_is_fewer_evaluations():
    exact, loose = freezing(120.0), freezing(120.0, change_k=4.0)
    assert loose.ended.evaluations < 0.7 * exact.ended.evaluations
    assert loose.ice_cm3[0.0][-1] == pytest.approx(exact.ice_cm3[0.0][-1], rel=0.05)


def test_rows_of_one_material_and_of_several_freeze_alike():
    one, other = materials(), materials()
    two = FreezingMaterials([tissue(), tissue()], (np.indices((N, N, N)).sum(0) % 2).astype(np.uint8), other.perfusion)
    stage = [FreezeStage("freeze", 60.0, (COLD,))]
    same, mixed = freeze(H, one, stage, [line()]), freeze(H, two, stage, [line()])
    assert np.abs(same.temperature_c - mixed.temperature_c).max() < 1e-2


def test_ice_has_the_conductivity_and_the_heat_of_the_tables():
    water = ice()
    for celsius, k in ((-0.15, 2.2), (-20.0, 2.39), (-50.0, 2.76)):
        assert float(water.conductivity(np.array(celsius))) == pytest.approx(k, rel=0.02)
    table = tissue()
    at = table.enthalpy_at(np.array([-0.5, -8.0, 37.0]))
    assert at[2] == pytest.approx(0.0, abs=1.0)
    sensible = 3.7e6 * 7.5  # at most: frozen tissue holds less
    assert 800 * 333600.0 < at[0] - at[1] < 800 * 333600.0 + sensible


@pytest.mark.parametrize("perfusion", [0.0, 3000.0, 58000.0])
def test_energy_is_kept_over_freeze_thaw_freeze_and_active_thaw(perfusion):
    stages = [
        FreezeStage("f", 90.0, (COLD,)),
        FreezeStage("t", 60.0),
        FreezeStage("f", 90.0, (COLD,)),
        FreezeStage("w", 30.0, (WARM,)),
    ]
    result = freeze(H, materials(perfusion), stages, [line()])
    assert result.ended.how == "time"
    assert result.ended.energy_balance <= 1e-4
    assert result.energy_probes_j < 0
    assert (result.energy_perfusion_j > 0) == (perfusion > 0)


@settings(max_examples=6, deadline=None)
@given(st.floats(50.0, 900.0), st.floats(1.1, 1.6))
def test_law_more_power_is_never_warmer(most, factor):
    weak, strong = (freezing(40.0, Drive(-150.0, 2000.0, p)) for p in (most, most * factor))
    assert (strong.lowest_c <= weak.lowest_c + 0.05).all()
    assert strong.ice_cm3[0.0][-1] >= weak.ice_cm3[0.0][-1]


def test_law_no_power_does_nothing():
    result = freezing(60.0, OFF)
    assert np.abs(result.temperature_c - 37.0).max() < 1e-4


def test_law_turning_the_probe_turns_the_ice():
    along_z, along_x = freezing(60.0, axis=0), freezing(60.0, axis=2)
    assert np.abs(along_z.temperature_c - along_x.temperature_c.transpose(2, 1, 0)).max() < 1e-3


def test_isotherms_lie_inside_one_another_and_ice_shrinks_while_thawing():
    stages = [FreezeStage("freeze", 120.0, (COLD,)), FreezeStage("thaw", 120.0, (WARM,))]
    result = freeze(H, materials(), stages, [line()], keep_stages=True)
    volumes = [int((result.lowest_c <= level).sum()) for level in (0.0, -20.0, -40.0)]
    assert volumes[0] > volumes[1] > volumes[2] > 0
    assert result.ice_cm3[0.0][-1] < result.ice_cm3[0.0].max()
    assert [name for name, _ in result.at_end_of] == ["freeze", "thaw"]
    assert float(result.highest_c.max()) <= 40.0


def test_the_wall_is_limited_by_power_and_then_by_the_film():
    weak, strong = freezing(60.0, Drive(-150.0, 2000.0, 300.0)), freezing(60.0, Drive(-150.0, 2000.0, 1e5))
    assert weak.power_w[1:].min() == pytest.approx(-300.0 * 0.020, rel=1e-6)
    assert -150.0 < strong.wall_c[-1].min() < weak.wall_c[-1].min()


def test_flow_does_not_come_back_where_it_was_colder_than_stasis():
    def thawed(stasis):
        stages = [FreezeStage("freeze", 180.0, (COLD,)), FreezeStage("thaw", 600.0)]
        return freeze(H, materials(2e4), stages, [line()], stasis_c=stasis).temperature_c[N // 2, N // 2, N // 2 + 2]

    assert thawed(-20.0) < thawed(-200.0)


def test_a_watched_structure_has_its_coldest_voxel_over_time():
    mask = np.zeros((N, N, N), bool)
    mask[N // 2, N // 2, N // 2 + 4] = True
    result = freezing(60.0, watch={"nerve": mask})
    value, flat, _ = result.extreme["nerve"]
    assert flat == np.flatnonzero(mask)[0]
    assert value == pytest.approx(float(result.lowest_c[mask][0]), abs=1e-4)
    assert result.coldest["nerve"][0].shape == result.coldest["nerve"][1].shape == result.times_s.shape


def test_what_happens_does_not_depend_on_the_box():
    whole = freezing(60.0, start_c=np.full((N, N, N), 37.0), sides_c=(37.0,) * 6)
    assert np.abs(whole.temperature_c - freezing(60.0).temperature_c).max() < 0.02


@pytest.mark.parametrize(
    ("spacing", "stage", "probes", "more"),
    [
        (-1.0, FreezeStage("f", 60.0, (COLD,)), [line()], {}),
        (H, FreezeStage("f", -60.0, (COLD,)), [line()], {}),
        (H, FreezeStage("f", 60.0, (Drive(-150.0, 2000.0, -5.0),)), [line()], {}),
        (H, FreezeStage("f", 60.0, (Drive(-400.0, 2000.0, 5.0),)), [line()], {}),
        (H, FreezeStage("f", 60.0, (COLD, COLD, COLD)), [line()], {}),
        (H, FreezeStage("f", 60.0, (COLD,)), [line(offset=1.0)], {}),
        (H, FreezeStage("f", 60.0, (COLD,)), [line()] * 40, {}),
        (H, FreezeStage("f", 60.0, (COLD,)), [line()], {"super_stages": 4}),
        (H, FreezeStage("f", 60.0, (COLD,)), [line()], {"start_c": float("nan")}),
        (H, FreezeStage("f", 60.0, (COLD,)), [line()], {"watch": {"x": np.zeros((N, N, N), bool)}}),
    ],
)
def test_what_cannot_be_asked_is_told(spacing, stage, probes, more):
    with pytest.raises(OsteonError) as told:
        freeze(spacing, materials(), [stage], probes, **more)
    assert all((told.value.what, told.value.why, told.value.do))


def test_a_table_that_falls_is_refused():
    with pytest.raises(InputError):
        FreezingTable(np.array([-10.0, 0.0, 37.0]), np.array([0.0, -1.0, 5.0]), np.ones(3), 0.0)
    with pytest.raises(InputError):
        tissue_table(0.5, 3.7e6, 800.0, (-8.0, -0.5), ice())


@pytest.mark.slow
def test_twenty_probes_in_one_voxel_end_with_a_name():
    result = freeze(H, materials(), [FreezeStage("freeze", 30.0, (COLD,))], [line()] * 20)
    assert result.ended.how == ("time" if float(result.lowest_c.min()) > -273.15 else "not_converged")
    assert result.ended.why


def test_a_pure_substance_freezes_at_one_temperature():
    table = sharp_table(2.0, 1.8e6, 0.5, 3.6e6, 250.5e6, -0.5)
    assert table.enthalpy_at(np.array([-0.5]))[0] - table.enthalpy_at(np.array([-1.5]))[0] == pytest.approx(
        250.5e6 + 1.8e6, rel=1e-9
    )
