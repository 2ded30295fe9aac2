"""Walks over a tree of sources: multi-sources hold bases, which may be multi-sources themselves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import flax.linen as nn
from jax import Array

from evgen_jax.light.source import Source, Variables
from evgen_jax.light.superposition import MultiSource
from evgen_jax.measurement.detector import Detector

Path = tuple[str, ...]
"""Names of bases from the outermost multi-source on; empty for the tree itself."""


def walk(source: Source, path: Path = (), *, most: int | None = None) -> Iterator[tuple[Path, Source]]:
    """Yields every source of a tree, a multi-source before its bases.

    Args:
      source: the tree.
      path: names that stand before all others.
      most: largest number of bases of one multi-source that are visited, the first ones; None: all.

    Yields:
      Names of the bases that lead to a source, and the source.
    """
    yield path, source
    if isinstance(source, MultiSource):
        for name, base in source.bases[:most]:
            yield from walk(base, (*path, name), most=most)


@dataclass(frozen=True)
class Copies:
    """Holds the copies of one source within a tree, at a hypothesis.

    Attributes:
      path: names of the bases that lead to the source.
      source: that is no multi-source.
      variables: its weights.
      parameters: [N, H_source], hypotheses of the copies, physical units.
      masked: whether a mask may take away the light of copies.
    """

    path: Path
    source: Source
    variables: Variables
    parameters: Array
    masked: bool = False


def copies_at(source: Source, variables: Variables, hypothesis: Array, detector: Detector) -> Iterator[Copies]:
    """Yields the sources of a tree that are no multi-sources, with the hypotheses of their copies.

    The bases of a multi-source of which there are several copies are yielded for each of these by itself, under one
    path.

    Args:
      source: the tree.
      variables: its weights.
      hypothesis: [H] of the tree, physical units.
      detector: of the model.

    Yields:
      Copies of each source.
    """
    if not isinstance(source, MultiSource):
        yield Copies((), source, variables, hypothesis[None])
        return
    expanded = source.expand(hypothesis, detector)
    for name, base in source.bases:
        parameters, mask = expanded[name]
        if not isinstance(base, MultiSource):
            yield Copies((name,), base, variables[name], parameters, mask is not None)
            continue
        for own in parameters:
            for inner in copies_at(base, variables[name], own, detector):
                yield replace(inner, path=(name, *inner.path), masked=inner.masked or mask is not None)


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
