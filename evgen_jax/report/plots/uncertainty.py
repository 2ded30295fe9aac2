"""Figures of uncertainties: profile scans, sky maps, corner plots of posterior samples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.physics.sphere import angles
from evgen_jax.reconstruction.uncertainty.posterior import Posterior
from evgen_jax.reconstruction.uncertainty.profile import Profile
from evgen_jax.reconstruction.uncertainty.sky_map import SkyMap
from evgen_jax.report.plots.canvas import TOY, plt, save

LEVELS = (0.5, 0.9)
"""Confidence levels of contours."""


def profile(path: Path, scan: Profile, units: Sequence[str], notice: str = TOY) -> Path:
    """Draws 2 (best - log-likelihood) along one parameter, or its contours in two.

    Args:
      path: of the figure.
      scan: of one or two parameters.
      units: of the parameters.
      notice: in the corner of the figure.

    Returns:
      The path.
    """
    figure, axis = plt.subplots(figsize=(5, 4), constrained_layout=True)
    labels = [f"{name} ({unit})" if unit else name for name, unit in zip(scan.names, units, strict=True)]
    delta = scan.delta()
    if len(scan.names) == 1:
        axis.plot(scan.values[0], delta, ".-")
        for level in (0.6827, 0.9545):
            axis.axhline(stats.chi2.ppf(level, 1), color="0.6", lw=0.8)
            axis.text(scan.values[0][0], stats.chi2.ppf(level, 1), f" {100 * level:.0f} %", fontsize=7, va="bottom")
        axis.set(xlabel=labels[0], ylabel="2 (best - log-likelihood)")
    else:
        shown = axis.pcolormesh(*scan.values, np.minimum(delta.T, 25), shading="nearest", cmap="viridis_r")
        axis.contour(
            *scan.values,
            np.where(np.isfinite(delta), delta, 1e3).T,
            levels=[stats.chi2.ppf(p, 2) for p in LEVELS],
            colors="k",
            linewidths=1,
        )
        figure.colorbar(shown, label="2 (best - log-likelihood)")
        axis.set(xlabel=labels[0], ylabel=labels[1])
    return save(figure, path, notice)


def sky(path: Path, sky_map: SkyMap, truth: tuple[float, float] | None = None, notice: str = TOY) -> Path:
    """Draws the whole sky and the part around the best pixel, with contours of 50 and 90 % (Wilks).

    Args:
      path: of the figure.
      sky_map: to draw.
      truth: zenith and azimuth to mark, rad; None: nothing.
      notice: in the corner of the figure.

    Returns:
      The path.
    """
    figure = plt.figure(figsize=(11, 4.4), constrained_layout=True)
    whole = figure.add_subplot(1, 2, 1, projection="mollweide")
    near = figure.add_subplot(1, 2, 2)
    zenith, azimuth = angles(sky_map.direction)
    delta = np.minimum(sky_map.delta(), 50)
    best = int(np.argmin(sky_map.delta()))
    # Pixels of every size as dots of that size.
    size = 2.5e4 * sky_map.area / (4 * np.pi)
    shown = whole.scatter(azimuth - np.pi, np.pi / 2 - zenith, c=delta, s=np.maximum(size, 0.3), cmap="viridis_r", lw=0)
    whole.grid(alpha=0.3)
    whole.set_xticklabels([])
    whole.set_title("zenith 0 above, azimuth from 0 (left) to 360 degrees", fontsize=8)
    inside = sky_map.delta() < stats.chi2.ppf(0.99, 2)
    offset = np.degrees((azimuth - azimuth[best] + np.pi) % (2 * np.pi) - np.pi) * np.sin(zenith[best])
    height = np.degrees(zenith - zenith[best])
    reach = min(90.0, 1.3 * max(np.max(np.hypot(offset, height)[inside]), np.degrees(np.sqrt(sky_map.area[best]))))
    close = (np.abs(offset) < 2 * reach) & (np.abs(height) < 2 * reach)
    near.tripcolor(offset[close], height[close], delta[close], cmap="viridis_r", shading="gouraud")
    near.tricontour(
        offset[close], height[close], delta[close], levels=[stats.chi2.ppf(p, 2) for p in LEVELS], colors="k"
    )
    near.plot(0, 0, "kx")
    if truth is not None:
        shift = np.degrees((truth[1] - azimuth[best] + np.pi) % (2 * np.pi) - np.pi) * np.sin(zenith[best])
        near.plot(shift, np.degrees(truth[0] - zenith[best]), "r*", label="truth")
        if near.get_legend_handles_labels()[0]:
            near.legend(fontsize=8)
    near.set(
        xlim=(-reach, reach),
        ylim=(reach, -reach),
        xlabel="azimuth from the best, times sin(zenith) (deg)",
        ylabel="zenith from the best (deg)",
        aspect="equal",
    )
    near.set_title(
        f"50 %: {sky_map.contour_area(0.5):.3g}, 90 %: {sky_map.contour_area(0.9):.3g} square degrees", fontsize=8
    )
    figure.colorbar(shown, ax=near, label="2 (best - log-likelihood)")
    return save(figure, path, notice)


def corner(
    path: Path, posterior: Posterior, parameters: Sequence[Parameter], best: np.ndarray, notice: str = TOY
) -> Path:
    """Draws the samples of all parameters that vary, in pairs.

    Args:
      path: of the figure.
      posterior: samples [S, H].
      parameters: of the hypothesis, H of them.
      best: [H], the best fit, physical units.
      notice: in the corner of the figure.

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
    samples = posterior.samples.copy()
    varying = [int(i) for i in np.flatnonzero(np.ptp(samples, axis=0) > 0)]
    for i in varying:
        if parameters[i].role in ("azimuth", "entry_azimuth"):
            # Around the best one, so that nothing is torn apart at 0.
            samples[:, i] = best[i] + (samples[:, i] - best[i] + np.pi) % (2 * np.pi) - np.pi
    shown = [parameters[i] for i in varying]
    labels = [f"{own.name} ({own.unit})" if own.unit else own.name for own in shown]
    figure = package.corner(
        samples[:, varying],
        labels=labels,
        truths=best[varying],
        label_kwargs={"fontsize": 8},
        quantiles=(0.16, 0.5, 0.84),
    )
    return save(figure, path, notice)
