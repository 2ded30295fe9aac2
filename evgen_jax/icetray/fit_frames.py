"""Fits of the events of frames, many together: records in, records out, without IceTray."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evgen_jax.config.records import ReconstructionSettings
from evgen_jax.data.event_file import EventFile
from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.icetray.records import FitStatus, FrameEvent
from evgen_jax.icetray.seeds import SeedRules, check_rules, seeds_of_event, seeds_per_key
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.measured import Measured, faults, without_events
from evgen_jax.measurement.packing import pack_events
from evgen_jax.measurement.ragged import Rows
from evgen_jax.measurement.sensor_labels import sensor_label
from evgen_jax.measurement.usable_pulses import DARK
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.reconstruction.fit.fit import Fitter
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.reconstruction.run.file_fit import NO_SEED, fit_events, make_configured_fitter
from evgen_jax.reconstruction.run.seeds import FROM_PULSES
from evgen_jax.reconstruction.starts.two_cascades import as_one_cascade, find_two_cascades
from evgen_jax.reconstruction.uncertainty.goodness_of_fit import GoodnessOfFit


@dataclass(frozen=True)
class FrameFit:
    """Holds what became of the event of one frame.

    Attributes:
      status: of the fit.
      message: why the fit ended, or why there is none.
      hypothesis: [H], physical units, coordinates of the detector's table; NaN without a fit.
      seed: [H], the seed that led to the fit; NaN without one.
      seed_key: key of that seed; empty without one.
      result: the fit, in coordinates relative to the detector's origin; None without one.
      goodness: rank of the fit among simulated ones; None where it is not asked for.
      log_likelihood_ratio: ln L of two cascades less that of one; NaN where it is not asked for.
      event: what was fitted; None for an event that cannot be used.
    """

    status: FitStatus
    message: str
    hypothesis: np.ndarray
    seed: np.ndarray
    seed_key: str = ""
    result: FitResult | None = None
    goodness: GoodnessOfFit | None = None
    log_likelihood_ratio: float = np.nan
    event: Event | None = None


def sensor_labels(sensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the labels of sensors in detector tables.

    Args:
      sensor: [N, 3], string, module and photomultiplier.

    Returns:
      Strings [N] and om numbers [N].
    """
    string, module, tube = np.asarray(sensor, np.int64).reshape(-1, 3).T
    return string, sensor_label(module, tube)


def _doms(detector: Detector, sensor: np.ndarray) -> tuple[np.ndarray, str]:
    """Places [N] of sensors, -1 for those that the detector ignores; and the first that it does not know."""
    string, om = sensor_labels(sensor)
    dom = detector.dom_index(string, om)
    unknown = np.flatnonzero((dom < 0) & ~detector.is_ignored(string, om))
    if len(unknown) == 0:
        return dom, ""
    return dom, (
        f"has a pulse at string {string[unknown[0]]}, om {om[unknown[0]]}, which the detector '{detector.name}' does not know"
    )


def _rows(event: int, dom: np.ndarray, values: dict[str, np.ndarray]) -> Rows:
    """Rows of one event at sensors that the detector has."""
    return Rows(np.full(len(dom), event, np.int64), dom.astype(np.int64), values).select(dom >= 0)


def _together(parts: Sequence[Rows], columns: Sequence[str]) -> Rows:
    """Rows of many events behind each other."""
    nothing = np.zeros(0, np.int64)
    return Rows(
        np.concatenate([nothing, *(part.event for part in parts)]),
        np.concatenate([nothing, *(part.dom for part in parts)]),
        {name: np.concatenate([np.zeros(0), *(part[name] for part in parts)]) for name in columns},
    )


