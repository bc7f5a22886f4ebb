"""Potential round one electrode to 1e-6: ours beside pyamg, and the growth of cost: `python benchmarks/bench_potential.py [n]`.

Conductivities 10:1, a 17G electrode of 20 mm as a line. Times are best of 5 from conductivity to field, set-up included (3 beyond
160). pyamg runs once, gets its sparse matrix for free, and sees the line as our smoother does. Error: largest difference from our
solution to 1e-10 (1e-8 beyond 160), over the largest potential.
"""

from __future__ import annotations

import sys
import time

import numba
import numpy as np
from common import best_of, load, memory_triad
from scipy import ndimage, sparse
from scipy.sparse.linalg import LinearOperator, cg

from osteon.physics.lines import Line, average, log_conductance, weights
from osteon.physics.multigrid import solve
from osteon.physics.potential import potential

H, VOLTS = 0.5e-3, 50.0


class Problem:
    """Coherent islands of 0.05 and 0.5 S/m, electrode oblique in the middle."""

    def __init__(self, n: int) -> None:
        noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((n, n, n)).astype(np.float32), 4)
        self.sigma = np.where(noise > 0, np.float32(0.5), np.float32(0.05))
        middle, along = np.full(3, n * H / 2), np.array([0.48, 0.6, 0.64]) * 0.01
        self.electrode = Line(tuple(middle - along), tuple(middle + along), 7.5e-4)
        rows = weights(self.electrode, self.sigma.shape, H)
        self.line = (rows, log_conductance(average(self.sigma, rows), rows), np.full(len(rows.length_m), VOLTS))

    def ours(self, tolerance: float = 1e-6):
        return solve(self.sigma, H, None, lines=[self.line], tolerance=tolerance)

    def sparse(self):
        """The grid as a CSR matrix, with the row sums of the line, the line's rows and conductances, and the right-hand side."""
        shape, count = self.sigma.shape, self.sigma.size
        place, c = np.arange(count, dtype=np.int32).reshape(shape), self.sigma.astype(np.float64)
        diag, rows, cols, values = np.zeros(shape), [], [], []
        for axis in range(3):
            low, high = (tuple(slice(*s) if a == axis else slice(None) for a in range(3)) for s in ((None, -1), (1, None)))
            face = 2 * H * c[low] * c[high] / (c[low] + c[high])
            diag[low] += face
            diag[high] += face
            rows += [place[low].ravel(), place[high].ravel()]
            cols += [place[high].ravel(), place[low].ravel()]
            values += [-face.ravel(), -face.ravel()]
            for side in (0, -1):
                at = tuple(side if i == axis else slice(None) for i in range(3))
                diag[at] += 2 * H * c[at]
        total = sparse.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))), (count, count))
        w, g, v = self.line
        part = sparse.csr_matrix((w.weight.ravel(), w.index.ravel(), np.arange(len(g) + 1) * w.index.shape[1]), (len(g), count))
        scaled = g * w.length_m
        matrix = (total + sparse.diags(diag.ravel())).tocsr()
        lumped = (matrix + sparse.diags(part.T @ scaled)).tocsr()
        return matrix, lumped, part, scaled, part.T @ (scaled * v)


def line(name: str, n: int, seconds: float, iterations: int, error: float, note: str = "") -> None:
    machine = f"triad {memory_triad():5.1f} GB/s  threads {numba.get_num_threads()}  load {load():.2f}"
    cost = f"{seconds:8.3f} s {seconds / n**3 * 1e9:8.1f} ns/voxel {iterations:3d} iterations"
    print(f"{name:<34} {n}^3 {cost}  error {error:.1e}  {machine}  {note}".rstrip(), flush=True)


def beside_pyamg(p: Problem, n: int, truth: np.ndarray) -> None:
    try:
        import pyamg
    except ImportError:
        print(f"pyamg: not installed, no line at {n}^3")
        return
    matrix, lumped, part, scaled, b = p.sparse()
    count: list[int] = []
    began = time.perf_counter()
    amg = pyamg.smoothed_aggregation_solver(lumped)
    setup = time.perf_counter() - began
    whole = LinearOperator(matrix.shape, matvec=lambda x: matrix @ x + part.T @ (scaled * (part @ x)))
    x, _ = cg(whole, b, rtol=1e-6, M=amg.aspreconditioner(), callback=lambda _: count.append(1))
    seconds = time.perf_counter() - began
    error = float(np.abs(x.reshape(truth.shape) - truth).max() / np.abs(truth).max())
    line(f"pyamg {pyamg.__version__} SA + CG, 1e-6", n, seconds, len(count), error, f"one run, set-up {setup:.2f} s")


def main(sizes: list[int]) -> None:
    seconds = []
    for n in sizes:
        p = Problem(n)
        times = 5 if n <= 160 else 3
        truth = p.ours(1e-10).u if n <= 160 else p.ours(1e-8).u
        for threads in sorted({1, numba.config.NUMBA_NUM_THREADS}):
            numba.set_num_threads(threads)
            best = best_of(p.ours, times)
            found = p.ours()
            error = float(np.abs(found.u - truth).max() / np.abs(truth).max())
            line("osteon multigrid, 1e-6", n, best, found.iterations, error)
        seconds.append(best)
        if n <= 160:
            best = best_of(lambda p=p: potential(p.sigma, H, [(p.electrode, VOLTS)]))
            whole = potential(p.sigma, H, [(p.electrode, VOLTS)])
            line("osteon potential with heat, 1e-6", n, best, whole.solved.iterations, whole.balance, "error: power balance")
        if n <= 128:
            beside_pyamg(p, n, truth)
    if len(sizes) > 1:
        slope = float(np.polyfit(np.log([float(n) ** 3 for n in sizes]), np.log(seconds), 1)[0])
        print(f"slope of log time over log voxels, {sizes[0]}^3 to {sizes[-1]}^3: {slope:.3f}")


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [128, 192, 256, 320])
