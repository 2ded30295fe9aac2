"""Starting hypotheses: a first cascade and further ones along its direction."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.hypothesis.parameters import Parameter, further_cascades, standard_parameters
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.light.superposition import MultiSource
from evgen_jax.measurement.detector import Detector
from evgen_jax.sources.composite.along_track import cascades_along, extra_parameters
from evgen_jax.sources.learned.cascade import PARAMETERS


@dataclass(frozen=True)
class _StartingCascades:
    num_cascades: int
    extra: tuple[str, ...]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of the first cascade, further ones of the base, then those of the further cascades."""
        return standard_parameters(PARAMETERS + self.extra) + further_cascades(1, self.num_cascades)

    def __call__(
        self, hypothesis: Float[Array, " H"], detector: Detector
    ) -> dict[str, tuple[Float[Array, "N H_base"], None]]:
        own = len(PARAMETERS) + len(self.extra)
        first, pairs = hypothesis[:own], hypothesis[own:].reshape(-1, 2)
        further = cascades_along(
            first[:3], first[6], first[3], first[4], pairs[:, 1], pairs[:, 0], first[len(PARAMETERS) :], detector
        )
        return {"cascade": (jnp.concatenate([first[None], further]), None)}

    def base_trafos(self, trafo: Trafo) -> dict[str, Trafo]:
        own = PARAMETERS + self.extra
        return {"cascade": trafo.select(range(len(own)), own)}


def starting_cascades(num_cascades: int, bases: Mapping[str, Source], chunk: int | None = None) -> MultiSource:
    """Makes a cascade and `num_cascades` - 1 more along its direction, each with an energy and a distance.

    Parameters: those of the base `cascade`, then cascade_00001_energy [GeV], cascade_00001_distance [m] and so on.
    Times follow from the distances at the speed of light.

    Args:
      num_cascades: number of cascades with the first one.
      bases: {"cascade": source}.
      chunk: cascades evaluated together; None: what suits the detector and the machine.

    Returns:
      The multi-source.

    Raises:
      ConfigError: other bases than `cascade`, or one whose first parameters are not those of a cascade.
    """
    extra = extra_parameters("StartingVariableMultiCascadeModel", bases, ("cascade",))
    return MultiSource(tuple(bases.items()), _StartingCascades(num_cascades, extra["cascade"]), chunk)
