"""The sonication list: read back exactly, described by its schema, and refused where it does not hold together."""

import csv
import io
import json
import math
from dataclasses import replace
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from osteon.errors import InputError, OsteonError, SettingError
from osteon.treatments.focused_ultrasound.approach_rows import number
from osteon.treatments.focused_ultrasound.export import (
    FIELDS,
    SCHEMA,
    as_document,
    from_json,
    to_csv,
    to_json,
    to_openlifu_points,
)
from osteon.treatments.focused_ultrasound.shots import APPROACHES, Aim, Shot

ONE = Aim("S-01", (-12.5, 0.1, 30.25), (0.6, 0.0, -0.8), "near-target", 0, 0.4, (-18.5, 0.1, 38.25))
TWO = Aim("S-02", (1 / 3, 7.0, 30.0), (0.0, 0.0, -1.0), "near-target", 1, 0.35, (1 / 3, 7.0, 40.0))
SHOTS = (
    Shot(ONE, 20.0, 20.0, 60.0, test=True, notes=("low power",)),
    Shot(ONE, 64.0, 20.0, 90.0, phases_rad=(0.0, -1.5, math.pi)),
    Shot(TWO, 2 / 3 * 100, 30.0, 0.0, notes=("wait longer, if the skin hurts", 'say "stop"')),
)


def schema():
    return json.loads(resources.files("osteon.treatments.focused_ultrasound").joinpath("sonications.schema.json").read_text())


def changed(change):
    document = json.loads(to_json(SHOTS, "sonalleve-v2-256", 1.2e6))
    change(document)
    return json.dumps(document)


def test_energy_is_power_by_time():
    """BM004: 32 to 96 W over 20 to 30 s are 640 to 2880 J (Chen 2017)."""
    assert Shot(ONE, 32.0, 20.0, 90.0).energy_j == 640.0
    assert Shot(ONE, 96.0, 30.0, 90.0).energy_j == 2880.0


def test_json_is_read_back_exactly():
    assert from_json(to_json(SHOTS, "sonalleve-v2-256", 1.2e6)) == SHOTS


NUMBER = st.floats(-4000.0, 4000.0)
PLACE = st.tuples(NUMBER, NUMBER, NUMBER)


@given(PLACE, PLACE, st.floats(0, 2 * math.pi), st.sampled_from(APPROACHES), st.floats(1e-3, 500.0), st.floats(1e-3, 120.0),
       st.floats(0.0, 1800.0), st.booleans(), st.lists(st.text(max_size=5), max_size=3), st.floats(0, 1))  # fmt: skip
def test_any_session_is_read_back_exactly_and_fits_the_schema(focus, spot, turn, approach, power, on, off, test, notes, covers):
    aim = Aim("S-01", focus, (math.cos(turn), math.sin(turn), 0.0), approach, 0, covers, spot)
    shots = (Shot(aim, power, on, off, test, tuple(notes)),)
    text = to_json(shots)
    assert from_json(text) == shots
    Draft202012Validator(schema()).validate(json.loads(text))


def test_the_document_fits_its_schema_and_no_other_does():
    document = as_document(SHOTS, "sonalleve-v2-256", 1.2e6)
    check = Draft202012Validator(schema())
    check.check_schema(schema())
    check.validate(json.loads(json.dumps(document)))
    assert document["schema"] == SCHEMA == schema()["title"]
    row = schema()["properties"]["sonications"]["items"]
    assert set(row["required"]) == set(row["properties"]) == set(FIELDS)
    for name, wrong in (("power_w", 1e6), ("power_w", 0), ("approach", "sideways"), ("off_s", -1), ("covers", 1.5)):
        bad = json.loads(json.dumps(document))
        bad["sonications"][0][name] = wrong
        assert not check.is_valid(bad)


def test_the_limits_of_the_schema_are_those_of_the_data():
    row = schema()["properties"]["sonications"]["items"]["properties"]
    for key, name in (("power_w", "most_power_w"), ("on_s", "longest_on_s"), ("off_s", "longest_off_s")):
        assert row[key]["maximum"] == number(name)
    assert schema()["$defs"]["place"]["items"]["maximum"] == number("farthest_mm")


def test_totals_count_a_place_once_and_tests_apart():
    """20 W x 20 s + 64 x 20 + 66.7 x 30 = 3680 J; 80 + 110 + 30 s; cells of 0.40 and 0.35."""
    totals = as_document(SHOTS)["totals"]
    assert (totals["treatments"], totals["tests"]) == (2, 1)
    assert totals["energy_j"] == pytest.approx(3680.0, abs=1e-9)
    assert totals["minutes"] == pytest.approx(220.0 / 60, abs=1e-12)
    assert totals["covers"] == pytest.approx(0.75, abs=1e-12)
    assert as_document(SHOTS[:1])["totals"]["covers"] == 0.0  # a test treats nothing


