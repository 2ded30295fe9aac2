"""In IceTray: tray segments and modules that fit, draw and simulate events. They need the Python package icecube.

Both must be there for one Python, of version 3.11 or later: the one that IceTray was built for. Of IceTray icetray, dataclasses and
dataio are needed, all of them in the public collection; tableio where tables are booked. Either make an environment on top
of IceTray's Python:

  $I3_BUILD/env-shell.sh python -m venv ~/evgen
  ~/evgen/bin/pip install evgen_jax

and start jobs with `$I3_BUILD/env-shell.sh ~/evgen/bin/python JOB.py`, or set in an environment of one's own what env-shell.sh
sets: I3_BUILD, PYTHONPATH=$I3_BUILD/lib/python3.11/site-packages, LD_LIBRARY_PATH=$I3_BUILD/lib. The HDF5 libraries of h5py and of
tableio may differ; then a script that imports h5py itself imports it before icecube, or
`from evgen_jax.data.hdf5_library import h5py` at any time.

Segments:
  ApplyEventGeneratorReconstruction, ApplyEventGeneratorVisualizeBestFit: exclusions, then fits or figures.

Modules:
  EventGeneratorReconstruction: fits events, several frames at once.
  EventGeneratorVisualizeBestFit: draws fits.
  EventGeneratorSimulation: simulates the light of cascades of a tree of particles.
  CascadeClusterSearchModule: finds clusters of light, seeds of several cascades.
  SphereInfTrackSeedConverter, SphereInfTrackParticleConverter: between particles and tracks that enter a sphere.
  FlagSLCDeadTimeWindows: time windows in which modules were not awake.
"""

from typing import Any

from evgen_jax.data.i3_file import icetray_part
from evgen_jax.lazy import lazy_names

_load, __dir__, __all__ = lazy_names(
    __name__,
    {
        "evgen_jax.icetray.cluster_module": ["CascadeClusterSearchModule"],
        "evgen_jax.icetray.dead_time_module": ["FlagSLCDeadTimeWindows"],
        "evgen_jax.icetray.reconstruction_module": ["EventGeneratorReconstruction"],
        "evgen_jax.icetray.segments": ["ApplyEventGeneratorReconstruction", "ApplyEventGeneratorVisualizeBestFit"],
        "evgen_jax.icetray.simulation_module": ["EventGeneratorSimulation"],
        "evgen_jax.icetray.sphere_track_modules": ["SphereInfTrackParticleConverter", "SphereInfTrackSeedConverter"],
        "evgen_jax.icetray.visualize_module": ["EventGeneratorVisualizeBestFit"],
    },
)


def __getattr__(name: str) -> Any:
    """Loads a name when it is first used.

    Args:
      name: of a segment or a module.

    Returns:
      The segment or the module.

    Raises:
      DataError: IceTray is not there.
      AttributeError: an unknown name, with the nearest match.
    """
    if name in __all__:
        icetray_part("dataclasses", f"evgen_jax.icetray.{name}")
    return _load(name)
