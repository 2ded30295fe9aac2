"""Names that somebody else wrote, of columns and stored transformations: which parameter they tell of."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from evgen_jax.errors import EvgenError, shown, suggestion
from evgen_jax.hypothesis.parameters import Parameter, names_of
from evgen_jax.hypothesis.roles import ROLES, STANDARD_NAMES

_NUMBERED = (
    ("energy_loss", r"energy_loss_(\d+)"),
    ("cascade_energy", r"cascade_(\d+)_energy"),
    ("cascade_distance", r"cascade_(\d+)_distance"),
)
# The first pattern that matches the end of a name counts: longer names stand first.
_PATTERNS = tuple(
    (role, re.compile(rf"(?:^|_){pattern}$"))
    for role, pattern in (
        *_NUMBERED,
        *((role, name) for name, role in sorted(STANDARD_NAMES.items(), key=lambda n: -len(n[0]))),
    )
)

_ONE_LETTER = re.compile(r"_[xyzt]$")


class _Told(NamedTuple):
    """What a name tells: a role, and which of several parameters of this role."""

    role: str | None
    number: int | None


def _told_by(name: str) -> _Told:
    for role, pattern in _PATTERNS:
        if found := pattern.search(name):
            return _Told(role, int(found[1]) if pattern.groups else None)
    return _Told(None, None)


def read_parameters(names: Sequence[str]) -> tuple[Parameter, ...]:
    """Reads parameters from the names of columns, whatever stands before x, zenith, energy and so on.

    For columns of which the model is not known. The roles of a model's parameters are facts, see `parameters_of`.

    Args:
      names: of columns, H of them.

    Returns:
      Parameters with the roles that the names tell; None for a name that tells none.
    """
    return tuple(Parameter(name, _told_by(name).role) for name in names)


def with_time_spelled_out(name: str) -> str:
    """Writes cascade_t, as label tables of IceCube have it, as cascade_time.

    Args:
      name: of a parameter or a column.

    Returns:
      The name with _t at its end spelled out; names without it as they are.
    """
    return re.sub(r"(^|_)t$", r"\1time", name)


def place_of(name: str, parameters: Sequence[Parameter], what: str, error: type[EvgenError]) -> int:
    """Finds a parameter by the name that a user wrote: whole, or without those of its sources where one alone fits.

    Args:
      name: as written; cascade_t is the time.
      parameters: of the hypothesis, H of them.
      what: stands before the message: the argument or key that holds the name; empty: nothing does.
      error: raised for a name that means none or several.

    Returns:
      Place of the parameter, 0 to H - 1.

    Raises:
      EvgenError: of the type `error`: no parameter has this name, with the nearest match, or several have.
    """
    names, before = names_of(parameters), f"{what}: " if what else ""
    if name in names:
        return names.index(name)
    spelled = with_time_spelled_out(name) if isinstance(name, str) else name
    fitting = [i for i, parameter in enumerate(parameters) if parameter.answers_to(spelled)]
    if not fitting:
        raise error(
            f"{before}{shown(name)} is no parameter of the model; it has {', '.join(names)}."
            + suggestion(str(name), names)
        )
    if len(fitting) > 1:
        choice = " or ".join(names[i] for i in fitting)
        raise error(f"{before}{shown(name)} may be {choice}; give the whole name.")
    return fitting[0]


def other_spelling(name: str) -> str | None:
    """Finds the second way to write the name of a time: cascade_time for cascade_t and the reverse.

    Args:
      name: of a parameter or a column.

    Returns:
      The second spelling; None for a name that is no time.
    """
    if (longer := with_time_spelled_out(name)) != name:
        return longer
    return re.sub(r"(^|_)time$", r"\1t", name) if re.search(r"(^|_)time$", name) else None


def _tells_of(name: str, told: _Told, parameter: Parameter) -> bool:
    """Whether a name may mean a parameter: by its name, with something else before it, or by its role."""
    own = with_time_spelled_out(parameter.own_name)
    ends_so = name == own or name.endswith(f"_{own}")
    if told.role is None or parameter.role is None:
        return ends_so
    # The name of a parameter may itself end like a role that it does not have.
    return told.role == parameter.role or (ends_so and _told_by(own).role == told.role)


def _unambiguous(parameters: Sequence[Parameter]) -> dict[str, int]:
    """Places of parameters by all names that mean one of them alone."""
    places: dict[str, set[int]] = {}
    for i, parameter in enumerate(parameters):
        for name in parameter.all_names:
            places.setdefault(with_time_spelled_out(name), set()).add(i)
    return {name: next(iter(own)) for name, own in places.items() if len(own) == 1}


def misplaced(names: Sequence[str], parameters: Sequence[Parameter]) -> list[tuple[int, int]]:
    """Finds names that stand where one parameter is but tell of another.

    A name that tells nothing stands where it is, and so does one that ends with one letter, as p_x or E_t, where
    another name tells of the parameter that it may mean.

    Args:
      names: H names of columns, in the order of the hypothesis.
      parameters: of the model, H of them.

    Returns:
      Pairs (i, j): name i tells of parameter j. (i, i): name i tells of something in another unit that no parameter is.
    """
    spelled = [with_time_spelled_out(name) for name in names]
    told, full = [_told_by(name) for name in spelled], _unambiguous(parameters)
    found: list[tuple[int, int]] = []
    latest: dict[str, tuple[int, int]] = {}
    for i, parameter in enumerate(parameters):
        role, number = told[i]
        if role is not None and number is not None and role == parameter.role:
            # Numbers may begin elsewhere than those of the parameters: their order counts.
            before, smaller = latest.get(role, (i, -1))
            meant = before if number <= smaller else None
            latest[role] = (i, number)
        elif spelled[i] in map(with_time_spelled_out, parameter.all_names):
            meant = None
        elif spelled[i] in full:
            meant = full[spelled[i]]
        else:
            meant = _meant_by_role(i, names, spelled, told, parameters)
        if meant is not None:
            found.append((i, meant))
    return found


def _meant_by_role(
    i: int, names: Sequence[str], spelled: Sequence[str], told: Sequence[_Told], parameters: Sequence[Parameter]
) -> int | None:
    """Place of the parameter that name i tells of by its role or its end; None where that is its own or nothing."""
    own, one_letter = parameters[i], _ONE_LETTER.search(names[i]) is not None
    if _tells_of(spelled[i], told[i], own):
        return None
    j = next((j for j, other in enumerate(parameters) if _tells_of(spelled[i], told[i], other)), None)
    if j is not None:
        taken = names[i] != names[j] and _tells_of(spelled[j], told[j], parameters[j])
        return None if one_letter and taken else j
    role = told[i].role
    if role is None or own.role is None or one_letter or ROLES[role].unit == own.unit:
        return None
    return i


def check_labels(names: Sequence[str], parameters: Sequence[Parameter], where: str, error: type[EvgenError]) -> None:
    """Checks that labels stand in the order of the parameters, as far as their names tell.

    Args:
      names: H columns of labels.
      parameters: of the model, H of them.
      where: key path, for the message.
      error: what is raised.

    Raises:
      EvgenError: of the kind `error`, for a label whose name tells of another parameter than that of its place.
    """
    wrong = misplaced(names, parameters)
    if not wrong:
        return
    order = ", ".join(names_of(parameters[:20])) + (", ..." if len(parameters) > 20 else "")
    advice = f"Labels are matched with the parameters in this order: {order}."
    i, j = wrong[0]
    here, there = parameters[i].name, parameters[j].name
    if i == j:
        raise error(
            f"{where}: the label '{names[i]}' stands for the parameter '{here}' ({parameters[i].role}, in "
            f"{parameters[i].unit or 'no unit'}), but its name tells of something else. {advice}"
        )
    if (j, i) in wrong:
        raise error(
            f"{where}: the labels '{names[i]}' and '{names[j]}' are swapped: they stand for the parameters '{here}' and "
            f"'{there}'. {advice}"
        )
    raise error(f"{where}: the label '{names[i]}' stands for the parameter '{here}', but tells of '{there}'. {advice}")


def swapped(names: Sequence[str], parameters: Sequence[Parameter]) -> tuple[int, int] | None:
    """Finds two names that tell of each other's parameter.

    Seeds may come from columns that are something else, as an energy for that of a loss: only names that are exchanged
    are surely wrong.

    Args:
      names: H names of columns, in the order of the hypothesis.
      parameters: of the model, H of them.

    Returns:
      Places of the two names; None where there are none.
    """
    wrong = misplaced(names, parameters)
    return next(((i, j) for i, j in wrong if i != j and (j, i) in wrong), None)


def same_parameters(names: Sequence[str], others: Sequence[str]) -> bool:
    """Compares two lists of names, up to one common prefix and the spelling of times.

    A cascade alone has x, y, z and so on; as a part of a multi-source cascade_x, cascade_y, cascade_z and so on.

    Args:
      names: of one list.
      others: of another list.

    Returns:
      Whether both name equal parameters in equal order.
    """
    if len(names) != len(others):
        return False
    if len(names) == 1:  # nothing tells its prefix from its name
        one, other = with_time_spelled_out(names[0]), with_time_spelled_out(others[0])
        return one == other or one.endswith(f"_{other}") or other.endswith(f"_{one}")
    return _without_prefix(names) == _without_prefix(others)


def _without_prefix(names: Sequence[str]) -> list[str]:
    parts = [with_time_spelled_out(name).split("_") for name in names]
    while all(len(p) > 1 and p[0] == parts[0][0] for p in parts):
        parts = [p[1:] for p in parts]
    return ["_".join(p) for p in parts]
