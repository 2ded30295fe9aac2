"""The tray module that finds clusters of light, seeds of hypotheses of several cascades."""

from typing import Any

from icecube import icetray

from evgen_jax.data.gcd import detector_of_modules, read_modules
from evgen_jax.errors import ConfigError
from evgen_jax.icetray import reading, writing
from evgen_jax.icetray.clusters import clusters_of_event
from evgen_jax.icetray.exclusions import check_keys
from evgen_jax.icetray.records import Particle
from evgen_jax.measurement.detector import load_detector


class CascadeClusterSearchModule(icetray.I3ConditionalModule):  # type: ignore[misc]
    """Finds clusters of light in P frames.

    Parameters: pulse_key (InIceDSTPulses), output_key (CascadeClusters), n_clusters (10), min_dist (200 m),
    min_cluster_charge (3 PE), min_hit_doms (3), initial_clusters_particles (None: keys of I3Particles whose vertices come first),
    add_to_frame (True), geometry (None: that of the frames, else a detector table). The output is an I3MapStringDouble with the numbers
    of `evgen_jax.icetray.clusters.cluster_numbers`: places in m, times in ns, angles in rad.

    Args:
      context: of the tray.
    """

    def __init__(self, context: Any):
        icetray.I3ConditionalModule.__init__(self, context)
        for name, default, text in (
            ("pulse_key", "InIceDSTPulses", "Pulses."),
            ("output_key", "CascadeClusters", "Key of the clusters, an I3MapStringDouble."),
            ("n_clusters", 10, "Largest number of clusters."),
            ("min_dist", 200.0, "Between clusters, m."),
            ("min_cluster_charge", 3.0, "Of a cluster, PE."),
            ("min_hit_doms", 3, "Hit modules of a cluster."),
            ("initial_clusters_particles", None, "Keys of I3Particles whose vertices come first."),
            ("add_to_frame", True, "Whether clusters are written."),
            ("geometry", None, "Detector table; None: the geometry of the frames."),
        ):
            self.AddParameter(name, text, default)
        self.AddOutBox("OutBox")

    def Configure(self) -> None:
        """Reads the parameters.

        Raises:
          EvgenError: a detector table that cannot be read, or keys that are no names.
        """
        names = (
            "pulse_key",
            "output_key",
            "n_clusters",
            "min_dist",
            "min_cluster_charge",
            "min_hit_doms",
            "add_to_frame",
        )
        self._values = {name: self.GetParameter(name) for name in names}
        given = self.GetParameter("initial_clusters_particles")
        self._particles = check_keys(given or (), "initial_clusters_particles")
        table = self.GetParameter("geometry")
        self._detector = None if table is None else load_detector(table)

    def Geometry(self, frame: Any) -> None:
        """Takes the detector of the frames.

        Args:
          frame: of IceTray.
        """
        if self.GetParameter("geometry") is None and frame.Has("I3Geometry"):
            self._detector = detector_of_modules(read_modules(frame["I3Geometry"]), "GCD")
        self.PushFrame(frame)

    def Physics(self, frame: Any) -> None:
        """Finds the clusters of a frame.

        Args:
          frame: of IceTray.

        Raises:
          ConfigError: no geometry came before, or an initial particle that is none.
        """
        if self._detector is None:
            raise ConfigError("geometry: no geometry frame came before the first event; give a detector table.")
        values = self._values
        event, _ = reading.read_event(frame, values["pulse_key"], (), None, self._particles)
        first = tuple(own for key in self._particles if isinstance(own := event.seeds.get(key), Particle))
        numbers = clusters_of_event(
            event,
            self._detector,
            int(values["n_clusters"]),
            min_dist=float(values["min_dist"]),
            min_cluster_charge=float(values["min_cluster_charge"]),
            min_hit_doms=int(values["min_hit_doms"]),
            first=first,
        )
        if values["add_to_frame"]:
            writing.put(frame, values["output_key"], writing.to_numbers(numbers))
        self.PushFrame(frame)
