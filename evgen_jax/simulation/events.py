"""Events that a model draws at hypotheses: photoelectrons, then pulses."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, Real

from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.origin import anchor_of, shifted_times
from evgen_jax.measurement.event import Event, build_event
from evgen_jax.model.ensemble import check_no_ensemble
from evgen_jax.model.model import Model
from evgen_jax.model.sampler import SampledPulses, sample_photoelectrons
from evgen_jax.progress import stage
from evgen_jax.sources.linen_source import empty_event

LANE = 2048
"""Photoelectrons that a lane of the program draws; events with more take several lanes, so that one program serves all."""
BRIGHTEST = 8 << 20
"""Most photoelectrons of one event, some thousand lanes."""


@jax.jit
def _expected_charges(model: Model, hypotheses: Float[Array, "E H"], readout: Float[Array, "2"]) -> Float[Array, " E"]:
    """Expected charge of the whole detector [E], PE, of hypotheses [E, H]."""
    nothing = empty_event(model.detector.num_doms).replace(readout=readout)

    def charge(hypothesis: jax.Array) -> jax.Array:
        return jnp.sum(model.source.light_yield(model.variables, hypothesis, nothing, model.detector).charge_full)

    return jax.lax.map(charge, hypotheses)


@jax.jit
def _drawn(
    model: Model,
    keys: Key[Array, " L"],
    hypotheses: Float[Array, "L H"],
    parts: Int[Array, " L"],
    readout: Float[Array, "2"],
) -> SampledPulses:
    """Photoelectrons [L, LANE] of hypotheses [L, H], the numbers from parts * LANE on of each event."""

    def lane(key: Key[Array, ""], hypothesis: Float[Array, " H"], part: Int[Array, ""]) -> SampledPulses:
        return sample_photoelectrons(model, key, hypothesis, readout, LANE, part)

    return jax.vmap(lane)(keys, hypotheses, parts)


class EventSampler:
    """Simulates many events of a model, batched.

    Args:
      model: no ensemble.
      readout: start and stop of the readout window, ns.
      batch: number of lanes of `LANE` photoelectrons that are drawn together.

    Raises:
      ConfigError: for an ensemble.
    """

    def __init__(self, model: Model, readout: tuple[float, float], batch: int = 16):
        check_no_ensemble(model)
        # Drawn in float32, with times from the begin of the readout where that is large.
        self._anchor = float(anchor_of(np.asarray(readout[0], np.float64)))
        self._readout = (readout[0] - self._anchor, readout[1] - self._anchor)
        self._model, self._batch, self._compiled = model, batch, False

    def __repr__(self) -> str:
        start, stop = (end + self._anchor for end in self._readout)
        return (
            f"EventSampler of {self._model.source!r} in {self._model.detector.name}, readout {start:g} to {stop:g} ns"
        )

    def __call__(
        self, hypotheses: Real[np.ndarray, "E H"], key: PRNGKeyArray, charge_response: bool, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Draws the pulses of events within the readout window.

        Args:
          hypotheses: [E, H], physical units (m, ns, GeV, rad).
          key: of the random numbers of photoelectrons.
          charge_response: whether charges follow the response of a module; otherwise every photoelectron counts 1 PE.
          rng: of the charges.

        Returns:
          Columns [P]: event, dom, time (ns) and charge (PE).

        Raises:
          ConfigError: an event of more light than the memory holds.
        """
        keys = jax.random.split(key, len(hypotheses))
        moved = shifted_times(self._model.parameters, hypotheses, -self._anchor)
        physical = jnp.asarray(moved, jnp.float32)
        window = jnp.asarray(self._readout, jnp.float32)
        refuse_too_bright(np.asarray(_expected_charges(self._model, physical, window)), self._model, hypotheses)
        # The first lane of every event says how many it needs.
        whole = np.arange(len(hypotheses))
        first, counts = self._lanes(keys, physical, window, whole, np.zeros_like(whole))
        lanes = -(-counts // LANE)
        event = np.repeat(whole, np.maximum(lanes - 1, 0))
        part = np.arange(len(event)) - np.searchsorted(event, event) + 1
        further, _ = self._lanes(keys, physical, window, event, part)
        event, dom, time = (np.concatenate(columns) for columns in zip(first, further, strict=True))
        order = np.argsort(event, kind="stable")
        inside = order[(time[order] >= self._readout[0]) & (time[order] <= self._readout[1])]
        event, dom, time = event[inside], dom[inside], time[inside].astype(np.float64) + self._anchor
        charge = photoelectron_charges(rng, len(event)) if charge_response else np.ones(len(event))
        return {"event": event, "dom": dom, "time": time, "charge": charge}

    def _lanes(
        self,
        keys: Key[Array, " E"],
        hypotheses: Float[Array, "E H"],
        readout: Array,
        event: np.ndarray,
        part: np.ndarray,
    ) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
        """Numbers of the events, places of the DOMs and times [P] of lanes [L], and the counts of their events [L]."""
        out = [(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))]  # where there are no lanes
        counts = [np.zeros(0, np.int64)]
        for start in range(0, len(event), self._batch):
            count = min(self._batch, len(event) - start)
            chosen = np.resize(np.arange(start, start + count), self._batch)
            own = event[chosen]
            with nullcontext() if self._compiled else stage("compiling"):
                drawn = _drawn(self._model, keys[own], hypotheses[own], part[chosen].astype(np.int32), readout)
            self._compiled = True
            lane, place = np.nonzero(np.asarray(drawn.mask)[:count])
            out.append((own[lane], np.asarray(drawn.dom)[lane, place], np.asarray(drawn.time)[lane, place]))
            counts.append(np.asarray(drawn.count, np.int64)[:count])
        event_of, dom, time = (np.concatenate(columns) for columns in zip(*out, strict=True))
        return (event_of, dom, time), np.concatenate(counts)

    def events(self, hypotheses: Real[np.ndarray, "E H"], key: PRNGKeyArray) -> list[Event]:
        """Draws events in the model's detector; every photoelectron counts 1 PE.

        Args:
          hypotheses: [E, H], physical units (m, ns, GeV, rad).
          key: of the random numbers.

        Returns:
          E events.
        """
        pulses = self(hypotheses, key, False, np.random.default_rng(0))  # nothing is drawn from the second generator
        detector = self._model.detector
        return split_events(
            pulses,
            len(hypotheses),
            num_doms=detector.num_doms,
            readout=(self._readout[0] + self._anchor, self._readout[1] + self._anchor),
            usable=np.asarray(detector.usable),
        )


