"""What is computed about one fitted event, before anything is drawn or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.joint_prior import make_prior, prior_limits
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.model.model import Model
from evgen_jax.progress import stage
from evgen_jax.reconstruction.fit.fit import Fitter
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.reconstruction.fit.settings import FitSettings
from evgen_jax.reconstruction.uncertainty.celestial import Celestial
from evgen_jax.reconstruction.uncertainty.posterior import Posterior, make_posterior_sampler
from evgen_jax.reconstruction.uncertainty.profile import Profile, scan_profile
from evgen_jax.reconstruction.uncertainty.sky_map import SkyMap, make_sky_map
from evgen_jax.report.plots.expected import ExpectedCharges, expected_charges
from evgen_jax.report.plots.given import models_by_name

SCAN_POINTS = 21
"""Number of points of a scan."""
SCAN_WIDTHS = 3.0
"""Half the length of a scan, in standard deviations by the Hessian."""
WORST = 9
"""Largest number of DOMs drawn for the largest pulls of their charge."""


@dataclass(frozen=True)
class ReportSettings:
    """States what goes into a report besides the fit, its light and the event display.

    Attributes:
      scans: parameters to scan, all others fitted.
      sky_map: whether to make an adaptive sky map.
      posterior: whether to sample the posterior.
      priors: of the posterior, {parameter: {"distribution": name, ...its numbers}}.
      notice: a line on every figure and on the page.
    """

    scans: tuple[str, ...] = ()
    sky_map: bool = False
    posterior: bool = False
    priors: dict[str, dict[str, Any]] | None = None
    notice: str = ""


@dataclass(frozen=True)
class Alert:
    """States what makes a sky map one that others can use: where and when the event was seen, and which one it is.

    Attributes:
      celestial: coordinates of its map.
      run: number of the run.
      event: number of the event.
      sender: who publishes the map; '': this program.
    """

    celestial: Celestial
    run: int
    event: int
    sender: str = ""


@dataclass(frozen=True)
class Findings:
    """Holds one event, its fit and what was found out about both.

    Attributes:
      model: that was fitted.
      event: what was measured.
      result: of the fit.
      models: the model, or the members of an ensemble, by the names that figures show.
      views: what each of the models expects at the fit, by its name.
      pulls: [D], (measured - expected charge) / width, in the mean over the models.
      worst: places of the DOMs with the largest pulls.
      scans: profile scans by parameter.
      sky_map: None if it was not asked for.
      posterior: None if it was not asked for, or is not there yet.
      truth: [H], physical units; None if it is not known.
      alert: what belongs to a celestial sky map; None: the map is that of the detector's sky.
    """

    model: AnyModel
    event: Event
    result: FitResult
    models: Mapping[str, Model]
    views: Mapping[str, ExpectedCharges]
    pulls: np.ndarray
    worst: tuple[int, ...]
    scans: Mapping[str, Profile]
    sky_map: SkyMap | None
    posterior: Posterior | None
    truth: np.ndarray | None = None
    alert: Alert | None = None


def examine(
    fitter: Fitter,
    event: Event,
    result: FitResult,
    settings: ReportSettings,
    truth: np.ndarray | None = None,
    alert: Alert | None = None,
) -> Findings:
    """Computes what a report shows, but for the posterior (`with_posterior`).

    Args:
      fitter: that fitted the event.
      event: what was measured.
      result: of the fit, with covariances for scans of a suitable length.
      settings: what to compute besides the expected light.
      truth: [H], physical units; None: not known.
      alert: makes the sky map celestial; None: it is that of the detector's sky.

    Returns:
      The findings.

    Raises:
      ReconstructionError: the fit failed, or a package is not installed.
      ConfigError: an unknown parameter to scan.
    """
    if result.failed:
        raise ReconstructionError(f"the fit failed ({result.diagnostics.message}); there is nothing to show.")
    model, best = fitter.model, result.hypothesis
    models = models_by_name(model)
    views = {name: expected_charges(member, event, best) for name, member in models.items()}
    pulls = charge_pulls(mean_expectation(list(views.values())), event)
    worst = tuple(int(d) for d in np.argsort(-np.abs(pulls), kind="stable")[:WORST] if pulls[d] != 0)
    scans = {}
    for name in settings.scans:
        with stage(f"scan of {name}"):
            scans[name] = scan_profile(model, event, best, {name: _grid(model, result, name).tolist()})
    sky_map = None
    if settings.sky_map:
        with stage("sky map"):
            sky_map = make_sky_map(model)(event, best, None if alert is None else alert.celestial)
    return Findings(model, event, result, models, views, pulls, worst, scans, sky_map, None, truth, alert)


def with_posterior(findings: Findings, settings: ReportSettings) -> Findings:
    """Samples the posterior of a report's event, which takes longer than all else.

    Args:
      findings: of `examine`.
      settings: hold the priors.

    Returns:
      The findings with the posterior.

    Raises:
      ReconstructionError: blackjax is not installed, or nothing can be sampled at the fit.
    """
    priors = settings.priors or {}
    limits = FitSettings(bounds=prior_limits(findings.model.parameters, priors))
    with stage("posterior"):
        sampler = make_posterior_sampler(findings.model, make_prior(findings.model.parameters, priors), limits)
        found = sampler(findings.event, findings.result.hypothesis, jax.random.key(0))
    return replace(findings, posterior=found)


def charge_pulls(view: ExpectedCharges, event: Event) -> np.ndarray:
    """Computes how far the charge of every DOM is from the expected one.

    Args:
      view: what is expected.
      event: what was measured.

    Returns:
      (measured - expected charge) / width [D]; 0 where less than 0.5 PE is expected and less than 3 PE were seen.
    """
    charge, expected = np.asarray(event.charge, np.float64), np.asarray(view.charge, np.float64)
    pull = (charge - expected) / np.sqrt(np.maximum(np.asarray(view.variance, np.float64), 1e-9))
    return np.where(np.asarray(event.usable) & ((expected > 0.5) | (charge >= 3)), pull, 0.0)


def mean_expectation(views: Sequence[ExpectedCharges]) -> ExpectedCharges:
    """Averages what several models expect.

    Args:
      views: of each model.

    Returns:
      The mean of every array.
    """
    mean: ExpectedCharges = jax.tree.map(lambda *arrays: np.mean(arrays, axis=0), *views)
    return mean


def _grid(model: AnyModel, result: FitResult, name: str) -> np.ndarray:
    """`SCAN_WIDTHS` widths of the Hessian to either side, at most one of the normalisation."""
    place = model.index(name)
    best, logged = result.hypothesis[place], model.trafo.log[place]
    covariance = result.covariance
    width = model.trafo.scale()[place]
    if covariance is not None and place in covariance.free:
        k = int(np.flatnonzero(covariance.free == place)[0])
        own = SCAN_WIDTHS * float(np.sqrt(covariance.physical[k, k]))
        width = min(width, own) if np.isfinite(own) else width
    steps = np.linspace(-width, width, SCAN_POINTS)
    return np.asarray(np.expm1(np.log1p(best) + steps) if logged else best + steps)
