"""Several devices by pmap. The only file that knows about it."""

from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax import Array

from evgen_jax.errors import ConfigError
from evgen_jax.measurement.event import Event

Carry = TypeVar("Carry")
Metrics = TypeVar("Metrics")
Step = Callable[[Carry, Event, Array], tuple[Carry, Metrics]]
"""(what is carried, events [B], labels [B, H]) -> (what is carried, metrics)."""
AXIS = "devices"
"""Name of the axis over which pmap maps."""


def choose_devices(requested: int | None, batch_size: int) -> int:
    """Chooses the number of devices to train on.

    Args:
      requested: number of devices; None: all.
      batch_size: events per step, over all devices.

    Returns:
      The number of devices.

    Raises:
      ConfigError: more than there are, or a batch that cannot be shared evenly.
    """
    available = jax.local_device_count()
    count = requested or available
    if count > available:
        raise ConfigError(f"training_settings.num_devices: asked for {count}, but JAX sees {available}.")
    if batch_size % count:
        raise ConfigError(
            f"data_iterator_settings.training.batch_size: {batch_size} events cannot be shared by {count} devices; "
            "use a multiple or set training_settings.num_devices."
        )
    return count


def data_parallel(step: Step[Carry, Metrics], num_devices: int) -> Step[Carry, Metrics]:
    """Runs a step made with `axis_name=AXIS` on several devices; what it carries goes in and comes out as one copy.

    Args:
      step: (carry, events [B], labels [B, H]) -> (carry, metrics).
      num_devices: that divides B.

    Returns:
      A function with the arguments and results of `step`.
    """
    mapped = jax.pmap(
        step, AXIS, in_axes=(None, 0, 0), out_axes=(None, None), devices=jax.local_devices()[:num_devices]
    )

    def split(x: np.ndarray) -> np.ndarray:
        return np.reshape(x, (num_devices, x.shape[0] // num_devices, *x.shape[1:]))

    def run(carry: Carry, events: Event, labels: Array) -> tuple[Carry, Metrics]:
        return mapped(carry, *jax.tree.map(split, (events, labels)))

    return run
