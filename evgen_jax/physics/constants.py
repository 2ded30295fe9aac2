"""Physical constants and fixed scales of the models (m, ns, GeV, rad, PE)."""

SPEED_OF_LIGHT = 0.299792458
"""Speed of light in vacuum, m/ns."""

TIME_UNIT = 1000.0
"""Unit of time decoders, ns."""

DISTANCE_OFFSET = 0.1
"""Length added to distances from DOMs, m: the size of a module keeps 1/r finite."""

CHARGE_ENERGY_SCALE = 1000.0
"""Energy in GeV by which energies are divided before expected charges scale with them."""

DOM_COORDINATE_SCALE = 284.0
"""Length in m by which coordinates of DOMs are divided when a network reads them."""

CHARGE_FLOOR = 1e-7
"""Expected charge, PE, that is added once per DOM after the light of all sources is summed."""