def refuse_too_bright(expected: Real[np.ndarray, " E"], model: Model, hypotheses: Real[np.ndarray, "E H"]) -> None:
    """Checks that the memory holds the photoelectrons of each event.

    Args:
      expected: photoelectrons of each event [E].
      model: names the parameters.
      hypotheses: [E, H], physical units.

    Raises:
      ConfigError: an event of more light.
    """
    if len(expected) and not expected.max() <= BRIGHTEST:
        worst = int(np.argmax(np.nan_to_num(expected, nan=np.inf)))
        raise ConfigError(
            f"an event is expected to have {expected[worst]:.3g} photoelectrons, the memory is for {BRIGHTEST:.3g}: "
            + ", ".join(f"{n} {v:.4g}" for n, v in zip(model.parameter_names, hypotheses[worst], strict=True))
            + ". Lower the energies (simulation_settings.ranges)."
        )


def split_events(pulses: Mapping[str, np.ndarray], count: int, **options: Any) -> list[Event]:
    """Makes events of pulses.

    Args:
      pulses: columns event, charge (PE), time (ns) and dom, [P] each.
      count: number of events.
      **options: of `build_event`.

    Returns:
      `count` events; one without pulses is empty.
    """
    order = np.argsort(pulses["event"], kind="stable")
    ends = np.searchsorted(pulses["event"][order], np.arange(count + 1))
    columns = [pulses[name][order] for name in ("charge", "time", "dom")]
    return [build_event(*(c[a:b] for c in columns), **options) for a, b in zip(ends[:-1], ends[1:], strict=True)]


def photoelectron_charges(rng: np.random.Generator, count: int) -> Float[np.ndarray, " {count}"]:
    """Charges of single photoelectrons with mean 1 PE, drawn from the averaged template of IceCube modules.

    6.9 exp(-q/0.027) + 0.54879 exp(-q/0.38303) + 0.75306 exp(-(q - 1.00376)^2 / (2 0.31998^2)), 0.25 < q < 3
    (PMT paper, arXiv:1002.2442, with the discriminator at 0.25 PE), rescaled to mean 1.

    Args:
      rng: numpy's generator.
      count: number of photoelectrons.

    Returns:
      Charges [count], PE.
    """
    q = np.linspace(0.25, 3.0, 2001)
    density = (
        6.9 * np.exp(-q / 0.027)
        + 0.54879 * np.exp(-q / 0.38303)
        + 0.75306 * np.exp(-0.5 * ((q - 1.00376) / 0.31998) ** 2)
    )
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    mean = np.average(q, weights=density)
    return np.interp(rng.uniform(size=count), cumulative / cumulative[-1], q) / mean
