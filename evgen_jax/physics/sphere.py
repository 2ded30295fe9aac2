"""Distributions of directions on the sphere: von Mises-Fisher and Kent, per steradian, and their fits to samples."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Real
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from evgen_jax.errors import ReconstructionError

NEARLY_A_POINT = 1e-12
"""Smallest 1 - mean resultant length of samples with a finite concentration; smallest variance of an axis, rad^2."""
FLATTEST = 1e-6
"""Smallest 1 / variance of a fitted long axis, per rad^2."""
MOST_ELLIPTIC = 1e6
"""Largest ratio of the variance of a fitted long axis to the variance of the short axis."""


def unit_vectors(zenith: ArrayLike, azimuth: ArrayLike) -> np.ndarray:
    """Computes unit vectors to where particles come from.

    Args:
      zenith: rad, shape (...).
      azimuth: rad, broadcastable against zenith.

    Returns:
      Vectors (..., 3).
    """
    zenith, azimuth = np.broadcast_arrays(zenith, azimuth)
    sine = np.sin(zenith)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(zenith)], axis=-1)


def angles(vectors: Real[np.ndarray, "*shape 3"]) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Computes the zenith and azimuth to which vectors point.

    Args:
      vectors: (..., 3), of any length above 0.

    Returns:
      Zenith in [0, pi] and azimuth in [0, 2 pi), rad, each (...).
    """
    x, y, z = np.moveaxis(np.asarray(vectors, np.float64), -1, 0)
    return np.arctan2(np.hypot(x, y), z), np.mod(np.arctan2(y, x), 2 * np.pi)


def angle_between(a: Float[np.ndarray, "*#shape 3"], b: Float[np.ndarray, "*#shape 3"]) -> Float[np.ndarray, "*#shape"]:
    """Computes the angle between unit vectors, accurate for small ones.

    Args:
      a: unit vectors (..., 3).
      b: unit vectors (..., 3).

    Returns:
      Angles in [0, pi], rad, shape (...).
    """
    return 2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))


