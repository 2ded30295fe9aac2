"""Figures of one event: light against pulses at single DOMs, charges and their residuals, where and when it shone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evgen_jax.hypothesis.origin import counted_from_readout
from evgen_jax.hypothesis.parameters import DIRECTION, POSITIONS, places_by_role
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import check_no_ensemble
from evgen_jax.model.expectation import DomExpectation, dom_expectation
from evgen_jax.model.model import Model
from evgen_jax.physics.geometry import flight_direction
from evgen_jax.report.plots.canvas import TOY, plt, save

BINS = 40
"""Number of bins of a histogram of pulses."""
TIMES = 200
"""Number of times at which light is expected."""


def expectation(
    model: Model, event: Event, hypothesis: np.ndarray, span: tuple[float, float] | None = None
) -> DomExpectation:
    """Computes what a model expects at all DOMs and at `TIMES` times.

    Args:
      model: no ensemble.
      event: gives the readout window.
      hypothesis: [H], physical units.
      span: first and last time, ns; None: the readout window.

    Returns:
      Expected charge, variance and density in time at D DOMs.

    Raises:
      ConfigError: for an ensemble.
      DataError: large times, and a parameter of which nothing tells whether it is a time.
    """
    check_no_ensemble(model)
    start, stop = span or (float(event.readout[0]), float(event.readout[1]))
    hypothesis, event, anchor = counted_from_readout(model.parameters, hypothesis, event)
    times = jnp.linspace(start - anchor, stop - anchor, TIMES, dtype=jnp.float32)
    readout = jnp.asarray(event.readout, jnp.float32)
    return _compiled(model, jnp.asarray(hypothesis, jnp.float32), times, readout)


_compiled = jax.jit(dom_expectation)


def time_range(event: Event, doms: np.ndarray, share: float = 0.9, least: float = 1000.0) -> tuple[float, float]:
    """Chooses the times to draw: from 50 ns before the first pulse at some DOMs to where most of their charge has come.

    Args:
      event: one event.
      doms: places of the DOMs.
      share: of the charge that lies before the end.
      least: shortest range, ns.

    Returns:
      Start and stop, ns; the readout window if the DOMs have no pulse.
    """
    pulses = event.pulses
    at = np.isin(np.asarray(event.active)[np.asarray(pulses.slot)], doms) & np.asarray(pulses.mask)
    if not at.any():
        return float(event.readout[0]), float(event.readout[1])
    time, charge = np.asarray(pulses.time)[at], np.asarray(pulses.charge)[at]
    order = np.argsort(time)
    late = time[order][np.searchsorted(np.cumsum(charge[order]), share * charge.sum())]
    start = float(time.min()) - 50
    return start, max(float(late), start + least)


def brightest_doms(event: Event, count: int) -> np.ndarray:
    """Finds the usable DOMs with the largest charges.

    Args:
      event: one event.
      count: largest number of DOMs.

    Returns:
      Places of the DOMs, the brightest first; none of those without charge.
    """
    charge = np.where(np.asarray(event.usable), np.asarray(event.charge), 0)
    order = np.argsort(-charge, kind="stable")[:count]
    return order[charge[order] > 0]


def arrival_times(
    path: Path,
    models: Mapping[str, Model],
    event: Event,
    hypothesis: np.ndarray,
    count: int = 9,
    doms: Sequence[int] | None = None,
    titles: Mapping[int, str] | None = None,
    notice: str = TOY,
) -> Path:
    """Draws pulses and expected light against time, one panel per DOM.

    Args:
      path: of the figure.
      models: {label: model}.
      event: what was measured.
      hypothesis: [H], for which the light is expected, physical units.
      count: number of brightest DOMs to draw, unless `doms` are given.
      doms: places of the DOMs to draw.
      titles: {place of a DOM: text behind its title}.
      notice: in the corner of the figure.

    Returns:
      The path.
    """
    chosen = brightest_doms(event, count) if doms is None else np.asarray(doms, int)
    pulses, detector = event.pulses, next(iter(models.values())).detector
    dom = np.asarray(event.active)[np.asarray(pulses.slot)]
    start, stop = time_range(event, chosen)
    times, width = np.linspace(start, stop, TIMES), (stop - start) / BINS
    views = {name: expectation(model, event, hypothesis, (start, stop)) for name, model in models.items()}
    columns = 3
    rows = max(-(-len(chosen) // columns), 1)
    figure, axes = plt.subplots(
        rows, columns, figsize=(10, 2.6 * rows + 0.3), sharex=True, squeeze=False, constrained_layout=True
    )
    windows = np.flatnonzero(np.asarray(event.windows.mask))
    for axis in axes.flat[len(chosen) :]:
        axis.set_axis_off()
    if not len(chosen):
        figure.text(0.5, 0.5, "no pulses at usable modules", ha="center", fontsize=9)
    for axis, d in zip(axes.flat, chosen, strict=False):
        own = np.asarray(pulses.mask) & (dom == d)
        axis.hist(
            np.asarray(pulses.time)[own],
            weights=np.asarray(pulses.charge)[own],
            bins=BINS,
            range=(start, stop),
            color="0.8",
        )
        for name, view in views.items():
            axis.plot(times, width * np.asarray(view.charge)[d] * np.asarray(view.pdf)[d], label=name, lw=1.2)
        for w in windows:
            if np.asarray(event.active)[np.asarray(event.windows.slot)[w]] == d:
                axis.axvspan(float(event.windows.start[w]), float(event.windows.stop[w]), color="C3", alpha=0.2)
        title = f"string {int(detector.string[d])}, om {int(detector.om[d])}: {float(event.charge[d]):.0f} PE"
        axis.set_title(title + (titles or {}).get(int(d), ""), fontsize=8)
        axis.set_xlim(start, stop)
    if axes[0, 0].get_legend_handles_labels()[0]:
        axes[0, 0].legend(fontsize=8)
    figure.supxlabel("time (ns)", fontsize=9)
    figure.supylabel("charge per bin (PE)", fontsize=9)
    return save(figure, path, notice)


def light_yield(
    path: Path, views: Mapping[str, DomExpectation], event: Event, detector: Detector, notice: str = TOY
) -> Path:
    """Draws expected against measured charges of DOMs, and the pulls against the distance from the middle of the light.

    Args:
      path: of the figure.
      views: {label: what a model expects}.
      event: what was measured.
      detector: of D DOMs.
      notice: in the corner of the figure.

    Returns:
      The path.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), constrained_layout=True)
    usable = np.asarray(event.usable)
    charge = np.asarray(event.charge)
    hit = (charge > 0) & usable
    position = np.asarray(detector.position)
    centre = np.average(position[hit], axis=0, weights=charge[hit]) if hit.any() else np.zeros(3)
    distance = np.linalg.norm(position - centre, axis=1)
    for name, view in views.items():
        expected, variance = np.asarray(view.charge), np.asarray(view.variance)
        left.plot(charge[hit], expected[hit], ".", ms=3, alpha=0.6, label=name)
        bright = usable & (expected > 0.5)
        pull = (charge - expected) / np.sqrt(np.maximum(variance, 1e-9))
        right.plot(distance[bright], pull[bright], ".", ms=3, alpha=0.6, label=name)
    low, high = 0.5, 1.5 * max(float(charge.max()), 1.0)
    left.plot([low, high], [low, high], color="0.5", lw=0.8)
    left.set(
        xscale="log", yscale="log", xlabel="measured charge (PE)", ylabel="expected charge (PE)", ylim=(1e-3, high)
    )
    right.axhline(0, color="0.5", lw=0.8)
    right.set(xlabel="distance from the middle of the light (m)", ylabel="(measured - expected) / sigma")
    if left.get_legend_handles_labels()[0]:
        left.legend(fontsize=8)
    return save(figure, path, notice)


