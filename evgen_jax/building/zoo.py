"""The zoo by name: the records of all sources that a configuration may name. Users add their own."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import ConfigDict, create_model

from evgen_jax.building.analytic_sources import AnalyticCascadeModel, AnalyticNoiseModel, AnalyticSphereTrackModel
from evgen_jax.building.composite import (
    FiniteTrackMultiCascadeModel,
    IndependentMultiSource,
    StartingVariableMultiCascadeModel,
)
from evgen_jax.building.learned import DefaultCascadeModel, EnteringSphereInfTrack
from evgen_jax.building.noise import DefaultNoiseModel
from evgen_jax.building.record import register
from evgen_jax.building.sources import SOURCES as SOURCES
from evgen_jax.building.sources import SourceRecord
from evgen_jax.building.sources import read_source as read_source
from evgen_jax.building.track_with_cascades import (
    EnteringSphereInfTrackMultiCascade,
    InfSphereTrackEquidistantCascadeModel,
    InfSphereTrackVariableMultiCascadeModel,
)
from evgen_jax.config.record import described
from evgen_jax.errors import ConfigError, shown
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source

SOURCES |= {
    record.__name__: record
    for record in (
        DefaultCascadeModel,
        EnteringSphereInfTrack,
        EnteringSphereInfTrackMultiCascade,
        DefaultNoiseModel,
        AnalyticCascadeModel,
        AnalyticSphereTrackModel,
        AnalyticNoiseModel,
        IndependentMultiSource,
        StartingVariableMultiCascadeModel,
        InfSphereTrackVariableMultiCascadeModel,
        InfSphereTrackEquidistantCascadeModel,
        FiniteTrackMultiCascadeModel,
    )
}
LINEN_FIELDS = ("parent", "name")
"""Fields of every linen module, which are no settings."""


class OwnSource(SourceRecord):
    """A user's own source."""

    make: ClassVar[Callable[..., Any]]

    def build(self, trafo: Trafo | None = None, where: str = "") -> Source:
        """What the user's class or function makes of the settings."""
        given = self._given()
        name = type(self).__name__
        try:
            source = type(self).make(**given)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name} refuses {sorted(given)} ({error}).") from None
        if not isinstance(source, Source):
            raise ConfigError(f"{name} made a {type(source).__name__}, which is no source.")
        return source

    def analytic(self, where: str = "model_settings") -> SourceRecord:
        """The record itself: a source of one's own simulates its events."""
        return self

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], SourceRecord]) -> SourceRecord | None:
        """The record of an instance of the user's class; None if the source is another one."""
        if not isinstance(cls.make, type) or type(source) is not cls.make:
            return None
        record = cls(**{key: getattr(source, key) for key in cls.config_keys() if hasattr(source, key)})
        return record if record.build() == source else None


def register_source(name: str, make: Callable[..., Source]) -> type[SourceRecord]:
    """Adds a user's own source to the zoo, so that `model_class: name` builds it.

    `simulate` draws events from the source itself, with fresh weights, unless simulation_settings.model names another.

    Args:
      name: as configurations will write it.
      make: called with the entries of the section's `config`; returns a source, usually a linen module.

    Returns:
      The record of the source, to compose models in Python.

    Raises:
      ConfigError: the name is taken, or `make` cannot be called.
    """
    if not callable(make):
        raise ConfigError(f"register_source: expected a class or function that makes a source, got {shown(make)}.")
    if isinstance(make, type) and not hasattr(make, "light_yield"):
        raise ConfigError(
            f"register_source: the class {make.__name__} makes no source: it has no light_yield. Derive it from LinenSource."
        )
    fields: dict[str, Any] = {}
    others = False
    for option in inspect.signature(make).parameters.values():
        others |= option.kind is option.VAR_KEYWORD
        if option.kind in (option.POSITIONAL_OR_KEYWORD, option.KEYWORD_ONLY) and option.name not in LINEN_FIELDS:
            default = None if option.default is option.empty else option.default
            fields[option.name] = (Any, described(default, f"Argument of {name}."))
    record = create_model(
        str(name), __base__=OwnSource, __doc__=inspect.getdoc(make) or f"The source {name}.", **fields
    )
    record.make = staticmethod(make)
    if others:
        record.model_config = ConfigDict(**record.model_config | {"extra": "allow"})
        record.model_rebuild(force=True)
    register(SOURCES, name, record, "source")
    return record


def record_of(source: Source) -> SourceRecord:
    """The record that makes a source, however the source was made.

    Args:
      source: a source of the zoo, or one whose class was registered.

    Raises:
      ConfigError: nothing that a configuration can name makes this source.
    """
    for record in SOURCES.values():
        found = record.of(source, record_of)
        if found is not None:
            return found
    raise ConfigError(
        f"a source of the class {type(source).__name__} has no name in configurations. Register its class with "
        "eg.register_source; of an approximation take the model that it was made from."
    )
