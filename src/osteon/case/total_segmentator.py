"""TotalSegmentator as an external command, where the user has installed it: without telemetry, without downloads.

osteon does not ship or import it. Its outlines are a model's output: approximate.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from osteon.errors import InputError, MissingError, OsteonError

COMMAND = "TotalSegmentator"
NOWHERE = "http://127.0.0.1:9"
"""The discard port of this machine: whatever is sent there is refused."""


def command() -> Path:
    """Return the installed command.

    Raises
    ------
    MissingError
        If there is none on the path.
    """
    found = shutil.which(COMMAND)
    if found is None:
        raise MissingError(
            f"The command {COMMAND} is not on the path.",
            "Without it osteon outlines only bones and skin by threshold, without names; nerves and vessels stay unknown.",
            "Install it with its weights in an environment of its own (pip install TotalSegmentator), or give outlines as files.",
        )
    return Path(found)


def outline(image: Path, out_folder: Path, *, fast: bool = False, timeout_s: float = 7200.0) -> Path:
    """Outline a CT with TotalSegmentator's task ``total``.

    Parameters
    ----------
    image : Path
        NIfTI file or DICOM folder.
    out_folder : Path
        Gets ``totalsegmentator.nii.gz``, a label map with its class numbers.
    fast : bool
        3 mm instead of 1.5 mm.
    timeout_s : float
        Stopped after this time [s].

    Returns
    -------
    Path
        The label map; name it under ``labels`` with ``approximate: true``.

    Raises
    ------
    MissingError
        If the command or its weights are not installed.
    InputError
        If there is no such image.
    OsteonError
        If it fails, is too slow, or leaves no result.
    """
    program = command()
    if not Path(image).exists():
        raise InputError(f"There is no image {image}.", "There is nothing to outline.", "Correct the path.")
    weights = weights_folder(os.environ)
    if not weights.is_dir():
        raise MissingError(
            f"TotalSegmentator's weights are not at {weights}.",
            "It would download them during the run; osteon starts no download.",
            "Fetch them once with its own command totalseg_download_weights, or set TOTALSEG_WEIGHTS_PATH.",
        )
    out_folder = Path(out_folder)
    out_folder.mkdir(parents=True, exist_ok=True)
    final = out_folder / "totalsegmentator.nii.gz"
    with tempfile.TemporaryDirectory(prefix=".totalsegmentator.", dir=out_folder) as working:
        home, result = Path(working) / "home", Path(working) / "result.nii.gz"
        environment = quiet_environment(os.environ, home, weights)
        arguments = [str(program), "-i", str(Path(image).resolve()), "-o", str(result), "--ml", "--task", "total"]
        _run([*arguments, "--fast"] if fast else arguments, environment, timeout_s)
        if not result.is_file():
            raise OsteonError(
                f"{COMMAND} ended without writing its label map.",
                "There is nothing to use.",
                "Run it by hand and read what it says.",
            )
        result.replace(final)
    return final


def weights_folder(environment: Mapping[str, str]) -> Path:
    """Return where TotalSegmentator keeps its weights, by its own rules."""
    given = environment.get("TOTALSEG_WEIGHTS_PATH")
    if given:
        return Path(given)
    home = environment.get("TOTALSEG_HOME_DIR")
    return (Path(home) if home else Path.home() / ".totalsegmentator") / "nnunet" / "results"


def quiet_environment(environment: Mapping[str, str], home: Path, weights: Path) -> dict[str, str]:
    """Return an environment in which TotalSegmentator sends nothing.

    Its settings are taken from a folder of our own whose ``config.json`` switches usage statistics off; every proxy points to a
    port that refuses, so that what a later version may send does not leave the machine either.

    Parameters
    ----------
    environment : mapping
        The present one; not changed.
    home : Path
        Made; holds its settings for this run.
    weights : Path
        Stay where they are.
    """
    home.mkdir(parents=True, exist_ok=True)
    settings = {"totalseg_id": "none", "send_usage_stats": False, "prediction_counter": 0}
    (home / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    quiet = {k: v for k, v in environment.items() if k.lower() not in ("no_proxy", "http_proxy", "https_proxy", "all_proxy")}
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        quiet[name] = quiet[name.upper()] = NOWHERE
    quiet["TOTALSEG_HOME_DIR"], quiet["TOTALSEG_WEIGHTS_PATH"] = str(home), str(weights)
    quiet["TOTALSEG_DISABLE_HTTP"] = "1"
    return quiet


def _run(arguments: list[str], environment: dict[str, str], timeout_s: float) -> None:
    try:
        done = subprocess.run(
            arguments, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OsteonError(
            f"{COMMAND} was stopped after {timeout_s:.0f} s.",
            "Its result is not there.",
            "Allow more time, or use the fast model.",
        ) from error
    except OSError as error:
        raise OsteonError(
            f"{COMMAND} could not be started: {error}.", "It is not usable here.", "Repair its installation."
        ) from error
    if done.returncode != 0:
        last = " | ".join((done.stderr or done.stdout or "no message").strip().splitlines()[-3:])
        raise OsteonError(
            f"{COMMAND} failed with exit code {done.returncode}: {last:.400}",
            "Its outlines are not complete.",
            "Run it by hand on this image; the command line was: " + " ".join(arguments),
        )
