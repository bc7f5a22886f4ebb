"""Devices that a site fitted, beside the shipped ones: read from folders, handed to treatments."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from copy import copy
from hashlib import sha256
from pathlib import Path
from typing import Any

from osteon.errors import InputError, MissingError
from osteon.treatments.base import Setting, Treatment
from osteon.treatments.catalog import SITE_DEVICES

VARIABLE = SITE_DEVICES
"""Folders with fitted devices, separated as in PATH; child processes of an ensemble see it too."""


def site_devices(folders: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Return fitted devices of every ``*.yaml`` in folders, by treatment and id.

    Raises
    ------
    InputError
        If a file holds no fitted device, or one id comes twice.
    """
    import yaml

    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
            for name, entry in (loaded if isinstance(loaded, dict) else {"": loaded}).items():
                treatment = entry.get("fitted", {}).get("treatment") if isinstance(entry, dict) else None
                if treatment is None or name in found.get(treatment, {}):
                    raise InputError(
                        f"{path.name}: {name or 'the file'} is {'there twice' if treatment else 'no fitted device'}.",
                        "A device of unknown origin would be planned with as if it were known.",
                        "Write the file by osteon device fit, under a name of its own.",
                    )
                found.setdefault(treatment, {})[name] = entry
    return found


def with_devices(treatment: Treatment, entries: Mapping[str, Any]) -> Treatment:
    """Return a copy of a treatment that has these devices too, before the shipped ones."""
    other = copy(treatment)
    other.__dict__["devices"] = {**entries, **treatment.devices}
    return other


def with_only(treatment: Treatment, device: str) -> Treatment:
    """Return a copy of a treatment that has this device alone."""
    other = copy(treatment)
    other.__dict__["devices"] = {device: treatment.devices[device]}
    return other


def stamp(treatment: Treatment, setting: Setting) -> tuple[str, ...]:
    """Return what a plan must say of a device that was fitted: when, to how many zones, how far off; nothing of a shipped one."""
    entry = treatment.devices.get(setting.device, {})
    fitted = entry.get("fitted")
    if fitted is None:
        return ()
    rms, worst, media = fitted["held_out_rms_mm"], fitted["held_out_worst_mm"], ", ".join(fitted["media"])
    share = fitted["net_power_fraction"]["value"]
    said = [
        f"DEVICE FITTED BY THE SITE: {setting.device}, on {fitted['date']}, to {fitted['rows']} zones in {media} by "
        f"{fitted['criterion'].replace('_', ' ')}: {100 * share:.0f} % of the displayed power reaches the tissue; zones held out "
        f"were missed by {rms['long']:.1f} mm in length and {rms['short']:.1f} mm in width (rms), {worst:.1f} mm "
        "at worst; not verified, and nothing of it measured in bone"
    ]
    controls = dict(setting.controls)
    for name, unit in (("power_w", "W"), ("time_s", "s")):
        low, high = fitted[name]
        if name in controls and not low <= controls[name] <= high:
            said.append(
                f"{controls[name]:g} {unit} lies outside the {low:g} to {high:g} {unit} that {setting.device} was fitted to"
            )
    return tuple(said)


def folders() -> tuple[Path, ...]:
    """Return the folders of ``OSTEON_DEVICES``.

    Raises
    ------
    MissingError
        If one does not exist.
    """
    listed = tuple(Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part)
    for folder in listed:
        if not folder.is_dir():
            raise MissingError(
                f"{VARIABLE} names {folder}, which is no folder.",
                "A plan would silently be made without the devices of the site.",
                "Correct the variable, or take it away.",
            )
    return listed


def from_site(treatment: Treatment) -> Treatment:
    """Return the treatment with the site's devices for it, or itself where there are none."""
    entries = site_devices(folders()).get(treatment.name, {})
    return with_devices(treatment, entries) if entries else treatment


def digest() -> str:
    """Return a digest of every fitted device in use; it belongs in the key of what is cached. Empty where there is none."""
    files = [path for folder in folders() for path in sorted(folder.glob("*.yaml"))]
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest() if files else ""
