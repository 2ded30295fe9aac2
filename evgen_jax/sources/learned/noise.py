"""Uncorrelated noise: the modules' own dark counts, uniform in the readout window."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from evgen_jax.decoders import Decoder, Mixture
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.light.light_yield import LightYield, excluded_before_pulse, excluded_fraction, spread_to_doms
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.sources.linen_source import LinenSource

SHORTEST_READOUT = 1.0
"""Least length of a readout window, ns: of a shorter one densities would be infinite and their gradients NaN."""


class NoiseSource(LinenSource):
    """Noise of every DOM with rate times a learned factor; no hypothesis parameters.

    The expected charge of a DOM is exp(clip(w, -20, 15)) * rate * livetime with one learned w per expected-charge
    parameter of the charge decoder, shared by all DOMs and near 0 at the start. DOMs of rate 0 give no noise. A readout
    window shorter than 1 ns, such as that of an event with one pulse, counts as 1 ns.

    Attributes:
      charge_decoder: distribution of the charge; its parameters are the learned variables.
      scaled: names of the parameters that get rate * livetime; default all expected charges.
      learned: False fixes the factor at 1 and the charge to a Poisson distribution (the simulator's noise).
    """

    charge_decoder: Decoder | Mixture
    scaled: tuple[str, ...] | None = None
    learned: bool = True
    dtype: jnp.dtype = jnp.float32

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns no parameters: noise has no hypothesis."""
        return ()

    @nn.compact
    def __call__(
        self, hypothesis: Float[Array, " H"], event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        """Computes the noise at every DOM and pulse of an event inside the linen module.

        Args:
          hypothesis: [0], not used.
          event: one event, whose readout window counts.
          detector: gives the noise rates.
          cumulative: whether to compute the cumulative light at pulses.

        Returns:
          Light at D DOMs and P pulses.
        """
        start, stop = event.readout[0], event.readout[1]
        length = jnp.maximum(stop - start, SHORTEST_READOUT)
        livetime = length.astype(self.dtype)
        base = jnp.asarray(detector.noise_rate, self.dtype) * livetime
        names = self.charge_decoder.parameter_names
        windows, pulses = event.windows, event.pulses
        kept = jnp.ones((), self.dtype)
        window_fraction = None
        if windows.start.shape[0]:
            width = jnp.clip(windows.stop, start, stop) - jnp.clip(windows.start, start, stop)
            window_fraction = (width / length).astype(self.dtype)
            kept = 1 - spread_to_doms(event, excluded_fraction(event, window_fraction))

        if self.learned:
            weights = self.param("local_vars", nn.initializers.truncated_normal(1e-3), (len(names),), self.dtype)
            scaled = self.charge_decoder.loc_parameters if self.scaled is None else self.scaled
            charge_full, _ = self.charge_decoder.mean_and_excess(self._latent(weights, names, scaled, base))
            charge, excess = self.charge_decoder.mean_and_excess(self._latent(weights, names, scaled, base * kept))
        else:
            charge_full, charge, excess = base, base * kept, jnp.zeros_like(base)

        dom = jnp.minimum(event.active, detector.num_doms - 1)[pulses.slot]
        inside = (pulses.time >= start) & (pulses.time <= stop)
        density = jnp.where(inside, charge_full[dom] / livetime, 0)
        passed = None
        if cumulative:
            passed = ((jnp.clip(pulses.time, start, stop) - start) / length).astype(self.dtype)
            if window_fraction is not None:
                passed = passed - excluded_before_pulse(event, window_fraction)
            passed = charge_full[dom] * jnp.clip(passed, 0, 1)
        return LightYield(charge, charge_full, excess, density, passed)

    def _latent(
        self, weights: Float[Array, " L"], names: tuple[str, ...], scaled: tuple[str, ...], base: Float[Array, " D"]
    ) -> Float[Array, "D L"]:
        """Latent variables [D, L] of the charge decoder: expected charges from the weights, others as they are."""
        columns = []
        for i, name in enumerate(names):
            if name in self.charge_decoder.loc_parameters:
                value = jnp.exp(jnp.clip(weights[i], -20, 15)) * jnp.ones_like(base)
                columns.append(value * base if name in scaled else value)
            else:
                columns.append(jnp.broadcast_to(weights[i], base.shape))
        return jnp.stack(columns, axis=-1)

    def draw_times(
        self, key: PRNGKeyArray, hypothesis: Float[Array, " H"], event: Event, detector: Detector, dom: Int[Array, " P"]
    ) -> Float[Array, " P"]:
        """Draws one time for each of P photoelectrons, uniform in the readout window.

        Args:
          key: of the random numbers.
          hypothesis: [0], not used.
          event: gives the readout window.
          detector: not used.
          dom: [P], places of the photoelectrons' DOMs in the detector's tables.

        Returns:
          Times [P], ns.
        """
        start, stop = event.readout[0], event.readout[1]
        return start + (stop - start) * jax.random.uniform(key, dom.shape)
