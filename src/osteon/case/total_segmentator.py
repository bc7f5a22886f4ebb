"""TotalSegmentator as an external command, where the user has installed it: without telemetry, without downloads.

osteon does not ship or import it. Its outlines are a model's output: approximate.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from osteon.errors import InputError, MissingError, OsteonError

COMMAND = "TotalSegmentator"
Observe = Callable[[float], None]
PART, PER_CENT = re.compile(r"part (\d+) of (\d+)"), re.compile(r"(\d{1,3})%")
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
            "Install it with its weights in an environment of its own (pip install TotalSegmentator): osteon does not do that. "
            "Or give outlines as files.",
        )
    return Path(found)


def outline(
    image: Path, out_folder: Path, *, fast: bool = False, timeout_s: float = 7200.0, observe: Observe | None = None
) -> Path:
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
    observe : callable, optional
        Is told the fraction done, as far as the command says it.

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
        _run([*arguments, "--fast"] if fast else arguments, environment, timeout_s, observe)
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


def _run(arguments: list[str], environment: dict[str, str], timeout_s: float, observe: Observe | None) -> None:
    """Run the command in a process group of its own, which does not outlive this call."""
    try:
        process = subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise OsteonError(
            f"{COMMAND} could not be started: {error}.", "It is not usable here.", "Repair its installation."
        ) from error
    late = threading.Event()

    def stop() -> None:
        late.set()
        _end(process)

    timer = threading.Timer(timeout_s, stop)
    timer.start()
    try:
        said = _listen(process, observe)
        code = process.wait()
    finally:
        timer.cancel()
        _end(process)
    if late.is_set():
        raise OsteonError(
            f"{COMMAND} was stopped after {timeout_s:.0f} s.",
            "Its result is not there.",
            "Allow more time, or use the fast model.",
        )
    if code != 0:
        last = " | ".join((said or "no message").strip().splitlines()[-3:])
        raise OsteonError(
            f"{COMMAND} failed with exit code {code}: {last:.400}",
            "Its outlines are not complete.",
            "Run it by hand on this image; the command line was: " + " ".join(arguments),
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the command and whatever it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _listen(process: subprocess.Popen[bytes], observe: Observe | None) -> str:
    """Return the end of what the command says, and pass on how far it is: "part 2 of 5" and the per cent of its bars."""
    assert process.stdout is not None  # it is a pipe
    said, most = "", 0.0
    while chunk := os.read(process.stdout.fileno(), 4096):
        said = (said + chunk.decode("utf-8", "replace"))[-8000:]
        parts, cents = PART.findall(said), PER_CENT.findall(said)
        part, parts_all = (int(parts[-1][0]), int(parts[-1][1])) if parts else (1, 1)
        done = (part - 1 + (int(cents[-1]) / 100 if cents else 0.0)) / max(parts_all, part)
        if observe is not None and done > most:
            most = min(done, 0.99)
            observe(most)
    return said.replace("\r", "\n")
