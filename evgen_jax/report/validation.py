"""Is a model ready to be used? Checks against events whose truth is known, and what they say in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from evgen_jax.hypothesis.parameters import CASCADE, Parameter, places_by_role
from evgen_jax.measurement.event import Event
from evgen_jax.model.model import Model
from evgen_jax.reconstruction.fit.fit import Fitter
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.report.at_truth import AtTruth, compare_at_truth, largest_difference
from evgen_jax.report.pulls import half_width, pulls
from evgen_jax.report.recovery import LEVEL, Recovery, cascade_errors, confidence_levels, coverage, medians
from evgen_jax.report.text_page import table

PER_BIN = 0.02
"""Largest statistical error of a ratio of charges that is looked at by itself."""
ERRORS = 3.0
"""Standard errors by which the events' own number widens what is wanted."""
DECISIVE_FITS = 100
"""Number of fits from which widths of pulls are known to 7 %."""


class Check(NamedTuple):
    """Holds one number that tells whether a model may be relied on.

    Attributes:
      name: what was measured.
      value: what it is.
      low: smallest value of a model that is ready.
      high: largest value of a model that is ready.
      advice: what a value outside of these means.
    """

    name: str
    value: float
    low: float
    high: float
    advice: str

    @property
    def passed(self) -> bool:
        """Returns whether the value is within its limits."""
        return bool(self.low <= self.value <= self.high)


@dataclass(frozen=True)
class Validation:
    """Holds what was found of a model on events whose truth is known.

    Attributes:
      at_truth: charges and arrival times at the truth.
      fits: of events, begun at their truth.
      truth: [E, H], of the fitted events, physical units.
      pulls: [E, H], (fit - truth) / standard deviation.
      levels: confidence levels at which uncertainties hold the truth; None where the hypothesis is no single cascade.
      errors: of the fits; None where the hypothesis is no single cascade.
      checks: what is looked at, with limits.
    """

    at_truth: AtTruth
    fits: Sequence[FitResult]
    truth: np.ndarray
    pulls: np.ndarray
    levels: Recovery | None
    errors: Recovery | None
    checks: Sequence[Check]

    @property
    def failing(self) -> list[Check]:
        """Returns the checks whose value is outside of its limits."""
        return [check for check in self.checks if not check.passed]


def validate_model(
    model: Model, events: Sequence[Event], truth: Float[np.ndarray, "E H"], fit: Fitter, num_fits: int
) -> Validation:
    """Compares a model with events whose truth is known, at the truth and in fits that begin there.

    Args:
      model: trained.
      events: E events of its detector, none of which it was trained on.
      truth: [E, H], physical units.
      fit: fitter of the model, with covariances.
      num_fits: number of events that are fitted, the first ones.

    Returns:
      What was found.

    Raises:
      DataError: no event.
    """
    at_truth = compare_at_truth(model, events, truth)
    truth = np.asarray(truth, np.float64)[:num_fits]
    fits = [] if num_fits == 0 else fit(list(events[:num_fits]), truth)
    good = [i for i, own in enumerate(fits) if not own.failed]
    fits, truth = [fits[i] for i in good], truth[good]
    found = pulls(fits, truth, model.parameters) if fits else np.zeros((0, len(model.parameters)))
    places = places_by_role(model.parameters, CASCADE)
    single = len(places) == 1 and set(CASCADE) <= set(places[0]) and len(fits) > 0
    levels = confidence_levels(fits, truth, model.parameters) if single else None
    errors = cascade_errors(np.stack([f.hypothesis for f in fits]), truth, model.parameters) if single else None
    checks = [*_light(at_truth), *_uncertainties(fits, found, levels, model.parameters)]
    return Validation(at_truth, fits, truth, found, levels, errors, checks)