@dataclass(frozen=True)
class VonMisesFisher:
    """Is the round distribution kappa / (4 pi sinh kappa) exp(kappa cos psi) around a direction, per steradian.

    Attributes:
      zenith: of the centre, rad.
      azimuth: of the centre, rad.
      kappa: concentration > 0; the width per axis is 1 / sqrt(kappa) where that is small.
    """

    zenith: float
    azimuth: float
    kappa: float

    @property
    def sigma(self) -> float:
        """Returns the width per axis, 1 / sqrt(kappa), rad."""
        return float(1 / np.sqrt(self.kappa))

    def log_density(
        self, zenith: Real[np.ndarray, "*#shape"], azimuth: Real[np.ndarray, "*#shape"]
    ) -> Float[np.ndarray, "*#shape"]:
        """Computes the log density.

        Args:
          zenith: rad, shape (...).
          azimuth: rad, shape (...).

        Returns:
          Log density per steradian, shape (...).
        """
        cosine = unit_vectors(zenith, azimuth) @ unit_vectors(self.zenith, self.azimuth)
        return np.log(self.kappa / (2 * np.pi)) + self.kappa * (cosine - 1) - np.log(-np.expm1(-2 * self.kappa))

    def containment(self, psi: Real[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Computes the probability within an opening angle around the centre.

        Args:
          psi: opening angle in [0, pi], rad, shape (...).

        Returns:
          Probabilities in [0, 1], shape (...).
        """
        return np.expm1(self.kappa * (np.cos(psi) - 1)) / np.expm1(-2 * self.kappa)


@dataclass(frozen=True)
class Kent:
    """Is the elliptic distribution exp(kappa g1.x + beta ((g2.x)^2 - (g3.x)^2)) / c on the sphere, per steradian.

    Kent, J. R. Stat. Soc. B 44, 71 (1982).

    Attributes:
      axes: [3, 3], rows g1 (centre), g2 (long axis), g3 (short axis).
      kappa: concentration, > 2 beta.
      beta: ellipticity, >= 0.
    """

    axes: np.ndarray
    kappa: float
    beta: float

    def log_density(
        self, zenith: Real[np.ndarray, "*#shape"], azimuth: Real[np.ndarray, "*#shape"]
    ) -> Float[np.ndarray, "*#shape"]:
        """Computes the log density.

        Args:
          zenith: rad, shape (...).
          azimuth: rad, shape (...).

        Returns:
          Log density per steradian, shape (...).
        """
        along = unit_vectors(zenith, azimuth) @ self.axes.T
        exponent = self.kappa * (along[..., 0] - 1) + self.beta * (along[..., 1] ** 2 - along[..., 2] ** 2)
        return exponent - log_kent_norm(self.kappa, self.beta)

    @property
    def sigmas(self) -> tuple[float, float]:
        """Returns the widths along the long and the short axis, rad, which hold where they are small."""
        return float(1 / np.sqrt(self.kappa - 2 * self.beta)), float(1 / np.sqrt(self.kappa + 2 * self.beta))


def log_kent_norm(kappa: float, beta: float) -> float:
    """Computes ln of the integral of exp(kappa (g1.x - 1) + beta ((g2.x)^2 - (g3.x)^2)) over the sphere.

    It is evaluated by Gauss-Legendre quadrature, without the approximation of large kappa, and is even in beta.

    Args:
      kappa: concentration > 2 |beta|.
      beta: ellipticity.

    Returns:
      ln of the integral, in steradians.
    """
    return _kent_moments(kappa, beta)[0]


@lru_cache(maxsize=1)
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [0, 1]; making them takes longer than a whole fit."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    return (nodes + 1) / 2, weights / 2


def _kent_moments(kappa: float, beta: float) -> tuple[float, float, float]:
    """Computes ln of the norm and its derivatives by kappa and beta.

    Integrated over the azimuth: 2 pi int exp(kappa (u - 1)) I0(beta (1 - u^2)) du over u = cos psi.
    """
    ellipticity = abs(beta)
    # Where the integrand lives: psi up to some widths of the long axis.
    reach = min(2.0, 60 / max(kappa - 2 * ellipticity, 1e-3))
    nodes, weights = _nodes()
    # Squared nodes crowd near psi = 0, where the peak of large kappa is.
    v, measure = reach * nodes**2, 2 * reach * nodes * weights
    argument = ellipticity * v * (2 - v)
    exponent = argument - kappa * v
    largest = exponent.max()
    common = np.exp(exponent - largest) * measure
    integrand = common * special.i0e(argument)
    total = integrand.sum()
    by_beta = np.sum(common * special.i1e(argument) * v * (2 - v)) / total
    return float(np.log(2 * np.pi * total) + largest), float(-integrand @ v / total), float(np.sign(beta) * by_beta)


def fit_von_mises_fisher(zenith: np.ndarray, azimuth: np.ndarray) -> VonMisesFisher:
    """Fits a von Mises-Fisher distribution to directions by maximum likelihood.

    Args:
      zenith: [S], rad.
      azimuth: [S], rad.

    Returns:
      The distribution; its concentration is 1e-6 where no direction is preferred.

    Raises:
      ReconstructionError: fewer than two different directions, or lists of different lengths or with NaN.
    """
    vectors = _checked(zenith, azimuth)
    mean = vectors.mean(axis=0)
    if np.linalg.norm(mean) < FLATTEST:
        return VonMisesFisher(0.0, 0.0, FLATTEST)  # no direction is preferred
    centre, kappa = stats.vonmises_fisher.fit(vectors)
    theta, phi = angles(centre)
    return VonMisesFisher(float(theta), float(phi), max(float(kappa), FLATTEST))


def fit_kent(zenith: np.ndarray, azimuth: np.ndarray) -> Kent:
    """Fits a Kent distribution to directions.

    The axes come from moments (Kent 1982), the concentrations from maximum likelihood with the exact normalisation.

    Args:
      zenith: [S], rad.
      azimuth: [S], rad.

    Returns:
      The distribution; where no direction is preferred, its centre is the zenith.

    Raises:
      ReconstructionError: fewer than two different directions, or lists of different lengths or with NaN.
    """
    vectors = _checked(zenith, azimuth)
    mean = vectors.mean(axis=0)
    length = float(np.linalg.norm(mean))
    centre = mean / length if length > FLATTEST else np.array([0.0, 0.0, 1.0])  # any, where none is preferred
    second = vectors.T @ vectors / len(vectors)
    # Any two axes across the centre; then turned to the principal ones of the second moments.
    _, _, basis = np.linalg.svd(centre[None])
    across = basis[1:]
    values, turn = np.linalg.eigh(across @ second @ across.T)
    long, short = turn.T[::-1] @ across
    wide, narrow = max(values[1], NEARLY_A_POINT), max(values[0], NEARLY_A_POINT)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        # 1 / variance of the long axis, and how many times larger that of the short one is: kappa > 2 beta >= 0.
        a, ratio = np.exp(x)
        kappa, beta = a * (1 + ratio) / 2, a * (ratio - 1) / 4
        norm, by_kappa, by_beta = _kent_moments(kappa, beta)
        by_kappa, by_beta = by_kappa + 1 - length, by_beta - (values[1] - values[0])
        value = norm + kappa * (1 - length) - beta * (values[1] - values[0])
        return value, np.array([kappa * by_kappa + beta * by_beta, a * ratio * (by_kappa / 2 + by_beta / 4)])

    start = np.array([-np.log(wide), np.log(wide / narrow)])
    limits = [(np.log(FLATTEST), None), (0.0, np.log(MOST_ELLIPTIC))]
    result = optimize.minimize(
        loss,
        np.clip(start, [limits[0][0], 0.0], [np.inf, limits[1][1]]),
        jac=True,
        method="L-BFGS-B",
        bounds=limits,
        options={"ftol": 1e-15, "gtol": 1e-9},
    )
    a, ratio = np.exp(result.x)
    return Kent(np.stack([centre, long, short]), float(a * (1 + ratio) / 2), float(a * (ratio - 1) / 4))


def _checked(zenith: np.ndarray, azimuth: np.ndarray) -> Float[np.ndarray, "S 3"]:
    """Returns unit vectors [S, 3]; raises ReconstructionError unless they are of two different directions at least."""
    try:
        zenith, azimuth = np.asarray(zenith), np.asarray(azimuth)
        if zenith.dtype.kind == "c" or azimuth.dtype.kind == "c":
            raise TypeError
        zenith, azimuth = zenith.astype(np.float64), azimuth.astype(np.float64)
    except (TypeError, ValueError):
        raise ReconstructionError(
            "expected zeniths and azimuths in rad, got something else than real numbers."
        ) from None
    if zenith.shape != azimuth.shape:
        raise ReconstructionError(
            f"expected as many zeniths as azimuths, got shapes {zenith.shape} and {azimuth.shape}. Give one of each per "
            "direction."
        )
    if wrong := int(np.sum(~np.isfinite(zenith) | ~np.isfinite(azimuth))):
        raise ReconstructionError(
            f"expected finite zeniths and azimuths, got {wrong} of {zenith.size} that are not. Leave these directions out."
        )
    vectors = unit_vectors(zenith, azimuth)
    if vectors.ndim != 2 or len(vectors) < 2 or 1 - np.linalg.norm(vectors.mean(axis=0)) < NEARLY_A_POINT:
        raise ReconstructionError(
            f"expected zeniths and azimuths of at least two different directions, got shapes {np.shape(zenith)} and "
            f"{np.shape(azimuth)}."
        )
    return vectors
