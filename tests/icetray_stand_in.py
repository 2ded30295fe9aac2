"""The few classes of IceTray that `evgen_jax.icetray` touches, for machines without it. They behave as far as tests look.

`install()` makes `import icecube` find them where IceTray is not installed; with IceTray nothing here is used.
"""

import sys
from importlib import import_module
from types import ModuleType

import numpy as np

FILES: dict[str, list] = {}
"""Path -> frames, in the place of I3 files."""


class OMKey(tuple):
    def __new__(cls, string=0, om=0, pmt=0):
        return super().__new__(cls, (int(string), int(om), int(pmt)))

    string, om, pmt = (property(lambda self, i=i: self[i]) for i in range(3))


class Enum(int):
    """A value of an enumeration of boost::python: a number whose text is its name."""

    def __new__(cls, value, name):
        own = super().__new__(cls, value)
        own.name = name
        return own

    def __str__(self):
        return self.name


def enumeration(**values):
    made = {name: Enum(value, name) for name, value in values.items()}
    return type("Enumeration", (), {**made, "values": {int(v): v for v in made.values()}})


class I3FrameObject:
    pass


def plain(name, *fields, positional=True):
    """A class with fields that hold numbers, 0 at first."""

    def __init__(self, *args):
        for field in fields:
            setattr(self, field, 0.0)
        for field, value in zip(fields, args, strict=False):
            setattr(self, field, value)

    return type(name, (I3FrameObject,), {"__init__": __init__})


class I3Frame:
    Geometry, Calibration, DetectorStatus, DAQ, Physics, TrayInfo = "GCDQPI"

    def __init__(self, stop="P"):
        self.Stop, self._own, self._from = stop, {}, {}

    def Has(self, key):
        return key in self._own or key in self._from

    __contains__ = Has

    def __getitem__(self, key):
        if not self.Has(key):
            raise KeyError(key)
        value = self._own[key] if key in self._own else self._from[key]
        if isinstance(value, Broken):
            raise RuntimeError(f"frame object '{key}' is of a type that is not known\nand so on")
        return value

    def __setitem__(self, key, value):
        if key in self._own:
            raise RuntimeError(f"frame already contains {key}")
        if not isinstance(value, I3FrameObject):
            raise TypeError(f"{type(value).__name__} is no frame object")
        self._own[key] = value

    def Delete(self, key):
        self._own.pop(key, None)
        self._from.pop(key, None)

    def keys(self):
        return [*self._from, *self._own]

    def mix(self, parents):
        self._from = {**parents, **{k: v for k, v in self._from.items() if k not in parents}}


class Broken(I3FrameObject):
    """Stands for an object that cannot be read."""


class I3Module:
    def __init__(self, context):
        self._parameters, self._out, self._in, self.next, self._parents = {}, [], [], None, {}

    def AddParameter(self, name, text, default=None):
        self._parameters[name.lower()] = default

    def GetParameter(self, name):
        return self._parameters[name.lower()]

    def AddOutBox(self, name):
        pass

    def PopFrame(self):
        return self._in.pop(0) if self._in else None

    def PushFrame(self, frame, box="OutBox"):
        order = "GCDQP"
        if frame.Stop in order:
            place = order.index(frame.Stop)
            above = {}
            for stop in order[:place]:
                above |= self._parents.get(stop, {})
            frame.mix(above)
            self._parents = {stop: own for stop, own in self._parents.items() if order.index(stop) < place}
            self._parents[frame.Stop] = dict(frame._own)
        if self.next is not None:
            self.next._in.append(frame)

    def RequestSuspension(self):
        self.tray.stopped = True

    def Configure(self):
        pass

    def Process(self):
        frame = self.PopFrame()
        if frame is not None:
            names = {"G": "Geometry", "C": "Calibration", "D": "DetectorStatus", "Q": "DAQ", "P": "Physics"}
            getattr(self, names.get(frame.Stop, ""), self.PushFrame)(frame)

    def Finish(self):
        pass

    def _step(self):
        while self._in:
            self.Process()


class I3ConditionalModule(I3Module):
    def __init__(self, context):
        super().__init__(context)
        self.AddParameter("If", "", None)

    def _step(self):
        condition = self.GetParameter("If")
        while self._in:
            if condition is None or self._in[0].Stop not in "QP" or condition(self._in[0]):
                self.Process()
            else:
                self.PushFrame(self.PopFrame())


