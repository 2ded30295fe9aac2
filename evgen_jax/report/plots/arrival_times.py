"""Figure of one event: pulses and expected light against time at single modules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event
from evgen_jax.model.model import Model
from evgen_jax.report.plots.canvas import Drawing, finished, styled, subplots
from evgen_jax.report.plots.expected import TIMES, expected_arrivals, expected_charges
from evgen_jax.report.plots.given import Hypothesis, Models, models_by_name, values_of

BINS = 40
"""Number of bins of a histogram of pulses."""
COLUMNS = 3
"""Number of panels side by side."""
SHARE = 0.9
"""Share of the charge of a module within the shortest window that is drawn."""
SHORTEST = 500.0
"""Shortest window of a panel, ns."""
MARGIN = 0.15
"""Part of a window that is added on both sides."""


def signal_window(time: Float[np.ndarray, " P"], charge: Float[np.ndarray, " P"]) -> tuple[float, float]:
    """Chooses the times to draw: the shortest window with `SHARE` of the charge, and a margin.

    Single pulses of noise, before or after the light of an event, do not widen it.

    Args:
      time: [P], ns, at least one.
      charge: [P], PE.

    Returns:
      Start and stop, ns, at least `SHORTEST` apart.
    """
    order = np.argsort(time)
    time, charge = np.asarray(time, np.float64)[order], np.asarray(charge, np.float64)[order]
    passed = np.cumsum(charge)
    # For every pulse as the first one, the last one that is needed.
    last = np.searchsorted(passed, passed - charge + SHARE * passed[-1] * (1 - 1e-9))
    first = np.flatnonzero(last < len(time))
    length = time[last[first]] - time[first]
    start, stop = time[first[np.argmin(length)]], time[last[first[np.argmin(length)]]]
    margin = max(MARGIN * (stop - start), MARGIN * SHORTEST)
    return float(start - margin), float(max(stop + margin, start - margin + SHORTEST))


def brightest_doms(event: Event, count: int, expected: np.ndarray | None = None) -> np.ndarray:
    """Finds the usable DOMs with the largest charges.

    Args:
      event: one event.
      count: largest number of DOMs.
      expected: [D], charges that decide between DOMs of one charge, of which many have one pulse of noise; None: their
        places.

    Returns:
      Places of the DOMs, the brightest first; none of those without charge.
    """
    charge = np.where(np.asarray(event.usable), np.asarray(event.charge), 0)
    order = np.lexsort((np.arange(len(charge)) if expected is None else -np.asarray(expected), -charge))[:count]
    return order[charge[order] > 0]


@styled
def arrival_times(
    models: Models,
    event: Event,
    hypothesis: Hypothesis,
    count: int = 9,
    doms: Sequence[int] | None = None,
    titles: Mapping[int, str] | None = None,
    *,
    truth: Hypothesis | None = None,
    title: str = "",
    notice: str = "",
    cumulative: bool = False,
) -> Drawing:
    """Draws pulses and expected light against time, one panel per DOM with a time axis that follows its light.

    Args:
      models: a model, an ensemble, or {label: model}.
      event: what was measured.
      hypothesis: [H], for which the light is expected, physical units (m, ns, GeV, rad), or a fit.
      count: number of brightest DOMs to draw, unless `doms` are given.
      doms: places of the DOMs to draw.
      titles: {place of a DOM: text behind its title}.
      truth: [H], for which the light is drawn dashed; None: not known.
      title: of the whole figure.
      notice: below the figure.
      cumulative: whether charges are drawn that have arrived up to a time, instead of those per bin.

    Returns:
      The figure.

    Raises:
      ConfigError: no model.
      DataError: no event of the detector.
      HypothesisError: a hypothesis of another shape.
      ReconstructionError: a fit that failed.

    Example:
      eg.plots.arrival_times(model, event, fit, truth=truth)
    """
    models = models_by_name(models)
    first = next(iter(models.values()))
    check_event(event, first.detector)
    hypothesis = values_of(hypothesis, first)
    truth = None if truth is None else values_of(truth, first, "a truth")
    detector = first.detector
    if doms is None:
        chosen = brightest_doms(event, count, np.asarray(expected_charges(first, event, hypothesis).charge))
    else:
        chosen = np.asarray(doms, int)
    rows = max(-(-len(chosen) // COLUMNS), 1)
    figure, axes = subplots(rows, COLUMNS, figsize=(10, 2.3 * rows + 0.5), squeeze=False)
    for axis in axes.flat[len(chosen) :]:
        axis.set_axis_off()
    if not len(chosen):
        figure.text(0.5, 0.5, "no pulses at usable modules", ha="center", fontsize=9)
    pulses, measured = [_pulses_of(event, int(d)) for d in chosen], np.asarray(event.charge)
    windows = [_window(event, *own) for own in pulses]
    lines = _lines(models, event, chosen, windows, hypothesis, truth, cumulative) if len(chosen) else []
    for number, (axis, d) in enumerate(zip(axes.flat, chosen, strict=False)):
        _panel(axis, event, int(d), *pulses[number], windows[number], cumulative)
        for line in lines:
            times = np.linspace(*windows[number], TIMES)
            axis.plot(times, line.charge[number], line.dashes, color=line.color, label=line.label)
        name = f"string {int(detector.string[d])}, om {int(detector.om[d])}: {float(measured[d]):.0f} PE"
        axis.set_title(name + (titles or {}).get(int(d), ""))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if len(chosen):
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
        figure.supxlabel("time (ns)", fontsize=9)
        what = "charge up to a time (PE)" if cumulative else f"charge per bin (PE), {BINS} bins a panel"
        figure.supylabel(what, fontsize=9)
    return finished(figure, title, notice)


@dataclass(frozen=True)
class _Line:
    """Expected charge [n, T] of n panels, and how it is drawn."""

    charge: np.ndarray
    dashes: str
    color: str
    label: str


def _lines(
    models: Mapping[str, Model],
    event: Event,
    doms: np.ndarray,
    windows: Sequence[tuple[float, float]],
    hypothesis: np.ndarray,
    truth: np.ndarray | None,
    cumulative: bool,
) -> list[_Line]:
    """What every model expects, in all panels at once: the networks of an event are evaluated once."""
    times = np.array([np.linspace(*window, TIMES) for window in windows])
    width = np.array([(stop - start) / BINS for start, stop in windows])[:, None]
    places = [("", "-", hypothesis)]
    if truth is not None:
        places = [(" at the fit", "-", hypothesis), (" at the truth", "--", truth)]
    found = []
    for number, (name, model) in enumerate(models.items()):
        for where, dashes, light_of in places:
            view = expected_arrivals(model, event, light_of, doms, times)
            shape = np.asarray(view.cdf) if cumulative else width * np.asarray(view.pdf)
            expected = np.asarray(view.charge)[:, None] * shape
            found.append(_Line(expected, dashes, f"C{number}", name + where))
    return found


def _pulses_of(event: Event, dom: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and charges of the pulses of one DOM."""
    own = np.asarray(event.pulses.mask) & (np.asarray(event.active)[np.asarray(event.pulses.slot)] == dom)
    return np.asarray(event.pulses.time)[own], np.asarray(event.pulses.charge)[own]


