"""Training: the program of a configuration, and its parts for a loop of one's own.

Programs:
  create_trafo: fits the transformation of a configuration.
  train: trains until its number of steps is done; run again, it continues.
  export_model, export_ensemble: trained models as directories that load on their own.
  trained_model, manager_directory: the model of a run, and where the run is.
  read_metrics: the loss curve.

From a configuration:
  build_model, build_source, ModelSettings: the model with fresh weights, or a source alone.
  build_optimizer, build_schedule: optimiser and learning rate.
  open_stream, iterator: batches of an iterator, and its section.

Losses:
  make_loss, LOSS_TERMS, SnowstormPriorLossModule: a loss of terms and priors; the records of the terms by their names.

A loop of one's own:
  TrainState, init_state, make_train_step: one step as a pure function.
  make_loss_terms: the loss of every event, term by term.
  MetricWriter: the protocol of what takes metrics.
"""

from evgen_jax.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "evgen_jax.building.experiment": ["build_model", "create_trafo", "iterator", "open_stream"],
        "evgen_jax.building.losses": ["LOSS_TERMS", "SnowstormPriorLossModule", "make_loss"],
        "evgen_jax.building.model": ["build_source"],
        "evgen_jax.config.records": ["ModelSettings"],
        "evgen_jax.training.export": ["export_ensemble", "export_model"],
        "evgen_jax.training.metrics": ["read_metrics"],
        "evgen_jax.training.optimizer": ["build_optimizer"],
        "evgen_jax.training.restore": ["manager_directory", "trained_model"],
        "evgen_jax.training.run": ["train"],
        "evgen_jax.training.schedules": ["build_schedule"],
        "evgen_jax.training.step": ["TrainState", "init_state", "make_loss_terms", "make_train_step"],
        "evgen_jax.training.writers": ["MetricWriter"],
    },
)
