"""Figures of trainings: losses with their scatter, learning rate, gradient norm, throughput."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.report.plots.canvas import Drawing, finished, styled, subplots
from evgen_jax.report.trainings import read_training

FEW = 9
"""Number of rows from which a running median of them is drawn."""
DRAWN = 4000
"""Largest number of points of one curve; of more, evenly spread ones are drawn."""
Rows = Sequence[Mapping[str, Any]]
"""Rows of `read_metrics`."""


@dataclass(frozen=True)
class Run:
    """Holds what is drawn of one training.

    Attributes:
      name: in the legend.
      metrics: rows of `read_metrics`.
      times: rows of `read_times`.
      true_loss: validation loss per photoelectron of the true likelihood; None: not known.
    """

    name: str
    metrics: Rows
    times: Rows = ()
    true_loss: float | None = None


@styled
def loss_curve(metrics: Rows, *, title: str = "Training", notice: str = "") -> Drawing:
    """Draws training and validation loss per photoelectron against the step.

    Each has its running median from nine numbers on; fewer are joined.

    Args:
      metrics: rows of `read_metrics`.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.
    """
    figure, axis = subplots(figsize=(6.5, 3.8))
    for kind, color in (("training", "C0"), ("validation", "C1")):
        _draw_loss(axis, metrics, kind, color, kind)
    axis.set(xlabel="training step", ylabel="loss per photoelectron")
    _limit_to_late(axis, [metrics])
    axis.legend()
    return finished(figure, title, notice)


@styled
def training_curves(
    runs: Run | str | Path | Sequence[Run | str | Path], *, title: str = "Training", notice: str = ""
) -> Drawing:
    """Draws losses, learning rates, norms of gradients and steps per second of one or several trainings.

    Args:
      runs: directory of a training (`manager_dir` of its configuration), or several, in one colour each; they may still run.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      DataError: no directory of a training, or one without a finished step.

    Example:
      eg.plots.training_curves(["first/training", "second/training"])
    """
    several = [runs] if isinstance(runs, Run | str | Path) else runs
    drawn = [own if isinstance(own, Run) else _run(own) for own in several]
    figure, axes = subplots(2, 2, figsize=(11, 6.6), gridspec_kw={"height_ratios": [1.5, 1]})
    (train, validation), (norm, speed) = axes
    rate = norm.twinx()
    for number, run in enumerate(drawn):
        color = f"C{number}"
        _draw_loss(train, run.metrics, "training", color, run.name)
        _draw_loss(validation, run.metrics, "validation", color, run.name)
        if run.true_loss is not None:
            validation.axhline(run.true_loss, color=color, ls="--", lw=1, label=f"{run.name}: true likelihood")
        step, own = _curve(run.metrics, "training", "gradient_norm")
        norm.plot(step, own, ".", ms=2, alpha=0.3, color=color)
        rate.plot(*_curve(run.metrics, "training", "learning_rate"), color=color, lw=1.5)
        speed.plot(*steps_per_second(run.times), ".-", ms=3, lw=0.8, color=color)
    train.set(ylabel="loss per photoelectron")
    train.set_title("training, every step and running median", loc="left")
    validation.set_title("validation", loc="left")
    norm.set(xlabel="training step", ylabel="norm of the gradient", yscale="log")
    norm.set_title("points: norm of the gradient, lines: learning rate", loc="left")
    rate.set(ylabel="learning rate", yscale="log")
    speed.set(xlabel="training step", ylabel="steps per second", ylim=(0, None))
    speed.set_title("throughput", loc="left")
    _limit_to_late(train, [run.metrics for run in drawn], "training")
    _limit_to_late(validation, [run.metrics for run in drawn], "validation", [r.true_loss for r in drawn])
    validation.legend()
    return finished(figure, title, notice)


def steps_per_second(times: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Computes the throughput of a training, pauses between its runs left out.

    Args:
      times: rows of `read_times`.

    Returns:
      Steps [N] and steps per second [N] since the entry before.
    """
    step = np.array([row["step"] for row in times], np.float64)
    time = np.array([row["time"] for row in times], np.float64)
    grown, passed = np.diff(step), np.diff(time)
    going = (grown > 0) & (passed > 0)
    return step[1:][going], grown[going] / passed[going]


def _run(directory: str | Path) -> Run:
    """What is drawn of the training in a directory."""
    found = read_training(directory)
    return Run(str(directory), found.metrics, found.times)


def _curve(metrics: Rows, kind: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and numbers of one kind."""
    rows = [(row["step"], row[key]) for row in metrics if row["kind"] == kind and row.get(key) is not None]
    step, value = np.array(rows, np.float64).reshape(-1, 2).T
    return step, value


def _draw_loss(axis: Any, metrics: Rows, kind: str, color: str, label: str) -> None:
    """Every number, and their running median if there are enough; a few, such as those of a short validation, are joined."""
    step, loss = _curve(metrics, kind, "loss_per_pe")
    smooth = len(loss) >= FEW
    thin = slice(None, None, max(len(loss) // DRAWN, 1))
    if not smooth:
        axis.plot(step, loss, ".-", ms=5, lw=1, color=color, label=label)
    else:
        axis.plot(step[thin], loss[thin], ".", ms=3, alpha=0.4, color=color)
        window = max(FEW, len(loss) // 25)
        windows = np.lib.stride_tricks.sliding_window_view(loss, window)
        middle = np.median(windows[thin], axis=1)
        axis.plot(step[window // 2 :][: len(windows)][thin], middle, color=color, label=label)


def _limit_to_late(
    axis: Any, all_metrics: Sequence[Rows], kind: str | None = None, lines: Sequence[float | None] = ()
) -> None:
    """Limits an axis of losses to what came after the first steps, which are far off and would flatten all that follows."""
    late: list[float] = []
    for metrics in all_metrics:
        own = [m["loss_per_pe"] for m in metrics if kind in (None, m["kind"]) and "loss_per_pe" in m]
        late += own[len(own) // 20 :]
    if len(late) >= FEW:
        low, high = np.quantile(late, [0.005, 0.98])
        low = min([low, *(line for line in lines if line is not None)])
        axis.set_ylim(low - 0.1 * (high - low), high + 0.3 * (high - low))
