"""The laser treatment: light of bare and diffusing tips, power that balances, the two predictions, and what is refused."""

import numpy as np
import pytest

from osteon.errors import InputError, MissingError, SettingError
from osteon.evidence.source import papers
from osteon.facts import Known
from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.bone import properties_map
from osteon.tissue.properties import Constants
from osteon.treatments.base import Draw, NeedlePose, Setting
from osteon.treatments.laser import fibre, simulation
from osteon.treatments.laser.treatment import Laser

LESION, BONE, NERVE = structure("lesion"), structure("hip_right"), structure("sciatic_nerve_right")
DIFFUSER, BARE = "nd-yag-diffuser-20mm", "nd-yag-bare-400um"
POSE = NeedlePose((0.0, -30.0, 0.0), (0.0, 11.0, 0.0))


def patient(spacing=2.0, half=30.0):
    """A ball of tumour at the origin in bone (x < 0) and muscle; a nerve beside it; air beyond y = -half + 8."""
    grid = Grid.box(np.full(3, -half), np.full(3, half), spacing)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)
    mm = grid.to_mm(index)
    hu = np.full(grid.shape, 50.0, np.float32)
    in_bone = (mm[..., 0] < 0) & (np.abs(mm[..., 1]) < 20)
    hu[in_bone] = 300.0
    lesion = np.linalg.norm(mm, axis=-1) <= 10.0
    hu[lesion] = 40.0
    hu[mm[..., 1] < -half + 8] = -1000.0
    masks = {LESION: lesion, NERVE: np.hypot(mm[..., 0] - 14, mm[..., 1]) <= 3.0, BONE: in_bone}
    return Anatomy(
        imaged=Volume(np.ones(grid.shape, bool), grid),
        image=Volume(hu, grid),
        masks={k: Volume(v, grid) for k, v in masks.items()},
    )


def setting(power=5.0, seconds=300.0, device=DIFFUSER, pose=POSE):
    return Setting(device, (pose,), (("power_w", power), ("time_s", seconds)))


@pytest.mark.parametrize("name", Laser().devices)
def test_every_number_of_a_device_has_unit_source_and_honesty(name):
    def walk(entry):
        if isinstance(entry, dict):
            if "value" in entry or "low" in entry or ("text" in entry and "source" in entry):
                assert entry["source"] in papers()
                assert isinstance(entry["verified"], bool)
                assert "value" not in entry or {"unit", "spread"} <= entry.keys()
                assert not (entry["verified"] and entry["source"] == "project-proposal")
            for inner in entry.values():
                walk(inner)

    walk(Laser().device(name))
    access = Laser().needle(name)
    assert access.introducer_bore_mm > access.shaft_diameter_mm


def test_bare_and_diffusing_fibres_at_both_wavelengths():
    found = {(e["tip"], e["wavelength_nm"]["value"]) for e in Laser().devices.values()}
    assert found == {(tip, nm) for tip in ("bare", "diffusing") for nm in (980, 1064)}
    assert {e["core_um"]["value"] for e in Laser().devices.values()} >= {400, 600}


def test_a_diffusing_tip_emits_along_its_length_and_a_bare_one_ahead():
    laser, direction = Laser(), np.array(POSE.direction)
    places, shares = fibre.emission(laser.device(DIFFUSER), POSE, 1000.0)
    along = (places - POSE.tip_mm) @ direction
    assert shares.sum() == pytest.approx(1.0)
    assert -21.0 <= along.min() < along.max() <= -1.0
    ahead = (fibre.emission(laser.device(BARE), POSE, 1000.0)[0] - POSE.tip_mm) @ direction
    assert ahead.min() > 0
    assert ahead.mean() == pytest.approx(1.0, rel=0.05)  # 1 / (mu_a + mu_s') = 1 mm


def test_optics_of_bone_lie_between_marrow_and_cortex_and_air_is_outside():
    anatomy, constants = patient(), Constants()
    optics = fibre.optics(properties_map(anatomy, 2.45e9), anatomy, 1064.0, constants)
    bone = anatomy.mask(BONE).array & ~anatomy.mask(LESION).array
    ends = sorted(constants(row, "absorption_1064nm") for row in ("red_marrow", "cortical_bone"))
    assert ends[0] < optics.absorption_per_m[bone].mean() < ends[1]
    assert optics.outside.any()
    coagulated = np.zeros_like(bone)
    coagulated[bone] = True
    assert (optics.after(coagulated)[1][bone] > optics.reduced_scattering_per_m[bone]).all()
    assert np.array_equal(optics.after(coagulated)[1][~bone], optics.reduced_scattering_per_m[~bone])


