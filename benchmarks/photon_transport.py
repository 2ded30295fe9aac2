"""Scatterings of photons per second of one core, beside a plain loop of random numbers as the floor.

python benchmarks/photon_transport.py [--lanes 32768] [--repeats 5]

A scattering takes four random words, a step, an angle, a turn, a point in the cells of a light table and its sums. The
floor draws the four words and adds them up. On a CPU seconds are those of all its cores (process time), so that the number
holds for one core, whatever else runs; on an accelerator they are wall time.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from common import machine, print_head, print_row
from jax import Array

from evgen_jax.physics.transport.cells import Cells
from evgen_jax.physics.transport.emission import Shower
from evgen_jax.physics.transport.follow import follow
from evgen_jax.physics.transport.random_numbers import random_words, stream, uniform
from evgen_jax.physics.transport.scattering import SEA_WATER, SOUTH_POLE_ICE
from evgen_jax.physics.transport.tally import REPEATS

FLOOR_STEPS = 330
"""Steps of the plain loop, about those of a photon in ice."""


@partial(jax.jit, static_argnames="steps")
def floor(words: Array, photon: Array, steps: int) -> Array:
    """The four random numbers of each step, added up."""

    def draw(step: int, total: Array) -> Array:
        return total + sum(uniform(word) for word in random_words(words, photon, jnp.uint32(step)))

    return jax.lax.fori_loop(0, steps, draw, jnp.zeros(photon.shape))


def best_seconds(run: Callable[[], object], repeats: int) -> float:
    clock = time.process_time if jax.default_backend() == "cpu" else time.perf_counter
    jax.block_until_ready(run())
    seconds = []
    for _ in range(repeats):
        begin = clock()
        jax.block_until_ready(run())
        seconds.append(clock() - begin)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lanes", type=int, default=32768)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    words, photon = stream(jax.random.key(1)), jnp.arange(REPEATS * given.lanes, dtype=jnp.uint32).reshape(REPEATS, -1)
    print(machine())
    print_head(f"{given.lanes} photons at once", "million per second and core", "ns each")

    def row(name: str, count: float, seconds: float) -> None:
        print_row(name, f"{count / seconds / 1e6:.3g}", f"{seconds / count * 1e9:.3g}")

    seconds = best_seconds(lambda: floor(words, photon[0], FLOOR_STEPS), given.repeats)
    row("floor: four random numbers", given.lanes * FLOOR_STEPS, seconds)
    for name, scattering, cells in (
        ("scatterings in ice", SOUTH_POLE_ICE, Cells()),
        ("scatterings in sea water", SEA_WATER, Cells(distance=(0.004, 4.0), delay=(1e-4, 4.0))),
    ):
        count = int(follow(Shower(), scattering, cells, words, photon)[1])
        seconds = best_seconds(partial(follow, Shower(), scattering, cells, words, photon), given.repeats)
        row(name, count, seconds)


if __name__ == "__main__":
    main()
