"""A log-likelihood with its weights as one program that JAX alone can run, for events of one padded shape.

It stands beside a model and never in its place: nothing can be trained, changed or fitted with other settings from it.
"""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np
from jax import Array

from evgen_jax.building.directory import model_identity
from evgen_jax.checks import check_whole
from evgen_jax.errors import ConfigError, DataError, shown, suggestion
from evgen_jax.extras import need
from evgen_jax.files import replaced, write_whole
from evgen_jax.measurement.event import Event, Pulses, Windows
from evgen_jax.measurement.packing import bucket
from evgen_jax.measurement.padding import repad
from evgen_jax.model.ensemble import AnyModel, check_model
from evgen_jax.model.log_likelihood import log_likelihood
from evgen_jax.version import __version__

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""Kinds of devices that a program can be exported for."""
PRECISIONS = ("float64", "float32")
"""Numbers of hypotheses and times."""
RECORDS = {"pulses": Pulses, "windows": Windows}
"""Parts of an event that hold several arrays."""


def export_log_likelihood(
    model: AnyModel,
    path: str | Path,
    *,
    pulses: int,
    modules: int,
    windows: int = 0,
    platforms: Sequence[str] = ("cpu", "cuda"),
    precision: str = "float64",
    priors: bool = True,
) -> Path:
    """Writes the log-likelihood of one event, with the weights and the detector, as StableHLO.

    `jax.export.deserialize(bytes).call` is a function (hypothesis [H], event) -> scalar, where the event is a dictionary of
    arrays as `event_arrays` makes it; `jax.grad` of it works, `jax.vmap` and second derivatives do not. Programs can be
    loaded by later versions of JAX for as long as JAX promises (half a year), with flatbuffers installed. Parameters, units
    and shapes stand beside it, in `<path>.json`.

    Args:
      model: an exported model, or any other one.
      path: of the program; an existing one is replaced.
      pulses: largest number of pulses of an event; rounded up to a length that events are padded to.
      modules: largest number of modules with pulses, charge or windows; rounded up likewise.
      windows: largest number of excluded time windows.
      platforms: kinds of devices that can run it: 'cpu', 'cuda', 'rocm', 'tpu'.
      precision: 'float64' as in fits, which needs `jax.config.update("jax_enable_x64", True)` where it runs, or 'float32'.
      priors: whether the log of the loss's priors is added.

    Returns:
      The path.

    Raises:
      ConfigError: no model, unknown platforms or precision, sizes that are none, or flatbuffers is not installed.
      OSError: the file cannot be written.

    Example:
      eg.export_log_likelihood(model, "cascade.stablehlo", pulses=500, modules=100)
      np.savez("event.npz", **eg.event_arrays(event, pulses=500, modules=100))
    """
    check_model(model)
    need("flatbuffers", "export_log_likelihood")
    if unknown := [name for name in platforms if name not in PLATFORMS]:
        raise ConfigError(
            f"platforms: {shown(unknown[0])} is unknown; expected some of {', '.join(PLATFORMS)}."
            + suggestion(str(unknown[0]), PLATFORMS)
        )
    if not platforms or precision not in PRECISIONS:
        what = f"precision: {shown(precision)}" if platforms else "platforms: none"
        raise ConfigError(f"{what}; expected {' or '.join(PRECISIONS) if platforms else ', '.join(PLATFORMS)}.")
    sizes = _sizes(pulses, modules, windows)

    def function(hypothesis: Array, event: dict[str, Array]) -> Array:
        return log_likelihood(model, hypothesis, _from_arrays(event), priors=priors)

    # Shapes and kinds of an event without pulses; times are those of the program.
    nothing = Event.from_pulses([], [], [], [], detector=_concrete(model), readout=(0.0, 1.0))
    example = _to_arrays(repad(nothing, *sizes))
    kinds = {name: precision if own.dtype == np.float64 else own.dtype for name, own in example.items()}
    shapes = {name: jax.ShapeDtypeStruct(own.shape, kinds[name]) for name, own in example.items()}
    with jax.enable_x64(precision == "float64"):
        hypothesis = jax.ShapeDtypeStruct((len(model.parameter_names),), precision)
        program = jax.export.export(jax.jit(function), platforms=list(platforms))(hypothesis, shapes)
        content = program.serialize(vjp_order=1)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as partial:
        partial.write_bytes(content)
    notes = {
        "parameters": {own.name: own.unit for own in model.parameters},
        "event": {name: [list(own.shape), str(own.dtype)] for name, own in shapes.items()},
        "platforms": list(platforms),
        "precision": precision,
        "priors": priors,
        "model_identity": model_identity(model),
        "evgen_jax_version": __version__,
        "jax_version": jax.__version__,
    }
    write_whole(path.with_name(path.name + ".json"), json.dumps(notes, indent=1) + "\n")
    return path


def event_arrays(event: Event, *, pulses: int, modules: int, windows: int = 0) -> dict[str, np.ndarray]:
    """Makes the arrays that the program of `export_log_likelihood` takes.

    Args:
      event: one event of the model's detector.
      pulses: as the program was exported with.
      modules: as the program was exported with.
      windows: as the program was exported with.

    Returns:
      Arrays by name, such as 'readout' [2] and 'pulses.time' [P]; `numpy.savez` keeps them.

    Raises:
      ConfigError: sizes that are none.
      DataError: no single event, or one that is larger than the program.
    """
    if not isinstance(event, Event) or np.ndim(event.charge) != 1:
        given = f"a batch of shape {np.shape(event.charge)[:-1]}" if isinstance(event, Event) else shown(event)
        raise DataError(f"event_arrays: expected one Event, got {given}.")
    size_p, size_m, size_w = _sizes(pulses, modules, windows)
    for what, own, size in (
        ("pulses", int(np.max(np.flatnonzero(event.pulses.mask), initial=-1)) + 1, size_p),
        ("modules with light", int(np.sum(np.asarray(event.active) < event.charge.shape[0])), size_m),
        ("excluded windows", int(np.sum(event.windows.mask)), size_w),
    ):
        if own > size:
            raise DataError(f"the event has {own} {what}, the program takes {size}. Export one for larger events.")
    return _to_arrays(repad(_cut(event, size_p, size_m, size_w), size_p, size_m, size_w))


def _sizes(pulses: int, modules: int, windows: int) -> tuple[int, int, int]:
    """Padded lengths of an event's arrays."""
    for what, number in (("pulses", pulses), ("modules", modules)):
        check_whole(number, 1, what, ConfigError)
    check_whole(windows, 0, "windows", ConfigError)
    return bucket(pulses), bucket(modules), windows


