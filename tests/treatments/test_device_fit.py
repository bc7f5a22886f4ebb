"""A site's zones to a device entry: a known factor is found again, held-out errors are honest, and bad rows are refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from osteon.errors import InputError, MissingError
from osteon.treatments import device_fit as df
from osteon.treatments import site_devices as site
from osteon.treatments.base import Setting
from osteon.treatments.device_fit_bench import BENCHES, Bench, laser_with_power, microwave_with_power
from osteon.treatments.laser.treatment import Laser
from osteon.treatments.microwave import antenna
from osteon.treatments.microwave.treatment import Microwave

DEVICE = "eco-100a1-14g"
HEAD = ",".join(df.COLUMNS)


def law(device, power, displayed, medium, temperature, times, criterion):
    """Zones that grow with the square root of energy; six tenths of what is displayed reach the tissue."""
    return [(2.0 * (power * t) ** 0.25 + 5.0, 2.0 * (power * t) ** 0.25) for t in times], 0.6 * power / displayed


LAW = Bench(law, microwave_with_power)


def rows(factor=0.8, noise=0.0, seed=0, settings_=((40, 300), (60, 300), (60, 600), (50, 180), (70, 480))):
    rng, made = np.random.default_rng(seed), []
    for i, (power, seconds) in enumerate(settings_):
        ((long_mm, short_mm),), _ = law(DEVICE, power * factor, power, "", 0.0, [seconds], "")
        scatter = np.exp(rng.normal(0.0, noise, 2))
        made.append(
            df.Measured(i + 2, DEVICE, power, seconds, long_mm * scatter[0], short_mm * scatter[1], "liver ex vivo", 20.0)
        )
    return made


@settings(max_examples=15, deadline=None)
@given(st.floats(0.45, 1.6))
def test_a_known_factor_is_found_again(factor):
    found = df.fit(rows(factor), bench=LAW)
    assert found.factor == pytest.approx(factor, rel=0.01)
    assert found.net_power_fraction == pytest.approx(0.6 * factor, rel=0.02)
    assert found.spread_gsd == pytest.approx(df.LEAST_GSD, abs=0.01)
    assert found.worst_mm < 0.1


def test_held_out_errors_are_those_of_fits_to_the_other_rows():
    data = rows(noise=0.03, seed=4)
    found = df.fit(data, bench=LAW)
    for i, held in enumerate(found.held_out):
        others = df.fit(data[:i] + data[i + 1 :], bench=LAW)
        assert held.factor == pytest.approx(others.factor, rel=1e-9)
    assert found.long_rms_mm == pytest.approx(np.sqrt(np.mean([h.long_error_mm**2 for h in found.held_out])))
    assert found.worst_mm >= max(found.long_rms_mm, found.short_rms_mm) > 0.2
    assert df.fit(rows(noise=0.06, seed=4), bench=LAW).spread_gsd > found.spread_gsd


def alone(message, rows_, **kwargs):
    with pytest.raises(InputError) as error:
        df.fit(rows_, **{"bench": LAW, **kwargs})
    assert all((error.value.what, error.value.why, error.value.do))
    assert message in error.value.what


def test_too_few_contradictory_and_impossible_rows_are_refused_in_three_parts():
    good = rows()
    alone("3 rows", good[:3])
    alone("2 devices", [*good, replace(good[0], device="eco-100a1-16g")])
    alone("All 4 rows", [replace(good[0], line=i) for i in range(4)])
    shrunk = [*good[:3], replace(good[3], long_mm=0.6 * good[3].long_mm, short_mm=0.6 * good[3].short_mm)]
    alone("with no more power and time", [*good, replace(good[2], long_mm=9.0, short_mm=9.0)])
    alone("asks for", shrunk)  # its own setting, but a far smaller zone than the others ask for
    alone("or beyond", rows(4.0))
    alone("W in the tissue", rows(1.8))
    alone("criterion", good, criterion="by eye")
    with pytest.raises(InputError) as error:
        df.fit(good, "radiotherapy")
    assert "cannot be fitted yet" in error.value.what


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (f"{DEVICE},60,300,35,-1,liver ex vivo,20", "short_mm"), (f"{DEVICE},sixty,300,35,25,liver ex vivo,20", "power_w"),
        (f"{DEVICE},60,,35,25,liver ex vivo,20", "time_s"), (f"{DEVICE},60,300,35,25,liver ex vivo,310", "temperature_c"),
        (f"{DEVICE},60,300,35,25,,20", "medium"), (f"{DEVICE},60,300,nan,25,liver,37", "long_mm"), ("x", "power_w"),
    ],
)  # fmt: skip
def test_what_is_no_row_is_refused_with_its_line(tmp_path, line, part):
    path = tmp_path / "zones.csv"
    path.write_text(f"{HEAD}\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        df.read_rows(path)
    assert "line 2" in error.value.what
    assert part in error.value.what


def test_no_file_and_no_column_are_refused(tmp_path):
    with pytest.raises(MissingError):
        df.read_rows(tmp_path / "none.csv")
    path = tmp_path / "zones.csv"
    path.write_text("device,power_w\na,1\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        df.read_rows(path)
    assert "time_s" in error.value.what


def test_the_entry_gives_exactly_the_fitted_power_and_is_read_back(tmp_path, monkeypatch):
    base = Microwave().device(DEVICE)
    found = df.fit(rows(0.8), bench=LAW)
    entry = df.entry_of(found, base, "2026-01-02", "0" * 64)
    before, after = (1.0 - antenna.cable_loss_fraction(e) for e in (base, entry))
    assert after / before == pytest.approx(found.factor, rel=1e-3)
    assert entry["fitted"]["date"] == "2026-01-02"
    assert not entry["fitted"]["net_power_fraction"]["verified"]
    name = df.name_of(found, "2026-01-02")
    (tmp_path / "one.yaml").write_text(yaml.safe_dump({name: entry}), encoding="utf-8")
    devices = site.site_devices([tmp_path])
    treatment = site.with_devices(Microwave(), devices["microwave"])
    assert next(iter(treatment.devices)) == name
    assert treatment.needle(name).max_depth_mm > 0
    assert name not in Microwave().devices
    assert site.from_site(Microwave()).devices.keys() == Microwave().devices.keys()
    assert site.digest() == ""
    monkeypatch.setenv(site.VARIABLE, str(tmp_path))
    assert name in site.from_site(Microwave()).devices
    assert len(site.digest()) == 64
    monkeypatch.setenv(site.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(MissingError):
        site.folders()
    (tmp_path / "two.yaml").write_text(yaml.safe_dump({"someone": {"title": "x"}}), encoding="utf-8")
    with pytest.raises(InputError):
        site.site_devices([tmp_path])


def test_more_power_than_was_taken_is_refused():
    with pytest.raises(InputError):
        microwave_with_power(Microwave().device(DEVICE), 1.6, 1.1)
    with pytest.raises(InputError):
        laser_with_power(Laser().device("nd-yag-bare-400um"), 1.2, 1.1)


def test_the_command_writes_a_dated_entry_a_picture_and_json(tmp_path, monkeypatch):
    from osteon.cli import app

    monkeypatch.setitem(BENCHES, "microwave", LAW)
    table = tmp_path / "zones.csv"
    lines = [
        f"{r.device},{r.power_w},{r.time_s},{r.long_mm:.3f},{r.short_mm:.3f},{r.medium},{r.temperature_c}" for r in rows(0.7)
    ]
    table.write_text("\n".join([HEAD, *lines]), encoding="utf-8")
    out, plot = tmp_path / "device.yaml", tmp_path / "fit.svg"
    result = CliRunner().invoke(
        app, ["device", "fit", str(table), "-o", str(out), "--plot", str(plot), "--date", "2026-01-02", "--json"]
    )
    assert result.exit_code == 0, result.output
    tree = json.loads(result.stdout)
    assert tree["schema"] == df.SCHEMA
    assert tree["power_factor"] == pytest.approx(0.7, rel=0.01)
    assert tree["id"] in yaml.safe_load(out.read_text(encoding="utf-8"))
    assert plot.read_text(encoding="utf-8").count("<circle") == 10
    text = CliRunner().invoke(app, ["device", "fit", str(table), "--date", "2026-01-02", "-q"])
    assert "held out" in text.output
    table.write_text(table.read_text(encoding="utf-8").replace(DEVICE, "no such antenna"), encoding="utf-8")
    lost = CliRunner().invoke(app, ["device", "fit", str(table), "-q"])
    assert "no such antenna" in str(lost.exception)
    bad = CliRunner().invoke(app, ["device", "fit", str(table), "--date", "yesterday"])
    assert bad.exit_code != 0


def test_law_a_bench_of_the_laser_finds_its_own_power_again():
    bench, device, times = BENCHES["laser"], "nd-yag-diffuser-20mm", [90.0, 150.0, 210.0, 270.0]
    found, share = bench.zones(device, 7.0 * 0.9, 7.0, "liver ex vivo", 37.0, times, "peak_60c")
    assert 0.7 < share < 0.9
    made = [df.Measured(i, device, 7.0, t, a, b, "liver ex vivo", 37.0) for i, (t, (a, b)) in enumerate(zip(times, found))]
    fitted = df.fit(made, "laser", "peak_60c")
    assert fitted.factor == pytest.approx(0.9, abs=0.05)
    assert fitted.worst_mm < 1.0
    entry = df.entry_of(fitted, Laser().device(device), "2026-01-02", "0" * 64)
    assert entry["transmission"]["value"] == pytest.approx(0.95 * fitted.factor, abs=1e-3)


@pytest.mark.slow
def test_law_a_bench_of_the_antenna_finds_its_own_power_again():
    bench, made = BENCHES["microwave"], []
    for power in (40.0, 60.0):
        found, share = bench.zones(DEVICE, power * 0.8, power, "liver ex vivo", 20.0, [180.0, 360.0], "arrhenius_liver")
        assert 0.2 < share < 0.8
        made += [
            df.Measured(i, DEVICE, power, t, a, b, "liver ex vivo", 20.0)
            for i, (t, (a, b)) in enumerate(zip([180.0, 360.0], found))
        ]
    fitted = df.fit(made)
    assert fitted.factor == pytest.approx(0.8, abs=0.05)
    assert fitted.worst_mm < 1.5


def fitted_folder(tmp_path, factor=0.8):
    """Return a folder with one fitted antenna, and its name."""
    found = df.fit(rows(factor), bench=LAW)
    name = df.name_of(found, "2026-01-02")
    entry = df.entry_of(found, Microwave().device(DEVICE), "2026-01-02", "0" * 64)
    folder = tmp_path / "devices"
    folder.mkdir(exist_ok=True)
    (folder / "antenna.yaml").write_text(yaml.safe_dump({name: entry}), encoding="utf-8")
    return folder, name


def test_a_fitted_device_is_found_listed_and_stamped_and_changes_the_key(tmp_path, monkeypatch):
    from osteon import listing
    from osteon.treatments import catalog

    folder, name = fitted_folder(tmp_path)
    shipped = catalog.treatment("microwave")
    assert shipped is catalog.treatment("microwave")
    monkeypatch.setenv(site.VARIABLE, str(folder))
    ours = catalog.treatment("microwave")
    assert ours is catalog.treatment("microwave")
    assert next(iter(ours.devices)) == name
    assert catalog.treatment("laser").devices.keys() == Laser().devices.keys()
    assert (name, "microwave") in [row[:2] for row in listing.rows_of("devices")[1]]
    first = site.digest()
    fitted_folder(tmp_path, 0.9)
    assert site.digest() != first
    assert catalog.treatment("microwave") is not ours
    monkeypatch.delenv(site.VARIABLE)
    assert catalog.treatment("microwave") is shipped


def test_a_plan_says_of_a_fitted_device_when_how_many_how_far_off_and_beyond_its_range(tmp_path, monkeypatch):
    folder, name = fitted_folder(tmp_path)
    monkeypatch.setenv(site.VARIABLE, str(folder))
    ours = site.from_site(Microwave())
    said = site.stamp(ours, Setting(name, (), (("power_w", 60.0), ("time_s", 300.0))))
    assert len(said) == 1
    assert all(part in said[0] for part in ("2026-01-02", "5 zones", "liver ex vivo at 20 °C", "held out", "not verified"))
    beyond = site.stamp(ours, Setting(name, (), (("power_w", 80.0), ("time_s", 700.0))))
    assert [text.split(" lies")[0] for text in beyond[1:]] == ["80 W", "700 s"]
    assert site.stamp(ours, Setting(DEVICE, (), ())) == ()
    assert list(site.with_only(ours, name).devices) == [name]
    assert len(ours.devices) > 1


@pytest.mark.slow
def test_fit_then_plan_with_it_and_the_page_says_so(tmp_path, monkeypatch):
    from osteon.case.phantom import write
    from osteon.cli import app

    folder, name = fitted_folder(tmp_path)
    monkeypatch.setenv(site.VARIABLE, str(folder))
    case, out = tmp_path / "case", tmp_path / "report"
    write("femur", case, spacing_mm=2.0)
    places = ["--thermocouple", "beside=-90,15,-450", "--thermocouple", "elsewhere=900,0,0"]
    command = ["report", str(case), "-o", str(out), "--treatment", "microwave", "--anyway", "--spacing", "2.5", "-q"]
    result = CliRunner().invoke(app, [*command, "--device", name, *places])
    assert result.exit_code == 0, result.output
    tree = json.loads((out / "journey.json").read_text(encoding="utf-8"))
    (plan,) = tree["plans"]
    (step,) = plan["steps"]
    assert step["setting"]["device"] == name
    assert tree["provenance"]["options"]["site_devices"] == site.digest()
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "DEVICE FITTED BY THE SITE" in page
    assert "2026-01-02" in page
    assert max(step["effect"]["traces"]["sensor:beside"]["values"]) >= 37.0
    assert "sensor:elsewhere" not in step["effect"]["traces"]
    assert any("thermocouple elsewhere" in text for text in step["effect"]["assumptions"])
    wrong = CliRunner().invoke(app, [*command, "--device", "broom"])
    assert "broom" in str(wrong.exception)
