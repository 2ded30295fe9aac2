"""The tray module that fits events, several frames at once."""

import logging
from typing import Any

import numpy as np
from icecube import icetray

from evgen_jax.building.directory import model_identity
from evgen_jax.data.gcd import check_geometry, read_modules
from evgen_jax.errors import ConfigError, ReconstructionError
from evgen_jax.hypothesis.parameters import ENTERING_TRACK, places_by_role
from evgen_jax.icetray import reading, writing
from evgen_jax.icetray.exclusions import check_keys
from evgen_jax.icetray.fit_frames import FrameFit, make_frame_fitter
from evgen_jax.icetray.output import both_cascades, covariance_maps, covariance_of_frame, named_numbers, particle_of_fit
from evgen_jax.icetray.samples import make_sampling
from evgen_jax.icetray.settings import (
    PARAMETERS,
    checked_values,
    data_settings_of,
    fit_settings_of,
    load_named_models,
    model_directories,
    seed_rules_of,
)
from evgen_jax.icetray.waiting import Waiting
from evgen_jax.light.tree import settings_of
from evgen_jax.model.ensemble import members_of
from evgen_jax.reconstruction.run.file_fit import covariance_places
from evgen_jax.reconstruction.run.seeds import FROM_PULSES
from evgen_jax.reconstruction.starts.two_cascades import find_two_cascades
from evgen_jax.reconstruction.uncertainty.goodness_of_fit import make_goodness_of_fit

LOGGER = logging.getLogger("evgen_jax")
WITHOUT_EFFECT = ("label_key", "snowstorm_key", "num_threads", "tf_optimizer_settings", "skyscan_seed")
"""Parameters that Event-Generator has and that change nothing here."""


