"""Running many independent pieces of work: one seam, one local engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Done = Callable[[int], None]


class Executor(Protocol):
    """Maps a picklable function over items; results come back in order."""

    def map(
        self, fn: Callable[[Any], T], items: Iterable[Any], keys: Sequence[str] | None = None, done: Done | None = None
    ) -> list[T]:
        """Apply ``fn`` to each item; ``keys`` name the pieces for messages, ``done`` is called with how many are done."""
        ...


def _counted(results: Iterable[T], done: Done | None) -> list[T]:
    found = []
    for result in results:
        found.append(result)
        if done is not None:
            done(len(found))
    return found


class Serial:
    """Runs in this process, one after the other."""

    def map(
        self, fn: Callable[[Any], T], items: Iterable[Any], keys: Sequence[str] | None = None, done: Done | None = None
    ) -> list[T]:
        """Apply ``fn`` to each item in order."""
        return _counted((fn(item) for item in items), done)


def _one_thread() -> None:
    os.environ["NUMBA_NUM_THREADS"] = "1"
    os.environ["OMP_NUM_THREADS"] = "1"


class Local:
    """Runs in child processes started by spawn, one numba thread each."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1

    def map(
        self, fn: Callable[[Any], T], items: Iterable[Any], keys: Sequence[str] | None = None, done: Done | None = None
    ) -> list[T]:
        """Apply ``fn`` to each item in a child process; results in order."""
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        listed = list(items)
        if self.workers == 1 or len(listed) < 2:
            return _counted((fn(item) for item in listed), done)
        with ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            return _counted(pool.map(fn, listed), done)
