"""Killed, starved, locked out or doubled: the rerun gives the identical journey.json, and nothing half-written is left.

Killing is done by a wrapper script that puts itself round ``osteon.cache.write_atomically``; nothing of it is in the source.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from osteon import cache
from osteon.cache import TEMPORARY, Cache, sweep, write_atomically
from osteon.case.phantom import write
from osteon.errors import InputError

KILLER = """
import os, signal, sys
import osteon.cache as cache
number, moment = int(os.environ["DIE_AT"]), os.environ["DIE_WHEN"]
count = 0
original, sync, replace = cache.write_atomically, os.fsync, cache.Path.replace

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def write_atomically(path, data):
    global count
    count += 1
    here = count == number
    if here and moment == "before":
        die()
    if here and moment == "inside":  # half the bytes are in the temporary file
        os.fsync = lambda handle: (os.ftruncate(handle, len(data) // 2), die())
    if here and moment == "renaming":
        cache.Path.replace = lambda *_: die()
    original(path, data)
    if here and moment == "after":
        die()

cache.write_atomically = write_atomically
for name, module in list(sys.modules.items()):
    if name.startswith("osteon") and getattr(module, "write_atomically", None) is original:
        module.write_atomically = write_atomically
sys.argv = ["osteon", *sys.argv[1:]]
if __name__ == "__main__":  # and not in the child processes of a plan
    exec(os.environ.get("RUN", "from osteon.cli import main; main()"))
"""
TOY = """
import json
import numpy as np
from pathlib import Path
store = cache.Cache(Path(sys.argv[1]) / "cache")
first = store.get_or("first", "k1", lambda: {"a": np.arange(50000.0), "n": 1})
second = store.get_or("second", "k2", lambda: {"sum": float(first["a"].sum())})
cache.write_atomically(Path(sys.argv[1]) / "journey.json", json.dumps({"sum": second["sum"], "hits": store.hits}).encode())
"""
MOMENTS = [(n, when) for n in (1, 2, 3) for when in ("before", "inside", "renaming", "after")]
SEEDED = [MOMENTS[i] for i in sorted(np.random.default_rng(3).permutation(8)[:5])]
"""Five of the eight moments round the two cache writes of a report, chosen by a seed."""


def start(folder: Path, *words: str, die: tuple[int, str] = (0, ""), run: str = "") -> subprocess.Popen:
    script = folder.parent / "killer.py"
    script.write_text(KILLER, encoding="utf-8")
    env = {**os.environ, "DIE_AT": str(die[0]), "DIE_WHEN": die[1], "NUMBA_NUM_THREADS": "1"}
    if run:
        env["RUN"] = run
    return subprocess.Popen(
        [sys.executable, str(script), *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen, code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, (process.returncode, err[-2000:])
    return out, err


def hidden(folder: Path) -> list[Path]:
    return [p for p in folder.rglob(".*") if p.is_file()]


def answer(path: Path) -> str:
    tree = json.loads(path.read_text(encoding="utf-8"))
    tree.get("provenance", {}).pop("run", None)
    tree.pop("hits", None)
    return cache.canonical_json(tree)


# --- the mechanism, on a pipeline of three writes


@pytest.mark.parametrize("die", [m for m in MOMENTS if m[0] == 2 or m[1] != "renaming"], ids=lambda m: f"{m[1]} write {m[0]}")
def test_killed_at_any_moment_of_any_write_the_rerun_is_whole(tmp_path: Path, die: tuple[int, str]) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    finish(start(folder, str(folder), die=die, run=TOY), -signal.SIGKILL)
    number, when = die
    done = number - (when != "after")
    whole = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")]
    assert len(whole) == done
    assert len(hidden(folder)) == (when in ("inside", "renaming"))
    finish(start(folder, str(folder), run=TOY))
    told = json.loads((folder / "journey.json").read_text())
    assert told == {"sum": float(np.arange(50000.0).sum()), "hits": min(done, 2)}
    assert not hidden(folder)


def test_what_a_run_beside_is_writing_is_not_swept(tmp_path: Path) -> None:
    dead = tmp_path / f".entry.npz.abc{TEMPORARY}"
    dead.write_bytes(b"half")
    with cache._temporary(tmp_path / "entry.npz") as (_, alive):
        write_atomically(tmp_path / "other", b"x")
        assert not dead.exists()
        assert alive.exists()
        alive.unlink()
    assert hidden(tmp_path) == []
    assert sweep(tmp_path / "nowhere") == 0


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    data = [bytes([i]) * 20000 for i in range(4)]
    failed: list[BaseException] = []

    def work(own: bytes) -> None:
        try:
            for _ in range(25):
                write_atomically(tmp_path / "entry", own)
                assert (tmp_path / "entry").read_bytes() in data
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(d,)) for d in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert hidden(tmp_path) == []


def test_a_cache_that_cannot_be_written_costs_time_not_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    store = Cache(tmp_path / "cache")
    assert store.get_or("stage", "k", lambda: (1, 2)) == (1, 2)
    assert "No space left" in store.unkept[0]
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.fixture
def tmpfs(tmp_path: Path):
    """Mount a small file system; skip where that is not allowed."""
    place = tmp_path / "small"
    place.mkdir()
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("mounting needs rights that are not here")
        mounted.append(place)
        return place

    yield mount
    for each in mounted:
        subprocess.run(["umount", "-l", str(each)], check=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
def test_full_disk(tmpfs) -> None:
    disk = tmpfs("size=300k")
    store = Cache(disk / "cache")
    value = np.random.default_rng(0).random(100_000)
    for _ in range(2):
        assert (store.get_or("stage", "k", lambda: value) == value).all()
    assert store.hits == 0
    assert len(store.unkept) == 2
    assert [p for p in disk.rglob("*") if p.is_file()] == []
    with pytest.raises(Exception, match="No space left"):
        write_atomically(disk / "big", bytes(500_000))
    write_atomically(disk / "small", b"fits")
    assert [p.name for p in disk.rglob("*") if p.is_file()] == ["small"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
def test_read_only_folder(tmpfs, tmp_path: Path) -> None:
    disk = tmpfs("size=2m")
    Cache(disk / "cache").get_or("stage", "old", lambda: 1)
    (disk / "cache" / "stage" / f".x{TEMPORARY}").write_bytes(b"")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    store = Cache(disk / "cache")
    assert store.get_or("stage", "old", lambda: pytest.fail("is in the cache")) == 1
    assert store.get_or("stage", "new", lambda: 2) == 2
    assert "Read-only" in store.unkept[0]
    with pytest.raises(InputError, match="Read-only"):
        cache.check_writable(disk / "report")
    cache.check_writable(tmp_path / "not" / "there" / "yet")
    assert not (tmp_path / "not").exists()


# --- the whole way: osteon report


@pytest.fixture(scope="module")
def femur(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write("femur", tmp_path_factory.mktemp("resume") / "case", spacing_mm=3.0).parent


@pytest.fixture(scope="module")
def undisturbed(femur: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return journey.json of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "case"
    shutil.copytree(femur, folder)
    finish(report(folder))
    assert not hidden(folder)
    return answer(folder / "report" / "journey.json")


def report(folder: Path, **kwargs: object) -> subprocess.Popen:
    return start(folder, *words_of(folder), **kwargs)  # type: ignore[arg-type]


def words_of(folder: Path) -> tuple[str, ...]:
    """Return the command of a report with one treatment planned; all of them take minutes and write in the same moments."""
    return "report", str(folder), "--spacing", "2.5", "--treatments", "microwave", "--quiet"


def test_assess_killed_inside_its_cache_write(femur: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(femur, folder)
    finish(start(folder, "assess", str(folder), "--json", "-q", die=(1, "inside")), -signal.SIGKILL)
    assert len(hidden(folder)) == 1
    first, _ = finish(start(folder, "assess", str(folder), "--json", "-q"))
    assert not hidden(folder)
    again, _ = finish(start(folder, "assess", str(folder), "--json", "-q"))
    trees = [json.loads(text) for text in (first, again)]
    assert [tree["provenance"].pop("run")["cache_hits"] for tree in trees] == [0, 1]
    assert trees[0] == trees[1]


@pytest.mark.slow
@pytest.mark.parametrize("die", [*SEEDED, (3, "inside")], ids=lambda m: f"{m[1]} write {m[0]}")
def test_killed_report_resumes_to_the_identical_journey(
    femur: Path, undisturbed: str, tmp_path: Path, die: tuple[int, str]
) -> None:
    folder = tmp_path / "case"
    shutil.copytree(femur, folder)
    finish(report(folder, die=die), -signal.SIGKILL)
    assert not (folder / "report" / "journey.json").exists()
    finish(report(folder))
    assert answer(folder / "report" / "journey.json") == undisturbed
    assert not hidden(folder)


@pytest.mark.slow
def test_two_reports_in_one_folder_at_once(femur: Path, undisturbed: str, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(femur, folder)
    both = [report(folder), report(folder)]
    for process in both:
        finish(process)
    assert answer(folder / "report" / "journey.json") == undisturbed
    assert not hidden(folder)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
def test_report_on_a_disk_that_fills_up_and_is_freed(femur: Path, undisturbed: str, tmpfs) -> None:
    case_kib = sum(-(-f.stat().st_size // 4096) * 4 for f in femur.rglob("*") if f.is_file())
    disk = tmpfs(f"size={case_kib + 600}k")  # room for a part of the cache, not for the page
    folder = disk / "case"
    shutil.copytree(femur, folder)
    _, err = finish(report(folder), 1)
    assert "No space left" in err
    assert "goes on without keeping" in err
    assert not hidden(folder)
    subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
    finish(report(folder))
    assert answer(folder / "report" / "journey.json") == undisturbed
    assert not hidden(folder)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
def test_report_of_a_case_that_may_only_be_read(femur: Path, undisturbed: str, tmpfs, tmp_path: Path) -> None:
    disk = tmpfs("size=40m")
    folder = disk / "case"
    shutil.copytree(femur, folder)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    script = tmp_path / "x"
    script.mkdir()
    _, err = finish(start(script, *words_of(folder)), 2)
    assert "Read-only" in err
    _, err = finish(start(script, *words_of(folder), "-o", str(tmp_path / "out")))
    assert "goes on without keeping" in err
    assert answer(tmp_path / "out" / "journey.json") == undisturbed
