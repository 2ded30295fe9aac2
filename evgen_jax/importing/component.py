"""Components of Event-Generator on disk: a directory each, which says what it is and of what other directories it consists."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from evgen_jax.building.model_files import is_model, is_run, members
from evgen_jax.config.reader import read_yaml_file
from evgen_jax.config.record import short
from evgen_jax.config.validate import validate
from evgen_jax.errors import CheckpointError, ConfigError, ModelDirectoryError, shown
from evgen_jax.importing.checkpoint import read_checkpoint
from evgen_jax.importing.restricted_pickle import read_pickle

DESCRIPTION = "configuration.yaml"
DATA = "data.pickle"
"""File with the data of a component; only that of a normalisation is needed."""
CHECKPOINTS = "model_checkpoint.yaml"
"""File that lists the checkpoints of a component."""
READER = "data_handler"
"""Name of the component that reads files, of which a configuration says all."""
VERSION = 2
"""Version of Event-Generator whose files are read."""


class _Record(BaseModel):
    """What a file of Event-Generator must hold; whatever else stands there does not matter."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Settings(_Record):
    """Arguments of a component, of which the configuration counts."""

    config: dict[str, Any] | None = None


class Description(_Record):
    """Content of `configuration.yaml`: what a component is, and the same of all components below it."""

    class_string: StrictStr
    settings: dict[str, Any]
    check_values: dict[str, Any] = {}
    sub_component_configurations: dict[str, dict[str, Any]]
    dependent_sub_components: tuple[Annotated[StrictStr, Field(pattern=r"^\w[\w.-]*$")], ...]
    event_generator_version: StrictStr


class Checkpoint(_Record):
    """One entry of the list of checkpoints."""

    file_basename: Annotated[StrictStr, Field(pattern=r"^\w[\w.-]*$")]


class CheckpointList(_Record):
    """Content of `model_checkpoint.yaml`."""

    latest_checkpoint: int
    protected_checkpoints: dict[int, Checkpoint] = {}
    unprotected_checkpoints: dict[int, Checkpoint] = {}


@dataclass(frozen=True)
class Component:
    """Is one directory of an export.

    Attributes:
      directory: where it lies.
      description: what it is, from its `configuration.yaml`.
    """

    directory: Path
    description: Description

    @property
    def kind(self) -> str:
        """Returns the name of its class, without the module."""
        return short(self.description.class_string)

    @property
    def config(self) -> dict[str, Any]:
        """Returns the section `config` of its settings, as a configuration has it.

        Raises:
          ConfigError: no mapping stands there.
        """
        where = f"{self.directory / DESCRIPTION}: settings"
        return dict(validate(Settings, self.description.settings, where).config or {})

    @cached_property
    def parts(self) -> dict[str, "Component"]:
        """Returns the components below it that have a directory of their own, by name; the reader of files is left out.

        Raises:
          ModelDirectoryError: one is missing, damaged, or of another export than this one.
        """
        found = {}
        for name in self.description.dependent_sub_components:
            if name == READER:
                continue
            part = read_component(self.directory / name)
            copy = self.description.sub_component_configurations.get(name, {})
            own = {"class_string": part.description.class_string, "settings": part.description.settings}
            if any(value != copy.get(key) for key, value in own.items()):
                raise ModelDirectoryError(
                    f"{part.directory}: is not the part that {self.directory / DESCRIPTION} describes; they are of two exports, or "
                    "one was changed. Copy the whole directory again."
                )
            found[name] = part
        return found

    def check_no_data(self) -> None:
        """Checks that the component keeps nothing beside its settings and weights, as models and decoders do.

        Raises:
          ConfigError: its pickle holds something.
          ModelDirectoryError: its pickle names what it may not have, is missing or damaged.
        """
        path = self.directory / DATA
        if content := read_pickle(path):
            raise ConfigError(
                f"{path}: holds data of its own ({shown(content)}), which a {self.kind} of Event-Generator has not; they are not read."
            )

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
        listed = validate(CheckpointList, read_yaml_file(path, numbered=True), str(path))
        checkpoints = listed.protected_checkpoints | listed.unprotected_checkpoints
        if listed.latest_checkpoint not in checkpoints:
            raise CheckpointError(
                f"{path}: latest_checkpoint is {listed.latest_checkpoint}, but it lists "
                f"{', '.join(map(str, checkpoints)) or 'none'}. Copy it again."
            )
        return read_checkpoint(self.directory / checkpoints[listed.latest_checkpoint].file_basename)


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
    try:
        description = validate(Description, read_yaml_file(path), "it")
    except ConfigError as error:
        if not str(error).startswith("it: "):
            raise
        raise ModelDirectoryError(
            f"{path}: does not describe a component of Event-Generator: {str(error).removeprefix('it: ')} Expected the directory of "
            "an exported model or of a training."
        ) from None
    if not re.match(rf"{VERSION}\.\d", description.event_generator_version):
        raise ModelDirectoryError(
            f"{path}: was written by Event-Generator {description.event_generator_version}; the files of version {VERSION} are read. "
            "Load and export it with that version first."
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
