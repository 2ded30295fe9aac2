"""Simulated events from any model, analytic or trained, written as HDF5 tables."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from evgen_jax.building.model import build_source
from evgen_jax.config.records import ExperimentConfig, ModelSettings
from evgen_jax.data.labels import label_names
from evgen_jax.data.writer import TOY_NOTICE, write_events
from evgen_jax.errors import ConfigError
from evgen_jax.event import bucket
from evgen_jax.experiment import experiment_detector, hypothesis_names
from evgen_jax.model import Model, make_sampler
from evgen_jax.model_directory import load_model
from evgen_jax.sources.linen_source import empty_event
from evgen_jax.trafo import Trafo

DEFAULT_RANGES = {
    "x": (-500.0, 500.0), "y": (-500.0, 500.0), "z": (-500.0, 500.0), "zenith": (0.0, np.pi),
    "azimuth": (0.0, 2 * np.pi), "energy": (1e3, 1e6), "time": (9000.0, 11000.0),
}  # fmt: skip
SEED_TABLE = "SmearedSeed"
SEED_SPREAD = {"x": 15.0, "y": 15.0, "z": 15.0, "zenith": 0.2, "azimuth": 0.2, "energy": 0.3, "time": 30.0}
"""Spread of the seeds that are written beside the truth: m, rad, ln(energy), ns."""


def analytic_model(detector, dtype=jnp.float32) -> Model:
    """The analytic cascade with the detector's noise: the true likelihood of the default simulation."""
    settings = ModelSettings(
        model_class="IndependentMultiSource",
        config={"sources": {"cascade": "cascade", "noise": "noise"}},
        multi_source_bases={
            "cascade": ModelSettings(model_class="AnalyticCascadeModel", config={"float_precision": dtype.__name__}),
            "noise": ModelSettings(model_class="AnalyticNoiseModel", config={"float_precision": dtype.__name__}),
        },
    )
    source, _ = build_source(settings)
    names = source.parameter_names
    mean, std, log = zip(*[_SCALES[n.split("_", 1)[1]] for n in names], strict=True)
    trafo = Trafo(names, mean, std, log)
    detector = jax.tree.map(jnp.asarray, detector)
    plain = {"model_settings": settings.model_dump(mode="json"), "loss_module_settings": [
        {"config": {"loss_function_name": "unbinned_pulse_time_llh"}}, {"config": {"loss_function_name": "dom_charge_pdf"}},
    ]}  # fmt: skip
    return Model(source, source.init_variables(jax.random.key(0), detector), trafo, detector, settings=plain)


_SCALES = {
    "x": (0.0, 300.0, False), "y": (0.0, 300.0, False), "z": (0.0, 300.0, False), "zenith": (1.57, 0.69, False),
    "azimuth": (3.14, 1.81, False), "energy": (10.0, 2.0, True), "time": (10000.0, 600.0, False),
}  # fmt: skip


