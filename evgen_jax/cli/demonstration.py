"""The demo: simulate, fit the transformation, train, export, load back, fit held-out events, draw and summarise."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.directory import load_model
from evgen_jax.building.experiment import create_trafo, iterator
from evgen_jax.config.records import ExperimentConfig, SimulationSettings
from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import find_files
from evgen_jax.data.event_file import read_event_file
from evgen_jax.errors import ConfigError
from evgen_jax.extras import need
from evgen_jax.hypothesis.parameters import CASCADE, places_by_role
from evgen_jax.hypothesis.trafo import TRAFO_FILE
from evgen_jax.light.superposition import MultiSource
from evgen_jax.measurement.detector import fingerprint, load_detector
from evgen_jax.measurement.event import Event
from evgen_jax.model.model import Model
from evgen_jax.progress import Bar, counted, counted_blocks, is_quiet
from evgen_jax.reconstruction.fit.fit import reconstruct
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.reconstruction.starts.smear import smear
from evgen_jax.reconstruction.uncertainty.sky_map import SkyMap, make_sky_map
from evgen_jax.report.demonstration import Outcome, summary
from evgen_jax.report.plots.overview import Example, figures
from evgen_jax.report.recovery import bound_errors, cascade_errors, confidence_levels, coverage, medians
from evgen_jax.report.text_page import text_page
from evgen_jax.simulation.information import fisher_information
from evgen_jax.simulation.likelihood_gap import likelihood_gap
from evgen_jax.simulation.simulate import simulate
from evgen_jax.sources.learned.inputs import REFERENCE
from evgen_jax.sources.learned.learned import LearnedSource
from evgen_jax.training.export import export_model
from evgen_jax.training.metrics import read_metrics
from evgen_jax.training.restore import manager_directory
from evgen_jax.training.run import train

SHIPPED = "demo"
"""Name of the trained network beside that of the demo."""
REPEATS = 3
"""Simulated events of each hypothesis from which the bound is computed."""
NUM_FITS = 100
"""Default number of fitted events."""
SPREADS = {"x": 30.0, "y": 30.0, "z": 30.0, "zenith": np.radians(30), "energy": 0.5, "time": 100.0}
"""By how much seeds are smeared truth, by role: m, rad (on both axes of the sphere), in the logarithm, ns."""


def run_demo(
    directory: Path,
    steps: int | None = None,
    source: Path | None = None,
    num_fits: int = NUM_FITS,
    settings: Sequence[str] = (),
) -> str:
    """Simulates, trains, exports, fits and draws into a directory, reusing what is there.

    Args:
      directory: made if needed.
      steps: training steps, instead of those of the configuration.
      source: a configuration like the embedded one: its paths begin with '{directory}', its labels are those of one
        cascade, its events are simulated with the analytic sources.
      num_fits: how many of the test iterator's events are fitted.
      settings: 'section.key=value' each, the value in YAML; they override the configuration.

    Returns:
      The summary, Markdown.

    Raises:
      EvgenError: the configuration, a file or a number makes one of these steps impossible.
    """
    directory.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    config = _config(directory, steps, source, settings)
    finished = directory / "summary.json"
    identity: dict[str, Any] = {"steps": config.training_settings.num_training_iterations, "fits": num_fits}
    if settings:
        identity["settings"] = list(settings)
    if finished.exists() and json.loads(finished.read_text())["identity"] == identity:
        return (directory / "summary.md").read_text() + "\n(Made by an earlier run, reused.)"
    exported = directory / f"exported_{config.training_settings.num_training_iterations}"
    clock = _Clock()
    model = train_on_simulation(config, directory / "events", exported, clock)
    oracle = analytic_model(model.detector)
    events, names, truth, seeds = _test_events(config, model, num_fits)
    models, left_out = {"trained network": model}, []
    if fingerprint(model.detector) == fingerprint(load_detector()):
        models["shipped network"] = _shipped_network(model)
    else:
        left_out.append("the network that comes with the package, which belongs to IceCube-86.")
    models["true likelihood"] = oracle
    fits = {}
    for name, own in models.items():
        with clock(f"fits of the {name}"):
            fits[name] = _fits(name, own, events, seeds)
    with clock("bound"):
        readout = config.simulation_settings.readout_window
        information = fisher_information(oracle, truth, readout, jax.random.key(0), REPEATS)
    with clock("likelihood gap"):
        gaps = {}
        for name, own in models.items():
            if own is not oracle:
                gaps[name], pulses = likelihood_gap(config, own, oracle)
    found = {"seeds": cascade_errors(seeds, truth, model.parameters)}
    for name, results in fits.items():
        found[name] = cascade_errors(np.stack([fit.hypothesis for fit in results]), truth, model.parameters)
    found["Cramer-Rao bound"] = bound_errors(information, truth, model.parameters)
    levels = {name: confidence_levels(results, truth, model.parameters) for name, results in fits.items()}
    best = "true likelihood"
    which = int(np.argsort([event.charge.sum() for event in events])[len(events) // 2])
    with clock("sky map"):
        sky_map, missing = _sky_map(oracle, events[which], fits[best][which].hypothesis)
        left_out += missing
    example = Example(
        names[which], events[which], truth[which], seeds[which], fits[best][which].hypothesis, sky_map, best
    )
    energies = truth[:, places_by_role(model.parameters, CASCADE)[0]["energy"]] / 1e3
    title = f"{len(events)} held-out cascades of {energies.min():.2g} to {energies.max():.2g} TeV"
    with clock("figures"):
        metrics = read_metrics(manager_directory(config))
        drawn = figures(directory / "figures", models, example, found, levels, metrics, title)
    medians_of = {name: medians(own) for name, own in found.items()}
    coverage_of = {name: coverage(own) for name, own in levels.items()}
    seconds = time.perf_counter() - start
    outcome = Outcome(title, medians_of, coverage_of, gaps, pulses, clock.seconds, seconds, left_out)
    (directory / "index.html").write_text(text_page(summary(outcome), drawn, directory))
    text = f"{summary(outcome)} Page: {directory / 'index.html'}."
    (directory / "summary.md").write_text(text + "\n")
    kept = {"identity": identity, "medians": medians_of, "coverage": coverage_of, "gaps": gaps}
    finished.write_text(json.dumps(kept, indent=1) + "\n")
    return text


def _shipped_network(own: Model) -> Model:
    """The network that comes with the package; of the same layers as another network it shares the programs of its fits."""
    shipped = load_model(SHIPPED)
    bases = own.source.bases if isinstance(own.source, MultiSource) else ()
    named = all(REFERENCE not in base.options.inputs for _, base in bases if isinstance(base, LearnedSource))
    same = jax.tree.map(jnp.shape, own.variables) == jax.tree.map(jnp.shape, shipped.variables)
    # Named inputs are not normalised by the spread of labels: weights mean the same beside another normalisation.
    if named and same and shipped.settings["model_settings"] == own.settings["model_settings"]:
        return own.with_variables(shipped.variables)
    return shipped


class _Clock:
    """Counts CPU seconds of stages: `with clock("training"): ...`.

    Attributes:
      seconds: stage -> seconds of all cores together, processes that have ended among them.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        before = sum(os.times()[:4])
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + sum(os.times()[:4]) - before


