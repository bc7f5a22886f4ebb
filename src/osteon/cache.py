"""Results kept on disk under the digest of everything they depend on; and the one canonical way to write osteon's shapes.

An entry is one ``.npz`` file: a JSON tree beside its arrays. Nothing is pickled, so a cache that somebody else made can do no
harm. A damaged entry is recomputed and named; where nothing can be written, the run goes on and says what was not kept.

A file is seen whole or not at all. A writer holds a lock on its temporary file for as long as it lives, so the next run can
tell what a killed one left behind (no one holds it) from what a run beside it is writing (someone does), and removes it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from osteon import NUMBERS_VERSION
from osteon.errors import InputError, OsteonError

T = TypeVar("T")
Given = Sequence[np.ndarray[Any, Any]]
"""Arrays that follow from a key's inputs, so that a reader of an entry holds them already: an entry names them only."""


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no blanks; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@cache
def code_digest() -> str:
    """Return the sha256 of osteon's own code and data: a result is kept only for the very program that computed it."""
    sha = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".yaml")):
        sha.update(str(path.relative_to(root)).encode())
        sha.update(path.read_bytes())
    return sha.hexdigest()


def key(stage: str, inputs: Any, *digests: str) -> str:
    """Return the key of a result.

    Parameters
    ----------
    stage : str
        Name of the computation.
    inputs : object
        Anything ``encode`` can write.
    *digests : str
        Digests of arrays and files.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    tree = encode(inputs, arrays)
    sha = hashlib.sha256(canonical_json([stage, NUMBERS_VERSION, code_digest(), tree, list(digests)]).encode())
    for array in arrays:
        sha.update(repr((array.dtype.str, array.shape)).encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def encode(value: Any, arrays: list[np.ndarray[Any, Any]], given: Given = ()) -> Any:
    """Turn dataclasses, enums, tuples, sets, dates, paths and mappings into a JSON tree; arrays are put aside by number.

    An array that is one of ``given`` is only named: whoever reads the tree has it already.
    """
    match value:
        case None | bool() | str():
            return _plain(value)
        case np.ndarray() if any(value is known for known in given):
            return {"$given": next(i for i, known in enumerate(given) if value is known), "shape": list(value.shape)}
        case np.ndarray() if value.dtype == bool:
            arrays.append(np.packbits(value))
            return {"$bits": len(arrays) - 1, "shape": list(value.shape)}
        case np.ndarray():
            arrays.append(value)
            return {"$array": len(arrays) - 1}
        case np.generic():
            return encode(value.item(), arrays, given)
        case int():
            return value
        case float():
            return value if np.isfinite(value) else {"$float": repr(value)}
        case date():
            return {"$date": value.isoformat()}
        case Path():
            return {"$path": str(value)}
        case list():
            return [encode(v, arrays, given) for v in value]
        case tuple():
            return {"$tuple": [encode(v, arrays, given) for v in value]}
        case frozenset() | set():
            items = [encode(v, arrays, given) for v in value]
            return {"$set": sorted(items, key=canonical_json)}
    if hasattr(value, "as_stored"):
        name, parts = value.as_stored()
        return {"$type": name, "fields": {k: encode(v, arrays, given) for k, v in parts.items()}}
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        return {
            "$type": f"{kind.__module__}:{kind.__qualname__}",
            "fields": {f.name: encode(getattr(value, f.name), arrays, given) for f in fields(value)},
        }
    if isinstance(value, Mapping):
        return {"$map": [[encode(k, arrays, given), encode(v, arrays, given)] for k, v in value.items()]}
    raise TypeError(f"cannot write a {type(value).__name__} to the cache")


def _plain(value: object) -> Any:
    if isinstance(value, Enum):
        kind = type(value)
        return {"$enum": f"{kind.__module__}:{kind.__qualname__}", "value": value.value}
    return value


def decode(tree: Any, arrays: list[np.ndarray[Any, Any]], given: Given = ()) -> Any:
    """Undo ``encode``; only classes of osteon are built.

    Raises
    ------
    ValueError
        If the tree names a class outside osteon, or a given array has another shape.
    """
    if isinstance(tree, list):
        return [decode(v, arrays, given) for v in tree]
    if not isinstance(tree, dict):
        return tree
    match next(iter(tree)):
        case "$array":
            return arrays[tree["$array"]]
        case "$given":
            known = given[tree["$given"]]
            if list(known.shape) != tree["shape"]:
                raise ValueError(f"an array of {tree['shape']} was given when this was kept, now one of {list(known.shape)}")
            return known
        case "$bits":
            shape = tuple(int(n) for n in tree["shape"])
            return np.unpackbits(arrays[tree["$bits"]], count=int(np.prod(shape, dtype=np.int64))).astype(bool).reshape(shape)
        case "$float":
            return float(tree["$float"])
        case "$date":
            return date.fromisoformat(tree["$date"])
        case "$path":
            return Path(tree["$path"])
        case "$tuple":
            return tuple(decode(v, arrays, given) for v in tree["$tuple"])
        case "$set":
            return frozenset(decode(v, arrays, given) for v in tree["$set"])
        case "$map":
            return {decode(k, arrays, given): decode(v, arrays, given) for k, v in tree["$map"]}
        case "$enum":
            return _find(tree["$enum"])(tree["value"])
        case "$type":
            return _find(tree["$type"])(**{k: decode(v, arrays, given) for k, v in tree["fields"].items()})
    raise ValueError(f"unknown entry {next(iter(tree))!r} in a cache file")


def _find(where: str) -> Any:
    module, _, name = where.partition(":")
    if module.split(".")[0] != "osteon":
        raise ValueError(f"a cache file names {where!r}, which is not osteon's")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


TEMPORARY = ".part"
"""End of the name of a file that is being written; it begins with a dot."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is seen whole or not at all: temporary file beside it, fsync, rename.

    What a killed writer left in the same folder is removed first.

    Raises
    ------
    OsteonError
        If the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        with _temporary(path) as (file, temporary):
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            if sys.platform == "win32":  # an open file cannot be renamed there
                file.close()
            temporary.replace(path)
    except OSError as error:
        raise OsteonError(
            f"The file {path} could not be written: {error.strerror or error}.",
            "Nothing half-written was left, but this result was not kept.",
            "Free some space or name a folder that you may write to, then run the same command again.",
        ) from error


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[io.BufferedWriter, Path]]:
    """Open a temporary file beside ``path``, held by this process; it is gone afterwards unless it was renamed."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=TEMPORARY)
        with os.fdopen(handle, "wb") as file:
            if not _hold(file.fileno(), wait=True) or os.fstat(file.fileno()).st_nlink == 0:
                continue  # another run swept it between its making and our holding it
            try:
                yield file, Path(name)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            return


def _hold(handle: int, *, wait: bool) -> bool:
    """Hold an open file for as long as this process has it open; False where another process does."""
    if sys.platform == "win32":
        return wait
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the writer goes on, a sweeper leaves the file alone
        return wait
    return True


def sweep(folder: Path) -> int:
    """Remove what killed writers left in a folder: temporary files that no process holds any more.

    Parameters
    ----------
    folder : Path
        Need not exist.

    Returns
    -------
    int
        Number of files removed.
    """
    removed = 0
    try:
        names = [e.name for e in os.scandir(folder) if e.name.startswith(".") and e.name.endswith(TEMPORARY)]
    except OSError:
        return 0
    for name in names:
        try:
            handle = os.open(folder / name, os.O_RDONLY)
        except OSError:  # renamed or removed by its own writer meanwhile
            continue
        try:
            if _hold(handle, wait=False):
                (folder / name).unlink(missing_ok=True)
                removed += 1
        except OSError:  # a folder that may only be read keeps it
            pass
        finally:
            os.close(handle)
    return removed


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, before anything is computed.

    Parameters
    ----------
    folder : Path
        Where it is not there yet, the nearest folder above it is tried; nothing stays behind.

    Raises
    ------
    InputError
        If it is a file, or nothing can be written there.
    """
    try:
        there = next((f for f in (folder, *folder.parents) if f.exists()), Path())
        with _temporary(there / "probe") as (file, name):
            file.write(b"osteon")
            file.flush()
            name.unlink()
    except OSError as error:
        raise InputError(
            f"Nothing can be written to the folder {folder}: {error.strerror or error}.",
            "The result would be computed and then lost.",
            "Name a folder that you may write to with --out, or free some space.",
        ) from error


