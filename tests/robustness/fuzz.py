"""Files spoiled at random, reproducibly: (target, seed) always gives the same bytes, and osteon must take or refuse them.

A target is one kind of file with the reader that meets it. Reading may end in a result or in an ``OsteonError`` of three
parts; anything else (another exception, more than 10 s, more than 4 GB) is a fault, told by target and seed.

usage: fuzz.py COUNT [FIRST_SEED [TARGET]] [--keep]      --keep: the seeds of faults are added to fuzz_seeds.yaml

Runs in two child processes of at most 4 GB of address space each, shows how far it is, and exits with 1 where there was a fault.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

sys.path.append(str(Path(__file__).parent))

from fuzz_spoil import NASTY, spoil_bytes
from fuzz_targets import TARGETS, good

from osteon.errors import OsteonError

__all__ = ["NASTY", "TARGETS", "good", "jobs", "many", "one", "spoil_bytes", "spread", "told"]

SECONDS, BYTES = 10.0, 4 << 30
SLOW = ("case_objects",)
"""Whole cases with DICOM objects: ten times the work of any other."""
SEEDS = Path(__file__).with_name("fuzz_seeds.yaml")


class TooLong(BaseException):
    """Raised by the clock; no reader's ``except Exception`` can swallow it."""


@dataclass
class Outcome:
    """What a run of many inputs came to."""

    count: int = 0
    seconds: float = 0.0
    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    slowest: tuple[float, str, int] = (0.0, "", 0)
    peak_bytes: int = 0
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    longest: dict[str, float] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        self.count += other.count
        self.seconds += other.seconds
        self.taken += other.taken
        self.refused += other.refused
        self.failures += other.failures
        self.slowest = max(self.slowest, other.slowest)
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        for target, counts in other.kinds.items():
            self.kinds.setdefault(target, Counter()).update(counts)
        for target, seconds in other.longest.items():
            self.longest[target] = max(seconds, self.longest.get(target, 0.0))

    def note(self, target: str, how: str, seconds: float = 0.0) -> None:
        """Count one input of a target as taken, refused or fault."""
        self.kinds.setdefault(target, Counter())[how] += 1
        self.longest[target] = max(seconds, self.longest.get(target, 0.0))


@contextmanager
def clock(seconds: float) -> Iterator[None]:
    """Interrupt what runs longer."""

    def ring(*_: object) -> None:
        raise TooLong(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def one(target: str, seed: int, out: Outcome, scratch: Path) -> None:
    """Spoil and read one input."""
    rng = np.random.default_rng([crc32(target.encode()), seed])
    folder = scratch / target
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good() / target, folder)
    begin = time.perf_counter()
    faults = len(out.failures)
    how = "refused"
    try:
        with clock(SECONDS):
            TARGETS[target](folder, rng)
        out.taken += 1
        how = "taken"
    except OsteonError as error:
        out.refused[type(error).__name__] += 1
        if not (error.what.strip() and error.why.strip() and error.do.strip()):
            out.failures.append((target, seed, "a part of the message is empty"))
    except (Exception, TooLong) as error:
        place = traceback.extract_tb(error.__traceback__)
        ours = [f for f in place if "osteon" in f.filename and "tests" not in f.filename]
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        out.failures.append((target, seed, f"{type(error).__name__}: {str(error)[:160]} at {where}"))
    spent = time.perf_counter() - begin
    out.note(target, "fault" if len(out.failures) > faults else how, spent)
    out.count += 1
    out.seconds += spent
    out.slowest = max(out.slowest, (spent, target, seed))


