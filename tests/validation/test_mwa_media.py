"""Where ten watt go in six tissues."""

from osteon.validation.mwa_media import MEDIA, run


def test_mwa_media_names_every_medium_and_yellow_marrow_reflects_and_radiates_most() -> None:
    report = run(lambda done: None)
    values = {row.quantity: row.value for row in report.rows}
    assert report.passed
    assert {f"{key}[{name}]" for key in ("absorbed_w", "s11_db") for name in MEDIA} <= values.keys()
    for key in ("reflected_w", "radiated_w", "s11_db"):
        assert max(MEDIA, key=lambda name: values[f"{key}[{name}]"]) == "yellow_marrow"
