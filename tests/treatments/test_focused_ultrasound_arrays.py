"""Arrays of focused ultrasound: where their elements are, what they may give, and how honest their numbers are."""

import numpy as np
import pytest

from osteon.errors import InputError, SettingError
from osteon.evidence.source import cite
from osteon.physics import acoustic_sources
from osteon.treatments.catalog import offered
from osteon.treatments.focused_ultrasound.transducer import devices, transducer


@pytest.mark.parametrize("name", devices())
def test_every_array_lies_on_its_cap_and_its_elements_do_not_overlap(name):
    array = transducer(name)
    focus = np.array([0, 0, array.radius_m])
    centres = array.source.centres_m
    np.testing.assert_allclose(np.linalg.norm(centres - focus, axis=1), array.radius_m, rtol=1e-3)
    entry = devices()[name]
    assert len(centres) == entry["elements"]["value"]
    assert 2e3 * np.hypot(centres[:, 0], centres[:, 1]).max() < entry["aperture_mm"]["value"]
    near = min(np.partition(np.linalg.norm(centres - c, axis=1), 1)[1] for c in centres)
    assert near > 2e-3 * entry["element_radius_mm"]["value"]
    assert not array.verified  # no list of elements is published


def test_three_clinical_classes_are_there_and_what_was_not_read_says_so():
    clinical = [name for name, entry in devices().items() if offered(entry, "focused_ultrasound")]
    assert {"exablate-body-208", "sonalleve-v2-256", "conformal-bone-1000"} <= set(clinical)
    assert cite(*devices().values())
    for entry in devices().values():
        for value in entry.values():
            if isinstance(value, dict) and value["source"] in ("osteon-proposal", "hifu-devices-unverified"):
                assert value["verified"] is False


def test_the_power_of_the_drive_comes_back_from_the_faces_and_more_than_the_limit_is_refused():
    array = transducer("exablate-body-208")
    velocity = array.drive(np.array([0, 0, 0.16]), 50.0, 1000.0, 1500.0)
    assert 0.5 * 1000 * 1500 * (np.abs(velocity) ** 2 @ array.source.element_areas_m2) == pytest.approx(50)
    half = array.drive(np.array([0, 0, 0.16]), 50.0, 1000.0, 1500.0, on=np.arange(208) < 104)
    assert np.abs(half).max() == pytest.approx(np.abs(velocity).max() * np.sqrt(2))
    for watt in (0.0, 97.0, float("nan")):
        with pytest.raises(SettingError):
            array.drive(np.array([0, 0, 0.16]), watt, 1000.0, 1500.0)
    with pytest.raises(InputError, match="No element"):
        array.drive(np.array([0, 0, 0.16]), 50.0, 1000.0, 1500.0, on=np.zeros(208, bool))


def test_a_frequency_outside_the_device_and_an_unknown_device_are_refused():
    assert transducer("exablate-body-208", frequency_hz=1.1e6).frequency_hz == 1.1e6
    with pytest.raises(SettingError):
        transducer("exablate-body-208", frequency_hz=2e6)
    with pytest.raises(InputError):
        transducer("moon")


def test_cells_of_an_element_are_fine_enough():
    array = transducer("research-256-1mhz", speed_m_s=1540.0)
    finer = acoustic_sources.array(
        array.source.centres_m, np.array([0, 0, array.radius_m]) - array.source.centres_m, 3.3e-3, 1540.0 / 1e6 / 16
    )
    at = np.stack([np.linspace(-2e-3, 2e-3, 9), np.zeros(9), np.full(9, 0.13)], axis=1)
    water = {"density_kg_m3": 1000.0, "speed_m_s": 1540.0}
    p, q = (np.abs(acoustic_sources.field(s, 0.1, at, 1e6, **water)) for s in (array.source, finer))
    assert np.abs(p - q).max() < 1e-3 * q.max()
