"""The demo: simulate, fit the transformation, train, export, load back, fit held-out events, draw and summarise."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

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
from evgen_jax.hypothesis.parameters import CASCADE, DIRECTION, POSITIONS, Parameter, column_names, places_by_role
from evgen_jax.hypothesis.trafo import TRAFO_FILE
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import bucket
from evgen_jax.measurement.padding import repad
from evgen_jax.model.model import Model
from evgen_jax.physics.geometry import flight_direction
from evgen_jax.progress import Bar, counted, counted_blocks, is_quiet
from evgen_jax.reconstruction.fit.fit import reconstruct
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.report.plots import figures
from evgen_jax.simulation.likelihood_gap import likelihood_gap
from evgen_jax.simulation.simulate import simulate
from evgen_jax.simulation.tables import SEED_TABLE
from evgen_jax.training.export import export_model
from evgen_jax.training.metrics import read_metrics
from evgen_jax.training.restore import manager_directory
from evgen_jax.training.run import train

NUM_FITS = 16
"""Default number of fitted events."""


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
    model = train_on_simulation(config, directory / "events", exported)
    oracle = analytic_model(model.detector)
    events, truth, seeds = _test_events(config, model, num_fits)
    fits = {name: _fits(name, m, events, seeds) for name, m in (("trained", model), ("true", oracle))}
    gap, pulses = likelihood_gap(config, model, oracle)
    rows = {name: error_medians(results, truth, model.parameters) for name, results in fits.items()}
    figures(directory / "figures", model, oracle, events, truth, fits, read_metrics(manager_directory(config)))
    summary = _summary(directory, rows, (gap, pulses), len(events), time.perf_counter() - start)
    (directory / "summary.md").write_text(summary + "\n")
    finished.write_text(json.dumps({"identity": identity, "medians": rows, "gap": gap}, indent=1) + "\n")
    return summary


def train_on_simulation(config: ExperimentConfig, events: Path, exported: Path) -> Model:
    """Simulates events, fits the transformation, trains and exports; what is there is reused.

    Args:
      config: the experiment.
      events: directory of the simulated events.
      exported: directory of the exported model.

    Returns:
      The trained model.

    Raises:
      EvgenError: the configuration, a file or a number makes one of these steps impossible.
    """
    simulate(config, events, partial(_counted_events, config.simulation_settings))
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


def _test_events(config: ExperimentConfig, model: Model, count: int) -> tuple[list[Event], np.ndarray, np.ndarray]:
    """The first events of the test iterator with truth and smeared seeds, padded to few different lengths."""
    events: list[Event] = []
    truth: list[np.ndarray] = []
    seeds: list[np.ndarray] = []
    names = column_names(model.parameters)
    read = partial(read_event_file, parameters=model.parameters, seed_names=(SEED_TABLE,), seed_columns=names)
    for path in find_files(iterator(config, "test").input_data):
        file = read(path, config.data_handler_settings, model.detector)
        events += [file.event(i) for i in range(min(count - len(events), len(file)))]
        truth.append(np.asarray(file.labels))
        seeds.append(file.seeds[SEED_TABLE])
        if len(events) == count:
            break
    hypotheses, smeared = (np.concatenate(rows)[: len(events)] for rows in (truth, seeds))
    return [_few_lengths(event) for event in events], hypotheses, smeared


def _few_lengths(event: Event) -> Event:
    pulses, active = (bucket(len(own), factor=4) for own in (event.pulses.charge, event.active))
    return repad(event, pulses, active, len(event.windows.start))


def _fits(name: str, model: Model, events: list[Event], seeds: np.ndarray) -> list[FitResult]:
    description = f"fit ({name} likelihood)"
    return reconstruct(
        model, events, seeds, covariance=False, progress=lambda b: counted_blocks(b, description, len(events))
    )


def error_medians(fits: list[FitResult], truth: np.ndarray, parameters: Sequence[Parameter]) -> dict[str, float]:
    """Computes the median errors of fits of one cascade.

    Args:
      fits: of E events.
      truth: [E, H], physical units.
      parameters: of a hypothesis with one cascade.

    Returns:
      vertex_m, m; angle_deg, degrees; log_energy, |ln(E / E_true)|; time_ns, ns.
    """
    place, fitted = places_by_role(parameters, CASCADE)[0], np.stack([f.hypothesis for f in fits])
    vertex, (zenith, azimuth) = [place[role] for role in POSITIONS], [place[role] for role in DIRECTION]
    energy, when = place["energy"], place["time"]
    own = np.asarray(flight_direction(jnp.asarray(fitted[:, zenith]), jnp.asarray(fitted[:, azimuth])))
    true = np.asarray(flight_direction(jnp.asarray(truth[:, zenith]), jnp.asarray(truth[:, azimuth])))
    angle = np.degrees(np.arccos(np.clip(np.sum(own * true, axis=1), -1, 1)))
    return {
        "vertex_m": float(np.median(np.linalg.norm(fitted[:, vertex] - truth[:, vertex], axis=1))),
        "angle_deg": float(np.median(angle)),
        "log_energy": float(np.median(np.abs(np.log(np.maximum(fitted[:, energy], 1e-3) / truth[:, energy])))),
        "time_ns": float(np.median(np.abs(fitted[:, when] - truth[:, when]))),
    }


def _summary(
    directory: Path, rows: Mapping[str, Mapping[str, float]], gap: tuple[float, float], count: int, seconds: float
) -> str:
    lines = [
        "# evgen_jax demo",
        "",
        "Toy events: physics-motivated, not IceCube simulation.",
        "",
        f"Median errors of {count} held-out cascades, fitted from the same smeared seeds:",
        "",
        "| likelihood | vertex (m) | direction (deg) | abs ln(E/E_true) | time (ns) |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['vertex_m']:.2f} | {row['angle_deg']:.2f} | {row['log_energy']:.3f} | "
            f"{row['time_ns']:.2f} |"
        )
    lines += [
        "",
        f"Log-likelihood per event at the truth: the trained model is {gap[0]:.1f} below the true likelihood "
        f"({gap[1]:.0f} pulses per event).",
        f"Run time: {seconds:.0f} s. Figures: {directory / 'figures'}.",
    ]
    return "\n".join(lines)