class _Function(I3ConditionalModule):
    def __init__(self, function):
        super().__init__(None)
        self.function = function
        self.AddParameter("Streams", "", ["P"])

    def Process(self):
        frame = self.PopFrame()
        if frame.Stop not in self.GetParameter("Streams") or self.function(frame) is not False:
            self.PushFrame(frame)


class I3Tray:
    def __init__(self):
        self.modules, self.stopped = [], False

    def Add(self, what, name=None, **kwargs):
        segment = hasattr(what, "__i3traysegment__")
        return (self.AddSegment if segment else self.AddModule)(what, name, **kwargs)

    def AddModule(self, what, name=None, **kwargs):
        module = what(None) if isinstance(what, type) else _Function(what)
        for key, value in kwargs.items():
            if key.lower() not in module._parameters:
                raise RuntimeError(f"module {name} has no parameter {key}")
            module._parameters[key.lower()] = value
        module.tray = self
        self.modules.append(module)
        return self

    def AddSegment(self, what, name=None, **kwargs):
        what(self, name, **kwargs)

    def Execute(self):
        for module, following in zip(self.modules, [*self.modules[1:], None], strict=True):
            module.next = following
        for module in self.modules:
            module.Configure()
        while not self.stopped:
            self.modules[0].Process()
            for module in self.modules[1:]:
                module._step()
        for k, module in enumerate(self.modules):
            module._step() if k else None
            module.Finish()

    def Finish(self):
        pass


def traysegment(function):
    function.__i3traysegment__ = True
    return function


class _List(I3FrameObject, list):
    pass


class _Map(I3FrameObject, dict):
    pass


class I3Direction:
    def __init__(self, zenith=0.0, azimuth=0.0, z=None):
        import math

        if z is None:
            self.zenith, self.azimuth = zenith, azimuth
            sine = math.sin(zenith)
            self.x, self.y, self.z = -sine * math.cos(azimuth), -sine * math.sin(azimuth), -math.cos(zenith)
        else:
            self.x, self.y, self.z = zenith, azimuth, z
            self.zenith, self.azimuth = math.acos(-z), math.atan2(-azimuth, -zenith) % (2 * math.pi)


class I3Particle(I3FrameObject):
    FitStatus = enumeration(
        NotSet=-1, OK=0, GeneralFailure=10, InsufficientHits=20, FailedToConverge=30, MissingSeed=40
    )
    ParticleShape = enumeration(
        Null=0, Cascade=30, InfiniteTrack=40, StartingTrack=50, StoppingTrack=60, ContainedTrack=70
    )
    ParticleType = enumeration(unknown=0, EMinus=11, MuMinus=13, NuE=12, Hadrons=-2000001006, Gamma=22)
    count = 0

    def __init__(self):
        nan = float("nan")
        self.pos, self.dir = I3Position(nan, nan, nan), I3Direction(nan, nan)
        self.time = self.energy = self.length = self.speed = nan
        self.shape, self.type = I3Particle.ParticleShape.Null, I3Particle.ParticleType.unknown
        self.fit_status, self.pdg_encoding, self.location_type = I3Particle.FitStatus.NotSet, 0, 0
        I3Particle.count += 1
        self.id = I3Particle.count


I3Position = plain("I3Position", "x", "y", "z")


class I3MCTree(I3FrameObject):
    def __init__(self):
        self.primaries, self._below = [], {}

    def add_primary(self, particle):
        self.primaries.append(particle)

    def append_child(self, parent, particle):
        self._below.setdefault(parent.id, []).append(particle)

    def children(self, identity):
        return self._below.get(identity, [])


class I3RecoPulseSeriesMap(_Map):
    def __array__(self, dtype=None, copy=None):
        return np.array(
            [(*key, pulse.time, pulse.charge, pulse.width) for key, series in sorted(self.items()) for pulse in series]
        ).reshape(-1, 6)

    @staticmethod
    def from_frame(frame, key):
        held = frame[key]
        if isinstance(held, I3RecoPulseSeriesMapMask):
            return held.apply(frame)
        if not isinstance(held, I3RecoPulseSeriesMap):
            raise RuntimeError(f"'{key}' is a {type(held).__name__}, not an I3RecoPulseSeriesMap")
        return held


