"""Collisions of photons in spheres around modules, gathered from the records of their flight."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.physics.transport.in_layers import PointSource
from evgen_jax.physics.transport.spheres import Spheres, module_at, radii_from


class Collisions(NamedTuple):
    """Collisions in spheres around modules.

    Attributes:
      module: [N], int32.
      delay: ns since the emission [N], corrected from the place of the collision to the module's centre by the difference of
        their distances from the source.
      direction: of the photon [N, 3].
      weight: what is left of the photon times the collision length [N], m.
    """

    module: Array
    delay: Array
    direction: Array
    weight: Array


@jax.jit
def in_spheres(
    spheres: Spheres, source: PointSource, record: Float[Array, "S 8"], held: Array
) -> tuple[Array, Array, Array]:
    """Finds which recorded collisions are in spheres around modules.

    Args:
      spheres: around the modules.
      source: where it is; spheres near it are smaller.
      record: collisions in the slots of N lanes [S * N, 8].
      held: number of them in each lane [N].

    Returns:
      Modules [S * N], whether a slot holds a collision in a sphere [S * N], and how many do.
    """
    radius = radii_from(spheres, jnp.asarray(source.position, jnp.float32))
    module, found = module_at(spheres, radius, record[:, :3])
    slots = record.shape[0] // held.shape[0]
    found &= (jnp.arange(slots)[:, None] < held[None]).reshape(-1)
    return module, found, jnp.sum(found)


@partial(jax.jit, static_argnames="size")
def gathered(
    spheres: Spheres,
    source: PointSource,
    velocity: Array,
    record: Float[Array, "S 8"],
    module: Array,
    found: Array,
    size: int,
) -> Collisions:
    """Gathers the collisions in spheres.

    Args:
      spheres: around the modules.
      source: where it is.
      velocity: scalar, of light, m / ns.
      record: collisions [S * N, 8].
      module: of each [S * N].
      found: whether a slot holds a collision in a sphere [S * N].
      size: number of places of the result, at least that of collisions.

    Returns:
      Collisions [size]; those behind the last one have a weight of 0.
    """
    (place,) = jnp.nonzero(found, size=size, fill_value=0)
    own, module = record[place], module[place]
    # Light that flies straight on is exactly in time, and none comes before it.
    start = jnp.asarray(source.position, jnp.float32)[None]
    ahead = jnp.linalg.norm(spheres.centre[module] - start, axis=-1) - jnp.linalg.norm(own[:, :3] - start, axis=-1)
    weight = jnp.where(jnp.arange(size) < jnp.sum(found), own[:, 7], 0)
    return Collisions(module, (own[:, 6] + ahead) / velocity, own[:, 3:6], weight)
