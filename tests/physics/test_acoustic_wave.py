"""The full wave: what the grid does to a plane wave, exact layers, exact spheres, the balance of power, and named ends."""

import math

import numba
import numpy as np
import pytest
from order import assert_order
from scipy.interpolate import make_interp_spline

from osteon.errors import InputError
from osteon.physics.acoustic_layers import Layer, Medium, Stack
from osteon.physics.acoustic_layers import solve as exact_layers
from osteon.physics.acoustic_wave import Entry, Points, solve
from osteon.physics.acoustic_wave_boundary import symbol
from osteon.physics.acoustic_wave_media import Media, blend

WATER = Medium(1000.0, 1500.0)
CORTICAL = Medium(1850.0, 2800.0, 46.04, 1550.0, 138.1)  # ITRUSST at 500 kHz, 4 and 12 dB/cm
CORTICAL_1MHZ = Medium(1850.0, 2800.0, 100.0, 1550.0, 250.0)
NAMES = ("density_kg_m3", "speed_m_s", "attenuation_np_m", "shear_speed_m_s", "shear_attenuation_np_m")


def voxels(of, kinds, spacing):
    """Media from a map of numbers and the medium of each."""
    fields = {}
    for name in NAMES:
        field = np.zeros(of.shape)
        for number, medium in enumerate(kinds):
            field[of == number] = getattr(medium, name)
        fields[name] = field
    return Media(**fields, spacing_m=spacing)


def plane_wave(shape, spacing, frequency, angle_deg, azimuth_deg=0.0):
    """A plane wave from water: its entry, and its transverse wave number."""
    xi = 2 * math.pi * frequency / WATER.speed_m_s * math.sin(math.radians(angle_deg))
    across = (xi * math.sin(math.radians(azimuth_deg)), xi * math.cos(math.radians(azimuth_deg)))
    y, x = (np.arange(n) * spacing for n in shape[1:])
    return Entry(1e5 * np.exp(1j * (across[0] * y[:, None] + across[1] * x[None, :])), frequency, across), xi


def through_water(points, angle=0.0, medium=WATER, count=100, frequency=1e6, **settings):
    """A plane wave in one fluid: the wave, and its complex k_z."""
    spacing = WATER.speed_m_s / frequency / points
    shape = (count, 1, 1)
    entry, _ = plane_wave(shape, spacing, frequency, angle)
    wave = solve(voxels(np.zeros(shape, int), [medium], spacing), entry, **settings)
    p = wave.pressure_pa[:, 0, 0].astype(complex)
    place = np.arange(count) * spacing
    part = slice(10, count - 10)
    turns = np.polyfit(place[part], np.unwrap(np.angle(p))[part], 1)[0]
    fades = -np.polyfit(place[part], np.log(np.abs(p))[part], 1)[0]
    return wave, complex(turns, fades)


def slab(points, angle, bone, frequency, azimuth=0.0, thickness=6.5e-3, margin=6e-3, shape=(1, 1), **settings):
    """Ours and exact: absorbed and transmitted share of a slab in water."""
    spacing = WATER.speed_m_s / (frequency * points)
    before, inside = round(margin / spacing), round(thickness / spacing)
    kinds = np.zeros((2 * before + inside, *shape), int)
    kinds[before : before + inside] = 1
    entry, xi = plane_wave(kinds.shape, spacing, frequency, angle, azimuth)
    wave = solve(voxels(kinds, [WATER, bone], spacing), entry, **settings)
    absorbed = float(wave.heat_w_m3.sum()) * spacing**3 / wave.incident_w
    passed = float(wave.through(0)[before + inside + 2].sum()) * spacing**2 / wave.incident_w
    stack = Stack(WATER, (Layer(bone, inside * spacing),), WATER, frequency)
    exact = exact_layers(stack, np.array([xi]))
    return wave, (absorbed, passed), (float(exact.absorbed_share[0, 0]), float(exact.transmitted_share[0]))


