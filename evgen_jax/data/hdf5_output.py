"""HDF5 files that are written as a whole, or not at all."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from evgen_jax.files import replaced


@contextmanager
def new_hdf5(path: Path, **options: Any) -> Iterator[h5py.File]:
    """A file to fill; it appears under its name only when complete.

    It is built in memory: where a disk is full, the HDF5 library ends the process with a segmentation fault.

    Args:
      path: of the file.
      options: of `h5py.File`.

    Raises:
      OSError: it cannot be written; names the file.
    """
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        yield file
    with replaced(path) as partial:
        partial.write_bytes(content.getbuffer())
