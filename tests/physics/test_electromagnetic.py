"""Axisymmetric waves against exact solutions, their order of convergence, and the laws that they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import jv, yv

from osteon.errors import InputError
from osteon.physics.electromagnetic import (
    LIGHT_SPEED,
    VACUUM_IMPEDANCE,
    VACUUM_PERMITTIVITY,
    Section,
    complex_permittivity,
    discretise,
    graded_nodes,
    solve_wave,
)

FREQUENCY = 2.45e9
OMEGA = 2 * np.pi * FREQUENCY
K0 = OMEGA / LIGHT_SPEED


def line(
    length: float, inner: float = 0.135e-3, outer: float = 0.470e-3, cells: tuple[int, int] = (6, 40), end_open: bool = True
) -> Section:
    """A coaxial line; the conductors are its walls."""
    r, z = np.geomspace(inner, outer, cells[0] + 1), np.linspace(0, length, cells[1] + 1)
    sides = ("bottom", "top") if end_open else ("top",)
    return Section(r, z, np.zeros(cells[::-1], bool), sides, ("top", inner, outer))


def test_vacuum_impedance_is_codata_376_73() -> None:
    assert pytest.approx(376.730313, rel=1e-7) == VACUUM_IMPEDANCE


def test_matched_coaxial_line_reflects_nothing_and_carries_its_watt() -> None:
    section = line(60e-3, cells=(6, 80))  # the flux is taken from a gradient, second order in the cell
    eps = np.full(section.conductor.shape, 2.03)
    field = solve_wave(discretise(section), eps, 0 * eps, FREQUENCY)
    assert abs(field.reflection) < 1e-4
    assert field.radiated == pytest.approx(1.0, abs=1e-3)
    assert field.absorbed == 0.0


def test_coaxial_line_impedance_is_60_over_root_eps_times_log_of_radii() -> None:
    """The voltage between the conductors over the current in them, T5."""
    section = line(60e-3)
    eps = np.full(section.conductor.shape, 2.03)
    space = discretise(section)
    field = solve_wave(space, eps, 0 * eps, FREQUENCY)
    wave = space.basis.interpolate(field.u)
    r, z = np.asarray(space.basis.global_coordinates())
    e_r = -np.asarray(wave.grad)[1] / (1j * OMEGA * VACUUM_PERMITTIVITY * 2.03 * r)
    middle = (z > 29e-3) & (z < 31e-3)
    dz = space.basis.dx[middle].sum() / (section.r_m[-1] - section.r_m[0])
    voltage = (e_r * space.basis.dx)[middle].sum() / dz
    current = 2 * np.pi * (np.asarray(wave.value) * space.basis.dx)[middle].sum() / space.basis.dx[middle].sum()
    exact = VACUUM_IMPEDANCE / (2 * np.pi * np.sqrt(2.03)) * np.log(0.470 / 0.135)
    assert abs(voltage / current) == pytest.approx(exact, rel=0.01)
    assert exact == pytest.approx(52.5, abs=0.1)


def test_shorted_line_sends_everything_back_with_the_phase_of_twice_its_length() -> None:
    length = 37e-3
    section = line(length, end_open=False)
    eps = np.full(section.conductor.shape, 2.03)
    field = solve_wave(discretise(section), eps, 0 * eps, FREQUENCY)
    exact = np.exp(-2j * K0 * np.sqrt(2.03) * length)  # the magnetic field keeps its sign at a short
    assert abs(field.reflection - exact) < 0.01
    assert field.reflected == pytest.approx(1.0, abs=1e-6)


def test_step_of_dielectric_reflects_as_the_two_line_impedances_say() -> None:
    section = line(60e-3)
    eps = np.where(np.arange(40)[:, None] < 20, 6.0, 1.5) * np.ones((40, 6))
    field = solve_wave(discretise(section), eps, 0 * eps, FREQUENCY)
    exact = (np.sqrt(6.0) - np.sqrt(1.5)) / (np.sqrt(6.0) + np.sqrt(1.5))
    assert abs(field.reflection) == pytest.approx(exact, rel=0.01)
    assert field.balance == pytest.approx(1.0, abs=0.01)


def cylinders(cells: int) -> tuple[float, float]:
    """Errors of absorbed power and field in two concentric lossy cylinders driven from outside (Bessel functions, T5)."""
    radius, step = 20e-3, 8e-3
    eps = (43.03, 18.5)
    sigma = (1.69, 0.805)
    inner = complex_permittivity(np.array(eps[0]), np.array(sigma[0]), FREQUENCY)
    outer = complex_permittivity(np.array(eps[1]), np.array(sigma[1]), FREQUENCY)
    k1, k2 = K0 * np.sqrt(inner), K0 * np.sqrt(outer)
    # u = a r J1(k1 r) inside, r (b J1(k2 r) + c Y1(k2 r)) outside; (r J1(kr))' = k r J0(kr)
    m = np.array(
        [
            [-step * jv(1, k1 * step), step * jv(1, k2 * step), step * yv(1, k2 * step)],
            [-k1 * step * jv(0, k1 * step) / inner, k2 * step * jv(0, k2 * step) / outer, k2 * step * yv(0, k2 * step) / outer],
            [0, radius * jv(1, k2 * radius), radius * yv(1, k2 * radius)],
        ]
    )
    a, b, c = np.linalg.solve(m, np.array([0, 0, 1.0]))

    def exact(r: np.ndarray) -> np.ndarray:
        far = np.maximum(r, step)
        return np.where(r < step, a * r * jv(1, k1 * r), b * far * jv(1, k2 * far) + c * far * yv(1, k2 * far))

    slope = k2 * radius * (b * jv(0, k2 * radius) + c * yv(0, k2 * radius))
    drive = slope / outer + 1j * K0 / np.sqrt(outer)
    r = np.concatenate([np.linspace(0, step, 2 * cells + 1), np.linspace(step, radius, 3 * cells + 1)[1:]])
    section = Section(r, np.linspace(0, 4e-3, 3), np.zeros((2, 5 * cells), bool), ("outer",), ("outer", 0.0, 4e-3))
    where = 0.5 * (r[1:] + r[:-1]) < step
    space = discretise(section)
    field = solve_wave(
        space,
        np.where(where, *eps) * np.ones((2, 1)),
        np.where(where, *sigma) * np.ones((2, 1)),
        FREQUENCY,
        lambda x, _: drive + 0 * x,
    )
    nodes = space.basis.doflocs[0]
    error = np.abs(field.u - exact(nodes)).max() / np.abs(exact(nodes)).max()
    # absorbed = inward flux at the outer wall, u = 1 there
    flux = 2 * np.pi * 4e-3 * 0.5 * (slope / (1j * OMEGA * VACUUM_PERMITTIVITY * outer * radius)).real
    return abs(field.absorbed / flux - 1), float(error)


def test_concentric_lossy_cylinders_bessel_power_within_one_percent_and_order() -> None:
    coarse, middle, fine = cylinders(2), cylinders(4), cylinders(8)
    assert fine[0] < 0.01
    assert np.log2(coarse[1] / middle[1]) > 2.5  # quadratic elements: order 3 of the field
    assert np.log2(middle[1] / fine[1]) > 2.5
    assert np.log2(coarse[0] / fine[0]) / 2 > 3.5  # order 4 of the power, which is quadratic in the field


def waveguide(cells: int) -> float:
    """Largest error of the mode u = r J1(k_c r) exp(i b z) that fills a lossy cylinder, driven on all its walls."""
    radius, length = 12e-3, 20e-3
    eps, sigma = 20.0, 0.6
    epsilon = complex_permittivity(np.array(eps), np.array(sigma), FREQUENCY)
    k_c = 180.0
    b = np.sqrt(K0**2 * epsilon - k_c**2)

    def u(r: np.ndarray, z: np.ndarray) -> np.ndarray:
        return r * jv(1, k_c * r) * np.exp(1j * b * z)

    def drive(r: np.ndarray, z: np.ndarray) -> np.ndarray:
        d_r, d_z = k_c * r * jv(0, k_c * r) * np.exp(1j * b * z), 1j * b * u(r, z)
        outer, top = np.isclose(r, radius), np.isclose(z, length)
        return np.where(outer, d_r, np.where(top, d_z, -d_z)) / epsilon + 1j * K0 / np.sqrt(epsilon) * u(r, z)

    section = Section(
        np.linspace(0, radius, cells + 1),
        np.linspace(0, length, cells + 1),
        np.zeros((cells, cells), bool),
        ("bottom", "top", "outer"),
        ("top", 0.0, radius),
    )
    one = np.ones((cells, cells))
    space = discretise(section)
    field = solve_wave(space, eps * one, sigma * one, FREQUENCY, drive)
    exact = u(*space.basis.doflocs)
    return float(np.abs(field.u - exact).max() / np.abs(exact).max())


def test_order_of_convergence_is_three_for_a_mode_in_both_directions() -> None:
    errors = [waveguide(n) for n in (6, 12, 24)]
    assert np.log2(errors[0] / errors[1]) > 2.5
    assert np.log2(errors[1] / errors[2]) > 2.5
    assert errors[2] < 1e-3


def rod(permittivity: float, conductivity: float) -> tuple[Section, np.ndarray, np.ndarray]:
    """A coaxial line that ends open in a medium: the least that has port, conductor, axis and open walls."""
    r = graded_nodes(np.array([0, 0.2e-3, 0.7e-3, 0.9e-3, 25e-3]), np.array([0.1, 0.15, 0.1, 0.1, 3.0]) * 1e-3, 0.25)
    z = graded_nodes(np.array([0, 20e-3, 40e-3]), np.array([3.0, 0.2, 3.0]) * 1e-3, 0.25)
    rc, zc = 0.5 * (r[1:] + r[:-1])[None, :], 0.5 * (z[1:] + z[:-1])[:, None]
    above = zc > 20e-3
    metal = above & ((rc < 0.2e-3) | ((rc > 0.7e-3) & (rc < 0.9e-3)))
    tissue = ~above | (rc > 0.9e-3)
    section = Section(r, z, metal, ("bottom", "top", "outer"), ("top", 0.2e-3, 0.7e-3))
    return section, np.where(tissue, permittivity, 2.03), np.where(tissue, conductivity, 0.0)


SPACE = discretise(rod(1.0, 0.0)[0])


@settings(max_examples=25, deadline=None)
@given(st.floats(1.0, 70.0), st.floats(0.0, 3.5))
def test_power_is_balanced_in_any_medium(permittivity: float, conductivity: float) -> None:
    _, eps, sigma = rod(permittivity, conductivity)
    field = solve_wave(SPACE, eps, sigma, FREQUENCY)
    assert field.balance == pytest.approx(1.0, abs=0.01)
    assert (field.power >= 0).all()
    assert 0 <= field.reflected <= 1 + 1e-9
    assert field.power.sum() == pytest.approx(field.absorbed, rel=1e-12)


def test_power_is_balanced_when_the_wave_comes_from_the_side() -> None:
    r, z = np.linspace(0, 20e-3, 41), np.linspace(0, 5e-3, 6)
    core = (r[1:] + r[:-1])[None, :] / 2 * np.ones((5, 1)) < 8e-3
    space = discretise(Section(r, z, np.zeros((5, 40), bool), ("outer",), ("outer", 0.0, 5e-3)))
    field = solve_wave(space, np.where(core, 43.0, 4.0), np.where(core, 1.7, 0.0), FREQUENCY)
    assert field.absorbed > 0.1
    assert field.balance == pytest.approx(1.0, abs=1e-3)


def test_nothing_is_absorbed_where_nothing_conducts() -> None:
    _, eps, sigma = rod(40.0, 1.5)
    sigma[:, -5:] = 0.0
    field = solve_wave(SPACE, eps, sigma, FREQUENCY)
    assert (field.power[:, -5:] == 0).all()
    assert field.absorbed > 0


def test_marks_are_nodes_and_cells_grow_away_from_them() -> None:
    marks = np.array([0.0, 1.0, 1.3, 30.0])
    nodes = graded_nodes(marks, np.array([0.2, 0.1, 0.1, 5.0]), 0.2)
    assert all(np.isclose(nodes, m).any() for m in marks)
    steps = np.diff(nodes)
    assert (steps > 0).all()
    assert steps[-1] < 5.0 * 1.3
    assert steps[np.searchsorted(nodes, 1.3)] < 0.15


@pytest.mark.parametrize(
    ("eps", "sigma"), [(-1.0, 1.0), (40.0, -0.1), (float("nan"), 1.0)], ids=["negative eps", "negative sigma", "nan"]
)
def test_impossible_medium_is_refused(eps: float, sigma: float) -> None:
    _, e, s = rod(eps, sigma)
    with pytest.raises(InputError):
        solve_wave(SPACE, e, s, FREQUENCY)


def test_port_on_metal_is_refused() -> None:
    section, _, _ = rod(40.0, 1.0)
    with pytest.raises(InputError, match="port"):
        discretise(Section(section.r_m, section.z_m, section.conductor, section.open_sides, ("top", 0.72e-3, 0.88e-3)))


def test_marks_that_do_not_increase_are_refused() -> None:
    with pytest.raises(InputError):
        graded_nodes(np.array([0.0, 2.0, 1.0]), np.ones(3), 0.2)
