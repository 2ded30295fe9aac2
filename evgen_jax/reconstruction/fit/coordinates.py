"""The coordinates of a fit: normalised parameters, directions on the sphere, smooth bounds."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Real

from evgen_jax.checks import is_number
from evgen_jax.errors import ReconstructionError, shown
from evgen_jax.hypothesis.names import place_of
from evgen_jax.hypothesis.parameters import Parameter, direction_pairs
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.physics.geometry import sphere_point
from evgen_jax.reconstruction.fit.settings import DEFAULT, FitSettings

EDGE = 0.1
"""Width of the bend, in ln(1 + p), with which logged parameters stay above 0."""
POLE = 1e-4
"""Least distance of an anchor from the poles, rad; nearer to them derivatives in float32 are inexact."""
EXACT = 1e-6
"""Normalised distance from a bound that counts as none."""
INSIDE = 1 - 1e-6
"""Largest share of the way from the middle to a bound at which a bounded parameter starts."""


@dataclass(frozen=True)
class Coordinates:
    """Maps unknowns [n] of a fit to hypotheses [H], and back at an anchor.

    A direction (zenith and azimuth, both free) is a point of the plane that touches the sphere at the anchor's
    direction, laid on the sphere along great circles: no pole, no wrap. Other parameters are normalised by the
    transformation; logged ones stay above 0 and bounded ones within their bounds by smooth maps. Parameters that are
    not free keep the anchor's values exactly.

    Attributes:
      trafo: normalisation of all parameters.
      scalars: places of free parameters that are no part of a free direction.
      directions: (zenith, azimuth) places of free directions; their two unknowns follow the scalars.
      low: lower bounds in normalised units, one per scalar; infinite where there is none.
      high: upper bounds in normalised units, one per scalar; infinite where there is none.
      parameters: of the hypothesis, H of them.
    """

    trafo: Trafo
    scalars: tuple[int, ...]
    directions: tuple[tuple[int, int], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    parameters: tuple[Parameter, ...]

    @property
    def size(self) -> int:
        """Returns the number n of unknowns."""
        return len(self.scalars) + 2 * len(self.directions)

    @property
    def free(self) -> Int[np.ndarray, " F"]:
        """Returns the places of all free parameters, in the order of the hypothesis."""
        return np.array(sorted([*self.scalars, *(i for pair in self.directions for i in pair)]))

    def outside(self, anchors: Real[np.ndarray, "N H"]) -> str:
        """Finds anchors beyond the bounds, of which fits begin at the nearer bound.

        Args:
          anchors: [N, H], physical units; values that are not finite are passed over.

        Returns:
          What is where, for every such parameter; '' if there is none.
        """
        if not self._bounded().any():
            return ""
        found = []
        with jax.enable_x64(True):
            normalised = np.asarray(self.trafo.transform(jnp.asarray(anchors)))
        for place, low, high, bounded in zip(self.scalars, self.low, self.high, self._bounded(), strict=True):
            beyond = (normalised[:, place] < low - EXACT) | (normalised[:, place] > high + EXACT)
            if bounded and beyond.any():
                at = anchors[beyond][0, place]
                found.append(f"'{self.parameters[place].name}' of {beyond.sum()} (such as {at:g})")
        return ", ".join(found)

    def _bounded(self) -> Bool[np.ndarray, " scalars"]:
        return np.isfinite(self.low) & np.isfinite(self.high)

    def _logged(self) -> Bool[np.ndarray, " scalars"]:
        return np.asarray(self.trafo.log)[list(self.scalars)] & ~self._bounded()

    def start(self, anchor: Real[Array, " H"]) -> Float[Array, " n"]:
        """Computes the unknowns at an anchor.

        Args:
          anchor: [H], physical units.

        Returns:
          Unknowns [n].
        """
        t = self.trafo.transform(jnp.asarray(anchor))[jnp.asarray(self.scalars, int)]
        if self._bounded().any():
            middle, half = self._middle_and_half(t.dtype)
            share = jnp.clip((t - middle) / half, -INSIDE, INSIDE)
            t = jnp.where(self._bounded(), middle + half * jnp.arctanh(share), t)
        if self._logged().any():
            mean, scale = self._scale(t.dtype)
            y = jnp.maximum(t * scale + mean, 1e-12) / EDGE
            # The inverse of softplus.
            t = jnp.where(self._logged(), (EDGE * (y + jnp.log(-jnp.expm1(-y))) - mean) / scale, t)
        return jnp.concatenate([t, jnp.zeros(2 * len(self.directions), t.dtype)])

    def hypothesis(self, unknown: Float[Array, " n"], anchor: Float[Array, " H"]) -> Float[Array, " H"]:
        """Maps unknowns to a hypothesis.

        Args:
          unknown: [n].
          anchor: [H], hypothesis around which the unknowns are counted, physical units.

        Returns:
          Hypothesis [H], physical units.
        """
        anchor = jnp.asarray(anchor)
        count = len(self.scalars)
        t = unknown[:count]
        if self._logged().any():
            mean, scale = self._scale(t.dtype)
            y = EDGE * jnp.logaddexp(jnp.where(self._logged(), t * scale + mean, 0) / EDGE, 0.0)
            t = jnp.where(self._logged(), (y - mean) / scale, t)
        if self._bounded().any():
            middle, half = self._middle_and_half(t.dtype)
            t = jnp.where(self._bounded(), middle + half * jnp.tanh((t - middle) / half), t)
        full = self.trafo.transform(anchor)
        places = jnp.asarray(self.scalars, int)
        result = anchor.at[places].set(self.trafo.inverse(full.at[places].set(t))[places])
        for k, (zenith, azimuth) in enumerate(self.directions):
            plane = unknown[count + 2 * k : count + 2 * k + 2] * float(self.trafo.scale()[zenith])
            angles = _on_sphere(anchor[zenith], anchor[azimuth], plane)
            result = result.at[zenith].set(angles[0]).at[azimuth].set(angles[1])
        return result

    def _scale(self, dtype: DTypeLike) -> tuple[Float[Array, " scalars"], Float[Array, " scalars"]]:
        places = list(self.scalars)
        return jnp.asarray(np.asarray(self.trafo.mean)[places], dtype), jnp.asarray(self.trafo.scale()[places], dtype)

    def _middle_and_half(self, dtype: DTypeLike) -> tuple[Float[Array, " scalars"], Float[Array, " scalars"]]:
        bounded = self._bounded()
        low, high = np.where(bounded, self.low, -1.0), np.where(bounded, self.high, 1.0)
        return jnp.asarray((low + high) / 2, dtype), jnp.asarray((high - low) / 2, dtype)


def tangent_axes(
    zenith: Float[Array, ""], azimuth: Float[Array, ""]
) -> tuple[Float[Array, "3"], Float[Array, "3"], Float[Array, "3"]]:
    """Computes the axes of the plane that touches the sphere at a direction.

    Args:
      zenith: scalar, rad.
      azimuth: scalar, rad.

    Returns:
      Unit vectors [3]: to where the particle comes from, of growing zenith, of growing azimuth there.
    """
    origin = sphere_point(zenith, azimuth)
    south = jnp.stack([jnp.cos(zenith) * jnp.cos(azimuth), jnp.cos(zenith) * jnp.sin(azimuth), -jnp.sin(zenith)])
    east = jnp.stack([-jnp.sin(azimuth), jnp.cos(azimuth), jnp.zeros_like(azimuth)])
    return origin, south, east


def _on_sphere(
    zenith: Float[Array, ""], azimuth: Float[Array, ""], plane: Float[Array, "2"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Angles of the point at `plane` [2], rad, in the tangent plane of a direction, along a great circle."""
    # Exactly at a pole the angles have no derivative; 0.006 degrees beside it they have.
    origin, south, east = tangent_axes(jnp.clip(zenith, POLE, np.pi - POLE), azimuth)
    square = jnp.sum(plane**2)
    tiny = square < 1e-16
    length = jnp.sqrt(jnp.where(tiny, 1.0, square))
    # Series near 0, so that all derivatives there are finite.
    sine = jnp.where(tiny, 1 - square / 6, jnp.sin(length) / length)
    cosine = jnp.where(tiny, 1 - square / 2, jnp.cos(length))
    x, y, z = cosine * origin + sine * (plane[0] * south + plane[1] * east)
    return jnp.arctan2(jnp.sqrt(x**2 + y**2 + 1e-24), z), jnp.mod(jnp.arctan2(y, x), 2 * jnp.pi)


