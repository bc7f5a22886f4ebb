"""Compressed slices: decoded beside the process as in it, and a picture that contradicts its header is refused, not believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_made import change, jpeg2000, write_slices
from pydicom.encaps import encapsulate, get_frame

from osteon.errors import ImageError
from osteon.io import dicom_decode, images
from osteon.space.volume import Volume

J2K, JPEG_LS = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80"


def trunk(slices: int) -> Volume:
    hu = np.random.default_rng(0).normal(40, 30, (slices, 12, 16)).round()
    hu[:, 0] = -1000
    hu[:, 1] = -100
    hu[:, 2] = 900
    return Volume.of(hu.astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0]))


@pytest.fixture
def compressed(tmp_path: Path) -> tuple[Volume, Path]:
    made = trunk(dicom_decode.FEWEST)
    return made, change(write_slices(made, tmp_path / "ct"), lambda _, data: jpeg2000(data))


def code_of(data: pydicom.Dataset) -> bytes:
    return get_frame(data.PixelData, 0, number_of_frames=1)


def test_many_slow_slices_are_shared_out_and_few_or_quick_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_decode.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert dicom_decode.processes_for(J2K, 500) == dicom_decode.MOST_PROCESSES
    assert dicom_decode.processes_for(J2K, dicom_decode.FEWEST - 1) == 1
    assert dicom_decode.processes_for("1.2.840.10008.1.2.1", 500) == 1
    assert dicom_decode.processes_for("1.2.840.10008.1.2.5", 500) == 1


def test_slices_decoded_beside_the_process_are_those_decoded_in_it(
    compressed: tuple[Volume, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = compressed
    monkeypatch.setattr(dicom_decode.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    asked: list[int] = []
    beside = dicom_decode.decode_ahead
    monkeypatch.setattr(
        "osteon.io.dicom_pixels.decode_ahead", lambda files, processes: asked.append(processes) or beside(files, processes)
    )
    told: list[float] = []
    found = images.read(folder, observe=told.append)
    assert asked == [3]
    np.testing.assert_array_equal(found.volume.array, made.array)
    assert (len(told), told[-1], told) == (dicom_decode.FEWEST, 1.0, sorted(told))
    monkeypatch.setattr(dicom_decode.os, "sched_getaffinity", lambda _: {0}, raising=False)
    np.testing.assert_array_equal(images.read(folder).volume.array, made.array)
    assert asked == [3]


def test_what_fails_beside_the_process_is_left_to_it_and_refused_by_name(
    compressed: tuple[Volume, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = compressed
    files = sorted(folder.iterdir())
    files[40].write_bytes(files[40].read_bytes()[:-60])
    found = list(dicom_decode.decode_ahead(files[38:42], 2))
    assert [each is None for each in found] == [False, False, True, False]
    monkeypatch.setattr(dicom_decode.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    with pytest.raises(ImageError, match="041"):
        images.read(folder)


def test_without_a_program_to_run_the_caller_decodes_all(
    compressed: tuple[Volume, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = compressed
    monkeypatch.setattr(dicom_decode.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    for nothing in ("/nowhere/python", "/bin/false"):
        monkeypatch.setattr(dicom_decode.sys, "executable", nothing)
        np.testing.assert_array_equal(images.read(folder).volume.array, made.array)


def test_a_picture_of_another_size_than_its_header_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """A JPEG 2000 picture that says 60000 x 60000 would ask its decoder for gigabytes."""
    folder = change(write_slices(trunk(4), tmp_path / "ct"), lambda _, data: jpeg2000(data))

    def larger(index: int, data: pydicom.Dataset) -> None:
        code = bytearray(code_of(data))
        at = code.index(b"\xff\x4f\xff\x51")
        if index == 2:
            code[at + 8 : at + 16] = (60000).to_bytes(4, "big") * 2
        data.PixelData = encapsulate([bytes(code)])

    change(folder, larger)
    with pytest.raises(ImageError, match="60000 x 60000 pixels, its header 12 x 16"):
        images.read(folder)


def test_jpeg_ls_that_is_cut_short_or_of_another_size_is_refused_at_once(tmp_path: Path) -> None:
    """Seed compressed 596 of the fuzz: 3 s of a processor for each slice that ended too early."""
    folder = change(write_slices(trunk(4), tmp_path / "ct"), lambda _, data: data.compress(pydicom.uid.JPEGLSLossless))
    whole = pydicom.dcmread(sorted(folder.iterdir())[1])
    assert dicom_decode.misfit(whole, None) == ""
    whole.Rows = 13
    assert dicom_decode.misfit(whole, None) == "its picture has 12 x 16 pixels, its header 13 x 16"

    def cut(index: int, data: pydicom.Dataset) -> None:
        if index == 1:
            data.PixelData = encapsulate([code_of(data)[:-30]])

    change(folder, cut)
    with pytest.raises(ImageError, match="cut short"):
        images.read(folder)
