"""The stack of layers shared by all network sources: no information flows between DOMs."""

from collections.abc import Callable
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

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
}


def check_activation(name: str) -> None:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ConfigError(
            f"activation '{name}' is unknown; known: {', '.join(repr(a) for a in ACTIVATIONS)}."
            + suggestion(name, ACTIVATIONS)
        )


def _same_for_all_doms(num_doms: int):
    """Truncated normal of spread 1, the same values for every DOM."""

    def init(key: Array, shape: tuple[int, ...], dtype) -> Array:
        one = nn.initializers.truncated_normal(1.0)(key, shape[1:], dtype)
        return jnp.broadcast_to(one, shape)

    return init if num_doms else nn.initializers.truncated_normal(1.0)


@dataclass(frozen=True)
class NetworkShape:
    """What a `DomNetwork` looks like; one entry per layer.

    Attributes:
      widths: numbers of outputs.
      per_dom: whether every DOM has weights of its own ("locally connected").
      activations: names in `ACTIVATIONS`.
      residual: whether the layer's input is added to its output.
      dropout: whether the outputs, without what a residual connection adds, are set to 0 with probability
        1 - keep_prob in training and divided by keep_prob otherwise; empty: nowhere.
      keep_prob: see dropout.
    """

    widths: tuple[int, ...]
    per_dom: tuple[bool, ...]
    activations: tuple[str, ...]
    residual: tuple[bool, ...]
    dropout: tuple[bool, ...] = ()
    keep_prob: float = 1.0


class DomNetwork(nn.Module):
    """Layers y = act((x W / sqrt(n_in) + b) / sqrt(2)) with residual connections y s + x.

    W and b are shared by all DOMs or belong to one DOM each (`per_dom`). Residual: the first
    min(n_in, n_out) channels get the layer's input added; channels beyond n_in stay y s. W and b start from a
    truncated normal of spread 1 (identical for all DOMs), s from one of spread 0.001.

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
    def __call__(self, x: Array, active: Array, key: Array | None = None) -> tuple[Array, Array]:
        """Features [D, F] and active DOMs [M] to outputs [D, num_dom_outputs] and [M, the others].

        Dropout acts only where a key is given, that is in training.
        """
        net = self.shape
        last = len(net.widths) - 1
        for i, (width, per_dom, activation, residual) in enumerate(
            zip(net.widths, net.per_dom, net.activations, net.residual, strict=True)
        ):
            n_in = x.shape[-1]
            lead = (self.num_doms,) if per_dom else ()
            init = _same_for_all_doms(len(lead))
            kernel = self.param(f"layer_{i:02d}_kernel", init, (*lead, n_in, width), self.dtype)
            bias = self.param(f"layer_{i:02d}_bias", init, (*lead, width), self.dtype)
            # Both factors act on the small arrays: scaling a per-DOM kernel costs more than the product with it.
            scaled = x * float(1 / np.sqrt(2 * n_in))
            bias = bias * float(1 / np.sqrt(2))
            if residual:
                factor = self.param(f"layer_{i:02d}_residual_scale", nn.initializers.truncated_normal(1e-3), (width,),
                                    self.dtype)  # fmt: skip
            if i < last:
                y = ACTIVATIONS[activation](_dense(scaled, kernel, bias))
                if key is not None and any(net.dropout) and net.dropout[i]:
                    kept = jax.random.bernoulli(jax.random.fold_in(key, i), net.keep_prob, y.shape)
                    y = jnp.where(kept, y * float(1 / net.keep_prob), 0)
                x = _residual(x, y * factor) if residual else y
                continue

            n = self.num_dom_outputs
            rows = jnp.minimum(active, self.num_doms - 1)
            at_doms = _dense(scaled, kernel[..., :n], bias[..., :n])
            late_kernel, late_bias = kernel[..., n:], bias[..., n:]
            if per_dom:
                late_kernel, late_bias = late_kernel[rows], late_bias[rows]
            at_active = _dense(scaled[rows], late_kernel, late_bias)
            joined = []
            for y, source, part in (
                (at_doms, x, slice(0, n)),
                (at_active, x[rows], slice(n, width)),
            ):
                y = ACTIVATIONS[activation](y)
                if residual:
                    padded = jnp.pad(source, ((0, 0), (0, max(width - n_in, 0))))[:, :width]
                    y = y * factor[part] + padded[:, part]
                joined.append(y)
            return joined[0], joined[1]
        raise ConfigError("a network needs at least one layer.")


def _dense(x: Array, kernel: Array, bias: Array) -> Array:
    if kernel.ndim == 3:
        return jnp.einsum("di,dio->do", x, kernel) + bias
    return x @ kernel + bias


def _residual(x: Array, y: Array) -> Array:
    n_in, n_out = x.shape[-1], y.shape[-1]
    if n_in < n_out:
        return y + jnp.pad(x, ((0, 0), (0, n_out - n_in)))
    return y + x[..., :n_out]
