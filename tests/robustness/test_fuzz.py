"""Random damage to every kind of file ends in a result or a three-part error: no bare traceback, hang or flood of memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import fuzz
import fuzz_targets
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osteon.case.units import to_unit
from osteon.case.yaml_lines import read_yaml
from osteon.errors import OsteonError, UnitError


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Let a refusal pass that names the file; anything else fails."""
    try:
        yield
    except OsteonError as error:
        told = error.what
    else:
        told = "case.yaml"
    assert "case.yaml" in told


def test_three_hundred_inputs_and_the_seeds_that_once_failed() -> None:
    kept = fuzz.kept_seeds()
    assert kept
    assert {target for target, _ in kept} <= set(fuzz.TARGETS)
    found = fuzz.spread(kept + fuzz.jobs(304, first_seed=10_000_000), processes=1)
    assert found.count == 304 + len(kept)
    assert found.failures == []
    assert set(found.kinds) == set(fuzz.TARGETS)
    assert found.taken > 20  # damage that is all fatal would test only the door
    assert sum(found.refused.values()) > 100


def test_every_file_is_taken_before_it_is_spoiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("spoil_bytes", "spoil_nifti"):
        monkeypatch.setattr(fuzz_targets, name, lambda data, _: data)
    monkeypatch.setattr(fuzz_targets, "spoil_yaml", lambda text, _: text.encode())
    monkeypatch.setattr(fuzz_targets, "spoil_dicom", lambda _path, _rng: None)
    out = fuzz.Outcome()
    for target in fuzz.TARGETS:
        for seed in range(6):  # several files of a target are met
            fuzz.one(target, seed, out, tmp_path)
    assert out.failures == []
    assert {target: dict(how) for target, how in out.kinds.items()} == {target: {"taken": 6} for target in fuzz.TARGETS}


def test_the_same_seed_spoils_the_same_bytes(tmp_path: Path) -> None:
    import numpy as np

    data = bytes(range(256)) * 4
    once, again, other = (fuzz.spoil_bytes(data, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert once == again != other


def test_a_hang_a_bare_error_and_a_dead_process_are_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> None:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    def bare(*_: object) -> None:
        raise KeyError("x")

    out = fuzz.Outcome()
    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    for reader in (hang, bare):
        monkeypatch.setitem(fuzz.TARGETS, "nifti", reader)
        fuzz.one("nifti", 0, out, tmp_path)
    assert [why.split(":")[0] for _, _, why in out.failures] == ["TooLong", "KeyError"]


def hang_outside_python(*_: object) -> None:
    """Wait where no alarm is heard, as a decoder does that loops in C."""
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(600)


def test_a_hang_outside_python_and_a_flood_of_memory_end_their_process_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In fork children, so that they see these readers; the two inputs before and behind are counted."""
    from multiprocessing import get_context

    def flood(*_: object) -> None:
        import numpy as np

        np.ones(5 << 30, np.uint8)

    fuzz.good()
    monkeypatch.setattr(fuzz, "SECONDS", 0.3)
    monkeypatch.setattr(fuzz, "get_context", lambda _: get_context("fork"))
    monkeypatch.setitem(fuzz.TARGETS, "hang", hang_outside_python)
    monkeypatch.setitem(fuzz.TARGETS, "flood", flood)
    for name in ("hang", "flood"):
        (fuzz.good() / name).mkdir(exist_ok=True)
    todo = [("nifti", 1), ("hang", 5), ("flood", 6), ("nifti", 2)]
    found = fuzz.spread(todo, processes=1)
    assert found.count == 4
    assert [(target, seed) for target, seed, _ in found.failures] == [("flood", 6), ("hang", 5)]
    assert "MemoryError" in found.failures[0][2]
    assert "process died" in found.failures[1][2]


def test_a_run_tells_each_kind_and_keeps_the_seeds_of_its_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "SEEDS", tmp_path / "seeds.yaml")
    fuzz.SEEDS.write_text("# head\ncase: [30]\n", encoding="utf-8")
    shown: list[int] = []
    found = fuzz.spread(fuzz.jobs(24, first_seed=77), processes=2, chunk=12, observe=lambda sofar: shown.append(sofar.count))
    assert shown == [12, 24]
    assert fuzz.sound(found)
    found.failures += [
        ("seg_binary", 9, "KeyError: x at y.py:1"),
        ("seg_binary", 8, "KeyError: x at y.py:1"),
        ("case", 3, "other"),
    ]
    assert not fuzz.sound(found)
    text = fuzz.told(found, 1.0)
    assert "24 inputs" in text
    assert "2 x seg_binary: KeyError: x at y.py:1; seed 9" in text
    assert all(target in text for target in {target for target, _ in fuzz.jobs(24)})
    fuzz.keep(found.failures)
    assert fuzz.SEEDS.read_text(encoding="utf-8") == "# head\ncase: [3, 30]\nseg_binary: [9]\n"


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(), st.sampled_from(fuzz.NASTY)
)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_any_tree_as_a_fact(tmp_path: Path, tree: object) -> None:
    from osteon.case.load import load_case

    chart = {
        "schema": "osteon-case/1",
        "patient": "p",
        "date": "2025-03-10",
        "facts": {"ecog": tree, "anaesthesia": tree, "sex": tree, "pregnant": tree},
        "lesions": [{"id": "L1", "bone": "unknown"}],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(chart, sort_keys=False, allow_unicode=True), encoding="utf-8")
    with refused():
        load_case(tmp_path)


@settings(max_examples=300, deadline=2000)
@given(
    text=st.text(max_size=60) | st.from_regex(r"[0-9]{1,4} ?[a-z0-9*/^() .µ]{0,20}"),
    unit=st.sampled_from(["mm", "week", "1e9/l", "1", "year", "HU"]),
)
def test_any_text_as_a_quantity(text: str, unit: str) -> None:
    with contextlib.suppress(UnitError):
        assert abs(to_unit(text, unit, "x")) < float("inf")


@settings(max_examples=200, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=200)
    | st.lists(st.sampled_from([*fuzz.NASTY, "a: ", "- ", "\n", "  ", "{", "}", "[", "]", "*a", "&a "]), max_size=20).map(
        lambda parts: "".join(parts).encode()
    )
)
def test_any_bytes_as_yaml(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "case.yaml").write_bytes(data)
    with refused():
        read_yaml(tmp_path / "case.yaml")
