"""evgen_jax in the Skymap Scanner, which fits the pixels of the sky on many machines: a class for its folder of reconstructions.

Copy this file to skymap_scanner/recos/evgen_jax_cascade.py of the scanner and start it with `--reco-algo evgen_jax_cascade`;
the environment names the model: EVGEN_JAX_MODEL=DIR (an exported model of one cascade, or a model by name), on all machines.
JAX_COMPILATION_CACHE_DIR should name a folder that stays, for every pixel is a process of its own.
"""

import os
from typing import Any

import numpy as np
from icecube import dataclasses, icetray
from skymap_scanner import config as cfg
from skymap_scanner.recos import RecoInterface, VertexGenerator
from skymap_scanner.utils.pixel_classes import RecoPixelVariation

import evgen_jax as eg
from evgen_jax.errors import DataError, EvgenError
from evgen_jax.hypothesis.parameters import CASCADE, places_by_role
from evgen_jax.reconstruction.uncertainty.direction_fit import make_direction_fit

KEY = "EvgenJax"


class EvgenJaxCascade(RecoInterface):
    """Fits vertex, time and energy of a cascade at the direction of a pixel.

    Attributes:
      MODEL: directory or name of the model.
      EXCLUSIONS: keys of modules (I3VectorOMKey) and of time windows that take no part; keys that a frame lacks exclude none.
    """

    MODEL = os.environ.get("EVGEN_JAX_MODEL", "icecube86-cascade")
    EXCLUSIONS = ("BadDomsList", "BrightDOMs", "CalibrationErrata", "SaturationWindows")

    def __init__(self, realtime_format_version: str):
        super().__init__(realtime_format_version)
        # The vertex of a shower stays where it is when the direction changes, and its time is fitted.
        self.rotate_vertex = self.refine_time = self.add_fallback_position = False
        self.pulses = self.get_input_pulses(realtime_format_version)

    @staticmethod
    def get_vertex_variations() -> list[Any]:
        return VertexGenerator.point()

    @icetray.traysegment
    def prepare_frames(self, tray: Any, name: str, logger: Any) -> None:
        """Puts a first vertex and time into the frame: the mean of the pulses."""

        def put_vertex(frame: Any) -> None:
            rows = pulse_rows(frame, self.pulses)
            places = {(key.string, key.om): geometry.position for key, geometry in frame["I3Geometry"].omgeo.items()}
            charge = np.array([row[0] for row in rows])
            where = np.array([[places[row[2:]].x, places[row[2:]].y, places[row[2:]].z] for row in rows])
            mean = np.average(where, axis=0, weights=charge)
            frame[cfg.INPUT_POS_NAME] = dataclasses.I3Position(*map(float, mean))
            frame[cfg.INPUT_TIME_NAME] = dataclasses.I3Double(
                float(np.average([row[1] for row in rows], weights=charge))
            )

        tray.Add(put_vertex, f"{name}_vertex", If=lambda frame: cfg.INPUT_POS_NAME not in frame)

    def setup_reco(self) -> None:
        self.model = eg.load_model(self.MODEL)
        self.fit = make_direction_fit(self.model)

    @icetray.traysegment
    def traysegment(self, tray: Any, name: str, logger: Any, seed: Any = None) -> None:
        """Fits the pixel of the frame."""
        tray.Add(self.fit_pixel, f"{name}_fit")

    def fit_pixel(self, frame: Any) -> None:
        """Fits the pixel of a frame and puts the result beside it.

        Args:
          frame: with pulses, and the particle whose direction is that of the pixel.
        """
        particle = frame[cfg.OUTPUT_PARTICLE_NAME]
        pos, direction = particle.pos, particle.dir
        (place,) = places_by_role(self.model.parameters, CASCADE)
        seed = None
        if np.isfinite([particle.energy, particle.time]).all():  # the fit of a coarser pixel
            known = {"x": pos.x, "y": pos.y, "z": pos.z, "energy": particle.energy, "time": particle.time}
            known |= {"zenith": direction.zenith, "azimuth": direction.azimuth}
            seed = np.array(self.model.trafo.centre(), np.float64)
            seed[[place[role] for role in known]] = list(known.values())
        try:
            hypothesis, log_likelihood = self.fit(self.event(frame), direction.zenith, direction.azimuth, seed)
        except EvgenError as error:
            # The scanner goes on without the pixel.
            icetray.logging.log_warn(str(error), unit=KEY)
            hypothesis, log_likelihood = np.full(len(self.model.parameters), np.nan), np.nan
        found = {role: float(hypothesis[place[role]]) for role in ("x", "y", "z", "energy", "time")}
        frame[f"{KEY}_llh"] = dataclasses.I3Double(-log_likelihood)
        frame[f"{KEY}_pos"] = dataclasses.I3Position(found["x"], found["y"], found["z"])
        frame[f"{KEY}_time"] = dataclasses.I3Double(found["time"])
        frame[f"{KEY}_energy"] = dataclasses.I3Double(found["energy"])

    def event(self, frame: Any) -> eg.Event:
        """Makes the event of a frame.

        Args:
          frame: with pulses and exclusions.
        """
        doms, windows = [], []
        for key in self.EXCLUSIONS:
            held = frame[key] if frame.Has(key) else []
            if isinstance(held, dataclasses.I3TimeWindowSeriesMap):
                windows += [(own.string, own.om, w.start, w.stop) for own, series in held.items() for w in series]
            else:
                doms += [(own.string, own.om) for own in held]
        known = {(int(s), int(o)) for s, o in zip(self.model.detector.string, self.model.detector.om, strict=True)}
        rows = [row for row in pulse_rows(frame, self.pulses) if row[2:] in known]
        charge, time, string, om = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 4
        return eg.Event.from_pulses(
            charge,
            time,
            string,
            om,
            detector=self.model.detector,
            excluded_doms=[own for own in doms if own in known],
            excluded_windows=[own for own in windows if own[:2] in known],
        )

    @staticmethod
    def to_recopixelvariation(frame: Any, geometry: Any) -> RecoPixelVariation:
        energy = frame[f"{KEY}_energy"].value
        return RecoPixelVariation(
            nside=frame[cfg.I3FRAME_NSIDE].value,
            pixel_id=frame[cfg.I3FRAME_PIXEL].value,
            llh=frame[f"{KEY}_llh"].value,
            reco_losses_inside=energy,
            reco_losses_total=energy,
            posvar_id=frame[cfg.I3FRAME_POSVAR].value,
            position=frame[f"{KEY}_pos"],
            time=frame[f"{KEY}_time"].value,
            energy=energy,
        )


def pulse_rows(frame: Any, key: str) -> list[tuple[float, float, int, int]]:
    """Pulses as rows charge, time, string, om."""
    if not frame.Has(key):
        raise DataError(f"the frame has no pulses '{key}'.")
    pulses = dataclasses.I3RecoPulseSeriesMap.from_frame(frame, key)
    return [(pulse.charge, pulse.time, own.string, own.om) for own, series in pulses.items() for pulse in series]


RECO_CLASS = EvgenJaxCascade
