"""Pickles of arrays and plain containers; nothing that a file names is ever imported or called.

A pickle is a program: it names functions of any module and calls them. Here a name stands for one of a few harmless things of
our own, and any other is refused. Arrays are not made by NumPy's functions for pickles either, which believe what a file says
about memory: they are made from bytes, of number types alone.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.errors import ModelDirectoryError, shown

KINDS = "biuf"
"""Kinds of NumPy's types that arrays may have: flags and numbers."""


class Refused(ModelDirectoryError):
    """Reports a pickle that names what it may not have."""


class StoredType:
    """Is the type of an array, as a pickle describes it."""

    def __init__(self, code: Any = "", *_: Any):
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        """Makes the type of NumPy.

        Returns:
          The type, with its order of bytes.

        Raises:
          ValueError: no type of flags or numbers.
        """
        code = self.code.decode("ascii") if isinstance(self.code, bytes) else self.code
        if not isinstance(code, str) or code[:1] not in KINDS or not code[1:].isdigit():
            raise ValueError(f"the type {shown(code)}")
        return np.dtype((self.order if self.order in "<>" else "") + code)


class StoredArray:
    """Is an array, or one number, as a pickle describes it."""

    def __init__(self, dtype: Any = None, data: Any = b"", *_: Any):
        self.shape: Any = ()
        self.dtype, self.data, self.columns = dtype, data, False

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.columns, self.data = state

    def numpy(self) -> np.ndarray:
        """Makes the array of NumPy.

        Returns:
          The array, its data copied.

        Raises:
          ValueError: no array of flags or numbers, or bytes that do not fit its shape.
        """
        if not isinstance(self.dtype, StoredType) or not isinstance(self.data, bytes):
            raise ValueError("an array of something else than numbers")
        flat = np.frombuffer(self.data, self.dtype.numpy())
        return flat.reshape(self.shape, order="F" if self.columns else "C").copy()


class _Record:
    """Is an object of which the attributes alone are kept, or what a function would have made."""

    def __init__(self, *_: Any):
        pass


def _array(*_: Any) -> StoredArray:
    """Stands for NumPy's function that makes an array, whose content follows."""
    return StoredArray()


def _text_to_bytes(text: str, encoding: str) -> bytes:
    """How old pickles write bytes."""
    if encoding != "latin1":
        raise ValueError(f"bytes in the encoding {shown(encoding)}")
    return text.encode("latin1")


CONTAINERS: dict[str, Any] = {"dict": dict, "list": list, "tuple": tuple, "set": set}
KNOWN: dict[tuple[str, str], Any] = {
    **{(module, name): kind for module in ("__builtin__", "builtins") for name, kind in CONTAINERS.items()},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): StoredArray for core in ("core", "_core")},
    ("numpy", "ndarray"): StoredArray,
    ("numpy", "dtype"): StoredType,
    ("_codecs", "encode"): _text_to_bytes,
}
"""What pickles may name -> what stands for it."""


class _Unpickler(pickle._Unpickler):
    """Knows the names of `KNOWN`, and those of a caller as records.

    It is the one in Python: that in C makes room for as many remembered objects as a damaged file says, of gigabytes.
    """

    def __init__(self, file: Any, path: Path, records: tuple[str, ...]):
        super().__init__(file)
        self.path, self.records = path, records

    def find_class(self, module: str, name: str) -> Any:
        """Gives what stands for a name.

        Args:
          module: as the pickle has it.
          name: as the pickle has it.

        Raises:
          Refused: any other name.
        """
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        if f"{module}.{name}" in self.records:
            # A class of its own for every use: a pickle may give it attributes.
            return type(name, (_Record,), {})
        raise Refused(
            f"{self.path}: asks for {module}.{name}, which is neither an array nor a plain container; nothing of it was run. "
            "A transformation of Event-Generator needs no such thing: get the file from where it was made."
        )

    def persistent_load(self, pid: Any) -> Any:
        """Refuses what lies outside of the file.

        Args:
          pid: names it.

        Raises:
          Refused: always.
        """
        raise Refused(f"{self.path}: asks for something outside of the file, {shown(pid)}; nothing of it was run.")


def read_pickle(path: Path, records: tuple[str, ...] = ()) -> Any:
    """Reads a pickle of arrays and plain containers.

    Args:
      path: of the file.
      records: full names of classes and functions that may occur and of which attributes alone are kept.

    Returns:
      Plain values; arrays are `StoredArray`.

    Raises:
      Refused: the file names anything else; the message has the name, and nothing was run.
      ModelDirectoryError: the file is missing, damaged or no pickle.

    Example:
      `read_pickle(directory / "data.pickle")["x_parameters_mean"].numpy()`
    """
    if not path.is_file():
        raise ModelDirectoryError(f"{path}: is missing. Copy the whole directory of the export.")
    with open(path, "rb") as file:
        try:
            return _Unpickler(file, path, records).load()
        except Refused:
            raise
        except Exception as error:  # of a damaged file: any error of the calls and attributes that its bytes ask for
            raise ModelDirectoryError(f"{path}: is damaged or no pickle ({shown(error)}). Copy it again.") from None
