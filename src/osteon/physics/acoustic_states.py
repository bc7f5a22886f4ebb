"""The equations of flat layers: one row for each condition at a face; and the power and heat that follow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.physics.acoustic_layers import Medium, Response, Stack, waves

Array = np.ndarray[Any, np.dtype[Any]]
U_Z, U_X, S_ZZ, S_XZ = range(4)  # rows of a state


def _scaled(medium: Medium, stack: Stack, xi: Array) -> tuple[Array, Array]:
    """Return the waves of a medium with displacement rows made comparable between media and with stress, and their k_z."""
    state, k_z = waves(medium, stack.frequency_hz, xi)
    k_first = 2 * math.pi * stack.frequency_hz / stack.first.speed_m_s
    state[:2] *= stack.first.density_kg_m3 / (medium.density_kg_m3 * k_first)
    return state, k_z


def _ends(stack: Stack, xi: Array) -> list[tuple[Array, Array]]:
    """Return, medium by medium, the states at its upper and lower face per amplitude; what grows counts from its own face."""
    found = []
    media = stack.media
    for place, medium in enumerate(media):
        state, k_z = _scaled(medium, stack, xi)
        half = state.shape[1] // 2
        if place == 0:
            found.append((state, state))
        elif place == len(media) - 1:
            found.append((state[:, :half], state[:, :half]))
        else:
            decay = np.exp(1j * k_z * stack.layers[place - 1].thickness_m)
            top, bottom = state.copy(), state.copy()
            top[:, half:] *= decay[half:]
            bottom[:, :half] *= decay[:half]
            found.append((top, bottom))
    return found


def conditions(above: Medium, below: Medium) -> list[tuple[int, bool, bool]]:
    """Return which rows of the state hold at a face, and whether each side takes part."""
    rows = [(U_Z, True, True), (S_ZZ, True, True)]
    if above.solid and below.solid:
        return [*rows, (U_X, True, True), (S_XZ, True, True)]
    if above.solid or below.solid:
        rows.append((S_XZ, above.solid, below.solid))
    return rows


def assemble(stack: Stack, xi: Array) -> tuple[Array, Array, list[slice]]:
    """Return matrix (n, m, m), right side (n, m) and the columns of each medium (the first: column 0)."""
    media, ends = stack.media, _ends(stack, xi)
    places, at = [slice(0, 1)], 1
    for _, bottom in ends[1:]:
        places.append(slice(at, at + bottom.shape[1]))
        at += bottom.shape[1]
    matrix = np.zeros((len(xi), at, at), complex)
    right = np.zeros((len(xi), at), complex)
    row = 0
    for face in range(len(media) - 1):
        for kind, upper, lower in conditions(media[face], media[face + 1]):
            if upper and face == 0:
                matrix[:, row, 0] = ends[0][1][kind, 1]
                right[:, row] = -ends[0][1][kind, 0]
            elif upper:
                matrix[:, row, places[face]] = ends[face][1][kind].T
            if lower:
                matrix[:, row, places[face + 1]] = -ends[face + 1][0][kind].T
            row += 1
    if row != at:  # pragma: no cover - the count of conditions is that of the waves
        raise AssertionError(f"{row} conditions for {at} waves")
    return matrix, right, places


def _flux(state: Array) -> Array:
    """Return -1/2 Re(stress x conj(velocity)) through a face, up to one factor that all media share."""
    return np.asarray(-0.5 * (state[S_ZZ] * np.conj(-1j * state[U_Z]) + state[S_XZ] * np.conj(-1j * state[U_X])).real)


def shares(stack: Stack, xi: Array, amplitudes: tuple[Array, ...], residual: float) -> Response:
    """Return the response with its shares of power."""
    ends = _ends(stack, xi)
    reflected = amplitudes[0][0]
    incident = _flux(ends[0][0][:, 0])
    counted = np.where(incident > 1e-12 * incident.max(initial=0.0), incident, np.nan)
    passing = []  # through the upper face of each medium below the first, and the lower one of each layer
    for place in range(1, len(stack.media)):
        top, bottom = ends[place]
        passing.append(_flux(np.einsum("swn,wn->sn", top, amplitudes[place])))
        if place < len(stack.media) - 1:
            passing.append(_flux(np.einsum("swn,wn->sn", bottom, amplitudes[place])))
    absorbed = [(passing[2 * i] - passing[2 * i + 1]) / counted for i in range(len(stack.layers))]
    last, down = ends[-1][0], amplitudes[-1]
    by_shear = _flux(last[:, 1] * down[1]) / counted if stack.last.solid else np.zeros(len(xi)) * counted
    return Response(
        xi,
        reflected,
        down[0],
        down[1] if stack.last.solid else np.zeros_like(reflected),
        passing[0] / counted,
        np.abs(reflected) ** 2 + 0 * counted,
        _flux(last[:, 0] * down[0]) / counted,
        by_shear,
        np.array(absorbed).reshape(len(stack.layers), len(xi)),
        residual,
        stack,
        amplitudes,
    )


def _strains(response: Response, layer: int, depth_m: Array) -> tuple[Array, Array, Array, Array, Array, Medium]:
    """Return u_x, u_z, stress zz, stress xz and dilatation, each (n, m), and the medium."""
    stack, xi = response.stack, response.transverse_per_m
    if not 0 <= layer <= len(stack.layers):
        raise InputError(
            f"There is no layer {layer}.",
            f"The stack has {len(stack.layers)}; the medium below counts as the next.",
            "Count layers from 0.",
        )
    medium = stack.media[layer + 1]
    thickness = stack.layers[layer].thickness_m if layer < len(stack.layers) else math.inf
    if not (np.isfinite(depth_m).all() and (depth_m >= 0).all() and (depth_m <= thickness * (1 + 1e-12)).all()):
        raise InputError(
            f"A depth lies outside layer {layer}, which is {thickness:g} m thick.",
            "Waves there belong to another medium.",
            "Give depths from its upper face, in metres.",
        )
    state, k_z = waves(medium, stack.frequency_hz, xi)
    half, amplitude = state.shape[1] // 2, response.amplitudes[layer + 1]
    path = [depth_m if w < half else thickness - depth_m for w in range(len(amplitude))]
    grown = np.stack([amplitude[w][:, None] * np.exp(1j * k_z[w][:, None] * path[w]) for w in range(len(amplitude))])
    whole = np.einsum("swn,wnm->snm", state[:, : len(amplitude)], grown)
    scale = 1.0 / (medium.density_kg_m3 * (2 * math.pi * stack.frequency_hz) ** 2)
    longitudinal = grown[0] + (grown[half] if len(amplitude) > half else 0)
    dilatation = -(medium.wavenumber(stack.frequency_hz) ** 2) * longitudinal * scale
    return whole[U_X] * scale, whole[U_Z] * scale, whole[S_ZZ], whole[S_XZ], dilatation, medium


def _moduli(medium: Medium, frequency_hz: float) -> tuple[complex, complex]:
    """Return Lame's two moduli [Pa], complex where the medium has loss."""
    square = medium.density_kg_m3 * (2 * math.pi * frequency_hz) ** 2
    mu = square / medium.shear_wavenumber(frequency_hz) ** 2 if medium.solid else 0j
    return square / medium.wavenumber(frequency_hz) ** 2 - 2 * mu, mu


