"""The contract of a source fulfilled by a linen module that has `__call__` and `draw_times`."""

from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.hypothesis.parameters import Parameter, names_of, standard_parameters
from evgen_jax.light.light_yield import LightYield
from evgen_jax.light.source import Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event, build_event


class LinenSource(nn.Module):
    """Adapter; a subclass defines `parameters` or `parameter_names`, `__call__` and `draw_times`, and nothing else.

    Parameters of which only names are declared have the roles that standard names tell: x, y, z, zenith, azimuth, energy, time
    and so on. Others say what they are as `Parameter(name, role)`.
    """

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Hypothesis parameters, H of them; by default those that the names tell."""
        return standard_parameters(self.parameter_names)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the hypothesis parameters; by default those of `parameters`."""
        if type(self).parameters is LinenSource.parameters:
            raise NotImplementedError(f"{type(self).__name__} declares neither parameters nor parameter_names.")
        return names_of(self.parameters)

    def __call__(self, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False) -> LightYield:
        raise NotImplementedError

    def draw_times(self, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array) -> Array:
        raise NotImplementedError

    def init_variables(self, key: Array, detector: Detector) -> Variables:
        event = empty_event(detector.num_doms)
        # Compiled: operation by operation it computes the light too, which takes seconds.
        init = jax.jit(lambda key: self.init(key, jnp.ones(len(self.parameter_names)), event, detector))
        variables: Variables = init(key)
        return variables

    def light_yield(
        self, variables: Variables, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        with full_products():
            light: Any = self.apply(variables, hypothesis, event, detector, cumulative)
        return light

    def sample_times(
        self, variables: Variables, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array
    ) -> Array:
        with full_products():
            times: Any = self.apply(variables, key, hypothesis, event, detector, dom, method="draw_times")
        return times


def full_products() -> AbstractContextManager:
    """Products of matrices keep all digits of float32, unless the caller chose otherwise (`jax.default_matmul_precision`).

    Accelerators multiply with ten bits of mantissa or fewer by default: a trained model's log-likelihood was off by 1.2 on an
    H100, and its gradient by its own size.
    """
    chosen = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return jax.default_matmul_precision("highest" if chosen is None else chosen)


def empty_event(num_doms: int, readout: tuple[float, float] = (0.0, 1.0)) -> Event:
    """An event without pulses."""
    nothing = np.zeros(0)
    event = build_event(nothing, nothing, nothing.astype(np.int64), num_doms=num_doms, readout=readout)
    return jax.tree.map(jnp.asarray, event)
