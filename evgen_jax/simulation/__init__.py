"""Simulation: hypotheses and events that a model draws, and models whose light is computed.

Contents:
  EventSampler: events of hypotheses.
  PhotonSampler: events of cascades, photon by photon.
  photoelectron_charges: measured charges of single photoelectrons.
  draw_hypotheses, parameter_ranges, smeared_seeds: hypotheses at random, and seeds near them.
  analytic_model, analytic_counterpart: the model without weights that simulated events come from.
  fisher_information: of hypotheses; its inverse is the Cramer-Rao bound.

`eg.simulate` writes the events of a configuration into files, `eg.likelihood_gap` compares a trained model with the
true one.
"""

from evgen_jax.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "evgen_jax.building.analytic": ["analytic_counterpart", "analytic_model"],
        "evgen_jax.simulation.draw": ["draw_hypotheses", "parameter_ranges", "smeared_seeds"],
        "evgen_jax.simulation.information": ["fisher_information"],
        "evgen_jax.simulation.events": ["EventSampler", "photoelectron_charges"],
        "evgen_jax.simulation.photons": ["PhotonSampler"],
    },
)
