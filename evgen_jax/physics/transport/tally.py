"""Light of a source in cells: photons batch by batch, float64 sums on the host, statistical errors from groups of batches."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

from evgen_jax.errors import ConfigError
from evgen_jax.physics.transport.cells import COMPONENTS, Cells
from evgen_jax.physics.transport.emission import Emission
from evgen_jax.physics.transport.follow import follow_on_devices
from evgen_jax.physics.transport.random_numbers import stream
from evgen_jax.physics.transport.scattering import Scattering

GROUPS = 16
"""Groups of photons that are summed apart; the spread of whatever is computed from each gives its statistical error."""
REPEATS = 16
"""Photons that each lane of a large batch follows one after the other."""
MOST_PHOTONS = 2**32
"""Number of photons that one seed can number."""


@dataclass(frozen=True)
class Tally:
    """Holds the track lengths of photons in cells.

    Attributes:
      cells: of the sums.
      sums: track length, and track length times the photon's direction along the way out and towards larger theta
        [groups, 3, distances, cosines, delays], float64, in effective scattering lengths.
      photons: number of photons of one group.
      scatterings: number of scatterings of all groups.
    """

    cells: Cells
    sums: np.ndarray
    photons: int
    scatterings: int

    def fluence(self, absorption: float = 0.0) -> np.ndarray:
        """Computes the mean of fluence and direction in cells of r and cos theta.

        Args:
          absorption: of the delay, effective scattering length over absorption length: light of delay d counts
            exp(-absorption d), at the middle of its cell. The absorption on the way r is not in it.

        Returns:
          Photons through a unit cross section per photon emitted, times 4 pi r^2 at the geometric middle of the cell,
          then the mean direction of these photons along the way out and towards larger theta
          [groups, 3, distances, cosines], float64.
        """
        sums = np.sum(self.sums * np.exp(-absorption * self.delay_centres), axis=-1)
        middle = np.sqrt(self.cells.distance_edges[1:] * self.cells.distance_edges[:-1])
        total = np.maximum(sums[:, :1], 1e-300)
        scale = 4 * np.pi * middle[:, None] ** 2 / self.cells.volumes / self.photons
        return np.concatenate([sums[:, :1] * scale, sums[:, 1:] / total], axis=1)

    @property
    def delay_centres(self) -> np.ndarray:
        """Returns the middles of the cells of the delay [delays], float64, geometric but for the first one."""
        edges = self.cells.delay_edges
        return np.concatenate([edges[1:2] / 2, np.sqrt(edges[1:-1] * edges[2:])])


def mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the mean of groups and its statistical error.

    Args:
      values: of each group [groups, ...].

    Returns:
      Mean and its standard error [...], float64.
    """
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def tally(
    emission: Emission,
    scattering: Scattering,
    cells: Cells,
    photons: int,
    seed: int,
    lanes: int = 32768,
    progress: Callable[[int], None] = lambda photons: None,
    devices: tuple[jax.Device, ...] | None = None,
) -> Tally:
    """Follows photons of a source until nothing more of them can come into a cell.

    Args:
      emission: of the source at the origin, whose axis is z.
      scattering: of the medium.
      cells: of the sums.
      photons: number of photons; raised to whole batches in each of the 16 groups.
      seed: of the random numbers; photon n of a seed is the same photon in every run.
      lanes: number of photons that fly at once on one device, up to sixteen one after the other; up to 32768 keep the float32
        sums of such a batch exact to 1e-5.
      progress: is called with the number of photons done after every batch.
      devices: that share the photons; None: all devices of this process.

    Returns:
      The sums.

    Raises:
      ConfigError: fewer than one photon, or more than 2^32.
    """
    if not 0 < photons <= MOST_PHOTONS:
        raise ConfigError(f"photons: {photons} was given; one seed has between 1 and {MOST_PHOTONS} photons.")
    devices = devices or tuple(jax.local_devices())
    wanted = -(-photons // GROUPS)
    at_once = min(lanes, -(-wanted // len(devices))) * len(devices)
    repeats = min(REPEATS, -(-wanted // at_once))
    in_batch = repeats * at_once
    batches = -(-wanted // in_batch)
    words = stream(jax.random.key(seed))
    sums = np.zeros((GROUPS, COMPONENTS, *cells.shape))
    scatterings, done = 0, 0
    for number in range(GROUPS * batches):
        photon = np.arange(done, done + in_batch, dtype=np.uint64).astype(np.uint32)
        part, count = follow_on_devices(emission, scattering, cells, words, photon.reshape(repeats, at_once), devices)
        sums[number // batches] += part
        scatterings, done = scatterings + count, done + in_batch
        progress(done)
    return Tally(cells, sums, batches * in_batch, scatterings)
