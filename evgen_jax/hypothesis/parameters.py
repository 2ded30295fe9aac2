"""What a hypothesis parameter is: a role with a name and what differs from the usual, and which parameters belong together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from evgen_jax.errors import ConfigError, shown, suggestion
from evgen_jax.hypothesis.roles import DRAWS, MANY, NOTHING, ROLES, STANDARD_NAMES

BY_ROLE: Any = None
"""Default of a field of `Parameter`: the value that is usual for the role."""


POSITIONS = ("x", "y", "z")
"""Roles of coordinates, m."""
DIRECTION = ("zenith", "azimuth")
"""Roles of the direction that a particle comes from, rad."""
ENTRY_POINT = ("entry_zenith", "entry_azimuth")
"""Roles of the point where a track enters its sphere, rad."""
CASCADE = (*POSITIONS, *DIRECTION, "energy", "time")
"""Roles of a cascade, in the order of its parameters."""
ENTERING_TRACK = (*ENTRY_POINT, "entry_time", "entry_energy", *DIRECTION)
"""Roles of a track that enters a sphere, in the order of its parameters."""


@dataclass(frozen=True)
class Parameter:
    """Describes one parameter of a hypothesis; fields that are not given are those that are usual for the role.

    Example: `Parameter("depth", role="z", low=-300.0, high=300.0)`.

    Attributes:
      name: in the hypothesis, in tables and configurations.
      role: what it is to a physicist, of `ROLES`; None where nothing is known of it.
      unit: 'm', 'ns', 'GeV', 'rad' or '' for a number.
      log: whether it is usually normalised and fitted as ln(1 + p).
      low: lower end of the default range of simulated events, in `unit`; None where there is none.
      high: upper end of the default range of simulated events, in `unit`; None where there is none.
      draw: 'uniform', 'log' (uniform in the logarithm) or 'zenith' (isotropic), how events are drawn from the range.
      spread: width of seeds that are smeared truth; of the logarithm where `draw` is 'log'.
      mean: typical mean, of ln(1 + p) where `log` is set.
      std: typical standard deviation, of ln(1 + p) where `log` is set.
      group: names of the sources that it belongs to, from the outermost; parameters of one group describe one thing.

    Raises:
      ConfigError: an unknown role or draw (with the nearest match), or a range of wrong order.
    """

    name: str
    role: str | None = None
    unit: str = BY_ROLE
    log: bool = BY_ROLE
    low: float | None = BY_ROLE
    high: float | None = BY_ROLE
    draw: str = BY_ROLE
    spread: float = BY_ROLE
    mean: float = BY_ROLE
    std: float = BY_ROLE
    group: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"Parameter: expected a name, got {shown(self.name)}.")
        if self.role is not None and self.role not in ROLES:
            raise ConfigError(
                f"Parameter '{self.name}': the role {shown(self.role)} is unknown; known: {', '.join(ROLES)}."
                + suggestion(str(self.role), ROLES)
            )
        facts = NOTHING if self.role is None else ROLES[self.role]
        for fact in fields(self)[2:-1]:
            if getattr(self, fact.name) is None:
                object.__setattr__(self, fact.name, getattr(facts, fact.name))
        object.__setattr__(self, "group", tuple(self.group))
        if self.draw not in DRAWS:
            raise ConfigError(
                f"Parameter '{self.name}': draw: expected one of {', '.join(DRAWS)}, got {shown(self.draw)}."
                + suggestion(str(self.draw), DRAWS)
            )
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ConfigError(
                f"Parameter '{self.name}': expected low <= high, got [{self.low:g}, {self.high:g}]; the usual range of its "
                "role stands for an end that is not given."
            )

    @property
    def own_name(self) -> str:
        """Returns the name without those of the sources before it."""
        return self.name.removeprefix("".join(f"{source}_" for source in self.group))

    @property
    def all_names(self) -> tuple[str, ...]:
        """Returns the name behind those of all sources before it, of some, from the innermost, and of none."""
        own, group = self.own_name, self.group
        return (self.name, *("".join(f"{source}_" for source in group[k:]) + own for k in range(1, len(group) + 1)))

    def answers_to(self, name: str) -> bool:
        """Tells whether a name means the parameter, with the names of all of its sources before it, of some or of none.

        Args:
          name: to look for.

        Returns:
          Whether the name is one of `all_names`.
        """
        return name in self.all_names

    def under(self, source: str) -> "Parameter":
        """Makes the parameter a part of a joint hypothesis.

        Args:
          source: name of the source, which is put before the parameter's name.

        Returns:
          The renamed parameter.
        """
        return replace(self, name=f"{source}_{self.name}", group=(source, *self.group))


def standard_parameters(names: Iterable[str]) -> tuple[Parameter, ...]:
    """Makes parameters of which only the names are known: standard names tell a role, others none.

    Args:
      names: of the parameters, H of them.

    Returns:
      Parameters [H].
    """
    return tuple(Parameter(name, STANDARD_NAMES.get(name)) for name in names)


@lru_cache(maxsize=64)
def loss_parameters(number: int) -> tuple[Parameter, ...]:
    """Makes the energies of losses at fixed places on a track: energy_loss_0000 and so on, GeV.

    Args:
      number: of losses.

    Returns:
      The parameters.
    """
    return tuple(Parameter(f"energy_loss_{i:04d}", "energy_loss") for i in range(number))


@lru_cache(maxsize=64)
def further_cascades(first: int, stop: int) -> tuple[Parameter, ...]:
    """Makes the energies, GeV, and distances, m, of the further cascades of a hypothesis.

    Their names are cascade_00001_energy, cascade_00001_distance and so on.

    Args:
      first: number of the first cascade.
      stop: number after that of the last cascade.

    Returns:
      Energy and distance of every cascade in turn.
    """
    kinds = (("energy", "cascade_energy"), ("distance", "cascade_distance"))
    return tuple(Parameter(f"cascade_{i:05d}_{name}", role) for i in range(first, stop) for name, role in kinds)


def names_of(parameters: Iterable[Parameter]) -> tuple[str, ...]:
    """Lists the names of parameters.

    Args:
      parameters: of a hypothesis.

    Returns:
      Names in the order of the parameters.
    """
    return tuple(parameter.name for parameter in parameters)


def check_records(parameters: Any) -> None:
    """Checks what a function was given for the parameters of a hypothesis.

    Args:
      parameters: what a function was given.

    Raises:
      ConfigError: something else than Parameter records, such as names.
    """
    if not isinstance(parameters, tuple | list) or not all(isinstance(own, Parameter) for own in parameters):
        raise ConfigError(
            f"expected the parameters of a hypothesis as Parameter records, got {shown(parameters)}. Of a model they are "
            "`model.parameters`, of names alone `standard_parameters(names)`."
        )


def parameters_of(source: Any) -> tuple[Parameter, ...]:
    """Finds the parameters of a source, or of a part of one.

    They are those that it declares as `parameters`, or what its `parameter_names` tell.

    Args:
      source: with `parameters` or `parameter_names`.

    Returns:
      Parameters [H].

    Raises:
      ConfigError: `parameters` that are no Parameter records.
    """
    declared = getattr(source, "parameters", None)
    if declared is None:
        return standard_parameters(source.parameter_names)
    if not isinstance(declared, tuple | list) or not all(isinstance(p, Parameter) for p in declared):
        raise ConfigError(
            f"{type(source).__name__}.parameters: expected a tuple of Parameter records, got {shown(declared)}. Plain names are "
            "declared as parameter_names."
        )
    return tuple(declared)


def check_parameters(source: Any, where: str) -> None:
    """Checks what a source declares.

    Args:
      source: the whole of a model.
      where: its key path, for messages.

    Raises:
      ConfigError: two parameters of one name, two of one role in one group, or `parameter_names` that are not the names
        of the `parameters`.
    """
    parameters = parameters_of(source)
    names = names_of(parameters)
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ConfigError(
            f"{where}: two parameters of the hypothesis have the name {', '.join(twice)}. Rename sources or give "
            "each further parameter once."
        )
    if tuple(source.parameter_names) != names:
        raise ConfigError(
            f"{type(source).__name__}: its parameter_names are {', '.join(source.parameter_names)}, the names of its parameters "
            f"{', '.join(names)}. Declare one of them."
        )
    seen: dict[tuple[str | None, ...], str] = {}
    for parameter in parameters:
        key = (*parameter.group, parameter.role)
        if parameter.role not in MANY and key in seen:
            raise ConfigError(
                f"{where}: the parameters '{seen[key]}' and '{parameter.name}' both have the role '{parameter.role}'. Give "
                "parameters of different things a group each, as Parameter(..., group=('first',))."
            )
        seen[key] = parameter.name


def places_by_role(parameters: Sequence[Parameter], roles: Sequence[str]) -> list[dict[str, int]]:
    """Finds groups of parameters that have all of the given roles, such as those of every cascade.

    Args:
      parameters: of a hypothesis.
      roles: that a group must have.

    Returns:
      {role: place} of every group, in the order of the hypothesis.
    """
    groups: dict[tuple[str, ...], dict[str, int]] = {}
    for place, parameter in enumerate(parameters):
        if parameter.role is not None and parameter.role in roles:
            groups.setdefault(parameter.group, {}).setdefault(parameter.role, place)
    return [own for own in groups.values() if len(own) == len(roles)]


def direction_pairs(parameters: Sequence[Parameter]) -> list[tuple[int, int]]:
    """Finds the directions of a hypothesis: every entry point, then every direction of a particle, which comes last.

    Args:
      parameters: of a hypothesis.

    Returns:
      Places of zenith and azimuth of each.
    """
    return [
        (own[zenith], own[azimuth])
        for zenith, azimuth in (ENTRY_POINT, DIRECTION)
        for own in places_by_role(parameters, (zenith, azimuth))
    ]


def column_names(parameters: Sequence[Parameter]) -> tuple[str, ...]:
    """Chooses the names of table columns: without the name of the source where all parameters belong to one source.

    Args:
      parameters: of a hypothesis, H of them.

    Returns:
      Names [H].
    """
    outermost = {parameter.group[:1] for parameter in parameters}
    if len(outermost) != 1:
        return names_of(parameters)
    prefix = "".join(f"{source}_" for source in outermost.pop())
    return tuple(parameter.name.removeprefix(prefix) for parameter in parameters)