@pytest.mark.parametrize("points", [8, 10, 12])
def test_a_plane_wave_has_the_wave_number_of_the_grid_and_none_of_the_time_step(points):
    wave, k = through_water(points, settled=1e-4)
    spacing, true = wave.frame.spacing, 2 * math.pi * 1e6 / 1500.0
    assert wave.how == "settled"
    assert symbol(k.real, spacing) == pytest.approx(true, rel=2e-5)
    assert abs(k.real / true - 1) == pytest.approx(3 / 640 * (true * spacing) ** 4, rel=0.1)
    np.testing.assert_allclose(np.abs(wave.pressure_pa[4:]), 1e5, rtol=1e-3)  # at the driven plane lies a near field of the grid


def test_the_error_of_the_speed_falls_with_the_fourth_power_of_the_voxel():
    true, counts = 2 * math.pi * 1e6 / 1500.0, (7.0, 9.0, 12.0)
    errors = [abs(through_water(n, settled=1e-4, count=round(12 * n))[1].real / true - 1) for n in counts]
    assert_order(errors, [1 / n for n in counts], 4.0, 0.3)


def test_a_smooth_fluid_converges_with_the_fourth_power_of_the_voxel():
    def field(points):
        spacing = 1.5e-3 / points
        z = (np.arange(8 * points) + 0.5) * spacing  # the same box each time, cell centres between those of coarser grids
        ones = np.ones((len(z), 1, 1))
        speed = 1500.0 * (1.0 + 0.2 * np.exp(-(((z - 6e-3) / 1.5e-3) ** 2)))
        media = Media(1000.0 * ones, speed[:, None, None] * ones, 20.0 * ones, spacing)
        entry = Entry(np.full((1, 1), 1e5 * np.exp(2j * np.pi * 1e6 / 1500.0 * spacing / 2)), 1e6)
        p = solve(media, entry, settled=1e-5).pressure_pa[:, 0, 0].astype(complex)
        at = np.linspace(2e-3, 11e-3, 40)
        return make_interp_spline(z, p, k=7)(at)

    truth, counts = field(60), (8, 11, 15)
    errors = [float(np.abs(field(n) - truth).max()) / 1e5 for n in counts]
    assert_order(errors, [1 / n for n in counts], 4.0, 0.5)


def test_a_smaller_step_in_time_changes_nothing_once_steady():
    fields = [slab(10, 20.0, CORTICAL, 0.5e6, settled=1e-5, courant_share=share)[0] for share in (0.95, 0.45, 0.2)]
    assert len({wave.steps_per_period for wave in fields}) == 3
    scale = np.abs(fields[0].pressure_pa).max()
    for wave in fields[1:]:
        np.testing.assert_allclose(wave.pressure_pa, fields[0].pressure_pa, atol=1e-3 * scale)


def test_a_plain_leapfrog_errs_with_the_square_of_the_step_and_ours_not_at_all(monkeypatch):
    """Without the correction of acoustic_wave_march the speed depends on the step: (omega dt)^2 / 24, too fast."""

    def speeds(shares):
        waves = [through_water(12, settled=1e-4, courant_share=share) for share in shares]
        return np.array([k.real for _, k in waves]), [1 / wave.steps_per_period for wave, _ in waves]

    shares = (0.95, 0.5, 0.3)
    ours, _ = speeds(shares)
    np.testing.assert_allclose(ours, ours[0], rtol=1e-5)
    monkeypatch.setattr("osteon.physics.acoustic_wave_march.of_step", lambda angle: (1.0, 1.0))
    plain, steps = speeds(shares)
    assert_order(list(1 - plain / ours[0]), steps, 2.0, 0.1)
    assert 1 - plain[0] / ours[0] == pytest.approx((2 * math.pi * steps[0]) ** 2 / 24, rel=0.1)


@pytest.mark.parametrize("angle", [0.0, 20.0, 40.0])
def test_the_heat_in_a_slab_lies_at_the_exact_depths(angle):
    wave, _, _ = slab(12, angle, CORTICAL, 0.5e6, settled=1e-3)
    spacing, before = wave.frame.spacing, 24
    inside = wave.heat_w_m3[before : before + 26, 0, 0]
    xi = 2 * math.pi * 0.5e6 / 1500.0 * math.sin(math.radians(angle))
    exact = exact_layers(Stack(WATER, (Layer(CORTICAL, 26 * spacing),), WATER, 0.5e6), np.array([xi]))
    expected = 1e10 * exact.heat_w_m3(0, (np.arange(26) + 0.5) * spacing)[0]
    assert np.abs(inside - expected).max() < 0.1 * expected.max()