def simulate(config: ExperimentConfig, directory: str | Path, progress: Callable = lambda items: items) -> list[Path]:
    """Draws hypotheses, simulates their events and writes them into numbered HDF5 files.

    Existing complete files are kept, so an interrupted simulation continues.

    Raises:
      ConfigError: a range for an unknown parameter, or a model that has no such parameters.
    """
    settings = config.simulation_settings
    detector = experiment_detector(config)
    model = load_model(settings.model) if settings.model else analytic_model(detector)
    columns = label_names(config.data_handler_settings)
    names = hypothesis_names(config)
    if names != model.parameter_names:
        raise ConfigError(
            f"simulation_settings: the simulating model has the parameters {', '.join(model.parameter_names)}, "
            f"the model to train {', '.join(names)}."
        )
    ranges = _ranges(names, settings.ranges)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    notice = f"simulated with the model {settings.model}" if settings.model else TOY_NOTICE
    files = []
    count = -(-settings.num_events // settings.events_per_file)
    bad = ~np.asarray(detector.usable)
    handler = config.data_handler_settings
    dom_tables = {}
    if handler.data_settings.dom_exclusions_key:
        dom_tables[handler.data_settings.dom_exclusions_key] = (
            np.asarray(detector.string)[bad],
            np.asarray(detector.om)[bad],
        )
    sample = EventSampler(model, settings.readout_window)
    for number in progress(range(count)):
        path = directory / f"{config.unique_name}_{number:06d}.hdf5"
        files.append(path)
        if path.exists():
            continue
        events = min(settings.events_per_file, settings.num_events - number * settings.events_per_file)
        rng = np.random.default_rng((settings.random_seed, number))
        hypotheses = draw_hypotheses(rng, names, ranges, events)
        pulses = sample(hypotheses, jax.random.key(int(rng.integers(2**31))), settings.single_photoelectron_charge, rng)
        pulses = {
            **pulses,
            "string": np.asarray(detector.string)[pulses["dom"]],
            "om": np.asarray(detector.om)[pulses["dom"]],
        }
        pulses.pop("dom")
        tables = {
            handler.label_settings.label_key: dict(zip(columns, hypotheses.T, strict=True)),
            SEED_TABLE: smeared_seeds(rng, names, hypotheses),
            "ReadoutWindow": dict(zip(("start", "stop"), np.tile(settings.readout_window, (events, 1)).T, strict=True)),
        }
        if handler.data_settings.event_id_key not in tables:
            tables[handler.data_settings.event_id_key] = tables[handler.label_settings.label_key]
        write_events(path, number + 1, events, pulses, tables, pulse_key=handler.data_settings.pulse_key,
                     dom_tables=dom_tables, notice=notice)  # fmt: skip
    return files


def _base_name(name: str) -> str:
    return next((base for base in DEFAULT_RANGES if name == base or name.endswith("_" + base)), name)


def _ranges(names: tuple[str, ...], given: Mapping[str, tuple[float, float]]) -> np.ndarray:
    for key in given:
        if key not in names and key not in DEFAULT_RANGES:
            raise ConfigError(f"simulation_settings.ranges.{key}: is no parameter; parameters: {', '.join(names)}.")
    ranges = []
    for name in names:
        base = _base_name(name)
        if name not in given and base not in given and base not in DEFAULT_RANGES:
            raise ConfigError(f"simulation_settings.ranges.{name}: is missing and has no default.")
        low, high = given.get(name) or given.get(base) or DEFAULT_RANGES[base]
        if high < low or (base == "energy" and low <= 0):
            raise ConfigError(f"simulation_settings.ranges.{name}: expected low <= high, got [{low}, {high}].")
        ranges.append((low, high))
    return np.array(ranges)


def draw_hypotheses(rng: np.random.Generator, names: tuple[str, ...], ranges: np.ndarray, count: int) -> np.ndarray:
    """Hypotheses [count, H]: energies log-uniform, zenith isotropic, all others uniform in their range."""
    u = rng.uniform(size=(count, len(names)))
    low, high = ranges[:, 0], ranges[:, 1]
    values = low + (high - low) * u
    for i, name in enumerate(names):
        if _base_name(name) == "energy":
            values[:, i] = np.exp(np.log(low[i]) + np.log(high[i] / low[i]) * u[:, i])
        if _base_name(name) == "zenith":
            values[:, i] = np.arccos(np.cos(low[i]) + (np.cos(high[i]) - np.cos(low[i])) * u[:, i])
    return values


def smeared_seeds(rng: np.random.Generator, names: tuple[str, ...], hypotheses: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of a seed table: the truth smeared by SEED_SPREAD."""
    columns = {}
    for i, name in enumerate(names):
        spread, noise = SEED_SPREAD.get(_base_name(name), 0.0), rng.normal(size=len(hypotheses))
        value = hypotheses[:, i]
        if _base_name(name) == "energy":
            value = value * np.exp(spread * noise)
        else:
            value = value + spread * noise
        if _base_name(name) == "zenith":
            value = np.clip(value, 0.01, np.pi - 0.01)
        columns[_base_name(name)] = value
    return columns


class EventSampler:
    """Simulates many events of a model, batched; the compiled functions are kept between calls."""

    def __init__(self, model: Model, readout: tuple[float, float], batch: int = 16):
        self._model, self._readout, self._batch = model, readout, batch
        self._compiled: dict[int, Callable] = {}
        probe = empty_event(model.detector.num_doms, readout)

        @jax.jit
        def expected(hypothesis: jax.Array) -> jax.Array:
            light = model.source.light_yield(model.variables, hypothesis, probe, model.detector)
            return jnp.sum(light.charge_full)

        self._expected = expected

    def _sampler(self, size: int) -> Callable:
        if size not in self._compiled:
            one = make_sampler(self._model, self._readout, size)
            self._compiled[size] = jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))
        return self._compiled[size]

    def __call__(
        self, hypotheses: np.ndarray, key: jax.Array, charge_response: bool, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Pulses (event, dom, time, charge) of hypotheses [E, H], within the readout window."""
        keys = jax.random.split(key, len(hypotheses))
        physical = jnp.asarray(hypotheses, jnp.float32)
        expected = np.asarray(jax.lax.map(self._expected, physical))
        # Events of similar brightness together: all events of a batch are padded to the brightest.
        order, out = np.argsort(expected), []
        for start in range(0, len(order), self._batch):
            real = order[start : start + self._batch]
            chosen = np.resize(real, self._batch)
            size = bucket(int(1.2 * expected[chosen].max()) + 100, 1 << 10)
            arguments = (self._model.variables, keys[chosen], physical[chosen])
            drawn = self._sampler(size)(*arguments)
            needed = bucket(int(np.max(drawn.count)), 1 << 10)
            if needed > size:
                drawn = self._sampler(needed)(*arguments)
            mask = np.array(drawn.mask)
            mask[len(real) :] = False
            event, position = np.nonzero(mask)
            out.append((chosen[event], np.asarray(drawn.dom)[event, position], np.asarray(drawn.time)[event, position]))
        event, dom, time = (np.concatenate(parts) for parts in zip(*out, strict=True))
        inside = (time >= self._readout[0]) & (time <= self._readout[1])
        event, dom, time = event[inside], dom[inside], time[inside].astype(np.float64)
        charge = photoelectron_charges(rng, len(event)) if charge_response else np.ones(len(event))
        return {"event": event, "dom": dom, "time": time, "charge": charge}


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
