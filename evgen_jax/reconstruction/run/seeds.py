"""Seeds of the events of a file: where they are read, what they lack, which of them cannot be meant."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.data.detector_match import compare_with_detector
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.file_events import EventFile
from evgen_jax.data.labels import label_names
from evgen_jax.errors import DataError, ReconstructionError
from evgen_jax.hypothesis.names import check_labels, swapped
from evgen_jax.hypothesis.parameters import Parameter, column_names, names_of
from evgen_jax.hypothesis.plausible_angles import implausible_angle
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.reconstruction.starts.smear import smear

LOGGER = logging.getLogger("evgen_jax")
FROM_PULSES = "pulses"
"""Value of `seed` with which starts are found from the pulses."""


def seed_columns(
    parameters: Sequence[Parameter], settings: ReconstructionSettings, handler: DataHandlerSettings
) -> tuple[str, ...]:
    """Finds the columns of the seed table in the order of the hypothesis.

    Args:
      parameters: of the hypothesis, H of them.
      settings: section reconstruction_settings of a configuration.
      handler: section data_handler_settings of a configuration.

    Returns:
      Names of columns [H].

    Raises:
      ReconstructionError: another number of columns, or two that are swapped.
    """
    names = names_of(parameters)
    given = settings.seed_parameter_names or handler.misc_settings.seed_parameter_names
    if given:
        columns: list[str] = []
        for entry in given:
            columns += [entry] if isinstance(entry, str) else [entry[0]] * entry[1]
    else:
        columns = list(column_names(parameters))
    if len(columns) != len(names):
        raise ReconstructionError(
            f"seed_parameter_names: {len(columns)} columns ({', '.join(columns)}) for the "
            f"{len(names)} parameters {', '.join(names)}."
        )
    if (pair := swapped(columns, parameters)) is not None:
        (here, there), (i, j) = [columns[k] for k in pair], pair
        raise ReconstructionError(
            f"seed_parameter_names: the columns '{here}' and '{there}' are swapped: they stand for the parameters "
            f"'{names[i]}' and '{names[j]}'. Write them in the order of the parameters: "
            f"{', '.join(names[:20])}."
        )
    return tuple(columns)


def defaults_of_seeds(
    columns: Sequence[str], settings: ReconstructionSettings, handler: DataHandlerSettings
) -> dict[str, float]:
    """Finds the values of seed columns that a table may lack.

    Args:
      columns: of seeds.
      settings: section reconstruction_settings of a configuration.
      handler: section data_handler_settings of a configuration.

    Returns:
      Column -> value.
    """
    defaults = dict(handler.misc_settings.missing_value_dict) | dict(settings.seed_missing_value_dict)
    missing = settings.seed_missing_value
    if missing is None:
        missing = handler.misc_settings.missing_value
    return defaults if missing is None else {column: defaults.get(column, missing) for column in columns}


def make_seed_reader(
    model: AnyModel, handler: DataHandlerSettings, settings: ReconstructionSettings, *, truth: bool = False
) -> Callable[[Path], tuple[EventFile, np.ndarray]]:
    """Makes a function that reads the events of a file with their seeds.

    Labels are read where they are seeds, and where the truth is wanted: there a file may lack them.

    Args:
      model: gives parameters and detector.
      handler: section data_handler_settings of a configuration.
      settings: section reconstruction_settings of a configuration.
      truth: whether labels are wanted, beside tables with columns of the truth.

    Returns:
      Function file -> (events, seeds [E, S, H], physical units).

    Raises:
      ReconstructionError: seed tables or columns that do not fit the model, or labels in another order than its
        parameters.
    """
    names = (settings.seed,) if isinstance(settings.seed, str) else settings.seed
    if FROM_PULSES in names and len(names) > 1:
        raise ReconstructionError(f"seed: '{FROM_PULSES}' stands alone, got {', '.join(names)}.")
    tables = tuple(n for n in names if n not in ("x_parameters", FROM_PULSES))
    columns = seed_columns(model.parameters, settings, handler) if tables else ()
    if "x_parameters" in names or settings.column_names == "reference":
        labels = label_names(handler)
        if len(labels) == len(model.parameters):
            check_labels(labels, model.parameters, "data_handler_settings.label_settings", ReconstructionError)
    defaults = defaults_of_seeds(columns, settings, handler)

    def read(path: Path) -> tuple[EventFile, np.ndarray]:
        given = partial(
            read_event_file,
            path,
            handler,
            model.detector,
            parameters=model.parameters,
            seed_names=tables,
            seed_columns=columns,
            seed_defaults=defaults,
        )
        columns_of_truth = settings.column_names == "reference"
        if (truth or columns_of_truth) and "x_parameters" not in names:
            try:
                file = given(labels=True, need_labels=False)
            except DataError as error:
                file = given(labels=False)
                if columns_of_truth:
                    LOGGER.warning("columns of the truth stay empty: %s", error)
        else:
            file = given(labels="x_parameters" in names)
        if file.notes():
            LOGGER.warning("%s", file.notes())
        compare_with_detector(file, model.detector)
        if names == (FROM_PULSES,):
            return file, np.full((len(file), 1, len(model.parameter_names)), np.nan)
        sets = [file.labels if name == "x_parameters" else file.seeds[name] for name in names]
        seeds = np.stack([np.asarray(g, np.float64) for g in sets], axis=1)
        for place, name in enumerate(names):
            if fault := implausible_angle(model.parameters, seeds[:, place]):
                raise DataError(f"{path}: seeds of table '{name}': {fault}")
        if settings.num_random_seeds:
            # Of a file its own random numbers, whatever was read before.
            rng = np.random.default_rng((settings.random_seed, *(int(v) for v in file.ids[:1].ravel())))
            seeds = smear(seeds, model.parameters, settings.num_random_seeds, rng, settings.seed_spreads)
        return file, seeds

    return read
