"""Check whether a file belongs to a detector: without a checksum in it, its light must be near and as fast as light."""

import logging

import numpy as np

from evgen_jax.data.file_events import EventFile
from evgen_jax.data.light_of_events import apparent_speed
from evgen_jax.data.modules_of_events import say_once_a_folder
from evgen_jax.measurement.detector import Detector

LOGGER = logging.getLogger("evgen_jax")
FEWEST_MODULES = 5
"""Smallest number of hit modules on other strings than that of the brightest module in an event that counts."""
FEWEST_EVENTS = 10
"""Smallest number of such events in a file that is compared."""
FAINT = 3.0
"""Smallest charge, PE, of the brightest module on other strings: single photoelectrons say nothing about distances."""
SCATTERED = 0.8
"""Scatter of light (`scatter_of_light`) below which light is local.

It is some 0.45 for cascades in IceCube, 0.88 for cascades that fill an array of 200 m, 1 for permuted modules."""
SIGNIFICANT = 4.0
"""Errors of the scatter by which it must be below 1 for light to be local, where it is above `SCATTERED`."""
TOO_FAST = 3.0
"""Speed at which light seems to spread, m/ns, above which times are doubted: ten times that of light in vacuum."""


def scatter_of_light(file: EventFile, detector: Detector) -> tuple[float, float]:
    """Computes how far the charge of events is from their brightest module, relative to all hit modules.

    The measure of an event is the mean distance of charge from the brightest module over the mean distance of hit
    modules. Charge counts by its square, since modules with single photoelectrons are mostly noise, and only on other
    strings than that of the brightest module, since numbers along a string are right more often than those of strings.
    The measure is 1 where positions and charges have nothing to do with each other: the table of modules is that of
    another detector, or is numbered otherwise.

    Args:
      file: events of one file.
      detector: to which the events are said to belong.

    Returns:
      Mean of the measure over events and the error of the mean; NaN for fewer than 10 events with enough light.
    """
    packed, position = file.packed, np.asarray(detector.position, np.float64)
    string, found = np.asarray(detector.string), []
    for i in file.good:
        active = packed.active.of(i)
        dom, charge = active["dom"], active["charge"]
        lit = (charge > 0) & packed.usable[dom]
        if not lit.any():
            continue
        dom, charge = dom[lit], charge[lit]
        brightest = dom[np.argmax(charge)]
        elsewhere = string[dom] != string[brightest]
        if elsewhere.sum() < FEWEST_MODULES or charge[elsewhere].max() < FAINT:
            continue
        distance = np.linalg.norm(position[dom[elsewhere]] - position[brightest], axis=1)
        found.append(
            np.average(distance, weights=(charge[elsewhere] / charge[elsewhere].max()) ** 2)
            / max(distance.mean(), 1e-9)
        )
    if len(found) < FEWEST_EVENTS:
        return float("nan"), float("nan")
    return float(np.mean(found)), float(np.std(found) / np.sqrt(len(found)))


def compare_with_detector(file: EventFile, detector: Detector) -> None:
    """Warns once that a file does not tell its detector, and where its light does not fit positions or times.

    Args:
      file: events of one file.
      detector: to which the events are said to belong.
    """
    if file.fingerprinted:
        return
    say_once_a_folder(
        file.path,
        "its files do not say which detector they belong to (those of evgen-jax simulate do); only labels of modules are "
        f"compared with those of '{detector.name}'.",
    )
    scatter, error = scatter_of_light(file, detector)
    if scatter > SCATTERED and 1 - scatter < SIGNIFICANT * error:
        LOGGER.warning(
            "%s: bright modules do not stand nearer to each other in the detector '%s' than dim ones (distances %.2f +- %.2f of those "
            "of all hit modules). Are its pulses those of another detector, or numbered otherwise?",
            file.path,
            detector.name,
            scatter,
            error,
        )
    if (speed := apparent_speed(file, detector)) > TOO_FAST:
        LOGGER.warning(
            "%s: light seems to spread at %.3g m/ns in half of the events, in vacuum it does at 0.3: are the times of pulses in us, or "
            "all equal? Expected ns.",
            file.path,
            speed,
        )
