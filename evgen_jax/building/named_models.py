"""Models by name: fits that need no training."""

from pathlib import Path

from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.directory import load_model as load_directory
from evgen_jax.building.model_files import SHIPPED, TABLE_MODEL, hides_name
from evgen_jax.errors import ModelDirectoryError
from evgen_jax.measurement.detector import Detector, load_detector
from evgen_jax.model.model import Model
from evgen_jax.physics.medium import Medium


def is_named(model: str | Path) -> bool:
    """Tells whether a model is meant by its name: no model or training in the working directory is called so.

    Args:
      model: directory or name.

    Returns:
      True for the name of a model.
    """
    return str(model) in (TABLE_MODEL, *SHIPPED) and not hides_name(Path(model))


def load_model(
    directory: str | Path,
    detector: str | Path | Detector | None = None,
    medium: str | Path | Medium | None = None,
) -> Model:
    """Loads a model, or a part of one, from its directory or by its name.

    Three models have names and fit cascades with noise in IceCube-86 without any training: 'icecube86-table' has no
    weights, its light is that of tables of photon transport; 'icecube86-cascade' is a network that learned cascades of 1
    to 50 TeV photon by photon in layered ice; 'demo' is one that learned those of 1 to 30 TeV in the light of the tables.

    Args:
      directory: that `save_model` or evgen-jax export has written, or a name.
      detector: of 'icecube86-table': a detector, or the path of its table; None: the in-ice array of IceCube-86.
      medium: of 'icecube86-table': as of `load_detector`; None: South Pole ice, or what the detector is in.

    Returns:
      The model.

    Raises:
      ModelDirectoryError: the directory is missing, damaged (a file is named) or written by a newer version; a detector
        or a medium is given for an exported model, which has its own.
      DetectorError: a table that cannot be read.
      MediumError: no such medium.

    Example:
      model = eg.load_model("icecube86-table")
      fits = eg.reconstruct(model, events, seeds)
    """
    if str(directory) != TABLE_MODEL or not is_named(directory):
        if detector is not None or medium is not None:
            raise ModelDirectoryError(
                f"{directory}: a detector or a medium can be chosen for '{TABLE_MODEL}' alone; a trained model has "
                "those that it was trained in."
            )
        return load_directory(directory)
    if isinstance(detector, Detector):
        own = detector if medium is None else detector.replace(medium=load_detector(medium=medium).medium)
    else:
        own = load_detector(detector, medium)
    return analytic_model(own)
