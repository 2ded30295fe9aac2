"""Value ranges: maps from an unbounded network output to the allowed range of a parameter."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.numerics import elu

SMALLEST = 1e-3
"""Least distance from the lower end of a range that `inverse` makes; of 'sigmoid' from either end, as a share of its width."""
KINDS = ("base", "elu", "exp", "sigmoid")
"""Names of the value ranges in configurations."""


@dataclass(frozen=True)
class ValueRange:
    """Maps an unbounded network output x to the allowed range of a parameter, by way of a = scale * x + offset.

    Attributes:
      kind: 'base': a; 'elu': elu(a) + 1 + min_value; 'exp': exp(clip(a, -20, 15)) + min_value; 'sigmoid': min_value +
        (max_value - min_value) / (1 + exp(-a)).
      scale: factor of the network output.
      offset: added to the scaled output.
      min_value: lower end of the range of 'elu', 'exp' and 'sigmoid'.
      max_value: upper end of the range of 'sigmoid'.

    Raises:
      ConfigError: another kind, or an upper end that is not above the lower one.
    """

    kind: str = "base"
    scale: float = 1.0
    offset: float = 0.0
    min_value: float = 0.0
    max_value: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(
                f"value range '{self.kind}' is unknown; known: {', '.join(KINDS)}." + suggestion(self.kind, KINDS)
            )
        if self.kind == "sigmoid" and not self.max_value > self.min_value:
            raise ConfigError(f"max_value: expected more than min_value = {self.min_value:g}, got {self.max_value:g}.")

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Maps a network output to a parameter within its range.

        Args:
          x: network output, shape (...).

        Returns:
          Parameter, shape (...).
        """
        a = self.scale * x + self.offset
        if self.kind == "elu":
            return elu(a) + (1 + self.min_value)
        if self.kind == "exp":
            return jnp.exp(jnp.clip(a, -20, 15)) + self.min_value
        if self.kind == "sigmoid":
            return self.min_value + (self.max_value - self.min_value) * jax.nn.sigmoid(a)
        return a

    def inverse(self, value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Computes the network output that gives a parameter.

        Args:
          value: parameter, shape (...); beyond an end of the range it is taken to be just inside it.

        Returns:
          Network output, shape (...).
        """
        above = jnp.maximum(value - self.min_value, SMALLEST)
        if self.kind == "elu":
            # Selected before the logarithm, too, so that derivatives stay finite.
            a = jnp.where(above < 1, jnp.log(jnp.minimum(above, 1)), above - 1)
        elif self.kind == "exp":
            a = jnp.log(above)
        elif self.kind == "sigmoid":
            width = self.max_value - self.min_value
            share = jnp.clip((value - self.min_value) / width, SMALLEST, 1 - SMALLEST)
            a = jnp.log(share) - jnp.log1p(-share)
        else:
            a = value
        return (a - self.offset) / self.scale