def test_a_run_balances_its_light_and_its_heat_and_says_how_criteria_disagree():
    anatomy = patient()
    effect = Laser().simulate(anatomy, setting(), Draw.nominal())
    m = effect.measures
    assert effect.ended.energy_balance < 1e-3
    assert m["emitted_w"] == pytest.approx(0.95 * 5.0)
    assert 0.5 * m["emitted_w"] < m["net_power_w"] <= m["emitted_w"]
    assert m["energy_in_j"] == pytest.approx(m["net_power_w"] * 300.0, rel=1e-3)
    assert 0.3 < m["zone_cm3"] < 40.0
    assert m["zone_peak_60c_cm3"] < m["zone_peak_50c_cm3"]
    assert m["criteria_heat_disagree_short_mm"] > 0
    assert any("disagree" in line for line in effect.assumptions)
    assert f"hottest:{NERVE.id}" in effect.traces
    assert effect.state[Field.DEAD].array.sum() * 8e-3 == pytest.approx(m["zone_cm3"])
    assert not any("permittivity" in name for name in effect.used)
    assert not effect.used[f"{DIFFUSER}.transmission"].verified


def test_coagulation_is_solved_again_and_balances_each_time():
    anatomy, constants = patient(), Constants()
    tissue = properties_map(anatomy, 2.45e9)
    device = simulation.drawn(Laser().device(DIFFUSER), constants, DIFFUSER)
    optics = fibre.optics(tissue, anatomy, 1064.0, constants)
    source = simulation.LightSource(tissue.grid, optics, device, POSE, 7.0)
    materials = simulation.thermal.materials_of(tissue, constants)
    simulation.heat_tissue(source, materials, 240.0)
    assert len(source.shares) >= 3
    assert all(share.balance < 1e-6 for share in source.shares)
    assert all(share.absorbed_w <= share.emitted_w for share in source.shares)


def test_law_more_power_is_a_larger_zone_and_the_quick_prediction_is_near():
    anatomy, laser = patient(), Laser()
    low, high = (laser.simulate(anatomy, setting(p), Draw.nominal()).measures["zone_cm3"] for p in (3.0, 7.0))
    assert low < high
    quick = laser.quick(anatomy, setting(7.0)).measures["zone_cm3"]
    assert quick == pytest.approx(high, rel=0.25)  # 2.5 mm voxels beside 2 mm
    shorter = laser.quick(anatomy, setting(7.0, 120.0)).measures["zone_cm3"]
    assert shorter < quick


def test_a_draw_moves_the_numbers_and_the_same_draw_does_not():
    anatomy = patient()
    one, again, other = (Laser().simulate(anatomy, setting(seconds=60.0), Draw(s)).measures["net_power_w"] for s in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize(
    "wrong",
    [
        setting(power=-1.0), setting(power=0.0), setting(power=99.0), setting(seconds=1.0), setting(seconds=1e6),
        setting(device="no such fibre"), Setting(DIFFUSER, (), (("power_w", 5.0), ("time_s", 60.0))),
        Setting(DIFFUSER, (POSE, POSE), (("power_w", 5.0), ("time_s", 60.0))), Setting(DIFFUSER, (POSE,), (("power_w", 5.0),)),
    ],
)  # fmt: skip
def test_absurd_settings_are_refused_in_three_parts(wrong):
    with pytest.raises(SettingError) as error:
        Laser().simulate(patient(), wrong, Draw.nominal())
    assert all((error.value.what, error.value.why, error.value.do))


def test_a_tip_outside_the_body_or_outside_the_box_is_refused():
    for tip in ((0.0, -27.0, 0.0), (0.0, 300.0, 0.0)):
        with pytest.raises(SettingError) as error:
            Laser().simulate(patient(), setting(seconds=60.0, pose=NeedlePose((0.0, -60.0, 0.0), tip)), Draw.nominal())
        assert error.value.what.endswith(("in air.", "outside the computed box."))


def test_no_ct_no_wavelength():
    anatomy = patient()
    blind = Anatomy(imaged=anatomy.imaged, image=None, masks=anatomy.masks)
    with pytest.raises(MissingError):
        Laser().simulate(blind, setting(), Draw.nominal())
    with pytest.raises(InputError):
        fibre.band_of(1470.0)


def test_a_path_to_imaged_air_is_found():
    (fact,) = Laser().site_facts(patient(), LESION)
    assert fact.state == Known(True)


def test_settings_hold_what_the_device_can_do():
    anatomy = patient()
    offered = list(Laser().settings(anatomy, LESION, "cure", DIFFUSER, [POSE]))
    assert len(offered) > 20
    for each in offered:
        Laser().check(each)