@pytest.mark.parametrize("attenuation", [5.0, 50.0, 200.0])
def test_a_fluid_attenuates_as_asked_and_turns_it_into_heat(attenuation):
    wave, k = through_water(12, medium=Medium(1000.0, 1500.0, attenuation), settled=1e-4)
    assert k.imag == pytest.approx(attenuation, rel=0.01)
    p = np.abs(wave.pressure_pa[:, 0, 0]).astype(float)
    true = complex(2 * math.pi * 1e6 / 1500.0, attenuation)
    heat = 0.5 * p**2 * (true**2).imag / (1000.0 * 2 * math.pi * 1e6)  # of |p|^2 Im(1/K) omega / 2, 1/K = k^2 / (rho omega^2)
    np.testing.assert_allclose(wave.heat_w_m3[:, 0, 0], heat, rtol=1e-4)
    np.testing.assert_array_equal(wave.shear_w_m3, 0.0)


def test_shear_alone_beyond_the_critical_angle_has_its_speed_and_attenuation_in_an_endless_solid():
    """At 45 degrees from water the longitudinal wave in the solid is evanescent: deep down there is shear only."""
    frequency, spacing, count = 1e6, 1500.0 / 1e6 / 12, 160
    kinds = np.zeros((count, 1, 1), int)
    kinds[30:] = 1
    entry, xi = plane_wave(kinds.shape, spacing, frequency, 45.0)
    wave = solve(voxels(kinds, [WATER, CORTICAL_1MHZ], spacing), entry, settled=1e-4)
    inside = wave.frame.inside()
    s = wave.stress["xz"][inside][90:150, 0, 0].astype(complex)
    z = np.arange(len(s)) * spacing
    found = complex(np.polyfit(z, np.unwrap(np.angle(s)), 1)[0], -np.polyfit(z, np.log(np.abs(s)), 1)[0])
    k_s = CORTICAL_1MHZ.shear_wavenumber(frequency)
    exact = np.sqrt(k_s**2 - xi**2)
    assert found.real == pytest.approx(exact.real, rel=2e-3)
    assert found.imag == pytest.approx(exact.imag, rel=1e-2)
    share = wave.shear_w_m3[90:150].sum() / wave.heat_w_m3[90:150].sum()
    assert share == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("angle", [0.0, 20.0, 40.0])
def test_what_the_layers_send_back_of_a_plane_wave_is_below_40_db(angle):
    wave, _ = through_water(10, angle=angle, settled=1e-3, most_periods=150)
    p = np.abs(wave.pressure_pa[10:-10])
    assert (p.max() - p.min()) / (p.max() + p.min()) < 0.01


@pytest.mark.parametrize("angle", [0.0, 20.0, 40.0])
@pytest.mark.parametrize(("bone", "frequency"), [(CORTICAL, 0.5e6), (CORTICAL_1MHZ, 1e6)])
def test_a_solid_slab_of_6_5_mm_at_12_points_absorbs_and_passes_within_3_points_of_exact(angle, bone, frequency):
    wave, ours, exact = slab(12, angle, bone, frequency)
    assert wave.how == "settled"
    assert wave.caution == ""
    np.testing.assert_allclose(ours, exact, atol=0.03)


def test_a_wave_that_comes_in_aslant_of_both_axes_meets_the_same_slab():
    _, ours, exact = slab(12, 20.0, CORTICAL, 0.5e6, azimuth=30.0, shape=(2, 3))
    _, turned, _ = slab(12, 20.0, CORTICAL, 0.5e6, azimuth=60.0, shape=(3, 2))
    np.testing.assert_allclose(ours, exact, atol=0.03)
    np.testing.assert_allclose(turned, ours, atol=2e-3)


def test_a_fluid_slab_meets_the_exact_one_too():
    _, ours, exact = slab(12, 20.0, CORTICAL.as_fluid, 0.5e6)
    np.testing.assert_allclose(ours, exact, atol=0.03)


