"""Figure of one event: charges of modules and their residuals."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.model.expectation import DomExpectation
from evgen_jax.report.plots.canvas import SIMULATED, plt, save, styled


@styled
def light_yield(
    path: Path,
    views: Mapping[str, DomExpectation],
    event: Event,
    detector: Detector,
    *,
    title: str = "",
    notice: str = SIMULATED,
) -> Path:
    """Draws expected against measured charges of DOMs, and the pulls against the distance from the middle of the light.

    Args:
      path: of the figure.
      views: {label: what a model expects}.
      event: what was measured.
      detector: of D DOMs.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The path.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4))
    usable, charge = np.asarray(event.usable), np.asarray(event.charge)
    hit = (charge > 0) & usable
    position = np.asarray(detector.position)
    centre = np.average(position[hit], axis=0, weights=charge[hit]) if hit.any() else np.zeros(3)
    distance = np.linalg.norm(position - centre, axis=1)
    faintest = 1.0
    for name, view in views.items():
        expected, variance = np.asarray(view.charge), np.asarray(view.variance)
        left.plot(charge[hit], expected[hit], ".", ms=4, alpha=0.6, label=name)
        bright = usable & (expected > 0.5)
        pull = (charge - expected) / np.sqrt(np.maximum(variance, 1e-9))
        right.plot(distance[bright], pull[bright], ".", ms=4, alpha=0.6, label=name)
        faintest = min(faintest, float(expected[hit].min(initial=1.0)))
    low, high = 0.5, 1.5 * max(float(charge[hit].max(initial=1.0)), 1.0)
    left.plot([low, high], [low, high], color="0.5", lw=0.8)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="measured charge (PE)",
        ylabel="expected charge (PE)",
        ylim=(max(0.5 * faintest, 1e-3), high),
    )
    right.axhspan(-1, 1, color="0.9", lw=0)
    right.axhline(0, color="0.5", lw=0.8)
    right.set(xlabel="distance from the middle of the light (m)", ylabel="(measured - expected) / sigma")
    if views:
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper right", ncols=len(views))
    return save(figure, path, title, notice)
