"""Three-state cell death voxel by voxel. Flat arrays; called by ``cell_death`` only."""

import math

from numba import njit


@njit(cache=True, fastmath=True, error_model="numpy")
def advance(alive, dead, rate, before_c, now_c, idle_alive, idle_dead, idle_c, seconds, kf, kb, tk, step_s, gone):
    """Advance alive A and dead D over ``seconds`` with a straight line of temperature, by Runge-Kutta of fourth order.

    A voxel that stays at or below ``idle_c`` and is as the idle tissue was (still marked by alive < 0) waits; it costs nothing.
    ``idle_alive``, ``idle_dead``: the state of idle tissue at the beginning of the step. Below ``gone`` no change is followed.
    ``rate`` keeps the rate at the end of a step for the next one; below 0: not known.
    """
    touched = 0
    for i in range(alive.size):
        t0, t1 = before_c[i], now_c[i]
        if alive[i] < 0.0:
            if t0 <= idle_c and t1 <= idle_c:
                continue
            alive[i], dead[i], rate[i] = idle_alive, idle_dead, -1.0
        elif 1.0 - dead[i] <= gone:
            continue
        touched += 1
        r0 = rate[i] if rate[i] > 0.0 else kf * math.exp(t0 / tk)
        r1 = kf * math.exp(t1 / tk)
        n = max(1, math.ceil(seconds / min(step_s, 0.2 / max(r0, r1))))
        h = seconds / n
        # The rate is exponential in a temperature that is a straight line.
        half = math.sqrt(r1 / r0) if n == 1 else (r1 / r0) ** (0.5 / n)
        a, d, start = alive[i], dead[i], r0
        for _ in range(n):
            middle = start * half
            end = middle * half
            f = start * (1.0 - a)
            a1, d1 = -f * a + kb * (1.0 - a - d), f * (1.0 - a - d)
            x, y = a + 0.5 * h * a1, d + 0.5 * h * d1
            f = middle * (1.0 - x)
            a2, d2 = -f * x + kb * (1.0 - x - y), f * (1.0 - x - y)
            x, y = a + 0.5 * h * a2, d + 0.5 * h * d2
            f = middle * (1.0 - x)
            a3, d3 = -f * x + kb * (1.0 - x - y), f * (1.0 - x - y)
            x, y = a + h * a3, d + h * d3
            f = end * (1.0 - x)
            a4, d4 = -f * x + kb * (1.0 - x - y), f * (1.0 - x - y)
            a += h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
            d += h / 6.0 * (d1 + 2.0 * d2 + 2.0 * d3 + d4)
            start = end
        alive[i], dead[i], rate[i] = a, d, r1
    return touched
