"""Units that values cannot be in: what a file tells without a detector."""

from collections.abc import Callable

import numpy as np

LONG, SHORT = 1e6, 10.0
"""Spread of the times of an event, ns, above and below which another unit is likely: light crosses a detector in microseconds."""
BRIGHT = 1e3
"""Median charge of pulses, PE, above which they are likely counts or pC: pulses are single photoelectrons, more or less."""
WIDE, NARROW = 2e4, 5.0
"""Extent of the sensors, m, above and below which another unit is likely."""


def doubtful_units(pulses: np.ndarray, labels: np.ndarray | None) -> list[str]:
    """Finds columns whose values cannot be in our units.

    Args:
      pulses: structured array with time, charge and ids of events, perhaps x, y and z.
      labels: structured array with one row per event; None: there are none.

    Returns:
      One sentence per column.
    """
    found: list[str] = []
    if len(pulses):
        found += _times(pulses) + _charges(pulses["charge"]) + _places(pulses)
    for name in (labels.dtype.names or ()) if labels is not None and len(labels) else ():
        own = labels[name]  # type: ignore[index]
        if name.endswith(_OF_LABELS) and own.dtype.kind == "f" and not np.all(np.isfinite(own)):
            count = int(np.sum(~np.isfinite(own)))
            found.append(f"'{name}': not finite in {count} of {len(own)} rows: such events have no labels.")
        for end, doubt in _OF_NAMES.items():
            if name.endswith(end) and own.dtype.kind in "iuf" and np.any(np.isfinite(own)):
                text = doubt(own[np.isfinite(own)].astype(np.float64))
                found += [f"'{name}': {text}"] if text else []
    return found


def _times(pulses: np.ndarray) -> list[str]:
    event = np.stack([pulses["Run"].astype(np.int64), pulses["Event"].astype(np.int64)], axis=1)
    number = np.unique(event, axis=0, return_inverse=True)[1].ravel()
    order = np.lexsort((pulses["time"], number))
    edges = np.flatnonzero(np.diff(number[order], prepend=-1, append=-1))
    time = pulses["time"][order].astype(np.float64)
    spreads = [
        np.ptp(np.percentile(time[a:b], [10, 90])) for a, b in zip(edges[:-1], edges[1:], strict=True) if b - a > 4
    ]
    if not spreads:
        return []
    spread = float(np.median(spreads))
    text = f"'time': 80 % of the pulses of an event come within {spread:.3g}"
    if spread > LONG:
        return [f"{text} ns (median of {len(spreads)} events): are they in ps, or of several events? Expected ns."]
    if 0 < spread < SHORT:
        unit = "s" if spread < 1e-4 else "ms" if spread < 0.05 else "us"
        return [f"{text} ns (median of {len(spreads)} events): are they in {unit}? Expected ns."]
    return []


def _charges(charge: np.ndarray) -> list[str]:
    middle = float(np.median(charge))
    if middle > BRIGHT:
        return [f"'charge': half of the pulses have more than {middle:.3g} PE: are they counts, or pC? Expected PE."]
    if not np.any(charge):
        return ["'charge': every pulse has 0 PE: such pulses are no light, and events of them are dark. Expected PE."]
    if np.any(charge < 0):
        return [f"'charge': {int(np.sum(charge < 0))} pulses have negative charges. Expected PE."]
    return []


def _places(pulses: np.ndarray) -> list[str]:
    if not {"x", "y", "z"} <= set(pulses.dtype.names or ()):
        return []
    extent = max(float(np.ptp(pulses[axis])) for axis in "xyz")
    if extent > WIDE:
        return [
            f"'x', 'y', 'z': the sensors span {extent:.4g} m: are they in {'mm' if extent > 1e6 else 'cm'}? Expected m."
        ]
    if 0 < extent < NARROW:
        return [f"'x', 'y', 'z': the sensors span {extent:.4g} m: are they in km? Expected m."]
    return []


def _zenith(values: np.ndarray) -> str:
    if values.max() > np.pi + 1e-3:
        return f"up to {values.max():.4g}: is it in degrees? Expected rad from 0 to pi."
    return (
        f"down to {values.min():.4g}: is it a latitude, or a cosine? Expected rad from 0 to pi."
        if values.min() < -1e-3
        else ""
    )


def _azimuth(values: np.ndarray) -> str:
    return (
        f"up to {values.max():.4g}: is it in degrees? Expected rad." if np.abs(values).max() > 2 * np.pi + 0.01 else ""
    )


def _energy(values: np.ndarray) -> str:
    if values.min() < 0:
        return f"down to {values.min():.4g}: is it a logarithm? Expected GeV."
    return f"up to {values.max():.4g}: is it in eV? Expected GeV." if values.max() > 1e12 else ""


_OF_LABELS = ("_x", "_y", "_z", "zenith", "azimuth", "energy", "_time", "_t")
"""How the names of labels of a cascade or a track end."""
_OF_NAMES: dict[str, Callable[[np.ndarray], str]] = {"zenith": _zenith, "azimuth": _azimuth, "energy": _energy}
"""How the name of a label ends -> what cannot be of its values."""