class I3RecoPulseSeriesMapMask(I3FrameObject):
    def __init__(self, frame, key):
        self.key = key
        self.bits = {om: [True] * len(own) for om, own in I3RecoPulseSeriesMap.from_frame(frame, key).items()}

    def set(self, om, *what):
        *index, kept = what
        for place in index or range(len(self.bits[om])):
            self.bits[om][place] = kept

    def apply(self, frame):
        kept = I3RecoPulseSeriesMap()
        for om, own in I3RecoPulseSeriesMap.from_frame(frame, self.key).items():
            if any(self.bits[om]):
                kept[om] = type(own)(pulse for pulse, bit in zip(own, self.bits[om], strict=True) if bit)
        return kept


class I3File:
    def __init__(self, path, mode="r"):
        self.path, self.place = str(path), 0
        if mode == "w":
            FILES[self.path] = []
            open(self.path, "w").close()
        elif self.path not in FILES:
            raise RuntimeError("bad magic")

    def push(self, frame):
        FILES[self.path].append(frame)

    def more(self):
        return self.place < len(FILES[self.path])

    def pop_frame(self):
        self.place += 1
        return FILES[self.path][self.place - 1]

    def close(self):
        pass


def install() -> bool:
    """Returns whether IceTray itself is there; else these classes are in its place."""
    if "icecube" in sys.modules:
        return not hasattr(sys.modules["icecube"], "stand_in")
    try:
        for name in ("icetray", "dataclasses", "dataio"):
            import_module(f"icecube.{name}")
        return True
    except ImportError:  # not there, or without its libraries
        for name in [name for name in sys.modules if name.split(".")[0] == "icecube"]:
            del sys.modules[name]
    package, icetray, dataclasses, dataio = (
        ModuleType(name) for name in ("icecube", "icecube.icetray", "icecube.dataclasses", "icecube.dataio")
    )
    package.stand_in = True
    package.__path__ = []
    package.__spec__ = __spec__
    icetray.I3Logger, icetray.I3NullLogger = type("I3Logger", (), {"global_logger": None}), object
    for own in (OMKey, I3Frame, I3Module, I3ConditionalModule, I3Tray, traysegment, I3FrameObject):
        setattr(icetray, own.__name__, own)
    for own in (I3Direction, I3Particle, I3Position, I3MCTree, I3RecoPulseSeriesMap, I3RecoPulseSeriesMapMask):
        setattr(dataclasses, own.__name__, own)
    dataclasses.I3Constants = type("I3Constants", (), {"c": 0.299792458})
    dataclasses.I3RecoPulse = type(
        "I3RecoPulse", (), {"time": 0.0, "charge": 0.0, "width": 0.0, "flags": 0}
    )  # fmt: skip
    for name in (
        "I3RecoPulseSeries", "I3TimeWindowSeries", "I3VectorOMKey", "I3VectorI3Particle", "I3VectorDouble", "I3VectorInt", "I3VectorInt64",
        "I3VectorString",
    ):  # fmt: skip
        setattr(dataclasses, name, type(name, (_List,), {}))
    for name in (
        "I3TimeWindowSeriesMap", "I3MapStringDouble", "I3MapStringInt", "I3MapKeyDouble", "I3MapStringBool",
    ):  # fmt: skip
        setattr(dataclasses, name, type(name, (_Map,), {}))
    dataclasses.I3TimeWindow = plain("I3TimeWindow", "start", "stop")
    for name in ("I3Double", "I3String"):
        setattr(dataclasses, name, plain(name, "value"))
    dataclasses.I3EventHeader = plain(
        "I3EventHeader", "run_id", "event_id", "sub_event_id", "sub_event_stream"
    )  # fmt: skip
    dataclasses.I3Geometry = type("I3Geometry", (I3FrameObject,), {"__init__": lambda self: setattr(self, "omgeo", {})})
    dataclasses.I3Calibration = type(
        "I3Calibration", (I3FrameObject,), {"__init__": lambda self: setattr(self, "dom_cal", {})}
    )
    dataclasses.I3DetectorStatus = type(
        "I3DetectorStatus", (I3FrameObject,), {"__init__": lambda self: setattr(self, "dom_status", {})}
    )
    dataclasses.I3OMGeo = plain("I3OMGeo", "position", "direction", "omtype")
    dataclasses.I3DOMCalibration = plain("I3DOMCalibration", "relative_dom_eff", "dom_noise_rate")
    dataclasses.I3DOMStatus = plain("I3DOMStatus", "pmt_hv")
    dataio.I3File = I3File
    for name, own in (("icetray", icetray), ("dataclasses", dataclasses), ("dataio", dataio)):
        setattr(package, name, own)
        sys.modules[f"icecube.{name}"] = own
        own.__spec__ = __spec__
    sys.modules["icecube"] = package
    return False