def event_display(path: Path, model: Model, event: Event, hypothesis: np.ndarray, notice: str = TOY) -> Path:
    """Draws the hit DOMs from three sides, with vertices and directions of the hypothesis.

    The size of a DOM tells its charge, the colour the time of its first pulse.

    Args:
      path: of the figure.
      model: gives parameters and detector.
      event: what was measured.
      hypothesis: [H], physical units.
      notice: in the corner of the figure.

    Returns:
      The path.
    """
    position, pulses = np.asarray(model.detector.position), event.pulses
    mask = np.asarray(pulses.mask)
    dom = np.asarray(event.active)[np.asarray(pulses.slot)][mask]
    first = np.full(len(position), np.inf)
    np.minimum.at(first, dom, np.asarray(pulses.time)[mask])
    hit = np.flatnonzero(np.isfinite(first))
    size = 4 + 60 * np.sqrt(np.asarray(event.charge)[hit] / max(float(np.max(event.charge)), 1e-9))
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), constrained_layout=True)
    arrows = []
    for place in places_by_role(model.parameters, (*POSITIONS, *DIRECTION)):
        vertex = np.array([hypothesis[place[role]] for role in POSITIONS])
        arrows.append((vertex, np.asarray(flight_direction(hypothesis[place["zenith"]], hypothesis[place["azimuth"]]))))
    length = 0.2 * float(np.ptp(position, axis=0).max())
    shown: Any = None
    for axis, (i, j) in zip(axes, ((0, 1), (0, 2), (1, 2)), strict=True):
        axis.plot(position[:, i], position[:, j], ",", color="0.7")
        shown = axis.scatter(
            position[hit, i], position[hit, j], s=size, c=first[hit], cmap="rainbow_r", alpha=0.7, lw=0
        )
        for vertex, flight in arrows:
            axis.annotate(
                "",
                xy=(vertex[i] + length * flight[i], vertex[j] + length * flight[j]),
                xytext=(vertex[i], vertex[j]),
                arrowprops={"arrowstyle": "->", "lw": 1.5},
            )
            axis.plot(vertex[i], vertex[j], "k*", ms=9)
        axis.set(xlabel=f"{'xyz'[i]} (m)", ylabel=f"{'xyz'[j]} (m)", aspect="equal")
    figure.colorbar(shown, ax=axes, label="first pulse (ns)", shrink=0.8)
    return save(figure, path, notice)
