"""The tray module that simulates the light of cascades with a model."""

import logging
from typing import Any

import numpy as np
from icecube import icetray

from evgen_jax.errors import ConfigError, DataError
from evgen_jax.icetray import reading, writing
from evgen_jax.icetray.exclusions import merged
from evgen_jax.icetray.records import PulseTable
from evgen_jax.icetray.settings import load_named_models
from evgen_jax.icetray.simulation import TreeSampler, cascades_of, expected_charges, hypotheses_of_cascades, parts_of
from evgen_jax.model.ensemble import Ensemble

LOGGER = logging.getLogger("evgen_jax")
PARAMETERS: dict[str, tuple[Any, str]] = {
    "model_name": (None, "Directory of the exported model of a cascade, with or without noise."),
    "model_base_dir": (None, "Directory in which the model is; None: model_name is a whole path."),
    "default_values": (
        {},
        "{parameter: number, or key of an I3Double} of further parameters; those that the model does not have are left out.",
    ),
    "output_key": ("EventGeneratorSimulation", "Key of the pulses."),
    "mc_tree_name": ("I3MCTree", "Key of the tree of particles."),
    "max_simulation_distance": (2250.0, "Particles that stay further from the origin are left out, m."),
    "min_simulation_energy": (100.0, "Particles below this energy are left out, GeV."),
    "charge_response": (True, "Whether charges follow the response of a module; False: 1 PE per photoelectron."),
    "correct_sampled_charge": (False, "Without effect: charges are those of the photoelectrons that were drawn."),
    "num_threads": (0, "Without effect: XLA takes the cores that the job has."),
    "random_service": (42, "Seed of all that is drawn, a whole number."),
    "readout_window": (None, "[start, stop] of the readout, ns; None: around the cascades."),
    "SimulateElectronDaughterParticles": (False, "Whether daughters of electrons are simulated in their place."),
    "MergePulses": (False, "Whether pulses that follow each other closely become one."),
    "PulseMergeWindow": (5.0, "How closely such pulses follow, ns."),
    "StoreChargePrediction": (False, "Whether the expected charges are written, `<output_key>_Prediction`."),
}
"""Name of a parameter of the module EventGeneratorSimulation -> its default and its meaning."""


class EventGeneratorSimulation(icetray.I3ConditionalModule):  # type: ignore[misc]
    """Draws the pulses of the cascades in the tree of every Q frame, with noise once an event.

    Parameters are those of `evgen_jax.icetray.simulation_module.PARAMETERS`, which
    `print(EventGeneratorSimulation(icetray.I3Context()).configuration)` lists.

    Frame keys, K is `output_key`:
      K: I3RecoPulseSeriesMap, times in ns, charges in PE, width 1 ns.
      KTimeRange: I3TimeWindow of the readout, ns.
      K_Prediction: I3RecoPulseSeriesMap with the expected charge of every module, PE, time and width NaN; with
        `StoreChargePrediction`.

    Args:
      context: of the tray.
    """

    def __init__(self, context: Any):
        icetray.I3ConditionalModule.__init__(self, context)
        for name, (default, text) in PARAMETERS.items():
            self.AddParameter(name, text, default)
        self.AddOutBox("OutBox")

    def Configure(self) -> None:
        """Loads the model.

        Raises:
          EvgenError: a model that cannot be loaded or is not of one cascade, or a parameter that cannot be.
        """
        self._values = values = {name: self.GetParameter(name) for name in PARAMETERS}
        name, seed = values["model_name"], values["random_service"]
        model = load_named_models({"model_names": name, "model_base_dir": values["model_base_dir"]})
        if isinstance(model, Ensemble):
            raise ConfigError(
                f"model_name: {name} is an ensemble, whose members have light of their own; give one of them."
            )
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ConfigError(f"random_service: expected a whole number, the seed of all that is drawn, got {seed!r}.")
        if values["correct_sampled_charge"]:
            LOGGER.warning("EventGeneratorSimulation: correct_sampled_charge: without effect.")
        cascade, noise = parts_of(model, str(name))
        self._sampler = TreeSampler(cascade, noise, seed, bool(values["charge_response"]))
        self._sensor = writing.sensors_of(model.detector)
        self._number = 0

    def DAQ(self, frame: Any) -> None:
        """Simulates the event of a frame.

        Args:
          frame: of IceTray.

        Raises:
          DataError: the frame has no tree, or one with a particle that cascades do not describe.
        """
        values = self._values
        if not frame.Has(values["mc_tree_name"]):
            raise DataError(f"mc_tree_name: the frame has no '{values['mc_tree_name']}'.")
        cascades = cascades_of(
            reading.read_tree(frame[values["mc_tree_name"]]),
            min_energy=float(values["min_simulation_energy"]),
            max_distance=float(values["max_simulation_distance"]),
            electron_daughters=bool(values["SimulateElectronDaughterParticles"]),
        )
        defaults = {
            name: float(frame[value].value) if isinstance(value, str) else float(value)
            for name, value in dict(values["default_values"]).items()
        }
        hypotheses = hypotheses_of_cascades(self._sampler.cascade, cascades, defaults, "default_values")
        drawn = self._sampler(hypotheses, self._number, values["readout_window"])
        self._number += 1
        dom = drawn["dom"].astype(np.int64)
        pulses = PulseTable(
            self._sensor[dom], drawn["time"], drawn["charge"], np.ones(len(dom)), np.zeros(len(dom), np.int64)
        )
        if values["MergePulses"]:
            pulses = merged(pulses, float(values["PulseMergeWindow"]))
        key = values["output_key"]
        writing.put(frame, key, writing.to_pulses(pulses))
        writing.put(frame, f"{key}TimeRange", writing.to_window(drawn["readout"]))
        if values["StoreChargePrediction"]:
            charge = expected_charges(self._sampler.cascade, hypotheses)
            lit = charge > 0
            unknown = np.full(int(lit.sum()), np.nan)
            predicted = PulseTable(self._sensor[lit], unknown, charge[lit], unknown, np.zeros(len(unknown), np.int64))
            writing.put(frame, f"{key}_Prediction", writing.to_pulses(predicted))
        self.PushFrame(frame)
