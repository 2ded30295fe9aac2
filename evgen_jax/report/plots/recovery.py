"""Figures of many events: cumulative distributions of errors, and how often uncertainties hold the truth."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evgen_jax.errors import ConfigError, shown
from evgen_jax.report.plots.canvas import Drawing, finished, styled, subplots
from evgen_jax.report.plots.given import check_kind
from evgen_jax.report.recovery import Recovery

LABELS = Recovery("vertex error (m)", "opening angle (deg)", "|ln(E / E_true)|", "time error (ns)")  # type: ignore[arg-type]
"""What the panels show."""
QUANTITIES = ("vertex", "direction", "energy", "time")
"""Titles of the panels."""
LINES = {"seeds": {"color": "0.6"}, "Cramer-Rao bound": {"color": "black", "ls": "--"}}
"""Lines of what is no fit."""


@styled
def errors(found: Mapping[str, Recovery], *, title: str = "", notice: str = "") -> Drawing:
    """Draws cumulative distributions of the errors of vertex, direction, energy and time.

    Args:
      found: label -> errors of E events, of `cascade_errors`.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      ConfigError: no errors of cascades.

    Example:
      eg.plots.errors({"fits": eg.plots.cascade_errors(hypotheses, truth, model.parameters)})
    """
    _check(found, "eg.plots.cascade_errors(hypotheses, truth, model.parameters)")
    figure, axes = subplots(2, 2, figsize=(9, 6.2), sharey=True)
    for axis, name, label, quantity in zip(axes.flat, Recovery._fields, LABELS, QUANTITIES, strict=True):
        furthest = 0.0
        for curve, every in found.items():
            own = np.sort(getattr(every, name))
            share = (np.arange(len(own)) + 1) / len(own)
            axis.step(own, share, where="post", label=curve, **LINES.get(curve, {}))
            furthest = max(furthest, float(np.quantile(own, 0.98)))
        least = min(float(np.quantile(getattr(every, name), 0.02)) for every in found.values())
        middle = ", ".join(f"{np.median(getattr(every, name)):.3g}" for every in found.values())
        axis.set(xscale="log", xlabel=label, ylim=(0, 1.02), xlim=(max(0.7 * least, 1e-6 * furthest), 1.4 * furthest))
        axis.set_title(f"{quantity}: medians {middle}", loc="left")
        axis.axhline(0.5, color="0.85", lw=0.8, zorder=0)
        axis.tick_params(which="minor", labelbottom=False)
    for axis in axes[:, 0]:
        axis.set_ylabel("share of events")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(found))
    return finished(figure, title, notice)


@styled
def coverage(levels: Mapping[str, Recovery], *, title: str = "", notice: str = "") -> Drawing:
    """Draws the share of events whose truth lies within the uncertainties, against their confidence level.

    Args:
      levels: label -> confidence levels of E fits, of `confidence_levels`.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      ConfigError: no confidence levels of cascades.

    Example:
      eg.plots.coverage({"fits": eg.plots.confidence_levels(fits, truth, model.parameters)})
    """
    _check(levels, "eg.plots.confidence_levels(fits, truth, model.parameters)")
    figure, axes = subplots(1, 4, figsize=(12, 3.4), sharey=True)
    for axis, name, quantity in zip(axes, Recovery._fields, QUANTITIES, strict=True):
        axis.plot([0, 1], [0, 1], color="0.6", lw=0.8, ls="--")
        for curve, every in levels.items():
            own = np.sort(getattr(every, name))
            axis.step(own, (np.arange(len(own)) + 1) / len(own), where="post", label=curve)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence level")
        axis.set_title(quantity, loc="left")
    axes[0].set_ylabel("share of events inside")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(levels))
    return finished(figure, title, notice)


def _check(given: Any, where: str) -> None:
    """Checks that something is {label: numbers of cascades}."""
    if not isinstance(given, Mapping) or not given:
        raise ConfigError(f"expected {{label: Recovery}}, got {shown(given)}. Make a Recovery with `{where}`.")
    for own in given.values():
        check_kind(own, Recovery, where)
