"""A global search around a seed for hard cases: differential evolution, whole populations evaluated at once."""

from collections.abc import Mapping

import numpy as np
from scipy import optimize

from evgen_jax.checks import check_not_negative, check_whole
from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.parameters import names_of
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_hypothesis
from evgen_jax.reconstruction.fit.batching import shape_of, stacked
from evgen_jax.reconstruction.fit.evaluator import Evaluator
from evgen_jax.reconstruction.starts.smear import check_spreads

REACH = 3.0
"""Half the length of the box, in spreads of the seed."""


def global_search(
    evaluator: Evaluator,
    event: Event,
    seed: np.ndarray,
    *,
    spreads: Mapping[str, float] | None = None,
    population: int = 60,
    max_generations: int = 100,
    tolerance: float = 0.1,
    random_seed: int = 42,
) -> np.ndarray:
    """Searches a box around a seed by differential evolution (Storn & Price, J. Global Optim. 11, 341 (1997)).

    Directions are searched on the whole sphere, logged and bounded parameters in the coordinates of the fit. Fit from
    what is found.

    Args:
      evaluator: of the fit (`make_fitter(...).evaluator`), whose free parameters are searched.
      event: what was measured.
      seed: [H], physical units; kept if nothing better is found.
      spreads: {parameter: width} of the seed as in `smear`; the box reaches three of them.
      population: hypotheses per generation.
      max_generations: most generations.
      tolerance: spread of the log-likelihoods within a population at which the search ends.
      random_seed: of the search.

    Returns:
      The best hypothesis [H], physical units.

    Raises:
      HypothesisError: a seed of another number of parameters.
      ReconstructionError: a number or a width out of range.
    """
    coordinates = evaluator.coordinates
    parameters, scale = coordinates.parameters, coordinates.trafo.scale()
    names = names_of(parameters)
    check_hypothesis(seed, names, "a seed")
    for what, number in (("population", population), ("max_generations", max_generations)):
        check_whole(number, 1, what, ReconstructionError)
    check_whole(random_seed, 0, "random_seed", ReconstructionError)
    check_not_negative(tolerance, "tolerance", ReconstructionError)
    if spreads is not None:
        check_spreads(spreads, names)
    anchor = np.asarray(seed, np.float64)[None]
    batch, start = stacked([event], shape_of(event), 1), evaluator.start(anchor)[0]
    half = []
    for i in coordinates.scalars:
        width, logged_width = (spreads or {}).get(names[i], parameters[i].spread), parameters[i].draw == "log"
        # Widths of energies are those of their logarithm, whether the fit uses it or not.
        physical = width * (1.0 if coordinates.trafo.log[i] else anchor[0, i]) if logged_width else width
        half.append(REACH * max(physical, 1e-3 * scale[i]) / scale[i])
    for zenith, _ in coordinates.directions:
        half += [np.pi / scale[zenith]] * 2
    box = [(c - h, c + h) for c, h in zip(start, half, strict=True)]

    def loss(x: np.ndarray) -> np.ndarray:
        rows = x.T if x.ndim == 2 else x[None]
        value, _ = evaluator.gradient(batch, np.zeros(len(rows), int), rows, np.repeat(anchor, len(rows), 0))
        return np.where(np.isfinite(value), value, 1e300)

    result = optimize.differential_evolution(
        loss,
        box,
        x0=start,
        popsize=max(population // len(box), 1),
        maxiter=max_generations,
        tol=0,
        atol=tolerance,
        polish=False,
        vectorized=True,
        updating="deferred",
        init="sobol",
        rng=np.random.default_rng(random_seed),
    )
    return evaluator.hypothesis(result.x[None], anchor)[0]
