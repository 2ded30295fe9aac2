"""The tray module that draws fits: pulses and expected light of the modules with the most charge."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from icecube import icetray

from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.icetray import reading
from evgen_jax.icetray.exclusions import check_keys
from evgen_jax.icetray.fit_frames import events_of_frames
from evgen_jax.icetray.output import fit_of_numbers
from evgen_jax.icetray.settings import data_settings_of, load_named_models
from evgen_jax.model.ensemble import members_of
from evgen_jax.report.plots.arrival_times import arrival_times
from evgen_jax.report.plots.canvas import write

LOGGER = logging.getLogger("evgen_jax")
PARAMETERS: dict[str, tuple[Any, str]] = {
    "reco_key": (None, "Key of the fit, an I3MapStringDouble with the parameters of the model."),
    "model_names": (None, "Directory of the exported model, or several; the first is drawn."),
    "model_base_dir": (None, "Directory in which the models are; None: model_names are whole paths."),
    "output_dir": (None, "Directory of the figures, made if needed."),
    "pulse_key": ("InIceDSTPulses", "Pulses that were fitted."),
    "dom_exclusions_key": ("BadDomsList", "Modules that take no part, a key or several; None: none."),
    "time_exclusions_key": (None, "Time windows that take no part, a key or several; None: none."),
    "readout_window_key": (
        None,
        "I3TimeWindow of the readout; None: as the model was trained; '': that of the pulses.",
    ),
    "num_threads": (1, "Without effect: XLA takes the cores that the job has."),
    "n_doms_x": (5, "Number of modules that are drawn, divided by n_doms_y."),
    "n_doms_y": (5, "Number of modules that are drawn, divided by n_doms_x."),
    "dom_pdf_kwargs": ({}, "Of Event-Generator's figures; without effect."),
    "dom_cdf_kwargs": ({}, "Of Event-Generator's figures; without effect."),
    "dom_pdf_file": ("dom_pdf_{run_id:06d}_{event_id:06d}.png", "Name of figures of densities; None: none."),
    "dom_cdf_file": ("dom_cdf_{run_id:06d}_{event_id:06d}.png", "Name of figures of cumulative charges; None: none."),
    "add_event_header": (True, "Whether a figure says run and event."),
}
"""Name of a parameter of the module EventGeneratorVisualizeBestFit -> its default and its meaning."""


class EventGeneratorVisualizeBestFit(icetray.I3ConditionalModule):  # type: ignore[misc]
    """Draws, for every P frame with a fit, the modules with the most charge: pulses and the light that the fit expects.

    Parameters are those of `evgen_jax.icetray.visualize_module.PARAMETERS`, which
    `print(EventGeneratorVisualizeBestFit(icetray.I3Context()).configuration)` lists. Frames stay as they are; figures are files in
    `output_dir`, two an event.

    Args:
      context: of the tray.
    """

    def __init__(self, context: Any):
        icetray.I3ConditionalModule.__init__(self, context)
        for name, (default, text) in PARAMETERS.items():
            self.AddParameter(name, text, default)
        self.AddOutBox("OutBox")

    def Configure(self) -> None:
        """Loads the model and makes the directory.

        Raises:
          EvgenError: a model that cannot be loaded, or a parameter that is missing; names the parameter.
        """
        self._values = values = {name: self.GetParameter(name) for name in PARAMETERS}
        for name in ("reco_key", "output_dir"):
            if not isinstance(values[name], str | Path) or not str(values[name]):
                raise ConfigError(f"{name}: expected a text, got {values[name]!r}.")
        if given := [name for name in ("dom_pdf_kwargs", "dom_cdf_kwargs") if values[name]]:
            LOGGER.warning("EventGeneratorVisualizeBestFit: %s: without effect.", ", ".join(given))
        self._model = members_of(load_named_models(values))[0]
        self._data = data_settings_of(self._model)
        readout = values["readout_window_key"]
        self._readout = self._data.get("readout_window_key") if readout is None else readout
        self._exclusions = (
            *check_keys(values["dom_exclusions_key"], "dom_exclusions_key"),
            *check_keys(values["time_exclusions_key"], "time_exclusions_key"),
        )
        self._directory = Path(values["output_dir"])
        self._directory.mkdir(parents=True, exist_ok=True)

    def Physics(self, frame: Any) -> None:
        """Draws the fit of a frame; frames without one pass.

        Args:
          frame: of IceTray.
        """
        values, model = self._values, self._model
        if frame.Has(values["reco_key"]):
            numbers = dict(frame[values["reco_key"]].items())
            hypothesis = relative_to_origin(model.detector, model.parameters, fit_of_numbers(numbers, model.parameters))
            own, _ = reading.read_event(frame, values["pulse_key"], self._exclusions, self._readout)
            file = events_of_frames([own], model.detector, buffer=float(self._data.get("time_window_buffer", 100.0)))
            if 0 not in file.faults and np.all(np.isfinite(hypothesis)):
                self._draw(own.ids, file.event(0), hypothesis)
        self.PushFrame(frame)

    def _draw(self, ids: tuple[int, int, int, int], event: Any, hypothesis: np.ndarray) -> None:
        values = self._values
        count = int(values["n_doms_x"]) * int(values["n_doms_y"])
        title = f"run {ids[0]}, event {ids[1]}" if values["add_event_header"] else ""
        for name, cumulative in (("dom_pdf_file", False), ("dom_cdf_file", True)):
            if values[name] is not None:
                path = self._directory / str(values[name]).format(run_id=ids[0], event_id=ids[1], sub_event_id=ids[2])
                drawn = arrival_times(self._model, event, hypothesis, count, title=title, cumulative=cumulative)
                write(path, drawn)
