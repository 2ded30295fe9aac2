"""Figures for notebooks: every function returns a figure of matplotlib, `figure.savefig("event.png")` writes it.

One event:
  event_display: where and when it shone, from three sides, with fit, seed and truth.
  arrival_times: pulses and expected light against time at the brightest modules.
  charges: expected against measured charges, and their pulls.

Uncertainties:
  sky_map: the whole sky, and the contours around the best direction.
  profile: a scan of one or two parameters.
  corner: samples of a posterior, in pairs of parameters.

Trainings:
  training_curves: losses, learning rates, gradients, throughput, over each other.

Many events with known truth:
  charge_ratios, light_by_distance, arrival_shares: light at the truth, expected and measured.
  pull_histograms, errors, coverage: fits and their uncertainties.

Numbers behind these figures:
  compare_at_truth, AtTruth: charges and arrival times of events at their truth.
  pulls, cascade_errors, confidence_levels, Recovery: of fits.

What is returned:
  Drawing: a figure of matplotlib, which notebooks show.
"""

from evgen_jax.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "evgen_jax.report.at_truth": ["AtTruth", "compare_at_truth"],
        "evgen_jax.report.plots.arrival_times": ["arrival_times"],
        "evgen_jax.report.plots.canvas": ["Drawing"],
        "evgen_jax.report.plots.charges": ["charges"],
        "evgen_jax.report.plots.display": ["event_display"],
        "evgen_jax.report.plots.recovery": ["coverage", "errors"],
        "evgen_jax.report.plots.sky": ["sky_map"],
        "evgen_jax.report.plots.training": ["training_curves"],
        "evgen_jax.report.plots.uncertainty": ["corner", "profile"],
        "evgen_jax.report.plots.validation": [
            "arrival_shares",
            "charge_ratios",
            "light_by_distance",
            "pull_histograms",
        ],
        "evgen_jax.report.pulls": ["pulls"],
        "evgen_jax.report.recovery": ["Recovery", "cascade_errors", "confidence_levels"],
    },
)
