"""The stack of layers shared by all network sources: no information flows between DOMs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.numerics import elu

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "": lambda x: x,
    "elu": elu,
    "relu": jax.nn.relu,
    "leaky": jax.nn.leaky_relu,
    "selu": jax.nn.selu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
}
"""Activation functions by the names of the configuration; '': none."""


STARTS = ("event_generator", "fan_in")
"""How layers start and which factors they have, see `DomNetwork`."""
LAST = 0.01
"""Factor of the weights from which the last layer starts, relative to those of other layers ("fan_in")."""


def check_activation(name: str) -> None:
    """Checks the name of an activation.

    Args:
      name: of an activation, see `ACTIVATIONS`.

    Raises:
      ConfigError: it is unknown; the nearest match is named.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ConfigError(
            f"activation '{name}' is unknown; known: {', '.join(repr(a) for a in ACTIVATIONS)}."
            + suggestion(name, ACTIVATIONS)
        )


def _same_for_all_doms(own: bool, spread: float = 1.0) -> Callable[..., Array]:
    """Truncated normal, the same values for every DOM where each has weights of its own."""

    def init(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        one = nn.initializers.truncated_normal(spread)(key, shape[1:], dtype)
        return jnp.broadcast_to(one, shape)

    return init if own else nn.initializers.truncated_normal(spread)


@dataclass(frozen=True)
class NetworkShape:
    """Describes the layers of a `DomNetwork`; one entry per layer.

    Attributes:
      widths: numbers of outputs.
      per_dom: whether every DOM has weights of its own ("locally connected").
      activations: names in `ACTIVATIONS`.
      residual: whether the layer's input is added to its output.
      dropout: whether the outputs, without what a residual connection adds, are set to 0 with probability
        1 - keep_prob in training and divided by keep_prob otherwise; empty: nowhere.
      keep_prob: see dropout.
      start: one of `STARTS`.
    """

    widths: tuple[int, ...]
    per_dom: tuple[bool, ...]
    activations: tuple[str, ...]
    residual: tuple[bool, ...]
    dropout: tuple[bool, ...] = ()
    keep_prob: float = 1.0
    start: str = STARTS[0]


class DomNetwork(nn.Module):
    """Layers over the DOMs of a detector, with residual connections.

    W and b are shared by all DOMs or belong to one DOM each (`per_dom`, with identical values at the start). Residual: the
    first min(n_in, n_out) channels get the layer's input added.

    "fan_in": y = act(x W + b), residual y + x. W starts from a truncated normal of spread 1 / sqrt(n_in), in the last layer
    0.01 / sqrt(n_in), b from 0.
    "event_generator": y = act((x W / sqrt(n_in) + b) / sqrt(2)), residual y s + x, where channels beyond n_in stay y s. W
    and b start from a truncated normal of spread 1, s from one of spread 0.001. Adam's steps are some ten times smaller in
    relation to the weights, and the first network is rough.

    The last layer is split: its first `num_dom_outputs` outputs are computed at all DOMs, the others only at the
    active DOMs of the event, where alone the arrival times matter.

    Attributes:
      num_doms: D.
      shape: of the network.
      num_dom_outputs: how many outputs are needed at every DOM.
      dtype: of parameters and computation.
    """

    num_doms: int
    shape: NetworkShape
    num_dom_outputs: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "D F"], active: Int[Array, " M"], key: PRNGKeyArray | None = None
    ) -> tuple[
        Float[Array, "D {self.num_dom_outputs}"], Float[Array, "M {self.shape.widths[-1]-self.num_dom_outputs}"]
    ]:
        """Computes the latent variables of DOMs.

        Args:
          x: [D, F], features.
          active: [M], DOMs at which the outputs after the first `num_dom_outputs` are needed, padded with D.
          key: of the dropout, which acts only where one is given, that is in training.

        Returns:
          Outputs [D, num_dom_outputs] at all DOMs, and outputs [M, width - num_dom_outputs] at the active ones.

        Raises:
          ConfigError: a network without a layer.
        """
        if not self.shape.widths:
            raise ConfigError("a network needs at least one layer.")
        last = len(self.shape.widths) - 1
        for i in range(last):
            x = self._hidden(i, x, key)
        return self._split(last, x, active)

    def _hidden(self, i: int, x: Float[Array, "D n_in"], key: PRNGKeyArray | None) -> Float[Array, "D n_out"]:
        """Layer i at all DOMs: [D, n_in] to [D, n_out]."""
        net, layer = self.shape, self._layer(i, x.shape[-1])
        y = ACTIVATIONS[net.activations[i]](_dense(x * layer.scale, layer.kernel, layer.bias))
        if key is not None and any(net.dropout) and net.dropout[i]:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), net.keep_prob, y.shape)
            y = jnp.where(kept, y * float(1 / net.keep_prob), 0)
        return y if layer.residual is None else y * layer.residual[None] + _fitted(x, net.widths[i])

    def _split(
        self, i: int, x: Float[Array, "D n_in"], active: Int[Array, " M"]
    ) -> tuple[
        Float[Array, "D {self.num_dom_outputs}"], Float[Array, "M {self.shape.widths[-1]-self.num_dom_outputs}"]
    ]:
        """Layer i, its first outputs at all DOMs, the others at the active ones."""
        net, layer, n = self.shape, self._layer(i, x.shape[-1]), self.num_dom_outputs
        rows = jnp.minimum(active, self.num_doms - 1)
        late_kernel, late_bias = layer.kernel[..., n:], layer.bias[..., n:]
        if net.per_dom[i]:
            late_kernel, late_bias = late_kernel[rows], late_bias[rows]
        scaled = x * layer.scale
        at_doms = _dense(scaled, layer.kernel[..., :n], layer.bias[..., :n])
        at_active = _dense(scaled[rows], late_kernel, late_bias)
        at_doms, at_active = (ACTIVATIONS[net.activations[i]](y) for y in (at_doms, at_active))
        if layer.residual is not None:
            added = _fitted(x, net.widths[i])
            at_doms = at_doms * layer.residual[None, :n] + added[:, :n]
            at_active = at_active * layer.residual[None, n:] + added[rows, n:]
        return at_doms, at_active

    def _layer(self, i: int, n_in: int) -> "_Layer":
        """Weights of layer i."""
        net, width, own = self.shape, self.shape.widths[i], self.shape.per_dom[i]
        lead, usual = ((self.num_doms,) if own else ()), net.start == "fan_in"
        spread = float(1 / np.sqrt(n_in)) * (LAST if i == len(net.widths) - 1 else 1) if usual else 1.0
        kernel = self.param(f"layer_{i:02d}_kernel", _same_for_all_doms(own, spread), (*lead, n_in, width), self.dtype)
        first_bias = nn.initializers.zeros if usual else _same_for_all_doms(own)
        bias = self.param(f"layer_{i:02d}_bias", first_bias, (*lead, width), self.dtype)
        residual = None
        if net.residual[i]:
            small = nn.initializers.truncated_normal(1e-3)
            residual = (
                jnp.ones(width, self.dtype)
                if usual
                else self.param(f"layer_{i:02d}_residual_scale", small, (width,), self.dtype)
            )
        if usual:
            return _Layer(kernel, bias, 1.0, residual)
        # Both factors act on the small arrays: scaling a per-DOM kernel costs more than the product with it.
        return _Layer(kernel, bias * float(1 / np.sqrt(2)), float(1 / np.sqrt(2 * n_in)), residual)


class _Layer(NamedTuple):
    """Weights of one layer.

    Attributes:
      kernel: [n_in, n_out], or [D, n_in, n_out].
      bias: [n_out] or [D, n_out], with its factor.
      scale: factor of the inputs.
      residual: [n_out], factor of the outputs before the inputs are added; None where they are not.
    """

    kernel: Array
    bias: Array
    scale: float
    residual: Array | None


def _dense(
    x: Float[Array, "D n_in"], kernel: Float[Array, "*rows n_in n_out"], bias: Float[Array, "*rows n_out"]
) -> Float[Array, "D n_out"]:
    if kernel.ndim == 3:
        return jnp.einsum("di,dio->do", x, kernel) + bias
    return x @ kernel + bias[None]


def _fitted(x: Float[Array, "D n_in"], width: int) -> Float[Array, "D {width}"]:
    """Inputs [D, n_in] cut or padded with zeros to [D, width]."""
    return jnp.pad(x, ((0, 0), (0, max(width - x.shape[-1], 0))))[:, :width]
