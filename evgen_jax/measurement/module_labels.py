"""Labels of modules as whole numbers, and their places in sorted lists."""

import numpy as np

SMALL_TABLE = 1 << 22
"""Range of labels up to which they are looked up in a table of all numbers; wider ranges are searched for in lists."""


def find_labels(known_string: np.ndarray, known_om: np.ndarray, string: np.ndarray, om: np.ndarray) -> np.ndarray:
    """Finds the places of pairs of labels in a table.

    Args:
      known_string: first labels [D] of the table.
      known_om: second labels [D] of the table, each pair once.
      string: first labels [P].
      om: second labels [P].

    Returns:
      Places [P], int; -1 for labels that are not in the table.
    """
    strings, string_rank = np.unique(np.asarray(known_string, np.int64), return_inverse=True)
    oms, om_rank = np.unique(np.asarray(known_om, np.int64), return_inverse=True)
    # Two small ranks make one key, however large the labels are.
    first, second = rank(strings, whole_labels(string)), rank(oms, whole_labels(om))
    key = string_rank.ravel() * len(oms) + om_rank.ravel()
    order = np.argsort(key)
    found = rank(key[order], np.where((first >= 0) & (second >= 0), first * len(oms) + second, -1))
    return np.where(found >= 0, order[found], -1)


def whole_labels(labels: np.ndarray) -> np.ndarray:
    """Converts labels to int64.

    Args:
      labels: numbers of any type, shape (...).

    Returns:
      Labels, shape (...); -1 where a number is not whole, negative or beyond int64.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind in "iub":
        return np.where((labels >= 0) & (labels <= np.iinfo(np.int64).max), labels, 0).astype(np.int64) - (labels < 0)
    labels = labels.astype(np.float64)
    whole = np.isfinite(labels) & (labels == np.floor(labels)) & (labels >= 0) & (labels < 2.0**62)
    return np.where(whole, labels, -1).astype(np.int64)


def rank(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Finds the places of values in a list.

    Args:
      known: [N], sorted, each once.
      values: whole numbers, shape (...).

    Returns:
      Places (...); -1 for values that are not in the list.
    """
    low, high = int(known[0]), int(known[-1])
    if high - low < SMALL_TABLE:
        table = np.full(high - low + 1, -1, np.int64)
        table[known - low] = np.arange(len(known))
        inside = (values >= low) & (values <= high)
        return np.where(inside, table[np.where(inside, values - low, 0)], -1)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, place, -1)