def many(todo: Sequence[tuple[str, int]], at: Any = None) -> Outcome:
    """Run inputs in this process; ``at.value`` is set to the number of the one that runs."""
    out = Outcome()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=_memory()) as scratch:
        warnings.simplefilter("ignore")
        import logging

        logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
        for index, (target, seed) in enumerate(todo):
            if at is not None:
                at.value = index
            one(target, seed, out, Path(scratch))
    out.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return out


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _child(todo: list[tuple[str, int]], at: Any, pipe: Any) -> None:
    """Run inputs in a child that may take 4 GB; ``at`` tells how far it came if it dies."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    with Path(os.devnull).open("w") as nowhere:  # MetaImage's library tells every fault on standard error, past Python
        os.dup2(nowhere.fileno(), 2)
    pipe.send(many(todo, at))


def _in_children(todo: list[tuple[str, int]], out: Outcome) -> None:
    """Run inputs in one child after the other: one that dies is a failure of the input it was at, and the rest goes on."""
    context = get_context("spawn")
    while todo:
        ours, theirs = context.Pipe(duplex=False)
        at = context.Value("i", -1, lock=False)
        child = context.Process(target=_child, args=(todo, at, theirs))
        child.start()
        theirs.close()
        stuck = -2
        try:
            while not ours.poll(3 * SECONDS):  # the alarm cannot interrupt what hangs outside Python
                before, stuck = stuck, at.value
                if stuck == before:
                    child.kill()
            done = ours.recv()
        except EOFError:
            child.join()
            if at.value < 0:
                raise RuntimeError(f"a child died before its first input: exit code {child.exitcode}") from None
            target, seed = todo[at.value]
            done = Outcome(count=at.value + 1, failures=[(target, seed, f"the process died: exit code {child.exitcode}")])
            for lost, _ in todo[: at.value]:
                done.note(lost, "not counted: a later input ended their process")
            done.note(target, "fault")
            todo = todo[at.value + 1 :]
        else:
            child.join()
            todo = []
        out.add(done)


def spread(
    todo: Sequence[tuple[str, int]], processes: int = 2, chunk: int = 2000, observe: Callable[[Outcome], None] | None = None
) -> Outcome:
    """Run inputs in child processes, that many at a time; ``observe`` gets the sum after each chunk."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    total = Outcome()
    chunk = min(chunk, max(1, -(-len(todo) // processes)))
    parts = [list(todo[i : i + chunk]) for i in range(0, len(todo), chunk)]
    results = [Outcome() for _ in parts]
    with ThreadPoolExecutor(processes) as pool:
        running = {pool.submit(_in_children, part, result): result for part, result in zip(parts, results, strict=True)}
        for future in as_completed(running):
            future.result()
            total.add(running[future])
            if observe is not None:
                observe(total)
    total.failures.sort()
    return total


def jobs(count: int, first_seed: int = 0) -> list[tuple[str, int]]:
    """Return that many (target, seed), the targets in turn; the slow ones every fourth turn."""
    turn = [name for name in TARGETS if name not in SLOW] * 4 + list(SLOW)
    seeds: Counter[str] = Counter()
    found = []
    for i in range(count):
        name = turn[i % len(turn)]
        found.append((name, first_seed + seeds[name]))
        seeds[name] += 1
    return found


def told(result: Outcome, wall: float) -> str:
    """Return what a run came to in words: the inputs of each kind, how fast, and each kind of fault with its first seed."""
    rows = [f"{'':<16}{'inputs':>8}{'taken':>8}{'refused':>9}{'faults':>8}{'longest':>10}"]
    for target, counts in sorted(result.kinds.items()):
        figures = f"{counts.total():>8}{counts['taken']:>8}{counts['refused']:>9}{counts['fault']:>8}"
        rows.append(f"{target:<16}{figures}{result.longest.get(target, 0.0):>8.2f} s")
    rows += [
        f"{result.count} inputs in {wall:.0f} s: {result.count / wall:.0f}/s; taken {result.taken}, refused with three parts "
        f"{result.refused.total()} {dict(result.refused.most_common())}",
        f"faults {len(result.failures)}; slowest {result.slowest[0]:.2f} s of {SECONDS:g} {result.slowest[1:]}; "
        f"peak {result.peak_bytes / 2**20:.0f} MiB of {BYTES / 2**20:.0f}",
    ]
    for (target, why), number in Counter((t, why) for t, _, why in result.failures).most_common(40):
        rows.append(f"{number} x {target}: {why}; seed {next(s for t, s, w in result.failures if (t, w) == (target, why))}")
    return "\n".join(rows)


def sound(result: Outcome) -> bool:
    """Tell whether a run had no fault and stayed within the limits."""
    return not result.failures and result.slowest[0] < SECONDS and result.peak_bytes < BYTES


def kept_seeds() -> list[tuple[str, int]]:
    """Return the (target, seed) of faults found so far, from fuzz_seeds.yaml."""
    import yaml

    listed = yaml.safe_load(SEEDS.read_text(encoding="utf-8"))
    return [(target, seed) for target, seeds in listed.items() for seed in seeds]


def keep(found: Sequence[tuple[str, int, str]]) -> None:
    """Add one seed per kind of fault to fuzz_seeds.yaml."""
    first = {(target, why): seed for target, seed, why in reversed(found)}
    seeds: dict[str, set[int]] = {}
    for target, seed in [*kept_seeds(), *((target, seed) for (target, _), seed in first.items())]:
        seeds.setdefault(target, set()).add(seed)
    head = [row for row in SEEDS.read_text(encoding="utf-8").splitlines() if row.startswith("#")]
    rows = [f"{target}: {sorted(numbers)}" for target, numbers in sorted(seeds.items())]
    SEEDS.write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")


def main(words: Sequence[str]) -> int:
    """Run as a program; see the head of this file."""
    plain = [word for word in words if word != "--keep"]
    count, first = int(plain[0]), int(plain[1]) if len(plain) > 1 else 0
    asked = [(plain[2], first + i) for i in range(count)] if len(plain) > 2 else jobs(count, first)
    begin = time.perf_counter()

    def show(sofar: Outcome) -> None:
        spent = time.perf_counter() - begin
        left = spent / sofar.count * (len(asked) - sofar.count)
        rate = f"{sofar.count / spent:.0f}/s, faults {len(sofar.failures)}, left {left:.0f} s"
        print(f"fuzz: {sofar.count} of {len(asked)} inputs, {rate}", file=sys.stderr, flush=True)

    result = spread(asked, observe=show)
    print(told(result, time.perf_counter() - begin), flush=True)
    if "--keep" in words and result.failures:
        keep(result.failures)
    return 0 if sound(result) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
