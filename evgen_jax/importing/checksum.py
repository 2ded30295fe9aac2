"""CRC-32C, the checksum of TensorFlow's files, in NumPy: the standard library has another polynomial."""

import numpy as np

POLYNOMIAL = 0x82F63B78
"""Of Castagnoli, bits reversed."""
MASK = 0xA282EAD8
SHORT = 1024
"""Number of bytes below which they are taken one by one."""


def _table() -> np.ndarray:
    """Remainders [256] of the bytes."""
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, np.uint32(POLYNOMIAL) ^ (values >> 1), values >> 1)
    return values


TABLE = _table()


def crc32c(data: bytes) -> int:
    """Computes the CRC-32C of bytes.

    Long data are cut into rows of one length whose remainders are computed side by side; a remainder is carried over the next
    row by what that row's length of zeros makes of each of its bits.

    Args:
      data: of any length.

    Returns:
      The checksum, 0 to 2^32 - 1.

    Example:
      `crc32c(b"123456789") == 0xE3069283`
    """
    if len(data) < SHORT:
        crc = 0xFFFFFFFF
        for byte in data:
            crc = int(TABLE[(crc ^ byte) & 0xFF]) ^ (crc >> 8)
        return crc ^ 0xFFFFFFFF
    values = np.frombuffer(data, np.uint8)
    rows = int(np.sqrt(len(values)))
    length = -(-len(values) // rows)
    # Zeros in front change nothing; the start value 2^32 - 1 inverts the first four bytes.
    padded = np.concatenate([np.zeros(rows * length - len(values), np.uint8), values[:4] ^ 0xFF, values[4:]])
    bits = np.arange(32, dtype=np.uint32)
    columns = np.concatenate([padded.reshape(rows, length), np.zeros((32, length), np.uint8)]).T
    state = np.concatenate([np.zeros(rows, np.uint32), np.uint32(1) << bits])
    for column in np.ascontiguousarray(columns):
        state = TABLE[(state ^ column) & 0xFF] ^ (state >> 8)
    carried, total = state[rows:], np.uint32(0)
    for remainder in state[:rows]:
        total = np.bitwise_xor.reduce(carried[(total >> bits) & 1 == 1]) ^ remainder
    return int(total) ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Computes the CRC-32C of bytes as files store it, rotated and shifted.

    Args:
      data: of any length.

    Returns:
      The masked checksum, 0 to 2^32 - 1.
    """
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + MASK) & 0xFFFFFFFF
