"""The contract of a source fulfilled by a linen module that has `__call__` and `draw_times`."""

from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.parameters import Parameter, names_of, standard_parameters
from evgen_jax.light.light_yield import LightYield
from evgen_jax.light.source import Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event, build_event


class LinenSource(nn.Module):
    """Makes a source of a linen module.

    A subclass defines `parameters` or `parameter_names`, `__call__` and `draw_times`. Parameters of which only names
    are declared have the roles that standard names tell: x, y, z, zenith, azimuth, energy, time and so on. Others say
    what they are as `Parameter(name, role)`.

    Example:
      class Lamp(LinenSource):
          parameter_names = ("x", "y", "z", "time")

          def __call__(self, hypothesis, event, detector, cumulative=False): ...

          def draw_times(self, key, hypothesis, event, detector, dom): ...
    """

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the hypothesis parameters, H of them; by default those that the names tell."""
        return standard_parameters(self.parameter_names)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Returns the names of the hypothesis parameters; by default those of `parameters`.

        Raises:
          NotImplementedError: the subclass declares neither.
        """
        if type(self).parameters is LinenSource.parameters:
            raise NotImplementedError(f"{type(self).__name__} declares neither parameters nor parameter_names.")
        return names_of(self.parameters)

    def __call__(
        self, hypothesis: Float[Array, " H"], event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        """Computes the light at every DOM and pulse of an event inside the linen module; subclasses define it.

        Args:
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: one event.
          detector: of the event.
          cumulative: whether to compute the cumulative light at pulses.

        Returns:
          Light at D DOMs and P pulses.
        """
        raise NotImplementedError

    def draw_times(
        self, key: PRNGKeyArray, hypothesis: Float[Array, " H"], event: Event, detector: Detector, dom: Int[Array, " P"]
    ) -> Float[Array, " P"]:
        """Draws one arrival time for each of P photoelectrons inside the linen module; subclasses define it.

        Args:
          key: of the random numbers.
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: gives the readout window, which noise needs.
          detector: of the event.
          dom: [P], places of the photoelectrons' DOMs in the detector's tables.

        Returns:
          Times [P], ns.
        """
        raise NotImplementedError

    def init_variables(self, key: PRNGKeyArray, detector: Detector) -> Variables:
        """Makes fresh weights for a detector.

        Args:
          key: of the random numbers.
          detector: for which the weights are made, D modules.

        Returns:
          Pytree of weights.
        """
        event = empty_event(detector.num_doms)
        # Compiled: operation by operation it computes the light too, which takes seconds.
        init = jax.jit(lambda key: self.init(key, jnp.ones(len(self.parameter_names)), event, detector))
        variables: Variables = init(key)
        return variables

    def light_yield(
        self,
        variables: Variables,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        cumulative: bool = False,
    ) -> LightYield:
        """Computes the light at every DOM and pulse of an event; pure, composes with jit, vmap and grad.

        Args:
          variables: weights.
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: one event.
          detector: of the event.
          cumulative: whether to compute the cumulative light at pulses.

        Returns:
          Light at D DOMs and P pulses.

        Raises:
          ConfigError: what the subclass returns is no light of this event.
        """
        with full_products():
            light: Any = self.apply(variables, hypothesis, event, detector, cumulative)
        _check_light(type(self).__name__, light, event)
        checked: LightYield = light
        return checked

    def sample_times(
        self,
        variables: Variables,
        key: PRNGKeyArray,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        dom: Int[Array, " P"],
    ) -> Float[Array, " P"]:
        """Draws one arrival time for each of P photoelectrons.

        Args:
          variables: weights.
          key: of the random numbers.
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: gives the readout window, which noise needs.
          detector: of the event.
          dom: [P], places of the photoelectrons' DOMs in the detector's tables.

        Returns:
          Times [P], ns.
        """
        with full_products():
            times: Any = self.apply(variables, key, hypothesis, event, detector, dom, method="draw_times")
        return times


def _check_light(name: str, light: Any, event: Event) -> None:
    """Refuses what a source of a user's own returns instead of light; arrays of other shapes would spread out silently."""
    if not isinstance(light, LightYield):
        raise ConfigError(f"source {name}: expected a LightYield from __call__, got a {type(light).__name__}.")
    doms, pulses = ("DOM", event.charge.shape), ("pulse", event.pulses.charge.shape)
    expected = {"charge": doms, "charge_full": doms, "excess": doms, "density": pulses, "cumulative": pulses}
    for what, (each, shape) in expected.items():
        value = getattr(light, what)
        if value is not None and jnp.shape(value) != shape:
            raise ConfigError(
                f"source {name}: {what} of its light has the shape {jnp.shape(value)}; expected {shape}, one number per {each}."
            )


def full_products() -> AbstractContextManager[None]:
    """Keeps all digits of float32 in products of matrices, unless the caller set `jax.default_matmul_precision`.

    Accelerators multiply with ten bits of mantissa or fewer by default: a trained model's log-likelihood was off by 1.2
    on an H100, and its gradient by its own size.

    Returns:
      Context within which the precision holds.
    """
    # JAX makes the attributes of its configuration as it runs.
    chosen = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return jax.default_matmul_precision("highest" if chosen is None else chosen)


def empty_event(num_doms: int, readout: tuple[float, float] = (0.0, 1.0)) -> Event:
    """Makes an event without pulses.

    Args:
      num_doms: number D of modules of the detector.
      readout: start and stop of the readout window, ns.

    Returns:
      The event, with arrays of JAX.
    """
    nothing = np.zeros(0)
    event = build_event(nothing, nothing, nothing.astype(np.int64), num_doms=num_doms, readout=readout)
    return jax.tree.map(jnp.asarray, event)
