"""Cascades along a straight track: what the hypotheses of several cascades have in common."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.measurement.detector import Detector
from evgen_jax.physics import constants
from evgen_jax.physics.geometry import flight_direction
from evgen_jax.sources.composite.edge import inside
from evgen_jax.sources.learned import cascade, track


def cascades_along(
    start: Float[Array, "3"],
    time: Float[Array, ""],
    zenith: Float[Array, ""],
    azimuth: Float[Array, ""],
    distance: Float[Array, " N"],
    energy: Float[Array, " N"],
    extra: Float[Array, " S"],
    detector: Detector,
) -> Float[Array, "N 7+S"]:
    """Computes the parameters of cascades on a track; the energies of those outside the detector's box fade.

    Args:
      start: [3], m, where distances are counted from.
      time: scalar, ns, when the particle is at `start`.
      zenith: scalar, rad, where the particle comes from.
      azimuth: scalar, rad, where the particle comes from.
      distance: [N], m, from `start` along the direction of flight.
      energy: [N], GeV.
      extra: [S], further parameters, which all cascades get.
      detector: where light is measured.

    Returns:
      Parameters [N, 7 + S], physical units (m, ns, GeV, rad).
    """
    position = start[None] + distance[:, None] * flight_direction(zenith, azimuth)[None]
    number = distance.shape[0]
    columns = [
        position,
        jnp.full((number, 1), zenith),
        jnp.full((number, 1), azimuth),
        (energy * inside(position, detector))[:, None],
        (time + distance / constants.SPEED_OF_LIGHT)[:, None],
        jnp.broadcast_to(extra, (number, extra.shape[0])),
    ]
    return jnp.concatenate(columns, axis=1)


def cascade_trafo(trafo: Trafo, zenith: int, azimuth: int, energy: int, time: int, radius: float) -> Trafo:
    """Derives the normalisation of cascades inside a sphere from that of a track.

    Positions spread evenly over the sphere; times follow them at the speed of light.

    Args:
      trafo: normalisation of the joint hypothesis.
      zenith: place of the track's zenith in `trafo`.
      azimuth: place of the track's azimuth in `trafo`.
      energy: place of an energy in `trafo` that stands for those of the cascades.
      time: place of the track's time in `trafo`.
      radius: of the sphere, m.

    Returns:
      Normalisation of the seven parameters of a cascade.
    """
    spread = radius / 3**0.5
    delay = spread / constants.SPEED_OF_LIGHT
    pick = [zenith, azimuth, energy]
    return Trafo(
        cascade.PARAMETERS,
        (0.0, 0.0, 0.0, *(trafo.mean[i] for i in pick), trafo.mean[time] + radius / constants.SPEED_OF_LIGHT),
        (spread, spread, spread, *(trafo.std[i] for i in pick), (trafo.std[time] ** 2 + delay**2) ** 0.5),
        (False, False, False, *(trafo.log[i] for i in pick), trafo.log[time]),
        trafo.norm_constant,
    )


def with_extra(base: Trafo, trafo: Trafo, names: Sequence[str]) -> Trafo:
    """Appends further parameters of the joint normalisation to that of a base.

    Args:
      base: normalisation of the geometry of a base.
      trafo: normalisation of the joint hypothesis.
      names: of the parameters to append.

    Returns:
      Normalisation of the parameters of `base`, then of `names`.
    """
    chosen = trafo.select([trafo.parameter_names.index(n) for n in names], names)
    return Trafo(
        base.parameter_names + chosen.parameter_names,
        base.mean + chosen.mean,
        base.std + chosen.std,
        base.log + chosen.log,
        base.norm_constant,
    )


OWN_PARAMETERS = {"cascade": cascade.PARAMETERS, "track": track.PARAMETERS}
"""Names of the first parameters of a base, by the kind of the base."""


def extra_parameters(where: str, bases: Mapping[str, Source], needed: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Finds the parameters of each base after those that the hypothesis sets, such as properties of the ice.

    Args:
      where: key path, for the message.
      bases: base name -> source.
      needed: names of the bases that the multi-source has.

    Returns:
      Base name -> names of its further parameters.

    Raises:
      ConfigError: other bases than needed, or one whose parameters are not those of its kind.
    """
    if set(bases) != set(needed):
        raise ConfigError(
            f"{where}: multi_source_bases must be {' and '.join(needed)}; got {', '.join(sorted(bases)) or 'none'}."
        )
    extra = {}
    for name in needed:
        own, expected = bases[name].parameter_names, OWN_PARAMETERS[name]
        if own[: len(expected)] != expected:
            raise ConfigError(
                f"{where}.multi_source_bases.{name}: must have the parameters {', '.join(expected)} first, "
                f"but has {', '.join(own)}."
            )
        extra[name] = own[len(expected) :]
    return extra


def joined(extra: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Joins the further parameters of all bases, each name once.

    Args:
      extra: base name -> names of its further parameters.

    Returns:
      Names in the order in which they first occur.
    """
    return tuple(dict.fromkeys(name for names in extra.values() for name in names))
