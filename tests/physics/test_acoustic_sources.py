"""Sources: O'Neil's bowl and disc, the order of the sum, the kernel against numpy, and what is refused."""

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.physics import acoustic_axis
from osteon.physics import acoustic_sources as sources
from osteon.physics.acoustic_kernels import rayleigh

F, C, RHO, P0 = 0.5e6, 1500.0, 1000.0, 60e3
WATER = {"density_kg_m3": RHO, "speed_m_s": C}


def on_axis(z):
    return np.stack([0 * z, 0 * z, z], axis=-1)


def axis_error(source, exact, z):
    ours = np.abs(sources.field(source, P0 / (RHO * C), on_axis(z), F, **WATER))
    return np.abs(ours - exact).max() / exact.max()


def test_acoustics_reference_section_3_o_neil_at_the_centre_of_curvature_and_its_maximum():
    z = np.arange(0.05, 0.08, 1e-5)
    exact = acoustic_axis.bowl_axis_pa(z, 0.064, 0.064, P0, F, C)
    assert acoustic_axis.bowl_axis_pa(np.array([0.064]), 0.064, 0.064, P0, F, C)[0] == pytest.approx(1077.5e3, rel=1e-4)
    assert exact.max() == pytest.approx(1094.4e3, rel=1e-4)
    assert z[exact.argmax()] == pytest.approx(61.93e-3, abs=2e-5)


def test_o_neil_bowl_on_axis_within_1_percent_of_peak():
    z = np.arange(0.002, 0.12, 0.5e-3)
    assert axis_error(sources.bowl(0.064, 0.064, C / F / 8), acoustic_axis.bowl_axis_pa(z, 0.064, 0.064, P0, F, C), z) < 0.01


def test_disc_on_axis_within_1_percent_of_peak():
    z = np.arange(0.002, 0.12, 0.5e-3)
    assert axis_error(sources.disc(0.02, C / F / 16), acoustic_axis.disc_axis_pa(z, 0.02, P0, F, C), z) < 0.01


def test_the_sum_converges_with_the_second_order_of_the_cell():
    z = np.arange(0.03, 0.1, 1e-3)
    exact = acoustic_axis.bowl_axis_pa(z, 0.064, 0.064, P0, F, C)
    errors = [axis_error(sources.bowl(0.064, 0.064, step), exact, z) for step in (2e-3, 1e-3, 0.5e-3)]
    assert errors[0] / errors[1] > 3.5
    assert errors[1] / errors[2] > 3.5


def test_areas_are_those_of_cap_and_disc_and_points_lie_on_the_sphere():
    cap = sources.bowl(0.064, 0.064, 1e-3, hole_m=0.02)
    h = [0.064 - np.sqrt(0.064**2 - r**2) for r in (0.032, 0.01)]
    assert cap.areas_m2.sum() == pytest.approx(2 * np.pi * 0.064 * (h[0] - h[1]), rel=1e-12)
    np.testing.assert_allclose(np.linalg.norm(cap.points_m - [0, 0, 0.064], axis=1), 0.064, rtol=1e-12)
    assert sources.disc(0.02, 1e-3).areas_m2.sum() == pytest.approx(np.pi * 1e-4, rel=1e-12)


@pytest.mark.parametrize("attenuation", [0.0, 7.0])
def test_the_kernel_is_numpy_to_eleven_digits(attenuation):
    rng = np.random.default_rng(1)
    targets, points = rng.uniform(0, 0.3, (200, 3)), rng.uniform(-0.1, 0, (300, 3))
    weight = rng.normal(size=300) + 1j * rng.normal(size=300)
    k = 2 * np.pi * 3e6 / 1500.0
    d = np.linalg.norm(targets[:, None] - points[None], axis=2)
    exact = (np.exp((1j * k - attenuation) * d) / d) @ weight
    ours = rayleigh(targets, np.ascontiguousarray(points.T), weight.real.copy(), weight.imag.copy(), k, attenuation)
    np.testing.assert_allclose(ours[:, 0] + 1j * ours[:, 1], exact, atol=1e-11 * np.abs(exact).max())


def test_far_on_its_axis_an_element_is_a_disc_wherever_it_looks():
    centre, normal = np.array([[0.01, -0.02, 0.03]]), np.array([[1.0, 2.0, 2.0]])
    element = sources.array(centre, normal, 3.3e-3, 0.2e-3)
    z = np.linspace(0.01, 0.1, 20)
    at = centre + z[:, None] * normal / 3.0
    ours = np.abs(sources.field(element, P0 / (RHO * C), at, 1e6, **WATER))
    exact = acoustic_axis.disc_axis_pa(z, 6.6e-3, P0, 1e6, C)
    assert np.abs(ours - exact).max() < 0.01 * exact.max()


def test_time_of_flight_brings_every_element_to_the_focus_together():
    centres = sources.spiral_centres(100, 0.13, 0.15)
    np.testing.assert_allclose(np.linalg.norm(centres - [0, 0, 0.13], axis=1), 0.13, rtol=1e-12)
    small = sources.array(centres, np.array([0, 0, 0.13]) - centres, 0.2e-3, 0.2e-3)
    focus = np.array([0.01, 0.0, 0.14])
    together = sources.focus_drive(small, focus, 1e6, C)
    p = sources.field(small, together * 0.01, focus[None], 1e6, **WATER)
    distance = np.linalg.norm(small.centres_m - focus, axis=1)
    most = 2 * np.pi * 1e6 / C * RHO * C / (2 * np.pi) * (0.01 * small.element_areas_m2 / distance).sum()
    assert abs(p[0]) == pytest.approx(most, rel=2e-3)
    half = sources.focus_drive(small, focus, 1e6, C, on=np.arange(100) % 2 == 0)
    assert abs(sources.field(small, half * 0.01, focus[None], 1e6, **WATER)[0]) < 0.55 * most


ONE = sources.disc(0.02, 2e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: sources.bowl(0.064, 0.2, 1e-3),
        lambda: sources.bowl(0.064, 0.06, 1e-3, hole_m=0.07),
        lambda: sources.disc(-1.0, 1e-3),
        lambda: sources.disc(float("nan"), 1e-3),
        lambda: sources.spiral_centres(0, 0.1, 0.1),
        lambda: sources.array(np.zeros((2, 3)), np.zeros((2, 3)), 1e-3, 1e-3),
        lambda: sources.field(ONE, 1.0, np.zeros((1, 3)) + 0.1, 1e12, **WATER),
        lambda: sources.field(ONE, 1.0, np.full((1, 3), np.nan), 1e6, **WATER),
        lambda: sources.field(ONE, np.ones(3), np.zeros((1, 3)) + 0.1, 1e6, **WATER),
        lambda: sources.field(ONE, 1.0, ONE.points_m[:1], 1e6, **WATER),
        lambda: sources.focus_drive(ONE, np.zeros(3) + 0.1, 1e6, C, on=np.zeros(1, bool)),
        lambda: sources.focus_drive(ONE, np.array([0, 0, np.inf]), 1e6, C),
    ],
)
def test_what_cannot_radiate_is_refused(make):
    with pytest.raises(InputError):
        make()
