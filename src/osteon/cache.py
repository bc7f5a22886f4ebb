"""Results kept on disk under the digest of everything they depend on; and the one canonical way to write osteon's shapes.

An entry is one ``.npz`` file: a JSON tree beside its arrays. Nothing is pickled, so a cache that somebody else made can do no
harm. A damaged entry is recomputed and named.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from osteon import NUMBERS_VERSION
from osteon.errors import OsteonError

T = TypeVar("T")


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no blanks; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


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
    sha = hashlib.sha256(canonical_json([stage, NUMBERS_VERSION, tree, list(digests)]).encode())
    for array in arrays:
        sha.update(repr((array.dtype.str, array.shape)).encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def encode(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """Turn dataclasses, enums, tuples, sets, dates, paths and mappings into a JSON tree; arrays are put aside by number."""
    match value:
        case None | bool() | str():
            return _plain(value)
        case np.ndarray() if value.dtype == bool:
            arrays.append(np.packbits(value))
            return {"$bits": len(arrays) - 1, "shape": list(value.shape)}
        case np.ndarray():
            arrays.append(value)
            return {"$array": len(arrays) - 1}
        case np.generic():
            return encode(value.item(), arrays)
        case int():
            return value
        case float():
            return value if np.isfinite(value) else {"$float": repr(value)}
        case date():
            return {"$date": value.isoformat()}
        case Path():
            return {"$path": str(value)}
        case list():
            return [encode(v, arrays) for v in value]
        case tuple():
            return {"$tuple": [encode(v, arrays) for v in value]}
        case frozenset() | set():
            items = [encode(v, arrays) for v in value]
            return {"$set": sorted(items, key=canonical_json)}
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        return {
            "$type": f"{kind.__module__}:{kind.__qualname__}",
            "fields": {f.name: encode(getattr(value, f.name), arrays) for f in fields(value)},
        }
    if isinstance(value, Mapping):
        return {"$map": [[encode(k, arrays), encode(v, arrays)] for k, v in value.items()]}
    raise TypeError(f"cannot write a {type(value).__name__} to the cache")


def _plain(value: object) -> Any:
    if isinstance(value, Enum):
        kind = type(value)
        return {"$enum": f"{kind.__module__}:{kind.__qualname__}", "value": value.value}
    return value


def decode(tree: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """Undo ``encode``; only classes of osteon are built.

    Raises
    ------
    ValueError
        If the tree names a class outside osteon.
    """
    if isinstance(tree, list):
        return [decode(v, arrays) for v in tree]
    if not isinstance(tree, dict):
        return tree
    match next(iter(tree)):
        case "$array":
            return arrays[tree["$array"]]
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
            return tuple(decode(v, arrays) for v in tree["$tuple"])
        case "$set":
            return frozenset(decode(v, arrays) for v in tree["$set"])
        case "$map":
            return {decode(k, arrays): decode(v, arrays) for k, v in tree["$map"]}
        case "$enum":
            return _find(tree["$enum"])(tree["value"])
        case "$type":
            return _find(tree["$type"])(**{k: decode(v, arrays) for k, v in tree["fields"].items()})
    raise ValueError(f"unknown entry {next(iter(tree))!r} in a cache file")


def _find(where: str) -> Any:
    module, _, name = where.partition(":")
    if module.split(".")[0] != "osteon":
        raise ValueError(f"a cache file names {where!r}, which is not osteon's")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is seen whole or not at all: temporary file beside it, fsync, rename.

    Raises
    ------
    OsteonError
        If the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            Path(temporary).chmod(0o666 & ~umask)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OsteonError(
            f"The file {path} could not be written: {error.strerror or error}.",
            "Nothing half-written was left, but this result was not kept.",
            "Free some space or name a folder that you may write to, then run the same command again.",
        ) from error


class Cache:
    """A folder of results.

    Parameters
    ----------
    folder : Path
        Made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []
        self.hits = 0

    def _path(self, stage: str, digest: str) -> Path:
        return self.folder / stage / f"{digest}.npz"

    def get_or(self, stage: str, digest: str, compute: Callable[[], T]) -> T:
        """Return the entry of that key, or compute and keep it."""
        path = self._path(stage, digest)
        if path.exists():
            try:
                with np.load(path, allow_pickle=False) as stored:
                    tree = json.loads(stored["tree"].tobytes().decode())
                    arrays = [stored[f"a{i}"] for i in range(len(stored.files) - 1)]
                value = cast(T, decode(tree, arrays))
                self.hits += 1
                return value
            except Exception as error:  # a damaged entry must never stop a run: it is named and recomputed
                self.damaged.append(f"{path.name}: {type(error).__name__}")
        value = compute()
        found: list[np.ndarray[Any, Any]] = []
        tree = encode(value, found)
        buffer = io.BytesIO()
        text = np.frombuffer(canonical_json(tree).encode(), np.uint8)
        np.savez(buffer, tree=text, **cast(Any, {f"a{i}": a for i, a in enumerate(found)}))
        write_atomically(path, buffer.getvalue())
        return value
