"""The normalisation of hypotheses of an export: `data_trafo/data.pickle`, checked against what its directory says of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.config.validate import validate
from evgen_jax.data.labels import label_names
from evgen_jax.errors import EvgenError, TrafoError
from evgen_jax.hypothesis.names import misplaced
from evgen_jax.hypothesis.parameters import Parameter, names_of
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.importing.component import DATA, DESCRIPTION, READER, Component
from evgen_jax.importing.restricted_pickle import StoredArray, read_pickle

RECORDS = (
    "egenerator.data.tensor.DataTensorList",
    "egenerator.data.tensor.DataTensor",
    "tensorflow.python.framework.dtypes.as_dtype",
    "numpy.float64",
    "numpy.float32",
)
"""What a transformation names beside arrays: descriptions of tensors and types of numbers."""


def read_trafo(component: Component, parameters: Sequence[Parameter]) -> Trafo:
    """Reads the normalisation of a model.

    Args:
      component: the directory `data_trafo`.
      parameters: of the model, H of them.

    Returns:
      The transformation of these parameters.

    Raises:
      TrafoError: of another number of parameters, damaged, or not the one that its directory describes.
      ModelDirectoryError: a pickle that names what it may not have, or is missing.
    """
    path = component.directory / DATA
    if component.kind != "DataTransformer":
        raise TrafoError(f"{component.directory}: is a {component.kind}, where a DataTransformer is expected.")
    content = read_pickle(path, RECORDS)
    try:
        mean, std = (_column(content[f"x_parameters_{key}"]) for key in ("mean", "std"))
        log, constant = _log_flags(content["tensors"], len(mean)), float(content["norm_constant"])
    except EvgenError:
        raise
    except Exception as error:  # whatever a file of another content lets these lines raise
        raise TrafoError(f"{path}: holds no normalisation of hypotheses ({error!r}). Copy it again.") from None
    for key, values in (("mean", mean), ("std", std)):
        expected = component.description.check_values.get(f"x_parameters_{key}")
        if isinstance(expected, float) and not np.isclose(values.mean(), expected, rtol=1e-6):
            raise TrafoError(
                f"{path}: its average {key} is {values.mean():g}, that of {component.directory / DESCRIPTION} is {expected:g}: they are "
                "of two exports. Copy the whole directory again."
            )
    if not np.all(np.isfinite(mean)) or not np.all(std + constant > 0) or not np.all(np.isfinite(std)):
        raise TrafoError(f"{path}: has means or spreads that normalise nothing: {mean.tolist()}, {std.tolist()}.")
    names = names_of(parameters)
    if len(mean) != len(std) or (len(mean) != len(names) and not _begins_with(component, parameters, len(mean))):
        raise TrafoError(
            f"{path}: is of {len(mean)} parameters, the model has {len(names)}: {', '.join(names)}. It belongs to another model."
        )
    own = slice(len(names))
    return Trafo(names, tuple(mean[own].tolist()), tuple(std[own].tolist()), log[own], constant)


def _begins_with(component: Component, parameters: Sequence[Parameter], number: int) -> bool:
    """Whether a normalisation of more parameters, as a part has that of its whole, begins with those of the part.

    Event-Generator takes the first ones; the names of the labels tell whether they are the right ones.
    """
    reader = component.description.sub_component_configurations.get(READER, {})
    settings = reader.get("mutable_settings")
    values = settings.get("config") if isinstance(settings, dict) else None
    if number < len(parameters) or values is None:
        return False
    labels = label_names(validate(DataHandlerSettings, values, str(component.directory / DESCRIPTION)))
    return len(labels) == number and not misplaced(labels[: len(parameters)], parameters)


def _column(stored: Any) -> np.ndarray:
    """A column of numbers, float64."""
    if not isinstance(stored, StoredArray):
        raise ValueError("numbers are missing")
    values = stored.numpy().astype(np.float64)
    if values.ndim != 1:
        raise ValueError(f"numbers of the shape {values.shape}")
    return values


def _log_flags(tensors: Any, number: int) -> tuple[bool, ...]:
    """Which parameters are taken as ln(1 + p), from the description of the tensor `x_parameters`."""
    (own,) = (tensor for tensor in tensors.list if tensor.name == "x_parameters")
    flags = own.trafo_log
    if isinstance(flags, bool):
        return (flags,) * number
    if flags is None:
        return (False,) * number
    if len(flags) != number or not all(isinstance(flag, bool) for flag in flags):
        raise ValueError(f"{len(flags)} flags of logarithms for {number} parameters")
    return tuple(flags)
