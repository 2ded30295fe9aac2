"""evgen_jax: learned likelihoods for neutrino telescopes. `import evgen_jax as eg` is quick; names load when first used.

Below is everything that is public. `help(eg.reconstruct)` has arguments, units and an example, `help(eg.plots)` the contents of
a namespace. Begin with docs/first_event.md, or with `model = eg.load_model("demo"); print(model)`; docs/how_it_works.md explains
the words, docs/how_to/ has a page for each task, and `mkdocs build` makes a site of them with every key and every function.

Models:
  Model, Ensemble: a source with weights, detector and loss; several of them.
  load_model, save_model: exported models.
  log_likelihood, make_log_likelihood, make_dom_expectation, make_sampler: what a model says and draws.
  approximate, Approximation: a cheaper model of one event.
  export_log_likelihood, event_arrays: a log-likelihood that JAX alone can run, and events for it.

Data:
  Event, stack_events: what was seen.
  Detector, load_detector: where it was seen.
  Medium, load_medium: the ice or water around it.
  sensor_response, sensor_moments: what sensors accept.

Hypotheses:
  Parameter: one parameter, its role, unit and usual range.

Programs:
  load_config: a configuration (YAML) as a record.
  simulate: events of a configuration, written as files.
  likelihood_gap: how far a model is below the true likelihood.
  import_model, event_generator_losses: a model that Event-Generator trained, and its numbers there.
  reconstruct, FitSettings, FitResult: fits of events.
  read_results, read_result_notes: tables of fits in pandas or polars, and their units.

Sources, decoders and losses of one's own, see docs/how_to/source_decoder_loss.md:
  LinenSource, LightYield, compact, register_source: a source.
  Family, register_decoder: a distribution of times or charges.
  LossParts, register_loss: a loss term.

Errors and version:
  EvgenError: the base of all errors that a user can cause.
  __version__: of the package.

Namespaces, each with a contents page (`help(eg.sources)`):
  sources, decoders: of what a model is made.
  data: files, detectors, transformations.
  simulation, training, reconstruction: the programs and their parts.
  plots: figures of events, uncertainties, trainings and validations.
"""

from evgen_jax.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "evgen_jax.approximation.approximate": ["Approximation", "approximate"],
        "evgen_jax.building.decoders": ["register_decoder"],
        "evgen_jax.building.directory": ["save_model"],
        "evgen_jax.building.exported_program": ["event_arrays", "export_log_likelihood"],
        "evgen_jax.building.named_models": ["load_model"],
        "evgen_jax.building.losses": ["register_loss"],
        "evgen_jax.building.zoo": ["register_source"],
        "evgen_jax.config.validate": ["load_config"],
        "evgen_jax.decoders.family": ["Family"],
        "evgen_jax.errors": ["EvgenError"],
        "evgen_jax.hypothesis.parameters": ["Parameter"],
        "evgen_jax.importing.comparison": ["event_generator_losses"],
        "evgen_jax.importing.event_generator": ["import_model"],
        "evgen_jax.light.light_yield": ["LightYield"],
        "evgen_jax.measurement.detector": ["Detector", "load_detector"],
        "evgen_jax.measurement.event": ["Event"],
        "evgen_jax.measurement.padding": ["stack_events"],
        "evgen_jax.measurement.sensors": ["sensor_moments", "sensor_response"],
        "evgen_jax.model.expectation": ["make_dom_expectation"],
        "evgen_jax.model.terms": ["LossParts"],
        "evgen_jax.model.log_likelihood": ["log_likelihood", "make_log_likelihood"],
        "evgen_jax.model.ensemble": ["Ensemble"],
        "evgen_jax.model.model": ["Model"],
        "evgen_jax.model.sampler": ["make_sampler"],
        "evgen_jax.physics.media": ["load_medium"],
        "evgen_jax.physics.medium": ["Medium"],
        "evgen_jax.reconstruction.fit.fit": ["reconstruct"],
        "evgen_jax.reconstruction.fit.result": ["FitResult"],
        "evgen_jax.reconstruction.fit.settings": ["FitSettings"],
        "evgen_jax.reconstruction.run.results": ["read_result_notes", "read_results"],
        "evgen_jax.simulation.likelihood_gap": ["likelihood_gap"],
        "evgen_jax.simulation.simulate": ["simulate"],
        "evgen_jax.sources.linen_source": ["LinenSource"],
        "evgen_jax.version": ["__version__"],
        "flax.linen": ["compact"],
    },
    ["data", "decoders", "plots", "reconstruction", "simulation", "sources", "training"],
)
