"""What an imported model does in another way than Event-Generator, and why it still fits the same events."""

from collections.abc import Iterator

import numpy as np

from evgen_jax.config.record import short
from evgen_jax.config.records import ModelSettings
from evgen_jax.importing.sections import ACCEPTANCE, walk_sections
from evgen_jax.model.likelihood import Loss
from evgen_jax.physics.constants import TIME_UNIT

UNIT = f"{np.log(TIME_UNIT):.4f}"
"""Logarithm of the ratio of a microsecond to a nanosecond."""


def differences(section: ModelSettings, loss: Loss, members: int = 1) -> list[str]:
    """Lists the differences of a model from the program that trained it.

    Args:
      section: of the imported model.
      loss: with which it fits.
      members: number of models, of an ensemble.

    Returns:
      One sentence or two for each; those of parts and terms that the model does not have are left out.
    """
    return list(_differences(section, loss, members))


def _differences(section: ModelSettings, loss: Loss, members: int) -> Iterator[str]:
    sections = list(walk_sections(section))
    classes = [short(own.model_class) for own in sections]
    configs = [own.config for own in sections if own.decoder_settings is not None]
    terms = [term.name for term in loss.terms]
    several, noise = len(sections) > 2, "DefaultNoiseModel" in classes
    if configs and any(config.get("density_per_microsecond") for config in configs):
        yield (
            "time densities: per microsecond, beside those of noise per ns, as there, because --densities-per-microsecond asks for "
            "them: for comparison of log-likelihoods, not for fits."
        )
    elif configs:
        yield (
            f"time densities: per ns everywhere, there per microsecond: -log L is larger by ln 1000 = {UNIT} for every photoelectron "
            "of a term with times, a constant of the event, and fits are the same."
        )
        if noise:
            yield (
                "noise beside light: added in one unit. There noise is per ns and light per microsecond, so that noise counts a "
                "thousandth in the times: a late pulse pulls less here. Where the noise is small beside the light, fits are the "
                "same; --densities-per-microsecond keeps its sum."
            )
    if any(config.get("shift_cascade_time") is False for config in configs):
        yield (
            "time of the shower maximum: the vertex moves there and the time does not, as there: the weights have learned the way "
            "L/c (17 ns at 100 TeV) as a part of the arrival times, and fitted times mean what they did. Models that are trained "
            "here move both (shift_cascade_time)."
        )
    if any(config.get("angular_acceptance") == "table" for config in configs):
        yield (
            "angular acceptance: interpolated in its table, as there (angular_acceptance: table), since "
            f"{' and '.join(key for key in ACCEPTANCE if any(config.get(key) for config in configs))} had it in the training; "
            "finite beyond the table, there NaN."
        )
    if any(_is_mixture(own) for own in sections):
        yield (
            "mixture of charges: mean and variance are those of the mixture. There components enter sums of sources with means "
            "that are multiplied by their weights: dom_charge_pdf gives another number, negative_binomial_charge_pdf the same up "
            "to the variance between components."
        )
    if several:
        yield (
            "excluded time windows: exact for a sum of sources, there renormalised by a charge-weighted mean; the same where no window "
            "is excluded or one source shines alone."
        )
    if {"dom_charge_pdf", "unbinned_pulse_and_dom_charge_pdf"} & set(terms):
        yield (
            "charges: probabilities are computed as logarithms; there they end at 1e-37 in float32, a constant -ln p = 85.2 without "
            "a gradient, wherever a module has far more or less charge than expected."
        )
    if noise:
        yield (
            "modules without a noise rate: their noise has the density 0, there that of all others; the floor of 1e-7 PE is added "
            "once to the sum of sources, there to every source."
        )
    if any("Cascade" in name and name != "DefaultCascadeModel" for name in classes):
        yield (
            "cascades along a track: they fade over some metres where they are 200 m outside the box of the modules, there they are "
            "cut to zero where a coordinate is beyond 700 m."
        )
    if loss.terms and len(loss.terms) + bool(loss.priors) > 1 and loss.terms[0].weight != 1:
        yield f"weights of the loss: all act; there the first, {loss.terms[0].weight:g}, is ignored."
    if "unbinned_pulse_time_mpe_llh" in terms:
        yield "first pulses: those at excluded modules take no part; there they do, with a charge of the module of 0."
    if members > 1:
        yield f"ensemble: the mean of {members} log-likelihoods is fitted, there their sum, which shrinks uncertainties."


def _is_mixture(section: ModelSettings) -> bool:
    """Whether a source has several components of charge."""
    settings = section.decoder_charge_settings
    return settings is not None and short(settings.decoder_class) == "MixtureModel"
