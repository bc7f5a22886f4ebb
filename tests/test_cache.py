"""The cache gives back what was put in, names what is damaged, and never shows half a file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.cache import Cache, decode, encode, key, write_atomically
from osteon.errors import OsteonError
from osteon.evidence.value import LogNormal, Value
from osteon.facts import Fact, Interval, Known, Origin
from osteon.space.anatomy import Field
from osteon.space.volume import Volume

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(plain)
def test_encode_and_decode_are_inverse(value: object) -> None:
    arrays: list[np.ndarray] = []
    assert decode(encode(value, arrays), arrays) == value


def test_shapes_with_arrays_and_enums_come_back() -> None:
    volume = Volume.of(np.arange(60, dtype=np.float32).reshape(3, 4, 5), np.diag([1.0, 2.0, 3.0, 1.0]))
    mask = volume.with_array(volume.array % 3 == 0)
    fact = Fact("ecog", Interval(1, 2), "1", (Origin("chart", "line 3", date(2026, 1, 2), (1.0, 2.0, 3.0)),))
    value = {Field.DEAD: mask, "v": volume, "f": fact, "k": Known(True), "c": Value(1.0, "m", LogNormal(2.0), "x")}
    arrays: list[np.ndarray] = []
    back = decode(encode(value, arrays), arrays)
    assert (back[Field.DEAD].array == mask.array).all()
    assert back[Field.DEAD].array.dtype == bool
    assert (back["v"].array == volume.array).all()
    assert back["v"].grid == volume.grid
    assert (back["f"], back["k"], back["c"]) == (fact, value["k"], value["c"])


def test_the_key_depends_on_every_input_and_on_arrays() -> None:
    a = np.zeros(3, np.float32)
    keys = {key("s", {"x": 1}), key("s", {"x": 2}), key("t", {"x": 1}), key("s", {"x": 1}, "d"), key("s", a), key("s", a + 1)}
    assert len(keys) == 6
    assert key("s", {"a": 1, "b": 2.5}) == key("s", {"a": 1, "b": 2.5})


def test_a_damaged_entry_is_recomputed_and_named(tmp_path: Path) -> None:
    store = Cache(tmp_path)
    assert store.get_or("stage", "k", lambda: (1, 2)) == (1, 2)
    entry = next(tmp_path.rglob("*.npz"))
    entry.write_bytes(entry.read_bytes()[:50])
    assert store.get_or("stage", "k", lambda: (3, 4)) == (3, 4)
    assert store.damaged
    assert entry.name in store.damaged[0]
    assert Cache(tmp_path).get_or("stage", "k", lambda: pytest.fail("must come from the cache")) == (3, 4)


def test_a_cache_file_cannot_build_foreign_classes() -> None:
    with pytest.raises(ValueError, match="not osteon's"):
        decode({"$type": "subprocess:Popen", "fields": {"args": "true"}}, [])


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OsteonError, match="No space left"):
        write_atomically(tmp_path / "x" / "file", b"data")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
