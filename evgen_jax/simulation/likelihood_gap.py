"""How far a trained model's likelihood stays behind the true one, on simulated events."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from evgen_jax.building.experiment import open_stream
from evgen_jax.config.records import ExperimentConfig
from evgen_jax.errors import DataError
from evgen_jax.host_jit import host_jit
from evgen_jax.measurement.event import Event
from evgen_jax.model.log_likelihood import log_likelihood
from evgen_jax.model.model import Model
from evgen_jax.progress import Bar


def likelihood_gap(config: ExperimentConfig, model: Model, truth: Model) -> tuple[float, float]:
    """Mean over the test events of log L(true likelihood) - log L(trained model), both at the true hypothesis.

    Args:
      config: its test iterator names the events.
      model: trained; its likelihood terms are used for both.
      truth: the model that simulated the events.

    Returns:
      The gap and the mean number of pulses, per event.

    Raises:
      ConfigError: no test iterator.
      DataError: no event, or a file that cannot be read.
    """
    truth = replace(truth, loss=model.loss)
    total, count, pulses = 0.0, 0, 0
    stream = open_stream(config, "test", jax.tree.map(np.asarray, model.detector), parameters=model.parameters)
    with jax.enable_x64(True), Bar("likelihood gap") as bar:
        for batch in stream:
            arguments = (batch.labels, batch.events)
            total += float(_summed(truth, *arguments)) - float(_summed(model, *arguments))
            count, pulses = count + len(batch.labels), pulses + int(batch.events.pulses.mask.sum())
            bar.update(len(batch.labels))
    if count == 0:
        raise DataError("data_iterator_settings.test: no event to compare the likelihoods on.")
    return total / count, pulses / count


@host_jit()
def _summed(model: Model, hypotheses: Float[Array, "B H"], events: Event) -> Float[Array, ""]:
    """Log-likelihood summed over a batch of hypotheses [B, H] and events, one event after the other."""
    return jnp.sum(jax.lax.map(lambda pair: log_likelihood(model, *pair), (hypotheses, events)))
