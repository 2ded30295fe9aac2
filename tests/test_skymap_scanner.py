"""The class for the Skymap Scanner, with stand-ins for IceTray and the scanner: of their interfaces what the class touches."""

import importlib.util
import sys
from abc import ABC, abstractmethod
from dataclasses import make_dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from synthetic import KAPPA, MEAN, around_a_direction, lamp_model

from evgen_jax.building.analytic import analytic_model
from evgen_jax.errors import ReconstructionError
from evgen_jax.physics.sphere import angle_between, unit_vectors
from evgen_jax.reconstruction.uncertainty.direction_fit import make_direction_fit

PLUGIN = Path(__file__).parent.parent / "experiments" / "skymap_scanner_plugin.py"
CONFIG = {
    "INPUT_TIME_NAME": "SeedVertexTime",
    "INPUT_POS_NAME": "SeedVertexPos",
    "OUTPUT_PARTICLE_NAME": "MillipedeSeedParticle",
    "I3FRAME_NSIDE": "SCAN_HealpixNSide",
    "I3FRAME_PIXEL": "SCAN_HealpixPixel",
    "I3FRAME_POSVAR": "SCAN_PositionVariationIndex",
}
PIXEL = (
    "nside",
    "pixel_id",
    "llh",
    "reco_losses_inside",
    "reco_losses_total",
    "position",
    "time",
    "energy",
    "posvar_id",
)


class Frame(dict):
    def Has(self, key):
        return key in self


class Tray:
    def __init__(self):
        self.modules = []

    def Add(self, module, name, If=lambda frame: True):
        self.modules.append((module, If))

    def run(self, frame):
        for module, wanted in self.modules:
            if wanted(frame):
                module(frame)


class Interface(ABC):
    """The abstract methods of the scanner's class."""

    @abstractmethod
    def __init__(self, realtime_format_version):
        self.realtime_format_version = realtime_format_version

    @staticmethod
    def get_input_pulses(realtime_format_version):
        return {"2024a": "SplitInIcePulses"}[realtime_format_version]

    get_vertex_variations = prepare_frames = setup_reco = traysegment = to_recopixelvariation = abstractmethod(
        lambda: None
    )


class SeriesMap(dict):
    @classmethod
    def from_frame(cls, frame, key):
        return frame[key]


class WindowMap(dict):
    pass


def value_of(value):
    return SimpleNamespace(value=value)


def position(x, y, z):
    return SimpleNamespace(x=x, y=y, z=z)


class Key(SimpleNamespace):
    def __hash__(self):
        return hash((self.string, self.om))


