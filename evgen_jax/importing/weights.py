"""Numbered arrays of an export -> the weights of a source. Names are not stored there; the place tells which array it is."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evgen_jax.building.directory import architecture_difference
from evgen_jax.errors import CheckpointError
from evgen_jax.importing.component import Component
from evgen_jax.light.source import Source, Variables
from evgen_jax.measurement.detector import Detector

STRINGS, MODULES = 86, 60
"""Axes of arrays with one entry per module: those of IceCube-86."""
LAYER = ("bias", "kernel", "residual_scale")
"""Order of the arrays of a layer."""
INPUTS = "local_vars"
"""Trained inputs of modules, or the variables of noise."""


def source_weights(component: Component, source: Source, detector: Detector) -> tuple[Variables, int]:
    """Reads the weights of a source that has no parts.

    Args:
      component: its directory.
      source: what they are for, as built from its description.
      detector: of D modules, those of IceCube-86.

    Returns:
      Weights as `source.init_variables` gives them, and the number of training steps.

    Raises:
      CheckpointError: arrays that are missing, damaged, not finite, or not those of the architecture; both sides are listed.
    """
    arrays = component.arrays()
    step = int(arrays.pop("step", 0))
    expected = jax.eval_shape(lambda: source.init_variables(jax.random.key(0), detector))
    shapes = {_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(expected)}
    names = _in_stored_order(shapes, arrays, detector.num_doms)
    difference = architecture_difference(
        {_label(i, name): _stored_shape(name, shapes[name], detector.num_doms) for i, name in names.items()},
        {_label(i, names.get(i, "")): arrays[key].shape for i, key in enumerate(sorted(arrays, key=_number))},
    )
    if difference:
        raise CheckpointError(
            f"{component.directory}: its checkpoint does not fit its configuration.\n{difference}\nIt is of another model, or one "
            "of the two was changed: copy the whole directory again."
        )
    found = {name: arrays[f"model/{i}"] for i, name in names.items()}
    if bad := [name for name, values in found.items() if not np.all(np.isfinite(values))]:
        raise CheckpointError(
            f"{component.directory}: weights that are not finite, of a training that diverged: {', '.join(bad)}."
        )
    place = (np.asarray(detector.string) - 1) * MODULES + np.asarray(detector.om) - 1

    def taken(path: Any, leaf: Any) -> jax.Array:
        values = found[_name(path)]
        if leaf.shape[:1] == (detector.num_doms,):
            values = values.reshape(detector.num_doms, *leaf.shape[1:])[place]
        return jnp.asarray(values.reshape(leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(taken, expected), step


def check_no_weights(component: Component) -> int:
    """Checks that a multi-source has no weights beside those of its parts.

    Args:
      component: its directory.

    Returns:
      The number of training steps.

    Raises:
      CheckpointError: it has.
    """
    arrays = component.arrays()
    step = int(arrays.pop("step", 0))
    if arrays:
        raise CheckpointError(
            f"{component.directory}: its checkpoint does not fit its configuration: a {component.kind} has no weights of its own, "
            f"but there are {', '.join(sorted(arrays, key=_number))}."
        )
    return step


def _name(path: Any) -> str:
    """The name of an array in a tree of weights."""
    return str(path[-1].key)


def _number(key: str) -> int:
    """The number in `model/12`."""
    match = re.fullmatch(r"model/(\d+)", key)
    if match is None:
        raise CheckpointError(
            f"its checkpoint holds '{key}', which is not known here; expected model/0, model/1 and so on."
        )
    return int(match[1])


def _label(number: int, name: str) -> str:
    return f"model/{number}" + (f" ({name})" if name else "")


def _in_stored_order(
    shapes: dict[str, tuple[int, ...]], arrays: dict[str, np.ndarray], num_doms: int
) -> dict[int, str]:
    """The names of arrays by their number: layer by layer; trained inputs of modules stand where their shape is."""

    def order(name: str) -> tuple[int, int]:
        match = re.fullmatch(rf"layer_(\d+)_({'|'.join(LAYER)})", name)
        return (int(match[1]), LAYER.index(match[2])) if match else (-1, 0)

    names = sorted(shapes, key=order)
    own = _stored_shape(INPUTS, shapes[INPUTS], num_doms) if INPUTS in shapes else None
    places = [_number(key) for key in sorted(arrays, key=_number) if arrays[key].shape == own]
    if own is not None and len(names) > 1 and len(places) == 1:
        names.remove(INPUTS)
        names.insert(places[0], INPUTS)
    return dict(enumerate(names))


def _stored_shape(name: str, shape: tuple[int, ...], num_doms: int) -> tuple[int, ...]:
    """The shape of an array there: an axis per string and one per module of it, filters of size 1 x 1."""
    if shape[:1] != (num_doms,):
        return shape if len(shape) < 2 else (1, 1, *shape)
    return (*(1,) * (name == INPUTS), STRINGS, MODULES, *shape[1:])