def make_coordinates(model: AnyModel, settings: FitSettings = DEFAULT) -> Coordinates:
    """The coordinates in which a model is fitted.

    Args:
      model: gives names and normalisation.
      settings: which parameters are free, within which bounds, and whether normalised parameters are fitted.

    Returns:
      Coordinates of the free parameters.

    Raises:
      ReconstructionError: an unknown name (with the nearest match), bounds of wrong order or of a direction, or nothing
        left to fit.
    """
    _check_settings(settings)
    names, trafo, bounds = model.parameter_names, model.trafo, settings.bounds or {}
    if not settings.in_trafo_space:
        count = len(names)
        trafo = Trafo(names, (0.0,) * count, (1.0,) * count, (False,) * count, 0.0)
    flags = free_flags(model, settings)
    pairs = [pair for pair in direction_pairs(model.parameters) if flags[list(pair)].all()]
    scalars = [i for i in np.flatnonzero(flags) if not any(i in pair for pair in pairs)]
    low, high = np.full(len(names), -np.inf), np.full(len(names), np.inf)
    for name, ends in bounds.items():
        i = place_of(name, model.parameters, "bounds (parameter_boundaries of a configuration)", ReconstructionError)
        if np.shape(ends) != (2,) or not all(is_number(end) for end in ends):
            raise ReconstructionError(f"bounds.{name}: expected (low, high), got {shown(ends)}.")
        first, last = ends
        if not first < last:
            raise ReconstructionError(f"bounds.{name}: expected low < high, got [{first:g}, {last:g}].")
        if any(i in pair for pair in pairs):
            raise ReconstructionError(
                f"bounds.{name}: directions are fitted on the whole sphere and take no bounds; fix one of the two angles "
                "or leave the bound out."
            )
        if trafo.log[i] and first < 0:
            raise ReconstructionError(f"bounds.{name}: is fitted as ln(1 + p); expected low >= 0, got {first:g}.")
        if np.isfinite(first) != np.isfinite(last) and not (trafo.log[i] and first == 0):
            raise ReconstructionError(
                f"bounds.{name}: expected two finite ends, got [{first:g}, {last:g}]; there are no bounds to one side. Give "
                "a far end."
            )
        edges = np.log1p([first, last]) if trafo.log[i] else np.array([first, last])
        low[i], high[i] = (edges - trafo.mean[i]) / trafo.scale()[i]
    return Coordinates(
        trafo, tuple(int(i) for i in scalars), tuple(pairs), tuple(low[scalars]), tuple(high[scalars]), model.parameters
    )


def _check_settings(settings: Any) -> None:
    if not isinstance(settings, FitSettings):
        raise ReconstructionError(
            f"settings: expected FitSettings, got {shown(settings)}. Write FitSettings(free={{...}}, bounds={{...}})."
        )


def free_flags(model: AnyModel, settings: FitSettings = DEFAULT) -> Bool[np.ndarray, " H"]:
    """Finds the parameters that are fitted.

    Args:
      model: gives names.
      settings: `free` overrides `default_free` by name.

    Returns:
      [H], True for free parameters.

    Raises:
      ReconstructionError: an unknown name (with the nearest match), or nothing left to fit.
    """
    _check_settings(settings)
    what = "free (minimize_parameter_dict of a configuration)"
    flags = np.full(len(model.parameters), settings.default_free)
    for name, flag in (settings.free or {}).items():
        place = place_of(name, model.parameters, what, ReconstructionError)
        if not isinstance(flag, bool | np.bool_ | int) or flag not in (0, 1):
            raise ReconstructionError(f"{what}: {name}: expected True or False, got {shown(flag)}.")
        flags[place] = bool(flag)
    if not flags.any():
        raise ReconstructionError("no parameter is free; nothing to fit.")
    return flags
