"""Simulated events as the tables of a file: labels, seeds, readout windows, excluded modules."""

from collections.abc import Mapping, Sequence

import numpy as np

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.labels import label_names
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.measurement.detector import Detector
from evgen_jax.simulation.draw import smeared_seeds

PULSE_TABLE = "MCPulses"
"""Table of pulses, where the configuration names none."""
SEED_TABLE = "SmearedSeed"
"""Table of seeds near the truth."""
READOUT_TABLE = "ReadoutWindow"
"""Table of readout windows, with the columns start and stop, ns."""


def tables_of_events(
    rng: np.random.Generator,
    handler: DataHandlerSettings,
    detector: Detector,
    parameters: Sequence[Parameter],
    hypotheses: np.ndarray,
    readout: tuple[float, float],
) -> dict[str, dict[str, np.ndarray]]:
    """Returns the tables with one row per event.

    Args:
      rng: smears the seeds.
      handler: names the tables and columns of labels.
      detector: whose origin the hypotheses are relative to.
      parameters: of the hypotheses, H of them.
      hypotheses: [E, H], physical units.
      readout: start and stop of the readout window, ns.

    Returns:
      Table name -> column name -> values [E]; labels and seeds in the coordinates of the detector's table.
    """
    settings, columns = handler.label_settings, label_names(handler)
    own = len(columns) - len(settings.snowstorm_parameters)
    truth = relative_to_origin(detector, parameters, hypotheses, +1)
    tables = {
        settings.label_key: dict(zip(columns[:own], truth.T[:own], strict=True)),
        SEED_TABLE: smeared_seeds(rng, parameters, truth),
        READOUT_TABLE: dict(zip(("start", "stop"), np.tile(readout, (len(truth), 1)).T, strict=True)),
    }
    if own < len(columns) and settings.snowstorm_key is not None:
        tables[settings.snowstorm_key] = dict(zip(columns[own:], truth.T[own:], strict=True))
    if handler.data_settings.event_id_key is not None:
        tables.setdefault(handler.data_settings.event_id_key, tables[settings.label_key])
    return tables


def tables_of_modules(handler: DataHandlerSettings, detector: Detector) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the tables of modules that take no part, the detector's unusable ones in every event.

    Args:
      handler: names the table, if there is one.
      detector: gives the modules.

    Returns:
      Table name -> string and om [X].
    """
    key, bad = handler.data_settings.dom_exclusions_key, ~np.asarray(detector.usable)
    return {key: (np.asarray(detector.string)[bad], np.asarray(detector.om)[bad])} if key else {}


def with_labels(pulses: Mapping[str, np.ndarray], detector: Detector) -> dict[str, np.ndarray]:
    """Replaces places in the detector's tables by the labels of the modules.

    Args:
      pulses: columns [P], `dom` among them.
      detector: gives the labels.

    Returns:
      Columns [P], with the labels instead of `dom`.
    """
    dom = pulses["dom"]
    labels = {"string": np.asarray(detector.string)[dom], "om": np.asarray(detector.om)[dom]}
    return {**{name: column for name, column in pulses.items() if name != "dom"}, **labels}
