"""Arrays of MATLAB 7.3 files: their axes, their logicals, and what is said of files that are none."""

import sys

import numpy as np
import pytest

from osteon.errors import InputError, MissingError
from osteon.io.matlab_files import read_matlab

h5py = pytest.importorskip("h5py", reason="MATLAB 7.3 files are HDF5; install h5py")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mask.mat"
    with h5py.File(path, "w") as out:
        out["field"] = np.arange(24.0).reshape(4, 3, 2)  # MATLAB's [2, 3, 4]
        out["mask"] = np.array([[0, 1], [1, 1]], np.uint8)
        out["mask"].attrs["MATLAB_class"] = np.bytes_("logical")
        out["field"].attrs["MATLAB_class"] = np.bytes_("double")
        out.create_group("settings")
    return path


def test_axes_come_back_in_the_order_of_matlab(file):
    found = read_matlab(file, ("field", "mask"))
    assert found["field"].shape == (2, 3, 4)
    assert found["field"][1, 0, 0] == 1  # its first axis runs fastest in the file
    assert found["field"][0, 0, 3] == 18
    assert found["mask"].dtype == bool
    assert found["mask"].tolist() == [[False, True], [True, True]]


def test_what_is_not_in_the_file_is_named_with_what_is(file):
    with pytest.raises(InputError, match=r"no array brain or settings, but field, mask, settings"):
        read_matlab(file, ("field", "brain", "settings"))


def test_a_file_that_is_no_hdf5_and_one_that_is_not_there(tmp_path):
    (tmp_path / "old.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(InputError, match=r"older than 7\.3"):
        read_matlab(tmp_path / "old.mat", ("field",))
    with pytest.raises(MissingError, match="no file"):
        read_matlab(tmp_path / "none.mat", ("field",))


def test_without_h5py_the_extra_is_named(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingError, match=r"osteon\[validate\]"):
        read_matlab(file, ("field",))