def events_of_frames(
    events: Sequence[FrameEvent], detector: Detector, *, buffer: float = 100.0, discard_excluded: bool = False
) -> EventFile:
    """Makes events of what frames hold: bit for bit those that are read from a file with the same pulses.

    Args:
      events: of E frames.
      detector: gives sensors their place.
      buffer: ns, by which a readout that is not given exceeds the pulses.
      discard_excluded: whether pulses of excluded modules are left out.

    Returns:
      The events; `faults` says of those that cannot be used why.
    """
    pulses, excluded, windows = list[Rows](), list[Rows](), list[Rows]()
    readout, wrong, ignored = np.zeros((len(events), 2)), dict[int, str](), 0
    for i, event in enumerate(events):
        dom, unknown = _doms(detector, event.pulses.sensor)
        if event.fault or unknown:
            wrong[i] = event.fault or unknown
        ignored += 0 if unknown else int(np.sum(dom < 0))
        own = _rows(i, dom, {"charge": event.pulses.charge, "time": event.pulses.time})
        pulses.append(own)
        excluded.append(_rows(i, _doms(detector, event.excluded)[0], {}))
        ends = {"start": event.windows.start, "stop": event.windows.stop}
        windows.append(_rows(i, _doms(detector, event.windows.sensor)[0], ends))
        # As for files: from the first to the last pulse, and further on either side.
        lit = len(own) > 0
        seen = (own["time"].min(), own["time"].max()) if lit else (0.0, 0.0)
        readout[i] = (seen[0] - buffer, seen[1] + buffer) if event.readout is None else event.readout
    measured = Measured(
        len(events),
        _together(pulses, ("charge", "time")),
        _together(excluded, ()),
        _together(windows, ("start", "stop")),
        readout,
    )
    wrong = faults(measured) | wrong
    packed = pack_events(
        without_events(measured, sorted(wrong)),
        np.asarray(detector.usable, bool),
        window_buffer=buffer,
        discard_excluded=discard_excluded,
    )
    ids = np.array([event.ids for event in events], np.int64).reshape(-1, 4)
    return EventFile(Path("frames"), ids, None, {}, packed, wrong, ignored=ignored)


