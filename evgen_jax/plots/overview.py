"""Figures of a training run: loss curve, light of an event at its brightest DOMs, errors of the fits."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.ticker
import numpy as np

from evgen_jax.event import Event
from evgen_jax.model import Model, make_dom_expectation
from evgen_jax.reconstruction.result import FitResult

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

NOTICE = "physics-motivated toy; not IceCube simulation"


def figures(
    directory: Path,
    model: Model,
    oracle: Model,
    events: Sequence[Event],
    truth: np.ndarray,
    fits: Mapping[str, Sequence[FitResult]],
    metrics: Sequence[dict],
) -> None:
    """Writes loss.png, arrival_times.png, light_yield.png and errors.png."""
    directory.mkdir(parents=True, exist_ok=True)
    loss_curve(directory / "loss.png", metrics)
    brightest = int(np.argsort([e.charge.sum() for e in events])[len(events) // 2])
    models = {"trained": model, "true": oracle}
    light(directory, models, events[brightest], truth[brightest])
    errors(directory / "errors.png", fits, truth)


def _save(figure, path: Path) -> None:
    figure.suptitle(NOTICE, x=0.995, ha="right", fontsize=6, color="0.4")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def loss_curve(path: Path, metrics: Sequence[dict]) -> None:
    """Training and validation loss per photoelectron against the step, each with its running median."""
    figure, axis = plt.subplots(figsize=(6, 4), constrained_layout=True)
    for kind, color in (("training", "C0"), ("validation", "C1")):
        rows = [m for m in metrics if m["kind"] == kind]
        step, loss = np.array([m["step"] for m in rows]), np.array([m["loss_per_pe"] for m in rows])
        axis.plot(step, loss, ".", ms=2, alpha=0.4, color=color)
        if len(loss) >= 9:
            window = max(9, len(loss) // 25)
            windows = np.lib.stride_tricks.sliding_window_view(loss, window)
            axis.plot(step[window // 2 :][: len(windows)], np.median(windows, axis=1), color=color, label=kind)
    axis.set(xlabel="training step", ylabel="loss per photoelectron")
    axis.legend()
    _save(figure, path)


def light(directory: Path, models: Mapping[str, Model], event: Event, hypothesis: np.ndarray) -> None:
    """Arrival times at the six brightest DOMs, and expected against measured charges."""
    pulses = event.pulses
    dom = np.asarray(event.active)[pulses.slot]
    brightest = np.argsort(event.charge)[-6:][::-1]
    first = min(pulses.time[pulses.mask & (dom == d)].min() for d in brightest)
    times = np.linspace(first - 100, first + 1100, 200)
    expected = {}
    for name, model in models.items():
        function = jax.jit(make_dom_expectation(model, tuple(event.readout)))
        expected[name] = function(
            model.variables, jnp.asarray(hypothesis, jnp.float32), jnp.asarray(times, jnp.float32)
        )

    figure, axes = plt.subplots(2, 3, figsize=(10, 5.5), sharex=True, constrained_layout=True)
    detector = next(iter(models.values())).detector
    for axis, d in zip(axes.flat, brightest, strict=True):
        chosen = pulses.mask & (dom == d)
        axis.hist(pulses.time[chosen], weights=pulses.charge[chosen], bins=40, range=(times[0], times[-1]), color="0.8")
        width = (times[-1] - times[0]) / 40
        for name, view in expected.items():
            axis.plot(times, width * view.charge[d] * view.pdf[d], label=name, lw=1.2)
        axis.set_title(
            f"string {int(detector.string[d])}, om {int(detector.om[d])}: {event.charge[d]:.0f} PE", fontsize=9
        )
    axes[0, 0].legend(fontsize=8)
    figure.supxlabel("time (ns)")
    figure.supylabel("charge per bin (PE)")
    _save(figure, directory / "arrival_times.png")

    figure, axis = plt.subplots(figsize=(5, 4.5), constrained_layout=True)
    hit = event.charge > 0
    for name, view in expected.items():
        axis.plot(event.charge[hit], np.asarray(view.charge)[hit], ".", ms=3, alpha=0.6, label=name)
    low, high = 0.5, 1.5 * float(event.charge.max())
    axis.plot([low, high], [low, high], color="0.5", lw=0.8)
    axis.set(
        xscale="log", yscale="log", xlabel="measured charge (PE)", ylabel="expected charge (PE)", ylim=(1e-3, high)
    )
    axis.legend()
    _save(figure, directory / "light_yield.png")


def errors(path: Path, fits: Mapping[str, Sequence[FitResult]], truth: np.ndarray) -> None:
    """Cumulative distributions of the vertex and energy errors of the fits."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), constrained_layout=True)
    for name, results in fits.items():
        fitted = np.stack([r.hypothesis for r in results])
        vertex = np.sort(np.linalg.norm(fitted[:, :3] - truth[:, :3], axis=1))
        energy = np.sort(np.abs(np.log(np.maximum(fitted[:, 5], 1e-3) / truth[:, 5])))
        share = (np.arange(len(results)) + 1) / len(results)
        axes[0].step(vertex, share, where="post", label=name)
        axes[1].step(energy, share, where="post", label=name)
    axes[0].set(xlabel="vertex error (m)", ylabel="share of events", xscale="log")
    axes[1].set(xlabel="|ln(E / E_true)|", xscale="log")
    for axis in axes:
        axis.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes[0].legend()
    _save(figure, path)
