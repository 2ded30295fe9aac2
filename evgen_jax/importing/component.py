"""Components of Event-Generator on disk: a directory each, which says what it is and of what other directories it consists."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.building.model_files import is_model, is_run, members
from evgen_jax.config.reader import read_yaml_file
from evgen_jax.config.record import short
from evgen_jax.errors import CheckpointError, ModelDirectoryError, shown
from evgen_jax.importing.checkpoint import read_checkpoint

DESCRIPTION = "configuration.yaml"
CHECKPOINTS = "model_checkpoint.yaml"
"""File that lists the checkpoints of a component."""
READER = "data_handler"
"""Name of the component that reads files, of which a configuration says all."""
VERSION = 2
"""Version of Event-Generator whose files are read."""
NEEDED = ("class_string", "settings", "sub_component_configurations", "dependent_sub_components")


@dataclass(frozen=True)
class Component:
    """Is one directory of an export.

    Attributes:
      directory: where it lies.
      description: content of its `configuration.yaml`.
    """

    directory: Path
    description: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Returns the name of its class, without the module."""
        return short(self.description["class_string"])

    @property
    def config(self) -> dict[str, Any]:
        """Returns the section `config` of its settings, as a configuration has it."""
        return dict(self.description["settings"].get("config") or {})

    @cached_property
    def parts(self) -> dict[str, "Component"]:
        """Returns the components below it that have a directory of their own, by name; the reader of files is left out.

        Raises:
          ModelDirectoryError: one is missing, damaged, or of another export than this one.
        """
        found = {}
        for name in self.description["dependent_sub_components"]:
            if name == READER:
                continue
            part = read_component(self.directory / str(name))
            copy = self.description["sub_component_configurations"].get(name)
            if not isinstance(copy, Mapping) or any(
                part.description[k] != copy.get(k) for k in ("class_string", "settings")
            ):
                raise ModelDirectoryError(
                    f"{part.directory}: is not the part that {self.directory / DESCRIPTION} describes; they are of two exports, or "
                    "one was changed. Copy the whole directory again."
                )
            found[str(name)] = part
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Reads the arrays of its latest checkpoint.

        Returns:
          Arrays by name: `step` and, of a component with weights, `model/0` and so on.

        Raises:
          CheckpointError: no checkpoint, or one that is missing or damaged.
        """
        path = self.directory / CHECKPOINTS
        if not path.is_file():
            raise CheckpointError(
                f"{path}: is missing: {self.kind} has no weights there. Copy the whole directory of the export."
            )
        listed = read_yaml_file(path, numbered=True)
        latest = listed.get("latest_checkpoint")
        checkpoints: dict[Any, Any] = {}
        for key in ("protected_checkpoints", "unprotected_checkpoints"):
            checkpoints |= listed.get(key) or {}
        try:
            name = checkpoints[latest]["file_basename"]
        except (KeyError, TypeError):
            raise CheckpointError(
                f"{path}: latest_checkpoint is {shown(latest)}, but it lists {', '.join(map(str, checkpoints)) or 'none'}. Copy it "
                "again."
            ) from None
        return read_checkpoint(self.directory / Path(str(name)).name)


def read_component(directory: Path) -> Component:
    """Reads what a directory of an export says about itself.

    Args:
      directory: of the component.

    Returns:
      The component; those below it are read when they are asked for.

    Raises:
      ModelDirectoryError: no component of Event-Generator, or one of another version.
      ConfigError: a description that is no YAML.
    """
    path = directory / DESCRIPTION
    if not path.is_file():
        raise ModelDirectoryError(f"{directory}: {_what_it_is(directory)}")
    description = read_yaml_file(path)
    missing = [key for key in NEEDED if key not in description]
    if missing or not all(isinstance(description[key], dict) for key in ("settings", "sub_component_configurations")):
        raise ModelDirectoryError(
            f"{path}: does not describe a component of Event-Generator ({', '.join(missing) or 'settings'} missing); expected the "
            "directory of an exported model or of a training."
        )
    version = description.get("event_generator_version")
    if not re.match(rf"{VERSION}\.\d", str(version)):
        raise ModelDirectoryError(
            f"{path}: was written by Event-Generator {version}; the files of version {VERSION} are read. Load and export it with that "
            "version first."
        )
    names = description["dependent_sub_components"]
    if not isinstance(names, list) or not all(
        isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name) for name in names
    ):
        raise ModelDirectoryError(
            f"{path}: dependent_sub_components: expected names of directories, got {shown(names)}."
        )
    return Component(directory, description)


def _what_it_is(directory: Path) -> str:
    """What stands in place of an export, and what to do about it."""
    if not directory.exists():
        return "does not exist; expected the directory of a model that Event-Generator exported."
    if directory.is_file():
        return "is a file; expected the directory of a model that Event-Generator exported."
    if is_model(directory) or members(directory):
        return "is a model of evgen_jax already: use it as it is."
    if is_run(directory):
        return "is a training of evgen_jax; export it with: evgen-jax export CONFIG -o DIR"
    if (directory / "saved_model.pb").is_file():
        return "is a SavedModel of TensorFlow, a program without the description of its parts; expected what Event-Generator exports."
    return f"is no export of Event-Generator ({DESCRIPTION} is missing)."
