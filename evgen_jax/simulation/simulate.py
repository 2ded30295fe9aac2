"""Simulated events from any model, analytic or trained, written as HDF5 tables."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from evgen_jax.building.analytic import analytic_counterpart, analytic_model
from evgen_jax.building.directory import model_identity
from evgen_jax.building.parts import check_medium, experiment_detector, hypothesis_parameters, load_part
from evgen_jax.building.sphere_around import sphere_doubt
from evgen_jax.config.records import ExperimentConfig, ModelSettings, SimulationSettings
from evgen_jax.config.simulation_records import OF_PHOTONS
from evgen_jax.config.validate import validate
from evgen_jax.data.labels import label_names
from evgen_jax.data.writer import TABLE_LIGHT, write_events
from evgen_jax.errors import ConfigError, EvgenError
from evgen_jax.hypothesis.parameters import names_of
from evgen_jax.light.tree import settings_of
from evgen_jax.measurement.detector import Detector, fingerprint, geometry_fingerprint
from evgen_jax.measurement.merging import merged_columns
from evgen_jax.model.model import Model
from evgen_jax.simulation.draw import draw_hypotheses, parameter_ranges
from evgen_jax.simulation.events import EventSampler
from evgen_jax.simulation.hadronic import (
    ELECTRON,
    PARTICLE_TABLE,
    energy_places,
    light_energies,
    particle_columns,
)
from evgen_jax.simulation.photons import PhotonSampler
from evgen_jax.simulation.record import check_record, tell_dark_events, tell_far_ranges
from evgen_jax.simulation.showers import with_shared_maxima
from evgen_jax.simulation.tables import PULSE_TABLE, tables_of_events, tables_of_modules, with_labels

SEGMENT_LENGTH = 15.0
"""Distance between the energy losses of a track where no source states one, m."""

LOGGER = logging.getLogger("evgen_jax")
OF_OTHER_LIGHT = ("light", "draw", *(k for k, f in SimulationSettings.model_fields.items() if OF_PHOTONS in f.metadata))
"""Settings on which events of other light do not depend."""


def simulate(
    config: ExperimentConfig,
    directory: str | Path,
    progress: Callable[[list[Path]], Iterable[Path]] = lambda items: items,
) -> list[Path]:
    """Draws hypotheses, simulates their events and writes them into numbered HDF5 files.

    Existing complete files are kept, so an interrupted simulation continues; they must have been made with these
    settings.

    Args:
      config: the experiment; `simulation_settings` say how many events of which hypotheses.
      directory: of the files, made if needed.
      progress: wraps the list of files, for a progress bar.

    Returns:
      All files, those that were there already among them.

    Raises:
      ConfigError: a range for an unknown parameter, or a model that has no such parameters or another detector.
      DataError: the directory holds events of other settings, or no simulated event has a pulse.
    """
    settings, handler = config.simulation_settings, config.data_handler_settings
    detector = experiment_detector(config)
    model = _simulating_model(config, detector)
    parameters = hypothesis_parameters(config)
    names = names_of(parameters)
    if names != model.parameter_names:
        raise ConfigError(
            f"simulation_settings: the simulating model has the parameters {', '.join(model.parameter_names)}, "
            f"the model to train {', '.join(names)}."
        )
    ranges = parameter_ranges(parameters, settings.ranges)
    photons = settings.light == "photons"
    segment_length = next(iter(settings_of(model.source, "spacing")), SEGMENT_LENGTH)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    count = -(-settings.num_events // settings.events_per_file)
    files = [directory / f"{config.unique_name}_{number:06d}.hdf5" for number in range(count)]
    check_record(directory, config.unique_name, _record(config, model, ranges))
    tell_far_ranges(parameters, ranges, detector)
    if doubt := sphere_doubt(model.source, detector):
        LOGGER.warning("%s", doubt)
    sample = PhotonSampler(model, settings) if photons else EventSampler(model, settings.readout_window)
    modules = tables_of_modules(handler, detector)
    made = dark = 0
    for number, path in enumerate(progress(files)):
        if path.exists():
            continue
        events = min(settings.events_per_file, settings.num_events - number * settings.events_per_file)
        rng = np.random.default_rng((settings.random_seed, number))
        hypotheses = draw_hypotheses(rng, parameters, ranges, events, segment_length, detector.medium)
        places = energy_places(parameters)
        particles = hypotheses[:, places]
        hypotheses[:, places] = light_energies(rng, settings.shower_particle, particles, detector.medium)
        if photons:
            density = float(detector.medium.density)
            hypotheses = with_shared_maxima(hypotheses, parameters, settings.events_per_cascade, density)
        pulses = sample(hypotheses, jax.random.key(int(rng.integers(2**31))), settings.single_photoelectron_charge, rng)
        if settings.merge_pulses and settings.draw:
            pulses = _merged(pulses, settings.merge_pulses)
        made, dark = made + events, dark + events - len(np.unique(pulses["event"]))
        tables = tables_of_events(rng, handler, detector, parameters, hypotheses, settings.readout_window)
        if settings.shower_particle != ELECTRON:
            tables[PARTICLE_TABLE] = particle_columns(
                parameters, label_names(handler), particles, settings.shower_particle
            )
        write_events(
            path,
            number + 1,
            events,
            with_labels(pulses, detector),
            tables,
            pulse_key=handler.data_settings.pulse_key or PULSE_TABLE,
            dom_tables=modules,
            detector=detector,
            notice=_notice(settings, detector),
        )
    tell_dark_events(dark, made)
    return files


def _merged(pulses: dict[str, np.ndarray], width: float) -> dict[str, np.ndarray]:
    """Pulses with those of one module of one event merged that are closer than `width`, ns."""
    order = np.lexsort((pulses["time"], pulses["dom"], pulses["event"]))
    event, dom = pulses["event"][order], pulses["dom"][order]
    module = event.astype(np.int64) * (int(dom.max(initial=0)) + 1) + dom
    starts, time, charge = merged_columns(module, pulses["time"][order], pulses["charge"][order], width)
    return {"event": event[starts], "dom": dom[starts], "time": time, "charge": charge}


def _notice(settings: SimulationSettings, detector: Detector) -> str:
    """Where the events come from, for the attributes of a file."""
    if settings.light == "photons":
        return (
            f"photons followed through {detector.medium.name}, {settings.photons} weighted photons an event, spheres of "
            f"{settings.sphere_radius:g} m; not IceCube simulation; no birefringence, no hole-ice columns"
            + ("" if settings.draw else "; expected pulses, nothing is drawn, no noise")
        )
    return f"simulated with the model {settings.model}" if settings.model else TABLE_LIGHT


def _record(config: ExperimentConfig, model: Model, ranges: np.ndarray) -> dict[str, Any]:
    """What the simulated events depend on, as plain values."""
    settings, handler = config.simulation_settings, config.data_handler_settings
    photons, electron = settings.light == "photons", settings.shower_particle == ELECTRON
    without = ["ranges", "model", *(() if photons else OF_OTHER_LIGHT), *(["shower_particle"] if electron else [])]
    without += ["merge_pulses"] if settings.merge_pulses is None else []  # as records of earlier versions
    return {
        **settings.model_dump(mode="json", exclude=set(without)),
        "ranges": dict(zip(model.parameter_names, ranges.tolist(), strict=True)),
        "model": model_identity(model),
        **({} if settings.model else {"provenance": _notice(settings, model.detector)}),
        "detector": fingerprint(model.detector),
        "medium": model.detector.medium.name,
        "tables": {
            "pulse_key": handler.data_settings.pulse_key,
            "event_id_key": handler.data_settings.event_id_key,
            "dom_exclusions_key": handler.data_settings.dom_exclusions_key,
            "label_key": handler.label_settings.label_key,
            "labels": list(label_names(handler)),
        },
    }


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
        check_medium(
            model.detector.medium, detector.medium, f"simulation_settings.model: {config.simulation_settings.model}"
        )
        return model

    def load_settings(directory: str) -> ModelSettings:
        return validate(ModelSettings, load_part(directory).settings["model_settings"], directory)

    return analytic_model(detector, analytic_counterpart(config.model_settings, load_settings))
