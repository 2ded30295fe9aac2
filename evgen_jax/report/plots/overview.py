"""Figures of a training run: loss curve, light of an event at its brightest DOMs, errors of the fits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.ticker
import numpy as np

from evgen_jax.hypothesis.parameters import CASCADE, POSITIONS, Parameter, places_by_role
from evgen_jax.measurement.event import Event
from evgen_jax.model.model import Model
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.report.plots.canvas import plt, save
from evgen_jax.report.plots.event import arrival_times, expectation, light_yield


def figures(
    directory: Path,
    model: Model,
    oracle: Model,
    events: Sequence[Event],
    truth: np.ndarray,
    fits: Mapping[str, Sequence[FitResult]],
    metrics: Sequence[Mapping[str, Any]],
) -> None:
    """Writes loss.png, arrival_times.png, light_yield.png and errors.png.

    Args:
      directory: of the figures, made if needed.
      model: trained.
      oracle: with the true likelihood.
      events: E simulated events.
      truth: [E, H], physical units.
      fits: label -> fits of the events.
      metrics: rows of `read_metrics`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    loss_curve(directory / "loss.png", metrics)
    brightest = int(np.argsort([e.charge.sum() for e in events])[len(events) // 2])
    models = {"trained": model, "true": oracle}
    arrival_times(directory / "arrival_times.png", models, events[brightest], truth[brightest], 6)
    views = {name: expectation(m, events[brightest], truth[brightest]) for name, m in models.items()}
    light_yield(directory / "light_yield.png", views, events[brightest], model.detector)
    errors(directory / "errors.png", fits, truth, model.parameters)


def loss_curve(path: Path, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Draws training and validation loss per photoelectron against the step.

    Each has its running median from nine numbers on.

    Args:
      path: of the figure.
      metrics: rows of `read_metrics`.
    """
    figure, axis = plt.subplots(figsize=(6, 4), constrained_layout=True)
    for kind, color in (("training", "C0"), ("validation", "C1")):
        rows = [m for m in metrics if m["kind"] == kind]
        step, loss = np.array([m["step"] for m in rows]), np.array([m["loss_per_pe"] for m in rows])
        smooth = len(loss) >= 9
        axis.plot(step, loss, ".", ms=2, alpha=0.4, color=color, label=None if smooth else kind)
        if smooth:
            window = max(9, len(loss) // 25)
            windows = np.lib.stride_tricks.sliding_window_view(loss, window)
            axis.plot(step[window // 2 :][: len(windows)], np.median(windows, axis=1), color=color, label=kind)
    axis.set(xlabel="training step", ylabel="loss per photoelectron")
    axis.legend()
    save(figure, path)


def errors(
    path: Path, fits: Mapping[str, Sequence[FitResult]], truth: np.ndarray, parameters: Sequence[Parameter]
) -> None:
    """Draws cumulative distributions of the vertex and energy errors of the fits.

    Args:
      path: of the figure.
      fits: label -> fits of E events.
      truth: [E, H], physical units.
      parameters: of a hypothesis with one cascade.
    """
    place = places_by_role(parameters, CASCADE)[0]
    places, energy_place = [place[role] for role in POSITIONS], place["energy"]
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), constrained_layout=True)
    for name, results in fits.items():
        fitted = np.stack([r.hypothesis for r in results])
        vertex = np.sort(np.linalg.norm(fitted[:, places] - truth[:, places], axis=1))
        energy = np.sort(np.abs(np.log(np.maximum(fitted[:, energy_place], 1e-3) / truth[:, energy_place])))
        share = (np.arange(len(results)) + 1) / len(results)
        axes[0].step(vertex, share, where="post", label=name)
        axes[1].step(energy, share, where="post", label=name)
    axes[0].set(xlabel="vertex error (m)", ylabel="share of events", xscale="log")
    axes[1].set(xlabel="|ln(E / E_true)|", xscale="log")
    for axis in axes:
        axis.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes[0].legend()
    save(figure, path)