@pytest.mark.parametrize("into", [0.0, 0.2, 0.35, 0.5, 0.7, 0.9])
def test_layers_that_end_inside_a_voxel_are_averaged_by_volume(into):
    """A slab of 6.5 mm on voxels of 0.23 mm."""
    frequency, spacing = 0.5e6, 0.23e-3
    top = 20 * spacing + into * spacing
    edges = np.arange(81) * spacing
    share = np.clip((np.minimum(edges[1:], top + 6.5e-3) - np.maximum(edges[:-1], top)) / spacing, 0, 1)[:, None, None]
    whole = [voxels(np.zeros(share.shape, int), [m], spacing) for m in (WATER, CORTICAL)]
    media = blend([(1 - share, whole[0]), (share, whole[1])], frequency)
    for angle in (0.0, 20.0, 40.0):
        entry, xi = plane_wave(media.shape, spacing, frequency, angle)
        wave = solve(media, entry)
        ours = (wave.heat_w_m3.sum() * spacing**3, wave.through(0)[60:75].mean() * spacing**2)
        exact = exact_layers(Stack(WATER, (Layer(CORTICAL, 6.5e-3),), WATER, frequency), np.array([xi]))
        expected = (exact.absorbed_share[0, 0], exact.transmitted_share[0])
        np.testing.assert_allclose(np.array(ours) / wave.incident_w, expected, atol=0.03)


def test_what_enters_is_absorbed_or_leaves():
    wave, _, _ = slab(10, 20.0, CORTICAL, 0.5e6, settled=1e-4)
    assert wave.imbalance < 1e-3
    assert wave.absorbed_w + wave.leaves_w == pytest.approx(wave.enters_w, rel=1e-3)


def test_a_point_in_water_radiates_the_exact_sphere_towards_all_sides():
    """Within 14 cells of it the layers are met at up to 55 degrees."""
    frequency, spacing, n = 1e6, 1.5e-3 / 10, 33
    media = voxels(np.zeros((n, n, n), int), [WATER], spacing)
    rate = 1e-6
    wave = solve(media, Points(np.array([[16, 16, 16]]), np.array([rate + 0j]), frequency), settled=1e-3)
    r = np.sqrt(sum(((np.arange(n) - 16.0) * spacing).reshape(s) ** 2 for s in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))))
    omega = 2 * math.pi * frequency
    far = r > 5 * spacing
    exact = -1j * omega * 1000.0 * rate * np.exp(1j * omega / 1500.0 * r[far]) / (4 * math.pi * r[far])
    error = np.linalg.norm(wave.pressure_pa[far] - exact) / np.linalg.norm(exact)
    assert error < 0.01


def tilted(n=36, points=8):
    """A tilted plate of bone in water, no symmetry left."""
    spacing = 1500.0 / 0.5e6 / points
    z, y, x = np.meshgrid(*(np.arange(n) for _ in range(3)), indexing="ij")
    height = z - 0.35 * x + 0.15 * y
    return voxels(((height > 14) & (height < 21)).astype(int), [WATER, CORTICAL], spacing)


def test_source_and_receiver_may_change_places_with_bone_between():
    media = tilted(25)
    places = np.array([[4, 9, 12], [22, 16, 8]])
    waves = [solve(media, Points(places[i : i + 1], np.array([1e-6 + 0j]), 0.5e6), settled=1e-4) for i in (0, 1)]
    there, back = waves[0].pressure_pa[tuple(places[1])], waves[1].pressure_pa[tuple(places[0])]
    assert abs(there - back) < 2e-3 * abs(there)


def test_in_an_open_box_with_a_tilted_plate_the_power_adds_up():
    media = tilted(36)
    y, x = np.meshgrid(np.arange(36) - 17.0, np.arange(36) - 17.0, indexing="ij")
    wave = solve(media, Entry(1e5 * np.exp(-(y**2 + x**2) / 50.0), 0.5e6), settled=1e-3)
    assert wave.how == "settled"
    assert wave.imbalance < 0.02
    assert 0 < wave.enters_w < wave.incident_w * 1.02
    assert wave.rim < 0.01
    assert "rim" in solve(media, Entry(np.ones((36, 36)), 0.5e6), most_periods=1).caution
    np.testing.assert_allclose(wave.longitudinal_w_m3 + wave.shear_w_m3, wave.heat_w_m3, rtol=1e-4, atol=1e-3)


