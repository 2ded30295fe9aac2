"""What a network learns from events of few photons, drawn and expected, with charges of Poisson and negative binomial.

python experiments/photon_statistics.py CONFIG REFERENCE [--photons 40000 5000] [--seconds 40] [--set key=value ...]

CONFIG is like `icecube86_cascade.yaml`, its expected events (`draw: False`) simulated before. REFERENCE is an npz file of
cascades of high statistics in the detector of CONFIG: `hypothesis` [N, 5] (x, y, z of the shower's maximum in m, zenith,
azimuth) and `accepted` [N, D] (detected photons per emitted photon and m^2). Fewer photons an event are a part of the photons with
larger weights; drawn events have a Poisson number of photoelectrons of every photon, so that photons of an event repeat. Prints
the scatter of ln(expected charge / REFERENCE) of modules with over 0.3 photoelectrons at 10 TeV, further than 15 m, the mean of
that ratio, and the over-dispersion that was learned: variance of those charges beside that of a Poisson distribution.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from what_networks_learn import events_of, train

import evgen_jax as eg
from evgen_jax.building.experiment import build_model
from evgen_jax.config.validate import load_config

ENERGY = 1e4
"""GeV, at which charges are compared."""
DECODERS = {
    "Poisson": "{decoder_class: PoissonDecoder}",
    "negative binomial": "{decoder_class: NegativeBinomialDecoder, config: {value_range_mapping: {alpha: "
    "{value_range_class: EluValueRange, config: {offset: -5.0, min_value: 1.0e-4}}}}}",
}
"""Decoders of charges."""


class Reference(NamedTuple):
    """Charges of cascades of high statistics.

    Attributes:
      hypotheses: [N, 7].
      charge: [N, D], photoelectrons.
      lit: [N, D], whether a module is compared.
    """

    hypotheses: np.ndarray
    charge: np.ndarray
    lit: np.ndarray

    def measured(self, model: eg.Model):
        """Makes a function of weights: expected charges and their variances [N, D]."""

        def one(variables, hypothesis):
            view = eg.make_dom_expectation(model)(variables, hypothesis, jnp.zeros(1))
            return view.charge, view.variance

        return jax.jit(lambda variables: jax.lax.map(lambda h: one(variables, h), jnp.asarray(self.hypotheses)))

    def report(self, measured) -> str:
        """Scatter, mean and over-dispersion."""
        charge, variance = (np.asarray(values)[self.lit] for values in measured)
        ratio = np.log(charge / self.charge[self.lit])
        return (
            f"charges {100 * ratio.std():.1f} %, mean {100 * ratio.mean():+.1f} %, "
            f"variance {np.median(variance / charge):.2f} of Poisson's"
        )


def reference_of(path: Path, model: eg.Model) -> Reference:
    """Reads the reference; the hypothesis of its showers begins ahead of their maximum."""
    found, detector = np.load(path), jax.tree.map(np.asarray, model.detector)
    hypotheses = np.array([[x, y, z, zenith, azimuth, ENERGY, 0.0] for x, y, z, zenith, azimuth in found["hypothesis"]])
    hypotheses = hypotheses.astype(np.float32)
    for own in hypotheses:
        view = model.source.geometry(jnp.asarray(own), model.source.trafo, model.detector, model.source.options)
        own[:3] -= np.asarray(view.source) - own[:3]
    factor = float(detector.medium.photons_per_gev) * ENERGY * detector.area * detector.relative_efficiency
    charge = found["accepted"] * factor
    distance = np.linalg.norm(detector.position - found["hypothesis"][:, None, :3], axis=2)
    return Reference(hypotheses, charge, (charge > 0.3) & (distance > 15) & detector.usable)


def with_statistics(event: eg.Event, share: float, draw: bool, detector: eg.Detector, rng) -> eg.Event:
    """An expected event of a share of its photons, or one that is drawn from it."""
    pulses = jax.tree.map(np.asarray, event.pulses)
    kept = pulses.mask & (rng.uniform(size=pulses.mask.shape) < share)
    charge, time = pulses.charge[kept] / share, pulses.time[kept]
    dom = np.asarray(event.active)[pulses.slot[kept]]
    if draw:
        number = rng.poisson(charge)
        charge, time, dom = np.ones(number.sum()), np.repeat(time, number), np.repeat(dom, number)
    string, om = np.asarray(detector.string)[dom], np.asarray(detector.om)[dom]
    readout = tuple(float(edge) for edge in event.readout)
    return eg.Event.from_pulses(charge, time, string, om, detector=detector, readout=readout)


def main() -> None:
    """Trains each kind of events with each decoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--photons", type=int, nargs="+", default=[40000, 5000])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    config = load_config(given.config, given.set)
    simulated = config.simulation_settings.photons
    model = build_model(config)
    reference, (events, labels) = reference_of(given.reference, model), events_of(config, model, "training")
    step = {"rate": 1e-2, "size": 2, "clip": "history", "optimizer": "muon", "average": 0.0, "modules": 0}
    for photons in given.photons:
        for kind, draw in (("expected", False), ("drawn", True)):
            rng = np.random.default_rng(photons)
            own = [with_statistics(event, photons / simulated, draw, model.detector, rng) for event in events]
            for name, decoder in DECODERS.items():
                outputs = 1 if name == "Poisson" else 2
                filters = (*config.model_settings.config["num_filters_list"][:-1], outputs)
                changes = [
                    f"model_settings.decoder_charge_settings={decoder}",
                    f"model_settings.config.num_filters_list={list(filters)}",
                ]
                variant = build_model(load_config(given.config, [*given.set, *changes]))
                train(
                    f"{photons} photons, {kind}, {name}",
                    variant,
                    reference,
                    (own, labels),
                    seconds=given.seconds,
                    **step,
                )


if __name__ == "__main__":
    main()
