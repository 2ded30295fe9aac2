"""What lies in a model directory: names of its files, whether it is one, whether it is whole."""

import hashlib
import json
import logging
import os
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from evgen_jax.errors import ModelDirectoryError, shown, suggestion

LOGGER = logging.getLogger("evgen_jax")
SETTINGS, WEIGHTS, TRAFO = "model.json", "weights.npz", "trafo.json"
DETECTOR, CHECKSUMS = "detector.csv", "checksums.json"
"""Files of a model directory."""
MEDIUM = "medium.csv"
"""File of a model's medium, where it is not the default one."""
HISTORY, CHECKPOINTS = "training_steps.json", "checkpoints"
"""What a training run leaves in its directory."""
FOREIGN = "configuration.yaml"
"""What Event-Generator leaves in the directory of a model."""
SHIPPED = ("demo", "icecube86-cascade")
"""Networks that come with the package, trained for IceCube-86 (`evgen_jax/tables/networks`)."""
TABLE_MODEL = "icecube86-table"
"""Name of a cascade with noise whose light is that of tables of photon transport, by default in IceCube-86."""


def is_model(directory: Path) -> bool:
    """Whether a directory looks like one that `save_model` wrote."""
    return (directory / CHECKSUMS).is_file()


def is_run(directory: Path) -> bool:
    """Whether a directory looks like that of a training."""
    return (directory / HISTORY).is_file() and (directory / CHECKPOINTS).is_dir()


def members(directory: Path) -> list[Path]:
    """The models of an exported ensemble, in order; empty if it is none."""
    return sorted(p for p in directory.glob("models_[0-9][0-9][0-9][0-9]") if is_model(p))


def hides_name(path: Path) -> bool:
    """Whether a directory of a user counts before the model of its name: it is a model, or what a message can make one of.

    A folder 'demo' of results is none of these: users call folders as they call what they put into them.
    """
    return any(
        is_model(own) or is_run(own) or members(own) or any((own / name).is_file() for name in (SETTINGS, FOREIGN))
        for own in (path, Path(*path.parts[:1]))
    )


def _what_it_is(directory: Path) -> str:
    """What stands in place of a model, and what to do about it."""
    if directory.is_file():
        return "is a file; expected a model directory, which evgen-jax export CONFIG -o DIR writes."
    if not directory.exists():
        beside = [p.name for p in directory.parent.iterdir() if p.is_dir()] if directory.parent.is_dir() else []
        named = f"expected a model directory, or a model by name: {', '.join(SHIPPED)} or {TABLE_MODEL}."
        return f"does not exist; {named}" + suggestion(directory.name, [*beside, *SHIPPED, TABLE_MODEL])
    if is_run(directory):
        configurations = sorted(directory.glob("config_[0-9]*.yaml"))
        config = configurations[-1] if configurations else "CONFIG"
        return (
            f"is a training run, not an exported model. Export it with: evgen-jax export {config} -o DIR; as load_dir of a "
            "configuration it serves as it is."
        )
    if (directory / FOREIGN).is_file():
        return (
            f"was written by Event-Generator. Make a model of it with: evgen-jax import {directory} -o OUT (and name OUT, or a part "
            "of it such as OUT/cascade, instead)."
        )
    if members(directory):
        names = ", ".join(p.name for p in members(directory))
        return f"is an ensemble, which evgen-jax reconstruct fits as a whole; single models in it: {names}."
    return f"is no model directory ({CHECKSUMS} is missing), which evgen-jax export CONFIG -o DIR writes."


def as_path(directory: Any) -> Path:
    """The path of a model directory.

    Raises:
      ModelDirectoryError: something else than a path.
    """
    if not isinstance(directory, str | os.PathLike):
        raise ModelDirectoryError(f"expected the directory of a model, got {shown(directory)}. Give its path.")
    return shipped_path(directory)


def shipped_path(directory: str | os.PathLike[str]) -> Path:
    """The place of a network that comes with the package, or of a part of it; any other path as it is.

    Args:
      directory: path, or one of `SHIPPED`, or a part of it as in 'icecube86-cascade/cascade'.

    Returns:
      The path.
    """
    path = Path(directory)
    if path.parts and path.parts[0] in SHIPPED and not hides_name(path):
        if path.exists():
            _say_once(path.parts[0])
        return Path(str(resources.files("evgen_jax") / "tables" / "networks")).joinpath(*path.parts)
    return path


@lru_cache(maxsize=8)
def _say_once(name: str) -> None:
    LOGGER.warning(
        "'%s' is the network that comes with the package; the folder of that name here holds no model.", name
    )


def verify(directory: Path) -> None:
    """Checks that all files of a model directory are as they were written.

    Raises:
      ModelDirectoryError: it is no model directory, or a file is missing or was changed; says which and what to do.
    """
    if not is_model(directory):
        raise ModelDirectoryError(f"{directory}: {_what_it_is(directory)}")
    try:
        sums = json.loads((directory / CHECKSUMS).read_text())
        items = list(sums.items())
    except (ValueError, AttributeError):
        raise ModelDirectoryError(f"{directory / CHECKSUMS}: is damaged. Export the model again.") from None
    for name in (SETTINGS, TRAFO, DETECTOR):
        if name not in sums:
            raise ModelDirectoryError(f"{directory / CHECKSUMS}: does not list {name}. Export the model again.")
    for name, expected in items:
        path = directory / name
        if not path.is_file():
            raise ModelDirectoryError(f"{path}: is missing. Export or copy the model again.")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise ModelDirectoryError(f"{path}: was changed or damaged since the export. Export or copy it again.")