def train_on_simulation(
    config: ExperimentConfig,
    events: Path,
    exported: Path,
    clock: Callable[[str], AbstractContextManager[None]] = lambda stage: nullcontext(),
) -> Model:
    """Simulates events, fits the transformation, trains and exports; what is there is reused.

    Args:
      config: the experiment.
      events: directory of the simulated events.
      exported: directory of the exported model.
      clock: stage -> context in which it runs, for measurements.

    Returns:
      The trained model.

    Raises:
      EvgenError: the configuration, a file or a number makes one of these steps impossible.
    """
    with clock("simulation"):
        simulate(config, events, partial(_counted_events, config.simulation_settings))
    with clock("training"):
        if not (Path(config.data_trafo_settings.model_dir) / TRAFO_FILE).exists():
            create_trafo(config, lambda items: counted(items, "trafo", "file"))
        train(config, progress=not is_quiet())
        if not exported.exists():
            export_model(config, exported)
        return load_model(exported)


def _counted_events(settings: SimulationSettings, files: Sequence[Path]) -> Iterator[Path]:
    """The files, with a bar that counts their events."""
    with Bar("simulate", total=settings.num_events) as bar:
        for path in files:
            yield path
            bar.update(min(settings.events_per_file, settings.num_events - bar.done))


def _config(directory: Path, steps: int | None, source: Path | None, settings: Sequence[str]) -> ExperimentConfig:
    if source is None:
        text = (resources.files("evgen_jax") / "tables" / "demo.yaml").read_text()
    elif source.is_file():
        text = source.read_text()
    else:
        raise ConfigError(f"{source}: no such configuration file.")
    path, text = directory / "demo.yaml", text.replace("{directory}", str(directory))
    if path.exists() and path.read_text() != text:
        raise ConfigError(f"{path}: belongs to a demo of another configuration. Give another directory with -o.")
    path.write_text(text)
    config = load_config(path, settings)
    if steps is None:
        return config
    training = config.training_settings.model_copy(update={"num_training_iterations": steps})
    return config.model_copy(update={"training_settings": training})


def _test_events(
    config: ExperimentConfig, model: Model, count: int
) -> tuple[list[Event], list[str], np.ndarray, np.ndarray]:
    """The first events of the test iterator with names, truth and smeared seeds."""
    events: list[Event] = []
    ids: list[np.ndarray] = []
    truth: list[np.ndarray] = []
    for path in find_files(iterator(config, "test").input_data):
        file = read_event_file(path, config.data_handler_settings, model.detector, parameters=model.parameters)
        events += [file.event(i) for i in range(min(count - len(events), len(file)))]
        ids.append(file.ids)
        truth.append(np.asarray(file.labels))
        if len(events) == count:
            break
    hypotheses = np.concatenate(truth)[: len(events)]
    place = places_by_role(model.parameters, CASCADE)[0]
    spreads = {model.parameter_names[place[role]]: width for role, width in SPREADS.items()}
    smeared = smear(hypotheses[:, None], model.parameters, 1, np.random.default_rng(0), spreads)[:, 1]
    names = [f"Run {run:.0f}, event {number:.0f}" for run, number, *_ in np.concatenate(ids)[: len(events)]]
    return events, names, hypotheses, smeared


def _fits(name: str, model: Model, events: list[Event], seeds: np.ndarray) -> list[FitResult]:
    return reconstruct(model, events, seeds, progress=lambda b: counted_blocks(b, f"fit ({name})", len(events)))


def _sky_map(model: Model, event: Event, fit: np.ndarray) -> tuple[SkyMap | None, list[str]]:
    """The map of an event, or what to install for it."""
    try:
        need("astropy_healpix", "the sky map")
        need("astropy", "the sky map")
    except ConfigError as error:
        return None, [str(error)]
    with Bar("sky map"):
        return make_sky_map(model)(event, fit), []
