"""Figures of uncertainties: profile scans and corner plots of posterior samples."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from evgen_jax.errors import ReconstructionError
from evgen_jax.model.ensemble import AnyModel, check_model
from evgen_jax.reconstruction.uncertainty.posterior import Posterior
from evgen_jax.reconstruction.uncertainty.profile import Profile
from evgen_jax.report.plots.canvas import DEEPEST, MARKS, Drawing, draw_contours, empty, finished, styled, subplots
from evgen_jax.report.plots.given import Hypothesis, check_kind, values_of

LINE_LEVELS = (0.6827, 0.9545)
"""Confidence levels of scans in one parameter."""
PANEL = 2.0
"""Width of a panel of a corner plot, inches."""
FEWEST_SAMPLES = 200
"""Smallest number of samples of which a corner plot draws contours; below it only points."""


@styled
def profile(
    scan: Profile,
    units: Sequence[str] = (),
    truth: Sequence[float] | None = None,
    *,
    title: str = "",
    notice: str = "",
) -> Drawing:
    """Draws 2 (best - log-likelihood) along one parameter, or its contours in two.

    Args:
      scan: of one or two parameters.
      units: of the parameters; () leaves them out.
      truth: value of each parameter; None: not known.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      ConfigError: no scan.

    Example:
      eg.plots.profile(scan_profile(model, event, fit.hypothesis, {"cascade_energy": energies}), ["GeV"])
    """
    check_kind(scan, Profile, "eg.reconstruction.scan_profile(model, event, hypothesis, {name: values})")
    units = units or [""] * len(scan.names)
    figure, axis = subplots(figsize=(5.4, 4))
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
    return finished(figure, title, notice)


@styled
def corner(
    model: AnyModel,
    posterior: Posterior,
    hypothesis: Hypothesis,
    *,
    truth: Hypothesis | None = None,
    title: str = "",
    notice: str = "",
) -> Drawing:
    """Draws the samples of all parameters that vary, in pairs, with the best fit (black) and the truth (dashed).

    Args:
      model: gives the parameters.
      posterior: samples [S, H].
      hypothesis: [H], the best fit, physical units (m, ns, GeV, rad), or a fit.
      truth: [H]; None: not known.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      ConfigError: no model, or no samples.
      HypothesisError: a hypothesis of another shape.
      ReconstructionError: a fit that failed, fewer samples than parameters that vary, or the package corner is not installed.

    Example:
      eg.plots.corner(model, posterior, fit, truth=truth)
    """
    check_model(model)
    check_kind(posterior, Posterior, "eg.reconstruction.make_posterior_sampler(model, prior)(event, hypothesis, key)")
    parameters, best = model.parameters, values_of(hypothesis, model)
    try:
        import corner as package
    except ImportError:
        raise ReconstructionError(
            "corner plots need the package corner. Install it with: pip install 'evgen_jax[posterior]'."
        ) from None
    samples, known = posterior.samples.copy(), None if truth is None else values_of(truth, model, "a truth").copy()
    varying = [int(i) for i in np.flatnonzero(np.ptp(samples, axis=0) > 0)]
    for i in varying:
        if parameters[i].role in ("azimuth", "entry_azimuth"):
            # Around the best one, so that nothing is torn apart at 0.
            samples[:, i] = best[i] + (samples[:, i] - best[i] + np.pi) % (2 * np.pi) - np.pi
            if known is not None:
                known[i] = best[i] + (known[i] - best[i] + np.pi) % (2 * np.pi) - np.pi
    if not varying:
        raise ReconstructionError(
            "a corner plot needs samples that differ: every parameter is the same in all of these."
        )
    if len(samples) < len(varying):
        raise ReconstructionError(
            f"a corner plot of {len(varying)} parameters that vary needs more than {len(samples)} samples: draw a longer chain."
        )
    enough, shown = len(samples) >= FEWEST_SAMPLES, [parameters[i] for i in varying]
    labels = [f"{own.name} ({own.unit})" if own.unit else own.name for own in shown]
    size = PANEL * (len(varying) + 1)
    figure = empty(figsize=(size, size), layout="none")  # the package places its panels itself
    package.corner(
        samples[:, varying],
        labels=labels,
        truths=best[varying],
        truth_color=MARKS["fit"]["color"],
        color="C0",
        label_kwargs={"fontsize": 8},
        quantiles=(0.16, 0.5, 0.84),
        # Contours of a few samples are those of single points.
        plot_contours=enough,
        plot_density=enough,
        quiet=True,
        fig=figure,
    )
    if known is not None:
        package.overplot_lines(figure, known[varying], color=MARKS["truth"]["color"], ls="--")
    return finished(figure, title, notice)
