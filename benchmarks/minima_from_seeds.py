"""Minima that single fits find from a seed, beside those of Event-Generator's BFGS from the same seed, event by event.

    python benchmarks/small_network.py DIR --steps 1500 --network tiny       # or default, gaussian
    python benchmarks/minima_from_seeds.py DIR/model_1500 [--events 50] [--energies 1e3 1e4]

Cascades drawn from the true likelihood, seeds smeared by 15 m and 12 degrees and by 30 m and 30 degrees. The comparator is
scipy.optimize.minimize(method='BFGS') as Event-Generator calls it: normalised parameters with plain angles, value and gradient
in float32, the identity as the first Hessian, gtol 10 (its configurations) or SciPy's default of 1e-5. All minima are compared
by their log-likelihood in float64.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import machine, print_head, print_row
from reconstruction import simulate, timed
from scipy import optimize

import evgen_jax as eg
from evgen_jax.model.log_likelihood import make_log_likelihood
from evgen_jax.reconstruction.fit.batching import batches, shape_of, stacked
from evgen_jax.reconstruction.fit.fit import Fitter, make_fitter
from evgen_jax.reconstruction.starts.smear import smear

SMEARED = {
    "15 m, 12 deg": {"x": 15.0, "y": 15.0, "z": 15.0, "zenith": np.radians(12), "energy": 0.3, "time": 30.0},
    "30 m, 30 deg": {"x": 30.0, "y": 30.0, "z": 30.0, "zenith": np.radians(30), "energy": 0.5, "time": 100.0},
}
TIGHTER = 1e-5
GTOLS = (10.0, TIGHTER)
EQUAL = 0.1
"""Log-likelihoods that differ by less belong to one minimum."""


def reference_fits(
    model: eg.Model, events: list[eg.Event], seeds: np.ndarray, gtol: float
) -> tuple[np.ndarray, np.ndarray]:
    """Hypotheses [E, H] of the comparator from seeds [E, H], and its evaluations [E]."""
    log_likelihood = make_log_likelihood(model)

    @jax.jit
    def value_and_gradient(normalised, batch):
        event = jax.tree.map(lambda a: a[0], batch)
        loss = lambda t: -log_likelihood(model.variables, model.trafo.inverse(t), event)  # noqa: E731
        return jax.value_and_grad(loss)(normalised)

    ends, evaluations = np.empty_like(seeds), np.zeros(len(seeds), int)
    for i, event in enumerate(events):
        batch = jax.tree.map(
            lambda a: jnp.asarray(a, jnp.float32 if a.dtype.kind == "f" else a.dtype),
            stacked([event], shape_of(event), 1),
        )

        def function(t, batch=batch):
            value, gradient = value_and_gradient(jnp.asarray(t, jnp.float32), batch)
            fine = np.isfinite(value) and np.all(np.isfinite(gradient))
            return (float(value), np.asarray(gradient, np.float64)) if fine else (np.inf, np.full(len(t), np.inf))

        start = np.asarray(model.trafo.transform(jnp.asarray(seeds[i], jnp.float32)), np.float64)
        with np.errstate(all="ignore"):
            result = optimize.minimize(function, start, jac=True, method="BFGS", options={"gtol": gtol})
        ends[i], evaluations[i] = np.asarray(model.trafo.inverse(jnp.asarray(result.x, jnp.float32))), result.nfev
    return ends, evaluations


def exact_values(fit: Fitter, events: list[eg.Event], hypotheses: np.ndarray) -> np.ndarray:
    """Log-likelihoods [E] in float64."""
    value = np.empty(len(events))
    for own, batch in batches(events):
        unknown = fit.precise.start(hypotheses[own])
        value[own] = -fit.precise.gradient(batch, np.arange(len(own)), unknown, hypotheses[own])[0]
    return value


def compare(model: eg.Model, count: int, energies: tuple[float, float]) -> None:
    fit = make_fitter(model, covariance=False)
    events, truth = simulate(model, count, energies, seed=21)
    fit(events, truth)  # compiles
    print_head(
        "seeds", "gtol", "events", "ours below it: events, most, sum", "above it: events, sum", "evaluations, median: ours", "its",
        "seconds per event: ours", "its", "worst events",
    )  # fmt: skip
    for name, widths in SMEARED.items():
        spreads = {p.name: widths[p.role] for p in model.parameters if p.role in widths}
        seeds = smear(truth[:, None], model.parameters, 1, np.random.default_rng(3), spreads)[:, 1]
        fits, seconds = timed(fit, events, seeds)
        ours = exact_values(fit, events, np.stack([f.hypothesis for f in fits]))
        cost = np.median([f.diagnostics.evaluations for f in fits])
        for gtol in GTOLS:
            (ends, evaluations), their_seconds = timed(reference_fits, model, events, seeds, gtol)
            gain = ours - exact_values(fit, events, ends)
            below, above = gain < -EQUAL, gain > EQUAL
            worst = np.argsort(gain)[: min(below.sum(), 8)]
            print_row(
                name, f"{gtol:g}", len(events), f"{below.sum()}, {max(-gain.min(), 0):.1f}, {-gain[below].sum():.0f}",
                f"{above.sum()}, {gain[above].sum():.0f}", f"{cost:.0f}", f"{np.median(evaluations):.0f}",
                f"{seconds / len(events):.2f}", f"{their_seconds / len(events):.2f}",
                "; ".join(f"event {i} {gain[i]:.1f} ({fits[i].diagnostics.message})" for i in worst),
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--events", type=int, default=50)
    parser.add_argument("--energies", type=float, nargs=2, default=(1e3, 1e4))
    arguments = parser.parse_args()
    print(machine())
    compare(eg.load_model(arguments.model), arguments.events, arguments.energies)


if __name__ == "__main__":
    main()
