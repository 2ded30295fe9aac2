"""Reconstruction: fits, where they begin, how uncertain they are, fits of whole files.

Fits:
  reconstruct: fits of events, several at once.
  make_fitter, Fitter: fits with a program that is kept.
  FitSettings: free parameters, bounds, method, tolerances.
  FitResult, Covariance: what comes out.

Where fits begin:
  fit_without_seeds, refit_directions, global_search: searches over directions and vertices.
  smear: copies of a seed.
  find_clusters, cluster_seed: bright groups of pulses along a track.

Uncertainties:
  scan_profile, Profile: one parameter scanned, all others fitted.
  make_sky_map, SkyMap, write_sky_map: adaptive maps of directions.
  celestial_of, Celestial: makes them maps of right ascension and declination.
  write_skyscan: maps for IceCube's skyreader.
  make_posterior_sampler, Posterior: samples with stated priors.
  make_prior, prior_limits: the priors, and their limits as bounds.
  make_goodness_of_fit, GoodnessOfFit: is the event one of the model's?

Energies along a track:
  unfold_energies, Unfolding: many segments at once, not negative.

Files:
  reconstruct_files: fits all events of files into a table.
  make_configured_fitter, fit_as_configured: fits as a configuration says.
  read_table, unpack_covariance: a table of fits.
"""

from evgen_jax.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "evgen_jax.hypothesis.joint_prior": ["make_prior", "prior_limits"],
        "evgen_jax.reconstruction.fit.covariance": ["Covariance"],
        "evgen_jax.reconstruction.fit.fit": ["Fitter", "make_fitter", "reconstruct"],
        "evgen_jax.reconstruction.fit.result": ["FitResult"],
        "evgen_jax.reconstruction.fit.settings": ["FitSettings"],
        "evgen_jax.reconstruction.run.covariance_columns": ["unpack_covariance"],
        "evgen_jax.reconstruction.run.file_fit": ["fit_as_configured", "make_configured_fitter"],
        "evgen_jax.reconstruction.run.program": ["reconstruct_files"],
        "evgen_jax.reconstruction.run.table_file": ["read_table"],
        "evgen_jax.reconstruction.starts.clusters": ["cluster_seed", "find_clusters"],
        "evgen_jax.reconstruction.starts.directions": ["fit_without_seeds", "refit_directions"],
        "evgen_jax.reconstruction.starts.global_search": ["global_search"],
        "evgen_jax.reconstruction.starts.smear": ["smear"],
        "evgen_jax.reconstruction.uncertainty.celestial": ["Celestial", "celestial_of"],
        "evgen_jax.reconstruction.uncertainty.goodness_of_fit": ["GoodnessOfFit", "make_goodness_of_fit"],
        "evgen_jax.reconstruction.uncertainty.posterior": ["Posterior", "make_posterior_sampler"],
        "evgen_jax.reconstruction.uncertainty.profile": ["Profile", "scan_profile"],
        "evgen_jax.reconstruction.uncertainty.sky_file": ["write_sky_map"],
        "evgen_jax.reconstruction.uncertainty.sky_map": ["SkyMap", "make_sky_map"],
        "evgen_jax.reconstruction.uncertainty.skyscan": ["write_skyscan"],
        "evgen_jax.reconstruction.unfolding": ["Unfolding", "unfold_energies"],
    },
)
