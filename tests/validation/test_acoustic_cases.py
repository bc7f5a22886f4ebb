"""The reference cases of ultrasound: rows within tolerances, options of the command line, and the published field itself."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from osteon.cli import app
from osteon.errors import InputError
from osteon.validation import acoustic_layers, array_steering, interface, itrusst, itrusst_exact, oneil
from osteon.validation.catalog import case, options_of


def silent(_):
    return None


@pytest.mark.parametrize("run", [oneil.run, interface.run, acoustic_layers.run, array_steering.run])
def test_every_row_with_a_tolerance_holds_it(run):
    rows = run(silent).rows
    assert sum(row.tolerance is not None for row in rows) >= 2
    assert all(row.passed is not False for row in rows)


def test_tolerances_are_those_of_the_reference_page():
    assert (oneil.OF_PEAK, interface.POINTS, interface.BALANCE, acoustic_layers.AGREE) == (0.01, 0.1, 1e-6, 1e-3)
    assert (itrusst.PEAK, itrusst.PLACE_MM, itrusst.SIZE, array_steering.LENGTH) == (0.02, 0.5, 0.02, 0.1)


def test_interface_on_the_command_line_takes_any_bone():
    words = ["validate", "interface", "--cl", "3515", "--cs", "1750", "--rho", "1908", "--angles", "0,40", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    rows = {row["quantity"]: row for row in json.loads(done.stdout)["rows"]}
    z_1, z_2 = 1090 * 1575, 1908 * 3515
    assert rows["energy_in[0]"]["value"] == pytest.approx(100 * 4 * z_1 * z_2 / (z_1 + z_2) ** 2)
    assert rows["shear_share[40]"]["value"] == pytest.approx(100)
    assert rows["fluid_energy_in[40]"]["value"] == pytest.approx(0, abs=1e-9)
    assert rows["energy_in[40]"]["pass"] is True


def test_a_fluid_beyond_its_critical_angle_has_no_share_of_shear():
    rows = {row.quantity for row in interface.run(silent, cs=0.0, angles="0,50").rows}
    assert "shear_share[0]" in rows
    assert "shear_share[50]" not in rows


@pytest.mark.parametrize("words", [["--foo", "1"], ["--cl"], ["--cl", "fast"], ["3"], ["--cl", "2800", "--cs"]])
def test_an_option_that_a_case_does_not_take_is_named(words):
    with pytest.raises(InputError, match="interface"):
        options_of("interface", words)


def test_options_are_of_their_kind_and_none_belong_to_all():
    assert options_of("itrusst", ["--case", "BM1", "--source=SC2"]) == {"case": "BM1", "source": "SC2"}
    assert options_of("interface", ["--rho", "1900"]) == {"rho": 1900.0}
    assert options_of("all", []) == {}
    for name in ("all", "pennes"):
        with pytest.raises(InputError, match="no option"):
            options_of(name, ["--cl", "3"])
    assert case("itrusst") is itrusst.run
    with pytest.raises(InputError, match="BM9"):
        itrusst.run(silent, "BM9", "SC1")
    with pytest.raises(InputError, match="angles"):
        interface.run(silent, angles="0,95")


def test_bm4_with_solid_bone_is_the_exact_layers_and_the_page():
    rows = {row.quantity: row for row in itrusst.run(silent, bone="solid").rows}
    assert all(row.passed is not False for row in rows.values())
    assert rows["peak_pa"].value == pytest.approx(355.0e3, rel=0.02)  # acoustics.md, A6
    assert rows["z_mm"].value == pytest.approx(58.5, abs=0.5)
    with pytest.raises(InputError, match="fluid or solid"):
        itrusst.run(silent, bone="wood")


@pytest.mark.real
def test_itrusst_bm4_sc1_published_field_of_stride_in_the_brain(real):
    h5py = pytest.importorskip("h5py", reason="the published field is MATLAB 7.3 (HDF5); install h5py")
    with h5py.File(real("itrusst/PH1-BM4-SC1_STRIDE.mat")) as file:
        published = np.asarray(file["p_amp"]).T[itrusst.FIRST_PLANE :]
    assert published.max() == pytest.approx(316738.57, abs=0.01)
    found, z = itrusst.planned("BM4", "SC1")
    x = (np.arange(141) - 70) * itrusst.STEP_M
    p = np.abs(found.pressure_pa[z >= 0.037 - 1e-9][:, 128, 58:199])
    assert np.sqrt(((p - published) ** 2).sum() / (published**2).sum()) < 0.02
    ours = itrusst.figures(z[z >= 0.037 - 1e-9], x, p, "SC1")
    assert ours["peak_pa"] == pytest.approx(published.max(), rel=0.02)
    assert ours["z_mm"] == pytest.approx(57.0, abs=0.5)
    assert ours["axial_6db_mm"] == pytest.approx(27.289, rel=0.02)
    assert ours["lateral_6db_mm"] == pytest.approx(4.344, rel=0.02)


@pytest.mark.parametrize(("bench", "source"), [("BM4", "SC1"), ("BM3", "SC2")])
def test_itrusst_level_layers_against_the_exact_field(bench, source):
    outcome = itrusst.run(silent, bench, source)
    assert outcome.ended == "converged"
    assert all(row.passed is not False for row in outcome.rows)


def test_acoustics_reference_a3_exact_fluid_layers_of_bm4():
    x, z = np.arange(0, 8e-3, 0.5e-3), np.arange(0.04, 0.08, 0.5e-3)
    exact = itrusst.figures(z, np.concatenate([-x[:0:-1], x]), np.abs(mirrored(itrusst.exact("BM4", "SC1", x, z))), "SC1")
    assert exact["peak_pa"] == pytest.approx(313.7e3, rel=1e-3)
    assert exact["z_mm"] == pytest.approx(57.0)
    assert exact["axial_6db_mm"] == pytest.approx(27.37, rel=2e-3)
    assert exact["lateral_6db_mm"] == pytest.approx(4.36, rel=2e-3)


def mirrored(p):
    return np.concatenate([p[:, :0:-1], p], axis=1)


def test_shells_of_one_medium_are_not_there():
    x, z = np.arange(0, 10e-3, 1e-3), np.arange(0.05, 0.09, 2e-3)
    source, water = itrusst.source_of("SC1"), itrusst.WATER
    ours = itrusst_exact.behind_shells(source, 0.04, 0.105, [0.075, 0.07], [water] * 3, 5e5, x, z)
    plain = itrusst.exact("BM1", "SC1", x, z)
    assert np.abs(ours - plain).max() < 5e-3 * np.abs(plain).max()


def test_the_wider_the_shells_the_nearer_they_are_to_flat_layers():
    z, source, chosen = np.arange(0.045, 0.07, 5e-3), itrusst.source_of("SC1"), itrusst.CASES["BM3"]
    flat = itrusst.exact("BM3", "SC1", np.zeros(1), z)
    errors = []
    for radius in (0.1, 0.2, 0.4):
        media, faces = chosen.media, [radius, radius - 0.0065]
        shell = itrusst_exact.behind_shells(source, 0.04, radius + 0.03, faces, media, 5e5, np.zeros(1), z)
        errors.append(np.abs(shell - flat).max() / np.abs(flat).max())
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)  # the difference goes as one over the radius
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


def test_every_case_of_sound_prints_json():
    """Rows may come from arrays; what is printed is plain numbers."""
    import json

    from osteon.validation import oneil

    tree = oneil.run(lambda _: None).as_json("0")
    assert json.loads(json.dumps(tree))["name"] == "oneil"
