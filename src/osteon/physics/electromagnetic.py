r"""Time-harmonic waves with azimuthal symmetry and transverse magnetic field in lossy media, by finite elements.

The unknown is :math:`u = r H_\varphi`; it obeys

.. math:: \nabla\cdot\left(\frac{1}{\varepsilon_c r}\nabla u\right) + \frac{k_0^2}{r} u = 0,
          \qquad \varepsilon_c = \varepsilon - \frac{i\sigma}{\omega\varepsilon_0}

with :math:`e^{i\omega t}`. A perfect conductor is a hole with the natural condition, the axis is :math:`u = 0`, an open wall
lets a plane wave leave. With :math:`H_\varphi` itself as unknown a thin coaxial line is cut off on coarse meshes: no power
arrives at all.

The mesh is a tensor product of graded node sets, so every interface that is parallel to an axis is met exactly; the medium is
constant in a cell, so only the local matrices are kept and a new medium costs one sparse factorisation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from skfem import Basis, BilinearForm, ElementQuad2, FacetBasis, LinearForm, MeshQuad
from skfem.helpers import dot, grad
from threadpoolctl import threadpool_limits

from osteon.errors import InputError, NumericalError

Array = np.ndarray[Any, np.dtype[Any]]
Side = Literal["bottom", "top", "outer"]

VACUUM_PERMITTIVITY = 8.8541878188e-12  # F/m, CODATA 2022
LIGHT_SPEED = 299_792_458.0  # m/s, exact by definition
VACUUM_IMPEDANCE = 1.0 / (VACUUM_PERMITTIVITY * LIGHT_SPEED)  # ohm


def graded_nodes(marks: Array, sizes: Array, growth: float) -> Array:
    """Return nodes of a graded line: every mark is a node, cells grow away from the marks.

    Parameters
    ----------
    marks : (n,) array
        Places that must be nodes, increasing [m].
    sizes : (n,) array
        Wanted cell size at each mark [m]; infinite where the mark asks for none.
    growth : float
        Increase of the cell size per distance from a mark.

    Returns
    -------
    (k,) array
        Nodes, increasing [m].

    Raises
    ------
    InputError
        If the marks do not increase or no size is positive and finite.
    """
    marks, sizes = np.asarray(marks, float), np.asarray(sizes, float)
    if marks.size < 2 or (np.diff(marks) <= 0).any() or not np.isfinite(sizes.min()) or sizes.min() <= 0:
        raise InputError(
            f"The marks {marks.tolist()} with sizes {sizes.tolist()} make no line.",
            "Cells need increasing marks and a positive size.",
            "Check that the radii and lengths of the geometry increase outwards.",
        )
    pieces = [marks[:1]]
    for low, high in pairwise(marks):
        x = np.linspace(low, high, 401)
        wanted = (sizes[:, None] + growth * np.abs(x[None, :] - marks[:, None])).min(axis=0)
        count = np.concatenate([[0.0], np.cumsum(np.diff(x) * 0.5 * (1 / wanted[1:] + 1 / wanted[:-1]))])
        cells = max(1, int(np.ceil(count[-1] - 1e-9)))
        pieces.append(np.append(np.interp(np.arange(1, cells) * count[-1] / cells, count, x), high))
    return np.concatenate(pieces)


@dataclass(frozen=True, eq=False)
class Section:
    """The meridian half-plane as a tensor grid of cells.

    Parameters
    ----------
    r_m : (n + 1,) array
        Radii of the cell edges, increasing, from 0 or a positive radius [m].
    z_m : (m + 1,) array
        Heights of the cell edges, increasing [m].
    conductor : (m, n) array of bool
        Cells of perfect conductor.
    open_sides : tuple of {"bottom", "top", "outer"}
        Walls that let waves leave; the others are perfect conductors.
    port : (str, float, float)
        Side through which the wave comes in, and the part of it [m]: radii on top and bottom, heights on the
        outer wall. Its medium must be uniform and without loss.
    """

    r_m: Array
    z_m: Array
    conductor: Array
    open_sides: tuple[Side, ...]
    port: tuple[Side, float, float]


@dataclass(frozen=True, eq=False)
class Discretisation:
    """What of the finite elements depends on the geometry only. Built by ``discretise``."""

    section: Section
    cells: Array  # (e,) flat index of each element into the (m, n) cells
    dofs: Array  # (9, e)
    stiffness: Array  # (9, 9, e), integral of grad v . grad u / r
    mass: Array  # (9, 9, e), integral of v u / r
    wall: Array  # (9, 9, f), integral over open facets of v u / r
    wall_basis: Any
    wall_element: Array  # (f,)
    on_port: Array  # (f,) bool
    free: Array  # indices of the unknowns that are not on the axis
    basis: Any

    @property
    def element_count(self) -> int:
        """Number of elements."""
        return int(self.cells.size)


@dataclass(frozen=True, eq=False)
class Field:
    """The wave for one watt of incident power.

    Parameters
    ----------
    u : (N,) complex array
        Nodal values of r H_phi [A].
    power : (m, n) array
        Power absorbed in each cell [W].
    reflection : complex
        Amplitude of the wave that comes back, relative to the one sent in.
    absorbed, reflected, radiated : float
        Power [W]; radiated is the flux of the Poynting vector through the open walls, taken from the fields there.
    residual : float
        Relative residual of the linear system.
    """

    u: Array
    power: Array
    reflection: complex
    absorbed: float
    reflected: float
    radiated: float
    residual: float

    @property
    def balance(self) -> float:
        """Absorbed + reflected + radiated, one if all power is found."""
        return self.absorbed + self.reflected + self.radiated


@BilinearForm
def _stiffness(u, v, w):  # type: ignore[no-untyped-def]
    return dot(grad(u), grad(v)) / w.x[0]


@BilinearForm
def _mass(u, v, w):  # type: ignore[no-untyped-def]
    return u * v / w.x[0]


def discretise(section: Section) -> Discretisation:
    """Build the local matrices of a section.

    Parameters
    ----------
    section : Section
        Geometry.

    Returns
    -------
    Discretisation
        Local matrices, numbering and walls.

    Raises
    ------
    InputError
        If the port lies on no open wall.
    """
    cells = np.flatnonzero(~section.conductor.ravel())
    mesh = _mesh(section, cells)
    basis = Basis(mesh, ElementQuad2(), intorder=5)
    facets, side = _open_facets(mesh, section)
    if not facets.size:
        raise InputError(
            "The section has no open wall.",
            "A wave can neither enter nor leave it.",
            "Name the side of the port among the open sides.",
        )
    wall_basis = FacetBasis(mesh, ElementQuad2(), facets=facets, intorder=5)
    middle = mesh.p[:, mesh.facets[:, facets]].mean(axis=1)
    port_side, low, high = section.port
    along = middle[1] if port_side == "outer" else middle[0]
    on_port = (side == port_side) & (along > low) & (along < high)
    if not on_port.any():
        raise InputError(
            f"No open facet lies on the port {section.port}.",
            "Without a port no power comes in.",
            "Put the port on an open side, between two radii of the geometry that are not conductors.",
        )
    axis = np.flatnonzero(np.abs(basis.doflocs[0]) < 1e-12)
    return Discretisation(
        section=section,
        cells=cells,
        dofs=basis.element_dofs,
        stiffness=_local(_stiffness, basis),
        mass=_local(_mass, basis),
        wall=_local(_mass, wall_basis),
        wall_basis=wall_basis,
        wall_element=mesh.f2t[0, facets],
        on_port=on_port,
        free=np.setdiff1d(np.arange(basis.N), axis),
        basis=basis,
    )


def _mesh(section: Section, cells: Array) -> Any:
    """Return the mesh of the given cells, one element each."""
    columns = section.conductor.shape[1]
    width = columns + 1
    corner = (cells // columns) * width + cells % columns
    corners = np.stack([corner, corner + 1, corner + width + 1, corner + width])
    used, renumbered = np.unique(corners, return_inverse=True)
    points = np.stack([section.r_m[used % width], section.z_m[used // width]])
    return MeshQuad(points, renumbered.reshape(corners.shape))


def _local(form: Any, basis: Any) -> Array:
    """Return the local matrices of a form, (9, 9, elements), symmetric."""
    data = form.elemental(basis)
    size = basis.element_dofs.shape[0]
    return np.asarray(data.data).reshape(size, size, -1)


def _open_facets(mesh: Any, section: Section) -> tuple[Array, Array]:
    """Return the boundary facets on open sides, and the name of the side of each."""
    boundary = mesh.boundary_facets()
    p = mesh.p[:, mesh.facets[:, boundary]]
    close = 1e-9 * float(section.r_m[-1])
    tests = {
        "bottom": np.abs(p[1] - section.z_m[0]).max(axis=0) < close,
        "top": np.abs(p[1] - section.z_m[-1]).max(axis=0) < close,
        "outer": np.abs(p[0] - section.r_m[-1]).max(axis=0) < close,
    }
    found = [boundary[tests[s]] for s in section.open_sides]
    names = [np.full(f.size, s) for s, f in zip(section.open_sides, found)]
    return np.concatenate(found).astype(int), np.concatenate(names)


def complex_permittivity(permittivity: Array, conductivity: Array, frequency_hz: float) -> Array:
    r"""Return :math:`\varepsilon_c = \varepsilon - i\sigma/(\omega\varepsilon_0)` for :math:`e^{i\omega t}`."""
    omega = 2 * np.pi * frequency_hz
    return np.asarray(permittivity) - 1j * np.asarray(conductivity) / (omega * VACUUM_PERMITTIVITY)


Drive = Callable[[Array, Array], Array]


def solve_wave(
    space: Discretisation, permittivity: Array, conductivity: Array, frequency_hz: float, drive: Drive | None = None
) -> Field:
    r"""Solve for the wave that one watt through the port makes.

    .. math:: \int \frac{1}{\varepsilon_c r}\nabla u\cdot\nabla v - \frac{k_0^2}{r} u v
              + \oint \frac{i k_0}{\sqrt{\varepsilon_c}\, r} u v = \int_{port} \frac{2 i k_0 C}{\sqrt{\varepsilon_d}\, r} v,
              \qquad C = \sqrt{P / (\pi Z_d \ln(r_2/r_1))}

    Parameters
    ----------
    space : Discretisation
        Geometry.
    permittivity, conductivity : (m, n) arrays
        Relative permittivity and conductivity [S/m] of each cell.
    frequency_hz : float
        Frequency.
    drive : callable, optional
        Replaces the transverse electromagnetic wave of the port: value of
        :math:`\varepsilon_c^{-1}\partial_n u + i k_0 \varepsilon_c^{-1/2} u` at (r, z) of all open walls; reflected is then NaN.

    Returns
    -------
    Field
        Field, absorbed power by cell, and where the rest of the watt went.

    Raises
    ------
    InputError
        If the media are not finite or the permittivity is not positive.
    NumericalError
        If the linear system is not solved to 1e-6.
    """
    omega = 2 * np.pi * frequency_hz
    k0 = omega / LIGHT_SPEED
    epsilon = complex_permittivity(permittivity, conductivity, frequency_hz).ravel()[space.cells]
    if not np.isfinite(epsilon).all() or (epsilon.real <= 0).any() or (epsilon.imag > 0).any():
        raise InputError(
            "The medium has a permittivity that is not positive and finite, or a negative conductivity.",
            "No wave can be computed in it.",
            "Check the dielectric properties that were mapped onto the section.",
        )
    local = space.stiffness / epsilon - k0**2 * space.mass
    epsilon_wall = epsilon[space.wall_element]
    admittance = 1j * k0 / np.sqrt(epsilon_wall)
    matrix = _assemble(space, local, space.wall * admittance)
    amplitude, load = _load(space, admittance, epsilon_wall, drive)
    u, residual = _solve(space, matrix, load)
    power = _absorbed(space, u, epsilon, conductivity, omega)
    reflection, reflected, radiated = _walls(space, u, epsilon_wall, amplitude, omega)
    return Field(u, power, reflection, float(power.sum()), reflected, radiated, residual)


def _assemble(space: Discretisation, local: Array, wall: Array) -> Any:
    """Return the global matrix from the local ones of elements and open facets."""
    data, rows, columns = [], [], []
    for values, dofs in ((local, space.dofs), (wall, space.wall_basis.element_dofs)):
        data.append(values.ravel())
        rows.append(np.broadcast_to(dofs[:, None, :], values.shape).ravel())
        columns.append(np.broadcast_to(dofs[None, :, :], values.shape).ravel())
    size = int(space.basis.N)
    where = (np.concatenate(rows), np.concatenate(columns))
    return sparse.coo_matrix((np.concatenate(data), where), shape=(size, size)).tocsc()


def _load(space: Discretisation, admittance: Array, epsilon_wall: Array, drive: Drive | None) -> tuple[complex, Array]:
    """Return the amplitude of the incident wave at the port and the right-hand side."""
    r, z = np.asarray(space.wall_basis.global_coordinates())
    if drive is not None:
        amplitude, value = complex("nan"), np.asarray(drive(r, z), complex)
    else:
        port_side, low, high = space.section.port
        epsilon_port = float(epsilon_wall[space.on_port][0].real)
        shape = np.log(high / low) if port_side != "outer" else (high - low) / float(space.section.r_m[-1])
        amplitude = complex(np.sqrt(np.sqrt(epsilon_port) / (np.pi * VACUUM_IMPEDANCE * shape)))
        value = np.where(space.on_port[:, None], 2 * amplitude * admittance[:, None], 0) * np.ones_like(r)

    @LinearForm(dtype=np.complex128)
    def form(v, w):  # type: ignore[no-untyped-def]
        return w["g"] * v / w.x[0]

    return amplitude, np.asarray(form.assemble(space.wall_basis, g=value))


def _solve(space: Discretisation, matrix: Any, load: Array) -> tuple[Array, float]:
    """Solve with u = 0 on the axis; the matrix is complex symmetric, so symmetric ordering and little pivoting suffice."""
    free = space.free
    inner = matrix[free][:, free].tocsc()
    with threadpool_limits(1, "blas"):  # the fronts are small: more threads made this thirty times slower on a busy machine
        factors = splu(inner, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01, options={"SymmetricMode": True})
        u = np.zeros(matrix.shape[0], complex)
        u[free] = factors.solve(load[free])
        residual = float(np.linalg.norm(inner @ u[free] - load[free]) / np.linalg.norm(load[free]))
    if not residual < 1e-6:
        raise NumericalError(
            f"The wave was solved with a relative residual of {residual:.1e}.",
            "Heating computed from it would be wrong.",
            "Use a finer mesh, or check the media for extreme contrasts.",
        )
    return u, residual


def _absorbed(space: Discretisation, u: Array, epsilon: Array, conductivity: Array, omega: float) -> Array:
    r"""Return the power by cell: half the conductivity times :math:`(|\nabla u|/(\omega\varepsilon_0|\varepsilon_c| r))^2`."""
    mine = u[space.dofs]
    squared = np.einsum("ie,ije,je->e", mine.conj(), space.stiffness, mine, optimize=True).real
    sigma = np.asarray(conductivity, float).ravel()[space.cells]
    power = np.zeros(space.section.conductor.size)
    power[space.cells] = np.pi * sigma * squared / (omega * VACUUM_PERMITTIVITY * np.abs(epsilon)) ** 2
    return power.reshape(space.section.conductor.shape)


def _walls(
    space: Discretisation, u: Array, epsilon_wall: Array, amplitude: complex, omega: float
) -> tuple[complex, float, float]:
    r"""Return reflection, reflected and radiated power.

    The outward flux is :math:`-\pi\,\mathrm{Re}\oint \partial_n u\,u^* / (i\omega\varepsilon_0\varepsilon_c r)\,dl`, from the
    gradient and not from the wall condition, so that the balance is a check and no identity.
    """
    basis = space.wall_basis
    field = basis.interpolate(u)
    gradient, normal = np.asarray(field.grad), np.asarray(basis.normals)
    r = np.asarray(basis.global_coordinates())[0]
    outward = (gradient * normal).sum(axis=0)
    flux = (
        -np.pi * (outward * np.conj(field.value) / (1j * omega * VACUUM_PERMITTIVITY * epsilon_wall[:, None] * r)).real * basis.dx
    )
    radiated = float(flux[~space.on_port].sum())
    weight = (basis.dx / r)[space.on_port]
    mean = complex((np.asarray(field.value)[space.on_port] * weight).sum() / weight.sum())
    reflection = mean / amplitude - 1
    return reflection, abs(reflection) ** 2, radiated