class Cache:
    """A folder of results.

    Parameters
    ----------
    folder : Path
        Made when first written to. Where nothing can be written, results are computed and not kept.

    Attributes
    ----------
    damaged : list of str
        Entries that could not be read and were computed again.
    unkept : list of str
        Why results were not kept.
    hits : int
        Entries read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []
        self.unkept: list[str] = []
        self.hits = 0

    def _path(self, stage: str, digest: str) -> Path:
        return self.folder / stage / f"{digest}.npz"

    def get_or(self, stage: str, digest: str, compute: Callable[[], T], given: Given = ()) -> T:
        """Return the entry of that key, or compute it and keep it where that is possible; ``given`` arrays are not kept."""
        path = self._path(stage, digest)
        sweep(path.parent)
        if path.exists():
            try:
                with np.load(path, allow_pickle=False) as stored:
                    tree = json.loads(stored["tree"].tobytes().decode())
                    arrays = [stored[f"a{i}"] for i in range(len(stored.files) - 1)]
                value = cast(T, decode(tree, arrays, given))
                self.hits += 1
                return value
            except Exception as error:  # a damaged entry must never stop a run: it is named and recomputed
                self.damaged.append(f"{path.name}: {type(error).__name__}")
        value = compute()
        found: list[np.ndarray[Any, Any]] = []
        tree = encode(value, found, given)
        buffer = io.BytesIO()
        text = np.frombuffer(canonical_json(tree).encode(), np.uint8)
        np.savez(buffer, tree=text, **cast(Any, {f"a{i}": a for i, a in enumerate(found)}))
        try:
            write_atomically(path, buffer.getvalue())
        except OsteonError as error:  # a full disk or a folder that may only be read costs time, not the answer
            self.unkept.append(error.what)
        return value
