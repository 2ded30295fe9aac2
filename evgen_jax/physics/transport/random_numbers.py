"""Random numbers of photons: words made from the number of a photon and of its step, with no state between steps.

The generator is Threefry-4x32 with 13 rounds (Salmon, Moraes, Dror & Shaw, SC11, doi 10.1145/2063384.2063405: 12 rounds
pass BigCrush). Written in one expression it is fused with what uses the words, and takes 2 ns for four of them on a CPU;
`jax.random`, whose rounds are a loop of their own, takes 16 ns.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Key, UInt32

Words = tuple[Array, Array, Array, Array]
"""Four independent arrays of 32 random bits each, uint32."""

ROUNDS = 13
"""Rounds of the generator."""
_ROTATIONS = ((10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20))
_PARITY = 0x1BD11BDA


def _rotated(word: Array, bits: int) -> Array:
    return (word << np.uint32(bits)) | (word >> np.uint32(32 - bits))


def threefry(key: Words, counter: Words, rounds: int = ROUNDS) -> Words:
    """Computes the words of Threefry-4x32 that belong to a counter.

    Args:
      key: four words, uint32, scalars or shape (...).
      counter: four words, uint32, broadcastable to shape (...).
      rounds: of mixing.

    Returns:
      Four words, uint32, shape (...).
    """
    keys = (*key, key[0] ^ key[1] ^ key[2] ^ key[3] ^ np.uint32(_PARITY))
    x = [c + k for c, k in zip(counter, keys[:4], strict=True)]
    for number in range(rounds):
        first, second = _ROTATIONS[number % 8]
        one, other = (1, 3) if number % 2 == 0 else (3, 1)
        x[0] = x[0] + x[one]
        x[one] = _rotated(x[one], first) ^ x[0]
        x[2] = x[2] + x[other]
        x[other] = _rotated(x[other], second) ^ x[2]
        if number % 4 == 3:
            turn = number // 4 + 1
            x = [word + keys[(turn + i) % 5] for i, word in enumerate(x)]
            x[3] = x[3] + np.uint32(turn)
    return x[0], x[1], x[2], x[3]


def stream(key: Key[Array, ""]) -> UInt32[Array, " 4"]:
    """Makes the key of the generator of this file from a key of `jax.random`.

    Args:
      key: of `jax.random.key`, any implementation.

    Returns:
      Four words [4], uint32.
    """
    return jax.random.bits(key, (4,), jnp.uint32)


def random_words(words: UInt32[Array, " 4"], photon: UInt32[Array, " N"], step: Array) -> Words:
    """Draws the random words of photons at one step.

    Args:
      words: key [4] of `stream`.
      photon: numbers of the photons [N], uint32.
      step: number of the step, uint32, scalar or [N]; 0 belongs to the emission.

    Returns:
      Four words [N], uint32, independent of those of other photons and steps.
    """
    zero = jnp.zeros_like(photon)
    key = (words[0], words[1], words[2], words[3])
    return threefry(key, (photon, zero + step, zero, zero))


def uniform(word: UInt32[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """Turns random bits into numbers between 0 and 1: the middles of 2^23 equal intervals, never 0 or 1.

    Args:
      word: uint32, shape (...).

    Returns:
      Numbers in (0, 1), float32, shape (...).
    """
    # Of 23 bits: with 24 the middle of the last interval would be rounded to 1.
    whole = (word >> np.uint32(9)).astype(jnp.int32).astype(jnp.float32)
    return (whole + np.float32(0.5)) * np.float32(2**-23)


def _with_sign(value: Array, bit: Array) -> Array:
    bits = jax.lax.bitcast_convert_type(value, jnp.uint32) ^ (bit << np.uint32(31))
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


def azimuth(word: UInt32[Array, "*shape"]) -> tuple[Float32[Array, "*shape"], Float32[Array, "*shape"]]:
    """Turns random bits into cosine and sine of a uniform azimuth.

    Series in [-pi/4, pi/4] (error below 4e-7) and three bits for the octants: a third of the time of `jnp.cos` and `jnp.sin`.

    Args:
      word: uint32, shape (...).

    Returns:
      Cosine and sine, float32, shape (...) each.
    """
    angle = (uniform(word) - np.float32(0.5)) * np.float32(np.pi / 2)
    square = angle * angle
    sine = angle * (1 + square * (-1 / 6 + square * (1 / 120 - square * (1 / 5040))))
    cosine = 1 + square * (-1 / 2 + square * (1 / 24 + square * (-1 / 720 + square * (1 / 40320))))
    swapped = (word & np.uint32(1)) != 0
    first = jnp.where(swapped, sine, cosine)
    second = jnp.where(swapped, cosine, sine)
    return _with_sign(first, (word >> np.uint32(1)) & np.uint32(1)), _with_sign(
        second, (word >> np.uint32(2)) & np.uint32(1)
    )