@pytest.fixture
def plugin(monkeypatch):
    dataclasses = ModuleType("icecube.dataclasses")
    dataclasses.I3RecoPulseSeriesMap, dataclasses.I3TimeWindowSeriesMap = SeriesMap, WindowMap
    dataclasses.I3Position, dataclasses.I3Double = position, value_of
    icetray = ModuleType("icecube.icetray")
    icetray.traysegment = lambda function: function
    icetray.logging = SimpleNamespace(log_warn=lambda text, unit: icetray.told.append(text))
    icetray.told = []
    config, recos, pixels = (
        ModuleType(f"skymap_scanner.{name}") for name in ("config", "recos", "utils.pixel_classes")
    )
    vars(config).update(CONFIG)
    recos.RecoInterface, recos.VertexGenerator = Interface, SimpleNamespace(point=lambda: [position(0.0, 0.0, 0.0)])
    pixels.RecoPixelVariation = make_dataclass("RecoPixelVariation", PIXEL, frozen=True)
    icecube, scanner = ModuleType("icecube"), ModuleType("skymap_scanner")
    icecube.dataclasses, icecube.icetray, scanner.config = dataclasses, icetray, config
    for module in (icecube, dataclasses, icetray, scanner, config, recos, pixels, ModuleType("skymap_scanner.utils")):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    spec = importlib.util.spec_from_file_location("plugin", PLUGIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def frame_at(zenith, azimuth, energy=np.nan):
    pulses = {(5, 6): [(10050.0, 1.0), (10110.0, 0.7)], (2, 6): [(10300.0, 2.1)], (1, 63): [(10000.0, 9.0)]}
    made = SeriesMap(
        {Key(string=s, om=o): [SimpleNamespace(time=t, charge=c) for t, c in own] for (s, o), own in pulses.items()}
    )
    particle = SimpleNamespace(pos=position(*MEAN[:3]), dir=SimpleNamespace(zenith=zenith, azimuth=azimuth), time=9900.0, energy=energy)  # fmt: skip
    return Frame(
        SplitInIcePulses=made,
        MillipedeSeedParticle=particle,
        SCAN_HealpixNSide=value_of(8),
        SCAN_HealpixPixel=value_of(77),
        SCAN_PositionVariationIndex=value_of(0),
        BadDomsList=[Key(string=3, om=1), Key(string=80, om=1)],
        CalibrationErrata=WindowMap({Key(string=5, om=7): [SimpleNamespace(start=10000.0, stop=10100.0)]}),
    )


@pytest.mark.parametrize("energy", [np.nan, 500.0])
def test_a_pixel_is_fitted_at_its_direction(energy, plugin, loaded_detector):
    reco, tray = plugin.RECO_CLASS("2024a"), Tray()
    reco.model = analytic_model(loaded_detector)
    reco.fit = make_direction_fit(reco.model, log_likelihood=around_a_direction)
    frame = frame_at(1.2, 4.1, energy)
    reco.traysegment(tray, "scan", None, seed=frame["MillipedeSeedParticle"])
    tray.run(frame)
    pixel = reco.to_recopixelvariation(frame, None)
    away = angle_between(unit_vectors(1.2, 4.1), unit_vectors(MEAN[3], MEAN[4]))
    assert pixel.llh == pytest.approx(KAPPA * (1 - np.cos(away)), abs=0.03)
    assert (pixel.nside, pixel.pixel_id, pixel.posvar_id) == (8, 77, 0)
    assert pixel.position.y == pytest.approx(MEAN[1], abs=0.5) and pixel.time == pytest.approx(MEAN[6], abs=1)
    assert pixel.energy == pixel.reco_losses_total == pytest.approx(MEAN[5], rel=0.05)


def test_frames_become_events(plugin, loaded_detector):
    """Modules of other arrays are left out, exclusions are those of the keys that a frame has."""
    reco = plugin.RECO_CLASS("2024a")
    reco.model = lamp_model(loaded_detector)
    event = reco.event(frame_at(1.0, 2.0))
    assert event.charge.sum() == pytest.approx(3.8)
    (out,) = np.flatnonzero(~event.usable & np.asarray(loaded_detector.usable))
    assert (loaded_detector.string[out], loaded_detector.om[out]) == (3, 1)
    assert event.windows.start[event.windows.mask].tolist() == [10000.0]
    tray, frame = Tray(), frame_at(1.0, 2.0)
    places = {
        Key(string=s, om=o): SimpleNamespace(position=position(float(s), 0.0, 0.0))
        for s, o in ((5, 6), (2, 6), (1, 63))
    }
    frame["I3Geometry"] = SimpleNamespace(omgeo=places)
    reco.prepare_frames(tray, "scan", None)
    tray.run(frame)
    assert frame["SeedVertexPos"].x == pytest.approx((5 * 1.7 + 2 * 2.1 + 9) / 12.8)
    before = frame["SeedVertexTime"]
    tray.run(frame)
    assert frame["SeedVertexTime"] is before and reco.get_vertex_variations()[0].x == 0


def test_a_pixel_that_cannot_be_fitted_is_told_and_left_out(plugin, loaded_detector):
    reco, frame = plugin.RECO_CLASS("2024a"), frame_at(1.0, 2.0)
    reco.model = analytic_model(loaded_detector)

    def fit(event, zenith, azimuth, seed):
        raise ReconstructionError("no usable pulse")

    reco.fit = fit
    reco.fit_pixel(frame)
    assert np.isnan(reco.to_recopixelvariation(frame, None).llh)
    assert sys.modules["icecube.icetray"].told == ["no usable pulse"]
    del frame["SplitInIcePulses"]
    reco.fit_pixel(frame)
    assert sys.modules["icecube.icetray"].told[1] == "the frame has no pulses 'SplitInIcePulses'."


def test_directions_of_other_hypotheses_are_refused(loaded_detector):
    with pytest.raises(ReconstructionError, match="one cascade"):
        make_direction_fit(lamp_model(loaded_detector))
    with pytest.raises(ReconstructionError, match="num_starts: expected a whole number >= 1"):
        make_direction_fit(analytic_model(loaded_detector), num_starts=0)