def test_the_number_of_threads_changes_no_bit():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("numba was started with one thread")
    media, entry = tilted(20), Entry(np.full((20, 20), 1e5 + 0j), 0.5e6)
    before, found = numba.get_num_threads(), []
    try:
        for count in (1, 2):
            numba.set_num_threads(count)
            found.append(solve(media, entry, most_periods=6))
    finally:
        numba.set_num_threads(before)
    assert found[0].how == found[1].how == "unsettled"
    np.testing.assert_array_equal(found[0].pressure_pa, found[1].pressure_pa)
    np.testing.assert_array_equal(found[0].heat_w_m3, found[1].heat_w_m3)


def test_a_march_that_is_stopped_early_says_what_is_still_to_come():
    wave, _, _ = slab(8, 0.0, CORTICAL, 0.5e6, most_periods=9, settled=1e-6)
    assert wave.how == "unsettled"
    assert "9 periods" in wave.why
    assert wave.unsettled > 1e-6
    assert "8.0 points per wavelength" in wave.caution


def test_a_march_that_grows_without_end_is_named():
    with np.errstate(all="ignore"):
        wave, _, _ = slab(8, 0.0, CORTICAL, 0.5e6, courant_share=1.6)
    assert wave.how == "diverged"
    assert wave.why
    assert np.isnan(wave.pressure_pa).all()


def small(**changed):
    """A box of water and bone with one thing changed."""
    kinds = np.zeros((12, 4, 4), int)
    kinds[8:] = 1
    media = voxels(kinds, [WATER, CORTICAL], 0.25e-3)
    fields = {name: getattr(media, name) for name in NAMES} | {"spacing_m": media.spacing_m}
    for name, change in changed.items():
        fields[name] = change(fields[name].copy() if isinstance(fields[name], np.ndarray) else fields[name])
    return Media(**fields)


def put(value):
    def change(field):
        field[9, 1, 1] = value
        return field

    return change


@pytest.mark.parametrize(
    ("media", "source", "word"),
    [
        (small(density_kg_m3=put(np.nan)), Entry(np.ones((4, 4)), 0.5e6), "density"),
        (small(speed_m_s=put(0.0)), Entry(np.ones((4, 4)), 0.5e6), "speed"),
        (small(shear_speed_m_s=put(2700.0)), Entry(np.ones((4, 4)), 0.5e6), "0.866"),
        (small(shear_attenuation_np_m=put(900.0)), Entry(np.ones((4, 4)), 0.5e6), "gain"),
        (small(attenuation_np_m=lambda a: a[:5]), Entry(np.ones((4, 4)), 0.5e6), "shape"),
        (small(spacing_m=lambda _: 1e-3), Entry(np.ones((4, 4)), 0.5e6), "points per wavelength"),
        (small(spacing_m=lambda _: -1.0), Entry(np.ones((4, 4)), 0.5e6), "edge"),
        (small(), Entry(np.ones((4, 4)), -1.0), "frequency"),
        (small(), Entry(np.ones((4, 4)), 1e12), "frequency"),
        (small(), Entry(np.zeros((4, 4)), 0.5e6), "zero everywhere"),
        (small(), Entry(np.full((4, 4), np.nan), 0.5e6), "no number"),
        (small(), Entry(np.ones((3, 4)), 0.5e6), "voxels across"),
        (small(shear_speed_m_s=lambda s: s + 1000.0 * (s == 0)), Entry(np.ones((4, 4)), 0.5e6), "in a solid"),
        (small(), Points(np.array([[9, 1, 1]]), np.ones(1), 0.5e6), "in a solid"),
        (small(), Points(np.array([[2, 1, 9]]), np.ones(1), 0.5e6), "outside"),
        (small(speed_m_s=lambda c: c + 100.0 * (np.arange(4) > 1)), Entry(np.ones((4, 4)), 0.5e6), "entry plane"),
    ],
)
def test_what_cannot_be_marched_is_refused_with_its_value(media, source, word):
    with pytest.raises(InputError, match=word):
        solve(media, source)


def test_a_box_that_does_not_fit_into_memory_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr("osteon.physics.acoustic_wave_march.os.sysconf", lambda name: 1000)
    with pytest.raises(InputError, match="GiB"):
        solve(small(), Entry(np.ones((4, 4)), 0.5e6))
