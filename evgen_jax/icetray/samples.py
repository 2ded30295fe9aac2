"""Posterior samples and maps of directions of fits, as named numbers and arrays for frames."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from evgen_jax.config.records import ReconstructionSettings
from evgen_jax.hypothesis.joint_prior import make_prior, prior_limits
from evgen_jax.hypothesis.parameters import Parameter, direction_pairs
from evgen_jax.icetray.fit_frames import FrameFit
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.physics.sphere import angles, fit_kent, fit_von_mises_fisher
from evgen_jax.reconstruction.fit.settings import FitSettings
from evgen_jax.reconstruction.uncertainty.posterior import Posterior, make_posterior_sampler
from evgen_jax.reconstruction.uncertainty.sky_map import SkyMap, make_sky_map

Drawn = TypeVar("Drawn")
Sampled = tuple[dict[str, float], dict[str, np.ndarray]]
"""Named numbers for the map of a fit, and arrays by the ends of their keys."""
DISTRIBUTIONS = "distribution_settings"
"""Entry of Event-Generator's settings of samples and maps that has no effect: samples are described by the distributions of
von Mises-Fisher and Kent."""


def make_sampling(
    model: AnyModel, settings: ReconstructionSettings, values: Mapping[str, Any]
) -> list[Callable[[FrameFit], Sampled]]:
    """Makes what draws samples and maps as the parameters of a module say.

    Args:
      model: that is fitted.
      settings: section reconstruction_settings of a configuration.
      values: of the module's parameters by name: add_mcmc_samples, mcmc_settings, mcmc_quantiles, add_skyscan,
        skyscan_settings, random_seed.

    Returns:
      Functions of a fit; without a fit they give NaN under the same names.

    Raises:
      ReconstructionError: settings that do not fit the model, or a package that is not installed.
    """
    free = FitSettings(
        free=settings.minimize_parameter_dict,
        default_free=settings.minimize_parameter_default_value,
        bounds=settings.parameter_boundaries,
    )
    made = list[Callable[[FrameFit], Sampled]]()
    if values["add_mcmc_samples"]:
        chosen = {key: value for key, value in dict(values["mcmc_settings"]).items() if key != DISTRIBUTIONS}
        priors = chosen.pop("priors", {})
        limits = {**(settings.parameter_boundaries or {}), **prior_limits(model.parameters, priors)}
        sampler = make_posterior_sampler(
            model,
            make_prior(model.parameters, priors),
            FitSettings(free=free.free, default_free=free.default_free, bounds=limits or None),
            **chosen,
        )
        key = jax.random.key(values["random_seed"])
        quantiles = tuple(float(q) for q in values["mcmc_quantiles"])
        made.append(
            lambda fit: posterior_numbers(
                _of_fit(fit, lambda event, best: sampler(event, best, key)), model.parameters, quantiles
            )
        )
    if values["add_skyscan"]:
        chosen = {key: value for key, value in dict(values["skyscan_settings"]).items() if key != DISTRIBUTIONS}
        sky = make_sky_map(model, free, **chosen)
        made.append(lambda fit: sky_map_numbers(_of_fit(fit, sky), model.parameters))
    return made


def _of_fit(fit: FrameFit, draw: Callable[[Any, np.ndarray], Drawn]) -> Drawn | None:
    if fit.result is None or fit.event is None:
        return None
    return draw(fit.event, np.asarray(fit.result.hypothesis, np.float64))


def posterior_numbers(
    posterior: Posterior | None, parameters: Sequence[Parameter], quantiles: Sequence[float]
) -> Sampled:
    """Describes samples of a posterior.

    Args:
      posterior: samples of C chains; None without a fit.
      parameters: of the model, H of them.
      quantiles: probabilities of central intervals.

    Returns:
      MCMC_acceptance_ratio, MCMC_largest_r_hat, and per parameter `MCMC_<p>_median`, `MCMC_<p>_q0.680_lower` and _upper, in its unit;
      of hypotheses with a direction its distributions of von Mises-Fisher (MCMC_vMF__zenith, _azimuth and _sigma, rad) and Kent
      (MCMC_Kent__zenith, _azimuth, rad, _kappa and _beta), NaN for a fixed direction. Arrays `MCMC_<p>` and MCMC_log_prob_values of
      all samples. Without a fit all numbers are NaN, and there are no arrays.
    """
    samples = np.full((1, len(parameters)), np.nan) if posterior is None else posterior.samples
    acceptance, r_hat = (np.nan, np.nan) if posterior is None else (posterior.acceptance, posterior.r_hat)
    numbers = {"MCMC_acceptance_ratio": float(np.mean(acceptance)), "MCMC_largest_r_hat": float(np.max(r_hat))}
    for k, parameter in enumerate(parameters):
        numbers[f"MCMC_{parameter.name}_median"] = float(np.median(samples[:, k]))
        for probability in quantiles:
            low, high = np.quantile(samples[:, k], [(1 - probability) / 2, (1 + probability) / 2])
            numbers[f"MCMC_{parameter.name}_q{probability:.3f}_lower"] = float(low)
            numbers[f"MCMC_{parameter.name}_q{probability:.3f}_upper"] = float(high)
    if pairs := direction_pairs(parameters):
        zenith, azimuth = pairs[-1]
        numbers |= _distributions("MCMC", samples[:, zenith], samples[:, azimuth])
    if posterior is None:
        return numbers, {}
    arrays = {f"MCMC_{parameter.name}": samples[:, k] for k, parameter in enumerate(parameters)}
    return numbers, arrays | {"MCMC_log_prob_values": posterior.log_density.ravel()}


def _distributions(prefix: str, zenith: np.ndarray, azimuth: np.ndarray) -> dict[str, float]:
    names = [
        f"{prefix}_{name}"
        for name in (
            "vMF__zenith",
            "vMF__azimuth",
            "vMF__sigma",
            "Kent__zenith",
            "Kent__azimuth",
            "Kent__kappa",
            "Kent__beta",
        )
    ]
    if not (np.ptp(zenith) > 0 or np.ptp(azimuth) > 0):  # fixed, or NaN
        return dict.fromkeys(names, np.nan)
    round_one, kent = fit_von_mises_fisher(zenith, azimuth), fit_kent(zenith, azimuth)
    theta, phi = angles(kent.axes[0])
    values: tuple[Any, ...] = (round_one.zenith, round_one.azimuth, round_one.sigma, theta, phi, kent.kappa, kent.beta)
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def sky_map_numbers(sky: SkyMap | None, parameters: Sequence[Parameter]) -> Sampled:
    """Describes a map of directions.

    Args:
      sky: pixels of several sizes, P of them; None without a fit.
      parameters: of the model, H of them.

    Returns:
      SkyScan_min_loss, SkyScan_min_nside, SkyScan_min_ipix and `SkyScan_min_<p>` of the best pixel, areas of the 50 and
      90 % contours (SkyScan_area_50, SkyScan_area_90, square degrees, Wilks with 2 degrees of freedom). Arrays
      SkyScan_%03d_loss and SkyScan_%03d_ipix per nside: the pixels of that size, in HEALPix's nested order, which
      together cover the sky once. Without a fit all numbers are NaN, and there are no arrays.
    """
    names = ["loss", "nside", "ipix", *(parameter.name for parameter in parameters)]
    if sky is None:
        return dict.fromkeys(
            [*(f"SkyScan_min_{name}" for name in names), "SkyScan_area_50", "SkyScan_area_90"], np.nan
        ), {}
    best = int(np.nanargmax(sky.log_likelihood))
    degrees = (180 / np.pi) ** 2
    values = (-sky.log_likelihood[best], 2 ** int(sky.order[best]), sky.pixel[best], *sky.hypothesis[best])
    numbers = {f"SkyScan_min_{name}": float(value) for name, value in zip(names, values, strict=True)}
    numbers |= {f"SkyScan_area_{share:.0f}": sky.contour_area(share / 100) * degrees for share in (50, 90)}
    arrays: dict[str, np.ndarray] = {}
    for order in np.unique(sky.order):
        own = sky.order == order
        arrays[f"SkyScan_{2 ** int(order):03d}_loss"] = -sky.log_likelihood[own]
        arrays[f"SkyScan_{2 ** int(order):03d}_ipix"] = sky.pixel[own].astype(np.int64)
    return numbers, arrays
