"""Figure of one event: where and when it shone, from three sides."""

from typing import Any

import numpy as np

from evgen_jax.hypothesis.parameters import DIRECTION, POSITIONS, places_by_role
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event
from evgen_jax.model.ensemble import AnyModel, check_model
from evgen_jax.physics.geometry import flight_direction
from evgen_jax.report.plots.canvas import MARKS, Drawing, finished, styled, subplots
from evgen_jax.report.plots.given import Hypothesis, values_of

SPREAD = (0.05, 0.95)
"""Shares of the light between whose first pulses the colours change: noise before and after it has one colour."""
NEARBY = 0.85
"""Share of the charge within half the distance that is drawn."""
SMALLEST = 150.0
"""Smallest distance from the middle to the sides that is drawn, m."""


@styled
def event_display(
    model: AnyModel,
    event: Event,
    hypothesis: Hypothesis,
    *,
    truth: Hypothesis | None = None,
    seed: Hypothesis | None = None,
    title: str = "",
    notice: str = "",
) -> Drawing:
    """Draws the hit modules around the light from three sides, with vertices and directions of hypotheses.

    The size of a module tells the charge of its sensors, the colour the time of their first pulse.

    Args:
      model: gives parameters and detector.
      event: what was measured.
      hypothesis: [H], physical units (m, ns, GeV, rad), or a fit; marked as the fit.
      truth: [H]; None: not known.
      seed: [H], where the fit began; None: not drawn.
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
      eg.plots.event_display(model, event, fit, truth=truth)
    """
    check_model(model)
    check_event(event, model.detector)
    position, pulses = np.asarray(model.detector.position), event.pulses
    mask = np.asarray(pulses.mask)
    dom = np.asarray(event.active)[np.asarray(pulses.slot)][mask]
    # Photomultipliers at one place are one module, drawn where the first of them stands in the tables.
    _, begins, module = np.unique(position, axis=0, return_index=True, return_inverse=True)
    drawn = begins[module.ravel()]
    first, charge = np.full(len(position), np.inf), np.bincount(drawn, np.asarray(event.charge), len(position))
    np.minimum.at(first, drawn[dom], np.asarray(pulses.time)[mask])
    hit = np.flatnonzero(np.isfinite(first))
    hit = hit[np.argsort(charge[hit])]  # the bright ones on top
    size = 5 + 90 * (np.log1p(charge[hit]) / np.log1p(max(float(charge.max()), 1.0))) ** 2
    given = {"truth": truth, "seed": seed, "fit": hypothesis}
    arrows = {
        name: _arrows(model, values_of(own, model, f"a {name}")) for name, own in given.items() if own is not None
    }
    vertices = [vertex for pairs in arrows.values() for vertex, _ in pairs]
    middle, reach = _surroundings(position[hit], charge[hit], vertices)
    length = 0.45 * reach
    near = hit[np.linalg.norm(position[hit] - middle, axis=1) < reach]
    low, high = _begin_and_end(first[near], charge[near])
    figure, axes = subplots(1, 3, figsize=(12, 4.2))
    shown: Any = None
    for axis, (i, j) in zip(axes, ((0, 1), (0, 2), (1, 2)), strict=True):
        axis.plot(position[:, i], position[:, j], ".", ms=1.5, mew=0, color="0.7")
        shown = axis.scatter(
            position[hit, i], position[hit, j], s=size, c=first[hit], alpha=0.8, lw=0, vmin=low, vmax=high
        )
        for name, pairs in arrows.items():
            for vertex, flight in pairs:
                axis.annotate(
                    "",
                    xy=(vertex[i] + length * flight[i], vertex[j] + length * flight[j]),
                    xytext=(vertex[i], vertex[j]),
                    arrowprops={"arrowstyle": "->", "lw": 1.6, "color": MARKS[name]["color"]},
                )
                axis.plot(vertex[i], vertex[j], ls="none", label=name, **MARKS[name])
        axis.set(xlim=middle[i] + np.array([-reach, reach]), ylim=middle[j] + np.array([-reach, reach]), aspect="equal")
        axis.set(xlabel=f"{'xyz'[i]} (m)", ylabel=f"{'xyz'[j]} (m)")
    figure.colorbar(shown, ax=axes, label="first pulse (ns)", shrink=0.8, extend="both")
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside upper right", ncols=len(handles))
    return finished(figure, title, notice)


def _surroundings(position: np.ndarray, charge: np.ndarray, vertices: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Middle of the light and how far it and the vertices reach from there, m; noise far away does not count."""
    points = position if len(position) else np.zeros((1, 3))
    middle = np.average(points, axis=0, weights=charge if len(position) else None)
    away = np.linalg.norm(points - middle, axis=1)
    order = np.argsort(away)
    passed = np.cumsum(charge[order]) if len(position) else np.ones(1)
    light = 2 * float(away[order][np.searchsorted(passed, NEARBY * passed[-1])])
    marks = max((1.2 * float(np.linalg.norm(vertex - middle)) for vertex in vertices), default=0.0)
    return middle, max(light, marks, SMALLEST)


def _begin_and_end(time: np.ndarray, charge: np.ndarray) -> tuple[float, float]:
    """Times between which the light of modules begins, ns; 0 and 1 where there is none.

    Weighted with the root of the charge: neither the brightest module alone nor single pulses of noise decide.
    """
    if not len(time):
        return 0.0, 1.0
    order = np.argsort(time)
    passed = np.cumsum(np.sqrt(charge[order]))
    low, high = time[order][np.minimum(np.searchsorted(passed / passed[-1], SPREAD), len(time) - 1)]
    return float(low), max(float(high), float(low) + 1.0)


def _arrows(model: AnyModel, hypothesis: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Vertices and directions of flight of a hypothesis."""
    pairs = []
    for place in places_by_role(model.parameters, (*POSITIONS, *DIRECTION)):
        vertex = np.array([hypothesis[place[role]] for role in POSITIONS])
        pairs.append((vertex, np.asarray(flight_direction(hypothesis[place["zenith"]], hypothesis[place["azimuth"]]))))
    return pairs
