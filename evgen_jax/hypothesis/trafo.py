"""The data transformation: mean, spread and log flag per hypothesis parameter."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.errors import TrafoError
from evgen_jax.files import write_whole
from evgen_jax.hypothesis.names import same_parameters
from evgen_jax.hypothesis.parameters import Parameter, names_of

FORMAT = 1
ORIGIN = "made_from"
TRAFO_FILE = "trafo.json"


@dataclass(frozen=True)
class Trafo:
    """y = (g(p) - mean) / (norm_constant + std), g = ln(1 + p) where `log` is set, else the identity.

    Hashable, since it is part of the static structure of a model.
    """

    parameter_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    log: tuple[bool, ...]
    norm_constant: float = 1e-6

    def _arrays(self, dtype: Any) -> tuple[Array, Array, np.ndarray]:
        return (
            jnp.asarray(self.mean, dtype),
            jnp.asarray(np.asarray(self.std) + self.norm_constant, dtype),
            np.asarray(self.log, bool),
        )

    def transform(self, parameters: Array) -> Array:
        """Physical parameters (..., H) to normalised ones."""
        mean, scale, log = self._arrays(jnp.result_type(parameters))
        if log.any():
            parameters = jnp.where(log, jnp.log1p(jnp.where(log, parameters, 0)), parameters)
        return (parameters - mean) / scale

    def inverse(self, transformed: Array) -> Array:
        """Normalised parameters (..., H) to physical ones; exponents are clipped to [-60, 60]."""
        mean, scale, log = self._arrays(jnp.result_type(transformed))
        value = transformed * scale + mean
        if log.any():
            value = jnp.where(log, jnp.expm1(jnp.clip(jnp.where(log, value, 0), -60, 60)), value)
        return value

    def scale(self) -> np.ndarray:
        """norm_constant + std [H]: the linear factor of uncertainties (in ln(1 + p) for logged parameters)."""
        return np.asarray(self.std) + self.norm_constant

    def centre(self) -> np.ndarray:
        """The hypothesis [H] at the mean of the normalisation, physical units."""
        mean, log = np.asarray(self.mean), np.asarray(self.log, bool)
        return np.where(log, np.expm1(np.where(log, mean, 0.0)), mean)

    def select(self, indices: Sequence[int], names: Sequence[str]) -> "Trafo":
        """The transformation of some of the parameters, under the given names."""
        mean, std, log = (tuple(values[i] for i in indices) for values in (self.mean, self.std, self.log))
        return Trafo(tuple(names), mean, std, tuple(map(bool, log)), self.norm_constant)

    def as_plain(self) -> dict[str, Any]:
        """The fields as JSON knows them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def save(self, path: str | Path, made_from: dict[str, Any] | None = None) -> None:
        """Writes a JSON file; `made_from` says from which data and settings, for `read_origin`."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        origin = {} if made_from is None else {ORIGIN: made_from}
        write_whole(path, json.dumps({"format": FORMAT, **self.as_plain(), **origin}, indent=1) + "\n")


def typical_trafo(parameters: Sequence[Parameter]) -> Trafo:
    """The transformation with the typical normalisation of every parameter, made from no data."""
    return Trafo(
        names_of(parameters), tuple(p.mean for p in parameters), tuple(p.std for p in parameters),
        tuple(p.log for p in parameters),
    )  # fmt: skip


def load_trafo(path: str | Path, parameter_names: Sequence[str] | None = None) -> Trafo:
    """Reads a transformation written by `Trafo.save`.

    Args:
      path: of the file.
      parameter_names: of the model. One that was fitted for the same parameters under another prefix, as x or cascade_x,
        serves as well and gets these names.

    Raises:
      TrafoError: missing, not a transformation, or fitted for parameters other than `parameter_names`.
    """
    path = Path(path)
    if not path.is_file() and (path.parent / "data.pickle").is_file():
        raise TrafoError(
            f"{path.parent}: holds a data transformation of Event-Generator, which is a pickle and not read. Make one with: "
            "evgen-jax create-trafo CONFIG"
        )
    if not path.is_file():
        raise TrafoError(f"{path}: no data transformation there. Make it with: evgen-jax create-trafo CONFIG")
    try:
        raw: dict[str, Any] = json.loads(path.read_text())
        if raw.pop("format") != FORMAT:
            raise TrafoError(f"{path}: written by another version of evgen_jax. Run create-trafo again.")
        raw.pop(ORIGIN, None)
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
        trafo = Trafo(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TrafoError(f"{path}: is no data transformation ({error}). Run create-trafo again.") from None
    if parameter_names is not None and tuple(parameter_names) != trafo.parameter_names:
        if same_parameters(trafo.parameter_names, parameter_names):
            return trafo.select(range(len(parameter_names)), parameter_names)
        raise TrafoError(
            f"{path}: was fitted for the parameters {', '.join(trafo.parameter_names)}, but the model has "
            f"{', '.join(parameter_names)}. Run create-trafo with this configuration."
        )
    return trafo


def read_origin(path: str | Path) -> dict[str, Any] | None:
    """From which data and settings a transformation was made; None if it does not say."""
    return json.loads(Path(path).read_text()).get(ORIGIN)


def fit_trafo(
    batches: Iterable[np.ndarray], parameter_names: Sequence[str], log: Sequence[bool], norm_constant: float = 1e-6
) -> Trafo:
    """Mean and population standard deviation in one streaming pass (Chan's merge), float64.

    Args:
      batches: arrays [n, H] of physical parameters.
      parameter_names, log: names and log flags, H each. A spread of 0 is replaced by 1.

    Raises:
      TrafoError: no events, values that are not finite, or ln(1 + p) of p <= -1.
    """
    count, mean, m2 = 0, np.zeros(len(log)), np.zeros(len(log))
    flags = np.asarray(log, bool)
    for batch in batches:
        values = np.array(batch, np.float64)
        if np.any(values[:, flags] <= -1):
            bad = np.asarray(parameter_names)[flags][np.argmax(np.any(values[:, flags] <= -1, axis=0))]
            raise TrafoError(f"parameter '{bad}' has values <= -1, but trafo_log asks for ln(1 + p) of it.")
        values[:, flags] = np.log1p(values[:, flags])
        if not np.all(np.isfinite(values)):
            bad = np.asarray(parameter_names)[np.argmin(np.all(np.isfinite(values), axis=0))]
            raise TrafoError(f"parameter '{bad}' has values that are not finite.")
        n = len(values)
        if n == 0:
            continue
        delta = values.mean(axis=0) - mean
        m2 += values.var(axis=0) * n + delta**2 * count * n / (count + n)
        mean += delta * n / (count + n)
        count += n
    if count == 0:
        raise TrafoError("no events to fit the data transformation on.")
    std = np.sqrt(m2 / count)
    std[std == 0] = 1.0
    return Trafo(
        tuple(parameter_names), tuple(mean.tolist()), tuple(std.tolist()), tuple(bool(f) for f in log), norm_constant
    )
