"""Ways to spoil files at random, reproducibly. What stands here decides what a kept seed means: add, do not change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator
NASTY = [
    *(
        "",
        "null",
        "~",
        "true",
        "-1",
        "0",
        "1e999",
        ".nan",
        ".inf",
        "-.inf",
        "0x1F",
        "0b11",
        "1_000",
        "1:30",
        "12:30:45",
        "9" * 400,
    ),
    *(
        "2025-13-45",
        "2025-02-30",
        "9999-12-31",
        "0000-00-00",
        "2025-03-05T10:00:00Z",
        "2025-03-05 25:61:61",
        "12 mm",
        "5 kg",
        "5 **",
    ),
    *(
        "80 9**9**9",
        "7 %",
        "3 m^m",
        "4 1/0",
        "1 (((",
        "1 mm mm",
        "-4 mm",
        "[1, 2",
        "[[[[]]]]",
        "{a: 1}",
        "{value: 1}",
        "{min: 2, max: 1}",
    ),
    *(
        "{one_of: 5}",
        "{one_of: [[1], {a: 2}]}",
        "{value: [1]}",
        "{1: 2, b: 3}",
        "{value: 3, unit: {a: 1}}",
        "{value: 3, date: [1]}",
    ),
    *(
        "[{value: 1, date: x}]",
        "[{}, {}]",
        "[1, [2]]",
        "&a [*a]",
        "&b {x: *b}",
        "*zz",
        "<<",
        "{<<: {a: 1}}",
        "? [a, b]",
        "!!binary aGk=",
        "!!binary '*'",
    ),
    *(
        "!!set {a, b}",
        "!!omap [a: 1]",
        "!!python/name:os.system x",
        "!!int x",
        "!!float x",
        "!!timestamp x",
        "!!str 5",
        "|",
        ">-",
        "'",
        '"',
        "# x",
    ),
    *(
        "\t",
        "\0",
        "\ufeff",
        "\x85",
        "\u2028",
        "\U0001f9b4",
        "../../etc/passwd",
        "/etc/passwd",
        "CON",
        "a" * 3000,
        "unknown",
        "L1",
        "left",
    ),
    *(
        "femur_left",
        "liver",
        "no_such_bone",
        "[9, 9]",
        "[[1e308, 1e308, 1e308], [-1e308, 0, 0]]",
        "[[0,0,0],[0,0,0]]",
        "---",
        "...",
        "%YAML 9.9",
    ),
]
TEXTS = [
    *(
        b"",
        b" ",
        b"\\",
        b"\\\\\\",
        b"abc",
        b"1\\2",
        b"nan\\inf",
        b"1e999\\0",
        b"-1",
        b"0",
        b"0\\0",
        b"99999999999999999999",
        b"1.2.3.4",
    ),
    *(
        b"\xff\xfe\xfd\xfc",
        b"\0\0",
        b"ORIGINAL\\PRIMARY",
        b"20251345",
        b"ISO_IR 192",
        b"ISO 2022 IR 87",
        b"\x1b$B\x1b",
        b"BINARY",
        b"LABELMAP",
    ),
    *(
        b"MONOCHROME1",
        b"RGB",
        b"YBR_FULL",
        b"PALETTE COLOR",
        b"CLOSED_PLANAR",
        b"POINT",
        b"HU",
        b"GY",
        b"1\\0\\0\\0\\1\\0",
        b"0\\0\\0\\0\\0\\0",
    ),
    *(b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.5", b"x" * 70000),
]
INTS = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 32, 64, 127, 128, 255, 256, 4096, 32767, 32768, 60000, 65535, -1]


def spoil_bytes(data: bytes, rng: Rng) -> bytes:
    """Flip, cut, insert, repeat or blank bytes, most often near the head, where formats keep what they promise."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        end = min(len(out), 700) if rng.random() < 0.7 else len(out)
        at = int(rng.integers(0, max(end, 1)))
        length = int(rng.choice([1, 2, 4, 8, 64]))
        match int(rng.integers(0, 7)):
            case 0 | 1 if out:
                out[at % len(out)] ^= 1 << int(rng.integers(0, 8))
            case 2:
                out[at : at + length] = rng.bytes(length)
            case 3:
                del out[at : at + length]
            case 4:
                out[at:at] = rng.bytes(length)
            case 5:
                out[at : at + length] = bytes([int(rng.choice([0, 255]))]) * length
            case 6 if rng.random() < 0.5:
                del out[int(rng.integers(0, len(out) + 1)) :]
    return bytes(out)