@dataclass(frozen=True)
class FrameFitter:
    """Fits the events of frames; made by `make_frame_fitter`.

    Attributes:
      fit: of the model.
      settings: section reconstruction_settings of a configuration.
      rules: how seeds become hypotheses.
      single: fits one cascade in the place of two, for log-likelihood ratios; None: these are not asked for.
      goodness: ranks fits among simulated ones; None: that is not asked for.
      buffer: ns, by which a readout that is not given exceeds the pulses.
      discard_excluded: whether pulses of excluded modules are left out.
    """

    fit: Fitter
    settings: ReconstructionSettings
    rules: SeedRules
    single: Fitter | None = None
    goodness: Callable[..., GoodnessOfFit] | None = None
    buffer: float = 100.0
    discard_excluded: bool = False

    def __call__(self, events: Sequence[FrameEvent]) -> list[FrameFit]:
        """Fits events.

        Args:
          events: of E frames.

        Returns:
          What became of each, in their order.
        """
        model = self.fit.model
        parameters, seedless = model.parameters, self.settings.seed == FROM_PULSES
        made = [([], []) if seedless else seeds_of_event(event, self.rules, parameters) for event in events]
        if seedless:
            seeds = np.full((len(events), 1, len(parameters)), np.nan)
        else:
            shape = (-1, len(self.rules.keys) * seeds_per_key(self.rules, parameters), len(parameters))
            seeds = np.array([own for own, _ in made], np.float64).reshape(shape)
        seeds = relative_to_origin(model.detector, parameters, seeds)
        file = events_of_frames(events, model.detector, buffer=self.buffer, discard_excluded=self.discard_excluded)
        results, ranks = fit_events(self.fit, file, seeds, self.settings, self.goodness)
        fits = []
        for i, result in enumerate(results):
            own = self._one(result, seeds[i], made[i][1])
            fits.append(replace(own, goodness=ranks.get(i), event=None if i in file.faults else file.event(i)))
        return fits if self.single is None else self._with_ratios(fits, file, seeds)

    def _one(self, result: FitResult | str, seeds: np.ndarray, notes: Sequence[str]) -> FrameFit:
        model, nothing = self.fit.model, np.full(seeds.shape[-1], np.nan)
        if isinstance(result, str):
            status = FitStatus.GENERAL_FAILURE
            if result == DARK:
                status = FitStatus.INSUFFICIENT_HITS
            elif result == NO_SEED:
                status = FitStatus.MISSING_SEED
            told = [result, *notes] if result == NO_SEED else [result]
            return FrameFit(status, "; ".join(told), nothing, nothing)
        best, key = result.diagnostics.best_seed, ""
        if self.settings.seed != FROM_PULSES:
            key = self.rules.keys[best // seeds_per_key(self.rules, model.parameters)]
        status, text = FitStatus.OK, result.diagnostics.message
        if result.failed:
            status, text = FitStatus.GENERAL_FAILURE, f"failed: {text}"
        elif not result.diagnostics.converged:
            status = FitStatus.FAILED_TO_CONVERGE
        fitted, seed = (
            relative_to_origin(model.detector, model.parameters, values, +1)
            for values in (np.asarray(result.hypothesis, np.float64), seeds[best])
        )
        return FrameFit(status, "; ".join([text, *notes]), fitted, seed, key, None if result.failed else result)

    def _with_ratios(self, fits: list[FrameFit], file: EventFile, seeds: np.ndarray) -> list[FrameFit]:
        """Adds log-likelihood ratios: fits of one cascade start from the seeds and from the fit of two, as one each."""
        assert self.single is not None
        two = find_two_cascades(self.fit.model.parameters)
        assert two is not None
        chosen = [i for i, own in enumerate(fits) if own.result is not None and own.event is not None]
        if not chosen:
            return fits
        starts = np.stack([np.vstack([seeds[i], fits[i].result.hypothesis]) for i in chosen])  # type: ignore[union-attr]
        for i, one in zip(
            chosen, self.single([file.event(i) for i in chosen], as_one_cascade(two, starts)), strict=True
        ):
            own = fits[i].result
            assert own is not None
            fits[i] = replace(fits[i], log_likelihood_ratio=own.log_likelihood - one.log_likelihood)
        return fits


def make_frame_fitter(
    model: AnyModel,
    settings: ReconstructionSettings,
    rules: SeedRules,
    *,
    log_likelihood_ratio: bool = False,
    goodness: Callable[[Fitter], Callable[..., GoodnessOfFit]] | None = None,
    buffer: float = 100.0,
    discard_excluded: bool = False,
) -> FrameFitter:
    """Makes what fits the events of frames.

    Args:
      model: exported, or several as an ensemble.
      settings: section reconstruction_settings of a configuration; `seed` says 'pulses' or is not used.
      rules: how seeds become hypotheses.
      log_likelihood_ratio: whether fits of two cascades are compared with fits of one.
      goodness: makes what ranks fits of a fitter among simulated ones; None: they are not ranked.
      buffer: ns, by which a readout that is not given exceeds the pulses.
      discard_excluded: whether pulses of excluded modules are left out.

    Returns:
      A function of events.

    Raises:
      ReconstructionError: settings or rules that do not fit the model.
    """
    if settings.seed != FROM_PULSES:
        check_rules(rules, model.parameters)
    fit, single = make_configured_fitter(model, settings), None
    if log_likelihood_ratio:
        two = find_two_cascades(model.parameters)
        if two is None:
            raise ReconstructionError(
                "add_log_likelihood_ratio: compares two cascades with one; the parameters of this model are "
                f"{', '.join(model.parameter_names[:12])}."
            )
        fixed = {model.parameter_names[place]: False for place in two.of_second}
        own = settings.model_copy(
            update={
                "minimize_parameter_dict": {**settings.minimize_parameter_dict, **fixed},
                "calculate_covariance_matrix": False,
                "estimate_angular_uncertainty": False,
                "parameter_boundaries": {
                    name: ends for name, ends in (settings.parameter_boundaries or {}).items() if name not in fixed
                },
            }
        )
        single = make_configured_fitter(model, own)
    ranks = None if goodness is None else goodness(fit)
    return FrameFitter(fit, settings, rules, single, ranks, buffer, discard_excluded)
