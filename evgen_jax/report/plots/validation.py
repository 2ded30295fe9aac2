"""Figures of a model beside events whose truth is known: charges, light by distance and direction, times, pulls."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from evgen_jax.errors import ConfigError
from evgen_jax.report.at_truth import BANDS, DISTANCES, AtTruth
from evgen_jax.report.plots.canvas import Drawing, finished, styled, subplots
from evgen_jax.report.plots.given import check_kind
from evgen_jax.report.pulls import half_width

BAND_NAMES = ("behind the shower", "beside it", "before it")
"""What the bands of the cosine between direction and way are called."""
FARTHEST = 4.0
"""End of the axis of pulls."""
COLUMNS = 4
"""Number of panels of pulls in a row."""
HOW = "eg.plots.compare_at_truth(model, events, truth)"
"""Makes what is drawn of events at their truth."""


@styled
def charge_ratios(found: AtTruth, *, title: str = "", notice: str = "") -> Drawing:
    """Draws measured over expected charges by expected charge, height, distance and direction.

    Args:
      found: sums over events, of `compare_at_truth`.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      ConfigError: no such sums.

    Example:
      eg.plots.charge_ratios(eg.plots.compare_at_truth(model, events, truth))
    """
    check_kind(found, AtTruth, HOW)
    count = len(found.charges)
    figure, axes = subplots((count + 1) // 2, 2, figsize=(9, 2.9 * ((count + 1) // 2)), sharey=True, squeeze=False)
    for axis, (name, own) in zip(axes.flat, found.charges.items(), strict=True):
        geometric = own.edges[0] > 0 and own.edges[-1] > 20 * own.edges[0]
        middle = np.sqrt(own.edges[1:] * own.edges[:-1]) if geometric else (own.edges[1:] + own.edges[:-1]) / 2
        axis.axhspan(0.9, 1.1, color="0.93", lw=0)
        axis.axhline(1, color="0.5", lw=0.8)
        axis.errorbar(middle, own.ratio, own.error, fmt="o", ms=4, capsize=2)
        axis.set(xlabel=name, ylim=(0.5, 1.5), xscale="log" if geometric else "linear")
    for axis in axes[:, 0]:
        axis.set_ylabel("measured / expected charge")
    return finished(figure, title, notice)


@styled
def light_by_distance(found: AtTruth, *, title: str = "", notice: str = "") -> Drawing:
    """Draws charges per module and TeV against the distance, behind, beside and before the shower.

    Args:
      found: sums over events with a single cascade, of `compare_at_truth`.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      ConfigError: no such sums, or events of another hypothesis.

    Example:
      eg.plots.light_by_distance(eg.plots.compare_at_truth(model, events, truth))
    """
    check_kind(found, AtTruth, HOW)
    if found.bands is None or found.energy is None:
        raise ConfigError(
            "light by distance is that of a single cascade; the hypothesis of these events is another one."
        )
    figure, axis = subplots(figsize=(6.8, 4.4))
    middle = np.sqrt(DISTANCES[1:] * DISTANCES[:-1])
    for number, (name, own, energy) in enumerate(zip(BAND_NAMES, found.bands, found.energy, strict=True)):
        per_tev = 1e3 / np.maximum(energy, 1e-9)
        seen = (own.expected > 0) & (energy > 0)
        lit = seen & (own.measured > 0)
        low, high = BANDS[number : number + 2]
        axis.plot(
            middle[seen],
            (own.expected * per_tev)[seen],
            color=f"C{number}",
            label=f"{name}, cosine {low:g} to {high:g}",
        )
        axis.errorbar(
            middle[lit],
            (own.measured * per_tev)[lit],
            (np.sqrt(own.variance) * per_tev)[lit],
            fmt="o",
            ms=4,
            color=f"C{number}",
        )
    axis.set(xscale="log", yscale="log", xlabel="distance from the vertex (m)", ylabel="charge per module and TeV (PE)")
    axis.legend(title="lines: expected, points: measured", title_fontsize=8)
    return finished(figure, title, notice)


@styled
def arrival_shares(found: AtTruth, *, title: str = "", notice: str = "") -> Drawing:
    """Draws the distribution of the share of light that is expected before a pulse, which is uniform where times are right.

    Args:
      found: sums over events, of `compare_at_truth`.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      ConfigError: no such sums.

    Example:
      eg.plots.arrival_shares(eg.plots.compare_at_truth(model, events, truth))
    """
    check_kind(found, AtTruth, HOW)
    figure, axis = subplots(figsize=(6.8, 4.2))
    rows = {"all modules": found.shares.sum(axis=0)}
    if len(found.shares) > 1:
        for low, high in ((0, 5), (5, 8), (8, 10), (10, len(found.shares))):
            own = found.shares[low:high].sum(axis=0)
            if own.sum() > 200:
                rows[f"{DISTANCES[low]:.0f} to {DISTANCES[high]:.0f} m"] = own
    edges = np.linspace(0, 1, found.shares.shape[1] + 1)
    axis.axhline(1, color="0.5", lw=0.8)
    for number, (name, own) in enumerate(rows.items()):
        color, width = ("black", 2) if number == 0 else (f"C{number - 1}", 1)
        axis.stairs(own / max(own.mean(), 1e-9), edges, baseline=None, label=name, color=color, lw=width)
    axis.set(
        xlabel="share of the light that is expected before a pulse",
        ylabel="pulses / uniform",
        xlim=(0, 1),
        ylim=(0.5, 1.5),
    )
    axis.legend(ncols=2)
    return finished(figure, title, notice)


@styled
def pull_histograms(names: Sequence[str], found: np.ndarray, *, title: str = "", notice: str = "") -> Drawing:
    """Draws the pulls of each parameter beside a normal distribution of width 1.

    Args:
      names: of the H parameters.
      found: pulls [E, H], of `pulls`; parameters without a number are left out.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      ConfigError: pulls of another shape.

    Example:
      eg.plots.pull_histograms(model.parameter_names, eg.plots.pulls(fits, truth, model.parameters))
    """
    if np.ndim(found) != 2 or np.shape(found)[1] != len(names):
        raise ConfigError(
            f"expected pulls [E, {len(names)}] of {len(names)} parameters, got shape {np.shape(found)}. Compute them with "
            "`eg.plots.pulls(fits, truth, model.parameters)`."
        )
    found = np.asarray(found, np.float64)
    drawn = [i for i in range(len(names)) if np.isfinite(found[:, i]).sum() > 1][: 3 * COLUMNS]
    rows = max(-(-len(drawn) // COLUMNS), 1)
    figure, axes = subplots(rows, COLUMNS, figsize=(11, 2.6 * rows), sharex=True, squeeze=False)
    edges = np.linspace(-FARTHEST, FARTHEST, 25)
    smooth = np.linspace(-FARTHEST, FARTHEST, 201)
    for axis, i in zip(axes.flat, drawn, strict=False):
        own = found[np.isfinite(found[:, i]), i]
        counts, _ = np.histogram(np.clip(own, -FARTHEST, FARTHEST), edges)
        axis.stairs(counts, edges, fill=True, alpha=0.5)
        axis.plot(smooth, len(own) * (edges[1] - edges[0]) * stats.norm.pdf(smooth), color="black", lw=1)
        axis.set_title(f"{names[i]}: {np.median(own):+.2f} ± {half_width(own):.2f}", loc="left", fontsize=8)
    for axis in axes.flat[len(drawn) :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("(fit - truth) / uncertainty")
    return finished(figure, title, notice)
