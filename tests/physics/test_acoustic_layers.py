"""Plane waves through flat layers: the published table, an independent coding, and where every watt goes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.physics.acoustic_interface import energy_in, fluid_on_solid
from osteon.physics.acoustic_layers import Layer, Medium, Stack, solve, vertical
from osteon.physics.acoustic_scatter import scatter
from osteon.validation import plane_wave_second

DB_CM = 11.51  # Np/m
MUSCLE, BONE = Medium(1090.0, 1575.0), Medium(1850.0, 2800.0, shear_speed_m_s=1550.0)
WATER, SKIN = Medium(1000.0, 1500.0), Medium(1090.0, 1610.0, 0.2 * DB_CM)
CORTICAL = Medium(1850.0, 2800.0, 4 * DB_CM, 1550.0, 12 * DB_CM)
TRABECULAR = Medium(1700.0, 2300.0, 8 * DB_CM, 1400.0, 12 * DB_CM)
BRAIN = Medium(1040.0, 1560.0, 0.3 * DB_CM)
ANGLES = np.arange(0.0, 90.0, 1.0)


def head(solid=True, frequency=0.5e6):
    """ITRUSST benchmark 4, elastic as in acoustics reference A6, or fluid."""
    layers = ((SKIN, 4e-3), (CORTICAL, 1.5e-3), (TRABECULAR, 4e-3), (CORTICAL, 1e-3))
    return Stack(WATER, tuple(Layer(m if solid else m.as_fluid, d) for m, d in layers), BRAIN, frequency)


def test_acoustics_reference_table_of_energy_that_enters_cortical_bone_within_0_1_points():
    angle = np.array([0.0, 15, 20, 25, 30, 40, 60])
    fluid = [74.8, 71.6, 68.4, 62.6, 50.8, 0.0, 0.0]
    solid = [74.8, 76.4, 77.5, 78.6, 78.4, 94.5, 97.3]
    shear = [0, 14.0, 23.9, 35.0, 44.6, 100, 100]
    enters, part = energy_in(MUSCLE, BONE, 1e6, angle)
    np.testing.assert_allclose(100 * enters, solid, atol=0.1)
    np.testing.assert_allclose(100 * part, shear, atol=0.1)
    np.testing.assert_allclose(100 * energy_in(MUSCLE, BONE.as_fluid, 1e6, angle)[0], fluid, atol=0.1)
    stack = Stack(MUSCLE, (), BONE, 1e6)
    found = solve(stack, stack.transverse_per_m(angle))
    np.testing.assert_allclose(100 * found.entering, solid, atol=0.1)
    np.testing.assert_allclose(100 * found.transmitted_shear_share / found.entering, shear, atol=0.1)


@pytest.mark.parametrize("bone", [BONE, BONE.as_fluid, Medium(1908.0, 3515.0, shear_speed_m_s=1750.0)])
def test_one_interface_without_loss_gives_back_every_watt_from_0_to_89_degrees(bone):
    stack = Stack(MUSCLE, (), bone, 1e6)
    found = solve(stack, stack.transverse_per_m(ANGLES))
    whole = found.reflected_share + found.transmitted_share + found.transmitted_shear_share
    np.testing.assert_allclose(whole, 1.0, atol=1e-6)
    np.testing.assert_allclose(found.entering, 1 - found.reflected_share, atol=1e-6)


def test_the_matrix_and_brekhovskikhs_closed_form_agree_with_and_without_loss():
    for bone in (BONE, BONE.as_fluid, CORTICAL):
        stack = Stack(MUSCLE, (), bone, 1e6)
        xi = stack.transverse_per_m(np.append(ANGLES, 89.9)) * 1.3  # some of it evanescent already in the first medium
        found, closed = solve(stack, xi), fluid_on_solid(MUSCLE, bone, 1e6, xi)
        for ours, other in zip((found.reflected, found.transmitted, found.transmitted_shear), closed, strict=True):
            np.testing.assert_allclose(ours, other, rtol=1e-8, atol=1e-9)


STACKS = [
    head(),
    head(solid=False),
    head(frequency=1.2e6),
    Stack(MUSCLE, (Layer(CORTICAL, 6.5e-3),), BRAIN, 1e6),
    Stack(MUSCLE, (Layer(SKIN, 2e-3), Layer(CORTICAL, 3e-3), Layer(BRAIN, 5e-3), Layer(TRABECULAR, 3e-3)), CORTICAL, 1e6),
]


@pytest.mark.parametrize("stack", STACKS)
def test_two_independent_codings_agree_within_0_1_percent_at_every_degree(stack):
    xi = stack.transverse_per_m(ANGLES + 0.3)
    found = solve(stack, xi)
    for i, one in enumerate(xi):
        reflected, on, taken = plane_wave_second.respond(stack, float(one))
        assert abs(found.reflected[i] - reflected) < 1e-3
        assert abs(found.entering[i] - found.absorbed_share[:, i].sum() - on) < 1e-3
        np.testing.assert_allclose(found.absorbed_share[:, i], taken, atol=1e-3)


def test_a_fluid_slab_of_half_a_wavelength_is_not_there_and_one_of_a_quarter_matches():
    half = Stack(WATER, (Layer(Medium(1850.0, 2800.0), 1.4e-3),), WATER, 1e6)
    assert solve(half, np.zeros(1)).reflected_share[0] == pytest.approx(0, abs=1e-12)
    between = Medium(1000.0 * np.sqrt(6), 1500.0)  # impedance the geometric mean of 1.5 and 9 MRayl
    quarter = Stack(WATER, (Layer(between, 0.375e-3),), Medium(3000.0, 3000.0), 1e6)
    assert solve(quarter, np.zeros(1)).reflected_share[0] == pytest.approx(0, abs=1e-12)


def test_a_thick_oblique_layer_neither_overflows_nor_leaks():
    stack = Stack(MUSCLE, (Layer(CORTICAL, 1.0), Layer(TRABECULAR, 1.0)), BRAIN, 5e6)
    found = solve(stack, np.concatenate([stack.transverse_per_m(ANGLES), [1e5, 1e6]]))
    half = fluid_on_solid(MUSCLE, CORTICAL, 5e6, found.transverse_per_m)[0]
    np.testing.assert_allclose(found.reflected, half, rtol=1e-8)
    assert np.nanmax(np.abs(found.transmitted)) < 1e-12
    assert np.isnan(found.entering[-2:]).all()
    assert found.residual < 1e-10


@given(
    st.floats(0.2e6, 3e6),
    st.floats(0, 89),
    st.floats(0.2e-3, 20e-3),
    st.floats(1000, 2000),
    st.floats(0.1, 0.6),
    st.floats(0, 300),
)
@settings(max_examples=60, deadline=None)
def test_what_enters_is_absorbed_or_goes_on_and_heat_is_what_is_absorbed(frequency, angle, thick, density, ratio, loss):
    solid = Medium(density, 2600.0, loss, 2600.0 * ratio, 2 * loss)
    stack = Stack(WATER, (Layer(SKIN, 3e-3), Layer(solid, thick)), BRAIN, frequency)
    found = solve(stack, stack.transverse_per_m(np.array([angle])))
    assert (found.absorbed_share > -1e-9).all()
    on = found.transmitted_share[0]
    assert found.entering[0] == pytest.approx(found.absorbed_share.sum() + on, abs=2e-6)
    assert found.entering[0] + found.reflected_share[0] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("degree", [0.0, 20.0, 40.0, 70.0])
def test_heat_over_a_layer_is_the_power_that_stays_there(degree):
    stack = head()
    found = solve(stack, stack.transverse_per_m(np.array([degree])))
    incident = 0.5 * np.cos(np.radians(degree)) / (1000.0 * 1500.0)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for place, layer in enumerate(stack.layers):
        heat = found.heat_w_m3(place, (nodes + 1) / 2 * layer.thickness_m)[0]
        assert (heat > 0).all()
        assert heat @ weights * layer.thickness_m / 2 == pytest.approx(found.absorbed_share[place, 0] * incident, rel=1e-6)


def test_a_plane_wave_in_an_endless_solid_heats_by_twice_its_attenuation_times_intensity():
    bone = Medium(1850.0, 2800.0, 5.0, 1550.0, 5.0)  # little loss, or the law is only near
    stack = Stack(Medium(1850.0, 2800.0), (), bone, 1e6)
    found = solve(stack, np.zeros(1))
    intensity = abs(found.transmitted[0]) ** 2 / (2 * 1850.0 * 2800.0)
    assert found.heat_w_m3(0, np.zeros(1))[0, 0] == pytest.approx(2 * 5.0 * intensity, rel=1e-4)


def test_stress_and_displacement_go_on_across_a_face_between_solids():
    found = solve(head(), head().transverse_per_m(np.array([25.0])))
    u, s = found.state(1, np.array([1.5e-3]))
    v, t = found.state(2, np.array([0.0]))
    np.testing.assert_allclose(u, v, rtol=1e-9)
    np.testing.assert_allclose(s[1:3], t[1:3], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Medium(0.0, 1500.0),
        lambda: Medium(1000.0, float("nan")),
        lambda: Medium(1000.0, 1500.0, -1.0),
        lambda: Medium(1850.0, 2800.0, shear_speed_m_s=2700.0),
        lambda: Layer(SKIN, 0.0),
        lambda: Stack(BONE, (), WATER, 1e6),
        lambda: Stack(WATER, (), BONE, -1e6),
        lambda: Stack(WATER, (), BONE, 1e12),
        lambda: energy_in(WATER, BONE, 1e6, np.array([90.0])),
        lambda: fluid_on_solid(BONE, BONE, 1e6, np.zeros(1)),
        lambda: solve(Stack(WATER, (), BONE, 1e6), np.array([np.nan])),
        lambda: solve(Stack(WATER, (), BONE, 1e6), np.zeros(1)).state(3, np.zeros(1)),
        lambda: solve(Stack(WATER, (), BONE, 1e6), np.zeros(1)).state(0, np.array([-1.0])),
    ],
)
def test_what_no_wave_can_follow_is_refused(make):
    with pytest.raises(InputError):
        make()


def test_one_face_scatters_as_the_closed_form_and_sums_to_the_exact_layer():
    first, bone, last = (
        Medium(1090.0, 1575.0, 5.0),
        Medium(1850.0, 2800.0, 60.0, 1550.0, 150.0),
        Medium(1700.0, 2300.0, 80.0, 1400.0, 150.0),
    )
    xi = np.linspace(0, 1.3, 40) * 2 * np.pi * 1e6 / 1575
    down, up, out = (
        scatter(first, bone, 1e6, xi, down=True),
        scatter(first, bone, 1e6, xi, down=False),
        scatter(bone, last, 1e6, xi, down=True),
    )
    np.testing.assert_allclose(down[:, 0], fluid_on_solid(first, bone, 1e6, xi), atol=1e-9)
    exact = solve(Stack(first, (Layer(bone, 2e-3),), last, 1e6), xi)
    decay = np.exp(2e-3j * np.stack([vertical(k, xi) for k in (bone.wavenumber(1e6), bone.shear_wavenumber(1e6))]))
    wave, reflected, through = down[1:, 0], down[0, 0].copy(), 0
    for _ in range(150):
        wave = wave * decay
        through = through + np.einsum("oin,in->on", out[2:], wave)
        back = np.einsum("oin,in->on", out[:2], wave) * decay
        reflected += (up[2] * back).sum(axis=0)
        wave = np.einsum("oin,in->on", up[:2], back)
    np.testing.assert_allclose(reflected, exact.reflected, atol=1e-9)
    np.testing.assert_allclose(through[0], exact.transmitted, atol=1e-9)
    np.testing.assert_allclose(through[1], exact.transmitted_shear, atol=1e-9)
