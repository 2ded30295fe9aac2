"""Physical constants and fixed scales of the models (m, ns, GeV, rad, PE)."""

SPEED_OF_LIGHT = 0.299792458
"""Vacuum, m/ns."""

SPEED_OF_LIGHT_IN_ICE = 0.22103046286329384
"""Group velocity in ice, m/ns (group index 1.35634)."""

PHASE_INDEX = 1.3195
"""Phase refractive index of ice; cos of the Cherenkov angle is its inverse."""

RADIATION_LENGTH = 0.358 / 0.9216
"""Of ice in m (35.8 g/cm^2 at 0.9216 g/cm^3)."""

TIME_UNIT = 1000.0
"""Time decoders work in units of this many ns."""

DISTANCE_OFFSET = 0.1
"""Added to DOM distances, m: the size of a module keeps 1/r finite."""

CHARGE_ENERGY_SCALE = 1000.0
"""Expected charges scale with energy / (this many GeV)."""

DOM_COORDINATE_SCALE = 284.0
"""DOM coordinates are divided by this many m when a network reads them."""

CHARGE_FLOOR = 1e-7
"""Expected charge added once per DOM, PE, after all sources are summed."""

DETECTOR_SURFACE = 1948.07
"""Depth below the surface of z = 0 at the South Pole, m."""