def test_csv_has_one_line_for_each_with_units_in_the_heading():
    lines = list(csv.DictReader(io.StringIO(to_csv(SHOTS))))
    assert [line["id"] for line in lines] == ["S-01", "S-01", "S-02"]
    assert [line["test"] for line in lines] == ["true", "false", "false"]
    for line, shot in zip(lines, SHOTS, strict=True):
        assert tuple(float(line[f"focus_{a}_mm"]) for a in "xyz") == shot.aim.focus_mm
        assert tuple(float(line[f"beam_{a}"]) for a in "xyz") == shot.aim.beam
        assert (float(line["power_w"]), float(line["on_s"]), float(line["off_s"])) == (shot.power_w, shot.on_s, shot.off_s)
        assert float(line["energy_j"]) == shot.energy_j
        assert line["notes"] == "; ".join(shot.notes)


def test_openlifu_points_have_its_keys_and_each_place_once():
    """Keys of ``openlifu.geo.Point.to_dict``."""
    points = to_openlifu_points(SHOTS)
    assert [set(p) for p in points] == [{"id", "name", "color", "radius", "position", "dims", "units"}] * 2
    assert points[0]["position"] == list(ONE.focus_mm)
    assert (points[0]["dims"], points[0]["units"]) == (["L", "P", "S"], "mm")


def first(key, value):
    return lambda d: d["sonications"][0].update({key: value})


@pytest.mark.parametrize(
    "change",
    [
        first("power_w", 1e9), first("power_w", 0.0), first("power_w", -5.0), first("power_w", True), first("power_w", "20"),
        first("power_w", float("nan")), first("on_s", float("inf")), first("on_s", 0), first("on_s", 1e4), first("off_s", -1.0),
        first("off_s", 1e7), first("energy_j", 401.0), first("focus_mm", [0.0, 0.0]), first("focus_mm", [0.0, 0.0, 1e7]),
        first("focus_mm", [0.0, float("nan"), 0.0]), first("beam", [0.0, 0.0, -2.0]), first("beam", [0.0, 0.0, 0.0]),
        first("approach", "sideways"), first("covers", 1.5), first("order", -1), first("order", 0.5), first("number", 2),
        first("id", ""), first("test", 1), first("notes", "x"), first("phases_rad", [None]), first("moon", 1),
        lambda d: d["sonications"][0].pop("off_s"), lambda d: d["totals"].update(energy_j=1.0), lambda d: d.pop("totals"),
        lambda d: d.update(frame="RAS mm"), lambda d: d.update(schema="osteon-sonications/2"), lambda d: d.update(sonications=[]),
        lambda d: d.update(sonications={}), lambda d: d.update(frequency_hz=-1.0), lambda d: d.update(device=5),
        lambda d: d["sonications"][1].update(focus_mm=[0.0, 0.0, 0.0]), lambda d: d["sonications"].reverse(),
    ],
)  # fmt: skip
def test_a_list_that_does_not_hold_together_is_refused(change):
    with pytest.raises(InputError) as refused:
        from_json(changed(change))
    assert refused.value.what
    assert refused.value.do


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"schema": 1e999}'])
def test_other_files_are_refused(text):
    with pytest.raises(InputError, match="cannot be used"):
        from_json(text)


def test_a_number_that_overflows_is_refused():
    with pytest.raises(InputError, match="no finite number"):
        from_json(to_json(SHOTS).replace('"on_s": 30.0', '"on_s": 1e999'))


@pytest.mark.parametrize("name", ["power_w", "on_s", "off_s"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e6])
def test_shots_that_make_no_sense_are_refused(name, value):
    with pytest.raises(SettingError, match="S-01"):
        replace(SHOTS[0], **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("focus_mm", (0.0, float("nan"), 0.0)), ("spot_mm", (0.0, 0.0, 9e9)), ("beam", (0.0, 0.0, 0.5)), ("beam", (0.0, 0.0, 0.0)),
     ("approach", "sideways"), ("order", -1), ("covers", float("nan")), ("covers", 1.01), ("id", " ")],
)  # fmt: skip
def test_aims_that_make_no_sense_are_refused(name, value):
    with pytest.raises(OsteonError):
        replace(ONE, **{name: value})


def test_an_empty_session_and_one_name_for_two_places_are_refused():
    with pytest.raises(InputError, match="without a sonication"):
        to_json(())
    with pytest.raises(InputError, match="Two different places"):
        to_csv((Shot(ONE, 20.0, 20.0, 90.0), Shot(replace(TWO, id="S-01"), 20.0, 20.0, 90.0)))
    with pytest.raises(InputError, match="frequency"):
        to_json(SHOTS, frequency_hz=float("nan"))
    with pytest.raises(SettingError, match="phase"):
        replace(SHOTS[1], phases_rad=(0.0, float("nan")))
