"""Figures of a demo: one event, errors of many, the loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.hypothesis.parameters import CASCADE, places_by_role
from evgen_jax.measurement.event import Event
from evgen_jax.model.model import Model
from evgen_jax.reconstruction.uncertainty.sky_map import SkyMap
from evgen_jax.report.plots.arrival_times import arrival_times
from evgen_jax.report.plots.canvas import SIMULATED, event_title, write
from evgen_jax.report.plots.charges import light_yield
from evgen_jax.report.plots.display import event_display
from evgen_jax.report.plots.expected import expected_charges
from evgen_jax.report.plots.recovery import coverage, errors
from evgen_jax.report.plots.sky import sky_map
from evgen_jax.report.plots.training import loss_curve
from evgen_jax.report.recovery import Recovery

Figure = tuple[str, Path]
"""Heading and file of a figure."""


@dataclass(frozen=True)
class Example:
    """Holds one simulated event with one cascade, and what was found.

    Attributes:
      name: such as "Run 8, event 3".
      event: what was measured.
      truth: [H], physical units.
      seed: [H], where the fit began.
      fit: [H].
      sky_map: of the directions; None: not made.
      likelihood: of fit and sky map, such as "true likelihood".
    """

    name: str
    event: Event
    truth: np.ndarray
    seed: np.ndarray
    fit: np.ndarray
    sky_map: SkyMap | None
    likelihood: str


def figures(
    directory: Path,
    models: Mapping[str, Model],
    example: Example,
    found: Mapping[str, Recovery],
    levels: Mapping[str, Recovery],
    metrics: Sequence[Mapping[str, Any]],
    title: str,
) -> list[Figure]:
    """Writes errors.png, coverage.png, event.png, arrival_times.png, light_yield.png, sky_map.png (if any) and loss.png.

    Args:
      directory: of the figures, made if needed.
      models: label -> model whose light is drawn at the truth of the example.
      example: one event.
      found: label -> errors of many events.
      levels: label -> confidence levels of many fits.
      metrics: rows of `read_metrics`.
      title: of the figures of many events.

    Returns:
      Headings and files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    model, event, truth = next(iter(models.values())), example.event, example.truth
    place = places_by_role(model.parameters, CASCADE)[0]
    own = event_title(example.name, float(truth[place["energy"]]), event)
    fitted, expected = f"{own}; fit with the {example.likelihood}", f"{own}; light expected at the truth"
    views = {name: expected_charges(one, event, truth) for name, one in models.items()}
    texts: list[dict[str, Any]] = [{"title": text, "notice": SIMULATED} for text in (title, fitted, expected)]
    of_many, of_fit, of_truth = texts
    display = event_display(model, event, example.fit, truth=truth, seed=example.seed, **of_fit)
    drawn = [
        ("Errors of the fits", "errors.png", errors(found, **of_many)),
        ("Coverage of the uncertainties", "coverage.png", coverage(levels, **of_many)),
        ("One event", "event.png", display),
        ("Its brightest modules", "arrival_times.png", arrival_times(models, event, truth, 6, **of_truth)),
        ("Its charges", "light_yield.png", light_yield(views, event, model.detector, **of_truth)),
    ]
    if example.sky_map is not None:
        towards, begun = ((float(h[place["zenith"]]), float(h[place["azimuth"]])) for h in (truth, example.seed))
        drawn.append(("Its direction", "sky_map.png", sky_map(example.sky_map, towards, begun, **of_fit)))
    drawn.append(("Training", "loss.png", loss_curve(metrics, notice=SIMULATED)))
    return [(heading, write(directory / file, figure)) for heading, file, figure in drawn]
