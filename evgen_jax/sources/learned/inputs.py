"""Named inputs of the networks of learned sources, and sets of them: what light depends on, in numbers of order 1.

Light from a point in level layers depends on angles between the source's axis, the way, the vertical and the axis of the
sensor, and on depths: `invariant`. What the medium is like along the way and around its ends is in `medium`. Coordinates and
directions in the horizontal plane break that symmetry and are inputs on request alone.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.measurement.detector import Detector
from evgen_jax.sources.learned import medium_inputs
from evgen_jax.sources.learned.view import View

LENGTH = 500.0
"""Unit of coordinates among the inputs, m."""
REFERENCE = "event_generator"
"""Name of the inputs that Event-Generator has, which the switches `add_...` choose."""


class Seen(NamedTuple):
    """Holds what inputs are computed of.

    Attributes:
      view: the hypothesis at D sensors.
      detector: of D sensors.
      position: [D, 3], of the sensors, m.
      cosine: [D], of the angle between the axis of a sensor and where unscattered light comes from.
      anisotropy_azimuth: of the axis of the anisotropy, rad; None: there is none.
    """

    view: View
    detector: Detector
    position: Float[Array, "D 3"]
    cosine: Float[Array, " D"]
    anisotropy_azimuth: float | None


class Input(NamedTuple):
    """Is one named input.

    Attributes:
      formula: what it is, with its unit.
      columns: computes [D] or [D, c] from what is seen.
      track: whether tracks alone have it.
    """

    formula: str
    columns: Callable[[Seen], Array]
    track: bool = False


def _source(seen: Seen, axis: int) -> Array:
    return jnp.broadcast_to(seen.view.source[..., axis], seen.cosine.shape) / LENGTH


def _axis(seen: Seen, axis: int) -> Array:
    return jnp.broadcast_to(seen.view.axis[axis], seen.cosine.shape)


def _axis_cosine(seen: Seen) -> Array:
    return seen.view.unit @ seen.view.axis


def _anisotropy(seen: Seen) -> Array:
    x, y = seen.view.unit[:, 0], seen.view.unit[:, 1]
    assert seen.anisotropy_azimuth is not None
    cosine, sine = jnp.cos(2 * seen.anisotropy_azimuth), jnp.sin(2 * seen.anisotropy_azimuth)
    return (x**2 - y**2) * cosine + 2 * x * y * sine


def _energy(seen: Seen) -> Array:
    value = jnp.log(jnp.maximum(seen.view.energy, 1e-3) / 1e4) / 3
    return jnp.broadcast_to(value, seen.cosine.shape)


def _along(seen: Seen) -> Array:
    assert seen.view.along is not None
    return seen.view.along / LENGTH


def _approach(seen: Seen) -> Array:
    assert seen.view.approach is not None
    return jnp.log(seen.view.approach / 100)


def _of_medium(name: str) -> Callable[[Seen], Array]:
    def columns(seen: Seen) -> Array:
        return medium_inputs.INPUTS[name][1](seen.view, seen.detector, seen.position)

    return columns


INPUTS: Mapping[str, Input] = {
    "log_distance": Input("ln(r / 100 m), r from the source to the sensor", lambda s: jnp.log(s.view.distance / 100)),
    "axis_cosine": Input("cosine of the angle between the source's axis and the way to the sensor", _axis_cosine),
    "axis_cosine_squared": Input("square of axis_cosine", lambda s: _axis_cosine(s) ** 2),
    "way_up": Input("upward cosine of the way to the sensor", lambda s: s.view.unit[:, 2]),
    "axis_up": Input("upward cosine of the source's axis", lambda s: _axis(s, 2)),
    "source_z": Input("z of the source / 500 m", lambda s: _source(s, 2)),
    "sensor_z": Input("z of the sensor / 500 m", lambda s: s.position[:, 2] / LENGTH),
    "sensor_cosine": Input(
        "cosine of the angle between the sensor's axis and where unscattered light comes from", lambda s: s.cosine
    ),
    "log_energy": Input("ln(energy / 10 TeV) / 3", _energy),
    "log_approach": Input("ln(closest distance between track and sensor / 100 m)", _approach, track=True),
    "along_track": Input("way of the track from the sphere to where the light leaves it / 500 m", _along, track=True),
    "anisotropy": Input("sin^2(zenith) cos 2(azimuth - anisotropy_azimuth) of the way to the sensor", _anisotropy),
    **{name: Input(formula, _of_medium(name)) for name, (formula, _) in medium_inputs.INPUTS.items()},
    "source_x": Input("x of the source / 500 m", lambda s: _source(s, 0)),
    "source_y": Input("y of the source / 500 m", lambda s: _source(s, 1)),
    "sensor_x": Input("x of the sensor / 500 m", lambda s: s.position[:, 0] / LENGTH),
    "sensor_y": Input("y of the sensor / 500 m", lambda s: s.position[:, 1] / LENGTH),
    "way_x": Input("x component of the way's direction", lambda s: s.view.unit[:, 0]),
    "way_y": Input("y component of the way's direction", lambda s: s.view.unit[:, 1]),
    "axis_x": Input("x component of the source's axis", lambda s: _axis(s, 0)),
    "axis_y": Input("y component of the source's axis", lambda s: _axis(s, 1)),
}
"""Inputs by name."""
_INVARIANT = (
    "log_distance",
    "axis_cosine",
    "axis_cosine_squared",
    "way_up",
    "axis_up",
    "source_z",
    "sensor_z",
    "sensor_cosine",
)
SETS: Mapping[str, tuple[str, ...]] = {
    "invariant": _INVARIANT,
    "track": ("log_approach", "along_track", "log_energy"),
    "medium": tuple(medium_inputs.INPUTS),
}
"""Sets of inputs by name; `event_generator` is another, whose columns the switches choose."""


def contents() -> str:
    """Lists all inputs and sets, for those who write configurations.

    Returns:
      Sets with their inputs, then single inputs with their formulas.
    """
    sets = "; ".join(f"{name} ({', '.join(own)})" for name, own in SETS.items())
    single = "; ".join(f"{name}: {entry.formula}" for name, entry in INPUTS.items())
    return f"Inputs of the network. Sets: {REFERENCE} (as the keys add_... choose); {sets}. Single ones: {single}."


def expanded(names: tuple[str, ...]) -> tuple[str, ...]:
    """Lists single inputs.

    Args:
      names: of inputs and sets.

    Returns:
      Names of inputs, each once, in their order; `event_generator` among them as it is.
    """
    return tuple(dict.fromkeys(own for name in names for own in SETS.get(name, (name,))))


def check_inputs(names: tuple[str, ...], is_track: bool, anisotropy_azimuth: float | None) -> None:
    """Checks names of inputs.

    Args:
      names: of inputs and sets.
      is_track: whether the source is a track.
      anisotropy_azimuth: of the axis of the anisotropy, rad; None: there is none.

    Raises:
      ConfigError: no input, one that is unknown (the nearest is named), one that the source cannot give.
    """
    known = [REFERENCE, *SETS, *INPUTS]
    if not names:
        raise ConfigError(f"inputs: expected one at least, got none; known: {', '.join(known)}.")
    for name in names:
        if name not in known:
            raise ConfigError(f"inputs: '{name}' is unknown; known: {', '.join(known)}.{suggestion(str(name), known)}")
    for name in set(expanded(names)) & set(INPUTS):
        if INPUTS[name].track and not is_track:
            raise ConfigError(f"inputs: '{name}' is known of tracks, not of cascades. Remove it.")
        if name == "anisotropy" and anisotropy_azimuth is None:
            raise ConfigError("inputs: 'anisotropy' needs the azimuth of the axis. Give anisotropy_azimuth, in rad.")


def named_columns(names: tuple[str, ...], seen: Seen) -> list[Array]:
    """Computes inputs.

    Args:
      names: of inputs and sets; `event_generator` is left out.
      seen: what they are computed of.

    Returns:
      Columns [D, c] each.
    """
    columns = [INPUTS[name].columns(seen) for name in expanded(names) if name != REFERENCE]
    return [column[:, None] if column.ndim == 1 else column for column in columns]
