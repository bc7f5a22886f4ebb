"""Other codes on the problem of bench_elasticity.py: the same elements and supports, one run each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np

SAME = 1e-5  # of the reaction: 5 digits
CORNERS = ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0))  # of C3D8: z, y, x


def peak_gb(process: int | str) -> float:
    """Largest resident memory [GB] of a process so far; 0 where it cannot be read. (getrusage counts the parent's as well.)"""
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024**2 if found else 0.0


class Watch:
    """The largest peak of any process of a name while it runs, read five times a second."""

    def __init__(self, name: str) -> None:
        self.name, self.peak, self.over = name, 0.0, threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.over.wait(0.2):
            for entry in Path("/proc").glob("[0-9]*"):
                try:
                    if (entry / "comm").read_text().strip() == self.name:
                        self.peak = max(self.peak, peak_gb(entry.name))
                except OSError:  # it ended meanwhile
                    continue


def _used(modulus: np.ndarray) -> np.ndarray:
    """Nodes of elements."""
    nodes = np.zeros([n + 1 for n in modulus.shape], bool)
    for z, y, x in CORNERS:
        nodes[z : z + modulus.shape[0], y : y + modulus.shape[1], x : x + modulus.shape[2]] |= modulus > 0.0
    return nodes


def _say(name: str, p, ours: dict, seconds: float, reaction: float, note: str) -> bool:
    away = reaction / ours["truth_n"] - 1.0
    digits = "5 digits equal" if abs(away) < SAME else "5 digits NOT equal"
    print(
        f"{name:<25} {p.elements:>8} elements {seconds:7.2f} s (ours {ours['seconds']:.2f} s)  "
        f"reaction {reaction:.4f} N (ours {ours['reaction_n']:.4f} N)  difference {away:+.1e}, {digits}  "
        f"load {os.getloadavg()[0]:.2f}  {note}".rstrip(),
        flush=True,
    )
    return abs(away) < SAME


def beside_parosol(p, ours: dict, folder: Path) -> bool:
    """ParOSol on as many ranks as there are threads; False only where its reaction is another."""
    try:
        import h5py
        import parosol_py
    except ImportError as missing:
        print(f"parosol-py: not installed ({missing}), no line at {p.elements} elements", flush=True)
        return True
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    node = np.argwhere(p.mask & _used(p.modulus)[..., None])
    value = p.given[tuple(node.T)] * 1e3
    value[value == 0.0] = 1e-16  # as its own load cases write a fixed node
    coordinates = np.stack([node[:, 2], node[:, 1], node[:, 0], 2 - node[:, 3]], 1)
    ranks = ours["threads"]
    began = time.perf_counter()
    with Watch("parosol") as watch:
        found = parosol_py.solve(
            material=(p.modulus / 1e6).astype(np.float32), spacing=(p.h * 1e3,) * 3, material_unit="MPa", poisson_ratio=0.3,
            boundary_conditions=parosol_py.BoundaryConditionSet(coordinates, value), tolerance=1e-6, mpi_processes=ranks,
            work_dir=folder, outputs=("sed",),
        )  # fmt: skip
    seconds = time.perf_counter() - began
    with h5py.File(found.input_file) as file:
        force, moved = file["Solution/force"][...], file["Solution/disp"][...]
    axis = int(np.argmax(np.abs(moved).max(0)))
    top = np.abs(moved[:, axis] / np.float32(p.given[-1, 0, 0, 0] * 1e3) - 1.0) < 1e-9
    run = found.summary.run
    note = (
        f"{ranks} ranks, {watch.peak:.2f} GB the larger, its own clock {run.overall_time_seconds:.2f} s, "
        f"{run.iterations} iterations, residual {run.relative_residual:.1e}"
    )
    return _say(f"parosol-py {parosol_py.__version__}, 1e-6", p, ours, seconds, float(force[top, axis].sum(dtype=float)), note)


def _write_deck(p, path: Path, solver: str) -> None:
    """The CalculiX input: nodes of elements only, one material a modulus, millimetres and megapascals."""
    used = _used(p.modulus)
    number = np.cumsum(used.ravel()).reshape(used.shape)
    places = np.argwhere(used)
    z, y, x = np.nonzero(p.modulus)
    corners = np.stack([number[z + c, y + b, x + a] for c, b, a in CORNERS], 1)
    moduli = p.modulus[z, y, x]
    with path.open("w") as file:
        file.write("*NODE,NSET=ALL\n")
        table = np.column_stack([number[used], places[:, ::-1] * (p.h * 1e3)])
        np.savetxt(file, table, "%d,%.12g,%.12g,%.12g")
        names = []
        for i, modulus in enumerate(np.unique(moduli)):
            chosen = np.flatnonzero(moduli == modulus)
            file.write(f"*ELEMENT,TYPE=C3D8,ELSET=E{i}\n")
            np.savetxt(file, np.column_stack([chosen + 1, corners[chosen]]), "%d", ",")
            names.append(f"*MATERIAL,NAME=M{i}\n*ELASTIC\n{modulus / 1e6:.12g},0.3\n*SOLID SECTION,ELSET=E{i},MATERIAL=M{i}\n")
        for name, at in (("LOW", 0), ("TOP", -1)):
            file.write(f"*NSET,NSET={name}\n")
            np.savetxt(file, number[at][used[at]][:, None], "%d")
        file.write("".join(names))
        move = p.given[-1, 0, 0, 0] * 1e3
        file.write(f"*STEP\n*STATIC,SOLVER={solver}\n*BOUNDARY\nLOW,1,3,0.\nTOP,1,2,0.\nTOP,3,3,{move:.12g}\n")
        file.write("*NODE PRINT,NSET=TOP,TOTALS=ONLY\nRF\n*END STEP\n")


def beside_calculix(p, ours: dict, folder: Path, program: str, solver: str = "ITERATIVE CHOLESKY") -> None:
    """CalculiX, C3D8, on one thread as packaged."""
    found = shutil.which(program)
    if found is None:
        print(f"CalculiX: not installed (no {program!r} on the path, none in $CCX), no line at {p.elements} elements", flush=True)
        return
    _write_deck(p, folder / "cylinder.inp", solver)
    began = time.perf_counter()
    with Watch("ccx") as watch:
        work = subprocess.run([found, "cylinder"], cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    log, result = work.stdout, folder / "cylinder.dat"
    totals = re.search(r"total force.*\n\s*\n\s*(\S+)\s+(\S+)\s+(\S+)", result.read_text() if result.exists() else "")
    if totals is None:
        print(f"CalculiX: ended with {work.returncode} and no reaction: {log[-200:]!r}", flush=True)
        return
    version = re.search(r"Version (\S+)", log)
    note = f"{solver}, {watch.peak:.2f} GB"
    _say(f"CalculiX {version[1] if version else ''} C3D8", p, ours, seconds, float(totals[3]), note)
