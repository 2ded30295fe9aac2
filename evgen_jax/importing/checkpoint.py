"""Checkpoints of TensorFlow, read without TensorFlow: a sorted table of protocol buffers and files of raw arrays.

`PREFIX.index` is a table as LevelDB has it: blocks of entries in the order of their keys, an index block of the blocks, and a
footer. The entry of the empty key says of how many files the arrays consist, that of every other key where its array lies.
No package that is kept reads such a table without the whole of TensorFlow.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evgen_jax.errors import CheckpointError
from evgen_jax.extras import need
from evgen_jax.importing.checksum import masked_crc32c

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
"""Bytes of the footer: two places of blocks, padded, and the magic number."""
TRAILER = 5
"""Bytes behind a block: one of its compression, four of its checksum."""
PLAIN, SNAPPY = 0, 1
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
"""End of the keys of arrays; that of the object graph has none."""
NEWEST = 1
"""Version of the format that is known here."""
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "|u1", 6: "|i1", 9: "<i8", 10: "|b1"}
"""Numbers of TensorFlow's types -> those of NumPy."""
TEXT = 7
"""Number of the type of texts, which are not read."""


class _Damaged(Exception):
    """Says what is wrong with the bytes of a file."""


@dataclass(frozen=True)
class Entry:
    """Says where an array lies.

    Attributes:
      dtype: number of its type, see `DTYPES`.
      shape: of the array.
      shard: number of its file.
      offset, size: place in that file, bytes.
      checksum: masked CRC-32C of its bytes.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


def read_checkpoint(prefix: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of a checkpoint; every byte is proven by its checksum.

    Args:
      prefix: path of its files without `.index` and `.data-00000-of-00001`.

    Returns:
      Arrays by name, such as `model/0`; texts are left out.

    Raises:
      CheckpointError: a file is missing or damaged, no checkpoint at all, or of a newer format.

    Example:
      `read_checkpoint(directory / "model_checkpoint_00000001")["step"]`
    """
    path = prefix.with_name(prefix.name + ".index")
    try:
        table = dict(read_table(_bytes_of(path)))
        shards = _number_of_files(table.pop(b"", None))
        entries = {key: _entry(value) for key, value in table.items()}
    except (_Damaged, IndexError, ValueError) as error:
        text = str(error) if isinstance(error, _Damaged) else "it ends too early or holds something else"
        raise CheckpointError(
            f"{path}: is no checkpoint of TensorFlow, or a damaged one: {text}. Copy it again."
        ) from None
    files = [prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}") for shard in range(shards)]
    contents = [_bytes_of(file) for file in files]
    arrays = {}
    for key, entry in entries.items():
        name = key.decode("utf-8", "replace")
        if entry.dtype == TEXT or not name.endswith(SUFFIX):
            continue
        name = name.removesuffix(SUFFIX)
        try:
            arrays[name] = _array(entry, contents)
        except _Damaged as error:
            file = files[min(entry.shard, shards - 1)]
            raise CheckpointError(
                f"{file}: is damaged, or does not belong to {path.name}: {name} {error}. Copy it again."
            ) from None
    return arrays


def _bytes_of(path: Path) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"{path}: is missing. Copy the whole directory of the export.")
    return path.read_bytes()


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Goes through the entries of a sorted table.

    Args:
      data: content of its file.

    Yields:
      Keys and values.
    """
    if len(data) < FOOTER or int.from_bytes(data[-8:], "little") != MAGIC:
        raise _Damaged("its last eight bytes are not those of a table")
    _, after = _place(data, len(data) - FOOTER)  # of a block that is empty here
    index, _ = _place(data, after)
    for _, value in _entries(_block(data, *index)):
        place, _ = _place(value, 0)
        yield from _entries(_block(data, *place))


def _block(data: bytes, offset: int, size: int) -> bytes:
    """The content of a block, unpacked."""
    end = offset + size
    trailer = data[end : end + TRAILER]
    if len(trailer) < TRAILER:
        raise _Damaged("a block lies beyond its end")
    if masked_crc32c(data[offset : end + 1]) != int.from_bytes(trailer[1:], "little"):
        raise _Damaged("the checksum of a block is wrong")
    if trailer[0] == PLAIN:
        return data[offset:end]
    if trailer[0] != SNAPPY:
        raise _Damaged(f"a block is compressed in an unknown way ({trailer[0]})")
    need("pyarrow", "a checkpoint with a compressed index")
    import pyarrow

    length, _ = _varint(data, offset)
    return pyarrow.decompress(data[offset:end], decompressed_size=length, codec="snappy", asbytes=True)


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; of a key only what differs from the one before is written."""
    restarts = int.from_bytes(block[-4:], "little")
    end, at, key = len(block) - 4 * (restarts + 1), 0, b""
    if end < 0:
        raise _Damaged("a block is shorter than its list of restarts")
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + own + length > end:
            raise _Damaged("an entry lies beyond its block")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _place(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where reading goes on."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, and where reading goes on."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise _Damaged("a number has too many digits")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(message, at)
        else:
            if kind == 2:
                size, at = _varint(message, at)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
            else:
                raise _Damaged(f"a field of the unknown kind {kind}")
            value, at = message[at : at + size], at + size
            if at > len(message):
                raise _Damaged("a field lies beyond its message")
        yield number, value


def _whole(value: int | bytes) -> int:
    return value if isinstance(value, int) else int.from_bytes(value, "little")


def _inner(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _Damaged("a number stands where a message is expected")
    return value


def _number_of_files(header: bytes | None) -> int:
    """Over how many files the arrays are spread, from the entry of the empty key."""
    if header is None:
        raise _Damaged("the entry about its files is missing")
    shards, big_endian, oldest_reader = 1, 0, 0
    for number, value in _fields(header):
        if number == 1:
            shards = _whole(value)
        elif number == 2:
            big_endian = _whole(value)
        elif number == 3:
            oldest_reader = next((_whole(v) for n, v in _fields(_inner(value)) if n == 2), 0)
    if big_endian or oldest_reader > NEWEST or not 1 <= shards < 100_000:
        raise _Damaged(
            f"it is of another format: {shards} files, {'big' if big_endian else 'little'} end first, for readers of version "
            f"{oldest_reader}"
        )
    return shards


def _entry(message: bytes) -> Entry:
    """Where an array lies, from the value of its key."""
    found = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: list[int] = []
    for number, value in _fields(message):
        if number == 2:
            for inner, dimension in _fields(_inner(value)):
                if inner == 2:
                    shape.append(next((_whole(v) for n, v in _fields(_inner(dimension)) if n == 1), 0))
        elif number == 7:
            raise _Damaged("an array is stored in slices, which are not read")
        elif number in found:
            found[number] = _whole(value)
    return Entry(found[1], tuple(shape), found[3], found[4], found[5], found[6])


def _array(entry: Entry, contents: list[bytes]) -> np.ndarray:
    """The array of an entry; `contents` of all files."""
    if entry.dtype not in DTYPES:
        raise _Damaged(f"is of the unknown type {entry.dtype}")
    dtype = np.dtype(DTYPES[entry.dtype])
    if entry.shard >= len(contents):
        raise _Damaged(f"lies in file {entry.shard}, which there is not")
    data = contents[entry.shard][entry.offset : entry.offset + entry.size]
    if len(data) != entry.size or entry.size != math.prod(entry.shape) * dtype.itemsize:
        raise _Damaged(f"has {len(data)} bytes, expected those of {dtype.name} {entry.shape}")
    if masked_crc32c(data) != entry.checksum:
        raise _Damaged("has the wrong checksum")
    return np.frombuffer(data, dtype).reshape(entry.shape)
