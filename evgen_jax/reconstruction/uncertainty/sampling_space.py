"""The space in which a posterior is sampled: scalars as in a fit, directions as vectors whose length means nothing.

In the tangent plane of a fit the point opposite to its anchor is a circle that no chain crosses. A vector of R^3 has
neither that nor a pole nor a wrap, however wide a posterior is on the sphere.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from evgen_jax.hypothesis.joint_prior import LogPrior
from evgen_jax.hypothesis.prior import SMALLEST_SINE
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.reconstruction.fit.coordinates import Coordinates, tangent_axes
from evgen_jax.reconstruction.fit.objective import ModelLogLikelihood

SPREAD = 0.2
"""Standard deviation of the logarithm of a vector's length; with 0.3 some trajectories diverge."""


@dataclass(frozen=True)
class SamplingSpace:
    """Maps places [m] of a sampler to hypotheses [H] around an anchor; m = n unknowns of a fit + one per direction.

    The unknowns keep their order: scalars, then two per direction, which here are steps from the anchor's unit vector
    along its tangents; behind them, for every direction, the step along the vector itself.

    Attributes:
      coordinates: of the fit.
    """

    coordinates: Coordinates

    @property
    def size(self) -> int:
        """Returns the number m of coordinates of a place."""
        return self.coordinates.size + len(self.coordinates.directions)

    def place(self, unknown: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
        """Converts unknowns of a fit to a place, for directions at the anchor.

        Args:
          unknown: [n], of the fit.

        Returns:
          Place [m].
        """
        return np.concatenate([unknown, np.zeros(len(self.coordinates.directions))])

    def hypothesis(self, place: Float[Array, " m"], anchor: Float[Array, " H"]) -> Float[Array, " H"]:
        """Maps a place to a hypothesis.

        Args:
          place: [m].
          anchor: [H], hypothesis around which directions are counted, physical units.

        Returns:
          Hypothesis [H], physical units.
        """
        result = self.coordinates.hypothesis(self._scalars(place), anchor)
        for (zenith, azimuth), vector in zip(self.coordinates.directions, self._vectors(place, anchor), strict=True):
            x, y, z = vector
            result = result.at[zenith].set(jnp.arctan2(jnp.sqrt(x**2 + y**2 + 1e-24), z))
            result = result.at[azimuth].set(jnp.mod(jnp.arctan2(y, x), 2 * jnp.pi))
        return result

    def log_volume(
        self, place: Float[Array, " m"], anchor: Float[Array, " H"], hypothesis: Float[Array, " H"]
    ) -> Float[Array, ""]:
        """Computes the logarithm of the volume element of a place.

        It turns a density by parameters into one by unknowns and steradian.

        Args:
          place: [m].
          anchor: [H], hypothesis around which directions are counted, physical units.
          hypothesis: [H] at the place, physical units.

        Returns:
          Logarithm to be added to a log density, scalar.
        """
        scalars = jnp.asarray(self.coordinates.scalars, int)
        step = jnp.zeros(self.coordinates.size, place.dtype).at[: len(scalars)].set(1.0)
        # Every scalar depends on its own unknown alone.
        _, slopes = jax.jvp(lambda u: self.coordinates.hypothesis(u, anchor), (self._scalars(place),), (step,))
        total = jnp.sum(jnp.log(jnp.abs(slopes[scalars])))
        for zenith, _ in self.coordinates.directions:
            total -= jnp.log(jnp.maximum(jnp.sin(hypothesis[zenith]), SMALLEST_SINE))
        return total

    def log_length_density(self, place: Float[Array, " m"], anchor: Float[Array, " H"]) -> Float[Array, ""]:
        """Computes the log density of the vectors' lengths r, normal in ln r.

        It turns a density by steradian into one by volume of R^3.

        Args:
          place: [m].
          anchor: [H], hypothesis around which directions are counted, physical units.

        Returns:
          Log density, scalar.
        """
        total = jnp.zeros((), place.dtype)
        for vector in self._vectors(place, anchor):
            log_length = jnp.log(jnp.sum(vector**2)) / 2
            total += -0.5 * (log_length / SPREAD) ** 2 - 3 * log_length - float(np.log(SPREAD * np.sqrt(2 * np.pi)))
        return total

    def covariance(self, unknowns: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "m m"]:
        """Extends a covariance of a fit's unknowns to places; directions are at most a radian wide.

        Args:
          unknowns: [n, n].

        Returns:
          Covariance [m, m].
        """
        n, count = self.coordinates.size, len(self.coordinates.scalars)
        widest = np.full(n, np.inf)
        for k, (zenith, _) in enumerate(self.coordinates.directions):
            widest[count + 2 * k : count + 2 * k + 2] = 1 / self.coordinates.trafo.scale()[zenith]
        shrink = np.minimum(1.0, widest / np.sqrt(np.diag(unknowns)))
        full = SPREAD**2 * np.eye(self.size)
        full[:n, :n] = unknowns * np.outer(shrink, shrink)
        return full

    def _scalars(self, place: Float[Array, " m"]) -> Float[Array, " n"]:
        """Unknowns [n] of a fit with the same scalars, directions at the anchor."""
        count = len(self.coordinates.scalars)
        return jnp.zeros(self.coordinates.size, place.dtype).at[:count].set(place[:count])

    def _vectors(self, place: Float[Array, " m"], anchor: Float[Array, " H"]) -> list[Array]:
        n, count, vectors = self.coordinates.size, len(self.coordinates.scalars), []
        for k, (zenith, azimuth) in enumerate(self.coordinates.directions):
            plane = place[count + 2 * k : count + 2 * k + 2] * float(self.coordinates.trafo.scale()[zenith])
            origin, south, east = tangent_axes(anchor[zenith], anchor[azimuth])
            vectors.append((1 + place[n + k]) * origin + plane[0] * south + plane[1] * east)
        return vectors


@dataclass(frozen=True)
class LogPosterior:
    """Pure, hashable function (model, place [m], anchor [H], event) -> log density by the places of a sampler.

    That is likelihood times prior, by the scalars' unknowns and by steradian, times the density of the vectors'
    lengths:
    samples, mapped to hypotheses, are samples of the posterior whatever coordinates were used.

    Attributes:
      log_likelihood: of (model, hypothesis [H], event), hashable.
      log_prior: of a hypothesis [H], hashable.
      space: of the places.
    """

    log_likelihood: ModelLogLikelihood
    log_prior: LogPrior
    space: SamplingSpace

    def __call__(
        self, model: AnyModel, place: Float[Array, " m"], anchor: Float[Array, " H"], event: Event
    ) -> Float[Array, ""]:
        """Computes the log density at a place.

        Args:
          model: of the hypothesis.
          place: [m].
          anchor: [H], hypothesis around which directions are counted, physical units.
          event: what was measured.

        Returns:
          Log density, scalar.
        """
        hypothesis = self.space.hypothesis(place, anchor)
        density = self.log_likelihood(model, hypothesis, event) + self.log_prior(hypothesis)
        return density + self.space.log_volume(place, anchor, hypothesis) + self.space.log_length_density(place, anchor)
