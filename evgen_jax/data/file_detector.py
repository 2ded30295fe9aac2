"""Which detector and which medium the events of a file belong to: attributes of the file, compared with those in use."""

from pathlib import Path
from typing import Any, Protocol

from evgen_jax.data.modules_of_events import say_once_a_folder
from evgen_jax.errors import DataError
from evgen_jax.measurement.detector import Detector, geometry_fingerprint
from evgen_jax.physics.medium import fingerprint as medium_fingerprint

FINGERPRINT = "detector_fingerprint"
"""Attribute of a file: checksum of labels and positions of its detector."""
DETECTOR_NAME = "detector_name"
"""Attribute of a file: name of its detector."""
MEDIUM_FINGERPRINT = "medium_fingerprint"
"""Attribute of a file: checksum of its medium."""
MEDIUM_NAME = "medium"
"""Attribute of a file: name of its medium."""
PROVENANCE = "provenance"
"""Attribute of a file: where its light comes from."""
EARLIER_LIGHT = "physics-motivated toy"
"""How the attribute `PROVENANCE` of simulated files of earlier versions begins."""


class Attributed(Protocol):
    """Is a file, or what was made of one, with attributes."""

    @property
    def path(self) -> Path:
        """Returns the path of the file."""

    def attribute(self, name: str) -> Any:
        """Returns an attribute of the file; None where there is none.

        Args:
          name: of the attribute.
        """


def provenance(file: Attributed) -> str:
    """Returns what a file says of where its light comes from, '' where it says nothing.

    Args:
      file: that may say it.
    """
    found = file.attribute(PROVENANCE)
    return "" if found is None else str(found)


def check_detector(file: Attributed, detector: Detector) -> bool:
    """Compares the detector and the medium that a file names with those in use.

    Args:
      file: that may name its detector and its medium.
      detector: in use, in its medium.

    Returns:
      Whether the file says that it belongs to this detector.

    Raises:
      DataError: it names another detector or another medium.
    """
    if provenance(file).startswith(EARLIER_LIGHT):
        say_once_a_folder(
            file.path,
            "its events were simulated by an earlier version, whose light forgot the direction of a shower "
            "within a scattering length. Simulate them anew with evgen-jax simulate.",
        )
    own = file.attribute(FINGERPRINT)
    if own is None:
        return False
    if str(own) != geometry_fingerprint(detector):
        raise DataError(
            f"{file.path}: holds events of the detector '{file.attribute(DETECTOR_NAME)}', whose modules or positions are not those "
            f"of '{detector.name}' with {detector.num_doms} modules. Use the model or the detector_settings.geometry that the "
            "file was made for."
        )
    medium = file.attribute(MEDIUM_FINGERPRINT)
    if medium is not None and str(medium) != medium_fingerprint(detector.medium):
        name = str(file.attribute(MEDIUM_NAME))
        raise DataError(
            f"{file.path}: holds events in the medium '{name}', which is not '{detector.medium.name}'"
            f"{' of other numbers' if name == detector.medium.name else ''}. Use the model or the detector_settings.medium that "
            "the file was made for."
        )
    return True
