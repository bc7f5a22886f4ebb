"""Slices of slow compressions, decoded in processes beside this one; whatever fails there is left to the caller.

This file is also the program of those processes. It imports nothing of osteon: they start at once and need no ``__main__``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

SLOW = tuple(f"1.2.840.10008.1.2.4.{last}" for last in (57, 70, 80, 81, 90, 91, 201, 202, 203))
"""Transfer syntaxes that take tens of milliseconds a slice: lossless JPEG, JPEG-LS, JPEG 2000."""
FEWEST, MOST_PROCESSES = 64, 4


JPEG_LS, END = 0xF7, b"\xff\xd9"
START_OF_FRAME = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), JPEG_LS)
"""Markers of JPEG and JPEG-LS that are followed by the size of the picture."""


def misfit(data: Any, frame: int | None) -> str:
    """Say what is wrong with a compressed picture before a decoder believes it; empty where nothing is seen.

    A decoder takes the size that the picture itself gives, whatever the header of the file says: one wrong bit makes it ask for
    gigabytes. That of JPEG-LS searches for seconds where the picture is cut short.

    Parameters
    ----------
    data : pydicom.Dataset
        With encapsulated pixels.
    frame : int or None
        Which of several.
    """
    from pydicom.encaps import get_frame

    try:
        code = get_frame(data.PixelData, frame or 0, number_of_frames=int(data.get("NumberOfFrames") or 1))
        expected = int(data.Rows), int(data.Columns)
    except Exception:  # the decoder meets it again, and says what it is
        return ""
    size, marker = _coded_size(code)
    if size is not None and size != expected:
        return f"its picture has {size[0]} x {size[1]} pixels, its header {expected[0]} x {expected[1]}"
    return "its picture is cut short" if marker == JPEG_LS and END not in code[-16:] else ""


def _coded_size(code: bytes) -> tuple[tuple[int, int] | None, int]:
    """Return the (rows, columns) that a picture itself says it has, None where it does not; and the marker that said so."""
    at = code.find(b"\xff\x4f\xff\x51", 0, 4096)  # JPEG 2000, perhaps in a box
    if at >= 0 and len(code) >= at + 24:
        columns, rows, left, top = struct.unpack(">4I", code[at + 8 : at + 24])
        return (rows - top, columns - left), code[at + 3]
    at = 2 if code[:2] == b"\xff\xd8" else len(code)
    while at + 9 <= len(code) and code[at] == 0xFF:
        if code[at + 1] in START_OF_FRAME:
            rows, columns = struct.unpack(">2H", code[at + 5 : at + 9])
            return (rows, columns), code[at + 1]
        at += 1 if code[at + 1] == 0xFF else 2 + int.from_bytes(code[at + 2 : at + 4], "big")
    return None, 0


def processes_for(syntax: str, files: int) -> int:
    """Return in how many processes that many files of a transfer syntax are decoded; 1: in this one."""
    if syntax not in SLOW or files < FEWEST:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES)


def decode_ahead(files: Sequence[Path], processes: int) -> Generator[np.ndarray[Any, Any] | None, None, None]:
    """Decode single-frame files beside this process.

    Parameters
    ----------
    files : sequence of Path
        In the order in which they are asked for.
    processes : int
        How many; each takes every so many-th file.

    Yields
    ------
    ndarray or None
        Stored values; None where a file could not be decoded there: the caller tries it and tells why.
    """
    started: list[subprocess.Popen[bytes]] = []
    try:
        for k in range(processes):
            started.append(_start(files[k::processes]))
        for index in range(len(files)):
            out = started[index % processes].stdout
            yield None if out is None else _receive(out)
    except OSError:  # no process can be started, or its input is closed: the rest is the caller's
        while True:
            yield None
    finally:
        for process in started:
            process.kill()
            if process.stdout is not None:
                process.stdout.close()
            process.wait()


def _start(files: Sequence[Path]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", __file__]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps([os.fsencode(file).hex() for file in files]).encode())
        process.stdin.close()
    return process


def _receive(stream: IO[bytes]) -> np.ndarray[Any, Any] | None:
    head = stream.read(8)
    length = struct.unpack("<q", head)[0] if len(head) == 8 else 0
    data = stream.read(length) if length else b""
    if not data or len(data) != length:
        return None
    found: np.ndarray[Any, Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return found


def _serve() -> None:
    """Decode the files named on standard input, one after the other, to standard output."""
    import pydicom

    warnings.simplefilter("ignore")
    for name in json.loads(sys.stdin.buffer.read()):
        buffer = io.BytesIO()
        try:
            data = pydicom.dcmread(os.fsdecode(bytes.fromhex(name)), force=True)
            if not misfit(data, None):
                np.save(buffer, data.pixel_array, allow_pickle=False)
        except Exception:  # the caller meets it again, and says what it is
            buffer = io.BytesIO()
        sys.stdout.buffer.write(struct.pack("<q", buffer.tell()) + buffer.getvalue())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
