"""Mixtures: weighted sums of decoders, evaluated in log space."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Real

from evgen_jax.decoders.decoder import Decoder
from evgen_jax.decoders.family import IMPOSSIBLE
from evgen_jax.decoders.value_range import ValueRange
from evgen_jax.errors import ConfigError
from evgen_jax.numerics import bisected


@dataclass(frozen=True)
class Component:
    """Holds `count` copies of one decoder inside a mixture.

    Attributes:
      name: of the component in configurations.
      decoder: distribution of every copy; each copy has latent variables for itself.
      count: number of copies, at least 1.
      weight_factor: >= 0, multiplies the weight of every copy.
    """

    name: str
    decoder: "Decoder | Mixture"
    count: int
    weight_factor: float = 1.0


@dataclass(frozen=True)
class Mixture:
    """Is the distribution sum of w_k f_k / sum of w_k over all K components.

    Latent layout: components in order of name; for each copy the parameters of its decoder, then its weight.

    Attributes:
      components: sorted by name.
      weight_range: value range of the weights.

    Raises:
      ConfigError: no component, a count below 1 or a negative weight factor.
    """

    components: tuple[Component, ...]
    weight_range: ValueRange = ValueRange("elu", 1.0, 1.0, 1e-5)

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", tuple(sorted(self.components, key=lambda c: c.name)))
        if not self.components:
            raise ConfigError("decoder_mapping: a mixture needs at least one component.")
        for c in self.components:
            if not isinstance(c.count, int) or isinstance(c.count, bool) or c.count < 1:
                raise ConfigError(f"decoder_mapping.{c.name}: expected a number of components >= 1, got {c.count!r}.")
            if c.weight_factor < 0:
                raise ConfigError(f"decoder_mapping.{c.name}: expected a weight factor >= 0, got {c.weight_factor!r}.")

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Returns the names `<component>_<parameter>_<copy>` of the L latent variables, weights included, in order."""
        return tuple(
            f"{c.name}_{p}_{i:03d}"
            for c in self.components
            for i in range(c.count)
            for p in (*c.decoder.parameter_names, "weight")
        )

    @property
    def loc_parameters(self) -> tuple[str, ...]:
        """Returns the names of the latent variables that carry the expected charge or the position in time."""
        return tuple(
            f"{c.name}_{p}_{i:03d}" for c in self.components for i in range(c.count) for p in c.decoder.loc_parameters
        )

    @property
    def is_charge(self) -> bool:
        """Returns whether all components are distributions of charges, else of times."""
        return all(c.decoder.is_charge for c in self.components)

    @property
    def num_components(self) -> int:
        """Returns the number K of components, every copy counted."""
        return sum(c.count for c in self.components)

    def _blocks(self, latent: Array) -> list[tuple[Component, Array, Array]]:
        """Returns (component, latent of its copies (..., count, L_c), weights (..., count)) per component."""
        blocks, start = [], 0
        for c in self.components:
            width = len(c.decoder.parameter_names) + 1
            stop = start + c.count * width
            block = latent[..., start:stop].reshape(*latent.shape[:-1], c.count, width)
            weight = jnp.maximum(self.weight_range(block[..., -1]), 0) * c.weight_factor
            blocks.append((c, block[..., :-1], weight))
            start = stop
        return blocks

    def weights(self, latent: Float[Array, "*shape L"]) -> Float[Array, "*shape K"]:
        """Computes the weights of the components, normalised to a sum of 1.

        Args:
          latent: [..., L].

        Returns:
          Weights (..., K).
        """
        raw = jnp.concatenate([w for _, _, w in self._blocks(latent)], axis=-1)
        return raw / jnp.sum(raw, axis=-1, keepdims=True)

    def prepare(self, latent: Float[Array, "*shape L"]) -> tuple[Any, ...]:
        """Computes the constants of the log density, once for many x.

        Args:
          latent: [..., L].

        Returns:
          Log weights (..., K), and for each entry of `components` the constants of its decoder.
        """
        blocks = self._blocks(latent)
        raw = jnp.concatenate([w for _, _, w in blocks], axis=-1)
        log_weight = jnp.log(jnp.maximum(raw, 1e-30)) - jnp.log(jnp.sum(raw, axis=-1, keepdims=True))
        return log_weight, tuple(c.decoder.prepare(block) for c, block, _ in blocks)

    def log_components(self, x: Real[Array, "*#shape #K"], prepared: tuple[Any, ...]) -> Float[Array, "*#shape K"]:
        """Computes log(w_k f_k) of every component.

        Args:
          x: (..., K), one value per component, or (..., 1), one for all.
          prepared: constants as `prepare` returns them.

        Returns:
          Logarithms (..., K); -1e30 where x is impossible.
        """
        log_weight, inner = prepared
        parts, start = [], 0
        for c, constants in zip(self.components, inner, strict=True):
            part = x if x.shape[-1] == 1 else x[..., start : start + c.count]
            value = c.decoder.log_components(part[..., None], constants)
            value = value[..., 0] if value.shape[-1] == 1 else jax.nn.logsumexp(value, axis=-1)
            parts.append(
                jnp.broadcast_to(value, (*jnp.broadcast_shapes(value.shape[:-1], log_weight.shape[:-1]), c.count))
            )
            start += c.count
        return jnp.maximum(jnp.concatenate(parts, axis=-1) + log_weight, IMPOSSIBLE)

    def log_pdf(self, x: Real[Array, "..."], latent: Float[Array, "*#shape L"]) -> Float[Array, "*#shape"]:
        """Computes the log density.

        Args:
          x: (...), one value for all components, or (..., K), one value per component.
          latent: [..., L].

        Returns:
          Log density (...) per unit of x; -inf where it vanishes.
        """
        value = jax.nn.logsumexp(self.log_components(self._per_component(x, latent), self.prepare(latent)), axis=-1)
        return jnp.where(value > IMPOSSIBLE / 2, value, -jnp.inf)

    def pdf(self, x: Real[Array, "..."], latent: Float[Array, "*#shape L"]) -> Float[Array, "*#shape"]:
        """Computes the density; of a charge distribution, the probability.

        Args:
          x: (...), one value for all components, or (..., K), one value per component.
          latent: [..., L].

        Returns:
          Density (...) per unit of x.
        """
        terms = self.log_components(self._per_component(x, latent), self.prepare(latent))
        return jnp.exp(jax.nn.logsumexp(terms, axis=-1))

    def cdf(self, x: Real[Array, "..."], latent: Float[Array, "*#shape L"]) -> Float[Array, "*#shape"]:
        """Computes the cumulative distribution.

        Args:
          x: (...), one value for all components, or (..., K), one value per component.
          latent: [..., L].

        Returns:
          Probabilities (...) within [0, 1].
        """
        return jnp.clip(jnp.sum(self.cdf_components(self._per_component(x, latent), latent), axis=-1), 0, 1)

    def cdf_components(
        self, x: Real[Array, "*#shape #K"], latent: Float[Array, "*#shape L"]
    ) -> Float[Array, "*#shape K"]:
        """Computes the weighted cumulative distribution w_k C_k of every component.

        Args:
          x: (..., K), one value per component, or (..., 1), one for all.
          latent: [..., L].

        Returns:
          Weighted probabilities (..., K), whose sum is the cumulative distribution of the mixture.
        """
        parts, start = [], 0
        for c, block, _ in self._blocks(latent):
            part = x if x.shape[-1] == 1 else x[..., start : start + c.count]
            parts.append(jnp.broadcast_to(c.decoder.cdf(part, block), (*part.shape[:-1], c.count)))
            start += c.count
        return self.weights(latent) * jnp.concatenate(parts, axis=-1)

    def _per_component(self, x: Real[Array, "..."], latent: Float[Array, "*#shape L"]) -> Real[Array, "*#shape #K"]:
        """Gives x (...) an axis of components, and checks the length of that of x (..., K)."""
        if jnp.ndim(x) < latent.ndim:
            return jnp.asarray(x)[..., None]
        if x.shape[-1] != self.num_components:
            raise ValueError(f"x has {x.shape[-1]} values per latent vector, the mixture {self.num_components}.")
        return x

    def ppf(self, q: Float[Array, "*#shape"], latent: Float[Array, "*#shape L"]) -> Float[Array, "*#shape"]:
        """Computes the quantile by bisection between the quantiles of the components.

        Args:
          q: probability in [0, 1], shape (...).
          latent: [..., L].

        Returns:
          x (...) with cdf(x) = q.
        """
        q = jnp.asarray(q)
        parts = []
        for c, block, _ in self._blocks(latent):
            parts.append(jnp.broadcast_to(c.decoder.ppf(q[..., None], block), (*q.shape, c.count)))
        quantiles = jnp.concatenate(parts, axis=-1)

        return bisected(lambda x: self.cdf(x, latent) < q, jnp.min(quantiles, -1), jnp.max(quantiles, -1))

    def _moments(self, latent: Float[Array, "*shape L"], method: str) -> Float[Array, "*shape K"]:
        parts = [getattr(c.decoder, method)(block) for c, block, _ in self._blocks(latent)]
        return jnp.concatenate(parts, axis=-1)

    def mean(self, latent: Float[Array, "*shape L"]) -> Float[Array, "*shape"]:
        """Computes the weighted mean of the components' means.

        Args:
          latent: [..., L].

        Returns:
          Mean (...) in units of x.
        """
        return jnp.sum(self.weights(latent) * self._moments(latent, "mean"), axis=-1)

    def variance(self, latent: Float[Array, "*shape L"]) -> Float[Array, "*shape"]:
        """Computes the variance: the mean of the components' variances plus the variance of their means.

        Args:
          latent: [..., L].

        Returns:
          Variance (...) in squared units of x.
        """
        weights, means = self.weights(latent), self._moments(latent, "mean")
        spread = means - jnp.sum(weights * means, axis=-1, keepdims=True)
        return jnp.sum(weights * (self._moments(latent, "variance") + spread**2), axis=-1)

    def mean_and_excess(
        self, latent: Float[Array, "*shape L"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Computes the mean of a charge mixture and its over-dispersion, variance - mean, without subtracting the two.

        Args:
          latent: [..., L].

        Returns:
          Mean, PE, and over-dispersion, PE^2, each (...).

        Raises:
          TypeError: a component is a distribution of times.
        """
        weights = self.weights(latent)
        moments = [c.decoder.mean_and_excess(block) for c, block, _ in self._blocks(latent)]
        means = jnp.concatenate([m for m, _ in moments], axis=-1)
        excesses = jnp.concatenate([e for _, e in moments], axis=-1)
        mean = jnp.sum(weights * means, axis=-1)
        return mean, jnp.sum(weights * (excesses + (means - mean[..., None]) ** 2), axis=-1)

    def sample(
        self, key: PRNGKeyArray, latent: Float[Array, "*shape L"], offsets: Float[Array, "*shape K"] | None = None
    ) -> Float[Array, "*shape"]:
        """Draws one value per latent vector.

        Args:
          key: of the random numbers.
          latent: [..., L].
          offsets: (..., K), added to values of the component with this place; None: nothing is added.

        Returns:
          Values (...) in units of x.
        """
        key_choice, *keys = jax.random.split(key, len(self.components) + 1)
        choice = jax.random.categorical(key_choice, jnp.log(jnp.maximum(self.weights(latent), 1e-30)), axis=-1)
        values = jnp.concatenate(
            [c.decoder.sample(k, block) for k, (c, block, _) in zip(keys, self._blocks(latent), strict=True)], axis=-1
        )
        if offsets is not None:
            values = values + offsets
        return jnp.take_along_axis(values, choice[..., None], axis=-1)[..., 0]
