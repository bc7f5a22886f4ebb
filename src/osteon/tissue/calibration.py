r"""From Hounsfield numbers to a density of bone: by a phantom, by air, fat and muscle, by tissues of the patient, or not at all.

Every way ends in :math:`\rho = c_0 + c_1 HU + c_2 HU^2` of one kind of density; :math:`c_2 = 0` but for the internal way.
What the band says is how far the *failure load* may lie off by calibration alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from osteon.errors import InputError, MissingError
from osteon.space.volume import Array
from osteon.tissue.bone_density import KINDS, Density
from osteon.tissue.calibration_peaks import settings
from osteon.tissue.internal_energy import TISSUES, InternalFit, energy_by_density, fit_internal, mass_attenuation

METHODS = ("phantom", "air-fat-muscle", "internal", "composition", "none")


@dataclass(frozen=True)
class Sample:
    """What a calibration was fitted to.

    Parameters
    ----------
    name : str
        The rod or the tissue.
    hu : float
        Its Hounsfield number.
    density_g_cm3 : float
        What it is held to have.
    residual_g_cm3 : float
        Fitted minus held.
    """

    name: str
    hu: float
    density_g_cm3: float
    residual_g_cm3: float


@dataclass(frozen=True)
class Calibration:
    """A way from Hounsfield numbers to one kind of density.

    Parameters
    ----------
    method : {"phantom", "air-fat-muscle", "internal", "composition", "none", "given"}
        Which way; "given": by hand, or the image holds densities already.
    kind : str
        The kind of density it gives.
    slope : float
        g/cm3 per HU.
    intercept : float
        g/cm3 at 0 HU.
    curvature : float
        g/cm3 per HU squared; 0 but for the internal way.
    samples : tuple of Sample
        What it was fitted to.
    band : tuple of float
        Low and high factor on the failure load from calibration alone, for example (0.85, 1.15).
    sources : tuple of str
        Ids of papers.
    notes : tuple of str
        What weakens it.
    energy_kev : float or None
        Effective energy of the scan, where the way finds one.
    """

    method: str
    kind: str
    slope: float
    intercept: float
    curvature: float
    samples: tuple[Sample, ...]
    band: tuple[float, float]
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    energy_kev: float | None = None

    @property
    def residuals(self) -> tuple[float, ...]:
        """Fitted minus held density of each sample [g/cm3]."""
        return tuple(s.residual_g_cm3 for s in self.samples)

    def density(self, hu: ArrayLike) -> Density:
        """Return the densities of Hounsfield numbers."""
        x = np.asarray(hu, dtype=float)
        return Density(self.kind, self.intercept + x * (self.slope + self.curvature * x), (f"calibration: {self.method}",))

    def outside(self, hu: ArrayLike) -> tuple[int, float]:
        """Return how many Hounsfield numbers, and what share, lie beyond those that were sampled; without samples: all."""
        x = np.asarray(hu, dtype=float)
        if not self.samples:
            return int(x.size), 1.0
        sampled = [s.hu for s in self.samples]
        count = int(((x < min(sampled)) | (x > max(sampled))).sum())
        return count, count / max(x.size, 1)


def from_phantom(
    hu: Sequence[float], rods: Density, contrast: bool | None = False, water_mg_cm3: Sequence[float] | None = None
) -> Calibration:
    """Return the line through the rods of a phantom; its kind of density is that of the rods.

    Parameters
    ----------
    hu : sequence of float
        Mean Hounsfield number of each rod.
    rods : Density
        What its maker says of each; K2HPO4 and hydroxyapatite phantoms differ.
    contrast : bool or None
        Whether contrast agent was given; None: not known.
    water_mg_cm3 : sequence of float, optional
        Water-equivalent density of each rod, where the certificate gives it beside K2HPO4 (Mindways): salt displaces water.

    Returns
    -------
    Calibration
        With the residual of each rod.

    Raises
    ------
    InputError
        If there are fewer than three rods, they do not differ, or density does not rise with HU.
    """
    x, y = np.asarray(hu, dtype=float), np.atleast_1d(rods.values_g_cm3)
    if x.shape != y.shape or x.ndim != 1 or x.size < 3:
        raise InputError(
            f"A phantom calibration was given {x.size} Hounsfield numbers and {y.size} rods.",
            "With fewer than three rods a wrong one cannot be seen.",
            "Give one mean HU and one density for each of three rods or more.",
        )
    if water_mg_cm3 is None:
        slope, intercept = _line(x, y, "the rods of the phantom")
    else:
        slope, intercept = _dissolved(x, y, np.asarray(water_mg_cm3, dtype=float))
        x = (
            x
            - np.asarray(water_mg_cm3, dtype=float)
            - settings()["water_displaced"].number * 1e3 * y
            + settings()["water_offset"].number
        )
    samples = _samples([f"rod {i + 1}" for i in range(x.size)], x, y, slope * x + intercept)
    notes = [f"Its line is known from {x.min():.0f} to {x.max():.0f} HU; denser bone is computed by the same line."]
    band = _band("band_phantom", contrast, notes, "The agent in marrow is read as bone.")
    return Calibration("phantom", rods.kind, slope, intercept, 0.0, samples, band, ("eggermont-2019",), tuple(notes))


def from_air_fat_muscle(hu: Mapping[str, float], contrast: bool | None = False) -> Calibration:
    """Return the line through the Hounsfield numbers of air, fat and muscle; it gives hydroxyapatite-equivalent density.

    Parameters
    ----------
    hu : mapping
        ``air``, ``fat`` and ``muscle``, for example from ``peaks``.
    contrast : bool or None
        Whether contrast agent was given; None: not known. Muscle takes it up, so the band is then wider and says why.

    Raises
    ------
    MissingError
        If one of the three is missing.
    InputError
        If they are not in order.
    """
    names = ("air", "fat", "muscle")
    _complete(hu, names)
    x = np.array([hu[n] for n in names], dtype=float)
    y = np.array([settings()[f"reference_{n}"].number for n in names]) * 1e-3
    slope, intercept = _line(x, y, "air, fat and muscle")
    notes = [
        "The three reference densities are recalled and not confirmed.",
        "Bone lies beyond muscle: the line is continued to it.",
        "It cannot see the energy of the scan: on synthetic tissues 0.2 g/cm3 of hydroxyapatite in water read "
        "35 % high at 60 keV, 6 % high at 70 and 16 % low at 80.",
    ]
    band = _band("band_air_fat_muscle", contrast, notes, "The agent raises muscle, so the line is too flat.")
    fitted = _samples(names, x, y, slope * x + intercept)
    return Calibration("air-fat-muscle", "ha", slope, intercept, 0.0, fitted, band, ("eggermont-2019",), tuple(notes))


def from_internal(hu: Mapping[str, float], contrast: bool | None = False) -> Calibration:
    r"""Return K2HPO4-equivalent density by the internal way of Michalski 2020.

    The energy at which tabulated mass attenuation is most nearly a line of HU is taken for that of the scan; with
    :math:`\mu/\rho = a\,HU + b` and :math:`\rho_{arch} = c\,HU + d`, two components give

    .. math:: \rho_{K_2HPO_4} = \rho_{arch} \frac{\mu/\rho - \mu_{TG}}{\mu_{K_2HPO_4} - \mu_{TG}}

    Parameters
    ----------
    hu : mapping
        Mean Hounsfield numbers of ``adipose``, ``air``, ``blood``, ``bone`` (cortical) and ``muscle``.
    contrast : bool or None
        Whether contrast agent was given; None: not known.

    Returns
    -------
    Calibration
        Residuals are those of the density of the five tissues [g/cm3], not of mineral.

    Raises
    ------
    MissingError
        If a tissue is missing.
    InputError
        If contrast agent was given, or no energy within the table fits best.
    """
    _complete(hu, TISSUES)
    if contrast:
        raise InputError(
            f"The blood of {hu['blood']:.0f} HU holds contrast agent.",
            "The internal calibration takes blood for plain blood and would find a wrong energy of the scan.",
            "Use a CT without contrast agent, a phantom, or air, fat and muscle with their wider band.",
        )
    fit: InternalFit = fit_internal(hu)
    notes = [
        f"Effective energy {fit.energy_kev:.1f} keV, R2 {fit.r2:.3f}; cortical bone next to the lesion may be ill itself.",
        "Fat without mineral is 0 and water is not: soft tissue reads above 0 by this two-component rule.",
        *fit.notes,
        *_thin(hu),
    ]
    band = _band("band_internal", contrast, notes, "")
    x = np.array([hu[t] for t in TISSUES], dtype=float)
    samples = _samples(TISSUES, x, np.array(fit.densities), fit.c * x + fit.d)
    over = fit.k2hpo4 - fit.triglyceride
    return Calibration(
        "internal",
        "k2hpo4",
        (fit.a * fit.d + fit.c * (fit.b - fit.triglyceride)) / over,
        fit.d * (fit.b - fit.triglyceride) / over,
        fit.a * fit.c / over,
        samples,
        band,
        ("michalski-2020", "nist-xray-attenuation", "ogo"),
        tuple(notes),
        fit.energy_kev,
    )


def from_composition(
    hu: Mapping[str, float], contrast: bool | None = False, marrow: Literal["water", "fat"] = "water"
) -> Calibration:
    r"""Return K2HPO4-equivalent density from the energy at which tissues of ICRU 44 have the measured Hounsfield numbers.

    Linear attenuation at that energy holds mineral, and marrow with what the mineral displaces of it:

    .. math:: \rho_{K_2HPO_4} = \frac{HU / 1000 + 1 - r}{\mu_{K_2HPO_4} / \mu_w - r v}, \quad r = \rho_m \mu_m / \mu_w

    with v the volume that a gram of the salt takes. In water r = 1, the convention of a phantom. This project's own way, not
    published: exact for tissues of that composition and density, and no better than the cortical bone that was sampled.

    Parameters
    ----------
    hu : mapping
        Mean Hounsfield numbers of cortical ``bone`` and of any of ``adipose``, ``blood`` and ``muscle``.
    contrast : bool or None
        Whether contrast agent was given; with it blood and muscle are left out.
    marrow : {"water", "fat"}
        What lies between the mineral. A phantom's rods are in water; fat marrow read as water is 0.08 to 0.09 g/cm3 low.

    Raises
    ------
    InputError
        If bone is missing or no energy fits.
    """
    left_out = () if contrast is False else ("blood", "muscle")
    known = {t: settings()[f"icru_{t}"].number for t in ("adipose", "blood", "bone", "muscle") if t not in left_out}
    energy, left = energy_by_density(hu, known)
    slope, intercept = _mineral_in(marrow, energy)
    notes = [
        f"Effective energy {energy:.1f} keV from cortical bone held to {known['bone']:g} g/cm3; marrow held to be {marrow}.",
        "A thin or ill cortex makes mineral read high.",
        "This project's own way, not published and not tried against a phantom.",
        *_thin(hu),
    ]
    band = _band("band_composition", contrast, notes, "Blood and muscle are left out.")
    samples = tuple(Sample(t, float(hu[t]), slope * (float(hu[t]) - r) + intercept, slope * r) for t, r in left.items())
    return Calibration(
        "composition",
        "k2hpo4",
        slope,
        intercept,
        0.0,
        samples,
        band,
        ("mindways-qct", "nist-xray-attenuation", "osteon-proposal"),
        tuple(notes),
        energy,
    )


def _mineral_in(marrow: Literal["water", "fat"], energy_kev: float) -> tuple[float, float]:
    """Return slope [g/cm3 per HU] and intercept [g/cm3] of K2HPO4 in marrow of water or fat at one energy."""
    water = float(mass_attenuation("water", energy_kev))
    salt = float(mass_attenuation("k2hpo4", energy_kev)) / water
    if marrow == "water":
        without, taken = 1.0, settings()["water_displaced"].number
    else:
        without = settings()["fat_density"].number * float(mass_attenuation("triglyceride", energy_kev)) / water
        taken = 1.0 / settings()["k2hpo4_density"].number
    per_g = salt - without * taken
    return 1e-3 / per_g, (1.0 - without) / per_g


def _thin(hu: Mapping[str, float]) -> list[str]:
    """Return the note on a cortex that is no solid cortex; none where it is."""
    if hu["bone"] >= settings()["least_cortex_hu"].number:
        return []
    return [f"Bone of {hu['bone']:.0f} HU is no solid cortex: needs a CT with thinner slices, or another way."]


def not_calibrated(contrast: bool | None = False) -> Calibration:
    """Return the line of one scanner at 120 kVp for ash density, stated to be no calibration, with its wide band."""
    slope, intercept = settings()["none_slope"], settings()["none_intercept"]
    notes = ["Not calibrated: the line of another scanner at 120 kVp. Only ratios within this image mean anything."]
    band = _band("band_none", contrast, notes, "The agent in marrow is read as bone.")
    return Calibration("none", "ash", slope.number, intercept.number, 0.0, (), band, (slope.source,), tuple(notes))


def _dissolved(x: Array, y: Array, water: Array) -> tuple[float, float]:
    """Return the line for rods of salt in water: HU - water = sigma salt + beta, then the displaced water is taken off."""
    if water.shape != x.shape:
        raise InputError(
            f"{water.size} water densities were given for {x.size} rods.",
            "Each rod has its own.",
            "Give one from the certificate for each.",
        )
    per_mg = np.polyfit(y * 1e3, x - water, 1)
    sigma = float(per_mg[0]) - settings()["water_displaced"].number
    beta = float(per_mg[1]) + settings()["water_offset"].number
    if sigma <= 0:
        raise InputError(
            f"The rods give {sigma:.3g} HU for each mg/cm3.",
            "Density must rise with HU.",
            "Check the order of rods and certificate.",
        )
    return 1e-3 / sigma, -1e-3 * beta / sigma


def _line(x: Array, y: Array, of: str) -> tuple[float, float]:
    if not (np.isfinite(x).all() and np.ptp(x) > 0 and np.ptp(y) > 0):
        raise InputError(
            f"The Hounsfield numbers {np.round(x, 1).tolist()} of {of} do not differ or are not finite.",
            "No line goes through them.",
            "Sample each of them again in its own place.",
        )
    slope, intercept = np.polyfit(x, y, 1)
    if slope <= 0 or not (np.diff(x[np.argsort(y)]) > 0).all():
        raise InputError(
            f"The Hounsfield numbers {np.round(x, 1).tolist()} of {of} do not rise with their densities.",
            "At least one was sampled in the wrong place.",
            "Sample each of them again; order by density.",
        )
    return float(slope), float(intercept)


def _samples(names: Sequence[str], x: Array, held: Array, fitted: Array) -> tuple[Sample, ...]:
    return tuple(Sample(n, float(a), float(b), float(c - b)) for n, a, b, c in zip(names, x, held, fitted, strict=True))


def _band(key: str, contrast: bool | None, notes: list[str], because: str) -> tuple[float, float]:
    half = settings()[key].number
    if contrast is None:
        notes.append(
            "Cannot tell whether contrast agent was given: the band is as wide as with it. Needs the protocol of the scan."
        )
    elif contrast:
        notes.append(f"CT with contrast agent: widened. {because}".strip())
    half *= 1.0 if contrast is False else settings()["contrast_widens"].number
    return 1.0 - half, 1.0 + half


def _complete(hu: Mapping[str, float], names: Sequence[str]) -> None:
    missing = [n for n in names if n not in hu]
    if missing:
        raise MissingError(
            f"No Hounsfield number of {', '.join(missing)} was given.",
            f"The calibration to {KINDS['k2hpo4'] if len(names) > 3 else KINDS['ha']} rests on all of: {', '.join(names)}.",
            "Sample it, or calibrate in another way.",
        )