def _window(event: Event, time: np.ndarray, charge: np.ndarray) -> tuple[float, float]:
    """Times that the panel of a DOM shows: those of its pulses, or of the readout where it has none."""
    start, stop = np.asarray(event.readout, np.float64)
    return signal_window(time, charge) if len(time) else (float(start), float(stop))


def _panel(
    axis: Any,
    event: Event,
    dom: int,
    time: np.ndarray,
    charge: np.ndarray,
    span: tuple[float, float],
    cumulative: bool,
) -> None:
    """Draws pulses and excluded windows of one DOM."""
    if cumulative:
        order = np.argsort(time)
        steps = np.concatenate([[0.0], np.cumsum(charge[order])])
        edges = [span[0], *time[order], max(span[1], *time, span[0])]
        axis.stairs(steps, edges, color="0.5", label="pulses", baseline=None)
    else:
        axis.hist(time, weights=charge, bins=BINS, range=span, color="0.8", label="pulses")
    active, windows = np.asarray(event.active), event.windows
    starts, stops = np.asarray(windows.start), np.asarray(windows.stop)
    for w in np.flatnonzero(np.asarray(windows.mask)):
        if active[np.asarray(windows.slot)[w]] == dom:
            axis.axvspan(float(starts[w]), float(stops[w]), color="C3", alpha=0.25, lw=0)
    axis.set_xlim(*span)
    axis.locator_params(axis="x", nbins=4)
