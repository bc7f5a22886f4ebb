"""Random damage to every kind of file ends in a result or a three-part error: no bare traceback, hang or flood of memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import fuzz
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osteon.case.units import to_unit
from osteon.case.yaml_lines import read_yaml
from osteon.errors import OsteonError, UnitError

SEEDS = Path(__file__).with_name("fuzz_seeds.yaml")


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
    kept = [(target, seed) for target, seeds in yaml.safe_load(SEEDS.read_text(encoding="utf-8")).items() for seed in seeds]
    assert kept
    found = fuzz.spread(kept + fuzz.jobs(304, first_seed=10_000_000), processes=1)
    assert found.count == 304 + len(kept)
    assert found.failures == []
    assert found.taken > 20  # damage that is all fatal would test only the door
    assert sum(found.refused.values()) > 100


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


@pytest.mark.slow
def test_a_hundred_thousand_inputs() -> None:
    count = int(os.environ.get("OSTEON_FUZZ_COUNT", "100000"))
    begin = time.perf_counter()
    found = fuzz.spread(fuzz.jobs(count))
    text = fuzz.told(found, time.perf_counter() - begin)
    print(f"\n{text}")
    assert found.count == count
    assert found.failures == [], text
    assert found.slowest[0] < fuzz.SECONDS
    assert found.peak_bytes < fuzz.BYTES


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
