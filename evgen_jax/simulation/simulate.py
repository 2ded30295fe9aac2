"""Simulated events from any model, analytic or trained, written as HDF5 tables."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evgen_jax.building.analytic import analytic_counterpart, analytic_model
from evgen_jax.building.directory import model_identity
from evgen_jax.building.experiment import experiment_detector
from evgen_jax.building.parts import hypothesis_parameters, load_part
from evgen_jax.config.records import ExperimentConfig, ModelSettings
from evgen_jax.config.validate import validate
from evgen_jax.data.labels import label_names
from evgen_jax.data.writer import TOY_NOTICE, write_events
from evgen_jax.errors import ConfigError, EvgenError
from evgen_jax.hypothesis.origin import anchor_of, relative_to_origin, shifted_times
from evgen_jax.hypothesis.parameters import names_of
from evgen_jax.light.source import Source
from evgen_jax.light.superposition import MultiSource
from evgen_jax.measurement.detector import Detector, fingerprint, geometry_fingerprint
from evgen_jax.measurement.event import Event, build_event
from evgen_jax.measurement.packing import bucket
from evgen_jax.model.model import Model, check_no_ensemble
from evgen_jax.model.sampler import SampledPulses, sample_photoelectrons
from evgen_jax.progress import stage
from evgen_jax.simulation.draw import draw_hypotheses, parameter_ranges, smeared_seeds
from evgen_jax.simulation.record import check_record, tell_dark_events, tell_far_ranges
from evgen_jax.sources.linen_source import empty_event

SEED_TABLE = "SmearedSeed"
TOGETHER = 1 << 20
"""Photoelectrons drawn together, about a kB of memory each."""
BRIGHTEST = 8 << 20
"""Photoelectrons of an event that are drawn, some 8 GB."""


def simulate(config: ExperimentConfig, directory: str | Path, progress: Callable = lambda items: items) -> list[Path]:
    """Draws hypotheses, simulates their events and writes them into numbered HDF5 files.

    Existing complete files are kept, so an interrupted simulation continues; they must have been made with these settings.

    Raises:
      ConfigError: a range for an unknown parameter, or a model that has no such parameters or another detector.
      DataError: the directory holds events of other settings, or no simulated event has a pulse.
    """
    settings = config.simulation_settings
    detector = experiment_detector(config)
    model = _simulating_model(config, detector)
    columns = label_names(config.data_handler_settings)
    parameters = hypothesis_parameters(config)
    names = names_of(parameters)
    if names != model.parameter_names:
        raise ConfigError(
            f"simulation_settings: the simulating model has the parameters {', '.join(model.parameter_names)}, "
            f"the model to train {', '.join(names)}."
        )
    ranges, segment_length = parameter_ranges(parameters, settings.ranges), _segment_length(model.source)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    notice = f"simulated with the model {settings.model}" if settings.model else TOY_NOTICE
    count = -(-settings.num_events // settings.events_per_file)
    bad = ~np.asarray(detector.usable)
    handler = config.data_handler_settings
    dom_tables = {}
    if handler.data_settings.dom_exclusions_key:
        dom_tables[handler.data_settings.dom_exclusions_key] = (
            np.asarray(detector.string)[bad],
            np.asarray(detector.om)[bad],
        )
    files = [directory / f"{config.unique_name}_{number:06d}.hdf5" for number in range(count)]
    check_record(directory, config.unique_name, _record(config, model, ranges))
    tell_far_ranges(parameters, ranges, detector)
    sample = EventSampler(model, settings.readout_window)
    made = dark = 0
    for number, path in enumerate(progress(files)):
        if path.exists():
            continue
        events = min(settings.events_per_file, settings.num_events - number * settings.events_per_file)
        rng = np.random.default_rng((settings.random_seed, number))
        hypotheses = draw_hypotheses(rng, parameters, ranges, events, segment_length)
        pulses = sample(hypotheses, jax.random.key(int(rng.integers(2**31))), settings.single_photoelectron_charge, rng)
        pulses = {
            **pulses,
            "string": np.asarray(detector.string)[pulses["dom"]],
            "om": np.asarray(detector.om)[pulses["dom"]],
        }
        pulses.pop("dom")
        made, dark = made + events, dark + events - len(np.unique(pulses["event"]))
        own = len(columns) - len(handler.label_settings.snowstorm_parameters)
        hypotheses = relative_to_origin(detector, parameters, hypotheses, +1)
        tables = {
            handler.label_settings.label_key: dict(zip(columns[:own], hypotheses.T[:own], strict=True)),
            SEED_TABLE: smeared_seeds(rng, parameters, hypotheses),
            "ReadoutWindow": dict(zip(("start", "stop"), np.tile(settings.readout_window, (events, 1)).T, strict=True)),
        }
        if own < len(columns) and handler.label_settings.snowstorm_key is not None:
            ice = dict(zip(columns[own:], hypotheses.T[own:], strict=True))
            tables[handler.label_settings.snowstorm_key] = ice
        if handler.data_settings.event_id_key not in tables:
            tables[handler.data_settings.event_id_key] = tables[handler.label_settings.label_key]
        write_events(path, number + 1, events, pulses, tables, pulse_key=handler.data_settings.pulse_key,
                     dom_tables=dom_tables, detector=detector, notice=notice)  # fmt: skip
    tell_dark_events(dark, made)
    return files


def _record(config: ExperimentConfig, model: Model, ranges: np.ndarray) -> dict[str, Any]:
    """What the simulated events depend on, as plain values."""
    settings, handler = config.simulation_settings, config.data_handler_settings
    return {
        **settings.model_dump(mode="json", exclude={"ranges", "model"}),
        "ranges": dict(zip(model.parameter_names, ranges.tolist(), strict=True)),
        "model": model_identity(model),
        "detector": fingerprint(model.detector),
        "tables": {
            "pulse_key": handler.data_settings.pulse_key, "event_id_key": handler.data_settings.event_id_key,
            "dom_exclusions_key": handler.data_settings.dom_exclusions_key, "label_key": handler.label_settings.label_key,
            "labels": list(label_names(handler)),
        },
    }  # fmt: skip


def _simulating_model(config: ExperimentConfig, detector: Detector) -> Model:
    """The exported model that the configuration names, or the analytic counterpart of the model to train."""
    if config.simulation_settings.model:
        try:
            model = load_part(config.simulation_settings.model)
        except EvgenError as error:
            raise ConfigError(f"simulation_settings.model: {error}") from None
        if geometry_fingerprint(model.detector) != geometry_fingerprint(detector):
            raise ConfigError(
                f"simulation_settings.model: {config.simulation_settings.model} was made for the detector "
                f"'{model.detector.name}' with {model.detector.num_doms} modules, which is not '{detector.name}' of "
                f"detector_settings.geometry with {detector.num_doms} modules."
            )
        return model

    def load_settings(directory: str) -> ModelSettings:
        return validate(ModelSettings, load_part(directory).settings["model_settings"], directory)

    return analytic_model(detector, analytic_counterpart(config.model_settings, load_settings))


def _segment_length(source: Source, default: float = 15.0) -> float:
    """Distance between the losses of a track in the source tree."""
    if not isinstance(source, MultiSource):
        return default
    own = getattr(source.expand, "spacing", None)
    lengths = [_segment_length(base, 0.0) for _, base in source.bases]
    return own or next((length for length in lengths if length), default)


@jax.jit
def _expected_charges(model: Model, hypotheses: jax.Array, readout: jax.Array) -> jax.Array:
    """Expected charge of the whole detector [E], PE, of hypotheses [E, H]."""
    nothing = empty_event(model.detector.num_doms).replace(readout=readout)

    def charge(hypothesis: jax.Array) -> jax.Array:
        return jnp.sum(model.source.light_yield(model.variables, hypothesis, nothing, model.detector).charge_full)

    return jax.lax.map(charge, hypotheses)


@partial(jax.jit, static_argnums=0)
def _drawn(size: int, model: Model, keys: jax.Array, hypotheses: jax.Array, readout: jax.Array) -> SampledPulses:
    """Photoelectrons [E, size] of hypotheses [E, H]."""
    return jax.vmap(lambda key, h: sample_photoelectrons(model, key, h, readout, size))(keys, hypotheses)


class EventSampler:
    """Simulates many events of a model, batched.

    Raises:
      ConfigError: for an ensemble, or an event of more light than the memory holds.
    """

    def __init__(self, model: Model, readout: tuple[float, float], batch: int = 16):
        check_no_ensemble(model)
        # Drawn in float32, with times from the begin of the readout where that is large.
        self._anchor = float(anchor_of(np.asarray(readout[0], np.float64)))
        self._readout = (readout[0] - self._anchor, readout[1] - self._anchor)
        self._model, self._batch = model, batch
        self._seen: set[int] = set()

    def __call__(
        self, hypotheses: np.ndarray, key: jax.Array, charge_response: bool, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Pulses (event, dom, time, charge) of hypotheses [E, H], within the readout window."""
        keys = jax.random.split(key, len(hypotheses))
        moved = shifted_times(self._model.parameters, hypotheses, -self._anchor)
        physical = jnp.asarray(moved, jnp.float32)
        window = jnp.asarray(self._readout, jnp.float32)
        expected = np.asarray(_expected_charges(self._model, physical, window))
        if len(expected) and not expected.max() <= BRIGHTEST:
            worst = int(np.argmax(np.nan_to_num(expected, nan=np.inf)))
            raise ConfigError(
                f"an event is expected to have {expected[worst]:.3g} photoelectrons, the memory is for {BRIGHTEST:.3g}: "
                + ", ".join(f"{n} {v:.4g}" for n, v in zip(self._model.parameter_names, hypotheses[worst], strict=True))
                + ". Lower the energies (simulation_settings.ranges)."
            )
        # Events of similar brightness together: all events of a batch are padded to the brightest.
        order, out, start = np.argsort(expected), [], 0

        def padded(events: np.ndarray) -> int:
            return bucket(int(1.2 * expected[events].max()) + 100, 1 << 10)

        while start < len(order):
            batch = self._batch
            while batch > 1 and batch * padded(order[start : start + batch]) > TOGETHER:
                batch //= 2
            real = order[start : start + batch]
            start, size, chosen = start + batch, padded(real), np.resize(real, batch)
            arguments = (self._model, keys[chosen], physical[chosen], window)
            with nullcontext() if size in self._seen else stage("compiling"):
                drawn = _drawn(size, *arguments)
            self._seen.add(size)
            needed = bucket(int(np.max(drawn.count)), 1 << 10)
            if needed > size:
                drawn = _drawn(needed, *arguments)
            mask = np.array(drawn.mask)
            mask[len(real) :] = False
            event, position = np.nonzero(mask)
            out.append((chosen[event], np.asarray(drawn.dom)[event, position], np.asarray(drawn.time)[event, position]))
        event, dom, time = (np.concatenate(parts) for parts in zip(*out, strict=True))
        inside = (time >= self._readout[0]) & (time <= self._readout[1])
        event, dom, time = event[inside], dom[inside], time[inside].astype(np.float64) + self._anchor
        charge = photoelectron_charges(rng, len(event)) if charge_response else np.ones(len(event))
        return {"event": event, "dom": dom, "time": time, "charge": charge}

    def events(self, hypotheses: np.ndarray, key: jax.Array) -> list[Event]:
        """Events [E] of hypotheses [E, H] in the model's detector; every photoelectron counts 1 PE."""
        pulses = self(hypotheses, key, False, np.random.default_rng(0))  # nothing is drawn from the second generator
        detector = self._model.detector
        return split_events(pulses, len(hypotheses), num_doms=detector.num_doms, readout=(self._readout[0] + self._anchor, self._readout[1] + self._anchor),
                            usable=np.asarray(detector.usable))  # fmt: skip


def split_events(pulses: Mapping[str, np.ndarray], count: int, **options: Any) -> list[Event]:
    """Events [count] of pulses with the columns event, charge, time and dom; options as of `build_event`."""
    order = np.argsort(pulses["event"], kind="stable")
    ends = np.searchsorted(pulses["event"][order], np.arange(count + 1))
    columns = [pulses[name][order] for name in ("charge", "time", "dom")]
    return [build_event(*(c[a:b] for c in columns), **options) for a, b in zip(ends[:-1], ends[1:], strict=True)]


def photoelectron_charges(rng: np.random.Generator, count: int) -> np.ndarray:
    """Charges of single photoelectrons with mean 1 PE, drawn from the averaged template of IceCube modules.

    6.9 exp(-q/0.027) + 0.54879 exp(-q/0.38303) + 0.75306 exp(-(q - 1.00376)^2 / (2 0.31998^2)), 0.25 < q < 3
    (PMT paper, arXiv:1002.2442, with the discriminator at 0.25 PE), rescaled to mean 1.
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
