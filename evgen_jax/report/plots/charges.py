"""Figure of one event: charges of modules and their residuals."""

from collections.abc import Mapping

import numpy as np

from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event
from evgen_jax.report.plots.canvas import Drawing, finished, styled, subplots
from evgen_jax.report.plots.expected import ExpectedCharges, expected_charges
from evgen_jax.report.plots.given import Hypothesis, Models, models_by_name, values_of


def charges(models: Models, event: Event, hypothesis: Hypothesis, *, title: str = "", notice: str = "") -> Drawing:
    """Draws expected against measured charges of DOMs, and the pulls against the distance from the middle of the light.

    Args:
      models: a model, an ensemble, or {label: model}.
      event: what was measured.
      hypothesis: [H], for which the light is expected, physical units (m, ns, GeV, rad), or a fit.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      ConfigError: no model.
      DataError: no event of the detector.
      HypothesisError: a hypothesis of another shape.
      ReconstructionError: a fit that failed.

    Example:
      eg.plots.charges(model, event, fit)
    """
    named = models_by_name(models)
    first = next(iter(named.values()))
    check_event(event, first.detector)
    own = values_of(hypothesis, first)
    views = {name: expected_charges(model, event, own) for name, model in named.items()}
    return light_yield(views, event, first.detector, title=title, notice=notice)


@styled
def light_yield(
    views: Mapping[str, ExpectedCharges],
    event: Event,
    detector: Detector,
    *,
    title: str = "",
    notice: str = "",
) -> Drawing:
    """Draws expectations that were computed before beside measured charges, see `charges`.

    Args:
      views: {label: what a model expects}.
      event: what was measured.
      detector: of D DOMs.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.
    """
    figure, (left, right) = subplots(1, 2, figsize=(9.5, 4))
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
    return finished(figure, title, notice)
