"""Log-likelihoods whose maxima, profiles and posteriors are known, for tests of scans, maps and samplers."""

import jax.numpy as jnp
import numpy as np

from evgen_jax.geometry import sphere_point

MEAN = np.array([10.0, -20.0, 30.0, 1.0, 4.0, 999.0, 9900.0])
WIDTH = np.array([2.0, 3.0, 4.0, np.nan, np.nan, 0.1, 5.0])
KAPPA = 60.0
PULL = 8.0
"""m: how far x moves with the cosine of the angle to the direction of maximum."""


def around_a_direction(variables, h, event):
    """A Gaussian in x (which the direction pulls along), y, z, ln(1 + E) and time; von Mises-Fisher in the direction."""
    mean = jnp.asarray(MEAN)
    cosine = sphere_point(h[3], h[4]) @ sphere_point(mean[3], mean[4])
    pulled = (h[0] - mean[0] - PULL * (cosine - 1)) / WIDTH[0]
    rest = jnp.stack([(h[1] - mean[1]) / WIDTH[1], (h[2] - mean[2]) / WIDTH[2],
                      (jnp.log1p(h[5]) - np.log1p(MEAN[5])) / WIDTH[5], (h[6] - mean[6]) / WIDTH[6]])  # fmt: skip
    return KAPPA * (cosine - 1) - 0.5 * (pulled**2 + jnp.sum(rest**2))
