"""A checksum of arrays, by which files and models tell whether they belong together."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np


def checksum(tables: Sequence[Any], origin: tuple[float, float, float], words: Sequence[str] = ()) -> str:
    """Computes a checksum of arrays, their shapes and types.

    Args:
      tables: arrays of concrete numbers.
      origin: x, y, z in m; counts unless it is 0.
      words: more that counts.

    Returns:
      SHA-256 in hexadecimal digits.
    """
    digest = hashlib.sha256()
    for table in tables:
        array = np.asarray(table)
        digest.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
    if any(origin):
        digest.update(repr(origin).encode())
    for word in words:
        digest.update(word.encode())
    return digest.hexdigest()
