"""Hypothesis parameters of simulated events, from the label tables."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from evgen_jax.config.records import DataHandlerSettings, LabelSettings
from evgen_jax.data.event_ids import EventIds
from evgen_jax.data.protocol import Tables
from evgen_jax.errors import ConfigError, DataError, suggestion
from evgen_jax.hypothesis.names import swapped
from evgen_jax.hypothesis.origin import time_places
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.hypothesis.roles import ENERGIES
from evgen_jax.measurement.measured import LARGEST

CASCADE = (
    "cascade_x",
    "cascade_y",
    "cascade_z",
    "cascade_zenith",
    "cascade_azimuth",
    "cascade_energy",
    "cascade_time",
)
"""Label columns of the cascade of SnowstormCascadeGeneratorLabelModule: m, rad, GeV, ns."""
TRACK = ("entry_zenith", "entry_azimuth", "entry_t", "entry_energy", "zenith", "azimuth")
"""Label columns of the entry point of SnowstormTrackEquidistantCascadesLabelModule: rad, ns, GeV."""


def _general(settings: LabelSettings) -> tuple[str, ...]:
    if settings.parameter_names is None:
        raise ConfigError("label_settings.parameter_names: is missing; GeneralLabelModule needs it.")
    return settings.parameter_names


def _cascade(settings: LabelSettings) -> tuple[str, ...]:
    return CASCADE + tuple(settings.additional_labels or ())


def _equidistant_track(settings: LabelSettings) -> tuple[str, ...]:
    if settings.num_cascades is None:
        raise ConfigError("label_settings.num_cascades: is missing.")
    losses = tuple(f"energy_loss_{i:04d}" for i in range(settings.num_cascades))
    return TRACK + losses + tuple(settings.additional_labels or ())


LABEL_MODULES: dict[str, Callable[[LabelSettings], tuple[str, ...]]] = {
    "GeneralLabelModule": _general,
    "SnowstormCascadeGeneratorLabelModule": _cascade,
    "SnowstormTrackEquidistantCascadesLabelModule": _equidistant_track,
    "DummyLabelModule": lambda settings: (),
}
"""Label module of Event-Generator in configurations -> function that lists its label columns."""


def label_names(settings: DataHandlerSettings) -> tuple[str, ...]:
    """Lists the label columns in hypothesis order, parameters of SnowStorm systematics last.

    Args:
      settings: section data_handler_settings of a configuration.

    Returns:
      H names.

    Raises:
      ConfigError: an unknown label module, or a setting that it needs is missing.
    """
    module = settings.label_module.rsplit(".", 1)[-1]
    if module not in LABEL_MODULES:
        raise ConfigError(
            f"data_handler_settings.label_module: '{settings.label_module}' is unknown; known: "
            f"{', '.join(LABEL_MODULES)}." + suggestion(module, LABEL_MODULES)
        )
    return LABEL_MODULES[module](settings.label_settings) + tuple(settings.label_settings.snowstorm_parameters)


def labels_are(settings: DataHandlerSettings, parameters: Sequence[Parameter]) -> bool:
    """Tells whether the labels are the parameters of a hypothesis, in its order.

    Args:
      settings: section data_handler_settings of a configuration.
      parameters: of the hypothesis.

    Returns:
      False for another number of labels, or two that are swapped.

    Raises:
      ConfigError: an unknown label module, or a setting that it needs is missing.
    """
    names = label_names(settings)
    return len(names) == len(parameters) and swapped(names, parameters) is None


def label_log_flags(settings: DataHandlerSettings) -> tuple[bool, ...]:
    """Finds the labels that the transformation takes as ln(1 + p); systematics are never among them.

    Args:
      settings: section data_handler_settings of a configuration.

    Returns:
      H flags.

    Raises:
      ConfigError: an unknown label module, or another number of flags than labels.
    """
    names, labels = label_names(settings), settings.label_settings
    count = len(names) - len(labels.snowstorm_parameters)
    flags = labels.trafo_log
    if isinstance(flags, bool):
        flags = (flags,) * count
    elif settings.label_module.endswith("EquidistantCascadesLabelModule") and len(flags) == len(TRACK) + 1:
        flags = flags[:-1] + (flags[-1],) * (labels.num_cascades or 0) + (False,) * len(labels.additional_labels or ())
    if len(flags) != count:
        raise ConfigError(
            f"label_settings.trafo_log: expected one flag or {count} flags (one per label), got {len(flags)}."
        )
    return flags + (False,) * len(labels.snowstorm_parameters)


def time_columns(settings: DataHandlerSettings, parameters: Sequence[Parameter]) -> tuple[int, ...] | None:
    """Finds the labels that are times.

    Args:
      settings: section data_handler_settings of a configuration.
      parameters: what the labels are, H of them.

    Returns:
      Places of the labels; None if nothing is known of a label, which then may be a time.
    """
    # Properties of ice and modules are none, whatever they are called.
    return time_places(parameters[: len(parameters) - len(settings.label_settings.snowstorm_parameters)])


def label_columns(
    file: Tables, settings: DataHandlerSettings, table: str, ids: EventIds, parameters: Sequence[Parameter]
) -> tuple[np.ndarray, dict[int, str]]:
    """Reads the labels of events, joined by event id.

    Args:
      file: open file with the label tables.
      settings: section data_handler_settings of a configuration.
      table: of the labels.
      ids: E events.
      parameters: what the labels are, H of them.

    Returns:
      Labels [E, H], NaN in events without a row, and number of an event -> what is wrong with its labels.

    Raises:
      DataError: a table or column is missing, or a label is outside its physical range in most events: then it has
        another unit, or another column is meant.
    """
    labels = settings.label_settings
    names = label_names(settings)
    own = names[: len(names) - len(labels.snowstorm_parameters)]
    values = np.full((len(ids), len(names)), np.nan)
    for columns, key, start in (
        (own, table, 0),
        (labels.snowstorm_parameters, labels.snowstorm_key, len(own)),
    ):
        if columns:
            values[:, start : start + len(columns)] = 1.0 if key is None else ids.align(key, columns)
    return values, label_faults(file.path, names, parameters, values, ids.name)


def label_faults(
    path: Path,
    names: Sequence[str],
    parameters: Sequence[Parameter],
    values: np.ndarray,
    event_name: Callable[[int], str],
) -> dict[int, str]:
    """Finds the events whose labels are no numbers or outside their physical range.

    Args:
      path: of the file, for messages.
      names: of the labels, H of them.
      parameters: what the labels are, H of them.
      values: labels [E, H].
      event_name: number of an event -> how messages call it.

    Returns:
      Number of an event -> what is wrong with its labels.

    Raises:
      DataError: most events have one label out of its range.
    """
    wrong: dict[int, str] = {}
    for i, (name, parameter) in enumerate(zip(names, parameters, strict=True)):
        column = values[:, i]
        for row in np.flatnonzero(~(np.abs(column) < LARGEST)):
            wrong.setdefault(int(row), f"has the label '{name}' {column[row]}; expected a finite number")
        bad, expected = np.zeros(len(column), bool), ""
        if parameter.role in ENERGIES:
            bad, expected = column < 0, "an energy >= 0 GeV"
        elif parameter.role in ("zenith", "entry_zenith"):
            bad, expected = (column < 0) | (column > np.pi), "an angle in [0, pi]"
        if 2 * bad.sum() > np.isfinite(column).sum():
            first = int(np.argmax(bad))
            raise DataError(
                f"{path}: label '{name}' of {event_name(first)} is {column[first]}; expected {expected} (so in "
                f"{bad.sum()} of {len(values)} events)."
            )
        for row in np.flatnonzero(bad):
            wrong.setdefault(int(row), f"has the label '{name}' {column[row]}; expected {expected}")
    return wrong