def spoil_nifti(data: bytes, rng: Rng) -> bytes:
    """Put extreme values into one to three fields of the header."""
    import nibabel as nib

    raw = np.frombuffer(data[:348], nib.Nifti1Header.template_dtype).copy()
    for name in rng.choice(np.array(raw.dtype.names), int(rng.integers(1, 4)), replace=False):
        place = raw[name]
        flat = place.reshape(-1)
        if place.dtype.kind in "iu":
            limits = np.iinfo(place.dtype)
            options = [v for v in [*INTS, limits.max, limits.min] if limits.min <= v <= limits.max]
            flat[int(rng.integers(flat.size))] = rng.choice(options)
        elif place.dtype.kind == "f":
            flat[int(rng.integers(flat.size))] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, 1e-30, 3.4e38, 0.5])
        else:
            flat[int(rng.integers(flat.size))] = rng.bytes(4)
        raw[name] = flat.reshape(place.shape)
    return raw.tobytes() + data[348:]


def spoil_dicom(path: Path, rng: Rng) -> None:
    """Spoil elements; where pydicom refuses to write the nonsense, spoil bytes instead."""
    data = path.read_bytes()
    try:
        _spoil_elements(path, rng)
    except Exception:
        path.write_bytes(spoil_bytes(data, rng))


def _spoil_elements(path: Path, rng: Rng) -> None:
    """Give one to three elements, sequences' too, a value that does not fit, or take them away."""
    import pydicom
    from pydicom.dataelem import RawDataElement

    data: Any = pydicom.dcmread(path)
    places = list(_elements(data))
    for _ in range(int(rng.integers(1, 4))):
        where, tag = places[int(rng.integers(len(places)))]
        if tag not in where:
            continue
        if rng.random() < 0.15:
            del where[tag]
            continue
        vr = where[tag].VR
        if vr in ("US", "SS", "OW", "OB", "UL", "FD") and rng.random() < 0.8:
            value = int(rng.choice(INTS)).to_bytes(4, "little", signed=True)[: 2 if vr in ("US", "SS") else 4]
            value *= int(rng.choice([1, 1, 1, 2, 40]))
        else:
            value = TEXTS[int(rng.integers(len(TEXTS)))] if rng.random() < 0.8 else rng.bytes(int(rng.integers(0, 40)))
        vr = str(rng.choice(["DS", "IS", "UI", "LO", "US", "OB", "SQ", "CS"])) if rng.random() < 0.1 else vr
        value = value[:65000] + b" " * (len(value) % 2)
        where._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    with path.open("wb") as stream:
        data.save_as(stream)


def _elements(data: Any) -> Iterator[tuple[Any, Any]]:
    for element in data:
        yield data, element.tag
        if element.VR == "SQ":
            for item in list(element.value)[:3]:
                yield from _elements(item)


def spoil_yaml(text: str, rng: Rng) -> bytes:
    """Replace tokens, repeat, drop, move or indent lines, or spoil bytes."""
    import re

    rows = text.split("\n")
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        at = int(rng.integers(len(rows)))
        tokens = [m.span() for m in re.finditer(r"[^\s,:{}\[\]'-][^,:{}\[\]']*", rows[at])]
        match int(rng.integers(0, 9)):
            case 0:
                rows.insert(at, rows[int(rng.integers(len(rows)))])
            case 1 if len(rows) > 1:
                del rows[at]
            case 2:
                rows[at] = " " * int(rng.integers(0, 6)) + rows[at].lstrip(" ")
            case _ if tokens:
                start, stop = tokens[int(rng.integers(len(tokens)))]
                rows[at] = rows[at][:start] + NASTY[int(rng.integers(len(NASTY)))] + rows[at][stop:]
    data = "\n".join(rows).encode()
    return spoil_bytes(data, rng) if rng.random() < 0.1 else data