def inside(response: Response, layer: int, depth_m: Array) -> tuple[Array, Array]:
    """Return displacement (x, z) and stress (xx, xz, zz, yy) at depths of a layer; see ``Response.state``."""
    u_x, u_z, s_zz, s_xz, dilatation, medium = _strains(response, layer, depth_m)
    lam, mu = _moduli(medium, response.stack.frequency_hz)
    e_xx = 1j * response.transverse_per_m[:, None] * u_x
    return np.stack([u_x, u_z]), np.stack([lam * dilatation + 2 * mu * e_xx, s_xz, s_zz, lam * dilatation])


def heat(response: Response, layer: int, depth_m: Array) -> Array:
    r"""Return :math:`\frac12\mathrm{Re}(\sigma_{ij}\dot\varepsilon_{ij}^*)` [W/m³] at depths; see ``Response.heat_w_m3``."""
    u_x, _, s_zz, s_xz, dilatation, medium = _strains(response, layer, depth_m)
    lam, mu = _moduli(medium, response.stack.frequency_hz)
    e_xx = 1j * response.transverse_per_m[:, None] * u_x
    e_xz = s_xz / (2 * mu) if medium.solid else np.zeros_like(s_xz)
    s_xx = lam * dilatation + 2 * mu * e_xx
    work = s_xx * np.conj(e_xx) + s_zz * np.conj(dilatation - e_xx) + 2 * s_xz * np.conj(e_xz)
    return np.asarray(-math.pi * response.stack.frequency_hz * work.imag)
