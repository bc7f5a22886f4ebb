from osteon.evidence.value import Band
from osteon.planning.plan import Finding
from osteon.planning.robust import seed_of, with_bands


def test_seeds_are_pinned_so_that_ensembles_are_the_same_everywhere():
    from zlib import crc32

    import numpy as np

    expected = int(np.random.SeedSequence(7, spawn_key=(crc32(b"anything"), 3)).generate_state(1)[0])
    assert seed_of(7, "anything", 3) == expected
    assert len({seed_of(0, t, i) for t in ("a", "b") for i in range(50)}) == 100


def test_a_limit_that_some_runs_break_is_at_least_a_warning():
    fine = Finding("x", "nerve", Band.of(41.0), "°C", 45.0, "ok", "nerve")
    runs = [{("x", "nerve"): v} for v in (40.0, 41.0, 46.0)]
    found = with_bands([fine], runs)[0]
    assert found.level == "warning"
    assert found.value.n == 3
    assert found.value.low <= 41.0 <= found.value.high
    unknown = Finding("y", "cord", None, "°C", 45.0, "unknown", "cannot tell")
    assert with_bands([unknown], runs) == [unknown]
