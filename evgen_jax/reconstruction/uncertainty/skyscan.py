"""Celestial maps as results of the Skymap Scanner, which IceCube's package skyreader reads, draws and publishes."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.errors import ReconstructionError
from evgen_jax.files import write_whole
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.reconstruction.uncertainty.pixel_map import SkyMap
from evgen_jax.reconstruction.uncertainty.pixels import ring_of

COLUMNS = ("index", "llh", "E_in", "E_tot", "X", "Y", "Z", "T")
"""Columns of version 1: ring index, minus the log-likelihood, energies (GeV), vertex (m), time (ns)."""
LOSSES = ("energy", "energy_loss", "cascade_energy")
"""Roles of parameters that are energies of showers."""
MISSING = "<skyreader.nan>"
"""What stands for a number that is not there."""
REAL_RUNS = (100_000, 999_999)
"""First and last number of runs of measured events."""


def write_skyscan(
    path: str | Path,
    sky_map: SkyMap,
    model: AnyModel,
    *,
    run_id: int = 0,
    event_id: int = 0,
    event_type: str = "evgen_jax",
    is_real_event: bool = False,
) -> Path:
    """Writes a map as JSON that `skyreader.SkyScanResult.read_json` reads.

    Pixels that were divided are among those of their size, as in results of the scanner; pixels whose fit failed are
    left out. E_in and E_tot are both the sum of the energies of the hypothesis' showers; X, Y, Z and T its first vertex and time.

    Args:
      path: *.json.
      sky_map: celestial.
      model: that was fitted, for the meaning of the hypothesis.
      run_id: number of the run.
      event_id: number of the event.
      event_type: a word for the kind of event, such as the stream of an alert.
      is_real_event: whether it was measured.

    Returns:
      The path.

    Raises:
      ReconstructionError: a map of the detector's sky, or a run number that no measured event has.
      OSError: the file cannot be written.
    """
    if sky_map.celestial is None:
        raise ReconstructionError("the map has detector coordinates; make it with the time of the event for skyreader.")
    if is_real_event and not REAL_RUNS[0] <= run_id <= REAL_RUNS[1]:
        raise ReconstructionError(
            f"run_id: {run_id} is no run of a measured event; expected {REAL_RUNS[0]} to {REAL_RUNS[1]}."
        )
    maps = [sky_map] if sky_map.divided is None else [sky_map.divided, sky_map]
    order = np.concatenate([own.order for own in maps])
    rows = np.concatenate([_rows(own, model) for own in maps])
    fitted = np.isfinite(rows[:, 1])
    metadata: dict[str, Any] = {
        "run_id": int(run_id),
        "event_id": int(event_id),
        "event_type": event_type,
        "mjd": float(sky_map.celestial.mjd),
        "is_real_event": bool(is_real_event),
        "version": 1,
        "complete": True,
    }
    content: dict[str, dict[str, Any]] = {}
    for own in np.unique(order[fitted]):
        chosen = rows[fitted & (order == own)]
        data = [[int(row[0]), *(_plain(value) for value in row[1:])] for row in chosen[np.argsort(chosen[:, 0])]]
        nside = 2 ** int(own)
        content[f"nside-{nside}"] = {"columns": COLUMNS, "metadata": metadata | {"nside": nside}, "data": data}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content) + "\n")
    return path


def _rows(sky_map: SkyMap, model: AnyModel) -> np.ndarray:
    """The columns [P, 8] of pixels, NaN for what the hypothesis does not have."""
    parameters, fits = model.parameters, np.asarray(sky_map.hypothesis, np.float64)
    fits = fits + relative_to_origin(model.detector, parameters, np.zeros(len(parameters)), +1)
    nothing = np.full(len(fits), np.nan)
    energies = [fits[:, i] for i, own in enumerate(parameters) if own.role in LOSSES]
    first = {str(own.role): i for i, own in reversed(list(enumerate(parameters)))}
    energy = np.sum(energies, axis=0) if energies else nothing
    vertex = [fits[:, first[role]] if role in first else nothing for role in ("x", "y", "z", "time")]
    index = ring_of(sky_map.order, sky_map.pixel)
    return np.stack([index, -sky_map.log_likelihood, energy, energy, *vertex], axis=1)


def _plain(value: float) -> float | str:
    return float(value) if np.isfinite(value) else MISSING
