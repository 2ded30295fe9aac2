"""What the DOMs see of a hypothesis: the common ground of geometries, inputs and networks of learned sources."""

from typing import NamedTuple

from jaxtyping import Array

from evgen_jax.measurement.point_light import PointLight


class View(NamedTuple):
    """Holds a hypothesis as the DOMs see it.

    Attributes:
      shared: [S], inputs that are equal at every DOM.
      columns: [D, c] each, inputs of the DOMs.
      late_columns: [D, c] each, inputs that follow the angle of anisotropy.
      displacement: [D, 3], from where the light comes to the DOM, m.
      unit: [D, 3], direction of the displacement.
      distance: [D], length of the displacement, m.
      arrival: [D], when unscattered light arrives, relative to the time of the hypothesis, ns.
      time_shift: scalar, added to the time of the hypothesis, ns.
      energy: scalar, GeV, not negative.
      homogeneous_charge: [D], PE of 1 TeV of light that diffuses; None unless scale_charge_by_diffusion.
      light: of one photon of a shower at D sensors; None unless an option needs it.
      source: [3] or [D, 3], from where the light comes, m.
      axis: [3], direction of flight.
      approach: [D], closest distance between track and sensor, m; None of a point.
      along: [D], way of the track from its entry to where the light leaves it, m; None of a point.
    """

    shared: Array
    columns: tuple[Array, ...]
    late_columns: tuple[Array, ...]
    displacement: Array
    unit: Array
    distance: Array
    arrival: Array
    time_shift: Array
    energy: Array
    homogeneous_charge: Array | None
    source: Array
    axis: Array
    light: PointLight | None = None
    approach: Array | None = None
    along: Array | None = None
