"""What ``osteon list devices`` says of each device is what its treatment and the page of a plan say."""

from __future__ import annotations

from osteon.listing import rows_of
from osteon.treatments.catalog import treatment
from osteon.treatments.focused_ultrasound.transducer import devices
from osteon.treatments.needles import device_values


def test_every_device_is_listed_with_how_many_of_its_numbers_were_read():
    header, rows = rows_of("devices")
    assert header == ("device", "treatment", "verified numbers", "what")
    listed: dict[str, list[str]] = {}
    for device, name, read, title in rows:
        listed.setdefault(name, []).append(device)
        entry = treatment(name).devices[device]
        values = device_values(entry).values()
        assert read == f"{sum(v.verified for v in values)} of {len(values)}"
        assert title == entry["title"]
    for name, found in listed.items():
        assert found == list(treatment(name).devices)


def test_arrays_of_focused_ultrasound_are_listed_as_needles_are_and_those_of_papers_are_not():
    rows = {row[0]: row for row in rows_of("devices")[1] if row[1] == "focused_ultrasound"}
    assert set(rows) == {name for name, entry in devices().items() if not entry.get("validation_only")}
    assert rows["exablate-body-208"][2] == "1 of 8"  # its frequency, from the trial; no manufacturer publishes the rest
    counts = {name: count for name, _, count in rows_of("treatments")[1]}
    assert counts["focused_ultrasound"] == len(rows)
