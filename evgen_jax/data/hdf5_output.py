"""Writing of HDF5 files as a whole, or not at all."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evgen_jax.data.hdf5_library import h5py
from evgen_jax.files import replaced


@contextmanager
def new_hdf5(path: Path, **options: Any) -> Iterator[h5py.File]:
    """Opens a new HDF5 file, which appears under its name only when the `with` statement ends without an error.

    It is built in memory: where a disk is full, the HDF5 library ends the process with a segmentation fault.

    Args:
      path: of the file; an existing one is replaced.
      **options: of `h5py.File`.

    Yields:
      The open file.

    Raises:
      OSError: it cannot be written; names the file.
    """
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        yield file
    with replaced(path) as partial:
        # No buffer of the object: where the disk is full, Python 3.12.1 crashes as it collects one.
        partial.write_bytes(content.getvalue())
