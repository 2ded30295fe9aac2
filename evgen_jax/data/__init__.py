"""Data: events and detectors, the files they come from, and the transformation of hypotheses.

Events and detectors:
  Event, build_event, stack_events: one event, from pulses; several as one.
  Detector, load_detector: where the modules are.
  Site: where on Earth that is.

Files:
  read_event_file, EventFile: the events of a file.
  open_tables: the tables of a file of any telescope.
  find_files: files of patterns.
  write_events: pulses and tables into an HDF5 file.
  BatchStream, Batch: batches in an order that a run repeats.

Transformation:
  Trafo, fit_trafo, load_trafo: mean and spread of hypothesis parameters.
"""

from evgen_jax.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "evgen_jax.data.batch": ["Batch"],
        "evgen_jax.data.batches": ["BatchStream", "find_files"],
        "evgen_jax.data.event_file": ["read_event_file"],
        "evgen_jax.data.file_events": ["EventFile"],
        "evgen_jax.data.formats.open": ["open_tables"],
        "evgen_jax.data.writer": ["write_events"],
        "evgen_jax.hypothesis.trafo": ["Trafo", "fit_trafo", "load_trafo"],
        "evgen_jax.measurement.detector": ["Detector", "load_detector"],
        "evgen_jax.measurement.event": ["Event", "build_event"],
        "evgen_jax.measurement.padding": ["stack_events"],
        "evgen_jax.measurement.site": ["Site"],
    },
)
