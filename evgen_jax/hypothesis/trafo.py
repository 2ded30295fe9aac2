"""The data transformation: mean, spread and log flag per hypothesis parameter."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from evgen_jax.errors import TrafoError
from evgen_jax.files import write_whole
from evgen_jax.hypothesis.names import same_parameters
from evgen_jax.hypothesis.parameters import Parameter, names_of

FORMAT = 1
"""Version of the file format."""
ORIGIN = "made_from"
"""Key of a file that says from which data and settings the transformation was made."""
TRAFO_FILE = "trafo.json"
"""Name of the file in its directory."""
LINES = 24
"""Largest number of parameters that are printed."""


@dataclass(frozen=True)
class Trafo:
    """Normalises hypotheses: y = (g(p) - mean) / (norm_constant + std).

    g(p) = ln(1 + p) where `log` is set, else p. Hashable, since it is part of the static structure of a model.

    Attributes:
      parameter_names: H names.
      mean: H means of g(p), physical units.
      std: H standard deviations of g(p), physical units.
      log: H flags, True for ln(1 + p).
      norm_constant: added to the standard deviations, so that nothing is divided by 0.
    """

    parameter_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    log: tuple[bool, ...]
    norm_constant: float = 1e-6

    def __repr__(self) -> str:
        rows = zip(self.parameter_names, self.mean, self.std, self.log, strict=True)
        width = max(map(len, self.parameter_names), default=0)
        lines = [f"  {name:{width}}  {mean:10.5g} +- {std:.4g}{' of ln(1 + p)' * log}" for name, mean, std, log in rows]
        more = len(lines) - LINES
        shown = lines if more <= 1 else [*lines[: LINES - 1], f"  ... and {more + 1} more"]
        return "\n".join([f"Trafo of {len(lines)} parameters: mean and standard deviation", *shown])

    def _arrays(self, like: Array) -> tuple[Array, Array, np.ndarray]:
        """Mean, scale and which are logged, in the type and with the number of axes of an array (..., H)."""
        dtype, axes = jnp.result_type(like), tuple(range(np.ndim(like) - 1))
        columns = (np.asarray(self.mean), self.scale(), np.asarray(self.log, bool))
        mean, scale, log = (np.expand_dims(column, axes) for column in columns)
        return jnp.asarray(mean, dtype), jnp.asarray(scale, dtype), log

    def transform(self, parameters: Real[Array, "*shape H"]) -> Float[Array, "*shape H"]:
        """Maps physical parameters to normalised ones.

        Args:
          parameters: (..., H), physical units (m, ns, GeV, rad).

        Returns:
          Normalised parameters (..., H).
        """
        mean, scale, log = self._arrays(parameters)
        if log.any():
            parameters = jnp.where(log, jnp.log1p(jnp.where(log, parameters, 0)), parameters)
        return (parameters - mean) / scale

    def inverse(self, transformed: Float[Array, "*shape H"]) -> Float[Array, "*shape H"]:
        """Maps normalised parameters to physical ones; exponents are clipped to [-60, 60].

        Args:
          transformed: normalised parameters (..., H).

        Returns:
          Parameters (..., H), physical units (m, ns, GeV, rad).
        """
        mean, scale, log = self._arrays(transformed)
        value = transformed * scale + mean
        if log.any():
            value = jnp.where(log, jnp.expm1(jnp.clip(jnp.where(log, value, 0), -60, 60)), value)
        return value

    def scale(self) -> Float[np.ndarray, " H"]:
        """Computes the linear factor of uncertainties.

        Returns:
          norm_constant + std [H], physical units; of ln(1 + p) for logged parameters.
        """
        return np.asarray(self.std) + self.norm_constant

    def centre(self, deviations: float = 0.0) -> Float[np.ndarray, " H"]:
        """Computes the hypothesis at the mean of the normalisation, or beside it.

        Args:
          deviations: distance of every parameter from its mean, in units of `scale`.

        Returns:
          Hypothesis [H], physical units.
        """
        value, log = np.asarray(self.mean) + deviations * self.scale(), np.asarray(self.log, bool)
        return np.where(log, np.expm1(np.where(log, value, 0.0)), value)

    def select(self, indices: Sequence[int], names: Sequence[str]) -> "Trafo":
        """Takes the transformation of some of the parameters.

        Args:
          indices: places of the parameters.
          names: of the parameters in the result.

        Returns:
          The transformation of these parameters.
        """
        mean, std, log = (tuple(values[i] for i in indices) for values in (self.mean, self.std, self.log))
        return Trafo(tuple(names), mean, std, tuple(map(bool, log)), self.norm_constant)

    def as_plain(self) -> dict[str, Any]:
        """Converts the fields to values that JSON knows.

        Returns:
          Values by the names of the fields.
        """
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def save(self, path: str | Path, made_from: dict[str, Any] | None = None) -> None:
        """Writes a JSON file.

        Args:
          path: of the file.
          made_from: data and settings that the transformation was made from, for `read_origin`.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        origin = {} if made_from is None else {ORIGIN: made_from}
        write_whole(path, json.dumps({"format": FORMAT, **self.as_plain(), **origin}, indent=1) + "\n")


