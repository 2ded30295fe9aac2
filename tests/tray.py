"""Frames and trays for tests of `evgen_jax.icetray`, of IceTray where it is installed, else of the classes that stand in."""

import icetray_stand_in
import numpy as np

REAL = icetray_stand_in.install()
WHY_NOT = "IceTray (icecube) cannot be imported: what only its own classes can show is not tested here"

from icecube import dataclasses, icetray  # noqa: E402

PULSES = "SplitPulses"


def float32(values):
    """Charges as a frame holds them."""
    return np.asarray(values, np.float32).astype(np.float64)


def pulse_map(string, om, time, charge, flags=0):
    found = {}
    for s, o, t, c, f in zip(string, om, time, charge, np.broadcast_to(flags, np.shape(time)), strict=True):
        pulse = dataclasses.I3RecoPulse()
        pulse.time, pulse.charge, pulse.width, pulse.flags = float(t), float(c), 1.0, int(f)
        found.setdefault((int(s), int(o)), dataclasses.I3RecoPulseSeries()).append(pulse)
    made = dataclasses.I3RecoPulseSeriesMap()
    for (s, o), series in sorted(found.items()):
        made[icetray.OMKey(s, o)] = series
    return made


def particle(values, status="OK", shape="Cascade", length=None):
    """Of x, y, z, zenith, azimuth, energy, time."""
    x, y, z, zenith, azimuth, energy, time = map(float, values[:7])
    made = dataclasses.I3Particle()
    made.pos, made.dir = dataclasses.I3Position(x, y, z), dataclasses.I3Direction(zenith, azimuth)
    made.energy, made.time = energy, time
    if length is not None:
        made.length = float(length)
    made.fit_status = getattr(dataclasses.I3Particle.FitStatus, status)
    made.shape = getattr(dataclasses.I3Particle.ParticleShape, shape)
    return made


def sensor_list(*labels):
    return dataclasses.I3VectorOMKey([icetray.OMKey(*label) for label in labels])


def window_map(*rows):
    """Of (string, om, start, stop)."""
    made = dataclasses.I3TimeWindowSeriesMap()
    for string, om, start, stop in rows:
        key = icetray.OMKey(string, om)
        if key not in made:
            made[key] = dataclasses.I3TimeWindowSeries()
        made[key].append(dataclasses.I3TimeWindow(float(start), float(stop)))
    return made


def numbers(**values):
    made = dataclasses.I3MapStringDouble()
    for name, value in values.items():
        made[name] = float(value)
    return made


def header(run, event, sub_event=0, stream="split"):
    made = dataclasses.I3EventHeader()
    made.run_id, made.event_id, made.sub_event_id, made.sub_event_stream = run, event, sub_event, stream
    return made


def frame(stop="P", **objects):
    stops = {
        "G": icetray.I3Frame.Geometry,
        "C": icetray.I3Frame.Calibration,
        "D": icetray.I3Frame.DetectorStatus,
        "Q": icetray.I3Frame.DAQ,
        "P": icetray.I3Frame.Physics,
    }
    made = icetray.I3Frame(stops[stop])
    for name, value in objects.items():
        made[name] = value
    return made


def stop_of(own):
    """The letter of a frame's stream."""
    return getattr(own.Stop, "id", own.Stop)


def geometry(detector, shift=0.0):
    made = dataclasses.I3Geometry()
    position = np.asarray(detector.position, np.float64)
    omgeo = made.omgeo
    for s, o, place in zip(detector.string, detector.om, position, strict=True):
        own = dataclasses.I3OMGeo()
        own.position = dataclasses.I3Position(float(place[0]) + shift, float(place[1]), float(place[2]))
        if REAL:
            own.omtype = dataclasses.I3OMGeo.OMType.IceCube
            own.orientation = dataclasses.I3Orientation(dataclasses.I3Direction(0.0, 0.0, -1.0))
        else:
            own.omtype, own.direction = 20, dataclasses.I3Direction(0.0, 0.0, -1.0)
        omgeo[icetray.OMKey(int(s), int(o))] = own
    made.omgeo = omgeo
    return made


def calibration(detector, efficiency, noise_rate):
    """Of equal modules; the noise rate is in 1/ns."""
    made = dataclasses.I3Calibration()
    modules = made.dom_cal
    for s, o in zip(detector.string, detector.om, strict=True):
        own = dataclasses.I3DOMCalibration()
        own.relative_dom_eff, own.dom_noise_rate = efficiency, noise_rate
        modules[icetray.OMKey(int(s), int(o))] = own
    made.dom_cal = modules
    return made


def status(detector, off=()):
    """All modules have a voltage, but for some."""
    made = dataclasses.I3DetectorStatus()
    modules = made.dom_status
    for s, o in zip(detector.string, detector.om, strict=True):
        own = dataclasses.I3DOMStatus()
        own.pmt_hv = 0.0 if (int(s), int(o)) in off else 1200.0
        modules[icetray.OMKey(int(s), int(o))] = own
    made.dom_status = modules
    return made


def write_i3(path, given):
    from icecube import dataio

    file = dataio.I3File(str(path), "w")
    for own in given:
        file.push(own)
    file.close()


class Source(icetray.I3Module):
    """Begins a tray: pushes the frames that it is given, then ends it."""

    def __init__(self, context):
        icetray.I3Module.__init__(self, context)
        self.AddParameter("frames", "a list, or a function that makes an iterator", None)
        self.AddOutBox("OutBox")

    def Configure(self):
        given = self.GetParameter("frames")
        self.left = iter(given() if callable(given) else given)

    def Process(self):
        own = next(self.left, None)
        if own is None:
            self.RequestSuspension()
        else:
            self.PushFrame(own)


def run(frames, *steps, collect=None, all_stops="GCDQP"):
    """Sends frames through steps (what, name, parameters); returns the frames that came out at the end."""
    tray, seen = icetray.I3Tray(), []
    tray.AddModule(Source, "source", frames=frames)
    for what, name, parameters in steps:
        tray.Add(what, name, **parameters)
    stops = [frame(stop).Stop for stop in all_stops]

    def keep(own):
        seen.append(own)

    tray.AddModule(collect or keep, "collect", Streams=stops)
    tray.Execute()
    tray.Finish()
    return seen
