"""Heat of a field of pressure: exact for waves that decay, of the second order in layers and at a focus, and never from loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from order import assert_order

from osteon.errors import InputError
from osteon.physics import acoustic_sources as sources
from osteon.physics.acoustic_heat import fluid_heat
from osteon.physics.acoustic_layers import Layer, Medium, Stack, solve

F = 1e6
WATER, SOFT, BONE = Medium(1000.0, 1500.0), Medium(1060.0, 1570.0, 7.0), Medium(1850.0, 2800.0, 150.0)
# bars set before the first comparison
DECAY, ORDER, LAYER, LAYER_CELL, FOCUS = 1e-12, 0.2, 0.01, 0.1, 0.01


@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("lost", [0.0, 7.0, 150.0, 2000.0])
def test_a_wave_that_decays_leaves_what_it_loses_exactly(lost, down):
    h, k = 0.5e-3, 2 * np.pi * F / 2800.0
    z = np.arange(9) * h
    wave = np.exp((1j * k - lost) * (z if down else z[::-1]))[:, None, None]
    q = fluid_heat(wave, 1850.0, 2800.0, lost, attenuation_np_m=lost, spacing_m=h)[:, 0, 0]
    intensity = np.abs(wave[:, 0, 0]) ** 2 / (2 * 1850.0 * 2800.0)
    np.testing.assert_allclose(q * h, np.abs(np.diff(intensity)), rtol=DECAY, atol=1e-15 * intensity.max())


def layer_heat(parts, angle=0.0):
    """Ours and the exact mean of each cell in a lossy layer between others; the exact and our whole."""
    thick = 6e-3
    stack = Stack(WATER, (Layer(SOFT, 4e-3), Layer(BONE.as_fluid, thick)), SOFT, F)
    found = solve(stack, stack.transverse_per_m(np.array([angle])))
    h = thick / parts
    pressure = -found.state(1, np.arange(parts + 1) * h)[1][2, 0]
    ours = fluid_heat(pressure[:, None, None], 1850.0, 2800.0, 150.0, attenuation_np_m=150.0, spacing_m=h)[:, 0, 0]
    node, weight = np.polynomial.legendre.leggauss(12)
    inside = (np.arange(parts)[:, None] + (node + 1) / 2) * h
    exact = found.heat_w_m3(1, inside.ravel())[0].reshape(parts, 12) @ weight / 2
    incident = np.cos(np.radians(angle)) / (2 * 1000.0 * 1500.0)
    return ours, exact, ours.sum() * h, float(found.absorbed_share[1, 0]) * incident


@pytest.mark.parametrize("angle", [0.0, 20.0])
def test_exact_fluid_layers_with_standing_waves(angle):
    ours, exact, whole, absorbed = layer_heat(48, angle)  # 22 points to a wavelength
    assert np.abs(ours - exact).max() < LAYER_CELL * exact.max()
    assert whole == pytest.approx(absorbed, rel=LAYER)
    assert exact.sum() * 6e-3 / 48 == pytest.approx(absorbed, rel=1e-9)  # the judge against itself


def test_order_in_exact_layers():
    parts = (48, 96, 192)
    pairs = [layer_heat(n)[:2] for n in parts]
    assert_order([np.abs(a - b).max() / b.max() for a, b in pairs], [1 / n for n in parts], 2.0, ORDER)


def focus_error(h):
    """Largest error of a cell's mean heat round the focus of a bowl, of the largest; exact means by 3 x 3 x 3 Gauss nodes."""
    source, count = sources.bowl(0.064, 0.064, 1e-3), round(5e-3 / h)
    x, z = (np.arange(count) - count // 2) * h, 0.059 + np.arange(count + 1) * h
    node, weight = np.polynomial.legendre.leggauss(3)

    def square(x, y, z):
        at = np.stack(np.broadcast_arrays(x[None, None, :], y[None, :, None], z[:, None, None]), axis=-1)
        return sources.field(source, 0.04, at, 5e5, density_kg_m3=1000.0, speed_m_s=1500.0, attenuation_np_m=3.5)

    inside = (x[:, None] + node / 2 * h).ravel()
    fine = np.abs(square(inside, inside, (z[:-1, None] + (node + 1) / 2 * h).ravel())) ** 2
    exact = np.einsum("zaybxc,a,b,c->zyx", fine.reshape(count, 3, count, 3, count, 3), *[weight / 2] * 3) * 3.0 / 1.5e6
    ours = fluid_heat(square(x, x, z), 1000.0, 1500.0, 3.0, attenuation_np_m=3.5, spacing_m=h)
    return np.abs(ours - exact)[:, 1:-1, 1:-1].max() / exact.max()


def test_a_converging_field_against_its_mean_over_every_cell():
    assert focus_error(0.5e-3) < FOCUS  # 6 to a wavelength


def test_the_middle_of_a_cell_is_not_its_mean():
    line = np.cos(np.linspace(-1.5, 1.5, 7))
    focus = (line[:, None] * line)[None] * np.ones((3, 1, 1))
    q = fluid_heat(focus, 1.0, 1.0, 1.0)
    assert q[0, 3, 3] == pytest.approx(20 / 24 + 4 / 24 * np.cos(0.5) ** 2)
    assert q.sum() == pytest.approx((focus[:2] ** 2).sum())
    assert (q >= 0).all()


@given(st.floats(0.0, 1.0), st.floats(0.0, 300.0))
def test_law_what_scatters_does_not_heat(share, lost):
    wave = np.exp(1j * np.arange(4))[:, None, None] * np.ones((4, 2, 3))
    less = fluid_heat(wave, 1e3, 1.5e3, share * lost, attenuation_np_m=lost, spacing_m=1e-3)
    most = fluid_heat(wave, 1e3, 1.5e3, lost, attenuation_np_m=lost, spacing_m=1e-3)
    np.testing.assert_allclose(less, share * most, rtol=1e-9)


def test_pressure_in_cells_is_taken_as_it_is_and_single_precision_stays():
    wave = np.full((2, 3, 4), 3e5 + 4e5j, np.complex64)
    q = fluid_heat(wave, np.full(wave.shape, 1e3), 2e3, 8.0, on_planes=False)
    assert q.shape == wave.shape
    assert q.dtype == np.float32
    np.testing.assert_allclose(q, 8.0 * 25e10 / 2e6, rtol=1e-6)
    assert fluid_heat(wave, 1e3, 2e3, 8.0).dtype == np.float32


GOOD = np.ones((3, 2, 2), complex)


@pytest.mark.parametrize(
    ("pressure", "rest", "more", "words"),
    [
        (GOOD * np.nan, (1e3, 1.5e3, 1.0), {}, "not finite"),
        (GOOD[0], (1e3, 1.5e3, 1.0), {}, "shape"),
        (GOOD[:1], (1e3, 1.5e3, 1.0), {}, "shape"),
        (GOOD, (0.0, 1.5e3, 1.0), {}, "density"),
        (GOOD, (1e3, np.inf, 1.0), {}, "speed"),
        (GOOD, (1e3, 1.5e3, -1.0), {}, "absorption"),
        (GOOD, (1e3, 1.5e3, np.ones((3, 2, 2))), {}, "absorption"),
        (GOOD, (1e3, 1.5e3, 2.0), {"attenuation_np_m": 1.0, "spacing_m": 1e-3}, "than it loses"),
        (GOOD, (1e3, 1.5e3, 2.0), {"attenuation_np_m": 3.0}, "neither"),
        (GOOD, (1e3, 1.5e3, 2.0), {"attenuation_np_m": 3.0, "spacing_m": 0.0}, "neither"),
    ],
)
def test_what_cannot_heat_is_refused(pressure, rest, more, words):
    with pytest.raises(InputError, match=words):
        fluid_heat(pressure, *rest, **more)
