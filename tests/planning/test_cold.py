"""Plans that freeze: what is dead, which limits are judged, and that a colder nerve is always a worse one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.assessment.results import RequiredStructure
from osteon.evidence.value import Band, Fixed, Value
from osteon.planning.fields import killed_by_cold, total
from osteon.planning.limits import judge, strain
from osteon.planning.measures import measure, seconds_of, worst, zone_assumed
from osteon.planning.plan import Finding
from osteon.planning.robust import with_bands
from osteon.planning.search import Scene, assess_effect, in_words, search_settings, shorter
from osteon.planning.session import after_all
from osteon.planning.target import boxed, planning_box
from osteon.space.anatomy import Field, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.tolerance import limits
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting, Trace
from planning.scene import block

NERVE = structure("sciatic_nerve_right")
LESION = structure("lesion")
POSE = NeedlePose((0.0, -80.0, 0.0), (0.0, 0.0, 0.0))
LETHAL = {"lethal_cold": Value(-40.0, "degC", Fixed(), "li-2022")}
COLD_LIMITS = [k for k in limits() if k.quantity == "lowest_temperature_c"]


def setting(seconds=600.0):
    return Setting("probe", (POSE,), (("time_s", seconds), ("thaw_s", 480.0), ("freezes", 2.0)))


def frozen(box, nerve_c=37.0, used=None, edge_c=37.0):
    """Return a ball of -50 °C within 10 mm, -30 within 14, and the nerve beside it as cold as asked."""
    away = np.linalg.norm(box.grid.to_mm(np.stack(np.indices(box.grid.shape), axis=-1)), axis=-1)
    lowest = np.where(away <= 10.0, -50.0, np.where(away <= 14.0, -30.0, edge_c)).astype(np.float32)
    if box.has(NERVE):
        lowest[box.mask(NERVE).array & (away <= 40.0)] = nerve_c
    state = {Field.FROZEN_MIN_C: Volume(lowest, box.grid), Field.DEAD: Volume(lowest <= -40.0, box.grid)}
    times = np.linspace(0.0, 1680.0, 169)
    course = 37.0 + (nerve_c - 37.0) * np.sin(np.pi * np.clip(times / 1680.0, 0, 1))
    traces = {f"coldest:{NERVE.id}": Trace(times, course, "degC")}
    return Effect("frozen", state, traces, LETHAL if used is None else used, Ended("time"))


@pytest.fixture
def scene():
    full = block(nerve_at=(30.0, 0.0))
    box = boxed(full, planning_box(full, LESION, 2.0))
    return Scene.of(box, full, (RequiredStructure(NERVE.id, "outlined", ""),), box.mask("lesion"))


def finding(value, limit=0.0, unit="°C", level="breach"):
    return Finding("x", NERVE.id, Band.of(value), unit, limit, level, "")


@given(st.floats(-200.0, 36.0), st.floats(0.1, 50.0))
def test_colder_is_always_worse(value, by):
    assert strain(finding(value - by)) > strain(finding(value))


@given(st.floats(37.0, 120.0), st.floats(0.1, 50.0))
def test_hotter_is_always_worse(value, by):
    assert strain(finding(value + by, 45.0)) > strain(finding(value, 45.0))


def test_at_the_limit_heat_cold_and_dose_strain_alike():
    assert strain(finding(45.0, 45.0)) == strain(finding(0.0, 0.0)) == strain(finding(40.0, 40.0, "CEM43 min")) == 1.0
    assert strain(finding(37.0, 0.0)) == strain(finding(37.0, 45.0)) == 0.0
    with pytest.raises(ValueError, match="cannot tell"):
        strain(replace(finding(0.0), value=None))


def test_a_nerve_far_below_zero_ranks_behind_one_just_below_it(scene):
    choices = [assess_effect(scene, setting(), frozen(scene.box, c), i) for i, c in enumerate((-30.0, -0.1, -8.0))]
    assert [c.breaches for c in choices] == [1, 1, 1]
    assert [c.order for c in sorted(choices, key=lambda c: c.rank)] == [1, 2, 0]
    assert assess_effect(scene, setting(), frozen(scene.box, 5.0)).rank < min(c.rank for c in choices)
    told = [c.findings for c in choices]
    assert worst([f for listed in told for f in listed if f.unit == "°C"]).value.best == pytest.approx(-30.0)


def test_only_limits_of_cold_and_distance_are_judged_where_nothing_is_heated(scene):
    judged = assess_effect(scene, setting(), frozen(scene.box, 5.0)).findings
    assert {f.unit for f in judged} == {"°C", "mm"}
    (nerve,) = [f for f in judged if f.unit == "°C" and f.structure == NERVE.id]
    assert (nerve.limit, nerve.level, nerve.value.best) == (0.0, "warning", pytest.approx(5.0))
    assert nerve.limit_id == "nerve-lowest-temperature"


@pytest.mark.parametrize(("coldest", "level"), [(11.0, "ok"), (9.9, "warning"), (0.0, "warning"), (-0.1, "breach")])
def test_nerve_and_cord_are_kept_at_0_with_an_alarm_at_10(coldest, level):
    both = [k for k in COLD_LIMITS if k.applies_to in ("nerve", "cord")]
    assert [k.level(coldest) for k in both] == [level, level]


def test_a_breach_of_cold_tells_when(scene):
    (nerve,) = [f for f in assess_effect(scene, setting(), frozen(scene.box, -8.0)).findings if f.level == "breach"]
    assert "first below it after" in nerve.text
    assert 0 < nerve.time_s < 840.0


def test_a_nerve_still_cooling_at_the_end_is_said(scene):
    effect = frozen(scene.box, 5.0)
    falling = Trace(np.array([0.0, 1000.0, 2000.0]), np.array([37.0, 20.0, 5.0]), "degC")
    effect = replace(effect, traces={f"coldest:{NERVE.id}": falling})
    (nerve,) = [f for f in assess_effect(scene, setting(), effect).findings if f.unit == "°C" and f.structure == NERVE.id]
    assert nerve.text.endswith("still falling when the run ended")


def test_what_is_not_outlined_cannot_be_told(scene):
    full = block()
    box = boxed(full, planning_box(full, LESION, 2.0))
    required = (RequiredStructure(NERVE.id, "not_outlined", ""),)
    told = judge([frozen(box)], box, required, box.mask("lesion"), full=full)
    nerve = [f for f in told if f.structure == NERVE.id]
    assert {f.level for f in nerve} == {"unknown"}
    assert {f.limit_id for f in nerve} == {"nerve-lowest-temperature", "nerve-stand-off"}
    assert all(f.text == "cannot tell: outline the right sciatic nerve" for f in nerve)


def test_cold_that_reaches_the_edge_of_what_is_seen_leaves_the_nerve_beyond_it_unknown(scene):
    nerves = [
        f for f in assess_effect(scene, setting(), frozen(scene.box, 20.0, edge_c=25.0)).findings if f.structure == NERVE.id
    ]
    (nerve,) = [f for f in nerves if f.unit == "°C"]
    assert nerve.level == "unknown"
    assert "25 °C reaches the edge" in nerve.text


def test_dead_is_what_fell_to_the_lethal_temperature_on_any_grid(scene):
    grid = scene.box.grid
    effect = frozen(scene.box)
    dead = killed_by_cold([effect], grid)
    assert np.array_equal(dead, effect.state[Field.FROZEN_MIN_C].array <= -40.0)
    finer = Grid.box(np.full(3, -20.0), np.full(3, 20.0), 1.0)
    volume = killed_by_cold([effect], finer).sum() * 1e-3
    assert volume == pytest.approx(dead.sum() * grid.voxel_mm3 * 1e-3, rel=0.15)  # 1 voxel of 2 mm on a ball of 20 mm
    unnamed = frozen(scene.box, used={})
    assert np.array_equal(killed_by_cold([unnamed], grid), dead)
    assert not killed_by_cold([replace(effect, state={Field.DEAD: effect.state[Field.DEAD]})], grid).any()


def test_figures_of_a_freeze_name_no_heat_and_count_both_freezes(scene):
    figures, _ = measure([frozen(scene.box)], scene.box, LESION, scene.target, [setting()])
    assert figures["coldest_c"] == -50.0
    assert "hottest_c" not in figures
    assert "collateral_bone_cm3" not in figures  # no limit is kept for frozen bone: 0 would be an answer
    assert figures["minutes"] == 28.0  # 10-8-10
    assert 0.3 < figures["coverage"] < 0.8
    assert seconds_of(Setting("d", (POSE,), (("time_s", 600.0),))) == 600.0
    assert seconds_of(Setting("d", (POSE,))) is None


def test_what_counts_as_dead_is_assumed_aloud(scene):
    (said,) = zone_assumed([frozen(scene.box)])
    assert "-40 °C" in said
    hot = Effect(
        "hot", {Field.CEM43_MIN: Volume(np.zeros(scene.box.grid.shape, np.float32), scene.box.grid)}, {}, {}, Ended("time")
    )
    assert zone_assumed([hot]) == ("the zone is where CEM43 reaches 240 min",)
    assert len(zone_assumed([hot, frozen(scene.box)])) == 2


def test_a_band_that_reaches_below_the_limit_warns_and_one_above_it_does_not():
    each = finding(12.0, 0.0, level="ok")
    safe = [{("x", NERVE.id): v} for v in (11.0, 12.0, 20.0)]
    assert with_bands([each], safe)[0].level == "ok"
    (warned,) = with_bands([each], [{("x", NERVE.id): v} for v in (-5.0, 12.0, 20.0)])
    assert warned.level == "warning"
    assert "down to -3" in warned.text


def test_a_breach_in_the_second_freeze_shortens_each(scene):
    done = assess_effect(scene, setting(), frozen(scene.box, -8.0))
    late = replace(done, findings=tuple(replace(f, time_s=1380.0) if f.level == "breach" else f for f in done.findings))
    assert shorter(late).control("time_s") == 280.0  # 300 s into the second, less 5 %, in whole steps of 10 s
    assert in_words(late.setting) == "probe, 1 needle, 600 s, thaw 480 s, 2 freezes"


def test_after_two_freezes_the_lowest_of_both_is_kept(scene):
    first = frozen(scene.box, 5.0)
    warm = replace(
        first, state={**first.state, Field.FROZEN_MIN_C: Volume(np.full(scene.box.grid.shape, 37.0, np.float32), scene.box.grid)}
    )
    left = after_all(scene.box, [first, warm]).state[Field.FROZEN_MIN_C].array
    assert np.array_equal(left, first.state[Field.FROZEN_MIN_C].array)


def test_where_no_effect_reached_nothing_is_frozen(scene):
    small = Grid.box(np.full(3, -10.0), np.full(3, 10.0), 2.0)
    effect = Effect(
        "part", {Field.FROZEN_MIN_C: Volume(np.full(small.shape, -50.0, np.float32), small)}, {}, LETHAL, Ended("time")
    )
    assert total([effect], scene.box.grid, Field.FROZEN_MIN_C).max() == 37.0
    assert scene.box.with_(effect).state[Field.FROZEN_MIN_C].array.max() == 37.0


class Freezing:
    """Freezes a ball that grows with time; the nerve falls 0.1 K per second of freeze."""

    name = "freezing"

    def settings(self, anatomy, target, goal, device, poses=()):
        for pose in poses:
            for time in (300.0, 420.0, 600.0):
                yield replace(setting(time), poses=(pose,))

    def quick(self, anatomy, asked):
        return frozen(anatomy, 37.0 - 0.08 * asked.control("time_s"))


def test_the_search_goes_for_the_longest_freeze_that_spares_the_nerve(scene):
    best = search_settings(Freezing(), "probe", "palliation", scene, [POSE])[0]
    assert best.breaches == 0
    assert best.setting.control("time_s") <= 462.5  # 0 °C are reached there
