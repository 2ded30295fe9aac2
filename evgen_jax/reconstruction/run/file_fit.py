"""Fits the events of one file: events and seeds in, rows of the table out."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.data.file_events import EventFile
from evgen_jax.data.modules_of_events import say_once
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.usable_pulses import DARK, is_dark
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.progress import done
from evgen_jax.reconstruction.fit.batching import batches, blocks
from evgen_jax.reconstruction.fit.coordinates import free_flags
from evgen_jax.reconstruction.fit.fit import Fitter, make_fitter
from evgen_jax.reconstruction.fit.lanes import LANES
from evgen_jax.reconstruction.fit.plausible import FAR_AWAY, far_away
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.reconstruction.fit.settings import FitSettings
from evgen_jax.reconstruction.run.seeds import FROM_PULSES, make_seed_reader
from evgen_jax.reconstruction.run.table import columns, fill
from evgen_jax.reconstruction.starts.directions import fit_without_seeds, refit_directions
from evgen_jax.reconstruction.starts.shape import has_one_direction
from evgen_jax.reconstruction.uncertainty.goodness_of_fit import GoodnessOfFit, make_goodness_of_fit

LOGGER = logging.getLogger("evgen_jax")
NO_SEED = "failed: the seed is missing or not finite"
"""Reason why an event of which no seed can be used is not fitted."""
SCATTERED_ONCE = 100.0
"""Effective scattering length, m, above which directions of seeds are not relied on: light crosses the usual distance of strings
with its direction kept. In sea water (265 m) one smeared seed found the deepest minimum of 3 of 24 cascades, in ice of 23."""
SEARCHED_TOGETHER = 8
"""Number of events that are searched from many directions together: enough for all threads, within minutes."""


def make_file_fit(
    model: AnyModel, handler: DataHandlerSettings, settings: ReconstructionSettings
) -> Callable[[Path], np.ndarray]:
    """Makes a function that fits the events of a file.

    Seeds come from the tables `settings.seed`, from the labels if it is 'x_parameters', or are found from the pulses if
    it is 'pulses'.

    Args:
      model: exported.
      handler: section data_handler_settings of a configuration.
      settings: section reconstruction_settings of a configuration.

    Returns:
      Function file -> rows of the table, one per event.

    Raises:
      ReconstructionError: settings that do not fit the model.
    """
    columns(model.parameter_names)  # names that no table can have are told before the first fit
    fit, read = make_configured_fitter(model, settings), make_seed_reader(model, handler, settings)
    goodness = make_goodness_of_fit(model, fit=fit) if settings.calculate_goodness_of_fit else None

    def file_fit(path: Path) -> np.ndarray:
        file, seeds = read(path)
        return _rows(model, fit, file, seeds, settings, goodness)

    return file_fit


def make_configured_fitter(model: AnyModel, settings: ReconstructionSettings) -> Fitter:
    """Makes the fitter that a configuration describes.

    Args:
      model: to fit.
      settings: section reconstruction_settings of a configuration.

    Returns:
      The fitter.

    Raises:
      ReconstructionError: settings that do not fit the model, such as an unknown parameter.
    """
    scipy_settings = dict(settings.scipy_optimizer_settings)
    method = "batched"
    if settings.reco_optimizer_interface == "scipy":
        method = scipy_settings.pop("method", "BFGS")
    elif settings.reco_optimizer_interface != "batched":
        LOGGER.warning(
            "reconstruction_settings.reco_optimizer_interface: '%s' is not there; events are fitted with 'batched'.",
            settings.reco_optimizer_interface,
        )
    fit = FitSettings(
        free=settings.minimize_parameter_dict,
        default_free=settings.minimize_parameter_default_value,
        bounds=settings.parameter_boundaries,
        method=method,
        gradient_tolerance=settings.gradient_tolerance,
        max_iterations=settings.max_iterations,
        optimizer_settings=None if method == "batched" else scipy_settings,
        in_trafo_space=settings.minimize_in_trafo_space,
    )
    return make_fitter(model, fit, covariance=with_covariance(settings))


def with_covariance(settings: ReconstructionSettings) -> bool:
    """Tells whether fits have covariances.

    Args:
      settings: section reconstruction_settings of a configuration.

    Returns:
      Whether covariance or angular uncertainty are asked for.
    """
    return settings.calculate_covariance_matrix or settings.estimate_angular_uncertainty


def covariance_places(model: AnyModel, settings: ReconstructionSettings) -> tuple[tuple[bool, ...], tuple[int, ...]]:
    """Finds which parameters are fitted as ln(1 + p), and which have a covariance.

    Args:
      model: gives the parameters, H of them.
      settings: section reconstruction_settings of a configuration.

    Returns:
      H flags for ln(1 + p), and places of the parameters with a covariance; none if none is calculated.
    """
    log = model.trafo.log if settings.minimize_in_trafo_space else (False,) * len(model.parameter_names)
    if not with_covariance(settings):
        return log, ()
    flags = free_flags(
        model,
        FitSettings(free=settings.minimize_parameter_dict, default_free=settings.minimize_parameter_default_value),
    )
    return log, tuple(int(i) for i in np.flatnonzero(flags))


def fit_as_configured(
    fit: Fitter, events: Sequence[Event], seeds: np.ndarray, settings: ReconstructionSettings
) -> list[FitResult]:
    """Fits events from seeds or from their pulses, and from other directions if the settings ask for it.

    Args:
      fit: of `make_configured_fitter`.
      events: E of them.
      seeds: [E, S, H], physical units; not used if `settings.seed` is 'pulses'.
      settings: section reconstruction_settings of a configuration.

    Returns:
      E fits.

    Raises:
      ReconstructionError: a hypothesis for which no directions or starts can be found.
    """
    if settings.seed == FROM_PULSES:
        return fit_without_seeds(fit, events, sphere_radius=settings.sphere_radius)
    fits = fit(events, seeds)
    return refit_directions(fit, events, fits) if with_other_directions(fit, settings) else fits


def with_other_directions(fit: Fitter, settings: ReconstructionSettings) -> bool:
    """Tells whether events are fitted from other directions than those of their seeds, too.

    Args:
      fit: of `make_configured_fitter`.
      settings: section reconstruction_settings of a configuration; where it leaves the matter open, hypotheses of one
        free direction are, in media that scatter little; not from labels as seeds, and not one by one.

    Returns:
      Whether they are.
    """
    if settings.refit_directions is not None:
        return settings.refit_directions
    if settings.reco_optimizer_interface == "scipy" or settings.seed == "x_parameters":
        return False
    if not fit.evaluator.coordinates.directions or not has_one_direction(fit.model):
        return False
    medium = fit.model.detector.medium
    if float(medium.mean_scattering_length) < SCATTERED_ONCE:
        return False
    say_once(
        f"'{medium.name}' scatters light little, and likelihoods of such light have many minima in direction: events are "
        "fitted from other directions than those of their seeds, too, at several times the cost. reconstruction_settings."
        "refit_directions: true says so, false leaves it out."
    )
    return True


def fit_events(
    fit: Fitter,
    file: EventFile,
    seeds: np.ndarray,
    settings: ReconstructionSettings,
    goodness: Callable[..., GoodnessOfFit] | None = None,
) -> tuple[list[FitResult | str], dict[int, GoodnessOfFit]]:
    """Fits events of which some cannot be fitted.

    Args:
      fit: of `make_configured_fitter`.
      file: E events.
      seeds: [E, S, H], physical units, relative to the detector's origin; not used if `settings.seed` is 'pulses'.
      settings: section reconstruction_settings of a configuration.
      goodness: of `make_goodness_of_fit`, which ranks fits among simulated ones; None: fits are not ranked.

    Returns:
      For every event its fit, or why there is none; and the rank of those that are ranked, by their numbers.

    Raises:
      ReconstructionError: a hypothesis for which no directions or starts can be found.
    """
    seedless = settings.seed == FROM_PULSES
    events = {i: file.event(i) for i in file.good}
    results: list[FitResult | str] = [f"failed: {file.faults.get(i, '')}" for i in range(len(file))]
    far = far_away(fit.model.parameters, fit.model.detector, seeds)
    for i, event in events.items():
        results[i] = ""
        if is_dark(event):
            results[i] = DARK
        elif not seedless and not np.all(np.isfinite(seeds[i]), axis=-1).any():
            results[i] = NO_SEED
        elif far[i].all():
            results[i] = f"failed: the seed lies more than {FAR_AWAY:g} m outside the detector"
    chosen = [i for i, result in enumerate(results) if result == ""]
    usable, found = np.where(far[..., None], np.nan, seeds), {}
    done(len(file) - len(chosen))
    for block in _blocks(fit, events, chosen, seeds.shape[1], settings):
        fits = fit_as_configured(fit, [events[i] for i in block], usable[block], settings)
        for i, result in zip(block, fits, strict=True):
            results[i] = result
            if goodness is not None and not result.failed:
                found[i] = goodness(events[i], result.hypothesis, settings.random_seed + i)
        done(len(block))
    return results, found


def _rows(
    model: AnyModel,
    fit: Fitter,
    file: EventFile,
    seeds: np.ndarray,
    settings: ReconstructionSettings,
    goodness: Callable[..., GoodnessOfFit] | None,
) -> np.ndarray:
    """Fits the events of one file."""
    results, found = fit_events(fit, file, seeds, settings, goodness)
    events = {i: file.event(i) for i in file.good} if settings.column_names == "reference" else {}
    truth = _truth(fit, file, events) if settings.column_names == "reference" else None
    log, free = covariance_places(model, settings)
    table = fill(model.parameter_names, log, file.ids, seeds, results, free, truth)
    for i, own in found.items():
        table["goodness_of_fit"][i], table["goodness_of_fit_two_sided"][i] = own.p_value, own.p_value_two_sided
    # Back to the coordinates of the files.
    names = model.parameter_names
    shift = relative_to_origin(model.detector, model.parameters, np.zeros(len(names)), +1)
    for name, origin in zip(names, shift, strict=True):
        for column in {name, f"{name}_seed", f"{name}_true"} & set(table.dtype.names or ()):
            table[column] += origin
    return table


def _blocks(
    fit: Fitter, events: Mapping[int, Event], chosen: Sequence[int], num_seeds: int, settings: ReconstructionSettings
) -> Iterator[list[int]]:
    """Places of the chosen events, of one shape each, in blocks that are fitted together: as many as a call takes."""
    searched = settings.seed == FROM_PULSES or with_other_directions(fit, settings)
    size = SEARCHED_TOGETHER if searched else max(LANES // num_seeds, 1)
    for places in blocks([events[i] for i in chosen], size):
        yield [chosen[i] for i in places]


def _truth(fit: Fitter, file: EventFile, events: Mapping[int, Event]) -> tuple[np.ndarray, np.ndarray]:
    """True parameters [E, H] and the log-likelihood there [E]; NaN without labels of the model's parameters."""
    shape = (len(file), len(fit.model.parameter_names))
    if file.labels is None or np.shape(file.labels) != shape:
        return np.full(shape, np.nan), np.full(len(file), np.nan)
    truth, value, numbers = np.asarray(file.labels, np.float64), np.full(len(file), np.nan), list(events)
    evaluator = fit.precise or fit.evaluator
    for places, batch in batches([events[i] for i in numbers]):
        own = [numbers[k] for k in places]
        unknown = evaluator.start(truth[own])
        value[own] = -evaluator.gradient(batch, np.arange(len(own)), unknown, truth[own])[0]
    return truth, np.where(np.isfinite(value), value, np.nan)
