"""Figures of uncertainties: profile scans and corner plots of posterior samples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.reconstruction.uncertainty.posterior import Posterior
from evgen_jax.reconstruction.uncertainty.profile import Profile
from evgen_jax.report.plots.canvas import DEEPEST, MARKS, SIMULATED, draw_contours, plt, save, styled

LINE_LEVELS = (0.6827, 0.9545)
"""Confidence levels of scans in one parameter."""


@styled
def profile(
    path: Path,
    scan: Profile,
    units: Sequence[str],
    truth: Sequence[float] | None = None,
    *,
    title: str = "",
    notice: str = SIMULATED,
) -> Path:
    """Draws 2 (best - log-likelihood) along one parameter, or its contours in two.

    Args:
      path: of the figure.
      scan: of one or two parameters.
      units: of the parameters.
      truth: value of each parameter; None: not known.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The path.
    """
    figure, axis = plt.subplots(figsize=(5.4, 4))
    labels = [f"{name} ({unit})" if unit else name for name, unit in zip(scan.names, units, strict=True)]
    delta = scan.delta()
    if len(scan.names) == 1:
        axis.plot(scan.values[0], delta, ".-")
        for level in LINE_LEVELS:
            axis.axhline(stats.chi2.ppf(level, 1), color="0.6", lw=0.8)
            axis.text(scan.values[0][0], stats.chi2.ppf(level, 1), f" {100 * level:.0f} %", fontsize=7, va="bottom")
        if truth is not None:
            axis.axvline(truth[0], color=MARKS["truth"]["color"], ls="--", label="truth")
        axis.set(xlabel=labels[0], ylabel="2 (best - log-likelihood)")
    else:
        shown = axis.pcolormesh(*scan.values, np.minimum(delta.T, DEEPEST), shading="nearest", cmap="cividis_r")
        draw_contours(axis, *scan.values, np.where(np.isfinite(delta), delta, 1e3).T)
        best = np.unravel_index(np.nanargmin(delta), delta.shape)
        fit = [values[i] for values, i in zip(scan.values, best, strict=True)]
        axis.plot(*fit, ls="none", label="best of the grid", **MARKS["fit"])
        if truth is not None:
            axis.plot(*truth, ls="none", label="truth", **MARKS["truth"])
        figure.colorbar(shown, label="2 (best - log-likelihood)", extend="max")
        axis.set(xlabel=labels[0], ylabel=labels[1])
    handles, names_of_handles = axis.get_legend_handles_labels()
    if handles:
        figure.legend(handles, names_of_handles, loc="outside upper right", ncols=len(handles))
    return save(figure, path, title, notice)


@styled
def corner(
    path: Path,
    posterior: Posterior,
    parameters: Sequence[Parameter],
    best: np.ndarray,
    truth: np.ndarray | None = None,
    *,
    title: str = "",
    notice: str = SIMULATED,
) -> Path:
    """Draws the samples of all parameters that vary, in pairs, with the best fit (black) and the truth (dashed).

    Args:
      path: of the figure.
      posterior: samples [S, H].
      parameters: of the hypothesis, H of them.
      best: [H], the best fit, physical units.
      truth: [H]; None: not known.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The path.

    Raises:
      ReconstructionError: the package corner is not installed.
    """
    try:
        import corner as package
    except ImportError:
        raise ReconstructionError(
            "corner plots need the package corner. Install it with: pip install 'evgen_jax[posterior]'."
        ) from None
    samples, known = posterior.samples.copy(), None if truth is None else np.array(truth, np.float64)
    varying = [int(i) for i in np.flatnonzero(np.ptp(samples, axis=0) > 0)]
    for i in varying:
        if parameters[i].role in ("azimuth", "entry_azimuth"):
            # Around the best one, so that nothing is torn apart at 0.
            samples[:, i] = best[i] + (samples[:, i] - best[i] + np.pi) % (2 * np.pi) - np.pi
            if known is not None:
                known[i] = best[i] + (known[i] - best[i] + np.pi) % (2 * np.pi) - np.pi
    shown = [parameters[i] for i in varying]
    labels = [f"{own.name} ({own.unit})" if own.unit else own.name for own in shown]
    # The package places its panels itself.
    with plt.rc_context({"figure.constrained_layout.use": False}):
        figure = package.corner(
            samples[:, varying],
            labels=labels,
            truths=best[varying],
            truth_color=MARKS["fit"]["color"],
            color="C0",
            label_kwargs={"fontsize": 8},
            quantiles=(0.16, 0.5, 0.84),
        )
        if known is not None:
            package.overplot_lines(figure, known[varying], color=MARKS["truth"]["color"], ls="--")
    return save(figure, path, title, notice)
