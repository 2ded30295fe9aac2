"""Hypothesis parameters of simulated events, from the label tables."""

import numpy as np

from evgen_jax.config.records import DataHandlerSettings, LabelSettings
from evgen_jax.data.tables import TableFile, existing, match_events
from evgen_jax.errors import ConfigError, DataError, suggestion

CASCADE = (
    "cascade_x", "cascade_y", "cascade_z", "cascade_zenith", "cascade_azimuth", "cascade_energy", "cascade_t",
)  # fmt: skip
TRACK = ("entry_zenith", "entry_azimuth", "entry_t", "entry_energy", "zenith", "azimuth")


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


LABEL_MODULES = {
    "GeneralLabelModule": _general,
    "SnowstormCascadeGeneratorLabelModule": _cascade,
    "SnowstormTrackEquidistantCascadesLabelModule": _equidistant_track,
    "DummyLabelModule": lambda settings: (),
}


def label_names(settings: DataHandlerSettings) -> tuple[str, ...]:
    """Label columns in hypothesis order, systematics last."""
    module = settings.label_module.rsplit(".", 1)[-1]
    if module not in LABEL_MODULES:
        raise ConfigError(
            f"data_handler_settings.label_module: '{settings.label_module}' is unknown; known: "
            f"{', '.join(LABEL_MODULES)}." + suggestion(module, LABEL_MODULES)
        )
    return LABEL_MODULES[module](settings.label_settings) + tuple(settings.label_settings.snowstorm_parameters)


def label_log_flags(settings: DataHandlerSettings) -> tuple[bool, ...]:
    """Which labels the transformation takes as ln(1 + p); systematics never."""
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


def label_columns(file: TableFile, settings: DataHandlerSettings, ids: np.ndarray) -> np.ndarray:
    """Label values [E, H] of events [E, 4], joined by event id.

    Raises:
      DataError: a table or column is missing, an event has no label, or a label is outside its physical range.
    """
    labels = settings.label_settings
    names = label_names(settings)
    own = names[: len(names) - len(labels.snowstorm_parameters)]
    values = np.full((len(ids), len(names)), np.nan)
    for columns, table, start in ((own, labels.label_key, 0), (labels.snowstorm_parameters, labels.snowstorm_key, -1)):
        start = len(own) if start else 0
        if not columns:
            continue
        if table is None:
            values[:, start:] = 1.0
            continue
        rows = existing(file.read(table, tuple(columns)))
        event = match_events(rows, ids)
        for i, column in enumerate(columns):
            values[event[event >= 0], start + i] = rows[column][event >= 0]
    _check_range(file, names, values, ids)
    return values


def _check_range(file: TableFile, names: tuple[str, ...], values: np.ndarray, ids: np.ndarray) -> None:
    for i, name in enumerate(names):
        column = values[:, i]
        bad, expected = ~np.isfinite(column), "a finite number in every event"
        if not bad.any() and "energy" in name:
            bad, expected = column < 0, "an energy >= 0 GeV"
        if not bad.any() and name.endswith("zenith"):
            bad, expected = (column < 0) | (column > np.pi), "an angle in [0, pi]"
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"{file.path}: label '{name}' of run {ids[row][0]}, event {ids[row][1]} is {column[row]}; "
                f"expected {expected}."
            )