def typical_trafo(parameters: Sequence[Parameter]) -> Trafo:
    """Makes the transformation with the typical normalisation of every parameter, without data.

    Args:
      parameters: of a hypothesis, H of them.

    Returns:
      The transformation.
    """
    return Trafo(
        names_of(parameters),
        tuple(p.mean for p in parameters),
        tuple(p.std for p in parameters),
        tuple(p.log for p in parameters),
    )


def load_trafo(path: str | Path, parameter_names: Sequence[str] | None = None) -> Trafo:
    """Reads a transformation written by `Trafo.save`.

    Args:
      path: of the file.
      parameter_names: of the model. A transformation of these parameters under another prefix, as x or cascade_x,
        serves as well and gets these names.

    Returns:
      The transformation.

    Raises:
      TrafoError: missing, not a transformation, or fitted for parameters other than `parameter_names`.
    """
    trafo, _ = _read(Path(path))
    if parameter_names is not None and tuple(parameter_names) != trafo.parameter_names:
        if same_parameters(trafo.parameter_names, parameter_names):
            return trafo.select(range(len(parameter_names)), parameter_names)
        raise TrafoError(
            f"{path}: was fitted for the parameters {', '.join(trafo.parameter_names)}, but the model has "
            f"{', '.join(parameter_names)}. Run create-trafo with this configuration."
        )
    return trafo


def _read(path: Path) -> tuple[Trafo, dict[str, Any] | None]:
    """The transformation in a file, and what it was made from."""
    if not path.is_file() and (path.parent / "data.pickle").is_file():
        raise TrafoError(
            f"{path.parent}: holds a data transformation of Event-Generator. Import a model that was trained with it (evgen-jax "
            "import DIR -o OUT) and name OUT instead, or make one with: evgen-jax create-trafo CONFIG"
        )
    if not path.is_file():
        raise TrafoError(f"{path}: no data transformation there. Make it with: evgen-jax create-trafo CONFIG")
    try:
        raw: dict[str, Any] = json.loads(path.read_text())
        if raw.pop("format") != FORMAT:
            raise TrafoError(f"{path}: written by another version of evgen_jax. Run create-trafo again.")
        origin = raw.pop(ORIGIN, None)
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
        return Trafo(**values), origin
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TrafoError(f"{path}: is no data transformation ({error}). Run create-trafo again.") from None


def read_origin(path: str | Path) -> dict[str, Any] | None:
    """Reads from which data and settings a transformation was made.

    Args:
      path: of the file.

    Returns:
      What `Trafo.save` was given as `made_from`; None if the file does not say.

    Raises:
      TrafoError: missing, or not a transformation.
    """
    return _read(Path(path))[1]


def fit_trafo(
    batches: Iterable[np.ndarray], parameter_names: Sequence[str], log: Sequence[bool], norm_constant: float = 1e-6
) -> Trafo:
    """Computes mean and population standard deviation in one streaming pass (Chan's merge), float64.

    Args:
      batches: arrays [n, H] of physical parameters.
      parameter_names: H names.
      log: H flags, True for parameters that are normalised as ln(1 + p).
      norm_constant: added to the standard deviation, so that nothing is divided by 0.

    Returns:
      The transformation; a standard deviation of 0 is replaced by 1.

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
