"""The planner: exact on level layers, Rayleigh in one medium, and honest about what it cannot carry."""

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.physics import acoustic_axis
from osteon.physics import acoustic_sources as sources
from osteon.physics.acoustic_heat import fluid_heat
from osteon.physics.acoustic_layers import Layer, Medium, Stack, solve, vertical
from osteon.physics.acoustic_planner import march

WATER, BRAIN = Medium(1000.0, 1500.0), Medium(1040.0, 1560.0, 3.5)
CORTICAL, TRABECULAR = Medium(1850.0, 2800.0, 46.0), Medium(1700.0, 2300.0, 92.0)
F, H, N = 5e5, 0.5e-3, 128


def entry(z=0.005, n=N, step=0.6e-3):
    x = (np.arange(n) - n // 2) * H
    at = np.stack([*np.meshgrid(x, x), np.full((n, n), z)], axis=-1)
    return sources.field(sources.disc(0.02, step), 0.04, at, F, density_kg_m3=1000.0, speed_m_s=1500.0)


def layered(*pieces, n=N):
    return np.concatenate([np.full((count, n, n), medium, np.uint8) for medium, count in pieces])


def through(stack, plane, gap_m, beyond_m):
    """Return the exact field at a distance behind the last face of level layers, on the same grid."""
    k = 2 * np.pi * np.fft.fftfreq(N, H)
    xi, back = np.unique(np.round(np.hypot(k[:, None], k), 6), return_inverse=True)
    found = solve(stack, xi)
    first, last = vertical(stack.first.wavenumber(F), xi), vertical(stack.last.wavenumber(F), xi)
    factor = np.exp(1j * first * gap_m) * found.transmitted * np.exp(1j * last * beyond_m)
    return np.fft.ifft2(np.fft.fft2(plane) * factor[back.reshape(N, N)])


def test_exact_level_layers_behind_bone_within_half_a_percent_of_the_peak():
    plane = entry()
    stack = Stack(WATER, (Layer(CORTICAL, 2e-3), Layer(TRABECULAR, 3e-3), Layer(CORTICAL, 1e-3)), BRAIN, F)
    labels = layered((0, 10), (1, 4), (2, 6), (1, 2), (3, 30))
    found = march(plane, labels, (WATER, CORTICAL, TRABECULAR, BRAIN), F, H, rim=0.0)
    exact = through(stack, plane, 5e-3, 10e-3)
    middle = slice(N // 2 - 30, N // 2 + 30)
    error = np.abs(found.pressure_pa[42] - exact)[middle, middle].max() / np.abs(exact).max()
    assert error < 5e-3
    assert found.ended == "converged"
    assert found.last_added < 1e-3
    assert found.stairs == 0.0
    once = march(plane, labels, (WATER, CORTICAL, TRABECULAR, BRAIN), F, H, most_sweeps=1)
    assert np.abs(once.pressure_pa[42] - exact)[middle, middle].max() > 0.05 * np.abs(exact).max()  # echoes do matter
    assert once.ended == "stopped after 1 sweeps"


def test_one_medium_is_the_rayleigh_sum():
    found = march(entry(n=192, step=0.25e-3), layered((0, 80), n=192), (WATER,), F, H)
    z = np.arange(0.015, 0.04, 1e-3)
    exact = acoustic_axis.disc_axis_pa(z, 0.02, 60e3, F, 1500.0)
    ours = np.abs(found.pressure_pa[np.round((z - 0.005) / H).astype(int), 96, 96])
    assert np.abs(ours - exact).max() < 0.02 * exact.max()
    assert found.sweeps == 1


def test_a_medium_that_only_changes_its_name_changes_nothing():
    plane = entry()
    named = layered((0, 40))
    named[10:20, 30:90, 20:100] = 1
    one = march(plane, layered((0, 40)), (WATER, WATER), F, H)
    two = march(plane, named, (WATER, WATER), F, H)
    np.testing.assert_allclose(two.pressure_pa, one.pressure_pa, atol=1e-5 * np.abs(plane).max())
    assert two.stairs == 0.0  # nothing is met there


def test_mirrored_voxels_have_the_mirrored_field():
    labels = layered((0, 20), (1, 4), (0, 20))
    labels[16:20, :, 80:] = 1
    plane = np.roll(entry(), 1, axis=1)  # a plane that is symmetric under reversal of x but for one column of the grid
    plane = plane + plane[:, ::-1]
    left = march(plane, labels, (WATER, CORTICAL), F, H, most_sweeps=3)
    right = march(plane, labels[:, :, ::-1], (WATER, CORTICAL), F, H, most_sweeps=3)
    np.testing.assert_allclose(right.pressure_pa[:, :, ::-1], left.pressure_pa, atol=1e-4 * np.abs(plane).max())


def test_power_beyond_the_critical_angle_is_told():
    k = 2 * np.pi * F / 1500.0
    x = np.arange(N) * H
    for degree, share in ((20.0, 0.0), (40.0, 1.0)):
        turns = round(k * np.sin(np.radians(degree)) * N * H / (2 * np.pi))  # whole waves across the grid
        plane = np.exp(2j * np.pi * turns * x / (N * H))[None, :] * np.ones((N, 1))
        found = march(plane, layered((0, 5), (1, 5)), (WATER, CORTICAL), F, H, rim=0.0, most_sweeps=1)
        assert found.beyond_critical == pytest.approx(share, abs=0.02)


GOOD = layered((0, 10))


@pytest.mark.parametrize(
    ("plane", "labels", "media", "frequency", "words"),
    [
        (entry() * np.nan, GOOD, (WATER,), F, "not finite"),
        (entry()[:5], GOOD, (WATER,), F, "do not fit"),
        (entry(), GOOD + 1, (WATER,), F, "1 media"),
        (entry(), GOOD.astype(float), (WATER,), F, "kind float64"),
        (entry(), GOOD, (WATER,), 2e6, "to a wavelength"),
        (entry(), GOOD, (WATER,), -1.0, "above 0"),
    ],
)
def test_what_cannot_be_marched_is_refused(plane, labels, media, frequency, words):
    with pytest.raises(InputError, match=words):
        march(plane, labels, media, frequency, H)


SOLID = Medium(1850.0, 2800.0, 46.0, 1550.0, 138.0)
SPONGY = Medium(1700.0, 2300.0, 92.0, 1400.0, 138.0)


def test_exact_level_solids_with_mode_conversion():
    plane = entry()
    stack = Stack(WATER, (Layer(SOLID, 2e-3), Layer(SPONGY, 4e-3), Layer(SOLID, 1e-3)), BRAIN, F)
    labels = layered((0, 10), (1, 4), (2, 8), (1, 2), (3, 30))
    found = march(plane, labels, (WATER, SOLID, SPONGY, BRAIN), F, H, rim=0.0, enough=1e-4)
    exact = through(stack, plane, 5e-3, 10e-3)
    middle = slice(N // 2 - 30, N // 2 + 30)
    assert np.abs(found.pressure_pa[44] - exact)[middle, middle].max() < 1e-3 * np.abs(exact).max()
    assert found.ended == "converged"
    fluid = march(plane, labels, (WATER, CORTICAL, TRABECULAR, BRAIN), F, H, rim=0.0)
    assert np.abs(fluid.pressure_pa[44] - exact)[middle, middle].max() > 0.05 * np.abs(exact).max()  # shear does matter


def test_heat_of_level_solids_is_what_the_exact_layers_absorb():
    plane = entry()
    layers = (Layer(SOLID, 2e-3), Layer(SPONGY, 4e-3), Layer(SOLID, 1e-3))
    labels = layered((0, 10), (1, 4), (2, 8), (1, 2), (3, 30))
    found = march(plane, labels, (WATER, SOLID, SPONGY, BRAIN), F, H, rim=0.0)
    k = 2 * np.pi * np.fft.fftfreq(N, H)
    xi, back = np.unique(np.round(np.hypot(k[:, None], k), 6), return_inverse=True)
    going = xi < 0.999 * 2 * np.pi * F / 1500
    share = solve(Stack(WATER, layers, BRAIN, F), xi[going]).absorbed_share
    k_z = np.sqrt(np.maximum((2 * np.pi * F / 1500) ** 2 - xi**2, 0))[back.reshape(N, N)]
    power = np.bincount(back.ravel(), (np.abs(np.fft.fft2(plane)) ** 2 * k_z).ravel())[going]
    exact = (share * power).sum(axis=1) / power.sum()
    ours = [found.heat_w_m3[a:b].sum(dtype=float) * H**3 / found.incident_w for a, b in ((10, 14), (14, 22), (22, 24))]
    assert ours == pytest.approx(exact, rel=0.15)  # 6 cells in a shear wave, and layers of 2 to 8
    assert sum(ours) == pytest.approx(exact.sum(), rel=0.05)
    assert found.shear_w_m3[10:24].sum() > 0.05 * found.heat_w_m3[10:24].sum()
    np.testing.assert_allclose(found.longitudinal_w_m3 + found.shear_w_m3, found.heat_w_m3, atol=1e-3 * found.heat_w_m3.max())


def test_heat_is_proportional_to_absorption():
    labels = layered((0, 10), (1, 6), (2, 14))
    media = (WATER, SOLID, BRAIN)
    whole = march(entry(), labels, media, F, H).heat_w_m3
    third = march(entry(), labels, media, F, H, absorption_np_m=[(0.0, 0.0), (46 / 3, 46.0), (3.5 / 3, 0.0)]).heat_w_m3
    np.testing.assert_allclose(3 * third, whole, atol=0.02 * whole.max())  # moduli, not coefficients, are what loses


def test_gas_stops_sound_and_lets_echoes_die():
    labels = layered((0, 40))
    labels[20:28, :, : N // 2] = 1
    found = march(entry(), labels, (WATER, Medium(1.2, 343.0)), F, H)
    assert found.ended == "converged"
    assert np.abs(found.pressure_pa[21:28, :, : N // 2]).max() == 0.0
    behind = np.abs(found.pressure_pa[30]) ** 2
    assert behind[:, : N // 2 - 8].sum() < 0.05 * behind.sum()


def test_leaning_bone_is_told():
    z, _, x = np.indices((30, 1, N))
    labels = (z > 8 + 0.3 * x).astype(np.uint8)
    found = march(entry()[N // 2 : N // 2 + 1], labels, (WATER, SOLID), F, H)
    assert found.stairs > 0.8
    assert found.heat_w_m3[labels == 1].sum() > 0


def test_a_wave_that_begins_in_bone_is_refused():
    with pytest.raises(InputError, match="inside a solid"):
        march(entry(), layered((1, 10)), (WATER, SOLID), F, H)


def test_heat_of_one_fluid_is_that_of_its_pressure():
    found = march(entry(), layered((0, 20)), (BRAIN,), F, H, absorption_np_m=[(2.0, 0.0)])
    other = fluid_heat(found.pressure_pa, 1040.0, 1560.0, 2.0, attenuation_np_m=3.5, spacing_m=H)
    np.testing.assert_allclose(found.heat_w_m3[:, 1:-1, 1:-1], other[:, 1:-1, 1:-1], atol=1e-5 * other.max())
