"""The radiofrequency generator: what voltage it gives next, from what it measures. It knows nothing of tissue.

Voltage enters the heat as its square, so one solution of the potential for 1 V serves until the conductivity has changed; the
generator asks only for the resistance that the electrodes see and for the temperature at the tip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from osteon.errors import SettingError

Mode = Literal["power", "temperature", "impedance", "pulsed"]
State = Literal["on", "pause", "off"]


@dataclass(frozen=True)
class Program:
    """What the operator dialled in, and what the generator can do.

    Parameters
    ----------
    mode : {"power", "temperature", "impedance", "pulsed"}
        Constant power; PID on the thermocouple; constant power with a pause at every roll-off; on and off by the clock.
    power_w : float
        Power asked for, and the most that is given in every mode [W].
    temperature_c : float
        Set temperature of mode ``temperature`` [°C].
    most_current_a, most_voltage_v : float
        Limits of the generator [A], [V].
    proportional_v_k, integral_v_ks : float
        K_p [V/K] and K_i [V/K/s].
    rise : float
        Roll-off: resistance over its lowest so far.
    pause_s : float
        Without power after a roll-off [s].
    on_s, off_s : float
        Cycle of mode ``pulsed`` [s].
    """

    mode: Mode
    power_w: float
    temperature_c: float = math.nan
    most_current_a: float = math.inf
    most_voltage_v: float = math.inf
    proportional_v_k: float = 0.0
    integral_v_ks: float = 0.0
    rise: float = 2.0
    pause_s: float = 15.0
    on_s: float = math.inf
    off_s: float = 0.0

    def __post_init__(self) -> None:
        positive = (self.most_current_a, self.most_voltage_v, self.rise - 1.0, self.pause_s, self.on_s)
        usable = math.isfinite(self.power_w) and self.power_w >= 0 and all(n > 0 for n in positive) and self.off_s >= 0
        if not usable or (self.mode == "temperature" and not math.isfinite(self.temperature_c)):
            raise SettingError(
                f"A generator in mode {self.mode} was asked for {self.power_w:g} W and {self.temperature_c:g} °C, limits "
                f"{self.most_current_a:g} A and {self.most_voltage_v:g} V, roll-off at {self.rise:g} times, "
                f"pause {self.pause_s:g} s.",
                "No generator gives negative power, and roll-off means a rise of the impedance.",
                "Give a power of at least 0 W, a set temperature in mode temperature, and positive limits and times.",
            )


@dataclass(frozen=True)
class Reading:
    """What the generator sees at one moment.

    Parameters
    ----------
    time_s : float
        Since power on [s].
    resistance_ohm : float
        Between the contacts, or contact and pads [ohm].
    tip_c : float
        The tissue at the thermocouple without voltage [°C].
    tip_rate_k_sv2 : float
        How fast one volt squared warms it [K/s/V²].
    tip_rise_k_v2 : float
        How much warmer the thermocouple in the metal is at once, per volt squared [K/V²].
    """

    time_s: float
    resistance_ohm: float
    tip_c: float = math.nan
    tip_rate_k_sv2: float = 0.0
    tip_rise_k_v2: float = 0.0


@dataclass
class Generator:
    """State machine: on, pause, off.

    Parameters
    ----------
    program : Program
        What to do.
    """

    program: Program
    state: State = "on"
    baseline_ohm: float = math.nan
    pauses: int = 0
    resumes_s: float = -math.inf
    integral_ks: float = 0.0
    _last: tuple[float, float, float] | None = field(default=None, repr=False)  # time, tip temperature, voltage

    def voltage(self, reading: Reading, step_s: float) -> float:
        """Return the voltage [V] for the next ``step_s`` seconds.

        Parameters
        ----------
        reading : Reading
            What it sees now.
        step_s : float
            Until it looks again [s].
        """
        program = self.program
        if not reading.resistance_ohm >= self.baseline_ohm:
            self.baseline_ohm = reading.resistance_ohm
        self.state = self._next(reading)
        if self.state != "on":
            volts = 0.0
        elif program.mode == "temperature":
            volts = min(self._controlled(reading, step_s), self._most(reading.resistance_ohm))
        else:
            volts = self._most(reading.resistance_ohm)
        self._last = (reading.time_s, reading.tip_c, volts)
        return volts

    def waits(self, time_s: float) -> bool:
        """Tell whether a pause after a roll-off lasts beyond this moment."""
        return self.program.mode == "impedance" and self.state == "pause" and time_s < self.resumes_s - 1e-6

    def _next(self, reading: Reading) -> State:
        program, tiny = self.program, 1e-6
        if program.mode == "pulsed":
            return "on" if reading.time_s % (program.on_s + program.off_s) < program.on_s - tiny else "pause"
        if program.mode != "impedance":
            return "on"
        if self.state == "pause":
            return "on" if reading.time_s >= self.resumes_s - tiny else "pause"
        if reading.resistance_ohm > program.rise * self.baseline_ohm:
            self.pauses += 1
            self.resumes_s = reading.time_s + program.pause_s
            return "pause"
        return "on"

    def _most(self, resistance_ohm: float) -> float:
        """Return the voltage at which the first limit is reached [V]."""
        program = self.program
        return min(math.sqrt(program.power_w * resistance_ohm), program.most_current_a * resistance_ohm, program.most_voltage_v)

    def _controlled(self, reading: Reading, step_s: float) -> float:
        r"""Return the voltage of the controller, taken at the end of the step.

        :math:`V = K_p (T_s - T(V)) + K_i \int (T_s - T)\,dt` with :math:`T(V) = T + \Delta t\,(r V^2 + d) + \rho V^2`, d what
        warms or cools without the voltage. Taken at the start of the step, a K_p of 40 V/K would swing from limit to limit.
        """
        program = self.program
        error = program.temperature_c - reading.tip_c
        drift = shown = 0.0
        if self._last is not None and reading.time_s > self._last[0]:
            then_s, then_c, volts = self._last
            drift = (reading.tip_c - then_c) / (reading.time_s - then_s) - reading.tip_rate_k_sv2 * volts * volts
            drift, shown = min(drift, 0.0), reading.tip_rise_k_v2 * volts * volts
        if abs(error - shown) < 5.0:  # no winding up while it is far away
            self.integral_ks += (error - shown) * step_s
        c = program.proportional_v_k * (error - step_s * drift) + program.integral_v_ks * self.integral_ks
        a = program.proportional_v_k * (step_s * max(reading.tip_rate_k_sv2, 0.0) + max(reading.tip_rise_k_v2, 0.0))
        if c <= 0.0:
            return 0.0
        return 2.0 * c / (1.0 + math.sqrt(1.0 + 4.0 * a * c))  # of a V² + V - c = 0