def _light(found: AtTruth) -> list[Check]:
    """Checks of charges and times at the truth."""
    total = found.total
    width = 0.02 + ERRORS * float(total.error[0])
    checks = [
        Check(
            "charge of all modules, measured / expected",
            float(total.measured[0] / total.expected[0]),
            1 - width,
            1 + width,
            "the scale of the light is off: events of another simulation, or a training that has not ended",
        )
    ]
    for name, own in found.charges.items():
        looked_at = np.isfinite(own.ratio) & (own.error < PER_BIN)
        if not looked_at.any():
            continue
        off = np.where(looked_at, np.abs(own.ratio - 1) - ERRORS * own.error, -1)
        worst = int(np.argmax(off))
        checks.append(
            Check(
                f"worst bin by {name}: {own.edges[worst]:.3g} to {own.edges[worst + 1]:.3g}",
                float(own.ratio[worst]),
                0.9 - ERRORS * float(own.error[worst]),
                1.1 + ERRORS * float(own.error[worst]),
                "light is wrong there: train longer, with more events there, or with inputs that tell what differs",
            )
        )
    checks.append(
        Check(
            "arrival times: largest difference from a uniform share of light before a pulse",
            largest_difference(found.shares.sum(axis=0)),
            0.0,
            0.02 + ERRORS / np.sqrt(max(found.pulses, 1)),
            "arrival times are off: train longer, or take another mixture (see the figure by distance)",
        )
    )
    return checks


def _uncertainties(
    fits: Sequence[FitResult], found: np.ndarray, levels: Recovery | None, parameters: Sequence[Parameter]
) -> list[Check]:
    """Checks of pulls, coverage and log-likelihoods of fits."""
    if not fits:
        return []
    checks = []
    for name, own in zip((p.name for p in parameters), found.T, strict=True):
        count = int(np.isfinite(own).sum())
        if count < 2:
            continue
        spread = ERRORS / np.sqrt(2 * count)
        checks.append(
            Check(
                f"width of the pulls of {name}",
                half_width(own),
                0.9 - spread,
                1.1 + spread,
                "its uncertainties are too small (above 1) or too large: see the coverage, and posteriors",
            )
        )
        shift = 0.2 + ERRORS / np.sqrt(count)
        checks.append(
            Check(f"median pull of {name}", float(np.nanmedian(own)), -shift, shift, "fits are off to one side")
        )
    if levels is not None:
        spread = ERRORS * np.sqrt(LEVEL * (1 - LEVEL) / len(fits))
        for name, share in coverage(levels).items():
            checks.append(
                Check(
                    f"truths within {100 * LEVEL:.0f} % of the uncertainty of {name}",
                    share,
                    LEVEL - 0.06 - spread,
                    LEVEL + 0.06 + spread,
                    "the likelihood is no parabola there, or wrong: use posteriors or contours of a scan",
                )
            )
    gained = np.array([2 * (fit.log_likelihood - fit.log_likelihood_seed) for fit in fits])
    free = int(np.isfinite(found).any(axis=0).sum())
    right = float(stats.chi2.median(free)) if free else 0.0
    checks.append(
        Check(
            "2 (log-likelihood of the fit - of the truth), median",
            float(np.median(gained)),
            0.0,
            1.5 * right + ERRORS * float(np.sqrt(2 * free / len(fits))),
            f"{right:.1f} is right for {free} free parameters; more means that fits leave the truth to repair wrong light",
        )
    )
    return checks


def summary(name: str, files: str, found: Validation) -> str:
    """Writes what was found as Markdown.

    Args:
      name: of the model.
      files: that were read, in words.
      found: of the model.

    Returns:
      The text: verdict, checks, medians of the errors.
    """
    failing, count = found.failing, len(found.checks)
    what = (
        f"Ready: all {count} checks hold."
        if not failing
        else f"Not ready: {len(failing)} of {count} checks fail, {failing[0].name} first ({failing[0].advice})."
    )
    if not failing and len(found.fits) < DECISIVE_FITS:
        what += (
            f" But {len(found.fits) or 'no'} fits decide little, since limits widen with the number's errors: {DECISIVE_FITS} "
            "or more say whether uncertainties may be relied on."
        )
    lines = [
        f"# Validation of {name}",
        "",
        f"{found.at_truth.events} events of {files}, {found.at_truth.pulses} pulses; {len(found.fits)} events fitted, from "
        "their truth: whether searches from seeds find the same minimum is another question.",
        "",
        what,
        "",
    ]
    rows = [
        (own.name, f"{own.value:.3g}", f"{own.low:.3g} to {own.high:.3g}", "holds" if own.passed else own.advice)
        for own in found.checks
    ]
    lines += table(("what", "value", "wanted", ""), rows)
    if found.errors is not None:
        own = medians(found.errors)
        lines += [
            "",
            f"Median errors of the fits: vertex {own['vertex_m']:.3g} m, direction {own['angle_deg']:.3g} degrees, abs "
            f"ln(E/E_true) {own['log_energy']:.3g}, time {own['time_ns']:.3g} ns.",
        ]
    return "\n".join(lines)
