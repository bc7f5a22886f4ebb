"""The strength of a bone: what it is made of, how it may be read, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteon.assessment.loads.base import LoadCase, Pose
from osteon.assessment.loads.catalog import builder
from osteon.assessment.strength import Options, strength_of
from osteon.assessment.strength_band import band_of, draws, unsampled
from osteon.assessment.strength_material import Draw, as_kind, laws_of, middle_draw
from osteon.assessment.strength_run import run_bone
from osteon.assessment.strength_voxels import depth_mm, healed, voxels_of
from osteon.case.phantom import build
from osteon.errors import ImageError, InputError, MissingError, NotOutlinedError, UnitError
from osteon.facts import Fact, Known
from osteon.jobs import Local, Serial
from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Volume
from osteon.tissue.bone_density import Density
from osteon.tissue.calibration import Calibration, from_air_fat_muscle

L3, LESION = structure("vertebra_L3"), structure("lesion")
CASE = LoadCase("vertebra-compression", L3)
NO_FRACTURE = {"fracture": Fact("fracture", Known("none")), "lesion_type": Fact("lesion_type", Known("lytic"))}
LINE = from_air_fat_muscle({"air": -1000.0, "fat": -100.0, "muscle": 50.0}, contrast=False)
IDENTITY = Calibration("none", "k2hpo4", 1e-3, 0.0, 0.0, (), (0.85, 1.15), (), ())
STRAIGHT = Pose(np.eye(3), {})


@pytest.fixture(scope="module")
def spine() -> Anatomy:
    made = build("vertebra", spacing_mm=2.0)
    seen = Volume(np.ones(made.image.grid.shape, bool), made.image.grid)
    return Anatomy(imaged=seen, image=made.image, masks=dict(made.masks), contrast=False)


@pytest.fixture(scope="module")
def found(spine: Anatomy):
    return strength_of(spine, replace(CASE, weight_kg=70.0), facts=NO_FRACTURE, calibration=LINE)


def block(hu: float = 300.0, size: int = 12) -> Anatomy:
    """A cube of bone in air with a lesion in its middle, 1 mm."""
    image = np.full((size + 8,) * 3, -1000.0, np.float32)
    bone = np.zeros(image.shape, bool)
    bone[4:-4, 4:-4, 4:-4] = True
    image[bone] = hu
    lesion = np.zeros(image.shape, bool)
    lesion[8:-8, 8:-8, 8:-8] = True
    image[lesion] = 20.0
    grid = Volume.of(image, np.eye(4)).grid
    masks = {L3: Volume(bone, grid), LESION: Volume(lesion, grid)}
    return Anatomy(imaged=Volume(np.ones(image.shape, bool), grid), image=Volume(image, grid), masks=masks, contrast=False)


class TestAnswer:
    def test_in_equilibrium_and_within_its_band(self, found) -> None:
        assert found.status == "prediction"
        assert found.now.ended in ("plateau", "limit")
        assert found.now.reaction_imbalance <= 1e-3
        assert found.failure.low < found.failure.best < found.failure.high
        assert found.now.failure_load == pytest.approx(max(load for _, load in found.now.curve))

    def test_lesion_takes_strength_and_stiffness(self, found) -> None:
        assert found.now.failure_load < found.healed.failure_load
        assert found.now.stiffness < found.healed.stiffness
        assert found.ratio_of == "failure load"
        assert found.ratio_healed.best == pytest.approx(found.now.failure_load / found.healed.failure_load)

    def test_in_body_weights(self, found) -> None:
        assert found.body_weights.best == pytest.approx(found.failure.best / (70 * 9.80665))

    def test_says_what_it_assumed_and_that_there_is_no_other_side(self, found) -> None:
        assert {"law of modulus and strength", "Poisson's ratio"} <= {each.what for each in found.assumptions}
        assert "no other side" in found.opposite_why
        assert found.law == "kopperdahl_2002_vertebra"

    def test_maps_lie_on_the_bone(self, found) -> None:
        maps = found.maps
        assert maps.utilisation[~maps.bone].max() == 0.0
        assert maps.stress_mpa[maps.bone].max() > 0.0
        assert maps.failed.sum() > 0
        assert not maps.failed[~maps.bone].any()
        assert not (maps.caps & maps.bone).any()

    def test_density_image_gives_the_same_as_its_line(self, spine: Anatomy, found) -> None:
        """Hounsfield numbers turned into densities by the same line beforehand change nothing."""
        mg = (LINE.slope * spine.image.array + LINE.intercept) * 1e3
        given = Calibration("none", "ha", 1e-3, 0.0, 0.0, (), LINE.band, (), ())
        again = strength_of(
            replace(spine, image=spine.image.with_array(mg.astype(np.float32))), CASE, facts=NO_FRACTURE, calibration=given
        )
        assert again.now.stiffness == pytest.approx(found.now.stiffness, rel=1e-5)
        assert again.failure.best == pytest.approx(found.failure.best, rel=1e-3)

    def test_says_where_the_load_enters(self, found) -> None:
        assert found.enters.startswith("through a cap of bone cement")

    def test_nothing_yielded_is_no_failure_load(self, spine: Anatomy) -> None:
        """Caps far beyond the end of the test: what the last displacement takes is borne, and is told as such."""
        pose, how = builder(CASE.name).pose(spine, CASE), builder(CASE.name)
        voxels = voxels_of(spine, CASE, pose, LINE, 3.0, how.margin_mm)
        run = run_bone(voxels, how, pose, Draw(laws_of(L3)[1].name, 1.5, 10.0)).run
        assert (run.ended, run.share_yielded, run.failure_load) == ("limit", 0.0, None)
        assert run.at_least == pytest.approx(run.curve[-1][1])


class TestReading:
    def test_open_fracture_question_comes_first(self, spine: Anatomy) -> None:
        asked = strength_of(spine, CASE, facts={"lesion_type": NO_FRACTURE["lesion_type"]}, calibration=LINE)
        assert asked.status == "if_no_fracture"
        assert "fracture" in asked.why.lower()

    def test_present_fracture_gives_no_load(self, spine: Anatomy) -> None:
        broken = strength_of(spine, CASE, facts={"fracture": Fact("fracture", Known("present"))}, calibration=LINE)
        assert broken.status == "refused"
        assert broken.failure is None
        assert broken.now is None
        assert broken.why

    def test_too_coarse_a_scan_gives_no_failure_load(self) -> None:
        made = build("vertebra", spacing_mm=4.0)
        seen = Volume(np.ones(made.image.grid.shape, bool), made.image.grid)
        anatomy = Anatomy(imaged=seen, image=made.image, masks=dict(made.masks), contrast=False)
        coarse = strength_of(anatomy, CASE, facts=NO_FRACTURE, calibration=LINE)
        assert coarse.failure is None
        assert coarse.status in ("relative_only", "refused")
        assert "coarse" in coarse.why or coarse.status == "refused"

    def test_unknown_load_case(self, spine: Anatomy) -> None:
        with pytest.raises(InputError, match="load case"):
            strength_of(spine, LoadCase("handstand", L3), calibration=LINE)

    def test_no_ct_and_no_outline(self, spine: Anatomy) -> None:
        with pytest.raises(MissingError):
            strength_of(replace(spine, image=None), CASE, facts=NO_FRACTURE, calibration=LINE)
        with pytest.raises(NotOutlinedError):
            strength_of(replace(spine, masks={}), CASE, facts=NO_FRACTURE, calibration=LINE)


class TestVoxels:
    def test_own_grid_is_not_interpolated(self) -> None:
        anatomy = block()
        voxels = voxels_of(anatomy, CASE, STRAIGHT, IDENTITY, 1.0, 3.0)
        assert voxels.bone.sum() == 12**3
        assert voxels.lesion.sum() == 4**3
        assert set(np.unique(voxels.density.values_g_cm3[voxels.bone]).round(6)) == {0.02, 0.3}

    def test_larger_cubes_hold_the_mean(self) -> None:
        """Cubes of two voxels that begin with the bone: of the same mass to the last digit."""
        anatomy = block(size=12)
        fine, coarse = (voxels_of(anatomy, CASE, STRAIGHT, IDENTITY, edge, 3.0) for edge in (1.0, 2.0))
        assert coarse.bone.sum() * 8 == fine.bone.sum()
        masses = [float(v.density.values_g_cm3.sum()) * v.edge_mm**3 for v in (fine, coarse)]
        assert masses[1] == pytest.approx(masses[0], rel=1e-5)

    def test_air_beside_a_specimen_is_left_out(self) -> None:
        voxels = voxels_of(block(), CASE, STRAIGHT, IDENTITY, 1.5, 3.0)
        assert voxels.density.values_g_cm3[voxels.bone].min() >= 0.02 - 1e-6

    def test_healed_takes_the_density_at_its_depth(self) -> None:
        voxels = voxels_of(block(), CASE, STRAIGHT, IDENTITY, 1.0, 3.0)
        assert healed(voxels).density.values_g_cm3[voxels.bone] == pytest.approx(0.3)

    def test_healed_takes_no_density_away_where_the_lesion_lacks_some(self) -> None:
        anatomy = block()
        anatomy.image.array[9, 9, 9] = 900.0
        voxels = voxels_of(anatomy, CASE, STRAIGHT, IDENTITY, 1.0, 3.0)
        assert healed(voxels).density.values_g_cm3.max() == pytest.approx(0.9)

    def test_depth_is_that_below_the_surface(self) -> None:
        voxels = voxels_of(block(), CASE, STRAIGHT, IDENTITY, 1.0, 3.0)
        assert depth_mm(voxels).max() == pytest.approx(6.0)

    def test_metal_is_kept_and_its_numbers_are_not_read(self) -> None:
        anatomy = block()
        metal = np.zeros(anatomy.image.array.shape, bool)
        metal[9:11, 9:11, 9:11] = True
        anatomy.image.array[metal] = 3000.0
        held = replace(anatomy, masks={**anatomy.masks, structure("implant"): Volume(metal, anatomy.grid)})
        voxels = voxels_of(held, CASE, STRAIGHT, IDENTITY, 1.0, 3.0)
        assert voxels.metal.sum() == 8
        assert voxels.density.values_g_cm3[voxels.metal].max() == 0.0
        assert any("Metal" in note for note in voxels.notes)

    def test_streaks_take_the_density_of_sound_bone(self) -> None:
        anatomy = block()
        streak = np.zeros(anatomy.image.array.shape, bool)
        streak[5, 4:-4, 5:7] = True
        anatomy.image.array[streak] = 1500.0
        voxels = voxels_of(replace(anatomy, unreliable=Volume(streak, anatomy.grid)), CASE, STRAIGHT, IDENTITY, 1.0, 3.0)
        assert voxels.density.values_g_cm3.max() == pytest.approx(0.3)
        assert any("Streaks" in note for note in voxels.notes)

    def test_mostly_spoilt_is_refused(self) -> None:
        anatomy = block()
        with pytest.raises(InputError, match="Streaks"):
            voxels_of(replace(anatomy, unreliable=anatomy.masks[L3]), CASE, STRAIGHT, IDENTITY, 1.0, 3.0)

    def test_no_number_within_the_bone(self) -> None:
        anatomy = block()
        anatomy.image.array[6, 6, 6] = np.nan
        with pytest.raises(ImageError, match="no numbers"):
            voxels_of(anatomy, CASE, STRAIGHT, IDENTITY, 1.0, 3.0)

    def test_bone_that_was_not_imaged(self) -> None:
        anatomy = block()
        seen = anatomy.imaged.array.copy()
        seen[:8] = False
        with pytest.raises(ImageError, match="not imaged"):
            voxels_of(replace(anatomy, imaged=Volume(seen, anatomy.grid)), CASE, STRAIGHT, IDENTITY, 1.0, 3.0)

    def test_empty_outline(self) -> None:
        anatomy = block()
        empty = {L3: Volume(np.zeros(anatomy.grid.shape, bool), anatomy.grid)}
        with pytest.raises(InputError, match="empty"):
            voxels_of(replace(anatomy, masks=empty), CASE, STRAIGHT, IDENTITY, 1.0, 3.0)

    def test_hounsfield_numbers_as_density(self) -> None:
        """A median of 5000 mg/cm3 is no bone."""
        with pytest.raises(UnitError):
            voxels_of(block(hu=5000.0), CASE, STRAIGHT, IDENTITY, 1.0, 3.0)

    def test_cement_stiffens(self, spine: Anatomy, found) -> None:
        filled = spine.masks[LESION]
        state = {Field.CEMENT_FRACTION: filled.with_array(filled.array.astype(np.float32))}
        after = strength_of(replace(spine, state=state), CASE, facts=NO_FRACTURE, calibration=LINE)
        assert after.now.failure_load > found.now.failure_load
        assert after.now.stiffness > found.now.stiffness


class TestMaterial:
    @pytest.mark.parametrize("kind", ["k2hpo4", "ha", "ash", "apparent"])
    def test_there_and_back(self, kind: str) -> None:
        rho = Density.of("k2hpo4", [50.0, 300.0, 1200.0], "mg/cm3")
        assert as_kind(as_kind(rho, kind), "k2hpo4").mg_cm3 == pytest.approx(rho.mg_cm3)

    def test_forwards_by_keyaks_line(self) -> None:
        rho = Density.of("k2hpo4", [300.0], "mg/cm3")
        assert as_kind(rho, "ash").mg_cm3 == pytest.approx([1.06 * 300.0 + 38.9])


class TestBand:
    def test_draws_are_the_same_for_the_same_seed(self) -> None:
        assert draws(L3, LINE, 5, 0) == draws(L3, LINE, 5, 0) != draws(L3, LINE, 5, 1)

    def test_draws_keep_to_the_band_of_calibration(self) -> None:
        loads = [each.numbers[0] for each in draws(L3, LINE, 200, 0)]
        assert min(loads) >= LINE.band[0]
        assert max(loads) <= LINE.band[1]

    def test_best_lies_within(self) -> None:
        band = band_of(100.0, [110.0] * 20)
        assert (band.low, band.best) == (100.0, 100.0)
        assert band.high == pytest.approx(110.0)

    def test_without_draws_laws_times_calibration(self) -> None:
        band = unsampled(100.0, [80.0], LINE)
        assert band.low == pytest.approx(80.0 * LINE.band[0])
        assert band.high == pytest.approx(100.0 * LINE.band[1])

    @pytest.mark.slow
    def test_linear_draws_scaled_by_the_middle_run(self, spine: Anatomy) -> None:
        options = Options(samples=8, band_by_failure=False)
        band = strength_of(spine, CASE, facts=NO_FRACTURE, calibration=LINE, options=options)
        assert "scaled" in band.band_from[0]
        assert band.failure.n == 8
        assert band.ratio_healed.n == 8
        assert band.ratio_healed.high < 1.0

    @pytest.mark.slow
    def test_draws_to_failure_with_turned_caps(self, spine: Anatomy) -> None:
        band = strength_of(spine, CASE, facts=NO_FRACTURE, calibration=LINE, options=Options(samples=3, band_by_failure=True))
        assert "each draw run to failure" in band.band_from[0]
        assert "in 2 nothing yielded" in band.band_from[0]  # of the softer law: their loads are borne, and never left out
        assert band.failure.n == 3
        assert band.failure.low < band.failure.high

    @pytest.mark.slow
    def test_draws_are_the_same_by_one_process_and_by_two(self, spine: Anatomy) -> None:
        one, two = (
            strength_of(
                spine, CASE, facts=NO_FRACTURE, calibration=LINE, options=Options(samples=2, band_by_failure=False), executor=each
            )
            for each in (Serial(), Local(2))
        )
        assert two.failure == one.failure

    def test_middle_draw_is_the_first_law(self) -> None:
        assert middle_draw(L3).law == "kopperdahl_2002_vertebra"