class EventGeneratorReconstruction(icetray.I3Module):  # type: ignore[misc]
    """Fits the event of every P frame, `batch_frames` of them together; frames keep their order.

    An event that cannot be fitted gets NaN under the same names, a status and a message; the tray goes on. Parameters are those of
    `evgen_jax.icetray.settings.PARAMETERS`, which `print(EventGeneratorReconstruction(icetray.I3Context()).configuration)` lists; `If` is
    a function of a frame that tells whether its event is fitted. The detector is that of the model; a geometry frame whose modules stand
    elsewhere ends the job.

    Frame keys, K is `output_key`; lengths are in m, times in ns, energies in GeV, angles in rad:
      K: I3MapStringDouble with every parameter `<p>` of the model, its value in the seed `<p>_seed` and, with `add_covariances` or
        `add_circular_err`, its uncertainties `<p>_unc` (inverse Hessian) and `<p>_unc_sandwich`, angular_unc, angular_unc_sandwich (39 % of
        the probability within) and covariance_repaired; loss_reco, loss_seed (-ln L), minimization_success (0 or 1), fit_status (as of
        I3Particle), best_seed (number of the seed, from 0), gradient_norm, evaluations, runtime_reco (s); of two cascades length,
        energy_asymmetry, energy_total and log_likelihood_ratio; with `add_goodness_of_fit` goodness_of_fit_1sided and
        goodness_of_fit_2sided (p-values); with `add_mcmc_samples` and `add_skyscan` the numbers of
        `evgen_jax.icetray.samples.posterior_numbers` and `sky_map_numbers`.
      K_I3Particle: I3Particle of the fit with status, type and shape; of two cascades the vertex of the first, the energy of both
        and the length between them.
      K_I3Particles: I3VectorI3Particle of the two cascades, for models of two.
      K_status, K_seed, K_model, K_model_identity: I3String; why the fit ended, key of the best seed, directories and identity of the
        models.
      K_cov_matrix_cov, _cov_sand, _cov_trafo, _cov_sand_trafo: I3MapStringDouble, with `add_covariances`; upper triangles `<a>_<b>` by
        Hessian and sandwich in units of the parameters, and normalised (_trafo); `log_<p>` stands for ln(1 + p).
      K_GoodnessOfFit_1sided, _2sided: I3MapKeyDouble, p-values of modules, with `add_goodness_of_fit`, of fits alone.
      `K_MCMC_<p>`, K_MCMC_log_prob_values: I3VectorDouble of samples, with `add_mcmc_samples`, of fits alone.
      `K_SkyScan_<nside>_loss`, _ipix: I3VectorDouble and I3VectorInt of pixels, nested order, with `add_skyscan`, of fits alone.

    tableio books all of these but texts and I3MapKeyDouble.

    Args:
      context: of the tray.
    """

    def __init__(self, context: Any):
        icetray.I3Module.__init__(self, context)
        for name, (default, text) in PARAMETERS.items():
            self.AddParameter(name, text, default)
        self.AddParameter("If", "Function of a frame: whether its event is fitted.", None)
        self.AddOutBox("OutBox")

    def Configure(self) -> None:
        """Loads the models and checks all parameters.

        Raises:
          EvgenError: a model that cannot be loaded, or a parameter that cannot be; names the parameter.
        """
        values = checked_values(self.GetParameter)
        self._wanted, self._key = self.GetParameter("If"), str(values["output_key"])
        if values["seed_keys"] is None:
            raise ConfigError(
                "seed_keys: expected the key of a seed in the frames, a list of keys, or 'pulses' for none."
            )
        changed = [name for name in WITHOUT_EFFECT if values[name] != PARAMETERS[name][0]]
        if changed:
            LOGGER.warning("EventGeneratorReconstruction: %s: without effect.", ", ".join(changed))
        self._model = model = load_named_models(values)
        self._names = ", ".join(model_directories(values["model_names"], values["model_base_dir"]))
        self._identity = model_identity(model)
        settings = fit_settings_of(values, "EventGeneratorReconstruction")
        radii = sorted(set(settings_of(members_of(model)[0].source, "sphere_radius")))
        self._radius = values["sphere_radius"] or (float(radii[0]) if len(radii) == 1 else None)
        if places_by_role(model.parameters, ENTERING_TRACK) and self._radius is None:
            raise ReconstructionError(
                "sphere_radius: the sources of the model have no radius, or several; give that of the sphere that tracks enter, m."
            )
        data = data_settings_of(model)
        readout = values["readout_window_key"]
        self._readout = data.get("readout_window_key") if readout is None else readout
        self._pulses = str(values["pulse_key"])
        self._exclusions = (
            *check_keys(values["dom_exclusions_key"], "dom_exclusions_key"),
            *check_keys(values["time_exclusions_key"], "time_exclusions_key"),
        )
        self._seeds = () if values["seed_keys"] == FROM_PULSES else check_keys(values["seed_keys"], "seed_keys")
        self._covariances = bool(values["add_covariances"])
        self._log, self._free = covariance_places(model, settings)
        self._ranked = bool(values["add_goodness_of_fit"])
        ranks = dict(values["goodness_of_fit_settings"])
        self._fit = make_frame_fitter(
            model,
            settings,
            seed_rules_of(values, self._radius, model.detector.origin),
            log_likelihood_ratio=bool(values["add_log_likelihood_ratio"]),
            goodness=(lambda fit: make_goodness_of_fit(model, fit=fit, **ranks)) if self._ranked else None,
            buffer=float(data.get("time_window_buffer", 100.0)),
            discard_excluded=bool(data.get("discard_pulses_from_excluded_doms", False)),
        )
        self._sampling = make_sampling(model, settings, values)
        self._two = find_two_cascades(model.parameters)
        self._waiting: Waiting[Any] = Waiting(self._work, values["batch_frames"])
        self._found: set[str] = set()
        self._events, self._failed, self._reason = 0, 0, ""

    def Process(self) -> None:
        """Takes a frame; frames that are ready go on."""
        frame = self.PopFrame()
        if frame is None:
            return
        if frame.Stop == icetray.I3Frame.Geometry and frame.Has("I3Geometry"):
            check_geometry(read_modules(frame["I3Geometry"]), self._model.detector)
        wanted = frame.Stop == icetray.I3Frame.Physics and (self._wanted is None or bool(self._wanted(frame)))
        for ready in self._waiting.add(frame, wanted):
            self.PushFrame(ready)

    def Finish(self) -> None:
        """Fits the events that still wait, and tells what failed."""
        for ready in self._waiting.flush():
            self.PushFrame(ready)
        lacking = [key for key in self._exclusions if key not in self._found]
        if self._events and lacking:
            LOGGER.warning(
                "%s: no frame had the exclusions %s; nothing was excluded by them.", self._key, ", ".join(lacking)
            )
        if self._failed:
            LOGGER.warning(
                "%s: %d of %d events could not be fitted; the first: %s.",
                self._key,
                self._failed,
                self._events,
                self._reason,
            )

    def _work(self, batch: list[Any]) -> None:
        """Fits the events of frames and writes what came of them."""
        events = []
        for frame in batch:
            event, found = reading.read_event(frame, self._pulses, self._exclusions, self._readout, self._seeds)
            self._found |= found
            events.append(event)
        for frame, fit in zip(batch, self._fit(events), strict=True):
            self._events += 1
            if fit.result is None:
                self._failed += 1
                self._reason = self._reason or fit.message
            self._write(frame, fit)

    def _write(self, frame: Any, fit: FrameFit) -> None:
        model, key = self._model, self._key
        numbers = named_numbers(fit, model.parameters, self._log, self._free, self._ranked)
        for sample in self._sampling:
            more, arrays = sample(fit)
            numbers |= more
            for end, values in arrays.items():
                writing.put(frame, f"{key}_{end}", writing.to_array(values))
        writing.put(frame, key, writing.to_numbers(numbers))
        particle = particle_of_fit(fit, model.parameters, self._radius, model.detector.origin)
        writing.put(frame, f"{key}_I3Particle", writing.to_particle(particle))
        if self._two is not None:
            both = both_cascades(fit, model.parameters, self._two)
            writing.put(frame, f"{key}_I3Particles", writing.to_particles(both))
        for end, text in (("status", fit.message), ("seed", fit.seed_key), ("model", self._names)):
            writing.put(frame, f"{key}_{end}", text)
        writing.put(frame, f"{key}_model_identity", self._identity)
        covariance = covariance_of_frame(fit, self._free)
        if self._covariances and covariance is not None:
            maps = covariance_maps(covariance, model.parameter_names, self._log)
            for end, elements in maps.items():
                writing.put(frame, f"{key}_{end}", writing.to_numbers(elements))
        if fit.goodness is not None:
            sensor = writing.sensors_of(model.detector)
            one = np.asarray(fit.goodness.dom_p_value)
            writing.put(frame, f"{key}_GoodnessOfFit_1sided", writing.to_sensor_numbers(sensor, one))
            two_sided = np.minimum(1.0, 2 * np.minimum(one, 1 - one))
            writing.put(frame, f"{key}_GoodnessOfFit_2sided", writing.to_sensor_numbers(sensor, two_sided))