def _cut(event: Event, size_p: int, size_m: int, size_w: int) -> Event:
    """Takes padding off that is longer than the program's; it stands at the end."""

    def front(record: Any, size: int) -> Any:
        return record.replace(**{name: np.asarray(own)[:size] for name, own in vars(record).items()})

    return event.replace(
        pulses=front(event.pulses, size_p),
        active=np.asarray(event.active)[:size_m],
        windows=front(event.windows, size_w),
    )


def _to_arrays(event: Event) -> dict[str, np.ndarray]:
    plain = {field.name: getattr(event, field.name) for field in fields(event) if field.name not in RECORDS}
    parts = {
        f"{part}.{field.name}": getattr(getattr(event, part), field.name)
        for part, record in RECORDS.items()
        for field in fields(record)
    }
    return {name: np.asarray(own) for name, own in (plain | parts).items()}


def _from_arrays(arrays: dict[str, Array]) -> Event:
    parts: dict[str, Any] = {
        part: record(**{field.name: arrays[f"{part}.{field.name}"] for field in fields(record)})
        for part, record in RECORDS.items()
    }
    return Event(**{name: own for name, own in arrays.items() if "." not in name} | parts)


def _concrete(model: AnyModel) -> Any:
    """The detector of a model, of numbers that NumPy can take."""
    return jax.tree.map(np.asarray, model.detector)
