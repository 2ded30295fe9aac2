"""Walks over a tree of sources: multi-sources hold bases, which may be multi-sources themselves."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import flax.linen as nn

from evgen_jax.light.source import Source
from evgen_jax.light.superposition import MultiSource

Path = tuple[str, ...]
"""Names of bases from the outermost multi-source on; empty for the tree itself."""


def walk(source: Source, path: Path = ()) -> Iterator[tuple[Path, Source]]:
    """Yields every source of a tree, a multi-source before its bases.

    Args:
      source: the tree.
      path: names that stand before all others.

    Yields:
      Names of the bases that lead to a source, and the source.
    """
    yield path, source
    if isinstance(source, MultiSource):
        for name, base in source.bases:
            yield from walk(base, (*path, name))


def map_sources(change: Callable[[Source], Source], source: Source) -> Source:
    """Replaces the sources of a tree, whose shape stays.

    Args:
      change: gives the new source for each one that is no multi-source.
      source: the tree.

    Returns:
      The new tree.
    """
    if not isinstance(source, MultiSource):
        return change(source)
    return replace(source, bases=tuple((name, map_sources(change, base)) for name, base in source.bases))


def with_chunk(source: Source, chunk: int | None) -> Source:
    """Sets how many sub-sources the multi-sources of a tree evaluate together; only memory and speed change.

    Args:
      source: the tree.
      chunk: sub-sources evaluated together; None: what suits the detector and the machine.

    Returns:
      The new tree.
    """
    if not isinstance(source, MultiSource):
        return source
    bases = tuple((name, with_chunk(base, chunk)) for name, base in source.bases)
    return replace(source, bases=bases, chunk=chunk)


def with_precision(source: Source, dtype: Any) -> Source:
    """Sets the precision in which a tree computes; sources without a precision stay as they are.

    Args:
      source: the tree.
      dtype: of all sources, float32 or float64.

    Returns:
      The new tree.
    """

    def change(one: Source) -> Source:
        return one.clone(dtype=dtype) if isinstance(one, nn.Module) and hasattr(one, "dtype") else one

    return map_sources(change, source)


def settings_of(source: Source, name: str) -> list[Any]:
    """Collects the values of a setting from the sources of a tree.

    Args:
      source: the tree.
      name: of an attribute of a source, of the geometry of a learned one or of the parameter map of a multi-source.

    Returns:
      Values that are not None, those of the outermost source first.
    """
    found = []
    for _, one in walk(source):
        owners = (one, getattr(one, "geometry", None), getattr(one, "expand", None))
        found += [getattr(owner, name) for owner in owners if getattr(owner, name, None) is not None]
    return found
