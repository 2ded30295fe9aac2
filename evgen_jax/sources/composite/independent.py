"""Independent sources side by side: the joint hypothesis is the concatenation of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.errors import ConfigError, shown, suggestion
from evgen_jax.hypothesis.parameters import Parameter, parameters_of
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.light.superposition import MultiSource
from evgen_jax.measurement.detector import Detector


@dataclass(frozen=True)
class SideBySide:
    """Columns of the joint hypothesis for each sub-source: (base name, first column, column after the last).

    Attributes:
      sources: (source name, base name) pairs in the order of the columns.
    """

    sources: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, int, int], ...]
    parameters: tuple[Parameter, ...]
    base_parameters: tuple[tuple[str, tuple[str, ...]], ...]

    def __call__(
        self, hypothesis: Float[Array, " H"], detector: Detector
    ) -> dict[str, tuple[Float[Array, "N H_base"], None]]:
        """Cuts the joint hypothesis into those of the sources.

        Args:
          hypothesis: [H], physical units.
          detector: of no effect.

        Returns:
          Base name -> parameters of its copies [N, H_base], in the order of the sources.
        """
        grouped: dict[str, list[Array]] = {}
        for base, start, stop in self.columns:
            grouped.setdefault(base, []).append(hypothesis[start:stop])
        return {base: (jnp.stack(rows), None) for base, rows in grouped.items()}

    def base_trafos(self, trafo: Trafo) -> dict[str, Trafo]:
        """Takes the normalisation of a base from its first copy."""
        names = dict(self.base_parameters)
        trafos: dict[str, Trafo] = {}
        for base, start, stop in self.columns:
            trafos.setdefault(base, trafo.select(range(start, stop), names[base]))
        return trafos


def independent_multi_source(
    sources: Mapping[str, str], bases: Mapping[str, Source], chunk: int | None = None
) -> MultiSource:
    """Combines named sources, each of which is a copy of a base; copies of one base share its weights.

    Parameters of the result are `<source>_<parameter>` in alphabetical order of the sources.

    Args:
      sources: source name -> base name.
      bases: base name -> source.
      chunk: sub-sources evaluated together; None: what suits the detector and the machine.

    Returns:
      The multi-source.

    Raises:
      ConfigError: no sources, a base that is used but not defined, or one that is defined but not used.

    Example:
      independent_multi_source(
          {"first": "cascade", "second": "cascade", "noise": "noise"}, {"cascade": cascade.source, "noise": noise.source}
      )
    """
    if not sources or not isinstance(sources, Mapping):
        raise ConfigError(f"config.sources: expected {{source: base}} with one source at least, got {shown(sources)}.")
    for source, base in sources.items():
        if not isinstance(base, str) or base not in bases:
            raise ConfigError(
                f"source '{source}' uses the base {shown(base)}, which multi_source_bases does not "
                f"define; it defines {', '.join(bases)}." + suggestion(base, bases)
            )
    for base in bases:
        if base not in sources.values():
            raise ConfigError(f"the base '{base}' is defined but no source uses it.")
    parameters: list[Parameter] = []
    columns = []
    ordered_sources = tuple(sorted(sources.items()))
    for source, _ in ordered_sources:
        own = parameters_of(bases[sources[source]])
        columns.append((sources[source], len(parameters), len(parameters) + len(own)))
        parameters.extend(parameter.under(source) for parameter in own)
    ordered = tuple((name, bases[name]) for name in sorted(bases))
    own_names = tuple((name, base.parameter_names) for name, base in ordered)
    return MultiSource(ordered, SideBySide(ordered_sources, tuple(columns), tuple(parameters), own_names), chunk)
